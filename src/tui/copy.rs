//! What goes to the clipboard: the words of what is selected.

use std::borrow::Cow;

use crate::domain::{EntityView, Incident, Label, Snapshot, Time, Unit};

use super::state::{Panel, Place, UiState};
use super::text::{left, number, percent, width};
use super::view::plot::{Ends, Window};
use super::view::{Moment, between, pointed, why_words};

/// Most bytes: in base64 these are 64 KiB, which is what terminals take at the least.
const MOST: usize = 48 * 1024;

/// The words; `None` when nothing is selected.
pub fn words(state: &UiState, snapshot: &Snapshot) -> Option<String> {
    let text = match state.place() {
        Place::Log | Place::Panel(Panel::Log) => {
            let pipeline = state.pipeline(snapshot)?;
            let listed = state.incidents(pipeline);
            incident(listed.get(state.incident_index(pipeline))?)
        }
        Place::Panel(Panel::Errors) => errors(state, state.shown(snapshot)?),
        Place::Panel(Panel::Entities) => entities(state, snapshot)?,
        Place::Panel(Panel::Models) => {
            let pipeline = state.pipeline(snapshot)?;
            let chosen = pipeline.models.get(state.model_index(pipeline))?;
            chosen.model.version.clone()
        }
        Place::Detail => moment(state, state.shown(snapshot)?)?,
        Place::Panes => newest(state, state.shown(snapshot)?)?,
        Place::Panel(Panel::Why) => why_words(state, snapshot).join("\n"),
        Place::Panel(Panel::Help | Panel::Training | Panel::Health) => return None,
    };
    Some(limited(text))
}

/// As many whole lines as fit, and that there were more.
fn limited(text: String) -> String {
    if text.len() <= MOST {
        return text;
    }
    let mut kept = String::new();
    for line in text.lines() {
        if kept.len() + line.len() + 8 > MOST {
            break;
        }
        kept.push_str(line);
        kept.push('\n');
    }
    kept.push('…');
    kept
}

/// `anomaly 42, open, 2026-11-18T13:54:00Z to 2026-11-18T14:02:00Z, peak 4.3 at …: latency 61 %, cpu 24 %`.
fn incident(incident: &Incident) -> String {
    let mut words = vec![if incident.id == 0 {
        "anomaly".to_owned()
    } else {
        format!("anomaly {}", incident.id)
    }];
    if !incident.entity.is_sole() {
        words.push(incident.entity.to_string());
    }
    words.push(incident.state.word().to_owned());
    words.push(format!("{} to {}", incident.start, incident.end));
    let peak = number(incident.peak_score);
    words.push(format!("peak {peak} at {}", incident.peak));
    let label = incident.label.map(Label::told);
    words.extend(label.map(|told| format!("marked as {told}")));
    if incident.acknowledged {
        words.push("acknowledged".into());
    }
    let parts = incident.features.iter();
    let parts: Vec<String> = parts
        .map(|part| format!("{} {}", part.feature, percent(part.share)))
        .collect();
    format!("{}: {}", words.join(", "), parts.join(", "))
}

/// Name of a feature, with its entity where there are several.
fn named(entity: &EntityView, column: usize) -> Option<Cow<'_, str>> {
    let name = &*entity.features.get(column)?.feature.name;
    Some(if entity.entity.is_sole() {
        name.into()
    } else {
        format!("{} {name}", entity.entity).into()
    })
}

/// The selected feature's newest row.
fn newest(state: &UiState, entity: &EntityView) -> Option<String> {
    let window = Window::recent(entity, None);
    at(state, entity, &window, window.grid.last()?)
}

/// The selected feature at the moment that is pointed at.
fn moment(state: &UiState, entity: &EntityView) -> Option<String> {
    let window = Window::of(state, entity);
    at(state, entity, &window, pointed(state, &window))
}

/// `cpu 2026-11-18T14:02:00Z value 86.1 %, expected 42.3 % (33.5–51.1 %), score 4.02, contribution 24 %`; of what is to come
/// `cpu 2026-11-18T15:00:00Z forecast 42.3 % (33.5–51.1 %)`.
fn at(state: &UiState, entity: &EntityView, window: &Window<'_>, time: Time) -> Option<String> {
    let column = state.selected_column(entity)?;
    let (feature, plot) = window.plot(entity, column)?;
    let unit = &feature.feature.unit;
    let moment = Moment::at(time, entity, window, (column, &plot));
    let row = window.grid.row(time);
    let time = row.map_or(time, |row| window.grid.time(row));
    let ends = Ends::of(feature);
    let ahead = moment.ahead.and_then(|(yhat, lower, upper)| {
        let (lower, upper) = ends.cut((lower, upper));
        ranged(unit, (yhat, lower, upper))
    });
    let shown = match (ahead, moment.value) {
        (Some(ahead), _) => format!("forecast {ahead}"),
        (None, Some(value)) => format!("value {}", unit.show(value)),
        (None, None) => "no value".into(),
    };
    let mut words = vec![format!("{} {time} {shown}", named(entity, column)?)];
    let band = moment.part.map(|p| {
        let (lower, upper) = ends.cut((p.lower, p.upper));
        (p.expected, lower, upper)
    });
    let expected = band.and_then(|band| ranged(unit, band));
    words.extend(expected.map(|expected| format!("expected {expected}")));
    if let Some(score) = moment.score {
        words.push(format!("score {}", number(score)));
        let share = moment.part.map(|part| part.share);
        let share = share.filter(|share| share.is_finite());
        words.extend(share.map(|share| format!("contribution {}", percent(share))));
    }
    Some(words.join(", "))
}

/// `42.3 % (33.5–51.1 %)`: a value and its band, as far as they are known.
fn ranged(unit: &Unit, (middle, lower, upper): (f64, f64, f64)) -> Option<String> {
    let shown = middle.is_finite().then(|| unit.show(middle))?;
    Some(match between(unit, lower, upper) {
        Some(band) => format!("{shown} ({band})"),
        None => shown,
    })
}

/// The error table in columns.
fn errors(state: &UiState, entity: &EntityView) -> String {
    let head = ["feature", "value", "expected", "error", "contribution"].map(str::to_owned);
    let rows = state.error_order(entity).into_iter().filter_map(|column| {
        let feature = entity.features.get(column)?;
        let unit = &feature.feature.unit;
        let show = |value: Option<f64>| unit.show(value.unwrap_or(f64::NAN));
        Some([
            feature.feature.name.to_string(),
            show(feature.values.last()),
            show(feature.expected),
            number(feature.mse.unwrap_or(f64::NAN)),
            percent(feature.share.unwrap_or(f64::NAN)),
        ])
    });
    columns(&std::iter::once(head).chain(rows).collect::<Vec<_>>())
}

fn entities(state: &UiState, snapshot: &Snapshot) -> Option<String> {
    let listed = state.entities(state.pipeline(snapshot)?);
    let head = ["entity", "score", "time"].map(str::to_owned);
    let rows = listed.into_iter().map(|(view, _)| {
        let latest = view.latest.as_deref();
        [
            view.entity.to_string(),
            number(latest.and_then(|v| v.score).unwrap_or(f64::NAN)),
            latest.map(|v| v.time.to_string()).unwrap_or_default(),
        ]
    });
    Some(columns(
        &std::iter::once(head).chain(rows).collect::<Vec<_>>(),
    ))
}

/// Rows with their cells under each other.
fn columns<const N: usize>(rows: &[[String; N]]) -> String {
    let mut widths = [0_u16; N];
    for row in rows {
        for (widest, cell) in widths.iter_mut().zip(row) {
            *widest = (*widest).max(width(cell));
        }
    }
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, room) in row.iter().zip(widths) {
            line.push_str(&left(cell, room));
            line.push_str("  ");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_stand_under_each_other() {
        let rows = [["a", "value"], ["温度", "1"]].map(|row| row.map(str::to_owned));
        assert_eq!(columns(&rows), "a     value\n温度  1\n");
    }

    #[test]
    fn what_terminals_do_not_take_is_cut_at_a_line() {
        let long = "温度 sensor line\n".repeat(9000);
        let kept = limited(long);
        assert!(kept.len() <= MOST && kept.len() > MOST - 64);
        assert!(kept.ends_with("line\n…"));
        assert_eq!(limited("short".into()), "short");
    }
}
