//! Turns JSON values into Arrow columns.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, BooleanBuilder, Date32Builder, Float64Builder, Int64Builder, ListArray, NullBufferBuilder,
    StringViewBuilder, StructArray, TimestampMicrosecondBuilder,
};
use datafusion::arrow::buffer::OffsetBuffer;
use datafusion::arrow::datatypes::{Field, Fields};

use super::cursor::{Cursor, SyntaxError, Token};
use super::kind::{Kind, Member};
use crate::files::value::{parse_date, parse_float, parse_int, parse_timestamp, parse_timestamp_utc};
use crate::request::ColumnType;

/// Why a line could not be taken.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum LineError {
    Syntax(SyntaxError),
    /// A value that is not of its column's type.
    Value {
        column: String,
        value: String,
        expected: &'static str,
    },
    /// A member that no column is for.
    Unknown {
        column: String,
    },
    /// A member that an object has twice.
    Twice {
        column: String,
    },
}

impl From<SyntaxError> for LineError {
    fn from(error: SyntaxError) -> Self {
        Self::Syntax(error)
    }
}

impl LineError {
    /// The same error one level further out.
    fn within(mut self, name: &str) -> Self {
        if let Self::Value { column, .. } | Self::Unknown { column } | Self::Twice { column } = &mut self {
            *column = if column.is_empty() {
                name.to_owned()
            } else {
                format!("{name}.{column}")
            };
        }
        self
    }
}

/// Builds the array of one column, member or list.
enum Column {
    Bool(BooleanBuilder),
    Int(Int64Builder),
    Float(Float64Builder),
    Date(Date32Builder),
    /// In microseconds; `parse` says whether a zone is wanted.
    Timestamp {
        builder: TimestampMicrosecondBuilder,
        kind: ColumnType,
    },
    Text(StringViewBuilder),
    List {
        items: Box<Column>,
        lengths: Vec<usize>,
        valid: NullBufferBuilder,
        field: Arc<Field>,
    },
    Object {
        members: Members,
        valid: NullBufferBuilder,
    },
}

impl Column {
    fn new(kind: &Kind) -> Self {
        match kind {
            Kind::Unknown => Self::Text(StringViewBuilder::new()),
            Kind::Scalar(kind) => match kind {
                ColumnType::Bool => Self::Bool(BooleanBuilder::new()),
                ColumnType::Int => Self::Int(Int64Builder::new()),
                ColumnType::Float => Self::Float(Float64Builder::new()),
                ColumnType::Date => Self::Date(Date32Builder::new()),
                ColumnType::Timestamp | ColumnType::TimestampUtc => Self::Timestamp {
                    builder: TimestampMicrosecondBuilder::new().with_data_type(kind.data_type()),
                    kind: *kind,
                },
                ColumnType::Text => Self::Text(StringViewBuilder::new()),
            },
            Kind::List(items) => Self::List {
                field: Arc::new(Field::new("item", items.data_type(), true)),
                items: Box::new(Self::new(items)),
                lengths: Vec::new(),
                valid: NullBufferBuilder::new(0),
            },
            Kind::Object(members) => Self::Object {
                members: Members::new(members, |_| true),
                valid: NullBufferBuilder::new(0),
            },
        }
    }

    fn append_null(&mut self) {
        match self {
            Self::Bool(builder) => builder.append_null(),
            Self::Int(builder) => builder.append_null(),
            Self::Float(builder) => builder.append_null(),
            Self::Date(builder) => builder.append_null(),
            Self::Timestamp { builder, .. } => builder.append_null(),
            Self::Text(builder) => builder.append_null(),
            Self::List { lengths, valid, .. } => {
                lengths.push(0);
                valid.append_null();
            }
            Self::Object { members, valid } => {
                members.append_nulls();
                valid.append_null();
            }
        }
    }

    fn append(&mut self, cursor: &mut Cursor<'_>, unknown: Unknown) -> Result<(), LineError> {
        let start = cursor.clone();
        match (self, cursor.value()?) {
            (column, Token::Null) => column.append_null(),
            (Self::Bool(builder), Token::Bool(value)) => builder.append_value(value),
            (Self::Int(builder), Token::Number(text)) => match parse_int(text) {
                Some(value) => builder.append_value(value),
                None => return Err(bad_value(&start, ColumnType::Int.noun())),
            },
            (Self::Float(builder), Token::Number(text)) => match parse_float(text) {
                Some(value) => builder.append_value(value),
                None => return Err(bad_value(&start, ColumnType::Float.noun())),
            },
            (Self::Date(builder), Token::Text(text)) => match parse_date(&text) {
                Some(value) => builder.append_value(value),
                None => return Err(bad_value(&start, ColumnType::Date.noun())),
            },
            (Self::Timestamp { builder, kind }, Token::Text(text)) => match timestamp(*kind, &text) {
                Some(value) => builder.append_value(value),
                None => return Err(bad_value(&start, kind.noun())),
            },
            (Self::Text(builder), Token::Text(text)) => builder.append_value(text),
            // Whatever is no text is kept as it is written.
            (Self::Text(builder), _) => {
                *cursor = start;
                builder.append_value(cursor.skip()?);
            }
            (
                Self::List {
                    items,
                    lengths,
                    valid,
                    ..
                },
                Token::List,
            ) => {
                let mut length = 0;
                while cursor.next_element()? {
                    items
                        .append(cursor, unknown)
                        .map_err(|error| error.within("[]"))?;
                    length += 1;
                }
                lengths.push(length);
                valid.append_non_null();
            }
            (Self::Object { members, valid }, Token::Object) => {
                members.append(cursor, unknown)?;
                valid.append_non_null();
            }
            (column, _) => return Err(bad_value(&start, column.noun())),
        }
        Ok(())
    }

    fn noun(&self) -> &'static str {
        match self {
            Self::Bool(_) => ColumnType::Bool.noun(),
            Self::Int(_) => ColumnType::Int.noun(),
            Self::Float(_) => ColumnType::Float.noun(),
            Self::Date(_) => ColumnType::Date.noun(),
            Self::Timestamp { kind, .. } => kind.noun(),
            Self::Text(_) => ColumnType::Text.noun(),
            Self::List { .. } => "a list",
            Self::Object { .. } => "an object",
        }
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Bool(builder) => Arc::new(builder.finish()),
            Self::Int(builder) => Arc::new(builder.finish()),
            Self::Float(builder) => Arc::new(builder.finish()),
            Self::Date(builder) => Arc::new(builder.finish()),
            Self::Timestamp { builder, .. } => Arc::new(builder.finish()),
            Self::Text(builder) => Arc::new(builder.finish()),
            Self::List {
                items,
                lengths,
                valid,
                field,
            } => {
                let offsets = OffsetBuffer::from_lengths(lengths.drain(..));
                let items = items.finish();
                Arc::new(ListArray::new(Arc::clone(field), offsets, items, valid.finish()))
            }
            Self::Object { members, valid } => {
                let valid = valid.finish();
                let (fields, arrays) = members.finish_fields();
                Arc::new(StructArray::new(fields, arrays, valid))
            }
        }
    }
}

fn timestamp(kind: ColumnType, text: &str) -> Option<i64> {
    match kind {
        ColumnType::TimestampUtc => parse_timestamp_utc(text),
        _ => parse_timestamp(text),
    }
}

fn bad_value(at: &Cursor<'_>, expected: &'static str) -> LineError {
    /// Characters of a value that a message shows.
    const SHOWN: usize = 100;
    match at.clone().skip() {
        Ok(value) => LineError::Value {
            column: String::new(),
            value: value.chars().take(SHOWN).collect(),
            expected,
        },
        Err(error) => LineError::Syntax(error),
    }
}

/// What to do with a member that no column is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unknown {
    Refuse,
    Pass,
}

/// Builds the columns of objects.
pub(super) struct Members {
    names: Vec<String>,
    fields: Fields,
    index: HashMap<String, usize>,
    /// `None` where a member is not wanted.
    columns: Vec<Option<Column>>,
    /// For each member, the number of the last object that has it, counted from 1.
    seen: Vec<u64>,
    objects: u64,
}

impl Members {
    /// Builds those of `members` whose index is `wanted`.
    pub(super) fn new(members: &[Member], wanted: impl Fn(usize) -> bool) -> Self {
        let column = |(index, member): (usize, &Member)| wanted(index).then(|| Column::new(&member.kind));
        Self {
            names: members.iter().map(|member| member.name.clone()).collect(),
            fields: members.iter().map(Member::field).collect(),
            index: members
                .iter()
                .enumerate()
                .map(|(index, member)| (member.name.clone(), index))
                .collect(),
            columns: members.iter().enumerate().map(column).collect(),
            seen: vec![0; members.len()],
            objects: 0,
        }
    }

    /// Appends the members of the object that the cursor is in; those that it lacks are null.
    pub(super) fn append(&mut self, cursor: &mut Cursor<'_>, unknown: Unknown) -> Result<(), LineError> {
        self.objects += 1;
        let mut next = 0;
        while let Some(name) = cursor.next_member()? {
            let Some(index) = self.find(&name, next) else {
                if unknown == Unknown::Refuse {
                    return Err(LineError::Unknown {
                        column: name.into_owned(),
                    });
                }
                cursor.skip()?;
                continue;
            };
            if self.seen[index] == self.objects {
                return Err(LineError::Twice {
                    column: name.into_owned(),
                });
            }
            self.seen[index] = self.objects;
            match &mut self.columns[index] {
                Some(column) => column
                    .append(cursor, unknown)
                    .map_err(|error| error.within(&name))?,
                None => {
                    cursor.skip()?;
                }
            }
            next = index + 1;
        }
        for (column, seen) in self.columns.iter_mut().zip(&self.seen) {
            if *seen != self.objects
                && let Some(column) = column
            {
                column.append_null();
            }
        }
        Ok(())
    }

    /// The member of a name. Objects of a file mostly have their members in one order.
    fn find(&self, name: &str, next: usize) -> Option<usize> {
        match self.names.get(next) {
            Some(expected) if expected == name => Some(next),
            _ => self.index.get(name).copied(),
        }
    }

    fn append_nulls(&mut self) {
        self.columns.iter_mut().flatten().for_each(Column::append_null);
    }

    /// The arrays of the wanted members by index; `None` for the others.
    pub(super) fn finish(&mut self) -> Vec<Option<ArrayRef>> {
        let finish = |column: &mut Option<Column>| column.as_mut().map(Column::finish);
        self.columns.iter_mut().map(finish).collect()
    }

    fn finish_fields(&mut self) -> (Fields, Vec<ArrayRef>) {
        (self.fields.clone(), self.finish().into_iter().flatten().collect())
    }
}
