//! State bytes: what was written last is what is read.

use bytes::Bytes;
use millstream_state::{PAGE_BYTES, Write};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::harness::{Harness, commit, job, lead, put_job};

/// Random batches per test; each may write any of so many pages.
const BATCHES: usize = 120;
const PAGES: u32 = 64;

fn set_pages(pages: Vec<(u32, Bytes)>) -> Write {
    Write::SetPages { job: job(1), pages }
}

pub(crate) async fn pages_read_back_in_part_and_beyond_the_end(harness: impl Harness) {
    let store = harness.store();
    let fence = lead(store).await;
    let full = Bytes::from(vec![1; PAGE_BYTES]);
    let pages = vec![
        (0, full.clone()),
        (1, full.clone()),
        (3, Bytes::from_static(&[4, 4])),
    ];
    commit(store, &fence, &[put_job(1), set_pages(pages)]).await;
    assert_eq!(store.pages(job(1), 1, 1).await, Ok(full));
    assert_eq!(
        store.pages(job(1), 2, 1).await,
        Ok(Bytes::from(vec![0; PAGE_BYTES])),
        "never written"
    );
    assert_eq!(store.pages(job(1), 3, 100).await, Ok(Bytes::from_static(&[4, 4])));
    assert_eq!(store.pages(job(1), 4, 100).await, Ok(Bytes::new()));
    assert_eq!(store.pages(job(1), 0, 0).await, Ok(Bytes::new()));
    assert_eq!(
        store.pages(job(1), 0, u32::MAX).await.unwrap().len(),
        3 * PAGE_BYTES + 2
    );
}

pub(crate) async fn random_page_writes_match_a_model(harness: impl Harness) {
    let store = harness.store();
    let fence = lead(store).await;
    commit(store, &fence, &[put_job(1)]).await;
    let seed = std::env::var("MILLSTREAM_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| rand::rng().random());
    eprintln!("MILLSTREAM_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut model: Vec<u8> = Vec::new();
    for _ in 0..BATCHES {
        let pages = random_pages(&mut random);
        for (no, bytes) in &pages {
            let start = *no as usize * PAGE_BYTES;
            model.resize(model.len().max(start + bytes.len()), 0);
            model[start..start + bytes.len()].copy_from_slice(bytes);
        }
        commit(store, &fence, &[set_pages(pages)]).await;
        let first = random.random_range(0..PAGES);
        let count = random.random_range(0..PAGES);
        let from = model.len().min(first as usize * PAGE_BYTES);
        let to = model.len().min((first + count) as usize * PAGE_BYTES);
        assert_eq!(store.pages(job(1), first, count).await.unwrap(), model[from..to]);
    }
    assert_eq!(store.load_job(job(1)).await.unwrap().unwrap().pages, model);
}

/// Runs of neighbours and single pages, repeated ones included; the last page of the job is short.
fn random_pages(random: &mut StdRng) -> Vec<(u32, Bytes)> {
    let mut pages = Vec::new();
    for _ in 0..random.random_range(1..6) {
        let first = random.random_range(0..PAGES);
        let count = random.random_range(1..8);
        for no in first..PAGES.min(first + count) {
            let len = if no == PAGES - 1 { 100 } else { PAGE_BYTES };
            pages.push((
                no,
                Bytes::from((0..len).map(|_| random.random()).collect::<Vec<u8>>()),
            ));
        }
    }
    pages
}
