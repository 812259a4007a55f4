//! The score against its threshold, over the time of the panes.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Span;

use crate::domain::EntityView;
use crate::tui::state::UiState;
use crate::tui::text::number;
use crate::tui::theme::Theme;

use super::detail::draw_score;
use super::pen::{Segment, boxed, centered};
use super::plot::Window;

/// Draws the pane. It always shows the newest rows of the snapshot: history carries no scores.
pub fn draw(state: &UiState, entity: &EntityView, theme: &Theme, buffer: &mut Buffer, area: Rect) {
    let window = Window::recent(entity, state.live_range);
    let rows = window.grid.len();
    let peak = entity
        .scores
        .tail(rows)
        .into_iter()
        .fold(f64::NAN, f64::max);
    let mut right = Vec::new();
    if peak.is_finite() {
        let words = format!("peak {}", number(peak));
        right.push(Segment::new(1, vec![Span::styled(words, theme.dim)]));
    }
    let title = [Span::styled("score", theme.text)];
    let inner = boxed(buffer, area, theme.faint, &title, right);
    if peak.is_finite() {
        draw_score(entity, &window, theme, buffer, inner);
    } else {
        let words = ("nothing scored yet".to_owned(), theme.dim);
        centered(buffer, inner, &[words]);
    }
}
