//! From an anomaly to its moment: the large chart of its first feature, with the peak in view.

use std::sync::Arc;
use std::time::Duration;

use crate::domain::{EntityView, Grid, Incident, Level, Snapshot, Time};

use super::super::lists::{counted, deviation};
use super::super::state::{Mode, Open, Panel, UiState, has, key_of};
use super::{moves, toast};

/// Selects an incident and opens the detail at its peak; says why when there is nothing left to show.
pub(super) fn to_peak(state: &mut UiState, incident: &Incident, snapshot: &Snapshot) {
    let Some(pipeline) = state.pipeline(snapshot) else {
        return;
    };
    state.incident = Some(key_of(incident));
    let why = state.keymap.key(super::super::action::Intent::Why);
    let Some(entity) = pipeline.entity(&incident.entity) else {
        let words = format!(
            "{} is gone, and its rows with it; {why} explains the anomaly",
            incident.entity
        );
        return toast(state, Level::Info, words);
    };
    let Some(name) = first_feature(incident, entity) else {
        let words =
            format!("its features are no longer collected; {why} explains what was seen of them");
        return toast(state, Level::Info, words);
    };
    let moment = worst_row(incident, entity, &name).unwrap_or(incident.peak);
    if !look_at(state, entity, moment) {
        let words = format!("its rows are no longer kept; {why} explains the anomaly");
        return toast(state, Level::Info, words);
    }
    if !has(&name, &state.filters.panes) {
        state.filters.panes.clear();
    }
    state.selected = Some(name);
    state.show_entity(incident.entity.clone());
    let listed = |open: &Open| open.panel == Panel::Log;
    state.came_from = state.open.filter(listed);
    state.open = None;
    state.expanded = true;
    state.cursor = Some(moment);
}

/// The row in which a feature was farthest from what was expected, seen against its band, among the incident's rows and those
/// over the threshold right before it: a score stays high after its cause is gone. `None` when no verdict of them is kept.
fn worst_row(incident: &Incident, entity: &EntityView, feature: &str) -> Option<Time> {
    let mut features = entity.features.iter();
    let column = features.position(|f| &*f.feature.name == feature)?;
    let kept = &entity.recent;
    kept.first()
        .filter(|verdict| verdict.time <= incident.start)?;
    let first = kept.partition_point(|verdict| verdict.time < incident.start);
    let end = kept.partition_point(|verdict| verdict.time <= incident.end);
    let before = kept.get(..first)?.iter().rev();
    let rising = before.take_while(|verdict| verdict.score.is_some_and(|score| score > 1.0));
    let rows = kept.get(first..end)?.iter().chain(rising);
    let away = rows.filter_map(|verdict| Some((verdict.time, deviation(Some(verdict), column)?)));
    let worst = away.max_by(|a, b| a.1.total_cmp(&b.1).then(b.0.cmp(&a.0)));
    worst.map(|(time, _)| time)
}

/// The first of the incident's features that the entity still has, one whose deviation counts if there is one.
fn first_feature(incident: &Incident, entity: &EntityView) -> Option<Arc<str>> {
    let has = |name: &str| entity.features.iter().any(|f| &*f.feature.name == name);
    let parts = counted(Some(entity), incident).into_iter();
    let found = parts
        .chain(&incident.features)
        .find(|part| has(&part.feature));
    found.map(|part| Arc::clone(&part.feature))
}

/// Moves the window of the large chart to a moment: within the rows at hand by its right edge, to older ones by way of
/// long-term mode. `false` when it can't be shown.
fn look_at(state: &mut UiState, entity: &EntityView, peak: Time) -> bool {
    let grid = rows(state, entity);
    let Some(last) = grid.last() else {
        return false;
    };
    let ahead = |range: Duration| (peak + range / 4).min(last);
    let age = last.since(peak);
    match (state.mode, peak >= grid.start()) {
        (_, true) => {
            let range = state.range().filter(|range| age > *range);
            state.until = range.map(ahead);
        }
        (Mode::Test, false) => return false,
        (Mode::Live | Mode::LongTerm, false) => {
            if state.mode == Mode::Live {
                let words = format!(
                    "{} is older than the live rows: shown in long-term mode",
                    state.zone.moment(peak)
                );
                toast(state, Level::Info, words);
            }
            state.mode = Mode::LongTerm;
            state.long_range = moves::range_over(age + age / 8);
            state.until = None;
        }
    }
    true
}

/// The rows that the mode can show without asking for more.
fn rows(state: &UiState, entity: &EntityView) -> Grid {
    let history = &state.history;
    let answer = history.answer.as_ref().filter(|answer| {
        state.mode == Mode::LongTerm
            && history.of.as_ref() == Some(&entity.entity)
            && !answer.grid.is_empty()
    });
    answer.map_or(entity.grid, |answer| answer.grid)
}
