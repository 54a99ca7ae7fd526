//! How fast a large object moves over loopback, beside the plain copy loop that bounds it.
//! `cargo run --release -p millstream-transfer --example throughput [MiB]`
#![expect(clippy::print_stdout, reason = "an example prints")]

use std::error::Error;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use bytes::Bytes;
use millstream_store::{Format, Payload, SpillPolicy, Store, StoreConfig};
use millstream_transfer::{DataServer, DataServerOptions, FetchOptions, Fetcher, ObjectRequest};
use millstream_types::{Attempt, ByteSize, JobId, ObjectId, TaskIdx};

const ROUNDS: usize = 5;

fn main() -> Result<(), Box<dyn Error>> {
    let mib: usize = std::env::args().nth(1).map_or(Ok(256), |text| text.parse())?;
    let bytes: Bytes = (0..mib << 20)
        .map(|i| ((i * 31) >> 3) as u8)
        .collect::<Vec<_>>()
        .into();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let (mut plain, mut fetched) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        plain.push(copy_loop(bytes.clone())?);
        fetched.push(runtime.block_on(fetch(bytes.clone()))?);
    }
    let rate = |times: &mut Vec<Duration>| {
        times.sort();
        bytes.len() as f64 / times[times.len() / 2].as_secs_f64() / 1e9
    };
    let (plain, fetched) = (rate(&mut plain), rate(&mut fetched));
    println!(
        "{mib} MiB: copy loop {plain:.2} GB/s, fetch {fetched:.2} GB/s, ratio {:.2}",
        fetched / plain
    );
    Ok(())
}

/// One thread writes, one reads into a buffer of the right size: nothing moves bytes faster over a socket.
fn copy_loop(bytes: Bytes) -> Result<Duration, Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let length = bytes.len();
    let writer = std::thread::spawn(move || listener.accept()?.0.write_all(&bytes));
    let mut reader = TcpStream::connect(address)?;
    let begun = Instant::now();
    let mut received = vec![0; length];
    reader.read_exact(&mut received)?;
    let took = begun.elapsed();
    writer.join().map_err(|_| "the writer panicked")??;
    Ok(took)
}

async fn fetch(bytes: Bytes) -> Result<Duration, Box<dyn Error>> {
    let (store, _events) = Store::open(StoreConfig {
        limit: ByteSize::MAX,
        policy: SpillPolicy::default(),
        spill: None,
    })?;
    let request = ObjectRequest {
        object: ObjectId::new(JobId::from_u128(1), TaskIdx(0)),
        attempt: Attempt::default(),
        part: None,
    };
    store.put(
        request.object,
        request.attempt,
        Payload::single(bytes),
        Format::Raw,
    )?;
    let options = DataServerOptions {
        host: "127.0.0.1".to_owned(),
        port: 0,
        advertise: None,
        secret: "example".to_owned(),
    };
    let server = DataServer::start(store, options)?;
    let mut options = FetchOptions::new("example");
    options.same_process = false;
    let fetcher = Fetcher::new(options)?;
    let begun = Instant::now();
    fetcher.fetch(server.address(), request).await?;
    let took = begun.elapsed();
    server.stop().await;
    Ok(took)
}
