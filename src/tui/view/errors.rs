//! The per-feature error table: what was seen, what was expected, and each feature's part in the score.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Span;

use crate::domain::{EntityView, FeatureView, RowState};
use crate::tui::state::UiState;
use crate::tui::text::{cut, number, percent, short, width};
use crate::tui::theme::Theme;

use super::pen::{Pen, Segment, bar, boxed, centered};
use super::plot::latest;

/// Draws the table, largest part first.
///
/// ```text
/// ╭ errors ──────────────────────────────── window error 0.0031 ╮
/// │feature          value  expected    error  part in the score │
/// │latency         840 ms    210 ms   0.0123   61 % ━━━━━━───── │
/// ```
pub fn draw(_state: &UiState, entity: &EntityView, theme: &Theme, buffer: &mut Buffer, area: Rect) {
    let mut right = Vec::new();
    if let Some(mse) = entity.latest.as_ref().and_then(|v| v.mse) {
        let words = format!("window error {}", number(mse));
        right.push(Segment::new(0, vec![Span::styled(words, theme.dim)]));
    }
    let title = [Span::styled("errors", theme.text)];
    let inner = boxed(buffer, area, theme.faint, &title, right);
    if entity.features.iter().all(|f| f.mse.is_none()) {
        let words = match entity.latest.as_ref().map(|v| v.state) {
            Some(RowState::Stale) => "too few samples in the window",
            Some(RowState::Missing) => "no samples at this time",
            _ => "nothing scored yet",
        };
        let words = (words.to_owned(), theme.dim);
        return centered(buffer, inner, &[words]);
    }
    let columns = Columns::over(inner.width);
    if inner.height > 0 {
        columns.head(theme, buffer, inner);
    }
    let mut order: Vec<&FeatureView> = entity.features.iter().collect();
    order.sort_by(|a, b| {
        let (a, b) = (a.share.unwrap_or(-1.0), b.share.unwrap_or(-1.0));
        b.total_cmp(&a)
    });
    let rows = usize::from(inner.height.saturating_sub(1));
    let hidden = order.len().saturating_sub(rows);
    let shown = if hidden > 0 {
        rows.saturating_sub(1)
    } else {
        rows
    };
    for (line, feature) in order.iter().take(shown).enumerate() {
        columns.row(feature, theme, buffer, inner, short(line + 1));
    }
    if hidden > 0 && rows > 0 {
        let words = format!("{} more with smaller errors", hidden + 1);
        Pen::on(buffer, inner, short(rows)).say(&words, theme.dim);
    }
}

/// Which columns fit, and their widths.
struct Columns {
    name: u16,
    numbers: bool,
    error: bool,
    bar: u16,
}

/// Width of a number column, the blank before it included.
const NUMBER: u16 = 11;
/// Width of the part as a number.
const PART: u16 = 6;

impl Columns {
    fn over(room: u16) -> Self {
        let numbers = room >= 36;
        let error = room >= 58;
        let fixed = PART + if numbers { 2 * NUMBER } else { 0 } + if error { NUMBER } else { 0 };
        let rest = room.saturating_sub(fixed);
        let bar = if numbers && rest < 17 {
            0
        } else {
            (rest / 3).min(24)
        };
        Self {
            name: rest.saturating_sub(bar + u16::from(bar > 0)),
            numbers,
            error,
            bar,
        }
    }

    fn head(&self, theme: &Theme, buffer: &mut Buffer, area: Rect) {
        let mut pen = Pen::on(buffer, area, 0);
        pen.say(&cut("feature", self.name), theme.dim)
            .to(area, self.name);
        if self.numbers {
            number_cell(&mut pen, "value", NUMBER, theme.dim);
            number_cell(&mut pen, "expected", NUMBER, theme.dim);
        }
        if self.error {
            number_cell(&mut pen, "error", NUMBER, theme.dim);
        }
        number_cell(&mut pen, "part", PART, theme.dim);
    }

    fn row(
        &self,
        feature: &FeatureView,
        theme: &Theme,
        buffer: &mut Buffer,
        area: Rect,
        line: u16,
    ) {
        let unit = &feature.feature.unit;
        let hot = feature.anomalous.last().is_some_and(|v| v > 0.5);
        let strong = if hot { theme.bad } else { theme.text };
        let mut pen = Pen::on(buffer, area, line);
        pen.say(&cut(&feature.feature.name, self.name), strong)
            .to(area, self.name);
        if self.numbers {
            let value = latest(feature).map_or("–".into(), |(v, _)| unit.show(v));
            let expected = feature.expected.map_or("–".into(), |v| unit.show(v));
            number_cell(&mut pen, &value, NUMBER, theme.text);
            number_cell(&mut pen, &expected, NUMBER, theme.dim);
        }
        if self.error {
            let error = feature.mse.map_or("–".into(), number);
            number_cell(&mut pen, &error, NUMBER, theme.text);
        }
        let share = feature.share.map_or("–".into(), percent);
        number_cell(&mut pen, &share, PART, theme.text);
        let style = if hot { theme.hot } else { theme.line };
        pen.skip(1)
            .spans(&bar(feature.share.unwrap_or(0.0), self.bar, style, theme));
    }
}

/// Right-aligned in `room` columns, at least one of them blank.
fn number_cell(pen: &mut Pen<'_>, text: &str, room: u16, style: Style) {
    let text = cut(text, room - 1);
    pen.skip(room - width(&text)).say(&text, style);
}
