//! Types by name: `int64`, `timestamp[us, UTC]`, `list<string>`. What pyarrow prints is understood too.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, TimeUnit};

use super::problem::invalid;
use crate::error::FrameError;

/// Reads a type's name.
pub(super) fn parse(text: &str) -> Result<DataType, FrameError> {
    read(text.trim()).ok_or_else(|| {
        invalid(format!(
            "there is no type '{text}': types are written as int64, float64, string, bool, date32, timestamp[us], \
             timestamp[us, UTC], duration[us], decimal128(18, 2), list<int64>, struct<a: int64>"
        ))
    })
}

fn read(text: &str) -> Option<DataType> {
    if let Some(plain) = plain(text) {
        return Some(plain);
    }
    if let Some(inner) = between(text, "timestamp[", "]") {
        let (unit, zone) = inner.split_once(',').map_or((inner, None), |(unit, zone)| {
            let zone = zone.trim();
            (unit, Some(zone.strip_prefix("tz=").unwrap_or(zone)))
        });
        return Some(DataType::Timestamp(read_unit(unit)?, zone.map(Arc::from)));
    }
    if let Some(unit) = between(text, "duration[", "]") {
        return Some(DataType::Duration(read_unit(unit)?));
    }
    if let Some(unit) = between(text, "time32[", "]") {
        return Some(DataType::Time32(read_unit(unit)?));
    }
    if let Some(unit) = between(text, "time64[", "]") {
        return Some(DataType::Time64(read_unit(unit)?));
    }
    if let Some(inner) = between(text, "decimal128(", ")") {
        let (precision, scale) = digits(inner)?;
        return Some(DataType::Decimal128(precision, scale));
    }
    if let Some(inner) = between(text, "decimal256(", ")") {
        let (precision, scale) = digits(inner)?;
        return Some(DataType::Decimal256(precision, scale));
    }
    if let Some(inner) = between(text, "list<", ">") {
        let (_, element) = named(inner).unwrap_or(("item", inner));
        return Some(DataType::new_list(read(element)?, true));
    }
    let fields = split(between(text, "struct<", ">")?);
    let fields = fields.into_iter().map(|field| {
        let (name, kind) = named(field)?;
        Some(Field::new(name, read(kind)?, true))
    });
    Some(DataType::Struct(fields.collect::<Option<Vec<_>>>()?.into()))
}

fn plain(text: &str) -> Option<DataType> {
    Some(match text {
        "null" => DataType::Null,
        "bool" => DataType::Boolean,
        "int8" => DataType::Int8,
        "int16" => DataType::Int16,
        "int32" => DataType::Int32,
        "int64" => DataType::Int64,
        "uint8" => DataType::UInt8,
        "uint16" => DataType::UInt16,
        "uint32" => DataType::UInt32,
        "uint64" => DataType::UInt64,
        "float16" | "halffloat" => DataType::Float16,
        "float32" | "float" => DataType::Float32,
        "float64" | "double" => DataType::Float64,
        "string" => DataType::Utf8,
        "large_string" => DataType::LargeUtf8,
        "string_view" => DataType::Utf8View,
        "binary" => DataType::Binary,
        "large_binary" => DataType::LargeBinary,
        "binary_view" => DataType::BinaryView,
        "date32" | "date32[day]" => DataType::Date32,
        "date64" | "date64[ms]" => DataType::Date64,
        _ => return None,
    })
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> Option<&'a str> {
    Some(text.strip_prefix(start)?.strip_suffix(end)?.trim())
}

fn read_unit(text: &str) -> Option<TimeUnit> {
    Some(match text.trim() {
        "s" => TimeUnit::Second,
        "ms" => TimeUnit::Millisecond,
        "us" => TimeUnit::Microsecond,
        "ns" => TimeUnit::Nanosecond,
        _ => return None,
    })
}

fn digits(text: &str) -> Option<(u8, i8)> {
    let (precision, scale) = text.split_once(',')?;
    Some((precision.trim().parse().ok()?, scale.trim().parse().ok()?))
}

/// The name before a colon that is not inside another type.
fn named(text: &str) -> Option<(&str, &str)> {
    let (name, kind) = text.split_once(':')?;
    (!name.contains(['<', '[', '('])).then(|| (name.trim(), kind.trim()))
}

/// Parts between commas that are not inside another type.
fn split(text: &str) -> Vec<&str> {
    let mut depth = 0_usize;
    text.split(|character| {
        match character {
            '<' | '[' | '(' => depth += 1,
            '>' | ']' | ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        character == ',' && depth == 0
    })
    .map(str::trim)
    .filter(|part| !part.is_empty())
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_pyarrow_and_of_the_contract_are_read() {
        let microseconds =
            |zone: Option<&str>| DataType::Timestamp(TimeUnit::Microsecond, zone.map(Arc::from));
        let cases = [
            ("int64", DataType::Int64),
            ("double", DataType::Float64),
            ("timestamp[us]", microseconds(None)),
            ("timestamp[us, UTC]", microseconds(Some("UTC"))),
            (
                "timestamp[us, tz=Europe/Berlin]",
                microseconds(Some("Europe/Berlin")),
            ),
            ("duration[ns]", DataType::Duration(TimeUnit::Nanosecond)),
            ("decimal128(18, 2)", DataType::Decimal128(18, 2)),
            ("list<item: int64>", DataType::new_list(DataType::Int64, true)),
            (
                "list<struct<a: int64, b: list<string>>>",
                DataType::new_list(
                    DataType::Struct(
                        vec![
                            Field::new("a", DataType::Int64, true),
                            Field::new("b", DataType::new_list(DataType::Utf8, true), true),
                        ]
                        .into(),
                    ),
                    true,
                ),
            ),
        ];
        for (text, kind) in cases {
            assert_eq!(parse(text).ok(), Some(kind), "{text}");
        }
        for text in ["int", "timestamp", "timestamp[m]", "list<x>", "decimal128(2)", ""] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
