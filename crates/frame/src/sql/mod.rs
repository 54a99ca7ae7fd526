//! From SQL text to a logical plan over opened tables.

mod names;
mod problem;

use datafusion::catalog::TableProvider;
use datafusion::common::{ParamValues, ScalarValue, TableReference};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::{SQLOptions, SessionContext};
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::Statement as SqlStatement;

use crate::catalog::{Catalog, OpenTable};
use crate::error::FrameError;
use crate::request::{ParamValue, SqlRequest};
use problem::Names;

/// A parsed query whose tables are open.
pub(crate) struct OpenQuery {
    statement: Statement,
    tables: Vec<(TableReference, OpenTable)>,
    names: Names,
    /// Whether only the stages shall be shown.
    pub(crate) explain: bool,
}

impl OpenQuery {
    /// Parses the query and opens the tables that it names. Names of columns get the case that they have there.
    pub(crate) async fn open(
        request: &SqlRequest,
        catalog: &Catalog<'_>,
        context: &SessionContext,
    ) -> Result<Self, FrameError> {
        let state = context.state();
        let statement = state
            .sql_to_statement(&request.query, &state.config_options().sql_parser.dialect)
            .map_err(|error| problem::explain_unparsed(&error))?;
        let (mut statement, explain) = as_query(statement)?;
        let mut names = Names::new(catalog);
        let references = state
            .resolve_table_references(&statement)
            .map_err(|error| problem::explain(&error, &names))?;
        let mut tables = Vec::with_capacity(references.len());
        for reference in references {
            let open = match &reference {
                TableReference::Bare { table } => catalog.open(table, &state).await?,
                TableReference::Partial { .. } | TableReference::Full { .. } => None,
            };
            match open {
                Some(table) => tables.push((reference, table)),
                None => names.missing.push(reference.to_string()),
            }
        }
        let schemas = tables.iter().map(|(_, table)| table.provider.schema());
        names::restore_case(&mut statement, schemas);
        Ok(Self {
            statement,
            tables,
            names,
            explain,
        })
    }

    /// Size of the files of all tables.
    pub(crate) fn bytes(&self) -> u64 {
        self.tables.iter().map(|(_, table)| table.bytes).sum()
    }

    /// Plans the query in `context`, which gets its tables.
    pub(crate) async fn plan(
        self,
        params: &[ParamValue],
        context: &SessionContext,
    ) -> Result<LogicalPlan, FrameError> {
        let Self {
            statement,
            tables,
            names,
            ..
        } = self;
        let problem = |error| problem::explain(&error, &names);
        for (reference, table) in tables {
            let provider: std::sync::Arc<dyn TableProvider> = table.provider;
            context.register_table(reference, provider).map_err(problem)?;
        }
        let plan = context
            .state()
            .statement_to_plan(statement)
            .await
            .map_err(problem)?;
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

/// What an error met while optimizing means to the user.
pub(crate) fn explain(error: &DataFusionError) -> FrameError {
    problem::explain(error, &Names::default())
}

/// The query inside a statement, and whether it is to be explained.
fn as_query(statement: Statement) -> Result<(Statement, bool), FrameError> {
    match statement {
        Statement::Explain(explain) if !explain.options.analyze => {
            Ok((as_query(*explain.statement)?.0, true))
        }
        Statement::Statement(inner) if matches!(*inner, SqlStatement::Query(_)) => {
            Ok((Statement::Statement(inner), false))
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
