//! Three weeks of one service's request latency, every 10 minutes.

use std::ops::Range;
use std::time::Duration;

use super::{Noise, Planned, Sample, SampleColumn, Wander, incidents, rounded, trouble_at, wave};

const PER_DAY: usize = 144;
const ROWS: usize = 21 * PER_DAY;

/// What goes wrong, and when.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Trouble {
    Peak,
    Shift,
    Creep,
    Stuck,
    Dip,
    Unrest,
}

/// All after the first 60 % (row 1814), which stay clean to learn from.
const TROUBLES: [Planned<Trouble>; 6] = [
    (
        Trouble::Peak,
        1838..1844,
        "answers take three times as long",
    ),
    (
        Trouble::Shift,
        1990..2008,
        "level up by half after a bad release, until it is rolled back",
    ),
    (
        Trouble::Creep,
        2180..2204,
        "slow growth to double, then a restart",
    ),
    (
        Trouble::Stuck,
        2395..2407,
        "the same value reported again and again",
    ),
    (
        Trouble::Dip,
        2600..2609,
        "errors answered at once: latency far too low",
    ),
    (Trouble::Unrest, 2830..2850, "usual level, wildly uneven"),
];

/// Rows that were not recorded; none of these is an anomaly.
const GAPS: [Range<usize>; 3] = [333..335, 1201..1202, 2290..2293];

/// The set that `seed` makes: 3,024 rows of `latency` in milliseconds from a Monday on, with daily and weekly shapes,
/// noise that grows with the level, a few gaps, and six labelled incidents in the last 40 %.
#[must_use]
pub fn univariate(seed: u64) -> Sample {
    let mut noise = Noise::new(seed);
    let mut wander = Wander::new(0.85, 0.035);
    let mut weekly = 1.0;
    let mut stuck = None;
    let mut values = Vec::with_capacity(ROWS);
    for row in 0..ROWS {
        let weekend = row / PER_DAY % 7 >= 5;
        weekly += (if weekend { 0.84 } else { 1.0 } - weekly) * 0.04;
        let turn = (row % PER_DAY) as f64 / PER_DAY as f64;
        let shape = 120.0 + 38.0 * wave(turn - 0.38) + 11.0 * wave(2.0 * turn - 0.3);
        let rough = wander.next(&mut noise) + 0.025 * noise.draw();
        let usual = shape * weekly * (1.0 + rough);
        let value = rounded(with_trouble(row, usual, &mut noise), 0.1);
        let (trouble, _) = trouble_at(&TROUBLES, row);
        let value = if trouble == Some(Trouble::Stuck) {
            *stuck.get_or_insert(value)
        } else {
            value
        };
        let gone = GAPS.iter().any(|rows| rows.contains(&row));
        values.push(if gone { f64::NAN } else { value });
    }
    Sample {
        step: Duration::from_secs(600),
        columns: vec![SampleColumn {
            name: "latency",
            decimals: 1,
            values,
        }],
        incidents: incidents(&TROUBLES),
    }
}

fn with_trouble(row: usize, usual: f64, noise: &mut Noise) -> f64 {
    let (trouble, part) = trouble_at(&TROUBLES, row);
    match trouble {
        Some(Trouble::Peak) => usual * 3.0,
        Some(Trouble::Shift) => usual * 1.5,
        Some(Trouble::Creep) => usual * (1.0 + part),
        Some(Trouble::Dip) => usual * 0.2,
        Some(Trouble::Unrest) => (usual * (1.0 + 0.3 * noise.draw())).max(5.0),
        Some(Trouble::Stuck) | None => usual,
    }
}
