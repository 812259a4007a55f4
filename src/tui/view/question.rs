//! A question that waits for yes or no, over the middle of the screen.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Span;

use crate::tui::state::UiState;
use crate::tui::text::{short, wrap};
use crate::tui::theme::Theme;

use super::pen::{Pen, boxed};

/// Most columns of the box.
const WIDEST: u16 = 72;

/// Draws the question, if there is one.
///
/// ```text
/// ╭ Mark anomaly 42 as a false alarm? ───────────────────╮
/// │ On the rows that are kept it would have removed 7    │
/// │ alerts and lost 1.                                   │
/// │                                                      │
/// │ y yes   n no                                         │
/// ╰──────────────────────────────────────────────────────╯
/// ```
pub fn draw(state: &UiState, theme: &Theme, buffer: &mut Buffer, area: Rect) {
    let Some(question) = &state.question else {
        return;
    };
    let wide = area.width.min(WIDEST);
    let room = wide.saturating_sub(4);
    let mut lines: Vec<String> = question
        .detail
        .iter()
        .flat_map(|text| wrap(text, room))
        .collect();
    let most = usize::from(area.height.saturating_sub(4)).max(1);
    lines.truncate(most);
    let high = (short(lines.len()) + 4).min(area.height);
    let spot = Rect {
        x: area.x + (area.width - wide) / 2,
        y: area.y + (area.height - high) / 2,
        width: wide,
        height: high,
    };
    super::clear(buffer, spot, theme);
    buffer.set_style(spot, theme.over);
    let title = [Span::styled(question.text.clone(), theme.strong)];
    let inner = boxed(buffer, spot, theme.accent, &title, Vec::new());
    for (row, line) in (0_u16..).zip(&lines) {
        Pen::on(buffer, inner, row)
            .skip(1)
            .say(line, theme.text.patch(theme.over));
    }
    let again = state.keymap.key(question.again);
    let yes = format!("y {again}");
    Pen::on(buffer, inner, inner.height.saturating_sub(1))
        .skip(1)
        .say(&yes, theme.accent)
        .say(" yes   ", theme.dim)
        .say("n Esc", theme.accent)
        .say(" no", theme.dim);
}
