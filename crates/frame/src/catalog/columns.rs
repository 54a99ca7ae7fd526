//! The columns of several files as those of one table: by name, whatever their order.

use std::path::Path;
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, Fields, Schema};

use crate::error::FrameError;

/// The columns of all files, in the order in which they first appear. A column that some files lack is null for
/// them; numbers and texts of different widths get the type that holds them all.
pub(crate) fn merge<'a>(
    files: impl IntoIterator<Item = (&'a Path, &'a Schema)>,
) -> Result<Schema, FrameError> {
    let mut merged: Vec<Field> = Vec::new();
    for (count, (path, schema)) in files.into_iter().enumerate() {
        for field in schema.fields() {
            match merged.iter_mut().find(|known| known.name() == field.name()) {
                Some(known) => {
                    let Some(kind) = widen(known.data_type(), field.data_type()) else {
                        return Err(FrameError::ColumnTypes {
                            path: path.to_owned(),
                            column: field.name().clone(),
                            expected: known.data_type().to_string(),
                            found: field.data_type().to_string(),
                        });
                    };
                    let nullable = known.is_nullable() || field.is_nullable();
                    *known = Field::new(field.name(), kind, nullable);
                }
                None => {
                    let nullable = count > 0 || field.is_nullable();
                    merged.push(Field::new(field.name(), field.data_type().clone(), nullable));
                }
            }
        }
        for known in merged
            .iter_mut()
            .filter(|known| schema.column_with_name(known.name()).is_none())
        {
            known.set_nullable(true);
        }
    }
    Ok(Schema::new(merged))
}

/// The narrowest type that holds the values of both.
fn widen(a: &DataType, b: &DataType) -> Option<DataType> {
    use DataType::*;
    if a == b {
        return Some(a.clone());
    }
    Some(match (a, b) {
        (Null, other) | (other, Null) => other.clone(),
        (Dictionary(_, a), b) => widen(a, b)?,
        (a, Dictionary(_, b)) => widen(a, b)?,
        (a, b) if a.is_numeric() && b.is_numeric() => number(a, b)?,
        (a, b) if a.is_string() && b.is_string() => Utf8View,
        (a, b) if a.is_binary() && b.is_binary() => BinaryView,
        (Date32 | Date64, Date32 | Date64) => Date64,
        (Timestamp(unit, zone), Timestamp(other, same)) if zone == same => {
            Timestamp(*unit.max(other), zone.clone())
        }
        (List(a) | LargeList(a), List(b) | LargeList(b)) => List(Arc::new(element(a, b)?)),
        (Struct(a), Struct(b)) => Struct(members(a, b)?),
        _ => return None,
    })
}

fn element(a: &Field, b: &Field) -> Option<Field> {
    let kind = widen(a.data_type(), b.data_type())?;
    Some(Field::new(a.name(), kind, a.is_nullable() || b.is_nullable()))
}

/// The members of both structs; one that the other lacks is null there.
fn members(a: &Fields, b: &Fields) -> Option<Fields> {
    let lacked = |field: &Field| field.clone().with_nullable(true);
    let common = a.iter().map(|field| match b.find(field.name()) {
        Some((_, other)) => element(field, other),
        None => Some(lacked(field)),
    });
    let more = b
        .iter()
        .filter(|field| a.find(field.name()).is_none())
        .map(|field| Some(lacked(field)));
    common.chain(more).collect()
}

fn number(a: &DataType, b: &DataType) -> Option<DataType> {
    let is_decimal = |kind: &DataType| {
        matches!(
            kind,
            DataType::Decimal32(..)
                | DataType::Decimal64(..)
                | DataType::Decimal128(..)
                | DataType::Decimal256(..)
        )
    };
    if is_decimal(a) || is_decimal(b) {
        return None;
    }
    if a.is_floating() || b.is_floating() {
        return Some(DataType::Float64);
    }
    let unsigned = a.is_unsigned_integer() && b.is_unsigned_integer();
    let large = [a, b].contains(&&DataType::UInt64);
    match (unsigned, large) {
        (true, _) => Some(DataType::UInt64),
        // Signed and unsigned integers of 64 bits have no integer type in common.
        (false, true) => None,
        (false, false) => Some(DataType::Int64),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
mod tests {
    use datafusion::arrow::datatypes::TimeUnit;

    use super::*;

    fn merged(a: DataType, b: DataType) -> Option<DataType> {
        let (a, b) = (
            Schema::new([Arc::new(Field::new("c", a, false))]),
            Schema::new([Arc::new(Field::new("c", b, false))]),
        );
        merge([(Path::new("a"), &a), (Path::new("b"), &b)])
            .ok()
            .map(|schema| schema.field(0).data_type().clone())
    }

    #[test]
    fn numbers_widen_and_other_kinds_do_not_mix() {
        use DataType::*;
        for (a, b, expected) in [
            (Int32, Int64, Some(Int64)),
            (UInt8, UInt16, Some(UInt64)),
            (UInt32, Int8, Some(Int64)),
            (Int64, Float32, Some(Float64)),
            (UInt64, Int64, None),
            (Null, Date32, Some(Date32)),
            (
                Dictionary(Box::new(Int32), Box::new(Utf8)),
                Utf8View,
                Some(Utf8View),
            ),
            (
                Timestamp(TimeUnit::Second, None),
                Timestamp(TimeUnit::Nanosecond, None),
                Some(Timestamp(TimeUnit::Nanosecond, None)),
            ),
            (
                Timestamp(TimeUnit::Second, None),
                Timestamp(TimeUnit::Second, Some("UTC".into())),
                None,
            ),
            (Int64, Utf8, None),
            (Decimal128(10, 2), Decimal128(12, 2), None),
        ] {
            assert_eq!(merged(a.clone(), b.clone()), expected, "{a} {b}");
            assert_eq!(merged(b.clone(), a.clone()), expected, "{b} {a}");
        }
    }

    #[test]
    fn a_column_that_a_file_lacks_is_nullable_wherever_that_file_is() {
        let field = |name: &str| Arc::new(Field::new(name, DataType::Int64, false));
        let (first, second) = (
            Schema::new([field("a"), field("b")]),
            Schema::new([field("c"), field("a")]),
        );
        let schema = merge([(Path::new("1"), &first), (Path::new("2"), &second)]).unwrap();
        let columns: Vec<_> = schema
            .fields()
            .iter()
            .map(|field| (field.name().as_str(), field.is_nullable()))
            .collect();
        assert_eq!(columns, [("a", false), ("b", true), ("c", true)]);
    }
}
