//! Files as other programs write them.

use std::sync::Arc;

use parquet::basic::{BrotliLevel, Compression, GzipLevel, ZstdLevel};
use parquet::column::writer::{ColumnWriter, get_typed_column_writer_mut as typed};
use parquet::data_type::{
    BoolType, ByteArrayType, DoubleType, FixedLenByteArrayType, FloatType, Int32Type, Int64Type,
    Int96Type,
};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

use super::*;

type Fill<'f> = &'f dyn Fn(&mut ColumnWriter<'_>);

/// A file with one row group.
fn foreign(schema: &str, columns: &[Fill<'_>], codec: Compression) -> Sheet {
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let settings = WriterProperties::builder().set_compression(codec).build();
    let mut file = SerializedFileWriter::new(Vec::new(), schema, Arc::new(settings)).unwrap();
    let mut group = file.next_row_group().unwrap();
    for fill in columns {
        let mut column = group.next_column().unwrap().unwrap();
        fill(column.untyped());
        column.close().unwrap();
    }
    group.close().unwrap();
    Sheet::from_parquet(file.into_inner().unwrap()).unwrap()
}

fn plain(schema: &str, columns: &[Fill<'_>]) -> Sheet {
    foreign(schema, columns, Compression::UNCOMPRESSED)
}

fn put<T: DataType>(values: &[T::T]) -> impl Fn(&mut ColumnWriter<'_>) + '_ {
    move |column| {
        typed::<T>(column).write_batch(values, None, None).unwrap();
    }
}

fn cells<'s>(sheet: &'s Sheet, name: &str) -> &'s Cells {
    &sheet.columns.iter().find(|(n, _)| n == name).unwrap().1
}

fn numbers(sheet: &Sheet, name: &str) -> Vec<f64> {
    match cells(sheet, name) {
        Cells::Numbers(numbers) => numbers.clone(),
        other => panic!("{name}: {other:?}"),
    }
}

#[test]
fn numbers_of_every_kind_are_read() {
    let short = [vec![0xff, 0x6a].into(), vec![0xe1].into()];
    let long = |low: u8, fill: u8| {
        let mut bytes = vec![fill; 20];
        bytes[19] = low;
        bytes.into()
    };
    let halves = [vec![0x00, 0x3e].into(), vec![0x01, 0x80].into()];
    let sheet = plain(
        "message other { required int32 i; required int32 u (UINT_32); required float f; required boolean b;
         required int64 d (DECIMAL(9,2)); required int64 w (UINT_64); required binary t (DECIMAL(9,2));
         required fixed_len_byte_array(20) l (DECIMAL(40,1)); required fixed_len_byte_array(2) h (FLOAT16); }",
        &[
            &put::<Int32Type>(&[-7, 7]),
            &put::<Int32Type>(&[-1, 1]),
            &put::<FloatType>(&[0.5, f32::NAN]),
            &put::<BoolType>(&[true, false]),
            &put::<Int64Type>(&[-150, 225]),
            &put::<Int64Type>(&[-1, 1]),
            &put::<ByteArrayType>(&short),
            &put::<FixedLenByteArrayType>(&[long(25, 0), long(0xf6, 0xff)]),
            &put::<FixedLenByteArrayType>(&halves),
        ],
    );
    assert_eq!(sheet.rows, 2);
    let expect = |name: &str, values: &[f64]| assert_eq!(numbers(&sheet, name), values, "{name}");
    expect("i", &[-7.0, 7.0]);
    expect("u", &[4_294_967_295.0, 1.0]);
    expect("b", &[1.0, 0.0]);
    expect("d", &[-1.5, 2.25]);
    expect("w", &[18_446_744_073_709_551_615.0, 1.0]);
    expect("t", &[-1.5, -0.31]);
    expect("l", &[2.5, -1.0]);
    expect("h", &[1.5, -5.960_464_477_539_063e-8]);
    assert!(numbers(&sheet, "f")[1].is_nan());
}

#[test]
fn times_and_texts_are_told_apart() {
    let mut julian = Int96::new();
    julian.set_data(0, 0, 2_440_589);
    let sheet = plain(
        "message m { required int64 us (TIMESTAMP_MICROS); required int64 wall (TIMESTAMP(MILLIS,false));
         required int32 day (DATE); required int96 j; optional binary text (UTF8); required int32 of_day (TIME_MILLIS); }",
        &[
            &put::<Int64Type>(&[1_700_000_000_123_456, -1]),
            &put::<Int64Type>(&[1000, 2000]),
            &put::<Int32Type>(&[0, 1]),
            &put::<Int96Type>(&[julian, julian]),
            &|column| {
                typed::<ByteArrayType>(column)
                    .write_batch(&["web".into()], Some(&[1, 0]), None)
                    .unwrap();
            },
            &put::<Int32Type>(&[1, 2]),
        ],
    );
    let times = |first, second, local| Cells::Times {
        millis: vec![Some(first), Some(second)],
        local,
    };
    assert_eq!(cells(&sheet, "us"), &times(1_700_000_000_123, -1, false));
    assert_eq!(cells(&sheet, "wall"), &times(1000, 2000, true));
    assert_eq!(cells(&sheet, "day"), &times(0, 86_400_000, true));
    assert_eq!(cells(&sheet, "j"), &times(86_400_000, 86_400_000, false));
    assert_eq!(
        cells(&sheet, "text"),
        &Cells::Texts(vec![Some("web".into()), None])
    );
    assert_eq!(cells(&sheet, "of_day"), &Cells::Other("times of day"));
}

#[test]
fn every_codec_is_read() {
    for codec in [
        Compression::UNCOMPRESSED,
        Compression::SNAPPY,
        Compression::GZIP(GzipLevel::default()),
        Compression::BROTLI(BrotliLevel::default()),
        Compression::LZ4,
        Compression::LZ4_RAW,
        Compression::ZSTD(ZstdLevel::default()),
    ] {
        let values: Vec<f64> = (0..5000).map(|n| f64::from(n % 7)).collect();
        let sheet = foreign(
            "message m { required double v; }",
            &[&put::<DoubleType>(&values)],
            codec,
        );
        assert_eq!(numbers(&sheet, "v"), values, "{codec:?}");
    }
}

#[test]
fn bytes_and_long_texts_are_named_and_not_kept() {
    let bytes = [vec![0xff, 0xfe].into()];
    let long = ["x".repeat(100).as_str().into()];
    let sheet = plain(
        "message m { required binary raw; required binary words (UTF8); required fixed_len_byte_array(16) id (UUID); }",
        &[
            &put::<ByteArrayType>(&bytes),
            &put::<ByteArrayType>(&long),
            &put::<FixedLenByteArrayType>(&[vec![0; 16].into()]),
        ],
    );
    assert_eq!(
        cells(&sheet, "raw"),
        &Cells::Other("bytes that are no text")
    );
    assert_eq!(cells(&sheet, "words"), &Cells::Other("long texts or bytes"));
    assert_eq!(
        cells(&sheet, "id"),
        &Cells::Other("bytes of a fixed length")
    );
}
