//! The exporter's vocabulary: every metric's name, kind, labels and help text.

use std::collections::HashMap;

use prometheus::core::Desc;

use Kind::{Counter as C, Gauge as G, Histogram as H};

/// What a family counts like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Gauge,
    Counter,
    Histogram,
}

/// One metric name.
#[derive(Debug)]
pub(super) struct Family {
    /// Without the configured prefix.
    pub name: &'static str,
    pub kind: Kind,
    /// Labels besides `entity`.
    pub labels: &'static [&'static str],
    /// Carries the `entity` label when `group_by` is set.
    pub per_entity: bool,
    pub help: &'static str,
}

/// One name per whole installation.
const fn whole(
    name: &'static str,
    kind: Kind,
    labels: &'static [&'static str],
    help: &'static str,
) -> Family {
    Family {
        name,
        kind,
        labels,
        per_entity: false,
        help,
    }
}

/// One series, or one per feature, for every entity.
const fn each(
    name: &'static str,
    kind: Kind,
    labels: &'static [&'static str],
    help: &'static str,
) -> Family {
    Family {
        per_entity: true,
        ..whole(name, kind, labels, help)
    }
}

pub(super) const BUILD_INFO: Family = whole(
    "build_info",
    G,
    &["version", "target", "name", "mode"],
    "What was built, and what this installation is called ([app] name and mode); always 1.",
);
pub(super) const SOURCE_UP: Family = whole(
    "source_up",
    G,
    &[],
    "1 while collections from the source work, 0 when the last one failed or none has ended for three intervals (15 s at least).",
);
pub(super) const COMPONENT_UP: Family = whole(
    "component_up",
    G,
    &["component"],
    "1 while this part of the program works, 0 while it has a fault; absent for a part that has not reported.",
);
pub(super) const COMPONENT_RESTARTS: Family = whole(
    "component_restarts_total",
    C,
    &["component"],
    "How often this part of the program was started again after a failure, since the process started.",
);
pub(super) const READINESS: Family = whole(
    "readiness_ratio",
    G,
    &[],
    "Part of the windows at hand that a first model needs, 0 to 1.",
);
pub(super) const THRESHOLD: Family = whole(
    "anomaly_threshold_mse",
    G,
    &[],
    "The autoencoder's threshold: a window's mean squared error over it is a candidate.",
);
pub(super) const MODEL_INFO: Family = whole(
    "model_info",
    G,
    &["version", "threshold_rule"],
    "The model that scores now; always 1.",
);
pub(super) const FEATURE_INFO: Family = whole(
    "feature_info",
    G,
    &["feature_name", "query"],
    "The query that a feature comes from, and the labels that tell it from the query's others, each after `label_`; always 1.",
);
pub(super) const MODEL_AGE: Family = whole(
    "model_age_seconds",
    G,
    &[],
    "Time since the training of the model that scores now ended.",
);
pub(super) const TRAINING: Family = whole(
    "training_in_progress",
    G,
    &[],
    "1 while a new model is being trained, else 0.",
);
pub(super) const TRAINING_TOOK: Family = whole(
    "training_duration_seconds",
    G,
    &[],
    "How long the last training took, whether it gave a model or failed.",
);
pub(super) const COLLECT_TOOK: Family = whole(
    "collect_duration_seconds",
    H,
    &[],
    "How long collections from the source took.",
);
pub(super) const COLLECT_ERRORS: Family = whole(
    "collect_errors_total",
    C,
    &["reason"],
    "Collections that failed since the process started, by reason.",
);
pub(super) const SERIES_DROPPED: Family = whole(
    "source_series_dropped_total",
    C,
    &[],
    "Series left out of collections because a cap on entities or features was reached, since the process started; counted anew at every collection.",
);
pub(super) const SERIES_LEFT_OUT: Family = whole(
    "source_series_left_out",
    G,
    &[],
    "Series that the last collection left out because a cap on entities or features was reached.",
);
pub(super) const TICKS_LATE: Family = whole(
    "ticks_late_total",
    C,
    &[],
    "Rounds of collecting and scoring that began late by more than an interval.",
);
pub(super) const NOT_EXPORTED: Family = whole(
    "series_not_exported",
    G,
    &[],
    "Series that this scrape left out because exporter.max_series was reached.",
);

pub(super) const IS_ANOMALY: Family = each(
    "is_anomaly_detected",
    G,
    &[],
    "1 when the newest scored row is an anomaly, 0 when it is not; absent when it could not be scored.",
);
pub(super) const SCORE: Family = each(
    "anomaly_score",
    G,
    &[],
    "The newest score; over 1 is over the calibrated threshold.",
);
pub(super) const MSE: Family = each(
    "latest_reconstruction_error_mse",
    G,
    &[],
    "The autoencoder's mean squared error over the newest window, in scaled units.",
);
pub(super) const INCIDENT: Family = each(
    "incident_active",
    G,
    &[],
    "1 while an incident is open, else 0.",
);
pub(super) const ANOMALIES: Family = each(
    "total_anomalies_count_total",
    C,
    &[],
    "Incidents opened, restarts included.",
);
pub(super) const STALE: Family = each(
    "samples_stale",
    G,
    &[],
    "1 when the source fails or is late by two intervals (15 s at least), has no sample of the newest row, the newest window is mostly missing, or the clock was set back, so that nothing new was judged, else 0.",
);
pub(super) const LAST_RUN: Family = each(
    "last_successful_run_timestamp_seconds",
    G,
    &[],
    "When rows were last scored, in seconds since the Unix epoch.",
);
pub(super) const IN_WINDOW: Family = each(
    "data_points_in_current_window",
    G,
    &[],
    "Rows of the newest window that were observed, not filled.",
);
pub(super) const FEATURE_MSE: Family = each(
    "feature_reconstruction_error_mse",
    G,
    &["feature_name"],
    "A feature's mean squared error over the newest window, in scaled units.",
);
pub(super) const FEATURE_SHARE: Family = each(
    "feature_anomaly_share",
    G,
    &["feature_name"],
    "A feature's contribution to the newest score, 0 to 1.",
);
pub(super) const BREACH: Family = each(
    "forecast_breach_seconds",
    G,
    &["feature_name"],
    "Time until the forecast reaches the feature's limit, 0 when it is reached now; absent when it is not reached within the breach horizon, or there is none.",
);
pub(super) const FORECAST_MAE: Family = each(
    "forecast_mean_absolute_error",
    G,
    &["feature_name"],
    "How far the newest forecast values were from what came (up to 192 of them), in the feature's own unit.",
);
pub(super) const FORECAST_COVERAGE: Family = each(
    "forecast_coverage_ratio",
    G,
    &["feature_name"],
    "Part of what came, of the newest forecast values (up to 192), that lay within the forecast's band, 0 to 1.",
);
pub(super) const FORECAST: Family = each(
    "forecast",
    G,
    &["feature_name", "bound"],
    "The forecast's next point, in the feature's own unit: the expected value (yhat) and its band (lower, upper).",
);

/// Every family, in the order in which the cap is spent: the whole installation's first, then verdicts, then details.
pub(super) const ALL: [&Family; 31] = [
    &BUILD_INFO,
    &SOURCE_UP,
    &COMPONENT_UP,
    &COMPONENT_RESTARTS,
    &READINESS,
    &THRESHOLD,
    &MODEL_INFO,
    &FEATURE_INFO,
    &MODEL_AGE,
    &TRAINING,
    &TRAINING_TOOK,
    &COLLECT_TOOK,
    &COLLECT_ERRORS,
    &SERIES_DROPPED,
    &SERIES_LEFT_OUT,
    &TICKS_LATE,
    &NOT_EXPORTED,
    &IS_ANOMALY,
    &SCORE,
    &MSE,
    &INCIDENT,
    &ANOMALIES,
    &STALE,
    &LAST_RUN,
    &IN_WINDOW,
    &FEATURE_MSE,
    &FEATURE_SHARE,
    &BREACH,
    &FORECAST,
    &FORECAST_MAE,
    &FORECAST_COVERAGE,
];

impl Family {
    /// The registry's description of this family under `prefix`.
    ///
    /// # Errors
    /// When `prefix` and name together are no valid metric name.
    pub(super) fn desc(&self, prefix: &str) -> prometheus::Result<Desc> {
        Desc::new(
            format!("{prefix}{}", self.name),
            self.help.to_owned(),
            self.labels.iter().map(|name| (*name).to_owned()).collect(),
            HashMap::new(),
        )
    }
}
