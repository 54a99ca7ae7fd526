"""Labels of rows, and what becomes of them, compared with pandas."""

from __future__ import annotations

import copy

import numpy as np
import pandas as pd
import pytest
from comparing import Operation, check, computed, equal, table

import millstream as ms

INDEXES: dict[str, Operation] = {
    "numbers": lambda t: t.index,
    "no_columns": lambda t: t[[]].index,
    "no_columns_frame": lambda t: t[[]],
    "two_levels": lambda t: t.set_index(["key", "n"]).index,
    "max": lambda t: t.set_index("n").index.max(),
    "of_rows": lambda t: t[t.index > 3],
    "as_column": lambda t: t.set_index("n").index.to_series().sort_values(kind="stable").reset_index(drop=True),
    "level": lambda t: t.set_index(["key", "n"]).index.get_level_values("n").max(),
    "append": lambda t: t.set_index("key").set_index("n", append=True)[["x"]],
    "by_two_levels": lambda t: t.set_index(["key", "n"]).groupby(level=["key"]).x.count(),
    "after_groups": lambda t: t.groupby(["key", "n"]).x.sum().groupby(level="key").max(),
    "unsorted_range": lambda t: t.sort_values("n", kind="stable").index,
    "sliced": lambda t: t.iloc[3:].iloc[1:3],
    "sliced_sum": lambda t: t.iloc[3:].reset_index(drop=True).n,
    "tail_of_filter": lambda t: t[t.n > 0].iloc[-2:],
    "columns_as_attribute": lambda t: t.rename(columns={"n": "number"}).number,
    "dates": lambda t: t.dropna(subset=["at"]).set_index("at").sort_index().loc["2024"].n,
    "loc_list": lambda t: t.loc[[1, 2], ["n"]],
    "loc_columns": lambda t: t.loc[:, "n":"flag"],
    "describe_of_groups": lambda t: t.groupby("flag").n.agg(["count", "mean", "min", "max"]),
    "frame_rank": lambda t: t[["n", "x"]].rank(),
    "frame_any": lambda t: (t[["n", "x"]] > 2).any(),
    "frame_all_rows": lambda t: (t[["n", "x"]] > 0).all(axis=1),
    "mode_text": lambda t: t.word.mode(),
    "numpy_left": lambda t: np.float64(2) * t.x,
    "prefix": lambda t: t[["n"]].add_prefix("p_").add_suffix("_s"),
    "to_list": lambda t: t.n.to_list(),
    "tuples": lambda t: list(t[["n"]].itertuples(index=False, name=None)),
    "get": lambda t: t.get("n"),
    "values_of_where": lambda t: t[["n", "x"]].where(t[["n", "x"]] > 1),
    "nunique_of_frame": lambda t: t[["key", "flag"]].nunique(),
    "isin_mapping": lambda t: t[["n", "key"]].isin({"n": [1, 2]}),
    "two_sums": lambda t: t.n.sum() + t.x.sum() * 2,
    "share": lambda t: t.n / t.n.sum(),
    "zscore": lambda t: (t.x - t.x.mean()) / t.x.std(),
    "duration": lambda t: t["at"].max() - t["at"].min(),
    "mean_time": lambda t: t["at"].dropna().diff().max(),
}


@pytest.mark.parametrize("name", INDEXES)
def test_labels_are_those_of_pandas(client: ms.Client, name: str) -> None:
    check(client, INDEXES[name])


def test_times_with_a_zone_stay_the_same_moments(client: ms.Client) -> None:
    data = table()[["n"]].assign(at=table()["at"].dt.tz_localize("UTC").dt.tz_convert("Europe/Berlin"))
    frame = ms.from_pandas(data, client=client)
    equal(frame.compute(), data)
    equal(frame["at"].dt.hour.compute(), data["at"].dt.hour, check_dtype=False)
    equal(frame["at"].dt.tz_convert("Asia/Tokyo").compute(), data["at"].dt.tz_convert("Asia/Tokyo"))
    after = pd.Timestamp("2024-01-01", tz="UTC")
    equal(frame[frame["at"] >= after].compute(), data[data["at"] >= after])


def test_durations_are_calculated_with(client: ms.Client) -> None:
    data = pd.DataFrame({"d": pd.to_timedelta([90, 3600, None], unit="s"), "n": [1, 2, 3]})
    frame = ms.from_pandas(data, client=client)
    equal((frame.d * 2).compute(), data.d * 2)
    equal((frame.d / pd.Timedelta("1s")).compute(), data.d / pd.Timedelta("1s"))
    equal(computed(frame.d.sum()), data.d.sum())
    equal(ms.to_timedelta(frame.n, unit="s").compute(), pd.to_timedelta(data.n, unit="s"), check_dtype=False)


def test_groups_roll_in_the_order_of_the_frame(client: ms.Client) -> None:
    data = table()
    frame = ms.from_pandas(data, client=client)
    expected = data.groupby("flag").n.rolling(2, min_periods=1).sum().droplevel(0).sort_index()
    equal(frame.groupby("flag").n.rolling(2, min_periods=1).sum().compute(), expected)


def test_frames_can_be_copied(client: ms.Client) -> None:
    frame = ms.from_pandas(table(), client=client)
    other = copy.copy(frame)
    other["more"] = 1
    assert "more" not in frame
