//! The RabbitMQ and Redis of a test.

use anyhow::Context;
use millstream_testkit::{RabbitMq, RedisServer, SharedRedis};

/// Which servers a test needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ServerChoice {
    /// Those of the test run, for tests that leave them alone.
    #[default]
    Shared,
    /// A RabbitMQ of its own, to be killed.
    PrivateBroker,
    /// A Redis of its own, to be killed.
    PrivateRedis,
}

/// A test's servers.
#[derive(Debug)]
pub struct Servers {
    broker: Broker,
    redis: Redis,
}

#[derive(Debug)]
enum Broker {
    Shared(&'static RabbitMq),
    Private(RabbitMq),
}

#[derive(Debug)]
enum Redis {
    Shared(SharedRedis),
    Private(RedisServer),
}

impl Servers {
    /// Finds or starts them.
    ///
    /// # Errors
    /// If one does not start.
    pub async fn start(choice: ServerChoice) -> anyhow::Result<Self> {
        let broker = match choice {
            ServerChoice::PrivateBroker => Broker::Private(RabbitMq::start().await?),
            _ => Broker::Shared(RabbitMq::shared().await?),
        };
        let redis = match choice {
            ServerChoice::PrivateRedis => Redis::Private(RedisServer::start().await?),
            _ => Redis::Shared(SharedRedis::find_or_start().await?),
        };
        Ok(Self { broker, redis })
    }

    /// Where RabbitMQ listens.
    pub fn broker_url(&self) -> &str {
        match &self.broker {
            Broker::Shared(broker) => broker.url(),
            Broker::Private(broker) => broker.url(),
        }
    }

    /// Where Redis listens.
    pub fn redis_url(&self) -> String {
        match &self.redis {
            Redis::Shared(redis) => redis.url().to_owned(),
            Redis::Private(redis) => redis.url(),
        }
    }

    /// The test's own RabbitMQ.
    ///
    /// # Errors
    /// If it shares one.
    pub fn broker(&mut self) -> anyhow::Result<&mut RabbitMq> {
        match &mut self.broker {
            Broker::Private(broker) => Ok(broker),
            Broker::Shared(_) => Err(anyhow::anyhow!("this test shares its RabbitMQ")),
        }
    }

    /// The test's own Redis.
    ///
    /// # Errors
    /// If it shares one.
    pub fn redis(&mut self) -> anyhow::Result<&mut RedisServer> {
        match &mut self.redis {
            Redis::Private(redis) => Some(redis),
            Redis::Shared(_) => None,
        }
        .context("this test shares its Redis")
    }
}
