"""What goes with a function: modules beside the script, versions of packages, and what its client asked for.

Of a function's modules, the user's own travel with it, by content; of installed ones only the versions do, so that a
worker can refuse what would not fit.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from millstream._environment import Environment, files_at, is_own_file, modules_in, zipped
from millstream._imports import modules_of, package_of, path_of

# Packages whose objects are passed between tasks: a difference is worth a warning though a function imports them not.
_EXCHANGED = ("numpy", "pandas", "polars", "pyarrow", "scipy", "sklearn", "torch", "xarray")
# What a worker's process has in any case, or gets from a task.
_NEVER = frozenset(("", "__main__", "cloudpickle", "millstream", "millstream_runtime"))


@dataclass
class Luggage:
    """What a client sends along with all its functions.

    Attributes
    ----------
    plugins : dict
        Pickled plugins by name.
    files : dict
        Contents of uploaded files, by path in the working folder.
    generation : int
        How often processes were asked to be new ones.
    """

    plugins: dict[str, bytes] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    generation: int = 0

    def environment(self, env: Environment | None) -> dict[str, Any] | None:
        """An environment as it travels; processes of another generation have another."""
        resolved = env.resolved() if env else {}
        if self.generation:
            variables = resolved.get("env_vars", {})
            resolved["env_vars"] = variables | {"MILLSTREAM_GENERATION": str(self.generation)}
        return resolved or None


def companions_of(
    function: Callable[..., Any], pickled: bytes, env: Environment | None, luggage: Luggage
) -> dict[str, Any]:
    """Return the parameters of an operation that say what goes with its function."""
    used = modules_of(function)
    tops = {name.partition(".")[0] for name in used} - _NEVER - sys.stdlib_module_names
    own: list[Path] = []
    packages: dict[str, tuple[str, str]] = {}
    for top in tops:
        path = path_of(top)
        if path is not None and path.suffix in ("", ".py") and is_own_file(str(path)):
            own.append(path)
        elif (package := package_of(top)) is not None:
            packages[top] = package
    found = modules_in(pickled, used)
    for path in own:
        found |= files_at(path)
    modules = _files(found, env, luggage.files)
    return {
        "env": luggage.environment(env),
        "modules": modules,
        "packages": packages or None,
        "loaded": _loaded(packages) or None,
        "origins": {top: str(path) for top in tops if (path := path_of(top))} or None,
        "plugins": luggage.plugins or None,
    }


def _files(found: Mapping[str, Path], env: Environment | None, uploaded: Mapping[str, bytes]) -> bytes | None:
    """All files that travel, zipped."""
    chosen: dict[str, Path | bytes] = dict(env.files()) if env else {}
    # Those of the working folder are the user's choice, uploaded ones the latest word.
    files = {**found, **chosen, **uploaded}
    if not files:
        return None
    if chosen or uploaded:
        return zipped(files, "the working folder with uploaded files")
    try:
        return zipped(files, "the code beside the script")
    except ValueError:
        # A task that misses it is told where it is, and what to do.
        return None


def _loaded(imported: Mapping[str, Any]) -> dict[str, str]:
    loaded = {}
    for top in _EXCHANGED:
        if top in sys.modules and top not in imported and (package := package_of(top)) is not None:
            loaded[package[0]] = package[1]
    return loaded
