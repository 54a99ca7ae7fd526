//! Functions of values of one row, with the rules of pandas where the engine's differ.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{Expr, Operator, binary_expr, cast, lit, not, when};

use super::expr::Scope;
use super::format::Expr as Form;
use super::problem::{from_planner, invalid};
use crate::arith::Operation;
use crate::error::FrameError;
use crate::sql::nearest;

/// Functions that the engine has not, or by other rules or names.
const OWN: [&str; 25] = [
    "add",
    "sub",
    "mul",
    "div",
    "floordiv",
    "mod",
    "pow",
    "neg",
    "round",
    "eq",
    "ne",
    "lt",
    "le",
    "gt",
    "ge",
    "not_distinct",
    "is_null",
    "not_null",
    "is_nan",
    "and",
    "or",
    "xor",
    "not",
    "concat",
    "hash",
];

/// What a function of the tree is to the engine.
pub(super) fn call(scope: &Scope<'_>, name: &str, args: &[Form]) -> Result<Expr, FrameError> {
    let args = scope.exprs(args)?;
    let count = args.len();
    let own = own(scope, name, args)?;
    match own {
        Own::Is(expr) => Ok(expr),
        Own::No(args) => engines(scope, name, args),
        Own::Wrong(expected) => Err(invalid(format!("{name} takes {expected}, not {count} arguments"))),
    }
}

/// Whether a function is one of ours.
enum Own {
    Is(Expr),
    No(Vec<Expr>),
    Wrong(&'static str),
}

fn own(scope: &Scope<'_>, name: &str, args: Vec<Expr>) -> Result<Own, FrameError> {
    if matches!(name, "and" | "or") && !args.is_empty() {
        let join = if name == "and" { Expr::and } else { Expr::or };
        return Ok(args
            .into_iter()
            .reduce(join)
            .map_or(Own::Wrong("arguments"), Own::Is));
    }
    Ok(match <[Expr; 1]>::try_from(args) {
        Ok([value]) => one(scope, name, value)?,
        Err(args) => match <[Expr; 2]>::try_from(args) {
            Ok([left, right]) => two(scope, name, left, right)?,
            Err(args) if OWN.contains(&name) && name != "concat" => {
                drop(args);
                Own::Wrong("one or two")
            }
            Err(args) => Own::No(args),
        },
    })
}

fn one(scope: &Scope<'_>, name: &str, value: Expr) -> Result<Own, FrameError> {
    Ok(Own::Is(match name {
        "neg" => Expr::Negative(Box::new(value)),
        "not" => not(value),
        "is_null" => is_missing(scope, value)?,
        "not_null" => not(is_missing(scope, value)?),
        "is_nan" if is_float(&scope.type_of(&value)?) => engines(scope, "isnan", vec![value])?,
        "is_nan" => value.is_null().and(lit(false)),
        "round" => round(scope, value, 0)?,
        "concat" => return Ok(Own::No(vec![value])),
        _ if OWN.contains(&name) => return Ok(Own::Wrong("two")),
        _ => return Ok(Own::No(vec![value])),
    }))
}

fn two(scope: &Scope<'_>, name: &str, left: Expr, right: Expr) -> Result<Own, FrameError> {
    let operator = match name {
        "add" => Operator::Plus,
        "sub" => Operator::Minus,
        "mul" => Operator::Multiply,
        "eq" => Operator::Eq,
        "ne" => Operator::NotEq,
        "lt" => Operator::Lt,
        "le" => Operator::LtEq,
        "gt" => Operator::Gt,
        "ge" => Operator::GtEq,
        "not_distinct" => Operator::IsNotDistinctFrom,
        "xor" => Operator::NotEq,
        _ => return two_by_rules(scope, name, left, right),
    };
    Ok(Own::Is(binary_expr(left, operator, right)))
}

fn two_by_rules(scope: &Scope<'_>, name: &str, left: Expr, right: Expr) -> Result<Own, FrameError> {
    Ok(Own::Is(match name {
        "div" => {
            let is_number = |kind: DataType| kind.is_numeric() || kind == DataType::Boolean;
            if is_number(scope.type_of(&left)?) && is_number(scope.type_of(&right)?) {
                float(left) / float(right)
            } else {
                left / right
            }
        }
        "floordiv" => divided(scope, Operation::FloorDivide, left, right)?,
        "mod" => divided(scope, Operation::Modulo, left, right)?,
        "pow" => engines(scope, "power", vec![left, right])?,
        "hash" => engines(scope, Operation::Hash.name(), vec![whole(left), whole(right)])?,
        "round" => match right {
            Expr::Literal(digits, _) => match digits.cast_to(&DataType::Int64) {
                Ok(datafusion::common::ScalarValue::Int64(Some(digits))) => round(scope, left, digits)?,
                _ => return Ok(Own::Wrong("a value and a whole number of digits")),
            },
            _ => return Ok(Own::Wrong("a value and a literal number of digits")),
        },
        "neg" | "not" | "is_null" | "not_null" | "is_nan" => return Ok(Own::Wrong("one")),
        _ => return Ok(Own::No(vec![left, right])),
    }))
}

/// A function of the engine.
pub(super) fn engines(scope: &Scope<'_>, name: &str, args: Vec<Expr>) -> Result<Expr, FrameError> {
    let functions = scope.state.scalar_functions();
    let function = functions.get(name).ok_or_else(|| FrameError::UnknownFunction {
        name: name.to_owned(),
        suggestion: nearest(name, functions.keys().map(String::as_str).chain(OWN)),
    })?;
    let call = Expr::ScalarFunction(ScalarFunction::new_udf(Arc::clone(function), args));
    // Says at once if the function takes no such arguments.
    scope.type_of(&call)?;
    Ok(call)
}

pub(super) const fn is_float(kind: &DataType) -> bool {
    matches!(kind, DataType::Float16 | DataType::Float32 | DataType::Float64)
}

pub(super) fn float(value: Expr) -> Expr {
    cast(value, DataType::Float64)
}

/// Null or NaN.
fn is_missing(scope: &Scope<'_>, value: Expr) -> Result<Expr, FrameError> {
    if !is_float(&scope.type_of(&value)?) {
        return Ok(value.is_null());
    }
    let is_nan = engines(scope, "isnan", vec![value.clone()])?;
    Ok(value.is_null().or(is_nan))
}

fn are_whole(scope: &Scope<'_>, left: &Expr, right: &Expr) -> Result<bool, FrameError> {
    let is_whole = |kind: DataType| kind.is_integer() || kind == DataType::Boolean;
    Ok(is_whole(scope.type_of(left)?) && is_whole(scope.type_of(right)?))
}

/// Division by floor or its rest, by Python's rules; null for whole numbers divided by zero.
fn divided(scope: &Scope<'_>, operation: Operation, left: Expr, right: Expr) -> Result<Expr, FrameError> {
    let sides = if are_whole(scope, &left, &right)? {
        vec![whole(left), whole(right)]
    } else {
        vec![float(left), float(right)]
    };
    engines(scope, operation.name(), sides)
}

fn whole(value: Expr) -> Expr {
    cast(value, DataType::Int64)
}

/// Rounds to so many digits, to the even one where two are as near.
fn round(scope: &Scope<'_>, value: Expr, digits: i64) -> Result<Expr, FrameError> {
    let kind = scope.type_of(&value)?;
    if kind.is_integer() && digits >= 0 {
        return Ok(value);
    }
    let rounded = engines(scope, Operation::Round.name(), vec![float(value), lit(digits)])?;
    Ok(if kind == DataType::Float64 {
        rounded
    } else {
        cast(rounded, kind)
    })
}

pub(super) fn choose(condition: Expr, then: Expr, otherwise: Expr) -> Result<Expr, FrameError> {
    when(condition, then)
        .otherwise(otherwise)
        .map_err(|error| from_planner(&error))
}
