//! The files in `sample_data/` are what the generator makes. `PULSEWATCH_WRITE_SAMPLE=1 cargo test --test sample_data`
//! writes them anew.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use pulsewatch::source::recording::{Reading, Recording, read_labels};
use pulsewatch::source::synthetic::{self, SEED, Sample};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("sample_data")
}

fn sets() -> [(&'static str, Sample); 2] {
    [
        ("multi", synthetic::multi(SEED)),
        ("univariate", synthetic::univariate(SEED)),
    ]
}

fn unpacked(path: &Path) -> String {
    let mut text = String::new();
    GzDecoder::new(std::fs::File::open(path).unwrap())
        .read_to_string(&mut text)
        .unwrap();
    text
}

#[test]
fn files_are_what_the_generator_makes() {
    let write = std::env::var_os("PULSEWATCH_WRITE_SAMPLE").is_some();
    for (name, sample) in sets() {
        let data = folder().join(format!("{name}.csv.gz"));
        let labels = folder().join(format!("{name}_labels.csv"));
        if write {
            let mut packed = GzEncoder::new(Vec::new(), Compression::best());
            packed.write_all(sample.csv().as_bytes()).unwrap();
            std::fs::write(&data, packed.finish().unwrap()).unwrap();
            std::fs::write(&labels, sample.labels_csv()).unwrap();
        }
        assert!(unpacked(&data) == sample.csv(), "{name}.csv.gz differs");
        let kept = std::fs::read_to_string(&labels).unwrap();
        assert!(kept == sample.labels_csv(), "{name}_labels.csv differs");
    }
}

#[test]
fn the_readme_lists_every_column_and_incident() {
    let readme = std::fs::read_to_string(folder().join("README.md")).unwrap();
    for (name, sample) in sets() {
        let table = sample.incident_table();
        assert!(
            readme.contains(&table),
            "{name}: put this into README.md:\n{table}"
        );
        for column in &sample.columns {
            assert!(readme.contains(&format!("`{}`", column.name)));
        }
    }
}

#[test]
fn small_enough_to_build_in() {
    let bytes: u64 = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().metadata().unwrap().len())
        .sum();
    assert!(bytes < 300_000, "{bytes}");
}

#[test]
fn the_first_part_is_clean_and_the_first_incident_comes_soon() {
    for (name, sample) in sets() {
        let clean = sample.rows() * 6 / 10;
        let first = &sample.incidents[0].rows;
        assert!(
            first.start > clean && first.start < clean + 40,
            "{name}: {first:?} after {clean}"
        );
        for pair in sample.incidents.windows(2) {
            assert!(pair[0].rows.end < pair[1].rows.start);
        }
        assert!(sample.incidents.last().unwrap().rows.end < sample.rows());
    }
}

#[test]
fn files_read_as_recordings_with_labels_on_every_row() {
    for (name, sample) in sets() {
        let recording = Recording::read(&folder().join(format!("{name}.csv.gz"))).unwrap();
        let labels = read_labels(
            &folder().join(format!("{name}_labels.csv")),
            &Reading::default(),
        )
        .unwrap();
        assert_eq!(recording.times.len(), sample.rows());
        assert_eq!(recording.step(), sample.step);
        assert!(recording.times.iter().eq(labels.iter().map(|l| &l.0)));
        let missing = recording.values.iter().filter(|v| v.is_nan()).count();
        assert!(
            (1..60).contains(&missing),
            "{name}: {missing} cells missing"
        );
        let anomalous = labels.iter().filter(|l| l.1).count();
        let wanted: usize = sample.incidents.iter().map(|i| i.rows.len()).sum();
        assert_eq!(anomalous, wanted);
    }
}

#[test]
fn values_are_plausible_and_incidents_stand_out() {
    let sample = synthetic::multi(SEED);
    let features = synthetic::features();
    for (column, feature) in sample.columns.iter().zip(&features) {
        assert_eq!(column.name, &*feature.name);
        let known = || column.values.iter().filter(|v| v.is_finite());
        assert!(known().all(|v| *v > 0.0));
        if let Some(limit) = feature.limit.filter(|_| column.name != "cpu") {
            assert!(known().all(|v| *v < limit), "{}", column.name);
        }
    }
    let column = |name: &str| {
        &sample
            .columns
            .iter()
            .find(|c| c.name == name)
            .unwrap()
            .values
    };
    let mean = |name: &str, rows: std::ops::Range<usize>| {
        let part = &column(name)[rows];
        part.iter().sum::<f64>() / part.len() as f64
    };
    // A day before, at the same hours, against the first incident.
    let first = sample.incidents[0].rows.clone();
    let day_before = first.start - 288..first.end - 288;
    assert!(mean("cpu", first.clone()) > 1.5 * mean("cpu", day_before.clone()));
    assert!(mean("latency", first) > 3.0 * mean("latency", day_before));
    let stuck = &column("temperature")[sample.incidents[5].rows.clone()];
    assert!(stuck.iter().all(|v| (v - stuck[0]).abs() < 1e-12));
    // Working days are busier than the weekend.
    assert!(mean("network", 288..576) > 1.15 * mean("network", 6 * 288..7 * 288));
    let other = synthetic::multi(SEED + 1);
    assert_ne!(other.csv(), sample.csv());
}
