//! The models that are kept: their figures, which one scores, and going back to another.

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
    let title = [Span::styled("models", theme.strong)];
    boxed(buffer, area, theme.accent, &title, Vec::new());
}
