//! Recordings, their replay, injected anomalies, and this host with scripted values.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::float_cmp
)]

mod common;
#[path = "sources/judged.rs"]
mod judged;
#[path = "sources/parquet.rs"]
mod parquet_files;

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use ndarray::Array2;
use proptest::prelude::*;
use pulsewatch::config::Merge;
use pulsewatch::disk::Table;
use pulsewatch::domain::{Entity, Feature, Frame, Schema, Time, Unit};
use pulsewatch::source::host::{HostSource, Probe, Reading};
use pulsewatch::source::inject::{InjectSpec, Injector, apply, deviations};
use pulsewatch::source::recording::{self, Recording, read_labels};
use pulsewatch::source::replay::{PlayFrom, ReplaySource};
use pulsewatch::source::{Batch, Collect, SourceError, synthetic};

const START: i64 = 1_700_000_100;
const STEP: i64 = 300;

fn at(row: i64) -> Time {
    Time::from_secs(START + row * STEP)
}

fn gzip(text: &str) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(text.as_bytes()).unwrap();
    packed.finish().unwrap()
}

fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

fn history(source: &impl Collect, periods: &[(Time, Time)]) -> Batch {
    block_on(source.history(periods, None, &|_| {})).unwrap()
}

fn recent(source: &impl Collect, from: Time, to: Time) -> Frame {
    let mut batch = block_on(source.recent(from, to, to, None)).unwrap();
    batch.frames.remove(0)
}

/// 200 rows: `a` wavers, `b` counts.
fn recording() -> Recording {
    let values = Array2::from_shape_fn((200, 2), |(row, column)| match column {
        0 => [3.0, 5.0, 4.0, 6.0][row % 4],
        _ => row as f64,
    });
    Recording {
        times: (0..200).map(at).collect(),
        columns: vec!["a".into(), "b".into()],
        values,
    }
}

fn replay(from: PlayFrom, speed: f64, injector: Option<Injector>) -> ReplaySource {
    let wall = Time::from_secs(0);
    ReplaySource::new(&recording(), "r".into(), from, speed, wall, injector).unwrap()
}

#[test]
fn one_data_set_in_every_format() {
    let dir = tempfile::tempdir().unwrap();
    let plain = "timestamp,cpu,load\n1700000100,1.5,\n1700000400,NaN,2\n1700000700,-3e2,inf\n";
    let dated = "time,cpu,load\n2023-11-14 22:15:00,1.5,null\n2023-11-14T23:20:00+01:00,,2.0\n2023-11-14T22:25:00.000Z,-300,-Infinity\n";
    let millis = plain
        .replace("100,", "100000,")
        .replace("400,", "400000,")
        .replace("700,", "700000,");
    let table = Table {
        times: (0..3).map(|row| at(row).millis()).collect(),
        columns: vec![
            ("cpu".into(), vec![1.5, f64::NAN, -300.0]),
            ("load".into(), vec![f64::NAN, 2.0, f64::NAN]),
        ],
        ..Table::default()
    };
    let files: [(&str, Vec<u8>); 5] = [
        ("plain.csv", plain.into()),
        ("dated.txt", dated.into()),
        ("millis.csv", millis.into()),
        ("packed.csv.gz", gzip(plain)),
        ("table.parquet", table.to_parquet().unwrap()),
    ];
    for (name, bytes) in files {
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let read = Recording::read(&path).unwrap();
        assert_eq!(read.columns, ["cpu", "load"], "{name}");
        assert_eq!(read.times, [at(0), at(1), at(2)], "{name}");
        let shown = format!("{:?}", read.values.as_slice().unwrap());
        assert_eq!(shown, "[1.5, NaN, NaN, 2.0, -300.0, NaN]", "{name}");
        assert_eq!(read.step(), Duration::from_secs(300));
    }
}

fn read_error(name: &str, bytes: &[u8]) -> String {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    let error = Recording::read(&path).unwrap_err();
    assert!(matches!(error, SourceError::File(_)));
    let message = error.to_string();
    assert!(message.contains(name), "{message}");
    message
}

#[test]
fn bad_files_are_refused_with_their_place() {
    let bad = "timestamp,cpu\n1700000001,2\n1700000002,3\n1700000003,lots\n";
    for bytes in [bad.as_bytes().to_vec(), gzip(bad)] {
        let message = read_error("bad.csv", &bytes);
        assert!(
            message.contains("line 4, column `cpu`: `lots`"),
            "{message}"
        );
    }
    let mut cut = gzip("timestamp,cpu\n1700000001,2\n");
    cut.truncate(cut.len() - 6);
    read_error("cut.csv.gz", &cut);
    read_error("torn.parquet", b"PAR1 and no more");
    read_error("binary.csv", &[0xff, 0xfe, 0x00, 0x10]);
    read_error("empty.csv", b"");
    let missing = Recording::read(Path::new("no/such/file.csv")).unwrap_err();
    assert!(missing.to_string().contains("no/such/file.csv"));
    assert!(
        read_labels(
            Path::new("no/such/labels.csv"),
            &recording::Reading::default()
        )
        .is_err()
    );
}

#[test]
fn every_input_row_finds_its_grid_row() {
    let text =
        "timestamp,v\n1700000100,1\n1700000400,2\n1700000400,3\n1700000710,4\n1700001600,5\n";
    let read = Recording::from_csv_bytes("t", text.as_bytes()).unwrap();
    let placed = read
        .frame(read.step(), Entity::named("e"), Merge::Nearest)
        .unwrap();
    assert_eq!(placed.rows, [0, 1, 1, 2, 5]);
    assert_eq!((placed.superseded, placed.frame.grid().len()), (1, 6));
    assert_eq!(placed.frame.entity().name(), "e");
    let shown = format!("{:?}", placed.frame.column(0).unwrap().to_vec());
    assert_eq!(shown, "[1.0, 3.0, 4.0, NaN, NaN, 5.0]");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_grid_keeps_every_value_that_is_on_it(
        slots in proptest::collection::btree_map(0_i64..400, (-1e9_f64..1e9, -149_i64..=149), 2..120),
        shuffle in any::<bool>(),
    ) {
        // Each slot has one row on the grid and one off it, in either order of the file.
        let mut rows: Vec<(i64, f64)> = slots
            .iter()
            .flat_map(|(slot, (value, off))| {
                let on = (START + slot * STEP, *value);
                let beside = (START + slot * STEP + off, value / 2.0);
                if *off == 0 { vec![on] } else { vec![on, beside] }
            })
            .collect();
        if shuffle {
            rows.reverse();
        }
        let read = Recording {
            times: rows.iter().map(|r| Time::from_secs(r.0)).collect(),
            columns: vec!["v".into()],
            values: Array2::from_shape_vec((rows.len(), 1), rows.iter().map(|r| r.1).collect()).unwrap(),
        };
        let placed = read.frame(Duration::from_secs(300), Entity::sole(), Merge::Nearest).unwrap();
        let grid = placed.frame.grid();
        for (slot, (value, _)) in &slots {
            let row = grid.row(at(*slot)).unwrap();
            prop_assert_eq!(grid.time(row), at(*slot));
            prop_assert_eq!(placed.frame.values()[(row, 0)], *value);
        }
        for (i, time) in read.times.iter().enumerate() {
            let row = placed.row_of(i).unwrap();
            prop_assert!(grid.time(row).millis().abs_diff(time.millis()) <= 150_000);
        }
    }
}

#[test]
fn a_replay_keeps_its_own_time() {
    let source = replay(PlayFrom::Fraction(0.6), 10.0, None);
    let wall = |ms| Time::from_millis(ms);
    assert_eq!(source.play_from(), at(120));
    assert_eq!(source.now(wall(-5000)), at(120));
    assert_eq!(source.now(wall(1000)), at(130));
    assert_eq!(source.now(wall(1050)), at(130) + Duration::from_secs(150));
    assert_eq!(source.now(wall(3_600_000)), at(199));
    assert!(!source.finished(at(198)) && source.finished(at(199)));
    let at_once = replay(PlayFrom::At(at(7)), 0.0, None);
    assert_eq!(at_once.play_from(), at(7));
    assert_eq!(at_once.now(wall(0)), at(199));
    assert_eq!(
        replay(PlayFrom::At(at(-9)), 1.0, None).play_from(),
        at(0),
        "a play from before the recording begins with it"
    );
    for speed in [-1.0, f64::NAN] {
        let refused = ReplaySource::new(
            &recording(),
            "r".into(),
            PlayFrom::Fraction(0.5),
            speed,
            wall(0),
            None,
        );
        assert!(matches!(refused, Err(SourceError::Setup(_))));
    }
}

#[test]
fn history_ends_where_the_play_begins_and_is_never_touched() {
    let source = replay(PlayFrom::Fraction(0.6), 1.0, Some(Injector::new(5)));
    assert!(!source.labels().is_empty());
    let batch = history(&source, &[(at(-50), at(9)), (at(100), at(500))]);
    let spans: Vec<(Time, usize)> = batch
        .frames
        .iter()
        .map(|f| (f.grid().start(), f.grid().len()))
        .collect();
    assert_eq!(spans, [(at(0), 10), (at(100), 20)]);
    assert_eq!(batch.frames[1].values()[(19, 1)], 119.0);
    let all = recent(&source, at(0), at(199));
    let clean = recording();
    let changed: Vec<Time> = clean
        .times
        .iter()
        .zip(all.values().rows().into_iter().zip(clean.values.rows()))
        .filter(|(_, (played, clean))| played != clean)
        .map(|(time, _)| *time)
        .collect();
    let labelled: Vec<Time> = source.labels().iter().map(|l| l.start).collect();
    assert_eq!(changed, labelled);
    assert!(changed[0] >= at(120) && changed[0] < at(180));
}

#[test]
fn a_key_press_injects_into_the_next_rows_and_repeats_with_the_seed() {
    let press = |seed| {
        let source = replay(PlayFrom::Fraction(0.5), 1.0, Some(Injector::new(seed)));
        (source.inject(at(150)).unwrap(), source)
    };
    let (spike, source) = press(1);
    assert!(spike.start > at(150) && spike.end <= at(153));
    assert_eq!(source.labels().last(), Some(&spike));
    let frame = recent(&source, spike.start, spike.end);
    let column = frame
        .schema()
        .iter()
        .position(|f| f.name == spike.column)
        .unwrap();
    let row = usize::try_from((spike.start.millis() - at(0).millis()) / (STEP * 1000)).unwrap();
    let clean = recording().values[(row, column)];
    let deviation = deviations(&recording().values, 0..100)[column];
    assert!((frame.values()[(0, column)] - clean - 10.0 * deviation).abs() < 1e-9);
    assert_eq!(press(1).0, spike);
    assert_eq!(source.inject(at(199)), None, "the recording is over");
}

#[test]
fn a_schema_decides_the_columns() {
    let source = replay(PlayFrom::Fraction(0.5), 1.0, None);
    let schema: Schema = Arc::from([Feature::plain("b"), Feature::plain("gone")]);
    let batch = block_on(source.recent(at(3), at(4), at(4), Some(&schema))).unwrap();
    assert_eq!(batch.unknown, ["a"]);
    let values = batch.frames[0].values();
    assert_eq!(values.column(0).to_vec(), [3.0, 4.0]);
    assert!(values.column(1).iter().all(|v| v.is_nan()));
    let nothing = block_on(source.recent(at(900), at(950), at(950), None)).unwrap();
    assert!(nothing.frames[0].grid().is_empty());
}

#[test]
fn the_built_in_sample_plays() {
    let wall = Time::from_secs(1_800_000_000);
    let source = ReplaySource::sample(wall, 10.0, 42).unwrap();
    let step = source.step();
    let play = source.play_from();
    let schema = recent(&source, play, play).schema().clone();
    assert_eq!(schema.to_vec(), synthetic::features());
    assert_eq!(schema[3].unit, Unit::BytesPerSecond);
    let incidents = source.incidents();
    assert_eq!(incidents.len(), 8);
    assert!(incidents[0].0 > play && incidents[0].0 < play + step * 40);
    let spikes = source.labels();
    assert!(spikes.len() > 8);
    assert!(spikes[0].start > play && spikes[0].start < play + step * 60);
    for spike in &spikes {
        let near = |(from, to): &(Time, Time)| {
            spike.start + step * 24 > *from && spike.start < *to + step * 24
        };
        assert!(!incidents.iter().any(near), "{spike:?}");
    }
    let twin = ReplaySource::sample(wall, 10.0, 42).unwrap();
    assert_eq!(twin.labels(), spikes);
    let learned = history(
        &source,
        &[(Time::from_secs(0), Time::from_secs(4_000_000_000))],
    );
    assert_eq!(learned.frames[0].grid().len(), 2419);
    assert_eq!(learned.frames[0].grid().last(), Some(play - step));
}

#[test]
fn the_same_injections_from_the_same_seed() {
    let sample = synthetic::univariate(synthetic::SEED);
    let read = Recording::from_csv_bytes("u", sample.csv().as_bytes()).unwrap();
    let deviations = deviations(&read.values, 0..1814);
    let run = |text: &str| {
        let spec: InjectSpec = text.parse().unwrap();
        let plan = spec.plan(&read.values, 1814..3024, &deviations);
        let mut values = read.values.clone();
        let done = plan
            .iter()
            .filter(|i| apply(&mut values, i, &deviations))
            .count();
        let bits: Vec<u64> = values.iter().map(|v| v.to_bits()).collect();
        (done, bits)
    };
    for kind in ["spike", "shift", "dropout", "flatline", "mixed"] {
        let (done, bits) = run(&format!("12,{kind},7"));
        assert_eq!(done, 12, "{kind}");
        assert_eq!(run(&format!("12,{kind},7")).1, bits);
        assert_ne!(run(&format!("12,{kind},8")).1, bits);
    }
}

/// Ten seconds more at each look; one disk that moves 100 bytes a second in and 50 out.
struct Script {
    looks: u64,
}

impl Probe for Script {
    fn read(&mut self) -> Reading {
        self.looks += 1;
        let moved = self.looks * 1000;
        Reading {
            taken: Duration::from_secs(self.looks * 10),
            cpu: (self.looks > 1).then_some(20.0),
            memory: Some(self.looks as f64),
            disks: [("sda".to_owned(), (moved, moved / 2))].into(),
            ..Reading::default()
        }
    }
}

const MINUTE: Duration = Duration::from_secs(60);

fn minute(n: i64) -> Time {
    Time::from_secs(1_700_006_400 + n * 60)
}

fn host(dir: Option<&Path>, now: Time) -> (HostSource, Vec<String>) {
    HostSource::with_probe(
        Script { looks: 0 },
        "box",
        MINUTE,
        dir.map(Path::to_path_buf),
        now,
    )
}

fn memory(frame: &Frame) -> Vec<f64> {
    frame.column(1).unwrap().to_vec()
}

#[test]
fn the_host_reports_what_it_can_tell() {
    let (source, warnings) = host(None, minute(0));
    assert!(warnings.is_empty());
    assert_eq!(source.name(), "this host (box)");
    let first = recent(&source, minute(0), minute(0));
    let known: Vec<&str> = first
        .schema()
        .iter()
        .zip(first.values().row(0))
        .filter(|(_, value)| value.is_finite())
        .map(|(feature, _)| &*feature.name)
        .collect();
    assert_eq!(known, ["memory"], "no rates yet, and unknown is not 0");
    let second = recent(&source, minute(0), minute(1));
    let row = second.values().row(1).to_vec();
    assert_eq!((row[0], row[4], row[5]), (20.0, 100.0, 50.0));
    assert!(row[2].is_nan() && row[3].is_nan() && row[6].is_nan() && row[8].is_nan());
}

#[test]
fn looks_within_a_step_leave_a_row_that_was_given_out_alone() {
    let (source, _) = host(None, minute(0));
    let look = |seconds| {
        let now = minute(0) + Duration::from_secs(seconds);
        let due = minute(i64::try_from(seconds / 60).unwrap());
        let batch = block_on(source.recent(minute(0), due, now, None)).unwrap();
        batch.frames.first().map(memory).unwrap_or_default()
    };
    assert_eq!(look(10).len(), 0, "no step that was sampled has ended");
    assert_eq!(look(40).len(), 0);
    // The samples numbered 1 to 3: 10 s, 40 s and 70 s after the minute.
    assert_eq!(look(70), [2.0]);
    assert_eq!(look(100), [2.0]);
    assert_eq!(look(130), [2.0, 4.5]);
    assert_eq!(look(131), [2.0, 4.5]);
}

#[test]
fn host_history_survives_a_restart_and_a_clock_that_steps_back() {
    let dir = tempfile::tempdir().unwrap();
    let (source, _) = host(Some(dir.path()), minute(0));
    for n in 1..=6 {
        recent(&source, minute(n), minute(n));
    }
    // Back by four minutes: minutes 2 and 3 are written again, 4 to 6 stay.
    for n in 2..=3 {
        recent(&source, minute(n), minute(n));
    }
    let whole = [(minute(-5), minute(60))];
    let before = memory(&history(&source, &whole).frames[0].slice(0, 6));
    assert_eq!(before, [1.0, 7.0, 8.0, 4.0, 5.0, 6.0]);
    drop(source);
    let (again, warnings) = host(Some(dir.path()), minute(10));
    assert!(warnings.is_empty(), "{warnings:?}");
    let frame = &history(&again, &whole).frames[0];
    assert_eq!(frame.grid().start(), minute(1));
    assert_eq!(memory(&frame.slice(0, 6)), before);
    assert_eq!(again.span(), Some((minute(1), minute(6))));
    let names: Vec<String> = std::fs::read_dir(dir.path())
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(names, ["2023-11-15.parquet"]);
}

#[test]
fn damaged_host_history_is_set_aside() {
    let dir = tempfile::tempdir().unwrap();
    for day in 0..3 {
        let (source, _) = host(Some(dir.path()), minute(day * 1440));
        recent(&source, minute(day * 1440), minute(day * 1440));
    }
    let broken = dir.path().join("2023-11-16.parquet");
    let bytes = std::fs::read(&broken).unwrap();
    std::fs::write(&broken, &bytes[..bytes.len() / 2]).unwrap();
    std::fs::write(dir.path().join("notes.parquet"), "not ours").unwrap();
    let (source, warnings) = host(Some(dir.path()), minute(3 * 1440));
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(
        warnings[0].contains("2023-11-16.parquet"),
        "{}",
        warnings[0]
    );
    assert!(!broken.exists() && dir.path().join("notes.parquet").exists());
    let batch = history(&source, &[(minute(0), minute(3 * 1440))]);
    let kept = memory(&batch.frames[0])
        .into_iter()
        .filter(|v| v.is_finite());
    assert_eq!(kept.count(), 2);
}

#[test]
fn a_folder_that_can_not_be_written_is_a_warning() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "in the way").unwrap();
    let (source, _) = host(Some(&file.join("history")), minute(0));
    let batch = block_on(source.recent(minute(1), minute(1), minute(1), None)).unwrap();
    assert!(
        batch.warnings[0].contains("not kept"),
        "{:?}",
        batch.warnings
    );
    assert_eq!(memory(&batch.frames[0]), [1.0]);
}

#[test]
fn this_machine_can_be_watched() {
    let now = minute(0);
    let (source, _) = HostSource::new(MINUTE, None, now).unwrap();
    assert!(source.name().starts_with("this host ("));
    let frame = recent(&source, now, now);
    let used = memory(&frame)[0];
    assert!(used > 0.0 && used < 100.0);
}
