//! Who waits for what, and through which link the leader is reached.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use millstream_bus::Link;
use millstream_protocol::wire::{GatewayRequest, Hello, JobAnswer, RequestError, Response};
use millstream_types::JobId;
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc, oneshot};

use super::JobNews;

/// Silence after which a leader counts as unknown; it says hello each second, and a standby takes over within six.
const HELLO_LIFETIME: Duration = Duration::from_secs(10);

/// News of one job that wait for a slow watcher: a verdict and an end, and a repeat of each.
const NEWS_BACKLOG: usize = 4;

type Answer = Result<Response, RequestError>;

/// Shared by the handle and the link's task. Its lock is never held across an await.
#[derive(Default)]
pub(super) struct Table {
    inner: Mutex<Inner>,
    linked: Notify,
}

#[derive(Default)]
struct Inner {
    link: Option<(Arc<dyn Link>, String)>,
    leader: Option<(Hello, Instant)>,
    last_id: u64,
    requests: HashMap<u64, Waiting>,
    watches: HashMap<JobId, Watchers>,
}

enum Waiting {
    Asker {
        request: GatewayRequest,
        answer: Option<oneshot::Sender<Answer>>,
    },
    Watch(JobId),
}

#[derive(Default)]
struct Watchers {
    senders: Vec<(u64, mpsc::Sender<JobNews>)>,
    /// Whether the leader in office knows that news are wanted on the present link.
    asked: bool,
}

impl std::fmt::Debug for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let inner = self.inner.lock();
        f.debug_struct("Table")
            .field("requests", &inner.requests.len())
            .field("watches", &inner.watches.len())
            .finish_non_exhaustive()
    }
}

impl Table {
    pub(super) fn link_up(&self, link: Arc<dyn Link>, reply_to: String) {
        let mut inner = self.inner.lock();
        inner.link = Some((link, reply_to));
        inner.forget_asked();
        drop(inner);
        self.linked.notify_waiters();
    }

    pub(super) fn link_down(&self) {
        self.inner.lock().link = None;
    }

    pub(super) fn has_link(&self) -> bool {
        self.inner.lock().link.is_some()
    }

    /// The link and the queue for answers; waits until there are any.
    pub(super) async fn link(&self) -> (Arc<dyn Link>, String) {
        loop {
            let linked = self.linked.notified();
            tokio::pin!(linked);
            linked.as_mut().enable();
            if let Some(link) = self.inner.lock().link.clone() {
                return link;
            }
            linked.await;
        }
    }

    /// Link, queue for answers, and the leader's queue, if all are known.
    pub(super) fn route(&self) -> Option<(Arc<dyn Link>, String, String)> {
        let inner = self.inner.lock();
        let (link, reply_to) = inner.link.clone()?;
        let (hello, _) = inner.leader.as_ref()?;
        Some((link, reply_to, hello.queue.clone()))
    }

    /// Follows a hello. Tells whether the leader is another one than before.
    pub(super) fn heard(&self, hello: Hello) -> bool {
        let mut inner = self.inner.lock();
        let known = inner.leader.as_ref().map(|(known, _)| known.clone());
        if known.as_ref().is_some_and(|known| known.term > hello.term) {
            return false;
        }
        let changed = known.as_ref() != Some(&hello);
        inner.leader = Some((hello, Instant::now()));
        if changed {
            inner.forget_asked();
        }
        changed
    }

    /// A frame for `queue` came back: that leader is gone.
    pub(super) fn returned(&self, queue: &str) {
        let mut inner = self.inner.lock();
        if inner
            .leader
            .as_ref()
            .is_some_and(|(hello, _)| hello.queue == queue)
        {
            inner.leader = None;
            inner.forget_asked();
        }
    }

    pub(super) fn hello(&self) -> Option<Hello> {
        let inner = self.inner.lock();
        let (hello, heard) = inner.leader.as_ref()?;
        (heard.elapsed() < HELLO_LIFETIME).then(|| hello.clone())
    }

    pub(super) fn add_request(&self, request: GatewayRequest) -> (u64, oneshot::Receiver<Answer>) {
        let (sender, receiver) = oneshot::channel();
        let mut inner = self.inner.lock();
        let id = inner.next_id();
        let answer = Some(sender);
        inner.requests.insert(id, Waiting::Asker { request, answer });
        (id, receiver)
    }

    pub(super) fn remove_request(&self, id: u64) {
        self.inner.lock().requests.remove(&id);
    }

    /// Requests that still wait, to be sent again.
    pub(super) fn open_requests(&self) -> Vec<(u64, GatewayRequest)> {
        let inner = self.inner.lock();
        let mut open: Vec<_> = inner
            .requests
            .iter()
            .filter_map(|(id, waiting)| match waiting {
                Waiting::Asker { request, .. } => Some((*id, request.clone())),
                Waiting::Watch(_) => None,
            })
            .collect();
        open.sort_unstable_by_key(|(id, _)| *id);
        open
    }

    pub(super) fn add_watch(&self, job: JobId, asked: bool) -> (u64, mpsc::Receiver<JobNews>) {
        let (sender, receiver) = mpsc::channel(NEWS_BACKLOG);
        let mut inner = self.inner.lock();
        let id = inner.next_id();
        let watchers = inner.watches.entry(job).or_default();
        watchers.asked |= asked;
        watchers.senders.push((id, sender));
        (id, receiver)
    }

    pub(super) fn remove_watch(&self, job: JobId, id: u64) {
        let mut inner = self.inner.lock();
        if let Some(watchers) = inner.watches.get_mut(&job) {
            watchers.senders.retain(|(other, _)| *other != id);
            if watchers.senders.is_empty() {
                inner.watches.remove(&job);
            }
        }
    }

    /// Notes a request for news of `job`; its answer goes to the job's watchers.
    pub(super) fn add_watch_request(&self, job: JobId) -> u64 {
        let mut inner = self.inner.lock();
        // One such request per job: an older one was for another link or leader.
        inner
            .requests
            .retain(|_, waiting| !matches!(waiting, Waiting::Watch(other) if *other == job));
        let id = inner.next_id();
        inner.requests.insert(id, Waiting::Watch(job));
        id
    }

    /// Watched jobs for which the leader has not confirmed that it will tell their end.
    pub(super) fn unasked_watches(&self) -> Vec<JobId> {
        let inner = self.inner.lock();
        let unasked = inner.watches.iter().filter(|(_, watchers)| !watchers.asked);
        unasked.map(|(job, _)| *job).collect()
    }

    pub(super) fn answered(&self, id: u64, result: Answer) {
        let mut inner = self.inner.lock();
        match inner.requests.remove(&id) {
            Some(Waiting::Asker {
                answer: Some(answer), ..
            }) => {
                // The asker may have stopped waiting.
                let _ = answer.send(result);
            }
            Some(Waiting::Watch(job)) => inner.watch_answered(job, result),
            _ => {}
        }
    }

    pub(super) fn verdict(&self, job: JobId, result: Result<(), RequestError>) {
        self.inner.lock().tell(job, &JobNews::Verdict(result));
    }

    pub(super) fn ended(&self, answer: Box<JobAnswer>) {
        self.inner.lock().tell(answer.meta.job, &JobNews::Ended(answer));
    }
}

impl Inner {
    const fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    fn forget_asked(&mut self) {
        for watchers in self.watches.values_mut() {
            watchers.asked = false;
        }
    }

    fn watch_answered(&mut self, job: JobId, result: Answer) {
        // An unknown job may still be in the intake queue: it is asked for again.
        let Ok(Response::Job(answer)) = result else { return };
        if let Some(watchers) = self.watches.get_mut(&job) {
            watchers.asked = true;
        }
        self.tell(job, &JobNews::Verdict(Ok(())));
        if answer.meta.state.is_terminal() {
            self.tell(job, &JobNews::Ended(answer));
        }
    }

    fn tell(&self, job: JobId, news: &JobNews) {
        if let Some(watchers) = self.watches.get(&job) {
            for (_, sender) in &watchers.senders {
                // A full channel holds the same news already.
                let _ = sender.try_send(news.clone());
            }
        }
    }
}
