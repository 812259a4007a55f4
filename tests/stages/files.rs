//! Files as people have them: in any order, with any dates, zones and columns; nothing of them is lost without a word.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::shell::{SMALL, START, STEP, Shell, series};

/// Minutes since 2026-11-20 with a value each.
fn minutes(rows: impl IntoIterator<Item = (i64, f64)>) -> String {
    let mut text = String::from("timestamp,v\n");
    for (minute, value) in rows {
        let time = jiff::Timestamp::from_second(1_795_132_800 + minute * 60).unwrap();
        writeln!(text, "{time},{value}").unwrap();
    }
    text
}

/// The summary of `collect`.
fn collected(shell: &Shell, text: &str) -> Value {
    shell.write("f.csv", text);
    shell.json(&["collect", "--input", "f.csv", "--json"])
}

fn step(shell: &Shell) -> i64 {
    let raw = pulsewatch::disk::Table::load(&shell.data("raw.parquet")).unwrap();
    raw.times[1] - raw.times[0]
}

#[test]
fn rows_may_stand_in_any_order_but_not_for_several_hosts() {
    let shell = Shell::new();
    let newest_first = minutes((0..200).rev().map(|n| (n * 5, n as f64)));
    let summary = collected(&shell, &newest_first);
    assert_eq!(
        (&summary["rows"], &summary["missing_values"]),
        (&json!(200), &json!(0))
    );
    assert_eq!((step(&shell), &summary["warnings"]), (300_000, &json!([])));
    let shuffled = minutes((0..150).map(|n| (n * 77 % 150, 1.0)));
    let summary = collected(&shell, &shuffled);
    assert_eq!(
        (&summary["rows"], &summary["missing_values"]),
        (&json!(150), &json!(0))
    );
    assert_eq!(step(&shell), 60_000);
    let hosts = (0..90).chain(0..90).enumerate();
    shell.write("f.csv", &minutes(hosts.map(|(at, n)| (n, at as f64))));
    let said = shell.fails(1, &["collect", "--input", "f.csv"]);
    assert!(
        said.contains("f.csv: after 2026-11-20T01:29:00Z") && said.contains("a file for each"),
        "{said}"
    );
    // Row by row in turn: taken, and said.
    let in_turn = (0..180).map(|at| (at / 2, at as f64));
    let summary = collected(&shell, &minutes(in_turn));
    let warning = summary["warnings"][0].as_str().unwrap();
    assert!(
        warning.contains("90 of 180 rows") && warning.contains("several hosts"),
        "{warning}"
    );
}

#[test]
fn dates_in_digits_are_dates_and_other_numbers_are_refused() {
    let shell = Shell::new();
    let days = (1..=20).fold(String::from("date,cpu\n"), |mut text, day| {
        writeln!(text, "202611{day:02},{day}").unwrap();
        text
    });
    assert_eq!(collected(&shell, &days)["rows"], 20);
    assert_eq!(step(&shell), 86_400_000);
    for (time, word) in [
        ("20", "from 1990"),
        ("2026", "year"),
        ("46346", "spreadsheet"),
    ] {
        shell.write("f.csv", &format!("time,cpu\n{time},1\n"));
        let said = shell.fails(1, &["collect", "--input", "f.csv"]);
        assert!(
            said.contains("f.csv, line 2, column 1")
                && said.contains(word)
                && said.contains("RFC 3339"),
            "{said}"
        );
    }
}

#[test]
fn times_without_a_zone_are_those_of_the_setting() {
    let night = |hours: &[&str]| {
        let mut text = String::from("timestamp,v\n");
        for hour in hours {
            for minute in 0..6 {
                writeln!(text, "2026-10-25 {hour}:{minute}0:00,1").unwrap();
            }
        }
        text
    };
    // 02:00 to 03:00 comes twice.
    let text = night(&["00", "01", "02", "02", "03"]);
    let zone = "timezone = \"Europe/Berlin\"\n";
    let shell = Shell::with(&format!("[source]\n{zone}[preprocess]\n{zone}"));
    let summary = collected(&shell, &text);
    assert_eq!(
        (&summary["rows"], &summary["missing_values"]),
        (&json!(30), &json!(0))
    );
    assert_eq!(summary["warnings"], json!([]));
    let raw = pulsewatch::disk::Table::load(&shell.data("raw.parquet")).unwrap();
    let hours: Vec<f64> = raw.column("hour_of_day").unwrap().to_vec();
    assert_eq!(hours[0..2].to_vec(), vec![0.0; 2]);
    assert_eq!(hours[12..24].to_vec(), vec![2.0; 12]);
    let plain = Shell::new();
    let summary = collected(&plain, &text);
    let said = summary["warnings"].to_string();
    assert!(
        said.contains("taken as UTC") && said.contains("source.timezone"),
        "{said}"
    );
    assert!(said.contains("6 of 30 rows"), "{said}");
    let bad = Shell::with("[source]\ntimezone = \"Mars/Base\"\n");
    let said = bad.fails(2, &["collect"]);
    assert!(said.contains("source.timezone"), "{said}");
}

/// A swinging value with a burst between two of its minutes.
fn burst() -> String {
    let mut text = String::from("timestamp,v\n");
    for row in 0..400 {
        let time = START + row * 60;
        writeln!(text, "{time},{}", 5.0 + (row % 7) as f64 / 10.0).unwrap();
        if row == 300 {
            for part in 1..6 {
                writeln!(text, "{},500", time + part * 10).unwrap();
            }
        }
    }
    text
}

#[test]
fn rows_that_fall_onto_another_are_counted_by_every_command() {
    let shell = Shell::with(SMALL);
    let summary = collected(&shell, &burst());
    let said = summary["warnings"].to_string();
    assert!(
        said.contains("5 of 405 rows") && said.contains("nearest to that time is kept"),
        "{said}"
    );
    let until = (START + 250 * 60).to_string();
    let args = ["backtest", "--input", "f.csv", "--train-until", &until];
    let more = ["--output", "out.csv", "--json", "r.json"];
    let done = shell
        .command(&[&args[..], &more].concat())
        .assert()
        .success();
    let said = String::from_utf8_lossy(&done.get_output().stderr).into_owned();
    assert!(
        said.contains("5 of 405 rows") && said.contains("earliest row is kept"),
        "{said}"
    );
    let report = std::fs::read_to_string(shell.path("r.json")).unwrap();
    let report: Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report["superseded"], 5);
    let replay = shell.write(
        "replay.toml",
        "[source]\nkind = \"replay\"\nfile = \"f.csv\"\n",
    );
    let check = ["check", "--config", replay.to_str().unwrap()];
    let said = shell.ok(&check);
    assert!(
        said.contains("400 rows of 1 columns every 60 s") && said.contains("5 of 405 rows"),
        "{said}"
    );
    let report = shell.json(&[&check[..], &["--json"]].concat());
    assert_eq!(
        (&report["file"]["rows"], &report["estimate"]["rows"]),
        (&json!(400), &json!(400.0))
    );
}

const ROWS: usize = 700;
const LEARNED: usize = 400;

/// What a row has in a further column.
type Label = fn(usize) -> usize;

/// With an incident, and a column after the others.
fn labelled(more: Option<(&str, Label)>) -> String {
    let bumpy = series(ROWS, |row, values| {
        if (560..572).contains(&row) {
            *values = values.map(|v| v + 80.0);
        }
    });
    let mut text = String::new();
    for (at, line) in bumpy.lines().enumerate() {
        match more {
            None => writeln!(text, "{line}").unwrap(),
            Some((name, _)) if at == 0 => writeln!(text, "{line},{name}").unwrap(),
            Some((_, label)) => writeln!(text, "{line},{}", label(at - 1)).unwrap(),
        }
    }
    text
}

#[test]
fn labels_in_a_series_are_judged_by_and_not_learned_from() {
    let shell = Shell::with(SMALL);
    let until = (START + LEARNED as i64 * STEP).to_string();
    let run = |name: &str, text: &str, more: &[&str]| {
        shell.write(&format!("{name}.csv"), text);
        let (input, json) = (format!("{name}.csv"), format!("{name}.json"));
        let args = ["backtest", "--input", &input, "--train-until", &until];
        let args = [&args[..], &["--output", "s.csv", "--json", &json], more].concat();
        let done = shell.command(&args).assert().success();
        let said = String::from_utf8_lossy(&done.get_output().stderr).into_owned();
        let read = |file: &str| std::fs::read_to_string(shell.path(file)).unwrap();
        let report: Value = serde_json::from_str(&read(&json)).unwrap();
        (read("s.csv"), report, said)
    };
    let plain = run("plain", &labelled(None), &[]);
    assert!(plain.1.get("judged").is_none());
    let label = |row: usize| usize::from((560..572).contains(&row));
    for name in ["is_anomaly", "Label", "anomaly", "is_anom"] {
        let made = run("own", &labelled(Some((name, label))), &[]);
        assert_eq!(made.0, plain.0, "{name}");
        assert_eq!(made.1["judged"]["events"], 1, "{name}");
        assert!(
            made.2.contains(name) && made.2.contains("no feature"),
            "{}",
            made.2
        );
    }
    shell.write("odd.csv", &labelled(Some(("label", |row| row % 3))));
    let args = ["backtest", "--train-until", &until, "--output", "o.csv"];
    let said = shell.fails(1, &[&args[..], &["--input", "odd.csv"]].concat());
    assert!(
        said.contains("`label`") && said.contains("write 0 and 1"),
        "{said}"
    );
    // Labels of other times judge nothing.
    let mut shifted = String::from("timestamp,is_anomaly\n");
    for row in 0..ROWS {
        writeln!(shifted, "{},0", START + row as i64 * STEP + 7).unwrap();
    }
    shell.write("shifted.csv", &shifted);
    let with = ["--input", "plain.csv", "--labels", "shifted.csv"];
    let said = shell.fails(1, &[&args[..], &with].concat());
    assert!(
        said.contains("shifted.csv: none of the") && said.contains("is the time of a row"),
        "{said}"
    );
}

#[test]
fn every_alarm_is_in_the_report_once() {
    let shell = Shell::with(SMALL);
    // The label covers the first rows of the incident only.
    let text = labelled(Some(("is_anomaly", |row| {
        usize::from((558..562).contains(&row))
    })));
    let mut dated = String::new();
    for (at, line) in text.lines().enumerate() {
        let (time, rest) = line.split_once(',').unwrap();
        match time.parse().map(jiff::Timestamp::from_second) {
            Ok(Ok(time)) if at > 0 => writeln!(dated, "{time},{rest}").unwrap(),
            _ => writeln!(dated, "{line}").unwrap(),
        }
    }
    shell.write("f.csv", &dated);
    let until = (START + LEARNED as i64 * STEP).to_string();
    let args = ["backtest", "--input", "f.csv", "--train-until", &until];
    let said = shell.ok(&[&args[..], &["--output", "s.csv", "--json", "r.json"]].concat());
    let report = std::fs::read_to_string(shell.path("r.json")).unwrap();
    let report: Value = serde_json::from_str(&report).unwrap();
    let alarms = report["alarms"].as_array().unwrap();
    assert_eq!(
        alarms.len() as u64,
        report["judged"]["alarms"].as_u64().unwrap()
    );
    let count = |alarm: &Value| alarm["false_alarms"].as_u64().unwrap();
    assert_eq!(
        alarms.iter().map(count).sum::<u64>(),
        report["judged"]["false_alarms"].as_u64().unwrap()
    );
    let found = alarms
        .iter()
        .find(|alarm| !alarm["event"].is_null())
        .unwrap();
    let start = jiff::Timestamp::from_second(START + 558 * STEP)
        .unwrap()
        .to_string();
    assert_eq!(found["event"]["start"], start.as_str());
    assert!(found["features"][0]["contribution"].as_f64().unwrap() > 0.0);
    // Times are written as they came.
    let scores = std::fs::read_to_string(shell.path("s.csv")).unwrap();
    let first = jiff::Timestamp::from_second(START + LEARNED as i64 * STEP).unwrap();
    assert!(
        scores
            .lines()
            .nth(1)
            .unwrap()
            .starts_with(&format!("{first},"))
    );
    assert!(
        said.contains("judged") && said.contains(&format!("event of {start}")),
        "{said}"
    );
}

#[test]
fn what_a_terminal_would_obey_is_shown_as_an_escape() {
    let shell = Shell::new();
    shell.write(
        "f.csv",
        "timestamp,cpu\n1795132800,\u{1b}[2J\u{1b}]0;owned\u{7}e\u{202e}vil\u{200b}\n",
    );
    let said = shell.fails(1, &["collect", "--input", "f.csv"]);
    assert!(
        said.contains("\\u001b[2J\\u001b]0;owned\\u0007e\\u202evil\\u200b"),
        "{said:?}"
    );
    let said = shell.fails(1, &["collect", "--input", "no\u{1b}[31m\u{202e}.csv"]);
    assert!(said.contains("no\\u001b[31m\\u202e.csv"), "{said:?}");
    let said = shell.fails(2, &["collect", "--in\u{1b}[31m\u{202e}x"]);
    assert!(
        !said.contains('\u{1b}') && said.contains("\\u202ex"),
        "{said:?}"
    );
    // What could not be read is named once.
    let said = shell.fails(
        1,
        &[
            "backtest",
            "--input",
            "nope.csv",
            "--train-until",
            "1795132800",
            "--output",
            "o",
        ],
    );
    assert_eq!(said.matches("nope.csv").count(), 1, "{said}");
    assert_eq!(said.matches("os error").count(), 1, "{said}");
    let said = shell.fails(1, &["train"]);
    assert_eq!(said.matches("os error").count(), 1, "{said}");
    // `preprocess` takes other programs' tables as `collect` does.
    shell.write(
        "g.csv",
        "timestamp,cpu,label\n1795132800,1,0\n1795132860,2,1\n",
    );
    shell.ok(&["preprocess", "--input", "g.csv"]);
    let made = pulsewatch::disk::Table::load(&shell.data("processed.parquet")).unwrap();
    let names = made.columns.iter().map(|(name, _)| name.as_str());
    assert!(names.clone().any(|n| n == "cpu") && !names.clone().any(|n| n == "label"));
}

#[test]
fn a_corpus_is_reported_without_what_failed() {
    let shell = Shell::with(SMALL);
    for name in ["good", "short", "bare"] {
        std::fs::create_dir_all(shell.path("c").join(name)).unwrap();
    }
    let label = |row: usize| usize::from((560..572).contains(&row));
    let text = labelled(Some(("is_anomaly", label)));
    shell.write("c/good/series.csv", &text);
    shell.write("c/short/series.csv", &text);
    let meta = |rows: i64| json!({ "train_end": START + rows * STEP }).to_string();
    shell.write("c/good/meta.json", &meta(LEARNED as i64));
    shell.write("c/short/meta.json", &meta(30));
    shell.write("c/bare/meta.json", &meta(30));
    std::fs::create_dir_all(shell.path("c/words")).unwrap();
    shell.write("c/words/series.csv", "timestamp,cpu\n1795132800,much\n");
    shell.write("c/words/meta.json", &meta(30));
    let args = [
        "backtest", "--corpus", "c", "--output", "o", "--json", "r.json",
    ];
    let done = shell.command(&args).assert().code(1);
    let (out, said) = (&done.get_output().stdout, &done.get_output().stderr);
    let (out, said) = (String::from_utf8_lossy(out), String::from_utf8_lossy(said));
    assert!(out.contains("VUS-PR") && out.contains("good"), "{out}");
    assert!(
        said.contains("2 of 4 inputs failed") && said.contains("bare has no series.csv"),
        "{said}"
    );
    assert!(said.contains("words/series.csv, line 2"), "{said}");
    // Too short for a network: scored by what needs less, and said.
    assert!(said.contains("of the 120 windows needed"), "{said}");
    let scores = std::fs::read_to_string(shell.path("o/short.csv")).unwrap();
    let rows: Vec<Vec<&str>> = scores
        .lines()
        .skip(1)
        .map(|l| l.split(',').collect())
        .collect();
    assert_eq!(rows.len(), ROWS - 30);
    assert!(
        rows.iter()
            .all(|cells| !cells[1].is_empty() && cells[2] == "0")
    );
    let score = |row: usize| rows[row - 30][1].parse::<f64>().unwrap();
    assert!(
        score(561) > 2.0 * score(550),
        "{} {}",
        score(561),
        score(550)
    );
    let report = std::fs::read_to_string(shell.path("r.json")).unwrap();
    let report: Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report["failed"].as_array().unwrap().len(), 2);
    assert_eq!(report["reports"].as_array().unwrap().len(), 2);
}
