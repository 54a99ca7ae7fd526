"""The forms in which pandas' methods call a user's function on a part; these travel with tasks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any


class OfPart:
    """The function, called with the whole part."""

    def __init__(self, function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        self.function, self.args, self.kwargs = function, tuple(args), dict(kwargs)

    def __call__(self, part: Any) -> Any:
        return self.function(part, *self.args, **self.kwargs)


class OfMethod:
    """A method of the part that is given the function, such as ``apply`` or ``map``."""

    def __init__(self, method: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        self.method, self.args, self.kwargs = method, tuple(args), dict(kwargs)

    def __call__(self, part: Any) -> Any:
        return getattr(part, self.method)(*self.args, **self.kwargs)


class OfMethods:
    """Methods of the part, one after the other, each with its options."""

    def __init__(self, steps: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
        self.steps = list(steps)

    def __call__(self, part: Any) -> Any:
        for name, options in self.steps:
            part = getattr(part, name)(**options)
        return part


class OfGroups:
    """A method of the groups of a part, whose last columns are their keys."""

    def __init__(
        self,
        method: str,
        names: Sequence[Any],
        is_column: bool,
        function: Callable[..., Any],
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        *,
        dropna: bool,
    ) -> None:
        self.method, self.names, self.is_column, self.function = method, list(names), is_column, function
        self.args, self.kwargs, self.dropna = tuple(args), dict(kwargs), dropna

    def __call__(self, part: Any) -> Any:
        width = part.shape[1] - len(self.names)
        keys = [part.iloc[:, width + place].rename(name) for place, name in enumerate(self.names)]
        values = part.iloc[:, :width]
        if self.method == "transform":
            return self._of_rows(values, keys)
        return self._of_groups(values, keys)

    def _of_rows(self, values: Any, keys: list[Any]) -> Any:
        """A value for each row; nothing for those that are in no group."""
        values = values.reset_index(drop=True)
        keys = [key.reset_index(drop=True) for key in keys]
        if not self.dropna:
            return self._of_groups(values, keys)
        is_in = ~keys[0].isna()
        for key in keys[1:]:
            is_in &= ~key.isna()
        made = self._of_groups(values[is_in], [key[is_in] for key in keys])
        return made.reindex(values.index)

    def _of_groups(self, values: Any, keys: list[Any]) -> Any:
        groups = values.groupby(keys if len(keys) > 1 else keys[0], dropna=self.dropna)
        chosen = groups[values.columns[0]] if self.is_column else groups
        return getattr(chosen, self.method)(self.function, *self.args, **self.kwargs)


def items_of(part: Any, with_label: bool, form: str) -> list[Any]:
    """The rows of a part as a bag has them."""
    if getattr(part, "ndim", 1) == 1:
        return list(part.items()) if with_label else part.tolist()
    if form == "dict":
        return part.to_dict("records")  # type: ignore[no-any-return]
    return list(part.itertuples(index=with_label, name=None))


class OfItem:
    """The function, called with the values of an item."""

    def __init__(self, function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        self.function, self.args, self.kwargs = function, tuple(args), dict(kwargs)

    def __call__(self, item: Sequence[Any]) -> Any:
        return self.function(*item, *self.args, **self.kwargs)


def as_it_is(value: Any) -> Any:
    """Return the value."""
    return value


def few_rows(function: Callable[[Any], Any], item: Any) -> Any:
    """The first rows of a result, which tell its names and types."""
    return function(item).head(2)
