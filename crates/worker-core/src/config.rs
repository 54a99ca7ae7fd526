//! What an operator may set of a worker's decisions.

use std::time::Duration;

use millstream_types::ByteSize;

/// The worker core's settings. The defaults are right for a worker of a few cores.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerConfig {
    /// How often a heartbeat goes out. The leader suspects a worker after three.
    pub heartbeat: Duration,
    /// A session of which nothing was acknowledged for this long is opened anew.
    pub session_silence: Duration,
    /// Least time between two openings, so that a poisoned conversation does not spin.
    pub reopen_pause: Duration,
    /// A task that executes for longer is reported at once; shorter ones ride along with other batches.
    pub report_executing_after: Duration,
    /// Expected time of the tasks that are handed to a slot at once; zero hands over one at a time.
    pub lane: Duration,
    /// Most tasks that are handed to a slot at once.
    pub lane_tasks: usize,
    /// Most bytes that tasks handed to a slot at once are expected to make: memory cannot be watched between them.
    pub lane_bytes: ByteSize,
    /// Largest output that travels inside a report, where its task is wanted.
    pub inline_limit: ByteSize,
    /// Bytes that fetched inputs of unfinished tasks may take.
    pub fetch_share: ByteSize,
    /// Inputs of one task beyond this can never fit.
    pub input_limit: ByteSize,
    /// Bytes of fetched objects kept after their last reader, in case another one comes.
    pub cache_limit: ByteSize,
    /// Fetches in flight.
    pub max_fetches: usize,
    /// Fetches in flight from one peer.
    pub max_fetches_per_peer: usize,
    /// Objects in one fetch.
    pub fetch_objects: usize,
    /// Bytes in one fetch, if it has more than one object.
    pub fetch_bytes: ByteSize,
}

impl WorkerConfig {
    /// The default settings for a worker that may hold `memory_limit` bytes.
    pub fn for_memory(memory_limit: ByteSize) -> Self {
        Self {
            heartbeat: Duration::from_secs(1),
            session_silence: Duration::from_secs(3),
            reopen_pause: Duration::from_millis(100),
            report_executing_after: Duration::from_millis(20),
            // Long against the time a report takes to be acted on, short against what balance and priorities aim at.
            lane: Duration::from_millis(2),
            lane_tasks: 512,
            lane_bytes: memory_limit.fraction(0.01),
            inline_limit: ByteSize::new(4 << 10),
            // Execution is guaranteed 0.3 and the store spills from 0.6: this is what lies between, and a little less.
            fetch_share: memory_limit.fraction(0.25),
            input_limit: memory_limit.fraction(0.8),
            cache_limit: memory_limit.fraction(0.05),
            max_fetches: 8,
            max_fetches_per_peer: 2,
            fetch_objects: 512,
            fetch_bytes: ByteSize::from_mib(64),
        }
    }
}
