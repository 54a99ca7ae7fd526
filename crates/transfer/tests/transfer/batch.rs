//! Many objects from one peer.

use millstream_store::{Format, Missing, SpillConfig};
use millstream_transfer::{FetchError, FetchOptions, Fetched, Fetcher};
use millstream_types::{Attempt, ByteSize, Term};

use crate::harness::*;

#[tokio::test]
async fn objects_arrive_whole_and_in_order_with_those_that_are_gone_between() {
    let (store, server) = served();
    put(&store, 1, vec![data(1, 3 << 20)]);
    put(&store, 2, vec![data(2, 10), data(22, 0), data(222, 700_000)]);
    put(&store, 3, vec![]);
    let requests = [
        request(1, None),
        request(9, None),
        request(2, None),
        request(2, Some(2)),
        request(2, Some(3)),
        request(3, None),
    ];
    let answers = fetcher().fetch_batch(server.address(), &requests).await;
    let parts = |i: usize| match answers[i].clone() {
        Ok(Fetched::Remote(object)) => {
            assert_eq!(object.format(), Format::Raw);
            let parts = (0..object.parts()).map(|part| object.encode(part).unwrap().bytes);
            Some(parts.collect::<Vec<_>>())
        }
        Ok(Fetched::Local(_)) => unreachable!("asked over the network"),
        Err(FetchError::Gone { .. }) => None,
        Err(error) => unreachable!("{error}"),
    };
    assert_eq!(parts(0).unwrap(), [data(1, 3 << 20)]);
    assert_eq!(parts(1), None);
    assert_eq!(parts(2).unwrap(), [data(2, 10), data(22, 0), data(222, 700_000)]);
    assert_eq!(parts(3).unwrap(), [data(222, 700_000)]);
    assert_eq!(parts(4), None);
    assert_eq!(parts(5).unwrap().len(), 0);
    assert_eq!(server.served(), ByteSize::new((3 << 20) + 10 + 2 * 700_000));
    server.stop().await;
}

#[tokio::test]
async fn thousands_of_small_objects_take_one_request() {
    let (store, server) = served();
    for task in 0..3000 {
        put(&store, task, vec![data(task, task as usize % 50)]);
    }
    let requests: Vec<_> = (0..3000).map(|task| request(task, None)).collect();
    let fetcher = fetcher();
    let answers = fetcher.fetch_batch(server.address(), &requests).await;
    for (task, answer) in (0..).zip(answers) {
        let object = answer.unwrap().into_object().unwrap();
        assert_eq!(object.encode(0).unwrap().bytes, data(task, task as usize % 50));
    }
    assert_eq!(fetcher.fetched(), server.served());
}

#[tokio::test]
async fn another_generation_is_gone_never_bytes() {
    let (store, server) = served();
    put(&store, 1, vec![data(1, 100)]);
    let mut other = request(1, None);
    other.attempt = Attempt::new(Term(2), 4);
    let error = fetcher().fetch(server.address(), other).await.unwrap_err();
    let FetchError::Gone { reason, .. } = &error else {
        unreachable!("{error:?}");
    };
    let held = request(1, None).attempt;
    assert_eq!(*reason, Missing::WrongGeneration { held }.to_string());
}

#[tokio::test]
async fn stores_of_one_process_share_their_bytes() {
    let (store, server) = served();
    let bytes = data(1, 1000);
    put(&store, 1, vec![bytes.clone()]);
    let fetcher = Fetcher::new(FetchOptions::new("not even asked for")).unwrap();
    let fetched = fetcher.fetch(server.address(), request(1, None)).await.unwrap();
    let object = fetched.into_object().unwrap();
    assert_eq!(object.encode(0).unwrap().bytes.as_ptr(), bytes.as_ptr());
    assert_eq!(server.served(), ByteSize::ZERO);
}

#[tokio::test]
async fn spilled_objects_are_served_from_disk() {
    let dir = tempfile::tempdir().unwrap();
    let spill = SpillConfig {
        dir: dir.path().to_owned(),
        quota: ByteSize::MAX,
    };
    let store = store(ByteSize::new(100_000), Some(spill));
    let server = serve(&store);
    for task in 0..20 {
        put(&store, task, vec![data(task, 10_000), data(task + 1, 9_000)]);
    }
    let requests: Vec<_> = (0..20)
        .map(|task| request(task, (task % 2 == 1).then_some(1)))
        .collect();
    let answers = fetcher().fetch_batch(server.address(), &requests).await;
    for (task, answer) in (0..).zip(answers) {
        let object = answer.unwrap().into_object().unwrap();
        let last = object.encode(object.parts() - 1).unwrap().bytes;
        assert_eq!(last, data(task + 1, 9_000));
    }
}
