//! What a text means: which of the column types it is a value of, and which value.

use datafusion::arrow::compute::kernels::cast_utils::{Parser, string_to_timestamp_nanos};
use datafusion::arrow::datatypes::{DataType, Date32Type, Float64Type, Int64Type, TimeUnit};

use crate::request::ColumnType;

impl ColumnType {
    /// The column's type in a record batch.
    pub(crate) fn data_type(self) -> DataType {
        match self {
            Self::Bool => DataType::Boolean,
            Self::Int => DataType::Int64,
            Self::Float => DataType::Float64,
            Self::Date => DataType::Date32,
            Self::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
            Self::TimestampUtc => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Self::Text => DataType::Utf8View,
        }
    }

    /// What a message calls a value of this type.
    pub(crate) fn noun(self) -> &'static str {
        match self {
            Self::Bool => "true or false",
            Self::Int => "an integer",
            Self::Float => "a number",
            Self::Date => "a date",
            Self::Timestamp => "a timestamp without a zone",
            Self::TimestampUtc => "a timestamp with a zone",
            Self::Text => "text",
        }
    }

    /// Whether `text` is a value of this type.
    pub(crate) fn accepts(self, text: &str) -> bool {
        match self {
            Self::Bool => parse_bool(text).is_some(),
            Self::Int => parse_int(text).is_some(),
            Self::Float => parse_float(text).is_some(),
            Self::Date => parse_date(text).is_some(),
            Self::Timestamp => parse_timestamp(text).is_some(),
            Self::TimestampUtc => parse_timestamp_utc(text).is_some(),
            Self::Text => true,
        }
    }

    /// The narrowest type of one text.
    pub(crate) fn of(text: &str, infer_dates: bool) -> Self {
        let candidates = [
            Self::Int,
            Self::Float,
            Self::Bool,
            Self::Date,
            Self::Timestamp,
            Self::TimestampUtc,
        ];
        let candidates = if infer_dates {
            &candidates[..]
        } else {
            &candidates[..3]
        };
        candidates
            .iter()
            .copied()
            .find(|kind| kind.accepts(text))
            .unwrap_or(Self::Text)
    }

    /// The narrowest type that holds the values of both.
    pub(crate) fn widen(self, other: Self) -> Self {
        match (self, other) {
            (a, b) if a == b => a,
            (Self::Int, Self::Float) | (Self::Float, Self::Int) => Self::Float,
            (Self::Date, Self::Timestamp) | (Self::Timestamp, Self::Date) => Self::Timestamp,
            _ => Self::Text,
        }
    }
}

pub(crate) fn parse_bool(text: &str) -> Option<bool> {
    if text.eq_ignore_ascii_case("true") {
        Some(true)
    } else if text.eq_ignore_ascii_case("false") {
        Some(false)
    } else {
        None
    }
}

pub(crate) fn parse_int(text: &str) -> Option<i64> {
    Int64Type::parse(text)
}

pub(crate) fn parse_float(text: &str) -> Option<f64> {
    // An integer that a float would silently round (ids of 20 digits) is text, not a number.
    let trimmed = text.trim_ascii();
    let digits = trimmed.strip_prefix(['+', '-']).unwrap_or(trimmed);
    if digits.len() > 18 && digits.bytes().all(|byte| byte.is_ascii_digit()) && parse_int(text).is_none() {
        return None;
    }
    Float64Type::parse(text)
}

/// Days since 1970 of `YYYY-MM-DD`.
pub(crate) fn parse_date(text: &str) -> Option<i32> {
    if text.len() == 10 && has_date_shape(text) {
        Date32Type::parse(text)
    } else {
        None
    }
}

/// Microseconds since 1970 of an ISO date, with or without a time, and no zone.
pub(crate) fn parse_timestamp(text: &str) -> Option<i64> {
    if !has_date_shape(text) || zone_start(text).is_some() || !has_time_or_nothing(text) {
        return None;
    }
    parse_micros(text)
}

/// Microseconds since 1970 of an ISO date and time with a zone.
pub(crate) fn parse_timestamp_utc(text: &str) -> Option<i64> {
    if !has_date_shape(text) || zone_start(text).is_none() || !has_time_or_nothing(text) {
        return None;
    }
    parse_micros(text)
}

fn parse_micros(text: &str) -> Option<i64> {
    // The engine's parser wants seconds, and people leave them out.
    let with_seconds = if text.len() == 16 {
        &format!("{text}:00")
    } else {
        text
    };
    let nanos = string_to_timestamp_nanos(with_seconds).ok()?;
    Some(nanos.div_euclid(1000))
}

fn has_date_shape(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() >= 10
        && bytes[..10].iter().enumerate().all(|(index, byte)| match index {
            4 | 7 => *byte == b'-',
            _ => byte.is_ascii_digit(),
        })
}

fn has_time_or_nothing(text: &str) -> bool {
    let bytes = text.as_bytes();
    match bytes.len() {
        10 => true,
        length => length >= 16 && matches!(bytes[10], b'T' | b' ') && bytes[13] == b':',
    }
}

/// Where the zone of a timestamp starts, if it has one.
fn zone_start(text: &str) -> Option<usize> {
    let time = text.get(11..)?;
    time.find(['Z', 'z', '+', '-']).map(|index| index + 11)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn narrowest_type_of_a_text_is_what_pandas_or_iso_8601_says() {
        let cases = [
            ("7", ColumnType::Int),
            (" 7", ColumnType::Int),
            ("+7", ColumnType::Int),
            ("007", ColumnType::Int),
            ("7.", ColumnType::Float),
            (".5", ColumnType::Float),
            ("1e5", ColumnType::Float),
            ("-inf", ColumnType::Float),
            ("TRUE", ColumnType::Bool),
            ("2013-01-01", ColumnType::Date),
            ("2013-01-01 05:15", ColumnType::Timestamp),
            ("2013-01-01T05:15:00", ColumnType::Timestamp),
            ("2013-01-01T05:15:00.123456", ColumnType::Timestamp),
            ("2013-01-01T05:15:00Z", ColumnType::TimestampUtc),
            ("2013-01-01T05:15:00+02:00", ColumnType::TimestampUtc),
            ("2013-13-01", ColumnType::Text),
            ("20130101000000000000", ColumnType::Text),
            ("1,5", ColumnType::Text),
            ("0x1F", ColumnType::Text),
            ("yes", ColumnType::Text),
        ];
        for (text, expected) in cases {
            assert_eq!(ColumnType::of(text, true), expected, "{text}");
        }
        assert_eq!(ColumnType::of("2013-01-01", false), ColumnType::Text);
    }

    #[test]
    fn widening_ends_in_text_and_never_refuses_what_it_has_seen() {
        assert_eq!(ColumnType::Int.widen(ColumnType::Float), ColumnType::Float);
        assert_eq!(
            ColumnType::Date.widen(ColumnType::Timestamp),
            ColumnType::Timestamp
        );
        assert_eq!(ColumnType::Bool.widen(ColumnType::Int), ColumnType::Text);
        assert_eq!(
            ColumnType::Timestamp.widen(ColumnType::TimestampUtc),
            ColumnType::Text
        );
        assert!(ColumnType::Float.accepts("9007199254740993"));
        assert!(ColumnType::Timestamp.accepts("2013-01-01"));
    }
}
