//! Message transport between gateways, schedulers and workers.
//!
//! One trait pair, [`Bus`] and [`Link`], with two implementations that pass the same contract suite
//! (`tests/contract.rs`): [`InprocBroker`] for one process and the simulator, [`AmqpBus`] for RabbitMQ.
//!
//! Responsible for connections, queues, routing and back-pressure. A frame is opaque bytes here: batching, sequence
//! numbers, sessions and acknowledged windows belong to the layer above, and nothing in this crate decodes a message.
//!
//! # What both implementations promise
//!
//! - A [`Link`] is one connection epoch. When it breaks, its consumers end, its exclusive queues vanish, and its
//!   unacknowledged intake deliveries go back to the queue. Nothing is repaired behind the owner's back: it calls
//!   [`Bus::connect`] again and opens new sessions with **new queue names**, because RabbitMQ may refuse the name
//!   of a dead connection's exclusive queue until it has noticed that death.
//! - Frames published on one link to one queue arrive in order. They may be lost when a link breaks; only
//!   [`Link::publish_confirmed`] says that the broker holds the frame.
//! - A frame for a queue that does not exist is reported by [`Link::returns`].
//! - A frame above [`MAX_FRAME`] is refused before it goes out.
//!
//! ```
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//! use millstream_bus::{Bus, InprocBroker, Names, QueueSpec};
//! use millstream_types::{ClusterName, SessionNo, WorkerId};
//!
//! let bus = InprocBroker::new().bus(Names::new(ClusterName::default()));
//! let link = bus.connect("worker").await;
//! let queue = bus.names().worker(WorkerId::from_u128(1), SessionNo(1));
//! let mut consumer = link.consume(QueueSpec::private_with_hello(queue.clone())).await?;
//! link.publish(&queue.into(), "a batch".into()).await?;
//! assert_eq!(consumer.next().await.map(|delivery| delivery.frame), Some("a batch".into()));
//! # Ok::<(), millstream_bus::BusError>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What bounds memory
//!
//! The AMQP client library buffers deliveries without a limit, so each kind of queue has its own bound: intake by its
//! prefetch, live by an internal prefetch and the queue's `max_length` (oldest dropped first), private queues by the
//! session window of the layer above (at most four unacknowledged batches per peer). Outgoing frames wait for room
//! in a byte window per link.

mod amqp;
mod closed;
mod counters;
mod error;
mod inproc;
mod link;
mod names;
mod queue;
mod returns;

pub use amqp::AmqpBus;
pub use counters::{BusCounters, CounterSnapshot};
pub use error::BusError;
pub use inproc::{InprocBroker, InprocBus};
pub use link::{Bus, Link, MAX_FRAME};
pub use names::{Address, Names, QueueName};
pub use queue::{Consumer, Delivery, QueueKind, QueueSpec};
pub use returns::Returns;
