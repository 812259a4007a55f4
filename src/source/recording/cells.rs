//! What a cell of text holds, and what its column holds by all of its cells.

use super::moment::Moments;
use super::read::TIME_NAMES;

/// What to do about a cell that is neither a number nor a time.
pub(super) const REMEDY: &str = "is not a number; leave the cell empty where nothing is known. A column that names hosts or \
    series does not belong into a recording, which is of one: write a file for each";

/// One column beside that of the times.
#[derive(Clone, Debug)]
pub(super) struct Column {
    pub name: String,
    /// Its name is that of times, so that numbers may be some.
    named: bool,
    /// Cells that are times in words.
    times: usize,
    /// Cells that are numbers, and those of them that may be times.
    numbers: usize,
    plausible: usize,
}

impl Column {
    pub(super) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            named: TIME_NAMES
                .iter()
                .any(|known| known.eq_ignore_ascii_case(name)),
            times: 0,
            numbers: 0,
            plausible: 0,
        }
    }

    /// A cell's number, NaN for a missing one and for a time; `None` for what is neither, or does not go with the cells
    /// before it.
    pub(super) fn cell(&mut self, text: &str, moments: &mut Moments) -> Option<f64> {
        if let Some(number) = number(text) {
            self.number(number, moments);
            return self.is_consistent().then_some(number);
        }
        moments.read(text).ok()?;
        self.times += 1;
        self.is_consistent().then_some(f64::NAN)
    }

    /// Takes notice of a cell that is a number.
    pub(super) fn number(&mut self, number: f64, moments: &Moments) {
        if !number.is_nan() {
            self.numbers += 1;
            self.plausible += usize::from(self.named && moments.number(number).is_ok());
        }
    }

    fn is_consistent(&self) -> bool {
        self.times == 0 || self.numbers == self.plausible
    }

    /// Whether all of its cells are times.
    pub(super) fn holds_times(&self) -> bool {
        self.times + self.plausible > 0 && self.numbers == self.plausible
    }
}

/// A number, NaN for a missing or infinite one, `None` for what is neither.
fn number(text: &str) -> Option<f64> {
    if let Ok(number) = text.parse::<f64>() {
        return Some(if number.is_finite() { number } else { f64::NAN });
    }
    match text.to_ascii_lowercase().as_str() {
        "" | "null" | "none" | "na" | "n/a" | "-" => Some(f64::NAN),
        "true" => Some(1.0),
        "false" => Some(0.0),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::Reading;
    use super::*;

    fn column(name: &str, cells: &[&str]) -> (Vec<Option<f64>>, bool) {
        let mut moments = Moments::new(&Reading::default());
        let mut column = Column::new(name);
        let found = cells.iter().map(|c| column.cell(c, &mut moments));
        let found = found.collect();
        (found, column.holds_times())
    }

    #[test]
    fn columns_of_times_are_told_from_columns_of_numbers() {
        let dates = ["2026-11-20", "", "2026-11-21 10:00"];
        assert!(column("scraped_at", &dates).1);
        let epochs = ["1780000000", "1780000060000"];
        assert!(column("Date", &epochs).1);
        assert!(!column("boot_time", &epochs).1);
        let mixed = column("time", &["12.5", "1780000000"]);
        assert_eq!(mixed, (vec![Some(12.5), Some(1_780_000_000.0)], false));
        assert!(!column("time", &["", "NaN"]).1);
        assert_eq!(column("v", &["1", "2026-11-20"]).0, [Some(1.0), None]);
        assert_eq!(column("v", &["web-1"]).0, [None]);
        assert_eq!(column("up", &["true", "False"]).0, [Some(1.0), Some(0.0)]);
    }
}
