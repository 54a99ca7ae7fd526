//! Every Redis key of a cluster. No other file may spell one.
//!
//! ```text
//! <cluster>:lease             string   "<term>:<leader>", expires with the lease
//! <cluster>:term              counter  highest term ever given
//! <cluster>:last_lease        string   who was given that term, and who the one before
//! <cluster>:journal_seq       counter  scripts applied
//! <cluster>:jobs              zset     "<created>:<job>" by name, every listed job
//! <cluster>:jobs:active       set      jobs that are live or referenced
//! <cluster>:jobs:expiring     zset     members of `jobs` by the time they are gone; trims `jobs`
//! <cluster>:job:<id>          hash     meta, index, cancel, expires, log_bytes, first_event
//! <cluster>:job:<id>:graph    string   zstd
//! <cluster>:job:<id>:ext      hash     task -> order, zstd fragment
//! <cluster>:job:<id>:pages    string   one state byte per task
//! <cluster>:job:<id>:errors   hash     task -> error, capped
//! <cluster>:job:<id>:results  hash     task -> entry
//! <cluster>:job:<id>:logs     hash     "<task>/<attempt>" -> log, capped
//! <cluster>:job:<id>:log_order list    fields of `logs`, oldest first
//! <cluster>:job:<id>:events   stream   capped
//! <cluster>:worker:<id>       string   expires with the registration
//! <cluster>:workers           zset     worker ids by expiry
//! <cluster>:session:<name>    string   expires with the session
//! <cluster>:sessions          zset     session names by expiry
//! <cluster>:blob:<name>       string   expires unless a live job keeps it
//! <cluster>:datasets, :uploads, :references   hashes of named records
//! <cluster>:shared            zset     "<kind>/<name>" of what clients share by expiry
//! <cluster>:shared:sizes      hash     its bytes; the sum under the empty name
//! <cluster>:shared:cell/<name>         hash     version, value; catalogs of SQL sessions begin with the character 1
//! <cluster>:shared:queue/<name>        list     items
//! <cluster>:shared:answers/<name>      hash     request -> items it took, capped
//! <cluster>:shared:answered/<name>     list     fields of `answers`, oldest first
//! <cluster>:shared:semaphore/<name>    zset     tickets by arrival
//! <cluster>:shared:tickets/<name>      zset     tickets by expiry
//! <cluster>:shared:limit/<name>        string   how many tickets hold
//! ```
//!
//! All keys of `shared` but the first two expire. The channel `<cluster>:events` tells which job got an event, and
//! `<cluster>:shared` which shared thing changed.

use millstream_types::{Attempt, ClusterName, JobId, TaskIdx, Term, WorkerId};

use crate::{LogRef, Table};

/// The keys of one job, in the order in which the commit script gets them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JobKey {
    Meta,
    Graph,
    Extensions,
    Pages,
    Errors,
    Results,
    Logs,
    LogOrder,
    Events,
}

impl JobKey {
    pub(crate) const ALL: [Self; 9] = [
        Self::Meta,
        Self::Graph,
        Self::Extensions,
        Self::Pages,
        Self::Errors,
        Self::Results,
        Self::Logs,
        Self::LogOrder,
        Self::Events,
    ];

    /// Position after the job's first key; the name is the script's.
    pub(crate) fn lua_constants() -> String {
        let names = Self::ALL.map(|key| format!("{key:?}").to_uppercase()).join(", ");
        let offsets: Vec<String> = (0..Self::ALL.len()).map(|offset| offset.to_string()).collect();
        format!(
            "local JOB_KEYS = {}\nlocal {names} = {}\n",
            Self::ALL.len(),
            offsets.join(", ")
        )
    }

    const fn suffix(self) -> &'static str {
        match self {
            Self::Meta => "",
            Self::Graph => ":graph",
            Self::Extensions => ":ext",
            Self::Pages => ":pages",
            Self::Errors => ":errors",
            Self::Results => ":results",
            Self::Logs => ":logs",
            Self::LogOrder => ":log_order",
            Self::Events => ":events",
        }
    }
}

/// Builds the keys of one cluster.
#[derive(Debug, Clone)]
pub(crate) struct Keys {
    cluster: String,
}

impl Keys {
    pub(crate) fn new(cluster: &ClusterName) -> Self {
        Self {
            cluster: cluster.as_str().to_owned(),
        }
    }

    fn key(&self, name: &str) -> String {
        format!("{}:{name}", self.cluster)
    }

    pub(crate) fn lease(&self) -> String {
        self.key("lease")
    }

    pub(crate) fn term(&self) -> String {
        self.key("term")
    }

    pub(crate) fn last_lease(&self) -> String {
        self.key("last_lease")
    }

    pub(crate) fn journal_seq(&self) -> String {
        self.key("journal_seq")
    }

    pub(crate) fn jobs(&self) -> String {
        self.key("jobs")
    }

    pub(crate) fn active_jobs(&self) -> String {
        self.key("jobs:active")
    }

    pub(crate) fn expiring_jobs(&self) -> String {
        self.key("jobs:expiring")
    }

    pub(crate) fn job(&self, job: JobId, key: JobKey) -> String {
        format!("{}:job:{job}{}", self.cluster, key.suffix())
    }

    pub(crate) fn worker(&self, worker: WorkerId) -> String {
        format!("{}:worker:{worker}", self.cluster)
    }

    pub(crate) fn workers(&self) -> String {
        self.key("workers")
    }

    pub(crate) fn session(&self, name: &str) -> String {
        format!("{}:session:{name}", self.cluster)
    }

    pub(crate) fn sessions(&self) -> String {
        self.key("sessions")
    }

    pub(crate) fn blob(&self, name: &str) -> String {
        format!("{}:blob:{name}", self.cluster)
    }

    pub(crate) fn table(&self, table: Table) -> String {
        self.key(match table {
            Table::Datasets => "datasets",
            Table::Uploads => "uploads",
            Table::References => "references",
        })
    }

    /// The index of all that clients share; the channel of its changes has the same name.
    pub(crate) fn shared(&self) -> String {
        self.key("shared")
    }

    pub(crate) fn shared_sizes(&self) -> String {
        self.key("shared:sizes")
    }

    pub(crate) fn cell(&self, name: &str) -> String {
        format!("{}:shared:cell/{name}", self.cluster)
    }

    /// Items, answers and their order.
    pub(crate) fn queue(&self, name: &str) -> [String; 3] {
        ["queue", "answers", "answered"].map(|part| format!("{}:shared:{part}/{name}", self.cluster))
    }

    /// Tickets by arrival, tickets by expiry, and the limit.
    pub(crate) fn semaphore(&self, name: &str) -> [String; 3] {
        ["semaphore", "tickets", "limit"].map(|part| format!("{}:shared:{part}/{name}", self.cluster))
    }

    /// The publish channel, not a key.
    pub(crate) fn events_channel(&self) -> String {
        self.key("events")
    }
}

/// A log's field in its job's hash of logs.
pub(crate) fn log_field(log: LogRef) -> String {
    format!("{}/{}", log.task, log.attempt)
}

/// Reads [`log_field`] back.
pub(crate) fn parse_log_field(field: &str) -> Option<LogRef> {
    let (task, attempt) = field.split_once('/')?;
    let (term, n) = attempt.split_once('.')?;
    let attempt = Attempt::new(Term(term.parse().ok()?), n.parse().ok()?);
    Some(LogRef {
        task: TaskIdx(task.parse().ok()?),
        attempt,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_fields_read_back() {
        let log = LogRef {
            task: TaskIdx(17),
            attempt: Attempt::new(Term(3), 2),
        };
        assert_eq!(log_field(log), "17/3.2");
        assert_eq!(parse_log_field("17/3.2"), Some(log));
        for field in ["", "17", "17/3", "x/3.2", "17/3.2.1"] {
            assert_eq!(parse_log_field(field), None, "{field}");
        }
    }
}
