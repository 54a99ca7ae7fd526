"""Delayed values: ordinary Python, written down instead of run."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Self

from millstream import _remote
from millstream._options import PLAIN, TaskOptions, current_options, split_options
from millstream._pure import Known, token_of
from millstream._task import Literal, Reference, Task, new_key

if TYPE_CHECKING:
    from millstream._future import Future


def delayed(
    obj: Any = None,
    *,
    name: str | None = None,
    pure: bool = False,
    nout: int | None = None,
    traverse: bool = True,
    **options: Any,
) -> Any:
    """Make a function or a value lazy.

    Parameters
    ----------
    obj : object
        A callable: calling the result writes the call down. Any other value: it becomes a delayed value; delayed
        values inside lists, tuples, sets, dicts and dataclasses are found at any depth.
    name : str, optional
        Key of the delayed value, or prefix of the keys of the calls.
    pure : bool
        Whether the same arguments always give the same result: the same call, written down again, is the same task.
    nout : int, optional
        Number of results of a function that returns several, so that they can be unpacked.
    traverse : bool
        Whether delayed values inside `obj` are looked for; a value that holds none is sent faster without.
    **options
        Options of the tasks; see :class:`~millstream.TaskOptions`.

    Examples
    --------
    >>> import millstream as ms
    >>> @ms.delayed
    ... def add(a, b):
    ...     return a + b
    >>> total = add(add(1, 2), 10) * 2
    >>> total.compute()
    26
    """
    if obj is None:
        return lambda function: delayed(function, name=name, pure=pure, nout=nout, traverse=traverse, **options)
    if isinstance(obj, Delayed):
        return obj
    from millstream._options import check_option_names

    check_option_names(options)
    if nout is not None and (isinstance(nout, bool) or not isinstance(nout, int) or nout < 0):
        raise ValueError(f"nout is a number of results, got {nout!r}")
    if callable(obj) and not isinstance(obj, Reference):
        return DelayedFunction(obj, name=name, pure=pure, nout=nout, options=options)
    task_options = current_options().merged(options)
    value = obj if traverse else Literal(obj)
    task = Task(_remote.identity, (value,), key=name, options=task_options, pure=True)
    return Delayed(task, nout)


# Calls of pure functions that are written down already.
_known: Known[Task] = Known()


class DelayedFunction:
    """A function whose calls are written down; made by :func:`delayed`."""

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        name: str | None = None,
        pure: bool = False,
        nout: int | None = None,
        options: dict[str, Any] | None = None,
    ) -> None:
        self.__wrapped__ = function
        self.__name__ = getattr(function, "__name__", type(function).__name__)
        self.__doc__ = getattr(function, "__doc__", None)
        self._name = name
        self._pure = pure
        self._nout = nout
        self._options = options or {}

    def __call__(self, *args: Any, **kwargs: Any) -> Delayed:
        """Write a call down; ``dask_key_name=`` names it."""
        key = kwargs.pop("dask_key_name", None)
        if key is None and self._name is not None:
            key = new_key(self._name)
        options = current_options().merged(self._options)
        token = token_of(self.__wrapped__, args, kwargs, options) if self._pure and key is None else None
        task = None if token is None else _known.find(token, lambda _: True)
        if task is None:
            task = Task(self.__wrapped__, args, kwargs, key=key, options=options, pure=self._pure)
            if token is not None:
                _known.add(token, task)
        return Delayed(task, self._nout)

    def with_options(self, **options: Any) -> DelayedFunction:
        """Return the same function with other options."""
        from millstream._options import check_option_names

        check_option_names(options)
        merged = self._options | options
        return DelayedFunction(self.__wrapped__, name=self._name, pure=self._pure, nout=self._nout, options=merged)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self.__wrapped__, name)

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        if instance is None:
            return self
        # A delayed method: the instance is its first argument.
        return lambda *args, **kwargs: self(instance, *args, **kwargs)

    def __repr__(self) -> str:
        return f"delayed({self.__name__})"


class Delayed(Reference):
    """A value that has not been computed.

    Operators, item and attribute access and method calls on it are written down as further delayed values.
    """

    __slots__ = ("_nout", "_task")

    def __init__(self, task: Task | Future[Any], nout: int | None = None) -> None:
        self._task = task
        self._nout = nout

    def __millstream_ref__(self) -> Any:
        return self._task

    def __millstream_outputs__(self) -> Sequence[Any]:
        return [self._task]

    def __millstream_finalize__(self, values: Sequence[Any]) -> Any:
        return values[0]

    def __millstream_rebuild__(self, outputs: Sequence[Any]) -> Delayed:
        return Delayed(outputs[0], self._nout)

    @property
    def key(self) -> str:
        """The key of the task that makes the value."""
        return self._task.key

    @property
    def options(self) -> TaskOptions:
        """The options of the task that makes the value."""
        return self._task.options if isinstance(self._task, Task) else PLAIN

    def compute(self, **options: Any) -> Any:
        """Compute the value and return it; takes what :func:`millstream.compute` takes.

        Examples
        --------
        >>> ms.delayed(sum)([1, 2, 3]).compute()
        6
        """
        from millstream._compute import compute

        return compute(self, **options)[0]

    def persist(self, **options: Any) -> Self:
        """Start computing; return a delayed value over the result on the cluster.

        Examples
        --------
        >>> kept = ms.delayed(sum)([1, 2, 3]).persist()
        >>> (kept + 1).compute()
        7
        """
        from millstream._compute import persist

        persisted: Self = persist(self, **options)[0]
        return persisted

    def visualize(self, filename: str | None = "millstream", format: str | None = None, **options: Any) -> Any:  # noqa: A002 - Dask's name
        """Draw the graph; takes what :func:`millstream.visualize` takes."""
        from millstream._visualize import visualize

        return visualize(self, filename=filename, format=format, **options)

    if TYPE_CHECKING:
        # Bound below, each to the function of the same name in `operator`.
        def _operator(self, *_operands: Any) -> Delayed: ...

        __add__ = __sub__ = __mul__ = __truediv__ = __floordiv__ = __mod__ = __pow__ = __matmul__ = _operator
        __radd__ = __rsub__ = __rmul__ = __rtruediv__ = __rfloordiv__ = __rmod__ = __rpow__ = _operator
        __lt__ = __le__ = __gt__ = __ge__ = __neg__ = __pos__ = __abs__ = __invert__ = __getitem__ = _operator

    def _then(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Delayed:
        return Delayed(Task(function, args, kwargs, options=current_options(), pure=False))

    def __getattr__(self, name: str) -> DelayedAttribute:
        if name.startswith("_") or name in Delayed.__slots__:
            # Protocols of libraries are asked for by private names; a delayed value has none of them.
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")
        return DelayedAttribute(self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in Delayed.__slots__ and name not in getattr(type(self), "__slots__", ()):
            raise TypeError(f"delayed values are immutable: {name!r} cannot be set")
        object.__setattr__(self, name, value)

    def __setitem__(self, index: Any, value: Any) -> None:
        raise TypeError("delayed values are immutable: items cannot be set")

    def __call__(self, *args: Any, **kwargs: Any) -> Delayed:
        return self._then(_remote.call, self, *args, **kwargs)

    def __iter__(self) -> Iterator[Delayed]:
        if self._nout is None:
            raise TypeError("a delayed value of unknown length cannot be iterated: say delayed(..., nout=N)")
        return (self[number] for number in range(self._nout))

    def __len__(self) -> int:
        if self._nout is None:
            raise TypeError("a delayed value has no known length: say delayed(..., nout=N)")
        return self._nout

    def __bool__(self) -> bool:
        raise TypeError("the truth of a delayed value is not known before it is computed: call .compute()")

    def __hash__(self) -> int:
        return hash(self._task.key)

    def __repr__(self) -> str:
        return f"Delayed({self.key!r})"

    def _repr_html_(self) -> str:
        from millstream._repr import delayed_html

        return delayed_html(self)

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError("a delayed value can be an argument of tasks, but not be pickled by itself")


class DelayedAttribute(Delayed):
    """An attribute of a delayed value; calling it is a method call, one task."""

    __slots__ = ("_name", "_owner")

    def __init__(self, owner: Delayed, name: str) -> None:
        super().__init__(Task(getattr, (owner, name), key=new_key(f"getattr-{name}"), options=current_options()))
        self._owner = owner
        self._name = name

    def __call__(self, *args: Any, **kwargs: Any) -> Delayed:
        """Write a method call down."""
        task = Task(
            _remote.call_method,
            (self._owner, self._name, *args),
            kwargs,
            key=new_key(self._name),
            options=current_options(),
        )
        return Delayed(task)


def _bind(name: str, function: Callable[..., Any], *, is_reflected: bool = False) -> None:
    def method(self: Delayed, *args: Any) -> Delayed:
        operands = (*args, self) if is_reflected else (self, *args)
        return self._then(function, *operands)

    method.__name__ = name
    setattr(Delayed, name, method)


_BINARY = ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "lshift", "rshift", "and", "or", "xor")
_COMPARISONS = ("eq", "ne", "lt", "le", "gt", "ge")
_UNARY = ("neg", "pos", "abs", "invert")

for _name in _BINARY:
    _bind(f"__{_name}__", getattr(operator, f"__{_name}__"))
    _bind(f"__r{_name}__", getattr(operator, f"__{_name}__"), is_reflected=True)
for _name in (*_COMPARISONS, *_UNARY):
    _bind(f"__{_name}__", getattr(operator, f"__{_name}__"))
_bind("__divmod__", divmod)
_bind("__rdivmod__", divmod, is_reflected=True)
_bind("__getitem__", operator.getitem)
_bind("__round__", round)

__all__ = ["Delayed", "DelayedFunction", "delayed", "split_options"]
