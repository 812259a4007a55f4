//! The lines under the header that appear when something is out of the ordinary, the most pressing first.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Span;

use crate::domain::{
    CatchUp, Component, ControlError, Fault, Incident, PipelineView, Snapshot, SourceState,
    StaleReason, Time, TrainingOutcome, TrainingView,
};
use crate::tui::action::Intent;
use crate::tui::state::{Mode, UiState};
use crate::tui::text::{cut, number, percent, span, width, wrap};
use crate::tui::theme::Theme;

use super::log::{blame, lasting};
use super::pen::{Pen, Segment, bar, row, spark};

/// One line.
pub enum Alert<'a> {
    /// No snapshots are taken since then.
    Frozen(Time),
    /// Nothing new is judged.
    Stale {
        /// When a collection last worked.
        since: Option<Time>,
        /// Why.
        reason: StaleReason<'a>,
        /// When the source is tried next, after it failed.
        retry_at: Option<Time>,
    },
    /// Rows of an absence are being judged.
    CatchingUp(CatchUp),
    /// A part of the program does not work, and so many more.
    Fault(Component, &'a Fault, usize),
    /// Something is anomalous now, and so many other entities; only where the log is not on the screen.
    Incident(&'a Incident, &'a PipelineView, usize),
    /// A model is being trained.
    Training(&'a TrainingView),
    /// The last training failed.
    Failed(&'a TrainingOutcome, &'a str, bool),
    /// Long-term mode's data could not be had.
    NoHistory(ControlError),
    /// The source warns.
    Warning(&'a str, usize),
    /// How this run began, and how to go on.
    Banner(&'a str),
}

/// Everything to be said now. `compact`: the log is not on the screen.
pub fn alerts<'a>(state: &UiState, snapshot: &'a Snapshot, compact: bool) -> Vec<Alert<'a>> {
    let mut alerts = Vec::new();
    alerts.extend(state.frozen.map(Alert::Frozen));
    if let Some(pipeline) = state.pipeline(snapshot) {
        alerts.extend(stale(state, snapshot, pipeline));
        alerts.extend(fault(snapshot));
        alerts.extend(pipeline.catching_up.map(Alert::CatchingUp));
        let open = pipeline.incidents.iter().find(|i| i.is_open());
        alerts.extend(open.filter(|_| compact).map(|i| {
            Alert::Incident(i, pipeline, pipeline.open_incidents.len().saturating_sub(1))
        }));
        alerts.extend(pipeline.training.as_ref().map(Alert::Training));
        if let Some(outcome) = &pipeline.last_training
            && !outcome.is_cancelled
            && let (Err(why), None) = (&outcome.result, &pipeline.training)
        {
            alerts.push(Alert::Failed(outcome, why, pipeline.model.is_some()));
        }
        if let Some(first) = pipeline.source.warnings.first() {
            let others = pipeline.source.warnings.len() - 1 + pipeline.source.more_warnings;
            alerts.push(Alert::Warning(first, others));
        }
    }
    if let (Mode::LongTerm, Some(error)) = (state.mode, state.history.error) {
        alerts.push(Alert::NoHistory(error));
    }
    alerts.extend(state.banner(snapshot).map(Alert::Banner));
    alerts
}

/// Why what is shown is old; where nothing is shown, the body says it.
fn stale<'a>(
    state: &UiState,
    snapshot: &Snapshot,
    pipeline: &'a PipelineView,
) -> Option<Alert<'a>> {
    let reason = state.freshness(snapshot, pipeline).reason()?;
    let retry_at = match pipeline.source.state {
        SourceState::Stale { retry_at, .. } => Some(retry_at),
        _ => None,
    };
    (!pipeline.entities.is_empty()).then_some(Alert::Stale {
        since: pipeline.source.last_success,
        reason,
        retry_at,
    })
}

/// The most important part of the program that does not work.
fn fault(snapshot: &Snapshot) -> Option<Alert<'_>> {
    let more = snapshot.faults().count().checked_sub(1)?;
    let (component, fault) = snapshot
        .faults()
        .min_by_key(|(component, _)| !component.is_essential())?;
    Some(Alert::Fault(component, fault, more))
}

/// Rows that the alerts take on a screen `width` columns wide.
pub fn rows(alerts: &[Alert<'_>], state: &UiState, width: u16) -> usize {
    alerts
        .iter()
        .map(|alert| match alert {
            Alert::Training(_) => 1,
            _ => broken(alert, state, width.saturating_sub(2), MOST).len(),
        })
        .sum()
}

/// Columns of the sign before a sentence.
const SIGN: u16 = 2;
/// Most rows of one alert.
const MOST: usize = 2;
/// Narrower rows go without the words at the right end.
const TAIL_FROM: u16 = 60;
/// The same for a hint.
const SHORTEST: u16 = 24;

/// Whether there is room for the words at the right end; how a hint is put away is always told.
const fn has_tail(alert: &Alert<'_>, room: u16) -> bool {
    room > TAIL_FROM || (matches!(alert, Alert::Banner(_)) && room >= SHORTEST)
}

/// The sentence in at most `most` rows of `room` columns; the first leaves room for the tail.
fn broken(alert: &Alert<'_>, state: &UiState, room: u16, most: usize) -> Vec<String> {
    let (sentence, tail) = words(alert, state);
    let tail = if has_tail(alert, room) {
        width(&tail) + 1
    } else {
        0
    };
    let room = room.saturating_sub(SIGN);
    let first_room = room.saturating_sub(tail);
    let mut narrow = wrap(&sentence, first_room).into_iter();
    let first = narrow.next().unwrap_or_default();
    let rest: Vec<String> = narrow.collect();
    if most <= 1 || rest.is_empty() {
        return vec![cut(&sentence, first_room).into_owned()];
    }
    let rest = wrap(&rest.join(" "), room);
    let kept = rest.len().min(most - 1);
    let mut lines = vec![first];
    lines.extend(rest.iter().take(kept.saturating_sub(1)).cloned());
    let last = rest.get(kept.saturating_sub(1)..).unwrap_or_default();
    lines.push(cut(&last.join(" "), room).into_owned());
    lines
}

/// Draws as many as there are rows.
pub fn draw(alerts: &[Alert<'_>], state: &UiState, theme: &Theme, buffer: &mut Buffer, area: Rect) {
    let padded = Rect {
        x: area.x + u16::from(area.width > 2),
        width: area.width.saturating_sub(2),
        ..area
    };
    let mut row = 0;
    for alert in alerts {
        let left = usize::from(area.height.saturating_sub(row)).min(MOST);
        if left == 0 {
            break;
        }
        if let Alert::Training(training) = alert {
            draw_training(training, state, theme, buffer, padded, row);
            row += 1;
            continue;
        }
        let (sign, style) = look(alert, theme);
        let (_, tail) = words(alert, state);
        // A sentence and not an alarm: the sign alone has the colour.
        let text = match alert {
            Alert::CatchingUp(_) | Alert::Banner(_) => theme.text,
            _ => style,
        };
        for (line, words) in broken(alert, state, padded.width, left).iter().enumerate() {
            let mut pen = Pen::on(buffer, padded, row);
            if line == 0 {
                if has_tail(alert, padded.width) {
                    pen.right(&[Span::styled(tail.clone(), theme.dim)]);
                }
                pen.say(sign, style);
            }
            pen.to(padded, SIGN).say(words, text);
            row += 1;
        }
    }
}

fn look(alert: &Alert<'_>, theme: &Theme) -> (&'static str, Style) {
    match alert {
        Alert::Frozen(_) => ("‖", theme.warn),
        Alert::Stale { .. } => ("✗", theme.bad),
        Alert::Fault(component, ..) if component.is_essential() => ("✗", theme.bad),
        Alert::Incident(..) => ("●", theme.bad),
        Alert::Fault(..) | Alert::Failed(..) | Alert::NoHistory(_) | Alert::Warning(..) => {
            ("!", theme.warn)
        }
        Alert::CatchingUp(_) | Alert::Banner(_) => ("→", theme.accent),
        Alert::Training(_) => ("↻", theme.accent),
    }
}

/// The sentence, and what goes to the right end.
fn words(alert: &Alert<'_>, state: &UiState) -> (String, String) {
    let ago = |time: Time| span(state.now.since(time));
    match alert {
        Alert::Frozen(since) => (
            format!("frozen at {}", state.zone.clock_with_zone(*since)),
            format!("{} resumes", state.keymap.key(Intent::Freeze)),
        ),
        Alert::Stale {
            since,
            reason,
            retry_at,
        } => {
            let old = since.map_or_else(
                || "no data yet".to_owned(),
                |since| format!("the data is {} old", ago(since)),
            );
            let wait = retry_at.map(|retry_at| retry_at.since(state.now));
            let retry = match wait {
                Some(wait) if wait.is_zero() => "trying again".to_owned(),
                Some(wait) => format!("trying again in {}", span(wait)),
                None => String::new(),
            };
            let sentence = match reason {
                StaleReason::Failing(error) => format!("{old}: {error}"),
                _ => reason.to_string(),
            };
            (sentence, retry)
        }
        Alert::Fault(component, fault, more) => {
            let tail = match more {
                0 => format!("for {}", ago(fault.since)),
                more => format!("for {}, +{more} more", ago(fault.since)),
            };
            (format!("{}: {}", component.name(), fault.text), tail)
        }
        Alert::CatchingUp(CatchUp { judged, due }) => (
            format!(
                "catching up: rows up to {} are judged, {} to go",
                state.zone.clock_with_zone(*judged),
                span(due.since(*judged))
            ),
            String::new(),
        ),
        Alert::Incident(incident, pipeline, others) => {
            let entity = pipeline.entity(&incident.entity);
            let (lasting, blame) = (
                lasting(incident, pipeline.step),
                blame(entity.map(AsRef::as_ref), incident, 3),
            );
            let who = if incident.entity.is_sole() {
                "anomaly".to_owned()
            } else {
                format!("{} anomalous", incident.entity)
            };
            let more = match others {
                0 => String::new(),
                others => format!("{others} others and "),
            };
            (format!("{more}{who} for {lasting}: {blame}"), String::new())
        }
        Alert::Failed(outcome, why, has_model) => (
            format!("training failed {} ago: {why}", ago(outcome.ended)),
            if *has_model {
                "old model keeps scoring".to_owned()
            } else if state.may(Intent::Retrain) {
                format!("{} tries again", state.keymap.key(Intent::Retrain))
            } else {
                String::new()
            },
        ),
        Alert::NoHistory(error) => (
            format!("the history could not be had: {error}"),
            "asked again in 30 s".to_owned(),
        ),
        Alert::Warning(first, 0) => ((*first).to_owned(), String::new()),
        Alert::Warning(first, more) => ((*first).to_owned(), format!("+{more} more")),
        Alert::Banner(text) => (
            (*text).to_owned(),
            format!("{} hides", state.keymap.key(Intent::Back)),
        ),
        Alert::Training(training) => (training.phase.clone(), String::new()),
    }
}

/// `training  fitting the autoencoder ━━━━━────── 41 %  epoch 12 of 50  loss 0.0031 █▆▄▃▂▂▁`
fn draw_training(
    training: &TrainingView,
    state: &UiState,
    theme: &Theme,
    buffer: &mut Buffer,
    area: Rect,
    line: u16,
) {
    let gauge = if area.width < 100 { 12 } else { 24 };
    let mut left = vec![
        Segment::new(
            0,
            vec![
                Span::styled("↻ training  ", theme.accent),
                Span::styled(training.phase.clone(), theme.text),
            ],
        ),
        Segment::new(2, bar(training.progress, gauge, theme.accent, theme)),
        Segment::new(
            1,
            vec![Span::styled(percent(training.progress), theme.strong)],
        ),
    ];
    if training.epoch > 0 {
        let words = format!("epoch {} of {}", training.epoch, training.epochs);
        left.push(Segment::new(3, vec![Span::styled(words, theme.dim)]));
    }
    if let Some(loss) = training.losses.last() {
        let curve: String = spark(&training.losses, 16, theme.unicode)
            .into_iter()
            .map(|(glyph, _)| glyph)
            .collect();
        left.push(Segment::new(
            4,
            vec![
                Span::styled("loss ", theme.dim),
                Span::styled(number(*loss), theme.text),
            ],
        ));
        left.push(Segment::new(5, vec![Span::styled(curve, theme.line)]));
    }
    let mut tail = span(state.now.since(training.started));
    if training.queued {
        tail.push_str(", another one waits");
    }
    if state.may(Intent::Cancel) {
        let key = state.keymap.key(Intent::Cancel);
        tail = format!("{tail} · {key} cancels");
    }
    let right = vec![Segment::new(6, vec![Span::styled(tail, theme.dim)])];
    row(buffer, area, line, 2, left, right);
}
