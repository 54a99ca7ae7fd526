//! What exists on the broker as soon as anybody has connected: exchanges, intake and dead-letter queue.
//!
//! Declared again by every connection, so that a broker that lost its data is whole again after the first of them.
//! Changing an argument of a durable queue needs a new queue name: RabbitMQ refuses to redeclare it differently.

use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{Channel, ExchangeKind};

use crate::names::{Names, QueueName};
use crate::queue::{DEAD_MAX_FRAMES, INTAKE_MAX_BYTES};

/// RabbitMQ 4 gives up on a message after twenty deliveries by default. An intake message is redelivered at every
/// change of leader and must outlive them all.
const INTAKE_DELIVERY_LIMIT: i64 = 1_000_000;

pub(super) async fn declare(channel: &Channel, names: &Names) -> lapin::Result<()> {
    declare_exchange(channel, &names.hello_exchange(), ExchangeKind::Fanout).await?;
    declare_exchange(channel, &names.live_exchange(), ExchangeKind::Topic).await?;
    declare_exchange(channel, &names.dead_letter_exchange(), ExchangeKind::Fanout).await?;
    let dead = [
        ("x-queue-type", text("quorum")),
        ("x-max-length", AMQPValue::LongLongInt(DEAD_MAX_FRAMES)),
        ("x-overflow", text("drop-head")),
    ];
    declare_durable(channel, &names.dead(), dead).await?;
    bind(channel, &names.dead(), &names.dead_letter_exchange(), "").await?;
    let intake = [
        ("x-queue-type", text("quorum")),
        ("x-delivery-limit", AMQPValue::LongLongInt(INTAKE_DELIVERY_LIMIT)),
        ("x-dead-letter-exchange", text(&names.dead_letter_exchange())),
        ("x-max-length-bytes", AMQPValue::LongLongInt(INTAKE_MAX_BYTES)),
        ("x-overflow", text("reject-publish")),
    ];
    declare_durable(channel, &names.intake(), intake).await
}

/// Makes a queue that dies with its consumer or its connection, whichever ends first.
pub(super) async fn declare_exclusive(
    channel: &Channel,
    queue: &QueueName,
    max_length: Option<u32>,
) -> lapin::Result<()> {
    let options = QueueDeclareOptions {
        exclusive: true,
        auto_delete: true,
        ..Default::default()
    };
    let arguments = max_length.map_or_else(FieldTable::default, |most| {
        table([
            ("x-max-length", AMQPValue::LongLongInt(most.into())),
            ("x-overflow", text("drop-head")),
        ])
    });
    channel
        .queue_declare(queue.as_str().into(), options, arguments)
        .await
        .map(drop)
}

pub(super) async fn bind(
    channel: &Channel,
    queue: &QueueName,
    exchange: &str,
    topic: &str,
) -> lapin::Result<()> {
    let options = QueueBindOptions::default();
    channel
        .queue_bind(
            queue.as_str().into(),
            exchange.into(),
            topic.into(),
            options,
            FieldTable::default(),
        )
        .await
}

async fn declare_exchange(channel: &Channel, name: &str, kind: ExchangeKind) -> lapin::Result<()> {
    let options = ExchangeDeclareOptions {
        durable: true,
        ..Default::default()
    };
    channel
        .exchange_declare(name.into(), kind, options, FieldTable::default())
        .await
}

async fn declare_durable<const N: usize>(
    channel: &Channel,
    queue: &QueueName,
    arguments: [(&'static str, AMQPValue); N],
) -> lapin::Result<()> {
    let options = QueueDeclareOptions {
        durable: true,
        ..Default::default()
    };
    channel
        .queue_declare(queue.as_str().into(), options, table(arguments))
        .await
        .map(drop)
}

fn table<const N: usize>(entries: [(&'static str, AMQPValue); N]) -> FieldTable {
    let mut table = FieldTable::default();
    for (key, value) in entries {
        table.insert(ShortString::from(key), value);
    }
    table
}

pub(super) fn text(value: &str) -> AMQPValue {
    AMQPValue::LongString(value.into())
}
