//! From state and snapshot to one frame: no I/O, no clock. One file for each pane.

mod alerts;
mod chart;
mod columns;
mod compact;
mod detail;
mod empty;
mod entities;
mod errors;
mod facts;
mod footer;
mod header;
mod health;
mod heat;
mod help;
mod hints;
mod hit;
mod incident;
pub mod layout;
mod log;
mod loss;
mod models;
mod pane;
mod pen;
pub(super) mod plot;
mod prompt;
mod question;
mod score;
mod training;
mod why;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::domain::Snapshot;

pub(super) use self::detail::{Moment, Ruler, between, pointed};
pub(super) use self::footer::range;
pub(super) use self::hit::{Spot, at};
pub(super) use self::incident::about;
use self::layout::{Kind, Layout, SMALLEST};
pub(super) use self::plot::edge;
pub(super) use self::why::explained;
pub use self::why::words as why_words;
use super::state::{Mode, Panel, UiState};
use super::theme::{Theme, spell_in_ascii};

/// Where everything is on this screen.
#[must_use]
pub fn arrange(state: &UiState, snapshot: &Snapshot) -> Layout {
    let area = Rect::new(0, 0, state.size.0, state.size.1);
    arranged(state, snapshot, area).0
}

fn arranged<'a>(
    state: &UiState,
    snapshot: &'a Snapshot,
    area: Rect,
) -> (Layout, Vec<alerts::Alert<'a>>) {
    let features = state.shown(snapshot).map_or(0, |e| e.features.len());
    let entities = state.pipeline(snapshot).map_or(0, |p| p.entities.len());
    let compact = layout::layout(area, 0, features, entities, state.hints).kind != Kind::Full;
    let alerts = alerts::alerts(state, snapshot, compact);
    let rows = alerts::rows(&alerts, state, area.width);
    let layout = layout::layout(area, rows, features, entities, state.hints);
    (layout, alerts)
}

/// Draws one frame over the whole buffer.
pub fn view(state: &UiState, snapshot: &Snapshot, theme: &Theme, buffer: &mut Buffer) {
    let area = buffer.area;
    buffer.set_style(area, theme.ground);
    let (layout, alerts) = arranged(state, snapshot, area);
    if layout.kind == Kind::TooSmall {
        too_small(theme, buffer, area);
    } else {
        header::draw(state, snapshot, theme, buffer, layout.header);
        alerts::draw(&alerts, state, theme, buffer, layout.alerts);
        if let Some(pipeline) = state
            .pipeline(snapshot)
            .filter(|_| !layout.strip.is_empty())
        {
            heat::strip(state, pipeline, theme, buffer, layout.strip);
        }
        body(state, snapshot, theme, buffer, &layout);
        footer::draw(state, snapshot, theme, buffer, &layout);
        footer::toasts(state, theme, buffer, layout.body);
        if let Some(first) = state.line(Panel::Help) {
            help::draw(state, first, theme, buffer, layout.body);
        }
        if let Some(first) = state.line(Panel::Why) {
            why::draw(state, snapshot, first, theme, buffer, layout.body);
        }
        prompt::draw(state, snapshot, theme, buffer, &layout);
        // It may cover the header, but not the keys: where there is little room, it takes all of that.
        let room = Rect {
            height: area.height - layout.footer.height,
            ..area
        };
        question::draw(state, theme, buffer, room);
    }
    if !theme.unicode {
        spell_in_ascii(buffer);
    }
}

/// Lines of a panel that scrolls, or its rows; what it has no more of can't be gone to.
#[must_use]
pub fn lines(state: &UiState, snapshot: &Snapshot, panel: Panel) -> usize {
    match panel {
        Panel::Help => help::lines(state, snapshot),
        Panel::Why => why::lines(state, snapshot),
        Panel::Health => health::lines(state, snapshot),
        Panel::Training => training::lines(state, snapshot),
        Panel::Errors | Panel::Log | Panel::Entities | Panel::Models => 0,
    }
}

/// Rows on one page of a panel; of the log, wherever it is.
#[must_use]
pub fn page(state: &UiState, snapshot: &Snapshot, panel: Panel) -> usize {
    let layout = arrange(state, snapshot);
    match panel {
        Panel::Log if state.line(Panel::Log).is_none() => log::page(layout.log, false),
        Panel::Log => log::page(layout.body, true),
        Panel::Errors => errors::page(layout.body),
        Panel::Entities => {
            let pipeline = state.pipeline(snapshot);
            let listed = pipeline.map_or(0, |p| state.entities(p).len());
            entities::page(layout.body, listed)
        }
        Panel::Models => {
            let pipeline = state.pipeline(snapshot);
            pipeline.map_or(1, |p| models::page(state, p, layout.body))
        }
        // Words within a border, the last line of a page once more at the top of the next.
        Panel::Help | Panel::Why | Panel::Training | Panel::Health => {
            usize::from(layout.body.height.saturating_sub(3)).max(1)
        }
    }
}

/// Actions of the palette that are seen at once.
#[must_use]
pub fn offered(state: &UiState, snapshot: &Snapshot) -> usize {
    prompt::rows(arrange(state, snapshot).body)
}

/// Draws a panel in place of the body; `false` when none is open that does.
fn panel(
    state: &UiState,
    snapshot: &Snapshot,
    theme: &Theme,
    buffer: &mut Buffer,
    layout: &Layout,
) -> bool {
    let (Some(open), Some(pipeline)) = (state.open, state.pipeline(snapshot)) else {
        return false;
    };
    let area = layout.body;
    match open.panel {
        Panel::Help | Panel::Why => return false,
        Panel::Log => log::draw(state, pipeline, theme, buffer, area),
        Panel::Errors => match state.shown(snapshot) {
            Some(entity) => errors::draw(state, pipeline, entity, theme, buffer, area),
            None => errors::unknown(theme, buffer, area),
        },
        Panel::Entities => entities::draw(state, pipeline, theme, buffer, area),
        Panel::Training => training::draw(state, pipeline, open.line, theme, buffer, area),
        Panel::Models => models::draw(state, pipeline, theme, buffer, area),
        Panel::Health => health::draw(state, snapshot, open.line, theme, buffer, area),
    }
    true
}

fn body(state: &UiState, snapshot: &Snapshot, theme: &Theme, buffer: &mut Buffer, layout: &Layout) {
    if panel(state, snapshot, theme, buffer, layout) {
        return;
    }
    let pipeline = state.pipeline(snapshot);
    let shown = state.shown(snapshot).filter(|e| !e.features.is_empty());
    let (Some(pipeline), Some(entity)) = (pipeline, shown) else {
        return empty::draw(state, snapshot, theme, buffer, layout.body);
    };
    let old = state.freshness(snapshot, pipeline).is_stale();
    let waiting = state.mode == Mode::LongTerm
        && state.history.pending
        && state.history.of.as_ref() != Some(&entity.entity);
    let faded = (old || waiting).then(|| theme.faded());
    let theme = faded.as_ref().unwrap_or(theme);
    if state.expanded && state.order(entity).is_empty() {
        return pane::none(state, theme, buffer, layout.body);
    }
    if state.expanded {
        return detail::draw(state, pipeline, entity, theme, buffer, layout.body);
    }
    if layout.kind == Kind::Compact {
        return compact::draw(state, entity, theme, buffer, layout.grid);
    }
    pane::grid(state, entity, theme, buffer, layout.grid);
    if !layout.score.is_empty() {
        score::draw(state, entity, theme, buffer, layout.score);
    }
    if !layout.log.is_empty() {
        log::draw(state, pipeline, theme, buffer, layout.log);
    }
    if !layout.errors.is_empty() {
        errors::draw(state, pipeline, entity, theme, buffer, layout.errors);
    }
}

/// Says what size is needed, in as much room as there is.
fn too_small(theme: &Theme, buffer: &mut Buffer, area: Rect) {
    let (columns, rows) = SMALLEST;
    let long = format!("needs {columns}×{rows}");
    let words = if area.width >= 11 {
        long
    } else {
        format!("{columns}×{rows}")
    };
    let row = area.height.saturating_sub(1) / 2;
    let left = area.width.saturating_sub(super::text::width(&words)) / 2;
    pen::Pen::on(buffer, area, row)
        .skip(left)
        .say(&words, theme.warn);
}

/// Empties a rectangle, for what lies over others.
fn clear(buffer: &mut Buffer, area: Rect, theme: &Theme) {
    for position in area.intersection(buffer.area).positions() {
        if let Some(cell) = buffer.cell_mut(position) {
            cell.reset();
            cell.set_style(theme.ground);
        }
    }
}
