//! Who leads: campaigns for the lease and keeps it.
//!
//! The keeper renews on a task of its own, and only while the leader's tick advances: a leader that is stuck must
//! lose its lease although this task still runs. What the lease's loss means is the leader's business; the keeper
//! only tells it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use millstream_state::{Fence, StateError, StateStore};
use millstream_telemetry::SchedulerMetrics;
use millstream_types::{LeaderId, Term};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tracing::{debug, info, warn};

/// A counter that the leader raises at each tick.
pub(crate) type Pulse = Arc<AtomicU64>;

/// What the keeper tells its leader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LeaseNews {
    /// The lease could not be renewed by its deadline: somebody else may lead. Stop assigning and committing.
    Uncertain,
    /// The lease was renewed after all.
    Sure,
    /// The lease is gone; `holder` has it now.
    Lost {
        /// Who leads instead, if anybody.
        holder: Option<Fence>,
    },
}

/// A candidacy that was won.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Victory {
    pub(crate) fence: Fence,
    /// Somebody who is known to have led since the candidate did.
    pub(crate) rival: Option<Fence>,
}

/// A candidacy.
#[derive(Debug, Clone)]
pub(crate) struct Election {
    pub(crate) state: Arc<dyn StateStore>,
    pub(crate) leader: LeaderId,
    pub(crate) ttl: Duration,
    pub(crate) renew_every: Duration,
    pub(crate) metrics: SchedulerMetrics,
}

impl Election {
    /// Tries until the lease is ours, under a term above `at_least` and above every term that was seen meanwhile: a
    /// store that lost its data has forgotten them, but workers still follow the leader of before.
    ///
    /// `led` is what this process led with last. A store that lost its data names no rival: what it lost is then best
    /// known to who led before.
    pub(crate) async fn win(&self, mut at_least: Term, led: Option<Fence>) -> Victory {
        let mut complaint = None;
        let mut rival = None;
        loop {
            match self.state.acquire_lease(self.leader, at_least, self.ttl).await {
                Ok(Some(lease)) => {
                    return Victory {
                        fence: lease.fence,
                        rival: lease.before.filter(|before| led != Some(*before)).or(rival),
                    };
                }
                Ok(None) => {
                    complaint = None;
                    if let Ok(Some(holder)) = self.state.lease_holder().await {
                        at_least = at_least.max(holder.term);
                        rival = Some(holder).filter(|holder| led != Some(*holder)).or(rival);
                    }
                }
                Err(error) => {
                    let text = error.to_string();
                    if complaint.as_ref() != Some(&text) {
                        warn!(%error, "cannot campaign for the lease");
                        complaint = Some(text);
                    }
                }
            }
            tokio::time::sleep(self.renew_every / 2).await;
        }
    }

    /// Renews until the lease is lost or nobody listens.
    pub(crate) async fn keep(self, fence: Fence, pulse: Pulse, news: mpsc::Sender<LeaseNews>) {
        let mut deadline = Instant::now() + self.ttl;
        let mut last_pulse = pulse.load(Ordering::Relaxed);
        let mut sure = true;
        let mut beat = tokio::time::interval(self.renew_every);
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        beat.tick().await;
        loop {
            beat.tick().await;
            let asked = Instant::now();
            let beats = pulse.load(Ordering::Relaxed);
            let renewed = if beats == last_pulse {
                debug!(term = %fence.term, "the leader makes no progress; not renewing");
                None
            } else {
                last_pulse = beats;
                Some(self.renew(&fence).await)
            };
            let message = match renewed {
                Some(Ok(())) => {
                    deadline = asked + self.ttl;
                    (!std::mem::replace(&mut sure, true)).then_some(LeaseNews::Sure)
                }
                Some(Err(StateError::Fenced { holder, .. })) => {
                    info!(term = %fence.term, ?holder, "the lease is lost");
                    let _ = news.send(LeaseNews::Lost { holder }).await;
                    return;
                }
                Some(Err(error)) => {
                    warn!(term = %fence.term, %error, "cannot renew the lease");
                    self.doubt(deadline, &mut sure)
                }
                None => self.doubt(deadline, &mut sure),
            };
            if let Some(message) = message
                && news.send(message).await.is_err()
            {
                return;
            }
        }
    }

    async fn renew(&self, fence: &Fence) -> Result<(), StateError> {
        let asked = Instant::now();
        let renewed = self.state.renew_lease(fence, self.ttl).await;
        match &renewed {
            Ok(()) => self.metrics.lease_renewal_seconds.observe(asked.elapsed()),
            Err(_) => self.metrics.lease_renewal_failures.inc(),
        }
        renewed
    }

    fn doubt(&self, deadline: Instant, sure: &mut bool) -> Option<LeaseNews> {
        // One renewal early: what is in the outbox now may still be on its way at the deadline.
        let expired = Instant::now() + self.renew_every >= deadline;
        (expired && std::mem::take(sure)).then_some(LeaseNews::Uncertain)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
mod tests {
    use millstream_state::MemoryState;

    use super::*;

    fn election(state: &Arc<MemoryState>, leader: u128) -> Election {
        Election {
            state: state.clone(),
            leader: LeaderId::from_u128(leader),
            ttl: Duration::from_millis(600),
            renew_every: Duration::from_millis(200),
            metrics: SchedulerMetrics::new(),
        }
    }

    #[tokio::test]
    async fn a_stuck_leader_loses_its_lease() {
        let state = Arc::new(MemoryState::new());
        let stuck = election(&state, 1);
        let fence = stuck.win(Term(0), None).await.fence;
        let (news, mut heard) = mpsc::channel(8);
        let pulse = Pulse::default();
        tokio::spawn(stuck.keep(fence, pulse.clone(), news));
        let Victory {
            fence: successor,
            rival,
        } = election(&state, 2).win(fence.term, None).await;
        assert!(successor.term > fence.term);
        assert_eq!(rival, Some(fence));
        assert_eq!(heard.recv().await.unwrap(), LeaseNews::Uncertain);
        pulse.fetch_add(1, Ordering::Relaxed);
        assert_eq!(
            heard.recv().await.unwrap(),
            LeaseNews::Lost {
                holder: Some(successor)
            }
        );
    }

    #[tokio::test]
    async fn a_standby_leads_above_the_terms_it_has_seen() {
        let state = Arc::new(MemoryState::new());
        let led = election(&state, 1).win(Term(6), None).await.fence;
        let standby = tokio::spawn({
            let standby = election(&state, 2);
            async move { standby.win(Term(0), None).await }
        });
        tokio::time::sleep(Duration::from_millis(300)).await;
        state.restart_empty();
        let successor = standby.await.unwrap();
        assert!(successor.fence.term > led.term);
        assert_eq!(
            successor.rival,
            Some(led),
            "it was seen, though the store forgot it"
        );
    }

    #[tokio::test]
    async fn who_led_last_has_no_rival_unless_somebody_led_since() {
        let state = Arc::new(MemoryState::new());
        let led = election(&state, 1).win(Term(0), None).await;
        assert_eq!(led.rival, None);
        let led = led.fence;
        state.release_lease(&led).await.unwrap();
        let again = election(&state, 2).win(led.term, Some(led)).await;
        assert_eq!(again.rival, None, "nobody led in between");
        state.restart_empty();
        let after_loss = election(&state, 3).win(again.fence.term, Some(again.fence)).await;
        assert_eq!(after_loss.rival, None, "nobody is known to have led");
        state.release_lease(&after_loss.fence).await.unwrap();
        let late = election(&state, 4).win(led.term, Some(led)).await;
        assert_eq!(late.rival, Some(after_loss.fence));
    }

    #[tokio::test]
    async fn a_live_leader_keeps_its_lease() {
        let state = Arc::new(MemoryState::new());
        // Longer than a busy machine lets a program stand still.
        let live = Election {
            ttl: Duration::from_secs(5),
            ..election(&state, 1)
        };
        let fence = live.win(Term(0), None).await.fence;
        let (news, mut heard) = mpsc::channel(8);
        let pulse = Pulse::default();
        tokio::spawn(live.keep(fence, pulse.clone(), news));
        for _ in 0..140 {
            pulse.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(state.lease_holder().await.unwrap(), Some(fence));
        assert!(heard.try_recv().is_err());
    }
}
