//! `check` and `collect` from the shell, against real servers and against none.

use std::fmt::Write as _;

use pulsewatch::disk::Table;
use serde_json::Value;

use crate::common::servers::{History, Prometheus, VictoriaMetrics, free_port, hours_ago};
use crate::driven::{level, series};
use crate::process::{Home, stderr, stdout};

fn history() -> (i64, i64, Vec<History>) {
    let (from, to) = (hours_ago(9), hours_ago(3));
    let mut all = Vec::new();
    for (i, instance) in ["a", "b"].into_iter().enumerate() {
        for (m, metric) in ["cpu_load", "memory"].into_iter().enumerate() {
            all.push(series(metric, instance, (from, to), |t| {
                Some(level(i, m, t))
            }));
        }
    }
    (from, to, all)
}

/// A configuration whose history is what was backfilled.
fn config(url: &str, (from, to): (i64, i64), queries: &[(&str, &str)]) -> String {
    let stamp = |secs: i64| jiff::Timestamp::from_second(secs).unwrap();
    let mut text = format!(
        "[source]\nurl = \"{url}\"\n[entities]\ngroup_by = [\"instance\"]\n\
         [[history.periods]]\nstart = \"{}\"\nend = \"{}\"\n",
        stamp(from),
        stamp(to)
    );
    for (name, expr) in queries {
        writeln!(text, "[queries.{name}]\nexpr = '{expr}'").unwrap();
    }
    text
}

const QUERIES: [(&str, &str); 2] = [("cpu", "cpu_load"), ("memory", "memory")];

#[test]
fn check_and_collect_say_what_they_found() {
    let (from, to, all) = history();
    let server = Prometheus::with_history(&all);
    // What was backfilled is too old to be there now.
    let queries = [
        ("cpu", "cpu_load offset 4h"),
        ("memory", "memory offset 4h"),
        ("none", "absent_metric"),
    ];
    let home = Home::new(&config(&server.url(), (from, to), &queries));
    let checked = home.output(&["check"]);
    let text = stdout(&checked);
    assert_eq!(checked.status.code(), Some(0), "{text}{}", stderr(&checked));
    assert!(
        text.contains("cpu: 2 series") && text.contains("memory: 2 series"),
        "{text}"
    );
    assert!(text.contains("none: 0 series"), "{text}");
    let json: Value = serde_json::from_slice(&home.output(&["check", "--json"]).stdout).unwrap();
    assert_eq!(json["queries"][0]["name"], "cpu", "{json}");
    assert_eq!(json["queries"][0]["series"], 2, "{json}");

    collects(&server.url(), (from, to));

    // Well-formed, but the server refuses it.
    let refused = [
        ("cpu", "cpu_load offset 4h"),
        ("twice", "cpu_load offset 4h + on(job) memory offset 4h"),
    ];
    home.configure(&config(&server.url(), (from, to), &refused));
    let checked = home.output(&["check"]);
    let text = stdout(&checked) + &stderr(&checked);
    assert_eq!(checked.status.code(), Some(1), "{text}");
    assert!(text.contains("cpu: 2 series"), "{text}");
    let mut failing = text.lines().filter(|line| line.starts_with("query "));
    let failing = failing.find(|line| line.contains("on(job)")).unwrap();
    assert!(
        failing.contains("twice (cpu_load offset 4h + on(job) memory"),
        "{text}"
    );
    assert_eq!(failing.matches("twice").count(), 1, "named once: {failing}");
}

/// Both servers are asked in the same words and give the same rows.
fn collects(url: &str, (from, to): (i64, i64)) {
    let home = Home::new(&config(url, (from, to), &QUERIES));
    let collected = home.output(&["collect", "--json"]);
    assert_eq!(collected.status.code(), Some(0), "{}", stderr(&collected));
    let summary: Value = serde_json::from_slice(&collected.stdout).unwrap();
    let rows = (to - from) / 60 + 1;
    assert_eq!(summary["rows"], rows * 2, "{summary}");
    assert_eq!(summary["entities"], 2, "{summary}");
    assert_eq!(summary["missing_values"], 0, "{summary}");
    assert_eq!(
        summary["features"],
        serde_json::json!(["cpu", "memory"]),
        "{summary}"
    );
    let table = Table::load(&home.data().join("raw.parquet")).unwrap();
    let cpu = table.column("cpu").unwrap();
    assert_eq!(cpu.len(), usize::try_from(rows * 2).unwrap());
}

#[test]
fn victoria_metrics_is_collected_from_in_the_same_way() {
    let (from, to, all) = history();
    let server = VictoriaMetrics::start();
    server.import(&all);
    collects(&server.url(), (from, to));
}

#[test]
fn bad_promql_and_an_absent_server_are_told_in_a_line() {
    let nobody = format!("http://127.0.0.1:{}", free_port());
    let period = (hours_ago(9), hours_ago(3));
    let home = Home::new(&config(
        &nobody,
        period,
        &[("cpu", "rate(cpu_load[5m]"), ("fine", "up")],
    ));
    for command in ["check", "collect", "run"] {
        let refused = home.output(&[command]);
        let text = stderr(&refused);
        assert_eq!(refused.status.code(), Some(2), "{command}: {text}");
        assert!(
            text.contains("queries.cpu") && text.contains("pulsewatch.toml"),
            "{command}: {text}"
        );
        assert!(!text.contains("queries.fine"), "{command}: {text}");
    }

    let home = Home::new(&config(&nobody, period, &QUERIES));
    for command in ["check", "collect"] {
        let failed = home.output(&[command]);
        let text = stderr(&failed);
        assert_eq!(failed.status.code(), Some(1), "{command}: {text}");
        assert!(
            text.contains(&nobody) && text.contains("[source] url"),
            "{command}: {text}"
        );
        let lines: Vec<&str> = text
            .lines()
            .filter(|line| line.starts_with("pulsewatch:"))
            .collect();
        assert_eq!(lines.len(), 1, "{command}: {text}");
        assert!(!text.contains("panicked"), "{text}");
    }
    let offline = home.output(&["check", "--offline"]);
    assert_eq!(offline.status.code(), Some(0), "{}", stderr(&offline));
}
