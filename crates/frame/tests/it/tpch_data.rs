//! TPC-H tables at scale factor 0.01 as CSV and Parquet files.

use std::fmt::Display;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::file::properties::WriterProperties;
use millstream_frame::PlannerOptions;
use tempfile::TempDir;
use tpchgen::csv::{
    CustomerCsv, LineItemCsv, NationCsv, OrderCsv, PartCsv, PartSuppCsv, RegionCsv, SupplierCsv,
};
use tpchgen::generators::{
    CustomerGenerator, LineItemGenerator, NationGenerator, OrderGenerator, PartGenerator, PartSuppGenerator,
    RegionGenerator, SupplierGenerator,
};

use crate::cluster::{request, run};

const SCALE: f64 = 0.01;

/// A folder with one file per table.
pub(crate) struct Tables {
    folder: TempDir,
    extension: &'static str,
}

impl Tables {
    pub(crate) const NAMES: [&'static str; 8] = [
        "customer", "lineitem", "nation", "orders", "part", "partsupp", "region", "supplier",
    ];

    pub(crate) fn path(&self, table: &str) -> PathBuf {
        self.folder.path().join(format!("{table}.{}", self.extension))
    }
}

pub(crate) fn csv() -> Tables {
    let tables = Tables {
        folder: tempfile::tempdir().unwrap(),
        extension: "csv",
    };
    let path = |table| tables.path(table);
    write(
        &path("customer"),
        CustomerCsv::header(),
        CustomerGenerator::new(SCALE, 1, 1).iter().map(CustomerCsv::new),
    );
    write(
        &path("lineitem"),
        LineItemCsv::header(),
        LineItemGenerator::new(SCALE, 1, 1).iter().map(LineItemCsv::new),
    );
    write(
        &path("nation"),
        NationCsv::header(),
        NationGenerator::new(SCALE, 1, 1).iter().map(NationCsv::new),
    );
    write(
        &path("orders"),
        OrderCsv::header(),
        OrderGenerator::new(SCALE, 1, 1).iter().map(OrderCsv::new),
    );
    write(
        &path("part"),
        PartCsv::header(),
        PartGenerator::new(SCALE, 1, 1).iter().map(PartCsv::new),
    );
    write(
        &path("partsupp"),
        PartSuppCsv::header(),
        PartSuppGenerator::new(SCALE, 1, 1).iter().map(PartSuppCsv::new),
    );
    write(
        &path("region"),
        RegionCsv::header(),
        RegionGenerator::new(SCALE, 1, 1).iter().map(RegionCsv::new),
    );
    write(
        &path("supplier"),
        SupplierCsv::header(),
        SupplierGenerator::new(SCALE, 1, 1).iter().map(SupplierCsv::new),
    );
    tables
}

fn write<R: Display>(path: &Path, header: &str, rows: impl Iterator<Item = R>) {
    let mut file = BufWriter::new(File::create(path).unwrap());
    writeln!(file, "{header}").unwrap();
    for row in rows {
        writeln!(file, "{row}").unwrap();
    }
    file.into_inner().unwrap();
}

/// The tables with the types of the benchmark, in files of many row groups.
pub(crate) async fn parquet() -> Tables {
    let source = csv();
    let tables = Tables {
        folder: tempfile::tempdir().unwrap(),
        extension: "parquet",
    };
    for table in Tables::NAMES {
        let query = format!("SELECT {} FROM t", columns(table));
        let request = request(&query, &[("t", &source.path(table))]);
        let batches = run(&request, &PlannerOptions::default()).await.unwrap();
        let properties = WriterProperties::builder()
            .set_max_row_group_row_count(Some(2000))
            .build();
        let file = File::create(tables.path(table)).unwrap();
        let mut writer = ArrowWriter::try_new(file, batches[0].schema(), Some(properties)).unwrap();
        for batch in &batches {
            writer.write(batch).unwrap();
        }
        writer.close().unwrap();
    }
    tables
}

/// All columns, money and rates as decimals: CSV gives numbers with a point as floats.
fn columns(table: &str) -> String {
    let decimal = |name: &&str| format!("cast({name} AS decimal(15, 2)) AS {name}");
    let (plain, decimals): (&[&str], &[&str]) = match table {
        "customer" => (
            &[
                "c_custkey",
                "c_name",
                "c_address",
                "c_nationkey",
                "c_phone",
                "c_mktsegment",
                "c_comment",
            ],
            &["c_acctbal"],
        ),
        "lineitem" => (
            &[
                "l_orderkey",
                "l_partkey",
                "l_suppkey",
                "l_linenumber",
                "l_returnflag",
                "l_linestatus",
                "l_shipdate",
                "l_commitdate",
                "l_receiptdate",
                "l_shipinstruct",
                "l_shipmode",
                "l_comment",
            ],
            &["l_quantity", "l_extendedprice", "l_discount", "l_tax"],
        ),
        "orders" => (
            &[
                "o_orderkey",
                "o_custkey",
                "o_orderstatus",
                "o_orderdate",
                "o_orderpriority",
                "o_clerk",
                "o_shippriority",
                "o_comment",
            ],
            &["o_totalprice"],
        ),
        "part" => (
            &[
                "p_partkey",
                "p_name",
                "p_mfgr",
                "p_brand",
                "p_type",
                "p_size",
                "p_container",
                "p_comment",
            ],
            &["p_retailprice"],
        ),
        "partsupp" => (
            &["ps_partkey", "ps_suppkey", "ps_availqty", "ps_comment"],
            &["ps_supplycost"],
        ),
        "supplier" => (
            &[
                "s_suppkey",
                "s_name",
                "s_address",
                "s_nationkey",
                "s_phone",
                "s_comment",
            ],
            &["s_acctbal"],
        ),
        _ => (&["*"], &[]),
    };
    plain
        .iter()
        .map(|name| (*name).to_owned())
        .chain(decimals.iter().map(decimal))
        .collect::<Vec<_>>()
        .join(", ")
}
