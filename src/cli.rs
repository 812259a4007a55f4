//! The command line: what can be typed, nothing of what it does.
//!
//! [`Cli::read`] is the way in: `pulsewatch` alone, or followed by options of `run`, is `pulsewatch run`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{ArgAction, Args, CommandFactory, Parser, Subcommand, ValueEnum};

use crate::domain::Time;

mod config;
mod values;

pub use config::{
    ConfigAction, ConfigArgs, ConfigImportArgs, ConfigInitArgs, ConfigShowArgs, Preset,
};
pub use values::{FrameSize, Inject, InjectKind, Since};
use values::{at_least_one, moment, positive, since};

/// The parsed command line before the default command is filled in.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "pulsewatch",
    version,
    about = "Learns your metrics, scores them live, explains every anomaly and forecasts what comes.",
    long_about = "Learns your metrics, scores them live, explains every anomaly and forecasts what comes.\n\n\
        Without a command the dashboard starts (`pulsewatch run`). Without any configuration it shows the built-in \
        sample and watches this host behind it.",
    after_help = "Examples:\n  \
        pulsewatch\n  \
        PROMETHEUS_URL=http://127.0.0.1:9090 pulsewatch\n  \
        pulsewatch config init --preset node_exporter"
)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: RunArgs,
}

impl Cli {
    /// Reads a command line, program name first.
    ///
    /// # Errors
    /// What clap has to say: bad usage (exit code 2), or the text of `--help` and `--version` (exit code 0).
    pub fn read<I>(args: I) -> Result<(Global, Command), clap::Error>
    where
        I: IntoIterator,
        I::Item: Into<OsString> + Clone,
    {
        let Self {
            global,
            command,
            run,
        } = Self::try_parse_from(args)?;
        match command {
            None => Ok((global, Command::Run(run))),
            Some(command) if run == RunArgs::default() => Ok((global, command)),
            Some(_) => Err(Self::command().error(
                ErrorKind::ArgumentConflict,
                "options of `run` stand before another command; put them behind `run`",
            )),
        }
    }
}

/// Options that every command takes.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Options of every command")]
pub struct Global {
    /// Configuration file [else: $PULSEWATCH_CONFIG, the XDG configuration file, the built-in defaults]
    #[arg(long, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,

    /// Where data, models and the journal are kept [else: the XDG data directory]
    #[arg(long, value_name = "DIR", global = true)]
    pub data_dir: Option<PathBuf>,

    /// Say more; twice for debugging
    #[arg(short, long, action = ArgAction::Count, global = true, conflicts_with = "quiet")]
    pub verbose: u8,

    /// Say less; twice for errors only
    #[arg(short, long, action = ArgAction::Count, global = true)]
    pub quiet: u8,

    /// How log lines are written
    #[arg(
        long,
        value_enum,
        value_name = "FORMAT",
        default_value_t,
        global = true
    )]
    pub log_format: LogFormat,

    /// When to use colours; NO_COLOR is honoured
    #[arg(long, value_enum, value_name = "WHEN", default_value_t, global = true)]
    pub color: Color,
}

/// Form of log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// When to use colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set.
    #[default]
    Auto,
    /// Also into files and pipes.
    Always,
    /// Nowhere.
    Never,
}

/// What to do.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Watch: the dashboard over the live engine (the default)
    #[command(after_help = "Examples:\n  \
        pulsewatch run --mode test\n  \
        pulsewatch run --once --size 100x30 --svg frame.svg")]
    Run(RunArgs),

    /// Watch without a screen: the same as `run --no-tui`
    #[command(after_help = "Example:\n  pulsewatch detect --log-format json 2>> pulsewatch.jsonl")]
    Detect,

    /// Fetch history from the source into raw.parquet
    #[command(after_help = "Examples:\n  \
        pulsewatch collect\n  \
        pulsewatch collect --input metrics.csv.gz --output raw.parquet")]
    Collect(CollectArgs),

    /// Fill and scale raw.parquet into processed.parquet
    #[command(after_help = "Example:\n  pulsewatch preprocess --input raw.parquet")]
    Preprocess(PreprocessArgs),

    /// Train a new model version and calibrate its threshold
    #[command(after_help = "Examples:\n  \
        pulsewatch train\n  \
        pulsewatch train --on-filtered --epochs 20")]
    Train(TrainArgs),

    /// Split the training windows into normal and anomalous ones
    #[command(after_help = "Examples:\n  \
        pulsewatch filter\n  \
        pulsewatch filter --threshold 0.0025 --all-errors")]
    Filter(FilterArgs),

    /// Replay a data set through the live engine and write its scores
    #[command(after_help = "Examples:\n  \
        pulsewatch backtest --input host.csv --train-until 2026-11-08T00:00:00Z --output scores.csv\n  \
        pulsewatch backtest --input host.csv --train-until 1794096000 --output scores.csv --labels labels.csv --json report.json\n  \
        pulsewatch backtest --corpus labelled/ --output predictions/ --json report.json")]
    Backtest(BacktestArgs),

    /// Check the configuration, the queries, the source and the disk
    #[command(after_help = "Examples:\n  \
        pulsewatch check\n  \
        pulsewatch check --offline --config new.toml")]
    Check(CheckArgs),

    /// Write, import, show or find the configuration
    #[command(after_help = "Examples:\n  \
        pulsewatch config init --preset node_exporter\n  \
        pulsewatch config import config.yaml\n  \
        pulsewatch config show")]
    Config(ConfigArgs),

    /// Read and label the journal of incidents
    #[command(after_help = "Examples:\n  \
        pulsewatch incidents list --open\n  \
        pulsewatch incidents label 12 false")]
    Incidents(IncidentsArgs),

    /// List the model versions and choose which one scores
    #[command(after_help = "Examples:\n  \
        pulsewatch models list\n  \
        pulsewatch models rollback")]
    Models(ModelsArgs),

    /// Print completions for a shell
    #[command(after_help = "Example:\n  \
        pulsewatch completions bash > ~/.local/share/bash-completion/completions/pulsewatch")]
    Completions(CompletionsArgs),

    /// Print the manual page
    #[command(after_help = "Example:\n  pulsewatch man | man -l -")]
    Man,
}

/// What the screen opens with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// The last hours, scored as they come.
    Live,
    /// The long past and the forecast.
    LongTerm,
    /// The sample, with spikes to find.
    Test,
}

/// `run`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args)]
#[command(next_help_heading = "Options of run")]
pub struct RunArgs {
    /// No screen: log, serve and write the journal only (also when stdout is not a terminal)
    #[arg(long, conflicts_with = "once")]
    pub no_tui: bool,

    /// What to open with [else: live with a configuration, test without one]
    #[arg(long, value_enum, value_name = "MODE")]
    pub mode: Option<Mode>,

    /// Print one frame of the overview as text and end
    #[arg(long)]
    pub once: bool,

    /// With --once: write the frame as a picture too
    #[arg(long, value_name = "FILE", requires = "once")]
    pub svg: Option<PathBuf>,

    /// With --once: columns and rows of the frame
    #[arg(long, value_name = "WxH", default_value_t, requires = "once")]
    pub size: FrameSize,
}

/// How a stage says what it did.
#[derive(Clone, Copy, Debug, Args)]
pub struct SummaryArgs {
    /// Print the summary as JSON
    #[arg(long)]
    pub json: bool,
}

/// `collect`.
#[derive(Clone, Debug, Args)]
pub struct CollectArgs {
    /// Read this CSV, CSV.gz or Parquet file instead of asking the source
    #[arg(long, value_name = "FILE")]
    pub input: Option<PathBuf>,

    /// Write here [else: raw.parquet in the data directory]
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,

    /// How it says what it did
    #[command(flatten)]
    pub summary: SummaryArgs,
}

/// `preprocess`.
#[derive(Clone, Debug, Args)]
pub struct PreprocessArgs {
    /// Read this file [else: raw.parquet in the data directory]
    #[arg(long, value_name = "FILE")]
    pub input: Option<PathBuf>,

    /// Write here [else: processed.parquet in the data directory]
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,

    /// How it says what it did
    #[command(flatten)]
    pub summary: SummaryArgs,
}

/// `train`.
#[derive(Clone, Debug, Args)]
pub struct TrainArgs {
    /// Read this file, or train on the sequences of this .npy file, which `filter` wrote [else: processed.parquet in the
    /// data directory]
    #[arg(long, value_name = "FILE")]
    pub input: Option<PathBuf>,

    /// Let the new model score even if it is clearly worse than the one before it
    #[arg(long)]
    pub force: bool,

    /// Train on the normal sequences that `filter` left
    #[arg(long, conflicts_with = "input")]
    pub on_filtered: bool,

    /// Most passes over the data [else: autoencoder.epochs]
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub epochs: Option<usize>,

    /// Seed of everything random [else: autoencoder.seed]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,

    /// How it says what it did
    #[command(flatten)]
    pub summary: SummaryArgs,
}

/// `filter`.
#[derive(Clone, Debug, Args)]
pub struct FilterArgs {
    /// Windows with a mean squared error over this are anomalous [else: detect.threshold when that is a number, else the
    /// model's own threshold]
    #[arg(long, value_name = "X", value_parser = positive)]
    pub threshold: Option<f64>,

    /// Write all_sequence_errors.npy too
    #[arg(long)]
    pub all_errors: bool,

    /// Write into this directory [else: the data directory]
    #[arg(long, value_name = "DIR")]
    pub output: Option<PathBuf>,

    /// How it says what it did
    #[command(flatten)]
    pub summary: SummaryArgs,
}

/// `backtest`.
#[derive(Clone, Debug, Args)]
pub struct BacktestArgs {
    /// CSV, CSV.gz or Parquet: timestamp first, then one column per feature; several make --output a directory
    #[arg(long, value_name = "FILE", required_unless_present = "corpus")]
    pub input: Vec<PathBuf>,

    /// Every NAME/series.csv[.gz] in this directory, with NAME/labels.csv[.gz] and NAME/meta.json (train_end, family,
    /// step, vus_window, nab_windows); makes --output a directory
    #[arg(long, value_name = "DIR", conflicts_with_all = ["input", "train_until", "labels"])]
    pub corpus: Option<PathBuf>,

    /// Only rows before this may be learned from: RFC 3339, unix seconds or milliseconds; once, or once per --input
    /// [else: train_end of a meta.json beside NAME/series.csv]
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub train_until: Vec<Time>,

    /// Where the scores go: a file, or a directory when there are several --input
    #[arg(long, value_name = "PATH")]
    pub output: PathBuf,

    /// Labels (timestamp,is_anomaly) to measure against; once per --input, in the same order [else: a column of the input]
    #[arg(long, value_name = "FILE")]
    pub labels: Vec<PathBuf>,

    /// Write the report to this file as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,

    /// Seed of everything random [else: autoencoder.seed]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,

    /// Inputs worked on at once, each held in memory; the scores are the same [else: one per processor]
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub jobs: Option<usize>,

    /// Add every feature's value, what was expected and its band, and the gates, to every row
    #[arg(long)]
    pub explain: bool,

    /// Add N labelled synthetic anomalies first, of one kind (spike, shift, dropout, flat) or of all
    #[arg(long, value_name = "N[,KIND][,SEED]")]
    pub inject: Option<Inject>,

    /// Experimental: keep trainings in this directory, and do none twice. Empty it when the program trains otherwise
    /// than before
    #[arg(long, value_name = "DIR", hide = true)]
    pub cache: Option<PathBuf>,
}

/// `check`.
#[derive(Clone, Debug, Args)]
pub struct CheckArgs {
    /// Ask no server
    #[arg(long)]
    pub offline: bool,

    /// Print the findings as JSON
    #[arg(long)]
    pub json: bool,
}

/// `incidents`.
#[derive(Clone, Debug, Args)]
pub struct IncidentsArgs {
    /// What to do with them
    #[command(subcommand)]
    pub action: IncidentsAction,
}

/// What to do with incidents.
#[derive(Clone, Debug, Subcommand)]
pub enum IncidentsAction {
    /// List incidents, newest first
    #[command(after_help = "Examples:\n  \
        pulsewatch incidents list --open --json\n  \
        pulsewatch incidents list --past --since 14d")]
    List(IncidentsListArgs),

    /// Show one incident with the features that made it
    #[command(after_help = "Example:\n  pulsewatch incidents show 12")]
    Show(IncidentArgs),

    /// Mark an incident as seen
    #[command(after_help = "Example:\n  pulsewatch incidents ack 12")]
    Ack(IncidentArgs),

    /// Say whether an incident was a real problem
    #[command(after_help = "Examples:\n  \
        pulsewatch incidents label 12 false --preview\n  \
        pulsewatch incidents label 12 false\n  \
        pulsewatch incidents label 12 --clear")]
    Label(IncidentsLabelArgs),
}

/// `incidents list`.
#[derive(Clone, Debug, Default, Args)]
pub struct IncidentsListArgs {
    /// Only those that are still open
    #[arg(long)]
    pub open: bool,

    /// Those found in the history, from before anything was judged live
    #[arg(long, conflicts_with = "open")]
    pub past: bool,

    /// Only those that went on at or after this time (RFC 3339, unix seconds), or this long before now (`2d`)
    #[arg(long, value_name = "TIME", value_parser = since)]
    pub since: Option<Since>,

    /// Most incidents listed
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = at_least_one)]
    pub limit: usize,

    /// Print them as JSON
    #[arg(long)]
    pub json: bool,
}

/// `incidents show` and `incidents ack`.
#[derive(Clone, Debug, Args)]
pub struct IncidentArgs {
    /// Number of the incident, as listed
    #[arg(value_name = "ID")]
    pub id: u64,

    /// Print the incident as JSON
    #[arg(long)]
    pub json: bool,
}

/// `incidents label`.
#[derive(Clone, Debug, Args)]
pub struct IncidentsLabelArgs {
    /// Number of the incident, as listed
    #[arg(value_name = "ID")]
    pub id: u64,

    /// What it was
    #[arg(value_enum, value_name = "LABEL", required_unless_present = "clear")]
    pub label: Option<LabelWord>,

    /// Take the label back, and what it did to the threshold
    #[arg(long, conflicts_with = "label")]
    pub clear: bool,

    /// Say what the label would change, and change nothing
    #[arg(long)]
    pub preview: bool,

    /// Print the incident as JSON
    #[arg(long)]
    pub json: bool,
}

/// An operator's word on an incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LabelWord {
    /// A real problem
    Real,
    /// A false alarm
    False,
    /// Take the label back
    None,
}

/// `models`.
#[derive(Clone, Debug, Args)]
pub struct ModelsArgs {
    /// What to do with them
    #[command(subcommand)]
    pub action: ModelsAction,
}

/// What to do with model versions.
#[derive(Clone, Debug, Subcommand)]
pub enum ModelsAction {
    /// List the versions with their figures
    #[command(after_help = "Example:\n  pulsewatch models list --json")]
    List(ModelsListArgs),

    /// Score with this version from now on
    #[command(after_help = "Example:\n  pulsewatch models use 3")]
    Use(ModelsUseArgs),

    /// Score with the version before the current one
    #[command(after_help = "Example:\n  pulsewatch models rollback")]
    Rollback(ModelsListArgs),
}

/// `models list` and `models rollback`.
#[derive(Clone, Debug, Args)]
pub struct ModelsListArgs {
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

/// `models use`.
#[derive(Clone, Debug, Args)]
pub struct ModelsUseArgs {
    /// The version, as listed
    #[arg(value_name = "VERSION")]
    pub version: String,

    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

/// `completions`.
#[derive(Clone, Debug, Args)]
pub struct CompletionsArgs {
    /// Which shell
    #[arg(value_enum, value_name = "SHELL")]
    pub shell: clap_complete::Shell,
}

#[cfg(test)]
mod tests;
