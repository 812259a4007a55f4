//! What the rows of one entity's history were judged to be, small enough to be kept for every row.

use ndarray::Array2;

use crate::domain::{Grid, Incident, Schema, Time, Verdict};

/// Cells whose band is kept, at most: of longer histories, that of every second row, every third and so on (6 MB).
const BANDS: usize = 500_000;

/// What is expected of a value and how far it may be away from that, in the feature's unit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Band {
    /// What is expected.
    pub expected: f64,
    /// Lower end.
    pub lower: f64,
    /// Upper end.
    pub upper: f64,
}

/// Score, marks and bands of one entity's rows. Some `6 + features` bytes a row, and the bands.
#[derive(Clone, Debug)]
pub struct Track {
    grid: Grid,
    /// NaN where there is none.
    scores: Vec<f32>,
    anomalous: Vec<bool>,
    /// `[rows, features]`: whom an anomaly is about.
    carriers: Array2<bool>,
    /// Rows from one band to the next.
    stride: usize,
    /// `[rows / stride, features]`, NaN where it is not known.
    bands: Array2<[f32; 3]>,
}

impl Track {
    /// Nothing is known yet of the rows on `grid`; `entities` of this kind are kept.
    pub fn new(grid: Grid, features: usize, entities: usize) -> Self {
        let rows = grid.len();
        let cells = rows
            .saturating_mul(features)
            .saturating_mul(entities.max(1));
        let stride = cells.div_ceil(BANDS).max(1);
        Self {
            grid,
            scores: vec![f32::NAN; rows],
            anomalous: vec![false; rows],
            carriers: Array2::from_elem((rows, features), false),
            stride,
            bands: Array2::from_elem((rows.div_ceil(stride), features), [f32::NAN; 3]),
        }
    }

    /// Takes the verdict on one of the rows.
    pub fn take(&mut self, verdict: &Verdict) {
        let Some(row) = self.grid.row(verdict.time) else {
            return;
        };
        #[allow(clippy::cast_possible_truncation)] // Seven digits are more than are drawn.
        let narrow = |value: f64| value as f32;
        if let (Some(slot), Some(score)) = (self.scores.get_mut(row), verdict.score) {
            *slot = narrow(score);
        }
        if let Some(slot) = self.anomalous.get_mut(row) {
            *slot = verdict.is_anomaly;
        }
        for column in verdict.carriers() {
            self.carry(row, column);
        }
        if row.is_multiple_of(self.stride) {
            for (column, part) in verdict.features.iter().enumerate() {
                if let Some(slot) = self.bands.get_mut((row / self.stride, column)) {
                    *slot = [part.expected, part.lower, part.upper].map(narrow);
                }
            }
        }
    }

    /// Marks the rows of an incident that was found live, with the features that it names.
    pub fn mark(&mut self, incident: &Incident, schema: &Schema) {
        let most = incident
            .features
            .iter()
            .map(|f| f.share)
            .fold(0.0, f64::max);
        let named: Vec<usize> = incident
            .features
            .iter()
            .filter(|part| part.share > 0.0 && part.share >= most / 2.0)
            .filter_map(|part| schema.iter().position(|f| f.name == part.feature))
            .collect();
        let (from, to) = (incident.start, incident.end + self.grid.step());
        for row in self.grid.rows_before(from)..self.grid.rows_before(to) {
            if let Some(slot) = self.anomalous.get_mut(row) {
                *slot = true;
            }
            for column in &named {
                self.carry(row, *column);
            }
        }
    }

    fn carry(&mut self, row: usize, column: usize) {
        if let Some(slot) = self.carriers.get_mut((row, column)) {
            *slot = true;
        }
    }

    /// Times of the rows.
    pub const fn grid(&self) -> &Grid {
        &self.grid
    }

    /// The score of a row.
    pub fn score(&self, row: usize) -> Option<f64> {
        let score = self.scores.get(row).copied()?;
        score.is_finite().then_some(f64::from(score))
    }

    /// Whether a row is anomalous.
    pub fn is_anomalous(&self, row: usize) -> bool {
        self.anomalous.get(row).copied().unwrap_or(false)
    }

    /// Whether an anomaly in this row is about this column.
    pub fn is_about(&self, row: usize, column: usize) -> bool {
        self.carriers.get((row, column)).copied().unwrap_or(false)
    }

    /// Columns that an anomaly in this row is about.
    pub fn carriers(&self, row: usize) -> impl Iterator<Item = usize> {
        (0..self.carriers.ncols()).filter(move |column| self.is_about(row, *column))
    }

    /// What was expected of a column in the row, or in the row before it whose band is kept.
    pub fn band(&self, row: usize, column: usize) -> Option<Band> {
        let kept = self.bands.get((row / self.stride, column))?;
        let [expected, lower, upper] = kept.map(f64::from);
        expected.is_finite().then_some(Band {
            expected,
            lower,
            upper,
        })
    }

    /// The row at `time`, if it is one of these.
    pub fn row(&self, time: Time) -> Option<usize> {
        self.grid.row(time)
    }
}
