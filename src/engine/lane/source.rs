//! Keeps how a lane's source is doing: its state, its warnings, and what is counted of its answers.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::domain::{
    Component, Counters, HealthBoard, Histogram, SourceState, SourceView, Time, withdrawn_after,
};
use crate::engine::collector::{Answer, Kind};
use crate::source::any::Source;
use crate::source::{Batch, Collect as _, SourceError};

/// Bounds of the collection time histogram, in seconds.
const COLLECT_SECONDS: [f64; 10] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

/// Warnings shown of one source.
const WARNINGS: usize = 16;

/// Different warnings that are written to the log within [`SAID`].
const LOGGED: usize = 32;

/// A warning is not written to the log again within this time.
const SAID: Duration = Duration::from_hours(24);

/// Series without a column that a warning names.
const NAMED: usize = 5;

/// What has changed with a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It fails, or does not answer in time, since just now.
    Lost(String),
    /// It works again, after so long, where it had worked before.
    Back(Option<Duration>),
    /// It answers, but has had no sample of any entity for so long.
    Empty(Duration),
    /// It has samples again.
    Filled,
}

/// How a lane's source is doing.
pub struct SourceStatus {
    /// What is counted of its answers and ticks.
    pub counters: Counters,
    view: SourceView,
    /// Where a task that panics or hangs is reported; test mode has none.
    board: Option<HealthBoard>,
    /// Looks that failed in a row.
    failures: u32,
    /// It answers, but without samples.
    is_empty: bool,
    /// Series that the model has no column for.
    unknown: Option<String>,
    /// Warnings of the latest look.
    of_look: Vec<String>,
    /// Warnings of the latest fetch of history.
    of_history: Vec<String>,
    /// Warnings that were written to the log, without their figures, and when; at most [`LOGGED`].
    said: BTreeMap<String, Time>,
}

impl SourceStatus {
    /// A source that was not asked yet.
    pub(super) fn new(source: &Source, board: Option<HealthBoard>) -> Self {
        Self {
            counters: Counters {
                collect_seconds: Histogram::with_bounds(&COLLECT_SECONDS),
                ..Counters::default()
            },
            view: SourceView {
                name: source.name(),
                recorded: matches!(source, Source::Replay(_)),
                state: SourceState::Connecting,
                last_success: None,
                warnings: Vec::new(),
                more_warnings: 0,
            },
            board,
            failures: 0,
            is_empty: false,
            unknown: None,
            of_look: Vec::new(),
            of_history: Vec::new(),
            said: BTreeMap::new(),
        }
    }

    /// What readers see.
    pub const fn view(&self) -> &SourceView {
        &self.view
    }

    /// Whether it fails or does not answer in time.
    pub const fn is_stale(&self) -> bool {
        matches!(self.view.state, SourceState::Stale { .. })
    }

    /// Whether it is a recording that came to its end.
    pub const fn is_finished(&self) -> bool {
        matches!(self.view.state, SourceState::Finished)
    }

    /// Looks that failed in a row.
    pub const fn failures(&self) -> u32 {
        self.failures
    }

    /// Counts an answer, and reports on the board whether its task works.
    pub(super) fn count(&mut self, answer: &Answer, now: Time) {
        self.report(answer, now);
        let took = answer.took.as_secs_f64();
        self.counters.collect_seconds.observe(took);
        match &answer.result {
            Ok(batch) => {
                self.counters.series_dropped += batch.dropped;
                self.counters.series_left_out = batch.dropped;
            }
            Err(error) => {
                let errors = &mut self.counters.collect_errors;
                *errors.entry(error.reason()).or_default() += 1;
            }
        }
    }

    /// Reports on the board whether the task of this kind of request works.
    fn report(&self, answer: &Answer, now: Time) {
        let Some(board) = &self.board else { return };
        let component = match answer.kind {
            Kind::Recent => Component::Collector,
            Kind::History => Component::History,
        };
        match &answer.result {
            Err(error) if answer.is_broken => {
                board.fail(component, now, error.to_string());
                board.restarted(component);
            }
            _ => {
                board.recover(component);
            }
        }
    }

    /// A look worked.
    pub(super) fn worked(&mut self, batch: &Batch, finished: bool, now: Time) -> Option<Change> {
        let away = self.view.last_success.map(|last| now.since(last));
        let change = self.is_stale().then_some(Change::Back(away));
        self.failures = 0;
        self.view.last_success = Some(now);
        self.unknown = without_column(&batch.unknown);
        self.of_look.clone_from(&batch.warnings);
        self.show_warnings();
        self.view.state = if finished {
            SourceState::Finished
        } else {
            SourceState::Up
        };
        change
    }

    /// History has come.
    pub(super) fn fetched(&mut self, batch: &Batch) {
        self.of_history.clone_from(&batch.warnings);
        self.show_warnings();
    }

    /// Another model has come into force: the next look tells which series it has no column for.
    pub fn has_new_columns(&mut self) {
        self.unknown = None;
        self.show_warnings();
    }

    /// Shows what is to be known, each text once.
    fn show_warnings(&mut self) {
        let all = self
            .unknown
            .iter()
            .chain(&self.of_look)
            .chain(&self.of_history);
        let mut shown: Vec<String> = Vec::new();
        for text in all {
            if !shown.contains(text) {
                shown.push(text.clone());
            }
        }
        self.view.more_warnings = shown.len().saturating_sub(WARNINGS);
        shown.truncate(WARNINGS);
        self.view.warnings = shown;
    }

    /// The warnings that were not written to the log lately; from now on they were.
    pub fn unsaid(&mut self, now: Time) -> Vec<String> {
        self.said
            .retain(|_, at| *at <= now && now.since(*at) < SAID);
        let mut unsaid = Vec::new();
        for text in &self.view.warnings {
            // The same warning may have other figures.
            let key: String = text.chars().filter(|c| !c.is_ascii_digit()).collect();
            if self.said.len() < LOGGED && !self.said.contains_key(&key) {
                self.said.insert(key, now);
                unsaid.push(text.clone());
            }
        }
        unsaid
    }

    /// All rows that are due were taken in; the newest sample is so far behind the newest of them.
    pub(super) fn took_in(&mut self, without_samples: Duration, step: Duration) -> Option<Change> {
        let before = self.is_empty;
        self.is_empty = without_samples > withdrawn_after(step);
        match (before, self.is_empty) {
            (false, true) => Some(Change::Empty(without_samples)),
            (true, false) => Some(Change::Filled),
            _ => None,
        }
    }

    /// A look failed; the next one is at `retry_at`.
    pub(super) fn failed(&mut self, error: &SourceError, retry_at: Time) -> Option<Change> {
        self.failures = self.failures.saturating_add(1);
        self.lose(error.to_string(), retry_at)
    }

    /// The look that was begun at `since` is not answered yet; the next one is at `retry_at` at the earliest.
    pub(super) fn is_late(&mut self, since: Time, now: Time, retry_at: Time) -> Option<Change> {
        let text = format!(
            "{}: no answer for {}; is it overloaded, or `[source] timeout` too long?",
            self.view.name,
            roughly(now.since(since))
        );
        self.lose(text, retry_at)
    }

    fn lose(&mut self, error: String, retry_at: Time) -> Option<Change> {
        let change = (!self.is_stale()).then(|| Change::Lost(error.clone()));
        self.view.state = SourceState::Stale {
            since: self.view.last_success,
            error,
            retry_at,
        };
        change
    }
}

/// What is said of series that the model has no column for.
fn without_column(unknown: &[String]) -> Option<String> {
    let names: Vec<&str> = unknown.iter().take(NAMED).map(String::as_str).collect();
    let more = match unknown.len().saturating_sub(names.len()) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    (!names.is_empty()).then(|| {
        format!(
            "{} series are new and the model does not know them: {}{more}; they are watched from the next training on",
            unknown.len(),
            names.join(", ")
        )
    })
}

/// A length of time as one says it: `3 min`.
pub fn roughly(span: Duration) -> String {
    let secs = span.as_secs();
    match secs {
        0..120 => format!("{secs} s"),
        120..7200 => format!("{} min", secs.div_ceil(60)),
        _ => format!("{} h", secs.div_ceil(3600)),
    }
}
