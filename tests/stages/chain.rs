//! `collect`, `preprocess`, `train`, `filter`: each alone, chained by files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use pulsewatch::config;
use pulsewatch::disk::Table;
use pulsewatch::engine::learn;
use pulsewatch::engine::training::Training;
use pulsewatch::store::datasets;
use serde_json::json;

use super::shell::{SMALL, STEP, Shell, npy};

const FEATURES: [&str; 6] = ["cpu", "memory", "latency", "network", "disk", "temperature"];

/// Size of a PNG that decodes to the end and is not all of one colour.
fn picture(path: &Path) -> (u32, u32) {
    let file = std::io::BufReader::new(std::fs::File::open(path).unwrap());
    let mut reader = png::Decoder::new(file).read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size()];
    let info = reader.next_frame(&mut pixels).unwrap();
    let shades: BTreeSet<u8> = pixels.iter().copied().collect();
    assert!(shades.len() > 5, "{} is blank", path.display());
    (info.width, info.height)
}

#[test]
fn without_a_configuration_the_stages_leave_their_files() {
    let shell = Shell::new();
    let collected = shell.json(&["collect", "--json"]);
    assert_eq!(collected["rows"], 4032);
    assert_eq!(collected["features"], json!(FEATURES));
    let raw = Table::load(&shell.data("raw.parquet")).unwrap();
    let names: Vec<&str> = raw.columns.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names[..6], FEATURES);
    assert_eq!(names[6..], ["day_of_week", "hour_of_day"]);
    // The sample begins on a Monday at midnight.
    let calendar = |row: usize| (raw.columns[6].1[row], raw.columns[7].1[row]);
    assert_eq!(
        (calendar(0), calendar(287), calendar(288)),
        ((0.0, 0.0), (0.0, 23.0), (1.0, 0.0))
    );

    let prepared = shell.json(&["preprocess", "--json"]);
    assert_eq!(prepared["rows"], 4032);
    let windows = prepared["windows"].as_u64().unwrap();
    assert!((3800..4013).contains(&windows), "{windows}");
    let scaler: serde_json::Value = datasets::load_json(&shell.data("scaler.json")).unwrap();
    assert!(scaler["pooled"].is_object() && scaler["entities"].is_object());

    let text = shell.ok(&["train", "--epochs", "1"]);
    assert!(
        text.contains("suggested threshold (mean squared error): 0.0"),
        "{text}"
    );
    for name in ["loss.png", "reconstruction_error_histogram.png"] {
        let (width, height) = picture(&shell.data("plots").join(name));
        assert!(width >= 640 && height >= 360, "{name}: {width}×{height}");
    }
    let first = current(&shell);
    assert!(
        shell
            .data("models")
            .join(&first)
            .join("bundle.safetensors")
            .exists()
    );

    let sorted = shell.json(&["filter", "--all-errors", "--threshold", "0.02", "--json"]);
    let (normal, values) = npy(&shell.data("normal_sequences.npy"));
    let (anomalous, _) = npy(&shell.data("anomalous_sequences.npy"));
    let (errors, _) = npy(&shell.data("all_sequence_errors.npy"));
    assert_eq!(
        (normal[1..].to_vec(), anomalous[1..].to_vec()),
        (vec![20, 8], vec![20, 8])
    );
    assert_eq!(values, normal.iter().product::<usize>());
    assert_eq!(
        json!([normal[0], anomalous[0]]),
        json!([sorted["normal"], sorted["anomalous"]])
    );
    assert!(normal[0] > 120 && anomalous[0] > 0, "{sorted}");
    assert_eq!(errors, [normal[0] + anomalous[0]]);
    assert_eq!(errors[0] as u64, windows);

    let summary = shell.json(&["train", "--on-filtered", "--epochs", "1", "--json"]);
    assert_eq!(summary["model"]["windows"], json!(normal[0]));
    assert_eq!(
        summary["suggested_threshold_mse"],
        summary["model"]["threshold_mse"]
    );
    assert_ne!(current(&shell), first);
    assert_eq!(summary["version"], json!(current(&shell)));
}

fn current(shell: &Shell) -> String {
    let text = std::fs::read_to_string(shell.data("models/current")).unwrap();
    text.trim().to_owned()
}

#[test]
fn a_stage_out_of_order_says_which_one_comes_first() {
    let shell = Shell::with(SMALL);
    for (stage, before) in [
        ("preprocess", "collect"),
        ("train", "preprocess"),
        ("filter", "preprocess"),
    ] {
        let said = shell.fails(1, &[stage]);
        assert!(
            said.contains(&format!("run `pulsewatch {before}` first")),
            "{stage}: {said}"
        );
        assert!(said.contains("No such file"), "{stage}: {said}");
    }
    let input = shell.write("series.csv", &super::shell::series(200, |_, _| {}));
    shell.ok(&["collect", "--input", input.to_str().unwrap()]);
    shell.ok(&["preprocess"]);
    let said = shell.fails(1, &["filter"]);
    assert!(said.contains("run `pulsewatch train` first"), "{said}");
    let said = shell.fails(1, &["train", "--on-filtered"]);
    assert!(said.contains("run `pulsewatch filter` first"), "{said}");
    std::fs::write(shell.data("raw.parquet"), "PAR1 cut off").unwrap();
    let said = shell.fails(1, &["preprocess"]);
    assert!(said.contains("raw.parquet"), "{said}");
}

#[test]
fn models_are_listed_chosen_and_gone_back_to() {
    let shell = Shell::with(SMALL);
    assert_eq!(shell.json(&["models", "list", "--json"]), json!([]));
    let first = shell.trained();
    shell.ok(&["filter"]);
    let second = shell.json(&["train", "--seed", "7", "--json"])["version"].clone();
    let listed = shell.json(&["models", "list", "--json"]);
    assert_eq!(listed.as_array().unwrap().len(), 2);
    let chosen = listed
        .as_array()
        .unwrap()
        .iter()
        .find(|m| m["current"] == true);
    assert_eq!(chosen.unwrap()["version"], second);
    assert!(shell.ok(&["models", "list"]).contains(&first));
    assert_eq!(
        shell.json(&["models", "rollback", "--json"]),
        json!({ "current": first })
    );
    assert_eq!(current(&shell), first);
    let second = second.as_str().unwrap();
    let said = shell.ok(&["models", "use", second]);
    assert!(said.contains(second), "{said}");
    assert_eq!(current(&shell), second);
    let said = shell.fails(1, &["models", "use", "19700101T000000Z-00000000"]);
    assert!(said.contains("models list"), "{said}");
}

#[test]
fn the_same_rows_and_seed_make_the_same_bytes_as_the_engine_does() {
    let shell = Shell::with(SMALL);
    let version = shell.trained();
    let bundle = |dir: &str, version: &str| {
        let path = shell.path(dir).join("models").join(version);
        std::fs::read(path.join("bundle.safetensors")).unwrap()
    };
    let bytes = bundle("data", &version);
    let rows = shell.data("processed.parquet");
    let elsewhere = |seed: &str| {
        let dir = format!("data-{seed}");
        let args = [
            "train",
            "--input",
            rows.to_str().unwrap(),
            "--data-dir",
            &dir,
            "--seed",
            seed,
            "--json",
        ];
        let version = shell.json(&args)["version"].as_str().unwrap().to_owned();
        (version.clone(), bundle(&dir, &version))
    };
    assert_eq!(elsewhere("42"), (version.clone(), bytes.clone()));
    let (other, _) = elsewhere("43");
    assert_ne!(other, version);

    let loaded = config::load(Some(&shell.path("pulsewatch.toml")), &BTreeMap::new()).unwrap();
    let mut config = loaded.config;
    config.source.step.0 = Duration::from_secs(STEP as u64);
    let frames = datasets::load_frames(&shell.data("raw.parquet")).unwrap();
    let learned = learn::learn(
        frames,
        &config,
        &mut Training::new(&AtomicBool::new(false), &mut |_| {}),
    )
    .unwrap();
    assert!(
        learned.bundle.to_bytes().unwrap() == bytes,
        "the engine's own call learned something else"
    );
}

#[test]
fn a_metric_that_was_never_there_is_not_judged() {
    let shell = Shell::with(SMALL);
    let text = super::shell::series(400, |_, values| values[1] = f64::NAN);
    let input = shell.write("half.csv", &text);
    shell.ok(&["collect", "--input", input.to_str().unwrap()]);
    shell.ok(&["preprocess"]);
    let trained = shell.json(&["train", "--json"]);
    let sorted = shell.json(&["filter", "--json"]);
    // What the threshold was calibrated on and what is compared with it are the same measure.
    let (normal, anomalous) = (
        sorted["normal"].as_u64().unwrap(),
        sorted["anomalous"].as_u64().unwrap(),
    );
    assert_eq!(
        normal + anomalous,
        trained["model"]["windows"].as_u64().unwrap()
    );
    assert!(anomalous * 20 < normal, "{sorted}");
}
