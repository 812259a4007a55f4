//! A recording played back in its own time, with anomalies put in on the way.

use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use ndarray::{Array2, s};

use super::columns::Columns;
use super::inject::{Injection, InjectionKind, Injector, apply, deviations};
use super::recording::{Recording, labels_from_csv_bytes};
use super::{Batch, Collect, SourceError, synthetic};
use crate::config::Merge;
use crate::domain::{Entity, Feature, Frame, Grid, Schema, Time};

/// The multi-metric sample that is built into the binary.
const SAMPLE: &[u8] = include_bytes!("../../sample_data/multi.csv.gz");
const SAMPLE_LABELS: &[u8] = include_bytes!("../../sample_data/multi_labels.csv");

/// The part of the built-in sample that is history when the play begins.
pub const SAMPLE_HISTORY: f64 = 0.6;

/// Rows of the play in which the first planned spike comes: early, so that a viewer soon sees one, and over before the
/// sample's first incident.
const FIRST_SPIKE: Range<usize> = 6..12;

/// After that, each so many rows have one spike at a random row and column.
const ROWS_PER_SPIKE: usize = 100;

/// Planned spikes keep this many rows away from labelled ones.
const CLEARANCE: usize = 24;

/// Rows after the present in which a spike that was asked for comes.
const NEXT_ROWS: usize = 3;

/// Where history ends and the play begins.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum PlayFrom {
    /// After this part of the rows (0 to 1).
    Fraction(f64),
    /// At the first row at or after this time.
    At(Time),
}

/// An anomaly that was put in.
#[derive(Clone, Debug, PartialEq)]
pub struct Injected {
    /// What happens.
    pub kind: InjectionKind,
    /// To which column.
    pub column: Arc<str>,
    /// Grid time of the first row.
    pub start: Time,
    /// Grid time of the last row.
    pub end: Time,
}

/// Plays a [`Recording`] on a grid of its own step. Rows before [`ReplaySource::play_from`] are history; the later ones come
/// at the given speed. In memory: the recording twice at most, so twice [`super::recording::MAX_CELLS`].
#[derive(Debug)]
pub struct ReplaySource {
    name: String,
    frame: Frame,
    /// The frame's first row that is played.
    first: usize,
    play: Mutex<Play>,
    speed: f64,
    /// When the play begins; empty until [`ReplaySource::play`].
    wall_start: OnceLock<Time>,
    /// Where the play stands still; `None`: at the end of the recording.
    stop: Option<Time>,
    /// Per column, of the history, or of everything when there is no history.
    deviations: Vec<f64>,
    /// Labelled stretches, in rows of the frame.
    labelled: Vec<Range<usize>>,
    /// For the first history.
    warnings: Mutex<Vec<String>>,
}

/// What is played.
#[derive(Debug)]
struct Play {
    /// The played rows with what was put in, `[rows from the first played one on, columns]`.
    rows: Array2<f64>,
    injector: Option<Injector>,
    injected: Vec<Injected>,
}

impl ReplaySource {
    /// A play that begins at wall time `wall_start` and runs at `speed` rows a second (0: everything is there at once).
    /// With an `injector`, spikes are put into the played rows: one within the first dozen, then one in each hundred.
    ///
    /// # Errors
    /// [`SourceError::Setup`] for a speed that is negative or no number, [`SourceError::File`] when the recording does not
    /// fit on a grid.
    pub fn new(
        recording: &Recording,
        name: String,
        play_from: PlayFrom,
        speed: f64,
        wall_start: Time,
        injector: Option<Injector>,
    ) -> Result<Self, SourceError> {
        let merge = Merge::Nearest;
        let source = Self::merged(recording, merge, name, play_from, speed, wall_start)?;
        if let Some(injector) = injector {
            source.plan_spikes(injector);
        }
        Ok(source)
    }

    /// The built-in sample: the first 60 % are history, the rest has labelled incidents and spikes drawn from `seed`.
    ///
    /// # Errors
    /// As [`ReplaySource::new`]; the built-in data itself is tested.
    pub fn sample(wall_start: Time, rows_per_second: f64, seed: u64) -> Result<Self, SourceError> {
        let recording = Recording::from_csv_bytes("the built-in sample", SAMPLE)?;
        let labels = labels_from_csv_bytes("the built-in labels", SAMPLE_LABELS)?;
        let name = "built-in sample".to_owned();
        let from = PlayFrom::Fraction(SAMPLE_HISTORY);
        let merge = Merge::Nearest;
        let source = Self::merged(&recording, merge, name, from, rows_per_second, wall_start)?
            .with_features(&synthetic::features())
            .with_labels(&labels);
        source.plan_spikes(Injector::new(seed));
        Ok(source)
    }

    /// A play into which nothing is put, of rows that are merged where they share a time of the grid.
    ///
    /// # Errors
    /// As [`ReplaySource::new`].
    pub fn merged(
        recording: &Recording,
        merge: Merge,
        name: String,
        play_from: PlayFrom,
        speed: f64,
        wall_start: Time,
    ) -> Result<Self, SourceError> {
        if !(speed.is_finite() && speed >= 0.0) {
            return Err(SourceError::Setup(format!(
                "a replay speed of {speed} rows a second is not possible; set `[source] speed` to 0 (at once) or more"
            )));
        }
        let gridded = recording
            .frame(recording.step(), Entity::sole(), merge)
            .map_err(|e| SourceError::File(format!("{name}: {e}")))?;
        let mut warnings = Vec::new();
        warnings.extend(gridded.notice().map(|notice| format!("{name}: {notice}")));
        let frame = gridded.frame;
        let first = first_played(frame.grid(), play_from);
        let rows = frame.values().slice(s![first.., ..]).to_owned();
        let known = if first > 1 { first } else { frame.grid().len() };
        Ok(Self {
            deviations: deviations(&frame.values(), 0..known),
            name,
            frame,
            first,
            play: Mutex::new(Play {
                rows,
                injector: None,
                injected: Vec::new(),
            }),
            speed,
            wall_start: OnceLock::from(wall_start),
            stop: None,
            labelled: Vec::new(),
            warnings: Mutex::new(warnings),
        })
    }

    /// Stands before the first played row until [`ReplaySource::play`].
    #[must_use]
    pub fn paused(mut self) -> Self {
        self.wall_start = OnceLock::new();
        self
    }

    /// Stands still at `time` of the recording, with rows left to play: what is open there stays open.
    #[must_use]
    pub fn until(mut self, time: Time) -> Self {
        self.stop = Some(time);
        self
    }

    /// A paused play begins at wall time `wall`; one that has begun goes on as it is.
    pub fn play(&self, wall: Time) {
        self.wall_start.get_or_init(|| wall);
    }

    /// The columns.
    #[must_use]
    pub fn schema(&self) -> &Schema {
        self.frame.schema()
    }

    /// Gives columns their unit, direction and limit, by name.
    #[must_use]
    pub fn with_features(mut self, features: &[Feature]) -> Self {
        let schema: Schema = self
            .frame
            .schema()
            .iter()
            .map(|own| {
                let given = features.iter().find(|f| f.name == own.name);
                given.unwrap_or(own).clone()
            })
            .collect();
        let (entity, grid) = (self.frame.entity().clone(), *self.frame.grid());
        if let Some(frame) = Frame::new(entity, schema, grid, self.frame.values().to_owned()) {
            self.frame = frame;
        }
        self
    }

    /// Says which rows are known to be anomalous, so that planned spikes keep away from them.
    #[must_use]
    pub fn with_labels(mut self, labels: &[(Time, bool)]) -> Self {
        let grid = self.frame.grid();
        let mut rows: Vec<usize> = labels
            .iter()
            .filter(|(_, anomalous)| *anomalous)
            .filter_map(|(time, _)| grid.row(*time))
            .collect();
        rows.sort_unstable();
        self.labelled.clear();
        for row in rows {
            match self.labelled.last_mut() {
                Some(last) if row <= last.end => last.end = row + 1,
                _ => self.labelled.push(row..row + 1),
            }
        }
        self
    }

    /// The first grid time that is played; history ends before it.
    #[must_use]
    pub fn play_from(&self) -> Time {
        self.frame.grid().time(self.first)
    }

    /// Everything recorded, with nothing put in.
    #[must_use]
    pub const fn recorded(&self) -> &Frame {
        &self.frame
    }

    /// What a person should know of how the recording was placed; the first history says it too.
    #[must_use]
    pub fn notices(&self) -> Vec<String> {
        let warnings = self.warnings.lock();
        warnings.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Distance of the rows.
    #[must_use]
    pub fn step(&self) -> std::time::Duration {
        self.frame.grid().step()
    }

    /// Wall time from one played row to the next; `None` when they are all there at once.
    #[must_use]
    pub fn pace(&self) -> Option<std::time::Duration> {
        std::time::Duration::try_from_secs_f64(self.speed.recip()).ok()
    }

    /// What was put in so far, planned and asked for.
    #[must_use]
    pub fn labels(&self) -> Vec<Injected> {
        self.playing().injected.clone()
    }

    /// The recording's own labelled stretches, first and last grid time each.
    #[must_use]
    pub fn incidents(&self) -> Vec<(Time, Time)> {
        let time = |row| self.frame.grid().time(row);
        self.labelled
            .iter()
            .map(|rows| (time(rows.start), time(rows.end.saturating_sub(1))))
            .collect()
    }

    /// Puts a spike into one of the next three rows after `now` and says where; `None` when no such row is left or
    /// nothing was observed there. Without an injector of its own the source starts one with seed 0.
    pub fn inject(&self, now: Time) -> Option<Injected> {
        let start = self.row_after(now).max(self.first) - self.first;
        let end = start.saturating_add(NEXT_ROWS);
        self.put_spike(&mut self.playing(), start..end)
    }

    fn playing(&self) -> MutexGuard<'_, Play> {
        self.play.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One spike at a random row of `rows` (counted in played rows) and a random column.
    fn put_spike(&self, play: &mut Play, rows: Range<usize>) -> Option<Injected> {
        let injector = play.injector.get_or_insert_with(|| Injector::new(0));
        let kind = InjectionKind::Spike;
        let spike = injector.plan(kind, &play.rows, rows, &self.deviations)?;
        self.put(play, &spike)
    }

    fn put(&self, play: &mut Play, injection: &Injection) -> Option<Injected> {
        if !apply(&mut play.rows, injection, &self.deviations) {
            return None;
        }
        let grid = self.frame.grid();
        let done = Injected {
            kind: injection.kind,
            column: Arc::clone(&self.frame.schema().get(injection.column)?.name),
            start: grid.time(self.first + injection.rows.start),
            end: grid.time((self.first + injection.rows.end).saturating_sub(1)),
        };
        play.injected.push(done.clone());
        Some(done)
    }

    /// One early spike, then one per block of rows, away from labelled rows.
    fn plan_spikes(&self, injector: Injector) {
        let mut play = self.playing();
        play.injector = Some(injector);
        let rows = play.rows.nrows();
        let blocks =
            (1..=rows / ROWS_PER_SPIKE).map(|b| b * ROWS_PER_SPIKE..(b + 1) * ROWS_PER_SPIKE);
        let ranges: Vec<Range<usize>> = std::iter::once(FIRST_SPIKE)
            .chain(blocks)
            .filter_map(|range| self.clear_part(range.start..range.end.min(rows)))
            .collect();
        for range in ranges {
            self.put_spike(&mut play, range);
        }
    }

    /// The longest stretch of `rows` (counted in played rows) that keeps away from labelled rows.
    fn clear_part(&self, rows: Range<usize>) -> Option<Range<usize>> {
        let mut best = 0..0;
        let mut start = rows.start;
        for row in rows.start..=rows.end {
            let own = row + self.first;
            let near = |l: &Range<usize>| own + CLEARANCE >= l.start && own < l.end + CLEARANCE;
            if row == rows.end || self.labelled.iter().any(near) {
                if row.saturating_sub(start) > best.len() {
                    best = start..row;
                }
                start = row + 1;
            }
        }
        (!best.is_empty()).then_some(best)
    }

    /// The first row after `time`; the number of rows when there is none.
    fn row_after(&self, time: Time) -> usize {
        let grid = self.frame.grid();
        let gone = Grid::covering(grid.start(), time, grid.step()).len();
        gone.min(grid.len())
    }

    /// The rows at times in `[from, to]`.
    fn rows(&self, from: Time, to: Time) -> Range<usize> {
        let before = Time::from_millis(from.millis().saturating_sub(1));
        let start = self.row_after(before);
        start..self.row_after(to).max(start)
    }

    fn frame_of(&self, columns: &Columns, rows: &Range<usize>) -> Option<Frame> {
        let grid = self.frame.grid().slice(rows.start, rows.end);
        let entity = self.frame.entity().clone();
        columns.frame(entity, grid, &self.frame.values(), rows.clone())
    }
}

fn first_played(grid: &Grid, from: PlayFrom) -> usize {
    match from {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        PlayFrom::Fraction(part) => (part.clamp(0.0, 1.0) * grid.len() as f64).round() as usize,
        PlayFrom::At(time) => grid.times().take_while(|t| *t < time).count(),
    }
}

impl Collect for ReplaySource {
    fn name(&self) -> String {
        self.name.clone()
    }

    /// Stands before the first played row until the play begins, and at the last row, or where it is to stop, after it.
    fn now(&self, wall: Time) -> Time {
        let last = self.frame.grid().last().unwrap_or_default();
        let last = self.stop.map_or(last, |stop| stop.min(last));
        let Some(begun) = self.wall_start.get() else {
            return self.play_from() - self.step();
        };
        if self.speed == 0.0 {
            return last;
        }
        let rows = wall.since(*begun).as_secs_f64() * self.speed;
        let data = std::time::Duration::try_from_secs_f64(rows * self.step().as_secs_f64());
        data.map_or(last, |gone| (self.play_from() + gone).min(last))
    }

    fn finished(&self, now: Time) -> bool {
        self.frame.grid().last().is_none_or(|last| now >= last)
    }

    /// Rows before the play, never with anything put in, cut to what was recorded.
    async fn history(
        &self,
        periods: &[(Time, Time)],
        schema: Option<&Schema>,
        progress: &(dyn Fn(f64) + Sync),
    ) -> Result<Batch, SourceError> {
        let columns = Columns::new(self.frame.schema(), schema);
        let frames = periods
            .iter()
            .filter_map(|(from, to)| {
                let rows = self.rows(*from, *to);
                let end = rows.end.min(self.first);
                self.frame_of(&columns, &(rows.start.min(end)..end))
            })
            .collect();
        progress(1.0);
        let mut warnings = self.warnings.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Batch {
            frames,
            warnings: std::mem::take(&mut warnings),
            unknown: columns.unknown,
            ..Batch::default()
        })
    }

    /// Rows with what was put in, cut to what was recorded.
    async fn recent(
        &self,
        from: Time,
        to: Time,
        _now: Time,
        schema: Option<&Schema>,
    ) -> Result<Batch, SourceError> {
        let columns = Columns::new(self.frame.schema(), schema);
        let rows = self.rows(from, to);
        let mut values = self.frame.slice(rows.start, rows.end).values().to_owned();
        let play = self.playing();
        for (mut row, number) in values.rows_mut().into_iter().zip(rows.clone()) {
            if let Some(played) = number.checked_sub(self.first) {
                row.assign(&play.rows.row(played));
            }
        }
        drop(play);
        let grid = self.frame.grid().slice(rows.start, rows.end);
        let entity = self.frame.entity().clone();
        Ok(Batch {
            frames: columns
                .frame(entity, grid, &values, 0..rows.len())
                .into_iter()
                .collect(),
            unknown: columns.unknown,
            ..Batch::default()
        })
    }
}
