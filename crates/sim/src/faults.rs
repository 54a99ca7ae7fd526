//! What goes wrong, and how it is healed.

use millstream_worker_core::{MemoryLevel, WorkerEvent};
use rand::Rng;

use crate::network::Owner;
use crate::world::{Event, World};

impl World {
    pub(crate) fn schedule_fault(&mut self) {
        let mean = self.config.fault_every_ms * 1000;
        let delay = self.rng.random_range(1..=2 * mean);
        self.after(delay, Event::Fault);
    }

    /// Something goes wrong, and something else later.
    pub(crate) fn fault(&mut self) {
        if !self.is_troubled {
            return;
        }
        match self.rng.random_range(0..100) {
            0..14 => self.fault_worker_dies(),
            14..24 => self.fault_worker_is_cut_off(),
            24..34 => self.fault_scheduler_dies(),
            34..42 => self.fault_scheduler_stops(),
            42..46 => self.fault_broker_is_down(),
            46..58 => self.fault_connection_ends(),
            58..64 => self.fault_store_loses_data(),
            64..70 => self.fault_store_is_down(),
            70..80 => self.fault_memory_is_short(),
            80..86 => self.fault_object_is_damaged(),
            86..92 => self.fault_worker_drains(),
            _ => self.fault_workers_are_parted(),
        }
        self.schedule_fault();
    }

    fn count_and_tell(&mut self, kind: &'static str, detail: impl FnOnce() -> String) {
        self.count(kind);
        self.tell(None, || format!("FAULT {kind}: {}", detail()));
    }

    fn any_worker(&mut self) -> Option<usize> {
        let alive: Vec<_> = (0..self.workers.len())
            .filter(|worker| self.workers[*worker].is_alive)
            .collect();
        if alive.is_empty() {
            None
        } else {
            Some(alive[self.rng.random_range(0..alive.len())])
        }
    }

    /// The leader, more often than not.
    fn any_scheduler(&mut self) -> Option<usize> {
        let alive: Vec<_> = (0..self.schedulers.len())
            .filter(|i| self.schedulers[*i].is_alive)
            .collect();
        let leader = alive.iter().copied().find(|i| self.schedulers[*i].leads());
        match leader {
            Some(leader) if self.rng.random_bool(0.7) => Some(leader),
            _ if alive.is_empty() => None,
            _ => Some(alive[self.rng.random_range(0..alive.len())]),
        }
    }

    fn fault_worker_dies(&mut self) {
        let Some(worker) = self.any_worker() else { return };
        self.count_and_tell("worker killed", || format!("w{worker}"));
        self.kill_worker(worker);
        let delay = self.rng.random_range(100_000..4_000_000);
        self.after(delay, Event::StartWorker);
    }

    fn fault_worker_is_cut_off(&mut self) {
        let Some(worker) = self.any_worker().filter(|worker| !self.workers[*worker].is_cut) else {
            return;
        };
        let duration = self.rng.random_range(200_000..12_000_000);
        self.count_and_tell("worker cut off", || {
            format!("w{worker} for {} ms", duration / 1000)
        });
        self.workers[worker].is_cut = true;
        self.after(duration, Event::Heal(worker));
    }

    /// The network is back: the old connection is reset, a new one follows.
    pub(crate) fn heal(&mut self, worker: usize) {
        if !std::mem::take(&mut self.workers[worker].is_cut) {
            return;
        }
        self.tell(None, || format!("w{worker} is reachable again"));
        self.disconnect_worker(worker);
        self.reconnect(Owner::Worker(worker));
    }

    fn fault_scheduler_dies(&mut self) {
        let Some(scheduler) = self.any_scheduler() else {
            return;
        };
        self.count_and_tell("scheduler killed", || format!("s{scheduler}"));
        self.kill_scheduler(scheduler);
        let delay = self.rng.random_range(500_000..5_000_000);
        self.after(delay, Event::StartScheduler);
    }

    fn fault_scheduler_stops(&mut self) {
        let Some(scheduler) = self.any_scheduler() else {
            return;
        };
        if self.schedulers[scheduler].frozen.is_some() {
            return;
        }
        let duration = self.rng.random_range(500_000..9_000_000);
        self.count_and_tell("scheduler stopped", || {
            format!("s{scheduler} for {} ms", duration / 1000)
        });
        self.schedulers[scheduler].frozen = Some(Vec::new());
        self.after(duration, Event::Thaw(scheduler));
    }

    fn fault_broker_is_down(&mut self) {
        let duration = self.rng.random_range(300_000..20_000_000);
        self.count_and_tell("broker down", || format!("for {} ms", duration / 1000));
        self.broker.down_until = self.now + duration;
        for owner in self.all_processes() {
            self.disconnect(owner);
            self.reconnect(owner);
        }
    }

    fn all_processes(&self) -> Vec<Owner> {
        let workers = (0..self.workers.len())
            .filter(|i| self.workers[*i].is_alive)
            .map(Owner::Worker);
        let schedulers = (0..self.schedulers.len()).filter(|i| self.schedulers[*i].is_alive);
        workers.chain(schedulers.map(Owner::Scheduler)).collect()
    }

    fn fault_connection_ends(&mut self) {
        let owner = if self.rng.random_bool(0.6) {
            self.any_worker().map(Owner::Worker)
        } else {
            self.any_scheduler().map(Owner::Scheduler)
        };
        let Some(owner) = owner else { return };
        self.count_and_tell("connection ended", || format!("{owner:?}"));
        self.disconnect(owner);
        self.reconnect(owner);
    }

    fn disconnect(&mut self, owner: Owner) {
        match owner {
            Owner::Worker(worker) => self.disconnect_worker(worker),
            Owner::Scheduler(scheduler) => self.disconnect_scheduler(scheduler),
            Owner::Gateway => {}
        }
    }

    /// Connects again after a moment, when the broker is there.
    fn reconnect(&mut self, owner: Owner) {
        let delay = self.rng.random_range(20_000..1_000_000);
        let at = (self.now + delay).max(self.broker.down_until + delay / 4);
        self.at(at, Event::Connect(owner));
    }

    pub(crate) fn connect(&mut self, owner: Owner) {
        if !self.broker.is_up(self.now) {
            self.reconnect(owner);
            return;
        }
        match owner {
            Owner::Worker(worker) => self.connect_worker(worker),
            Owner::Scheduler(scheduler) => self.connect_scheduler(scheduler),
            Owner::Gateway => {}
        }
    }

    /// Killed, it loses up to what it had not flushed; replaced, everything.
    fn fault_store_loses_data(&mut self) {
        self.store.down_until = self.now + self.rng.random_range(50_000..3_000_000);
        if self.rng.random_bool(0.25) {
            self.count_and_tell("store replaced", String::new);
            self.store.wipe();
        } else {
            let which = self.rng.random_range(0..8);
            self.count_and_tell("store rolled back", || format!("by snapshot {which}"));
            self.store.roll_back(which);
        }
        if self.rng.random_bool(0.2) {
            self.fault_scheduler_dies();
        }
    }

    fn fault_store_is_down(&mut self) {
        let duration = self.rng.random_range(200_000..6_000_000);
        self.count_and_tell("store down", || format!("for {} ms", duration / 1000));
        self.store.down_until = self.now + duration;
    }

    fn fault_memory_is_short(&mut self) {
        let Some(worker) = self.any_worker() else { return };
        let spillable = if self.rng.random_bool(0.5) { 100 } else { 0 };
        let duration = self.rng.random_range(100_000..5_000_000);
        self.count_and_tell("memory short", || format!("w{worker} for {} ms", duration / 1000));
        self.set_memory(worker, MemoryLevel::Pause, spillable);
        self.after(duration, Event::Relax(worker));
    }

    fn fault_object_is_damaged(&mut self) {
        let Some(worker) = self.any_worker() else { return };
        self.count_and_tell("object damaged", || format!("on w{worker}"));
        self.damage_object(worker);
    }

    fn fault_worker_drains(&mut self) {
        let Some(worker) = self.any_worker() else { return };
        self.count_and_tell("worker drained", || format!("w{worker}"));
        self.apply_worker(worker, WorkerEvent::DrainAsked);
        self.after(500_000, Event::StartWorker);
    }

    fn fault_workers_are_parted(&mut self) {
        let (Some(a), Some(b)) = (self.any_worker(), self.any_worker()) else {
            return;
        };
        if a != b {
            self.count_and_tell("workers parted", || format!("w{a} and w{b}"));
            self.parted.insert((a.min(b), a.max(b)));
        }
    }

    /// No more faults: everything is healed, and must come to rest.
    pub(crate) fn peace(&mut self) {
        self.tell(None, || "peace".to_owned());
        self.is_troubled = false;
        self.parted.clear();
        self.store.down_until = self.now;
        self.broker.down_until = self.now;
        for worker in 0..self.workers.len() {
            self.heal(worker);
            self.relax(worker);
        }
        for scheduler in 0..self.schedulers.len() {
            self.thaw(scheduler);
        }
        for owner in self.all_processes() {
            self.reconnect(owner);
        }
        self.after(0, Event::StartWorker);
        if self.schedulers.iter().all(|scheduler| !scheduler.is_alive) {
            self.after(0, Event::StartScheduler);
        }
    }
}
