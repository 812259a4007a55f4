//! A small world to go wrong: two waves on a server that plays Prometheus, and an engine that learns them in a second.

use std::path::Path;
use std::sync::Arc;

use pulsewatch::config::{Config, ExporterConfig, SourceKind, Span};
use pulsewatch::domain::{EntityView, Incident, RowState, Snapshot, SourceState, Time};
use pulsewatch::serve::Server;

use crate::common::driver::Driver;
use crate::common::fake::{Fake, World};
use crate::common::{http, query};

/// Seconds between rows.
pub const STEP: i64 = 60;

/// Where every test begins, in seconds; on the grid.
pub const NOW: i64 = 1_780_000_200;

/// Rows of history that are learned from.
pub const LEARNED: i64 = 400;

/// A daily shape in small, never 0.
pub fn wave(time: i64, phase: f64) -> f64 {
    let row = time.div_euclid(STEP);
    let noise = (row.wrapping_mul(7919) % 1000) as f64 / 1000.0 - 0.5;
    50.0 + 20.0 * (row as f64 * 0.15 + phase).sin() + noise
}

/// A wave that is 200 higher at times in `from..to`.
pub fn bumped(time: i64, phase: f64, from: i64, to: i64) -> f64 {
    wave(time, phase)
        + if (from..to).contains(&time) {
            200.0
        } else {
            0.0
        }
}

/// Settings under which a training takes about a second.
pub fn small(config: &mut Config) {
    config.autoencoder.encoder = vec![12];
    config.autoencoder.latent = 6;
    config.autoencoder.decoder = vec![12];
    config.autoencoder.epochs = 12;
    config.autoencoder.learning_rate = 0.01;
    config.autoencoder.max_windows = 400;
    config.forecast.enabled = false;
    config.retrain.every = Span::secs(0);
    // What these tests expect is the size of a mountain: no noise may reach it.
    config.detect.false_alarms_per_day = 0.001;
}

/// A configuration for `server` with these expressions, each its own alias.
pub fn config(url: &str, exprs: &[&str]) -> Config {
    let mut config = Config::default();
    config.source.kind = SourceKind::Prometheus;
    config.source.url = url.into();
    config.source.step = Span::secs(STEP as u64);
    config.source.latency_offset = Span::secs(0);
    config.source.retries = 0;
    config.history.period = Span::secs((LEARNED * STEP) as u64);
    config.history.cache = false;
    config.detect.interval = Span::secs(STEP as u64);
    config.queries = exprs
        .iter()
        .map(|expr| ((*expr).to_owned(), query(expr)))
        .collect();
    small(&mut config);
    config
}

/// The world of most tests: `cpu` and `load`, from always to for ever.
pub fn two_waves(world: &mut World) {
    world.until = i64::MAX;
    world.add("cpu", &[], |t| Some(wave(t, 0.0)));
    world.add("load", &[], |t| Some(wave(t, 1.0)));
}

/// A server with two waves.
pub async fn server() -> Fake {
    let fake = Fake::start().await;
    fake.change(two_waves);
    fake
}

/// An engine on `fake` that has just scored its first row.
pub async fn scoring(config: &Config, dir: &Path) -> Driver {
    let mut driver = Driver::open(config, dir, Time::from_secs(NOW));
    driver.until("scoring", is_scoring).await;
    driver
}

/// The newest verdict of every entity is a score.
pub fn is_scoring(snapshot: &Snapshot) -> bool {
    let scored = |view: &EntityView| {
        view.latest
            .as_ref()
            .is_some_and(|v| v.state == RowState::Scored)
    };
    !snapshot.live.entities.is_empty() && snapshot.live.entities.iter().all(|v| scored(v))
}

/// The time of the newest verdict that is a score, in seconds.
pub fn scored_at(snapshot: &Snapshot) -> Option<i64> {
    let latest = snapshot.live.entities.first()?.latest.as_ref()?;
    (latest.state == RowState::Scored).then_some(latest.time.millis() / 1000)
}

/// The source answers.
pub fn is_up(snapshot: &Snapshot) -> bool {
    snapshot.live.source.state == SourceState::Up
}

/// The source's error, while it fails.
pub fn stale(snapshot: &Snapshot) -> Option<&str> {
    match &snapshot.live.source.state {
        SourceState::Stale { error, .. } => Some(error),
        _ => None,
    }
}

/// The first open incident.
pub fn open_incident(snapshot: &Snapshot) -> Option<&Incident> {
    snapshot.live.incidents.iter().find(|i| i.is_open())
}

/// Drives on until an incident is open, then waits with the clock standing still until it is in the journal: a disk that is
/// slow would let it end before.
pub async fn opened(driver: &mut Driver) -> Arc<Snapshot> {
    driver
        .until("an incident", |s| open_incident(s).is_some())
        .await;
    let is_kept = |s: &Snapshot| open_incident(s).is_some_and(|i| i.id != 0);
    driver.wait("an incident in the journal", is_kept).await
}

/// Whether a notice says so.
pub fn noticed(snapshot: &Snapshot, text: &str) -> bool {
    snapshot.notices.iter().any(|n| n.text.contains(text))
}

/// Whether a warning of the source says so.
pub fn warned(snapshot: &Snapshot, text: &str) -> bool {
    snapshot
        .live
        .source
        .warnings
        .iter()
        .any(|w| w.contains(text))
}

/// What the exporter says now.
pub async fn exported(driver: &Driver) -> String {
    let exporter = ExporterConfig {
        listen: ([127, 0, 0, 1], 0).into(),
        ..ExporterConfig::default()
    };
    let api = pulsewatch::config::ApiConfig::default();
    let bound = Server::bind(&exporter, &api, true).unwrap().unwrap();
    let port = bound.local_addr().port();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let over = async move {
        let _ = stopped.await;
    };
    let serving = tokio::spawn(bound.serve(driver.snapshots(), driver.shared_control(), over));
    let text = tokio::task::spawn_blocking(move || http::get(port, "/metrics"))
        .await
        .unwrap();
    stop.send(()).unwrap();
    serving.await.unwrap().unwrap();
    text
}

/// The exported value of a series (labels included), `None` when it is absent.
pub fn value(text: &str, series: &str) -> Option<f64> {
    let prefix = format!("anomaly_detector_{series} ");
    let line = text.lines().find_map(|line| line.strip_prefix(&prefix))?;
    Some(line.parse().unwrap())
}

/// Families whose values are measured: a 0 or -1 in them would be a lie in the worlds of these tests.
const MEASURED: [&str; 7] = [
    "anomaly_score",
    "latest_reconstruction_error_mse",
    "anomaly_threshold_mse",
    "feature_",
    "forecast",
    "last_successful_run_timestamp_seconds",
    "data_points_in_current_window",
];

/// No number that stands for "unknown", neither on screen nor exported.
pub fn no_false_numbers(snapshot: &Snapshot, text: &str) {
    for view in &snapshot.live.entities {
        for feature in &view.features {
            let name = &feature.feature.name;
            let lies = |v: f64| v == 0.0 || v == -1.0 || v.is_infinite();
            assert!(!feature.values.iter().any(lies), "{name}: {feature:?}");
            for value in [feature.mse, feature.share, feature.expected] {
                assert!(
                    value.is_none_or(|v| !lies(v) && !v.is_nan()),
                    "{name}: {feature:?}"
                );
            }
        }
        assert!(!view.scores.iter().any(|s| s == 0.0), "{:?}", view.scores);
    }
    assert!(!text.contains("NaN"), "{text}");
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let Some(name) = line.strip_prefix("anomaly_detector_") else {
            continue;
        };
        if MEASURED.iter().any(|family| name.starts_with(family)) {
            let value: f64 = line.rsplit_once(' ').unwrap().1.parse().unwrap();
            assert!(value != 0.0 && value != -1.0, "{line}");
        }
    }
}
