//! The types of JSON values, and how they widen.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field};
use serde::{Deserialize, Serialize};

use super::cursor::{Cursor, SyntaxError, Token};
use crate::files::value::{parse_float, parse_int};
use crate::request::ColumnType;

/// Members of an object beyond which its names are taken for data (a map by some key), and it is kept as text.
const MAX_MEMBERS: usize = 1000;

/// What a column, a member or an element holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Kind {
    /// Nothing but nulls so far.
    Unknown,
    /// One value. Text holds values of all kinds: such as are not texts are kept as written.
    Scalar(ColumnType),
    List(Box<Kind>),
    Object(Vec<Member>),
}

/// A member of an object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Member {
    pub(super) name: String,
    pub(super) kind: Kind,
}

const TEXT: Kind = Kind::Scalar(ColumnType::Text);

impl Kind {
    /// Widens to hold the next value too.
    pub(super) fn observe(&mut self, cursor: &mut Cursor<'_>, dates: bool) -> Result<(), SyntaxError> {
        if *self == TEXT {
            return cursor.skip().map(|_| ());
        }
        match cursor.value()? {
            Token::Null => {}
            Token::Bool(_) => self.add(ColumnType::Bool),
            Token::Number(text) => self.add(number(text)),
            Token::Text(text) => {
                if !matches!(self, Self::Scalar(kind) if is_date(*kind) && kind.accepts(&text)) {
                    self.add(if dates { date(&text) } else { ColumnType::Text });
                }
            }
            Token::List => {
                if *self == Self::Unknown {
                    *self = Self::List(Box::new(Self::Unknown));
                }
                let Self::List(items) = self else {
                    return self.give_up(cursor, &Token::List);
                };
                while cursor.next_element()? {
                    items.observe(cursor, dates)?;
                }
            }
            Token::Object => {
                if *self == Self::Unknown {
                    *self = Self::Object(Vec::new());
                }
                let Self::Object(members) = self else {
                    return self.give_up(cursor, &Token::Object);
                };
                observe_members(members, cursor, dates)?;
                if members.len() > MAX_MEMBERS {
                    *self = TEXT;
                }
            }
        }
        Ok(())
    }

    fn give_up(&mut self, cursor: &mut Cursor<'_>, token: &Token<'_>) -> Result<(), SyntaxError> {
        *self = TEXT;
        cursor.skip_rest(token)
    }

    fn add(&mut self, seen: ColumnType) {
        *self = match self {
            Self::Unknown => Self::Scalar(seen),
            Self::Scalar(kind) => Self::Scalar(kind.widen(seen)),
            Self::List(_) | Self::Object(_) => TEXT,
        };
    }

    /// Holds the values of both.
    pub(super) fn merge(self, other: Self) -> Self {
        match (self, other) {
            (Self::Unknown, kind) | (kind, Self::Unknown) => kind,
            (Self::Scalar(a), Self::Scalar(b)) => Self::Scalar(a.widen(b)),
            (Self::List(a), Self::List(b)) => Self::List(Box::new(a.merge(*b))),
            (Self::Object(a), Self::Object(b)) => Self::Object(merge_members(a, b)),
            _ => TEXT,
        }
    }

    /// The type with text for what was never seen: it holds whatever turns up.
    pub(super) fn settle(self) -> Self {
        match self {
            Self::Unknown => TEXT,
            Self::Object(members) if members.is_empty() => TEXT,
            Self::Object(members) => Self::Object(members.into_iter().map(Member::settle).collect()),
            Self::List(items) => Self::List(Box::new(items.settle())),
            Self::Scalar(_) => self,
        }
    }

    /// The type in a record batch, once settled.
    pub(super) fn data_type(&self) -> DataType {
        match self {
            Self::Unknown => ColumnType::Text.data_type(),
            Self::Scalar(kind) => kind.data_type(),
            Self::List(items) => DataType::List(Arc::new(Field::new("item", items.data_type(), true))),
            Self::Object(members) => DataType::Struct(members.iter().map(Member::field).collect()),
        }
    }
}

impl Member {
    fn settle(self) -> Self {
        Self {
            name: self.name,
            kind: self.kind.settle(),
        }
    }

    pub(super) fn field(&self) -> Field {
        Field::new(&self.name, self.kind.data_type(), true)
    }
}

/// Widens `members` to hold those of the object that the cursor is in.
pub(super) fn observe_members(
    members: &mut Vec<Member>,
    cursor: &mut Cursor<'_>,
    dates: bool,
) -> Result<(), SyntaxError> {
    // Objects of a file mostly have their members in one order.
    let mut next = 0;
    while let Some(name) = cursor.next_member()? {
        let expected = members.get(next).is_some_and(|member| member.name == name);
        let index = if expected {
            next
        } else {
            let known = members.iter().position(|member| member.name == name);
            known.unwrap_or_else(|| {
                members.push(Member {
                    name: name.into_owned(),
                    kind: Kind::Unknown,
                });
                members.len() - 1
            })
        };
        members[index].kind.observe(cursor, dates)?;
        next = index + 1;
    }
    Ok(())
}

/// All members of both, in the order in which they were first seen.
pub(super) fn merge_members(mut members: Vec<Member>, others: Vec<Member>) -> Vec<Member> {
    for other in others {
        match members.iter_mut().find(|member| member.name == other.name) {
            Some(member) => {
                let kind = std::mem::replace(&mut member.kind, Kind::Unknown);
                member.kind = kind.merge(other.kind);
            }
            None => members.push(other),
        }
    }
    members
}

fn number(text: &str) -> ColumnType {
    if parse_int(text).is_some() {
        ColumnType::Int
    } else if parse_float(text).is_some() {
        ColumnType::Float
    } else {
        ColumnType::Text
    }
}

fn date(text: &str) -> ColumnType {
    match ColumnType::of(text, true) {
        kind if is_date(kind) => kind,
        _ => ColumnType::Text,
    }
}

/// Whether values of a type are texts in JSON, but not in a record batch.
fn is_date(kind: ColumnType) -> bool {
    matches!(
        kind,
        ColumnType::Date | ColumnType::Timestamp | ColumnType::TimestampUtc
    )
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
mod tests {
    use super::*;

    fn kind(values: &[&str]) -> Kind {
        let mut kind = Kind::Unknown;
        for value in values {
            kind.observe(&mut Cursor::new(value), true).unwrap();
        }
        // What one file shows is what two show together.
        let mut parts = values.iter().map(|value| {
            let mut kind = Kind::Unknown;
            kind.observe(&mut Cursor::new(value), true).unwrap();
            kind
        });
        let first = parts.next().unwrap();
        assert_eq!(parts.fold(first, Kind::merge), kind);
        kind
    }

    fn list(kind: Kind) -> Kind {
        Kind::List(Box::new(kind))
    }

    #[test]
    fn values_widen_from_integer_to_float_to_text() {
        use ColumnType::*;
        for (values, expected) in [
            (vec!["1", "null", "-2"], Int),
            (vec!["1", "2.5"], Float),
            (vec!["2.5", "1"], Float),
            (vec!["1", "\"1\""], Text),
            (vec!["12345678901234567890"], Text),
            (vec!["true", "null"], Bool),
            (vec!["true", "1"], Text),
            (vec!["\"2024-01-31\""], Date),
            (vec!["\"2024-01-31\"", "\"2024-01-31T10:00:00\""], Timestamp),
            (vec!["\"2024-01-31T10:00:00Z\""], TimestampUtc),
            (vec!["\"2024-01-31\"", "\"soon\""], Text),
            (vec!["\"7\""], Text),
            (vec!["[1]", "1"], Text),
            (vec!["{\"a\":1}", "[1]"], Text),
        ] {
            assert_eq!(kind(&values), Kind::Scalar(expected), "{values:?}");
        }
    }

    #[test]
    fn lists_and_objects_widen_within() {
        assert_eq!(
            kind(&["[1]", "[]", "[null, 2.5]"]),
            list(Kind::Scalar(ColumnType::Float))
        );
        let Kind::Object(members) = kind(&[r#"{"a":1}"#, r#"{"b":[true],"a":1.5}"#]) else {
            panic!("not an object")
        };
        let members: Vec<_> = members
            .into_iter()
            .map(|member| (member.name, member.kind))
            .collect();
        let expected = [
            ("a".to_owned(), Kind::Scalar(ColumnType::Float)),
            ("b".to_owned(), list(Kind::Scalar(ColumnType::Bool))),
        ];
        assert_eq!(members, expected);
    }

    #[test]
    fn what_was_never_seen_is_text() {
        assert_eq!(kind(&["null"]).settle(), TEXT);
        assert_eq!(kind(&["{}"]).settle(), TEXT);
        assert_eq!(kind(&["[]"]).settle(), list(TEXT));
    }
}
