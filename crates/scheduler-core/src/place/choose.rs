//! Which worker is best for one task: bytes already there against seconds of queue.

use millstream_types::ResourceSet;

use super::OpenWorkers;
use crate::ids::WorkerNo;
use crate::job::{Job, ReadyClass, Taken};
use crate::shared::Shared;
use crate::worker::Worker;

/// Workers looked at for one task beyond those that hold its inputs. More would cost more than they gain.
const SCAN: usize = 16;
/// Inputs whose holders are considered.
const INPUTS: usize = 16;
/// What fetching anything at all costs, in microseconds.
const FETCH_US: u64 = 300;

/// The verdict on one task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Choice {
    /// This one.
    Worker(WorkerNo),
    /// Every worker that could take it is busy.
    Busy,
    /// Every worker that could take it has little memory left.
    NoMemory,
    /// No registered worker can ever take it.
    Never,
}

/// Whether a worker's queue is shorter than what keeps it busy for the target time. A paused one takes one task.
pub(crate) fn has_room(cx: &Shared, no: WorkerNo) -> bool {
    let worker = &cx.workers[no];
    if worker.is_paused() {
        return worker.takes_last_resort();
    }
    room(cx, worker, crate::stats::UNKNOWN_COST_US) > 0
}

/// How many tasks of a cost fit into a worker's queue.
fn room(cx: &Shared, worker: &Worker, cost_us: u32) -> u32 {
    let slots = worker.slots();
    let by_count = (2 * slots).saturating_sub(worker.queued);
    let target = millstream_types::duration_micros(cx.config.queue_target) * u64::from(slots);
    let by_time = target
        .saturating_sub(worker.queue_us)
        .div_ceil(u64::from(cost_us.max(1)));
    let by_time = u32::try_from(by_time).unwrap_or(u32::MAX);
    by_count.max(by_time.min(cx.config.max_queue.saturating_sub(worker.queued)))
}

/// Chooses a worker for a task.
pub(crate) fn worker_for(
    cx: &mut Shared,
    job: &Job,
    taken: Taken,
    class: ReadyClass,
    open: &OpenWorkers,
) -> Choice {
    let task = taken.task;
    let is_root = job.index.dep_count(&job.graph, task) == 0;
    let need = Need::of(job, task, class);
    if is_root {
        return root_worker(cx, job, task, class, &need, open);
    }
    let inputs = Inputs::of(cx, job, task);
    cx.rotation = cx.rotation.wrapping_add(1);
    // Where every worker is cut off from some input, one must try: in the end the input is made again nearer.
    let best = best_of(cx, &need, &inputs, open, false).or_else(|| best_of(cx, &need, &inputs, open, true));
    match best {
        Some(no) => Choice::Worker(no),
        None => need.why_none(cx),
    }
}

fn best_of(
    cx: &Shared,
    need: &Need<'_>,
    inputs: &Inputs,
    open: &OpenWorkers,
    even_cut_off: bool,
) -> Option<WorkerNo> {
    let holders = inputs
        .local
        .iter()
        .map(|(no, _)| *no)
        .filter(|no| cx.workers[*no].takes_work() && has_room(cx, *no));
    let width = open.list.len().min(scan_width(need, open));
    let others = (0..width).map(|at| open.list[cx.rotation.wrapping_add(at) % open.list.len()]);
    holders
        .chain(others)
        .filter(|no| {
            let worker = &cx.workers[*no];
            need.fits_now(worker) && (even_cut_off || !inputs.is_cut_off(worker))
        })
        .map(|no| (cx.workers[no].wait_us() + inputs.fetch_us(cx, no), no))
        .min_by_key(|(score, _)| *score)
        .map(|(_, no)| no)
}

/// Restricted tasks look everywhere: the one worker that fits may be anywhere.
fn scan_width(need: &Need<'_>, open: &OpenWorkers) -> usize {
    if need.is_restricted() {
        open.list.len()
    } else {
        SCAN
    }
}

/// Roots go to one worker in runs of neighbours, whose readers then find their inputs in one place.
fn root_worker(
    cx: &mut Shared,
    job: &Job,
    task: u32,
    class: ReadyClass,
    need: &Need<'_>,
    open: &OpenWorkers,
) -> Choice {
    let (op, _) = job.row_of(task);
    let stat = job.stat_of(op);
    let expected = cx.stats.bytes(stat);
    if let Some((no, left)) = cx.root_run
        && left > 0
        && open.list.contains(&no)
        && need.fits_now(&cx.workers[no])
        && has_memory(cx, &cx.workers[no], expected)
    {
        cx.root_run = Some((no, left - 1));
        return Choice::Worker(no);
    }
    let cost = cx.stats.cost_us(stat);
    let (mut best, mut total_room, mut is_short) = (None, 0_u64, false);
    let width = open.list.len().min(scan_width(need, open));
    for at in 0..width {
        let no = open.list[cx.rotation.wrapping_add(at) % open.list.len()];
        let worker = &cx.workers[no];
        if !need.fits_now(worker) {
            continue;
        }
        if !has_memory(cx, worker, expected) {
            is_short = true;
            continue;
        }
        total_room += u64::from(room(cx, worker, cost));
        let wait = worker.wait_us();
        if best.is_none_or(|(least, _)| wait < least) {
            best = Some((wait, no));
        }
    }
    cx.rotation = cx.rotation.wrapping_add(1);
    let Some((_, no)) = best else {
        return if is_short {
            Choice::NoMemory
        } else {
            need.why_none(cx)
        };
    };
    let waiting = job.ready.len(class) as u64;
    let run = if waiting >= total_room {
        u64::from(room(cx, &cx.workers[no], cost))
    } else {
        (waiting + 1).div_ceil(open.list.len() as u64)
    };
    cx.root_run = Some((no, u32::try_from(run).unwrap_or(u32::MAX).saturating_sub(1)));
    Choice::Worker(no)
}

/// Admission by bytes: what a worker holds and is about to make stays below a fraction of its limit, unless it would
/// otherwise stand still.
fn has_memory(cx: &Shared, worker: &Worker, expected: u64) -> bool {
    let limit = worker.info.memory_limit.fraction(cx.config.admission).as_u64();
    let spilled = worker.load.map_or(0, |load| load.spilled.as_u64());
    let held = worker.stored_bytes.saturating_sub(spilled);
    limit == 0 || worker.assigned() == 0 || held + worker.expected_bytes + expected <= limit
}

/// What a task asks of its worker.
#[derive(Debug)]
struct Need<'a> {
    resources: Option<&'a ResourceSet>,
    names: &'a [String],
}

impl<'a> Need<'a> {
    fn of(job: &'a Job, task: u32, class: ReadyClass) -> Self {
        if class.restriction == 0 {
            return Self {
                resources: None,
                names: &[],
            };
        }
        let options = job.options_of(task);
        Self {
            resources: (!options.resources.is_empty()).then_some(&options.resources),
            names: &options.workers,
        }
    }

    const fn is_restricted(&self) -> bool {
        self.resources.is_some() || !self.names.is_empty()
    }

    fn is_named(&self, worker: &Worker) -> bool {
        let info = &worker.info;
        self.names.is_empty()
            || self.names.iter().any(|name| {
                *name == info.name
                    || *name == info.host
                    || *name == info.data_address
                    || *name == info.worker.to_string()
            })
    }

    fn fits_now(&self, worker: &Worker) -> bool {
        self.is_named(worker) && self.resources.is_none_or(|request| worker.has_free(request))
    }

    fn fits_ever(&self, worker: &Worker) -> bool {
        self.is_named(worker)
            && self
                .resources
                .is_none_or(|request| worker.supply().shortage(request).is_none())
    }

    fn why_none(&self, cx: &Shared) -> Choice {
        let mut registered = cx.workers.iter().filter(|worker| !worker.is_gone()).peekable();
        if !self.is_restricted()
            || registered.peek().is_none()
            || registered.any(|worker| self.fits_ever(worker))
        {
            Choice::Busy
        } else {
            Choice::Never
        }
    }
}

/// Why no registered worker can ever run a task.
pub(crate) fn why_never(cx: &Shared, job: &Job, task: u32) -> String {
    let need = Need::of(job, task, job.class_of(task));
    let named: Vec<&Worker> = cx
        .workers
        .iter()
        .filter(|worker| !worker.is_gone() && need.is_named(worker))
        .collect();
    if named.is_empty() {
        return format!(
            "task `{}` may only run on {}, and no such worker is registered",
            job.key_of(task),
            need.names.join(", ")
        );
    }
    let shortage = need
        .resources
        .and_then(|request| named.iter().find_map(|worker| worker.supply().shortage(request)));
    match shortage {
        Some(shortage) => format!(
            "task `{}` asks for {} of {}, and no registered worker has more than {}",
            job.key_of(task),
            shortage.wanted,
            shortage.name,
            named
                .iter()
                .map(|worker| worker.supply().get(&shortage.name))
                .max()
                .unwrap_or_default()
        ),
        None => format!("task `{}` fits no registered worker", job.key_of(task)),
    }
}

/// Whether every registered worker is one that a task can never run on.
pub(crate) fn is_unschedulable(cx: &Shared, job: &Job, task: u32) -> bool {
    Need::of(job, task, job.class_of(task)).why_none(cx) == Choice::Never
}

/// Whether some worker could run a restricted task if it were idle.
pub(crate) fn could_run(job: &Job, task: u32, worker: &Worker) -> bool {
    Need::of(job, task, job.class_of(task)).fits_now(worker)
}

/// Where the first inputs of a task are.
#[derive(Debug)]
struct Inputs {
    total: u64,
    count: u64,
    /// Bytes and inputs by holder.
    local: Vec<(WorkerNo, (u64, u64))>,
    /// Sole holders of an input, where some worker cannot reach every other.
    sole: Vec<WorkerNo>,
}

impl Inputs {
    fn of(cx: &Shared, job: &Job, task: u32) -> Self {
        let mut inputs = Self {
            total: 0,
            count: 0,
            local: Vec::new(),
            sole: Vec::new(),
        };
        let is_cut = !job.unreached.is_empty();
        job.for_each_input(task, |input| {
            let bytes = job.cols.bytes[input as usize];
            inputs.total += bytes;
            inputs.count += 1;
            if inputs.count as usize > INPUTS && !is_cut {
                return;
            }
            let mut holders = 0;
            for holder in job.holders(input) {
                holders += 1;
                inputs.add(holder, bytes);
            }
            if holders == 1 && is_cut {
                inputs.sole.extend(job.holders(input));
            }
        });
        inputs
            .local
            .retain(|(no, _)| cx.workers.get(*no).is_some_and(|worker| !worker.is_gone()));
        inputs
    }

    fn add(&mut self, holder: WorkerNo, bytes: u64) {
        match self.local.iter_mut().find(|(no, _)| *no == holder) {
            Some((_, (sum, count))) => {
                *sum += bytes;
                *count += 1;
            }
            None => self.local.push((holder, (bytes, 1))),
        }
    }

    /// Whether `worker` is known not to reach the only holder of an input.
    fn is_cut_off(&self, worker: &Worker) -> bool {
        !worker.unreachable.is_empty() && self.sole.iter().any(|holder| worker.unreachable.contains(holder))
    }

    fn fetch_us(&self, cx: &Shared, worker: WorkerNo) -> u64 {
        let (bytes, count) = self
            .local
            .iter()
            .find(|(no, _)| *no == worker)
            .map_or((0, 0), |(_, local)| *local);
        let missing = self.total - bytes;
        let per_fetch = self.count.min(INPUTS as u64).saturating_sub(count) * FETCH_US;
        per_fetch + missing.saturating_mul(1_000_000) / cx.config.bandwidth.max(1)
    }
}
