//! The gateway over HTTP, against a scripted leader on an in-process bus and an in-memory state store.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]

mod access;
mod dashboard;
mod events;
mod leader;
mod metrics;
mod mistakes;
mod openapi;
mod outages;
mod outputs;
mod plane;
mod report;
mod results;
mod sessions;
mod shared;
mod submit;
mod support;
mod tasks;
mod uploads;
mod workers;
