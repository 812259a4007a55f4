//! Bounds the requests of one collection: until when they go on, whom they let pass, and what they learn of the server
//! together.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::source::SourceError;

/// What the requests of one collection share.
#[derive(Debug, Default)]
pub(super) struct Collection {
    health: Health,
    limit: Option<Limit>,
    /// Requests that were sent.
    requests: AtomicUsize,
    /// Chunks that the cache had.
    cached: AtomicUsize,
    /// It lets others pass: see [`super::client::Client`].
    pub background: bool,
}

/// When a look is over.
#[derive(Debug)]
struct Limit {
    /// No request is repeated after this.
    repeat: Instant,
    /// No answer is waited for after this.
    end: Instant,
    length: Duration,
}

impl Collection {
    /// A look at recent rows where one request may take `timeout`: nothing is repeated after that time, and after twice
    /// that time the look is over. What failed is asked for again by the next look.
    pub fn look(timeout: Duration) -> Self {
        let (now, length) = (Instant::now(), timeout.saturating_mul(2));
        let far = now + Duration::from_hours(24);
        let limit = Limit {
            repeat: now.checked_add(timeout).unwrap_or(far),
            end: now.checked_add(length).unwrap_or(far),
            length,
        };
        Self {
            limit: Some(limit),
            ..Self::default()
        }
    }

    /// History, which takes the time it takes, each of its requests within bounds.
    pub fn history() -> Self {
        Self {
            background: true,
            ..Self::default()
        }
    }

    /// Whether a request may be repeated after `wait`.
    pub fn may_repeat_after(&self, wait: Duration) -> bool {
        let limit = self.limit.as_ref();
        limit.is_none_or(|limit| Instant::now() + wait < limit.repeat)
    }

    /// What `work` gives, or how long the collection was allowed to take when that is over first.
    pub async fn within<T>(&self, work: impl Future<Output = T>) -> Result<T, Duration> {
        match &self.limit {
            None => Ok(work.await),
            Some(limit) => {
                let done = tokio::time::timeout_at(limit.end, work).await;
                done.map_err(|_| limit.length)
            }
        }
    }

    /// A request is sent.
    pub fn sent(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    /// The cache had a chunk.
    pub fn was_cached(&self) {
        self.cached.fetch_add(1, Ordering::Relaxed);
    }

    /// Requests that were sent, and chunks that the cache had.
    pub fn fetched(&self) -> (usize, usize) {
        let count = |counter: &AtomicUsize| counter.load(Ordering::Relaxed);
        (count(&self.requests), count(&self.cached))
    }

    /// What is known of the server.
    pub fn health(&self) -> &Health {
        &self.health
    }
}

/// What one collection knows of the server's health. A server that can't be reached is found out once, not once per query.
#[derive(Debug, Default)]
pub(super) struct Health {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Unknown,
    Answered,
    Down(SourceError),
}

impl Health {
    /// The server gave an answer, be it an error.
    pub fn answered(&self) {
        *self.lock() = State::Answered;
    }

    /// Every attempt of a request failed with `error`. Counts only while nothing was ever answered.
    pub fn gave_up(&self, error: &SourceError) {
        let mut state = self.lock();
        let unreachable = matches!(error, SourceError::Connect(_) | SourceError::Timeout(_));
        if unreachable && matches!(*state, State::Unknown) {
            *state = State::Down(error.clone());
        }
    }

    /// The error that every further request would meet.
    pub fn down(&self) -> Option<SourceError> {
        match &*self.lock() {
            State::Down(error) => Some(error.clone()),
            State::Unknown | State::Answered => None,
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_request_finds_the_server_down_for_all() {
        let health = Health::default();
        health.gave_up(&SourceError::Http("500".into()));
        assert!(health.down().is_none());
        health.gave_up(&SourceError::Connect("refused".into()));
        assert_eq!(health.down().unwrap().reason(), "connect");
        let health = Health::default();
        health.answered();
        health.gave_up(&SourceError::Timeout("slow".into()));
        assert!(health.down().is_none());
    }

    #[tokio::test]
    async fn a_look_ends_and_repeats_nothing_late() {
        let short = Duration::from_millis(20);
        let look = Collection::look(short);
        assert!(!look.may_repeat_after(short));
        assert!(Collection::look(short * 1000).may_repeat_after(short));
        let endless = std::future::pending::<()>();
        assert_eq!(look.within(endless).await, Err(short * 2));
        assert!(!look.may_repeat_after(Duration::ZERO));
        let history = Collection::history();
        assert!(history.may_repeat_after(short * 1_000_000));
        assert_eq!(history.within(async { 7 }).await, Ok(7));
    }
}
