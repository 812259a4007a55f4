//! The engine from start to incident and over a restart, driven faster than time.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss
)]

#[path = "engine/chosen.rs"]
mod chosen;
#[path = "engine/shown.rs"]
mod shown;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ndarray::Array2;
use pulsewatch::config::{Config, Span};
use pulsewatch::domain::{
    Command, Control, ControlError, Entity, HealthBoard, HistoryQuery, IncidentState, PipelineId,
    PipelineView, Snapshot, SourceState, Time,
};
use pulsewatch::engine::Running;
use pulsewatch::engine::clock::ManualClock;
use pulsewatch::engine::open::for_recording;
use pulsewatch::engine::run::{Setup, start};
use pulsewatch::source::any::Source;
use pulsewatch::source::recording::Recording;
use pulsewatch::source::replay::{PlayFrom, ReplaySource};

const STEP: i64 = 300;
const START: i64 = 1_780_000_200;
const LEARNED: usize = 900;
const ROWS: usize = 1200;
/// Rows of the played part in which both columns misbehave.
const INCIDENT: std::ops::Range<usize> = 1000..1012;

fn recording() -> Recording {
    let times = (0..ROWS)
        .map(|row| Time::from_secs(START + row as i64 * STEP))
        .collect();
    let values = Array2::from_shape_fn((ROWS, 2), |(row, column)| {
        let phase = row as f64 * 0.07 + column as f64;
        let noise = ((row * 7919 + column * 104_729) % 1000) as f64 / 1000.0 - 0.5;
        let bump = if INCIDENT.contains(&row) { 60.0 } else { 0.0 };
        50.0 + 20.0 * phase.sin() + 3.0 * noise + bump
    });
    Recording {
        times,
        columns: vec!["cpu".into(), "latency".into()],
        values,
    }
}

struct Bench {
    running: Running,
    config: Arc<Config>,
    clock: ManualClock,
    now: Time,
}

impl Bench {
    fn start(dir: &Path, change: impl FnOnce(&mut Config)) -> Self {
        let now = Time::from_secs(START + 10_000_000);
        let mut config = Config::default();
        config.autoencoder.epochs = 4;
        config.autoencoder.max_windows = 600;
        config.forecast.seasonalities = vec![Span::secs(90 * STEP as u64)];
        config.detect.interval = Span::secs(1);
        change(&mut config);
        let source = ReplaySource::new(
            &recording(),
            "test".into(),
            PlayFrom::Fraction(LEARNED as f64 / ROWS as f64),
            10.0,
            now,
            None,
        );
        let source = source.unwrap().paused();
        let clock = ManualClock::at(now);
        let config = Arc::new(for_recording(&config, &source));
        let setup = Setup {
            config: Arc::clone(&config),
            data_dir: dir.into(),
            source: Source::Replay(Box::new(source)),
            test: Box::new(|wall| ReplaySource::sample(wall, 0.0, 1)),
            start_test: false,
            banner: None,
            notices: Vec::new(),
            health: HealthBoard::default(),
        };
        Self {
            running: start(setup, Arc::new(clock.clone())).unwrap(),
            config,
            clock,
            now,
        }
    }

    /// Drives the clock on in steps of a second until a snapshot is as wanted.
    async fn until(&mut self, what: &str, wanted: impl Fn(&Snapshot) -> bool) -> Arc<Snapshot> {
        for _ in 0..600 {
            self.now = self.now + Duration::from_secs(1);
            self.clock.set(self.now);
            let mut snapshots = self.running.snapshots.clone();
            let heard = tokio::time::timeout(
                Duration::from_millis(200),
                snapshots.wait_for(|s| wanted(s)),
            )
            .await;
            if heard.is_ok() {
                return Arc::clone(&self.running.snapshots.borrow());
            }
        }
        panic!("never {what}: {:#?}", self.running.snapshots.borrow());
    }

    async fn stop(self) -> Arc<Snapshot> {
        self.running.control.send(Command::Shutdown).unwrap();
        self.running.task.await.unwrap();
        let last = Arc::clone(&self.running.snapshots.borrow());
        assert!(last.stopping);
        last
    }
}

/// Nothing is detected.
fn off(config: &mut Config) {
    config.autoencoder.enabled = false;
    config.forecast.enabled = false;
}

fn finished(view: &PipelineView) -> bool {
    view.source.state == SourceState::Finished
}

#[tokio::test(flavor = "multi_thread")]
async fn learns_finds_the_incident_and_goes_on_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let mut bench = Bench::start(dir.path(), |_| {});
    let first = bench.until("trained", |s| s.live.model.is_some()).await;
    let model = first.live.model.clone().unwrap();
    assert!(
        dir.path()
            .join("models")
            .join(&model.version)
            .join("bundle.safetensors")
            .exists()
    );
    assert_eq!(
        model.trained_on.1,
        Time::from_secs(START + (LEARNED as i64 - 1) * STEP)
    );

    let done = bench.until("finished", |s| finished(&s.live)).await;
    let found = done
        .live
        .incidents
        .iter()
        .find(|i| i.duration() >= Duration::from_secs(10 * STEP as u64))
        .expect("an incident");
    let began = Time::from_secs(START + INCIDENT.start as i64 * STEP);
    assert!(
        found.start >= began && found.start <= began + Duration::from_secs(2 * STEP as u64),
        "{found:?}"
    );
    assert_eq!(found.state, IncidentState::Closed);
    let shares: f64 = found.features.iter().map(|f| f.share).sum();
    assert!((shares - 1.0).abs() < 1e-6, "{found:?}");
    assert!(
        done.live.incidents.len() <= 5,
        "few false alarms: {:#?}",
        done.live.incidents
    );
    let view = &done.live.entities[0];
    assert_eq!(view.grid.len(), view.scores.len());
    assert_eq!(
        view.grid.last(),
        Some(Time::from_secs(START + (ROWS as i64 - 1) * STEP))
    );

    bench
        .running
        .control
        .send(Command::Label(
            found.id,
            Some(pulsewatch::domain::Label::Real),
        ))
        .unwrap();
    let id = found.id;
    bench
        .until("labelled", |s| {
            s.live
                .incidents
                .iter()
                .any(|i| i.id == id && i.label.is_some())
        })
        .await;
    let total = done.live.counters.incidents_total;
    bench.stop().await;

    let mut again = Bench::start(dir.path(), |_| {});
    let shown = again
        .until("connected", |s| {
            s.live.last_scored.is_some() || finished(&s.live)
        })
        .await;
    assert_eq!(
        shown.live.model.as_ref().map(|m| &m.version),
        Some(&model.version),
        "scores with the kept model"
    );
    assert!(shown.live.training.is_none());
    again
        .until("scores of rows from before the restart", |s| {
            let scores = &s.live.entities[0].scores;
            scores.iter().any(f64::is_finite)
        })
        .await;
    assert_eq!(
        shown.live.counters.incidents_total, total,
        "a verdict is final: nothing is counted twice"
    );
    assert!(
        shown
            .live
            .incidents
            .iter()
            .any(|i| i.id == id && i.label.is_some()),
        "{:#?}",
        shown.live.incidents
    );
    again.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_history_and_forecasts() {
    let dir = tempfile::tempdir().unwrap();
    let mut bench = Bench::start(dir.path(), |_| {});
    let forecast = |s: &Snapshot| {
        s.live
            .entities
            .first()
            .is_some_and(|e| e.features.iter().all(|f| f.forecast.is_some()))
    };
    let snapshot = bench.until("forecast", forecast).await;
    let forecast = snapshot.live.entities[0].features[0]
        .forecast
        .clone()
        .unwrap();
    for ((low, y), high) in forecast
        .lower
        .iter()
        .zip(&forecast.yhat)
        .zip(&forecast.upper)
    {
        assert!(low <= y && y <= high);
    }
    let query = HistoryQuery {
        pipeline: PipelineId::Live,
        entity: Entity::sole(),
        from: None,
        to: None,
        max_points: 100,
    };
    let answer = bench.running.control.history(query.clone()).await.unwrap();
    assert!(
        answer.grid.len() <= 100 && answer.grid.len() > 50,
        "{:?}",
        answer.grid
    );
    assert_eq!(answer.series.len(), 2);
    assert!(
        answer
            .series
            .iter()
            .all(|s| s.values.len() == answer.grid.len() && s.forecast.is_some())
    );
    let nobody = HistoryQuery {
        entity: Entity::named("nobody"),
        ..query
    };
    assert_eq!(
        bench.running.control.history(nobody).await,
        Err(ControlError::NotFound)
    );
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelled_and_impossible_trainings_leave_no_model_and_say_so() {
    let dir = tempfile::tempdir().unwrap();
    let mut bench = Bench::start(dir.path(), |config| config.autoencoder.epochs = 5000);
    bench
        .until("training", |s| {
            s.live.training.as_ref().is_some_and(|t| t.epoch > 0)
        })
        .await;
    bench
        .running
        .control
        .send(Command::CancelTraining(PipelineId::Live))
        .unwrap();
    let ended = bench
        .until("cancelled", |s| s.live.last_training.is_some())
        .await;
    let outcome = ended.live.last_training.clone().unwrap();
    assert!(outcome.result.is_err_and(|why| why.contains("cancel")));
    assert!(ended.live.model.is_none());
    bench.stop().await;

    let mut bench = Bench::start(dir.path(), |config| config.autoencoder.window = 850);
    let waiting = bench
        .until("waiting", |s| {
            !s.live.entities.is_empty() && s.live.training.is_none()
        })
        .await;
    assert!(
        waiting.live.readiness.text.contains("windows"),
        "{:?}",
        waiting.live.readiness
    );
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_wait_for_a_model_is_told_once_history_and_pace_are_known() {
    let dir = tempfile::tempdir().unwrap();
    // 900 rows of history make 31 windows of 870 rows; the other 89 come with rows at 10 a second.
    let mut bench = Bench::start(dir.path(), |config| config.autoencoder.window = 870);
    let first = Arc::clone(&bench.running.snapshots.borrow());
    let before = &first.live.readiness;
    assert_eq!((before.have, before.eta), (0, None));
    assert_eq!(before.text, "waiting for history: 0 of 120 windows");
    let told = |s: &Snapshot| s.live.readiness.eta.is_some();
    let after = bench.until("told", told).await.live.readiness.clone();
    let wait = Duration::from_millis(100) * u32::try_from(120 - after.have).unwrap();
    assert_eq!(after.eta, Some(wait), "{after:?}");
    assert!(after.have >= 31, "{after:?}");
    let text = format!("ready in about {} s: {} of", wait.as_secs(), after.have);
    assert!(after.text.starts_with(&text), "{after:?}");
    bench.stop().await;

    // No row comes after the last one of a recording: not enough for windows of 1,100 rows.
    let mut bench = Bench::start(dir.path(), |config| config.autoencoder.window = 1_100);
    let over = bench.until("played", |s| finished(&s.live)).await;
    let readiness = &over.live.readiness;
    assert_eq!(readiness.eta, None, "{readiness:?}");
    assert_eq!(readiness.text, "too few rows: 101 of 120 windows");
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn test_mode_runs_beside_live_mode_and_finds_what_was_put_in() {
    let dir = tempfile::tempdir().unwrap();
    let mut bench = Bench::start(dir.path(), |config| config.autoencoder.epochs = 12);
    assert!(bench.running.snapshots.borrow().test.is_none());
    bench.running.control.send(Command::StartTest).unwrap();
    let done = bench
        .until("sample played", |s| s.test.as_deref().is_some_and(finished))
        .await;
    let test = done.test.as_ref().unwrap();
    assert!(
        !test.incidents.is_empty(),
        "{:?} {:?}",
        test.last_training,
        test.model
    );
    assert!(test.entities[0].anomalous.iter().any(|mark| mark > 0.0));
    assert_eq!(
        done.live.counters.incidents_total,
        done.live.incidents.len() as u64,
        "test incidents are not the live ones"
    );
    bench.stop().await;
}
