//! Counts what a training left out, for each reason.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

/// What a training left out of the rows it was given, and why. Rows count only where something was observed; a row that is
/// left out for several reasons counts for the first of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LeftOutReport {
    /// Rows of all entities in which something was observed.
    pub rows: usize,
    /// Rows in the periods of `[history] exclude`.
    pub excluded_rows: usize,
    /// Rows of incidents labelled real, with half a window around.
    pub labelled_rows: usize,
    /// Rows in maintenance windows.
    pub maintenance_rows: usize,
    /// Columns of an entity that are too new to say what is normal for them.
    pub new_columns: usize,
    /// Single values that stick out of their column.
    pub outlying_cells: usize,
    /// Rows that windows with extreme errors have in common.
    pub extreme_rows: usize,
    /// Rows that no window holds, as too many values are missing around them.
    pub gap_rows: usize,
    /// Entities with too few windows for a network of their own.
    pub young_entities: usize,
    /// Columns whose range is beyond all numbers, by name.
    pub endless_columns: BTreeSet<String>,
}

impl fmt::Display for LeftOutReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = [
            (self.excluded_rows, "row", "in excluded periods"),
            (self.labelled_rows, "row", "of incidents labelled real"),
            (self.maintenance_rows, "row", "in maintenance windows"),
            (self.new_columns, "column", "too new to learn from"),
            (self.outlying_cells, "value", "far from the rest"),
            (self.extreme_rows, "row", "of windows with extreme errors"),
            (self.gap_rows, "row", "with too many gaps around"),
            (self.young_entities, "entity", "with too few windows"),
        ];
        let mut told: Vec<String> = counts
            .iter()
            .filter(|(count, _, _)| *count > 0)
            .map(|(count, what, why)| format!("{count} {} {why}", plural(*count, what)))
            .collect();
        told.extend(self.endless_columns.iter().map(|name| {
            format!(
                "column `{name}`, whose values span more than {:.1e}",
                f64::MAX
            )
        }));
        if told.is_empty() {
            return write!(f, "nothing left out of {} rows", self.rows);
        }
        write!(f, "left out of {} rows: {}", self.rows, told.join(", "))
    }
}

fn plural(count: usize, what: &'static str) -> String {
    match (count, what) {
        (1, _) => what.into(),
        (_, "entity") => "entities".into(),
        _ => format!("{what}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_names_each_reason_that_took_something() {
        let mut report = LeftOutReport {
            rows: 2000,
            ..LeftOutReport::default()
        };
        assert_eq!(report.to_string(), "nothing left out of 2000 rows");
        report.maintenance_rows = 60;
        report.outlying_cells = 1;
        report.young_entities = 2;
        report.endless_columns.insert("big".into());
        assert_eq!(
            report.to_string(),
            "left out of 2000 rows: 60 rows in maintenance windows, 1 value far from the rest, 2 entities with too few windows, column `big`, whose values span more than 1.8e308"
        );
    }
}
