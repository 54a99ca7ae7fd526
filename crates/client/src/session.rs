//! A client's session, which tells the cluster that the client is still there.

use std::time::Duration;

use millstream_protocol::api::SessionView;
use reqwest::Method;
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::client::accept_msgpack;
use crate::{Client, Error};

/// Renewals in the time that a session lasts: some may fail.
const RENEWALS: u32 = 6;

/// Kept alive until it is dropped or ended. Jobs attached to it with [`crate::Job::attach`] are cancelled, and their
/// results let go, when it is over; a process that dies ends its sessions by not renewing them.
#[derive(Debug)]
pub struct Session {
    client: Client,
    id: Uuid,
    renewing: JoinHandle<()>,
}

impl Session {
    /// Opens a session, which is renewed in the background.
    ///
    /// # Errors
    /// No gateway for several seconds, or one that refuses.
    pub(crate) async fn open(client: Client) -> Result<Self, Error> {
        let id = Uuid::new_v4();
        let view = client.renew_session(id).await?;
        let pause = (view.ttl.0 / RENEWALS).max(Duration::from_millis(10));
        let renewing = tokio::spawn(renew(client.clone(), id, pause));
        Ok(Self { client, id, renewing })
    }

    /// Its id.
    pub const fn id(&self) -> Uuid {
        self.id
    }

    /// Ends the session now, and with it all that is attached to it.
    ///
    /// # Errors
    /// No gateway for several seconds: the session then runs out by itself.
    pub async fn end(self) -> Result<(), Error> {
        self.renewing.abort();
        self.client.end_session(self.id).await
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.renewing.abort();
    }
}

async fn renew(client: Client, id: Uuid, pause: Duration) {
    loop {
        tokio::time::sleep(pause).await;
        // A gateway that is away for long ends the session, which is what sessions are for.
        let _ = client.renew_session(id).await;
    }
}

impl Client {
    /// Opens a session, to which jobs can be attached.
    ///
    /// # Errors
    /// No gateway for several seconds, or one that refuses.
    pub async fn session(&self) -> Result<Session, Error> {
        Session::open(self.clone()).await
    }

    async fn renew_session(&self, id: Uuid) -> Result<SessionView, Error> {
        let path = format!("/v1/sessions/{id}");
        let response = self.send(Method::PUT, &path, accept_msgpack).await?;
        self.read(response).await
    }

    async fn end_session(&self, id: Uuid) -> Result<(), Error> {
        let path = format!("/v1/sessions/{id}");
        self.send(Method::DELETE, &path, accept_msgpack).await?;
        Ok(())
    }
}
