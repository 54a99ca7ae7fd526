//! Watches the sessions of clients, and tells the core when one is over: jobs attached to it end with it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use actix::Addr;
use millstream_protocol::codec;
use millstream_protocol::wire::ClientSession;
use millstream_scheduler_core::SchedulerEvent;
use millstream_state::StateStore;
use tokio::time::Instant;
use tracing::info;

use crate::leader::{AttachedSessions, Heard, LeaderActor};

/// How often sessions are read while a job is attached to one.
const POLL: Duration = Duration::from_secs(1);

/// See the module.
pub(crate) struct ClientWatch {
    pub(crate) state: Arc<dyn StateStore>,
    pub(crate) leader: Addr<LeaderActor>,
    /// How long a session may be missing: a store that lost it gets it back with the next renewal.
    pub(crate) grace: Duration,
}

impl ClientWatch {
    /// Watches until the leader is gone.
    pub(crate) async fn run(self) {
        let mut missing = Missing::default();
        loop {
            tokio::time::sleep(POLL).await;
            let Ok(attached) = self.leader.send(AttachedSessions).await else {
                return;
            };
            if attached.is_empty() {
                missing.forget();
                continue;
            }
            // A store that is away says nothing about clients, and they could not renew meanwhile.
            let Ok(sessions) = self.state.sessions().await else {
                missing.forget();
                continue;
            };
            let sessions: HashMap<_, _> = sessions.into_iter().collect();
            let state_of = |name: &str| sessions.get(name).and_then(|data| codec::decode(data).ok());
            let over = missing.over(attached, state_of, Instant::now(), self.grace);
            for session in over {
                info!(%session, "a client is gone; what is attached to it ends");
                let event = SchedulerEvent::ClientSessionEnded { session };
                let _ = self.leader.send(Heard(vec![event])).await;
            }
        }
    }
}

/// Since when sessions are missing in the store.
#[derive(Debug, Default)]
struct Missing(HashMap<String, Instant>);

impl Missing {
    fn forget(&mut self) {
        self.0.clear();
    }

    /// Which of the attached sessions are over: ended by their clients, or missing for the whole grace.
    fn over(
        &mut self,
        attached: Vec<String>,
        state_of: impl Fn(&str) -> Option<ClientSession>,
        now: Instant,
        grace: Duration,
    ) -> Vec<String> {
        self.0.retain(|name, _| attached.contains(name));
        let mut over = Vec::new();
        for name in attached {
            match state_of(&name) {
                Some(ClientSession::Open) => {
                    self.0.remove(&name);
                }
                Some(ClientSession::Ended) => over.push(name),
                None if now.duration_since(*self.0.entry(name.clone()).or_insert(now)) >= grace => {
                    over.push(name)
                }
                None => {}
            }
        }
        over
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRACE: Duration = Duration::from_secs(30);

    fn at(missing: &mut Missing, now: Instant, state: Option<ClientSession>) -> Vec<String> {
        missing.over(vec!["a".to_owned()], |_| state, now, GRACE)
    }

    #[test]
    fn a_session_that_its_client_ended_is_over_at_once() {
        let mut missing = Missing::default();
        assert_eq!(
            at(&mut missing, Instant::now(), Some(ClientSession::Ended)),
            ["a"]
        );
    }

    #[test]
    fn a_session_is_over_once_it_was_missing_for_the_whole_grace() {
        let (mut missing, start) = (Missing::default(), Instant::now());
        assert!(at(&mut missing, start, None).is_empty());
        assert!(at(&mut missing, start + GRACE / 2, Some(ClientSession::Open)).is_empty());
        assert!(at(&mut missing, start + GRACE, None).is_empty());
        assert_eq!(at(&mut missing, start + GRACE * 2, None), ["a"]);
    }
}
