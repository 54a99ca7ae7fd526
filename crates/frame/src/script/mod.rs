//! Several statements, and those that define names: what can be answered without running a query is answered here.
//!
//! Statements run in order, each on what those before it left. So a text is taken up to its first query; whoever asked
//! makes the changes, runs the query, and asks again from the next statement on. This module keeps nothing.

mod changes;
mod external;
mod kept;
mod show;

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, RecordBatch, StringArray};
use datafusion::prelude::SessionContext;
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{
    CreateView, Ident, ObjectName, ObjectNamePart, ObjectType, Statement as SqlStatement,
};

use crate::catalog::Catalog;
use crate::error::{FrameError, Position, from_engine};
use crate::render::{ResultFormat, render};
use crate::request::{PlannerOptions, SqlRequest, WriteTarget};
use crate::session;
use crate::sql::{nearest, of_ast, parse, plan_view, unsupported};
pub use changes::{CatalogChange, NextStatement, ScriptStep, SessionCatalog, Taken};

/// Answers the statements of a request from its `statement` on, up to the first that is a query.
///
/// # Errors
/// All that is wrong with these statements, and the syntax of the others.
pub async fn run_statements(
    request: &SqlRequest,
    options: &PlannerOptions,
) -> Result<ScriptStep, FrameError> {
    let statements = parse(&request.query)?;
    let count = statements.len();
    if request.into.is_some() {
        return Err(invalid(
            "`into` goes with one query: write COPY … TO in a text of several".to_owned(),
            None,
        ));
    }
    let mut script = Script {
        request,
        options,
        catalog: request.catalog.clone(),
        changes: Vec::new(),
        context: session::planning(options, 1),
    };
    let mut answer = None;
    let mut next = None;
    let first = request.statement.unwrap_or_default();
    for (index, placed) in (0..).zip(statements).skip(first as usize) {
        let done = Box::pin(script.take(placed.statement)).await;
        let done = done.map_err(|error| match count {
            1 => error,
            _ => error.in_statement(index as usize + 1, placed.position),
        })?;
        match done {
            Done::Answered(rows) => answer = Some(rows),
            Done::Query { into, then } => {
                next = Some(NextStatement {
                    statement: index,
                    into: into.map(|into| *into),
                    then,
                });
                break;
            }
        }
    }
    let answer = match answer.filter(|_| next.is_none()) {
        Some(rows) => {
            let format = request.options.format.unwrap_or(ResultFormat::Json);
            Some(serde_bytes::ByteBuf::from(
                render(&rows.schema(), &[rows], format)?.to_vec(),
            ))
        }
        None => None,
    };
    Ok(ScriptStep {
        changes: script.changes,
        answer,
        next,
        count: u32::try_from(count).unwrap_or(u32::MAX),
    })
}

/// What came of one statement.
enum Done {
    /// Its rows.
    Answered(RecordBatch),
    /// It has to be run.
    Query {
        into: Option<Box<WriteTarget>>,
        then: Vec<CatalogChange>,
    },
}

/// The session as the statements so far leave it.
struct Script<'a> {
    request: &'a SqlRequest,
    options: &'a PlannerOptions,
    catalog: SessionCatalog,
    changes: Vec<CatalogChange>,
    context: SessionContext,
}

/// A name that a statement gives or asks for.
struct Name {
    text: String,
    position: Option<Position>,
}

impl Script<'_> {
    async fn take(&mut self, statement: Statement) -> Result<Done, FrameError> {
        match statement {
            Statement::CreateExternalTable(table) => self.external(table).await,
            Statement::Statement(inner) => match *inner {
                SqlStatement::CreateView(view) => self.create_view(view).await,
                SqlStatement::CreateTable(table) => self.create_table(table),
                SqlStatement::Insert(insert) => self.insert(&insert).await,
                drop @ SqlStatement::Drop { .. } => self.drop_names(drop),
                SqlStatement::ShowTables { show_options, .. } => self.show_tables(&show_options),
                SqlStatement::ShowColumns { show_options, .. } => self.show_columns(&show_options).await,
                SqlStatement::ExplainTable { table_name, .. } => self.describe(&table_name).await,
                // The planner says what it does not know.
                _ => Ok(QUERY),
            },
            _ => Ok(QUERY),
        }
    }

    /// The tables and views that a statement sees.
    fn names(&self) -> Catalog<'_> {
        Catalog::new(&self.request.tables, &self.catalog, self.options)
    }

    async fn create_view(&mut self, view: CreateView) -> Result<Done, FrameError> {
        let name = Name::of(&view.name)?;
        let statement = of_ast(SqlStatement::CreateView(view.clone()));
        if view.materialized || view.or_alter || view.to.is_some() || !view.cluster_by.is_empty() {
            return Err(unsupported(&statement));
        }
        if !view.columns.is_empty() {
            let message = "name the columns in the view's query, by AS".to_owned();
            return Err(invalid(message, name.position));
        }
        let taken = Taken::of(view.or_replace, view.if_not_exists);
        if let Some(kept) = self.check_free(&name, "view", taken)? {
            return Ok(kept);
        }
        // Planned now, so that its mistakes are told to who makes it.
        let catalog = self.names().for_view(&name.text)?;
        let query = of_ast(SqlStatement::Query(view.query.clone()));
        plan_view(query, &catalog, &self.context).await?;
        self.change(CatalogChange::View {
            name: name.text.clone(),
            query: view.query.to_string(),
            taken,
        });
        answered(format!("view '{}' is made", name.text))
    }

    fn drop_names(&mut self, statement: SqlStatement) -> Result<Done, FrameError> {
        let SqlStatement::Drop {
            object_type,
            if_exists,
            names,
            purge: false,
            ..
        } = &statement
        else {
            return Err(invalid(
                "DROP … PURGE would remove files: DROP forgets only the name".to_owned(),
                None,
            ));
        };
        let kind = match object_type {
            ObjectType::Table => "table",
            ObjectType::View => "view",
            _ => return Err(unsupported(&of_ast(statement.clone()))),
        };
        let mut said = Vec::new();
        for name in names {
            said.push(self.drop_name(&Name::of(name)?, kind, *if_exists)?);
        }
        answered(said.join(", "))
    }

    fn drop_name(&mut self, name: &Name, kind: &'static str, if_exists: bool) -> Result<String, FrameError> {
        match self.catalog.kind_of(&name.text) {
            Some((known, found)) if found == kind => {
                let known = known.to_owned();
                let said = format!("{kind} '{known}' is dropped");
                self.change(CatalogChange::Drop { name: known });
                Ok(said)
            }
            Some((known, found)) => {
                let message = format!(
                    "'{known}' is a {found}: write DROP {} {known}",
                    found.to_uppercase()
                );
                Err(invalid(message, name.position))
            }
            None if if_exists => Ok(format!("there is no {kind} '{}'", name.text)),
            None => Err(self.unknown(name)),
        }
    }

    fn unknown(&self, name: &Name) -> FrameError {
        FrameError::UnknownTable {
            name: name.text.clone(),
            position: name.position,
            suggestion: nearest(&name.text, self.catalog.names()),
        }
    }

    /// Refuses a name that is taken, unless the statement says what to do then; answers at once if that is nothing.
    fn check_free(&self, name: &Name, kind: &'static str, taken: Taken) -> Result<Option<Done>, FrameError> {
        let Some((known, found)) = self.catalog.kind_of(&name.text) else {
            return Ok(None);
        };
        match taken {
            Taken::Replace if found == kind => Ok(None),
            Taken::Keep => answered(format!("there is a {found} '{known}' already")).map(Some),
            Taken::Replace | Taken::Refuse => Err(FrameError::NameTaken {
                name: known.to_owned(),
                kind: found,
                position: name.position,
                instead: match (kind, found) {
                    ("view", "view") => "CREATE OR REPLACE VIEW",
                    ("table", "table") => "CREATE OR REPLACE TABLE or IF NOT EXISTS",
                    _ => "another name",
                },
            }),
        }
    }

    fn change(&mut self, change: CatalogChange) {
        self.catalog.apply(&change);
        self.changes.push(change);
    }
}

/// A statement that is planned as it is.
const QUERY: Done = Done::Query {
    into: None,
    then: Vec::new(),
};

impl Taken {
    const fn of(or_replace: bool, if_not_exists: bool) -> Self {
        match (or_replace, if_not_exists) {
            (true, _) => Self::Replace,
            (false, true) => Self::Keep,
            (false, false) => Self::Refuse,
        }
    }
}

impl Name {
    /// A name of one part; in lower case unless it is quoted, as SQL has it.
    fn of(name: &ObjectName) -> Result<Self, FrameError> {
        let [ObjectNamePart::Identifier(ident)] = name.0.as_slice() else {
            let message = format!("'{name}' has several parts, and names of tables and views have one");
            return Err(invalid(message, None));
        };
        if ident.value.is_empty() {
            return Err(invalid("a name is empty".to_owned(), position_of(ident)));
        }
        Ok(Self {
            text: match ident.quote_style {
                Some(_) => ident.value.clone(),
                None => ident.value.to_lowercase(),
            },
            position: position_of(ident),
        })
    }
}

fn position_of(ident: &Ident) -> Option<Position> {
    let start = ident.span.start;
    (start.line > 0).then_some(Position {
        line: start.line,
        column: start.column,
    })
}

fn invalid(message: String, position: Option<Position>) -> FrameError {
    FrameError::InvalidQuery { message, position }
}

/// What a statement says that gives no rows.
fn answered(said: String) -> Result<Done, FrameError> {
    let column: ArrayRef = Arc::new(StringArray::from_iter_values([said]));
    rows([("result", column)])
}

fn rows<const COLUMNS: usize>(columns: [(&str, ArrayRef); COLUMNS]) -> Result<Done, FrameError> {
    let batch = RecordBatch::try_from_iter(columns);
    batch
        .map(Done::Answered)
        .map_err(|error| from_engine(&error.into()))
}
