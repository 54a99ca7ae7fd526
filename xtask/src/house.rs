//! Who may know whom: the dependency rules of docs/ARCHITECTURE.md as tables.

/// A rule, as an error cites it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rule {
    /// The vocabulary and the state machines.
    Pure,
    /// Adapters to the world.
    Adapters,
    /// What joins cores and adapters.
    Joints,
    /// External crates that have one home.
    Homes,
    /// What users meet.
    Doors,
    /// The Python side.
    Python,
    /// Every crate has its place.
    Known,
}

impl Rule {
    /// The rule in words.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Pure => {
                "rule 1: types <- protocol <- cores, and these use plain data crates only: no runtime, no I/O, no clock"
            }
            Self::Adapters => "rule 2: adapters know types and protocol, never a core, nor each other",
            Self::Joints => {
                "rule 3: only the services join a core to adapters, only local joins services, sim joins cores"
            }
            Self::Homes => {
                "rule 4: lapin lives in bus, redis in state, datafusion in frame, actix-web in gateway and transfer"
            }
            Self::Doors => "rule 5: gateway, client, top and cli know the protocol, never a core",
            Self::Python => {
                "rule 6: what is under python/ talks to the gateway and the executor, it links no crate"
            }
            Self::Known => "every crate has its row in xtask/src/house.rs: decide what it may know",
        }
    }
}

/// One crate of the workspace and the others that it may depend on.
pub(crate) struct Room {
    pub(crate) name: &'static str,
    pub(crate) may_know: &'static [&'static str],
    pub(crate) rule: Rule,
}

const fn room(name: &'static str, rule: Rule, may_know: &'static [&'static str]) -> Room {
    Room { name, may_know, rule }
}

/// What any adapter may know.
const BASE: &[&str] = &["millstream-protocol", "millstream-telemetry", "millstream-types"];

/// Every crate that ships, in the order of the layers.
pub(crate) const ROOMS: &[Room] = &[
    room("millstream-types", Rule::Pure, &[]),
    room("millstream-protocol", Rule::Pure, &["millstream-types"]),
    room(
        "millstream-scheduler-core",
        Rule::Pure,
        &["millstream-protocol", "millstream-types"],
    ),
    room(
        "millstream-worker-core",
        Rule::Pure,
        &["millstream-protocol", "millstream-types"],
    ),
    room("millstream-macros", Rule::Adapters, &[]),
    room("millstream-config", Rule::Adapters, &["millstream-types"]),
    room("millstream-telemetry", Rule::Adapters, &["millstream-types"]),
    room("millstream-bus", Rule::Adapters, BASE),
    room("millstream-state", Rule::Adapters, BASE),
    room("millstream-store", Rule::Adapters, BASE),
    room("millstream-frame", Rule::Adapters, BASE),
    room("millstream-array", Rule::Adapters, BASE),
    room("millstream-ml", Rule::Adapters, BASE),
    // These two read the trait of the store that they fill and serve.
    room(
        "millstream-transfer",
        Rule::Adapters,
        &[
            "millstream-protocol",
            "millstream-store",
            "millstream-telemetry",
            "millstream-types",
        ],
    ),
    room(
        "millstream-executor",
        Rule::Adapters,
        &[
            "millstream-macros",
            "millstream-protocol",
            "millstream-store",
            "millstream-telemetry",
            "millstream-types",
        ],
    ),
    room(
        "millstream-sim",
        Rule::Joints,
        &[
            "millstream-protocol",
            "millstream-scheduler-core",
            "millstream-types",
            "millstream-worker-core",
        ],
    ),
    room(
        "millstream-scheduler-svc",
        Rule::Joints,
        &[
            "millstream-bus",
            "millstream-config",
            "millstream-protocol",
            "millstream-scheduler-core",
            "millstream-state",
            "millstream-telemetry",
            "millstream-types",
        ],
    ),
    room(
        "millstream-worker-svc",
        Rule::Joints,
        &[
            "millstream-array",
            "millstream-bus",
            "millstream-config",
            "millstream-executor",
            "millstream-frame",
            "millstream-ml",
            "millstream-protocol",
            "millstream-store",
            "millstream-telemetry",
            "millstream-transfer",
            "millstream-types",
            "millstream-worker-core",
        ],
    ),
    room(
        "millstream-gateway",
        Rule::Doors,
        &[
            "millstream-bus",
            "millstream-config",
            "millstream-protocol",
            "millstream-state",
            "millstream-telemetry",
            "millstream-transfer",
            "millstream-types",
        ],
    ),
    room(
        "millstream-local",
        Rule::Joints,
        &[
            "millstream-bus",
            "millstream-config",
            "millstream-executor",
            "millstream-gateway",
            "millstream-protocol",
            "millstream-scheduler-svc",
            "millstream-state",
            "millstream-telemetry",
            "millstream-types",
            "millstream-worker-svc",
        ],
    ),
    room(
        "millstream",
        Rule::Doors,
        &[
            "millstream-bus",
            "millstream-config",
            "millstream-executor",
            "millstream-local",
            "millstream-macros",
            "millstream-protocol",
            "millstream-state",
            "millstream-telemetry",
            "millstream-types",
            "millstream-worker-svc",
        ],
    ),
    room("millstream-top", Rule::Doors, &["millstream"]),
    room(
        "millstream-cli",
        Rule::Doors,
        &[
            "millstream",
            "millstream-bus",
            "millstream-config",
            "millstream-executor",
            "millstream-frame",
            "millstream-gateway",
            "millstream-local",
            "millstream-protocol",
            "millstream-scheduler-svc",
            "millstream-sim",
            "millstream-state",
            "millstream-telemetry",
            "millstream-top",
            "millstream-types",
            "millstream-worker-svc",
        ],
    ),
];

/// Crates that ship nothing and may know everything.
pub(crate) const EXEMPT: &[&str] = &["millstream-testkit", "millstream-tests", "xtask"];

/// External crates with one home. A name ending in `*` stands for all that begin with it.
pub(crate) const HOMES: &[(&str, &[&str])] = &[
    ("lapin", &["millstream-bus"]),
    ("redis", &["millstream-state"]),
    ("datafusion*", &["millstream-frame"]),
    ("actix-web*", &["millstream-gateway", "millstream-transfer"]),
    ("actix-http*", &["millstream-gateway", "millstream-transfer"]),
];

/// External crates that a state machine may use: data structures, identifiers and errors.
pub(crate) const PLAIN: &[&str] = &[
    "bytes",
    "fixedbitset",
    "hashbrown",
    "indexmap",
    "rustc-hash",
    "serde",
    "serde_bytes",
    "slab",
    "smallvec",
    "thiserror",
    "uuid",
];

/// External crates that the vocabulary and the protocol may use besides [`PLAIN`]: codecs and hashes.
pub(crate) const CODECS: &[&str] = &[
    "blake3",
    "crc32fast",
    "rmp",
    "rmp-serde",
    "rmpv",
    "serde_json",
    "zstd",
];
