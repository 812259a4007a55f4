//! One file per subcommand: each reads like a recipe and holds no algorithm.

pub mod backtest;
pub mod check;
pub mod completions;
pub mod config;
mod config_watch;
pub mod incidents;
pub mod models;
mod once;
mod printer;
pub mod progress;
mod ready;
pub mod run;
mod screen;
mod shutdown;
mod signals;
pub mod stages;
mod supervise;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use self::printer::Printer;
use crate::cli::{Command, Global, IncidentsAction, ModelsAction, RunArgs};
use crate::config::{Config, ConfigErrors, Written};
use crate::domain::{HealthBoard, Time, is_unprintable};
use crate::engine::clock::{Clock, WallClock};
use crate::logging;
use crate::source::SourceError;
use crate::source::recording::Reading;

/// What a command starts from.
pub struct Context {
    /// The effective configuration.
    pub config: Arc<Config>,
    /// Nothing at all was configured: the embedded default.
    pub embedded: bool,
    /// The file that the configuration came from.
    pub config_path: Option<PathBuf>,
    /// Where data, models and the journal are.
    pub data_dir: PathBuf,
    /// Options of every command.
    pub global: Global,
    /// What loading the configuration had to say.
    pub notes: Vec<String>,
    /// Where each setting was written.
    pub written: Written,
}

impl Context {
    /// Reads the configuration.
    ///
    /// # Errors
    /// [`ConfigErrors`], all at once.
    pub fn load(global: Global) -> Result<Self, ConfigErrors> {
        let loaded = crate::config::load(global.config.as_deref(), &crate::config::environment())?;
        let data_dir = global
            .data_dir
            .clone()
            .unwrap_or_else(crate::config::data_dir);
        Ok(Self {
            config: Arc::new(loaded.config),
            embedded: loaded.embedded,
            config_path: loaded.path,
            data_dir,
            global,
            notes: loaded.notes,
            written: loaded.written,
        })
    }

    /// How recorded files are to be read.
    ///
    /// # Errors
    /// When the system does not know the configured zone.
    pub fn reading(&self) -> Result<Reading, SourceError> {
        Reading::new(self.config.source.timezone.as_deref(), self.now())
    }

    /// Now, by the system's clock.
    pub fn now(&self) -> Time {
        WallClock.now()
    }
}

/// A command line that reads well and makes no sense.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct BadUsage(pub String);

/// Runs a command and says on stderr what went wrong. 0 is done, 1 the work failed, 2 bad usage or bad
/// configuration.
pub fn execute(global: Global, command: Command) -> ExitCode {
    let Err(error) = dispatch(global, command) else {
        return ExitCode::SUCCESS;
    };
    if is_closed_pipe(&error) {
        return ExitCode::SUCCESS;
    }
    let bad_request = error.is::<ConfigErrors>() || error.is::<BadUsage>();
    let text = format!("pulsewatch: {}", with_causes(&error));
    logging::last_words(&text, &mut Printer::new(io::stderr()));
    ExitCode::from(if bad_request { 2 } else { 1 })
}

/// Prints what clap has to say of a command line, or the help that was asked for; the exit code is its own.
pub fn refuse(error: &clap::Error) -> ExitCode {
    let text = error.render().to_string();
    let kept = ['\n', '\t'];
    // Nothing can be done about a closed stdout or stderr here.
    let _ = if text.contains(|letter| is_unprintable(letter) && !kept.contains(&letter)) {
        // It repeats what was typed; in colours that could not be told from its own escapes.
        Printer::new(io::stderr()).write_all(text.as_bytes())
    } else {
        error.print()
    };
    u8::try_from(error.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from)
}

/// An error with its causes, each sentence once: many say their cause, and what it is about, themselves.
fn with_causes(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if text.contains(&cause) {
            continue;
        }
        // "x.csv" and "x.csv: no such file" are one thing to say.
        let again = text.rfind(": ").map_or(0, |at| at + 2);
        let last = text.get(again..).unwrap_or_default();
        if !last.is_empty() && cause.starts_with(&format!("{last}: ")) {
            text.truncate(again);
        } else if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&cause);
    }
    text
}

/// `pulsewatch … | head` is no failure.
fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let kind = |cause: &(dyn std::error::Error + 'static)| {
        let json = || cause.downcast_ref::<serde_json::Error>()?.io_error_kind();
        cause
            .downcast_ref::<io::Error>()
            .map(io::Error::kind)
            .or_else(json)
    };
    error
        .chain()
        .any(|cause| kind(cause) == Some(io::ErrorKind::BrokenPipe))
}

fn dispatch(global: Global, command: Command) -> anyhow::Result<()> {
    let out = &mut io::stdout().lock();
    match command {
        Command::Completions(args) => return completions::run(&args, out),
        Command::Man => return completions::man(out),
        Command::Config(args) => {
            let env = crate::config::environment();
            let (mut out, mut notes) = (Printer::new(out), Printer::new(io::stderr()));
            return config::run(&args, &global, &env, &mut out, &mut notes);
        }
        _ => {}
    }
    let context = Context::load(global)?;
    match command {
        Command::Run(args) => run::run(&context, &args),
        Command::Detect => run::run(
            &context,
            &RunArgs {
                no_tui: true,
                ..RunArgs::default()
            },
        ),
        command => {
            let _log = logging::start(&context.global, None, &HealthBoard::default())?;
            for note in &context.notes {
                tracing::info!("{note}");
            }
            one_shot(&context, command, &mut Printer::new(out))
        }
    }
}

/// Commands that do one thing and end.
fn one_shot(context: &Context, command: Command, out: &mut dyn Write) -> anyhow::Result<()> {
    let (dir, now) = (&context.data_dir, context.now());
    match command {
        Command::Collect(args) => stages::collect(context, &args, out),
        Command::Preprocess(args) => stages::preprocess(context, &args, out),
        Command::Train(args) => stages::train(context, &args, out),
        Command::Filter(args) => stages::filter(context, &args, out),
        Command::Backtest(args) => backtest::run(context, &args, out),
        Command::Check(args) => check::run(context, &args, out),
        Command::Incidents(args) => match args.action {
            IncidentsAction::List(list) => incidents::list(dir, &list, now, out),
            IncidentsAction::Show(show) => {
                incidents::show(dir, &context.config, show.id, show.json, now, out)
            }
            IncidentsAction::Ack(ack) => incidents::acknowledge(dir, ack.id, ack.json, out),
            IncidentsAction::Label(label) => incidents::label(dir, &context.config, &label, out),
        },
        Command::Models(args) => match args.action {
            ModelsAction::List(list) => models::list(dir, list.json, now, out),
            ModelsAction::Use(select) => {
                models::use_version(dir, &select.version, select.json, out)
            }
            ModelsAction::Rollback(rollback) => models::rollback(dir, rollback.json, out),
        },
        Command::Run(_)
        | Command::Detect
        | Command::Config(_)
        | Command::Completions(_)
        | Command::Man => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::DiskError;

    #[test]
    fn every_cause_is_said_once() {
        let refused = || io::Error::from(io::ErrorKind::ReadOnlyFilesystem);
        let disk = DiskError::io(std::path::Path::new("x"), "open the lock", refused());
        let text = with_causes(&anyhow::Error::new(disk).context("no start"));
        assert_eq!(
            text,
            format!("no start: x: can't open the lock: {}", refused())
        );
        let file = || anyhow::anyhow!("nope.csv: no such file (os error 2)");
        let text = "nope.csv: no such file (os error 2)";
        assert_eq!(with_causes(&file().context("nope.csv")), text);
        let first = "run `collect` first (nope.csv)";
        assert_eq!(
            with_causes(&file().context(first)),
            format!("{first}: {text}")
        );
        let bare = anyhow::Error::new(refused()).context("no start");
        assert_eq!(with_causes(&bare), format!("no start: {}", refused()));
    }
}
