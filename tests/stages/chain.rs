//! `collect`, `preprocess`, `train`, `filter`: each alone, chained by files.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use pulsewatch::config;
use pulsewatch::disk::Table;
use pulsewatch::domain::{Entity, Incident, IncidentState, Label, Time, Why};
use pulsewatch::engine::cleaning::{self, LeftOut};
use pulsewatch::engine::learn;
use pulsewatch::engine::training::Training;
use pulsewatch::store::{Journal, datasets};
use serde_json::json;

use super::shell::{SMALL, START, STEP, Shell, npy};

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
    // As many as the engine learns from: by the step of the rows, not by the configured one.
    assert!((3700..4013).contains(&windows), "{windows}");
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
    // One epoch on fewer windows is worse: the two are compared, and it is not promoted unless somebody insists.
    assert_eq!(current(&shell), first);
    let forced = shell.json(&[
        "train",
        "--on-filtered",
        "--epochs",
        "1",
        "--force",
        "--json",
    ]);
    assert_eq!(forced["version"], summary["version"]);
    assert_eq!(forced["version"], json!(current(&shell)));
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

fn at(row: i64) -> Time {
    Time::from_secs(START + row * STEP)
}

/// A journal in which an incident of rows 300 to 305 is labelled real.
fn label_rows_300_to_305(journal: &mut Journal) {
    let id = journal
        .insert(&Incident {
            id: 0,
            entity: Entity::sole(),
            start: at(300),
            end: at(305),
            peak: at(301),
            peak_score: 2.0,
            peak_alarm: Some(1.5),
            state: IncidentState::Closed,
            features: Vec::new(),
            why: Why::default(),
            acknowledged: false,
            label: None,
        })
        .unwrap();
    journal.label(id, Some(Label::Real)).unwrap();
}

#[test]
fn the_stages_learn_by_the_engines_recipe_and_say_what_they_left_out() {
    let config = format!(
        "{SMALL}[history]\nexclude = [{{ start = \"{}\", end = \"{}\" }}]\n[[detect.maintenance]]\nname = \"move\"\nstart = \"{}\"\nend = \"{}\"\n",
        at(100),
        at(129),
        at(200),
        at(220)
    );
    let shell = Shell::with(&config);
    let text = super::shell::series(1500, |row, values| match row {
        // Far off, for long enough that no window may bridge it.
        400..408 | 450 => values[0] += 400.0,
        // Nothing was observed but three rows, too few for a window.
        700..710 | 713..723 => *values = [f64::NAN; 2],
        900..960 => values[0] = 50.0 + 30.0 * f64::from(u8::try_from(row % 2).unwrap()),
        // The second column came lately.
        0..1450 => values[1] = f64::NAN,
        _ => {}
    });
    let input = shell.write("series.csv", &text);
    let (mut journal, _) = Journal::open(&shell.data("journal.sqlite")).unwrap();
    label_rows_300_to_305(&mut journal);
    shell.ok(&["collect", "--input", input.to_str().unwrap()]);
    let said = shell.ok(&["preprocess"]);
    assert!(said.contains("left out of 1480 rows: 30 rows in"), "{said}");
    let trained = shell.json(&["train", "--json"]);

    let loaded = config::load(Some(&shell.path("pulsewatch.toml")), &BTreeMap::new()).unwrap();
    let mut config = loaded.config;
    config.source.step.0 = Duration::from_secs(STEP as u64);
    let frames = datasets::load_frames(&shell.data("raw.parquet")).unwrap();
    let labelled = journal.labelled().unwrap();
    let out = LeftOut::of(&config).and_incidents(&labelled, cleaning::around(&config));
    let never = AtomicBool::new(false);
    let mut prepared = learn::prepare(frames, &out, &config).unwrap();
    let learned = cleaning::refine(
        &mut prepared,
        &out,
        &config,
        &mut Training::new(&never, &mut |_| {}),
    )
    .unwrap();
    let report = &learned.left_out;
    assert_eq!(
        trained["left_out"],
        serde_json::to_value(report).unwrap(),
        "{report}"
    );
    assert_eq!(
        (
            report.excluded_rows,
            report.labelled_rows,
            report.maintenance_rows,
            report.new_columns
        ),
        (30, 16, 20, 1)
    );
    assert!(
        report.outlying_cells >= 9 && report.gap_rows >= 3,
        "{report}"
    );
    assert_eq!(
        trained["model"]["threshold_mse"].as_f64(),
        Some(learned.bundle.calibration.threshold_mse)
    );
    let version = trained["version"].as_str().unwrap();
    let path = shell
        .data("models")
        .join(version)
        .join("bundle.safetensors");
    assert!(
        learned.bundle.to_bytes().unwrap() == std::fs::read(path).unwrap(),
        "the engine's own call learned something else"
    );
}

#[test]
fn a_young_history_has_the_same_windows_however_much_nothing_lies_before_it() {
    let windows = |first: Option<i64>| {
        let shell = Shell::new();
        let mut text = String::from("timestamp,cpu,latency\n");
        if let Some(first) = first {
            writeln!(text, "{},50,50", START - first).unwrap();
        }
        for row in 0..149 {
            // A busy host: one row of thirteen stands out.
            let spike = if row % 13 == 5 { 60.0 } else { 0.0 };
            let value = 40.0 + f64::from(row * 7919 % 100) / 10.0 + spike;
            let time = START + i64::from(row) * 5;
            writeln!(text, "{time},{value},{}", 90.0 - value / 2.0).unwrap();
        }
        let input = shell.write("rows.csv", &text);
        shell.ok(&["collect", "--input", input.to_str().unwrap()]);
        shell.json(&["preprocess", "--json"])["windows"].clone()
    };
    assert_eq!(windows(None), json!(130));
    assert_eq!(windows(Some(12 * 86_400)), json!(130));
}

#[test]
fn filter_goes_by_the_threshold_in_force() {
    let shell = Shell::with(SMALL);
    shell.trained();
    let calibrated = shell.json(&["filter", "--json"])["threshold_mse"]
        .as_f64()
        .unwrap();
    shell.write(
        "pulsewatch.toml",
        &format!("{SMALL}[detect]\nthreshold = 0.5\n"),
    );
    let fixed = shell.json(&["filter", "--json"])["threshold_mse"].as_f64();
    assert_eq!(fixed, Some(0.5), "the configured one, as the engine has it");
    shell.write("pulsewatch.toml", SMALL);

    let (mut journal, _) = Journal::open(&shell.data("journal.sqlite")).unwrap();
    label_rows_300_to_305(&mut journal);
    journal.label(1, Some(Label::False)).unwrap();
    let raised = shell.json(&["filter", "--json"])["threshold_mse"]
        .as_f64()
        .unwrap();
    assert!(
        (raised / calibrated - 1.53).abs() < 1e-9,
        "{raised} {calibrated}"
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
