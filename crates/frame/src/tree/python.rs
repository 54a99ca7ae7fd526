//! Python functions in a tree: what they are given is planned by itself, and what they give is a table.

use std::sync::Arc;

use bytes::Bytes;
use datafusion::arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::common::TableReference;
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder};

use super::format::PythonNode;
use super::node::{Planner, built, engine};
use super::problem::invalid;
use super::types;
use crate::call::PythonCall;
use crate::cut::Given;
use crate::error::FrameError;

impl Planner<'_> {
    /// The rows that a function makes.
    pub(super) async fn python(&mut self, node: &PythonNode) -> Result<LogicalPlan, FrameError> {
        let input = node.input.map(|index| self.input(index)).transpose()?;
        let schema = schema_of(node, input.as_ref())?;
        let given = match input {
            Some(input) if node.calls.is_empty() => self.given(node, input).await?,
            None if !node.calls.is_empty() && node.by.is_empty() && !node.keep => {
                Given::Arguments(arguments(node))
            }
            _ => {
                let message = "a function has either an `input`, which `by` may divide and `keep` passes on, or `calls`";
                return Err(invalid(message.to_owned()));
            }
        };
        let call = PythonCall {
            name: node.name.clone(),
            function: Bytes::copy_from_slice(&node.function),
            pure: node.pure,
        };
        let table = engine(self.splitter.call(call, given, schema))?;
        let reference = TableReference::bare(node.name.as_str());
        built(LogicalPlanBuilder::scan(
            reference,
            provider_as_source(table),
            None,
        ))
    }

    async fn given(&self, node: &PythonNode, input: LogicalPlan) -> Result<Given, FrameError> {
        let by = node.by.iter().map(|expr| {
            let expr = self.scope(&input).expr(expr)?;
            engine(self.state.create_physical_expr(expr, input.schema()))
        });
        let by = by.collect::<Result<Vec<_>, FrameError>>()?;
        let plan = engine(self.state.create_physical_plan(&input).await)?;
        Ok(if by.is_empty() {
            Given::Rows(plan)
        } else {
            Given::Groups(plan, by)
        })
    }
}

/// All columns that the function gives. Any may hold nulls: the engine must not conclude otherwise from its input.
fn schema_of(node: &PythonNode, input: Option<&LogicalPlan>) -> Result<SchemaRef, FrameError> {
    let kept = input.filter(|_| node.keep).into_iter();
    let mut fields: Vec<Field> = kept
        .flat_map(|input| input.schema().fields().iter())
        .map(|field| Field::new(field.name(), field.data_type().clone(), true))
        .collect();
    for (name, kind) in &node.columns {
        if fields.iter().any(|known| known.name() == name) {
            return Err(invalid(format!("there are two columns '{name}'")));
        }
        fields.push(Field::new(name, types::parse(kind)?, true));
    }
    if fields.is_empty() {
        return Err(invalid("a table has at least one column".to_owned()));
    }
    Ok(Arc::new(Schema::new(fields)))
}

fn arguments(node: &PythonNode) -> Vec<Bytes> {
    let calls = node.calls.iter();
    calls.map(|call| Bytes::copy_from_slice(call)).collect()
}
