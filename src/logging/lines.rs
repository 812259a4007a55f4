//! Forms log lines: text or JSON, for people or for the systemd journal.

use std::fmt;

use tracing::field::Field;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::field::MakeExt as _;
use tracing_subscriber::fmt::format::{self, FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::{FmtContext, MakeWriter};
use tracing_subscriber::registry::LookupSpan;

use crate::cli::LogFormat;
use crate::domain::printable;

/// How lines are formed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lines {
    /// Text or JSON.
    pub format: LogFormat,
    /// With terminal colours.
    pub colored: bool,
    /// They go to the systemd journal, which keeps time and level itself.
    pub for_journal: bool,
}

impl Lines {
    /// A subscriber that writes what `filter` lets through to `writer`, one line for each event.
    pub(super) fn subscriber<W>(
        self,
        filter: EnvFilter,
        writer: W,
    ) -> Box<dyn Subscriber + Send + Sync>
    where
        W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
    {
        let builder = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_ansi(self.colored)
            // A line that can't be written (stderr closed, disk full) is lost; complaining about it on a closed stderr panics.
            .log_internal_errors(false)
            .with_writer(writer);
        match (self.format, self.for_journal) {
            (LogFormat::Text, false) => Box::new(
                builder
                    .fmt_fields(format::debug_fn(field).delimited(" "))
                    .finish(),
            ),
            (LogFormat::Text, true) => {
                let lines = format::format().without_time().with_level(false);
                Box::new(
                    builder
                        .fmt_fields(format::debug_fn(field).delimited(" "))
                        .event_format(Prioritized(lines))
                        .finish(),
                )
            }
            (LogFormat::Json, false) => Box::new(builder.json().flatten_event(true).finish()),
            (LogFormat::Json, true) => {
                let lines = format::format().json().flatten_event(true).without_time();
                Box::new(
                    builder
                        .fmt_fields(format::JsonFields::new())
                        .event_format(Prioritized(lines))
                        .finish(),
                )
            }
        }
    }
}

/// One field of a line. A value can't begin a new line or send anything to a terminal.
fn field(writer: &mut Writer<'_>, field: &Field, value: &dyn fmt::Debug) -> fmt::Result {
    let text = format!("{value:?}");
    let text = printable(&text, &[]);
    match field.name() {
        "message" => writer.write_str(&text),
        name => write!(writer, "{name}={text}"),
    }
}

/// Lines that begin with the level as the journal reads it, such as `<4>` (sd-daemon(3)).
struct Prioritized<F>(F);

impl<S, N, F> FormatEvent<S, N> for Prioritized<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let priority = match *event.metadata().level() {
            Level::ERROR => 3,
            Level::WARN => 4,
            Level::INFO => 6,
            _ => 7,
        };
        write!(writer, "<{priority}>")?;
        self.0.format_event(context, writer, event)
    }
}

/// Standard error goes to the systemd journal: `JOURNAL_STREAM` names its device and inode (systemd.exec(5)).
#[cfg(unix)]
pub(super) fn stderr_is_journal() -> bool {
    use std::os::fd::AsFd as _;
    use std::os::unix::fs::MetadataExt as _;

    let Ok(stream) = std::env::var("JOURNAL_STREAM") else {
        return false;
    };
    let stderr = std::io::stderr().as_fd().try_clone_to_owned();
    let meta = stderr.and_then(|stderr| std::fs::File::from(stderr).metadata());
    meta.is_ok_and(|meta| stream == format!("{}:{}", meta.dev(), meta.ino()))
}

/// There is no journal here.
#[cfg(not(unix))]
pub(super) const fn stderr_is_journal() -> bool {
    false
}
