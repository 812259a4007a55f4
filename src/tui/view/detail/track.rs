//! The entity's score over the time of a chart, against its threshold.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::domain::{EntityView, Time};
use crate::tui::text::{number, width};
use crate::tui::theme::Theme;

use super::super::chart::{Chart, Ink, Scale};
use super::super::pen::Pen;
use super::super::plot::Window;

/// A score over 1 is over the threshold.
const THRESHOLD: f64 = 1.0;

/// The score's line, red where rows were anomalous, with the threshold as a dotted line. Heights grow with the logarithm,
/// so that a score of 2 is still seen beside one of 200. Nothing is drawn when no row is scored.
pub fn draw_score(
    entity: &EntityView,
    window: &Window<'_>,
    theme: &Theme,
    buffer: &mut Buffer,
    area: Rect,
) {
    if let Some((chart, _)) = chart(entity, window, theme, area) {
        chart.paint(buffer, theme);
    }
}

/// The chart of [`draw_score`], not painted yet, and the highest score.
fn chart(
    entity: &EntityView,
    window: &Window<'_>,
    theme: &Theme,
    area: Rect,
) -> Option<(Chart, f64)> {
    let scores = window.scores(entity);
    let known = scores.iter().copied().filter(|v| v.is_finite());
    let highest = known.reduce(f64::max)?;
    let heights: Vec<f64> = scores.iter().map(|score| score.ln_1p()).collect();
    let scale = Scale::over(heights.iter().copied().chain([0.0, 1.2_f64.ln_1p()]))?;
    let mut chart = Chart::new(area, window.axis, scale, theme.unicode);
    chart.guide(THRESHOLD.ln_1p());
    chart.heat(&window.grid, &window.anomalous(entity));
    chart.line(&window.grid, &heights, Ink::Line);
    Some((chart, highest))
}

/// ```text
///             score
///       4.3 ┤              ⢸⢹
/// threshold ┤⠄⠄⠄⠄⠄⠄⠄⠄⠄⠄⠄⠄⠄⠄⢸⢸
///           │⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀⡸⠘
/// ```
pub fn draw(
    entity: &EntityView,
    window: &Window<'_>,
    cursor: Option<Time>,
    theme: &Theme,
    buffer: &mut Buffer,
    (labels, area): (Rect, Rect),
) {
    let Some(height) = area.height.checked_sub(1).filter(|height| *height > 0) else {
        return;
    };
    let inside = Rect {
        y: area.y + 1,
        height,
        ..area
    };
    let found = chart(entity, window, theme, inside);
    let words = if found.is_some() {
        "score, an alarm is over 1"
    } else {
        "no score in this time range"
    };
    Pen::on(buffer, area, 0).say(words, theme.dim);
    let Some((mut chart, highest)) = found else {
        return;
    };
    if let Some(cursor) = cursor {
        chart.cross(cursor);
    }
    chart.paint(buffer, theme);
    if labels.width == 0 {
        return;
    }
    let labels = Rect {
        y: inside.y,
        height,
        ..labels
    };
    let threshold = chart.row(THRESHOLD.ln_1p());
    label("1", threshold, theme, buffer, labels);
    let top = chart.row(highest.ln_1p());
    if top < threshold {
        label(&number(highest), top, theme, buffer, labels);
    }
}

/// A value at the left of its row.
fn label(words: &str, row: u16, theme: &Theme, buffer: &mut Buffer, area: Rect) {
    Pen::on(buffer, area, row)
        .skip(area.width.saturating_sub(width(words) + 2))
        .say(words, theme.dim);
    Pen::on(buffer, area, row)
        .to(area, area.width.saturating_sub(1))
        .say("┤", theme.faint);
}
