//! The explanation of the selected moment or incident, gate by gate.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Span;

use crate::domain::Snapshot;
use crate::tui::state::UiState;
use crate::tui::theme::Theme;

use super::pen::boxed;

/// Lines of the panel.
pub const fn lines(_state: &UiState, _snapshot: &Snapshot) -> usize {
    0
}

/// Draws the explanation over `area`, from line `_first` on.
pub fn draw(
    _state: &UiState,
    _snapshot: &Snapshot,
    _first: usize,
    theme: &Theme,
    buffer: &mut Buffer,
    area: Rect,
) {
    let title = [Span::styled("why", theme.strong)];
    boxed(buffer, area, theme.accent, &title, Vec::new());
}
