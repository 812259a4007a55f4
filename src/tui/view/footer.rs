//! The hint bar, made from the binding table, and toasts above it.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Span;

use crate::domain::{Level, Snapshot};
use crate::tui::action::Intent;
use crate::tui::keymap::{BINDINGS, Binding, Hint};
use crate::tui::state::{Mode, Panel, Sort, UiState};
use crate::tui::text::{cut, exact_span, short, width, wrap};
use crate::tui::theme::Theme;

use super::layout::{Kind, Layout, Panes, layout};
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

/// Keys and words, the most useful first: those of the open panel, or those of the table that do something here.
fn hints(state: &UiState, snapshot: &Snapshot) -> Vec<(String, String)> {
    let key = |intent| match intent {
        Intent::ZoomIn => pair(state, Intent::ZoomIn, Intent::ZoomOut),
        Intent::NextEntity => pair(state, Intent::PreviousEntity, Intent::NextEntity),
        Intent::Down => pair(state, Intent::Up, Intent::Down),
        Intent::Left => pair(state, Intent::Left, Intent::Right),
        intent => state.keymap.key(intent),
    };
    if let Some(open) = state.open {
        let able = |intent: &Intent| !state.config.read_only || !changes(*intent);
        let own = in_panel(open.panel).iter().filter(|(i, _)| able(i));
        return own
            .map(|(intent, word)| (key(*intent), (*word).to_owned()))
            .collect();
    }
    BINDINGS
        .iter()
        .filter(|binding| applies(binding, state, snapshot))
        .map(|binding| (key(binding.intent), word(binding, state)))
        .collect()
}

fn pair(state: &UiState, one: Intent, other: Intent) -> String {
    format!("{} {}", state.keymap.key(one), state.keymap.key(other))
}

/// What a read-only screen refuses.
const fn changes(intent: Intent) -> bool {
    matches!(
        intent,
        Intent::Acknowledge
            | Intent::MarkFalse
            | Intent::MarkReal
            | Intent::Retrain
            | Intent::Cancel
    )
}

/// The keys that matter in a panel, with what they do there.
const fn in_panel(panel: Panel) -> &'static [(Intent, &'static str)] {
    match panel {
        Panel::Help => &[
            (Intent::Back, "back"),
            (Intent::Down, "more"),
            (Intent::Filter, "search"),
            (Intent::Palette, "do"),
            (Intent::Quit, "quit"),
        ],
        Panel::Why => &[
            (Intent::Back, "back"),
            (Intent::Acknowledge, "seen"),
            (Intent::MarkFalse, "false alarm"),
            (Intent::MarkReal, "real"),
            (Intent::Copy, "copy"),
            (Intent::Down, "more"),
            (Intent::Help, "help"),
        ],
        Panel::Log => &[
            (Intent::Back, "back"),
            (Intent::Expand, "go there"),
            (Intent::Why, "why"),
            (Intent::Acknowledge, "seen"),
            (Intent::MarkFalse, "false alarm"),
            (Intent::MarkReal, "real"),
            (Intent::Filter, "filter"),
            (Intent::Sort, "sort"),
            (Intent::Copy, "copy"),
            (Intent::Export, "export"),
            (Intent::Help, "help"),
        ],
        Panel::Errors => &[
            (Intent::Back, "back"),
            (Intent::Expand, "chart"),
            (Intent::Sort, "sort"),
            (Intent::Filter, "filter"),
            (Intent::Why, "why"),
            (Intent::NextEntity, "entity"),
            (Intent::Copy, "copy"),
            (Intent::Export, "export"),
            (Intent::Help, "help"),
        ],
        Panel::Entities => &[
            (Intent::Back, "back"),
            (Intent::Expand, "show it"),
            (Intent::Filter, "search"),
            (Intent::Sort, "sort"),
            (Intent::Export, "export"),
            (Intent::Help, "help"),
        ],
        Panel::Training => &[
            (Intent::Back, "back"),
            (Intent::Retrain, "train"),
            (Intent::Cancel, "cancel"),
            (Intent::Models, "models"),
            (Intent::Down, "more"),
            (Intent::Export, "export"),
            (Intent::Help, "help"),
        ],
        Panel::Models => &[
            (Intent::Back, "back"),
            (Intent::Expand, "use this model"),
            (Intent::Retrain, "train"),
            (Intent::Training, "training"),
            (Intent::Export, "export"),
            (Intent::Help, "help"),
        ],
        Panel::Health => &[
            (Intent::Back, "back"),
            (Intent::Down, "more"),
            (Intent::Slower, "slower"),
            (Intent::Faster, "faster"),
            (Intent::Models, "models"),
            (Intent::Help, "help"),
        ],
    }
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
    let pipeline = state.pipeline(snapshot);
    let shown = state.shown(snapshot).is_some();
    let incidents = pipeline.is_some_and(|p| !p.incidents.is_empty());
    match binding.hint {
        Hint::Never => false,
        Hint::Always => true,
        Hint::Panes | Hint::Lists => !state.expanded && shown,
        Hint::Scored => pipeline.is_some_and(|p| p.model.is_some()),
        Hint::Compact => !state.expanded && incidents && view_kind(state) == Kind::Compact,
        Hint::Charts => shown,
        Hint::Inside | Hint::Detail => state.expanded,
        Hint::Training => pipeline.is_some_and(|p| p.training.is_some()),
        Hint::Test => state.mode == Mode::Test && pipeline.is_some(),
        Hint::Entities => pipeline.is_some_and(|p| p.entities.len() > 1),
        Hint::Incident => state.mode != Mode::Test && incidents,
    }
}

fn view_kind(state: &UiState) -> Kind {
    let area = Rect::new(0, 0, state.size.0, state.size.1);
    layout(area, 0, 0, 0, state.hints).kind
}

/// `1–6 of 24`, when not all panes fit.
fn page(state: &UiState, snapshot: &Snapshot, layout: &Layout) -> Option<String> {
    let inside = state.expanded || state.open.is_some();
    let entity = state.shown(snapshot).filter(|_| !inside)?;
    let count = state.order(entity).len();
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
