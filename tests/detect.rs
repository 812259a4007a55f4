//! Scores become verdicts, verdicts become incidents: gates, hysteresis, restarts, gaps.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::float_cmp
)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use pulsewatch::config::{DetectConfig, Expr, MinDeviation, QueryConfig, Ratio, Span};
use pulsewatch::detect::gates::JudgeRules;
use pulsewatch::detect::incident::{IncidentChange, Tracker};
use pulsewatch::detect::judge::{Judge, Row, Scored};
use pulsewatch::domain::{
    Direction, Entity, Feature, FeatureVerdict, Incident, IncidentState, Label, RowState, Schema,
    Time, Unit, Verdict,
};

const STEP: Duration = Duration::from_secs(60);

fn at(row: i64) -> Time {
    Time::from_secs(1_700_000_000 + 60 * row)
}

fn schema(directions: &[Direction]) -> Schema {
    let feature = |(column, direction): (usize, &Direction)| Feature {
        direction: *direction,
        ..Feature::plain(&format!("f{column}"))
    };
    directions.iter().enumerate().map(feature).collect()
}

fn query(min_deviation: MinDeviation, mute: bool) -> QueryConfig {
    QueryConfig {
        expr: Expr::Everywhere("up".into()),
        unit: Unit::None,
        direction: Direction::Both,
        min_deviation,
        limit: None,
        counter: false,
        mute,
    }
}

/// Features as `(value, expected, share)`.
fn features(of: &[(f64, f64, f64)]) -> Vec<FeatureVerdict> {
    of.iter()
        .map(|(value, expected, share)| FeatureVerdict {
            value: *value,
            expected: *expected,
            lower: *expected - 0.5,
            upper: *expected + 0.5,
            mse: *share,
            share: *share,
        })
        .collect()
}

fn scored(row: i64, score: f64, of: &[(f64, f64, f64)]) -> Row {
    Row::Scored(Scored {
        time: at(row),
        ruling: None,
        score,
        alarm: score,
        mse: score * 0.01,
        features: features(of),
        usual: Arc::from([]),
        own: None,
    })
}

fn rules_of(config: &DetectConfig) -> JudgeRules {
    JudgeRules::new(config, &BTreeMap::new(), &schema(&[Direction::Both]), STEP)
}

fn config(min_duration: u64, cooldown: u64) -> DetectConfig {
    DetectConfig {
        min_duration: Span::secs(min_duration),
        cooldown: Span::secs(cooldown),
        ..DetectConfig::default()
    }
}

/// An entity on its way: a judge and a tracker with the same rules.
struct Way {
    rules: JudgeRules,
    judge: Judge,
    tracker: Tracker,
}

impl Way {
    fn new(config: &DetectConfig) -> Self {
        Self {
            rules: rules_of(config),
            judge: Judge::new(Entity::sole()),
            tracker: Tracker::new(Entity::sole()),
        }
    }

    fn step(&mut self, row: i64, score: f64) -> (Verdict, Vec<IncidentChange>) {
        let verdict = self
            .judge
            .judge(&self.rules, scored(row, score, &[(9.0, 1.0, 1.0)]));
        let changes = self.tracker.track(&self.rules, &verdict);
        (verdict, changes)
    }

    fn skip(&mut self, row: i64) -> Vec<IncidentChange> {
        let state = RowState::Stale;
        let row = Row::Unscored {
            time: at(row),
            state,
        };
        let verdict = self.judge.judge(&self.rules, row);
        assert_eq!((verdict.score, verdict.is_anomaly), (None, false));
        self.tracker.track(&self.rules, &verdict)
    }

    /// Scores row by row from row 0; what happened, as letters: `o`pened, `u`pdated, `c`losed, `-` nothing.
    fn run(&mut self, scores: &[f64]) -> String {
        let mut story = String::new();
        for (row, score) in scores.iter().enumerate() {
            let row = i64::try_from(row).unwrap();
            let changes = if score.is_nan() {
                self.skip(row)
            } else {
                self.step(row, *score).1
            };
            story.push_str(&told(&changes));
        }
        story
    }

    fn restarted(self) -> Self {
        let judge = serde_json::to_string(&self.judge).unwrap();
        let tracker = serde_json::to_string(&self.tracker).unwrap();
        Self {
            rules: self.rules,
            judge: serde_json::from_str(&judge).unwrap(),
            tracker: serde_json::from_str(&tracker).unwrap(),
        }
    }
}

fn told(changes: &[IncidentChange]) -> String {
    if changes.is_empty() {
        return "-".into();
    }
    let letter = |change: &IncidentChange| match change {
        IncidentChange::Opened(_) => 'o',
        IncidentChange::Updated(_) => 'u',
        IncidentChange::Closed(_) => 'c',
    };
    changes.iter().map(letter).collect()
}

fn closed(changes: &[IncidentChange]) -> Incident {
    let found = changes.iter().find_map(|change| match change {
        IncidentChange::Closed(incident) => Some(incident.clone()),
        _ => None,
    });
    found.expect("an incident closed")
}

#[test]
fn a_score_over_one_is_an_anomaly_and_explains_itself() {
    let mut judge = Judge::new(Entity::named("web"));
    let rules = rules_of(&DetectConfig::default());
    let quiet = judge.judge(&rules, scored(0, 0.99, &[(1.0, 1.0, 1.0)]));
    assert!(!quiet.is_anomaly);
    let only = &quiet.gates[0];
    assert_eq!((quiet.gates.len(), only.passed), (1, false));
    assert_eq!(only.detail, "score 0.99, threshold 1: no candidate");
    let loud = judge.judge(&rules, scored(1, 1.32, &[(5.0, 1.0, 1.0)]));
    assert!(loud.is_anomaly);
    assert_eq!(loud.entity, Entity::named("web"));
    let names: Vec<&str> = loud.gates.iter().map(|gate| gate.name.as_str()).collect();
    assert_eq!(names, ["threshold", "min_deviation"]);
    assert_eq!(
        loud.gates[0].detail,
        "score 1.32, threshold 1: a candidate until it is below 0.9"
    );
    assert!((loud.mse.unwrap() - 0.0132).abs() < 1e-12);
}

#[test]
fn exactly_one_is_not_over_one_and_broken_scores_are_not_numbers() {
    let rules = rules_of(&DetectConfig::default());
    let mut judge = Judge::new(Entity::sole());
    assert!(!judge.judge(&rules, scored(0, 1.0, &[])).is_anomaly);
    let broken = judge.judge(&rules, scored(1, f64::NAN, &[]));
    assert_eq!((broken.state, broken.score), (RowState::Stale, None));
    let endless = judge.judge(&rules, scored(2, f64::INFINITY, &[]));
    assert!(endless.is_anomaly && endless.score.unwrap().is_finite());
    assert_eq!(endless.mse, None);
    let said = Row::Unscored {
        time: at(3),
        state: RowState::Scored,
    };
    assert_eq!(judge.judge(&rules, said).state, RowState::Stale);
}

#[test]
fn a_run_must_last_and_a_dip_within_the_hysteresis_does_not_break_it() {
    let mut way = Way::new(&config(180, 300));
    let flags: Vec<bool> = [1.2, 0.95, 1.2, 1.2, 0.5, 1.2, 1.2, 0.89, 1.2]
        .iter()
        .enumerate()
        .map(|(row, score)| way.step(i64::try_from(row).unwrap(), *score).0.is_anomaly)
        .collect();
    assert_eq!(
        flags,
        [false, false, true, true, false, false, false, false, false]
    );
    let (verdict, _) = way.step(9, 1.2);
    let gate = verdict
        .gates
        .iter()
        .find(|g| g.name == "min_duration")
        .unwrap();
    assert!(!gate.passed);
    assert_eq!(
        gate.detail,
        "candidate for 120 s; at least 180 s is asked for"
    );
}

#[test]
fn a_gap_is_not_lasting() {
    let mut way = Way::new(&config(180, 120));
    assert!(!way.step(0, 2.0).0.is_anomaly);
    way.skip(1);
    // Two rows of candidates, whatever the clock says.
    assert!(!way.step(2, 2.0).0.is_anomaly);
    assert!(way.step(3, 2.0).0.is_anomaly);
    // After more than the cooldown without a score the run begins anew.
    assert!(!way.step(6, 2.0).0.is_anomaly);
}

#[test]
fn muted_queries_raise_nothing_alone() {
    let queries = BTreeMap::from([("f1".to_owned(), query(MinDeviation::default(), true))]);
    let schema = schema(&[Direction::Both; 3]);
    let config = DetectConfig {
        mute: vec!["f0".into()],
        ..DetectConfig::default()
    };
    let rules = JudgeRules::new(&config, &queries, &schema, STEP);
    let mut judge = Judge::new(Entity::sole());
    let mut passes = |shares: [f64; 3]| {
        let of = shares.map(|share| (9.0, 1.0, share));
        let verdict = judge.judge(&rules, scored(0, 2.0, &of));
        let gate = verdict
            .gates
            .iter()
            .find(|g| g.name == "mute")
            .unwrap()
            .clone();
        assert_eq!(gate.passed, verdict.is_anomaly);
        gate
    };
    let stopped = passes([0.3, 0.3, 0.4]);
    assert!(!stopped.passed);
    assert!(stopped.detail.contains("40 %"), "{}", stopped.detail);
    assert!(passes([0.3, 0.2, 0.5]).passed);
    // Nobody is known to carry anything: no reason to stop it.
    assert!(passes([f64::NAN, 0.0, 0.0]).passed);
}

/// Rules by which the first feature counts above what is expected, the second where it is far off.
fn only_above_or_far() -> JudgeRules {
    let least = MinDeviation {
        absolute: Some(2.0),
        relative: Some(Ratio(0.1)),
    };
    let queries = BTreeMap::from([("f1".to_owned(), query(least, false))]);
    let schema = schema(&[Direction::Above, Direction::Both]);
    JudgeRules::new(&DetectConfig::default(), &queries, &schema, STEP)
}

#[test]
fn a_candidate_says_which_deviations_do_not_count() {
    let rules = only_above_or_far();
    let mut judge = Judge::new(Entity::sole());
    let mut excused = |score, of: &[(f64, f64, f64)]| -> Vec<usize> {
        judge.judge(&rules, scored(0, score, of)).excused
    };
    let none: [usize; 0] = [];
    assert_eq!(excused(2.0, &[(9.0, 5.0, 0.9), (9.0, 0.0, 0.1)]), none);
    assert_eq!(excused(2.0, &[(1.0, 5.0, 0.9), (9.0, 0.0, 0.1)]), [0]);
    assert_eq!(excused(2.0, &[(9.0, 5.0, 0.1), (103.0, 100.0, 0.9)]), [1]);
    assert_eq!(excused(0.5, &[(1.0, 5.0, 0.9), (103.0, 100.0, 0.1)]), none);
}

#[test]
fn deviations_the_harmless_way_or_too_small_are_no_anomaly() {
    let rules = only_above_or_far();
    let mut judge = Judge::new(Entity::sole());
    let mut failed = |of: &[(f64, f64, f64)]| -> Vec<String> {
        let verdict = judge.judge(&rules, scored(0, 2.0, of));
        assert_eq!(verdict.is_anomaly, verdict.gates.iter().all(|g| g.passed));
        let gates = verdict.gates.into_iter().filter(|g| !g.passed);
        gates.map(|g| g.name).collect()
    };
    let none: [&str; 0] = [];
    assert_eq!(failed(&[(9.0, 5.0, 0.9), (0.0, 0.0, 0.1)]), none);
    assert_eq!(
        failed(&[(1.0, 5.0, 0.9), (9.0, 0.0, 0.1)]),
        ["direction", "min_deviation"]
    );
    // Over the absolute minimum, under the relative one.
    assert_eq!(
        failed(&[(9.0, 5.0, 0.1), (103.0, 100.0, 0.9)]),
        ["min_deviation"]
    );
    assert_eq!(failed(&[(9.0, 5.0, 0.1), (89.0, 100.0, 0.9)]), none);
    // One looks the harmless way, the other is too small: together they carry most of it.
    assert_eq!(
        failed(&[(1.0, 5.0, 0.4), (0.5, 0.0, 0.6)]),
        ["min_deviation"]
    );
    // A missing value cannot be excused.
    assert_eq!(failed(&[(f64::NAN, 5.0, 0.9), (0.0, 0.0, 0.1)]), none);
}

#[test]
fn a_verdict_is_final() {
    let mut way = Way::new(&config(120, 300));
    way.step(5, 2.0);
    let before = (way.judge.clone(), way.tracker.clone());
    for row in [5, 4, -100] {
        let (verdict, changes) = way.step(row, 3.0);
        assert_eq!((verdict.time, changes.len()), (at(row), 0));
    }
    assert_eq!((way.judge.clone(), way.tracker.clone()), before);
    assert_eq!(way.judge.latest(), Some(at(5)));
    assert!(way.step(6, 2.0).0.is_anomaly);
}

#[test]
fn an_incident_lives_from_its_first_candidate_to_its_last_anomaly() {
    let mut way = Way::new(&config(120, 180));
    let story = way.run(&[0.2, 1.5, 1.2, 3.0, 0.95, 0.3, 0.3]);
    assert_eq!(story, "--ou---");
    assert!(way.tracker.assign(7));
    assert!(!way.tracker.assign(8));
    let (_, changes) = way.step(7, 0.2);
    let incident = closed(&changes);
    assert_eq!(incident.id, 7);
    assert_eq!(
        (incident.start, incident.end, incident.peak),
        (at(1), at(3), at(3))
    );
    assert_eq!(
        (incident.peak_score, incident.state),
        (3.0, IncidentState::Closed)
    );
    assert_eq!(incident.features.len(), 1);
    assert_eq!(&*incident.features[0].feature, "f0");
    assert!(way.tracker.open().is_none());
}

#[test]
fn the_peak_may_be_among_the_candidates_before_it_opened() {
    let mut way = Way::new(&config(180, 180));
    assert_eq!(way.run(&[5.0, 1.1, 1.2]), "--o");
    let open = way.tracker.open().unwrap();
    assert_eq!(
        (open.peak, open.peak_score, open.start),
        (at(0), 5.0, at(0))
    );
}

#[test]
fn anomalies_within_the_cooldown_are_one_incident() {
    let one = [2.0, 0.1, 0.1, 2.0, 0.1];
    assert_eq!(Way::new(&config(0, 180)).run(&one), "o--u-");
    assert_eq!(Way::new(&config(0, 120)).run(&one), "o-co-");
    assert_eq!(Way::new(&config(0, 0)).run(&one), "oc-oc");
    // Rows that follow each other belong together even when the cooldown is shorter than a step.
    assert_eq!(Way::new(&config(0, 1)).run(&[2.0, 2.0, 2.0, 0.1]), "ouuc");
}

#[test]
fn what_stays_above_exit_is_not_quiet() {
    let mut way = Way::new(&config(0, 120));
    assert_eq!(way.run(&[2.0, 0.95, 0.95, 0.95, 0.95, 0.5, 0.5]), "o-----c");
    // Without an incident the same scores are nothing.
    assert_eq!(Way::new(&config(0, 120)).run(&[0.95, 0.95]), "--");
}

#[test]
fn a_stopped_candidate_does_not_hold_an_incident_open() {
    let schema = schema(&[Direction::Both, Direction::Both]);
    let config = DetectConfig {
        mute: vec!["f1".into()],
        cooldown: Span::secs(120),
        ..DetectConfig::default()
    };
    let rules = JudgeRules::new(&config, &BTreeMap::new(), &schema, STEP);
    let (mut judge, mut tracker) = (Judge::new(Entity::sole()), Tracker::new(Entity::sole()));
    let mut story = String::new();
    for (row, muted) in [0.1, 0.9, 0.9, 0.9].iter().enumerate() {
        let of = [(9.0, 1.0, 1.0 - muted), (9.0, 1.0, *muted)];
        let verdict = judge.judge(&rules, scored(i64::try_from(row).unwrap(), 4.0, &of));
        story.push_str(&told(&tracker.track(&rules, &verdict)));
    }
    assert_eq!(story, "o-c-");
}

#[test]
fn rows_without_a_score_and_gaps_only_let_time_pass() {
    const GAP: f64 = f64::NAN;
    let mut way = Way::new(&config(0, 180));
    assert_eq!(way.run(&[2.0, GAP, GAP, 2.0, GAP, GAP, GAP]), "o--u--c");
    let mut way = Way::new(&config(0, 180));
    way.step(0, 2.0);
    // Hours without any row: the next anomaly is another incident.
    let (_, changes) = way.step(500, 2.0);
    assert_eq!(told(&changes), "co");
    assert_eq!(closed(&changes).end, at(0));
    assert_eq!(changes[1].incident().start, at(500));
    assert_eq!(changes[1].incident().id, 0);
}

#[test]
fn a_restart_goes_on_with_the_same_incident() {
    let mut way = Way::new(&config(120, 180));
    assert_eq!(way.run(&[1.5]), "-");
    way = way.restarted();
    assert_eq!(told(&way.step(1, 1.5).1), "o");
    way.tracker.assign(3);
    assert!(way.tracker.acknowledge(3));
    assert!(way.tracker.label(3, Some(Label::Real)));
    assert!(!way.tracker.acknowledge(4));
    way = way.restarted();
    let (_, changes) = way.step(2, 2.5);
    assert_eq!(told(&changes), "u");
    let incident = changes[0].incident();
    assert_eq!(
        (incident.id, incident.start, incident.end),
        (3, at(0), at(2))
    );
    assert!(incident.acknowledged && incident.label == Some(Label::Real));
    // A row that was judged before the crash comes again: nothing happens twice.
    way = way.restarted();
    assert_eq!(told(&way.step(2, 2.5).1), "-");
}

#[test]
fn a_missing_value_survives_the_checkpoint() {
    let rules = rules_of(&DetectConfig::default());
    let verdict = Judge::new(Entity::sole()).judge(&rules, scored(0, 2.0, &[(f64::NAN, 1.0, 1.0)]));
    let mut tracker = Tracker::new(Entity::sole());
    tracker.track(&rules, &verdict);
    let text = serde_json::to_string(&tracker).unwrap();
    let again: Tracker = serde_json::from_str(&text).unwrap();
    assert!(again.open().unwrap().features[0].value.is_nan());
}

#[test]
fn a_vanished_entity_closes_its_incident() {
    let mut way = Way::new(&config(0, 180));
    way.run(&[2.0, 2.0, 0.1]);
    let change = way.tracker.vanish(at(10)).unwrap();
    let incident = closed(&[change]);
    assert_eq!(
        (incident.state, incident.end),
        (IncidentState::Vanished, at(1))
    );
    assert!(way.tracker.vanish(at(11)).is_none());
    assert_eq!(told(&way.step(9, 2.0).1), "-");
    assert_eq!(told(&way.step(12, 2.0).1), "o");
}

#[test]
fn ten_features_are_kept_largest_first() {
    let schema = schema(&[Direction::Both; 14]);
    let rules = JudgeRules::new(&DetectConfig::default(), &BTreeMap::new(), &schema, STEP);
    let shares: Vec<(f64, f64, f64)> = (0..14).map(|k| (9.0, 1.0, f64::from(k) / 91.0)).collect();
    let verdict = Judge::new(Entity::sole()).judge(&rules, scored(0, 2.0, &shares));
    let mut tracker = Tracker::new(Entity::sole());
    tracker.track(&rules, &verdict);
    let kept = &tracker.open().unwrap().features;
    let names: Vec<Arc<str>> = kept.iter().map(|c| Arc::clone(&c.feature)).collect();
    assert_eq!(names.len(), 11);
    assert_eq!(
        (&*names[0], &*names[9], &*names[10]),
        ("f13", "f4", "others")
    );
    let sum: f64 = kept.iter().map(|part| part.share).sum();
    assert!((sum - 1.0).abs() < 1e-12, "{sum}");
    assert!(kept[10].value.is_nan() && kept[10].share > 0.0);
}
