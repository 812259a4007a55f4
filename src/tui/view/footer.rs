//! The hint bar, made from the binding table, and toasts above it.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Span;

use crate::domain::{Level, Snapshot};
use crate::tui::action::Intent;
use crate::tui::keymap::{BINDINGS, Binding, Hint};
use crate::tui::state::{Mode, Panel, Sort, UiState};
use crate::tui::text::{cut, short, width};
use crate::tui::theme::Theme;

use super::layout::{Kind, Layout, Panes, layout};
use super::pen::Pen;

/// Draws the keys that do something here, as many as fit, and which panes of how many are shown.
pub fn draw(
    state: &UiState,
    snapshot: &Snapshot,
    theme: &Theme,
    buffer: &mut Buffer,
    layout: &Layout,
) {
    let area = Rect {
        x: layout.footer.x + u16::from(layout.footer.width > 2),
        width: layout.footer.width.saturating_sub(2),
        ..layout.footer
    };
    let mut pen = Pen::on(buffer, area, 0);
    if let Some(page) = page(state, snapshot, layout) {
        pen.right(&[Span::styled(format!("  {page}"), theme.dim)]);
    }
    for binding in BINDINGS.iter().filter(|b| applies(b, state, snapshot)) {
        let key = match binding.intent {
            Intent::ZoomIn => format!(
                "{} {}",
                state.keymap.key(Intent::ZoomIn),
                state.keymap.key(Intent::ZoomOut)
            ),
            Intent::NextEntity => format!(
                "{} {}",
                state.keymap.key(Intent::PreviousEntity),
                state.keymap.key(Intent::NextEntity)
            ),
            intent => state.keymap.key(intent),
        };
        let word = word(binding, state);
        let wide = width(&key) + 1 + width(&word);
        if wide > pen.room() {
            break;
        }
        pen.say(&key, theme.accent)
            .skip(1)
            .say(&word, theme.dim)
            .skip(2);
    }
}

fn word(binding: &Binding, state: &UiState) -> String {
    match (binding.intent, state.sort, state.frozen) {
        (Intent::Sort, Sort::Name, _) => "sort by score".into(),
        (Intent::Sort, Sort::Score, _) => "sort by last anomaly".into(),
        (Intent::Sort, Sort::LastIncident, _) => "sort by name".into(),
        (Intent::Freeze, _, Some(_)) => "go on".into(),
        _ => binding.short.into(),
    }
}

fn applies(binding: &Binding, state: &UiState, snapshot: &Snapshot) -> bool {
    let inside = state.open.is_some() || state.expanded;
    let helping = state.line(Panel::Help).is_some();
    let pipeline = state.pipeline(snapshot);
    match binding.hint {
        Hint::Never => false,
        Hint::Always => true,
        Hint::Panes => !inside && state.shown(snapshot).is_some(),
        Hint::Lists => !state.expanded && state.shown(snapshot).is_some(),
        Hint::Scored => !helping && pipeline.is_some_and(|p| p.model.is_some()),
        Hint::Compact => {
            !inside
                && pipeline.is_some_and(|p| !p.incidents.is_empty())
                && view_kind(state) == Kind::Compact
        }
        Hint::Charts => state.open.is_none() && state.shown(snapshot).is_some(),
        Hint::Inside => inside,
        Hint::Training => pipeline.is_some_and(|p| p.training.is_some()),
        Hint::Test => state.mode == Mode::Test && pipeline.is_some(),
        Hint::Entities => !helping && pipeline.is_some_and(|p| p.entities.len() > 1),
        Hint::Incident => {
            state.mode != Mode::Test
                && !helping
                && pipeline.is_some_and(|p| !p.incidents.is_empty())
        }
    }
}

fn view_kind(state: &UiState) -> Kind {
    let area = Rect::new(0, 0, state.size.0, state.size.1);
    layout(area, 0, 0, state.hints).kind
}

/// `1–6 of 24`, when not all panes fit.
fn page(state: &UiState, snapshot: &Snapshot, layout: &Layout) -> Option<String> {
    let inside = state.expanded || state.open.is_some();
    let entity = state.shown(snapshot).filter(|_| !inside)?;
    let count = entity.features.len();
    let per_page = match layout.kind {
        Kind::TooSmall => return None,
        Kind::Compact => usize::from(layout.grid.height).max(1),
        Kind::Full => Panes::arrange(layout.grid, count, Kind::Full).per_page(),
    };
    if count <= per_page {
        return None;
    }
    let first = state.selected_index(entity, &state.order(entity)) / per_page * per_page;
    let last = (first + per_page).min(count);
    let key = state.keymap.key(if last < count {
        Intent::PageDown
    } else {
        Intent::PageUp
    });
    Some(format!("{}–{last} of {count} {key}", first + 1))
}

/// Most columns of a toast.
const WIDEST: u16 = 120;

/// Draws the toasts over the lower right corner of `area`, the newest lowest.
pub fn toasts(state: &UiState, theme: &Theme, buffer: &mut Buffer, area: Rect) {
    let room = area.width.saturating_sub(2).min(WIDEST);
    let count = short(state.toasts.len());
    if room < 8 || area.height <= count {
        return;
    }
    for (line, toast) in state.toasts.iter().enumerate() {
        let style = match toast.level {
            Level::Info => theme.accent,
            Level::Warning => theme.warn,
            Level::Error => theme.bad,
        };
        let words = cut(&toast.text, room - 4);
        let wide = width(&words) + 4;
        let spot = Rect {
            x: area.right() - wide - 1,
            y: area.bottom() - count + short(line),
            width: wide,
            height: 1,
        };
        super::clear(buffer, spot, theme);
        buffer.set_style(spot, theme.over);
        Pen::on(buffer, spot, 0)
            .say("▎", style)
            .skip(1)
            .say(&words, theme.text.patch(theme.over));
    }
}
