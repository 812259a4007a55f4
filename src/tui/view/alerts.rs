//! The lines under the header that appear when something is out of the ordinary, the most pressing first.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Span;

use crate::domain::{
    ControlError, Incident, Snapshot, SourceState, Time, TrainingOutcome, TrainingView,
};
use crate::tui::action::Intent;
use crate::tui::state::{Mode, UiState};
use crate::tui::text::{clock, number, percent, short, span};
use crate::tui::theme::Theme;

use super::log::{blame, lasting};
use super::pen::{Pen, Segment, bar, row, spark};

/// One line.
pub enum Alert<'a> {
    /// No snapshots are taken since then.
    Frozen(Time),
    /// The source failed.
    Stale {
        /// When it last worked.
        since: Option<Time>,
        /// What went wrong.
        error: &'a str,
        /// When it is tried next.
        retry_at: Time,
    },
    /// Something is anomalous now; only where the log is not on the screen.
    Incident(&'a Incident, std::time::Duration),
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
        if let SourceState::Stale {
            since,
            error,
            retry_at,
        } = &pipeline.source.state
        {
            alerts.push(Alert::Stale {
                since: *since,
                error,
                retry_at: *retry_at,
            });
        }
        let open = pipeline.incidents.iter().find(|i| i.is_open());
        alerts.extend(
            open.filter(|_| compact)
                .map(|i| Alert::Incident(i, pipeline.step)),
        );
        alerts.extend(pipeline.training.as_ref().map(Alert::Training));
        if let Some(outcome) = &pipeline.last_training
            && let (Err(why), None) = (&outcome.result, &pipeline.training)
        {
            alerts.push(Alert::Failed(outcome, why, pipeline.model.is_some()));
        }
        if let Some(first) = pipeline.source.warnings.first() {
            alerts.push(Alert::Warning(first, pipeline.source.warnings.len() - 1));
        }
    }
    if let (Mode::LongTerm, Some(error)) = (state.mode, state.history.error) {
        alerts.push(Alert::NoHistory(error));
    }
    alerts.extend(snapshot.banner.as_deref().map(Alert::Banner));
    alerts
}

/// Draws as many as there are lines.
pub fn draw(alerts: &[Alert<'_>], state: &UiState, theme: &Theme, buffer: &mut Buffer, area: Rect) {
    let padded = Rect {
        x: area.x + u16::from(area.width > 2),
        width: area.width.saturating_sub(2),
        ..area
    };
    for (line, alert) in alerts.iter().take(usize::from(area.height)).enumerate() {
        let line = short(line);
        if let Alert::Training(training) = alert {
            draw_training(training, state, theme, buffer, padded, line);
            continue;
        }
        let (sign, style, words, tail) = words(alert, state, theme);
        let mut pen = Pen::on(buffer, padded, line);
        if pen.room() > 60 {
            pen.right(&[Span::styled(tail, theme.dim)]);
        }
        pen.say(sign, style).skip(1).say(&words, style);
    }
}

/// Sign, style, the sentence, and what goes to the right end.
fn words(
    alert: &Alert<'_>,
    state: &UiState,
    theme: &Theme,
) -> (&'static str, Style, String, String) {
    let ago = |time: Time| span(state.now.since(time));
    match alert {
        Alert::Frozen(since) => (
            "‖",
            theme.warn,
            format!("frozen at {} UTC", clock(*since)),
            format!(" {} goes on", state.keymap.key(Intent::Freeze)),
        ),
        Alert::Stale {
            since,
            error,
            retry_at,
        } => {
            let old = since.map_or_else(
                || "no data yet".to_owned(),
                |since| format!("the data is {} old", ago(since)),
            );
            let wait = retry_at.since(state.now);
            let retry = if wait.is_zero() {
                " trying again".to_owned()
            } else {
                format!(" trying again in {}", span(wait))
            };
            ("✗", theme.bad, format!("{old}: {error}"), retry)
        }
        Alert::Incident(incident, step) => (
            "●",
            theme.bad,
            format!(
                "{}{} for {}: {}",
                incident.entity.name(),
                if incident.entity.is_sole() {
                    "anomaly"
                } else {
                    " anomalous"
                },
                lasting(incident, *step),
                blame(incident, 3)
            ),
            String::new(),
        ),
        Alert::Failed(outcome, why, has_model) => (
            "!",
            theme.warn,
            format!("training failed {} ago: {why}", ago(outcome.ended)),
            if *has_model {
                " the old model goes on".to_owned()
            } else {
                format!(" {} tries again", state.keymap.key(Intent::Retrain))
            },
        ),
        Alert::NoHistory(error) => (
            "!",
            theme.warn,
            format!("the history could not be had: {error}"),
            " asked again in 30 s".to_owned(),
        ),
        Alert::Warning(first, more) => (
            "!",
            theme.warn,
            (*first).to_owned(),
            match more {
                0 => String::new(),
                more => format!(" and {more} more"),
            },
        ),
        Alert::Banner(text) => ("→", theme.accent, (*text).to_owned(), String::new()),
        Alert::Training(_) => ("", theme.text, String::new(), String::new()),
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
    let mut left = vec![
        Segment::new(
            0,
            vec![
                Span::styled("↻ training  ", theme.accent),
                Span::styled(training.phase.clone(), theme.text),
            ],
        ),
        Segment::new(3, bar(training.progress, 24, theme.accent, theme)),
        Segment::new(
            1,
            vec![Span::styled(percent(training.progress), theme.strong)],
        ),
    ];
    if training.epoch > 0 {
        let words = format!("epoch {} of {}", training.epoch, training.epochs);
        left.push(Segment::new(2, vec![Span::styled(words, theme.dim)]));
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
    let keys = format!("{tail} · {} cancels", state.keymap.key(Intent::Cancel));
    let right = vec![Segment::new(6, vec![Span::styled(keys, theme.dim)])];
    row(buffer, area, line, 2, left, right);
}
