//! The three forms of a packed column.

use super::MAX_COLUMN_ROWS;

const PLAIN: u8 = 0;
const SEQUENCE: u8 = 1;
const PACKED: u8 = 2;

/// Why bytes are no column.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum UnpackError {
    #[error("a column ends inside a value")]
    Torn,
    #[error("a column of unknown form {0}")]
    UnknownForm(u8),
    #[error("a column claims {0} values, the limit is {MAX_COLUMN_ROWS}")]
    TooLong(usize),
    #[error("a column holds a value beyond its type")]
    Overflow,
}

/// An integer that columns hold.
pub(super) trait Int: Copy {
    const BYTES: usize;
    fn widen(self) -> u64;
    fn narrow(wide: u64) -> Option<Self>;
}

macro_rules! int {
    ($($int:ty),*) => {$(
        impl Int for $int {
            const BYTES: usize = size_of::<$int>();
            fn widen(self) -> u64 {
                u64::from(self)
            }
            fn narrow(wide: u64) -> Option<Self> {
                Self::try_from(wide).ok()
            }
        }
    )*};
}
int!(u16, u32, u64);

pub(super) fn pack<T: Int>(values: &[T]) -> Vec<u8> {
    if let Some(sequence) = pack_sequence(values) {
        return sequence;
    }
    let (least, most) = values
        .iter()
        .map(|value| value.widen())
        .fold((u64::MAX, 0), |(least, most), value| {
            (least.min(value), most.max(value))
        });
    let bits = (64 - most.saturating_sub(least).leading_zeros()) as usize;
    let packed_len = 14 + (values.len() * bits).div_ceil(8);
    if packed_len < 1 + values.len() * T::BYTES {
        return pack_bits(values, least, bits, packed_len);
    }
    let mut plain = Vec::with_capacity(1 + values.len() * T::BYTES);
    plain.push(PLAIN);
    for value in values {
        plain.extend_from_slice(&value.widen().to_le_bytes()[..T::BYTES]);
    }
    plain
}

/// A column of at least six values with one step between all of them; shorter ones are as small plain.
fn pack_sequence<T: Int>(values: &[T]) -> Option<Vec<u8>> {
    let [first, second, _, _, _, _, ..] = values else {
        return None;
    };
    let step = second.widen().wrapping_sub(first.widen());
    let even = values
        .windows(2)
        .all(|pair| pair[1].widen().wrapping_sub(pair[0].widen()) == step);
    even.then(|| {
        let mut packed = vec![SEQUENCE];
        packed.extend_from_slice(&(values.len() as u32).to_le_bytes());
        packed.extend_from_slice(&first.widen().to_le_bytes());
        packed.extend_from_slice(&step.to_le_bytes());
        packed
    })
}

fn pack_bits<T: Int>(values: &[T], least: u64, bits: usize, len: usize) -> Vec<u8> {
    let mut packed = Vec::with_capacity(len);
    packed.push(PACKED);
    packed.extend_from_slice(&(values.len() as u32).to_le_bytes());
    packed.extend_from_slice(&least.to_le_bytes());
    packed.push(bits as u8);
    let (mut window, mut filled) = (0_u128, 0);
    for value in values {
        window |= u128::from(value.widen() - least) << filled;
        filled += bits;
        while filled >= 8 {
            packed.push(window as u8);
            window >>= 8;
            filled -= 8;
        }
    }
    if filled > 0 {
        packed.push(window as u8);
    }
    packed
}

pub(super) fn unpack<T: Int>(bytes: &[u8]) -> Result<Vec<T>, UnpackError> {
    let Some((form, rest)) = bytes.split_first() else {
        return Ok(Vec::new());
    };
    match *form {
        PLAIN => unpack_plain(rest),
        SEQUENCE => {
            let (count, rest) = take_count(rest)?;
            let (first, rest) = take_u64(rest)?;
            let (step, rest) = take_u64(rest)?;
            if !rest.is_empty() {
                return Err(UnpackError::Torn);
            }
            let value = |i: usize| T::narrow(first.wrapping_add(step.wrapping_mul(i as u64)));
            (0..count)
                .map(|i| value(i).ok_or(UnpackError::Overflow))
                .collect()
        }
        PACKED => unpack_bits(rest),
        form => Err(UnpackError::UnknownForm(form)),
    }
}

fn unpack_plain<T: Int>(bytes: &[u8]) -> Result<Vec<T>, UnpackError> {
    if !bytes.len().is_multiple_of(T::BYTES) {
        return Err(UnpackError::Torn);
    }
    let value = |row: &[u8]| {
        let mut wide = [0; 8];
        wide[..T::BYTES].copy_from_slice(row);
        T::narrow(u64::from_le_bytes(wide)).ok_or(UnpackError::Overflow)
    };
    bytes.chunks_exact(T::BYTES).map(value).collect()
}

fn unpack_bits<T: Int>(bytes: &[u8]) -> Result<Vec<T>, UnpackError> {
    let (count, rest) = take_count(bytes)?;
    let (least, rest) = take_u64(rest)?;
    let (&bits, rest) = rest.split_first().ok_or(UnpackError::Torn)?;
    let bits = usize::from(bits);
    if bits > 64 || rest.len() != (count * bits).div_ceil(8) {
        return Err(UnpackError::Torn);
    }
    let mask = if bits == 64 { u64::MAX } else { (1 << bits) - 1 };
    let mut source = rest.iter();
    let (mut window, mut filled) = (0_u128, 0);
    let mut values = Vec::with_capacity(count);
    for _ in 0..count {
        while filled < bits {
            window |= u128::from(*source.next().ok_or(UnpackError::Torn)?) << filled;
            filled += 8;
        }
        let wide = least.checked_add(window as u64 & mask).and_then(T::narrow);
        values.push(wide.ok_or(UnpackError::Overflow)?);
        window >>= bits;
        filled -= bits;
    }
    Ok(values)
}

fn take_count(bytes: &[u8]) -> Result<(usize, &[u8]), UnpackError> {
    let (count, rest) = bytes.split_first_chunk().ok_or(UnpackError::Torn)?;
    let count = u32::from_le_bytes(*count) as usize;
    if count > MAX_COLUMN_ROWS {
        Err(UnpackError::TooLong(count))
    } else {
        Ok((count, rest))
    }
}

fn take_u64(bytes: &[u8]) -> Result<(u64, &[u8]), UnpackError> {
    let (value, rest) = bytes.split_first_chunk().ok_or(UnpackError::Torn)?;
    Ok((u64::from_le_bytes(*value), rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_column_survives(values: Vec<u64>) {
            prop_assert_eq!(unpack::<u64>(&pack(&values)), Ok(values));
        }

        #[test]
        fn a_narrow_column_is_packed_and_survives(values in prop::collection::vec(1000_u32..1003, 0..500)) {
            let packed = pack(&values);
            prop_assert!(packed.len() <= 14 + values.len().div_ceil(4) || values.len() < 6);
            prop_assert_eq!(unpack::<u32>(&packed), Ok(values));
        }

        #[test]
        fn noise_never_panics(bytes: Vec<u8>) {
            let _ = unpack::<u16>(&bytes);
            let _ = unpack::<u32>(&bytes);
            let _ = unpack::<u64>(&bytes);
        }
    }

    #[test]
    fn a_falling_sequence_survives() {
        let values: Vec<u32> = (0..100).rev().map(|i| i * 3).collect();
        assert_eq!(pack(&values).len(), 21);
        assert_eq!(unpack(&pack(&values)), Ok(values));
    }

    #[test]
    fn a_claim_of_too_many_values_is_refused() {
        let mut packed = vec![SEQUENCE];
        packed.extend_from_slice(&u32::MAX.to_le_bytes());
        packed.extend_from_slice(&[0; 16]);
        assert_eq!(
            unpack::<u32>(&packed),
            Err(UnpackError::TooLong(u32::MAX as usize))
        );
    }

    #[test]
    fn a_value_beyond_the_type_is_refused() {
        assert_eq!(unpack::<u16>(&pack(&[70_000_u32; 8])), Err(UnpackError::Overflow));
    }
}
