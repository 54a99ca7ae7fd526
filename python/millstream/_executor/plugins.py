"""What is set up once in a process, before its first task that asks for it: a model, a connection."""

from __future__ import annotations

import contextlib
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .failures import LoadError


@dataclass
class _Plugin:
    code: bytes
    made: Any
    value: Any


_plugins: dict[str, _Plugin] = {}


def prepare(wanted: Mapping[str, bytes]) -> None:
    """Set up those plugins that are not yet, or that were others.

    Parameters
    ----------
    wanted : mapping
        Pickled plugins by name: objects with a method ``setup``, or functions, whose result is kept.
    """
    for name, code in wanted.items():
        known = _plugins.get(name)
        if known is not None and known.code == code:
            continue
        if known is not None:
            _tear_down(_plugins.pop(name))
        try:
            made = pickle.loads(code)
            if hasattr(made, "setup"):
                made.setup()
                value = made
            else:
                value = made()
        except Exception as error:
            raise LoadError(f"the plugin `{name}` cannot be set up") from error
        _plugins[name] = _Plugin(code, made, value)


def value_of(name: str) -> Any:
    """Return the plugin object, or what the plugin function returned."""
    if name not in _plugins:
        raise KeyError(f"no plugin {name!r} is set up in this process; there are {sorted(_plugins)}")
    return _plugins[name].value


def end() -> None:
    """Tear all down, the one that was set up last first."""
    while _plugins:
        _tear_down(_plugins.popitem()[1])


def _tear_down(plugin: _Plugin) -> None:
    # The process ends or goes on whatever happens here.
    with contextlib.suppress(Exception):
        if hasattr(plugin.made, "teardown"):
            plugin.made.teardown()
