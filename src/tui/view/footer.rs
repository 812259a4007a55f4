//! The hint bar, and toasts above it.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Span;

use crate::domain::{Level, Snapshot};
use crate::tui::action::Intent;
use crate::tui::state::UiState;
use crate::tui::text::{cut, exact_span, short, width, wrap};
use crate::tui::theme::Theme;

use super::hints::hints;
use super::layout::{Kind, Layout, Panes};
use super::pen::Pen;
use super::plot::Window;
use super::prompt::matched;

/// Draws what the words of a filter let through, the keys that do something here, as many as fit, and at the right which
/// part of everything is shown.
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
    if state.question.is_some() {
        return super::question::keys(theme, &mut pen);
    }
    kept_filter(state, snapshot, theme, &mut pen);
    let page = page(state, snapshot, layout);
    // Both ends of the time axis are on the charts; the range gives way to keys, unless somebody chose it.
    let least = if state.range().is_some() { 30 } else { 60 };
    let room = pen.room().saturating_sub(least);
    let charts = range(state, snapshot).filter(|_| state.open.is_none());
    let both: Vec<String> = charts.into_iter().chain(page.clone()).collect();
    let both = both.join(" · ");
    let shown = if width(&both) + 2 <= room {
        both
    } else {
        page.unwrap_or_default()
    };
    if !shown.is_empty() {
        pen.right(&[Span::styled(format!("  {shown}"), theme.dim)]);
    }
    for (key, word) in hints(state, snapshot) {
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

/// `/cpu  3 of 7  Esc shows all`: what hides something is always seen.
fn kept_filter(state: &UiState, snapshot: &Snapshot, theme: &Theme, pen: &mut Pen<'_>) {
    let place = state.place();
    let word = state.filters.word(place);
    if word.is_empty() {
        return;
    }
    pen.say("/", theme.accent)
        .say(&cut(word, 24), theme.strong)
        .skip(2);
    if let Some((found, all)) = matched(state, snapshot, place) {
        pen.say(&format!("{found} of {all}"), theme.text).skip(2);
    }
    pen.say(&state.keymap.key(Intent::Back), theme.accent)
        .say(" shows all", theme.dim)
        .skip(3);
}

/// Which part of the data the charts show: `last 6 h`, or `all, 5 h`.
pub fn range(state: &UiState, snapshot: &Snapshot) -> Option<String> {
    let entity = state.shown(snapshot)?;
    let window = Window::of(state, entity);
    let ends = window
        .grid
        .last()
        .map(|last| last.since(window.grid.start()));
    Some(match (state.range(), state.until) {
        (Some(range), None) => format!("last {}", exact_span(range)),
        (Some(range), Some(_)) => exact_span(range),
        (None, _) => format!("all, {}", exact_span(ends?)),
    })
}

/// `1–6 of 24`, when not all panes fit.
fn page(state: &UiState, snapshot: &Snapshot, layout: &Layout) -> Option<String> {
    let inside = state.expanded || state.open.is_some();
    let entity = state.shown(snapshot).filter(|_| !inside)?;
    let order = state.order(entity);
    let count = order.len();
    if layout.kind == Kind::TooSmall {
        return None;
    }
    let panes = Panes::of(state, entity, &order, layout.grid, layout.kind);
    let per_page = panes.per_page();
    if count <= per_page {
        return None;
    }
    let first = panes.first(state.selected_index(entity, &order), count);
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
/// Most rows of one.
const TALLEST: usize = 3;

/// Draws the toasts over the lower right corner of `area`, the newest lowest; those for which there is no room above are
/// left out.
pub fn toasts(state: &UiState, theme: &Theme, buffer: &mut Buffer, area: Rect) {
    let room = area.width.saturating_sub(2).min(WIDEST);
    if room < 8 {
        return;
    }
    let mut bottom = area.bottom();
    for toast in state.toasts.iter().rev() {
        let style = match toast.level {
            Level::Info => theme.accent,
            Level::Warning => theme.warn,
            Level::Error => theme.bad,
        };
        let lines = broken(&toast.text, room - 4);
        let high = short(lines.len());
        if bottom.saturating_sub(high) <= area.y {
            return;
        }
        bottom -= high;
        let widest = lines.iter().map(|line| width(line)).max().unwrap_or(0);
        let spot = Rect {
            x: area.right() - widest - 5,
            y: bottom,
            width: widest + 4,
            height: high,
        };
        super::clear(buffer, spot, theme);
        buffer.set_style(spot, theme.over);
        for (row, line) in (0_u16..).zip(&lines) {
            Pen::on(buffer, spot, row)
                .say("▎", style)
                .skip(1)
                .say(line, theme.text.patch(theme.over));
        }
    }
}

/// The text in few lines; the last one is cut where there are more.
fn broken(text: &str, room: u16) -> Vec<String> {
    let mut lines = wrap(text, room);
    if lines.len() > TALLEST {
        let rest = lines.split_off(TALLEST - 1).join(" ");
        lines.push(cut(&rest, room).into_owned());
    }
    lines
}
