//! From SQL text to a logical plan over opened tables.

mod copy;
mod names;
mod problem;
mod text;
mod view;

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::common::{ParamValues, ScalarValue, TableReference};
use datafusion::datasource::ViewTable;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::{SQLOptions, SessionContext};
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{CreateTable, Statement as SqlStatement};

use crate::catalog::{Catalog, OpenTable};
use crate::error::FrameError;
use crate::request::{ParamValue, SqlRequest, WriteTarget};
use problem::Names;
pub(crate) use problem::nearest;
pub(crate) use text::{parse, parse_one};
pub(crate) use view::{open_table, plan_view};

/// A parsed query whose tables are open.
pub(crate) struct OpenQuery {
    statement: Statement,
    tables: Vec<(TableReference, OpenTable)>,
    /// References to plans that the statement may read like tables, with the names that they were declared by.
    inputs: Vec<(TableReference, String)>,
    names: Names,
    /// Whether only the stages shall be shown.
    pub(crate) explain: bool,
    /// Where the rows go.
    pub(crate) rows: Rows,
}

/// Where the rows of a statement go.
#[derive(Debug, PartialEq)]
pub(crate) enum Rows {
    /// To whoever asks.
    Given,
    /// To files that the statement names: `COPY … TO`.
    Written(WriteTarget),
    /// To files that whoever keeps the tables names: `CREATE TABLE … AS`, `INSERT INTO`.
    Kept,
}

impl OpenQuery {
    /// Parses the query and opens the tables that it names, except for those that are `inputs`: plans given later.
    pub(crate) async fn open(
        query: &str,
        inputs: &[&str],
        catalog: &Catalog<'_>,
        context: &SessionContext,
    ) -> Result<Self, FrameError> {
        Self::open_statement(parse_one(query, None)?, inputs, catalog, context).await
    }

    /// The same for a statement that is parsed.
    pub(crate) async fn open_statement(
        statement: Statement,
        inputs: &[&str],
        catalog: &Catalog<'_>,
        context: &SessionContext,
    ) -> Result<Self, FrameError> {
        let state = context.state();
        let (statement, explain, rows) = as_query(statement)?;
        let mut names = Names::new(catalog);
        let references = state
            .resolve_table_references(&statement)
            .map_err(|error| problem::explain(&error, &names))?;
        let mut tables = Vec::with_capacity(references.len());
        let mut used = Vec::new();
        for reference in references {
            if let Some(name) = input_named(&reference, inputs) {
                used.push((reference, name.to_owned()));
                continue;
            }
            let open = match &reference {
                TableReference::Bare { table } => Box::pin(open_table(table, catalog, context)).await?,
                TableReference::Partial { .. } | TableReference::Full { .. } => None,
            };
            match open {
                Some(table) => tables.push((reference, table)),
                None => names.missing.push(reference.to_string()),
            }
        }
        Ok(Self {
            statement,
            tables,
            inputs: used,
            names,
            explain,
            rows,
        })
    }

    /// Plans the query in `context`. Names of columns get the case that they have in the tables.
    pub(crate) async fn plan(
        self,
        params: &[ParamValue],
        plans: &BTreeMap<String, LogicalPlan>,
        context: &SessionContext,
    ) -> Result<LogicalPlan, FrameError> {
        let Self {
            mut statement,
            tables,
            inputs,
            names,
            rows,
            ..
        } = self;
        let problem = |error| problem::explain(&error, &names);
        let views = inputs.into_iter().filter_map(|(reference, name)| {
            let view: Arc<dyn TableProvider> = Arc::new(ViewTable::new(plans.get(&name)?.clone(), None));
            Some((reference, view))
        });
        let tables = tables
            .into_iter()
            .map(|(reference, table)| (reference, table.provider));
        let providers: Vec<(TableReference, Arc<dyn TableProvider>)> = views.chain(tables).collect();
        names::restore_case(
            &mut statement,
            providers.iter().map(|(_, provider)| provider.schema()),
        );
        for (reference, provider) in &providers {
            let registered = context.register_table(reference.clone(), Arc::clone(provider));
            registered.map_err(problem)?;
        }
        let planned = context.state().statement_to_plan(statement).await;
        // Another statement of the same tree may mean something else by the same name.
        for (reference, _) in providers {
            context.deregister_table(reference).map_err(problem)?;
        }
        let plan = planned.map_err(problem)?;
        let reading = SQLOptions::new()
            .with_allow_ddl(false)
            .with_allow_dml(rows == Rows::Kept)
            .with_allow_statements(false);
        reading
            .verify_plan(&plan)
            .map_err(|error| FrameError::UnsupportedStatement {
                statement: error.message().into_owned(),
            })?;
        // What is inserted are the rows, with the columns and types of the table.
        let plan = match plan {
            LogicalPlan::Dml(insert) => Arc::unwrap_or_clone(insert.input),
            plan => plan,
        };
        let values: Vec<ScalarValue> = params.iter().map(scalar).collect();
        plan.with_param_values(ParamValues::from(values)).map_err(problem)
    }
}

/// The declared input that a reference means, in any case, as SQL has it.
fn input_named<'a>(reference: &TableReference, inputs: &[&'a str]) -> Option<&'a str> {
    let TableReference::Bare { table } = reference else {
        return None;
    };
    let exact = inputs.iter().find(|name| ***name == **table);
    let folded = || inputs.iter().find(|name| name.eq_ignore_ascii_case(table));
    exact.or_else(folded).copied()
}

/// What an error met while optimizing means to the user.
pub(crate) fn explain(error: &DataFusionError) -> FrameError {
    problem::explain(error, &Names::default())
}

/// The query inside a statement, whether it is to be explained, and where its rows go.
fn as_query(statement: Statement) -> Result<(Statement, bool, Rows), FrameError> {
    match statement {
        Statement::Explain(explain) if !explain.options.analyze => {
            let (statement, _, rows) = as_query(*explain.statement)?;
            Ok((statement, true, rows))
        }
        Statement::CopyTo(copy) => {
            let (query, target) = copy::read(copy)?;
            Ok((query, false, Rows::Written(target)))
        }
        Statement::Statement(inner) => match *inner {
            query @ SqlStatement::Query(_) => Ok((of_ast(query), false, Rows::Given)),
            SqlStatement::CreateTable(CreateTable {
                query: Some(query), ..
            }) => Ok((of_ast(SqlStatement::Query(query)), false, Rows::Kept)),
            SqlStatement::Insert(insert) if !insert.overwrite && !insert.replace_into => {
                Ok((of_ast(SqlStatement::Insert(insert)), false, Rows::Kept))
            }
            other => Err(unsupported(&of_ast(other))),
        },
        other => Err(unsupported(&other)),
    }
}

/// A statement of the SQL standard among the engine's.
pub(crate) fn of_ast(statement: SqlStatement) -> Statement {
    Statement::Statement(Box::new(statement))
}

/// A statement that is none of those that can be planned.
pub(crate) fn unsupported(statement: &Statement) -> FrameError {
    let text = statement.to_string();
    let keyword = text.split_whitespace().next().unwrap_or_default();
    FrameError::UnsupportedStatement {
        statement: keyword.to_uppercase(),
    }
}

/// Says of an error in which of the request's statements it is, if there are several.
pub(crate) fn name_statement(error: FrameError, request: &SqlRequest) -> FrameError {
    let Some(index) = request.statement.map(|index| index as usize) else {
        return error;
    };
    match parse(&request.query) {
        Ok(all) if all.len() > 1 && index < all.len() => error.in_statement(index + 1, all[index].position),
        _ => error,
    }
}

fn scalar(value: &ParamValue) -> ScalarValue {
    match value {
        ParamValue::Null => ScalarValue::Null,
        ParamValue::Bool(value) => ScalarValue::Boolean(Some(*value)),
        ParamValue::Int(value) => ScalarValue::Int64(Some(*value)),
        ParamValue::Float(value) => ScalarValue::Float64(Some(*value)),
        ParamValue::Text(value) => ScalarValue::Utf8(Some(value.clone())),
    }
}
