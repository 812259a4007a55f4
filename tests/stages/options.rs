//! What the stages do with gaps, thresholds, filtered sequences and settings that changed between two of them.

use pulsewatch::disk::Table;
use serde_json::{Value, json};

use super::shell::{SMALL, Shell, npy, series};

/// A row in which `cpu` has no value, by its number.
fn is_gap(row: usize) -> bool {
    row > 100 && row % 90 < 3
}

/// 700 rows with gaps, collected and preprocessed with `fill`; what `preprocess` reports, and its rows.
fn preprocessed(fill: &str) -> (Shell, Value, Table) {
    let shell = Shell::with(&format!("{SMALL}[preprocess]\nfill = \"{fill}\"\n"));
    let gappy = series(700, |row, values| {
        if is_gap(row) {
            values[0] = f64::NAN;
        }
    });
    let input = shell.write("series.csv", &gappy);
    shell.ok(&["collect", "--input", input.to_str().unwrap()]);
    let report = shell.json(&["preprocess", "--json"]);
    let table = Table::load(&shell.data("processed.parquet")).unwrap();
    (shell, report, table)
}

#[test]
fn drop_leaves_rows_with_a_gap_out_and_none_leaves_their_values_missing() {
    let gaps = (0..700).filter(|row| is_gap(*row)).count();
    let missing = |table: &Table| {
        let cpu = table.column("cpu").unwrap();
        cpu.iter().filter(|value| value.is_nan()).count()
    };
    let (_, report, filled) = preprocessed("ffill_bfill");
    assert_eq!((filled.times.len(), missing(&filled)), (700, 0));
    assert_eq!(report["rows_with_gaps"], json!(gaps));
    let (shell, report, dropped) = preprocessed("drop");
    assert_eq!((dropped.times.len(), missing(&dropped)), (700 - gaps, 0));
    assert_eq!(report["rows"], json!(700 - gaps));
    let said = shell.ok(&["preprocess"]);
    assert!(
        said.contains(&format!("{gaps} rows lacked a value and were dropped")),
        "{said}"
    );
    let (other, report, none) = preprocessed("none");
    assert_eq!((none.times.len(), missing(&none)), (700, gaps));
    let said = other.ok(&["preprocess"]);
    assert!(said.contains("no window touches them"), "{said}");
    // No window reaches over a gap, so both train on the same windows.
    let windows = report["windows"].clone();
    for shell in [&shell, &other] {
        let trained = shell.json(&["train", "--json"]);
        assert_eq!(trained["windows"]["available"], windows, "{trained}");
    }
}

#[test]
fn a_number_as_threshold_holds_for_filter_too() {
    let shell = Shell::with(SMALL);
    shell.trained();
    let filter = |args: &[&str], threshold: &str| {
        let mut command = shell.command(&[&["filter", "--json"], args].concat());
        command.env("PULSEWATCH__DETECT__THRESHOLD", threshold);
        let done = command.assert().success();
        let report: Value = serde_json::from_slice(&done.get_output().stdout).unwrap();
        report["threshold_mse"].as_f64().unwrap()
    };
    assert!((filter(&[], "0.0123") - 0.0123).abs() < 1e-12);
    assert!((filter(&["--threshold", "0.5"], "0.0123") - 0.5).abs() < 1e-12);
}

#[test]
fn a_model_of_filtered_sequences_is_compared_with_the_one_that_scores() {
    let shell = Shell::with(SMALL);
    shell.trained();
    let report = shell.json(&["filter", "--threshold", "0.15", "--json"]);
    let normal = report["normal"].as_u64().unwrap();
    let trained = shell.json(&["train", "--on-filtered", "--seed", "7", "--json"]);
    assert_eq!(trained["windows"]["available"], json!(normal));
    let decision = &trained["model"]["decision"];
    assert!(
        decision["comparison"]["windows"].as_u64().unwrap() >= 40,
        "{decision}"
    );

    // Elsewhere, several sets beside each other; one of other rows is not promoted unasked.
    shell.ok(&["filter", "--output", "strict", "--threshold", "0.1"]);
    shell.ok(&[
        "filter",
        "--output",
        "loose",
        "--threshold",
        "0.5",
        "--all-errors",
    ]);
    let count = |name: &str| npy(&shell.path(name)).0[0];
    let (strict, loose) = (
        count("strict/normal_sequences.npy"),
        count("loose/normal_sequences.npy"),
    );
    assert!(strict < loose, "{strict} {loose}");
    assert!(shell.path("loose/all_sequence_errors.npy").exists());
    let trained = shell.json(&[
        "train",
        "--input",
        "loose/normal_sequences.npy",
        "--seed",
        "8",
        "--json",
    ]);
    assert_eq!(trained["windows"]["available"], json!(loose));
    let other = Shell::with(SMALL);
    other.trained();
    let moved = series(500, |row, values| values[1] = 10.0 + (row % 7) as f64);
    let input = other.write("series.csv", &moved);
    other.ok(&["collect", "--input", input.to_str().unwrap()]);
    other.ok(&["preprocess"]);
    let foreign = shell.path("loose/normal_sequences.npy");
    let said = other.ok(&["train", "--input", foreign.to_str().unwrap()]);
    assert!(said.contains("refused: its sequences are not of"), "{said}");
}

#[test]
fn what_filter_left_too_little_of_is_said_with_what_to_do() {
    let shell = Shell::with(SMALL);
    shell.trained();
    shell.ok(&["filter", "--threshold", "1e-9"]);
    let said = shell.fails(1, &["train", "--on-filtered"]);
    for words in ["left 0 normal sequences", "needs 120", "higher --threshold"] {
        assert!(said.contains(words), "{words}: {said}");
    }
}

#[test]
fn train_says_how_many_windows_it_used() {
    let shell = Shell::with(SMALL);
    shell.trained();
    let report = shell.json(&["train", "--json", "--seed", "3"]);
    let of = |key: &str| report["windows"][key].as_u64().unwrap();
    assert_eq!(of("trained_on"), 200, "autoencoder.max_windows: {report}");
    assert!(of("available") > 600 && of("held_back") > 100, "{report}");
    let said = shell.ok(&["train", "--seed", "4"]);
    let words = ["trained on 200 of ", " windows, ", " held back; "];
    assert!(words.iter().all(|words| said.contains(words)), "{said}");
}

#[test]
fn rows_that_were_prepared_otherwise_are_refused() {
    let shell = Shell::with(SMALL);
    shell.trained();
    for stage in ["train", "filter"] {
        let mut command = shell.command(&[stage]);
        command.env("PULSEWATCH__PREPROCESS__SCALER", "standard");
        let done = command.assert().failure().code(1);
        let said = String::from_utf8(done.get_output().stderr.clone()).unwrap();
        let words = "they were made with [preprocess] scaler = \"minmax\", which is \"standard\" now; run `pulsewatch preprocess` again";
        assert!(
            said.contains(words) && said.contains("processed.parquet"),
            "{said}"
        );
    }
}

#[test]
fn the_same_data_and_settings_give_the_same_model() {
    let shell = Shell::with(SMALL);
    let version = shell.trained();
    let said = shell.ok(&["train"]);
    assert!(said.contains(&format!("model {version}:")), "{said}");
    assert!(
        said.contains("promoted: it scores already, as the data and the settings are the same"),
        "{said}"
    );
    let listed = shell.json(&["models", "list", "--json"]);
    assert_eq!(listed.as_array().unwrap().len(), 1, "{listed}");
}

#[test]
fn without_an_autoencoder_the_forecast_is_learned_and_without_both_nothing() {
    let shell = Shell::with(SMALL);
    shell.trained();
    let mut command = shell.command(&["train"]);
    command.env("PULSEWATCH__AUTOENCODER__ENABLED", "false");
    command.assert().success();
    let mut command = shell.command(&["filter"]);
    command.env("PULSEWATCH__AUTOENCODER__ENABLED", "false");
    let done = command.assert().failure();
    let said = String::from_utf8(done.get_output().stderr.clone()).unwrap();
    assert!(said.contains("has no network"), "{said}");
    let mut command = shell.command(&["train"]);
    command.env("PULSEWATCH__AUTOENCODER__ENABLED", "false");
    command.env("PULSEWATCH__FORECAST__ENABLED", "false");
    let done = command.assert().failure().code(2);
    let said = String::from_utf8(done.get_output().stderr.clone()).unwrap();
    assert!(
        said.contains("autoencoder.enabled") && said.contains("no model is trained"),
        "{said}"
    );
}
