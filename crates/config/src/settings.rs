//! The table of all settings. A row's comment is its line of the reference page; a constant's reason stands there too.

use std::path::PathBuf;
use std::time::Duration;

use millstream_types::{ByteSize, ClusterName, ResourceSet};

use crate::endpoint::Endpoint;
use crate::secret::Secret;
use crate::section::{SectionInfo, Values, key_info, sections};
use crate::values::{DataRoot, Fraction, LogFormat, MemoryLimit, SlotCount};

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

const fn hours(hours: u64) -> Duration {
    secs(hours * 3600)
}

sections! {
    /// What all processes of one cluster share.
    cluster: ClusterSettings {
        /// Prefix of queues and keys, so that several clusters can share a broker and a Redis.
        name: ClusterName = ClusterName::default(),
        /// Shared secret that workers and gateways show each other on the data plane.
        secret: Option<Secret> = None,
        /// File that holds `secret`.
        secret_file: Option<PathBuf> = None,
    }

    /// RabbitMQ, which carries every control message.
    broker: BrokerSettings {
        /// Address and virtual host.
        url: Endpoint = Endpoint::well_known("amqp://127.0.0.1:5672/%2f"),
        /// User name; overrides the one in `url`.
        user: Option<String> = None,
        /// Password; overrides the one in `url`.
        password: Option<Secret> = None,
        /// File that holds `password`.
        password_file: Option<PathBuf> = None,
    }

    /// Redis, which holds task state so that any service can be restarted.
    redis: RedisSettings {
        /// Address and database.
        url: Endpoint = Endpoint::well_known("redis://127.0.0.1:6379/0"),
        /// User name; overrides the one in `url`.
        user: Option<String> = None,
        /// Password; overrides the one in `url`.
        password: Option<Secret> = None,
        /// File that holds `password`.
        password_file: Option<PathBuf> = None,
    }

    /// The gateway: the only door for users.
    gateway: GatewaySettings {
        /// Address to listen on. Anything but loopback is reachable from other machines.
        host: String = "127.0.0.1".to_owned(),
        /// Port to listen on; 0 takes a free one.
        port: u16 = 8787,
        /// Names that a `Host` header may have besides loopback names and `host`.
        allowed_hosts: Vec<String> = Vec::new(),
        /// Origins that a browser may call from besides the gateway's own.
        allowed_origins: Vec<String> = Vec::new(),
        /// Token that every request must show.
        token: Option<Secret> = None,
        /// File that holds `token`.
        token_file: Option<PathBuf> = None,
        /// Largest accepted request body.
        body_limit: ByteSize = ByteSize::from_mib(256),
        /// Most tasks in one submitted graph, symbolic layers counted expanded.
        graph_limit: u64 = 10_000_000,
        /// Longest accepted `?wait=`; a longer one is shortened to it.
        max_wait: Duration = secs(60),
        /// Unfinished jobs beyond which new ones are answered with 429 and Retry-After.
        max_active_jobs: u32 = 10_000,
        /// Requests worked on at once beyond which new ones are answered with 503 and Retry-After.
        max_requests: u32 = 1_024,
        /// How long a request's headers and body may take to arrive.
        request_timeout: Duration = secs(30),
        /// How long the leader may take to answer before the gateway answers 503 and Retry-After.
        leader_timeout: Duration = secs(5),
        /// How long a client's session lasts without being renewed.
        session_ttl: Duration = secs(60),
        /// How long an uploaded graph waits for the leader's commit before Redis drops it.
        blob_ttl: Duration = hours(1),
    }

    /// The scheduler: one leader and any number of standbys.
    scheduler: SchedulerSettings {
        /// How long leadership lasts without being renewed.
        lease_ttl: Duration = secs(3),
        /// How often the leader renews its lease.
        lease_renew: Duration = secs(1),
        /// Silence after which a worker gets no new tasks.
        suspect: Duration = secs(3),
        /// Silence after which a worker is declared lost.
        lost: Duration = secs(6),
        /// Workers that may die while executing one task before the task is failed.
        allowed_failures: u32 = 3,
        /// How long an accepted job stays in the intake queue after its commit; Redis may lose its last 2 s when killed.
        intake_ack_delay: Duration = secs(3),
        /// How long a new leader waits for workers' inventories before it re-queues anything.
        recovery_window: Duration = secs(3),
        /// How long a client's session may be missing before the jobs attached to it are cancelled: a Redis that lost it gets
        /// it back when its client renews it.
        session_grace: Duration = secs(30),
        /// Longest delay before stored and released states are journaled.
        note_delay: Duration = Duration::from_millis(50),
        /// How long outputs of detached jobs are kept after they were last read.
        result_ttl: Duration = hours(24),
        /// How long the records of finished jobs are kept.
        history_ttl: Duration = hours(7 * 24),
        /// Most finished jobs whose records are kept.
        history_jobs: u32 = 10_000,
    }

    /// The worker: computes and stores.
    worker: WorkerSettings {
        /// Name shown to people; the host's name if not set. It need not be unique.
        name: Option<String> = None,
        /// Tasks run at once.
        slots: SlotCount = SlotCount::Auto,
        /// Memory for tasks and their results; `auto` takes the control group's limit, else the machine's memory.
        memory_limit: MemoryLimit = MemoryLimit::Auto,
        /// What tasks can ask for besides cpu and memory, such as `gpu`.
        resources: ResourceSet = ResourceSet::new(),
        /// Host, or host and port, that peers are told; `data_host` if not set, or the machine's name where that is a wildcard.
        advertise_address: Option<String> = None,
        /// Address that the data plane listens on.
        data_host: String = "127.0.0.1".to_owned(),
        /// Port that the data plane listens on; 0 takes a free one.
        data_port: u16 = 0,
        /// Folder for results that do not fit in memory. It must be on a disk: a tmpfs is memory again.
        spill_dir: PathBuf = PathBuf::from("/var/tmp/millstream/spill"),
        /// Most bytes kept in `spill_dir`.
        spill_quota: ByteSize = ByteSize::from_mib(64 << 10),
        /// Folder in which each command task gets a folder of its own.
        scratch_dir: PathBuf = PathBuf::from("/var/tmp/millstream/scratch"),
        /// Share of the memory limit that is always left to executing tasks.
        execution_share: Fraction = Fraction::percent(30),
        /// Share of the memory limit at which stored results are spilled, least recently used first.
        target: Fraction = Fraction::percent(60),
        /// Share at which the whole process's memory makes results spill, however little is stored.
        spill: Fraction = Fraction::percent(70),
        /// Share of process memory at which no further task is started.
        pause: Fraction = Fraction::percent(80),
        /// Share of process memory at which the Python process that holds the most is recycled.
        terminate: Fraction = Fraction::percent(95),
        /// Whether command tasks, which run any program, are accepted.
        allow_command: bool = true,
        /// Environment variables of the worker that command tasks inherit.
        command_env: Vec<String> = ["PATH", "HOME", "LANG", "LC_ALL", "TZ"].map(str::to_owned).to_vec(),
        /// Most bytes of standard output and of files that a command task may return.
        command_output_limit: ByteSize = ByteSize::from_mib(1024),
        /// Output kept for each attempt of a task: this much of its head and this much of its tail.
        log_limit: ByteSize = ByteSize::new(64 << 10),
        /// How long a stopping worker lets running tasks finish and hands over its results.
        drain_timeout: Duration = secs(30),
    }

    /// Python tasks: the processes that run them on a worker.
    python: PythonSettings {
        /// Whether Python tasks, which run any code, are accepted.
        allow: bool = true,
        /// Interpreter, which needs the package cloudpickle; `MILLSTREAM_PYTHON`, an activated virtual environment or `python3` on the PATH if not set.
        interpreter: Option<PathBuf> = None,
        /// Environment variables of the worker that Python tasks inherit.
        inherit_env: Vec<String> = [
            "PATH",
            "HOME",
            "USER",
            "LANG",
            "LC_ALL",
            "TZ",
            "TMPDIR",
            "VIRTUAL_ENV",
            "PYTHONPATH",
            "LD_LIBRARY_PATH",
            "CUDA_VISIBLE_DEVICES",
            // What they decide, results are rounded by.
            "OPENBLAS_CORETYPE",
            "MKL_CBWR",
            "NPY_DISABLE_CPU_FEATURES",
        ]
        .map(str::to_owned)
        .to_vec(),
        /// Folder in which environments with packages of a job's own are built; shared by the workers of a machine.
        env_dir: PathBuf = PathBuf::from("/var/tmp/millstream/envs"),
        /// Most bytes of environments that are kept while no task uses them.
        env_quota: ByteSize = ByteSize::from_mib(10 << 10),
        /// Folder with a file for each secret that tasks may name as `secret://name`; without one, the worker's variable `MILLSTREAM_SECRET_NAME` is taken.
        secrets_dir: Option<PathBuf> = None,
        /// Memory above which an idle process is replaced; half of the worker's memory, shared by its slots, if not set.
        recycle_above: Option<ByteSize> = None,
        /// Address at which Python tasks find the gateway, such as `http://gateway:8787`; if not set, tasks cannot use `get_client()`. A local cluster sets it.
        gateway_url: Option<String> = None,
        /// Token that Python tasks show to the gateway.
        gateway_token: Option<Secret> = None,
        /// File that holds `gateway_token`.
        gateway_token_file: Option<PathBuf> = None,
    }

    /// Where users' paths may lead.
    data: DataSettings {
        /// Folders that tasks may read (`/data:ro`) or read and write (`/out:rw`); none are accessible if not set.
        roots: Vec<DataRoot> = Vec::new(),
    }

    /// Log lines, on standard error.
    log: LogSettings {
        /// How lines look.
        format: LogFormat = LogFormat::Text,
        /// Least level shown, or directives by module such as `info,millstream_bus=debug`.
        level: String = "info".to_owned(),
    }

    /// Metrics for Prometheus; docs/reference/metrics.md lists them.
    metrics: MetricsSettings {
        /// Address at which a scheduler or worker shows its metrics.
        host: String = "127.0.0.1".to_owned(),
        /// Port for that, usually 9464; none is opened if it is 0. The gateway shows its metrics on its own port.
        port: u16 = 0,
        /// Token that opens `/metrics` and nothing else, on every service.
        token: Option<Secret> = None,
        /// File that holds `token`.
        token_file: Option<PathBuf> = None,
    }

    /// Liveness of services that listen on no port for people.
    health: HealthSettings {
        /// File that a scheduler or worker touches each second while it makes progress, for `millstream health`.
        file: Option<PathBuf> = None,
        /// Age at which the file tells of a process that is stuck.
        max_age: Duration = secs(10),
    }
}

impl BrokerSettings {
    /// The URL to connect to, credentials included.
    pub fn connection_url(&self) -> Secret {
        self.url
            .with_credentials(self.user.as_deref(), self.password.as_ref())
    }
}

impl RedisSettings {
    /// The URL to connect to, credentials included.
    pub fn connection_url(&self) -> Secret {
        self.url
            .with_credentials(self.user.as_deref(), self.password.as_ref())
    }
}
