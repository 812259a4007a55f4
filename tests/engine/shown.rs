//! What the engine shows a dashboard beside scores: verdicts, models, this process, what a label would change.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pulsewatch::cli::{IncidentsLabelArgs, LabelWord};
use pulsewatch::commands::incidents;
use pulsewatch::config::Config;
use pulsewatch::domain::{
    Command, Control, ControlError, Entity, Incident, IncidentState, KeptScore, Label, PipelineId,
    RECENT, RowState, Snapshot, Time, Why,
};
use pulsewatch::store::Journal;

use crate::{Bench, START, STEP, finished, off};

pub fn version(snapshot: &Snapshot) -> Option<&str> {
    snapshot.live.model.as_ref().map(|m| m.version.as_str())
}

pub fn noticed(snapshot: &Snapshot, words: &str) -> bool {
    snapshot.notices.iter().any(|n| n.text.contains(words))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_verdicts_are_there_and_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let mut bench = Bench::start(dir.path(), |config| config.ui.max_points = 120);
    let done = bench.until("finished", |s| finished(&s.live)).await;
    let view = &done.live.entities[0];
    let times: Vec<Time> = view.recent.iter().map(|v| v.time).collect();
    assert_eq!(times.len(), 120);
    assert!(times.is_sorted() && view.recent.len() <= RECENT);
    assert_eq!(times.last(), view.grid.last().as_ref());
    assert_eq!(view.recent.last(), view.latest.as_ref());
    let scored = view.recent.iter().filter(|v| v.state == RowState::Scored);
    for verdict in scored {
        let (row, gates) = (view.grid.row(verdict.time).unwrap(), &verdict.gates);
        assert_eq!(view.scores.iter().nth(row), verdict.score);
        assert_eq!(gates[0].name, "threshold");
        assert!(verdict.features.iter().all(|f| f.lower <= f.upper));
    }
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_before_the_first_model_have_verdicts_too() {
    let dir = tempfile::tempdir().unwrap();
    let mut bench = Bench::start(dir.path(), |config| config.autoencoder.window = 1_100);
    let over = bench.until("played", |s| finished(&s.live)).await;
    let view = &over.live.entities[0];
    assert!(view.recent.len() > 100, "{}", view.recent.len());
    let provisional = view.recent.iter().filter(|v| v.provisional.is_some());
    assert!(provisional.count() > 100);
    assert!(view.recent.iter().all(|v| v.state == RowState::WarmingUp));
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn losses_come_while_training_and_stay_after_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut bench = Bench::start(dir.path(), |_| {});
    let trained = bench
        .until("trained", |s| s.live.last_training.is_some())
        .await;
    let outcome = trained.live.last_training.clone().unwrap();
    let model = trained.live.model.clone().unwrap();
    assert_eq!(outcome.losses.len(), model.epochs, "{outcome:?}");
    let best = outcome.losses.iter().copied().fold(f64::INFINITY, f64::min);
    assert!((best - model.val_loss).abs() < 1e-9, "{best} {model:?}");
    assert!(outcome.decision.is_some_and(|d| d.promoted));
    #[cfg(target_os = "linux")]
    assert!(trained.process.memory.is_some_and(|bytes| bytes > 1 << 20));
    bench.stop().await;
}

/// An engine with two models: the versions of the first and of the newest one.
pub async fn two_models(dir: &Path) -> (Bench, String, String) {
    let mut bench = Bench::start(dir, |_| {});
    let first = bench.until("trained", |s| version(s).is_some()).await;
    let first = version(&first).unwrap().to_owned();
    bench.stop().await;
    // Other settings, for the same would give the same model.
    let mut bench = Bench::start(dir, |config| config.autoencoder.epochs = 6);
    // Later than all of the first run, or which one is the newest is a matter of chance.
    bench.now = bench.now + Duration::from_hours(1);
    bench.until("loaded", |s| s.live.models.len() == 1).await;
    let retrain = Command::Retrain(PipelineId::Live);
    bench.running.control.send(retrain).unwrap();
    let two = bench
        .until("trained anew", |s| s.live.models.len() == 2)
        .await;
    let newest = two.live.models[0].model.version.clone();
    assert_ne!(newest, first);
    (bench, first, newest)
}

pub fn current(snapshot: &Snapshot) -> Vec<(&str, bool)> {
    let models = snapshot.live.models.iter();
    models
        .map(|m| (m.model.version.as_str(), m.is_current))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn another_model_can_be_chosen_and_is_there_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let (mut bench, first, newest) = two_models(dir.path()).await;
    for chosen in [&newest, &first, &newest] {
        let order = Command::UseModel(chosen.clone());
        bench.running.control.send(order).unwrap();
        let changed = |s: &Snapshot| version(s) == Some(chosen);
        let now = bench.until("changed", changed).await;
        let shown = current(&now);
        assert_eq!(shown[0], (newest.as_str(), *chosen == newest));
        assert_eq!(shown[1], (first.as_str(), *chosen == first));
    }
    let order = Command::UseModel(first.clone());
    bench.running.control.send(order).unwrap();
    bench
        .until("told", |s| {
            noticed(
                s,
                &format!("{first} scores from now on, in place of {newest}"),
            )
        })
        .await;
    bench.stop().await;

    let mut again = Bench::start(dir.path(), |_| {});
    let shown = again.until("scoring", |s| version(s).is_some()).await;
    assert_eq!(version(&shown), Some(first.as_str()));
    assert_eq!(shown.live.models.len(), 2, "known from the start");
    again.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_can_not_be_taken_changes_nothing_and_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let (mut bench, first, newest) = two_models(dir.path()).await;
    let scoring = version(&bench.running.snapshots.borrow())
        .unwrap()
        .to_owned();
    let other = if scoring == first { newest } else { first };
    for (asked, words) in [
        ("../journal", "there is no model ../journal"),
        (scoring.as_str(), "scores already"),
    ] {
        let order = Command::UseModel(asked.to_owned());
        bench.running.control.send(order).unwrap();
        bench.until(words, |s| noticed(s, words)).await;
    }
    let bundle = dir
        .path()
        .join("models")
        .join(&other)
        .join("bundle.safetensors");
    std::fs::write(bundle, b"rubble").unwrap();
    bench
        .running
        .control
        .send(Command::UseModel(other.clone()))
        .unwrap();
    let after = bench.until("set aside", |s| s.live.models.len() == 1).await;
    assert!(noticed(&after, &format!("model {other} is damaged")));
    assert_eq!(current(&after), [(scoring.as_str(), true)]);
    bench.stop().await;

    // With other features to look at it does not fit.
    let dir = tempfile::tempdir().unwrap();
    let (bench, first, newest) = two_models(dir.path()).await;
    bench.stop().await;
    let mut bench = Bench::start(dir.path(), |config| config.autoencoder.window += 1);
    let none = bench.until("listed", |s| !s.live.models.is_empty()).await;
    assert!(none.live.models.iter().all(|m| !m.is_current));
    for asked in [first, newest] {
        let words = format!("model {asked} does not fit the configuration");
        bench
            .running
            .control
            .send(Command::UseModel(asked))
            .unwrap();
        bench.until("refused", |s| noticed(s, &words)).await;
    }
    bench.stop().await;
}

/// Incidents with these peaks, each of five kept rows.
pub fn remember(dir: &Path, peaks: &[f64]) {
    let (mut journal, _) = Journal::open(&dir.join("journal.sqlite")).unwrap();
    for (n, peak) in (0_i64..).zip(peaks) {
        let time = |row: i64| Time::from_secs(START + (n * 50 + row) * STEP);
        let incident = Incident {
            id: 0,
            entity: Entity::sole(),
            start: time(0),
            end: time(4),
            peak: time(2),
            peak_score: *peak,
            peak_alarm: Some(*peak),
            state: IncidentState::Closed,
            features: Vec::new(),
            why: Why::default(),
            acknowledged: false,
            label: None,
        };
        journal.insert(&incident).unwrap();
        let rows = (0..5).map(|row| KeptScore {
            entity: Entity::sole(),
            time: time(row),
            score: if row == 2 { *peak } else { 1.1 },
            passed: true,
        });
        journal.keep_scores(&rows.collect::<Vec<_>>()).unwrap();
    }
}

pub fn shell(dir: &Path, config: &Config, id: u64, label: LabelWord) -> String {
    let args = IncidentsLabelArgs {
        id,
        label: Some(label),
        clear: false,
        preview: true,
        json: false,
    };
    let mut out = Vec::new();
    incidents::label(dir, config, &args, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_says_what_the_shell_says() {
    let dir = tempfile::tempdir().unwrap();
    remember(dir.path(), &[1.4, 1.6, 2.5, 9.0]);
    let mut bench = Bench::start(dir.path(), |_| {});
    bench.until("finished", |s| finished(&s.live)).await;
    let config = Arc::clone(&bench.config);
    for (id, word, label) in [
        (2, LabelWord::False, Label::False),
        (3, LabelWord::False, Label::False),
        (1, LabelWord::Real, Label::Real),
    ] {
        let effect = bench.running.control.preview(id, Some(label)).await;
        let told = format!("{}\n", effect.unwrap().told());
        assert_eq!(told, shell(dir.path(), &config, id, word));
    }
    let effect = bench.running.control.preview(2, Some(Label::False)).await;
    assert!(effect.unwrap().removed.len() >= 2);
    let shown = bench.running.snapshots.borrow().clone();
    assert!(shown.live.incidents.iter().all(|i| i.label.is_none()));
    for nobody in [999, 1_000_001] {
        let effect = bench.running.control.preview(nobody, None).await;
        assert_eq!(effect, Err(ControlError::NotFound));
    }
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_over_a_full_journal_does_not_hold_up_the_loop() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, _) = Journal::open(&dir.path().join("journal.sqlite")).unwrap();
    let rows = (0..100_000_i64).map(|row| KeptScore {
        entity: Entity::sole(),
        time: Time::from_secs(START + (row - 200_000) * STEP),
        score: 0.9 + (row % 7) as f64 / 20.0,
        passed: true,
    });
    journal.keep_scores(&rows.collect::<Vec<_>>()).unwrap();
    drop(journal);
    remember(dir.path(), &[1.4]);
    let bench = Bench::start(dir.path(), off);
    let began = Instant::now();
    let control = Arc::clone(&bench.running.control);
    let asked = tokio::spawn(async move { control.preview(1, Some(Label::False)).await });
    let mut slowest = Duration::ZERO;
    while !asked.is_finished() {
        let asked = Instant::now();
        let sent = bench.running.control.preview(999_999, None);
        let _ = tokio::time::timeout(Duration::from_secs(5), sent).await;
        slowest = slowest.max(asked.elapsed());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let effect = asked.await.unwrap().unwrap();
    assert!(effect.replayed > 0);
    println!(
        "{:?} in all, {slowest:?} for another question",
        began.elapsed()
    );
    let busy = [1, 1, 1, 1].map(|id| bench.running.control.preview(id, None));
    let answers = futures::future::join_all(busy).await;
    assert!(answers.contains(&Err(ControlError::Busy)), "{answers:?}");
    assert!(answers.iter().any(Result::is_ok));
    bench.stop().await;
}
