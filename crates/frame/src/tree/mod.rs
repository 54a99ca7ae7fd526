//! Expression trees: tables described by data instead of SQL, as data frames of client libraries make them.
//!
//! The form is in [`format`], and described for clients in `docs/reference/expression-trees.md`. A tree becomes a logical
//! plan of the engine, and from there on is what a statement is.

mod aggregate;
mod expr;
mod format;
mod node;
mod problem;
mod python;
mod scalar;
mod types;
mod window;

use std::collections::BTreeMap;

use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::SessionContext;
use rmpv::Value;

use crate::catalog::{Catalog, OpenTable};
use crate::cut::Splitter;
use crate::error::FrameError;
use crate::sql::{OpenQuery, Rows, nearest, open_table};
use format::{Node, Tree};
use node::Planner;
use problem::{invalid, located};

/// A tree whose tables are open.
pub(crate) struct OpenTree {
    tree: Tree,
    tables: BTreeMap<String, OpenTable>,
    /// Statements, by the index of their node.
    statements: BTreeMap<usize, OpenQuery>,
}

impl OpenTree {
    /// Reads a tree and opens the tables that it names.
    pub(crate) async fn open(
        value: &Value,
        catalog: &Catalog<'_>,
        context: &SessionContext,
    ) -> Result<Self, FrameError> {
        let tree = Tree::read(value)?;
        let (mut tables, mut statements) = (BTreeMap::new(), BTreeMap::new());
        for (index, node) in tree.nodes.iter().enumerate() {
            match node {
                Node::Table(table) => {
                    let open = Box::pin(open_table(&table.name, catalog, context)).await?;
                    let open = open.ok_or_else(|| unknown_table(&table.name, catalog))?;
                    tables.insert(table.name.clone(), open);
                }
                Node::Sql(sql) => {
                    let inputs: Vec<&str> = sql.inputs.keys().map(String::as_str).collect();
                    let query = Box::pin(OpenQuery::open(&sql.query, &inputs, catalog, context)).await?;
                    if query.explain || query.rows != Rows::Given {
                        let message = "a statement in a tree gives rows: ask for the stages by the option `explain`, \
                                       and to write them by the request's `into`";
                        return Err(located(invalid(message.to_owned()), || place(index, node)));
                    }
                    statements.insert(index, query);
                }
                _ => {}
            }
        }
        Ok(Self {
            tree,
            tables,
            statements,
        })
    }

    /// Whether Python functions are called in it.
    pub(crate) fn calls(&self) -> bool {
        self.tree.nodes.iter().any(|node| matches!(node, Node::Python(_)))
    }

    /// Plans the tree in `context`; what its functions are given is cut into stages.
    pub(crate) async fn plan(
        self,
        context: &SessionContext,
        splitter: &mut Splitter,
    ) -> Result<LogicalPlan, FrameError> {
        let mut planner = Planner::new(context, splitter, self.tables, self.statements);
        for (index, node) in self.tree.nodes.iter().enumerate() {
            let planned = planner.add(index, node).await;
            planned.map_err(|error| located(error, || place(index, node)))?;
        }
        planner.finish()
    }
}

fn place(index: usize, node: &Node) -> String {
    format!("node {index} ({})", node.op())
}

fn unknown_table(name: &str, catalog: &Catalog<'_>) -> FrameError {
    FrameError::UnknownTable {
        name: name.to_owned(),
        position: None,
        suggestion: nearest(name, catalog.names()),
    }
}
