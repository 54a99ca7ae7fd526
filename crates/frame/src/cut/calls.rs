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
use datafusion::physical_plan::projection::ProjectionExec;

use super::split::{Gather, Splitter};
use super::{Plan, partition_count};
use crate::call::{CallExec, PythonCall};
use crate::exchange::StageReadExec;

/// What the calls of a function are given.
#[derive(Debug)]
pub(crate) enum Given {
    /// Each call a partition of this plan.
    Rows(Plan),
    /// Each call all rows of one value of what the plan is partitioned by.
    Groups(Plan),
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
            Given::Groups(plan) => {
                let plan = self.split(plan, None)?;
                let is_divided = plan.is::<StageReadExec>() || partition_count(&plan) == 1;
                let gather = if is_divided {
                    Gather::Apart
                } else {
                    Gather::Together
                };
                let is_reader = plan.is::<StageReadExec>();
                let rows = if is_reader {
                    plan
                } else {
                    self.read(plan, gather, None)?
                };
                CallExec::of_rows(call, rows, schema)
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
