//! The configuration: typed sections with defaults, all errors at once, where the file is looked for.
//!
//! [`load`] finds and reads it; [`presets`] are built in. Every other room sees only its own section, a plain struct.

mod detect;
mod document;
mod environment;
mod errors;
mod explain;
mod import;
mod later;
mod learning;
mod load;
mod maintenance;
mod needed;
mod paths;
pub mod presets;
mod reader;
mod secret;
mod serve;
mod show;
mod source;
mod suggest;
mod units;
mod validate;
mod written;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use detect::{BudgetScope, DetectConfig, JournalConfig, Threshold};
pub use environment::environment;
pub use errors::{ConfigError, ConfigErrors, Place};
pub use import::{Imported, import};
pub use learning::{
    Activation, AutoencoderConfig, Fill, ForecastConfig, ForecastMode, ForecastModel,
    HistoryConfig, Holiday, Output, Period, PreprocessConfig, Promote, RetrainConfig, ScalerKind,
};
pub use load::{Loaded, load, parse, read_text};
pub use maintenance::{Clock, Day, Maintenance, WindowEnd};
pub use paths::{config_file, data_dir};
pub use secret::{FromEnv, FromFile, Secret};
pub use serve::{ApiConfig, AppConfig, ExporterConfig, LOCAL_ZONE, ThemeName, UiConfig};
pub use source::{
    BasicAuth, EntitiesConfig, Expr, Merge, MinDeviation, Os, OsExpr, QueryConfig, SourceConfig,
    SourceKind, TlsConfig, Weights,
};
pub use units::{Ratio, Span};
pub use written::Written;

/// The whole configuration. `Config::default()` is what runs when no file is found: this host, no server.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// `[app]`
    pub app: AppConfig,
    /// `[source]`
    pub source: SourceConfig,
    /// `[queries.<name>]`
    pub queries: BTreeMap<String, QueryConfig>,
    /// `[entities]`
    pub entities: EntitiesConfig,
    /// `[history]`
    pub history: HistoryConfig,
    /// `[preprocess]`
    pub preprocess: PreprocessConfig,
    /// `[autoencoder]`
    pub autoencoder: AutoencoderConfig,
    /// `[forecast]`
    pub forecast: ForecastConfig,
    /// `[detect]`
    pub detect: DetectConfig,
    /// `[retrain]`
    pub retrain: RetrainConfig,
    /// `[exporter]`
    pub exporter: ExporterConfig,
    /// `[api]`
    pub api: ApiConfig,
    /// `[ui]`
    pub ui: UiConfig,
    /// `[journal]`
    pub journal: JournalConfig,
}
