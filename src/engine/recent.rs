//! The newest verdicts of one entity, for readers who ask why.

use std::collections::VecDeque;
use std::mem::size_of;
use std::sync::{Arc, OnceLock};

use crate::domain::{FeatureVerdict, RECENT, Time, Verdict};

/// What the newest verdicts of a pipeline may take, all entities together: as many as [`RECENT`] of up to 40 features.
const RECENT_BYTES: usize = 24 << 20;

/// What a verdict takes beside its features: itself, its gates and their words.
const GATES_BYTES: usize = 1024;

/// The newest verdicts of one entity, oldest first, in the order of their times. Bounded: a pipeline shares [`RECENT`]
/// verdicts out among its entities, see [`share`].
#[derive(Debug)]
pub struct Recent {
    verdicts: VecDeque<Arc<Verdict>>,
    most: usize,
    /// What readers were given, until there are others.
    shown: OnceLock<Arc<[Arc<Verdict>]>>,
}

/// How many verdicts on `columns` features each of `entities` keeps: its part of [`RECENT`] and of the memory for them, no
/// more than the `points` that a reader can point at, and at least one.
pub fn share(entities: usize, columns: usize, points: usize) -> usize {
    let each = GATES_BYTES.saturating_add(columns.saturating_mul(size_of::<FeatureVerdict>()));
    let all = RECENT.min(RECENT_BYTES / each);
    (all / entities.max(1)).min(points).max(1)
}

impl Recent {
    /// None yet; keeps the newest `most`, at least one.
    pub fn new(most: usize) -> Self {
        Self {
            verdicts: VecDeque::new(),
            most: most.max(1),
            shown: OnceLock::new(),
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
        self.shown.take();
    }

    fn trim(&mut self, most: usize) {
        let surplus = self.verdicts.len().saturating_sub(most);
        self.verdicts.drain(..surplus);
        self.shown.take();
    }

    /// Lets those after `time` go.
    pub fn rewind(&mut self, time: Time) {
        while self.newest().is_some_and(|newest| newest.time > time) {
            self.verdicts.pop_back();
        }
        self.shown.take();
    }

    /// Lets all go.
    pub fn clear(&mut self) {
        self.verdicts.clear();
        self.shown.take();
    }

    /// The newest one.
    pub fn newest(&self) -> Option<&Arc<Verdict>> {
        self.verdicts.back()
    }

    /// All of them, to be shared: the same list again until it changes.
    pub fn shown(&self) -> Arc<[Arc<Verdict>]> {
        let shown = || self.verdicts.iter().cloned().collect();
        Arc::clone(self.shown.get_or_init(shown))
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
        assert_eq!(share(1, 20, 500), 500);
        assert_eq!(share(0, 0, 500), 500);
        assert_eq!(share(64, 20, 500), 128);
        assert_eq!(share(100_000, 20, 500), 1);
        assert_eq!(share(1, 20, 0), 1);
    }

    #[test]
    fn many_features_leave_room_for_fewer_and_so_do_not_take_more_memory() {
        assert_eq!(share(1, 40, usize::MAX), RECENT);
        for columns in [40, 100, 1000, 10_000] {
            let each = GATES_BYTES + columns * size_of::<FeatureVerdict>();
            let kept = share(8, columns, usize::MAX) * 8;
            assert!(kept * each <= RECENT_BYTES, "{kept} of {columns}");
        }
        assert_eq!(share(1, usize::MAX, 500), 1);
    }

    #[test]
    fn the_same_list_is_shown_until_it_changes() {
        let mut recent = Recent::new(2);
        recent.push(verdict(0));
        let before = recent.shown();
        assert!(Arc::ptr_eq(&before, &recent.shown()));
        recent.limit(2);
        recent.push(verdict(1));
        assert_eq!((before.len(), minutes(&recent)), (1, vec![0, 1]));
        recent.rewind(Time::from_secs(0));
        assert_eq!(minutes(&recent), [0]);
        recent.clear();
        assert!(recent.shown().is_empty());
    }
}
