//! What keeps an alarm from being a false one: maintenance, small deviations, level shifts, incidents that touch; and what
//! is told of it.
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

use jiff::tz::TimeZone;
use pulsewatch::config::{DetectConfig, Expr, Maintenance, MinDeviation, QueryConfig, Ratio, Span};
use pulsewatch::detect::gates::JudgeRules;
use pulsewatch::detect::incident::{IncidentChange, Tracker};
use pulsewatch::detect::judge::{Judge, Row, Scored};
use pulsewatch::detect::maintenance::Windows;
use pulsewatch::detect::threshold::Ruling;
use pulsewatch::domain::{
    Direction, Entity, Feature, FeatureVerdict, Gate, Incident, IncidentState, RowState, Schema,
    Time, Unit, Verdict,
};
use pulsewatch::prep::scale::Usual;

const STEP: Duration = Duration::from_secs(60);

fn moment(text: &str) -> Time {
    let stamp: jiff::Timestamp = text.parse().unwrap();
    Time::from_millis(stamp.as_millisecond())
}

fn plain(units: &[Unit]) -> Schema {
    let feature = |(column, unit): (usize, &Unit)| {
        Feature::of(&format!("f{column}"), unit.clone(), Direction::Both, None)
    };
    units.iter().enumerate().map(feature).collect()
}

fn windows(text: &str) -> Windows {
    #[derive(serde::Deserialize)]
    struct File {
        maintenance: Vec<Maintenance>,
    }
    let file: File = toml::from_str(text).unwrap();
    Windows::new(&file.maintenance, &TimeZone::UTC).unwrap()
}

/// What a model has seen of a feature.
const fn seen(median: f64, range: f64) -> Usual {
    Usual { median, range }
}

/// `(value, expected, share)`.
type Of = (f64, f64, f64);

/// A judge, a tracker and their rules, wired as the engine wires them.
struct Way {
    rules: JudgeRules,
    judge: Judge,
    tracker: Tracker,
    usual: Arc<[Option<Usual>]>,
    /// What recent calm makes of every row.
    ruling: Option<Ruling>,
}

impl Way {
    fn over(config: &DetectConfig, schema: &Schema) -> Self {
        Self {
            rules: JudgeRules::new(config, &BTreeMap::new(), schema, STEP),
            judge: Judge::new(Entity::sole()),
            tracker: Tracker::new(Entity::sole()),
            usual: Arc::from([]),
            ruling: None,
        }
    }

    fn new(config: &DetectConfig) -> Self {
        Self::over(config, &plain(&[Unit::None]))
    }

    fn row(&mut self, time: Time, score: f64, of: &[Of]) -> (Verdict, Vec<IncidentChange>) {
        let features = of
            .iter()
            .map(|(value, expected, share)| FeatureVerdict {
                value: *value,
                expected: *expected,
                lower: *expected - 1.0,
                upper: *expected + 1.0,
                mse: *share,
                share: *share,
            })
            .collect();
        let row = Row::Scored(Scored {
            time,
            ruling: self.ruling,
            score,
            alarm: score,
            mse: score,
            features,
            usual: Arc::clone(&self.usual),
            own: None,
        });
        let verdict = self.judge.judge(&self.rules, row);
        let changes = self.tracker.track(&self.rules, &verdict);
        for change in &changes {
            if change.incident().state == IncidentState::Settled {
                self.judge.settle(change.incident());
            }
        }
        (verdict, changes)
    }

    /// One row a minute from row 0, and what it changed.
    fn minute(&mut self, row: u32, score: f64) -> String {
        let time = Time::from_secs(1_700_000_000) + STEP * row;
        told(&self.row(time, score, &[(9.0, 1.0, 1.0)]).1)
    }

    fn restarted(self) -> Self {
        let judge = serde_json::to_string(&self.judge).unwrap();
        let tracker = serde_json::to_string(&self.tracker).unwrap();
        Self {
            judge: serde_json::from_str(&judge).unwrap(),
            tracker: serde_json::from_str(&tracker).unwrap(),
            ..self
        }
    }
}

/// `o`pened, `u`pdated, `c`losed, `s`ettled, `v`anished, `-` nothing.
fn told(changes: &[IncidentChange]) -> String {
    let letter = |change: &IncidentChange| match (change, change.incident().state) {
        (IncidentChange::Opened(_), _) => 'o',
        (IncidentChange::Updated(_), _) => 'u',
        (_, IncidentState::Settled) => 's',
        (_, IncidentState::Vanished) => 'v',
        _ => 'c',
    };
    if changes.is_empty() {
        return "-".into();
    }
    changes.iter().map(letter).collect()
}

fn gate<'v>(verdict: &'v Verdict, name: &str) -> &'v Gate {
    let found = verdict.gates.iter().find(|gate| gate.name == name);
    found.unwrap_or_else(|| panic!("no gate {name} in {:?}", verdict.gates))
}

fn quick(cooldown: u64, max_incident: u64) -> DetectConfig {
    DetectConfig {
        cooldown: Span::secs(cooldown),
        max_incident: Span::secs(max_incident),
        ..DetectConfig::default()
    }
}

const BACKUP: &str = r#"
    [[maintenance]]
    name = "backup"
    start = "02:00"
    end = "04:00"
    timezone = "Europe/Berlin"
"#;

#[test]
fn nothing_is_an_anomaly_in_a_maintenance_also_when_the_clock_changes_within() {
    let mut way = Way::new(&DetectConfig::default());
    way.rules = way.rules.with_maintenance(windows(BACKUP), Duration::ZERO);
    // 2026-10-25: 02:00 to 04:00 in Berlin are three hours, 00:00Z to 03:00Z; on other days of summer 00:00Z to 02:00Z.
    for (time, held) in [
        ("2026-10-24T23:59:00Z", false),
        ("2026-10-25T00:00:00Z", true),
        ("2026-10-25T02:30:00Z", true),
        ("2026-10-25T02:59:00Z", true),
        ("2026-10-25T03:00:00Z", false),
        ("2026-10-26T01:30:00Z", true),
        ("2026-10-26T00:30:00Z", false),
    ] {
        let (verdict, _) = way.row(moment(time), 5.0, &[(9.0, 1.0, 1.0)]);
        assert_eq!(verdict.is_anomaly, !held, "{time}");
        let gate = gate(&verdict, "maintenance");
        assert_eq!(gate.passed, !held, "{time}");
        if time == "2026-10-25T02:30:00Z" {
            assert_eq!(gate.detail, "backup until 2026-10-25T03:00:00Z");
        }
        if !held {
            assert_eq!(gate.detail, "no window holds");
        }
    }
    // Without known shares nobody could be excused, but nobody needs to be.
    let (verdict, _) = way.row(moment("2026-10-27T01:30:00Z"), 5.0, &[(9.0, 1.0, f64::NAN)]);
    assert!(!verdict.is_anomaly);
}

#[test]
fn a_maintenance_of_some_queries_excuses_these() {
    let mut way = Way::over(&DetectConfig::default(), &plain(&[Unit::None, Unit::None]));
    let text = format!("{BACKUP}queries = [\"f0\"]\nentities = [\"\", \"db-*\"]");
    way.rules = way.rules.with_maintenance(windows(&text), Duration::ZERO);
    let mut asked = |minute: u32, first: f64| {
        let time = moment("2026-07-01T00:00:00Z") + STEP * minute;
        let of = [(9.0, 1.0, first), (9.0, 1.0, 1.0 - first)];
        way.row(time, 5.0, &of).0
    };
    let stopped = asked(0, 0.6);
    assert!(!stopped.is_anomaly);
    let detail = &gate(&stopped, "maintenance").detail;
    assert!(
        detail.starts_with(
            "backup until 2026-07-01T02:00:00Z: 40 % of the error comes from metrics that it is not for"
        ),
        "{detail}"
    );
    assert!(asked(1, 0.4).is_anomaly);
}

#[test]
fn what_a_maintenance_leaves_in_the_window_is_no_alarm_but_what_stays_is() {
    let rows = |linger: u64, dip: bool| -> Vec<bool> {
        let mut way = Way::new(&DetectConfig::default());
        way.rules = way
            .rules
            .with_maintenance(windows(BACKUP), Duration::from_secs(linger));
        let last = moment("2026-07-01T01:58:00Z");
        (0..8)
            .map(|row| {
                let score = if dip && row == 3 { 0.5 } else { 5.0 };
                let restarted = row == 3;
                if restarted {
                    let judge = serde_json::to_string(&way.judge).unwrap();
                    way.judge = serde_json::from_str(&judge).unwrap();
                }
                let (verdict, _) = way.row(last + STEP * row, score, &[(9.0, 1.0, 1.0)]);
                verdict.is_anomaly
            })
            .collect()
    };
    let n = false;
    // The maintenance ends with row 1; the error of a run that began in it is excused for three rows more.
    assert_eq!(rows(180, false), [n, n, n, n, n, true, true, true]);
    // Once the score has left, the next run is its own.
    assert_eq!(rows(180, true), [n, n, n, n, true, true, true, true]);
    assert_eq!(rows(0, false)[2..], [true; 6]);
}

#[test]
fn a_wiggle_of_two_percent_is_no_alarm_and_a_jump_is_one() {
    let mut way = Way::new(&DetectConfig::default());
    let (mut failed, mut row) = (Vec::new(), 0);
    // Every row for itself: runs are far apart.
    let mut asked = |value: f64| {
        row += 100;
        let time = Time::from_secs(0) + STEP * row;
        let (verdict, _) = way.row(time, 8.0, &[(value, 500.0, 1.0)]);
        assert_eq!(verdict.is_anomaly, gate(&verdict, "min_deviation").passed);
        if !verdict.is_anomaly {
            failed.push(value);
        }
    };
    for value in [490.0, 510.0, 486.0, 484.0, 516.0, 600.0, f64::NAN] {
        asked(value);
    }
    assert_eq!(failed, [490.0, 510.0, 486.0]);
}

#[test]
fn what_is_small_is_seen_beside_the_way_that_is_left_to_a_ceiling() {
    let anomaly = |schema: &Schema, typical: f64, value: f64, expected: f64| {
        let mut way = Way::over(&DetectConfig::default(), schema);
        way.usual = Arc::from([Some(seen(typical, 1.0))]);
        way.row(Time::from_secs(0), 8.0, &[(value, expected, 1.0)])
            .0
            .is_anomaly
    };
    let percent = plain(&[Unit::Percent]);
    // Availability: a hundredth of a percent less is ten times the errors.
    assert!(anomaly(&percent, 99.99, 99.9, 99.99));
    assert!(anomaly(&percent, 99.99, 99.95, 99.99));
    assert!(anomaly(&percent, 100.0, 99.99, 100.0));
    assert!(anomaly(&plain(&[Unit::Ratio]), 0.9999, 0.999, 0.9999));
    // In the middle it is an ordinary series.
    assert!(!anomaly(&percent, 50.0, 51.0, 50.0));
    assert!(anomaly(&percent, 50.0, 52.0, 50.0));
    // So it is without a unit that has an end, unless it has a limit.
    let none = plain(&[Unit::None]);
    assert!(!anomaly(&none, 99.99, 99.0, 99.99));
    let limited: Schema = [Feature::of("f0", Unit::None, Direction::Both, Some(100.0))].into();
    assert!(anomaly(&limited, 99.99, 99.0, 99.99));
    // A quiet hour of what is usually large, and a feature that was always 0.
    assert!(!anomaly(&none, 1000.0, 21.0, 1.0));
    assert!(anomaly(&none, 1000.0, 41.0, 1.0));
    assert!(anomaly(&none, 0.0, 0.001, 0.0));
    assert!(!anomaly(&none, f64::NAN, 101.0, 100.0));
}

#[test]
fn a_run_that_deviated_far_enough_once_goes_on() {
    let mut way = Way::new(&DetectConfig::default());
    let values = [101.0, 120.0, 101.0, 100.0, 101.0];
    let flags: Vec<bool> = (0..5)
        .map(|row| {
            let time = Time::from_secs(0) + STEP * row;
            let of = [(values[row as usize], 100.0, 1.0)];
            way.row(time, 3.0, &of).0.is_anomaly
        })
        .collect();
    assert_eq!(flags, [false, true, true, true, true]);
}

#[test]
fn the_default_minimum_is_overridden_by_queries_and_turned_off_by_zero() {
    let anomaly = |common: MinDeviation, own: MinDeviation, value: f64| {
        let config = DetectConfig {
            min_deviation: common,
            ..DetectConfig::default()
        };
        let query = QueryConfig {
            expr: Expr::Everywhere("up".into()),
            unit: Unit::None,
            direction: Direction::Both,
            min_deviation: own,
            limit: None,
            counter: false,
            mute: false,
        };
        let queries = BTreeMap::from([("f0".to_owned(), query)]);
        let mut way = Way::new(&config);
        way.rules = JudgeRules::new(&config, &queries, &plain(&[Unit::None]), STEP);
        way.row(Time::from_secs(0), 8.0, &[(value, 100.0, 1.0)])
            .0
            .is_anomaly
    };
    let (default, nothing) = (
        DetectConfig::default().min_deviation,
        MinDeviation::default(),
    );
    let ten = MinDeviation {
        absolute: None,
        relative: Some(Ratio(0.1)),
    };
    assert!(!anomaly(default, nothing, 102.0));
    assert!(anomaly(default, MinDeviation::NONE, 102.0));
    assert!(!anomaly(default, ten, 109.0) && anomaly(default, nothing, 109.0));
    assert!(anomaly(MinDeviation::NONE, nothing, 100.1));
    assert!(!anomaly(MinDeviation::NONE, ten, 109.0));
    let five = MinDeviation {
        absolute: Some(5.0),
        relative: None,
    };
    assert!(!anomaly(five, nothing, 104.0) && anomaly(five, nothing, 106.0));
}

#[test]
fn a_level_shift_is_one_incident_and_then_the_new_normal() {
    // Three minutes of cooldown, an hour at most.
    let mut way = Way::new(&quick(180, 3600));
    let day: String = (0..1440).map(|row| way.minute(row, 3.0)).collect();
    assert!(day.starts_with("ouuu"));
    let settled = day.find("us").unwrap();
    assert_eq!(settled, 60, "an hour after its start");
    assert_eq!(day.matches(['o', 's', 'c']).count(), 2);
    assert!(day[62..].chars().all(|c| c == '-'));
    let (verdict, _) = way.row(
        Time::from_secs(1_700_000_000) + STEP * 1440,
        3.0,
        &[(9.0, 1.0, 1.0)],
    );
    let gate = gate(&verdict, "max_incident");
    assert!(!verdict.is_anomaly && !gate.passed);
    assert!(
        gate.detail
            .contains("an incident settled at 2023-11-14T23:13:20Z"),
        "{}",
        gate.detail
    );
    // Below `exit` for a moment is wavering; for the cooldown it is over, and the next one is another.
    let story: String = [0.5, 3.0, 0.5, 0.5, 0.5, 3.0, 3.0]
        .iter()
        .zip(1441..)
        .map(|(score, row)| way.minute(row, *score))
        .collect();
    assert_eq!(story, "-----ou");
}

#[test]
fn what_is_twice_as_bad_as_a_settled_incident_is_news() {
    let mut way = Way::new(&quick(180, 600));
    let story: String = (0..20).map(|row| way.minute(row, 3.0)).collect();
    assert_eq!(story.matches('o').count(), 1);
    assert_eq!(way.minute(20, 5.9), "-");
    assert_eq!(way.minute(21, 6.1), "o");
    assert_eq!(way.minute(22, 3.0), "u");
}

#[test]
fn what_only_wavers_below_the_threshold_settles_too_and_never_does_without_a_limit() {
    let wave = |max: u64| -> String {
        let mut way = Way::new(&quick(180, max));
        (0..100)
            .map(|row| way.minute(row, if row < 3 { 2.0 } else { 0.95 }))
            .collect()
    };
    assert_eq!(wave(600).matches('s').count(), 1);
    assert_eq!(wave(600).matches('o').count(), 1);
    assert!(!wave(0).contains(['s', 'c']));
}

#[test]
fn a_restart_changes_nothing_about_a_settled_incident() {
    let story = |restarts: &[u32]| -> String {
        let mut way = Way::new(&quick(180, 600));
        let mut story = String::new();
        for row in 0..60 {
            if restarts.contains(&row) {
                way = way.restarted();
            }
            let score = if (40..45).contains(&row) { 0.2 } else { 3.0 };
            story.push_str(&way.minute(row, score));
        }
        story
    };
    let whole = story(&[]);
    assert_eq!(whole.matches('o').count(), 2, "{whole}");
    for row in [3, 10, 11, 12, 30, 41, 44, 45] {
        assert_eq!(story(&[row]), whole, "restarted before row {row}");
    }
    // A checkpoint of a release that knew neither.
    let old = r#"{"entity":"","latest":1700000000000,"run":{"rows":3,"last":1700000000000}}"#;
    let judge: Judge = serde_json::from_str(old).unwrap();
    assert_eq!(judge.latest(), Some(Time::from_secs(1_700_000_000)));
}

fn kept(state: IncidentState, end: u32) -> Incident {
    let mut way = Way::new(&quick(180, 0));
    way.minute(0, 2.0);
    let open = way.tracker.open().unwrap().clone();
    Incident {
        id: 7,
        state,
        end: open.end + STEP * end,
        ..open
    }
}

#[test]
fn incidents_that_touch_are_one() {
    for state in [IncidentState::Vanished, IncidentState::Closed] {
        let mut way = Way::new(&quick(180, 0));
        assert!(way.tracker.resume(kept(state, 10)));
        assert!(way.tracker.open().is_none());
        // Three minutes after its last row.
        way = way.restarted();
        assert_eq!(way.minute(13, 4.0), "u");
        let open = way.tracker.open().unwrap();
        assert_eq!((open.id, open.state), (7, IncidentState::Open));
        assert_eq!((open.peak_score, open.duration()), (4.0, STEP * 13));
        assert_eq!(open.why.opening.len(), 2, "those of its opening, kept");
        // Four minutes after it, it is another.
        let mut way = Way::new(&quick(180, 0));
        way.tracker.resume(kept(state, 10));
        assert_eq!(way.minute(14, 4.0), "o");
        assert_eq!(way.tracker.open().unwrap().id, 0);
    }
    // What has settled is over.
    let mut way = Way::new(&quick(180, 0));
    way.tracker.resume(kept(IncidentState::Settled, 10));
    assert_eq!(way.minute(11, 4.0), "o");
}

#[test]
fn candidates_that_touch_the_last_incident_join_it() {
    let mut way = Way::new(&DetectConfig {
        min_duration: Span::secs(240),
        ..quick(180, 0)
    });
    way.tracker.resume(kept(IncidentState::Closed, 10));
    let story: String = (12..16).map(|row| way.minute(row, 6.0)).collect();
    assert_eq!(story, "---u");
    let open = way.tracker.open().unwrap();
    assert_eq!((open.id, open.peak_score), (7, 6.0));
    assert_eq!(open.peak, open.start + STEP * 12);
}

#[test]
fn an_incident_that_was_open_at_a_crash_goes_on_or_closes_where_it_was() {
    let mut way = Way::new(&quick(180, 0));
    assert!(way.tracker.resume(kept(IncidentState::Open, 10)));
    assert!(
        !way.tracker.resume(kept(IncidentState::Open, 2)),
        "one is enough"
    );
    assert_eq!(way.minute(12, 0.2), "-");
    assert_eq!(way.minute(13, 2.0), "u");
    let mut way = Way::new(&quick(180, 0));
    way.tracker.resume(kept(IncidentState::Open, 10));
    assert_eq!(way.minute(500, 0.2), "c");
    let mut way = Way::new(&quick(180, 0));
    way.tracker.resume(kept(IncidentState::Open, 10));
    let gone = way.tracker.vanish(Time::from_secs(1_800_000_000)).unwrap();
    assert_eq!(told(&[gone]), "v");
}

#[test]
fn an_incident_keeps_the_gates_of_its_opening_and_of_its_peak() {
    let mut way = Way::new(&DetectConfig {
        min_duration: Span::secs(180),
        ..quick(180, 0)
    });
    for (row, score) in [(0, 9.0), (1, 2.0), (2, 3.0), (3, 4.0)] {
        way.minute(row, score);
    }
    let why = way.tracker.open().unwrap().why.clone();
    assert!(why.opening.iter().all(|gate| gate.passed));
    assert_eq!(
        why.opening[0].detail,
        "score 3.00, threshold 1: a candidate until it is below 0.9"
    );
    assert_eq!(
        why.peak[0].detail,
        "score 9.00, threshold 1: a candidate until it is below 0.9"
    );
    let lacked = why.peak.iter().find(|gate| !gate.passed).unwrap();
    assert_eq!(lacked.name, "min_duration");
    way.minute(4, 10.0);
    let why = &way.tracker.open().unwrap().why;
    assert!(why.peak.iter().all(|gate| gate.passed));
    assert!(why.opening[0].detail.contains("3.00"));
}

#[test]
fn shares_sum_to_one_and_every_point_says_why_not() {
    let mut way = Way::over(&DetectConfig::default(), &plain(&[const { Unit::None }; 3]));
    for (row, shares) in [[0.5, 0.25, 0.25], [0.2, 0.2, 0.2], [7.0, 2.0, f64::NAN]]
        .into_iter()
        .enumerate()
    {
        let of = shares.map(|share| (9.0, 1.0, share));
        let time = Time::from_secs(0) + STEP * u32::try_from(row).unwrap();
        let (verdict, _) = way.row(time, 0.4 + row as f64, &of);
        let known = verdict
            .features
            .iter()
            .map(|f| f.share)
            .filter(|s| s.is_finite());
        assert!((known.sum::<f64>() - 1.0).abs() < 1e-12);
        assert_eq!(verdict.gates[0].name, "threshold");
        assert_eq!(verdict.gates[0].passed, row > 0);
        assert_eq!(verdict.is_anomaly, verdict.gates.iter().all(|g| g.passed));
    }
    let parts = &way.tracker.open().unwrap().features;
    let sum: f64 = parts.iter().map(|part| part.share).sum();
    assert!((sum - 1.0).abs() < 1e-12);
    assert_eq!((parts[0].lower, parts[0].upper), (0.0, 2.0));
    // Unknown shares are no zeros that sum to nothing.
    let (verdict, _) = way.row(Time::from_secs(9000), 0.5, &[(9.0, 1.0, f64::NAN); 3]);
    assert!(verdict.features.iter().all(|f| f.share.is_nan()));
}

#[test]
fn what_is_missing_is_told_from_what_is_too_little() {
    let mut way = Way::new(&DetectConfig::default());
    for state in [RowState::Missing, RowState::Stale, RowState::WarmingUp] {
        let time = Time::from_secs(0);
        let verdict = way.judge.judge(&way.rules, Row::Unscored { time, state });
        assert_eq!((verdict.state, verdict.gates.len()), (state, 0));
    }
    assert_eq!(
        serde_json::to_string(&RowState::Missing).unwrap(),
        "\"missing\""
    );
}

/// Rows a minute apart of a young model's candidate: when it first became an anomaly.
fn first_alarm(way: &mut Way, rows: i64, of: impl Fn(i64) -> Vec<Of>) -> Option<i64> {
    (0..rows).find(|row| {
        way.row(Time::from_secs(row * 60), 4.0, &of(*row))
            .0
            .is_anomaly
    })
}

fn young(known: Duration, units: &[Unit], usual: &[Usual]) -> Way {
    let mut way = Way::over(&DetectConfig::default(), &plain(units));
    way.rules = way.rules.for_model_of(known);
    way.usual = usual.iter().copied().map(Some).collect();
    way
}

#[test]
fn a_model_that_knows_minutes_raises_no_alarm_for_load_and_one_for_an_outage() {
    let minutes = Duration::from_mins(12);
    let percent = [Unit::Percent, Unit::None];
    let usual = [seen(20.0, 25.0), seen(0.0, 0.0)];
    // A build: the processor is busier than it was, and a device that was silent moves.
    let build = |_| vec![(60.0, 20.0, 0.6), (40_000.0, 0.0, 0.4)];
    assert_eq!(
        first_alarm(&mut young(minutes, &percent, &usual), 60, build),
        None
    );
    let wise = first_alarm(
        &mut young(Duration::from_mins(60), &percent, &usual),
        60,
        build,
    );
    assert_eq!(wise, Some(0));
    // The first movement of what was silent, alone.
    let silent = |_| vec![(20.0, 20.0, 0.0), (40_000.0, 0.0, 1.0)];
    assert_eq!(
        first_alarm(&mut young(minutes, &percent, &usual), 60, silent),
        None
    );
    // A disk that fills slowly: far from what it was only beside how little it has moved.
    let disk = |row| vec![(73.5 + row as f64 * 0.01, 73.5, 1.0)];
    let still = [seen(73.5, 0.02)];
    assert_eq!(
        first_alarm(&mut young(minutes, &[Unit::Percent], &still), 100, disk),
        None
    );
    // Requests end, latency goes up tenfold: far outside of all, and it lasts.
    let rates = [Unit::None, Unit::Seconds];
    let served = [seen(100.0, 30.0), seen(0.1, 0.05)];
    let outage = |_| vec![(0.0, 100.0, 0.5), (1.0, 0.1, 0.5)];
    assert_eq!(
        first_alarm(&mut young(minutes, &rates, &served), 60, outage),
        Some(4)
    );
    let short = |row| {
        if row < 3 {
            outage(row)
        } else {
            vec![(100.0, 100.0, 0.5), (0.1, 0.1, 0.5)]
        }
    };
    assert_eq!(
        first_alarm(&mut young(minutes, &rates, &served), 60, short),
        None
    );
}

#[test]
fn what_is_extreme_and_lasts_is_an_alarm_of_a_young_model_in_turmoil_too() {
    // Everything else has been restless: the budget would let nothing pass.
    let restless = Ruling {
        excess: 1.7,
        threshold: 3.8,
    };
    let first = |known: u64| {
        let usual = [seen(6.0, 17.0), seen(50.0, 100.0)];
        let mut way = young(
            Duration::from_mins(known),
            &[Unit::Percent, Unit::Percent],
            &usual,
        );
        way.ruling = Some(restless);
        // Memory fills up while a build runs.
        first_alarm(&mut way, 30, |_| vec![(60.8, 6.0, 0.6), (100.0, 50.0, 0.4)])
    };
    assert_eq!(first(46), Some(4));
    assert_eq!(first(60), None);
}

#[test]
fn a_row_that_is_judged_once_more_has_the_verdict_that_it_had() {
    let outage = [(0.0, 100.0, 1.0)];
    let mut way = young(Duration::from_mins(12), &[Unit::None], &[seen(100.0, 30.0)]);
    for row in 0..5 {
        let time = Time::from_secs(row * 60);
        let first = way.row(time, 4.0, &outage).0;
        let again = way.row(time, 4.0, &outage).0;
        assert_eq!(first, again, "row {row}");
        assert_eq!(first.is_anomaly, row == 4);
    }
}

#[test]
fn what_a_young_model_calls_an_incident_is_the_new_normal_after_a_quarter_of_an_hour() {
    let mut way = young(Duration::from_mins(12), &[Unit::None], &[seen(100.0, 30.0)]);
    let mut ended = None;
    for row in 0..60 {
        let (_, changes) = way.row(Time::from_secs(row * 60), 4.0, &[(0.0, 100.0, 1.0)]);
        let settled = |change: &IncidentChange| change.incident().state == IncidentState::Settled;
        ended = ended.or(changes.iter().any(settled).then_some(row));
    }
    assert_eq!(ended, Some(15));
}

#[test]
fn what_never_moved_and_does_not_move_deviates_from_nothing() {
    for level in [0.0, 1.0, 25.0] {
        let mut way = Way::over(&DetectConfig::default(), &plain(&[Unit::None]));
        way.usual = Arc::from([Some(seen(level, 0.0))]);
        let off = level + 0.0001 + level * 0.1;
        let (verdict, _) = way.row(Time::from_secs(0), 9.0, &[(level, off, 1.0)]);
        assert!(!verdict.is_anomaly, "{level}: {:?}", verdict.gates);
        let (verdict, _) = way.row(Time::from_secs(60), 9.0, &[(level + 10.0, off, 1.0)]);
        assert!(verdict.is_anomaly, "{level}: {:?}", verdict.gates);
    }
}
