//! Functions that every worker has: for benchmarks, demonstrations and tests.

use std::hint;
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate as millstream;
use crate::native::{NativeFunction, TaskCtx, Variadic};

/// How often a sleeping task looks whether it should stop.
const CANCEL_POLL: Duration = Duration::from_millis(10);

/// MessagePack's nil.
const NIL: Bytes = Bytes::from_static(&[0xc0]);

// Not by attribute: it must not even decode its inputs.
inventory::submit! {
    NativeFunction::named("bench:noop", |_| Ok(NIL), &["..."])
}

/// Ignores any input and sleeps.
#[millstream::task(name = "bench:sleep_ms")]
fn sleep_ms(ctx: &mut TaskCtx<'_>, ms: u64, _inputs: Variadic<IgnoredAny>) -> u64 {
    let end = Instant::now() + Duration::from_millis(ms);
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() || ctx.is_cancelled() {
            return ms;
        }
        thread::sleep(left.min(CANCEL_POLL));
    }
}

/// Keeps a core busy.
#[millstream::task(name = "bench:spin_us")]
fn spin_us(ctx: &mut TaskCtx<'_>, us: u64, _inputs: Variadic<IgnoredAny>) -> u64 {
    let end = Instant::now() + Duration::from_micros(us);
    while Instant::now() < end && !ctx.is_cancelled() {
        hint::spin_loop();
    }
    us
}

#[millstream::task(name = "bench:inc")]
fn inc(number: i64) -> Result<i64, &'static str> {
    number.checked_add(1).ok_or("the number is too large to add 1 to")
}

/// What can be added up. Nothing counts as zero, a list as the sum of its items.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Summand {
    Int(i64),
    Float(f64),
    List(Vec<Summand>),
    Nothing(()),
}

impl Summand {
    /// Adds this to a sum; whole numbers stay whole as long as there is no fraction among them.
    fn add_to(&self, sum: Self) -> Result<Self, &'static str> {
        Ok(match (sum, self) {
            (sum, Self::Nothing(())) => sum,
            (sum, Self::List(items)) => items.iter().try_fold(sum, |sum, item| item.add_to(sum))?,
            (Self::Int(a), Self::Int(b)) => Self::Int(a.checked_add(*b).ok_or("the sum is too large")?),
            (sum, item) => Self::Float(sum.as_f64() + item.as_f64()),
        })
    }

    fn as_f64(&self) -> f64 {
        match self {
            Self::Int(number) => *number as f64,
            Self::Float(number) => *number,
            Self::List(_) | Self::Nothing(()) => 0.0,
        }
    }
}

#[millstream::task(name = "bench:sum")]
fn sum(numbers: Variadic<Summand>) -> Result<Summand, &'static str> {
    let zero = Summand::Int(0);
    numbers.0.iter().try_fold(zero, |sum, number| number.add_to(sum))
}

/// Bytes that do not compress to nothing, the same for the same length.
#[millstream::task(name = "bench:blob")]
fn blob(bytes: u64, _inputs: Variadic<IgnoredAny>) -> Result<ByteBuf, String> {
    let len = usize::try_from(bytes).map_err(|_| format!("{bytes} bytes do not fit into memory"))?;
    let mut blob = Vec::new();
    blob.try_reserve_exact(len)
        .map_err(|_| format!("no memory for {bytes} bytes"))?;
    let mut state = 0x9e37_79b9_7f4a_7c15_u64 ^ bytes;
    while blob.len() < len {
        // xorshift64 (Marsaglia 2003).
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let word = state.to_le_bytes();
        blob.extend_from_slice(&word[..word.len().min(len - blob.len())]);
    }
    Ok(ByteBuf::from(blob))
}

/// Fails with the given message.
#[millstream::task(name = "bench:fail")]
fn fail(message: String, _inputs: Variadic<IgnoredAny>) -> Result<(), String> {
    Err(message)
}
