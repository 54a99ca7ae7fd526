//! [`SharedState`] over Redis.

use std::time::Duration;

use ::redis::{Cmd, FromRedisValue, cmd, pipe};
use async_trait::async_trait;
use bytes::Bytes;

use super::RedisState;
use super::encode::ttl_millis;
use super::script::{
    ENTER, LEAVE, LOOK_SEMAPHORE, PUSH, PUT_CELL, REMOVE_CELL, REMOVE_QUEUE, RENEW_CELL, Script, ScriptCall,
    TAKE,
};
use crate::shared::{EMPTY_TTL, IDLE_TTL, MAX_PAGE_ITEMS, PAGE_BYTES, check_push, check_value, queue_limit};
use crate::{
    Cell, Entry, Expected, Push, QueuePage, SemaphoreView, SharedError, SharedKind, SharedLimits,
    SharedState, StateError,
};

/// What a script did: `ok`, or what kept it from it, with a number.
type Answer = (String, u64);

impl RedisState {
    /// A call of a script about one shared thing.
    fn about(
        &self,
        script: &'static Script,
        kind: SharedKind,
        name: &str,
        keys: &[String],
        build: impl FnOnce(&mut Cmd),
    ) -> ScriptCall {
        script.call(|command| {
            command
                .arg(keys.len() + 2)
                .arg(self.keys.shared())
                .arg(self.keys.shared_sizes());
            command.arg(keys).arg(kind.member(name)).arg(self.keys.shared());
            build(command);
        })
    }

    /// Repeats `attempt` whenever the thing changes, until it finds something or the time is over.
    async fn attend<T, F>(
        &self,
        topic: String,
        wait: Duration,
        attempt: impl FnMut() -> F,
    ) -> Result<Option<T>, SharedError>
    where
        F: Future<Output = Result<Option<T>, SharedError>>,
    {
        if !wait.is_zero() {
            self.changes.ensure(&self.keys.shared(), &self.shared_waiters);
        }
        self.shared_waiters.until(topic, wait, attempt).await
    }

    async fn read_cell(&self, name: &str) -> Result<Option<Cell>, SharedError> {
        let key = self.keys.cell(name);
        let mut read = cmd("HMGET");
        read.arg(&key).arg(&["version", "value"]);
        let (version, value): (Option<u64>, Option<Bytes>) = self.shared.query(&read).await?;
        Ok(version.zip(value).map(|(version, value)| Cell { version, value }))
    }

    async fn try_push(&self, name: &str, push: &Push) -> Result<Option<usize>, SharedError> {
        let limits = self.limits.shared;
        let call = self.about(
            &PUSH,
            SharedKind::Queue,
            name,
            &self.keys.queue(name),
            |command| {
                bounds(command, &limits);
                command.arg(ttl_millis(IDLE_TTL)).arg(ttl_millis(EMPTY_TTL));
                command.arg(format!("push:{}", push.id));
                command.arg(queue_limit(push, &limits));
                command.arg(u8::from(push.drop_oldest));
                for item in &push.items {
                    command.arg(item.as_ref());
                }
            },
        );
        let (outcome, number): Answer = self.shared.script(call).await?;
        match outcome.as_str() {
            "ok" => Ok(Some(number as usize)),
            "full" => Ok(None),
            other => Err(self.refused(other, number)),
        }
    }

    async fn try_take(&self, name: &str, id: &str, most: usize) -> Result<Option<Vec<Bytes>>, SharedError> {
        let call = self.about(
            &TAKE,
            SharedKind::Queue,
            name,
            &self.keys.queue(name),
            |command| {
                command.arg(ttl_millis(IDLE_TTL)).arg(ttl_millis(EMPTY_TTL));
                command.arg(format!("take:{id}"));
                command.arg(most.min(MAX_PAGE_ITEMS)).arg(PAGE_BYTES);
            },
        );
        let items: Vec<Bytes> = self.shared.script(call).await?;
        Ok((!items.is_empty()).then_some(items))
    }

    /// How many must leave first.
    async fn try_enter(&self, name: &str, entry: &Entry) -> Result<usize, SharedError> {
        let limits = self.limits.shared;
        let keys = self.keys.semaphore(name);
        let call = self.about(&ENTER, SharedKind::Semaphore, name, &keys, |command| {
            bounds(command, &limits);
            command.arg(ttl_millis(IDLE_TTL)).arg(&entry.ticket);
            command
                .arg(ttl_millis(entry.ttl))
                .arg(entry.limit)
                .arg(limits.tickets);
        });
        let (outcome, number): Answer = self.shared.script(call).await?;
        if outcome == "ok" {
            Ok((number as usize + 1).saturating_sub(entry.limit))
        } else {
            Err(self.refused(&outcome, number))
        }
    }

    fn refused(&self, outcome: &str, number: u64) -> SharedError {
        let limits = &self.limits.shared;
        match outcome {
            "conflict" => SharedError::Conflict {
                current: (number > 0).then_some(number),
            },
            "names" => SharedError::TooManyNames(limits.names),
            "bytes" => SharedError::OutOfRoom(limits.bytes),
            "limit" => SharedError::LimitDiffers {
                known: number as usize,
            },
            "tickets" => SharedError::TooManyTickets(number as usize),
            _ => SharedError::State(StateError::Corrupt {
                key: self.keys.shared(),
                what: "a script's answer is unknown",
            }),
        }
    }

    /// Runs a script that must not be repeated when its answer is lost.
    async fn conditionally<T: FromRedisValue>(&self, call: ScriptCall) -> Result<T, SharedError> {
        let (answer, _) = self
            .shared
            .script_once(call)
            .await
            .map_err(|failure| failure.error)?;
        Ok(answer)
    }
}

fn bounds(command: &mut Cmd, limits: &SharedLimits) {
    command.arg(limits.names).arg(limits.bytes.as_u64());
}

fn expected_text(expected: Expected) -> String {
    match expected {
        Expected::Any => "any".to_owned(),
        Expected::Absent => "absent".to_owned(),
        Expected::Version(version) => version.to_string(),
    }
}

#[async_trait]
impl SharedState for RedisState {
    async fn shared_names(&self, kind: SharedKind, prefix: &str) -> Result<Vec<String>, SharedError> {
        let (seconds, micros): (u64, u64) = self.shared.query(&cmd("TIME")).await?;
        let now = seconds * 1000 + micros / 1000;
        let mut read = cmd("ZRANGEBYSCORE");
        read.arg(self.keys.shared()).arg(format!("({now}")).arg("+inf");
        let members: Vec<String> = self.shared.query(&read).await?;
        let of_kind = members
            .iter()
            .filter_map(|member| member.strip_prefix(kind.prefix()));
        let mut names: Vec<String> = of_kind
            .filter(|name| name.starts_with(prefix))
            .map(str::to_owned)
            .collect();
        names.sort_unstable();
        Ok(names)
    }

    async fn cell(
        &self,
        name: &str,
        after: Option<u64>,
        wait: Duration,
    ) -> Result<Option<Cell>, SharedError> {
        let attempt = || async {
            let cell = self.read_cell(name).await?;
            let is_news = cell.as_ref().map(|cell| cell.version) != after;
            Ok::<_, SharedError>(is_news.then_some(cell))
        };
        match self.attend(SharedKind::Cell.member(name), wait, attempt).await? {
            Some(cell) => Ok(cell),
            None => self.read_cell(name).await,
        }
    }

    async fn put_cell(
        &self,
        name: &str,
        value: Bytes,
        expected: Expected,
        ttl: Duration,
    ) -> Result<u64, SharedError> {
        let limits = self.limits.shared;
        check_value(&value, &limits)?;
        let call = self.about(
            &PUT_CELL,
            SharedKind::Cell,
            name,
            &[self.keys.cell(name)],
            |command| {
                bounds(command, &limits);
                command.arg(ttl_millis(ttl)).arg(expected_text(expected));
                command.arg(value.as_ref());
            },
        );
        let (outcome, version): Answer = match expected {
            Expected::Any => self.shared.script(call).await?,
            _ => self.conditionally(call).await?,
        };
        if outcome == "ok" {
            Ok(version)
        } else {
            Err(self.refused(&outcome, version))
        }
    }

    async fn renew_cell(&self, name: &str, ttl: Duration) -> Result<bool, SharedError> {
        let keys = [self.keys.cell(name)];
        let call = self.about(&RENEW_CELL, SharedKind::Cell, name, &keys, |command| {
            command.arg(ttl_millis(ttl));
        });
        let (_, found): Answer = self.shared.script(call).await?;
        Ok(found > 0)
    }

    async fn remove_cell(&self, name: &str, expected: Expected) -> Result<bool, SharedError> {
        let keys = [self.keys.cell(name)];
        let call = self.about(&REMOVE_CELL, SharedKind::Cell, name, &keys, |command| {
            command.arg(expected_text(expected));
        });
        let (outcome, number): Answer = self.conditionally(call).await?;
        if outcome == "ok" {
            Ok(number == 1)
        } else {
            Err(self.refused(&outcome, number))
        }
    }

    async fn push(&self, name: &str, push: &Push, wait: Duration) -> Result<usize, SharedError> {
        let limits = self.limits.shared;
        check_push(push, &limits)?;
        let attempt = || self.try_push(name, push);
        let pushed = self.attend(SharedKind::Queue.member(name), wait, attempt).await?;
        match pushed {
            Some(length) => Ok(length),
            None => Err(SharedError::QueueFull {
                length: self.queue(name, 0, 0).await?.length,
                limit: queue_limit(push, &limits),
            }),
        }
    }

    async fn take(
        &self,
        name: &str,
        id: &str,
        most: usize,
        wait: Duration,
    ) -> Result<Vec<Bytes>, SharedError> {
        let attempt = || self.try_take(name, id, most);
        let taken = self.attend(SharedKind::Queue.member(name), wait, attempt).await?;
        Ok(taken.unwrap_or_default())
    }

    async fn queue(&self, name: &str, from: usize, limit: usize) -> Result<QueuePage, SharedError> {
        let [items, ..] = self.keys.queue(name);
        let mut read = pipe();
        read.cmd("LLEN").arg(&items);
        if limit > 0 {
            let last = from + limit.min(MAX_PAGE_ITEMS) - 1;
            read.cmd("LRANGE").arg(&items).arg(from).arg(last);
            let (length, items) = self.shared.pipeline(&read, self.shared.patience()).await?;
            return Ok(QueuePage { length, items });
        }
        let (length,) = self.shared.pipeline(&read, self.shared.patience()).await?;
        Ok(QueuePage {
            length,
            items: Vec::new(),
        })
    }

    async fn remove_queue(&self, name: &str) -> Result<(), SharedError> {
        let keys = self.keys.queue(name);
        let call = self.about(&REMOVE_QUEUE, SharedKind::Queue, name, &keys, |_| {});
        Ok(self.shared.script(call).await?)
    }

    async fn enter(&self, name: &str, entry: &Entry, wait: Duration) -> Result<usize, SharedError> {
        let place = format!("{}/{}", SharedKind::Semaphore.member(name), entry.ticket);
        let attempt = || async {
            let ahead = self.try_enter(name, entry).await?;
            Ok::<_, SharedError>((ahead == 0).then_some(ahead))
        };
        match self.attend(place, wait, attempt).await? {
            Some(ahead) => Ok(ahead),
            None => self.try_enter(name, entry).await,
        }
    }

    async fn leave(&self, name: &str, ticket: &str) -> Result<bool, SharedError> {
        let keys = self.keys.semaphore(name);
        let call = self.about(&LEAVE, SharedKind::Semaphore, name, &keys, |command| {
            command.arg(ticket);
        });
        Ok(self.shared.script(call).await?)
    }

    async fn semaphore(&self, name: &str) -> Result<SemaphoreView, SharedError> {
        let [_, tickets, limit] = self.keys.semaphore(name);
        let call = LOOK_SEMAPHORE.call(|command| {
            command.arg(2).arg(tickets).arg(limit);
        });
        let (tickets, limit): (usize, usize) = self.shared.script(call).await?;
        Ok(SemaphoreView {
            tickets,
            held: tickets.min(limit),
        })
    }
}
