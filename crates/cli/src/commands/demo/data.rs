//! TPC-H tables as CSV files, made once and kept in the user's cache folder.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use tpchgen::csv::{CustomerCsv, LineItemCsv, NationCsv, OrderCsv, RegionCsv, SupplierCsv};
use tpchgen::generators::{
    CustomerGenerator, LineItemGenerator, NationGenerator, OrderGenerator, RegionGenerator, SupplierGenerator,
};

use crate::output;

/// The tables of this scale, by name.
pub(super) fn tpch(scale: f64) -> anyhow::Result<BTreeMap<String, PathBuf>> {
    let folder = cache_folder().join(format!("tpch-{scale}"));
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let mut tables = BTreeMap::new();
    let mut table = |name: &str, header: &str, rows: &mut dyn Iterator<Item = Box<dyn Display>>| {
        let path = folder.join(format!("{name}.csv"));
        tables.insert(name.to_owned(), path.clone());
        if path.exists() {
            return Ok(());
        }
        output::tell(&format!("making {}", path.display()));
        write(&path, header, rows).with_context(|| format!("cannot write {}", path.display()))
    };
    macro_rules! make {
        ($name:literal, $generator:ident, $csv:ident) => {
            table(
                $name,
                $csv::header(),
                &mut $generator::new(scale, 1, 1)
                    .iter()
                    .map(|row| Box::new($csv::new(row)) as Box<dyn Display>),
            )?;
        };
    }
    make!("lineitem", LineItemGenerator, LineItemCsv);
    make!("orders", OrderGenerator, OrderCsv);
    make!("customer", CustomerGenerator, CustomerCsv);
    make!("supplier", SupplierGenerator, SupplierCsv);
    make!("nation", NationGenerator, NationCsv);
    make!("region", RegionGenerator, RegionCsv);
    Ok(tables)
}

/// Written under another name first: an interrupted demo leaves no short table behind.
fn write(path: &Path, header: &str, rows: &mut dyn Iterator<Item = Box<dyn Display>>) -> std::io::Result<()> {
    let draft = path.with_extension("csv.part");
    let mut file = BufWriter::with_capacity(1 << 20, File::create(&draft)?);
    writeln!(file, "{header}")?;
    for row in rows {
        writeln!(file, "{row}")?;
    }
    file.into_inner()?.sync_all()?;
    std::fs::rename(draft, path)
}

fn cache_folder() -> PathBuf {
    let from = |name: &str| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    from("XDG_CACHE_HOME")
        .or_else(|| from("HOME").map(|home| home.join(".cache")))
        .unwrap_or_else(std::env::temp_dir)
        .join("millstream")
}
