//! `pulsewatch config …` as clap sees it.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

/// `config`.
#[derive(Clone, Debug, Args)]
pub struct ConfigArgs {
    /// What to do with it
    #[command(subcommand)]
    pub action: ConfigAction,
}

/// What to do with the configuration.
#[derive(Clone, Debug, Subcommand)]
pub enum ConfigAction {
    /// Write an annotated configuration file
    #[command(after_help = "Examples:\n  \
        pulsewatch config init\n  \
        pulsewatch config init --preset seed-keras --output old-rules.toml")]
    Init(ConfigInitArgs),

    /// Make a configuration of an older program's file
    #[command(after_help = "Examples:\n  \
        pulsewatch config import config.yaml\n  \
        pulsewatch config import user_config.yml --output pulsewatch.toml")]
    Import(ConfigImportArgs),

    /// Print the effective configuration, secrets masked
    #[command(after_help = "Example:\n  PULSEWATCH__DETECT__INTERVAL=10s pulsewatch config show")]
    Show(ConfigShowArgs),

    /// Print where the configuration and the data are looked for
    #[command(after_help = "Example:\n  $EDITOR \"$(pulsewatch config path)\"")]
    Path,
}

/// `config init`.
#[derive(Clone, Debug, Args)]
pub struct ConfigInitArgs {
    /// Begin with queries and settings made for this [else: the annotated defaults]
    #[arg(long, value_enum, value_name = "NAME")]
    pub preset: Option<Preset>,

    /// Write here [else: where the program looks for it]
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,

    /// Replace a file that is there
    #[arg(long)]
    pub force: bool,
}

/// `config import`.
#[derive(Clone, Debug, Args)]
pub struct ConfigImportArgs {
    /// config.yaml of the Keras program, or user_config.yml of the PulseWatch in Python
    #[arg(value_name = "FILE")]
    pub file: PathBuf,

    /// Write here [else: where the program looks for it]
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,

    /// Replace a file that is there
    #[arg(long)]
    pub force: bool,
}

/// `config show`.
#[derive(Clone, Debug, Args)]
pub struct ConfigShowArgs {
    /// Print it as JSON instead of TOML
    #[arg(long)]
    pub json: bool,
}

/// A ready-made configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Preset {
    /// Linux hosts with node_exporter
    #[value(name = "node_exporter")]
    NodeExporter,
    /// Windows hosts with windows_exporter
    #[value(name = "windows_exporter")]
    WindowsExporter,
    /// NVIDIA GPU hosts with dcgm-exporter and node_exporter
    #[value(name = "gpu")]
    Gpu,
    /// The settings of the older Keras program
    #[value(name = "seed-keras")]
    SeedKeras,
    /// The settings of the older PulseWatch in Python
    #[value(name = "seed-pulsewatch")]
    SeedPulsewatch,
}
