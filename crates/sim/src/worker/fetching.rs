//! A simulated worker's data plane: it fetches objects from others.

use millstream_types::ByteSize;
use millstream_worker_core::{Fetch, FetchId, FetchObject, FetchOutcome, WorkerEvent};
use rand::Rng;

use super::Fetching;
use crate::world::{Event, World};

impl World {
    pub(super) fn start_fetch(&mut self, worker: usize, fetch: Fetch) {
        let is_slow = self.is_troubled && self.rng.random_bool(0.02);
        let delay = if is_slow {
            self.rng.random_range(50_000..3_000_000)
        } else {
            self.rng.random_range(100..5_000)
        };
        let (id, ends_at) = (fetch.id, self.now + delay);
        let fetching = Fetching {
            fetch,
            ends_at,
            is_cancelled: false,
        };
        self.workers[worker].fetching.insert(id, fetching);
        self.at(ends_at, Event::FetchEnds { worker, id });
    }

    pub(super) fn cancel_fetch(&mut self, worker: usize, id: FetchId) {
        let at = self.now + self.rng.random_range(1..2_000);
        if let Some(fetching) = self.workers[worker].fetching.get_mut(&id)
            && at < fetching.ends_at
        {
            fetching.is_cancelled = true;
            fetching.ends_at = at;
            self.at(at, Event::FetchEnds { worker, id });
        }
    }

    pub(crate) fn fetch_ends(&mut self, worker: usize, id: FetchId) {
        let fetching = &mut self.workers[worker].fetching;
        if fetching
            .get(&id)
            .is_none_or(|fetching| fetching.ends_at != self.now)
        {
            return;
        }
        let Some(fetching) = fetching.remove(&id) else {
            return;
        };
        let from = self.find_worker(fetching.fetch.from.worker);
        let reachable = from.filter(|from| !fetching.is_cancelled && self.reaches(worker, *from));
        let objects = &fetching.fetch.objects;
        let outcomes = objects
            .iter()
            .map(|object| self.fetch_one(worker, reachable, object))
            .collect();
        self.apply_worker(worker, WorkerEvent::FetchEnded { id, outcomes });
    }

    fn fetch_one(&mut self, worker: usize, from: Option<usize>, wanted: &FetchObject) -> FetchOutcome {
        let Some(from) = from else {
            return FetchOutcome::Unreachable;
        };
        let (object, attempt, part) = (wanted.object, wanted.attempt, wanted.part);
        let Some(found) = self.workers[from].read(object, attempt, part) else {
            self.tell(Some(object.job), || {
                format!("w{worker} asks w{from} for {}@{attempt}: gone", object.task)
            });
            return FetchOutcome::Gone;
        };
        if self.is_troubled && self.chance(2) {
            self.count("fetch damaged");
            return FetchOutcome::Damaged;
        }
        let bytes = ByteSize::new(found.bytes);
        self.workers[worker]
            .store
            .insert((object.job, object.task.0, attempt, part), found);
        FetchOutcome::Fetched { bytes }
    }

    fn reaches(&self, a: usize, b: usize) -> bool {
        let is_up = |worker: usize| self.workers[worker].is_alive && !self.workers[worker].is_cut;
        is_up(a) && is_up(b) && !self.parted.contains(&(a.min(b), a.max(b)))
    }
}
