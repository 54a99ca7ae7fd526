//! Python functions between stages: what they take and what they give are tables of stages.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::Result;
use datafusion::datasource::TableType;
use datafusion::logical_expr::Expr;
use datafusion::physical_expr::projection::ProjectionExprs;
use datafusion::physical_expr::{Partitioning, PhysicalExpr};
use datafusion::physical_plan::projection::ProjectionExec;

use super::Plan;
use super::split::{Gather, Splitter};
use crate::call::{CallExec, PythonCall};

/// What the calls of a function are given.
#[derive(Debug)]
pub(crate) enum Given {
    /// Each call a partition of this plan.
    Rows(Plan),
    /// Each call all rows of some values of these expressions.
    Groups(Plan, Vec<Arc<dyn PhysicalExpr>>),
    /// Each call these arguments.
    Arguments(Vec<Bytes>),
}

impl Splitter {
    /// Adds the calls of a function as a stage, and gives the table that they make.
    pub(crate) fn call(
        &mut self,
        call: PythonCall,
        given: Given,
        schema: SchemaRef,
    ) -> Result<Arc<dyn TableProvider>> {
        let calls = match given {
            Given::Arguments(arguments) => CallExec::of_arguments(call, arguments, schema),
            Given::Rows(plan) => {
                let plan = self.split(plan, None)?;
                CallExec::of_rows(call, self.read(plan, Gather::Apart, None)?, schema)
            }
            Given::Groups(plan, by) => {
                let plan = self.split(plan, None)?;
                let divided = Partitioning::Hash(by, self.target);
                CallExec::of_rows(call, self.shuffle(plan, divided, None)?, schema)
            }
        };
        let reader = self.read(Arc::new(calls), Gather::Apart, None)?;
        Ok(Arc::new(StageTable { reader }))
    }
}

/// The rows that a stage gives, as a table.
#[derive(Debug)]
struct StageTable {
    reader: Plan,
}

#[async_trait]
impl TableProvider for StageTable {
    fn schema(&self) -> SchemaRef {
        self.reader.schema()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        _: &dyn Session,
        projection: Option<&Vec<usize>>,
        _: &[Expr],
        _: Option<usize>,
    ) -> Result<Plan> {
        let Some(projection) = projection else {
            return Ok(Arc::clone(&self.reader));
        };
        let columns = ProjectionExprs::from_indices(projection, &self.schema());
        Ok(Arc::new(ProjectionExec::try_new(
            columns.iter().cloned(),
            Arc::clone(&self.reader),
        )?))
    }
}
