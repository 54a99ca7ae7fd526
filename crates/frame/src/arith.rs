//! Arithmetic that the engine has not, or by the rules of C where Python and NumPy have others.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, Float64Array, Int64Array};
use datafusion::arrow::datatypes::{DataType, Float64Type, Int64Type};
use datafusion::common::{Result, internal_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature, Volatility,
};

/// A function that plans name, so whatever plans or runs must know it.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Arithmetic {
    operation: Operation,
    signature: Signature,
}

/// What a function computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Operation {
    /// The greatest whole number that is not above the quotient.
    FloorDivide,
    /// What floor division leaves, with the sign of the divisor.
    Modulo,
    /// A number to so many digits, to the even one where two are as near.
    Round,
    /// A number that looks random, but is the same for the same number and seed.
    Hash,
}

impl Operation {
    pub(crate) const ALL: [Self; 4] = [Self::FloorDivide, Self::Modulo, Self::Round, Self::Hash];

    /// The function's name in plans.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::FloorDivide => "python_floordiv",
            Self::Modulo => "python_mod",
            Self::Round => "python_round",
            Self::Hash => "hash_number",
        }
    }

    pub(crate) fn function(self) -> ScalarUDF {
        let both = |kind: DataType| TypeSignature::Exact(vec![kind.clone(), kind]);
        let takes = match self {
            Self::FloorDivide | Self::Modulo => {
                TypeSignature::OneOf(vec![both(DataType::Int64), both(DataType::Float64)])
            }
            Self::Round => TypeSignature::Exact(vec![DataType::Float64, DataType::Int64]),
            Self::Hash => both(DataType::Int64),
        };
        ScalarUDF::from(Arithmetic {
            operation: self,
            signature: Signature::new(takes, Volatility::Immutable),
        })
    }
}

impl ScalarUDFImpl for Arithmetic {
    fn name(&self) -> &str {
        self.operation.name()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        Ok(arguments[0].clone())
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = arguments.number_rows;
        let arrays = arguments.args.into_iter().map(|value| value.into_array(rows));
        let arrays = arrays.collect::<Result<Vec<ArrayRef>>>()?;
        let [left, right] = arrays.as_slice() else {
            return internal_err!("{} takes two arguments", self.name());
        };
        let computed: ArrayRef = match (self.operation, left.data_type(), right.data_type()) {
            (Operation::FloorDivide, DataType::Int64, DataType::Int64) => {
                whole(left, right, floor_divide_whole)
            }
            (Operation::Modulo, DataType::Int64, DataType::Int64) => whole(left, right, modulo_whole),
            (Operation::Hash, DataType::Int64, DataType::Int64) => {
                whole(left, right, |a, b| Some(hash(a, b)))
            }
            (Operation::FloorDivide, DataType::Float64, DataType::Float64) => {
                float(left, right, |a, b| divide(a, b).0)
            }
            (Operation::Modulo, DataType::Float64, DataType::Float64) => {
                float(left, right, |a, b| divide(a, b).1)
            }
            (Operation::Round, DataType::Float64, DataType::Int64) => {
                let pairs = left.as_primitive::<Float64Type>().iter();
                let pairs = pairs.zip(right.as_primitive::<Int64Type>());
                Arc::new(Float64Array::from_iter(
                    pairs.map(|(value, digits)| Some(round(value?, digits?))),
                ))
            }
            (_, left, right) => return internal_err!("{} of {left} and {right}", self.name()),
        };
        Ok(ColumnarValue::Array(computed))
    }
}

fn whole(left: &ArrayRef, right: &ArrayRef, compute: impl Fn(i64, i64) -> Option<i64>) -> ArrayRef {
    let pairs = left.as_primitive::<Int64Type>().iter();
    let pairs = pairs.zip(right.as_primitive::<Int64Type>());
    Arc::new(Int64Array::from_iter(pairs.map(|(a, b)| compute(a?, b?))))
}

fn float(left: &ArrayRef, right: &ArrayRef, compute: impl Fn(f64, f64) -> f64) -> ArrayRef {
    let pairs = left.as_primitive::<Float64Type>().iter();
    let pairs = pairs.zip(right.as_primitive::<Float64Type>());
    Arc::new(Float64Array::from_iter(pairs.map(|(a, b)| Some(compute(a?, b?)))))
}

/// `None` for a division by zero. The least number by -1 wraps, as it does in NumPy.
fn floor_divide_whole(a: i64, b: i64) -> Option<i64> {
    if b == 0 {
        return None;
    }
    let is_below = a.wrapping_rem(b) != 0 && (a < 0) != (b < 0);
    Some(a.wrapping_div(b) - i64::from(is_below))
}

fn modulo_whole(a: i64, b: i64) -> Option<i64> {
    if b == 0 {
        return None;
    }
    let rest = a.wrapping_rem(b);
    let has_other_sign = rest != 0 && (rest < 0) != (b < 0);
    Some(if has_other_sign { rest + b } else { rest })
}

/// Quotient and rest, computed so that they fit each other: `1 // 0.1` is 9, since 0.1 is more than a tenth.
fn divide(a: f64, b: f64) -> (f64, f64) {
    if b == 0.0 {
        return (a / b, f64::NAN);
    }
    let mut rest = a % b;
    let mut quotient = (a - rest) / b;
    if rest == 0.0 {
        rest = 0_f64.copysign(b);
    } else if (rest < 0.0) != (b < 0.0) {
        rest += b;
        quotient -= 1.0;
    }
    if quotient == 0.0 {
        return (0_f64.copysign(a / b), rest);
    }
    let floor = quotient.floor();
    // The quotient is a whole number but for its last bits.
    let quotient = if quotient - floor > 0.5 {
        floor + 1.0
    } else {
        floor
    };
    (quotient, rest)
}

/// NumPy's `rint(value * 10**digits) / 10**digits`.
fn round(value: f64, digits: i64) -> f64 {
    // Beyond these powers a factor is infinite, and no digit is left to round.
    let Ok(digits) = i32::try_from(digits.clamp(-308, 308)) else {
        return value;
    };
    let factor = 10_f64.powi(digits.abs());
    let rounded = match digits {
        0 => return value.round_ties_even(),
        1.. => (value * factor).round_ties_even() / factor,
        _ => (value / factor).round_ties_even() * factor,
    };
    if rounded.is_finite() || !value.is_finite() {
        rounded
    } else {
        value
    }
}

/// SplitMix64 (Steele, Lea and Flood 2014) of the number, started at the seed; from 0 to 2^63 - 1.
fn hash(number: i64, seed: i64) -> i64 {
    const STEP: u64 = 0x9E37_79B9_7F4A_7C15;
    let seed = seed.cast_unsigned();
    let mut bits = seed.wrapping_add(number.cast_unsigned().wrapping_add(1).wrapping_mul(STEP));
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    ((bits ^ (bits >> 31)) >> 1).cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    // Expected values are those of Python 3.11 (`//`, `%`, `round`) and NumPy 2.
    #[test]
    fn whole_numbers_divide_by_floor() {
        for (a, b, quotient, rest) in [
            (7, 2, 3, 1),
            (-7, 2, -4, 1),
            (7, -2, -4, -1),
            (-7, -2, 3, -1),
            (-7, 3, -3, 2),
            (6, -3, -2, 0),
            (i64::MIN, 1, i64::MIN, 0),
        ] {
            assert_eq!(floor_divide_whole(a, b), Some(quotient), "{a} // {b}");
            assert_eq!(modulo_whole(a, b), Some(rest), "{a} % {b}");
        }
        assert_eq!((floor_divide_whole(1, 0), modulo_whole(1, 0)), (None, None));
        assert_eq!(floor_divide_whole(i64::MIN, -1), Some(i64::MIN));
    }

    #[test]
    fn floats_divide_by_floor() {
        let same = |a: f64, b: f64| a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan();
        for (a, b, quotient, rest) in [
            (1.0, 0.1, 9.0, 0.099_999_999_999_999_95),
            (1000.0, 0.4, 2499.0, 0.399_999_999_999_944_5),
            (-4.0, 2.0, -2.0, 0.0),
            (4.0, -2.0, -2.0, -0.0),
            (-7.5, 2.0, -4.0, 0.5),
            (0.0, -3.0, -0.0, -0.0),
            (1.0, f64::INFINITY, 0.0, 1.0),
            (-1.0, f64::INFINITY, -1.0, f64::INFINITY),
            (1.0, 0.0, f64::INFINITY, f64::NAN),
            (f64::INFINITY, 2.0, f64::NAN, f64::NAN),
        ] {
            let (q, r) = divide(a, b);
            assert!(same(q, quotient) && same(r, rest), "{a} divided by {b}: {q}, {r}");
        }
    }

    #[test]
    fn hashes_are_those_of_split_mix() {
        // The first numbers that the reference implementation gives for these seeds, without their last bit.
        assert_eq!(hash(0, 0), (0xE220_A839_7B1D_CDAF_u64 >> 1).cast_signed());
        assert_eq!(hash(0, 1_234_567), 6_457_827_717_110_365_317 >> 1);
        assert_eq!(hash(1, 1_234_567), 3_203_168_211_198_807_973 >> 1);
    }

    #[test]
    fn halves_round_to_even() {
        for (value, digits, expected) in [
            (2.5, 0, 2.0),
            (-1.5, 0, -2.0),
            (0.125, 2, 0.12),
            (-0.375, 2, -0.38),
            (1250.0, -2, 1200.0),
            (1e300, 20, 1e300),
            (123.456, 400, 123.456),
            (5.0, -400, 0.0),
        ] {
            assert_eq!(
                round(value, digits).to_bits(),
                f64::to_bits(expected),
                "{value} to {digits}"
            );
        }
        assert!(round(f64::NAN, 1).is_nan());
    }
}
