//! Views: texts that stand for tables.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::datasource::ViewTable;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::SessionContext;
use datafusion::sql::parser::Statement;

use super::{OpenQuery, Rows, parse_one, unsupported};
use crate::catalog::{Catalog, OpenTable};
use crate::error::FrameError;

/// Opens what a query calls `name`: a table of the request, a table or view of its session, or a path.
pub(crate) async fn open_table(
    name: &str,
    catalog: &Catalog<'_>,
    context: &SessionContext,
) -> Result<Option<OpenTable>, FrameError> {
    let Some((name, text)) = catalog.view(name) else {
        return catalog.open(name, &context.state()).await;
    };
    if let Some(known) = catalog.opened(name) {
        return Ok(Some(known));
    }
    let inner = catalog.for_view(name)?;
    let planned = match parse_one(text, None) {
        Ok(statement) => plan_view(statement, &inner, context).await,
        Err(error) => Err(error),
    };
    let plan = planned.map_err(|error| FrameError::InView {
        name: name.to_owned(),
        error: Box::new(error),
    })?;
    let table = OpenTable {
        provider: Arc::new(ViewTable::new(plan, None)),
        bytes: inner.bytes(),
    };
    catalog.keep(name, &table);
    Ok(Some(table))
}

/// Plans the query of a view.
pub(crate) async fn plan_view(
    statement: Statement,
    catalog: &Catalog<'_>,
    context: &SessionContext,
) -> Result<LogicalPlan, FrameError> {
    let refused = unsupported(&statement);
    let query = Box::pin(OpenQuery::open_statement(statement, &[], catalog, context)).await?;
    if query.explain || query.rows != Rows::Given {
        return Err(refused);
    }
    query.plan(&[], &BTreeMap::new(), context).await
}
