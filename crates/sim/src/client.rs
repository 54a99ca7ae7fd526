//! Simulated clients: each submits a job, watches it, perhaps cancels it, reads its results and removes it at the end.

use std::collections::{BTreeMap, BTreeSet};

use millstream_protocol::graph::{Graph, ImportSource, TaskRange};
use millstream_protocol::wire::{
    FromGateway, GatewayRequest, GraphSource, JobAnswer, JobOptions, JobState, ObjectLocation, RequestError,
    Response, ResultEntry, SubmitMsg, ToGateway,
};
use millstream_protocol::{ErrorKind, TaskError, codec};
use millstream_types::{Attempt, ContentKey, JobId, ObjectId, TaskIdx, WorkerId};
use rand::Rng;

use crate::giving_up::GivingUp;
use crate::graphs::{Source, random_graph};
use crate::model::{self, Expected, Known};
use crate::network::{GATEWAY, Message, Owner};
use crate::worker::Throws;
use crate::world::{Event, World};

/// After more refusals in a row a client whose sources do not come back gives up.
const MAX_REFUSALS: u32 = 3;

/// Where a client is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The job has to be submitted, or submitted again.
    New,
    /// The job is submitted; the client waits for its end.
    Waiting,
    /// The job has succeeded; the client reads its results.
    Reading,
    /// Nothing more is to be learned.
    Done,
    /// The job is gone.
    Removed,
}

/// Errors of a job that lost what it imports, or something that may come out differently.
fn is_loss(error: &TaskError) -> bool {
    matches!(
        error.kind,
        ErrorKind::IndeterminateLoss | ErrorKind::InputLost | ErrorKind::UpstreamFailed
    )
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) job: JobId,
    msg: SubmitMsg,
    wanted: Vec<TaskIdx>,
    expected: Expected,
    pub(crate) phase: Phase,
    cancel_at: Option<u64>,
    values: BTreeMap<TaskIdx, u64>,
    failed: Vec<WorkerId>,
    /// From which runs of indeterminate tasks the values come that were read.
    throws: Throws,
    /// Jobs that it imports from.
    sources: BTreeSet<JobId>,
    /// Whether one of those may be gone before it has been read.
    may_lose: bool,
    /// Whether the client removes its job as soon as it has read it.
    leaves_early: bool,
    /// How often in a row it was told that what it imports is gone.
    refusals: u32,
    giving_up: GivingUp,
}

impl Client {
    /// The output that it waits for.
    fn next_output(&self) -> Option<TaskIdx> {
        let is_open = |task: &TaskIdx| !self.values.contains_key(task) && !self.giving_up.misses(*task);
        self.wanted.iter().copied().find(is_open)
    }
}

impl World {
    /// Adds clients that submit within the first half of the troubled time.
    pub(crate) fn add_clients(&mut self, count: u32) {
        let (mut sources, mut known) = (Vec::new(), Vec::new());
        for client in 0..count as usize {
            let graph = random_graph(&mut self.rng, &self.config, &sources);
            let new = self.new_client(&graph, &mut known);
            sources.push(source_of(new.job, &graph));
            self.clients.push(new);
            let delay = if client == 0 {
                0
            } else {
                self.rng.random_range(0..self.config.fault_ms * 500 + 1)
            };
            self.after(100_000 + delay, Event::Client(client));
        }
    }

    fn new_client(&mut self, graph: &Graph, known: &mut Vec<Known>) -> Client {
        let job = JobId::from_u128(self.rng.random());
        let encoded = codec::encode_named(graph).unwrap_or_default();
        let is_cancelled = self.rng.random_bool(0.15);
        let leaves_early = self.config.imports && self.rng.random_bool(0.3);
        let giving_up = GivingUp::of(&mut self.rng, &self.config, graph, self.now);
        let (expected, mut seen) = model::expected(graph, job, known);
        let may_lose = seen.may_vanish;
        seen.may_vanish |= is_cancelled || leaves_early || giving_up.cancels();
        known.push(seen);
        let mut sources = BTreeSet::new();
        graph.for_each_import(0, |_, params| {
            sources.extend(ImportSource::decode(params).map(|source| source.job()));
        });
        Client {
            job,
            msg: SubmitMsg {
                job,
                body_hash: ContentKey::from_bytes([1; 32]),
                name: "sim".to_owned(),
                graph: GraphSource::Inline(encoded.into()),
                options: JobOptions {
                    priority: self.rng.random_range(-1..2),
                    ..JobOptions::default()
                },
                reply_to: GATEWAY.to_owned(),
                watch: self.rng.random_bool(0.5),
                submitted_ms: 0,
            },
            wanted: graph.wanted().collect(),
            expected,
            phase: Phase::New,
            cancel_at: is_cancelled.then(|| self.now + self.rng.random_range(0..self.config.fault_ms * 1000)),
            values: BTreeMap::new(),
            failed: Vec::new(),
            throws: Throws::new(),
            sources,
            may_lose,
            leaves_early,
            refusals: 0,
            giving_up,
        }
    }

    /// Whether every client has come so far, or further.
    pub(crate) fn clients_are(&self, phase: Phase) -> bool {
        let mut clients = self.clients.iter();
        clients.all(|client| client.phase == phase || client.phase == Phase::Removed)
    }

    /// A client does what is next, and looks again later.
    pub(crate) fn client_looks(&mut self, client: usize) {
        let job = self.clients[client].job;
        match self.clients[client].phase {
            Phase::New => self.submit(client),
            Phase::Waiting => {
                let cancels = self.clients[client].cancel_at.is_some_and(|at| at <= self.now);
                let request = match self.rng.random_bool(0.5) {
                    _ if cancels => GatewayRequest::Cancel { job },
                    true => GatewayRequest::Watch { job },
                    false => GatewayRequest::Job { job },
                };
                let single = self.clients[client].giving_up.due(job, self.now);
                self.ask(client, single.filter(|_| !cancels).unwrap_or(request));
            }
            Phase::Reading => self.client_reads_on(client),
            Phase::Done if self.removes(client) => self.ask(client, GatewayRequest::Remove { job }),
            Phase::Done => {}
            Phase::Removed => return,
        }
        let delay = self.rng.random_range(100_000..800_000);
        self.after(delay, Event::Client(client));
    }

    /// A client asks for its next output, or releases those that it has read.
    fn client_reads_on(&mut self, client: usize) {
        let Client {
            job,
            values,
            giving_up,
            ..
        } = &self.clients[client];
        let job = *job;
        if let Some(release) = giving_up.release(job, values.keys()) {
            return self.ask(client, release);
        }
        match self.clients[client].next_output() {
            // A gateway reads the index of the state store first.
            Some(task) if self.rng.random_bool(0.5) => self.read_index(client, task),
            Some(task) => {
                let failed = self.clients[client].failed.clone();
                self.ask(client, GatewayRequest::Locate { job, task, failed });
            }
            None => self.clients[client].phase = Phase::Done,
        }
    }

    fn removes(&self, client: usize) -> bool {
        self.is_cleaning || self.clients[client].leaves_early
    }

    fn read_index(&mut self, client: usize, task: TaskIdx) {
        let job = self.clients[client].job;
        let entry = self.store.result(self.now, job, task);
        if let Some(entry) = entry.filter(|entry| !entry.is_untold) {
            self.client_fetches(client, &entry);
        }
    }

    fn submit(&mut self, client: usize) {
        self.clients[client].phase = Phase::Waiting;
        // The gateway answers only after the broker's confirm.
        if !self.broker.is_up(self.now) {
            self.clients[client].phase = Phase::New;
            return;
        }
        let msg = self.clients[client].msg.clone();
        self.tell(Some(msg.job), || format!("{} is submitted", msg.job));
        self.report.jobs += 1;
        self.broker.submit(msg);
        self.hand_out_intake();
    }

    fn ask(&mut self, client: usize, request: GatewayRequest) {
        let Some(leader) = self.leader.clone() else { return };
        if !self.broker.is_up(self.now) {
            return;
        }
        self.next_request += 1;
        self.requests.insert(self.next_request, (client, request.clone()));
        let request = FromGateway {
            id: self.next_request,
            reply_to: GATEWAY.to_owned(),
            request,
        };
        self.send(Owner::Gateway, &leader.queue, Message::Request(Box::new(request)));
    }

    pub(crate) fn gateway_hears(&mut self, message: Message) {
        let Message::Reply(reply) = message else { return };
        match *reply {
            ToGateway::Submitted {
                job,
                result: Err(error),
            } => {
                self.client_was_refused(job, &error);
            }
            ToGateway::Submitted { job, .. } => {
                if let Some(client) = self.clients.iter_mut().find(|client| client.job == job) {
                    client.refusals = 0;
                }
            }
            ToGateway::Ended(answer) => {
                let client = self
                    .clients
                    .iter()
                    .position(|client| client.job == answer.meta.job);
                if let Some(client) = client {
                    self.client_hears(client, &answer);
                }
            }
            ToGateway::Response { id, result } => {
                let Some((client, request)) = self.requests.remove(&id) else {
                    return;
                };
                match result {
                    Ok(response) => self.client_answered(client, &request, response),
                    Err(error) => self.client_refused(client, &request, &error),
                }
            }
        }
    }

    /// A job is refused only if something that it imports is gone.
    fn client_was_refused(&mut self, job: JobId, error: &RequestError) {
        let found = self.clients.iter().position(|client| client.job == job);
        let client = found.filter(|client| !self.clients[*client].sources.is_empty());
        let (Some(client), RequestError::Gone(_)) = (client, error) else {
            self.fail(Some(job), format!("job {job} was refused: {error}"));
            return;
        };
        // An old refusal may arrive after a later submission was accepted.
        if self.clients[client].phase != Phase::Waiting {
            return;
        }
        let has = |phases: &[Phase]| {
            let mut others = self.clients.iter();
            others.any(|other| {
                self.clients[client].sources.contains(&other.job) && phases.contains(&other.phase)
            })
        };
        // A store that was lost may have had what it imports: whose clients submit that again.
        let may_come = has(&[Phase::New, Phase::Waiting, Phase::Reading]);
        let has_given_up = self
            .clients
            .iter()
            .any(|other| self.clients[client].sources.contains(&other.job) && other.refusals > MAX_REFUSALS);
        let is_gone = has(&[Phase::Removed]) || has_given_up || self.has_failed_source(client);
        let is_excused = self.clients[client].may_lose || is_gone || self.has_lost_journal;
        if !may_come && !is_excused {
            self.fail(Some(job), format!("job {job} was refused: {error}"));
        }
        let client = &mut self.clients[client];
        client.refusals += 1;
        let gives_up = !may_come && client.refusals > MAX_REFUSALS;
        // An earlier submission may be accepted yet: then its job is removed with the others.
        client.phase = if gives_up { Phase::Done } else { Phase::New };
    }

    /// Whether a job that it imports from failed, if only when it had to make an output again.
    fn has_failed_source(&self, client: usize) -> bool {
        let sources = &self.clients[client].sources;
        let (jobs, _) = self.store.load(self.now);
        jobs.iter()
            .any(|job| job.meta.state == JobState::Failed && sources.contains(&job.meta.job))
    }

    fn client_answered(&mut self, client: usize, request: &GatewayRequest, response: Response) {
        let removes = matches!(request, GatewayRequest::Remove { .. });
        match (response, self.clients[client].phase) {
            (Response::Job(_), Phase::Done) if removes && self.is_cleaning => {
                self.clients[client].phase = Phase::Removed;
            }
            // The answer to a question of before may arrive late.
            (Response::Job(_), Phase::Done) => {}
            (Response::Job(answer), _) => self.client_hears(client, &answer),
            (Response::Location(location), Phase::Reading) => self.client_reads(client, request, location),
            (Response::Changed { tasks }, _) => {
                self.report.given_up += u64::from(tasks);
                self.clients[client].giving_up.answered(request);
            }
            _ => {}
        }
    }

    fn client_refused(&mut self, client: usize, request: &GatewayRequest, error: &RequestError) {
        let (job, phase) = (self.clients[client].job, self.clients[client].phase);
        match error {
            RequestError::UnknownJob(_) if phase == Phase::Done => {
                if self.is_cleaning {
                    self.clients[client].phase = Phase::Removed;
                }
            }
            // The store's data and the leader were both lost, or the submission is still on its way.
            RequestError::UnknownJob(_) => {
                let is_pending = self.broker.intake.iter().any(|delivery| delivery.msg.job == job);
                if !is_pending && matches!(phase, Phase::Waiting | Phase::Reading) {
                    self.tell(Some(job), || {
                        format!("{job} is unknown and has to be submitted again")
                    });
                    self.clients[client].phase = Phase::New;
                    self.clients[client].values.clear();
                    self.clients[client].throws.clear();
                    self.clients[client].giving_up.begin_again();
                }
            }
            RequestError::WrongState(_) => {}
            // The answer to an earlier question.
            RequestError::Gone(_) if phase != Phase::Reading => {}
            // A new leader does not know yet what is done.
            RequestError::Overloaded if matches!(request, GatewayRequest::CancelTasks { .. }) => {}
            RequestError::Gone(_) if self.may_miss(client, request) => {}
            error => self.fail(Some(job), format!("job {job}: a request was refused: {error}")),
        }
    }

    /// A client hears where its job stands.
    fn client_hears(&mut self, client: usize, answer: &JobAnswer) {
        let waiting = self.clients[client].phase == Phase::Waiting;
        let state = answer.meta.state;
        if !waiting || !state.is_terminal() {
            return;
        }
        let Client {
            job,
            expected,
            cancel_at,
            ..
        } = &self.clients[client];
        let job = *job;
        let error = answer.meta.error.as_ref();
        let is_loss = error.is_some_and(is_loss);
        let may_lose = self.clients[client].may_lose;
        let is_right = match (state, expected) {
            (JobState::Cancelled, _) => cancel_at.is_some(),
            // What would have failed may have been cancelled.
            (JobState::Succeeded, Expected::Fails) => self.clients[client].giving_up.cancels(),
            (JobState::Failed, Expected::Values(_)) => is_loss && (may_lose || self.has_lost_journal),
            (JobState::Failed, Expected::Chance) => is_loss,
            _ => true,
        };
        self.tell(Some(job), || format!("{job} is {}", state.name()));
        if !is_right {
            let error = answer
                .meta
                .error
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default();
            self.fail(
                Some(job),
                format!(
                    "job {job} is {} ({error}), expected {expected:?}",
                    state.name(),
                    expected = self.clients[client].expected
                ),
            );
        }
        self.clients[client].phase = if state == JobState::Succeeded {
            Phase::Reading
        } else {
            Phase::Done
        };
    }

    /// An output that was asked for is not to be had: notes that if the client has given it up itself.
    fn may_miss(&mut self, client: usize, request: &GatewayRequest) -> bool {
        match request {
            GatewayRequest::Locate { task, .. } => self.clients[client].giving_up.miss(*task),
            _ => false,
        }
    }

    fn client_reads(&mut self, client: usize, request: &GatewayRequest, location: ObjectLocation) {
        let job = self.clients[client].job;
        match location {
            ObjectLocation::Failed(error)
                if error.kind == ErrorKind::Cancelled && self.may_miss(client, request) => {}
            ObjectLocation::Held(entry) => self.client_fetches(client, &entry),
            ObjectLocation::Pending { .. } => {}
            // Lost after something of the same throw was read.
            ObjectLocation::Failed(error)
                if is_loss(&error)
                    && (self.clients[client].expected == Expected::Chance
                        || self.clients[client].may_lose) =>
            {
                self.clients[client].phase = Phase::Done
            }
            ObjectLocation::Failed(error) => {
                self.fail(
                    Some(job),
                    format!("a result of job {job} cannot be read: {error}"),
                );
            }
        }
    }

    /// What a client reads of one job comes from one run of each indeterminate task.
    fn check_throws(&mut self, client: usize, object: ObjectId, attempt: Attempt) {
        let Some(throws) = self.throws.get(&(object.job, object.task.0, attempt)).cloned() else {
            self.fail(
                Some(object.job),
                format!("{object} of {attempt}, which was never made, is read"),
            );
            return;
        };
        for (task, attempt) in throws.iter() {
            let known = self.clients[client].throws.insert(*task, *attempt);
            if known.is_some_and(|known| known != *attempt) && !self.has_lost_journal {
                let reason = format!(
                    "{object} comes from run {attempt} of task {task:?}, and what was read before from {known:?}"
                );
                self.fail(Some(object.job), reason);
            }
        }
    }

    fn client_fetches(&mut self, client: usize, entry: &ResultEntry) {
        let job = self.clients[client].job;
        let Some(asked) = self.clients[client].next_output() else {
            return;
        };
        let inline = entry.inline.as_deref().and_then(model::decode_value);
        let object = ObjectId::new(job, entry.task);
        let mut held = None;
        for (holder, _) in &entry.holders {
            let worker = self
                .find_worker(*holder)
                .filter(|worker| !self.workers[*worker].is_cut);
            let found = worker.and_then(|worker| self.workers[worker].value(object, entry.attempt, None));
            match found {
                Some(found) => held = Some(found.value),
                None => self.clients[client].failed.push(*holder),
            }
        }
        if let (Some(inline), Some(held)) = (inline, held)
            && inline != held
        {
            self.fail(
                Some(job),
                format!("the inlined result of {asked} of {job} is not the stored one"),
            );
        }
        let Some(value) = inline.or(held) else { return };
        self.clients[client].failed.clear();
        self.check_throws(client, object, entry.attempt);
        if let Expected::Values(values) = &self.clients[client].expected {
            let right = values
                .iter()
                .find(|(task, _)| *task == asked)
                .map(|(_, value)| *value);
            // The answer to an earlier question may arrive late: it is about another output.
            let is_other = values.iter().any(|(_, other)| *other == value);
            if right != Some(value) {
                if !is_other {
                    self.fail(
                        Some(job),
                        format!("task {asked} of {job} is {value}, expected {right:?}"),
                    );
                }
                return;
            }
            self.report.compared += u64::from(!self.clients[client].sources.is_empty());
        }
        self.tell(Some(job), || format!("result {asked} of {job} is read"));
        self.clients[client].values.insert(asked, value);
    }
}

/// What others may import of a job.
fn source_of(job: JobId, graph: &Graph) -> Source {
    let mut imports = 0;
    graph.for_each_import(0, |_, _| imports += 1);
    Source {
        job,
        tasks: TaskRange {
            first: TaskIdx(imports),
            count: graph.task_count() - imports,
        },
        wanted: graph.wanted().collect(),
    }
}
