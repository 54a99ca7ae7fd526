//! Items that are larger than a batch: cut into pieces for several batches, and put together again.
//!
//! A piece is a MessagePack extension value, which no item begins with. All but an item's last piece have one type, the
//! last another. A session neither loses nor reorders batches, so pieces need no number.

use rmp::decode::read_ext_meta;
use rmp::encode::write_ext_meta;
use serde::de::DeserializeOwned;

use crate::codec::{self, DecodeError, MAX_BATCH_BYTES};

/// The largest item that a session carries.
pub const MAX_ITEM_BYTES: usize = 64 << 20;

/// A piece before the last.
const MORE: i8 = 1;
/// The last piece of an item.
const LAST: i8 = 2;

/// Marker, length and type of an extension value of any length.
const HEAD_BYTES: usize = 6;

/// Cuts an encoded item so that each part fits into a batch. One that fits is left as it is.
pub(crate) fn cut(item: Vec<u8>) -> impl Iterator<Item = Vec<u8>> {
    let (whole, large) = if item.len() <= MAX_BATCH_BYTES {
        (Some(item), Vec::new())
    } else {
        (None, item)
    };
    let most = MAX_BATCH_BYTES - HEAD_BYTES;
    let count = large.len().div_ceil(most);
    let pieces = (0..count).map(move |at| {
        let part = &large[at * most..large.len().min((at + 1) * most)];
        let kind = if at + 1 == count { LAST } else { MORE };
        let mut piece = Vec::with_capacity(HEAD_BYTES + part.len());
        // Writing to memory cannot fail, and a part is shorter than any length that the head can tell.
        let _ = write_ext_meta(&mut piece, part.len() as u32, kind);
        piece.extend_from_slice(part);
        piece
    });
    whole.into_iter().chain(pieces)
}

/// What has arrived of an item that came in pieces.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pieces {
    begun: Vec<u8>,
}

impl Pieces {
    /// Reads the items of a batch; pieces are kept until their last one has come.
    pub(crate) fn read<T: DeserializeOwned>(&mut self, mut bytes: &[u8]) -> Result<Vec<T>, DecodeError> {
        let mut items = Vec::new();
        while let Some(&marker) = bytes.first() {
            if is_extension(marker) {
                items.extend(self.piece(&mut bytes)?);
            } else {
                items.push(codec::decode_prefix(&mut bytes)?);
            }
        }
        Ok(items)
    }

    fn piece<T: DeserializeOwned>(&mut self, bytes: &mut &[u8]) -> Result<Option<T>, DecodeError> {
        let head = read_ext_meta(bytes).map_err(|_| DecodeError::Truncated)?;
        let length = head.size as usize;
        let (part, rest) = bytes.split_at_checked(length).ok_or(DecodeError::Truncated)?;
        *bytes = rest;
        let size = self.begun.len() + length;
        if size > MAX_ITEM_BYTES {
            return Err(DecodeError::Oversized {
                size,
                limit: MAX_ITEM_BYTES,
            });
        }
        self.begun.extend_from_slice(part);
        match head.typeid {
            MORE => Ok(None),
            LAST => codec::decode(&std::mem::take(&mut self.begun)).map(Some),
            other => Err(DecodeError::malformed(format!("extension type {other}"))),
        }
    }
}

const fn is_extension(marker: u8) -> bool {
    matches!(marker, 0xc7..=0xc9 | 0xd4..=0xd8)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
mod tests {
    use super::*;

    fn cut_item(item: &str) -> Vec<Vec<u8>> {
        cut(codec::encode(item).unwrap()).collect()
    }

    #[test]
    fn a_small_item_is_not_cut() {
        assert_eq!(cut_item("small"), [codec::encode("small").unwrap()]);
    }

    #[test]
    fn pieces_fit_into_batches_and_give_the_item_back() {
        let item = "0123456789".repeat(400_000);
        let parts = cut_item(&item);
        assert_eq!(parts.len(), 4);
        assert!(parts.iter().all(|part| part.len() <= MAX_BATCH_BYTES));
        let mut pieces = Pieces::default();
        for part in &parts[..3] {
            assert_eq!(pieces.read::<String>(part).unwrap(), [""; 0]);
        }
        // Items of another queue may come between pieces, and others behind them.
        assert_eq!(pieces.read::<String>(&cut_item("urgent")[0]).unwrap(), ["urgent"]);
        let mut last = parts[3].clone();
        last.extend_from_slice(&cut_item("next")[0]);
        assert_eq!(pieces.read::<String>(&last).unwrap(), [item, "next".to_owned()]);
    }

    #[test]
    fn hostile_pieces_are_refused() {
        let item = "0123456789".repeat(200_000);
        let parts = cut_item(&item);
        let refused = |bytes: &[u8]| Pieces::default().read::<String>(bytes).unwrap_err().code();
        assert_eq!(refused(&parts[0][..4]), "truncated");
        assert_eq!(refused(&parts[0][..100]), "truncated");
        assert_eq!(refused(&[0xd4, 7, 0]), "malformed");
        // A last piece without those before it is no item.
        assert_eq!(refused(&parts[1]), "malformed");
        let mut pieces = Pieces::default();
        let endless = (0..100).map(|_| pieces.read::<String>(&parts[0]));
        let error = endless.filter_map(Result::err).next().unwrap();
        assert_eq!(error.code(), "oversized");
    }
}
