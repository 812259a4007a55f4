//! The range cache: closed chunks of history, one Parquet file per query and chunk.
//!
//! `<dir>/<fingerprint>/<first time in ms>.parquet`; the fingerprint stands for everything that could change the answer.
//! A file that is damaged or not what its name says is set aside and fetched again.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use secrecy::ExposeSecret;

use super::block::Block;
use super::labels::braced;
use crate::config::SourceConfig;
use crate::disk::{DiskError, Table, set_aside, write_atomic};
use crate::domain::{Grid, Labels};

/// What all files together may take, in bytes; the least recently used go first.
const BUDGET: u64 = 512 << 20;

/// Bytes that may be written before the budget is looked after, besides at the end of each collection.
const PRUNED_EVERY: u64 = 64 << 20;

/// Version of what is in the files; another one is another fingerprint.
const FORMAT: &str = "1";

/// Headers that say who asks, not what is asked for. They change (tokens rotate) without changing the answer.
const WHO_ASKS: [&str; 3] = ["authorization", "cookie", "proxy-authorization"];

/// The cache's folder.
#[derive(Clone, Debug)]
pub(super) struct Cache {
    dir: PathBuf,
    /// Bytes written since the last pruning.
    written: Arc<AtomicU64>,
}

impl Cache {
    /// A cache in `dir`, which need not exist yet.
    pub fn new(dir: PathBuf) -> Self {
        Self {
            dir,
            written: Arc::default(),
        }
    }

    /// The chunk of `grid`, if it is there. The second part is a warning about a file that had to be set aside.
    pub fn load(&self, key: &Key, grid: Grid) -> (Option<Block>, Option<String>) {
        let path = self.path(key, &grid);
        if !path.is_file() {
            return (None, None);
        }
        let found = Table::load(&path).and_then(|table| {
            block(table, key, grid).ok_or_else(|| {
                DiskError::unreadable(&path, "its rows or labels are not those of this chunk")
            })
        });
        match found {
            Ok(block) => {
                touch(&path);
                (Some(block), None)
            }
            Err(error) if error.is_damage() => {
                let aside = set_aside(&path);
                let fate =
                    aside.map_or_else(|e| e.to_string(), |to| format!("now {}", to.display()));
                (
                    None,
                    Some(format!(
                        "a chunk of the range cache was damaged and is fetched again: {error} ({fate})"
                    )),
                )
            }
            Err(error) => (
                None,
                Some(format!(
                    "a chunk of the range cache could not be read and is fetched again: {error}"
                )),
            ),
        }
    }

    /// Keeps a chunk; now and then also prunes.
    pub fn store(&self, key: &Key, block: &Block) -> Result<(), DiskError> {
        let bytes = table(block, key).to_parquet()?;
        let length = bytes.len() as u64;
        write_atomic(&self.path(key, &block.grid), &bytes)?;
        if self.written.fetch_add(length, Ordering::Relaxed) + length >= PRUNED_EVERY {
            self.prune();
        }
        Ok(())
    }

    /// Removes what was not used for longest until the rest fits into the budget.
    pub fn prune(&self) {
        self.written.store(0, Ordering::Relaxed);
        self.prune_to(BUDGET);
    }

    fn prune_to(&self, budget: u64) {
        let mut files: Vec<(SystemTime, PathBuf, u64)> = entries(&self.dir)
            .flat_map(|dir| entries(&dir))
            .filter_map(|path| {
                let meta = fs::metadata(&path).ok().filter(fs::Metadata::is_file)?;
                Some((meta.modified().ok()?, path, meta.len()))
            })
            .collect();
        files.sort();
        let mut total: u64 = files.iter().map(|(_, _, len)| len).sum();
        for (_, path, len) in files {
            if total <= budget {
                break;
            }
            // Whatever can't be removed is tried again next time.
            if fs::remove_file(&path).is_ok() {
                total -= len;
                if let Some(dir) = path.parent() {
                    // Fails, as it should, while other chunks are in there.
                    let _ = fs::remove_dir(dir);
                }
            }
        }
    }

    fn path(&self, key: &Key, grid: &Grid) -> PathBuf {
        let name = format!("{}.parquet", grid.start().millis());
        self.dir.join(&key.fingerprint).join(name)
    }
}

fn entries(dir: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    let listed = fs::read_dir(dir).into_iter().flatten();
    listed.filter_map(|entry| entry.ok().map(|e| e.path()))
}

/// Marks a file as used just now: its time of change is what the pruning goes by.
fn touch(path: &Path) {
    if let Ok(file) = File::options().append(true).open(path) {
        // A read-only cache still serves; only the order of pruning suffers.
        let _ = file.set_modified(SystemTime::now());
    }
}

/// What a query's chunks are filed under.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key {
    fingerprint: String,
    /// Written into the files for people, and compared when they are read.
    expr: String,
}

impl Key {
    /// The key of `expr` asked for as `source` says, every `grid` step, in chunks of `rows`. Values of headers and
    /// parameters go in as a one-way hash only. A header whose secret can't be resolved counts as empty.
    pub fn new(
        source: &SourceConfig,
        server: &str,
        params: &[(String, String)],
        expr: &str,
        rows: usize,
    ) -> Self {
        let mut parts = vec![
            FORMAT.to_owned(),
            server.to_owned(),
            expr.to_owned(),
            source.step.0.as_millis().to_string(),
            rows.to_string(),
            source
                .basic
                .as_ref()
                .map_or_else(String::new, |b| b.username.clone()),
        ];
        for (name, secret) in &source.headers {
            if !WHO_ASKS.contains(&name.to_ascii_lowercase().as_str()) {
                let value = secret.resolve().map(|s| s.expose_secret().to_owned());
                parts.extend([name.to_ascii_lowercase(), value.unwrap_or_default()]);
            }
        }
        parts.push("parameters".to_owned());
        for (name, value) in params {
            parts.extend([name.clone(), value.clone()]);
        }
        Self {
            fingerprint: digest(&parts),
            expr: expr.to_owned(),
        }
    }
}

/// The first half of the parts' SHA-256, in hexadecimal; each part goes in with its length.
fn digest(parts: &[String]) -> String {
    let mut bytes = Vec::new();
    for part in parts {
        bytes.extend_from_slice(&(part.len() as u64).to_le_bytes());
        bytes.extend_from_slice(part.as_bytes());
    }
    let hash = ring::digest::digest(&ring::digest::SHA256, &bytes);
    let half = hash.as_ref().iter().take(16);
    half.fold(String::new(), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn table(block: &Block, key: &Key) -> Table {
    let labels: Vec<&Labels> = block.series.keys().collect();
    let mut metadata = BTreeMap::from([("expr".to_owned(), key.expr.clone())]);
    if let Ok(json) = serde_json::to_string(&labels) {
        metadata.insert("labels".to_owned(), json);
    }
    Table {
        times: block
            .grid
            .times()
            .map(crate::domain::Time::millis)
            .collect(),
        columns: block
            .series
            .iter()
            .map(|(labels, values)| (braced(labels), values.clone()))
            .collect(),
        metadata,
    }
}

/// The table's rows as the chunk of `grid`; `None` if they are something else.
fn block(table: Table, key: &Key, grid: Grid) -> Option<Block> {
    let same_times = table.times.len() == grid.len()
        && grid
            .times()
            .zip(&table.times)
            .all(|(a, b)| a.millis() == *b);
    let labels: Vec<Labels> = serde_json::from_str(table.metadata.get("labels")?).ok()?;
    let same_expr = table.metadata.get("expr")? == &key.expr;
    if !same_times || !same_expr || labels.len() != table.columns.len() {
        return None;
    }
    let mut block = Block::empty(grid);
    for (labels, (name, values)) in labels.into_iter().zip(table.columns) {
        if braced(&labels) != name {
            return None;
        }
        block.series.insert(labels, values);
    }
    Some(block)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use secrecy::SecretString;

    use super::*;
    use crate::config::Secret;
    use crate::domain::Time;

    fn chunk(start: i64) -> Block {
        let grid = Grid::new(Time::from_secs(start), Duration::from_secs(60), 3);
        let mut block = Block::empty(grid);
        let labels = Labels::from([("d".to_owned(), "x\"y".to_owned())]);
        block.series.insert(labels, vec![1.5, 2.0, -1.0]);
        block.series.insert(Labels::new(), vec![0.0, 1e300, 5e-324]);
        block
    }

    fn key(expr: &str) -> Key {
        Key::new(&SourceConfig::default(), "http://h", &[], expr, 3)
    }

    #[test]
    fn a_chunk_comes_back_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::new(dir.path().join("cache"));
        let (full, empty) = (chunk(0), Block::empty(chunk(600).grid));
        assert_eq!(cache.load(&key("up"), full.grid), (None, None));
        for block in [&full, &empty] {
            cache.store(&key("up"), block).unwrap();
            assert_eq!(
                cache.load(&key("up"), block.grid),
                (Some(block.clone()), None)
            );
        }
        assert_eq!(cache.load(&key("down"), full.grid), (None, None));
    }

    #[test]
    fn gaps_stay_gaps() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::new(dir.path().to_owned());
        let mut gappy = chunk(0);
        for values in gappy.series.values_mut() {
            values[1] = f64::NAN;
        }
        cache.store(&key("up"), &gappy).unwrap();
        let back = cache.load(&key("up"), gappy.grid).0.unwrap();
        for values in back.series.values() {
            assert!(values[1].is_nan() && !values[0].is_nan());
        }
    }

    #[test]
    fn a_damaged_chunk_is_set_aside() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::new(dir.path().to_owned());
        let block = chunk(0);
        cache.store(&key("up"), &block).unwrap();
        let path = cache.path(&key("up"), &block.grid);
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        let (none, warning) = cache.load(&key("up"), block.grid);
        assert!(none.is_none() && warning.unwrap().contains("damaged"));
        assert_eq!(cache.load(&key("up"), block.grid), (None, None));
    }

    #[test]
    fn a_chunk_under_a_wrong_name_is_not_trusted() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::new(dir.path().to_owned());
        let (block, other) = (chunk(0), chunk(600));
        cache.store(&key("up"), &block).unwrap();
        fs::rename(
            cache.path(&key("up"), &block.grid),
            cache.path(&key("up"), &other.grid),
        )
        .unwrap();
        assert!(cache.load(&key("up"), other.grid).1.is_some());
    }

    #[test]
    fn the_fingerprint_covers_what_changes_the_answer_and_shows_no_secret() {
        let mut source = SourceConfig::default();
        let of = |source: &SourceConfig, expr: &str, rows| {
            Key::new(source, "http://h", &[], expr, rows).fingerprint
        };
        let plain = of(&source, "up", 3);
        assert_eq!(plain.len(), 32);
        assert_ne!(plain, of(&source, "up ", 3));
        assert_ne!(plain, of(&source, "up", 4));
        source.headers.insert(
            "X-Scope-OrgID".into(),
            Secret::Inline(SecretString::from("tenant-1")),
        );
        let tenant = of(&source, "up", 3);
        assert_ne!(plain, tenant);
        source.headers.insert(
            "Authorization".into(),
            Secret::Inline(SecretString::from("Bearer t1")),
        );
        assert_eq!(tenant, of(&source, "up", 3));
        source.step = crate::config::Span::secs(30);
        assert_ne!(tenant, of(&source, "up", 3));
        let params = [("dedup".to_owned(), "true".to_owned())];
        assert_ne!(
            key("up"),
            Key::new(&SourceConfig::default(), "http://h", &params, "up", 3)
        );
    }

    #[test]
    fn the_least_recently_used_go_first() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::new(dir.path().to_owned());
        for (age, start) in [(300, 0), (100, 600), (200, 1200)] {
            cache.store(&key("up"), &chunk(start)).unwrap();
            let file = File::options()
                .append(true)
                .open(cache.path(&key("up"), &chunk(start).grid));
            let then = SystemTime::now() - Duration::from_secs(age);
            file.unwrap().set_modified(then).unwrap();
        }
        assert!(cache.load(&key("up"), chunk(0).grid).0.is_some());
        let one = fs::metadata(cache.path(&key("up"), &chunk(0).grid))
            .unwrap()
            .len();
        cache.prune_to(one * 2 + one / 2);
        let there = |start| cache.load(&key("up"), chunk(start).grid).0.is_some();
        assert_eq!([there(0), there(600), there(1200)], [true, true, false]);
        cache.prune_to(0);
        assert_eq!(entries(dir.path()).count(), 0);
    }
}
