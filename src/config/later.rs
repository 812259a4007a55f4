//! Keys that this version does not have: those that are to come, and those of the two older programs under other names.

use super::document::{Data, Node};
use super::errors::ConfigError;
use super::reader::describe;

/// Sections and keys that are named in the documentation but not built yet.
const NOT_YET: [(&[&str], &str); 7] = [
    (
        &["alerts"],
        "read incidents with `pulsewatch incidents list`",
    ),
    (&["remote_write"], "let Prometheus scrape the exporter"),
    (&["shard"], "one program watches everything"),
    (&["api", "listen"], "the API answers on exporter.listen"),
    (&["api", "tls"], "put a proxy that speaks TLS before it"),
    (
        &["retrain", "promote_if_better"],
        "set retrain.promote = \"better\"",
    ),
    (
        &["detect", "hysteresis"],
        "set detect.exit, below which a score has left",
    ),
];

/// Values that are named in the documentation but not built yet.
const VALUES_NOT_YET: [(&[&str], &str, &str); 1] = [(
    &["source", "kind"],
    "scrape",
    "write \"prometheus\", \"host\" or \"replay\"",
)];

/// Keys of the two older programs, and what they are here.
const RENAMED: [(&str, &str); 30] = [
    ("maintenance_windows", "detect.maintenance"),
    ("prometheus_url", "source.url"),
    ("collection_period_hours", "history.period"),
    ("collection_periods_iso", "history.periods"),
    ("cache_chunk_hours", "history.chunk"),
    ("nan_fill_strategy", "preprocess.fill"),
    ("scaler_type", "preprocess.scaler"),
    ("sequence_length", "autoencoder.window"),
    ("train_split_ratio", "autoencoder.train_split"),
    ("batch_size", "autoencoder.batch"),
    ("early_stopping_patience", "autoencoder.patience"),
    ("lstm_units_encoder1", "autoencoder.encoder"),
    ("lstm_units_encoder2_latent", "autoencoder.latent"),
    ("lstm_units_decoder1", "autoencoder.decoder"),
    ("lstm_units_decoder2", "autoencoder.decoder"),
    ("hidden_size", "autoencoder.latent"),
    ("query_interval_seconds", "detect.interval"),
    ("anomaly_threshold_mse", "detect.threshold"),
    ("reconstruction_error_limit", "detect.threshold"),
    ("exporter_port", "exporter.listen"),
    ("metrics_prefix", "exporter.prefix"),
    ("data_step_duration", "source.step"),
    ("forecast_horizon", "forecast.horizon"),
    ("retrain_interval", "retrain.every"),
    ("refresh_interval", "ui.refresh"),
    ("show_predictions", "ui.show_forecast"),
    ("retrain_button_enabled", "ui.retrain_enabled"),
    ("lstm_model", "[autoencoder]"),
    ("prophet_model", "[forecast]"),
    ("prometheus", "[source]"),
];

/// What a key of an older program is called here.
pub(super) fn renamed(key: &str) -> Option<&'static str> {
    RENAMED
        .iter()
        .find(|(old, _)| *old == key)
        .map(|(_, new)| *new)
}

/// Takes out of the document what is not built yet, each with an error of its own.
pub(super) fn refuse(root: &mut Node, errors: &mut Vec<ConfigError>) {
    const PROBLEM: &str = "this is not in this version yet";
    for (path, instead) in NOT_YET {
        let Some(node) = root.remove(path) else {
            continue;
        };
        let remedy = match instead {
            "" => "take it out".to_owned(),
            instead => format!("take it out; {instead}"),
        };
        errors.push(describe(&node, PROBLEM, remedy));
    }
    for (path, word, instead) in VALUES_NOT_YET {
        let is_word = root.get(path).is_some_and(
            |node| matches!(&node.data, Data::Scalar(toml::Value::String(value)) if value == word),
        );
        if let Some(node) = is_word.then(|| root.remove(path)).flatten() {
            errors.push(describe(&node, PROBLEM, instead));
        }
    }
}
