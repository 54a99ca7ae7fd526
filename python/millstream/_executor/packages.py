"""Whether the packages of a client and of this process go together.

A function that was written for one major version of a package it imports is refused where there is another; of other
packages the client had loaded, a difference is told once for each process.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping, Sequence

from .failures import LoadError

_warned: set[str] = set()
_versions: dict[str, str | None] = {}


def version_of(package: str) -> str | None:
    """Return the version of an installed package, or ``None``."""
    if package not in _versions:
        from importlib.metadata import PackageNotFoundError, version

        try:
            _versions[package] = version(package)
        except PackageNotFoundError:
            # Not remembered: a task may install it.
            return None
    return _versions[package]


def major_of(version: str) -> str:
    """Return the first number of a version.

    Examples
    --------
    >>> major_of("2.10.1"), major_of("0.4")
    ('2', '0')
    """
    return version.partition(".")[0]


def _differs(package: str, wanted: str) -> str | None:
    """The version here, if its major number is another; a package that is missing is told by the import itself."""
    found = version_of(package)
    return None if found is None or major_of(found) == major_of(wanted) else found


def check(name: str, packages: Mapping[str, Sequence[str]]) -> None:
    """Refuse a function that imports packages of other major versions than those here.

    Parameters
    ----------
    name : str
        The function.
    packages : mapping
        By name of the module that it imports: the package and the client's version of it.
    """
    for package, wanted in packages.values():
        found = _differs(package, wanted)
        if found is not None:
            raise LoadError(
                f"`{name}` imports `{package}`, which is {wanted} at the client and {found} here ({sys.executable}): "
                f"use the same major version on both sides, or name it in env={{'pip': ['{package}=={wanted}']}}"
            )


def warn(loaded: Mapping[str, str]) -> None:
    """Tell once which packages of the client, not imported by its function, have another major version here."""
    for package, wanted in loaded.items():
        if package in _warned:
            continue
        _warned.add(package)
        found = _differs(package, wanted)
        if found is not None:
            logging.getLogger("millstream").warning(
                "the client has %s %s, this process has %s; what is passed between them may not fit",
                package,
                wanted,
                found,
            )
