//! The Lua scripts, sent by hash and loaded when the server does not know them.

use std::sync::LazyLock;

use ::redis::aio::MultiplexedConnection;
use ::redis::{Cmd, ErrorKind, FromRedisValue, RedisResult, ServerErrorKind};

use crate::keys::JobKey;
use crate::shared::{OVERHEAD, REMEMBERED};

pub(super) static COMMIT: LazyLock<Script> =
    LazyLock::new(|| Script::new(JobKey::lua_constants() + include_str!("../lua/commit.lua")));
pub(super) static ACQUIRE_LEASE: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("../lua/acquire_lease.lua").to_owned()));
pub(super) static RENEW_LEASE: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("../lua/renew_lease.lua").to_owned()));
pub(super) static RELEASE_LEASE: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("../lua/release_lease.lua").to_owned()));
pub(super) static PUT_BLOB: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("../lua/put_blob.lua").to_owned()));
pub(super) static EXTEND_BLOB: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("../lua/extend_blob.lua").to_owned()));
pub(super) static DELETE_BLOB: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("../lua/delete_blob.lua").to_owned()));
pub(super) static PUT_SESSION: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("../lua/put_session.lua").to_owned()));

pub(super) static PUT_CELL: LazyLock<Script> =
    LazyLock::new(|| Script::shared("", include_str!("../lua/put_cell.lua")));
pub(super) static RENEW_CELL: LazyLock<Script> =
    LazyLock::new(|| Script::shared("", include_str!("../lua/renew_cell.lua")));
pub(super) static REMOVE_CELL: LazyLock<Script> =
    LazyLock::new(|| Script::shared("", include_str!("../lua/remove_cell.lua")));
pub(super) static PUSH: LazyLock<Script> =
    LazyLock::new(|| Script::shared(QUEUE, include_str!("../lua/push.lua")));
pub(super) static TAKE: LazyLock<Script> =
    LazyLock::new(|| Script::shared(QUEUE, include_str!("../lua/take.lua")));
pub(super) static REMOVE_QUEUE: LazyLock<Script> =
    LazyLock::new(|| Script::shared(QUEUE, include_str!("../lua/remove_queue.lua")));
pub(super) static ENTER: LazyLock<Script> =
    LazyLock::new(|| Script::shared(SEMAPHORE, include_str!("../lua/enter.lua")));
pub(super) static LEAVE: LazyLock<Script> =
    LazyLock::new(|| Script::shared(SEMAPHORE, include_str!("../lua/leave.lua")));
pub(super) static LOOK_SEMAPHORE: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("../lua/look_semaphore.lua").to_owned()));

const QUEUE: &str = include_str!("../lua/shared_queue.lua");
const SEMAPHORE: &str = include_str!("../lua/shared_semaphore.lua");

/// One script and its hash.
pub(super) struct Script {
    body: String,
    hash: String,
}

impl Script {
    fn new(body: String) -> Self {
        let hash = ::redis::Script::new(&body).get_hash().to_owned();
        Self { body, hash }
    }

    /// A script about something shared, behind what all of them and those of its kind begin with.
    fn shared(of_kind: &str, body: &str) -> Self {
        let all = include_str!("../lua/shared.lua");
        Self::new(format!(
            "local OVERHEAD, REMEMBERED = {OVERHEAD}, {REMEMBERED}\n{all}{of_kind}{body}"
        ))
    }

    /// A call of the script; `build` adds the number of keys, the keys and the arguments.
    pub(super) fn call(&'static self, build: impl FnOnce(&mut Cmd)) -> ScriptCall {
        let mut command = ::redis::cmd("EVALSHA");
        command.arg(&self.hash);
        build(&mut command);
        ScriptCall {
            script: self,
            command,
        }
    }
}

/// One call of a script, which may be sent again.
pub(super) struct ScriptCall {
    script: &'static Script,
    command: Cmd,
}

impl ScriptCall {
    /// The command that is sent.
    pub(super) const fn command(&self) -> &Cmd {
        &self.command
    }

    /// Sends the call, loading the script first if the server lacks it.
    pub(super) async fn run<T: FromRedisValue>(
        &self,
        connection: &mut MultiplexedConnection,
    ) -> RedisResult<T> {
        match self.command.query_async(connection).await {
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                let mut load = ::redis::cmd("SCRIPT");
                let () = load
                    .arg("LOAD")
                    .arg(&self.script.body)
                    .query_async(connection)
                    .await?;
                self.command.query_async(connection).await
            }
            outcome => outcome,
        }
    }
}
