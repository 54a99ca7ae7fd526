//! The commands, one file each.

pub(crate) mod bench;
pub(crate) mod demo;
pub(crate) mod doctor;
pub(crate) mod health;
pub(crate) mod jobs;
pub(crate) mod local;
pub(crate) mod services;
pub(crate) mod sim;
pub(crate) mod sql;
pub(crate) mod submit;
pub(crate) mod token;
pub(crate) mod top;
pub(crate) mod up;
pub(crate) mod workers;

use millstream::{Client, ClientOptions};

use crate::args::GatewayArgs;

/// A client of the gateway that the arguments or the environment name.
fn connect(args: &GatewayArgs) -> Result<Client, millstream::Error> {
    Client::connect(&ClientOptions {
        url: args.gateway.clone(),
        token: args.token.clone(),
    })
}
