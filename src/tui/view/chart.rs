//! A small line chart of braille dots (2×4 a cell) or ASCII dots (1×2), with gaps, red columns, a band and a divider.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::domain::{Grid, Time};
use crate::tui::text::{short, whole};
use crate::tui::theme::Theme;

pub use super::columns::Axis;
use super::columns::Columns;

/// The values at the bottom and top edge.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale {
    /// Bottom edge.
    pub low: f64,
    /// Top edge, above `low`.
    pub high: f64,
}

impl Scale {
    /// A scale that holds every finite value with a little air, and never shows less than a hundredth of the values'
    /// size, so that noise on a constant stays flat. `None` when there is no value. What is never negative is not
    /// drawn above an edge below zero.
    pub fn over(values: impl Iterator<Item = f64>) -> Option<Self> {
        let (low, high) = values
            .filter(|v| v.is_finite())
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| {
                (low.min(v), high.max(v))
            });
        if low > high {
            return None;
        }
        let size = low.abs().max(high.abs()).max(1e-9);
        let lack = (size * 0.01 - (high - low)).max(0.0) / 2.0;
        let air = (high - low) * 0.05 + lack;
        let bottom = if low >= 0.0 {
            (low - air).max(0.0)
        } else {
            low - air
        };
        Some(Self {
            low: bottom,
            high: (high + air).max(bottom + size * 1e-6),
        })
    }

    fn part(self, value: f64) -> f64 {
        ((value - self.low) / (self.high - self.low)).clamp(0.0, 1.0)
    }
}

/// What a dot belongs to; the greater one gives the cell its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ink {
    /// A limit or threshold.
    Guide,
    /// A forecast's band.
    Band,
    /// A forecast.
    Forecast,
    /// Observed values.
    Line,
}

#[derive(Clone, Copy, Default)]
struct Cell {
    dots: u8,
    ink: Option<Ink>,
    shade: bool,
}

/// One dot column's share of a line.
struct Bin {
    column: usize,
    /// Nothing is missing between the bin before and this one.
    joined: bool,
    sum: f64,
    count: f64,
    low: f64,
    high: f64,
}

/// Values more than this part of the scale away from their column's mean are drawn by themselves, so that averaging keeps
/// a line calm and hides no spike.
const SPIKE: f64 = 0.3;

/// A chart under way.
pub struct Chart {
    area: Rect,
    columns: Columns,
    scale: Scale,
    unicode: bool,
    cells: Vec<Cell>,
    hot: Vec<bool>,
    tinted: Vec<bool>,
    divider: Option<usize>,
    crosshair: Option<usize>,
    point: Option<(u16, u16)>,
}

impl Chart {
    /// An empty chart over `area`.
    pub fn new(area: Rect, axis: Axis, scale: Scale, unicode: bool) -> Self {
        let across = if unicode { 2 } else { 1 };
        Self {
            area,
            columns: Columns::new(axis, usize::from(area.width), across),
            scale,
            unicode,
            cells: vec![Cell::default(); usize::from(area.width) * usize::from(area.height)],
            hot: vec![false; usize::from(area.width)],
            tinted: vec![false; usize::from(area.width)],
            divider: None,
            crosshair: None,
            point: None,
        }
    }

    const fn dots(&self) -> (usize, usize) {
        if self.unicode { (2, 4) } else { (1, 2) }
    }

    fn tall(&self) -> usize {
        usize::from(self.area.height) * self.dots().1
    }

    /// The cell column of a time; `None` outside of the axis.
    pub fn cell_column(&self, time: Time) -> Option<u16> {
        let column = self.columns.column(time)? / self.dots().0;
        u16::try_from(column).ok()
    }

    /// The dot row of a value, 0 at the top.
    fn level(&self, value: f64) -> usize {
        let last = self.tall().saturating_sub(1);
        whole((1.0 - self.scale.part(value)) * last as f64).min(last)
    }

    fn dot(&mut self, column: usize, level: usize, ink: Ink) {
        const BRAILLE: [[u8; 4]; 2] = [[0x01, 0x02, 0x04, 0x40], [0x08, 0x10, 0x20, 0x80]];
        let (across, down) = self.dots();
        let bit = if self.unicode {
            BRAILLE
                .get(column % across)
                .and_then(|side| side.get(level % down))
                .copied()
                .unwrap_or(0)
        } else {
            1 << (level % down)
        };
        let index = level / down * usize::from(self.area.width) + column / across;
        if let Some(cell) = self.cells.get_mut(index) {
            cell.dots |= bit;
            cell.ink = cell.ink.max(Some(ink));
        }
    }

    fn vertical(&mut self, column: usize, from: usize, to: usize, ink: Ink) {
        for level in from.min(to)..=from.max(to) {
            self.dot(column, level, ink);
        }
    }

    /// Marks the columns of anomalous rows; to be called before [`Self::line`], which shows every value there.
    pub fn heat(&mut self, grid: &Grid, anomalous: &[bool]) {
        let half = grid.step() / 2;
        for (row, _) in anomalous.iter().enumerate().filter(|(_, hot)| **hot) {
            let time = grid.time(row);
            let axis = self.columns.axis;
            let from = (time - half).max(axis.from);
            let to = (time + half).min(axis.to);
            let ends = (self.columns.column(from), self.columns.column(to));
            let (Some(from), Some(to)) = ends else {
                continue;
            };
            let across = self.dots().0;
            for column in from / across..=to.saturating_sub(1).max(from) / across {
                if let Some(hot) = self.hot.get_mut(column) {
                    *hot = true;
                }
            }
        }
    }

    /// A line through the values; NaN leaves a gap. Several values in one column are averaged, but spikes stay.
    pub fn line(&mut self, grid: &Grid, values: &[f64], ink: Ink) {
        let mut before: Option<(usize, usize)> = None;
        for bin in self.bins(grid, values) {
            let mean = bin.sum / bin.count;
            let level = self.level(mean);
            match before.filter(|_| bin.joined) {
                Some((column, from)) => self.join(column, from, bin.column, level, ink),
                None => self.dot(bin.column, level, ink),
            }
            let limit = (self.scale.high - self.scale.low) * SPIKE;
            let hot = self.hot.get(bin.column / self.dots().0) == Some(&true);
            if bin.high - mean > limit || hot {
                self.vertical(bin.column, level, self.level(bin.high), ink);
            }
            if mean - bin.low > limit || hot {
                self.vertical(bin.column, level, self.level(bin.low), ink);
            }
            before = Some((bin.column, level));
        }
    }

    fn bins(&self, grid: &Grid, values: &[f64]) -> Vec<Bin> {
        let mut bins: Vec<Bin> = Vec::new();
        let mut gap = true;
        for (time, value) in grid.times().zip(values.iter().copied()) {
            let Some(column) = self.columns.column(time) else {
                continue;
            };
            if !value.is_finite() {
                gap = true;
                continue;
            }
            match bins.last_mut() {
                Some(bin) if bin.column == column => {
                    bin.sum += value;
                    bin.count += 1.0;
                    bin.low = bin.low.min(value);
                    bin.high = bin.high.max(value);
                }
                last => {
                    let near = last.is_some_and(|bin| column - bin.column <= 1);
                    bins.push(Bin {
                        column,
                        joined: !gap || near,
                        sum: value,
                        count: 1.0,
                        low: value,
                        high: value,
                    });
                }
            }
            gap = false;
        }
        bins
    }

    /// A straight line from a dot already there to another, without holes where it is steep.
    fn join(&mut self, column: usize, from: usize, to_column: usize, to: usize, ink: Ink) {
        let run = to_column.saturating_sub(column).max(1) as f64;
        let mut level = from;
        for step in 1..=to_column.saturating_sub(column) {
            let part = step as f64 / run;
            let next = whole(from as f64 + (to as f64 - from as f64) * part);
            let start = match next.cmp(&level) {
                std::cmp::Ordering::Greater => level + 1,
                std::cmp::Ordering::Less => level - 1,
                std::cmp::Ordering::Equal => next,
            };
            self.vertical(column + step, start, next, ink);
            level = next;
        }
    }

    /// A dotted horizontal line, if the value is on the scale.
    pub fn guide(&mut self, value: f64) {
        if value < self.scale.low || value > self.scale.high {
            return;
        }
        let level = self.level(value);
        let every = if self.unicode { 4 } else { 3 };
        for column in (0..self.columns.wide()).step_by(every) {
            self.dot(column, level, Ink::Guide);
        }
    }

    /// A forecast's band: a shade behind the line where the terminal has one, else dotted edges.
    pub fn band(&mut self, grid: &Grid, lower: &[f64], upper: &[f64], theme: &Theme) {
        let every = if self.unicode { 3 } else { 2 };
        let (across, down) = self.dots();
        for column in 0..self.columns.wide() {
            let Some((low, high)) = self.bounds(column, grid, lower, upper) else {
                continue;
            };
            let (top, bottom) = (self.level(high), self.level(low));
            if theme.band.is_none() {
                if column.is_multiple_of(every) {
                    self.dot(column, top, Ink::Band);
                    self.dot(column, bottom, Ink::Band);
                }
                continue;
            }
            for row in top / down..=bottom / down {
                let index = row * usize::from(self.area.width) + column / across;
                if let Some(cell) = self.cells.get_mut(index) {
                    cell.shade = true;
                }
            }
        }
    }

    fn bounds(
        &self,
        column: usize,
        grid: &Grid,
        lower: &[f64],
        upper: &[f64],
    ) -> Option<(f64, f64)> {
        let time = self.columns.time(column)?;
        let row = grid.row(time)?;
        let (low, high) = (*lower.get(row)?, *upper.get(row)?);
        (low.is_finite() && high.is_finite()).then_some((low, high))
    }

    /// A vertical rule at a time.
    pub fn divide(&mut self, time: Time) {
        self.divider = self.cell_column(time).map(usize::from);
    }

    /// A rule at the moment that is pointed at.
    pub fn cross(&mut self, time: Time) {
        self.crosshair = self.cell_column(time).map(usize::from);
    }

    /// A dot that stands out, where the crosshair meets the line.
    pub fn point(&mut self, time: Time, value: f64) {
        let column = self.cell_column(time).filter(|_| value.is_finite());
        self.point = column.map(|column| (column, self.row(value)));
    }

    /// Shades the columns between two times, where the terminal has a shade for it; gives the first and the last one.
    pub fn tint(&mut self, from: Time, to: Time) -> Option<(u16, u16)> {
        let axis = self.columns.axis;
        let first = self.cell_column(from.max(axis.from))?;
        let last = self.cell_column(to.min(axis.to))?.max(first);
        for column in self
            .tinted
            .iter_mut()
            .take(usize::from(last) + 1)
            .skip(usize::from(first))
        {
            *column = true;
        }
        Some((first, last))
    }

    /// The cell row of a value, 0 at the top.
    pub fn row(&self, value: f64) -> u16 {
        short(self.level(value) / self.dots().1)
    }

    /// Cell columns with anomalous rows, from the left edge.
    pub fn hot_columns(&self) -> impl Iterator<Item = u16> + '_ {
        (0_u16..)
            .zip(&self.hot)
            .filter(|(_, hot)| **hot)
            .map(|(column, _)| column)
    }

    /// Puts the chart on the buffer.
    pub fn paint(&self, buffer: &mut Buffer, theme: &Theme) {
        let width = usize::from(self.area.width).max(1);
        for (index, cell) in self.cells.iter().enumerate() {
            let (column, row) = (index % width, index / width);
            let (Ok(x), Ok(y)) = (u16::try_from(column), u16::try_from(row)) else {
                continue;
            };
            let Some(target) = buffer.cell_mut((self.area.x + x, self.area.y + y)) else {
                continue;
            };
            let tint = theme
                .raised
                .bg
                .filter(|_| self.tinted.get(column) == Some(&true));
            let shade = theme.band.filter(|_| cell.shade);
            if let Some(ground) = shade.or(tint) {
                target.set_bg(ground);
            }
            if self.point == Some((x, y)) {
                target.set_char('●').set_style(theme.strong);
            } else if cell.dots != 0 {
                let hot = self.hot.get(column) == Some(&true);
                target.set_char(glyph(cell.dots, self.unicode));
                target.set_style(style(cell.ink, hot, theme));
            } else if self.crosshair == Some(column) {
                target.set_char('│').set_style(theme.accent);
            } else if self.divider == Some(column) {
                target.set_char('│').set_style(theme.dim);
            }
        }
    }
}

fn style(ink: Option<Ink>, hot: bool, theme: &Theme) -> Style {
    match ink {
        Some(Ink::Line) if hot => theme.hot,
        Some(Ink::Line) => theme.line,
        Some(Ink::Forecast) => theme.forecast,
        Some(Ink::Band | Ink::Guide) | None => theme.dim,
    }
}

fn glyph(dots: u8, unicode: bool) -> char {
    if unicode {
        char::from_u32(0x2800 + u32::from(dots)).unwrap_or(' ')
    } else {
        match dots {
            1 => '\'',
            2 => '.',
            _ => ':',
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::ThemeName;
    use crate::tui::theme::ColorDepth;

    fn drawn(values: &[f64], hot: &[bool], width: u16, height: u16, unicode: bool) -> Vec<String> {
        let grid = Grid::new(Time::from_secs(0), Duration::from_secs(60), values.len());
        let axis = Axis {
            from: grid.start(),
            to: grid.last().unwrap(),
            step: grid.step(),
        };
        let area = Rect::new(0, 0, width, height);
        let scale = Scale {
            low: 0.0,
            high: 1.0,
        };
        let mut chart = Chart::new(area, axis, scale, unicode);
        chart.heat(&grid, hot);
        chart.line(&grid, values, Ink::Line);
        let mut buffer = Buffer::empty(area);
        let theme = Theme::new(ThemeName::Dark, ColorDepth::True, unicode);
        chart.paint(&mut buffer, &theme);
        (0..height)
            .map(|y| {
                (0..width)
                    .map(|x| buffer[(x, y)].symbol().to_owned())
                    .collect()
            })
            .collect()
    }

    #[test]
    fn a_ramp_rises_from_corner_to_corner() {
        let ramp: Vec<f64> = (0..8).map(|i| f64::from(i) / 7.0).collect();
        assert_eq!(drawn(&ramp, &[], 4, 2, true), ["  ⡠⠊", "⡠⠊  "]);
        assert_eq!(drawn(&ramp, &[], 4, 2, false), ["  .'", ".'  "]);
    }

    #[test]
    fn cells_keep_their_rows_as_time_goes_on() {
        let step = Duration::from_secs(60);
        let axis = |start: i64| Axis {
            from: Time::from_secs(start),
            to: Time::from_secs(start) + step * 299,
            step,
        };
        let at = Time::from_secs(1_700_010_000);
        let columns = |start| Columns::new(axis(start), 60, 2);
        let mut moves = Vec::new();
        for minute in 0..100 {
            let now = columns(1_700_000_000 + minute * 60);
            let column = now.column(at).unwrap();
            assert_eq!(column % 2, columns(1_700_000_000).column(at).unwrap() % 2);
            moves.push(column);
            let middle = now.time(column).unwrap();
            assert_eq!(now.column(middle), Some(column));
            assert!(now.column(now.axis.to).unwrap() >= 118);
            assert!(now.column(now.axis.from).unwrap() <= 3);
        }
        moves.dedup();
        assert!(
            (15..25).contains(&moves.len()),
            "once in about five rows: {moves:?}"
        );
    }

    #[test]
    fn gaps_stay_gaps() {
        let mut values = vec![0.0; 16];
        values[6..10].fill(f64::NAN);
        assert_eq!(drawn(&values, &[], 8, 1, true), ["⣀⣀⣀  ⣀⣀⣀"]);
        assert_eq!(drawn(&[f64::NAN; 4], &[], 4, 1, true), ["    "]);
    }

    #[test]
    fn a_spike_survives_averaging() {
        let mut values = vec![0.0; 400];
        values[200] = 1.0;
        let rows = drawn(&values, &[], 10, 2, true);
        assert!(rows[0].trim() != "", "{rows:?}");
    }

    #[test]
    fn anomalous_columns_are_known() {
        let grid = Grid::new(Time::from_secs(0), Duration::from_secs(60), 10);
        let axis = Axis {
            from: grid.start(),
            to: grid.last().unwrap(),
            step: grid.step(),
        };
        let scale = Scale {
            low: 0.0,
            high: 1.0,
        };
        let mut chart = Chart::new(Rect::new(0, 0, 10, 1), axis, scale, true);
        let mut hot = [false; 10];
        hot[4] = true;
        chart.heat(&grid, &hot);
        let columns: Vec<u16> = chart.hot_columns().collect();
        assert!(columns.contains(&4) && columns.len() <= 2, "{columns:?}");
    }

    #[test]
    fn scales_hold_the_values_and_keep_constants_flat() {
        let scale = Scale::over([3.0, f64::NAN, 3.0].into_iter()).unwrap();
        assert!(scale.low < 3.0 && scale.high > 3.0);
        assert!(Scale::over(std::iter::empty()).is_none());
        let zero = Scale::over([0.0].into_iter()).unwrap();
        assert!(zero.high > zero.low && zero.low >= 0.0);
        let from_zero = Scale::over([0.0, 10.0].into_iter()).unwrap();
        assert!(from_zero.low.abs() < 1e-12);
    }
}
