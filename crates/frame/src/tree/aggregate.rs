//! Functions of many rows. What is missing, null or NaN, counts for none of them.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::expr::{AggregateFunction, NullTreatment};
use datafusion::logical_expr::{AggregateUDF, Expr, cast, lit};

use super::expr::Scope;
use super::format::AggForm;
use super::problem::{from_planner, invalid};
use super::scalar::{self, choose, float, is_float};
use crate::error::FrameError;
use crate::sql::nearest;

/// Names that the engine has not, or by other rules.
const OWN: [&str; 18] = [
    "count",
    "sum",
    "mean",
    "avg",
    "min",
    "max",
    "std",
    "var",
    "median",
    "quantile",
    "approx_quantile",
    "nunique",
    "first",
    "last",
    "any",
    "all",
    "prod",
    "covar",
];

/// An aggregate of the engine with its arguments, and what stands for none.
pub(super) struct Aggregate {
    pub(super) function: Arc<AggregateUDF>,
    pub(super) args: Vec<Expr>,
    pub(super) is_distinct: bool,
    pub(super) nulls: Option<NullTreatment>,
    /// The result where there are no values.
    pub(super) empty: Option<ScalarValue>,
}

impl Aggregate {
    /// The result, with what stands for none.
    pub(super) fn finished(self, scope: &Scope<'_>, value: Expr) -> Result<Expr, FrameError> {
        let Some(empty) = self.empty else {
            return Ok(value);
        };
        let kind = scope.type_of(&value)?;
        let empty = cast(Expr::Literal(empty, None), kind);
        scalar::engines(scope, "coalesce", vec![value, empty])
    }
}

/// What an aggregate of the tree is to the engine.
pub(super) fn call(scope: &Scope<'_>, form: &AggForm) -> Result<Expr, FrameError> {
    let mut aggregate = resolve(scope, &form.agg, scope.exprs(&form.args)?)?;
    aggregate.is_distinct |= form.distinct;
    let condition = form.condition.as_ref().map(|condition| scope.expr(condition));
    let condition = condition.transpose()?.map(Box::new);
    let by = form.by.iter().map(|key| scope.sort_key(key));
    let call = Expr::AggregateFunction(AggregateFunction::new_udf(
        Arc::clone(&aggregate.function),
        aggregate.args.clone(),
        aggregate.is_distinct,
        condition,
        by.collect::<Result<_, _>>()?,
        aggregate.nulls,
    ));
    // Says at once if the function takes no such arguments.
    scope.type_of(&call)?;
    aggregate.finished(scope, call)
}

/// Finds an aggregate by its name in a tree.
pub(super) fn resolve(scope: &Scope<'_>, name: &str, args: Vec<Expr>) -> Result<Aggregate, FrameError> {
    let present = |value: Expr| present(scope, value);
    let mut args = args.into_iter();
    let Some(first) = args.next() else {
        return match name {
            "count" => engines(scope, "count", vec![lit(1_i64)]),
            _ => Err(invalid(format!("{name} takes a value"))),
        };
    };
    let kind = scope.type_of(&first)?;
    let value = present(first)?;
    let number = |value: Expr| {
        if kind == DataType::Boolean {
            cast(value, DataType::Int64)
        } else {
            value
        }
    };
    let rest: Vec<Expr> = args.collect();
    match (name, rest.as_slice()) {
        ("count", []) => engines(scope, "count", vec![value]),
        ("sum", []) => engines(scope, "sum", vec![number(value)]).map(|sum| sum.or(ScalarValue::from(0_i64))),
        ("prod", []) if is_float(&kind) || kind.is_decimal() => {
            engines(scope, "prod", vec![float(value)]).map(|product| product.or(ScalarValue::from(1_i64)))
        }
        ("prod", []) => engines(scope, "prod", vec![cast(value, DataType::Int64)])
            .map(|product| product.or(ScalarValue::from(1_i64))),
        ("mean" | "avg", []) => engines(scope, "avg", vec![number(value)]),
        ("median", []) => engines(scope, "median", vec![float(value)]),
        ("quantile", [share]) => engines(scope, "percentile_cont", vec![float(value), share.clone()]),
        ("approx_quantile", [share]) => {
            engines(scope, "approx_percentile_cont", vec![float(value), share.clone()])
        }
        ("std" | "var", ddof) => engines(scope, deviation(name, ddof)?, vec![float(value)]),
        ("nunique", []) => engines(scope, "count", vec![value]).map(|count| Aggregate {
            is_distinct: true,
            ..count
        }),
        ("first", []) => engines(scope, "first_value", vec![value]).map(Aggregate::without_nulls),
        ("last", []) => engines(scope, "last_value", vec![value]).map(Aggregate::without_nulls),
        ("any", []) => engines(scope, "bool_or", vec![value]).map(|any| any.or(ScalarValue::from(false))),
        ("all", []) => engines(scope, "bool_and", vec![value]).map(|all| all.or(ScalarValue::from(true))),
        ("covar", [other]) => engines(scope, "covar_samp", vec![value, present(other.clone())?]),
        _ => {
            let rest = rest.into_iter().map(present).collect::<Result<Vec<_>, _>>()?;
            engines(scope, name, std::iter::once(value).chain(rest).collect())
        }
    }
}

impl Aggregate {
    fn or(self, empty: ScalarValue) -> Self {
        Self {
            empty: Some(empty),
            ..self
        }
    }

    fn without_nulls(self) -> Self {
        Self {
            nulls: Some(NullTreatment::IgnoreNulls),
            ..self
        }
    }
}

/// The engine's name for a deviation with so many degrees of freedom taken off.
fn deviation(name: &str, ddof: &[Expr]) -> Result<&'static str, FrameError> {
    let off = match ddof {
        [] => Some(1),
        [Expr::Literal(ddof, _)] => match ddof.cast_to(&DataType::Int64) {
            Ok(ScalarValue::Int64(ddof)) => ddof,
            _ => None,
        },
        _ => None,
    };
    match (name, off) {
        ("std", Some(1)) => Ok("stddev"),
        ("std", Some(0)) => Ok("stddev_pop"),
        ("var", Some(1)) => Ok("var"),
        ("var", Some(0)) => Ok("var_pop"),
        _ => Err(invalid(format!(
            "the second argument of {name} is a literal 0 or 1"
        ))),
    }
}

fn engines(scope: &Scope<'_>, name: &str, args: Vec<Expr>) -> Result<Aggregate, FrameError> {
    let functions = scope.state.aggregate_functions();
    let function = functions.get(name).ok_or_else(|| FrameError::UnknownFunction {
        name: name.to_owned(),
        suggestion: nearest(name, functions.keys().map(String::as_str).chain(OWN)),
    })?;
    Ok(Aggregate {
        function: Arc::clone(function),
        args,
        is_distinct: false,
        nulls: None,
        empty: None,
    })
}

/// A value with null for NaN.
fn present(scope: &Scope<'_>, value: Expr) -> Result<Expr, FrameError> {
    let kind = scope.type_of(&value)?;
    if !is_float(&kind) || matches!(value, Expr::Literal(..)) {
        return Ok(value);
    }
    let is_nan = scalar::engines(scope, "isnan", vec![value.clone()])?;
    let none = ScalarValue::try_from(&kind).map_err(|error| from_planner(&error))?;
    choose(is_nan, Expr::Literal(none, None), value)
}
