//! `backtest` over many series: a corpus, families, jobs, what was learned kept, and the script that judges.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::shell::{SMALL, START, STEP, Shell, series};

const ROWS: usize = 600;
const LEARNED: usize = 400;
/// Rows in which both columns misbehave.
const INCIDENT: std::ops::Range<usize> = 500..512;

fn time(row: usize) -> i64 {
    START + row as i64 * STEP
}

/// A series with an incident, another one for each `kind`.
fn bumpy(kind: usize) -> String {
    series(ROWS, |row, values| {
        let wave = (row as f64 * (0.3 + kind as f64 / 10.0)).sin();
        values[1] += 5.0 * kind as f64 * wave;
        if INCIDENT.contains(&row) {
            *values = values.map(|v| v + 80.0);
        }
    })
}

fn labels() -> String {
    let mut text = String::from("timestamp,is_anomaly\n");
    for row in 0..ROWS {
        let label = u8::from(INCIDENT.contains(&row));
        writeln!(text, "{},{label}", time(row)).unwrap();
    }
    text
}

fn meta(family: &str, more: &[(&str, Value)]) -> String {
    let mut meta =
        json!({ "family": family, "train_end": time(LEARNED), "step": STEP, "licence": "none" });
    for (key, value) in more {
        meta[*key] = value.clone();
    }
    meta.to_string()
}

/// A corpus of three series in two families, one of them without labels, beside a folder that is no series.
fn corpus(shell: &Shell) {
    for name in ["notes", "kpi_a", "kpi_b", "other"] {
        std::fs::create_dir_all(shell.path("corpus").join(name)).unwrap();
    }
    for (kind, name) in ["kpi_a", "kpi_b", "other"].into_iter().enumerate() {
        shell.write(&format!("corpus/{name}/series.csv"), &bumpy(kind));
    }
    shell.write("corpus/README.md", "not a series");
    shell.write("corpus/kpi_a/labels.csv", &labels());
    shell.write("corpus/kpi_b/labels.csv", &labels());
    let windows = json!([[time(495), time(515)]]);
    shell.write("corpus/kpi_a/meta.json", &meta("KPI", &[]));
    let given = [("nab_windows", windows), ("vus_window", json!(7))];
    shell.write("corpus/kpi_b/meta.json", &meta("KPI", &given));
    shell.write("corpus/other/meta.json", &meta("ELSE", &[]));
}

fn read(shell: &Shell, name: &str) -> String {
    std::fs::read_to_string(shell.path(name)).unwrap()
}

fn parsed(shell: &Shell, name: &str) -> Value {
    serde_json::from_str(&read(shell, name)).unwrap()
}

fn number(value: &Value) -> f64 {
    value
        .as_f64()
        .unwrap_or_else(|| panic!("{value} is no number"))
}

#[test]
fn a_corpus_is_judged_by_series_and_family_whatever_the_jobs() {
    let shell = Shell::with(SMALL);
    corpus(&shell);
    let run = |jobs: &[&str]| {
        let args = [
            "backtest",
            "--corpus",
            "corpus",
            "--output",
            "out",
            "--json",
            "report.json",
        ];
        let said = shell.ok(&[&args, jobs].concat());
        let scores = ["kpi_a", "kpi_b", "other"].map(|n| read(&shell, &format!("out/{n}.csv")));
        std::fs::remove_dir_all(shell.path("out")).unwrap();
        (said, scores, read(&shell, "report.json"))
    };
    let alone = run(&["--jobs", "1"]);
    assert_eq!(run(&["--jobs", "3"]), alone);
    assert_eq!(run(&[]), alone);

    let (said, scores, report) = alone;
    assert_eq!(scores[0].lines().count(), 1 + ROWS - LEARNED);
    let report: Value = serde_json::from_str(&report).unwrap();
    let reports = report["reports"].as_array().unwrap();
    let names: Vec<&str> = reports
        .iter()
        .map(|r| r["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["kpi_a", "kpi_b", "other"]);
    assert_eq!(reports[2]["family"], "ELSE");
    assert!(reports[2].get("judged").is_none(), "{}", reports[2]);
    let families = report["families"].as_object().unwrap();
    assert_eq!(families.keys().collect::<Vec<_>>(), ["KPI"]);
    let kpi = &families["KPI"];
    assert_eq!(kpi["events"], 2);
    let of = |at: usize, measure: &str| number(&reports[at]["judged"][measure]);
    let mean = f64::midpoint(of(0, "vus_pr"), of(1, "vus_pr"));
    assert!((number(&kpi["vus_pr"]) - mean).abs() < 1e-12);
    // Only the second one's windows are NAB's.
    assert_eq!(kpi["nab_windows"], 1);
    assert_eq!(kpi["nab_onset"], reports[1]["judged"]["nab_onset"]);
    assert_eq!(report["all"], *kpi);
    for line in ["series ", "kpi_a ", "kpi_b ", "family ", "KPI ", "all "] {
        let found = said.lines().filter(|l| l.starts_with(line)).count();
        assert_eq!(found, 1, "{line}: {said}");
    }
    let left_out = &reports[0]["left_out"];
    assert_eq!(left_out["rows"], LEARNED, "{left_out}");
}

#[test]
fn a_series_with_too_little_to_learn_from_is_scored_by_what_needs_less() {
    let shell = Shell::with(SMALL);
    corpus(&shell);
    let short = [("train_end", json!(time(60)))];
    shell.write("corpus/kpi_b/meta.json", &meta("KPI", &short));
    let args = [
        "backtest", "--corpus", "corpus", "--output", "out", "--json", "r.json",
    ];
    let done = shell.command(&args).assert().success();
    let printed = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let said = printed(&done.get_output().stdout);
    for line in ["series ", "kpi_a ", "kpi_b ", "family ", "KPI ", "all "] {
        let found = said.lines().filter(|l| l.starts_with(line)).count();
        assert_eq!(found, 1, "{line}: {said}");
    }
    let warned = printed(&done.get_output().stderr);
    assert!(
        warned.contains("kpi_b") && warned.contains("of the 120 windows needed"),
        "{warned}"
    );
    let report = parsed(&shell, "r.json");
    assert_eq!(report["failed"], json!([]));
    let short = &report["reports"][1];
    assert_eq!(
        (&short["name"], &short["scored"]),
        (&json!("kpi_b"), &json!(ROWS - 60))
    );
    assert_eq!(
        (&short["flagged"], &short["training_windows"]),
        (&json!(0), &json!(null))
    );
    assert!(number(&short["judged"]["vus_pr"]) > 0.0);
}

#[test]
fn a_description_beside_a_series_counts_for_it_alone() {
    let shell = Shell::with(SMALL);
    corpus(&shell);
    let judged = |args: &[&str]| {
        let common = [
            "backtest",
            "--output",
            "scores.csv",
            "--json",
            "report.json",
            "--labels",
            "corpus/kpi_a/labels.csv",
        ];
        shell.ok(&[&common, args].concat());
        parsed(&shell, "report.json")["judged"].clone()
    };
    // Where learning ends and how wide VUS looks stand in the folder.
    let narrow = judged(&["--input", "corpus/kpi_b/series.csv"]);
    let until = time(LEARNED).to_string();
    let given = judged(&[
        "--input",
        "corpus/kpi_b/series.csv",
        "--train-until",
        &until,
    ]);
    assert_eq!(given, narrow);
    assert_eq!(narrow["nab_given"], true);
    // A file among others is described by nothing.
    shell.write("corpus/kpi_b/host.csv", &bumpy(1));
    let wide = judged(&["--input", "corpus/kpi_b/host.csv", "--train-until", &until]);
    assert_eq!(wide["nab_given"], false);
    assert_ne!(wide["vus_pr"], narrow["vus_pr"]);
    assert_eq!(wide["auc_pr"], narrow["auc_pr"]);
    let said = shell.fails(
        2,
        &[
            "backtest",
            "--input",
            "corpus/kpi_b/host.csv",
            "--output",
            "out.csv",
        ],
    );
    assert!(
        said.contains("--train-until") && said.contains("host.csv"),
        "{said}"
    );
}

#[test]
fn names_make_families_where_nothing_else_does() {
    let shell = Shell::with(SMALL);
    shell.write("labels.csv", &labels());
    let until = time(LEARNED).to_string();
    let mut args = vec!["backtest", "--train-until", &until, "--output", "out"];
    args.extend(["--json", "report.json"]);
    for input in ["web-1.csv", "web-2.csv", "mail-1.csv"] {
        shell.write(input, &bumpy(0));
        args.extend(["--input", input, "--labels", "labels.csv"]);
    }
    let said = shell.ok(&args);
    assert!(said.lines().any(|line| line.starts_with("web ")), "{said}");
    let report = parsed(&shell, "report.json");
    let families = report["families"].as_object().unwrap();
    assert_eq!(families.keys().collect::<Vec<_>>(), ["web"]);
    assert_eq!(families["web"]["events"], 2);
    assert_eq!(report["all"]["events"], 3);
}

#[test]
fn a_corpus_that_makes_no_sense_is_refused_with_the_reason() {
    let shell = Shell::with(SMALL);
    let backtest = |code: i32| shell.fails(code, &["backtest", "--corpus", "c", "--output", "out"]);
    assert!(backtest(1).starts_with("pulsewatch: c: "));
    std::fs::create_dir_all(shell.path("c/one")).unwrap();
    assert!(backtest(1).contains("holds no series"));
    for (text, word) in [
        ("{}", "no series.csv.gz"),
        ("{}", "`train_end` is missing"),
        ("{\"train_end\": \"noon\"}", "invalid type: string \"noon\""),
        ("{\"train_end\": 1e300}", "1e300 is no time"),
        ("{\"train_end\": 1, \"step\": 0}", "`step` is 0"),
        ("{", "EOF"),
    ] {
        shell.write("c/one/meta.json", text);
        let said = backtest(1);
        assert!(
            said.contains(word) && said.contains("one"),
            "{word}: {said}"
        );
        shell.write("c/one/series.csv", &bumpy(0));
    }
    assert!(!shell.path("out").exists());
    let both = ["backtest", "--corpus", "c", "--input", "a.csv"];
    let said = shell.fails(2, &[&both[..], &["--output", "out"]].concat());
    assert!(said.contains("--corpus"), "{said}");
}

#[test]
fn what_was_learned_is_kept_and_never_trusted_blindly() {
    let shell = Shell::with(SMALL);
    shell.write("host.csv", &bumpy(0));
    let until = time(LEARNED).to_string();
    let run = |more: &[&str]| {
        let args = [
            "backtest",
            "--input",
            "host.csv",
            "--train-until",
            &until,
            "--output",
            "scores.csv",
        ];
        let done = shell
            .command(&[&args, more].concat())
            .assert()
            .success()
            .get_output()
            .clone();
        let said = String::from_utf8(done.stderr).unwrap();
        (read(&shell, "scores.csv"), said)
    };
    let kept = |more: &[&str]| {
        let (scores, said) = run(&[&["--cache", "cache"], more].concat());
        let known = said.contains("1 of 1 trainings were in the cache");
        assert!(
            known || said.contains("0 of 1 trainings were in the cache"),
            "{said}"
        );
        (scores, known)
    };
    let (plain, said) = run(&[]);
    assert!(said.contains("backtesting: "), "{said}");
    assert_eq!(run(&["--quiet"]), (plain.clone(), String::new()));
    assert_eq!(kept(&[]), (plain.clone(), false));
    assert_eq!(kept(&[]), (plain.clone(), true));

    // An entry that is cut short, altered or another's is passed over and written anew.
    let entry = std::fs::read_dir(shell.path("cache")).unwrap().next();
    let path = entry.unwrap().unwrap().path();
    let whole = std::fs::read(&path).unwrap();
    let mut altered = whole.clone();
    *altered.last_mut().unwrap() ^= 1;
    let older = [b"0", &whole[1..]].concat();
    for bytes in [&whole[..whole.len() / 2], &altered, &older, b"", b"\n\n"] {
        std::fs::write(&path, bytes).unwrap();
        assert_eq!(kept(&[]), (plain.clone(), false));
        assert_eq!(std::fs::read(&path).unwrap(), whole);
    }

    // What is behind the network is done anew; what is before it is another training.
    let strict = shell.write(
        "strict.toml",
        &format!("{SMALL}[detect]\nthreshold = {{ sigma = 9.0 }}\n"),
    );
    let strict = ["--config", strict.to_str().unwrap()];
    let (wanted, _) = run(&strict);
    assert_ne!(wanted, plain);
    assert_eq!(kept(&strict), (wanted, true));
    let (wanted, _) = run(&["--seed", "7"]);
    assert_eq!(kept(&["--seed", "7"]), (wanted, false));
    shell.write("host.csv", &bumpy(1));
    assert!(!kept(&[]).1);
    assert_eq!(std::fs::read_dir(shell.path("cache")).unwrap().count(), 3);
}

#[test]
fn the_script_judges_against_what_is_aimed_at() {
    let shell = Shell::with(SMALL);
    corpus(&shell);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/quality.sh");
    let run = |args: &[&str]| {
        let done = Command::new("bash")
            .arg(&script)
            .args(args)
            .current_dir(shell.path(""))
            .env("PULSEWATCH", env!("CARGO_BIN_EXE_pulsewatch"))
            // Not what the figures are made with.
            .env("PULSEWATCH_CONFIG", "no/such/file")
            .output()
            .unwrap();
        let said = String::from_utf8(done.stdout).unwrap();
        let errors = String::from_utf8(done.stderr).unwrap();
        (done.status.code().unwrap(), said, errors)
    };
    let line = |said: &str, start: &str, end: &str| {
        said.lines()
            .any(|line| line.starts_with(start) && line.ends_with(end))
    };
    let small = ["corpus", "--", "--config", "pulsewatch.toml"];
    let (code, said, errors) = run(&[&["--output", "kept"], &small[..]].concat());
    // The small network finds the incident and ranks it well, and is good enough for every aim or misses some: both are told.
    let missed = said.lines().filter(|line| line.ends_with("MISS")).count();
    assert_eq!(code, if missed == 0 { 0 } else { 3 }, "{said}\n{errors}");
    assert!(
        line(
            &said,
            "KPI      event recall           1.0000  >= 0.65",
            "pass"
        ),
        "{said}"
    );
    assert!(
        said.contains(&format!("{} of 4 aims met", 4 - missed)),
        "{said}"
    );
    assert!(
        said.contains("wall time ") && line(&said, "family  VUS-PR", ""),
        "{said}"
    );
    assert!(!said.contains("ASD"), "{said}");
    let report = parsed(&shell, "kept/report.json");
    let vus = number(&report["families"]["KPI"]["vus_pr"]);
    assert!(
        said.contains(&format!("{vus:.4}  >= 0.6 ")),
        "{vus}: {said}"
    );
    assert!(shell.path("kept/predictions/other.csv").is_file());

    // With no warning missed, everything is: nothing is flagged at such a threshold.
    shell.write("blind.toml", &format!("{SMALL}[detect]\nthreshold = 1e9\n"));
    let (code, said, _) = run(&["corpus", "--", "--config", "blind.toml"]);
    assert_eq!(code, 3, "{said}");
    assert!(
        line(&said, "KPI      event recall           0.0000", "MISS"),
        "{said}"
    );
    assert!(
        line(&said, "KPI      false flags %          0.0000", "pass"),
        "{said}"
    );

    assert_eq!(run(&["corpus", "--", "--config", "none.toml"]).0, 1);
    for wrong in [&[][..], &["nowhere"], &["--fast", "corpus"], &["--agree"]] {
        let (code, _, errors) = run(wrong);
        assert_eq!(code, 2, "{errors}");
        assert!(errors.contains("usage: "), "{errors}");
    }
}

/// Runs only where `PULSEWATCH_EVALUATE` names an evaluator script and python3 has numpy.
#[test]
fn the_script_compares_with_an_independent_evaluator() {
    let Some(evaluator) = std::env::var_os("PULSEWATCH_EVALUATE") else {
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
    let shell = Shell::with(SMALL);
    corpus(&shell);
    // The evaluator judges nothing without labels.
    std::fs::remove_dir_all(shell.path("corpus/other")).unwrap();
    // It counts all windows of a family in which any were given; this program those that were given.
    let windows = [("nab_windows", json!([[time(490), time(520)]]))];
    shell.write("corpus/kpi_a/meta.json", &meta("KPI", &windows));
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/quality.sh");
    let run = |evaluator: &std::ffi::OsStr| {
        Command::new("bash")
            .arg(&script)
            .arg("--agree")
            .arg(evaluator)
            .args(["corpus", "--", "--config", "pulsewatch.toml"])
            .current_dir(shell.path(""))
            .env("PULSEWATCH", env!("CARGO_BIN_EXE_pulsewatch"))
            .output()
            .unwrap()
    };
    let done = run(&evaluator);
    let said = String::from_utf8(done.stdout).unwrap();
    assert!(
        said.contains("figures compared with the other evaluator"),
        "{said}"
    );
    assert!([0, 3].contains(&done.status.code().unwrap()), "{said}");

    // One that is off by a little is caught.
    let text = std::fs::read_to_string(&evaluator).unwrap();
    let wrong = text.replace(
        "r['false_alarms'] for r in rs",
        "r['false_alarms'] + 1 for r in rs",
    );
    assert_ne!(wrong, text);
    let wrong = shell.write("wrong.py", &wrong);
    let done = run(wrong.as_os_str());
    let errors = String::from_utf8(done.stderr).unwrap();
    assert_eq!(done.status.code(), Some(1), "{errors}");
    assert!(errors.contains("family KPI: false_alarms is"), "{errors}");
}
