//! The product of a column, which the engine has no aggregate for.

use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::datatypes::{DataType, Float64Type, Int64Type};
use datafusion::common::{Result, ScalarValue, internal_err};
use datafusion::logical_expr::function::AccumulatorArgs;
use datafusion::logical_expr::{Accumulator, AggregateUDFImpl, Signature, Volatility};

/// `prod(x)`: of integers an integer that wraps as pandas' does, else a float; null for no values.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Prod {
    signature: Signature,
}

impl Default for Prod {
    fn default() -> Self {
        Self {
            signature: Signature::uniform(1, vec![DataType::Int64, DataType::Float64], Volatility::Immutable),
        }
    }
}

impl AggregateUDFImpl for Prod {
    fn name(&self) -> &str {
        "prod"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        Ok(arguments[0].clone())
    }

    fn accumulator(&self, arguments: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        let product = ScalarValue::try_from(arguments.return_field.data_type())?;
        Ok(Box::new(Product(product)))
    }
}

/// The product so far; null before the first value.
#[derive(Debug)]
struct Product(ScalarValue);

impl Product {
    fn multiply(&mut self, values: &ArrayRef) -> Result<()> {
        if values.null_count() == values.len() {
            return Ok(());
        }
        match &mut self.0 {
            ScalarValue::Int64(product) => {
                let more = values.as_primitive::<Int64Type>().iter().flatten();
                *product = Some(more.fold(product.unwrap_or(1), i64::wrapping_mul));
            }
            ScalarValue::Float64(product) => {
                let more = values.as_primitive::<Float64Type>().iter().flatten();
                *product = Some(more.fold(product.unwrap_or(1.0), |a, b| a * b));
            }
            other => return internal_err!("a product of {}", other.data_type()),
        }
        Ok(())
    }
}

impl Accumulator for Product {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.multiply(&values[0])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.multiply(&states[0])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(self.0.clone())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.0.clone()])
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }
}
