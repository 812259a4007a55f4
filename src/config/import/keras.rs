//! The settings of the Keras program (`config.yaml`).

use toml::{Table, Value};

use super::draft::Draft;
use super::yaml::Setting;

/// Sections and keys that only this program has.
pub(super) const SECTIONS: [&str; 6] = [
    "prometheus_url",
    "data_settings",
    "preprocessing_settings",
    "training_settings",
    "data_filtering_settings",
    "real_time_anomaly_detection",
];

/// Seconds of an hour.
const HOUR: f64 = 3600.0;

/// Takes one setting over.
pub(super) fn take(draft: &mut Draft, from: &Setting) {
    let path: Vec<&str> = from.path.iter().map(String::as_str).collect();
    match path[..] {
        ["prometheus_url"] => draft.text("source", "url", from),
        ["artifacts_dir"] => draft.remark(
            from,
            "files go to the data directory: name it with --data-dir",
        ),
        ["queries", alias] => draft.query(alias, None, from),
        ["data_settings", key] => take_data(draft, key, from),
        ["preprocessing_settings", "nan_fill_strategy"] => take_fill(draft, from),
        ["preprocessing_settings", "scaler_type"] => take_scaler(draft, from),
        ["training_settings", key] => take_training(draft, key, from),
        ["real_time_anomaly_detection", key] => take_detection(draft, key, from),
        _ if is_file(&path) => draft.remark(
            from,
            "file names are fixed here; commands take --input and --output",
        ),
        _ => draft.remark(from, "this has no counterpart and is left out"),
    }
}

/// A key that names a file.
fn is_file(path: &[&str]) -> bool {
    path.last().is_some_and(|key| key.ends_with("filename"))
}

fn take_data(draft: &mut Draft, key: &str, from: &Setting) {
    match key {
        // 0 leaves it to the periods.
        "collection_period_hours" if from.value == Some(Value::Integer(0)) => {}
        "collection_period_hours" => draft.span("history", "period", HOUR, from),
        "step" => draft.span("source", "step", 1.0, from),
        "cache_chunk_hours" => draft.span("history", "chunk", HOUR, from),
        // Together, in `finish`.
        "collection_periods_iso" | "start_time_iso" | "end_time_iso" => {}
        _ if key.ends_with("filename") => draft.remark(
            from,
            "file names are fixed here; commands take --input and --output",
        ),
        _ => draft.remark(from, "this has no counterpart and is left out"),
    }
}

fn take_fill(draft: &mut Draft, from: &Setting) {
    let fill = match from.value.as_ref().and_then(Value::as_str) {
        Some("ffill_then_bfill") => "ffill_bfill",
        Some("mean") => "mean",
        Some("median") => "median",
        Some("drop_rows") => "drop",
        // YAML's null is written the same way in that program.
        Some("none") | None => "none",
        Some(_) => {
            let remedy =
                "write \"ffill_then_bfill\", \"mean\", \"median\", \"drop_rows\" or \"none\"";
            return draft.wrong(from, "that program has no such strategy", remedy);
        }
    };
    draft.set("preprocess", "fill", fill, from);
}

fn take_scaler(draft: &mut Draft, from: &Setting) {
    let scaler = match from.value.as_ref().and_then(Value::as_str) {
        Some("MinMaxScaler") => "minmax",
        Some("StandardScaler") => "standard",
        _ => {
            let remedy = "write \"MinMaxScaler\" or \"StandardScaler\"";
            return draft.wrong(from, "that program has no such scaler", remedy);
        }
    };
    draft.set("preprocess", "scaler", scaler, from);
}

fn take_training(draft: &mut Draft, key: &str, from: &Setting) {
    match key {
        "sequence_length" => draft.whole("autoencoder", "window", from),
        "train_split_ratio" => draft.number("autoencoder", "train_split", from),
        "epochs" => draft.whole("autoencoder", "epochs", from),
        "batch_size" => draft.whole("autoencoder", "batch", from),
        "learning_rate" => draft.number("autoencoder", "learning_rate", from),
        "early_stopping_patience" => draft.whole("autoencoder", "patience", from),
        "lstm_units_encoder2_latent" => draft.whole("autoencoder", "latent", from),
        // Lists, in `finish`.
        "lstm_units_encoder1" | "lstm_units_decoder1" | "lstm_units_decoder2" => {}
        "train_on_filtered_sequences" => draft.remark(
            from,
            "run `pulsewatch filter`, then `pulsewatch train --on-filtered`",
        ),
        _ if key.ends_with("filename") => draft.remark(
            from,
            "file names are fixed here; commands take --input and --output",
        ),
        _ => draft.remark(from, "this has no counterpart and is left out"),
    }
}

fn take_detection(draft: &mut Draft, key: &str, from: &Setting) {
    match key {
        "query_interval_seconds" => draft.span("detect", "interval", 1.0, from),
        "anomaly_threshold_mse" => draft.number("detect", "threshold", from),
        "metrics_prefix" => draft.text("exporter", "prefix", from),
        "exporter_port" => {
            if let Some(port) = draft.is_whole(from) {
                draft.set("exporter", "listen", format!("127.0.0.1:{port}"), from);
                draft.remark(from, "it listened on all addresses; here on loopback until exporter.listen says otherwise");
            }
        }
        "data_step_duration" => {
            draft.remark(from, "windows have the step of the data, source.step");
        }
        _ => draft.remark(from, "this has no counterpart and is left out"),
    }
}

/// Takes over what is made of several settings: layers and periods.
pub(super) fn finish(draft: &mut Draft, settings: &[Setting]) {
    let find = |path: [&str; 2]| settings.iter().find(|s| s.path == path);
    let training = |key| find(["training_settings", key]);
    if let Some(from) = training("lstm_units_encoder1")
        && let Some(units) = draft.is_whole(from)
    {
        draft.set("autoencoder", "encoder", vec![units], from);
    }
    let decoder = [("lstm_units_decoder1", 32), ("lstm_units_decoder2", 64)];
    let written = decoder.map(|(key, _)| training(key));
    if let Some(first) = written.into_iter().flatten().next() {
        let units = decoder.map(|(key, default)| match training(key) {
            Some(from) => draft.is_whole(from).unwrap_or(default),
            None => default,
        });
        draft.set("autoencoder", "decoder", units.to_vec(), first);
    }
    let data = |key| find(["data_settings", key]);
    let hours = data("collection_period_hours").and_then(|s| s.value.clone());
    let uses_hours = hours.is_some_and(|hours| hours != Value::Integer(0));
    if let Some(from) = data("collection_periods_iso") {
        take_periods(draft, from);
    } else if let (Some(start), Some(end)) = (data("start_time_iso"), data("end_time_iso")) {
        if uses_hours {
            draft.remark(start, "collection_period_hours goes before it: left out");
            return;
        }
        let period = [("start", start), ("end", end)].map(|(key, from)| {
            let text = from.value.as_ref().and_then(Value::as_str);
            (key, text.and_then(moment), from)
        });
        let mut table = Table::new();
        for (key, moment, from) in period {
            match moment {
                Some(moment) => drop(table.insert(key.into(), moment.into())),
                None => draft.wrong(from, NO_TIME, TIME),
            }
        }
        if table.len() == 2 {
            draft.unset("history", "period");
            draft.set("history", "periods", vec![Value::Table(table)], start);
        }
    }
}

const NO_TIME: &str = "this is no time";
const TIME: &str = "write it as in \"2026-11-01T00:00:00\" (UTC) or with its zone";

fn take_periods(draft: &mut Draft, from: &Setting) {
    let Some(Value::Array(list)) = &from.value else {
        return draft.wrong(
            from,
            "this is no list of periods",
            "write - {start: …, end: …}",
        );
    };
    let mut periods = Vec::new();
    for item in list {
        let at = |keys: [&str; 2]| {
            let text = keys.iter().find_map(|key| item.get(key)?.as_str());
            text.and_then(moment)
        };
        let ends = (at(["start", "start_time_iso"]), at(["end", "end_time_iso"]));
        let (Some(start), Some(end)) = ends else {
            return draft.wrong(from, "a period has no start or no end that is a time", TIME);
        };
        let period = [("start", start), ("end", end)].map(|(k, v)| (k.to_owned(), v.into()));
        periods.push(Value::Table(Table::from_iter(period)));
    }
    if !periods.is_empty() {
        draft.unset("history", "period");
        draft.set("history", "periods", periods, from);
    }
}

/// A time of that program as RFC 3339; without a zone it is UTC.
fn moment(text: &str) -> Option<String> {
    let text = text.trim();
    let zoned: Option<jiff::Timestamp> = text.parse().ok();
    let time = zoned.or_else(|| {
        let civil: jiff::civil::DateTime = text.parse().ok()?;
        Some(civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp())
    });
    time.map(|time| time.to_string())
}
