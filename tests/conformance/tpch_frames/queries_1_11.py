"""The 22 queries of TPC-H as a pandas user writes them; they run on pandas' own frames, too.

Columns of money are floats and days are times, as in files that such users have. What a query gives is a frame with the
columns, in the order, of the answer, or a single value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd

Tables = Mapping[str, Any]
QUERIES: dict[int, Callable[[Tables], Any]] = {}


def query(function: Callable[[Tables], Any]) -> Callable[[Tables], Any]:
    """Keep a query under its number."""
    QUERIES[int(function.__name__[1:])] = function
    return function


def day(text: str) -> pd.Timestamp:
    """A day."""
    return pd.Timestamp(text)


@query
def q1(t: Tables) -> Any:
    """Pricing summary report."""
    items = t["lineitem"]
    items = items[items.l_shipdate <= day("1998-09-02")]
    items = items.assign(disc_price=items.l_extendedprice * (1 - items.l_discount))
    items = items.assign(charge=items.disc_price * (1 + items.l_tax))
    return (
        items.groupby(["l_returnflag", "l_linestatus"], as_index=False)
        .agg(
            sum_qty=("l_quantity", "sum"),
            sum_base_price=("l_extendedprice", "sum"),
            sum_disc_price=("disc_price", "sum"),
            sum_charge=("charge", "sum"),
            avg_qty=("l_quantity", "mean"),
            avg_price=("l_extendedprice", "mean"),
            avg_disc=("l_discount", "mean"),
            count_order=("l_orderkey", "count"),
        )
        .sort_values(["l_returnflag", "l_linestatus"])
    )


@query
def q2(t: Tables) -> Any:
    """Minimum cost supplier."""
    part, region = t["part"], t["region"]
    part = part[(part.p_size == 15) & part.p_type.str.endswith("BRASS")]
    europe = t["nation"].merge(region[region.r_name == "EUROPE"], left_on="n_regionkey", right_on="r_regionkey")
    offers = (
        t["partsupp"]
        .merge(part, left_on="ps_partkey", right_on="p_partkey")
        .merge(t["supplier"], left_on="ps_suppkey", right_on="s_suppkey")
        .merge(europe, left_on="s_nationkey", right_on="n_nationkey")
    )
    cheapest = offers.groupby("p_partkey", as_index=False).agg(least=("ps_supplycost", "min"))
    best = offers.merge(cheapest, on="p_partkey")
    best = best[best.ps_supplycost == best.least]
    columns = ["s_acctbal", "s_name", "n_name", "p_partkey", "p_mfgr", "s_address", "s_phone", "s_comment"]
    order = ["s_acctbal", "n_name", "s_name", "p_partkey"]
    return best[columns].sort_values(order, ascending=[False, True, True, True]).head(100)


@query
def q3(t: Tables) -> Any:
    """Shipping priority."""
    customer, orders, items = t["customer"], t["orders"], t["lineitem"]
    joined = (
        customer[customer.c_mktsegment == "BUILDING"]
        .merge(orders[orders.o_orderdate < day("1995-03-15")], left_on="c_custkey", right_on="o_custkey")
        .merge(items[items.l_shipdate > day("1995-03-15")], left_on="o_orderkey", right_on="l_orderkey")
    )
    joined["revenue"] = joined.l_extendedprice * (1 - joined.l_discount)
    found = joined.groupby(["l_orderkey", "o_orderdate", "o_shippriority"], as_index=False).revenue.sum()
    found = found.sort_values(["revenue", "o_orderdate"], ascending=[False, True]).head(10)
    return found[["l_orderkey", "revenue", "o_orderdate", "o_shippriority"]]


@query
def q4(t: Tables) -> Any:
    """Order priority checking."""
    orders, items = t["orders"], t["lineitem"]
    orders = orders[(orders.o_orderdate >= day("1993-07-01")) & (orders.o_orderdate < day("1993-10-01"))]
    late = items[items.l_commitdate < items.l_receiptdate][["l_orderkey"]].drop_duplicates()
    found = orders.merge(late, left_on="o_orderkey", right_on="l_orderkey")
    counted = found.groupby("o_orderpriority").size().reset_index(name="order_count")
    return counted.sort_values("o_orderpriority")


@query
def q5(t: Tables) -> Any:
    """Local supplier volume."""
    region, orders = t["region"], t["orders"]
    orders = orders[(orders.o_orderdate >= day("1994-01-01")) & (orders.o_orderdate < day("1995-01-01"))]
    joined = (
        region[region.r_name == "ASIA"]
        .merge(t["nation"], left_on="r_regionkey", right_on="n_regionkey")
        .merge(t["customer"], left_on="n_nationkey", right_on="c_nationkey")
        .merge(orders, left_on="c_custkey", right_on="o_custkey")
        .merge(t["lineitem"], left_on="o_orderkey", right_on="l_orderkey")
        .merge(t["supplier"], left_on=["l_suppkey", "n_nationkey"], right_on=["s_suppkey", "s_nationkey"])
    )
    joined["revenue"] = joined.l_extendedprice * (1 - joined.l_discount)
    return joined.groupby("n_name", as_index=False).revenue.sum().sort_values("revenue", ascending=False)


@query
def q6(t: Tables) -> Any:
    """Forecasting revenue change."""
    items = t["lineitem"]
    items = items[
        (items.l_shipdate >= day("1994-01-01"))
        & (items.l_shipdate < day("1995-01-01"))
        & items.l_discount.between(0.05, 0.07)
        & (items.l_quantity < 24)
    ]
    return (items.l_extendedprice * items.l_discount).sum()


@query
def q7(t: Tables) -> Any:
    """Volume shipping."""
    items, nation = t["lineitem"], t["nation"]
    items = items[items.l_shipdate.between(day("1995-01-01"), day("1996-12-31"))]
    nation = nation[nation.n_name.isin(["FRANCE", "GERMANY"])][["n_nationkey", "n_name"]]
    sellers = t["supplier"].merge(nation, left_on="s_nationkey", right_on="n_nationkey")
    sellers = sellers.rename(columns={"n_name": "supp_nation"})[["s_suppkey", "supp_nation"]]
    buyers = t["customer"].merge(nation, left_on="c_nationkey", right_on="n_nationkey")
    buyers = buyers.rename(columns={"n_name": "cust_nation"})[["c_custkey", "cust_nation"]]
    joined = (
        items.merge(sellers, left_on="l_suppkey", right_on="s_suppkey")
        .merge(t["orders"], left_on="l_orderkey", right_on="o_orderkey")
        .merge(buyers, left_on="o_custkey", right_on="c_custkey")
    )
    joined = joined[joined.supp_nation != joined.cust_nation]
    joined = joined.assign(l_year=joined.l_shipdate.dt.year, revenue=joined.l_extendedprice * (1 - joined.l_discount))
    keys = ["supp_nation", "cust_nation", "l_year"]
    return joined.groupby(keys).revenue.sum().reset_index().sort_values(keys)


@query
def q8(t: Tables) -> Any:
    """National market share."""
    part, orders, region = t["part"], t["orders"], t["region"]
    america = t["nation"].merge(region[region.r_name == "AMERICA"], left_on="n_regionkey", right_on="r_regionkey")
    buyers = t["customer"].merge(america[["n_nationkey"]], left_on="c_nationkey", right_on="n_nationkey")
    sellers = t["supplier"].merge(t["nation"], left_on="s_nationkey", right_on="n_nationkey")
    joined = (
        t["lineitem"]
        .merge(part[part.p_type == "ECONOMY ANODIZED STEEL"], left_on="l_partkey", right_on="p_partkey")
        .merge(
            orders[orders.o_orderdate.between(day("1995-01-01"), day("1996-12-31"))],
            left_on="l_orderkey",
            right_on="o_orderkey",
        )
        .merge(buyers[["c_custkey"]], left_on="o_custkey", right_on="c_custkey")
        .merge(sellers[["s_suppkey", "n_name"]], left_on="l_suppkey", right_on="s_suppkey")
    )
    joined["o_year"] = joined.o_orderdate.dt.year
    joined["volume"] = joined.l_extendedprice * (1 - joined.l_discount)
    joined["brazil"] = joined.volume.where(joined.n_name == "BRAZIL", 0.0)
    sums = joined.groupby("o_year")[["brazil", "volume"]].sum()
    return (sums.brazil / sums.volume).rename("mkt_share").reset_index().sort_values("o_year")


@query
def q9(t: Tables) -> Any:
    """Product type profit measure."""
    part = t["part"]
    joined = (
        t["lineitem"]
        .merge(part[part.p_name.str.contains("green", regex=False)], left_on="l_partkey", right_on="p_partkey")
        .merge(t["supplier"], left_on="l_suppkey", right_on="s_suppkey")
        .merge(t["partsupp"], left_on=["l_partkey", "l_suppkey"], right_on=["ps_partkey", "ps_suppkey"])
        .merge(t["orders"], left_on="l_orderkey", right_on="o_orderkey")
        .merge(t["nation"], left_on="s_nationkey", right_on="n_nationkey")
    )
    joined["o_year"] = joined.o_orderdate.dt.year
    joined["amount"] = joined.l_extendedprice * (1 - joined.l_discount) - joined.ps_supplycost * joined.l_quantity
    found = joined.rename(columns={"n_name": "nation"}).groupby(["nation", "o_year"], as_index=False)
    return found.agg(sum_profit=("amount", "sum")).sort_values(["nation", "o_year"], ascending=[True, False])


@query
def q10(t: Tables) -> Any:
    """Returned item reporting."""
    orders, items = t["orders"], t["lineitem"]
    orders = orders[(orders.o_orderdate >= day("1993-10-01")) & (orders.o_orderdate < day("1994-01-01"))]
    joined = (
        t["customer"]
        .merge(orders, left_on="c_custkey", right_on="o_custkey")
        .merge(items[items.l_returnflag == "R"], left_on="o_orderkey", right_on="l_orderkey")
        .merge(t["nation"], left_on="c_nationkey", right_on="n_nationkey")
    )
    joined["revenue"] = joined.l_extendedprice * (1 - joined.l_discount)
    keys = ["c_custkey", "c_name", "c_acctbal", "c_phone", "n_name", "c_address", "c_comment"]
    found = joined.groupby(keys, as_index=False).revenue.sum().sort_values("revenue", ascending=False).head(20)
    return found[["c_custkey", "c_name", "revenue", "c_acctbal", "n_name", "c_address", "c_phone", "c_comment"]]


@query
def q11(t: Tables) -> Any:
    """Important stock identification."""
    nation = t["nation"]
    joined = (
        t["partsupp"]
        .merge(t["supplier"], left_on="ps_suppkey", right_on="s_suppkey")
        .merge(nation[nation.n_name == "GERMANY"], left_on="s_nationkey", right_on="n_nationkey")
    )
    joined["value"] = joined.ps_supplycost * joined.ps_availqty
    values = joined.groupby("ps_partkey", as_index=False)["value"].sum()
    # The specification divides 0.0001 by the scale; DuckDB's text of the query does not.
    return values[values["value"] > joined["value"].sum() * 0.0001].sort_values("value", ascending=False)
