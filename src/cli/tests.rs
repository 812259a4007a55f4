//! Command lines that must, and must not, parse.

use super::*;

fn read(line: &str) -> Result<(Global, Command), clap::Error> {
    Cli::read(line.split_whitespace())
}

#[test]
fn definitions_are_sound() {
    Cli::command().debug_assert();
}

#[test]
fn every_command_line_of_the_contract_parses() {
    for line in [
        "pulsewatch",
        "pulsewatch run",
        "pulsewatch --no-tui",
        "pulsewatch run --no-tui --config a.toml --data-dir d -v --log-format json --color never",
        "pulsewatch -qq --config a.toml run --mode long-term",
        "pulsewatch run --mode test",
        "pulsewatch run --once --svg frame.svg --size 100x30",
        "pulsewatch detect",
        "pulsewatch collect --input a.csv --output b.parquet --json",
        "pulsewatch preprocess --input a --output b",
        "pulsewatch train --input a --epochs 3 --seed 7",
        "pulsewatch train --on-filtered",
        "pulsewatch filter --threshold 0.0025 --all-errors --output dir",
        "pulsewatch backtest --input a.csv --train-until 2026-11-08T00:00:00Z --output scores.csv --labels l.csv --json report.json --seed 1 --config c.toml",
        "pulsewatch backtest --input a.csv --input b.csv --train-until 1700000000 --output dir --jobs 2 --explain --inject 5,spike,7",
        "pulsewatch backtest --corpus dir --output out --json report.json",
        "pulsewatch check --offline --json",
        "pulsewatch config init --preset node_exporter --output x.toml --force",
        "pulsewatch config import config.yaml --output x.toml --force",
        "pulsewatch config show",
        "pulsewatch config path",
        "pulsewatch incidents list --open --limit 5 --json",
        "pulsewatch incidents show 3",
        "pulsewatch incidents ack 3",
        "pulsewatch incidents label 3 none",
        "pulsewatch models list --json",
        "pulsewatch models use 20261101T000000Z",
        "pulsewatch models rollback",
        "pulsewatch completions zsh",
        "pulsewatch man",
    ] {
        if let Err(error) = read(line) {
            panic!("{line}: {error}");
        }
    }
}

#[test]
fn nothing_typed_is_run() {
    let (global, command) = read("pulsewatch --once --config a.toml").unwrap();
    assert_eq!(global.config, Some(PathBuf::from("a.toml")));
    let Command::Run(run) = command else {
        panic!("not run");
    };
    assert!(run.once);
    assert_eq!((run.size.width, run.size.height), (120, 40));
}

#[test]
fn bad_usage_is_refused_with_code_2() {
    for line in [
        "pulsewatch --once collect",
        "pulsewatch attach",
        "pulsewatch run --svg a.svg",
        "pulsewatch run --once --size 120",
        "pulsewatch run --once --size 1x1",
        "pulsewatch train --epochs 0",
        "pulsewatch filter --threshold -1",
        "pulsewatch backtest --output b",
        "pulsewatch backtest --corpus c --input a --output b",
        "pulsewatch backtest --corpus c --output b --jobs 0",
        "pulsewatch backtest --input a --output b --train-until soon",
        "pulsewatch backtest --input a --output b --train-until 0 --inject 0",
        "pulsewatch backtest --input a --output b --train-until 0 --inject 2,quake",
        "pulsewatch incidents label 3 maybe",
        "pulsewatch -v -q",
    ] {
        match read(line) {
            Ok(_) => panic!("{line} parsed"),
            Err(error) => assert_eq!(error.exit_code(), 2, "{line}: {error}"),
        }
    }
}
