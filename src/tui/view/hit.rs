//! What stands at a cell of the screen, for clicks and the wheel: the same arithmetic that drawing uses.

use std::sync::Arc;

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};

use crate::domain::{Entity, PipelineView, Snapshot, Time};
use crate::tui::action::Intent;
use crate::tui::lists::page_start;
use crate::tui::state::{IncidentKey, Mode, Panel, UiState, key_of};
use crate::tui::theme::{ColorDepth, Theme};

use super::layout::{Kind, Layout, Panes};
use super::{Ruler, detail, entities, errors, header, log, models, why};

/// What a click can mean.
#[derive(Clone, Debug, PartialEq)]
pub enum Spot {
    /// The tab of a mode.
    Tab(Mode),
    /// The pane, or the row in the error table, of a feature.
    Feature(Arc<str>),
    /// A row of the log.
    Incident(IncidentKey),
    /// A row of the list of entities.
    Entity(Entity),
    /// A row of the models, by its version.
    Model(String),
    /// A moment in the large chart.
    Moment(Time),
    /// A place that scrolls, but no row of it.
    List(Panel),
    /// The small log, but no row of it.
    Log,
    /// A chart.
    Chart,
    /// Nothing that could be meant.
    Nothing,
}

/// What is at `at`.
pub fn at(state: &UiState, snapshot: &Snapshot, at: Position) -> Spot {
    let layout = super::arrange(state, snapshot);
    if layout.kind == Kind::TooSmall {
        return Spot::Nothing;
    }
    if layout.header.contains(at) {
        let found = tab(state, snapshot, layout.header, at);
        return found.map_or(Spot::Nothing, Spot::Tab);
    }
    let Some(pipeline) = state
        .pipeline(snapshot)
        .filter(|_| layout.body.contains(at))
    else {
        return Spot::Nothing;
    };
    match state.open.map(|open| open.panel) {
        Some(Panel::Log) => {
            let rows = log::rows(layout.body, true);
            incident(state, pipeline, rows, at).unwrap_or(Spot::List(Panel::Log))
        }
        Some(Panel::Errors) => feature(state, snapshot, &layout, at),
        Some(Panel::Entities) => entity(state, pipeline, &layout, at),
        Some(Panel::Models) => {
            let rows = models::rows(state, pipeline, layout.body);
            model(state, pipeline, rows, at).unwrap_or(Spot::List(Panel::Models))
        }
        // Beside the explanation the large chart can be pointed at; under it, it can't be seen.
        Some(Panel::Why) if !why::beside(state, layout.body).is_empty() => {
            moment(state, snapshot, &layout, at).unwrap_or(Spot::List(Panel::Why))
        }
        Some(panel) => Spot::List(panel),
        None if state.expanded => moment(state, snapshot, &layout, at).unwrap_or(Spot::Chart),
        None if layout.log.contains(at) => {
            let rows = log::rows(layout.log, false);
            incident(state, pipeline, rows, at).unwrap_or(Spot::Log)
        }
        None if layout.grid.contains(at) => pane(state, snapshot, &layout, at),
        None if layout.score.contains(at) => Spot::Chart,
        None => Spot::Nothing,
    }
}

/// The tab at a column of the header: found in the header as it is drawn, so that what gave way is not hit.
fn tab(state: &UiState, snapshot: &Snapshot, area: Rect, at: Position) -> Option<Mode> {
    let mut drawn = Buffer::empty(area);
    let theme = Theme::new(state.theme, ColorDepth::None, true);
    header::draw(state, snapshot, &theme, &mut drawn, area);
    let row: Vec<&str> = (area.left()..area.right())
        .filter_map(|x| drawn.cell((x, at.y)).map(ratatui::buffer::Cell::symbol))
        .collect();
    let keys = [Intent::Live, Intent::LongTerm, Intent::Test];
    Mode::ALL.into_iter().zip(keys).find_map(|(mode, intent)| {
        let words = format!(" {} {} ", state.keymap.key(intent), mode.title());
        let words: Vec<String> = words.chars().map(String::from).collect();
        let from = row.windows(words.len()).position(|part| part == words)?;
        let hit = (from..from + words.len()).contains(&usize::from(at.x - area.x));
        hit.then_some(mode)
    })
}

/// The row under `at`, counted from the top of `rows`, on the page of `count` rows that holds `selected`.
fn row(rows: Rect, at: Position, selected: usize, count: usize) -> Option<usize> {
    let page = usize::from(rows.height).max(1);
    rows.contains(at)
        .then(|| page_start(selected, page, count) + usize::from(at.y - rows.y))
}

fn incident(state: &UiState, pipeline: &PipelineView, rows: Rect, at: Position) -> Option<Spot> {
    let listed = state.incidents(pipeline);
    let row = row(rows, at, state.place_in(&listed), listed.len())?;
    listed
        .get(row)
        .map(|incident| Spot::Incident(key_of(incident)))
}

fn entity(state: &UiState, pipeline: &PipelineView, layout: &Layout, at: Position) -> Spot {
    let listed = state.entities(pipeline);
    let rows = entities::rows(layout.body, listed.len());
    let row = row(
        rows,
        at,
        state.pointed_index(pipeline, &listed),
        listed.len(),
    );
    let hit = row.and_then(|row| listed.get(row));
    hit.map_or(Spot::List(Panel::Entities), |(view, _)| {
        Spot::Entity(view.entity.clone())
    })
}

fn model(state: &UiState, pipeline: &PipelineView, rows: Rect, at: Position) -> Option<Spot> {
    let row = row(rows, at, state.model_index(pipeline), pipeline.models.len())?;
    let entry = pipeline.models.get(row)?;
    Some(Spot::Model(entry.model.version.clone()))
}

fn feature(state: &UiState, snapshot: &Snapshot, layout: &Layout, at: Position) -> Spot {
    let hit = state.shown(snapshot).and_then(|entity| {
        let order = state.error_order(entity);
        let rows = errors::rows(layout.body);
        let row = row(rows, at, state.selected_index(entity, &order), order.len())?;
        entity.features.get(*order.get(row)?)
    });
    hit.map_or(Spot::List(Panel::Errors), |found| {
        Spot::Feature(Arc::clone(&found.feature.name))
    })
}

fn pane(state: &UiState, snapshot: &Snapshot, layout: &Layout, at: Position) -> Spot {
    let hit = state.shown(snapshot).and_then(|entity| {
        let order = state.order(entity);
        let panes = Panes::of(state, entity, &order, layout.grid, layout.kind);
        let first = panes.first(state.selected_index(entity, &order), order.len());
        let filled = order.len().saturating_sub(first).min(panes.per_page());
        let place =
            (0..filled).find(|place| panes.place(layout.grid, *place, filled).contains(at))?;
        entity.features.get(*order.get(first + place)?)
    });
    hit.map_or(Spot::Nothing, |found| {
        Spot::Feature(Arc::clone(&found.feature.name))
    })
}

fn moment(state: &UiState, snapshot: &Snapshot, layout: &Layout, at: Position) -> Option<Spot> {
    if !detail::area(state, layout.body).contains(at) {
        return None;
    }
    let ruler = Ruler::of(state, snapshot, layout.body)?;
    ruler.under(at.x).map(Spot::Moment)
}
