"""Which modules a function uses, found without running it."""

from __future__ import annotations

import dis
import functools
import importlib.util
import sys
import types
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from millstream._environment import is_own_file, place_of

# Distributions whose name is not that of their module.
_DISTRIBUTIONS = {
    "bs4": "beautifulsoup4",
    "cv2": "opencv-python",
    "dateutil": "python-dateutil",
    "PIL": "pillow",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "yaml": "PyYAML",
}
# A function that refers to more than this is looked at in part.
_MOST = 500


def modules_of(function: Callable[..., Any]) -> set[str]:
    """Return the modules that a function imports, or whose objects it refers to, at any depth of its own module.

    Examples
    --------
    >>> def area(r):
    ...     import math
    ...     return math.pi * r * r
    >>> "math" in modules_of(area)
    True
    """
    found: set[str] = set()
    seen: set[int] = set()
    stack: list[Any] = [function]
    while stack and len(seen) < _MOST:
        value = stack.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, types.ModuleType):
            found.add(value.__name__)
        elif isinstance(value, functools.partial):
            stack += [value.func, *value.args, *value.keywords.values()]
        elif isinstance(value, types.MethodType):
            stack += [value.__func__, value.__self__]
        elif isinstance(value, types.FunctionType):
            if value is function or _is_own(value.__module__):
                found |= imports_in(value.__code__)
                stack += _referred_to(value)
            if value.__module__ and value.__module__ != "__main__":
                found.add(value.__module__)
        else:
            kind = value if isinstance(value, type) else type(value)
            found.add(kind.__module__)
            if _is_own(kind.__module__):
                stack += [member for member in vars(kind).values() if isinstance(member, types.FunctionType)]
    return {name for name in found if isinstance(name, str)} - {"builtins", "__main__"}


def _is_own(module: str | None) -> bool:
    """Whether a module is the user's script, or beside it."""
    if module in (None, "__main__"):
        return True
    path = getattr(sys.modules.get(str(module)), "__file__", None)
    return bool(path) and is_own_file(str(path))


def _referred_to(function: types.FunctionType) -> Iterator[Any]:
    for code in _codes_in(function.__code__):
        for name in code.co_names:
            if name in function.__globals__:
                yield function.__globals__[name]
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:
            continue


@lru_cache(maxsize=4096)
def imports_in(code: types.CodeType) -> frozenset[str]:
    """Return the modules that the body of a function, or a function within it, imports."""
    return frozenset(
        str(instruction.argval)
        for each in _codes_in(code)
        for instruction in dis.get_instructions(each)
        if instruction.opname == "IMPORT_NAME" and instruction.argval
    )


def _codes_in(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _codes_in(constant)


def path_of(module: str) -> Path | None:
    """Return where a top-level module is, imported or not; ``None`` if it has no file and no folder."""
    known = sys.modules.get(module)
    if known is not None:
        return place_of(known)
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return None
    return None if spec is None else place_of(spec)


@lru_cache(maxsize=1024)
def package_of(module: str) -> tuple[str, str] | None:
    """Return the installed package of a top-level module, and its version.

    Examples
    --------
    >>> package_of("cloudpickle")[0]
    'cloudpickle'
    """
    from importlib.metadata import PackageNotFoundError, version

    name = _DISTRIBUTIONS.get(module, module)
    try:
        return name, version(name)
    except PackageNotFoundError:
        return None
