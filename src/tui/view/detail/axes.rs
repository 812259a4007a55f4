//! The axes of the large chart: round values at its left, what happened and round times under it.

use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::domain::{Grid, Time, Unit};
use crate::tui::text::{self, width};
use crate::tui::theme::Theme;
use crate::tui::zone::Zone;

use super::super::chart::{Axis, Chart, Scale};
use super::super::pen::Pen;
use super::super::plot::Window;

/// Distances that time labels may have, in seconds.
const STEPS: [u64; 15] = [
    60, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400, 172_800, 604_800,
    1_209_600, 2_592_000,
];

/// Round values at the left, on the rows where they are.
pub fn heights(unit: &Unit, scale: Scale, theme: &Theme, buffer: &mut Buffer, area: Rect) {
    let last = area.height.saturating_sub(1);
    if area.width < 4 || last == 0 {
        return;
    }
    let room = area.width - 2;
    let mut free = 0;
    for value in round_values(unit, scale, f64::from((last / 2).clamp(2, 8))) {
        let part = (scale.high - value) / (scale.high - scale.low);
        let row = text::short(text::whole(part * f64::from(last)));
        if row < free || row > last {
            continue;
        }
        free = row + 2;
        let shown = unit.show(value);
        let shown = text::cut(&shown, room);
        Pen::on(buffer, area, row)
            .skip(room - width(&shown))
            .say(&shown, theme.dim);
        Pen::on(buffer, area, row)
            .to(area, area.width - 1)
            .say("┤", theme.faint);
    }
}

/// About `count` round values on a scale, highest first; round as the unit counts, so bytes in powers of 1024.
fn round_values(unit: &Unit, scale: Scale, count: f64) -> Vec<f64> {
    let rough = (scale.high - scale.low) / count;
    let base = match unit {
        Unit::Bytes | Unit::BytesPerSecond => {
            1024_f64.powf(scale.high.abs().max(1.0).log(1024.0).floor())
        }
        _ => 1.0,
    };
    let decade = 10_f64.powf((rough / base).log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0]
        .map(|digit| digit * decade * base)
        .into_iter()
        .find(|step| *step >= rough);
    let Some(step) = step.filter(|step| step.is_finite() && *step > 0.0) else {
        return Vec::new();
    };
    let top = (scale.high / step).floor();
    (0..=text::whole(count) + 1)
        .map(|down| (top - down as f64) * step)
        .filter(|value| *value >= scale.low)
        .collect()
}

/// The columns that an incident covers.
pub struct Stretch {
    /// First column.
    pub from: u16,
    /// Last column.
    pub to: u16,
    /// It is still open.
    pub open: bool,
}

/// A bar under the incidents, markers under anomalous columns, and times at round distances where `cross` leaves room.
pub fn times(
    chart: &Chart,
    (window, zone): (&Window<'_>, &Zone),
    incidents: &[Stretch],
    cross: Option<&Cross>,
    theme: &Theme,
    buffer: &mut Buffer,
    area: Rect,
) {
    for stretch in incidents {
        let style = if stretch.open { theme.hot } else { theme.dim };
        let bar = "━".repeat(usize::from(stretch.to - stretch.from) + 1);
        Pen::on(buffer, area, 0)
            .to(area, stretch.from)
            .say(&bar, style);
    }
    for column in chart.hot_columns() {
        Pen::on(buffer, area, 0)
            .to(area, column)
            .say("▲", theme.hot);
    }
    let Some(row) = area.height.checked_sub(1).filter(|row| *row > 0) else {
        return;
    };
    let length = window.length();
    for (time, column) in ticks(window.axis, area.width, zone)
        .into_iter()
        .filter_map(|time| Some((time, chart.cell_column(time)?)))
    {
        let label = zone.tick(time, length);
        let left = column.saturating_sub(width(&label) / 2);
        let taken = cross.is_some_and(|cross| cross.meets(left, width(&label)));
        if left + width(&label) <= area.width && !taken {
            Pen::on(buffer, area, row)
                .to(area, left)
                .say(&label, theme.dim);
        }
    }
}

/// Where the crosshair meets the axis.
pub struct Cross {
    column: u16,
    label: String,
    /// First column of the label.
    left: u16,
}

impl Cross {
    /// At a column of an axis of `room` columns, with the words for its time.
    pub fn new(column: u16, words: &str, room: u16) -> Self {
        let label = format!(" {words} ");
        let wide = width(&label);
        let left = column.saturating_sub(wide / 2);
        Self {
            column,
            left: left.min(room.saturating_sub(wide)),
            label,
        }
    }

    /// Whether its label is in the way of `wide` columns from `left` on.
    fn meets(&self, left: u16, wide: u16) -> bool {
        left < self.left + width(&self.label) && self.left < left + wide
    }

    /// A rule where nothing else is, and the time among the others.
    pub fn draw(&self, theme: &Theme, buffer: &mut Buffer, area: Rect) {
        let last = area.height.saturating_sub(1);
        for row in 0..last {
            let spot = (area.x.saturating_add(self.column), area.y + row);
            if let Some(cell) = buffer.cell_mut(spot).filter(|cell| cell.symbol() == " ") {
                cell.set_char('│').set_style(theme.accent);
            }
        }
        if last > 0 {
            Pen::on(buffer, area, last)
                .to(area, self.left)
                .say(&self.label, theme.accent);
        }
    }
}

/// Times that are round on the zone's clocks, far enough apart for their labels.
fn ticks(axis: Axis, room: u16, zone: &Zone) -> Vec<Time> {
    let length = axis.to.since(axis.from);
    let most = f64::from((room / 14).max(1));
    let step = STEPS
        .map(Duration::from_secs)
        .into_iter()
        .find(|step| length.as_secs_f64() / step.as_secs_f64() <= most);
    step.map_or_else(Vec::new, |step| {
        let ahead = zone.ahead(axis.to);
        let shifted = |time: Time, by: i64| Time::from_millis(time.millis().saturating_add(by));
        let local = Grid::covering(shifted(axis.from, ahead), shifted(axis.to, ahead), step);
        local.times().map(|time| shifted(time, -ahead)).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_not_too_many() {
        let axis = Axis {
            from: Time::from_secs(1_700_000_000),
            to: Time::from_secs(1_700_030_000),
            step: Duration::from_secs(60),
        };
        let found = ticks(axis, 120, &Zone::UTC);
        assert!((4..=9).contains(&found.len()), "{found:?}");
        assert!(found.iter().all(|t| t.millis() % 3_600_000 == 0));
        assert!(ticks(axis, 10, &Zone::UTC).len() <= 2);
        let kolkata = Zone::new(jiff::tz::TimeZone::get("Asia/Kolkata").unwrap());
        let found = ticks(axis, 120, &kolkata);
        assert!((4..=9).contains(&found.len()), "{found:?}");
        assert!(found.iter().all(|t| kolkata.clock(*t).ends_with(":00:00")));
    }

    #[test]
    fn heights_are_round_in_their_unit() {
        let shown = |unit: &Unit, low, high| -> Vec<String> {
            round_values(unit, Scale { low, high }, 4.0)
                .into_iter()
                .map(|v| unit.show(v))
                .collect()
        };
        assert_eq!(
            shown(&Unit::Seconds, 0.12, 0.91),
            ["800 ms", "600 ms", "400 ms", "200 ms"]
        );
        assert_eq!(
            shown(&Unit::Bytes, 4e9, 8e9),
            ["7 GiB", "6 GiB", "5 GiB", "4 GiB"]
        );
        assert_eq!(shown(&Unit::Celsius, -5.0, 4.0), ["0 °C", "-5 °C"]);
    }
}
