//! Synthetic anomalies put into recorded data: seeded, labelled, repeatable.

use std::ops::Range;
use std::str::FromStr;

use ndarray::{ArrayRef2, s};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Size of a spike, in standard deviations: what the older PulseWatch's test mode used.
pub const SPIKE_DEVIATIONS: f64 = 10.0;

/// Size of a level shift, in standard deviations.
pub const SHIFT_DEVIATIONS: f64 = 5.0;

/// Rows tried until one is found whose cell was observed.
const TRIES: usize = 32;

/// What goes wrong with a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InjectionKind {
    /// One row far too high.
    Spike,
    /// The level is another for a while.
    Shift,
    /// Values are missing for a while.
    Dropout,
    /// The value sticks for a while.
    Flatline,
}

impl InjectionKind {
    /// All kinds.
    pub const ALL: [Self; 4] = [Self::Spike, Self::Shift, Self::Dropout, Self::Flatline];

    /// The word in `--inject` and in labels.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Spike => "spike",
            Self::Shift => "shift",
            Self::Dropout => "dropout",
            Self::Flatline => "flatline",
        }
    }

    /// Rows it lasts.
    const fn lengths(self) -> Range<usize> {
        match self {
            Self::Spike => 1..2,
            Self::Shift => 12..37,
            Self::Dropout => 6..25,
            Self::Flatline => 24..73,
        }
    }
}

/// One anomaly: these rows of this column.
#[derive(Clone, Debug, PartialEq)]
pub struct Injection {
    /// What happens.
    pub kind: InjectionKind,
    /// To which column.
    pub column: usize,
    /// In which rows.
    pub rows: Range<usize>,
    /// Standard deviations added by spikes and shifts (signed); 0 for the other kinds.
    pub magnitude: f64,
}

/// Plans injections. The same seed and the same calls give the same plan on every machine.
#[derive(Clone, Debug)]
pub struct Injector {
    rng: ChaCha8Rng,
}

impl Injector {
    /// A planner that draws from `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            rng: ChaCha8Rng::seed_from_u64(seed),
        }
    }

    /// One injection of `kind` within `rows` of `values` `[rows, columns]`, at a random row of a random column among those
    /// with a known deviation (`deviations`, one per column, NaN where nothing was observed). It begins at an observed
    /// value where one is found, and ends with `rows` at the latest. `None` when there is no row or no such column.
    pub fn plan(
        &mut self,
        kind: InjectionKind,
        values: &ArrayRef2<f64>,
        rows: Range<usize>,
        deviations: &[f64],
    ) -> Option<Injection> {
        let rows = rows.start..rows.end.min(values.nrows());
        let known: Vec<usize> = (0..values.ncols())
            .filter(|c| deviations.get(*c).is_some_and(|d| d.is_finite()))
            .collect();
        if rows.is_empty() || known.is_empty() {
            return None;
        }
        let length = self.rng.random_range(kind.lengths()).min(rows.len());
        let up = self.rng.random_bool(0.5);
        let mut found = None;
        for _ in 0..TRIES {
            let column = *known.get(self.rng.random_range(0..known.len()))?;
            let start = self.rng.random_range(rows.start..=rows.end - length);
            found = Some((column, start));
            if values.get((start, column)).is_some_and(|v| v.is_finite()) {
                break;
            }
        }
        let (column, start) = found?;
        Some(Injection {
            kind,
            column,
            rows: start..start + length,
            magnitude: match kind {
                InjectionKind::Spike => SPIKE_DEVIATIONS,
                InjectionKind::Shift if up => SHIFT_DEVIATIONS,
                InjectionKind::Shift => -SHIFT_DEVIATIONS,
                InjectionKind::Dropout | InjectionKind::Flatline => 0.0,
            },
        })
    }
}

/// Does to `values` `[rows, columns]` what `injection` says; `deviations` has one standard deviation per column. A column
/// that never moved (deviation 0) moves by a tenth of its value, at least by 1. Missing values stay missing. Rows and
/// columns that are not there are left out. Says whether a value was changed.
pub fn apply(values: &mut ArrayRef2<f64>, injection: &Injection, deviations: &[f64]) -> bool {
    let Some(deviation) = deviations.get(injection.column).filter(|d| d.is_finite()) else {
        return false;
    };
    let end = injection.rows.end.min(values.nrows());
    if injection.rows.start >= end || injection.column >= values.ncols() {
        return false;
    }
    let mut cells = values.slice_mut(s![injection.rows.start..end, injection.column]);
    let stuck = cells.iter().copied().find(|v| v.is_finite());
    let mut changed = false;
    for cell in cells.iter_mut().filter(|v| v.is_finite()) {
        let before = *cell;
        *cell = match injection.kind {
            InjectionKind::Spike | InjectionKind::Shift => {
                let unit = if *deviation > 0.0 {
                    *deviation
                } else {
                    (before.abs() / 10.0).max(1.0)
                };
                before + injection.magnitude * unit
            }
            InjectionKind::Dropout => f64::NAN,
            InjectionKind::Flatline => stuck.unwrap_or(before),
        };
        changed |= cell.to_bits() != before.to_bits();
    }
    changed
}

/// The standard deviation of each column over `rows` of `values` `[rows, columns]`, of what was observed; NaN for columns
/// with fewer than two observed values there.
#[must_use]
pub fn deviations(values: &ArrayRef2<f64>, rows: Range<usize>) -> Vec<f64> {
    let end = rows.end.min(values.nrows());
    let part = values.slice(s![rows.start.min(end)..end, ..]);
    part.columns()
        .into_iter()
        .map(|column| {
            // Welford: one pass, no cancellation.
            let (mut count, mut mean, mut square) = (0.0, 0.0, 0.0);
            for value in column.iter().filter(|v| v.is_finite()) {
                count += 1.0;
                let step = value - mean;
                mean += step / count;
                square += step * (value - mean);
            }
            if count < 2.0 {
                f64::NAN
            } else {
                (square / count).sqrt()
            }
        })
        .collect()
}

/// What `--inject N[,kind][,seed]` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InjectSpec {
    /// How many.
    pub count: usize,
    /// Which kind; `None`: all kinds in turn (`mixed`).
    pub kind: Option<InjectionKind>,
    /// Where the randomness starts; 0 unless given.
    pub seed: u64,
}

impl InjectSpec {
    /// `count` injections in `rows` of `values`, in time order and never touching: `rows` is cut into `count` equal parts
    /// and each has one, the last quarter of a part left free. Fewer when there are fewer than four rows for each.
    #[must_use]
    pub fn plan(
        &self,
        values: &ArrayRef2<f64>,
        rows: Range<usize>,
        deviations: &[f64],
    ) -> Vec<Injection> {
        let mut injector = Injector::new(self.seed);
        let rows = rows.start..rows.end.min(values.nrows());
        let count = self.count.min(rows.len() / 4);
        (0..count)
            .filter_map(|i| {
                let part = rows.len() / count;
                let start = rows.start + i * part;
                let turn = InjectionKind::ALL
                    .get(i % InjectionKind::ALL.len())
                    .copied();
                let kind = self.kind.or(turn)?;
                injector.plan(kind, values, start..start + part - part / 4, deviations)
            })
            .collect()
    }
}

impl FromStr for InjectSpec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |part: &str, what: &str| {
            format!(
                "`{part}` in `--inject {text}` is not {what}; write N[,kind][,seed], such as 20 or 20,shift,7 \
                 (kinds: spike, shift, dropout, flatline, mixed)"
            )
        };
        let mut parts = text.split(',').map(str::trim);
        let first = parts.next().unwrap_or_default();
        let count = first.parse().map_err(|_| wrong(first, "a number"))?;
        let mut spec = Self {
            count,
            kind: Some(InjectionKind::Spike),
            seed: 0,
        };
        let mut rest: Vec<&str> = parts.collect();
        if let Some(word) = rest.first().filter(|w| w.parse::<u64>().is_err()) {
            let known = InjectionKind::ALL.into_iter().find(|k| k.name() == *word);
            if known.is_none() && *word != "mixed" {
                return Err(wrong(word, "a kind"));
            }
            spec.kind = known;
            rest.remove(0);
        }
        match rest.as_slice() {
            [] => {}
            [seed] => spec.seed = seed.parse().map_err(|_| wrong(seed, "a seed"))?,
            [_, more, ..] => return Err(wrong(more, "expected here")),
        }
        Ok(spec)
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;

    fn data() -> Array2<f64> {
        Array2::from_shape_fn((400, 3), |(row, column)| match column {
            0 => (row % 10) as f64,
            1 => 5.0,
            _ => f64::NAN,
        })
    }

    #[test]
    fn specs_read_and_refuse() {
        let spec = |text: &str| text.parse::<InjectSpec>();
        let kind = |text: &str| spec(text).unwrap().kind;
        assert_eq!(
            spec("20"),
            Ok(InjectSpec {
                count: 20,
                kind: Some(InjectionKind::Spike),
                seed: 0
            })
        );
        assert_eq!(spec("5, shift, 7").unwrap().seed, 7);
        assert_eq!(spec("5,9").unwrap().seed, 9);
        assert_eq!(kind("1,flatline"), Some(InjectionKind::Flatline));
        assert_eq!(kind("1,mixed"), None);
        for bad in ["", "x", "-1", "3,bang", "3,spike,x", "3,spike,1,2", "3,1,2"] {
            assert!(spec(bad).unwrap_err().contains("N[,kind][,seed]"), "{bad}");
        }
    }

    #[test]
    fn each_kind_does_what_it_says() {
        let deviations = [2.0, 0.0, f64::NAN];
        let with = |kind, column, magnitude| {
            let mut values = data();
            let injection = Injection {
                kind,
                column,
                rows: 10..14,
                magnitude,
            };
            let changed = apply(&mut values, &injection, &deviations);
            (changed, values.slice(s![9..15, column]).to_vec())
        };
        let (_, spiked) = with(InjectionKind::Spike, 0, 10.0);
        assert_eq!(spiked, [9.0, 20.0, 21.0, 22.0, 23.0, 4.0]);
        let (_, constant) = with(InjectionKind::Shift, 1, -5.0);
        assert_eq!(constant, [5.0, 0.0, 0.0, 0.0, 0.0, 5.0]);
        let (_, dropped) = with(InjectionKind::Dropout, 0, 0.0);
        assert!(dropped[1..5].iter().all(|v| v.is_nan()) && dropped[5] == 4.0);
        let (_, stuck) = with(InjectionKind::Flatline, 0, 0.0);
        assert_eq!(stuck, [9.0, 0.0, 0.0, 0.0, 0.0, 4.0]);
        assert!(!with(InjectionKind::Spike, 2, 10.0).0, "nothing observed");
    }

    #[test]
    fn out_of_range_changes_nothing() {
        let mut values = data();
        for (column, rows) in [(9, 0..5), (0, 400..500), (0, 5..5)] {
            let injection = Injection {
                kind: InjectionKind::Dropout,
                column,
                rows,
                magnitude: 0.0,
            };
            assert!(!apply(&mut values, &injection, &[1.0; 3]));
        }
    }

    #[test]
    fn plans_repeat_do_not_touch_and_skip_unknown_columns() {
        let values = data();
        let deviations = deviations(&values, 0..200);
        assert!((deviations[0] - 8.25_f64.sqrt()).abs() < 1e-12);
        assert_eq!(deviations[1], 0.0);
        assert!(deviations[2].is_nan());
        let spec: InjectSpec = "9,mixed,3".parse().unwrap();
        let plan = spec.plan(&values, 200..400, &deviations);
        assert_eq!(plan, spec.plan(&values, 200..400, &deviations));
        assert_eq!(plan.len(), 9);
        for (a, b) in plan.iter().zip(&plan[1..]) {
            assert!(a.rows.end < b.rows.start);
        }
        assert!(
            plan.iter()
                .all(|i| i.column < 2 && i.rows.start >= 200 && i.rows.end <= 400)
        );
        let other = InjectSpec { seed: 4, ..spec };
        assert_ne!(plan, other.plan(&values, 200..400, &deviations));
        let many = InjectSpec {
            count: usize::MAX,
            ..spec
        };
        assert_eq!(many.plan(&values, 0..8, &deviations).len(), 2);
        assert!(spec.plan(&values, 500..600, &deviations).is_empty());
    }
}
