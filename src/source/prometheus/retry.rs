//! When a failed request is repeated, and when not.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::source::SourceError;

/// How long to wait before a request is repeated: exponential with full jitter (a random part of `first × 2ⁿ`), so that
/// many clients do not come back in step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// Upper end of the first wait.
    pub first: Duration,
    /// Upper end of any wait.
    pub most: Duration,
    /// Longest wait that a server's `Retry-After` is granted. When it asks for more, the error is reported at once.
    pub most_asked: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            first: Duration::from_millis(500),
            most: Duration::from_secs(10),
            most_asked: Duration::from_secs(60),
        }
    }
}

impl Backoff {
    /// The wait before repetition `attempt` (0 is the first); at least what the server `asked` for.
    fn wait(self, attempt: u32, asked: Option<Duration>, rng: &mut impl Rng) -> Duration {
        let ceiling = self
            .first
            .saturating_mul(2_u32.saturating_pow(attempt))
            .min(self.most);
        let jittered = ceiling.mul_f64(rng.random::<f64>());
        jittered.max(asked.unwrap_or_default())
    }
}

/// Why one attempt failed, and what can be done.
#[derive(Clone, Debug)]
pub(super) struct Trouble {
    /// What is told.
    pub error: SourceError,
    /// What may help.
    pub cure: Cure,
}

/// What may help a failed request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cure {
    /// Nothing: the same will happen again.
    Nothing,
    /// Asking again, not before the time that the server named.
    Again(Option<Duration>),
    /// Asking for fewer points at once.
    Less,
    /// As [`Cure::Again`], and then asking for fewer points at once: the server ran out of time.
    Slow(Option<Duration>),
    /// Asking again with other credentials, if there are any by now.
    Renew,
}

impl Trouble {
    /// A failure that nothing cures.
    pub fn last(error: SourceError) -> Self {
        Self {
            error,
            cure: Cure::Nothing,
        }
    }

    /// A failure that time may cure.
    pub fn passing(error: SourceError) -> Self {
        Self {
            error,
            cure: Cure::Again(None),
        }
    }
}

/// The policy with its random numbers.
#[derive(Debug)]
pub(super) struct Retry {
    /// How long to wait.
    pub backoff: Backoff,
    /// Repetitions after the first attempt.
    times: u32,
    rng: Mutex<ChaCha8Rng>,
}

impl Retry {
    /// At most `times` repetitions; waits follow from `seed`.
    pub fn new(times: u32, seed: u64) -> Self {
        Self {
            backoff: Backoff::default(),
            times,
            rng: Mutex::new(ChaCha8Rng::seed_from_u64(seed)),
        }
    }

    /// The wait before the attempt after number `attempt` (0 is the first); `None` when it would not help, was tried often
    /// enough, or the server wants to be left alone for longer than anyone should wait.
    pub fn next(&self, attempt: u32, trouble: &Trouble) -> Option<Duration> {
        let (Cure::Again(asked) | Cure::Slow(asked)) = trouble.cure else {
            return None;
        };
        if attempt >= self.times || asked > Some(self.backoff.most_asked) {
            return None;
        }
        let mut rng = self.rng.lock().unwrap_or_else(PoisonError::into_inner);
        Some(self.backoff.wait(attempt, asked, &mut *rng))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passing(asked: Option<Duration>) -> Trouble {
        Trouble {
            error: SourceError::Http("busy".into()),
            cure: Cure::Again(asked),
        }
    }

    #[test]
    fn waits_grow_within_bounds_and_honour_the_server() {
        let backoff = Backoff::default();
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for attempt in 0..40 {
            let ceiling = backoff.first.mul_f64(2_f64.powi(attempt)).min(backoff.most);
            let attempt = u32::try_from(attempt).unwrap();
            assert!(backoff.wait(attempt, None, &mut rng) <= ceiling);
            let asked = Some(Duration::from_secs(20));
            assert_eq!(backoff.wait(attempt, asked, &mut rng).as_secs(), 20);
        }
    }

    #[test]
    fn repeats_only_what_may_help_and_not_for_ever() {
        let retry = Retry::new(2, 7);
        assert!(retry.next(0, &passing(None)).is_some());
        assert!(retry.next(1, &passing(None)).is_some());
        assert!(retry.next(2, &passing(None)).is_none());
        let last = Trouble::last(SourceError::Query("bad".into()));
        assert!(retry.next(0, &last).is_none());
        let most = Backoff::default().most_asked;
        assert!(retry.next(0, &passing(Some(most))).is_some());
        let too_long = Some(Duration::from_secs(999_999_999));
        assert!(retry.next(0, &passing(too_long)).is_none());
    }
}
