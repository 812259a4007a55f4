//! Gets one query's series for all periods: from the cache what it holds, from the server the rest.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::StreamExt;
use futures::stream::FuturesUnordered;

use super::block::{Block, overlay};
use super::cache::{Cache, Key};
use super::client::{Client, Told};
use super::collection::Collection;
use super::plan::{self, MAX_POINTS, Piece};
use super::retry::Cure;
use crate::domain::{Direction, Grid, Labels, Unit};
use crate::source::SourceError;

/// Values that one answer should hold at most: about 8 MB of JSON and 6 MB as they are read, for each request under way.
const ROOMY: usize = 250_000;

/// Rows of the first request for a query, whose number of series is not known yet.
const SCOUTED: usize = 100;

/// So few points are not asked for in parts when the server runs out of time: it would be asked for ever.
const SHORT: usize = 60;

/// Values that one collection may hold, over all queries: 2 GiB. What labels take counts too.
const MAX_VALUES: usize = 1 << 28;

/// Different notes kept per query.
const MAX_NOTES: usize = 20;

/// One configured query, as it applies to the watched system.
#[derive(Debug)]
pub(super) struct Query {
    /// Its name in the configuration.
    pub alias: Arc<str>,
    /// What is asked.
    pub expr: String,
    /// What the values count.
    pub unit: Unit,
    /// Which deviations matter.
    pub direction: Direction,
    /// Where the metric hits its ceiling.
    pub limit: Option<f64>,
    /// The values are a raw counter.
    pub counter: bool,
    /// What its chunks are filed under.
    pub key: Key,
}

/// One collection over all queries.
pub(super) struct Job<'a> {
    /// Whom to ask.
    pub client: &'a Client,
    /// Where closed chunks are kept.
    pub cache: Option<&'a Cache>,
    /// The periods.
    pub grids: &'a [Grid],
    /// What is asked for, in time order.
    pub pieces: Vec<Piece>,
    /// Rows of a chunk.
    pub chunk: usize,
    /// What bounds its requests.
    pub collection: &'a Collection,
    /// Hears how many rows of a query are done.
    pub done: &'a (dyn Fn(usize) + Sync),
    /// Values that still fit into memory.
    pub room: AtomicUsize,
    /// Whether chunks could be written; after a failure it is not tried again in this collection.
    pub stored: Mutex<Option<Result<(), String>>>,
}

impl<'a> Job<'a> {
    /// A collection of `pieces` for the periods `grids`.
    pub fn new(
        client: &'a Client,
        collection: &'a Collection,
        cache: Option<&'a Cache>,
        grids: &'a [Grid],
        pieces: Vec<Piece>,
        chunk: usize,
        done: &'a (dyn Fn(usize) + Sync),
    ) -> Self {
        Self {
            client,
            cache,
            grids,
            pieces,
            chunk,
            collection,
            done,
            room: AtomicUsize::new(MAX_VALUES),
            stored: Mutex::new(None),
        }
    }

    fn can_store(&self) -> bool {
        !matches!(*self.stored(), Some(Err(_)))
    }

    /// Whether chunks could be written.
    pub fn stored(&self) -> MutexGuard<'_, Option<Result<(), String>>> {
        self.stored.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What came of one query.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    /// Values by label set and period; a period without any value is `None`.
    pub series: BTreeMap<Labels, Vec<Option<Vec<f64>>>>,
    /// What the server or the cache wants known.
    pub notes: BTreeSet<String>,
    /// Why something is missing.
    pub error: Option<SourceError>,
    /// Label sets for which there was no room, as hashes.
    pub crowded: HashSet<u64>,
}

impl Gathered {
    /// Takes over a block's values wherever it meets a period.
    pub fn add(&mut self, block: &Block, grids: &[Grid], room: &AtomicUsize) {
        for (labels, values) in &block.series {
            for (period, grid) in grids.iter().enumerate() {
                let Some(meet) = meeting(grid, &block.grid, values) else {
                    continue;
                };
                if !self.series.contains_key(labels) {
                    self.series.insert(labels.clone(), vec![None; grids.len()]);
                }
                let slot = self.series.get_mut(labels).and_then(|s| s.get_mut(period));
                let Some(slot) = slot else { continue };
                if slot.is_none() && !reserve(room, grid.len() + in_values(labels)) {
                    let mut hasher = DefaultHasher::new();
                    labels.hash(&mut hasher);
                    self.crowded.insert(hasher.finish());
                    continue;
                }
                let rows = slot.get_or_insert_with(|| vec![f64::NAN; grid.len()]);
                overlay(rows, grid, meet, &block.grid);
            }
        }
        self.series
            .retain(|_, periods| periods.iter().any(Option::is_some));
    }

    fn note(&mut self, note: String) {
        if self.notes.len() < MAX_NOTES {
            self.notes.insert(note);
        }
    }
}

/// `values`, if one of them is observed at a time of `grid`.
fn meeting<'v>(grid: &Grid, of: &Grid, values: &'v [f64]) -> Option<&'v [f64]> {
    let last = grid.last()?;
    let observed = of
        .times()
        .zip(values)
        .any(|(time, value)| !value.is_nan() && time >= grid.start() && time <= last);
    observed.then_some(values)
}

/// What labels take, in values of 8 bytes: about.
fn in_values(labels: &Labels) -> usize {
    let bytes = labels
        .iter()
        .map(|(name, value)| name.len() + value.len() + 100);
    bytes.sum::<usize>() / 8
}

fn reserve(room: &AtomicUsize, values: usize) -> bool {
    room.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
        left.checked_sub(values)
    })
    .is_ok()
}

/// All of one query's pieces. What fails is told in [`Gathered::error`]; what came before it is kept.
pub(super) async fn gather(job: &Job<'_>, query: &Query) -> Gathered {
    let mut gathered = Gathered::default();
    let missing = from_cache(job, query, &mut gathered).await;
    if let Err(error) = from_server(job, query, &missing, &mut gathered).await {
        gathered.error = Some(error);
    }
    gathered
}

/// Takes what the cache has; gives back the pieces that it has not.
async fn from_cache(job: &Job<'_>, query: &Query, gathered: &mut Gathered) -> Vec<Piece> {
    let Some(cache) = job.cache else {
        return job.pieces.clone();
    };
    let mut missing = Vec::new();
    for piece in &job.pieces {
        if !piece.keep {
            missing.push(*piece);
            continue;
        }
        let (cache, key, grid) = (cache.clone(), query.key.clone(), piece.grid);
        let read = tokio::task::spawn_blocking(move || cache.load(&key, grid));
        let (block, warning) = read.await.unwrap_or((None, None));
        if let Some(warning) = warning {
            gathered.note(warning);
        }
        if let Some(block) = block {
            job.collection.was_cached();
            gathered.add(&block, job.grids, &job.room);
            (job.done)(grid.len());
        } else {
            missing.push(*piece);
        }
    }
    missing
}

/// How many points of each series the requests for one query ask for.
struct Width {
    /// As many as the server takes.
    taken: AtomicUsize,
    /// As many as there is room for, by the number of series in the latest answer.
    roomy: AtomicUsize,
}

impl Width {
    const fn unknown() -> Self {
        Self {
            taken: AtomicUsize::new(MAX_POINTS),
            roomy: AtomicUsize::new(SCOUTED),
        }
    }

    /// At least 1.
    fn points(&self) -> usize {
        let taken = self.taken.load(Ordering::Relaxed);
        taken.min(self.roomy.load(Ordering::Relaxed)).max(1)
    }

    fn answered(&self, series: usize) {
        let roomy = (ROOMY / series.max(1)).min(MAX_POINTS);
        self.roomy.store(roomy, Ordering::Relaxed);
    }

    /// The server did not take so many.
    fn refused(&self, points: usize) {
        self.taken.fetch_min(points / 2, Ordering::Relaxed);
    }
}

/// Asks for the newest piece first, alone: a query that can't work is found out with one request, and how many series it
/// has says how much to ask for at once.
async fn from_server(
    job: &Job<'_>,
    query: &Query,
    missing: &[Piece],
    gathered: &mut Gathered,
) -> Result<(), SourceError> {
    let Some((scout, rest)) = missing.split_last() else {
        return Ok(());
    };
    let width = Width::unknown();
    if !gathered.series.is_empty() {
        width.answered(gathered.series.len());
    }
    let first = ask(job, query, scout.grid, &width).await?;
    take(job, query, missing, first, gathered).await;
    let mut asked: FuturesUnordered<_> = plan::requests(rest, width.points().max(job.chunk))
        .into_iter()
        .map(|grid| ask(job, query, grid, &width))
        .collect();
    while let Some(answer) = asked.next().await {
        take(job, query, missing, answer?, gathered).await;
    }
    Ok(())
}

/// One stretch, in as many requests as the server wants it split into, or as keep their answers small.
async fn ask(
    job: &Job<'_>,
    query: &Query,
    grid: Grid,
    width: &Width,
) -> Result<Told<Block>, SourceError> {
    let mut whole = Told {
        data: Block::empty(grid),
        notes: Vec::new(),
        partial: false,
    };
    let mut row = 0;
    while row < grid.len() {
        let points = width.points().min(grid.len() - row);
        let part = grid.slice(row, row + points);
        match job.client.range(&query.expr, part, job.collection).await {
            Ok(told) => {
                width.answered(told.data.series.len());
                whole.data.join(told.data);
                whole.notes.extend(told.notes);
                whole.partial |= told.partial;
                row += points;
            }
            Err(trouble) if may_be_halved(trouble.cure, points) => width.refused(points),
            Err(trouble) => return Err(trouble.error),
        }
    }
    Ok(whole)
}

/// Whether asking for half of so many points may help.
const fn may_be_halved(cure: Cure, points: usize) -> bool {
    match cure {
        Cure::Less => points > 1,
        Cure::Slow(_) => points > SHORT,
        _ => false,
    }
}

/// Takes an answer over and keeps its closed chunks. What the server calls incomplete is not kept, nor what is young by its
/// clock, whatever ours says.
async fn take(
    job: &Job<'_>,
    query: &Query,
    missing: &[Piece],
    told: Told<Block>,
    gathered: &mut Gathered,
) {
    let block = told.data;
    for note in told.notes {
        gathered.note(note);
    }
    gathered.add(&block, job.grids, &job.room);
    (job.done)(block.grid.len());
    let Some(cache) = job.cache.filter(|_| !told.partial && job.can_store()) else {
        return;
    };
    let settled = job.client.clock().map(|clock| clock - plan::SETTLING);
    let closed = |grid: &Grid| settled.is_none_or(|settled| grid.last() <= Some(settled));
    let chunks: Vec<Grid> = missing
        .iter()
        .filter(|piece| piece.keep && closed(&piece.grid) && within(&piece.grid, &block.grid))
        .map(|piece| piece.grid)
        .collect();
    if chunks.is_empty() {
        return;
    }
    let (cache, key) = (cache.clone(), query.key.clone());
    let write = move || {
        chunks
            .into_iter()
            .try_for_each(|chunk| cache.store(&key, &block.slice(chunk)))
    };
    // Only fails when the runtime ends.
    let Ok(written) = tokio::task::spawn_blocking(write).await else {
        return;
    };
    let written = written.map_err(|error| {
        format!("fetched history can't be kept in the cache and is fetched again by the next run: {error}; free or mend the disk, or set [history] cache = false")
    });
    if let Err(text) = &written {
        gathered.note(text.clone());
    }
    if job.can_store() {
        *job.stored() = Some(written);
    }
}

fn within(inner: &Grid, outer: &Grid) -> bool {
    inner.start() >= outer.start() && inner.last() <= outer.last()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::Time;

    fn grid(first: i64, len: usize) -> Grid {
        Grid::new(Time::from_secs(first * 60), Duration::from_secs(60), len)
    }

    fn block(first: i64, values: &[f64]) -> Block {
        let mut block = Block::empty(grid(first, values.len()));
        block.series.insert(Labels::new(), values.to_vec());
        block
    }

    #[test]
    fn blocks_fill_the_periods_they_meet() {
        let grids = [grid(0, 4), grid(10, 2)];
        let room = AtomicUsize::new(100);
        let mut gathered = Gathered::default();
        gathered.add(&block(2, &[1.0, 2.0, 3.0]), &grids, &room);
        gathered.add(&block(6, &[9.0, 9.0]), &grids, &room);
        let periods = &gathered.series[&Labels::new()];
        assert_eq!(periods[0].as_ref().unwrap()[2..], [1.0, 2.0]);
        assert!(periods[1].is_none());
        gathered.add(&block(8, &[4.0, 5.0, 6.0]), &grids, &room);
        let periods = &gathered.series[&Labels::new()];
        assert_eq!(periods[1].as_ref().unwrap()[0], 6.0);
        assert_eq!(room.into_inner(), 94);
    }

    #[test]
    fn requests_are_as_wide_as_room_and_server_allow() {
        let width = Width::unknown();
        assert_eq!(width.points(), SCOUTED);
        width.answered(1000);
        assert_eq!(width.points(), ROOMY / 1000);
        width.refused(200);
        assert_eq!(width.points(), 100);
        width.answered(0);
        assert_eq!(width.points(), 100, "what the server refused stays so");
        width.answered(usize::MAX);
        assert_eq!(width.points(), 1);
        let few = Width::unknown();
        few.answered(1);
        assert_eq!(few.points(), MAX_POINTS);
    }

    #[test]
    fn what_does_not_fit_is_counted_once() {
        let grids = [grid(0, 4)];
        let room = AtomicUsize::new(3);
        let mut gathered = Gathered::default();
        gathered.add(&block(0, &[1.0]), &grids, &room);
        gathered.add(&block(1, &[1.0]), &grids, &room);
        assert!(gathered.series.is_empty());
        assert_eq!(gathered.crowded.len(), 1);
    }
}
