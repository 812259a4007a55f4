//! What is expected to come, when it reaches a limit, and how such expectations turned out.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Direction, Grid, Time};

/// A forecast with its band: one value per grid time, in the feature's own unit; `lower ≤ yhat ≤ upper`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Forecast {
    /// The times forecast.
    pub grid: Grid,
    /// Expected value.
    pub yhat: Vec<f64>,
    /// Lower bound of the band.
    pub lower: Vec<f64>,
    /// Upper bound of the band.
    pub upper: Vec<f64>,
    /// Share of reality that the band is meant to hold, 0 to 1.
    pub level: f64,
}

/// How forecasts turned out, over the newest that could be held against what came.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ForecastAccuracy {
    /// Mean absolute error, in the feature's own unit.
    pub mae: f64,
    /// Part of what came that lay within the band, 0 to 1; meant to be [`Forecast::level`].
    pub coverage: f64,
    /// How many forecast values that is.
    pub n: usize,
}

/// When a metric reaches its limit, as a forecast tells. Lengths of time count from now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Breach {
    /// The band's nearer edge reaches the limit: not before this, but for the part that no band holds.
    pub earliest: Duration,
    /// The expected value reaches it; `None` when that is not within [`Self::within`].
    pub likely: Option<Duration>,
    /// The band's farther edge reaches it; `None` when that is not within [`Self::within`].
    pub latest: Option<Duration>,
    /// How far ahead was looked.
    pub within: Duration,
}

impl Breach {
    /// At or past the limit already: what was measured, no forecast.
    pub const NOW: Self = Self {
        earliest: Duration::ZERO,
        likely: Some(Duration::ZERO),
        latest: Some(Duration::ZERO),
        within: Duration::ZERO,
    };

    /// Whether the limit is reached now, by what was measured.
    #[must_use]
    pub fn is_now(&self) -> bool {
        self.latest == Some(Duration::ZERO)
    }

    /// When `limit` is reached after `now`. `forecasts` follow one another in time. [`Direction::Below`] reaches it from above,
    /// any other from below. `None` when not even the band's nearer edge reaches it.
    #[must_use]
    pub fn ahead(
        forecasts: &[&Forecast],
        limit: f64,
        direction: Direction,
        now: Time,
    ) -> Option<Self> {
        let is_past = |value: f64| is_past(value, limit, direction);
        let first = |edge: Edge| {
            forecasts.iter().find_map(|forecast| {
                let mut rows = forecast.grid.times().zip(edge(forecast));
                let found = rows.find(|(time, value)| *time > now && is_past(**value));
                found.map(|(time, _)| time.since(now))
            })
        };
        let (near, far): (Edge, Edge) = match direction {
            Direction::Below => (|f| &f.lower, |f| &f.upper),
            Direction::Above | Direction::Both => (|f| &f.upper, |f| &f.lower),
        };
        let end = forecasts.iter().filter_map(|f| f.grid.last()).max()?;
        Some(Self {
            earliest: first(near)?,
            likely: first(|f| &f.yhat),
            latest: first(far),
            within: end.since(now),
        })
    }
}

/// One of a forecast's three lines.
type Edge = fn(&Forecast) -> &[f64];

/// Whether `value` is at `limit` or past it.
#[must_use]
pub fn is_past(value: f64, limit: f64, direction: Direction) -> bool {
    match direction {
        Direction::Below => value <= limit,
        Direction::Above | Direction::Both => value >= limit,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    /// `rows` hours from hour `start`, with a band of `width` on both sides.
    fn line(start: u32, rows: usize, of: impl Fn(f64) -> f64, width: f64) -> Forecast {
        let grid = Grid::new(Time::from_secs(0) + HOUR * start, HOUR, rows);
        let yhat: Vec<f64> = (0..rows)
            .map(|row| of(f64::from(start) + row as f64))
            .collect();
        Forecast {
            lower: yhat.iter().map(|y| y - width).collect(),
            upper: yhat.iter().map(|y| y + width).collect(),
            yhat,
            grid,
            level: 0.9,
        }
    }

    fn reached(forecasts: &[&Forecast], limit: f64, direction: Direction) -> Option<Breach> {
        Breach::ahead(forecasts, limit, direction, Time::from_secs(0))
    }

    #[test]
    fn a_rising_line_reaches_its_limit_by_the_upper_edge_first() {
        let rising = line(1, 24, |hour| 10.0 * hour, 20.0);
        let breach = reached(&[&rising], 90.0, Direction::Above).unwrap();
        assert_eq!(breach.earliest, HOUR * 7);
        assert_eq!(
            (breach.likely, breach.latest),
            (Some(HOUR * 9), Some(HOUR * 11))
        );
        assert_eq!(breach.within, HOUR * 24);
        assert!(!breach.is_now() && Breach::NOW.is_now());
        assert_eq!(reached(&[&rising], 90.0, Direction::Both), Some(breach));
    }

    #[test]
    fn a_falling_line_reaches_it_by_the_lower_edge_first() {
        let falling = line(1, 24, |hour| 100.0 - 10.0 * hour, 15.0);
        let breach = reached(&[&falling], 20.0, Direction::Below).unwrap();
        assert_eq!(breach.earliest, HOUR * 7);
        assert_eq!(
            (breach.likely, breach.latest),
            (Some(HOUR * 8), Some(HOUR * 10))
        );
        assert_eq!(reached(&[&falling], 200.0, Direction::Above), None);
    }

    #[test]
    fn a_wide_band_alone_says_only_not_before() {
        let flat = line(1, 48, |_| 50.0, 10.0);
        let widening = Forecast {
            upper: (0..48).map(|row| 50.0 + f64::from(row)).collect(),
            ..flat.clone()
        };
        let breach = reached(&[&widening], 90.0, Direction::Above).unwrap();
        assert_eq!(breach.earliest, HOUR * 41);
        assert_eq!((breach.likely, breach.latest), (None, None));
        assert_eq!(reached(&[&flat], 90.0, Direction::Above), None);
        assert_eq!(reached(&[], 90.0, Direction::Above), None);
    }

    #[test]
    fn forecasts_go_on_one_after_the_other_and_what_is_over_does_not_count() {
        let near = line(1, 24, |hour| hour, 1.0);
        let far = Forecast {
            grid: Grid::new(Time::from_secs(0) + HOUR * 30, HOUR * 6, 20),
            ..line(30, 20, |hour| 30.0 + (hour - 30.0) * 6.0, 1.0)
        };
        let breach = reached(&[&near, &far], 60.0, Direction::Above).unwrap();
        assert_eq!(breach.likely, Some(HOUR * 60));
        assert_eq!(breach.within, HOUR * 144);
        // A peak that is over: the next one counts.
        let waves = line(
            1,
            48,
            |hour| if hour % 24.0 == 3.0 { 100.0 } else { 0.0 },
            0.0,
        );
        let now = Time::from_secs(0) + HOUR * 4;
        let breach = Breach::ahead(&[&waves], 90.0, Direction::Above, now).unwrap();
        assert_eq!(breach.likely, Some(HOUR * 23));
    }

    #[test]
    fn a_limit_is_reached_at_its_value_and_never_by_what_is_missing() {
        assert!(is_past(90.0, 90.0, Direction::Above) && is_past(90.0, 90.0, Direction::Below));
        assert!(!is_past(89.0, 90.0, Direction::Both) && is_past(89.0, 90.0, Direction::Below));
        assert!(!is_past(f64::NAN, 90.0, Direction::Above));
        assert!(!is_past(f64::NAN, 90.0, Direction::Below));
    }
}
