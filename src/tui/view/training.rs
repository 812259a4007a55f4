//! The training that runs, and how the last one went.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Span;

use crate::domain::{PipelineView, Snapshot};
use crate::tui::state::UiState;
use crate::tui::theme::Theme;

use super::pen::boxed;

/// Lines of the panel.
pub const fn lines(_state: &UiState, _snapshot: &Snapshot) -> usize {
    0
}

/// Draws the panel from line `_first` on.
pub fn draw(
    _state: &UiState,
    _pipeline: &PipelineView,
    _first: usize,
    theme: &Theme,
    buffer: &mut Buffer,
    area: Rect,
) {
    let title = [Span::styled("training", theme.strong)];
    boxed(buffer, area, theme.accent, &title, Vec::new());
}
