//! Day and hour as features, in the zone that people live in.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use ndarray::{Array2, ArrayView2, s};

use crate::domain::Grid;

/// Names of the two columns, in order.
pub const NAMES: [&str; 2] = ["day_of_week", "hour_of_day"];

/// How many columns the calendar adds, after the features.
pub const COLUMNS: usize = NAMES.len();

/// `[rows, 2]`: `day_of_week` 0 (Monday) to 6 and `hour_of_day` 0 to 23 of each grid time, as clocks in `zone` show them.
/// A time beyond what the calendar knows (the year 9999) counts as Monday, hour 0.
#[must_use]
pub fn columns(grid: &Grid, zone: &TimeZone) -> Array2<f32> {
    let mut columns = Array2::zeros((grid.len(), COLUMNS));
    for (mut row, time) in columns.rows_mut().into_iter().zip(grid.times()) {
        if let Ok(stamp) = Timestamp::from_millisecond(time.millis()) {
            let local = zone.to_datetime(stamp);
            row[0] = f32::from(local.weekday().to_monday_zero_offset());
            row[1] = f32::from(local.hour());
        }
    }
    columns
}

/// `[rows]`: the time of day of each grid time as clocks in `zone` show it, as a part of a day (0 to 1). A time beyond what
/// the calendar knows counts as midnight.
#[must_use]
pub fn clock(grid: &Grid, zone: &TimeZone) -> Vec<f32> {
    const DAY: f64 = 86_400_000.0;
    let part = |time: crate::domain::Time| {
        let stamp = Timestamp::from_millisecond(time.millis()).ok()?;
        let offset = zone.to_offset(stamp).seconds();
        let millis = (time.millis() + i64::from(offset) * 1000).rem_euclid(86_400_000);
        #[allow(clippy::cast_possible_truncation)] // A few seconds more or less.
        let part = (millis as f64 / DAY) as f32;
        Some(part)
    };
    grid.times().map(|time| part(time).unwrap_or(0.0)).collect()
}

/// The same with both columns brought to 0..=1, as the network takes them.
#[must_use]
pub fn scaled(grid: &Grid, zone: &TimeZone) -> Array2<f32> {
    let mut columns = columns(grid, zone);
    columns.column_mut(0).mapv_inplace(|day| day / 6.0);
    columns.column_mut(1).mapv_inplace(|hour| hour / 23.0);
    columns
}

/// Scaled features `[rows, features]` followed by the [`scaled`] calendar: `[rows, features + 2]`. Row `i` of `features` is
/// at `grid.time(i)`; rows past the grid's end extrapolate it.
#[must_use]
pub fn append(features: ArrayView2<'_, f32>, grid: &Grid, zone: &TimeZone) -> Array2<f32> {
    let (rows, width) = features.dim();
    let grid = Grid::new(grid.start(), grid.step(), rows);
    let mut all = Array2::zeros((rows, width + COLUMNS));
    all.slice_mut(s![.., ..width]).assign(&features);
    all.slice_mut(s![.., width..]).assign(&scaled(&grid, zone));
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Time;
    use ndarray::array;
    use std::time::Duration;

    fn hourly(start: &str, len: usize) -> Grid {
        let start: Timestamp = start.parse().unwrap();
        Grid::new(
            Time::from_millis(start.as_millisecond()),
            Duration::from_secs(3600),
            len,
        )
    }

    #[test]
    fn monday_is_zero_and_zones_count() {
        // 2026-11-02 was a Monday.
        let grid = hourly("2026-11-02T00:00:00Z", 2);
        assert_eq!(
            columns(&grid, &TimeZone::UTC),
            array![[0.0, 0.0], [0.0, 1.0]]
        );
        let zone = TimeZone::get("America/New_York").unwrap();
        assert_eq!(columns(&grid, &zone), array![[6.0, 19.0], [6.0, 20.0]]);
    }

    #[test]
    fn clocks_go_forward_and_back() {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        let spring = columns(&hourly("2026-03-29T00:00:00Z", 3), &zone);
        assert_eq!(spring.column(1).to_vec(), [1.0, 3.0, 4.0]);
        let autumn = columns(&hourly("2026-10-24T23:00:00Z", 4), &zone);
        assert_eq!(autumn.column(1).to_vec(), [1.0, 2.0, 2.0, 3.0]);
        assert_eq!(autumn.column(0).to_vec(), [6.0; 4]);
    }

    #[test]
    fn appended_columns_are_within_zero_and_one() {
        let grid = hourly("2026-11-02T00:00:00Z", 24 * 7);
        let all = append(
            Array2::from_elem((24 * 7, 3), 5.0).view(),
            &grid,
            &TimeZone::UTC,
        );
        assert_eq!(all.dim(), (168, 5));
        assert_eq!(all.row(167).to_vec(), [5.0, 5.0, 5.0, 1.0, 1.0]);
        assert!(
            all.slice(s![.., 3..])
                .iter()
                .all(|v| (0.0..=1.0).contains(v))
        );
    }

    #[test]
    fn times_off_the_calendar_do_no_harm() {
        let grid = Grid::new(Time::from_millis(i64::MAX), Duration::from_secs(1), 2);
        assert_eq!(columns(&grid, &TimeZone::UTC), Array2::<f32>::zeros((2, 2)));
    }
}
