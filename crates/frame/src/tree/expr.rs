//! Values: what the expressions of a tree are to the engine.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, ScalarValue};
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::expr::{Case, InList};
use datafusion::logical_expr::{Cast, Expr, ExprSchemable, SortExpr, TryCast};
use rmpv::Value;

use super::format::{CallForm, CaseForm, CastForm, Expr as Form, InForm, LitForm, SortKey};
use super::problem::{from_planner, invalid};
use super::{aggregate, scalar, types, window};
use crate::error::FrameError;
use crate::sql::nearest;

/// The columns that an expression may name, and the functions.
pub(super) struct Scope<'a> {
    pub(super) state: &'a SessionState,
    schema: &'a DFSchema,
}

impl<'a> Scope<'a> {
    pub(super) const fn new(state: &'a SessionState, schema: &'a DFSchema) -> Self {
        Self { state, schema }
    }

    pub(super) fn expr(&self, form: &Form) -> Result<Expr, FrameError> {
        match form {
            Form::Col(form) => self.column(&form.col),
            Form::Lit(form) => literal(form).map(|value| Expr::Literal(value, None)),
            Form::Call(CallForm { call, args }) => scalar::call(self, call, args),
            Form::Cast(form) => self.cast(form),
            Form::Case(form) => self.case(form),
            Form::In(form) => self.is_in(form),
            Form::Agg(form) => aggregate::call(self, form),
            Form::Window(form) => window::call(self, form),
        }
    }

    pub(super) fn exprs(&self, forms: &[Form]) -> Result<Vec<Expr>, FrameError> {
        forms.iter().map(|form| self.expr(form)).collect()
    }

    /// A column, by its exact name.
    pub(super) fn column(&self, name: &str) -> Result<Expr, FrameError> {
        if self.schema.has_column_with_unqualified_name(name) {
            return Ok(Expr::Column(Column::new_unqualified(name)));
        }
        let names = self.schema.fields().iter().map(|field| field.name().as_str());
        Err(FrameError::UnknownColumn {
            name: name.to_owned(),
            position: None,
            suggestion: nearest(name, names),
        })
    }

    pub(super) fn sort_key(&self, key: &SortKey) -> Result<SortExpr, FrameError> {
        Ok(self.expr(&key.expr)?.sort(!key.descending, key.nulls_first))
    }

    /// The type of an expression's values.
    pub(super) fn type_of(&self, expr: &Expr) -> Result<DataType, FrameError> {
        expr.get_type(self.schema).map_err(|error| from_planner(&error))
    }

    fn cast(&self, form: &CastForm) -> Result<Expr, FrameError> {
        let value = Box::new(self.expr(&form.cast)?);
        let kind = types::parse(&form.kind)?;
        Ok(if form.or_null {
            Expr::TryCast(TryCast::new(value, kind))
        } else {
            Expr::Cast(Cast::new(value, kind))
        })
    }

    fn case(&self, form: &CaseForm) -> Result<Expr, FrameError> {
        if form.case.is_empty() {
            return Err(invalid("a `case` has at least one pair".to_owned()));
        }
        let pairs = form
            .case
            .iter()
            .map(|(when, then)| Ok((Box::new(self.expr(when)?), Box::new(self.expr(then)?))));
        let otherwise = form.otherwise.as_ref().map(|otherwise| self.expr(otherwise));
        let otherwise = otherwise.transpose()?.map(Box::new);
        let pairs = pairs.collect::<Result<Vec<_>, FrameError>>()?;
        Ok(Expr::Case(Case::new(None, pairs, otherwise)))
    }

    fn is_in(&self, form: &InForm) -> Result<Expr, FrameError> {
        let value = Box::new(self.expr(&form.value)?);
        let list = self.exprs(&form.list)?;
        Ok(Expr::InList(InList::new(value, list, form.negated)))
    }
}

/// The value of a literal, of the type that it says.
fn literal(form: &LitForm) -> Result<ScalarValue, FrameError> {
    let plain = match &form.lit {
        Value::Nil => ScalarValue::Null,
        Value::Boolean(value) => ScalarValue::from(*value),
        Value::Integer(value) => match (value.as_i64(), value.as_u64()) {
            (Some(value), _) => ScalarValue::from(value),
            (None, value) => ScalarValue::UInt64(value),
        },
        Value::F32(value) => ScalarValue::from(f64::from(*value)),
        Value::F64(value) => ScalarValue::from(*value),
        Value::String(value) => match value.as_str() {
            Some(value) => ScalarValue::from(value),
            None => return Err(invalid("a text is not UTF-8".to_owned())),
        },
        Value::Binary(value) => ScalarValue::Binary(Some(value.clone())),
        other => {
            return Err(invalid(format!(
                "a literal is null, a bool, a number, a text or bytes, not {other}"
            )));
        }
    };
    let Some(kind) = &form.kind else {
        return Ok(plain);
    };
    let kind = types::parse(kind)?;
    plain.cast_to(&kind).map_err(|error| from_planner(&error))
}

/// An expression with each of `computed` replaced by the column that it is in a plan that has computed them.
pub(super) fn replaced(expr: Expr, computed: &[Expr]) -> Expr {
    let replace = |expr: Expr| {
        if !computed.contains(&expr) {
            return Ok(Transformed::no(expr));
        }
        let column = Expr::Column(Column::new_unqualified(expr.schema_name().to_string()));
        Ok(Transformed::new(column, true, TreeNodeRecursion::Jump))
    };
    // The replacement never fails.
    match expr.clone().transform_down(replace) {
        Ok(replaced) => replaced.data,
        Err(_) => expr,
    }
}
