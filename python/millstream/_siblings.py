"""Which modules a module needs: those that it imports, and those that they import."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from types import ModuleType


def with_imported(names: Iterable[str], is_wanted: Callable[[ModuleType], bool]) -> set[str]:
    """Return modules with all that they import, at any depth, among those that are loaded and wanted.

    Parameters
    ----------
    names : iterable of str
        Names of loaded modules.
    is_wanted : callable
        Whether a loaded module counts; the imports of those that do not are not looked at.
    """
    found: set[str] = set()
    stack = list(names)
    while stack:
        name = stack.pop()
        module = sys.modules.get(name)
        if name in found or module is None or not is_wanted(module):
            continue
        found.add(name)
        stack += _imports_of(str(module.__file__), module.__package__ or "")
    return found


@lru_cache(maxsize=256)
def _imports_of(path: str, package: str) -> frozenset[str]:
    """The modules that a file imports anywhere, also inside functions; none if it cannot be read."""
    import ast

    try:
        with open(path, encoding="utf-8") as file:
            tree = ast.parse(file.read())
    except (OSError, ValueError, SyntaxError):
        return frozenset()
    return frozenset(name for node in ast.walk(tree) for name in _named_by(node, package))


def _named_by(node: object, package: str) -> Iterator[str]:
    import ast
    import importlib.util

    if isinstance(node, ast.Import):
        for alias in node.names:
            yield alias.name
    elif isinstance(node, ast.ImportFrom):
        base = node.module or ""
        if node.level:
            try:
                base = importlib.util.resolve_name("." * node.level + base, package)
            except ImportError:
                return
        yield base
        # What is imported from a package may be a module of it.
        yield from (f"{base}.{alias.name}" for alias in node.names)
