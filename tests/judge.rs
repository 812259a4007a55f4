//! The measures against cases worked out by hand and, where it is at hand, against an independent evaluator.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::float_cmp
)]

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use pulsewatch::domain::Time;
use pulsewatch::report::judge::{JudgeError, JudgeOptions, Judged, JudgedReport, judge};
use pulsewatch::report::summary::{by_family, judged_table, together};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// A series in four columns, a row a minute.
struct Case {
    times: Vec<Time>,
    labels: Vec<bool>,
    scores: Vec<f64>,
    flags: Vec<bool>,
}

impl Case {
    /// Columns as text, a character a row: `x` is a labelled or flagged row.
    fn new(labels: &str, flags: &str) -> Self {
        let column = |text: &str| text.chars().map(|c| c == 'x').collect::<Vec<bool>>();
        let (labels, flags) = (column(labels), column(flags));
        Self {
            times: times(labels.len()),
            scores: flags.iter().map(|f| f64::from(u8::from(*f))).collect(),
            labels,
            flags,
        }
    }

    fn judged(&self, options: &JudgeOptions) -> JudgedReport {
        judge(&self.view(), options).unwrap()
    }

    fn view(&self) -> Judged<'_> {
        Judged {
            times: &self.times,
            labels: &self.labels,
            scores: &self.scores,
            flags: &self.flags,
        }
    }
}

fn times(rows: usize) -> Vec<Time> {
    (0..i64::try_from(rows).unwrap())
        .map(|row| Time::from_secs(60 * row))
        .collect()
}

fn narrow() -> JudgeOptions {
    JudgeOptions {
        merge_gap: 1,
        tolerance: 1,
        vus_window: 0,
        ..JudgeOptions::default()
    }
}

fn close(a: f64, b: f64) {
    assert!((a - b).abs() < 1e-12, "{a} is not {b}");
}

#[test]
fn events_and_alarms_are_counted_as_a_person_would() {
    //                   0         1         2
    let labels = "....xxx.........xxxx......";
    let flags = ".x.x.x.xx.x.x...........x.";
    let report = Case::new(labels, flags).judged(&narrow());
    assert_eq!(
        (report.rows, report.events, report.events_found),
        (26, 2, 1)
    );
    // Rows 3, 5, 7 touch the first event or its tolerance. Outside are 1, then 8, 10 and 12 (joined), then 24.
    assert_eq!(report.false_alarms, 3);
    // All flags from 1 to 12 are at most one row apart.
    assert_eq!(report.alarms, 2);
    assert_eq!(report.event_recall, Some(0.5));
    assert_eq!(report.event_precision, Some(0.25));
    close(report.false_flag_rate, 5.0 / 15.0);
    close(report.false_alarms_per_day.unwrap(), 3.0 / (26.0 / 1440.0));
    assert_eq!(report.delay_secs, Some(60.0));
    close(report.delay_share.unwrap(), 1.0 / 3.0);
    assert_eq!(report.coverage, 1.0);
}

#[test]
fn average_precision_takes_equal_scores_together() {
    let mut case = Case::new("x.x.", "....");
    case.scores = vec![3.0, 2.0, 2.0, 1.0];
    // One of one, then two of three: ½ · 1 + ½ · ⅔.
    close(
        case.judged(&narrow()).auc_pr.unwrap(),
        0.5 + 0.5 * 2.0 / 3.0,
    );
    // A row without a score ranks with the lowest.
    case.scores = vec![3.0, 2.0, f64::NAN, 1.0];
    let report = case.judged(&narrow());
    close(report.auc_pr.unwrap(), 0.5 + 0.5 * 2.0 / 4.0);
    assert_eq!(report.coverage, 0.75);
}

#[test]
fn the_surface_without_a_buffer_is_the_curve_of_the_events() {
    let mut case = Case::new("..xx..", "......");
    case.scores = vec![0.1, 0.2, 0.9, 0.8, 0.3, 0.1];
    // A perfect order: precision is 1 until recall is 1.
    close(case.judged(&narrow()).vus_pr.unwrap(), 1.0);
    case.scores = vec![0.9, 0.2, 0.8, 0.1, 0.1, 0.1];
    // Recall ½ at precision ½, then the rest of the event with all six rows.
    close(
        case.judged(&narrow()).vus_pr.unwrap(),
        0.5 * 0.5 + 0.5 * 2.0 / 6.0,
    );
    // With a buffer of two rows, the row before the event counts √½, and recall is of 2 + √½ / 2 rows.
    case.scores = vec![0.1, 0.9, 0.1, 0.1, 0.1, 0.1];
    let extra = 0.5_f64.sqrt();
    let first = extra / (2.0 + extra / 2.0);
    let wide = first * extra + (1.0 - first) * (2.0 + 2.0 * extra) / 6.0;
    let options = JudgeOptions {
        vus_window: 2,
        ..narrow()
    };
    let none = 2.0 / 6.0;
    close(
        case.judged(&options).vus_pr.unwrap(),
        (none + none + wide) / 3.0,
    );
}

#[test]
fn nab_pays_for_early_and_charges_for_false() {
    let silent = Case::new(
        "..........xxxxxxxxxx..........",
        "..............................",
    );
    let report = silent.judged(&narrow());
    assert_eq!((report.nab_rows, report.nab_onset), (Some(0.0), Some(0.0)));
    let early = Case::new(
        "..........xxxxxxxxxx..........",
        "..........x...................",
    );
    assert_eq!(early.judged(&narrow()).nab_rows, Some(100.0));
    let wrong = Case::new(
        "..........xxxxxxxxxx..........",
        "xx............................",
    );
    let report = wrong.judged(&narrow());
    close(report.nab_rows.unwrap(), 100.0 * (-2.0 * 0.11) / 2.0);
    close(report.nab_onset.unwrap(), 100.0 * (-0.11) / 2.0);
    // Windows of its own; the nearest rows are taken.
    let at = |row: i64| Time::from_secs(60 * row + 20);
    let options = JudgeOptions {
        nab_windows: Some(vec![(at(0), at(9))]),
        ..narrow()
    };
    assert_eq!(wrong.judged(&options).nab_onset, Some(100.0));
}

#[test]
fn what_cannot_be_told_is_absent() {
    let report = Case::new("......", "..x...").judged(&narrow());
    assert_eq!(
        (report.vus_pr, report.auc_pr, report.event_recall),
        (None, None, None)
    );
    assert_eq!((report.delay_secs, report.nab_rows), (None, None));
    assert_eq!(report.event_precision, Some(0.0));
    let report = Case::new("xxxxxx", "......").judged(&narrow());
    assert_eq!((report.vus_pr, report.event_recall), (None, Some(0.0)));
    assert_eq!(report.event_precision, None);
    let mut blind = Case::new("..x...", "......");
    blind.scores = vec![f64::NAN; 6];
    close(blind.judged(&narrow()).auc_pr.unwrap(), 1.0 / 6.0);
}

#[test]
fn the_training_part_is_not_judged_and_lengths_must_agree() {
    let case = Case::new("xx...xx...", "xx........");
    let options = JudgeOptions {
        from: Some(Time::from_secs(180)),
        ..narrow()
    };
    let report = case.judged(&options);
    assert_eq!((report.rows, report.events, report.events_found), (7, 1, 0));
    assert_eq!(report.nab_windows, 1);
    let late = JudgeOptions {
        from: Some(Time::from_secs(6000)),
        ..narrow()
    };
    let error = judge(&case.view(), &late).unwrap_err();
    assert_eq!(error, JudgeError::Empty { rows: 10 });
    let short = Judged {
        flags: &case.flags[1..],
        ..case.view()
    };
    let error = judge(&short, &narrow()).unwrap_err();
    assert!(error.to_string().contains("9 flags"), "{error}");
}

#[test]
fn several_series_are_one_table() {
    let hit = Case::new("...xx...........", "...x............").judged(&narrow());
    let miss = Case::new("...xx...........", "...........x....").judged(&narrow());
    let all = together(&[&hit, &miss]);
    assert_eq!((all.events, all.events_found, all.false_alarms), (2, 1, 1));
    assert_eq!(all.event_recall, Some(0.5));
    close(
        all.nab_rows.unwrap(),
        100.0 * (1.0 - 1.0 + miss.nab_rows_raw + 1.0 + 2.0) / 4.0,
    );
    let alone = hit.table().to_string();
    assert!(
        alone
            .lines()
            .any(|line| line.starts_with("recall") && line.ends_with("1.00")),
        "{alone}"
    );
    let table = judged_table("series", &[("hit".into(), hit), ("miss".into(), miss)]).to_string();
    assert_eq!(table.lines().count(), 3);
    assert!(table.lines().next().unwrap().starts_with("series  VUS-PR"));
}

#[test]
fn families_are_pooled_and_nab_counts_where_its_windows_were_given() {
    let at = |row: i64| Time::from_secs(60 * row);
    let options = JudgeOptions {
        nab_windows: Some(vec![(at(3), at(5))]),
        ..narrow()
    };
    let given = Case::new("...xx...........", "...x............").judged(&options);
    let not = Case::new("...xx...........", "...........x....").judged(&narrow());
    let families = by_family([("b", &given), ("a", &not), ("b", &not)]);
    assert_eq!(families.keys().copied().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(families["a"], together(&[&not]));
    let mixed = &families["b"];
    assert_eq!((mixed.events, mixed.events_found), (2, 1));
    assert!(mixed.nab_given && !families["a"].nab_given);
    assert_eq!(mixed.nab_windows, 1);
    assert_eq!(mixed.nab_onset, given.nab_onset);
    close(
        mixed.vus_pr.unwrap(),
        f64::midpoint(given.vus_pr.unwrap(), not.vus_pr.unwrap()),
    );
    let cell = |report: &JudgedReport| {
        let table = report.table().to_string();
        let line = table.lines().find(|l| l.starts_with("NAB onset")).unwrap();
        line.split_whitespace().last().unwrap().to_owned()
    };
    assert_eq!(cell(&families["a"]), "–");
    assert_ne!(cell(mixed), "–");
    // Windows that were given and are none are none.
    let empty = JudgeOptions {
        nab_windows: Some(Vec::new()),
        ..narrow()
    };
    let none = Case::new("...xx...........", "...x............").judged(&empty);
    assert_eq!((none.nab_windows, none.nab_onset), (0, None));
}

/// Random events, scores that know a little of them (with ties and gaps), flags over a threshold, for evaluators to agree
/// on.
fn random(seed: u64) -> (Case, JudgeOptions) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let rows = rng.random_range(60..3000);
    let mut labels = vec![false; rows];
    for _ in 0..rng.random_range(1..12) {
        let from = rng.random_range(0..rows);
        let to = (from + rng.random_range(1..80)).min(rows);
        labels[from..to].fill(true);
    }
    let coarse = rng.random::<bool>();
    let scores: Vec<f64> = labels
        .iter()
        .map(|label| {
            let score = rng.random::<f64>() * 1.2 + 0.4 * f64::from(u8::from(*label));
            let score = if coarse {
                (score * 20.0).round() / 20.0
            } else {
                score
            };
            if rng.random::<f64>() < 0.02 {
                f64::NAN
            } else {
                score
            }
        })
        .collect();
    let cut = rng.random_range(0.9..1.5);
    let flags = scores.iter().map(|s| *s > cut).collect();
    let from = rng
        .random::<bool>()
        .then(|| Time::from_secs(60 * (i64::try_from(rows).unwrap() / 4)));
    let at = |part: f64| Time::from_secs(60) + Duration::from_secs_f64(60.0 * rows as f64 * part);
    let nab_windows = if rng.random::<bool>() {
        Some(vec![(at(0.2), at(0.3)), (at(0.6), at(0.65))])
    } else {
        None
    };
    let options = JudgeOptions {
        from,
        vus_window: if rng.random::<bool>() {
            100
        } else {
            rng.random_range(0..60)
        },
        nab_windows,
        ..JudgeOptions::default()
    };
    let times = times(rows);
    (
        Case {
            times,
            labels,
            scores,
            flags,
        },
        options,
    )
}

fn write_case(folder: &Path, case: &Case, options: &JudgeOptions) {
    let (mut truth, mut pred) = (String::from("timestamp,is_anomaly\n"), String::new());
    pred.push_str("timestamp,score,is_anomaly\n");
    for (row, time) in case.times.iter().enumerate() {
        let secs = time.millis() / 1000;
        let score = case.scores[row];
        let score = if score.is_nan() {
            String::new()
        } else {
            score.to_string()
        };
        writeln!(truth, "{secs},{}", u8::from(case.labels[row])).unwrap();
        writeln!(pred, "{secs},{score},{}", u8::from(case.flags[row])).unwrap();
    }
    let mut meta = serde_json::json!({ "step": 60, "vus_window": options.vus_window });
    if let Some(from) = options.from {
        meta["train_end"] = from.as_secs_f64().into();
    }
    if let Some(windows) = &options.nab_windows {
        let secs = windows
            .iter()
            .map(|(a, b)| [a.as_secs_f64(), b.as_secs_f64()]);
        meta["nab_windows"] = secs.map(|pair| serde_json::json!(pair)).collect();
    }
    std::fs::write(folder.join("labels.csv"), truth).unwrap();
    std::fs::write(folder.join("pred.csv"), pred).unwrap();
    std::fs::write(folder.join("meta.json"), meta.to_string()).unwrap();
}

/// Runs only where `PULSEWATCH_EVALUATE` names an evaluator script and python3 has numpy.
#[test]
fn an_independent_evaluator_agrees() {
    let Some(script) = std::env::var_os("PULSEWATCH_EVALUATE") else {
        eprintln!("PULSEWATCH_EVALUATE is not set: nothing to compare with");
        return;
    };
    let numpy = Command::new("python3")
        .args(["-c", "import numpy"])
        .output();
    if !numpy.is_ok_and(|found| found.status.success()) {
        eprintln!("python3 with numpy is not installed: nothing to compare with");
        return;
    }
    let mut worst: f64 = 0.0;
    for seed in 0..40 {
        let (case, options) = random(seed);
        let folder = tempfile::tempdir().unwrap();
        write_case(folder.path(), &case, &options);
        let output = Command::new("python3")
            .arg(&script)
            .arg("--truth")
            .arg(folder.path().join("labels.csv"))
            .arg("--pred")
            .arg(folder.path().join("pred.csv"))
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let theirs: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let ours = case.judged(&options);
        let count = |n: usize| Some(n as f64);
        for (name, ours) in [
            ("vus_pr", ours.vus_pr),
            ("auc_pr", ours.auc_pr),
            ("n", count(ours.rows)),
            ("events", count(ours.events)),
            ("events_found", count(ours.events_found)),
            ("event_recall", ours.event_recall),
            ("event_precision", ours.event_precision),
            ("alarms", count(ours.alarms)),
            ("false_alarms", count(ours.false_alarms)),
            ("false_alarms_per_day", ours.false_alarms_per_day),
            ("false_flag_rate", Some(ours.false_flag_rate)),
            ("coverage", Some(ours.coverage)),
            ("days", Some(ours.days)),
            ("delay_median_s", ours.delay_secs),
            ("delay_median_rel", ours.delay_share),
            ("nab_windows", count(ours.nab_windows)),
            ("nab_rows", ours.nab_rows),
            ("nab_onset", ours.nab_onset),
        ] {
            let theirs = theirs.get(name).and_then(serde_json::Value::as_f64);
            match (ours, theirs) {
                (Some(ours), Some(theirs)) => {
                    let off = (ours - theirs).abs();
                    worst = worst.max(off);
                    assert!(
                        off < 1e-9,
                        "seed {seed}, {name}: {ours} here, {theirs} there"
                    );
                }
                (ours, theirs) => assert_eq!(ours, theirs, "seed {seed}, {name}"),
            }
        }
    }
    println!("40 random series, largest difference {worst:e}");
}
