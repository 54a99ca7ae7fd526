"""Environments of tasks: packages, variables, modules beside the script."""

from __future__ import annotations

import io
import sys
import sysconfig
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

from millstream._siblings import with_imported

# Modules travel inside the operation, which is one message.
MAX_MODULE_BYTES = 512 << 10


@dataclass(frozen=True)
class Environment:
    """What the processes that run tasks find installed and set.

    Parameters
    ----------
    pip : sequence of str
        Requirements, as pip takes them.
    requirements : path, optional
        A file of requirements; read here, added to `pip`.
    python : str, optional
        Path of the interpreter on the workers.
    conda : str, optional
        Prefix, or packed archive, of a conda environment on the workers.
    working_dir : path, optional
        Folder whose files the tasks find in their working folder.
    env_vars : mapping
        Environment variables.
    secrets : sequence of str
        Names of secrets of the cluster that are set as variables.

    Examples
    --------
    >>> Environment(pip=["polars"], env_vars={"TZ": "UTC"}).resolved()["pip"]
    ['polars']
    """

    pip: Sequence[str] = ()
    requirements: str | Path | None = None
    python: str | None = None
    conda: str | None = None
    working_dir: str | Path | None = None
    env_vars: Mapping[str, str] = field(default_factory=dict)
    secrets: Sequence[str] = ()

    @classmethod
    def of(cls, env: Environment | Mapping[str, Any] | None) -> Environment | None:
        """Return an environment as an object, however it is written."""
        if env is None or isinstance(env, Environment):
            return env
        unknown = set(env) - set(cls.__dataclass_fields__)
        if unknown:
            raise TypeError(f"env: unknown {sorted(unknown)}; there are {sorted(cls.__dataclass_fields__)}")
        return cls(**env)

    def resolved(self) -> dict[str, Any]:
        """The environment in lists and texts only, files of this machine read."""
        pip = list(self.pip)
        if self.requirements is not None:
            lines = Path(self.requirements).read_text().splitlines()
            pip += [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
        resolved = {
            "pip": pip,
            "python": self.python,
            "conda": self.conda,
            "env_vars": {name: str(value) for name, value in sorted(self.env_vars.items())},
            "secrets": list(self.secrets),
        }
        return {name: value for name, value in resolved.items() if value}

    def files(self) -> bytes | None:
        """The files of the working folder, zipped."""
        if self.working_dir is None:
            return None
        folder = Path(self.working_dir).expanduser().resolve()
        paths = [path for path in sorted(folder.rglob("*")) if path.is_file() and not _is_noise(path)]
        return _zipped([(str(path.relative_to(folder)), path) for path in paths], f"working_dir {folder}")


def _is_noise(path: Path) -> bool:
    return any(part in ("__pycache__", ".git", ".venv", "node_modules") for part in path.parts)


def _zipped(files: Sequence[tuple[str, Path]], what: str) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, path in files:
            # A fixed date: the same files are the same bytes.
            archive.writestr(zipfile.ZipInfo(name), path.read_bytes(), zipfile.ZIP_DEFLATED)
    if len(content.getvalue()) > MAX_MODULE_BYTES:
        raise ValueError(
            f"{what} has {len(content.getvalue())} bytes zipped, the limit is {MAX_MODULE_BYTES}: "
            "install it on the workers with env={'pip': [...]}, or pass large data as arguments"
        )
    return content.getvalue()


def modules_for(pickled: bytes) -> bytes | None:
    """Zip the modules beside the script that a pickled function names, if it names any."""
    named = {name for name, module in list(sys.modules.items()) if name.encode() in pickled and is_own_module(module)}
    if not named:
        return None
    files: dict[str, Path] = {}
    for name in with_imported(named, is_own_module):
        module = sys.modules[name]
        package = sys.modules.get(name.partition(".")[0], module)
        files |= _files_of(package)
    return _zipped(sorted(files.items()), "the code of " + ", ".join(sorted(named)))


def _files_of(module: ModuleType) -> dict[str, Path]:
    path = Path(str(module.__file__))
    if path.name != "__init__.py":
        return {path.name: path}
    root = path.parent
    return {str(file.relative_to(root.parent)): file for file in root.rglob("*.py") if not _is_noise(file)}


def is_own_module(module: ModuleType) -> bool:
    """Whether a module is the user's, in a file of its own that can travel."""
    file = getattr(module, "__file__", None)
    if not file or not file.endswith(".py") or module.__name__.partition(".")[0] in ("__main__", "millstream"):
        return False
    return is_own_file(file)


def is_own_file(path: str) -> bool:
    """Whether a file is the user's, not of Python or an installed package."""
    return not path.startswith(_installed_folders())


@lru_cache(maxsize=1)
def _installed_folders() -> tuple[str, ...]:
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    return tuple({str(Path(path)) for name in names if (path := sysconfig.get_path(name))})
