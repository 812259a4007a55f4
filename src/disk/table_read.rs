//! Reading this program's own tables.

use super::sheet::{Cells, Sheet};
use super::table::{TIMESTAMP, wrong};
use super::{DiskError, Table};

/// Reads a whole file; see [`Table::from_parquet`].
pub(super) fn read(bytes: Vec<u8>) -> Result<Table, DiskError> {
    let sheet = Sheet::from_parquet(bytes)?;
    let typed = |cells: &Cells| matches!(cells, Cells::Times { .. });
    let columns = &sheet.columns;
    let time = columns
        .iter()
        .position(|(name, cells)| name == TIMESTAMP && typed(cells))
        .or_else(|| columns.iter().position(|(_, cells)| typed(cells)))
        .ok_or_else(|| {
            wrong(
                "no column in it has the type of a timestamp; `pulsewatch collect --input FILE` takes tables whose times are \
                 numbers or text",
            )
        })?;
    let mut table = Table {
        metadata: sheet.metadata,
        ..Table::default()
    };
    for (index, (name, cells)) in sheet.columns.into_iter().enumerate() {
        let what = match cells {
            Cells::Numbers(numbers) => {
                table.columns.push((name, numbers));
                continue;
            }
            Cells::Times { millis, .. } if index == time => {
                table.times = complete(&millis, &name)?;
                continue;
            }
            // What else is a time is no value.
            Cells::Times { .. } => continue,
            Cells::Texts(_) => "text",
            Cells::Other(what) => what,
        };
        return Err(wrong(format!(
            "column `{name}` holds {what}, not numbers; leave it out"
        )));
    }
    Ok(table)
}

/// Times of all rows.
fn complete(millis: &[Option<i64>], name: &str) -> Result<Vec<i64>, DiskError> {
    let times: Vec<i64> = millis.iter().copied().map_while(|time| time).collect();
    if times.len() < millis.len() {
        return Err(wrong(format!(
            "row {} has no time in column `{name}`; leave such rows out",
            times.len() + 1
        )));
    }
    Ok(times)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parquet::column::writer::ColumnWriter;
    use parquet::data_type::{ByteArrayType, Int64Type};
    use parquet::file::writer::SerializedFileWriter;
    use parquet::schema::parser::parse_message_type;
    use proptest::prelude::*;

    use super::super::table::CHECKSUM;
    use super::*;

    #[test]
    fn a_table_without_typed_times_or_with_text_is_refused() {
        let said = |schema: &str| {
            let schema = Arc::new(parse_message_type(schema).unwrap());
            let mut file = SerializedFileWriter::new(Vec::new(), schema, Arc::default()).unwrap();
            let mut group = file.next_row_group().unwrap();
            while let Some(mut column) = group.next_column().unwrap() {
                let numbers = matches!(column.untyped(), ColumnWriter::Int64ColumnWriter(_));
                if numbers {
                    let column = column.typed::<Int64Type>();
                    column.write_batch(&[1], Some(&[1, 0]), None).unwrap();
                } else {
                    let column = column.typed::<ByteArrayType>();
                    let web = ["web-1".into(), "web-2".into()];
                    column.write_batch(&web, None, None).unwrap();
                }
                column.close().unwrap();
            }
            group.close().unwrap();
            let bytes = file.into_inner().unwrap();
            Table::from_parquet(bytes).unwrap_err().to_string()
        };
        let bare = said("message m { optional int64 timestamp; }");
        assert!(bare.contains("collect --input"), "{bare}");
        let hole = said("message m { optional int64 timestamp (TIMESTAMP_MILLIS); }");
        assert!(
            hole.contains("row 2") && hole.contains("`timestamp`"),
            "{hole}"
        );
        let text = said(
            "message m { required binary host (UTF8); optional int64 at (TIMESTAMP_MILLIS); }",
        );
        assert!(text.contains("`host`") && text.contains("text"), "{text}");
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
