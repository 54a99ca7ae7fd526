//! End-to-end tests: what they share.
//!
//! Starts the `millstream` binary as its users do: as services on a real RabbitMQ and Redis ([`Cluster`]), as a whole
//! cluster in one process ([`Up`]), in containers ([`Stack`]), and as commands ([`cli`]); speaks to gateways in plain
//! HTTP ([`Api`]), independent of the SDK; and breaks things. It links no part of the product, so that a test sees only
//! what a user can see.
//!
//! Everything listens on the loopback interface, lives in a folder of its own and, but for the containers, dies with
//! its test.

pub mod cli;
pub mod cluster;
pub mod compose;
pub mod docker;
pub mod events;
pub mod http;
pub mod jobs;
pub mod measure;
pub mod program;
pub mod redis;
pub mod servers;
pub mod service;
pub mod tmux;
pub mod up;
pub mod yardstick;

pub use cluster::{Cluster, ClusterOptions};
pub use compose::Stack;
pub use http::{Answer, Api};
pub use servers::{ServerChoice, Servers};
pub use service::Service;
pub use up::Up;
