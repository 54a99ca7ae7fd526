//! Any bytes read as any message: a value or a typed error. What was read is written and read again, and is the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use millstream_protocol::envelope;
use millstream_protocol::wire::{Datagram, FromWorker, ToWorker};
use millstream_types::ClusterName;
use serde::Serialize;
use serde::de::DeserializeOwned;

fn survives_the_wire<T: Serialize + DeserializeOwned>(bytes: &[u8]) {
    let cluster = ClusterName::default();
    let Ok(batch) = envelope::decode_batch::<T>(&cluster, bytes) else {
        return;
    };
    let written = envelope::encode_batch(&batch.header, &batch.items).expect("what was read can be written");
    let again = envelope::decode_batch::<T>(&cluster, &written).expect("what was written can be read");
    let rewritten = envelope::encode_batch(&again.header, &again.items).expect("and written again");
    // Bytes and not values: a float that is no number does not equal itself.
    assert_eq!(written, rewritten);
}

fuzz_target!(|bytes: &[u8]| {
    survives_the_wire::<FromWorker>(bytes);
    survives_the_wire::<ToWorker>(bytes);
    survives_the_wire::<Datagram>(bytes);
});
