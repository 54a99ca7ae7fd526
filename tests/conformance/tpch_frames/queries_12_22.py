"""The other half of the queries; see `queries_1_11`."""

from __future__ import annotations

from typing import Any

from queries_1_11 import Tables, day, query


@query
def q12(t: Tables) -> Any:
    """Shipping modes and order priority."""
    items = t["lineitem"]
    items = items[
        items.l_shipmode.isin(["MAIL", "SHIP"])
        & (items.l_commitdate < items.l_receiptdate)
        & (items.l_shipdate < items.l_commitdate)
        & (items.l_receiptdate >= day("1994-01-01"))
        & (items.l_receiptdate < day("1995-01-01"))
    ]
    joined = items.merge(t["orders"], left_on="l_orderkey", right_on="o_orderkey")
    is_high = joined.o_orderpriority.isin(["1-URGENT", "2-HIGH"])
    joined = joined.assign(high_line_count=is_high.astype(int), low_line_count=(~is_high).astype(int))
    sums = joined.groupby("l_shipmode")[["high_line_count", "low_line_count"]].sum()
    return sums.reset_index().sort_values("l_shipmode")


@query
def q13(t: Tables) -> Any:
    """Customer distribution."""
    orders = t["orders"]
    orders = orders[~orders.o_comment.str.contains("special.*requests")]
    joined = t["customer"].merge(orders, left_on="c_custkey", right_on="o_custkey", how="left")
    counts = joined.groupby("c_custkey").o_orderkey.count().reset_index(name="c_count")
    found = counts.groupby("c_count").size().reset_index(name="custdist")
    return found.sort_values(["custdist", "c_count"], ascending=[False, False])


@query
def q14(t: Tables) -> Any:
    """Promotion effect."""
    items = t["lineitem"]
    items = items[(items.l_shipdate >= day("1995-09-01")) & (items.l_shipdate < day("1995-10-01"))]
    joined = items.merge(t["part"], left_on="l_partkey", right_on="p_partkey")
    revenue = joined.l_extendedprice * (1 - joined.l_discount)
    return 100.0 * revenue.where(joined.p_type.str.startswith("PROMO"), 0.0).sum() / revenue.sum()


@query
def q15(t: Tables) -> Any:
    """Top supplier."""
    items = t["lineitem"]
    items = items[(items.l_shipdate >= day("1996-01-01")) & (items.l_shipdate < day("1996-04-01"))]
    items = items.assign(total_revenue=items.l_extendedprice * (1 - items.l_discount))
    revenue = items.groupby("l_suppkey", as_index=False).total_revenue.sum()
    revenue = revenue.assign(total_revenue=revenue.total_revenue.round(4))
    best = revenue[revenue.total_revenue == revenue.total_revenue.max()]
    found = t["supplier"].merge(best, left_on="s_suppkey", right_on="l_suppkey")
    return found[["s_suppkey", "s_name", "s_address", "s_phone", "total_revenue"]].sort_values("s_suppkey")


@query
def q16(t: Tables) -> Any:
    """Parts and supplier relationship."""
    part, supplier = t["part"], t["supplier"]
    part = part[
        (part.p_brand != "Brand#45")
        & ~part.p_type.str.startswith("MEDIUM POLISHED")
        & part.p_size.isin([49, 14, 23, 45, 19, 3, 36, 9])
    ]
    bad = supplier[supplier.s_comment.str.contains("Customer.*Complaints")]
    joined = t["partsupp"].merge(part, left_on="ps_partkey", right_on="p_partkey")
    joined = joined.merge(bad[["s_suppkey"]], left_on="ps_suppkey", right_on="s_suppkey", how="left")
    joined = joined[joined.s_suppkey.isna()]
    keys = ["p_brand", "p_type", "p_size"]
    counts = joined.groupby(keys).ps_suppkey.nunique().reset_index(name="supplier_cnt")
    return counts.sort_values(["supplier_cnt", *keys], ascending=[False, True, True, True])


@query
def q17(t: Tables) -> Any:
    """Small-quantity-order revenue."""
    part, items = t["part"], t["lineitem"]
    part = part[(part.p_brand == "Brand#23") & (part.p_container == "MED BOX")]
    joined = items.merge(part[["p_partkey"]], left_on="l_partkey", right_on="p_partkey")
    mean = joined.groupby("l_partkey").l_quantity.transform("mean")
    return joined[joined.l_quantity < 0.2 * mean].l_extendedprice.sum() / 7.0


@query
def q18(t: Tables) -> Any:
    """Large volume customer."""
    items = t["lineitem"]
    sums = items.groupby("l_orderkey", as_index=False).l_quantity.sum().rename(columns={"l_quantity": "sum_qty"})
    joined = (
        sums[sums.sum_qty > 300]
        .merge(t["orders"], left_on="l_orderkey", right_on="o_orderkey")
        .merge(t["customer"], left_on="o_custkey", right_on="c_custkey")
    )
    found = joined[["c_name", "c_custkey", "o_orderkey", "o_orderdate", "o_totalprice", "sum_qty"]]
    found = found.rename(columns={"sum_qty": "sum(l_quantity)"})
    return found.sort_values(["o_totalprice", "o_orderdate"], ascending=[False, True]).head(100)


@query
def q19(t: Tables) -> Any:
    """Discounted revenue."""
    items = t["lineitem"]
    items = items[items.l_shipmode.isin(["AIR", "AIR REG"]) & (items.l_shipinstruct == "DELIVER IN PERSON")]
    joined = items.merge(t["part"], left_on="l_partkey", right_on="p_partkey")

    def of_size(brand: str, containers: list[str], least: int, largest: int) -> Any:
        return (
            (joined.p_brand == brand)
            & joined.p_container.isin(containers)
            & joined.l_quantity.between(least, least + 10)
            & joined.p_size.between(1, largest)
        )

    small = of_size("Brand#12", ["SM CASE", "SM BOX", "SM PACK", "SM PKG"], 1, 5)
    medium = of_size("Brand#23", ["MED BAG", "MED BOX", "MED PKG", "MED PACK"], 10, 10)
    large = of_size("Brand#34", ["LG CASE", "LG BOX", "LG PACK", "LG PKG"], 20, 15)
    found = joined[small | medium | large]
    return (found.l_extendedprice * (1 - found.l_discount)).sum()


@query
def q20(t: Tables) -> Any:
    """Potential part promotion."""
    part, items, nation = t["part"], t["lineitem"], t["nation"]
    items = items[(items.l_shipdate >= day("1994-01-01")) & (items.l_shipdate < day("1995-01-01"))]
    shipped = items.groupby(["l_partkey", "l_suppkey"], as_index=False).l_quantity.sum()
    forest = part[part.p_name.str.startswith("forest")][["p_partkey"]]
    stock = (
        t["partsupp"]
        .merge(forest, left_on="ps_partkey", right_on="p_partkey")
        .merge(shipped, left_on=["ps_partkey", "ps_suppkey"], right_on=["l_partkey", "l_suppkey"])
    )
    stock = stock[stock.ps_availqty > 0.5 * stock.l_quantity][["ps_suppkey"]].drop_duplicates()
    found = (
        t["supplier"]
        .merge(nation[nation.n_name == "CANADA"], left_on="s_nationkey", right_on="n_nationkey")
        .merge(stock, left_on="s_suppkey", right_on="ps_suppkey")
    )
    return found[["s_name", "s_address"]].sort_values("s_name")


@query
def q21(t: Tables) -> Any:
    """Suppliers who kept orders waiting."""
    items, orders, nation = t["lineitem"], t["orders"], t["nation"]
    late = items[items.l_receiptdate > items.l_commitdate]
    sellers = items.groupby("l_orderkey").l_suppkey.nunique().reset_index(name="sellers")
    late_sellers = late.groupby("l_orderkey").l_suppkey.nunique().reset_index(name="late_sellers")
    joined = (
        late.merge(sellers[sellers.sellers > 1], on="l_orderkey")
        .merge(late_sellers[late_sellers.late_sellers == 1], on="l_orderkey")
        .merge(orders[orders.o_orderstatus == "F"], left_on="l_orderkey", right_on="o_orderkey")
        .merge(t["supplier"], left_on="l_suppkey", right_on="s_suppkey")
        .merge(nation[nation.n_name == "SAUDI ARABIA"], left_on="s_nationkey", right_on="n_nationkey")
    )
    counts = joined.groupby("s_name").size().reset_index(name="numwait")
    return counts.sort_values(["numwait", "s_name"], ascending=[False, True]).head(100)


@query
def q22(t: Tables) -> Any:
    """Global sales opportunity."""
    customer, orders = t["customer"], t["orders"]
    customer = customer.assign(cntrycode=customer.c_phone.str[:2])
    customer = customer[customer.cntrycode.isin(["13", "31", "23", "29", "30", "18", "17"])]
    rich = customer[customer.c_acctbal > customer[customer.c_acctbal > 0].c_acctbal.mean()]
    ordered = orders[["o_custkey"]].drop_duplicates()
    joined = rich.merge(ordered, left_on="c_custkey", right_on="o_custkey", how="left")
    idle = joined[joined.o_custkey.isna()]
    found = idle.groupby("cntrycode").agg(numcust=("c_acctbal", "size"), totacctbal=("c_acctbal", "sum"))
    return found.reset_index().sort_values("cntrycode")
