//! A server that speaks Prometheus' HTTP API: Prometheus, VictoriaMetrics, Thanos, Mimir.
//!
//! ```text
//! periods ─► plan (aligned chunks) ─► gather, per query: cache ─► client (retry) ─► answer ─► block
//!                                                                                             │
//!                       Batch of Frames ◄─ assemble (entities, features) ◄────────────────────┘
//! ```
//!
//! A range query looks back up to five minutes for a sample (the server's lookback): a gap shorter than that is not seen
//! as one.

mod address;
mod answer;
mod assemble;
mod block;
mod cache;
mod client;
mod collection;
mod failure;
mod features;
mod gather;
mod incoming;
mod labels;
mod lateness;
mod plan;
mod probe;
mod reading;
mod redact;
mod retry;
mod series;
mod settling;
mod setup;
mod standing;
mod wording;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::join_all;

pub use probe::{ProbeReport, QueryProbe};
pub use retry::Backoff;

use cache::{Cache, Key};
use client::Client;
use collection::Collection;
use gather::{Gathered, Job, Query, gather};
use lateness::Lateness;
use plan::{MAX_POINTS, Piece};
use settling::Settling;

use super::{Batch, Collect, SourceError};
use crate::config::{EntitiesConfig, HistoryConfig, Os, QueryConfig, SourceConfig};
use crate::domain::{Grid, Schema, Time};

/// Rows that one collection may ask for, over all periods: 19 years of minutes.
const MAX_ROWS: usize = 10_000_000;

/// As much of an expression as is shown in a message.
const SHOWN_EXPR: usize = 160;

/// Collects from one server. Keeps nothing between calls but the connection pool and the newest time asked for; the cache
/// on disk is bounded to 512 MB.
pub struct PrometheusSource {
    client: Client,
    queries: Vec<Query>,
    entities: EntitiesConfig,
    step: Duration,
    chunk: usize,
    cache: Option<Cache>,
    /// Newest grid time that was ever asked for, in milliseconds; the least there is before the first one.
    newest: AtomicI64,
    settling: Settling,
    lateness: Lateness,
}

impl PrometheusSource {
    /// A source for `[source]`, asking `[queries]`. Nothing is asked yet. With `cache_dir`, and unless `[history] cache`
    /// is off, closed chunks of history are kept there.
    ///
    /// # Errors
    /// [`SourceError::Setup`] that names the key: an address, header, secret or certificate that can't be used, a step of
    /// zero, no query at all.
    pub fn new(
        source: &SourceConfig,
        queries: &BTreeMap<String, QueryConfig>,
        entities: &EntitiesConfig,
        history: &HistoryConfig,
        cache_dir: Option<PathBuf>,
    ) -> Result<Self, SourceError> {
        let step = source.step.0;
        if step.as_millis() == 0 {
            return Err(SourceError::Setup(
                "[source] step = \"0s\" is no distance between samples; write it as in \"1m\""
                    .into(),
            ));
        }
        let client = Client::new(source)?;
        let rows = history.chunk.0.as_millis().div_ceil(step.as_millis());
        let chunk = usize::try_from(rows)
            .unwrap_or(MAX_POINTS)
            .clamp(1, MAX_POINTS);
        let os = source.os.unwrap_or(Os::here());
        let query = |(alias, config): (&String, &QueryConfig)| {
            let expr = config.expr.on(os)?;
            Some(Query {
                alias: alias.as_str().into(),
                expr: expr.to_owned(),
                unit: config.unit.clone(),
                direction: config.direction,
                limit: config.limit,
                counter: config.counter,
                key: Key::new(source, client.shown(), client.params(), expr, chunk),
            })
        };
        let queries: Vec<Query> = queries.iter().filter_map(query).collect();
        if queries.is_empty() {
            return Err(SourceError::Setup(format!(
                "there is nothing to ask {}: add a [queries.<name>] with an expr for {os:?} hosts",
                client.shown()
            )));
        }
        Ok(Self {
            client,
            queries,
            entities: entities.clone(),
            step,
            chunk,
            cache: cache_dir.filter(|_| history.cache).map(Cache::new),
            newest: AtomicI64::new(i64::MIN),
            settling: Settling::new(step),
            lateness: Lateness::default(),
        })
    }

    /// The same source with other waits between repeated requests.
    #[must_use]
    pub fn with_backoff(mut self, backoff: Backoff) -> Self {
        self.client.set_backoff(backoff);
        self
    }

    /// Asks all queries for `pieces` and makes frames of the answers.
    async fn collect(
        &self,
        collection: &Collection,
        grids: &[Grid],
        pieces: Vec<Piece>,
        cache: Option<&Cache>,
        schema: Option<&Schema>,
        progress: &(dyn Fn(f64) + Sync),
    ) -> Result<Batch, SourceError> {
        let rows: usize = pieces.iter().map(|piece| piece.grid.len()).sum();
        let total = (rows * self.queries.len()).max(1);
        let so_far = AtomicUsize::new(0);
        let done = |rows: usize| {
            let rows = so_far.fetch_add(rows, Ordering::Relaxed) + rows;
            progress((rows as f64 / total as f64).min(1.0));
        };
        let job = Job::new(
            &self.client,
            collection,
            cache,
            grids,
            pieces,
            self.chunk,
            &done,
        );
        let gathered = join_all(self.queries.iter().map(|query| gather(&job, query))).await;
        if let Some(cache) = cache {
            let cache = cache.clone();
            // Only fails when the runtime ends.
            let _ = tokio::task::spawn_blocking(move || cache.prune()).await;
        }
        let parts: Vec<(&Query, Gathered)> = self.queries.iter().zip(gathered).collect();
        let notes = self.judge(&parts)?;
        let mut batch = assemble::assemble(parts, &self.entities, grids, schema);
        batch.warnings.splice(0..0, notes);
        batch.stored = job.stored().take();
        batch.fetched = collection.fetched();
        progress(1.0);
        Ok(batch)
    }

    /// What is to be told of the queries; the error, if none of them gave anything.
    fn judge(&self, parts: &[(&Query, Gathered)]) -> Result<Vec<String>, SourceError> {
        let failed = |gathered: &Gathered| gathered.error.is_some() && gathered.series.is_empty();
        let mut errors = parts.iter().filter_map(|(query, gathered)| {
            let error = gathered.error.clone().filter(|_| failed(gathered))?;
            Some((*query, error))
        });
        let count = errors.clone().count();
        if let Some((query, error)) = errors.next().filter(|_| count == parts.len()) {
            let error = match error {
                // Whatever is asked, the server is not there.
                SourceError::Connect(_) => error,
                other => self.about(query, &other),
            };
            let others = match count {
                1 => String::new(),
                _ => format!(" (and so did the other {} queries)", count - 1),
            };
            return Err(reworded(&error, |text| format!("{text}{others}")));
        }
        let mut notes = Vec::new();
        for (query, gathered) in parts {
            let alias = &query.alias;
            if let Some(error) = &gathered.error {
                let fate = if gathered.series.is_empty() {
                    "its columns stay empty"
                } else {
                    "its history is incomplete"
                };
                let error = self.about(query, error);
                notes.push(format!("{error}; {fate}, the other queries go on"));
            } else if gathered.series.is_empty() {
                notes.push(format!(
                    "query `{alias}` gave no samples; is the name right, and is something scraped that has it?"
                ));
            }
            notes.extend(self.about_counter(query, gathered));
            notes.extend(
                gathered
                    .notes
                    .iter()
                    .map(|note| format!("query `{alias}`: {note}")),
            );
        }
        Ok(notes)
    }

    /// How long a row waits for its samples.
    fn waited(&self) -> Duration {
        let configured = self.client.section().latency_offset.0;
        configured.max(self.settling.length())
    }

    /// What is to be said of a raw counter whose samples are further apart than the rows.
    fn about_counter(&self, query: &Query, gathered: &Gathered) -> Option<String> {
        if !query.counter {
            return None;
        }
        let mut periods = gathered.series.values().flatten().flatten();
        let apart = periods.find_map(|values| standing::apart(values, self.step))?;
        let (apart, step) = (apart.as_secs(), self.step.as_secs());
        Some(format!(
            "query `{}`: counter = true, but its samples are about {apart} s apart, or it rises only that often, and its rows are {step} s apart: rates are 0 in some rows and too high in others; set [source] step to {apart} s or more, or ask for rate(…) instead",
            query.alias
        ))
    }

    /// `error`, with the query that it is about.
    fn about(&self, query: &Query, error: &SourceError) -> SourceError {
        let expr = self.shown_expr(query);
        reworded(error, |text| {
            format!("query `{}` ({expr}): {text}", query.alias)
        })
    }

    /// What a query asks, on one line of bounded length and without secrets.
    fn shown_expr(&self, query: &Query) -> String {
        let mut expr: String = query.expr.split_whitespace().collect::<Vec<_>>().join(" ");
        if let Some((end, _)) = expr.char_indices().nth(SHOWN_EXPR) {
            expr.truncate(end);
            expr.push('…');
        }
        self.client.clean(&expr)
    }

    /// The newest grid time that was ever asked for, `grids` included; the least there is when there is none.
    fn newest(&self, grids: &[Grid]) -> Time {
        let asked = grids.iter().filter_map(Grid::last).max();
        let asked = asked.map_or(i64::MIN, Time::millis);
        let before = self.newest.fetch_max(asked, Ordering::Relaxed);
        Time::from_millis(before.max(asked))
    }

    fn grids(&self, periods: &[(Time, Time)]) -> Result<Vec<Grid>, SourceError> {
        let grid = |(from, to): &(Time, Time)| Grid::covering(*from, *to, self.step);
        let grids: Vec<Grid> = periods.iter().map(grid).collect();
        let rows = grids
            .iter()
            .fold(0_usize, |sum, grid| sum.saturating_add(grid.len()));
        if rows > MAX_ROWS {
            return Err(SourceError::Setup(format!(
                "[history] asks for {rows} rows every {:?}, more than the {MAX_ROWS} that are possible; shorten period or periods, or take a longer [source] step",
                self.step
            )));
        }
        Ok(grids)
    }
}

/// The same kind of error in other words.
fn reworded(error: &SourceError, words: impl FnOnce(&str) -> String) -> SourceError {
    let text = words(&error.to_string());
    match error {
        SourceError::Connect(_) => SourceError::Connect(text),
        SourceError::Timeout(_) => SourceError::Timeout(text),
        SourceError::Http(_) => SourceError::Http(text),
        SourceError::Query(_) => SourceError::Query(text),
        SourceError::Decode(_) => SourceError::Decode(text),
        SourceError::Setup(_) => SourceError::Setup(text),
        SourceError::File(_) => SourceError::File(text),
        SourceError::Task(_) => SourceError::Task(text),
    }
}

impl fmt::Debug for PrometheusSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrometheusSource")
            .field("server", &self.client.shown())
            .field("queries", &self.queries.len())
            .finish_non_exhaustive()
    }
}

impl Collect for PrometheusSource {
    fn name(&self) -> String {
        self.client.shown().to_owned()
    }

    fn settling(&self) -> Duration {
        self.settling.length()
    }

    /// A chunk is kept once it ends five minutes before the newest time that was ever asked for.
    async fn history(
        &self,
        periods: &[(Time, Time)],
        schema: Option<&Schema>,
        progress: &(dyn Fn(f64) + Sync),
    ) -> Result<Batch, SourceError> {
        let grids = self.grids(periods)?;
        let newest = self.newest(&grids);
        let closed = match &self.cache {
            Some(_) => newest - plan::SETTLING,
            None => Time::from_millis(i64::MIN),
        };
        let pieces = plan::chunked(&grids, self.chunk, closed);
        let (collection, cache) = (Collection::history(), self.cache.as_ref());
        self.collect(&collection, &grids, pieces, cache, schema, progress)
            .await
    }

    async fn recent(
        &self,
        from: Time,
        to: Time,
        now: Time,
        schema: Option<&Schema>,
    ) -> Result<Batch, SourceError> {
        let grids = self.grids(&[(from, to)])?;
        self.newest(&grids);
        let collection = Collection::look(self.client.section().timeout.0);
        let pieces = plan::plain(&grids);
        let others = Collection::look(self.client.section().timeout.0);
        let (batch, ()) = tokio::join!(
            self.collect(&collection, &grids, pieces, None, schema, &|_| ()),
            self.settling.measure(&self.client, now, &others),
        );
        let mut batch = batch?;
        let times = (now, self.step, self.waited());
        let server = (&self.client, &*self.queries);
        let late = self.lateness.of_look(server, &batch.frames, times, &others);
        batch.warnings.extend(late.await);
        Ok(batch)
    }
}
