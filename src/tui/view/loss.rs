//! The validation loss over the epochs of a training, as it falls.

use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::domain::{Grid, Time};
use crate::tui::text::{number, short, width};
use crate::tui::theme::Theme;

use super::chart::{Axis, Chart, Ink, Scale};
use super::pen::Pen;

/// Fewest rows that a curve can be read on, its axis included.
pub const LOWEST: u16 = 5;
/// A curve is at least so many times as wide as it is high, in cells.
const ASPECT: u16 = 4;
/// Columns of the values at the left.
const LABELS: u16 = 10;
/// Losses that differ by more than this factor are drawn by their logarithms.
const DECADE: f64 = 3.0;
/// One epoch as the chart's unit of time.
const EPOCH: Duration = Duration::from_secs(1);

/// The lowest loss, and the epoch it was reached in, from 1.
pub fn best(losses: &[f64]) -> Option<(usize, f64)> {
    let finite = (1..).zip(losses.iter().copied());
    finite
        .filter(|(_, loss)| loss.is_finite())
        .min_by(|a, b| a.1.total_cmp(&b.1))
}

/// Draws the curve on an axis of `epochs` epochs.
///
/// ```text
///   0.05 ┤⡀
///        │⠈⠢⡀
/// 0.0021 ┤  ⠈⠒⠤⣀⣀⣀
///         1     ↑ best          epoch 50
/// ```
pub fn draw(losses: &[f64], epochs: usize, theme: &Theme, buffer: &mut Buffer, area: Rect) {
    let Some(heights) = Heights::of(losses) else {
        return;
    };
    if area.height < LOWEST || area.width <= LABELS + 10 {
        return;
    }
    let plot = Rect {
        x: area.x + LABELS,
        width: area.width - LABELS,
        height: area.height - 1,
        ..area
    };
    let grid = Grid::new(Time::from_secs(1), EPOCH, losses.len());
    let last = u32::try_from(epochs.max(losses.len()).max(2)).unwrap_or(u32::MAX);
    let axis = Axis {
        from: grid.start(),
        to: grid.start() + EPOCH * (last - 1),
        step: EPOCH,
    };
    let mut chart = Chart::new(plot, axis, heights.scale, theme.unicode);
    let values: Vec<f64> = losses.iter().map(|loss| heights.of_loss(*loss)).collect();
    chart.line(&grid, &values, Ink::Line);
    chart.paint(buffer, theme);
    heights.label(theme, buffer, area, plot.height);
    let below = Rect {
        y: plot.bottom(),
        height: 1,
        ..plot
    };
    let best = best(losses).and_then(|(epoch, _)| {
        let time = grid.start() + EPOCH * u32::try_from(epoch - 1).ok()?;
        chart.cell_column(time)
    });
    epochs_below(last, best, theme, buffer, below);
}

/// The first and the last epoch, and an arrow to the best.
fn epochs_below(last: u32, best: Option<u16>, theme: &Theme, buffer: &mut Buffer, area: Rect) {
    let end = format!("epoch {last}");
    let free = area.width.saturating_sub(width(&end) + 1);
    Pen::on(buffer, area, 0).say("1", theme.dim);
    Pen::on(buffer, area, 0)
        .to(area, area.width - width(&end).min(area.width))
        .say(&end, theme.dim);
    for words in ["↑ best", "↑"] {
        if let Some(column) = best.filter(|column| *column > 1 && column + width(words) <= free) {
            Pen::on(buffer, area, 0)
                .to(area, column)
                .say(words, theme.text);
            return;
        }
    }
}

/// How losses become heights: by their logarithm when they fall far.
struct Heights {
    scale: Scale,
    logarithms: bool,
}

impl Heights {
    fn of(losses: &[f64]) -> Option<Self> {
        let (low, high) = losses
            .iter()
            .copied()
            .filter(|loss| loss.is_finite())
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), loss| {
                (low.min(loss), high.max(loss))
            });
        if low > high {
            return None;
        }
        let logarithms = low > 0.0 && high > low * DECADE;
        let (low, high) = if logarithms {
            (low.ln(), high.ln())
        } else {
            (low, high)
        };
        let air = ((high - low) * 0.04).max(high.abs() * 0.01).max(1e-12);
        let scale = Scale {
            low: low - air,
            high: high + air,
        };
        Some(Self { scale, logarithms })
    }

    fn of_loss(&self, loss: f64) -> f64 {
        if self.logarithms { loss.ln() } else { loss }
    }

    /// The loss at a height, 0 at the top edge and 1 at the bottom.
    fn loss(&self, part: f64) -> f64 {
        let Scale { low, high } = self.scale;
        let height = high - part * (high - low);
        if self.logarithms {
            height.exp()
        } else {
            height
        }
    }

    /// Values on some rows of the left edge.
    fn label(&self, theme: &Theme, buffer: &mut Buffer, area: Rect, rows: u16) {
        let last = rows.saturating_sub(1).max(1);
        let count = (last / 3).clamp(1, 4);
        for row in (0..=count).map(|step| step * last / count) {
            // The middle of the row, not its upper edge.
            let part = (f64::from(row) + 0.5) / f64::from(last + 1);
            let shown = number(self.loss(part));
            Pen::on(buffer, area, row)
                .skip((LABELS - 2).saturating_sub(width(&shown)))
                .say(&shown, theme.dim)
                .to(area, LABELS - 1)
                .say("┤", theme.faint);
        }
    }
}

/// Rows for a curve under `above` lines on `area`: what is left, and more where that is too little, for pages scroll.
pub fn rows(above: usize, area: Rect) -> u16 {
    let fewest = LOWEST + 2;
    let left = area.height.saturating_sub(short(above));
    left.clamp(fewest, (area.width / ASPECT).max(fewest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_that_fall_far_are_drawn_by_their_logarithms() {
        let far = Heights::of(&[1.0, 0.1, f64::NAN, 0.01]).unwrap();
        assert!(far.logarithms && (far.loss(0.5) - 0.1).abs() < 1e-9);
        let near = Heights::of(&[1.0, 0.9]).unwrap();
        assert!(!near.logarithms && (near.loss(0.5) - 0.95).abs() < 1e-9);
        let same = Heights::of(&[0.5, 0.5]).unwrap();
        assert!(same.scale.low < 0.5 && same.scale.high > 0.5);
        assert!(Heights::of(&[f64::NAN]).is_none());
        assert!(!Heights::of(&[0.0, 1.0]).unwrap().logarithms);
    }

    #[test]
    fn the_best_epoch_counts_from_one() {
        assert_eq!(best(&[0.5, 0.2, f64::NAN, 0.3]), Some((2, 0.2)));
        assert_eq!(best(&[]), None);
    }
}
