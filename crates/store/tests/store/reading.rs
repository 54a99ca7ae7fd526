//! Names, generations, parts and readers.

use millstream_store::{EncodedObject, EncodedPart, Format, Missing, Payload, PutError};
use millstream_types::ByteSize;

use crate::harness::*;

#[tokio::test]
async fn what_is_put_is_got() {
    let (store, _events) = open(None);
    put(&store, 1, data(1, 100));
    let got = store.get(object(1), attempt(1), None).await.unwrap();
    assert_eq!(got.value().unwrap(), data(1, 100));
    assert_eq!(got.format(), Format::Raw);
    assert!(store.contains(object(1), attempt(1), None));
}

#[tokio::test]
async fn another_generation_is_never_served() {
    let (store, _events) = open(None);
    put(&store, 1, data(1, 100));
    let held = attempt(1);
    let missing = store.get(object(1), attempt(2), None).await.unwrap_err();
    assert_eq!(missing, Missing::WrongGeneration { held });
    assert_eq!(
        store.get(object(2), attempt(1), None).await.unwrap_err(),
        Missing::Gone
    );
}

#[tokio::test]
async fn a_second_put_of_a_generation_changes_nothing() {
    let (store, _events) = open(None);
    put(&store, 1, data(1, 100));
    let again = store.put(
        object(1),
        attempt(1),
        Payload::single(data(2, 50)),
        Format::MsgPack,
    );
    assert_eq!(again, Ok(ByteSize::new(100)));
    assert_eq!(store.usage().memory, ByteSize::new(100));
    let got = store.get(object(1), attempt(1), None).await.unwrap();
    assert_eq!(got.value().unwrap(), data(1, 100));
}

#[tokio::test]
async fn parts_are_read_alone() {
    let (store, _events) = open(None);
    let payload = Payload::Shared(Numbers::new(10));
    store
        .put(object(1), attempt(1), payload, Format::ArrowIpc)
        .unwrap();
    let second = store.get(object(1), attempt(1), Some(1)).await.unwrap();
    assert_eq!((second.parts(), second.rows(0)), (1, Some(20)));
    assert_eq!(second.encode(0).unwrap().bytes.len(), 160);
    assert!(matches!(second.shared(), Some((_, Some(1)))));
    let missing = store.get(object(1), attempt(1), Some(2)).await.unwrap_err();
    assert_eq!(missing, Missing::NoSuchPart { part: 2, parts: 2 });
}

#[tokio::test]
async fn a_fetched_part_is_not_the_whole() {
    let (store, _events) = open(None);
    let fetched = EncodedObject {
        parts: vec![EncodedPart {
            bytes: data(1, 64),
            rows: Some(8),
        }],
        format: Format::ArrowIpc,
    };
    store
        .put_fetched(object(1), attempt(1), Some(3), fetched.into())
        .unwrap();
    let part = store.get(object(1), attempt(1), Some(3)).await.unwrap();
    assert_eq!((part.value().unwrap(), part.rows(0)), (data(1, 64), Some(8)));
    let whole = store.get(object(1), attempt(1), None).await.unwrap_err();
    assert_eq!(whole, Missing::Gone);
    assert!(!store.contains(object(1), attempt(1), Some(2)));
    store.drop_part(object(1), attempt(1), 3);
    assert!(!store.contains(object(1), attempt(1), Some(3)));
}

#[tokio::test]
async fn a_dropped_object_stays_counted_until_its_last_reader_is_done() {
    let (store, _events) = open(None);
    put(&store, 1, data(1, 5000));
    let reader = store.get(object(1), attempt(1), None).await.unwrap();
    let other = reader.clone();
    assert_eq!(store.usage().pinned, ByteSize::new(5000));
    store.drop_object(object(1), attempt(1));
    assert!(!store.contains(object(1), attempt(1), None));
    assert_eq!(store.usage().memory, ByteSize::new(5000));
    drop(reader);
    assert_eq!(other.value().unwrap(), data(1, 5000));
    drop(other);
    let usage = store.usage();
    assert_eq!((usage.memory, usage.pinned), (ByteSize::ZERO, ByteSize::ZERO));
}

#[tokio::test]
async fn dropping_a_job_leaves_other_jobs_alone() {
    let (store, _events) = open(None);
    put(&store, 1, data(1, 10));
    put(&store, 2, data(2, 10));
    let other = millstream_types::ObjectId::new(
        millstream_types::JobId::from_u128(8),
        millstream_types::TaskIdx(1),
    );
    let payload = Payload::single(data(3, 10));
    store.put(other, attempt(1), payload, Format::Raw).unwrap();
    store.drop_job(object(1).job);
    let left: Vec<_> = store.inventory().iter().map(|stored| stored.object).collect();
    assert_eq!(left, [other]);
}

#[tokio::test]
async fn without_a_spill_folder_memory_is_the_limit() {
    let (store, _events) = open(None);
    put(&store, 1, data(1, 90 << 10));
    let put = |len| store.put(object(2), attempt(1), Payload::single(data(2, len)), Format::Raw);
    assert!(matches!(put(20 << 10), Err(PutError::Full { .. })));
    assert!(matches!(put(200 << 10), Err(PutError::TooLarge { .. })));
    assert_eq!(put(5 << 10), Ok(ByteSize::new(5 << 10)));
}
