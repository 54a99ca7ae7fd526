//! Turns records into Arrow columns.

use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, BooleanArray, PrimitiveArray, StringViewBuilder, TimestampMicrosecondArray,
};
use datafusion::arrow::datatypes::{ArrowPrimitiveType, Date32Type, Float64Type, Int64Type};

use super::na::NaSet;
use super::records::Records;
use crate::files::value::{
    parse_bool, parse_date, parse_float, parse_int, parse_timestamp, parse_timestamp_utc,
};
use crate::request::ColumnType;

/// Why a column could not be built.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ColumnError {
    /// The record's bytes are not UTF-8.
    Encoding { row: usize },
    /// The record's text is not a value of the column's type.
    Value { row: usize, text: String },
}

/// The array of column `index`.
pub(super) fn build(
    records: &Records,
    index: usize,
    kind: ColumnType,
    na: &NaSet,
) -> Result<ArrayRef, ColumnError> {
    let column = Column {
        records,
        text: std::str::from_utf8(records.data()).ok(),
        index,
        na,
    };
    Ok(match kind {
        ColumnType::Bool => Arc::new(column.values(parse_bool).collect::<Result<BooleanArray, _>>()?),
        ColumnType::Int => column.primitive::<Int64Type>(parse_int)?,
        ColumnType::Float => column.primitive::<Float64Type>(parse_float)?,
        ColumnType::Date => column.primitive::<Date32Type>(parse_date)?,
        ColumnType::Timestamp => Arc::new(
            column
                .values(parse_timestamp)
                .collect::<Result<TimestampMicrosecondArray, _>>()?,
        ),
        ColumnType::TimestampUtc => {
            let naive = column
                .values(parse_timestamp_utc)
                .collect::<Result<TimestampMicrosecondArray, _>>()?;
            Arc::new(naive.with_timezone("UTC"))
        }
        ColumnType::Text => column.texts()?,
    })
}

struct Column<'a> {
    records: &'a Records,
    /// All fields, if the whole batch is UTF-8, so that it is checked once and not per field.
    text: Option<&'a str>,
    index: usize,
    na: &'a NaSet,
}

impl<'a> Column<'a> {
    fn field(&self, row: usize) -> Result<&'a str, ColumnError> {
        let range = self.records.range(row, self.index);
        match self.text {
            Some(text) => text.get(range),
            None => std::str::from_utf8(&self.records.data()[range]).ok(),
        }
        .ok_or(ColumnError::Encoding { row })
    }

    fn values<T>(
        &self,
        parse: impl Fn(&str) -> Option<T>,
    ) -> impl Iterator<Item = Result<Option<T>, ColumnError>> {
        (0..self.records.len()).map(move |row| {
            let text = self.field(row)?;
            if self.na.contains(text) {
                return Ok(None);
            }
            match parse(text) {
                Some(value) => Ok(Some(value)),
                None => Err(ColumnError::Value {
                    row,
                    text: text.to_owned(),
                }),
            }
        })
    }

    fn primitive<T: ArrowPrimitiveType>(
        &self,
        parse: impl Fn(&str) -> Option<T::Native>,
    ) -> Result<ArrayRef, ColumnError> {
        Ok(Arc::new(
            self.values(parse).collect::<Result<PrimitiveArray<T>, _>>()?,
        ))
    }

    fn texts(&self) -> Result<ArrayRef, ColumnError> {
        let mut builder = StringViewBuilder::with_capacity(self.records.len());
        for row in 0..self.records.len() {
            let text = self.field(row)?;
            builder.append_option((!self.na.contains(text)).then_some(text));
        }
        Ok(Arc::new(builder.finish()))
    }
}
