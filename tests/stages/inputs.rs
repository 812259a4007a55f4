//! What `collect` takes: files of every kind, this host's kept history, and the older programs' settings.

use std::io::Write;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use pulsewatch::disk::Table;
use pulsewatch::domain::Time;
use pulsewatch::source::Collect;
use pulsewatch::source::host::{HostSource, Probe, Reading, features};
use serde_json::json;

use super::shell::{SMALL, START, STEP, Shell, series};

#[test]
fn csv_gzip_and_parquet_are_the_same_rows() {
    let shell = Shell::new();
    let gap = |row: usize, values: &mut [f64; 2]| {
        if (50..54).contains(&row) {
            values[1] = f64::NAN;
        }
    };
    let text = series(300, gap);
    let csv = shell.write("series.csv", &text);
    let packed = shell.path("packed.csv.gz");
    let mut gzip = GzEncoder::new(std::fs::File::create(&packed).unwrap(), Compression::fast());
    gzip.write_all(text.as_bytes()).unwrap();
    gzip.finish().unwrap();
    let parquet = shell.path("series.parquet");
    let columns: Vec<Vec<f64>> = (1..3)
        .map(|at| {
            let cell = |line: &str| line.split(',').nth(at).unwrap().parse().unwrap_or(f64::NAN);
            text.lines().skip(1).map(cell).collect()
        })
        .collect();
    let table = Table {
        times: (0..300).map(|row| (START + row * STEP) * 1000).collect(),
        columns: ["cpu", "latency"]
            .map(String::from)
            .into_iter()
            .zip(columns)
            .collect(),
        metadata: std::collections::BTreeMap::new(),
    };
    table.save(&parquet).unwrap();
    let mut made = Vec::new();
    for file in [&csv, &packed, &parquet] {
        let summary = shell.json(&["collect", "--input", file.to_str().unwrap(), "--json"]);
        assert_eq!(summary["missing_values"], 4, "{}", file.display());
        assert_eq!(summary["features"], json!(["cpu", "latency"]));
        made.push(std::fs::read(shell.data("raw.parquet")).unwrap());
    }
    assert!(made[0] == made[1] && made[1] == made[2]);
    // What was collected can be collected again, and its calendar columns are not counted twice.
    let again = shell.path("again.parquet");
    let raw = shell.data("raw.parquet");
    shell.ok(&[
        "collect",
        "--input",
        raw.to_str().unwrap(),
        "--output",
        again.to_str().unwrap(),
    ]);
    assert!(std::fs::read(&again).unwrap() == made[0]);
    let said = shell.fails(1, &["collect", "--input", "nowhere.csv"]);
    assert!(said.contains("nowhere.csv"), "{said}");
}

/// A machine whose memory fills by a percent a minute.
struct Filling(u64);

impl Probe for Filling {
    fn read(&mut self) -> Reading {
        self.0 += 1;
        Reading {
            taken: Duration::from_secs(self.0 * 60),
            memory: Some(self.0 as f64),
            ..Reading::default()
        }
    }
}

#[test]
fn the_hosts_kept_history_is_collected() {
    let shell = Shell::with("source.kind = \"host\"\n");
    let said = shell.fails(1, &["collect"]);
    assert!(said.contains("no rows"), "{said}");
    let wall = jiff::Timestamp::now().as_second() / 60 * 60;
    let minute = |back: i64| Time::from_secs(wall - back * 60);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let step = Duration::from_secs(60);
        let kept = Some(shell.data("history"));
        let (host, _) = HostSource::with_probe(Filling(0), "box", step, kept, minute(40));
        for back in (10..=40).rev() {
            let now = minute(back);
            host.recent(now, now, now, None).await.unwrap();
        }
    });
    let summary = shell.json(&["collect", "--json"]);
    let names: Vec<String> = features().iter().map(|f| f.name.to_string()).collect();
    assert_eq!(summary["features"], json!(names));
    let raw = Table::load(&shell.data("raw.parquet")).unwrap();
    let memory = raw.column("memory").unwrap();
    let seen: Vec<f64> = memory.iter().copied().filter(|v| v.is_finite()).collect();
    assert_eq!(seen, (1..=31).map(f64::from).collect::<Vec<_>>());
    let first = memory.iter().position(|v| v.is_finite()).unwrap();
    assert_eq!(raw.times[first], minute(40).millis());
    // Too little to learn from is said, with how much there is.
    shell.ok(&["preprocess"]);
    let said = shell.fails(1, &["train"]);
    assert!(said.contains("of the 120 windows"), "{said}");
}

#[test]
fn the_older_programs_settings_train_on_the_sample() {
    let project = env!("CARGO_MANIFEST_DIR");
    let sample = format!("{project}/sample_data/multi.csv.gz");
    for (preset, window, rule) in [
        ("seed-keras", 20, "fixed"),
        ("seed-pulsewatch", 30, "sigma"),
    ] {
        let shell = Shell::new();
        let preset = format!("{project}/config/{preset}.toml");
        let run = |args: &[&str]| {
            let args = [args, &["--config", &preset]].concat();
            // Only time is saved here; network, activations and threshold are the preset's.
            let mut command = shell.command(&args);
            command.env("PULSEWATCH__AUTOENCODER__MAX_WINDOWS", "128");
            let done = command.assert().success();
            String::from_utf8(done.get_output().stdout.clone()).unwrap()
        };
        run(&["collect", "--input", &sample]);
        run(&["preprocess"]);
        let summary: serde_json::Value =
            serde_json::from_str(&run(&["train", "--epochs", "2", "--json"])).unwrap();
        let model = &summary["model"];
        assert_eq!(model["threshold_rule"], rule, "{preset}");
        let loss = model["val_loss"].as_f64().unwrap();
        assert!(loss > 0.0 && loss < 1.0, "{preset}: {loss}");
        let threshold = model["threshold_mse"].as_f64().unwrap();
        if rule == "fixed" {
            assert!((threshold - 0.0025).abs() < 1e-12, "{threshold}");
            run(&["filter"]);
            let (shape, _) = super::shell::npy(&shell.data("anomalous_sequences.npy"));
            assert_eq!(shape[1..], [window, 8]);
        } else {
            assert!(threshold > 0.0 && threshold < 1.0, "{threshold}");
        }
    }
}

#[test]
fn a_replay_source_collects_its_file() {
    let shell = Shell::new();
    let file = shell.write("series.csv", &series(300, |_, _| {}));
    let config = format!(
        "[source]\nkind = \"replay\"\nfile = \"{}\"\n{SMALL}",
        file.display()
    );
    let config = shell.write("replay.toml", &config);
    let summary = shell.json(&["collect", "--json", "--config", config.to_str().unwrap()]);
    // What is learned from is the first part; the rest is to be played.
    assert_eq!(summary["features"], json!(["cpu", "latency"]));
    let rows = summary["rows"].as_u64().unwrap();
    assert!((170..=300).contains(&rows), "{summary}");
}
