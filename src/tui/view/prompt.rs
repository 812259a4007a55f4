//! The line that is typed, in place of the hint bar, and what matches it above.

use ratatui::buffer::Buffer;

use crate::tui::state::{PromptKind, UiState};
use crate::tui::theme::Theme;

use super::layout::Layout;
use super::pen::Pen;

/// Draws the line, if one is typed.
pub fn draw(state: &UiState, theme: &Theme, buffer: &mut Buffer, layout: &Layout) {
    let Some(prompt) = &state.prompt else { return };
    let sign = match prompt.kind {
        PromptKind::Palette => ":",
        PromptKind::Filter(_) => "/",
    };
    super::clear(buffer, layout.footer, theme);
    Pen::on(buffer, layout.footer, 0)
        .skip(1)
        .say(sign, theme.accent)
        .say(&prompt.text, theme.strong)
        .say("▏", theme.accent);
}
