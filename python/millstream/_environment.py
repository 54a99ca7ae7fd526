"""Environments of tasks: packages, variables, modules beside the script."""

from __future__ import annotations

import io
import re
import sys
import sysconfig
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

from millstream._siblings import with_imported

# Zipped files of a function up to this size travel inside its operation, which is one message; larger ones as an input.
MAX_EMBEDDED_BYTES = 512 << 10
MAX_FILE_BYTES = 10 << 20

# Wherever they are: a virtual environment may use the packages of another, or of the system.
_PACKAGE_FOLDERS = ("/site-packages/", "/dist-packages/")


@dataclass(frozen=True)
class Environment:
    """What the processes that run tasks find installed and set.

    Parameters
    ----------
    pip : sequence of str
        Requirements, as pip takes them.
    requirements : path, optional
        A file of requirements, with those it names by ``-r``; read here, added to `pip`.
    python : str, optional
        Path of the interpreter on the workers.
    conda : str, optional
        Prefix of a conda environment on the workers, or an archive of one (``conda-pack``).
    working_dir : path, optional
        Folder whose files the tasks find in their working folder.
    env_vars : mapping
        Environment variables. The value ``"secret://name"`` stands for a secret that only the workers know.
    secrets : sequence of str
        Names of secrets of the workers that are set as variables of the same names.

    Notes
    -----
    Packages are installed once on each host, on top of those of the workers' interpreter, by ``uv`` where there is one.

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

    def __post_init__(self) -> None:
        for name in ("pip", "secrets"):
            if isinstance(value := getattr(self, name), str):
                raise TypeError(f"env: {name} is a list of texts: write [{value!r}]")

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
            pip += _requirements(Path(self.requirements))
        resolved = {
            "pip": pip,
            "python": self.python,
            "conda": self.conda,
            "env_vars": {name: str(value) for name, value in sorted(self.env_vars.items())},
            "secrets": list(self.secrets),
        }
        return {name: value for name, value in resolved.items() if value}

    def files(self) -> dict[str, Path]:
        """The files of the working folder, by path in it."""
        if self.working_dir is None:
            return {}
        folder = Path(self.working_dir).expanduser().resolve()
        if not folder.is_dir():
            raise NotADirectoryError(f"env: working_dir {folder} is no folder")
        paths = [path for path in sorted(folder.rglob("*")) if path.is_file() and not _is_noise(path)]
        return {str(path.relative_to(folder)): path for path in paths}


def _requirements(path: Path) -> list[str]:
    """The lines of a file of requirements, and of those that it names."""
    lines: list[str] = []
    for line in path.expanduser().read_text().replace("\\\n", " ").splitlines():
        line = re.sub(r"(^|\s)#.*$", "", line).strip()
        option, _, rest = line.partition(" ")
        if option in ("-r", "--requirement"):
            lines += _requirements(path.parent / rest.strip())
        elif option in ("-c", "--constraint", "-e", "--editable") or line.startswith((".", "/")):
            raise ValueError(f"{path}: `{line}` names a file, which workers do not have; ship it with working_dir")
        elif line:
            lines.append(line)
    return lines


def _is_noise(path: Path) -> bool:
    return any(part in ("__pycache__", ".git", ".venv", "node_modules") for part in path.parts)


def zipped(files: Mapping[str, Path | bytes], what: str) -> bytes:
    """Zip files; the same ones are the same bytes.

    Raises
    ------
    ValueError
        If they are too many bytes to travel.
    """
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, source in sorted(files.items()):
            data = source if isinstance(source, bytes) else source.read_bytes()
            # With a fixed date.
            archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
    size = len(content.getvalue())
    if size > MAX_FILE_BYTES:
        raise ValueError(
            f"{what} has {size} bytes zipped, the limit is {MAX_FILE_BYTES}: "
            "install it on the workers with env={'pip': [...]}, or pass large data as arguments"
        )
    return content.getvalue()


def modules_in(pickled: bytes, also: Iterable[str] = ()) -> dict[str, Path]:
    """Return the files of the user's modules that a pickled function names, of `also`, and of what they import."""
    return _files_of({name for name, encoded in _own_modules() if encoded in pickled} | set(also))


def modules_of_values(pickled: Sequence[bytes]) -> dict[str, Path]:
    """Return the files of the user's modules whose classes pickled values are of, and of what they import."""
    # As pickle writes the name before that of a class: an opcode, the length, the name.
    marks = {bytes([len(encoded)]) + encoded: name for name, encoded in _own_modules() if len(encoded) < 256}
    if not marks:
        return {}
    pattern = re.compile(b"\x8c(" + b"|".join(map(re.escape, marks)) + b")", re.DOTALL)
    found = {mark for each in pickled for mark in pattern.findall(each)}
    return _files_of({marks[mark] for mark in found}) if found else {}


def _files_of(names: set[str]) -> dict[str, Path]:
    """The files of modules, and of the user's modules that these import."""
    files: dict[str, Path] = {}
    for name in with_imported(names, is_own_module):
        package = sys.modules.get(name.partition(".")[0], sys.modules[name])
        if (path := place_of(package)) is not None:
            files |= files_at(path)
    return files


_own: tuple[tuple[int, str], list[tuple[str, bytes]]] = ((0, ""), [])


def _own_modules() -> list[tuple[str, bytes]]:
    """The names of the user's modules that are loaded."""
    global _own
    # Looking at a thousand modules costs more than all else of a call; what was imported since is the last of them.
    loaded = len(sys.modules), next(reversed(sys.modules))
    if _own[0] != loaded:
        _own = loaded, [(name, name.encode()) for name, module in list(sys.modules.items()) if is_own_module(module)]
    return _own[1]


def place_of(module: ModuleType | ModuleSpec) -> Path | None:
    """Return the file of a module, or the folder of a package without an ``__init__.py``."""
    if isinstance(module, ModuleSpec):
        file, folders = module.origin if module.has_location else None, module.submodule_search_locations
    else:
        file, folders = getattr(module, "__file__", None), getattr(module, "__path__", None)
    return Path(file) if file else next((Path(folder) for folder in folders or ()), None)


def files_at(path: Path) -> dict[str, Path]:
    """Return the files of a module, or of a package, by path; a package by its folder or its ``__init__.py``."""
    if path.name != "__init__.py" and not path.is_dir():
        return {path.name: path}
    root = path if path.is_dir() else path.parent
    return {str(file.relative_to(root.parent)): file for file in root.rglob("*.py") if not _is_noise(file)}


def is_own_module(module: ModuleType) -> bool:
    """Whether a module is the user's, in a file of its own that can travel."""
    file = getattr(module, "__file__", None)
    if not file or not file.endswith(".py") or module.__name__.partition(".")[0] in ("__main__", "millstream"):
        return False
    return is_own_file(file)


def is_own_file(path: str) -> bool:
    """Whether a file is the user's, not of Python or an installed package."""
    return not path.startswith(_installed_folders()) and not any(folder in path for folder in _PACKAGE_FOLDERS)


@lru_cache(maxsize=1)
def _installed_folders() -> tuple[str, ...]:
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    return tuple({str(Path(path)) for name in names if (path := sysconfig.get_path(name))})
