//! The settings of the older PulseWatch in Python (`user_config.yml`).

use toml::Value;

use super::draft::Draft;
use super::yaml::Setting;

/// Sections that only this program has.
pub(super) const SECTIONS: [&str; 5] = [
    "prometheus",
    "metrics",
    "lstm_model",
    "prophet_model",
    "dashboard",
];

/// Seconds of a minute and of an hour.
const MINUTE: f64 = 60.0;
const HOUR: f64 = 3600.0;

/// Takes one setting over.
pub(super) fn take(draft: &mut Draft, from: &Setting) {
    let path: Vec<&str> = from.path.iter().map(String::as_str).collect();
    match path[..] {
        ["app", "name"] => draft.text("app", "name", from),
        ["app", "mode"] => draft.text("app", "mode", from),
        ["prometheus", "url"] => draft.text("source", "url", from),
        ["prometheus", "step"] => draft.span("source", "step", 1.0, from),
        ["prometheus", "window"] => draft.span("history", "period", 1.0, from),
        ["metrics", name] | ["metrics", name, "query"] => draft.query(name, None, from),
        ["metrics", name, "query", system] => take_metric(draft, name, system, from),
        ["lstm_model", key] => take_lstm(draft, key, from),
        ["prophet_model", key] => take_prophet(draft, key, from),
        ["app" | "dashboard", "refresh_interval"] => draft.span("ui", "refresh", 1.0, from),
        ["dashboard", "show_predictions"] => draft.flag("ui", "show_forecast", from),
        ["dashboard", "max_points"] => draft.whole("ui", "max_points", from),
        ["dashboard", "retrain_button_enabled"] => draft.flag("ui", "retrain_enabled", from),
        _ => draft.remark(from, NONE),
    }
}

const NONE: &str = "this has no counterpart and is left out";

fn take_metric(draft: &mut Draft, name: &str, system: &str, from: &Setting) {
    match system {
        "Linux" => draft.query(name, Some("linux"), from),
        "Windows" => draft.query(name, Some("windows"), from),
        "Darwin" => draft.query(name, Some("macos"), from),
        _ => draft.remark(from, "the systems are Linux, Windows and Darwin: left out"),
    }
}

fn take_lstm(draft: &mut Draft, key: &str, from: &Setting) {
    match key {
        "enabled" => draft.flag("autoencoder", "enabled", from),
        "epochs" => draft.whole("autoencoder", "epochs", from),
        "batch_size" => draft.whole("autoencoder", "batch", from),
        "retrain_interval" => draft.span("retrain", "every", HOUR, from),
        // As the preset has it: its code took the mean and 2.5 standard deviations.
        "threshold" if from.value == Some(Value::String("auto".into())) => {}
        "threshold" | "reconstruction_error_limit" => draft.number("detect", "threshold", from),
        "sequence_length" => draft.remark(
            from,
            "its code did not use it; its windows had 30 rows, as autoencoder.window says",
        ),
        "hidden_size" => draft.remark(
            from,
            "its code did not use it; its layers had 256 units, as autoencoder.encoder says",
        ),
        "learning_rate" => draft.remark(
            from,
            "its code did not use it; it learned at 0.0005, as autoencoder.learning_rate says",
        ),
        "save_path" | "model_path" | "scaler_path" => {
            draft.remark(from, "models are kept in the data directory, under models/");
        }
        _ => draft.remark(from, NONE),
    }
}

fn take_prophet(draft: &mut Draft, key: &str, from: &Setting) {
    match key {
        "enabled" => draft.flag("forecast", "enabled", from),
        "forecast_horizon" | "forecast_period" => draft.span("forecast", "horizon", MINUTE, from),
        "retrain_interval" => draft.span("forecast", "retrain_every", HOUR, from),
        "changepoint_prior_scale" => draft.number("forecast", "changepoint_prior_scale", from),
        "seasonality_mode" => draft.text("forecast", "mode", from),
        _ => draft.remark(from, NONE),
    }
}
