//! The tables and views of a session, and what statements change in them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{TableSource, WriteTarget};

/// Tables and views by their names, which they share.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SqlCatalog {
    /// Files, by the names of tables.
    pub tables: BTreeMap<String, TableSource>,
    /// Queries, by the names of views.
    pub views: BTreeMap<String, String>,
}

/// One change of a catalog, as a worker that checked a statement asks for it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CatalogChange {
    /// A table is there.
    Table {
        /// Its name.
        name: String,
        /// Its files.
        table: TableSource,
        /// What happens if the name is taken meanwhile.
        taken: Taken,
    },
    /// A view is there.
    View {
        /// Its name.
        name: String,
        /// Its text.
        query: String,
        /// What happens if the name is taken meanwhile.
        taken: Taken,
    },
    /// A table or view is gone.
    Drop {
        /// Its name.
        name: String,
    },
}

/// What a statement does if the name that it gives is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Taken {
    /// It fails.
    Refuse,
    /// It does nothing: `IF NOT EXISTS`.
    Keep,
    /// It takes the name over: `OR REPLACE`.
    Replace,
}

/// What came of the statements of a text up to the first that is a query.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SqlStep {
    /// What they change, in order.
    pub changes: Vec<CatalogChange>,
    /// The rows of the last one, in the format that was asked for, if no query follows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<serde_bytes::ByteBuf>,
    /// The query that comes next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<NextStatement>,
    /// How many statements the text has.
    pub count: u32,
}

/// A statement that has to be planned and run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct NextStatement {
    /// Which one, from 0.
    pub statement: u32,
    /// Where its rows go, if it makes a table or adds to one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub into: Option<WriteTarget>,
    /// What it changes when it is done.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub then: Vec<CatalogChange>,
}

/// A name that somebody else took after the statement was checked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is a table or view `{0}` already")]
pub struct NameTaken(pub String);

impl SqlCatalog {
    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.tables.is_empty() && self.views.is_empty()
    }

    /// Makes a change, on whatever is there now.
    ///
    /// # Errors
    /// A name that is taken, if the change minds.
    pub fn apply(&mut self, change: &CatalogChange) -> Result<(), NameTaken> {
        match change {
            CatalogChange::Table { name, table, taken } => {
                if self.make_room(name, *taken)? {
                    self.tables.insert(name.clone(), table.clone());
                }
            }
            CatalogChange::View { name, query, taken } => {
                if self.make_room(name, *taken)? {
                    self.views.insert(name.clone(), query.clone());
                }
            }
            CatalogChange::Drop { name } => self.remove(name),
        }
        Ok(())
    }

    /// Whether the name is to be given now.
    fn make_room(&mut self, name: &str, taken: Taken) -> Result<bool, NameTaken> {
        let known = |known: &String| known.eq_ignore_ascii_case(name);
        let is_taken = self.tables.keys().any(known) || self.views.keys().any(known);
        match taken {
            Taken::Refuse if is_taken => Err(NameTaken(name.to_owned())),
            Taken::Keep if is_taken => Ok(false),
            Taken::Replace => {
                self.remove(name);
                Ok(true)
            }
            Taken::Refuse | Taken::Keep => Ok(true),
        }
    }

    fn remove(&mut self, name: &str) {
        self.tables.retain(|known, _| !known.eq_ignore_ascii_case(name));
        self.views.retain(|known, _| !known.eq_ignore_ascii_case(name));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(name: &str, query: &str, taken: Taken) -> CatalogChange {
        CatalogChange::View {
            name: name.to_owned(),
            query: query.to_owned(),
            taken,
        }
    }

    #[test]
    fn a_change_does_what_it_says_if_its_name_is_taken() {
        let mut catalog = SqlCatalog::default();
        assert_eq!(catalog.apply(&view("v", "SELECT 1", Taken::Refuse)), Ok(()));
        let refused = catalog.apply(&view("V", "SELECT 2", Taken::Refuse));
        assert_eq!(refused, Err(NameTaken("V".to_owned())));
        assert_eq!(catalog.apply(&view("v", "SELECT 3", Taken::Keep)), Ok(()));
        assert_eq!(catalog.views["v"], "SELECT 1");
        let table = CatalogChange::Table {
            name: "v".to_owned(),
            table: TableSource::Path("a.csv".to_owned()),
            taken: Taken::Replace,
        };
        assert_eq!(catalog.apply(&table), Ok(()));
        assert!(catalog.views.is_empty() && catalog.tables.contains_key("v"));
        let drop = CatalogChange::Drop { name: "v".to_owned() };
        assert_eq!((catalog.apply(&drop), catalog.apply(&drop)), (Ok(()), Ok(())));
        assert!(catalog.is_empty());
    }
}
