//! What tests need from outside: private servers, child processes and conditions to wait for.
//!
//! For tests only: no product crate depends on it outside its dev-dependencies. Everything that it starts listens on
//! the loopback interface, on a free port, and dies with the test, even when the test is killed.

pub mod process;
pub mod rabbitmq;
pub mod redis;

pub use process::{ChildGuard, bound_command, bound_command_as, free_port, unique_name, wait_until};
pub use rabbitmq::RabbitMq;
pub use redis::{RedisServer, SharedRedis};
