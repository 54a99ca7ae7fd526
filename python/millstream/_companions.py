"""What goes with a function: modules beside the script, versions of packages, and what its client asked for.

Of a function's modules, the user's own travel with it, by content; of installed ones only the versions do, so that a
worker can refuse what would not fit.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from millstream._environment import Environment, files_at, is_own_file, modules_in, modules_of_values, zipped
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
    modules : dict
        Files of the user's modules that functions and arguments named so far, by path in the working folder. Tasks
        read results of others, so what one needs goes with all that follow; and their processes stay the same.
    """

    plugins: dict[str, bytes] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    generation: int = 0
    modules: dict[str, Path] = field(default_factory=dict)
    _zipped: tuple[Any, bytes] | None = None

    def environment(self, env: Environment | None) -> dict[str, Any] | None:
        """An environment as it travels; processes of another generation have another."""
        resolved = env.resolved() if env else {}
        if self.generation:
            variables = resolved.get("env_vars", {})
            resolved["env_vars"] = variables | {"MILLSTREAM_GENERATION": str(self.generation)}
        return resolved or None

    def note_values(self, pickled: Sequence[bytes]) -> None:
        """Let the user's modules that pickled arguments name go with the functions that follow."""
        self.modules |= modules_of_values(pickled)

    def zipped_modules(self) -> bytes:
        """The files of :attr:`modules`, zipped; anew only after one of them changed.

        Raises
        ------
        ValueError
            If they are too many bytes to travel.
        """
        stats = [(name, path, path.stat()) for name, path in self.modules.items()]
        state = [(name, path, stat.st_mtime_ns, stat.st_size) for name, path, stat in stats]
        if self._zipped is None or self._zipped[0] != state:
            self._zipped = state, zipped(self.modules, "the code beside the script")
        return self._zipped[1]


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
    luggage.modules |= found
    modules = _files(found, env, luggage)
    return {
        "env": luggage.environment(env),
        "modules": modules,
        "packages": packages or None,
        "loaded": _loaded(packages) or None,
        "origins": {top: str(path) for top in tops if (path := path_of(top))} or None,
        "plugins": luggage.plugins or None,
    }


def _files(found: Mapping[str, Path], env: Environment | None, luggage: Luggage) -> bytes | None:
    """All files that travel, zipped."""
    chosen: dict[str, Path | bytes] = dict(env.files()) if env else {}
    if chosen or luggage.files:
        # Those of the working folder are the user's choice, uploaded ones the latest word.
        files = {**luggage.modules, **chosen, **luggage.files}
        return zipped(files, "the working folder with uploaded files")
    if not luggage.modules:
        return None
    try:
        return luggage.zipped_modules()
    except ValueError:
        pass
    try:
        return zipped(found, "the code beside the script") if found else None
    except ValueError:
        # A task that misses it is told where it is, and what to do.
        return None


def _loaded(imported: Mapping[str, Any]) -> dict[str, str]:
    loaded = {}
    for top in _EXCHANGED:
        if top in sys.modules and top not in imported and (package := package_of(top)) is not None:
            loaded[package[0]] = package[1]
    return loaded
