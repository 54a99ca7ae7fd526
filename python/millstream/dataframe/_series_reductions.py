# mypy: disable-error-code="no-any-return"
"""Values of a whole column."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import pandas as pd

from millstream.dataframe import _meta, _tree
from millstream.dataframe._collection import Collection
from millstream.dataframe._expr import agg, call, cast, not_null
from millstream.dataframe._reduce import Collector, Reduced, name_of, reduced, stacked
from millstream.dataframe._rows import numbered

if TYPE_CHECKING:
    from millstream.dataframe._scalar import Scalar
    from millstream.dataframe._series import Series


class SeriesReductions(Collection):
    """Methods of a column that give one value, or a few."""

    def _reduced(self: Any, name: str, **options: Any) -> Scalar:
        from millstream.dataframe._scalar import Scalar

        to = Collector(self._rows.order)
        expr = reduced(name, to, Reduced(self._operand, self._index, options))
        rows = numbered(to.table(self._rows.node))
        return Scalar(rows, expr, _meta.series(self._reduced_type(name, options)), self._client)

    def _reduced_type(self: Any, name: str, options: dict[str, Any]) -> Any:
        sample = _meta.sample(self._meta)
        if name == "size":
            return "int64"
        if name in ("idxmin", "idxmax"):
            return self._meta.index.dtype
        if name in ("first", "last"):
            return self.dtype
        if name in ("skew", "kurt"):
            return "float64"
        known = {key: value for key, value in options.items() if key in ("ddof", "q", "min_count", "dropna")}
        return pd.Series([_meta.applied(lambda: getattr(sample, name)(**known))]).dtype

    def _as_scalar(self: Any) -> Scalar:
        """The value of a column of one row."""
        from millstream.dataframe._scalar import Scalar

        return Scalar(self._rows, self._expr, self._meta, self._client)

    def sum(self, axis: Any = 0, skipna: bool = True, min_count: int = 0) -> Scalar:
        """The sum; 0 of nothing."""
        return self._reduced("sum", skipna=skipna, min_count=min_count)

    def prod(self, axis: Any = 0, skipna: bool = True, min_count: int = 0) -> Scalar:
        """The product; 1 of nothing."""
        return self._reduced("prod", skipna=skipna, min_count=min_count)

    product = prod

    def mean(self, axis: Any = 0, skipna: bool = True) -> Scalar:
        """The mean."""
        return self._reduced("mean", skipna=skipna)

    def median(self, axis: Any = 0, skipna: bool = True) -> Scalar:
        """The median, exactly."""
        return self._reduced("median", skipna=skipna)

    def min(self, axis: Any = 0, skipna: bool = True) -> Scalar:
        """The smallest value."""
        return self._reduced("min", skipna=skipna)

    def max(self, axis: Any = 0, skipna: bool = True) -> Scalar:
        """The largest value."""
        return self._reduced("max", skipna=skipna)

    def std(self, axis: Any = 0, skipna: bool = True, ddof: int = 1) -> Scalar:
        """The standard deviation."""
        return self._reduced("std", skipna=skipna, ddof=ddof)

    def var(self, axis: Any = 0, skipna: bool = True, ddof: int = 1) -> Scalar:
        """The variance."""
        return self._reduced("var", skipna=skipna, ddof=ddof)

    def sem(self, axis: Any = 0, skipna: bool = True, ddof: int = 1) -> Scalar:
        """The standard error of the mean."""
        return self._reduced("sem", skipna=skipna, ddof=ddof)

    def skew(self: Any, axis: Any = 0) -> Scalar:
        """The skewness, without bias."""
        count, square, cube, _ = self._moments()
        scale = (count * (count - 1)) ** 0.5 / (count - 2)
        return scale * (cube / count) / (square / count) ** 1.5

    def kurt(self: Any, axis: Any = 0) -> Scalar:
        """The excess kurtosis, without bias."""
        count, square, _, fourth = self._moments()
        first = count * (count + 1) * (count - 1) / ((count - 2) * (count - 3)) * fourth / (square * square)
        return first - 3 * (count - 1) ** 2 / ((count - 2) * (count - 3))

    kurtosis = kurt

    def _moments(self: Any) -> tuple[Any, Any, Any, Any]:
        away = self - self.mean()
        return self.count() * 1.0, (away**2).sum(), (away**3).sum(), (away**4).sum()

    def count(self) -> Scalar:
        """The number of values that are not missing."""
        return self._reduced("count")

    def nunique(self, dropna: bool = True) -> Scalar:
        """The number of distinct values."""
        return self._reduced("nunique", dropna=dropna)

    def any(self, axis: Any = 0, skipna: bool = True) -> Scalar:
        """Whether one is true."""
        _meta.only(skipna=(skipna, True))
        return self._reduced("any")

    def all(self, axis: Any = 0, skipna: bool = True) -> Scalar:
        """Whether none is false."""
        _meta.only(skipna=(skipna, True))
        return self._reduced("all")

    def idxmin(self, axis: Any = 0, skipna: bool = True) -> Scalar:
        """The label of the first smallest value."""
        _meta.only(skipna=(skipna, True))
        return self._reduced("idxmin")

    def idxmax(self, axis: Any = 0, skipna: bool = True) -> Scalar:
        """The label of the first largest value."""
        _meta.only(skipna=(skipna, True))
        return self._reduced("idxmax")

    def quantile(self: Any, q: float | Iterable[float] = 0.5, interpolation: str = "linear") -> Any:
        """The quantile, exactly, between the two nearest values; a column of them for several."""
        if interpolation != "linear":
            raise NotImplementedError(f"interpolation={interpolation!r} is not available: only 'linear' is")
        if isinstance(q, float | int):
            return self._reduced("quantile", q=float(q))
        shares = [float(share) for share in q]
        specs = [("quantile", {"q": share}) for share in shares]
        return self._listed(shares, specs, _meta.applied(_meta.sample(self._meta).quantile, shares))

    def agg(self: Any, func: Any) -> Any:
        """One reduction, or a column of several."""
        if isinstance(func, list | tuple):
            names = [name_of(one) for one in func]
            dtype = _common([self._reduced_type(name, {}) for name in names])
            labels = [one if isinstance(one, str) else name_of(one) for one in func]
            return self._listed(
                labels, [(name, {}) for name in names], _meta.series(dtype, self.name, pd.Index(labels)[:0])
            )
        return self._reduced(name_of(func))

    aggregate = agg

    def describe(self: Any, percentiles: Iterable[float] | None = None) -> Series:
        """Count, mean, standard deviation and quantiles of numbers and times."""
        from millstream.dataframe._describe import described

        return described(self, percentiles)

    def _listed(self: Any, labels: list[Any], specs: list[tuple[str, dict[str, Any]]], meta: pd.Series[Any]) -> Series:
        """A column of reductions."""
        from millstream.dataframe._series import Series

        to = Collector(self._rows.order)
        exprs = [reduced(name, to, Reduced(self._operand, self._index, options)) for name, options in specs]
        if pd.api.types.is_float_dtype(meta.dtype):
            exprs = [cast(expr, "float64") for expr in exprs]
        node, place, (label, value) = stacked(to.table(self._rows.node), labels, [exprs])
        rows = numbered(_tree.sort(node, [_tree.sort_key(place)]))
        return Series(rows, [label], value, meta[:0], self._client)

    # ---- distinct values

    def value_counts(
        self: Any, normalize: bool = False, sort: bool = True, ascending: bool = False, dropna: bool = True
    ) -> Series:
        """How often each value occurs, the most frequent first."""
        from millstream.dataframe._series import Series

        key, count, first = _tree.fresh("value"), _tree.fresh("count"), _tree.fresh("first")
        source = _tree.filtered(self._rows.node, not_null(self._expr)) if dropna else self._rows.node
        columns = [(count, agg("count")), (first, agg("min", self._rows.position))]
        node = _tree.aggregate(source, [(key, self._expr)], columns)
        by = [_tree.sort_key({"col": count}, descending=not ascending)] if sort else []
        rows = numbered(_tree.sort(node, [*by, _tree.sort_key({"col": first})]))
        value = {"col": count}
        meta = _meta.applied(lambda: _meta.sample(self._meta).value_counts(normalize=normalize))[:0]
        result = Series(rows, [{"col": key}], value, meta, self._client)
        if not normalize:
            return result
        share = result / result.sum()
        return result._derived(share._expr, meta, share._rows)

    def unique(self: Any) -> Series:
        """Distinct values, in the order in which they occur first, as a column."""
        from millstream.dataframe._series import Series

        key, first = _tree.fresh("value"), _tree.fresh("first")
        node = _tree.aggregate(self._rows.node, [(key, self._expr)], [(first, agg("min", self._rows.position))])
        rows = numbered(_tree.sort(node, [_tree.sort_key({"col": first})]))
        return Series(rows, [rows.position], {"col": key}, _meta.default_index(self._meta), self._client)

    def mode(self: Any, dropna: bool = True) -> Series:
        """The most frequent values, in order."""
        from millstream.dataframe._series import Series

        counts = self.value_counts(dropna=dropna, sort=False)
        most = counts[counts == counts.max()]
        rows = most._rows.sorted([_tree.sort_key(most._index[0])])
        return Series(rows, [rows.position], most._index[0], _meta.default_index(self._meta), self._client)

    def nlargest(self: Any, n: int = 5, keep: str = "first") -> Series:
        """The largest values, in order."""
        return self.dropna()._extremes(n, keep, descending=True)

    def nsmallest(self: Any, n: int = 5, keep: str = "first") -> Series:
        """The smallest values, in order."""
        return self.dropna()._extremes(n, keep, descending=False)

    def _extremes(self: Any, n: int, keep: str, *, descending: bool) -> Series:
        if keep != "first":
            raise NotImplementedError(f"keep={keep!r} is not available: only 'first' is")
        return self._taken(self._rows.sorted([_tree.sort_key(self._expr, descending=descending)], max(0, n)))

    def corr(self: Any, other: Series, method: str = "pearson") -> Scalar:
        """The correlation with another column."""
        if method != "pearson":
            raise NotImplementedError(f"method={method!r} is not available: only 'pearson' is")
        return self._of_pair("corr", other)

    def cov(self: Any, other: Series) -> Scalar:
        """The covariance with another column."""
        return self._of_pair("covar", other)

    def _of_pair(self: Any, name: str, other: Series) -> Scalar:
        from millstream.dataframe._scalar import Scalar

        rows, operand, _ = self._beside(other)
        pair = [cast(self._expr, "float64"), cast(operand.expr, "float64")]
        to = Collector()
        expr = to.add(agg(name, *pair, where=call("and", not_null(pair[0]), not_null(pair[1]))))
        return Scalar(numbered(to.table(rows.node)), expr, _meta.series("float64"), self._client)

    @property
    def is_unique(self: Any) -> bool:
        """Whether no value occurs twice; it is computed now."""
        return len(self) == int(self.nunique(dropna=False))

    @property
    def hasnans(self: Any) -> bool:
        """Whether a value is missing; it is computed now."""
        return bool(self.isna().any())


def _common(dtypes: list[Any]) -> Any:
    return pd.concat([pd.Series([], dtype=dtype) for dtype in dtypes]).dtype if len(dtypes) > 1 else dtypes[0]
