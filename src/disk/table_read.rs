//! Reading Parquet files, this program's and others'.

use bytes::Bytes;
use parquet::basic::{ConvertedType, LogicalType, Type as Physical};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::DataType;
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, RowGroupReader, SerializedFileReader};
use parquet::schema::types::{ColumnDescriptor, SchemaDescriptor};

use super::table::{CHECKSUM, TIMESTAMP, checksum, wrong};
use super::table_times::{Stamp, to_millis};
use super::{DiskError, Table};

/// Rows decoded at a time: a footer that promises too much can't make us reserve for it.
const BATCH: usize = 16_384;

/// Reads a whole file; see [`Table::from_parquet`].
///
/// The decoder panics on some damaged pages. Files with our checksum never get that far; for all others the panic is
/// caught here, where nothing shared can be left half done.
pub(super) fn read(bytes: Vec<u8>) -> Result<Table, DiskError> {
    std::panic::catch_unwind(|| decode(&Bytes::from(bytes)))
        .unwrap_or_else(|_| Err(wrong("a page of this Parquet file is damaged")))
}

fn decode(bytes: &Bytes) -> Result<Table, DiskError> {
    let reader = SerializedFileReader::new(bytes.clone()).map_err(|e| damaged(&e))?;
    let mut words = words(&reader);
    verify(bytes, words.remove(CHECKSUM))?;
    let schema = reader.metadata().file_metadata().schema_descr();
    let time = time_column(schema)?;
    let kinds = schema
        .columns()
        .iter()
        .map(|column| Kind::of(column))
        .collect::<Result<Vec<_>, _>>()?;
    let mut table = Table {
        metadata: words,
        ..Table::default()
    };
    let mut values: Vec<Vec<f64>> = vec![Vec::new(); kinds.len()];
    let mut stamps = Vec::new();
    for group in 0..reader.num_row_groups() {
        let group = reader.get_row_group(group).map_err(|e| damaged(&e))?;
        for (index, (kind, values)) in kinds.iter().zip(&mut values).enumerate() {
            if index == time {
                read_stamps(group.as_ref(), index, &mut stamps)?;
            } else {
                read_values(group.as_ref(), index, *kind, values)?;
            }
        }
    }
    let named = schema.columns().iter().zip(values).enumerate();
    for (index, (column, values)) in named {
        if index == time {
            table.times = to_millis(&stamps, column)?;
        } else {
            table
                .columns
                .push((column.path().parts().join("."), values));
        }
    }
    Ok(table)
}

/// Compares the bytes before the footer with the checksum, where there is one.
fn verify(bytes: &[u8], sum: Option<String>) -> Result<(), DiskError> {
    let Some(sum) = sum else {
        return Ok(());
    };
    let body = sum
        .split_once(':')
        .and_then(|(len, _)| bytes.get(..len.parse().ok()?))
        .unwrap_or_default();
    if checksum(body) == sum {
        Ok(())
    } else {
        Err(wrong(
            "the checksum does not match: the file was damaged after it was written",
        ))
    }
}

/// The column that holds the times.
fn time_column(schema: &SchemaDescriptor) -> Result<usize, DiskError> {
    let columns = schema.columns();
    let named = |name: &str| columns.iter().position(|c| c.name() == name);
    let typed = || columns.iter().position(|c| is_time(c));
    named(TIMESTAMP)
        .or_else(typed)
        .or_else(|| (!columns.is_empty()).then_some(0))
        .ok_or_else(|| wrong("there is no column in it; the first one should hold the times"))
}

fn is_time(column: &ColumnDescriptor) -> bool {
    column.physical_type() == Physical::INT96
        || matches!(column.logical_type_ref(), Some(LogicalType::Timestamp(_)))
        || matches!(
            column.converted_type(),
            ConvertedType::TIMESTAMP_MILLIS | ConvertedType::TIMESTAMP_MICROS
        )
}

/// How a column's stored value becomes a number.
#[derive(Clone, Copy)]
enum Kind {
    Plain,
    Unsigned,
    /// Divided by this.
    Decimal(f64),
}

impl Kind {
    fn of(column: &ColumnDescriptor) -> Result<Self, DiskError> {
        let refuse = |what: String| {
            Err(wrong(format!(
                "column `{}` holds {what}, not numbers; leave it out",
                column.path().string()
            )))
        };
        if column.max_rep_level() > 0 {
            return refuse("lists".into());
        }
        match column.physical_type() {
            Physical::BYTE_ARRAY => return refuse("text or bytes".into()),
            Physical::FIXED_LEN_BYTE_ARRAY => return refuse("bytes of a fixed length".into()),
            _ => {}
        }
        Ok(match (column.logical_type_ref(), column.converted_type()) {
            (Some(LogicalType::Decimal(decimal)), _) => Self::Decimal(10_f64.powi(decimal.scale)),
            (Some(LogicalType::Integer(integer)), _) if !integer.is_signed => Self::Unsigned,
            (
                _,
                ConvertedType::UINT_8
                | ConvertedType::UINT_16
                | ConvertedType::UINT_32
                | ConvertedType::UINT_64,
            ) => Self::Unsigned,
            (None, ConvertedType::DECIMAL) => Self::Decimal(10_f64.powi(column.type_scale())),
            _ => Self::Plain,
        })
    }

    fn small(self, value: i32) -> f64 {
        match self {
            Self::Plain => f64::from(value),
            Self::Unsigned => f64::from(value.cast_unsigned()),
            Self::Decimal(by) => f64::from(value) / by,
        }
    }

    fn wide(self, value: i64) -> f64 {
        match self {
            Self::Plain => value as f64,
            Self::Unsigned => value.cast_unsigned() as f64,
            Self::Decimal(by) => value as f64 / by,
        }
    }
}

fn read_values(
    group: &dyn RowGroupReader,
    index: usize,
    kind: Kind,
    out: &mut Vec<f64>,
) -> Result<(), DiskError> {
    let mut sink = |value: Option<f64>| out.push(value.unwrap_or(f64::NAN));
    match group.get_column_reader(index).map_err(|e| damaged(&e))? {
        ColumnReader::DoubleColumnReader(r) => drain(group, index, r, |v| *v, &mut sink),
        ColumnReader::FloatColumnReader(r) => drain(group, index, r, |v| f64::from(*v), &mut sink),
        ColumnReader::Int64ColumnReader(r) => drain(group, index, r, |v| kind.wide(*v), &mut sink),
        ColumnReader::Int32ColumnReader(r) => drain(group, index, r, |v| kind.small(*v), &mut sink),
        ColumnReader::BoolColumnReader(r) => {
            drain(group, index, r, |v| f64::from(u8::from(*v)), &mut sink)
        }
        ColumnReader::Int96ColumnReader(r) => {
            drain(group, index, r, |v| v.to_seconds() as f64, &mut sink)
        }
        _ => Err(wrong(format!("column {index} holds no numbers"))),
    }
}

fn read_stamps(
    group: &dyn RowGroupReader,
    index: usize,
    out: &mut Vec<Option<Stamp>>,
) -> Result<(), DiskError> {
    let mut sink = |stamp: Option<Stamp>| out.push(stamp);
    match group.get_column_reader(index).map_err(|e| damaged(&e))? {
        ColumnReader::Int64ColumnReader(r) => {
            drain(group, index, r, |v| Stamp::Whole(*v), &mut sink)
        }
        ColumnReader::Int32ColumnReader(r) => {
            drain(group, index, r, |v| Stamp::Whole(i64::from(*v)), &mut sink)
        }
        ColumnReader::DoubleColumnReader(r) => {
            drain(group, index, r, |v| Stamp::Seconds(*v), &mut sink)
        }
        ColumnReader::FloatColumnReader(r) => drain(
            group,
            index,
            r,
            |v| Stamp::Seconds(f64::from(*v)),
            &mut sink,
        ),
        ColumnReader::Int96ColumnReader(r) => {
            drain(group, index, r, |v| Stamp::Millis(v.to_millis()), &mut sink)
        }
        _ => Err(wrong(
            "the column of times holds neither numbers nor timestamps; write unix seconds or milliseconds",
        )),
    }
}

/// Hands every row of a column to `sink`, `None` for null, and checks that there are as many as the footer says.
fn drain<T: DataType, V>(
    group: &dyn RowGroupReader,
    index: usize,
    mut reader: ColumnReaderImpl<T>,
    convert: impl Fn(&T::T) -> V,
    sink: &mut dyn FnMut(Option<V>),
) -> Result<(), DiskError> {
    let column = group.metadata().column(index).column_descr_ptr();
    let full = column.max_def_level();
    let expected = usize::try_from(group.metadata().num_rows()).unwrap_or(0);
    let (mut values, mut levels) = (Vec::new(), Vec::new());
    let mut rows = 0;
    while rows < expected {
        values.clear();
        levels.clear();
        let wanted = BATCH.min(expected - rows);
        let (read, _, _) = reader
            .read_records(wanted, Some(&mut levels), None, &mut values)
            .map_err(|e| damaged(&e))?;
        if read == 0 {
            return Err(wrong(format!(
                "column `{}` ends after {rows} of {expected} rows: the file is damaged",
                column.path().string()
            )));
        }
        rows += read;
        let mut present = values.iter().map(&convert);
        if full == 0 {
            present.for_each(|value| sink(Some(value)));
        } else {
            for level in &levels {
                sink(if *level == full { present.next() } else { None });
            }
        }
    }
    Ok(())
}

fn words(reader: &SerializedFileReader<Bytes>) -> std::collections::BTreeMap<String, String> {
    reader
        .metadata()
        .file_metadata()
        .key_value_metadata()
        .into_iter()
        .flatten()
        .map(|word| (word.key.clone(), word.value.clone().unwrap_or_default()))
        .collect()
}

fn damaged(error: &ParquetError) -> DiskError {
    wrong(format!("not a Parquet file that can be read: {error}"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parquet::data_type::{
        BoolType, ByteArrayType, DoubleType, FloatType, Int32Type, Int64Type, Int96, Int96Type,
    };
    use parquet::file::writer::SerializedFileWriter;
    use parquet::schema::parser::parse_message_type;
    use proptest::prelude::*;

    use super::*;

    type Writer = SerializedFileWriter<Vec<u8>>;

    /// A file with one row group, as another program would write it.
    fn foreign(schema: &str, columns: &[&dyn Fn(&mut ColumnWriter<'_>)]) -> Vec<u8> {
        let schema = Arc::new(parse_message_type(schema).unwrap());
        let mut file: Writer =
            SerializedFileWriter::new(Vec::new(), schema, Arc::default()).unwrap();
        let mut group = file.next_row_group().unwrap();
        for fill in columns {
            let mut column = group.next_column().unwrap().unwrap();
            fill(column.untyped());
            column.close().unwrap();
        }
        group.close().unwrap();
        file.into_inner().unwrap()
    }

    use parquet::column::writer::{ColumnWriter, get_typed_column_writer_mut as typed};

    fn put<T: DataType>(values: &[T::T]) -> impl Fn(&mut ColumnWriter<'_>) + '_ {
        move |column| {
            typed::<T>(column).write_batch(values, None, None).unwrap();
        }
    }

    #[test]
    fn numbers_of_every_width_are_read() {
        let bytes = foreign(
            "message other { required double t; required int32 i; required int32 u (UINT_32); required float f;
             required boolean b; required int64 d (DECIMAL(9,2)); required int64 w (UINT_64); }",
            &[
                &put::<DoubleType>(&[1_700_000_000.25, 1_700_000_060.0]),
                &put::<Int32Type>(&[-7, 7]),
                &put::<Int32Type>(&[-1, 1]),
                &put::<FloatType>(&[0.5, f32::NAN]),
                &put::<BoolType>(&[true, false]),
                &put::<Int64Type>(&[-150, 225]),
                &put::<Int64Type>(&[-1, 1]),
            ],
        );
        let table = Table::from_parquet(bytes).unwrap();
        assert_eq!(table.times, [1_700_000_000_250, 1_700_000_060_000]);
        let expect = |name: &str, values: &[f64]| assert_eq!(table.column(name).unwrap(), values);
        expect("i", &[-7.0, 7.0]);
        expect("u", &[4_294_967_295.0, 1.0]);
        expect("b", &[1.0, 0.0]);
        expect("d", &[-1.5, 2.25]);
        expect("w", &[18_446_744_073_709_551_615.0, 1.0]);
        assert!(table.column("f").unwrap()[1].is_nan());
    }

    #[test]
    fn times_are_found_by_name_then_by_type() {
        let named = foreign(
            "message m { required double a; required int64 timestamp (TIMESTAMP_MICROS); }",
            &[
                &put::<DoubleType>(&[1.0]),
                &put::<Int64Type>(&[1_700_000_000_123_456]),
            ],
        );
        let table = Table::from_parquet(named).unwrap();
        assert_eq!(table.times, [1_700_000_000_123]);
        assert_eq!(table.columns, [("a".to_owned(), vec![1.0])]);

        let mut julian = Int96::new();
        julian.set_data(0, 0, 2_440_589);
        let typed = foreign(
            "message m { required double a; required int96 __index_level_0__; }",
            &[&put::<DoubleType>(&[1.0]), &put::<Int96Type>(&[julian])],
        );
        assert_eq!(Table::from_parquet(typed).unwrap().times, [86_400_000]);
    }

    #[test]
    fn bare_numbers_tell_their_unit_by_size() {
        for (value, millis) in [
            (1_700_000_000, 1_700_000_000_000),
            (1_700_000_000_001, 1_700_000_000_001),
            (1_700_000_000_001_999, 1_700_000_000_001),
            (1_700_000_000_001_999_999, 1_700_000_000_001),
        ] {
            let bytes = foreign(
                "message m { required int64 when; }",
                &[&put::<Int64Type>(&[value])],
            );
            assert_eq!(Table::from_parquet(bytes).unwrap().times, [millis]);
        }
    }

    #[test]
    fn what_is_no_number_is_named() {
        let text = foreign(
            "message m { required int64 timestamp; required binary host (UTF8); }",
            &[
                &put::<Int64Type>(&[1]),
                &put::<ByteArrayType>(&["web-1".into()]),
            ],
        );
        let said = Table::from_parquet(text).unwrap_err().to_string();
        assert!(said.contains("`host`") && said.contains("text"), "{said}");

        let hole = foreign(
            "message m { optional int64 timestamp; }",
            &[&|column| {
                typed::<Int64Type>(column)
                    .write_batch(&[1], Some(&[1, 0]), None)
                    .unwrap();
            }],
        );
        let said = Table::from_parquet(hole).unwrap_err().to_string();
        assert!(
            said.contains("row 2") && said.contains("`timestamp`"),
            "{said}"
        );
    }

    fn sample() -> Vec<u8> {
        let rows = 200_i64;
        Table {
            times: (0..rows).map(|r| 1_700_000_000_000 + r * 60_000).collect(),
            columns: ["cpu", "memory"]
                .map(|name| {
                    let values = (0..rows).map(|r| {
                        if r % 9 == 0 {
                            f64::NAN
                        } else {
                            (r as f64 * 0.37).sin()
                        }
                    });
                    (name.to_owned(), values.collect())
                })
                .into(),
            metadata: [("step_ms".to_owned(), "60000".to_owned())].into(),
        }
        .to_parquet()
        .unwrap()
    }

    /// As another program would have written it: nothing but the decoder stands between damage and us.
    fn unchecked() -> Vec<u8> {
        let mut bytes = sample();
        let key = CHECKSUM.as_bytes();
        let at = bytes.windows(key.len()).position(|w| w == key).unwrap();
        bytes[at] = b'P';
        bytes
    }

    #[test]
    fn every_truncation_is_an_error() {
        let bytes = sample();
        for len in 0..bytes.len() {
            let error = Table::from_parquet(bytes[..len].to_vec()).unwrap_err();
            assert!(error.is_damage(), "{len}: {error}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]
        #[test]
        fn damage_never_panics(flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)) {
            let mut bytes = unchecked();
            for (at, to) in flips {
                let at = at.index(bytes.len());
                bytes[at] = to;
            }
            if let Err(error) = Table::from_parquet(bytes) {
                prop_assert!(error.is_damage());
            }
        }

        #[test]
        fn damaged_data_is_noticed(at in any::<prop::sample::Index>(), flip in 1_u8..) {
            let mut bytes = sample();
            let footer = u32::from_le_bytes(bytes[bytes.len() - 8..bytes.len() - 4].try_into().unwrap());
            let body = bytes.len() - 8 - footer as usize;
            bytes[at.index(body)] ^= flip;
            prop_assert!(Table::from_parquet(bytes).is_err_and(|e| e.is_damage()));
        }

        #[test]
        fn anything_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            prop_assert!(Table::from_parquet(bytes).is_err());
        }
    }
}
