//! Exit codes, pipes, quiet and colour, ownership, completions, configuration.

use std::process::{Command, Stdio};

use pulsewatch::disk::DirLock;
use serde_json::Value;

use super::shell::{SMALL, Shell, series};

#[test]
fn bad_usage_is_two_and_says_what_is_wrong() {
    let shell = Shell::new();
    let backtest = |rest: &[&'static str]| [&["backtest", "--output", "out"][..], rest].concat();
    for (args, word) in [
        (vec!["observe"], "observe"),
        (vec!["train", "--epochs", "0"], "--epochs"),
        (vec!["train", "--on-filtered", "--input", "x"], "--input"),
        (vec!["collect", "--colour", "never"], "--colour"),
        (vec!["--no-tui", "collect"], "options of `run`"),
        (backtest(&["--input", "a.csv"]), "--train-until"),
        (
            backtest(&["--input", "a.csv", "--train-until", "noon"]),
            "noon",
        ),
        (
            backtest(&[
                "--input",
                "a.csv",
                "--train-until",
                "1",
                "--train-until",
                "2",
            ]),
            "given 2 times for 1 inputs",
        ),
        (
            backtest(&[
                "--input",
                "a.csv",
                "--input",
                "b.csv",
                "--train-until",
                "1",
                "--labels",
                "l",
            ]),
            "--labels",
        ),
        (
            backtest(&[
                "--input",
                "x/a.csv",
                "--input",
                "y/a.csv.gz",
                "--train-until",
                "1",
            ]),
            "both write",
        ),
        (
            backtest(&["--input", "a.csv", "--train-until", "1", "--inject", "0"]),
            "--inject",
        ),
    ] {
        let said = shell.fails(2, &args);
        assert!(said.contains(word), "{args:?}: {said}");
    }
}

#[test]
fn a_bad_configuration_is_two_with_all_of_its_errors() {
    let shell =
        Shell::with("[detect]\ninterval = \"30\"\ncolour = 1\n\n[source]\nstep = \"never\"\n");
    for args in [
        &["collect"][..],
        &["config", "show"],
        &["check", "--offline"],
        &["models", "list"],
        &["run", "--no-tui"],
    ] {
        let said = shell.fails(2, args);
        for word in [
            "pulsewatch.toml:2: detect.interval",
            "pulsewatch.toml:3: detect.colour",
            "pulsewatch.toml:6: source.step",
        ] {
            assert!(said.contains(word), "{args:?}: {said}");
        }
    }
    let said = shell.fails(2, &["train", "--config", "nowhere.toml"]);
    assert!(
        said.contains("nowhere.toml: there is no such file"),
        "{said}"
    );
    let shell = Shell::new();
    let done = shell
        .command(&["config", "show"])
        .env("PULSEWATCH__DETECT__INTERVAL", "soon")
        .assert()
        .code(2);
    let said = String::from_utf8_lossy(&done.get_output().stderr).into_owned();
    assert!(said.contains("PULSEWATCH__DETECT__INTERVAL"), "{said}");
}

/// Runs with stdout a pipe that nobody reads any more.
fn into_closed_pipe(shell: &Shell, args: &[&str]) -> (Option<i32>, String) {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let command = shell.command(args);
    let done = Command::new(command.get_program())
        .args(command.get_args())
        .env_clear()
        .envs(
            command
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        )
        .current_dir(shell.path(""))
        .stdout(writer)
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    (done.status.code(), String::from_utf8(done.stderr).unwrap())
}

#[test]
fn a_reader_that_left_is_no_failure() {
    let shell = Shell::with(SMALL);
    shell.trained();
    for args in [
        &["man"][..],
        &["completions", "bash"],
        &["config", "show"],
        &["config", "show", "--json"],
        &["models", "list"],
        &["models", "list", "--json"],
        &["incidents", "list"],
        &["incidents", "list", "--json"],
        &["-q", "preprocess"],
        &["-q", "preprocess", "--json"],
        &["--help"],
    ] {
        let (code, said) = into_closed_pipe(&shell, args);
        assert_eq!((code, said.as_str()), (Some(0), ""), "{args:?}");
    }
    // Nobody reads stderr either: log lines are lost, the work is done.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let status = Command::new(env!("CARGO_BIN_EXE_pulsewatch"))
        .args(["train", "--data-dir", "data", "--seed", "3", "-v"])
        .env("PULSEWATCH_CONFIG", shell.path("pulsewatch.toml"))
        .current_dir(shell.path(""))
        .stdout(Stdio::null())
        .stderr(writer)
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(0));
}

#[test]
fn logs_are_quiet_plain_or_json_as_asked() {
    let shell = Shell::new();
    let said = |args: &[&str]| {
        let done = shell
            .command(&[args, &["collect"]].concat())
            .assert()
            .success();
        String::from_utf8(done.get_output().stderr.clone()).unwrap()
    };
    let warning = "this is the built-in sample";
    for args in [
        &[][..],
        &["-q"],
        &["--color", "never"],
        &["--color", "auto"],
    ] {
        let said = said(args);
        assert!(
            said.contains(warning) && !said.contains('\u{1b}'),
            "{args:?}: {said}"
        );
    }
    assert_eq!(said(&["-qq"]), "");
    assert!(said(&["--color", "always"]).contains('\u{1b}'));
    let lines = said(&["--log-format", "json"]);
    assert!(lines.contains(warning));
    for line in lines.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        assert!(line["level"].is_string() && line["message"].is_string());
    }
    shell.fails(2, &["-q", "-v", "collect"]);
}

#[test]
fn an_owned_data_directory_is_left_alone() {
    let shell = Shell::with(SMALL);
    let version = shell.trained();
    shell.ok(&["filter"]);
    let before = std::fs::read(shell.data("processed.parquet")).unwrap();
    let lock = DirLock::take(&shell.data("")).unwrap();
    let owner = format!("process {}", std::process::id());
    for args in [
        &["collect", "--input", "series.csv"][..],
        &["preprocess"],
        &["train"],
        &["train", "--on-filtered"],
        &["filter"],
        &["models", "use", &version],
        &["models", "rollback"],
        &["run", "--no-tui"],
    ] {
        let said = shell.fails(1, args);
        assert!(
            said.contains("in use by another pulsewatch") && said.contains(&owner),
            "{args:?}: {said}"
        );
    }
    assert!(std::fs::read(shell.data("processed.parquet")).unwrap() == before);
    // Reading, and writing elsewhere, disturb nobody.
    shell.ok(&["models", "list"]);
    shell.ok(&["incidents", "list"]);
    shell.ok(&[
        "collect",
        "--input",
        "series.csv",
        "--output",
        "elsewhere.parquet",
    ]);
    shell.ok(&[
        "preprocess",
        "--input",
        "elsewhere.parquet",
        "--output",
        "elsewhere/processed.parquet",
    ]);
    drop(lock);
    shell.ok(&["preprocess"]);
}

#[test]
fn completions_and_the_manual_are_valid() {
    let shell = Shell::new();
    let bash = shell.ok(&["completions", "bash"]);
    let script = shell.write("completion.bash", &bash);
    let checked = Command::new("bash")
        .arg("-n")
        .arg(&script)
        .output()
        .unwrap();
    assert!(
        checked.status.success() && checked.stderr.is_empty(),
        "{checked:?}"
    );
    assert!(
        shell
            .ok(&["completions", "zsh"])
            .starts_with("#compdef pulsewatch")
    );
    assert!(
        shell
            .ok(&["completions", "fish"])
            .contains("complete -c pulsewatch")
    );
    for text in [&bash, &shell.ok(&["man"])] {
        for command in [
            "collect",
            "preprocess",
            "train",
            "filter",
            "backtest",
            "incidents",
        ] {
            assert!(text.contains(command), "{command}");
        }
    }
    let man = shell.ok(&["man"]);
    assert!(
        man.contains(".TH") && man.contains(".SH NAME") && man.contains("train\\-until"),
        "{man}"
    );
    shell.fails(2, &["completions", "tcsh"]);
}

#[test]
fn the_configuration_is_written_shown_and_found() {
    let shell = Shell::new();
    let place = shell.path(".config/pulsewatch/pulsewatch.toml");
    assert_eq!(
        shell.ok(&["config", "path"]).trim(),
        place.to_str().unwrap()
    );
    let defaults = shell.json(&["config", "show", "--json"]);
    shell.ok(&["config", "init"]);
    assert_eq!(shell.json(&["config", "show", "--json"]), defaults);
    let said = shell.fails(1, &["config", "init"]);
    assert!(said.contains("--force"), "{said}");
    shell.ok(&["config", "init", "--force", "--preset", "seed-keras"]);
    let keras = shell.json(&["config", "show", "--json"]);
    assert_eq!(keras["detect"]["threshold"], 0.0025);
    let text = shell.ok(&["config", "show"]);
    assert!(
        text.starts_with(&format!("# from {}", place.display())),
        "{text}"
    );
    // What is shown is a configuration.
    shell.write("shown.toml", &text);
    assert_eq!(
        shell.json(&["config", "show", "--json", "--config", "shown.toml"]),
        keras
    );
    let secret = Shell::with("[api]\ntoken = \"s3cret\"\n");
    assert!(!secret.ok(&["config", "show"]).contains("s3cret"));
    assert!(!secret.ok(&["config", "show", "--json"]).contains("s3cret"));
}

#[test]
fn check_reports_offline_and_as_json() {
    let shell = Shell::with(SMALL);
    shell.write("series.csv", &series(20, |_, _| {}));
    let text = shell.ok(&["check", "--offline"]);
    assert!(!text.is_empty());
    assert!(shell.json(&["check", "--offline", "--json"]).is_object());
}
