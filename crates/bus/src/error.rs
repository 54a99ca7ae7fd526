//! What can go wrong between this process and the broker.

use crate::names::QueueName;

/// A failure of the bus. Never carries the broker's URL: it may hold a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BusError {
    /// The broker's URL cannot be used.
    #[error("invalid broker URL: {reason}; expected amqp://user:password@host:5672/vhost")]
    InvalidUrl {
        /// What is wrong with it.
        reason: String,
    },
    /// The URL asks for TLS, which this build does not speak.
    #[error(
        "the broker URL for {endpoint} asks for TLS (amqps://), which is not supported; use amqp:// on a trusted network"
    )]
    TlsUnsupported {
        /// Host and port of the broker.
        endpoint: String,
    },
    /// The AMQP runtime's thread could not be started.
    #[error("cannot start the thread for the broker's connections: {reason}")]
    Runtime {
        /// The system's reason.
        reason: String,
    },
    /// The broker could not be reached or refused the connection.
    #[error("cannot connect to the broker at {endpoint}: {reason}")]
    Connect {
        /// Host and port of the broker.
        endpoint: String,
        /// What happened and what to do.
        reason: String,
    },
    /// The link broke. Everything on it has ended.
    #[error("the connection to the broker at {endpoint} broke: {reason}")]
    Broken {
        /// Host and port of the broker.
        endpoint: String,
        /// What happened.
        reason: String,
    },
    /// The link was closed by its owner.
    #[error("the connection to the broker was closed")]
    Closed,
    /// The frame is larger than any frame may be. Nothing was sent.
    #[error("a frame of {bytes} bytes is above the limit of {max} bytes")]
    FrameTooLarge {
        /// The frame's size.
        bytes: usize,
        /// The largest size, [`crate::MAX_FRAME`].
        max: usize,
    },
    /// A confirmed frame found no queue.
    #[error("queue `{queue}` does not exist")]
    Unroutable {
        /// The missing queue.
        queue: QueueName,
    },
    /// The broker did not take a confirmed frame, usually because the queue is full.
    #[error("the broker refused a message for queue `{queue}`: it is full or out of disk")]
    Refused {
        /// The full queue.
        queue: QueueName,
    },
    /// An exclusive queue of this name exists. A new connection takes a new name.
    #[error("queue `{queue}` belongs to another consumer; a new connection must use a new name")]
    QueueTaken {
        /// The queue that was asked for.
        queue: QueueName,
    },
    /// A queue name or topic is longer than any broker takes.
    #[error("a queue name or topic of {bytes} bytes is above the limit of {max}")]
    NameTooLong {
        /// The name's length.
        bytes: usize,
        /// The longest name.
        max: usize,
    },
    /// Only addresses of queues can be confirmed.
    #[error("a confirmed message needs a queue, not an exchange")]
    NotConfirmable,
}

impl BusError {
    /// A stable name for logs, metrics and clients.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::InvalidUrl { .. } => "bus_invalid_url",
            Self::TlsUnsupported { .. } => "bus_tls_unsupported",
            Self::Runtime { .. } => "bus_runtime",
            Self::Connect { .. } => "bus_connect",
            Self::Broken { .. } => "bus_broken",
            Self::Closed => "bus_closed",
            Self::FrameTooLarge { .. } => "bus_frame_too_large",
            Self::Unroutable { .. } => "bus_unroutable",
            Self::Refused { .. } => "bus_refused",
            Self::QueueTaken { .. } => "bus_queue_taken",
            Self::NameTooLong { .. } => "bus_name_too_long",
            Self::NotConfirmable => "bus_not_confirmable",
        }
    }

    /// Whether the same call can succeed later, on a new link where this one broke.
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::Connect { .. }
            | Self::Broken { .. }
            | Self::Closed
            | Self::Unroutable { .. }
            | Self::Refused { .. } => true,
            Self::InvalidUrl { .. }
            | Self::TlsUnsupported { .. }
            | Self::Runtime { .. }
            | Self::FrameTooLarge { .. }
            | Self::QueueTaken { .. }
            | Self::NameTooLong { .. }
            | Self::NotConfirmable => false,
        }
    }
}
