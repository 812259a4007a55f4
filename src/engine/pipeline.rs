//! One source's data, model and verdicts: the synchronous heart of the engine. It reads no clock and does no I/O but for
//! its journal; the same calls run live, in test mode and in a backtest.

mod journaling;
mod learning;
mod past;
mod said;
mod slices;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use self::journaling::Journaled;
use super::checkpoint::{Checkpoint, Kept, take_up};
use super::cleaning::LeftOut;
use super::columns::{by_entity, by_name, places, same_names};
use super::drifting::{DRIFT, Drifts};
use super::fusing::State;
use super::judging::{Rules, maintenance, record, span};
use super::labelling::Labelling;
use super::ledger::Ledger;
use super::past::Past;
use super::recent;
use super::scorer::{Scorer, Space};
use super::watched::Watched;
use slices::LookBack;

use crate::config::Config;
use crate::detect::maintenance::Windows;
use crate::domain::{Entity, Frame, Grid, Level, Schema, Time};
use crate::store::JournalError;

pub use slices::Judged;

/// All raw rows of a pipeline together hold at most this many bytes, a quarter more for a moment.
const TAIL_BYTES: usize = 64 << 20;
/// Most rows of one entity, whatever there is room for: more than a year of minutes.
const TAIL_ROWS: usize = 600_000;

/// Grid times before the newest row that are asked for again, for samples that came late. A clock that is set back by no
/// more than this costs nothing; by more, and the rows ahead of it are dropped.
pub const OVERLAP: u32 = 3;

/// An entity without samples for this long (three steps, when that is longer) is let go and its incident closed as
/// vanished.
const VANISHED: Duration = Duration::from_hours(1);

/// One pipeline.
#[derive(Debug)]
pub struct Pipeline {
    config: Arc<Config>,
    schema: Option<Schema>,
    rules: Option<Rules>,
    maintenance: Windows,
    entities: BTreeMap<Entity, Watched>,
    scorer: Option<Arc<Scorer>>,
    /// What scoring works in.
    space: Space,
    ledger: Ledger,
    /// Newest row that every entity has.
    filled: Option<Time>,
    /// Newest row with a sample of any entity, also of one that is gone.
    seen: Option<Time>,
    /// Newest row with a final verdict of every entity.
    judged: Option<Time>,
    /// The first row that was judged live by a model: what is before it is the past.
    live_from: Option<Time>,
    /// The past as it was judged when the model came into force.
    past: Option<Past>,
    /// The last entity with verdicts of the grid time after that, when a part of the entities has them.
    judged_part: Option<Entity>,
    /// What a restart left of entities that have not come back yet.
    restored: BTreeMap<Entity, Kept>,
    /// Newest row at the first look: when the wait for them began.
    resumed: Option<Time>,
    /// What of it is in the journal.
    journaled: Journaled,
    drifts: Drifts,
    labelling: Labelling,
    /// Rows of the past that are still to be scored for the picture.
    look_back: LookBack,
    /// What a training leaves out, as far as it is known beforehand.
    excluded: LeftOut,
    told: Vec<(Level, String)>,
}

impl Pipeline {
    /// An empty pipeline; a journal's checkpoint is taken up.
    ///
    /// # Errors
    /// [`JournalError`] when the journal can't be read.
    pub fn new(config: Arc<Config>, mut ledger: Ledger) -> Result<Self, JournalError> {
        let read = ledger.journal().map(Checkpoint::read).transpose()?;
        let (mut restored, mut told) = read.unwrap_or_default();
        told.extend(take_up(&mut restored, &mut ledger)?);
        let maintenance = maintenance(&config).unwrap_or_else(|error| {
            told.push(format!("no maintenance window holds: {error}"));
            Windows::default()
        });
        let drift = ledger
            .journal()
            .map(|journal| journal.checkpoint_get(DRIFT));
        let drift = drift.transpose()?.flatten();
        let mut pipeline = Self {
            drifts: Drifts::new(&config, drift.as_deref(), &mut restored.entities),
            labelling: Labelling::new(&config, ledger.journal().is_some()),
            excluded: LeftOut::of(&config),
            config,
            schema: None,
            rules: None,
            maintenance,
            entities: BTreeMap::new(),
            scorer: None,
            space: Space::default(),
            ledger,
            filled: None,
            seen: None,
            judged: restored.judged,
            live_from: restored.live_from,
            past: None,
            restored: restored.entities,
            judged_part: None,
            resumed: None,
            journaled: Journaled::default(),
            look_back: LookBack::default(),
            told: told
                .into_iter()
                .map(|text| (Level::Warning, text))
                .collect(),
        };
        pipeline.exclude_labelled(None);
        Ok(pipeline)
    }

    /// What readers should know and were not told yet.
    pub fn told(&mut self) -> Vec<(Level, String)> {
        std::mem::take(&mut self.told)
    }

    /// The columns, once they are known.
    pub fn schema(&self) -> Option<&Schema> {
        self.schema.as_ref()
    }

    /// The model that scores.
    pub fn scorer(&self) -> Option<&Arc<Scorer>> {
        self.scorer.as_ref()
    }

    /// Entities by name.
    pub fn entities(&self) -> impl Iterator<Item = &Watched> {
        self.entities.values()
    }

    /// One entity.
    pub fn entity_mut(&mut self, entity: &Entity) -> Option<&mut Watched> {
        self.entities.get_mut(entity)
    }

    /// Incidents.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Newest row taken in.
    pub fn filled(&self) -> Option<Time> {
        self.filled
    }

    /// How far the newest row with a sample is behind the newest row taken in.
    pub fn without_samples(&self) -> Duration {
        let last = self.seen.or(self.resumed);
        let rows = self.filled.zip(last);
        rows.map_or(Duration::ZERO, |(filled, last)| filled.since(last))
    }

    /// Newest row with a final verdict.
    pub fn judged(&self) -> Option<Time> {
        self.judged
    }

    /// Everything up to `time` counts as judged: a backtest starts after its training part.
    pub fn judge_after(&mut self, time: Time) {
        self.judged = Some(time);
    }

    /// How long a window of rows is.
    pub fn span(&self) -> Duration {
        span(&self.config)
    }

    /// Step of the grid.
    pub fn step(&self) -> Duration {
        self.config.source.step.0
    }

    fn set_schema(&mut self, schema: &Schema) {
        let bundle = self.scorer.as_ref().map(|scorer| &scorer.bundle);
        let rules = Rules::new(&self.config, schema, &self.maintenance, bundle);
        self.rules = Some(rules);
        self.schema = Some(Arc::clone(schema));
    }

    /// Rows that one entity may keep.
    fn capacity(&self, columns: usize) -> usize {
        let step = self.step().as_millis().max(1);
        let wanted =
            usize::try_from(self.config.history.period.0.as_millis() / step).unwrap_or(usize::MAX);
        let affordable = TAIL_BYTES / (8 * columns.max(1) * self.entities.len().max(1));
        let fewest = self
            .config
            .ui
            .max_points
            .max(self.config.autoencoder.window * 2 + self.config.preprocess.max_gap);
        wanted.min(affordable).min(TAIL_ROWS).max(fewest)
    }

    /// The frames in the pipeline's columns, which are the first frame's when there are none yet. Frames that were asked
    /// for under other columns (a model came in between, or all columns were wanted) are brought over by name.
    fn in_columns<'f>(&mut self, frames: &'f [Frame]) -> Option<(Schema, Cow<'f, [Frame]>)> {
        if self.schema.is_none() {
            let first = frames.first().filter(|f| !f.schema().is_empty())?;
            self.set_schema(&Arc::clone(first.schema()));
        }
        let schema = self.schema.clone()?;
        let fits = |f: &Frame| Arc::ptr_eq(f.schema(), &schema) || same_names(f.schema(), &schema);
        let frames = if frames.iter().all(fits) {
            Cow::Borrowed(frames)
        } else {
            frames.iter().filter_map(|f| by_name(f, &schema)).collect()
        };
        Some((schema, frames))
    }

    /// Takes in collected rows up to `due`, which every entity then has, observed or not. Rows that were there are
    /// amended, never judged again. After a long absence only as many rows are made as are kept. Returns whether rows ahead of
    /// a clock that was set back were dropped, so that the rows before them are to be fetched anew.
    pub fn ingest(&mut self, frames: &[Frame], due: Time) -> bool {
        let Some((schema, frames)) = self.in_columns(frames) else {
            return false;
        };
        let frames = &*frames;
        let is_set_back = self.rewind(due);
        let step = self.step();
        let start = frames
            .iter()
            .filter(|f| !f.grid().is_empty())
            .map(|f| f.grid().start())
            .min();
        let Some(filled) = self.filled.or_else(|| start.map(|start| start - step)) else {
            return is_set_back;
        };
        for frame in frames {
            self.watch(frame.entity(), filled);
            let Some(watched) = self.entities.get_mut(frame.entity()) else {
                continue;
            };
            for (time, row) in frame.grid().times().zip(frame.values().rows()) {
                if time <= filled {
                    watched.amend(time, &row.to_vec());
                }
            }
        }
        self.share_memory();
        let mut rows = Grid::covering(filled + step, due, step);
        let most = self.capacity(schema.len());
        if rows.len() > most {
            rows = rows.slice(rows.len() - most, rows.len());
            for watched in self.entities.values_mut() {
                watched.restart(&rows);
            }
        }
        let by_entity = by_entity(frames);
        for (entity, watched) in &mut self.entities {
            let own = by_entity.get(entity).map_or(&[][..], Vec::as_slice);
            for time in rows.times() {
                let row = own
                    .iter()
                    .find_map(|f| f.grid().row(time).map(|row| f.values().row(row).to_vec()));
                watched.push(&row.unwrap_or_default());
            }
        }
        self.filled = Some(rows.last().unwrap_or(filled).max(filled));
        let seen = self.entities.values().filter_map(|w| w.last_seen).max();
        self.seen = self.seen.max(seen);
        self.let_go();
        self.count_windows();
        is_set_back
    }

    /// Rows ahead of the clock go, so that they are judged when they come: after a clock that ran ahead and was put right,
    /// those in which nothing was observed, because they had not been; after one that was set back by more than the
    /// [`OVERLAP`], all of them, for else nothing would be judged until the clock is there again; returns whether it was.
    fn rewind(&mut self, due: Time) -> bool {
        let Some(filled) = self.filled.filter(|filled| *filled > due) else {
            return false;
        };
        let is_set_back = self.is_ahead_of(filled, due);
        let seen = self.entities.values().filter_map(|w| w.last_seen).max();
        let back = if is_set_back {
            due
        } else {
            due.max(seen.unwrap_or(due))
        };
        if back >= filled {
            return false;
        }
        for watched in self.entities.values_mut() {
            if let Some(change) = watched.rewind(back) {
                record(&mut self.ledger, &mut watched.tracker, change);
            }
        }
        self.filled = Some(back);
        self.seen = self.seen.map(|seen| seen.min(back));
        self.judged = self.judged.map(|judged| judged.min(back));
        self.live_from = self.live_from.filter(|from| *from <= back);
        self.judged_part = None;
        if is_set_back {
            self.tell_set_back(filled, due);
        }
        is_set_back
    }

    /// A restart under a clock that shows `due`: what an earlier run judged ahead of it, under a clock that was wrong, is
    /// judged anew when it comes.
    pub fn resume_at(&mut self, due: Time) {
        let ahead = self.judged.filter(|judged| self.is_ahead_of(*judged, due));
        let Some(judged) = ahead else { return };
        for kept in self.restored.values_mut() {
            kept.judge.rewind(due);
            kept.fusing = State::default();
            if let Some(change) = kept.tracker.rewind(due) {
                record(&mut self.ledger, &mut kept.tracker, change);
            }
        }
        self.judged = Some(due);
        self.live_from = self.live_from.filter(|from| *from <= due);
        self.tell_set_back(judged, due);
    }

    /// Whether a row is farther ahead of the clock than late samples and small corrections of a clock explain.
    fn is_ahead_of(&self, row: Time, due: Time) -> bool {
        row > due + self.step().saturating_mul(OVERLAP)
    }

    fn tell_set_back(&mut self, newest: Time, due: Time) {
        let text = format!(
            "the clock was set back: rows up to {newest} were taken in, but only rows up to {due} are due. Rows after {due} are dropped and judged when they come"
        );
        self.told.push((Level::Warning, text));
    }

    /// Makes the state of an entity that is new: its rows begin after `filled`.
    fn watch(&mut self, entity: &Entity, filled: Time) {
        if !self.entities.contains_key(entity) {
            let watched = self.newly_watched(entity, filled);
            self.entities.insert(entity.clone(), watched);
        }
    }

    /// State for an entity that comes or comes back: it goes on from its checkpoint, or from its latest incident.
    fn newly_watched(&mut self, entity: &Entity, filled: Time) -> Watched {
        let columns = self.schema.as_ref().map_or(0, |s| s.len());
        let (step, points) = (self.step(), self.config.ui.max_points);
        let rows = Grid::new(filled + step, step, 0);
        let capacity = self.capacity(columns);
        let mut watched = Watched::new(entity.clone(), rows, columns, capacity, points);
        if let Some(kept) = self.restored.remove(entity) {
            (watched.judge, watched.tracker) = (kept.judge, kept.tracker);
            watched.fusing = kept.fusing;
            return watched;
        }
        match self.ledger.latest(entity) {
            Ok(Some(known)) if !known.is_open() => {
                watched.tracker.resume(known);
            }
            Ok(_) => {}
            Err(error) => self.told.push((
                Level::Warning,
                format!("{error}: a further deviation of `{entity}` is an incident of its own"),
            )),
        }
        watched
    }

    /// Entities that came or went change what each of them may keep.
    fn share_memory(&mut self) {
        let columns = self.schema.as_ref().map_or(0, |s| s.len());
        let capacity = self.capacity(columns);
        let verdicts = recent::share(self.entities.len(), columns, self.config.ui.max_points);
        for watched in self.entities.values_mut() {
            watched.tail.limit(capacity);
            watched.keep_recent(verdicts);
        }
    }

    /// Until a model freezes the columns, they are those that the history has.
    fn grow(&mut self, frames: &[Frame]) {
        let found = frames.first().map(|frame| Arc::clone(frame.schema()));
        let (Some(known), Some(found), None) = (&self.schema, found, &self.scorer) else {
            return;
        };
        if !found.is_empty() && !same_names(known, &found) {
            self.carry_over(&found);
            self.set_schema(&found);
        }
    }

    /// Older rows for what is shown, forecast and learned from, with their scores; verdicts stay as they are.
    pub fn backfill(&mut self, frames: &[Frame]) {
        self.grow(frames);
        let Some((_, frames)) = self.in_columns(frames) else {
            return;
        };
        let frames = &*frames;
        let Some(newest) = frames.iter().filter_map(|f| f.grid().last()).max() else {
            return;
        };
        let filled = *self.filled.get_or_insert(newest);
        for frame in frames {
            self.watch(frame.entity(), filled);
        }
        self.share_memory();
        let by_entity = by_entity(frames);
        for (entity, watched) in &mut self.entities {
            if let Some(own) = by_entity.get(entity) {
                watched.tail.backfill(own, filled);
                watched.refresh();
            }
        }
        self.count_windows();
        self.plan_look_back();
    }

    /// A new model scores from the next row on. With other columns than before, what is kept is carried over by name;
    /// says whether there are such, so that the past of the new ones can be fetched.
    pub fn adopt(&mut self, scorer: Arc<Scorer>) -> bool {
        let schema = Arc::clone(&scorer.bundle.schema);
        let others = self
            .schema
            .as_ref()
            .is_some_and(|old| !same_names(old, &schema));
        if others {
            self.carry_over(&schema);
            // Its columns are others.
            self.past = None;
        }
        self.scorer = Some(scorer);
        self.set_schema(&schema);
        self.plan_look_back();
        others
    }

    fn carry_over(&mut self, schema: &Schema) {
        let old = self.schema.clone().unwrap_or_else(|| Arc::from([]));
        let from = places(schema, &old);
        let capacity = self.capacity(schema.len());
        for watched in self.entities.values_mut() {
            let grid = *watched.tail.grid();
            let mut fresh = Watched::new(
                watched.entity.clone(),
                grid,
                schema.len(),
                capacity,
                self.config.ui.max_points,
            );
            for row in watched.tail.values().rows() {
                let carried: Vec<f64> = from
                    .iter()
                    .map(|at| at.and_then(|at| row.get(at)).copied().unwrap_or(f64::NAN))
                    .collect();
                fresh.push(&carried);
            }
            fresh.judge = watched.judge.clone();
            fresh.tracker = watched.tracker.clone();
            *watched = fresh;
        }
    }

    /// Lets entities go that were silent for an hour, those that did not come back after a restart among them.
    fn let_go(&mut self) {
        let Some(filled) = self.filled else { return };
        let patience = VANISHED.max(self.step().saturating_mul(3));
        if filled.since(*self.resumed.get_or_insert(filled)) > patience {
            for (entity, Kept { mut tracker, .. }) in std::mem::take(&mut self.restored) {
                self.drifts.forget(&entity);
                self.journaled.forget(entity);
                if let Some(change) = tracker.vanish(filled) {
                    record(&mut self.ledger, &mut tracker, change);
                }
            }
        }
        let gone: Vec<Entity> = self
            .entities
            .iter()
            .filter(|(entity, w)| {
                !entity.is_sole()
                    && filled.since(w.last_seen.unwrap_or(w.tail.grid().start())) > patience
            })
            .map(|(entity, _)| entity.clone())
            .collect();
        let fewer = !gone.is_empty();
        for entity in gone {
            let Some(mut watched) = self.entities.remove(&entity) else {
                continue;
            };
            self.drifts.forget(&entity);
            self.journaled.forget(entity);
            if let Some(change) = watched.tracker.vanish(filled) {
                record(&mut self.ledger, &mut watched.tracker, change);
            }
        }
        if fewer {
            self.share_memory();
        }
    }
}
