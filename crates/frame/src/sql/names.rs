//! Lets a query write `userid` or `UserID` for the column `UserID`.
//!
//! SQL folds unquoted names to lower case, but files have headers in any case. A name that folds to no column
//! gets the case of the one column that it can mean.

use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{
    Expr, Ident, Select, SelectItem, Visit, Visitor, visit_expressions_mut,
};

/// Quotes unquoted names that can only mean a column of another case.
pub(super) fn restore_case(statement: &mut Statement, schemas: impl Iterator<Item = SchemaRef>) {
    let Statement::Statement(statement) = statement else {
        return;
    };
    let mut cased = cased_names(schemas);
    let mut aliases = Aliases::default();
    // Visitors that never break have nothing to return.
    let _ = statement.visit(&mut aliases);
    cased.retain(|folded, _| !aliases.0.contains(folded));
    if cased.is_empty() {
        return;
    }
    let _: ControlFlow<()> = visit_expressions_mut(statement.as_mut(), |expression| {
        match expression {
            Expr::Identifier(name) => restore(name, &cased),
            Expr::CompoundIdentifier(names) => {
                if let Some(column) = names.last_mut() {
                    restore(column, &cased);
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    });
}

fn restore(name: &mut Ident, cased: &HashMap<String, String>) {
    if name.quote_style.is_none()
        && let Some(column) = cased.get(&name.value.to_lowercase())
    {
        name.value.clone_from(column);
        name.quote_style = Some('"');
    }
}

/// Columns by their folded names, where that name is no column itself and means only one.
fn cased_names(schemas: impl Iterator<Item = SchemaRef>) -> HashMap<String, String> {
    let columns: HashSet<String> = schemas
        .flat_map(|schema| {
            schema
                .fields()
                .iter()
                .map(|field| field.name().clone())
                .collect::<Vec<_>>()
        })
        .collect();
    let mut cased: HashMap<String, Option<String>> = HashMap::new();
    for column in &columns {
        let folded = column.to_lowercase();
        if !columns.contains(&folded) {
            cased
                .entry(folded)
                .and_modify(|name| *name = None)
                .or_insert_with(|| Some(column.clone()));
        }
    }
    cased
        .into_iter()
        .filter_map(|(folded, column)| Some((folded, column?)))
        .collect()
}

/// Names that the query itself defines; they are not touched.
#[derive(Default)]
struct Aliases(HashSet<String>);

impl Visitor for Aliases {
    type Break = ();

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
        for item in &select.projection {
            if let SelectItem::ExprWithAlias { alias, .. } = item {
                self.0.insert(alias.value.to_lowercase());
            }
        }
        ControlFlow::Continue(())
    }
}
