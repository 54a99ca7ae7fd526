//! Handlers: one file per kind of event.

pub(crate) mod drain;
pub(crate) mod finished;
pub(crate) mod frame;
pub(crate) mod gateway;
pub(crate) mod inventory;
pub(crate) mod layers;
pub(crate) mod lead_again;
pub(crate) mod lost;
pub(crate) mod query;
pub(crate) mod recover;
pub(crate) mod reports;
pub(crate) mod single;
pub(crate) mod submit;
pub(crate) mod tick;
