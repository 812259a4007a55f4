//! Parquet as other programs write it.

use std::path::Path;
use std::sync::Arc;

use parquet::basic::{Compression, ZstdLevel};
use parquet::column::writer::{ColumnWriter, get_typed_column_writer_mut as typed};
use parquet::data_type::{ByteArrayType, DataType, DoubleType, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use pulsewatch::domain::Time;
use pulsewatch::source::recording::{self, Reading, Recorded};

const START: i64 = 1_795_132_800;

type Fill = Box<dyn Fn(&mut ColumnWriter<'_>)>;

fn put<T: DataType>(values: Vec<T::T>) -> Fill {
    Box::new(move |column| {
        typed::<T>(column).write_batch(&values, None, None).unwrap();
    })
}

/// `count` numbers from `first` on, `step` apart.
fn whole(first: i64, step: i64, count: i64) -> Fill {
    put::<Int64Type>((0..count).map(|row| first + row * step).collect())
}

fn numbers(count: i64) -> Fill {
    put::<DoubleType>((0..count).map(|row| row as f64 / 2.0).collect())
}

fn texts(texts: impl IntoIterator<Item = String>) -> Fill {
    put::<ByteArrayType>(texts.into_iter().map(|t| t.as_str().into()).collect())
}

fn write(path: &Path, schema: &str, columns: &[Fill]) {
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let settings = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .build();
    let mut file = SerializedFileWriter::new(Vec::new(), schema, Arc::new(settings)).unwrap();
    let mut group = file.next_row_group().unwrap();
    for fill in columns {
        let mut column = group.next_column().unwrap().unwrap();
        fill(column.untyped());
        column.close().unwrap();
    }
    group.close().unwrap();
    std::fs::write(path, file.into_inner().unwrap()).unwrap();
}

fn read(schema: &str, columns: &[Fill]) -> Result<Recorded, String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f.parquet");
    write(&path, schema, columns);
    recording::read(&path, &Reading::default()).map_err(|e| e.to_string())
}

fn at(row: i64) -> Time {
    Time::from_secs(START + row * 60)
}

#[test]
fn the_time_is_found_by_name_or_type_and_never_guessed() {
    let bare = "message m { required double cpu; required int64 Time; }";
    for (first, step) in [
        (START, 60),
        (START * 1000, 60_000),
        (START * 1_000_000_000, 60_000_000_000),
    ] {
        let found = read(bare, &[numbers(3), whole(first, step, 3)])
            .unwrap()
            .recording;
        assert_eq!(found.columns, ["cpu"]);
        assert_eq!(found.times, [at(0), at(1), at(2)]);
    }
    let typed = "message m { required double cpu; required int64 seen (TIMESTAMP_MILLIS); }";
    let found = read(typed, &[numbers(2), whole(START * 1000, 60_000, 2)]).unwrap();
    assert_eq!(found.recording.times, [at(0), at(1)]);
    let none = "message m { required int64 cpu; required double mem; }";
    let said = read(none, &[whole(20, 1, 3), numbers(3)]).err().unwrap();
    assert!(
        said.contains("no column of times") && said.contains("`cpu`, `mem`"),
        "{said}"
    );
    let said = read(bare, &[numbers(3), whole(20, 1, 3)]).err().unwrap();
    assert!(
        said.contains("row 1, column `Time`: `20` is no time"),
        "{said}"
    );
}

#[test]
fn further_times_are_no_features_and_text_is_read_for_what_it_is() {
    let schema = "message m { required binary timestamp (UTF8); required double cpu; required int64 scraped_at (TIMESTAMP_MICROS);
        required int64 date; required binary load (UTF8); required int64 took; required boolean label; }";
    let day = |row: i64| format!("2026-11-20T00:0{row}:00+00:00");
    let found = read(
        schema,
        &[
            texts((0..3).map(day)),
            numbers(3),
            whole(START * 1_000_000, 60_000_000, 3),
            whole(20_261_120, 1, 3),
            texts(["1.5", "", "2"].map(String::from)),
            whole(7, 1, 3),
            put::<parquet::data_type::BoolType>(vec![false, true, false]),
        ],
    )
    .unwrap();
    assert_eq!(found.recording.columns, ["cpu", "load", "took"]);
    assert_eq!(found.recording.times, [at(0), at(1), at(2)]);
    assert_eq!(found.written.get(1), Some("2026-11-20T00:01:00+00:00"));
    assert_eq!(
        found.labels.unwrap(),
        [(at(0), false), (at(1), true), (at(2), false)]
    );
    let load = found.recording.values.column(1).to_vec();
    assert!(load[0] == 1.5 && load[1].is_nan() && load[2] == 2.0);
    let said = found.notices.join("\n");
    for column in ["scraped_at", "date", "label"] {
        assert!(said.contains(&format!("`{column}`")), "{said}");
    }
    let hosts =
        "message m { required binary host (UTF8); required int64 ts; required double cpu; }";
    let names = texts((0..3).map(|row| format!("web-{row}")));
    let said = read(hosts, &[names, whole(START, 60, 3), numbers(3)])
        .err()
        .unwrap();
    assert!(
        said.contains("column `host`, row 1: `web-0`") && said.contains("a file for each"),
        "{said}"
    );
}
