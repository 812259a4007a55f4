//! Begins logging: into a file of bounded size while the screen is ours, to stderr otherwise; never to stdout.

mod file;
mod lines;

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use tracing::Subscriber;
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;

use self::file::{BoundedFile, Reported};
use self::lines::Lines;
use crate::cli::{Color, Global};
use crate::domain::HealthBoard;

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
/// when the screen is ours) lines go to its `pulsewatch.log`, else to stderr; as the systemd journal wants them when stderr goes
/// there. Lines that can't be written are reported to `health`. Panics are logged from then on.
///
/// # Errors
/// [`LogError`]: the file can't be written, or this was called before.
pub fn start(
    global: &Global,
    screen_in: Option<&Path>,
    health: &HealthBoard,
) -> Result<LogGuard, LogError> {
    let rust_log = std::env::var("RUST_LOG").ok();
    let (filter, complaint) = filter(global.verbose, global.quiet, rust_log.as_deref());
    let mut lines = Lines {
        format: global.log_format,
        colored: false,
        for_journal: false,
    };
    let (writer, worker) = if let Some(directory) = screen_in {
        let (writer, worker) = log_file(&directory.join(FILE_NAME), health)?;
        (writer, Some(worker))
    } else {
        let no_color = std::env::var("NO_COLOR").ok();
        lines.colored = wants_color(
            global.color,
            io::stderr().is_terminal(),
            no_color.as_deref(),
        );
        lines.for_journal = lines::stderr_is_journal();
        let health = health.clone();
        let stderr = move || Reported::new(io::stderr(), "standard error", &health);
        (BoxMakeWriter::new(stderr), None)
    };
    set_global(lines.subscriber(filter, writer))?;
    log_panics();
    if let Some(complaint) = complaint {
        tracing::warn!("{complaint}");
    }
    Ok(LogGuard { _worker: worker })
}

fn log_file(path: &Path, health: &HealthBoard) -> Result<(BoxMakeWriter, WorkerGuard), LogError> {
    let file = BoundedFile::open(path, LARGEST).map_err(|source| LogError::File {
        path: path.to_path_buf(),
        source,
    })?;
    let place = path.display().to_string();
    let (writer, worker) = NonBlockingBuilder::default()
        .buffered_lines_limit(WAITING_LINES)
        .finish(Reported::new(file, place, health));
    Ok((BoxMakeWriter::new(writer), worker))
}

/// Writes the last line of a command that fails to stderr, where a person or the systemd journal reads it.
pub fn last_words(text: &str, out: &mut dyn Write) {
    let priority = if lines::stderr_is_journal() {
        "<3>"
    } else {
        ""
    };
    for line in text.lines() {
        // Nothing can be done about a closed stderr.
        let _ = writeln!(out, "{priority}{line}");
    }
}

/// A panic becomes a log line: a message of its own on stderr would be no JSON, and no line for the journal.
fn log_panics() {
    std::panic::set_hook(Box::new(|info| {
        let trace = Backtrace::capture();
        let trace = (trace.status() == BacktraceStatus::Captured).then(|| trace.to_string());
        tracing::error!(panic = %info, trace, "a part of the program panicked");
    }));
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

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::cli::LogFormat;

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

    fn logged(lines: Lines, filter: EnvFilter, log: impl FnOnce()) -> String {
        let heard = Heard::default();
        let writer = heard.clone();
        let subscriber = lines.subscriber(filter, move || writer.clone());
        tracing::subscriber::with_default(subscriber, log);
        let bytes = heard.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    fn said(verbose: u8, quiet: u8, rust_log: Option<&str>, format: LogFormat) -> String {
        let (filter, _) = filter(verbose, quiet, rust_log);
        let lines = Lines {
            format,
            colored: false,
            for_journal: false,
        };
        logged(lines, filter, || {
            tracing::debug!(target: "pulsewatch::engine", "detail");
            tracing::info!(target: "pulsewatch::engine", rows = 3, "tick");
            tracing::warn!(target: "pulsewatch::engine", "late");
            tracing::info!(target: "hyper", "chatter");
            tracing::error!(target: "hyper", "broken");
        })
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
    fn the_journal_gets_priorities_and_no_time() {
        let journal = |format| {
            let lines = Lines {
                format,
                colored: false,
                for_journal: true,
            };
            logged(lines, EnvFilter::new("trace"), || {
                tracing::error!(target: "pulsewatch", cause = "none", "broken");
                tracing::warn!(target: "pulsewatch", "late");
                tracing::info!(target: "pulsewatch", "tick");
                tracing::debug!(target: "pulsewatch", "detail");
            })
        };
        assert_eq!(
            journal(LogFormat::Text),
            "<3>pulsewatch: broken cause=\"none\"\n<4>pulsewatch: late\n<6>pulsewatch: tick\n<7>pulsewatch: detail\n"
        );
        let json = journal(LogFormat::Json);
        let first = json.lines().next().unwrap().strip_prefix("<3>").unwrap();
        let first: serde_json::Value = serde_json::from_str(first).unwrap();
        assert_eq!(first["message"], "broken");
        assert!(first["timestamp"].is_null(), "{first}");
    }

    #[test]
    fn a_logged_value_can_not_forge_a_line_or_reach_the_terminal() {
        for colored in [false, true] {
            let lines = Lines {
                format: LogFormat::Text,
                colored,
                for_journal: false,
            };
            let text = logged(lines, EnvFilter::new("trace"), || {
                let value = "a\u{1b}]0;x\u{7}\nERROR forged";
                tracing::info!(plain = value, shown = %value, "message {value}");
            });
            assert_eq!(text.lines().count(), 1, "{text}");
            assert!(
                !text.contains('\u{7}') && !text.contains("\u{1b}]"),
                "{text:?}"
            );
            // As a value is written for debugging, and as all else is.
            let shown = ["u{1b}]0;x", "u001b]0;x"].map(|form| text.matches(form).count());
            assert_eq!(shown.iter().sum::<usize>(), 3, "{text}");
        }
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
}
