//! The newest verdicts of one entity, for readers who ask why.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::domain::{RECENT, Time, Verdict};

/// The newest verdicts of one entity, oldest first, in the order of their times. Bounded: a pipeline shares [`RECENT`]
/// verdicts out among its entities, see [`share`].
#[derive(Debug)]
pub struct Recent {
    verdicts: VecDeque<Arc<Verdict>>,
    most: usize,
}

/// How many verdicts each of `entities` keeps: its part of [`RECENT`], no more than the `points` that a reader can point at,
/// and at least one.
pub fn share(entities: usize, points: usize) -> usize {
    (RECENT / entities.max(1)).min(points).max(1)
}

impl Recent {
    /// None yet; keeps the newest `most`, at least one.
    pub fn new(most: usize) -> Self {
        Self {
            verdicts: VecDeque::new(),
            most: most.max(1),
        }
    }

    /// Keeps the newest `most`, at least one, from now on.
    pub fn limit(&mut self, most: usize) {
        self.most = most.max(1);
        if self.verdicts.len() > self.most {
            self.trim(self.most);
            self.verdicts.shrink_to(self.most);
        }
    }

    /// Takes the verdict on the next row.
    pub fn push(&mut self, verdict: Verdict) {
        self.trim(self.most - 1);
        self.verdicts.push_back(Arc::new(verdict));
    }

    fn trim(&mut self, most: usize) {
        let surplus = self.verdicts.len().saturating_sub(most);
        self.verdicts.drain(..surplus);
    }

    /// Lets those after `time` go.
    pub fn rewind(&mut self, time: Time) {
        while self.newest().is_some_and(|newest| newest.time > time) {
            self.verdicts.pop_back();
        }
    }

    /// Lets all go.
    pub fn clear(&mut self) {
        self.verdicts.clear();
    }

    /// The newest one.
    pub fn newest(&self) -> Option<&Arc<Verdict>> {
        self.verdicts.back()
    }

    /// All of them, to be shared.
    pub fn shown(&self) -> Arc<[Arc<Verdict>]> {
        self.verdicts.iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Entity, RowState};

    fn verdict(minute: i64) -> Verdict {
        let time = Time::from_secs(minute * 60);
        Verdict::unscored(time, Entity::sole(), RowState::WarmingUp)
    }

    fn minutes(recent: &Recent) -> Vec<i64> {
        let shown = recent.shown();
        shown.iter().map(|v| v.time.millis() / 60_000).collect()
    }

    #[test]
    fn the_oldest_go_first_also_when_others_join() {
        let mut recent = Recent::new(4);
        for minute in 0..6 {
            recent.push(verdict(minute));
        }
        assert_eq!(minutes(&recent), [2, 3, 4, 5]);
        recent.limit(2);
        assert_eq!(minutes(&recent), [4, 5]);
        recent.limit(3);
        recent.push(verdict(6));
        assert_eq!(minutes(&recent), [4, 5, 6]);
    }

    #[test]
    fn rows_that_were_not_after_all_have_no_verdict() {
        let mut recent = Recent::new(4);
        for minute in 0..4 {
            recent.push(verdict(minute));
        }
        recent.rewind(Time::from_secs(60));
        assert_eq!(minutes(&recent), [0, 1]);
        assert_eq!(recent.newest().unwrap().time, Time::from_secs(60));
        recent.clear();
        assert!(recent.newest().is_none());
    }

    #[test]
    fn a_pipeline_shares_them_out() {
        assert_eq!(share(1, 500), 500);
        assert_eq!(share(0, 500), 500);
        assert_eq!(share(64, 500), 128);
        assert_eq!(share(100_000, 500), 1);
        assert_eq!(share(1, 0), 1);
    }
}
