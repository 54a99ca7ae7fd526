//! What the demo asks.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// Questions to the made tables, after queries 1, 3 and 5 of TPC-H.
pub(super) fn tpch() -> Vec<(String, String)> {
    [
        (
            "how many lines, and what they are worth, by state",
            "SELECT l_returnflag, l_linestatus, count(*) AS lines, round(sum(l_extendedprice), 2) AS worth\n\
             FROM lineitem WHERE l_shipdate <= DATE '1998-09-02'\n\
             GROUP BY l_returnflag, l_linestatus ORDER BY l_returnflag, l_linestatus",
        ),
        (
            "the five largest orders that have not been shipped",
            "SELECT o_orderkey, round(sum(l_extendedprice * (1 - l_discount)), 2) AS revenue, o_orderdate\n\
             FROM customer JOIN orders ON c_custkey = o_custkey JOIN lineitem ON l_orderkey = o_orderkey\n\
             WHERE c_mktsegment = 'BUILDING' AND o_orderdate < DATE '1995-03-15' AND l_shipdate > DATE '1995-03-15'\n\
             GROUP BY o_orderkey, o_orderdate ORDER BY revenue DESC, o_orderdate LIMIT 5",
        ),
        (
            "what nations of Asia sold to each other in 1994",
            "SELECT n_name, round(sum(l_extendedprice * (1 - l_discount)), 2) AS revenue\n\
             FROM customer JOIN orders ON c_custkey = o_custkey JOIN lineitem ON l_orderkey = o_orderkey\n\
             JOIN supplier ON l_suppkey = s_suppkey AND c_nationkey = s_nationkey\n\
             JOIN nation ON s_nationkey = n_nationkey JOIN region ON n_regionkey = r_regionkey\n\
             WHERE r_name = 'ASIA' AND o_orderdate >= DATE '1994-01-01' AND o_orderdate < DATE '1995-01-01'\n\
             GROUP BY n_name ORDER BY revenue DESC",
        ),
    ]
    .map(|(title, query)| (title.to_owned(), query.to_owned()))
    .into()
}

/// Questions that any table can answer.
pub(super) fn of(tables: &BTreeMap<String, PathBuf>) -> Vec<(String, String)> {
    let mut questions = Vec::new();
    for name in tables.keys() {
        questions.push((
            format!("how many rows {name} has"),
            format!("SELECT count(*) AS rows FROM \"{name}\""),
        ));
        questions.push((
            format!("how {name} begins"),
            format!("SELECT * FROM \"{name}\" LIMIT 5"),
        ));
    }
    questions
}
