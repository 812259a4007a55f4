//! Which moments the keys can point at in the large chart.

use std::time::Duration;

use crate::domain::{EntityView, Grid, Snapshot, Time};
use crate::tui::state::{Mode, UiState};

use super::super::columns::Columns;
use super::super::plot::{Window, lead};
use super::moment::pointed;
use super::{Parts, area};

/// Dots across a cell, counted as on a terminal with braille. Where there is none, the keys find the same moments.
const ACROSS: usize = 2;

/// The large chart as the keys see it.
pub struct Ruler {
    /// The moment that is pointed at.
    pub at: Time,
    /// First and last row that is shown.
    pub shown: (Time, Time),
    /// First and last row that could be shown; the first is not known before a question reached it.
    pub kept: (Option<Time>, Time),
    rows: Grid,
    step: Duration,
    /// Of each row, how much it tells: its score when it is anomalous, else 0.
    telling: Vec<f64>,
    columns: Columns,
    cells: usize,
    /// The first column of the chart on the screen.
    left: u16,
}

impl Ruler {
    /// The ruler of the large chart as it is drawn in `body`; `None` when there is nothing in it.
    pub fn of(state: &UiState, snapshot: &Snapshot, body: ratatui::layout::Rect) -> Option<Self> {
        let entity = state.shown(snapshot)?;
        let window = Window::of(state, entity);
        let shown = (window.grid.start(), window.grid.last()?);
        let chart = Parts::of(state, area(state, body)).chart;
        let cells = usize::from(chart.width);
        let oldest = match state.mode {
            Mode::LongTerm => state.history.oldest_of(&entity.entity),
            Mode::Live | Mode::Test => Some(entity.grid.time(lead(entity))),
        };
        Some(Self {
            at: pointed(state, &window),
            shown,
            kept: (oldest, entity.grid.last()?.max(shown.1)),
            rows: window.grid,
            step: window.grid.step(),
            telling: telling(entity, &window),
            columns: Columns::new(window.axis, cells, ACROSS),
            cells,
            left: chart.x,
        })
    }

    /// From the first to the last row that is shown.
    pub fn length(&self) -> Duration {
        self.shown.1.since(self.shown.0)
    }

    /// The time that a column stands for, at least that of a row, in whole rows.
    pub fn column(&self) -> Duration {
        let count = u32::try_from(self.rows.len().div_ceil(self.cells.max(1))).unwrap_or(u32::MAX);
        self.step.saturating_mul(count.max(1))
    }

    fn cell(&self, time: Time) -> Option<usize> {
        Some(self.columns.column(time)? / ACROSS)
    }

    /// A moment of the next column that has one, to the left or right of the one that is pointed at; `None` at the edge. Of
    /// several rows in a column the most anomalous is taken, so that none can be stepped over, else the middle one.
    pub fn beside(&self, forward: bool) -> Option<Time> {
        let here = self.cell(self.at)?;
        let rows = || self.rows.times().filter_map(|t| Some((t, self.cell(t)?)));
        let found = if forward {
            rows().find(|(time, cell)| *time > self.at && *cell > here)
        } else if let Some(ahead) = self.ahead(here.checked_sub(1)?) {
            return Some(ahead);
        } else {
            rows()
                .filter(|(time, cell)| *time < self.at && *cell < here)
                .last()
        };
        match found {
            Some((time, cell)) => Some(self.most_telling(cell).unwrap_or(time)),
            None if forward => self.ahead(here + 1),
            None => None,
        }
    }

    /// The moment at column `x` of the screen; `None` outside of the chart.
    pub fn under(&self, x: u16) -> Option<Time> {
        let cell = usize::from(x.checked_sub(self.left)?);
        let time = self.columns.time(cell * ACROSS + ACROSS / 2);
        let time = time.filter(|_| cell < self.cells)?;
        let row = self.rows.row(time).map(|row| self.rows.time(row));
        Some(self.most_telling(cell).or(row).unwrap_or(time))
    }

    /// The time of a column that lies after all rows, where a forecast is drawn.
    fn ahead(&self, cell: usize) -> Option<Time> {
        let time = self.columns.time(cell * ACROSS + ACROSS / 2)?;
        (cell < self.cells && time > self.shown.1 + self.step).then_some(time)
    }

    fn most_telling(&self, cell: usize) -> Option<Time> {
        let rows: Vec<(Time, f64)> = self
            .rows
            .times()
            .zip(self.telling.iter().copied().chain(std::iter::repeat(0.0)))
            .filter(|(time, _)| self.cell(*time) == Some(cell))
            .collect();
        let most = rows.iter().max_by(|a, b| a.1.total_cmp(&b.1))?;
        let middle = rows.get(rows.len() / 2)?;
        Some(if most.1 > 0.0 { most.0 } else { middle.0 })
    }
}

fn telling(entity: &EntityView, window: &Window<'_>) -> Vec<f64> {
    let scores = window.scores(entity);
    let scores = scores.into_iter().chain(std::iter::repeat(1.0));
    window
        .anomalous(entity)
        .into_iter()
        .zip(scores)
        .map(|(hot, score)| {
            if hot {
                score.max(f64::MIN_POSITIVE)
            } else {
                0.0
            }
        })
        .collect()
}
