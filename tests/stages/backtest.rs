//! `backtest`, as its contract has it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use super::shell::{SMALL, START, STEP, Shell, series};

const ROWS: usize = 700;
const LEARNED: usize = 400;
/// Rows in which both columns misbehave.
const INCIDENT: std::ops::Range<usize> = 560..572;

fn until() -> String {
    (START + LEARNED as i64 * STEP).to_string()
}

fn bumpy() -> String {
    series(ROWS, |row, values| {
        if INCIDENT.contains(&row) {
            *values = values.map(|v| v + 80.0);
        }
    })
}

fn labels() -> String {
    let mut text = String::from("timestamp,is_anomaly\n");
    for row in 0..ROWS {
        let label = u8::from(INCIDENT.contains(&row));
        writeln!(text, "{},{label}", START + row as i64 * STEP).unwrap();
    }
    text
}

/// Runs a backtest of a CSV and returns the lines of its scores, header first.
fn scores(shell: &Shell, name: &str, csv: &str, more: &[&str]) -> Vec<String> {
    let input = shell.write(&format!("{name}.csv"), csv);
    let output = shell.path(&format!("{name}.scores.csv"));
    let until = until();
    let args = [
        "backtest",
        "--input",
        input.to_str().unwrap(),
        "--train-until",
        &until,
        "--output",
        output.to_str().unwrap(),
    ];
    shell.ok(&[&args, more].concat());
    lines(&output)
}

fn lines(path: &Path) -> Vec<String> {
    std::fs::read_to_string(path)
        .unwrap()
        .lines()
        .map(str::to_owned)
        .collect()
}

fn cells(line: &str) -> Vec<&str> {
    line.split(',').collect()
}

#[test]
fn every_row_comes_back_in_order_with_shares_that_sum_to_one() {
    let shell = Shell::with(SMALL);
    // A duplicate with other values, a row off the grid, a gap, an empty row, a column that goes missing.
    let mut text = String::new();
    for (at, line) in bumpy().lines().enumerate() {
        let row = at.wrapping_sub(1);
        match row {
            450..480 => continue,
            500 => writeln!(text, "{},,", START + 500 * STEP).unwrap(),
            600..650 => {
                let fields = cells(line);
                writeln!(text, "{},{},", fields[0], fields[1]).unwrap();
            }
            _ => writeln!(text, "{line}").unwrap(),
        }
        if row == 420 {
            writeln!(text, "{},1,2", START + 420 * STEP).unwrap();
            writeln!(text, "{}.5,50,50", START + 420 * STEP + 100).unwrap();
        }
    }
    let made = scores(&shell, "odd", &text, &[]);
    assert_eq!(
        made[0],
        "timestamp,score,is_anomaly,cpu.contribution,latency.contribution"
    );
    let wanted: Vec<&str> = text
        .lines()
        .skip(1 + LEARNED)
        .map(|line| cells(line)[0])
        .collect();
    let times: Vec<&str> = made[1..].iter().map(|line| cells(line)[0]).collect();
    assert_eq!(times, wanted);
    assert_eq!(times.len(), ROWS - LEARNED - 30 + 2);
    let mut unscored = 0;
    for line in &made[1..] {
        let cells = cells(line);
        assert!(["0", "1"].contains(&cells[2]), "{line}");
        if cells[1].is_empty() {
            unscored += 1;
            assert_eq!(cells[2..], ["0", "", ""], "{line}");
            continue;
        }
        let score: f64 = cells[1].parse().unwrap();
        assert!(score.is_finite() && score >= 0.0, "{line}");
        assert!(cells[2] == "0" || score > 1.0, "{line}");
        let shares: f64 = cells[3..].iter().map(|c| c.parse::<f64>().unwrap()).sum();
        assert!((shares - 1.0).abs() < 1e-9, "{line}");
    }
    // The empty row, and those behind the gap whose window is mostly fill.
    assert!(
        (2..20).contains(&unscored),
        "{unscored} rows without a score"
    );
    let score = |time: i64| {
        let time = time.to_string();
        made.iter()
            .map(|line| cells(line))
            .find(|c| c[0] == time)
            .unwrap()[1]
            .to_owned()
    };
    assert_eq!(score(START + 500 * STEP), "");
    assert_eq!(score(START + 480 * STEP), "");
    // One verdict per grid time: the duplicate and the row off the grid have that of the row before them.
    let first = made
        .iter()
        .position(|l| cells(l)[0] == (START + 420 * STEP).to_string())
        .unwrap();
    assert_eq!(cells(&made[first])[1], cells(&made[first + 1])[1]);
    assert_eq!(cells(&made[first])[1], cells(&made[first + 2])[1]);
    let flagged = |row: usize| {
        cells(
            &made[1..]
                .iter()
                .find(|l| l.starts_with(&(START + row as i64 * STEP).to_string()))
                .unwrap()
                .clone(),
        )[2] == "1"
    };
    assert!(INCIDENT.skip(4).any(flagged), "the incident was not found");
}

#[test]
fn nothing_after_a_row_changes_its_score() {
    let shell = Shell::with(SMALL);
    let whole = scores(&shell, "whole", &bumpy(), &[]);
    let last = LEARNED + 150;
    // Later rows with other values, closer together, out of the grid, or not there at all.
    let mut wild = String::new();
    for (at, line) in bumpy().lines().enumerate() {
        let row = at.wrapping_sub(1);
        if row == usize::MAX || row <= last {
            writeln!(wild, "{line}").unwrap();
        } else {
            let time = START + last as i64 * STEP + (row - last) as i64 * 7 + 1;
            writeln!(wild, "{time},{},-1e6", row * 1000).unwrap();
        }
    }
    let cut: String = bumpy()
        .lines()
        .take(2 + last)
        .fold(String::new(), |mut text, line| {
            writeln!(text, "{line}").unwrap();
            text
        });
    let upto = 2 + last - LEARNED;
    for (name, csv) in [("wild", &wild), ("cut", &cut)] {
        let other = scores(&shell, name, csv, &[]);
        assert_eq!(other[..upto], whole[..upto], "{name}");
    }
    assert_eq!(upto, 152);
}

#[test]
fn rows_at_the_boundary_are_not_learned_from() {
    let shell = Shell::with(SMALL);
    let report = |name: &str, csv: &str| {
        let json = shell.path(&format!("{name}.json"));
        scores(&shell, name, csv, &["--json", json.to_str().unwrap()]);
        let text = std::fs::read_to_string(json).unwrap();
        serde_json::from_str::<serde_json::Value>(&text).unwrap()["threshold_mse"].clone()
    };
    // A row just after the boundary that lies nearest to the last grid time learned from.
    let plain = bumpy();
    let near = START + (LEARNED as i64) * STEP;
    let mut late = String::new();
    for line in plain.lines() {
        if line.starts_with(&near.to_string()) {
            writeln!(late, "{near},9e6,9e6").unwrap();
            writeln!(late, "{},9e6,9e6", near + 10).unwrap();
        } else {
            writeln!(late, "{line}").unwrap();
        }
    }
    assert_eq!(report("plain", &plain), report("late", &late));
}

#[test]
fn two_runs_are_equal_and_another_seed_differs() {
    let shell = Shell::with(SMALL);
    let first = scores(&shell, "first", &bumpy(), &[]);
    assert_eq!(scores(&shell, "second", &bumpy(), &[]), first);
    let other = scores(&shell, "third", &bumpy(), &["--seed", "7"]);
    assert_ne!(other, first);
    assert_eq!(other.len(), first.len());
}

#[test]
fn several_inputs_run_in_parallel_into_a_directory_with_a_report() {
    let shell = Shell::with(SMALL);
    let (csv, truth) = (bumpy(), shell.write("labels.csv", &labels()));
    let alone = scores(&shell, "alone", &csv, &[]);
    for name in ["a", "b"] {
        std::fs::create_dir(shell.path(name)).unwrap();
        shell.write(&format!("{name}/series.csv"), &csv);
    }
    shell.write("host.example.org.csv", &csv);
    let (until, truth) = (until(), truth.to_str().unwrap());
    let mut args = vec![
        "backtest",
        "--train-until",
        &until,
        "--output",
        "out",
        "--jobs",
        "2",
        "--json",
        "report.json",
    ];
    for input in ["a/series.csv", "b/series.csv", "host.example.org.csv"] {
        args.extend(["--input", input, "--labels", truth]);
    }
    let said = shell.ok(&args);
    assert!(said.contains("VUS-PR"), "{said}");
    for name in ["a", "b", "host.example.org"] {
        assert_eq!(
            lines(&shell.path(&format!("out/{name}.csv"))),
            alone,
            "{name}"
        );
    }
    let text = std::fs::read_to_string(shell.path("report.json")).unwrap();
    let report: serde_json::Value = serde_json::from_str(&text).unwrap();
    let reports = report["reports"].as_array().unwrap();
    assert_eq!(reports.len(), 3);
    assert_eq!(reports[2]["input"], "host.example.org.csv");
    let judged = &reports[0]["judged"];
    for measure in [
        "vus_pr",
        "auc_pr",
        "event_recall",
        "event_precision",
        "false_alarms_per_day",
        "false_flag_rate",
        "delay_secs",
        "nab_rows",
        "nab_onset",
    ] {
        assert!(judged[measure].is_number(), "{measure}: {judged}");
    }
    assert_eq!(judged["rows"], ROWS - LEARNED);
    assert_eq!(
        (&judged["events"], &judged["event_recall"]),
        (&1.into(), &1.0.into())
    );
    assert!(judged["vus_pr"].as_f64().unwrap() > 0.5, "{judged}");

    // One that can't be read fails the whole, and leaves the others' results.
    shell.write("broken.csv", "timestamp,cpu\n1,much\n");
    let done = shell
        .command(&[
            "backtest",
            "--train-until",
            &until,
            "--output",
            "half",
            "--input",
            "broken.csv",
            "--input",
            "a/series.csv",
        ])
        .assert()
        .code(1);
    let said = String::from_utf8_lossy(&done.get_output().stderr).into_owned();
    assert!(
        said.contains("1 of 2 inputs failed") && said.contains("broken.csv, line 2"),
        "{said}"
    );
    assert_eq!(lines(&shell.path("half/a.csv")), alone);
}

#[test]
fn explained_rows_have_expectation_band_and_gates() {
    let shell = Shell::with(&format!("{SMALL}[detect]\nmin_duration = \"10m\"\n"));
    let made = scores(&shell, "why", &bumpy(), &["--explain"]);
    assert_eq!(
        made[0],
        "timestamp,score,is_anomaly,cpu.contribution,latency.contribution,cpu.value,latency.value,cpu.expected,latency.expected,cpu.lower,latency.lower,cpu.upper,latency.upper,gates"
    );
    let mut reader = csv::Reader::from_path(shell.path("why.scores.csv")).unwrap();
    let (mut gated, mut flagged) = (0, 0);
    for record in reader.records() {
        let record = record.unwrap();
        let number = |at: usize| record[at].parse::<f64>().unwrap();
        let (value, expected, lower, upper) = (number(5), number(7), number(9), number(11));
        assert!(value > -100.0 && value < 200.0, "{record:?}");
        assert!(lower < expected && expected < upper, "{record:?}");
        assert!((upper - expected - (expected - lower)).abs() < 1e-6);
        // The network expects what it learned: some 30 to 70.
        assert!((0.0..100.0).contains(&expected), "{record:?}");
        let sign = if number(1) > 1.0 { "+" } else { "-" };
        let threshold = format!("{sign} threshold: score ");
        assert!(record[13].starts_with(&threshold), "{record:?}");
        gated += usize::from(record[13].contains("- min_duration"));
        flagged += usize::from(&record[2] == "1");
    }
    assert!(
        gated > 0 && flagged > 0,
        "{gated} rows were held back, {flagged} were not"
    );
}

#[test]
fn injected_anomalies_are_labelled_and_judged() {
    let shell = Shell::with(SMALL);
    let run = |inject: &str, name: &str| {
        let json = shell.path(&format!("{name}.json"));
        let made = scores(
            &shell,
            name,
            &series(ROWS, |_, _| {}),
            &["--inject", inject, "--json", json.to_str().unwrap()],
        );
        let report: serde_json::Value =
            serde_json::from_str(&std::fs::read_to_string(json).unwrap()).unwrap();
        (made, report["judged"].clone())
    };
    let (first, judged) = run("3,spike,5", "spikes");
    let events = judged["events"].as_u64().unwrap();
    assert!((1..=3).contains(&events), "{judged}");
    assert!(judged["event_recall"].as_f64().unwrap() > 0.0, "{judged}");
    assert_eq!(run("3,spike,5", "again").0, first);
    assert_ne!(run("3,spike,6", "others").0, first);
    for kind in ["4", "4,shift", "4,dropout", "4,flat"] {
        let (made, judged) = run(kind, "kind");
        assert!(judged["events"].as_u64().unwrap() >= 1, "{kind}: {judged}");
        assert_ne!(made, first, "{kind}");
    }
    // A stretch moved far enough is found; one of missing values raises no alarm.
    assert!(run("4,shift", "shift").1["events_found"].as_u64().unwrap() > 0);
}

#[test]
fn what_was_collected_can_be_replayed_without_its_calendar() {
    let shell = Shell::with(SMALL);
    let plain = scores(&shell, "plain", &bumpy(), &[]);
    shell.ok(&["collect", "--input", "plain.csv"]);
    let until = until();
    shell.ok(&[
        "backtest",
        "--input",
        "data/raw.parquet",
        "--train-until",
        &until,
        "--output",
        "raw.csv",
    ]);
    assert_eq!(lines(&shell.path("raw.csv")), plain);
}

#[test]
fn an_hourly_recording_is_scored_to_its_last_row() {
    // Fourteen days of it are fewer rows than are taken in at once.
    let shell = Shell::with(SMALL);
    let mut text = String::from("timestamp,load\n");
    for hour in 0..2600_i64 {
        let load =
            10.0 + (hour as f64 / 24.0 * std::f64::consts::TAU).sin() + (hour % 7) as f64 / 10.0;
        writeln!(text, "{},{load}", 1_780_002_000 + hour * 3600).unwrap();
    }
    shell.write("hourly.csv", &text);
    let until = (1_780_002_000 + 300 * 3600).to_string();
    shell.ok(&[
        "backtest",
        "--input",
        "hourly.csv",
        "--train-until",
        &until,
        "--output",
        "hourly.scores.csv",
    ]);
    let made = lines(&shell.path("hourly.scores.csv"));
    assert_eq!(made.len(), 1 + 2300);
    let empty = made.iter().filter(|line| cells(line)[1].is_empty()).count();
    assert_eq!(empty, 0);
}

#[test]
fn a_boundary_outside_of_the_rows_is_refused_with_their_range() {
    let shell = Shell::with(SMALL);
    shell.write("series.csv", &series(300, |_, _| {}));
    let cases: BTreeMap<&str, &str> = BTreeMap::from([
        ("2020-01-01T00:00:00Z", "learn from"),
        ("2030-01-01T00:00:00Z", "score"),
    ]);
    for (until, word) in cases {
        let said = shell.fails(
            1,
            &[
                "backtest",
                "--input",
                "series.csv",
                "--train-until",
                until,
                "--output",
                "out.csv",
            ],
        );
        assert!(
            said.contains("series.csv")
                && said.contains(word)
                && said.contains("2026-05-28T20:30:00Z"),
            "{said}"
        );
    }
    // Too little before it for a network is no reason to refuse: the warm-up scores the rows, and flags none.
    let done = shell
        .command(&[
            "backtest",
            "--input",
            "series.csv",
            "--train-until",
            &(START + 50 * STEP).to_string(),
            "--output",
            "out.csv",
        ])
        .assert()
        .success();
    let said = String::from_utf8_lossy(&done.get_output().stderr).into_owned();
    assert!(said.contains("of the 120 windows"), "{said}");
    assert!(
        lines(&shell.path("out.csv"))[1..]
            .iter()
            .all(|line| cells(line)[2] == "0")
    );
}
