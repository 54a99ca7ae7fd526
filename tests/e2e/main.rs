//! End-to-end tests: the real program, as separate processes on a real RabbitMQ and Redis, or in one process.
//!
//! Modules follow what a user cares about; those called after a part of the cluster break that part and expect the
//! same answer as without. A test starts everything it needs, so all may run at once; only those in [`compose`] share
//! one cluster of containers and take turns.

mod cancel;
mod cli;
mod client;
mod commands;
mod compose;
mod demo;
mod gateway;
mod leader;
mod load;
mod local;
mod memory;
mod own_worker;
mod progress;
mod readme;
mod refusals;
mod scale;
mod servers;
mod sql;
mod support;
mod tasks;
mod top;
mod uploads;
mod worker;
