# mypy: disable-error-code="no-any-return"
"""What depends on all rows before, one by one: pandas itself computes it, in one Python task that holds the column."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from millstream.dataframe import _meta

if TYPE_CHECKING:
    from millstream.dataframe._series import Series


class Ewm:
    """Exponentially weighted windows; made by ``column.ewm()``.

    Examples
    --------
    >>> import pandas as pd
    >>> numbers = ms.from_pandas(pd.Series([1.0, 3.0]))
    >>> numbers.ewm(alpha=0.5, adjust=False).mean().compute().tolist()
    [1.0, 2.0]
    """

    def __init__(self, part: Any, options: dict[str, Any]) -> None:
        self._part = part
        self._options = options

    def mean(self) -> Any:
        """Means."""
        return self._of("mean")

    def sum(self) -> Any:
        """Sums."""
        return self._of("sum")

    def std(self, bias: bool = False) -> Any:
        """Standard deviations."""
        return self._of("std", bias=bias)

    def var(self, bias: bool = False) -> Any:
        """Variances."""
        return self._of("var", bias=bias)

    def _of(self, name: str, **options: Any) -> Any:
        steps = [("ewm", self._options), (name, options)]
        if hasattr(self._part, "_mapped"):
            return self._part._mapped(lambda column: whole(column, steps))
        return whole(self._part, steps)

    def __getattr__(self, name: str) -> Any:
        import pandas as pd

        kind = pd.api.typing.ExponentialMovingWindow
        raise _meta.unavailable("ewm", name, ["mean", "sum", "std", "var"], kind)


def whole(column: Series, steps: list[tuple[str, dict[str, Any]]]) -> Series:
    """What methods of pandas make of a column, one after the other."""
    from millstream.dataframe import _python
    from millstream.dataframe._calls import OfMethods

    call = OfMethods(steps)
    shown = _python.foretold(None, call, _python.sample_of(column), steps[-1][0])
    return _python.values_of_rows(column, call, shown, _python.WHOLE)


def ewm_options(**options: Any) -> dict[str, Any]:
    """The options of exponentially weighted windows that are given; pandas checks them at once."""
    import pandas as pd

    given = {name: value for name, value in options.items() if value is not None}
    pd.Series([1.0]).ewm(**given)
    return given
