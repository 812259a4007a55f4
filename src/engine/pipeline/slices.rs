//! Scores and judges a pipeline's rows in slices of bounded work, so that a long absence is caught up with while the engine
//! goes on answering.

use std::collections::VecDeque;
use std::ops::{Bound, RangeInclusive};

use super::Pipeline;
use crate::domain::{Entity, Grid, RowState, Time, Verdict};
use crate::engine::fusing::State;
use crate::engine::judging::{Known, judge, verdict};
use crate::engine::scorer::{RowScore, Rows, Scorer};
use crate::engine::watched::Watched;
use crate::model::ModelError;

/// Rows of the past that are scored when a model or a history arrives, over all entities: bounds that work.
const SHOWN_ROWS: usize = 20_000;

/// What one slice of work brought.
#[derive(Debug, Default)]
pub struct Judged {
    /// New verdicts in the order of time.
    pub verdicts: Vec<Verdict>,
    /// Whether rows are left to score or judge: the next slice goes on with them.
    pub is_more: bool,
}

/// Rows that are past judging and still want a score: for the picture, and so that the score of the next row knows those
/// since the training. Judging waits until this is done, as it goes on from there.
#[derive(Debug, Default)]
pub(super) struct LookBack {
    entities: VecDeque<Entity>,
    current: Option<Stretch>,
}

/// The part of one entity's past that is being scored.
#[derive(Debug)]
struct Stretch {
    entity: Entity,
    /// First row without a score.
    from: Time,
    /// First row after the training part: the score begins anew there.
    learned: Time,
    /// End of the stretch; this row is not in it.
    end: Time,
    state: State,
}

impl LookBack {
    fn is_done(&self) -> bool {
        self.entities.is_empty() && self.current.is_none()
    }
}

impl Pipeline {
    /// All entities' rows that are past judging are to be scored (again).
    pub(super) fn plan_look_back(&mut self) {
        self.look_back = LookBack::default();
        if self.scorer.is_some() {
            self.look_back.entities = self.entities.keys().cloned().collect();
        }
    }

    /// Scores and judges every row that has no verdict yet, oldest first, and returns the verdicts in the order of time.
    /// Without a model the rows are final as "warming up".
    ///
    /// # Errors
    /// [`ModelError`] when the network can't take the windows.
    pub fn judge(&mut self) -> Result<Vec<Verdict>, ModelError> {
        self.judge_some(usize::MAX).map(|judged| judged.verdicts)
    }

    /// As [`Pipeline::judge`], but at most about `most` rows over all entities: whole grid times, or a part of the entities of
    /// one grid time when they are more than that.
    ///
    /// # Errors
    /// [`ModelError`] when the network can't take the windows; the rows are tried again with the next call.
    pub fn judge_some(&mut self, most: usize) -> Result<Judged, ModelError> {
        let spent = self.look_back_some(most)?;
        let todo = self.unjudged();
        if !self.look_back.is_done() || (spent >= most && !todo.is_empty()) {
            return Ok(Judged {
                is_more: true,
                ..Judged::default()
            });
        }
        // A grid time that was judged in part is finished by itself: other entities have no verdict of the times after it.
        let rows = match &self.judged_part {
            Some(_) => 1,
            None => ((most - spent) / self.entities.len().max(1)).max(1),
        };
        let slice = todo.slice(0, rows.min(todo.len()));
        let verdicts = self.judge_slice(&slice, most)?;
        Ok(Judged {
            verdicts,
            is_more: self.judged_part.is_some() || slice.len() < todo.len(),
        })
    }

    /// Grid times that have no verdict yet. Rows that were there before the first look are the past: shown, not judged.
    fn unjudged(&self) -> Grid {
        let step = self.step();
        let Some(filled) = self.filled else {
            return Grid::new(Time::from_millis(0), step, 0);
        };
        let judged = self.judged.unwrap_or(filled - step);
        // After an absence that is longer than what is kept, the rows before that are not there to be judged.
        let kept = self.entities.values().map(|w| w.tail.grid().start()).min();
        let first = (judged + step).max(kept.unwrap_or(filled));
        Grid::covering(first, filled, step)
    }

    /// The names of the next `most` entities whose rows of a slice are judged.
    fn next_part(&self, most: usize) -> Vec<Entity> {
        let from = match &self.judged_part {
            Some(last) => Bound::Excluded(last),
            None => Bound::Unbounded,
        };
        let rest = self.entities.range((from, Bound::Unbounded));
        rest.take(most).map(|(entity, _)| entity.clone()).collect()
    }

    /// Judges the rows of at most `most` entities within `slice`; the slice is done with the last of them.
    fn judge_slice(&mut self, slice: &Grid, most: usize) -> Result<Vec<Verdict>, ModelError> {
        let Some(last) = slice.last() else {
            return Ok(Vec::new());
        };
        let part = self.next_part(most.max(1));
        let (Some(first), Some(end)) = (part.first(), part.last()) else {
            self.finish_slice(last);
            return Ok(Vec::new());
        };
        let part = first.clone()..=end.clone();
        let scores = self.scores(slice, &part)?;
        let raise = self.labelling.raise();
        let mut verdicts = Vec::new();
        if let Some(rules) = &self.rules {
            let bundle = self.scorer.as_ref().map(|scorer| &scorer.bundle);
            let own = self.entities.range_mut(part.clone());
            for ((_, watched), (times, scores)) in own.zip(scores) {
                let known = Known::of(rules, bundle, &watched.entity);
                for (time, score) in times.times().zip(scores) {
                    let (alarm, shown) = (score.alarm(), score.raised(raise));
                    let row = (time, &shown, alarm);
                    let verdict = judge(watched, &known, &mut self.ledger, row);
                    self.labelling.take(&verdict, alarm);
                    self.drifts.take(&verdict);
                    if verdict.state == RowState::Scored {
                        self.live_from.get_or_insert(time);
                    }
                    watched.take(verdict.clone(), self.config.autoencoder.window);
                    verdicts.push(verdict);
                }
            }
        }
        verdicts.sort_by_key(|verdict| verdict.time);
        if self.entities.keys().next_back() == Some(part.end()) {
            self.finish_slice(last);
        } else {
            self.judged_part = Some(part.end().clone());
        }
        Ok(verdicts)
    }

    /// Every entity has its verdicts up to `last`.
    fn finish_slice(&mut self, last: Time) {
        self.judged = Some(last);
        self.judged_part = None;
    }

    /// The scores of the rows of `part`'s entities within `slice`, with their times, in the order of the entities. An entity
    /// that came later has fewer rows.
    fn scores(
        &mut self,
        slice: &Grid,
        part: &RangeInclusive<Entity>,
    ) -> Result<Vec<(Grid, Vec<RowScore>)>, ModelError> {
        let end = slice.time(slice.len());
        let range = |watched: &Watched| {
            // After a crash an entity's checkpoint may be newer than the pipeline's: its rows are judged once.
            let newer = watched.judge.latest().map(|latest| latest + slice.step());
            let from = newer.map_or(slice.start(), |newer| newer.max(slice.start()));
            let grid = watched.tail.grid();
            let last = grid.rows_before(end);
            grid.rows_before(from).min(last)..last
        };
        let own = self.entities.range(part.clone());
        let (ranges, times): (Vec<_>, Vec<Grid>) = own
            .map(|(_, watched)| {
                let range = range(watched);
                let times = watched.tail.grid().slice(range.start, range.end);
                (range, times)
            })
            .unzip();
        let Some(scorer) = &self.scorer else {
            let none = RowScore::unscored(RowState::WarmingUp);
            let unscored = times.into_iter().map(|times| {
                let scores = vec![none.clone(); times.len()];
                (times, scores)
            });
            return Ok(unscored.collect());
        };
        let own = self.entities.range_mut(part.clone());
        let mut states: Vec<State> = own.map(|(_, w)| std::mem::take(&mut w.fusing)).collect();
        let own = self.entities.range(part.clone()).zip(ranges);
        let items: Vec<Rows<'_>> = own
            .map(|((_, watched), range)| watched.rows(range, scorer.context()))
            .collect();
        let found = scorer.score(&items, &mut states, &mut self.space);
        let own = self.entities.range_mut(part.clone());
        for ((_, watched), state) in own.zip(states) {
            watched.fusing = state;
        }
        Ok(times.into_iter().zip(found?).collect())
    }

    /// Goes on scoring the past, at most about `most` rows; returns how many were scored.
    fn look_back_some(&mut self, most: usize) -> Result<usize, ModelError> {
        let Some(scorer) = self.scorer.clone() else {
            return Ok(0);
        };
        let mut spent = 0;
        while spent < most {
            let Some(stretch) = self.next_stretch(&scorer) else {
                break;
            };
            spent += self.look_back_at(stretch, &scorer, most - spent)?;
        }
        Ok(spent)
    }

    /// The stretch that was begun, or the next entity's: all that is shown and all since the training, or the newest rows
    /// where that is much.
    fn next_stretch(&mut self, scorer: &Scorer) -> Option<Stretch> {
        if let Some(begun) = self.look_back.current.take() {
            return Some(begun);
        }
        let step = self.step();
        let judged = self.judged.or_else(|| Some(self.filled? - step))?;
        let most = SHOWN_ROWS / self.entities.len().max(1);
        loop {
            let entity = self.look_back.entities.pop_front()?;
            let Some(watched) = self.entities.get(&entity) else {
                continue;
            };
            let grid = watched.tail.grid();
            let end = grid.rows_before(judged + step);
            let learned = grid.rows_before(scorer.bundle.trained_on.1 + step);
            let first = learned
                .min(end.saturating_sub(self.config.ui.max_points))
                .max(end.saturating_sub(most));
            return Some(Stretch {
                from: grid.time(first),
                learned: grid.time(learned.clamp(first, end)),
                end: grid.time(end),
                state: State::default(),
                entity,
            });
        }
    }

    /// Scores at most `most` rows of a stretch; returns how many. What is left of it comes next.
    fn look_back_at(
        &mut self,
        mut stretch: Stretch,
        scorer: &Scorer,
        most: usize,
    ) -> Result<usize, ModelError> {
        let raise = self.labelling.raise();
        let Some(watched) = self.entities.get_mut(&stretch.entity) else {
            return Ok(0);
        };
        if stretch.from == stretch.learned {
            stretch.state = State::default();
        }
        let until = if stretch.from < stretch.learned {
            stretch.learned
        } else {
            stretch.end
        };
        let grid = *watched.tail.grid();
        let first = grid.rows_before(stretch.from);
        let last = grid.rows_before(until).min(first.saturating_add(most));
        let rows = [watched.rows(first..last, scorer.context())];
        let mut state = [stretch.state];
        let found = scorer.score(&rows, &mut state, &mut self.space)?;
        [stretch.state] = state;
        let times = grid.slice(first, last);
        let mut newest = None;
        for (time, score) in times.times().zip(found.into_iter().flatten()) {
            watched.show_score(time, &score.raised(raise));
            newest = Some((time, score));
        }
        stretch.from = times.last().map_or(until, |last| last + grid.step());
        if stretch.from < stretch.end {
            self.look_back.current = Some(stretch);
        } else {
            if !watched.fusing.is_of(&scorer.bundle) {
                watched.fusing = stretch.state;
            }
            if let Some((time, score)) = newest {
                self.show_newest(&stretch.entity, time, &score);
            }
        }
        Ok(last - first)
    }

    /// Shows the verdict on the newest row of an entity when an earlier run has judged it: until the next row is due there
    /// would be none.
    fn show_newest(&mut self, entity: &Entity, time: Time, score: &RowScore) {
        let (Some(rules), Some(watched)) = (&self.rules, self.entities.get_mut(entity)) else {
            return;
        };
        if watched.has_verdict() || watched.judge.latest() < Some(time) {
            return;
        }
        let bundle = self.scorer.as_ref().map(|scorer| &scorer.bundle);
        let known = Known::of(rules, bundle, entity);
        let shown = score.raised(self.labelling.raise());
        let verdict = verdict(watched, &known, (time, &shown, score.alarm()));
        watched.take(verdict, self.config.autoencoder.window);
    }
}
