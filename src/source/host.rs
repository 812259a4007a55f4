//! This machine as a source: CPU, memory, swap, load, disks and network, with their history kept across restarts.

mod day_files;
mod kept;
mod probe;
mod rates;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Duration;

use self::day_files::Writes;
use self::kept::Kept;
use self::rates::Rates;
use super::columns::Columns;
use super::{Batch, Collect, SourceError};
use crate::domain::{Direction, Entity, Feature, Frame, Schema, Time, Unit};

pub use probe::{Counters, Probe, Reading, SystemProbe};

/// Number of features.
const WIDTH: usize = 9;

/// One value per feature, NaN where unknown.
type Row = [f64; WIDTH];

/// How long one reading, or one write, may take: a file system that does not answer must not hold the engine.
const PATIENCE: Duration = Duration::from_secs(5);

const SLOW_DISK: &str =
    "host history not kept: writing it takes too long; does the disk of the data directory answer?";

/// The host's features, in their fixed order. What a system can't tell is missing, never 0; rates and `cpu` need two
/// readings, so the first has none.
///
/// - `cpu` percent of all cores, `memory` percent not available, `swap` percent used (missing without swap)
/// - `load1`: running processes, averaged over a minute (missing on Windows)
/// - `disk_read`, `disk_write`: all mounted block devices together
/// - `network_receive`, `network_transmit`: all real interfaces together; loopback, tunnels, bridges, bonds, VLANs and the
///   interfaces of containers and virtual machines are left out, for their traffic passes a real one or none
/// - `disk_used`: percent of the fullest writable file system that is not removable
#[must_use]
pub fn features() -> Vec<Feature> {
    let feature = Feature::of;
    let rate = |name| feature(name, Unit::BytesPerSecond, Direction::Both, None);
    vec![
        feature("cpu", Unit::Percent, Direction::Above, Some(90.0)),
        feature("memory", Unit::Percent, Direction::Above, Some(90.0)),
        feature("swap", Unit::Percent, Direction::Above, None),
        feature("load1", Unit::None, Direction::Above, None),
        rate("disk_read"),
        rate("disk_write"),
        rate("network_receive"),
        rate("network_transmit"),
        feature("disk_used", Unit::Percent, Direction::Above, Some(90.0)),
    ]
}

/// Samples this machine once per [`Collect::recent`]; each grid time has the mean of the samples of the step that it ends,
/// the first one after that end included, and is given out once it is complete: it never changes after. Keeps 14 days'
/// worth of rows, at most 100,000, in memory and, given a folder, on disk (one file per day, written once a minute and at
/// the end). What was sampled of a step that has not ended is lost at the end.
pub struct HostSource {
    probe: Arc<Mutex<dyn Probe>>,
    name: String,
    schema: Schema,
    /// Held by the thread that writes.
    writing: Arc<Mutex<()>>,
    /// Never held while something is waited for.
    sampled: Mutex<Sampled>,
}

/// What was sampled.
#[derive(Debug)]
struct Sampled {
    rates: Rates,
    kept: Kept,
}

impl HostSource {
    /// This machine. `history_dir` is where its history is kept (one Parquet file per day); `None` keeps nothing. Warnings
    /// say which kept files were damaged and set aside; nothing there is fatal.
    ///
    /// # Errors
    /// [`SourceError::Setup`] when this system's metrics can't be read at all.
    pub fn new(
        step: Duration,
        history_dir: Option<PathBuf>,
        now: Time,
    ) -> Result<(Self, Vec<String>), SourceError> {
        let probe = SystemProbe::new().map_err(|e| {
            SourceError::Setup(format!(
                "this host's metrics can't be read: {e}; set `[source] kind` to \"prometheus\" or \"replay\""
            ))
        })?;
        let name = sysinfo::System::host_name().unwrap_or_else(|_| "unnamed".into());
        Ok(Self::with_probe(probe, &name, step, history_dir, now))
    }

    /// A machine named `host` that `probe` reads, with what was kept of it and the warnings of reading that.
    pub fn with_probe(
        probe: impl Probe,
        host: &str,
        step: Duration,
        history_dir: Option<PathBuf>,
        now: Time,
    ) -> (Self, Vec<String>) {
        let (kept, warnings) = Kept::load(history_dir, step, now);
        let source = Self {
            probe: Arc::new(Mutex::new(probe)),
            name: format!("this host ({host})"),
            schema: features().into(),
            writing: Arc::default(),
            sampled: Mutex::new(Sampled {
                rates: Rates::default(),
                kept,
            }),
        };
        (source, warnings)
    }

    /// Earliest and latest grid time of what is kept.
    #[must_use]
    pub fn span(&self) -> Option<(Time, Time)> {
        self.sampled().kept.span()
    }

    fn sampled(&self) -> MutexGuard<'_, Sampled> {
        self.sampled.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One reading, on a thread that may block.
    async fn read(&self) -> Result<Reading, SourceError> {
        let probe = Arc::clone(&self.probe);
        let reading = tokio::task::spawn_blocking(move || match probe.try_lock() {
            Ok(mut probe) => Some(probe.read()),
            Err(TryLockError::Poisoned(broken)) => Some(broken.into_inner().read()),
            Err(TryLockError::WouldBlock) => None,
        });
        match tokio::time::timeout(PATIENCE, reading).await {
            Ok(Ok(Some(reading))) => Ok(reading),
            Ok(Ok(None)) | Err(_) => Err(SourceError::Timeout(format!(
                "{}: reading this host's metrics takes over {} s; does a mounted file system not answer?",
                self.name,
                PATIENCE.as_secs()
            ))),
            Ok(Err(e)) => Err(SourceError::Decode(format!(
                "{}: reading this host's metrics failed: {e}",
                self.name
            ))),
        }
    }

    /// Writes what is due, on a thread that may block; what could not be written is tried again later.
    async fn flush(&self, writes: Writes) -> Option<Result<(), String>> {
        if writes.is_empty() {
            return None;
        }
        let days = writes.days();
        let writing = Arc::clone(&self.writing);
        let work = tokio::task::spawn_blocking(move || match writing.try_lock() {
            Err(TryLockError::WouldBlock) => vec![SLOW_DISK.to_owned()],
            Ok(_) | Err(TryLockError::Poisoned(_)) => writes.run(),
        });
        let failed = match tokio::time::timeout(PATIENCE, work).await {
            Ok(done) => done.unwrap_or_else(|e| vec![e.to_string()]),
            Err(_) => vec![SLOW_DISK.to_owned()],
        };
        if !failed.is_empty() {
            self.sampled().kept.retry(days);
        }
        Some(match failed.first() {
            None => Ok(()),
            Some(first) => Err(format!(
                "{first}; it is tried again every minute, until then a restart loses what is not written"
            )),
        })
    }

    fn frame(&self, columns: &Columns, from: Time, to: Time) -> Option<Frame> {
        let (grid, values) = self.sampled().kept.grid(from, to);
        columns.frame(Entity::sole(), grid, &values, 0..grid.len())
    }
}

impl std::fmt::Debug for HostSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HostSource")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Collect for HostSource {
    fn name(&self) -> String {
        self.name.clone()
    }

    /// What was kept within `periods`, without asking the machine.
    async fn history(
        &self,
        periods: &[(Time, Time)],
        schema: Option<&Schema>,
        progress: &(dyn Fn(f64) + Sync),
    ) -> Result<Batch, SourceError> {
        let columns = Columns::new(&self.schema, schema);
        let frames = periods
            .iter()
            .filter_map(|(from, to)| self.frame(&columns, *from, *to))
            .collect();
        progress(1.0);
        Ok(Batch {
            frames,
            unknown: columns.unknown,
            ..Batch::default()
        })
    }

    /// Takes one sample at `now` and gives the rows in `[from, to]`.
    async fn recent(
        &self,
        from: Time,
        to: Time,
        now: Time,
        schema: Option<&Schema>,
    ) -> Result<Batch, SourceError> {
        let reading = self.read().await?;
        let writes = {
            let mut sampled = self.sampled();
            let row = sampled.rates.row(&reading);
            sampled.kept.add(now, &row);
            sampled.kept.due(now)
        };
        let stored = self.flush(writes).await;
        let columns = Columns::new(&self.schema, schema);
        Ok(Batch {
            frames: self.frame(&columns, from, to).into_iter().collect(),
            warnings: stored.iter().filter_map(|s| s.clone().err()).collect(),
            unknown: columns.unknown,
            stored,
            fetched: (0, 0),
            dropped: 0,
        })
    }
}

/// No row that was given out is lost on the way out.
impl Drop for HostSource {
    fn drop(&mut self) {
        let writes = self.sampled().kept.unwritten();
        for warning in writes.run() {
            tracing::warn!("{warning}");
        }
    }
}
