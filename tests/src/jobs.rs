//! Job bodies whose answers can be checked.

use serde_json::{Value, json};

/// A new job id.
pub fn new_id() -> String {
    uuid::Uuid::new_v4().to_string()
}

/// `width` chains of commands of `depth` steps each, and one command that adds up what they print.
///
/// Each step takes a moment, so that there is time to break something in between.
#[derive(Debug, Clone, Copy)]
pub struct FanIn {
    /// Chains.
    pub width: u64,
    /// Steps of a chain.
    pub depth: u64,
    /// Seconds that each step takes.
    pub seconds: f64,
}

/// The key of [`FanIn`]'s last task, and of [`bytes_kept`]'s and others' only result.
pub const TOTAL: &str = "total";

impl FanIn {
    /// Its tasks.
    pub const fn tasks(self) -> u64 {
        self.width * self.depth + 1
    }

    /// What the last task prints: each chain starts with its number and adds 1 per further step.
    pub fn answer(self) -> String {
        let chains: u64 = (0..self.width).map(|chain| chain + self.depth - 1).sum();
        chains.to_string()
    }

    /// The key of a step.
    pub fn key(chain: u64, step: u64) -> String {
        format!("chain-{chain}-{step}")
    }

    /// The job.
    pub fn body(self, id: &str) -> Value {
        let mut tasks = Vec::new();
        for chain in 0..self.width {
            for step in 0..self.depth {
                tasks.push(self.step(chain, step));
            }
        }
        let mut argv = vec![
            json!("sh"),
            json!("-c"),
            json!("cat \"$@\" | awk '{ total += $1 } END { print total }'"),
            json!("sum"),
        ];
        argv.extend((0..self.width).map(|chain| json!({"task": Self::key(chain, self.depth - 1)})));
        tasks.push(json!({"key": TOTAL, "op": "command", "argv": argv}));
        json!({"id": id, "name": "fan-in", "tasks": tasks, "outputs": [TOTAL]})
    }

    fn step(self, chain: u64, step: u64) -> Value {
        let key = Self::key(chain, step);
        if step == 0 {
            return command(&key, &format!("sleep {}; echo {chain}", self.seconds));
        }
        let script = format!("sleep {}; awk '{{ print $1 + 1 }}'", self.seconds);
        let mut task = command(&key, &script);
        task["stdin"] = json!({"task": Self::key(chain, step - 1)});
        task
    }
}

/// A task that runs a shell script.
pub fn command(key: &str, script: &str) -> Value {
    json!({"key": key, "op": "command", "argv": ["sh", "-c", script]})
}

/// A job of one shell script, whose result is called [`TOTAL`].
pub fn script(id: &str, script: &str) -> Value {
    json!({"id": id, "tasks": [command(TOTAL, script)]})
}

/// `count` results of `bytes` bytes each that are all kept: together they may be more than the workers' memory.
pub fn bytes_kept(id: &str, count: u64, bytes: u64) -> Value {
    let tasks: Vec<Value> = (0..count)
        .map(|number| {
            command(
                &format!("big-{number}"),
                &format!("yes 'result {number}' | head -c {bytes}"),
            )
        })
        .collect();
    json!({"id": id, "name": "kept", "tasks": tasks})
}

/// What task `number` of [`bytes_kept`] prints.
pub fn kept_bytes(number: u64, bytes: u64) -> Vec<u8> {
    let line = format!("result {number}\n");
    let length = usize::try_from(bytes).unwrap_or(usize::MAX);
    line.bytes().cycle().take(length).collect()
}
