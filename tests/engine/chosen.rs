//! Choosing models and asking what a label would change, when something comes in between.

use std::path::Path;
use std::sync::Arc;

use pulsewatch::cli::LabelWord;
use pulsewatch::domain::{Command, Control, ControlError, Label, PipelineId, TrainingOutcome};
use pulsewatch::store::{Journal, Registry};

use crate::shown::{current, noticed, remember, shell, two_models, version};
use crate::{Bench, finished, off};

fn registry(dir: &Path) -> Registry {
    Registry::open(&dir.join("models"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_chosen_during_a_training_stays() {
    let dir = tempfile::tempdir().unwrap();
    let (bench, first, newest) = two_models(dir.path()).await;
    bench.stop().await;
    registry(dir.path()).use_version(&newest).unwrap();
    let mut bench = Bench::start(dir.path(), |config| config.autoencoder.epochs = 25);
    bench.until("loaded", |s| version(s) == Some(&newest)).await;
    let control = Arc::clone(&bench.running.control);
    control.send(Command::Retrain(PipelineId::Live)).unwrap();
    bench
        .until("training", |s| {
            s.live.training.as_ref().is_some_and(|t| t.epoch > 0)
        })
        .await;
    control.send(Command::UseModel(first.clone())).unwrap();
    let ended = bench
        .until("trained", |s| s.live.last_training.is_some())
        .await;
    assert_eq!(version(&ended), Some(first.as_str()));
    let shown = current(&ended);
    assert_eq!(shown.len(), 3, "{shown:?}");
    let scoring: Vec<&str> = shown.iter().filter(|m| m.1).map(|m| m.0).collect();
    assert_eq!(scoring, [first.as_str()]);
    let TrainingOutcome {
        result, decision, ..
    } = ended.live.last_training.clone().unwrap();
    let (trained, decision) = (result.unwrap(), decision.unwrap());
    assert!(!decision.promoted && decision.comparison.is_none());
    let words = format!("model {first} was chosen to score while it was trained");
    assert_eq!(decision.reason, words);
    assert!(noticed(
        &ended,
        &format!("model {trained} was refused: {words}; it is kept")
    ));
    let kept = registry(dir.path());
    assert_eq!(kept.current_version().unwrap(), Some(first));
    assert!(kept.find(&trained).unwrap().was_refused());

    // The next training is compared with what scores by then.
    control.send(Command::UseModel(trained.clone())).unwrap();
    bench
        .until("changed", |s| version(s) == Some(&trained))
        .await;
    control.send(Command::Retrain(PipelineId::Live)).unwrap();
    let before = ended.live.last_training.clone();
    let again = bench
        .until("trained again", |s| s.live.last_training != before)
        .await;
    let decision = again.live.last_training.clone().unwrap().decision.unwrap();
    assert!(!decision.reason.contains("was chosen"), "{decision:?}");
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_scores_already_is_what_the_next_start_takes() {
    let dir = tempfile::tempdir().unwrap();
    let (mut bench, first, newest) = two_models(dir.path()).await;
    let now = bench.until("scoring", |s| version(s).is_some()).await;
    let scoring = version(&now).unwrap().to_owned();
    let other = if scoring == first { newest } else { first };
    // As from a shell beside the engine.
    let models = registry(dir.path());
    models.use_version(&other).unwrap();
    let order = Command::UseModel(scoring.clone());
    bench.running.control.send(order).unwrap();
    bench.until("told", |s| noticed(s, "scores already")).await;
    assert_eq!(models.current_version().unwrap(), Some(scoring));
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_scores_also_when_labels_can_not_be_read() {
    let dir = tempfile::tempdir().unwrap();
    let (mut bench, first, newest) = two_models(dir.path()).await;
    let now = bench.until("scoring", |s| version(s).is_some()).await;
    let other = if version(&now) == Some(&first) {
        newest
    } else {
        first
    };
    let raw = rusqlite::Connection::open(dir.path().join("journal.sqlite")).unwrap();
    raw.execute_batch("ALTER TABLE incidents RENAME COLUMN label TO lost")
        .unwrap();
    let order = Command::UseModel(other.clone());
    bench.running.control.send(order).unwrap();
    let words = format!("labels could not be read and do not count for model {other} yet");
    let taken = bench
        .until("taken", |s| {
            noticed(s, &format!("model {other} scores from now on"))
        })
        .await;
    assert_eq!(version(&taken), Some(other.as_str()));
    assert!(noticed(&taken, &words), "{:?}", taken.notices);
    assert!(!noticed(&taken, "could not be taken"));
    assert_eq!(registry(dir.path()).current_version().unwrap(), Some(other));
    raw.execute_batch("ALTER TABLE incidents RENAME COLUMN lost TO label")
        .unwrap();
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_model_that_scores_a_preview_goes_by_the_one_that_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    remember(dir.path(), &[1.4, 1.6, 2.5, 9.0]);
    let mut bench = Bench::start(dir.path(), |_| {});
    bench.until("trained", |s| s.live.model.is_some()).await;
    bench.stop().await;
    let mut bench = Bench::start(dir.path(), off);
    bench.until("played", |s| finished(&s.live)).await;
    let config = Arc::clone(&bench.config);
    let effect = bench.running.control.preview(2, Some(Label::False)).await;
    let told = format!("{}\n", effect.unwrap().told());
    assert_eq!(told, shell(dir.path(), &config, 2, LabelWord::False));
    bench.stop().await;
}

/// The engine writes on in the file that it has open, wherever that is: a preview must not take the place of it.
#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_preview_never_sets_the_journal_aside() {
    let dir = tempfile::tempdir().unwrap();
    remember(dir.path(), &[1.4]);
    let mut bench = Bench::start(dir.path(), |_| {});
    bench.until("finished", |s| finished(&s.live)).await;
    let path = |name: String| dir.path().join(name);
    let files = ["", "-wal", "-shm"].map(|end| format!("journal.sqlite{end}"));
    for file in &files {
        std::fs::rename(path(file.clone()), path(format!("away-{file}"))).unwrap();
    }
    let rubble = b"no database at all, only a line of text".repeat(40);
    std::fs::write(path(files[0].clone()), &rubble).unwrap();
    let effect = bench.running.control.preview(1, Some(Label::False)).await;
    assert_eq!(effect, Err(ControlError::Failed));
    assert_eq!(std::fs::read(path(files[0].clone())).unwrap(), rubble);
    let names = std::fs::read_dir(dir.path()).unwrap();
    let names: Vec<String> = names
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(!names.iter().any(|n| n.contains("damaged")), "{names:?}");
    for file in &files {
        std::fs::rename(path(format!("away-{file}")), path(file.clone())).unwrap();
    }
    let effect = bench.running.control.preview(1, Some(Label::False)).await;
    assert!(effect.is_ok(), "{effect:?}");
    bench.stop().await;
    let (journal, aside) = Journal::open(&path(files[0].clone())).unwrap();
    assert!(aside.is_none() && journal.get(1).unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_trainings_on_the_same_data_give_the_same_model() {
    let dir = tempfile::tempdir().unwrap();
    let mut bench = Bench::start(dir.path(), |config| config.autoencoder.epochs = 25);
    bench
        .until("training", |s| {
            s.live.training.as_ref().is_some_and(|t| t.epoch > 0)
        })
        .await;
    let retrain = Command::Retrain(PipelineId::Live);
    bench.running.control.send(retrain).unwrap();
    let first = bench.until("trained", |s| version(s).is_some()).await;
    let scoring = version(&first).unwrap().to_owned();
    let again = bench
        .until("trained again", |s| {
            let decision = s
                .live
                .last_training
                .as_ref()
                .and_then(|t| t.decision.as_ref());
            decision.is_some_and(|decision| decision.reason != "it is the first")
        })
        .await;
    let outcome = again.live.last_training.clone().unwrap();
    assert_eq!(outcome.result, Ok(scoring.clone()));
    let decision = outcome.decision.unwrap();
    assert!(decision.promoted, "{decision:?}");
    assert_eq!(
        decision.reason,
        "it scores already, as the data and the settings are the same"
    );
    assert_eq!(version(&again), Some(scoring.as_str()));
    assert!(!registry(dir.path()).find(&scoring).unwrap().was_refused());
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_detects_nothing_is_trained_and_that_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let mut bench = Bench::start(dir.path(), off);
    let played = bench.until("played", |s| finished(&s.live)).await;
    assert_eq!(
        played.live.readiness.text,
        "nothing is scored: [autoencoder] enabled = false and [forecast] enabled = false"
    );
    assert!(!played.app.trains);
    let retrain = Command::Retrain(PipelineId::Live);
    bench.running.control.send(retrain).unwrap();
    let told = "no model is trained: [autoencoder] enabled = false and [forecast] enabled = false";
    let said = bench.until("said", |s| noticed(s, told)).await;
    assert!(said.live.training.is_none() && said.live.last_training.is_none());
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_cancelled_training_readiness_says_when_the_next_one_begins() {
    let dir = tempfile::tempdir().unwrap();
    let mut bench = Bench::start(dir.path(), |config| {
        config.autoencoder.epochs = 100_000;
        config.autoencoder.patience = 100_000;
    });
    bench
        .until("training", |s| {
            s.live.training.as_ref().is_some_and(|t| t.epoch > 0)
        })
        .await;
    let cancel = Command::CancelTraining(PipelineId::Live);
    bench.running.control.send(cancel).unwrap();
    let ended = bench
        .until("cancelled", |s| s.live.last_training.is_some())
        .await;
    let text = &ended.live.readiness.text;
    let words = "the last training was cancelled; the next begins in about ";
    assert!(text.starts_with(words), "{text}");
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fresh_spikes_in_the_sample_are_judged_apart_from_what_plays() {
    let dir = tempfile::tempdir().unwrap();
    let mut bench = Bench::start(dir.path(), |_| {});
    let control = Arc::clone(&bench.running.control);
    assert_eq!(control.spiked(1).await, Err(ControlError::NotFound));
    control.send(Command::StartTest).unwrap();
    let trained =
        |s: &pulsewatch::domain::Snapshot| s.test.as_ref().is_some_and(|test| test.model.is_some());
    bench.until("test mode has a model", trained).await;
    let (mut found, mut calm) = (0, 0);
    for seed in 0..10 {
        let rows = control.spiked(seed).await.unwrap();
        assert_eq!(
            (rows.times.len(), rows.scores.len(), rows.anomalous.len()),
            (50, 50, 50)
        );
        assert_eq!(rows.injected.len(), 2);
        assert!(
            rows.injected
                .iter()
                .all(|spike| (spike.deviations - 10.0).abs() < 1e-9)
        );
        assert_eq!(
            rows,
            control.spiked(seed).await.unwrap(),
            "the same seed, the same answer"
        );
        let is_anomaly = |time| {
            let row = rows.times.iter().position(|own| *own == time).unwrap();
            rows.anomalous[row]
        };
        found += rows
            .injected
            .iter()
            .filter(|spike| is_anomaly(spike.time))
            .count();
        let spiked = |time| rows.injected.iter().any(|spike| spike.time == time);
        let before = rows.times.iter().take_while(|time| !spiked(**time));
        calm += before.filter(|time| is_anomaly(**time)).count();
    }
    assert!(found >= 14, "{found} of 20 spikes were found");
    assert_eq!(calm, 0, "rows before a spike are normal");
    bench.stop().await;
}
