//! Functions of a row and those around it.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::expr::{NullTreatment, WindowFunction};
use datafusion::logical_expr::{
    Expr, SortExpr, WindowFrame, WindowFrameBound, WindowFrameUnits, WindowFunctionDefinition, cast, lit,
};

use super::aggregate;
use super::expr::Scope;
use super::format::{Frame, Unit, WindowForm};
use super::problem::invalid;
use crate::error::FrameError;

/// What a window function of the tree is to the engine.
pub(super) fn call(scope: &Scope<'_>, form: &WindowForm) -> Result<Expr, FrameError> {
    let args = scope.exprs(&form.args)?;
    if let Some(function) = scope.state.window_functions().get(form.window.as_str()) {
        let call = over(scope, form, function.clone().into(), args, None, false)?;
        let kind = scope.type_of(&call)?;
        // Numbers of rows are int64, as all counts are.
        return Ok(if kind == DataType::UInt64 {
            cast(call, DataType::Int64)
        } else {
            call
        });
    }
    let aggregate = aggregate::resolve(scope, &form.window, args)?;
    let function = aggregate.function.clone().into();
    let call = over(
        scope,
        form,
        function,
        aggregate.args.clone(),
        aggregate.nulls,
        aggregate.is_distinct,
    )?;
    aggregate.finished(scope, call)
}

/// The number of each row, from 0, in this order; without one as rows come.
pub(super) fn number(state: &SessionState, order: Vec<SortExpr>) -> Result<Expr, FrameError> {
    let function = state.window_functions().get("row_number");
    let function = function.ok_or_else(|| invalid("rows cannot be numbered".to_owned()))?;
    let mut number = WindowFunction::new(WindowFunctionDefinition::from(function.clone()), Vec::new());
    number.params.window_frame = WindowFrame::new((!order.is_empty()).then_some(false));
    number.params.order_by = order;
    Ok(cast(Expr::from(number), DataType::Int64) - lit(1_i64))
}

fn over(
    scope: &Scope<'_>,
    form: &WindowForm,
    function: WindowFunctionDefinition,
    args: Vec<Expr>,
    nulls: Option<NullTreatment>,
    is_distinct: bool,
) -> Result<Expr, FrameError> {
    let by = form.by.iter().map(|key| scope.sort_key(key));
    let by = by.collect::<Result<Vec<_>, _>>()?;
    let frame = match &form.frame {
        Some(frame) => bounded(frame)?,
        None => WindowFrame::new((!by.is_empty()).then_some(false)),
    };
    let mut window = WindowFunction::new(function, args);
    window.params.partition_by = scope.exprs(&form.partition)?;
    window.params.order_by = by;
    window.params.window_frame = frame;
    window.params.null_treatment = nulls;
    window.params.distinct = is_distinct;
    let call = Expr::from(window);
    // Says at once if the function takes no such arguments.
    scope.type_of(&call)?;
    Ok(call)
}

fn bounded(frame: &Frame) -> Result<WindowFrame, FrameError> {
    if let (Some(start), Some(end)) = (frame.start, frame.end)
        && start > end
    {
        return Err(invalid(format!(
            "a frame that starts at {start} cannot end at {end}"
        )));
    }
    let units = match frame.unit {
        Unit::Rows => WindowFrameUnits::Rows,
        Unit::Range => WindowFrameUnits::Range,
        Unit::Groups => WindowFrameUnits::Groups,
    };
    let start =
        bound(frame.unit, frame.start).unwrap_or_else(|| WindowFrameBound::Preceding(endless(frame.unit)));
    let end =
        bound(frame.unit, frame.end).unwrap_or_else(|| WindowFrameBound::Following(endless(frame.unit)));
    Ok(WindowFrame::new_bounds(units, start, end))
}

/// `None` has no end.
fn bound(unit: Unit, distance: Option<i64>) -> Option<WindowFrameBound> {
    let distance = distance?;
    let far = match unit {
        // The engine gives it the type of the sort key.
        Unit::Range => ScalarValue::from(distance.unsigned_abs().to_string()),
        Unit::Rows | Unit::Groups => ScalarValue::UInt64(Some(distance.unsigned_abs())),
    };
    Some(match distance {
        ..0 => WindowFrameBound::Preceding(far),
        0 => WindowFrameBound::CurrentRow,
        1.. => WindowFrameBound::Following(far),
    })
}

const fn endless(unit: Unit) -> ScalarValue {
    match unit {
        Unit::Range => ScalarValue::Utf8(None),
        Unit::Rows | Unit::Groups => ScalarValue::UInt64(None),
    }
}
