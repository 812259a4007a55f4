//! All entities of the pipeline by score: a heat strip, and a line for each.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Span;

use crate::domain::{PipelineView, Snapshot};
use crate::tui::state::UiState;
use crate::tui::theme::Theme;

use super::pen::{Pen, boxed};

/// Rows of the list.
pub fn lines(state: &UiState, snapshot: &Snapshot) -> usize {
    state.pipeline(snapshot).map_or(0, |p| p.entities.len())
}

/// Draws the panel.
pub fn draw(
    _state: &UiState,
    pipeline: &PipelineView,
    theme: &Theme,
    buffer: &mut Buffer,
    area: Rect,
) {
    let title = [Span::styled("entities", theme.strong)];
    let inner = boxed(buffer, area, theme.accent, &title, Vec::new());
    for (row, entity) in (0_u16..).zip(&pipeline.entities) {
        Pen::on(buffer, inner, row).say(entity.entity.name(), theme.text);
    }
}
