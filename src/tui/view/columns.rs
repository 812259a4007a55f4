//! Which column of a chart a time is in, and back.

use std::time::Duration;

use crate::domain::Time;
use crate::tui::text::whole;

/// The times at the left and right edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Axis {
    /// Left edge.
    pub from: Time,
    /// Right edge.
    pub to: Time,
    /// Distance of the rows.
    pub step: Duration,
}

/// Where times are on a number of cells with some dots each.
///
/// Where a row has a dot column or more, the axis is spread over the cells. Where several rows share one, cells begin at
/// multiples of their own length, counted from the epoch: as time goes on a cell keeps its rows, and all cells move left
/// together once in a while. The picture stands still in between, and little has to be sent over a slow line.
#[derive(Clone, Copy)]
pub struct Columns {
    /// Left and right edge.
    pub axis: Axis,
    cells: usize,
    /// Dot columns of a cell.
    across: usize,
    /// Length of a cell in seconds, where cells stand still.
    cell: Option<f64>,
}

impl Columns {
    /// `cells` cells over an axis, each `across` dots wide.
    pub fn new(axis: Axis, cells: usize, across: usize) -> Self {
        let length = axis.to.since(axis.from).as_secs_f64();
        let rows = length / axis.step.as_secs_f64();
        // One cell more than the length takes: the first and the last are rarely full.
        let still = cells > 2 && rows > (cells * across) as f64;
        Self {
            axis,
            cells,
            across,
            cell: still.then(|| length / (cells - 1) as f64),
        }
    }

    /// Dot columns.
    pub const fn wide(&self) -> usize {
        self.cells * self.across
    }

    /// The dot column of a time; `None` outside of the axis.
    pub fn column(&self, time: Time) -> Option<usize> {
        let last = self.wide().checked_sub(1)?;
        if time < self.axis.from || time > self.axis.to {
            return None;
        }
        if let Some(cell) = self.cell {
            let place = |time: Time| time.as_secs_f64() / cell;
            let back = place(self.axis.to).floor() - place(time).floor();
            let dot = (place(time).fract() * self.across as f64).floor();
            let from_right = whole(back) * self.across + self.across - 1 - whole(dot);
            return Some(last.saturating_sub(from_right));
        }
        let length = self.axis.to.since(self.axis.from).as_secs_f64();
        if length <= 0.0 {
            return Some(last);
        }
        let part = time.since(self.axis.from).as_secs_f64() / length;
        Some(whole(part * last as f64).min(last))
    }

    /// The time in the middle of a dot column.
    pub fn time(&self, column: usize) -> Option<Time> {
        let last = self.wide().checked_sub(1)?.max(1);
        if let Some(cell) = self.cell {
            let end = ((self.axis.to.as_secs_f64() / cell).floor() + 1.0) * cell;
            let dot = cell / self.across as f64;
            let back = end - (last - column.min(last)) as f64 * dot - dot / 2.0;
            let middle = Duration::try_from_secs_f64(back).ok()?;
            return Some((Time::from_secs(0) + middle).clamp(self.axis.from, self.axis.to));
        }
        let length = self.axis.to.since(self.axis.from).as_secs_f64();
        let offset = Duration::try_from_secs_f64(length * column as f64 / last as f64).ok()?;
        Some(self.axis.from + offset)
    }
}
