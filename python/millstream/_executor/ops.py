"""Operations: the functions of tasks, loaded once for each process."""

from __future__ import annotations

import linecache
import pickle
from collections.abc import Callable
from typing import Any

from . import msgpack, packages, plugins
from .failures import LoadError

# A run below this is so short that the next one is expected to be, too.
SHORT_NS = 100_000
# Short runs in a row after which an operation counts as short.
SHORT_RUNS = 4


class Op:
    """One operation, unpickled at its first use."""

    def __init__(self, name: str, params: bytes) -> None:
        self.name = name
        self.serializer = "cloudpickle"
        self.origins: dict[str, str] = {}
        # Whether the function gives an Arrow IPC stream, which travels as it is.
        self.gives_table = False
        self._params: bytes | None = params
        self._fn: Callable[..., Any] | None = None
        self._short = 0

    def function(self) -> Callable[..., Any]:
        """The function itself."""
        if self._fn is None:
            self._fn = self._load()
            self._params = None
        return self._fn

    def _load(self) -> Callable[..., Any]:
        try:
            spec = msgpack.loads(self._params or b"\xc0")
            code, self.serializer = spec["fn"], spec.get("ser") or "cloudpickle"
        except (ValueError, TypeError, KeyError) as error:
            raise LoadError(f"the operation `{self.name}` is malformed") from error
        self.gives_table = bool(spec.get("table"))
        for path, text in (spec.get("sources") or {}).items():
            # So that tracebacks show lines of files which only the client has.
            linecache.cache[path] = (len(text), None, text.splitlines(keepends=True), path)
        self.origins = spec.get("origins") or {}
        packages.check(self.name, spec.get("packages") or {})
        packages.warn(spec.get("loaded") or {})
        plugins.prepare(spec.get("plugins") or {})
        try:
            if self.serializer == "dill":
                import dill

                fn = dill.loads(code)
            else:
                fn = pickle.loads(code)
        except Exception as error:
            raise LoadError(f"`{self.name}` cannot be loaded here") from error
        if not callable(fn):
            raise LoadError(f"`{self.name}` is a `{type(fn).__name__}`, which cannot be called")
        return fn  # type: ignore[no-any-return]

    def ran(self, ns: int) -> None:
        """Note how long a run took."""
        self._short = self._short + 1 if ns < SHORT_NS else 0

    def is_short(self) -> bool:
        """Whether the results before the next run may wait for its end."""
        return self._short >= SHORT_RUNS
