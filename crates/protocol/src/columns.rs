//! Packed columns: integers in one MessagePack `bin`, in whichever of three forms is smallest.
//!
//! ```text
//!  plain     0 | values, little-endian
//!  sequence  1 | count u32 | first u64 | step i64           (a constant is a sequence of step 0)
//!  packed    2 | count u32 | least u64 | bits u8 | offsets from the least value, `bits` bits each
//! ```
//!
//! A column of a hundred thousand equal or consecutive numbers is 21 bytes, so that even a task with very many
//! inputs fits into one batch. A reader refuses a form it does not know.

use std::fmt;
use std::ops::{Deref, DerefMut};

use serde::de::{Error as _, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

mod packing;

/// Most values a reader unpacks from one column: a few bytes may otherwise claim any number of them.
pub const MAX_COLUMN_ROWS: usize = 1 << 25;

macro_rules! column {
    ($(#[$doc:meta])* $name:ident, $int:ty) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
        pub struct $name(pub Vec<$int>);

        impl Deref for $name {
            type Target = Vec<$int>;

            fn deref(&self) -> &Vec<$int> {
                &self.0
            }
        }

        impl DerefMut for $name {
            fn deref_mut(&mut self) -> &mut Vec<$int> {
                &mut self.0
            }
        }

        impl From<Vec<$int>> for $name {
            fn from(values: Vec<$int>) -> Self {
                Self(values)
            }
        }

        impl FromIterator<$int> for $name {
            fn from_iter<I: IntoIterator<Item = $int>>(values: I) -> Self {
                Self(values.into_iter().collect())
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_bytes(&packing::pack(&self.0))
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let packed = deserializer.deserialize_bytes(PackedBytes)?;
                packing::unpack(&packed).map(Self).map_err(D::Error::custom)
            }
        }
    };
}

column!(
    /// A column of 16-bit integers.
    U16s,
    u16
);
column!(
    /// A column of 32-bit integers.
    U32s,
    u32
);
column!(
    /// A column of 64-bit integers.
    U64s,
    u64
);

/// Takes a `bin` whole; borrowed where the input allows it.
struct PackedBytes;

impl<'de> Visitor<'de> for PackedBytes {
    type Value = std::borrow::Cow<'de, [u8]>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a packed column as bytes")
    }

    fn visit_borrowed_bytes<E>(self, bytes: &'de [u8]) -> Result<Self::Value, E> {
        Ok(bytes.into())
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Self::Value, E> {
        Ok(bytes.to_vec().into())
    }

    fn visit_byte_buf<E>(self, bytes: Vec<u8>) -> Result<Self::Value, E> {
        Ok(bytes.into())
    }
}

/// Variable-length byte strings laid end to end: row `i` is `bytes[offsets[i]..offsets[i + 1]]`.
///
/// No offsets at all means that every row is empty, whatever their number.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BytesColumn {
    /// One more than there are rows, rising, the first 0; or none.
    pub offsets: U32s,
    /// All rows, end to end.
    pub bytes: bytes::Bytes,
}

impl BytesColumn {
    /// Row `i`; empty where the column has no such row.
    pub fn get(&self, i: usize) -> &[u8] {
        match (self.offsets.get(i), self.offsets.get(i + 1)) {
            (Some(&from), Some(&to)) => self.bytes.get(from as usize..to as usize).unwrap_or_default(),
            _ => &[],
        }
    }

    /// Row `i` sharing this column's memory; empty where the column has no such row.
    pub fn slice(&self, i: usize) -> bytes::Bytes {
        self.bytes.slice_ref(self.get(i))
    }

    /// Whether the column is well formed for `rows` rows.
    pub fn is_valid(&self, rows: usize) -> bool {
        if self.offsets.is_empty() {
            return self.bytes.is_empty();
        }
        self.offsets.len() == rows + 1
            && self.offsets.first() == Some(&0)
            && self.offsets.is_sorted()
            && self
                .offsets
                .last()
                .is_some_and(|last| *last as usize == self.bytes.len())
    }
}

/// Builds a [`BytesColumn`] row by row.
#[derive(Debug, Clone, Default)]
pub struct BytesColumnBuilder {
    offsets: Vec<u32>,
    bytes: Vec<u8>,
    rows: usize,
}

impl BytesColumnBuilder {
    /// Appends one row.
    pub fn push(&mut self, row: &[u8]) {
        if !row.is_empty() && self.offsets.is_empty() {
            self.offsets = vec![0; self.rows + 1];
        }
        self.rows += 1;
        self.bytes.extend_from_slice(row);
        if !self.offsets.is_empty() {
            self.offsets
                .push(u32::try_from(self.bytes.len()).unwrap_or(u32::MAX));
        }
    }

    /// Bytes of all rows so far.
    pub fn byte_len(&self) -> usize {
        self.bytes.len()
    }

    /// The column.
    pub fn finish(self) -> BytesColumn {
        BytesColumn {
            offsets: U32s(self.offsets),
            bytes: self.bytes.into(),
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
mod tests {
    use super::*;

    #[test]
    fn a_column_is_one_bin() {
        let encoded = rmp_serde::to_vec(&U32s(vec![7; 100_000])).unwrap();
        assert_eq!(encoded.len(), 2 + 21);
        assert_eq!(rmp_serde::from_slice::<U32s>(&encoded).unwrap().len(), 100_000);
    }

    #[test]
    fn empty_rows_cost_nothing() {
        let mut builder = BytesColumnBuilder::default();
        builder.push(b"");
        builder.push(b"");
        assert_eq!(builder.clone().finish(), BytesColumn::default());
        builder.push(b"xyz");
        let column = builder.finish();
        assert!(column.is_valid(3));
        assert_eq!(
            (column.get(1), column.get(2), column.get(9)),
            (&b""[..], &b"xyz"[..], &b""[..])
        );
    }
}
