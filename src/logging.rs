//! Log lines: into a file of bounded size while the screen is ours, to stderr otherwise; never to stdout.

use std::fs::{self, File, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use tracing::Subscriber;
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;

use crate::cli::{Color, Global, LogFormat};

/// Name of the log file in the data directory.
pub const FILE_NAME: &str = "pulsewatch.log";
/// A log file over this size, in bytes, becomes the old one; with that one, twice as much is kept on disk at most.
const LARGEST: u64 = 10 * 1024 * 1024;
/// Lines that wait for the disk, at most; what comes on top of them is dropped.
const WAITING_LINES: usize = 8192;

/// Keeps logging alive; when it is dropped, lines that wait are written.
#[must_use]
pub struct LogGuard {
    _worker: Option<WorkerGuard>,
}

/// Why logging can't begin.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The file can't be written.
    #[error("the log file {} can't be written: {source}; make the directory writable, or name another with --data-dir", path.display())]
    File {
        /// The log file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Logging was begun before.
    #[error("logging was set up twice in one process")]
    Twice,
}

/// Begins logging for the whole process, as the command line and `RUST_LOG` ask for. With `screen_in` (the data directory,
/// when the screen is ours) lines go to its `pulsewatch.log`, else to stderr.
///
/// # Errors
/// [`LogError`]: the file can't be written, or this was called before.
pub fn start(global: &Global, screen_in: Option<&Path>) -> Result<LogGuard, LogError> {
    let rust_log = std::env::var("RUST_LOG").ok();
    let (filter, complaint) = filter(global.verbose, global.quiet, rust_log.as_deref());
    let (writer, worker, colored) = match screen_in {
        Some(directory) => {
            let path = directory.join(FILE_NAME);
            let file = BoundedFile::open(&path, LARGEST)
                .map_err(|source| LogError::File { path, source })?;
            let (writer, worker) = NonBlockingBuilder::default()
                .buffered_lines_limit(WAITING_LINES)
                .finish(file);
            (BoxMakeWriter::new(writer), Some(worker), false)
        }
        None => (
            BoxMakeWriter::new(io::stderr),
            None,
            wants_color(
                global.color,
                io::stderr().is_terminal(),
                std::env::var("NO_COLOR").ok().as_deref(),
            ),
        ),
    };
    set_global(subscriber(filter, global.log_format, colored, writer))?;
    if let Some(complaint) = complaint {
        tracing::warn!("{complaint}");
    }
    Ok(LogGuard { _worker: worker })
}

fn set_global(subscriber: Box<dyn Subscriber + Send + Sync>) -> Result<(), LogError> {
    tracing::subscriber::set_global_default(subscriber).map_err(|_| LogError::Twice)
}

/// Whether to use colours. `--color` is the stronger word; `NO_COLOR` (<https://no-color.org>) counts when it is not empty.
#[must_use]
pub fn wants_color(color: Color, is_terminal: bool, no_color: Option<&str>) -> bool {
    match color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => is_terminal && no_color.is_none_or(str::is_empty),
    }
}

/// What is let through, and a complaint when `RUST_LOG` can't be understood. `-v` and `-q` are stronger than `RUST_LOG`.
fn filter(verbose: u8, quiet: u8, rust_log: Option<&str>) -> (EnvFilter, Option<String>) {
    let typed = match (verbose, quiet) {
        (0, 0) => None,
        (0, 1) => Some("warn"),
        (0, _) => Some("error"),
        (1, _) => Some("info,pulsewatch=debug"),
        (2, _) => Some("debug,pulsewatch=trace"),
        _ => Some("trace"),
    };
    let default = "warn,pulsewatch=info";
    match (typed, rust_log.filter(|text| !text.is_empty())) {
        (Some(directives), _) => (EnvFilter::new(directives), None),
        (None, None) => (EnvFilter::new(default), None),
        (None, Some(text)) => match EnvFilter::try_new(text) {
            Ok(filter) => (filter, None),
            Err(error) => (
                EnvFilter::new(default),
                Some(format!(
                    "RUST_LOG = \"{text}\" can't be understood: {error}; write RUST_LOG=pulsewatch=debug"
                )),
            ),
        },
    }
}

fn subscriber<W>(
    filter: EnvFilter,
    format: LogFormat,
    colored: bool,
    writer: W,
) -> Box<dyn Subscriber + Send + Sync>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(colored)
        // A line that can't be written (stderr closed, disk full) is lost; complaining about it on a closed stderr panics.
        .log_internal_errors(false)
        .with_writer(writer);
    match format {
        LogFormat::Text => Box::new(builder.finish()),
        LogFormat::Json => Box::new(builder.json().flatten_event(true).finish()),
    }
}

/// A file that, once over its size, becomes `<name>.old` (replacing the one before) and begins anew.
struct BoundedFile {
    path: PathBuf,
    file: File,
    written: u64,
    largest: u64,
}

impl BoundedFile {
    /// Opens for appending; makes the directory.
    fn open(path: &Path, largest: u64) -> io::Result<Self> {
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory)?;
        }
        let file = append(path)?;
        let written = file.metadata()?.len();
        let mut log = Self {
            path: path.to_path_buf(),
            file,
            written,
            largest,
        };
        log.turn_over()?;
        Ok(log)
    }

    fn turn_over(&mut self) -> io::Result<()> {
        if self.written <= self.largest {
            return Ok(());
        }
        let mut old = self.path.clone().into_os_string();
        old.push(".old");
        fs::rename(&self.path, old)?;
        self.file = append(&self.path)?;
        self.written = 0;
        Ok(())
    }
}

impl Write for BoundedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.turn_over()?;
        let count = self.file.write(bytes)?;
        self.written += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Heard(Arc<Mutex<Vec<u8>>>);

    impl Write for Heard {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn said(verbose: u8, quiet: u8, rust_log: Option<&str>, format: LogFormat) -> String {
        let heard = Heard::default();
        let writer = heard.clone();
        let (filter, _) = filter(verbose, quiet, rust_log);
        let subscriber = subscriber(filter, format, false, move || writer.clone());
        tracing::subscriber::with_default(subscriber, || {
            tracing::debug!(target: "pulsewatch::engine", "detail");
            tracing::info!(target: "pulsewatch::engine", rows = 3, "tick");
            tracing::warn!(target: "pulsewatch::engine", "late");
            tracing::info!(target: "hyper", "chatter");
            tracing::error!(target: "hyper", "broken");
        });
        let bytes = heard.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn levels_follow_flags_and_rust_log() {
        let has = |text: &str| {
            ["detail", "tick", "late", "chatter", "broken"].map(|word| text.contains(word))
        };
        let text = LogFormat::Text;
        assert_eq!(
            has(&said(0, 0, None, text)),
            [false, true, true, false, true]
        );
        assert_eq!(has(&said(1, 0, None, text)), [true, true, true, true, true]);
        assert_eq!(
            has(&said(0, 1, None, text)),
            [false, false, true, false, true]
        );
        assert_eq!(
            has(&said(0, 2, None, text)),
            [false, false, false, false, true]
        );
        assert_eq!(
            has(&said(0, 0, Some("hyper=info"), text)),
            [false, false, false, true, true]
        );
        assert_eq!(
            has(&said(0, 2, Some("trace"), text)),
            [false, false, false, false, true]
        );
        assert_eq!(
            has(&said(0, 0, Some("=,=,"), text)),
            [false, true, true, false, true]
        );
        assert!(filter(0, 0, Some("a=b=c")).1.unwrap().contains("RUST_LOG"));
    }

    #[test]
    fn json_lines_are_json() {
        let lines = said(0, 0, None, LogFormat::Json);
        let first: serde_json::Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
        assert_eq!(first["message"], "tick");
        assert_eq!(first["rows"], 3);
    }

    #[test]
    fn colours_ask_the_terminal_and_no_color() {
        assert!(wants_color(Color::Auto, true, None));
        assert!(wants_color(Color::Auto, true, Some("")));
        assert!(!wants_color(Color::Auto, true, Some("1")));
        assert!(!wants_color(Color::Auto, false, None));
        assert!(wants_color(Color::Always, false, Some("1")));
        assert!(!wants_color(Color::Never, true, None));
    }

    #[test]
    fn a_full_file_makes_room_and_keeps_one_old() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("deep/pulsewatch.log");
        let mut log = BoundedFile::open(&path, 10).unwrap();
        for line in ["first, long\n", "second, long\n", "third\n"] {
            log.write_all(line.as_bytes()).unwrap();
        }
        let old = path.with_extension("log.old");
        assert_eq!(fs::read_to_string(&path).unwrap(), "third\n");
        assert_eq!(fs::read_to_string(&old).unwrap(), "second, long\n");
        fs::write(&path, "grown by others").unwrap();
        BoundedFile::open(&path, 10).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "");
        assert_eq!(fs::read_to_string(&old).unwrap(), "grown by others");
    }
}
