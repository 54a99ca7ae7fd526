//! The names that a session has, and how statements change them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::catalog::find;
use crate::request::{TableSource, WriteTarget};

/// Tables and views by their names, which they share.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SessionCatalog {
    /// Files, by the names of tables.
    pub tables: BTreeMap<String, TableSource>,
    /// Queries, by the names of views.
    pub views: BTreeMap<String, String>,
}

/// One change of a session's names.
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

/// What came of the statements up to the first that is a query.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ScriptStep {
    /// What they change, in order.
    pub changes: Vec<CatalogChange>,
    /// The rows of the last one, in the format that was asked for, if no query follows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<ByteBuf>,
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

impl SessionCatalog {
    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.tables.is_empty() && self.views.is_empty()
    }

    /// All names.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.tables.keys().chain(self.views.keys()).map(String::as_str)
    }

    /// The name as it is spelled here, and whether it is a `table` or a `view`.
    pub(crate) fn kind_of(&self, name: &str) -> Option<(&str, &'static str)> {
        let table = find(&self.tables, name).map(|(name, _)| (name.as_str(), "table"));
        table.or_else(|| find(&self.views, name).map(|(name, _)| (name.as_str(), "view")))
    }

    /// Makes a change that was checked against this catalog.
    pub(super) fn apply(&mut self, change: &CatalogChange) {
        match change {
            CatalogChange::Table { name, table, .. } => {
                self.remove(name);
                self.tables.insert(name.clone(), table.clone());
            }
            CatalogChange::View { name, query, .. } => {
                self.remove(name);
                self.views.insert(name.clone(), query.clone());
            }
            CatalogChange::Drop { name } => self.remove(name),
        }
    }

    fn remove(&mut self, name: &str) {
        let Some(known) = self.kind_of(name).map(|(known, _)| known.to_owned()) else {
            return;
        };
        self.tables.remove(&known);
        self.views.remove(&known);
    }
}
