//! Measures commits against a private Redis: `cargo run --release -p millstream-state --example state_rate`.
#![expect(clippy::print_stdout, reason = "the numbers are the output")]

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use bytes::Bytes;
use millstream_state::{Fence, PAGE_BYTES, RedisSettings, RedisState, StateStore, Write};
use millstream_testkit::{SharedRedis, unique_name};
use millstream_types::{JobId, LeaderId, TaskIdx, Term};

const JOB: JobId = JobId::from_u128(1);
const ROUNDS: usize = 400;
const LEASE: Duration = Duration::from_secs(600);

#[tokio::main]
async fn main() -> Result<()> {
    let redis = SharedRedis::find_or_start().await?;
    let settings = RedisSettings::new(redis.url(), unique_name("rate").parse()?);
    let store = RedisState::connect(&settings)?;
    let lease = store
        .acquire_lease(LeaderId::from_u128(1), Term::default(), LEASE)
        .await?;
    let fence = lease.context("somebody else leads")?.fence;
    let put = Write::PutJob {
        job: JOB,
        meta: "meta".into(),
        graph: "graph".into(),
        created_ms: 1,
    };
    store.commit(&fence, &[put]).await?;

    report("renew the lease", 0, ROUNDS, async |_| {
        Ok(store.renew_lease(&fence, LEASE).await?)
    })
    .await?;
    report("empty commit", 0, ROUNDS, async |_| {
        commit(&store, &fence, vec![]).await
    })
    .await?;
    let small = async |round: usize| commit(&store, &fence, one_result(round)).await;
    report("commit of one result", 1, ROUNDS, small).await?;
    for pages in [16, 256, 4096] {
        let scattered = async |round: usize| commit(&store, &fence, set_pages(pages, 2, round)).await;
        report(&format!("{pages} scattered pages"), pages, ROUNDS / 4, scattered).await?;
        let neighbours = async |round: usize| commit(&store, &fence, set_pages(pages, 1, round)).await;
        report(
            &format!("{pages} neighbouring pages"),
            pages,
            ROUNDS / 4,
            neighbours,
        )
        .await?;
    }
    let events = async |_| {
        let event = Write::AppendEvent {
            job: JOB,
            event: vec![1; 200].into(),
        };
        commit(&store, &fence, vec![event; 100]).await
    };
    report("100 events of 200 B", 100, ROUNDS / 4, events).await
}

async fn commit(store: &RedisState, fence: &Fence, writes: Vec<Write>) -> Result<()> {
    store.commit(fence, &writes).await?;
    Ok(())
}

fn one_result(round: usize) -> Vec<Write> {
    vec![Write::PutResult {
        job: JOB,
        task: TaskIdx(round as u32),
        entry: vec![1; 60].into(),
    }]
}

fn set_pages(count: usize, stride: usize, round: usize) -> Vec<Write> {
    let page = Bytes::from(vec![round as u8; PAGE_BYTES]);
    let pages = (0..count).map(|n| ((n * stride) as u32, page.clone())).collect();
    vec![Write::SetPages { job: JOB, pages }]
}

async fn report(
    what: &str,
    items: usize,
    rounds: usize,
    mut run: impl AsyncFnMut(usize) -> Result<()>,
) -> Result<()> {
    let mut times = Vec::with_capacity(rounds);
    for round in 0..rounds {
        let begun = Instant::now();
        run(round).await?;
        times.push(begun.elapsed());
    }
    let total: Duration = times.iter().sum();
    times.sort_unstable();
    let (p50, p99) = (times[rounds / 2], times[rounds * 99 / 100]);
    let rate = (items * rounds) as f64 / total.as_secs_f64();
    println!("{what:28} p50 {p50:>10.1?}  p99 {p99:>10.1?}  {rate:>12.0} items/s");
    Ok(())
}
