//! From SQL text to a logical plan over opened tables.

mod copy;
mod names;
mod problem;

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::common::{ParamValues, ScalarValue, TableReference};
use datafusion::datasource::ViewTable;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::{SQLOptions, SessionContext};
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::Statement as SqlStatement;

use crate::catalog::{Catalog, OpenTable};
use crate::error::FrameError;
use crate::request::{ParamValue, WriteTarget};
use problem::Names;
pub(crate) use problem::nearest;

/// A parsed query whose tables are open.
pub(crate) struct OpenQuery {
    statement: Statement,
    tables: Vec<(TableReference, OpenTable)>,
    /// References to plans that the statement may read like tables, with the names that they were declared by.
    inputs: Vec<(TableReference, String)>,
    names: Names,
    /// Whether only the stages shall be shown.
    pub(crate) explain: bool,
    /// Where a `COPY` statement writes the rows.
    pub(crate) into: Option<WriteTarget>,
}

impl OpenQuery {
    /// Parses the query and opens the tables that it names, except for those that are `inputs`: plans given later.
    pub(crate) async fn open(
        query: &str,
        inputs: &[&str],
        catalog: &Catalog<'_>,
        context: &SessionContext,
    ) -> Result<Self, FrameError> {
        let state = context.state();
        let statement = state
            .sql_to_statement(query, &state.config_options().sql_parser.dialect)
            .map_err(|error| problem::explain_unparsed(&error))?;
        let (statement, explain, into) = as_query(statement)?;
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
                TableReference::Bare { table } => catalog.open(table, &state).await?,
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
            into,
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
            .with_allow_dml(false)
            .with_allow_statements(false);
        reading
            .verify_plan(&plan)
            .map_err(|error| FrameError::UnsupportedStatement {
                statement: error.message().into_owned(),
            })?;
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
fn as_query(statement: Statement) -> Result<(Statement, bool, Option<WriteTarget>), FrameError> {
    match statement {
        Statement::Explain(explain) if !explain.options.analyze => {
            let (statement, _, into) = as_query(*explain.statement)?;
            Ok((statement, true, into))
        }
        Statement::Statement(inner) if matches!(*inner, SqlStatement::Query(_)) => {
            Ok((Statement::Statement(inner), false, None))
        }
        Statement::CopyTo(copy) => {
            let (query, target) = copy::read(copy)?;
            Ok((query, false, Some(target)))
        }
        other => {
            let text = other.to_string();
            let keyword = text.split_whitespace().next().unwrap_or_default().to_uppercase();
            Err(FrameError::UnsupportedStatement { statement: keyword })
        }
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
