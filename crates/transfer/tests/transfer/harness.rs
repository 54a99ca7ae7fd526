//! A store behind a server, and a reader that takes the network although both are in one process.

use bytes::Bytes;
use millstream_store::{Format, Payload, SpillConfig, SpillPolicy, Store, StoreConfig};
use millstream_transfer::{DataServer, DataServerOptions, FetchOptions, Fetcher, ObjectRequest};
use millstream_types::{Attempt, ByteSize, JobId, ObjectId, TaskIdx, Term};

pub(crate) const SECRET: &str = "correct horse";

pub(crate) fn request(task: u32, part: Option<u32>) -> ObjectRequest {
    ObjectRequest {
        object: ObjectId::new(JobId::from_u128(5), TaskIdx(task)),
        attempt: Attempt::new(Term(2), 3),
        part,
    }
}

pub(crate) fn data(task: u32, len: usize) -> Bytes {
    let bytes = (0..len).map(|i| (i as u32).wrapping_mul(2_654_435_761).wrapping_add(task) as u8);
    bytes.collect::<Vec<_>>().into()
}

pub(crate) fn store(limit: ByteSize, spill: Option<SpillConfig>) -> Store {
    let policy = SpillPolicy::default();
    let config = StoreConfig { limit, policy, spill };
    Store::open(config).unwrap().0
}

pub(crate) fn put(store: &Store, task: u32, parts: Vec<Bytes>) {
    let ObjectRequest { object, attempt, .. } = request(task, None);
    store
        .put(object, attempt, Payload::Bytes(parts), Format::Raw)
        .unwrap();
}

pub(crate) fn serve(store: &Store) -> DataServer {
    let options = DataServerOptions {
        host: "127.0.0.1".to_owned(),
        port: 0,
        advertise: None,
        secret: SECRET.to_owned(),
    };
    DataServer::start(store.clone(), options).unwrap()
}

pub(crate) fn served() -> (Store, DataServer) {
    let store = store(ByteSize::from_mib(256), None);
    let server = serve(&store);
    (store, server)
}

pub(crate) fn remote() -> FetchOptions {
    FetchOptions {
        same_process: false,
        ..FetchOptions::new(SECRET)
    }
}

pub(crate) fn fetcher() -> Fetcher {
    Fetcher::new(remote()).unwrap()
}
