//! What a label does at once, what it would have done, and that it can be undone.

use std::path::Path;

use pulsewatch::cli::{IncidentsLabelArgs, LabelWord};
use pulsewatch::commands::incidents;
use pulsewatch::config::Config;
use pulsewatch::domain::{
    Command, Entity, Incident, IncidentState, KeptScore, Label, Snapshot, Time, Why,
};
use pulsewatch::store::Journal;

use crate::common::driver::Driver;
use crate::fixture::{NOW, STEP, config, is_scoring, noticed, scoring, server};

/// Incidents of long ago: peaks of 1.4, 1.6, 2.5 and 9 times the threshold.
const PEAKS: [f64; 4] = [1.4, 1.6, 2.5, 9.0];

fn remember(dir: &Path) {
    let (mut journal, _) = Journal::open(&dir.join("journal.sqlite")).unwrap();
    for (n, peak) in (1..).zip(PEAKS) {
        let start = NOW - 86_400 + n * 7200;
        let time = |row: i64| Time::from_secs(start + row * STEP);
        journal
            .insert(&Incident {
                id: 0,
                entity: Entity::sole(),
                start: time(0),
                end: time(4),
                peak: time(2),
                peak_score: peak,
                peak_alarm: Some(peak),
                state: IncidentState::Closed,
                features: Vec::new(),
                why: Why::default(),
                acknowledged: false,
                label: None,
            })
            .unwrap();
        let scores = [1.1, 1.2, peak, 1.2, 1.1];
        let rows: Vec<KeptScore> = (0..)
            .zip(scores)
            .map(|(row, score)| KeptScore {
                entity: Entity::sole(),
                time: time(row),
                score,
                passed: true,
            })
            .collect();
        journal.keep_scores(&rows).unwrap();
    }
}

fn say(dir: &Path, config: &Config, id: u64, label: Option<LabelWord>, preview: bool) -> String {
    let args = IncidentsLabelArgs {
        id,
        label,
        clear: label.is_none(),
        preview,
        json: false,
    };
    let mut out = Vec::new();
    incidents::label(dir, config, &args, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn threshold(snapshot: &Snapshot) -> f64 {
    snapshot.live.model.as_ref().unwrap().threshold_mse
}

/// An incident of long ago whose rows are no longer kept.
fn remember_without_rows(journal: &mut Journal, n: i64, score: f64, alarm: Option<f64>) -> u64 {
    let start = Time::from_secs(NOW - 86_400 + n * 7200);
    let incident = Incident {
        id: 0,
        entity: Entity::sole(),
        start,
        end: start,
        peak: start,
        peak_score: score,
        peak_alarm: alarm,
        state: IncidentState::Closed,
        features: Vec::new(),
        why: Why::default(),
        acknowledged: false,
        label: None,
    };
    journal.insert(&incident).unwrap()
}

#[test]
fn a_label_goes_by_the_height_of_the_alarm_and_not_by_the_published_score() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, _) = Journal::open(&dir.path().join("journal.sqlite")).unwrap();
    let mut of = |n, score, alarm| remember_without_rows(&mut journal, n, score, alarm);
    let low = of(1, 9.0, Some(1.5));
    let high = of(2, 1.2, Some(9.0));
    let unknown = of(3, 2.0, None);
    drop(journal);
    let config = Config::default();
    let told = |id| say(dir.path(), &config, id, Some(LabelWord::False), true);

    let within = told(low);
    assert!(within.contains("Threshold 1.00× → 1.53×"), "{within}");
    assert!(!within.contains("would still alert"), "{within}");

    let beyond = told(high);
    assert!(beyond.contains("unchanged at 1.00×"), "{beyond}");
    assert!(
        beyond.contains("An incident this large would still alert"),
        "{beyond}"
    );

    let unknown = told(unknown);
    assert!(unknown.contains("unchanged at 1.00×"), "{unknown}");
    assert!(
        unknown.contains("The height of its alarm is not stored"),
        "{unknown}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_false_alarm_raises_the_threshold_at_once_and_until_it_is_cleared() {
    let dir = tempfile::tempdir().unwrap();
    remember(dir.path());
    let fake = server().await;
    let config = config(&fake.url(), &["cpu", "load"]);
    let mut driver = scoring(&config, dir.path()).await;
    let calibrated = threshold(&driver.snapshot());

    let told = say(dir.path(), &config, 2, Some(LabelWord::False), true);
    assert!(
        told.starts_with("Replaying stored data: 2 of 4 incidents would go, 0 real ones lost."),
        "{told}"
    );
    driver.go_on(3).await;
    assert_eq!(
        threshold(&driver.snapshot()),
        calibrated,
        "a preview changes nothing"
    );

    // From the shell, beside the engine.
    say(dir.path(), &config, 1, Some(LabelWord::Real), false);
    let told = say(dir.path(), &config, 2, Some(LabelWord::False), false);
    assert!(
        told.contains("1 of 4 incidents would go, 1 real one lost"),
        "{told}"
    );
    let raised = driver
        .until("raised", |s| threshold(s) >= calibrated * 1.6)
        .await;
    let factor = threshold(&raised) / calibrated;
    assert!((1.6..=3.0).contains(&factor), "{factor}");
    assert!(noticed(&raised, "labelled false: the threshold is"));
    driver.stop().await;

    let mut driver = Driver::open(&config, dir.path(), Time::from_secs(NOW + 10 * STEP));
    let again = driver.until("scoring again", is_scoring).await;
    assert!((threshold(&again) / calibrated - factor).abs() < 1e-6);

    // A peak out of reach raises it no further than the bound.
    driver.send(Command::Label(4, Some(Label::False)));
    driver.go_on(2).await;
    assert!(threshold(&driver.snapshot()) <= calibrated * 3.0 + 1e-12);
    driver.send(Command::Label(4, None));
    driver.send(Command::Label(2, None));
    driver
        .until("lowered again", |s| {
            (threshold(s) / calibrated - 1.0).abs() < 1e-6
        })
        .await;
    driver.stop().await;
    let told = say(dir.path(), &config, 2, None, true);
    assert!(
        told.starts_with("Replaying stored data: 0 of 4 incidents would go, 0 real ones lost"),
        "{told}"
    );
}
