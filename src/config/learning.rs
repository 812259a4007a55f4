//! `[history]`, `[preprocess]`, `[autoencoder]`, `[forecast]`, `[retrain]`: what is learned, from what, and when.

use serde::{Deserialize, Serialize};

use super::{Ratio, Span};

/// A stretch of time, RFC 3339 at both ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Period {
    /// First moment.
    pub start: jiff::Timestamp,
    /// Last moment.
    pub end: jiff::Timestamp,
}

/// `[history]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HistoryConfig {
    /// How far back to learn from, when no periods are given.
    pub period: Span,
    /// Explicit stretches instead of `period`.
    pub periods: Vec<Period>,
    /// Stretches never to learn from (known incidents, migrations).
    pub exclude: Vec<Period>,
    /// At most this part of an entity's rows is left out of a training because it sticks out too far to be normal.
    pub trim: Ratio,
    /// Length of a chunk of the range cache.
    pub chunk: Span,
    /// Keep fetched chunks on disk.
    pub cache: bool,
}

impl Default for HistoryConfig {
    fn default() -> Self {
        Self {
            period: Span::secs(14 * 86400),
            periods: Vec::new(),
            exclude: Vec::new(),
            trim: Ratio(0.05),
            chunk: Span::secs(6 * 3600),
            cache: true,
        }
    }
}

/// What stands in for a missing value when the autoencoder needs one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fill {
    /// The last value before the gap, else the first after it.
    #[default]
    FfillBfill,
    /// A straight line across the gap.
    Linear,
    /// The column's mean.
    Mean,
    /// The column's median.
    Median,
    /// Leave rows with a missing value out.
    Drop,
    /// Nothing: windows with a gap are not used.
    None,
}

/// How columns are brought to one scale.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ScalerKind {
    /// Smallest to 0, largest to 1.
    #[default]
    Minmax,
    /// Mean to 0, standard deviation to 1.
    Standard,
    /// Median to 0, interquartile range to 1.
    Robust,
}

/// `[preprocess]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PreprocessConfig {
    /// How gaps are filled.
    pub fill: Fill,
    /// Gaps longer than this many steps are never filled across: windows that touch them are stale.
    pub max_gap: usize,
    /// How columns are scaled.
    pub scaler: ScalerKind,
    /// Zone of `day_of_week` and `hour_of_day`, an IANA name.
    pub timezone: String,
}

impl Default for PreprocessConfig {
    fn default() -> Self {
        Self {
            fill: Fill::default(),
            max_gap: 5,
            scaler: ScalerKind::default(),
            timezone: "UTC".into(),
        }
    }
}

/// Activation of the LSTM layers' cell input and output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Activation {
    /// Hyperbolic tangent.
    #[default]
    Tanh,
    /// Rectified linear, as in the first seed.
    Relu,
}

/// Activation of the last, dense layer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Output {
    /// None: any value.
    #[default]
    Linear,
    /// 0 to 1, as in the first seed (for min-max scaled data).
    Sigmoid,
}

/// `[autoencoder]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AutoencoderConfig {
    /// Use it at all.
    pub enabled: bool,
    /// Rows of a window.
    pub window: usize,
    /// Units of the encoder's LSTM layers, first to last.
    pub encoder: Vec<usize>,
    /// Units of the latent LSTM layer.
    pub latent: usize,
    /// Units of the decoder's LSTM layers, first to last.
    pub decoder: Vec<usize>,
    /// LSTM activation.
    pub activation: Activation,
    /// Dense layer's activation.
    pub output: Output,
    /// Most passes over the training windows.
    pub epochs: usize,
    /// Windows a step.
    pub batch: usize,
    /// Adam's learning rate.
    pub learning_rate: f64,
    /// Gradient norm is cut to this; 0 is never.
    pub clip_norm: f64,
    /// Passes without a better validation loss before it stops.
    pub patience: usize,
    /// Part of the windows that is trained on; the rest validates and calibrates.
    pub train_split: Ratio,
    /// Most windows trained on; more are subsampled evenly. Bounds the first training's time.
    pub max_windows: usize,
    /// Seed of everything random.
    pub seed: u64,
}

impl Default for AutoencoderConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            window: 20,
            encoder: vec![64],
            latent: 32,
            decoder: vec![32, 64],
            activation: Activation::default(),
            output: Output::default(),
            epochs: 50,
            batch: 64,
            learning_rate: 0.001,
            clip_norm: 1.0,
            patience: 10,
            train_split: Ratio(0.8),
            max_windows: 2000,
            seed: 42,
        }
    }
}

/// Which seasonal model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ForecastModel {
    /// Of the two below, the one that forecast a series' own past better.
    #[default]
    Auto,
    /// Prophet's model: a line with bends, waves for seasons, holidays.
    Prophet,
    /// Seasonal decomposition by loess with an exponential-smoothing trend.
    Mstl,
}

/// How seasons and holidays of Prophet's model join its trend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ForecastMode {
    /// Added to the trend.
    #[default]
    Additive,
    /// As parts of the trend: swings grow with the level.
    Multiplicative,
}

/// Days on which things go differently, as the wall's calendar counts them. In the file a date such as `"2026-12-25"`, or a
/// table.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Holiday {
    /// What it is called.
    pub name: String,
    /// When it is; all dates share one effect.
    pub dates: Vec<jiff::civil::Date>,
    /// Days before each date that are different too, each in its own way.
    pub before: u16,
    /// Days after each date that are different too, each in its own way.
    pub after: u16,
    /// Standard deviation of an effect's normal prior, in parts of a series' largest value.
    pub prior_scale: f64,
}

impl Default for Holiday {
    fn default() -> Self {
        Self {
            name: "holiday".into(),
            dates: Vec::new(),
            before: 0,
            after: 0,
            prior_scale: 10.0,
        }
    }
}

impl<'de> Deserialize<'de> for Holiday {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(remote = "Holiday", default, deny_unknown_fields)]
        struct Table {
            name: String,
            dates: Vec<jiff::civil::Date>,
            before: u16,
            after: u16,
            prior_scale: f64,
        }
        impl Default for Table {
            fn default() -> Self {
                let Holiday {
                    name,
                    dates,
                    before,
                    after,
                    prior_scale,
                } = Holiday::default();
                Self {
                    name,
                    dates,
                    before,
                    after,
                    prior_scale,
                }
            }
        }
        #[derive(Deserialize)]
        #[serde(
            untagged,
            expecting = "a date such as \"2026-12-25\" or a table such as { name = \"sale\", dates = [\"2026-11-27\"], before = 1, after = 2 }"
        )]
        enum Written {
            Date(jiff::civil::Date),
            Table(#[serde(with = "Table")] Holiday),
        }
        Ok(match Written::deserialize(deserializer)? {
            Written::Table(holiday) => holiday,
            Written::Date(date) => Self {
                dates: vec![date],
                ..Self::default()
            },
        })
    }
}

/// `[forecast]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ForecastConfig {
    /// Use it at all.
    pub enabled: bool,
    /// Which model.
    pub model: ForecastModel,
    /// How far ahead.
    pub horizon: Span,
    /// How far ahead is looked for the time at which a query's limit is reached, but no further than the history reaches back.
    pub breach_horizon: Span,
    /// Seasons looked for, longest last.
    pub seasonalities: Vec<Span>,
    /// How readily Prophet's trend bends: scale of the Laplace prior of a change of slope.
    pub changepoint_prior_scale: f64,
    /// How seasons of Prophet's model join its trend.
    pub mode: ForecastMode,
    /// Days that Prophet's model takes for different.
    pub holidays: Vec<Holiday>,
    /// Share of reality that the band is meant to hold.
    pub interval: Ratio,
    /// How often it is fitted anew.
    pub retrain_every: Span,
    /// Most points fitted on; a longer history is averaged to a coarser step.
    pub max_points: usize,
}

impl Default for ForecastConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            model: ForecastModel::default(),
            horizon: Span::secs(24 * 3600),
            breach_horizon: Span::secs(7 * 86400),
            seasonalities: vec![Span::secs(86400), Span::secs(7 * 86400)],
            changepoint_prior_scale: 0.05,
            mode: ForecastMode::default(),
            holidays: Vec::new(),
            interval: Ratio(0.9),
            retrain_every: Span::secs(3600),
            max_points: 2016,
        }
    }
}

/// Which new models take the place of the one that scores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Promote {
    /// Those that are not clearly worse on recent clean data.
    #[default]
    Better,
    /// Every one.
    Always,
}

/// `[retrain]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetrainConfig {
    /// How often a new model is trained; `"0s"` is never.
    pub every: Span,
    /// Train a new model when the data have changed for good.
    pub on_drift: bool,
    /// Which new models score.
    pub promote: Promote,
    /// Model versions kept: so many that scored, and so many that were refused.
    pub keep: usize,
}

impl Default for RetrainConfig {
    fn default() -> Self {
        Self {
            every: Span::secs(24 * 3600),
            on_drift: true,
            promote: Promote::default(),
            keep: 5,
        }
    }
}
