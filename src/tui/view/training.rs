//! The training that runs, and how the last one went.

use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Span;

use crate::domain::{
    Comparison, Decision, PipelineView, Snapshot, Time, TrainingOutcome, TrainingView,
};
use crate::tui::action::Intent;
use crate::tui::state::{Mode, UiState};
use crate::tui::text::{exact_span, number, percent, right, short, span, whole};
use crate::tui::theme::Theme;
use crate::tui::zone::Zone;

use super::facts::{self, Line, Row};
use super::loss;
use super::pen::boxed;

/// Below this a guess of when it ends says nothing.
const TOLD_FROM: f64 = 0.03;
/// Columns of a figure in the comparison.
const FIGURE: u16 = 11;

/// How many lines can be the first one.
pub fn lines(state: &UiState, snapshot: &Snapshot) -> usize {
    let area = facts::inside(state, snapshot);
    // Colours do not move lines.
    let theme = Theme::new(state.theme, crate::tui::ColorDepth::None, true);
    let height = state.pipeline(snapshot).map_or(0, |pipeline| {
        Page::of(state, pipeline, &theme, area).height()
    });
    facts::reach(usize::from(height), area.height)
}

/// Draws the panel from line `first` on.
///
/// ```text
/// ╭ training ───────────────────────────────────── c cancels ╮
/// │ fitting the autoencoder                                  │
/// │ done           ━━━━━━━━━━━━────────────────── 41 %       │
/// │ epoch          12 of 50                                  │
/// │ running for    9 s, at most about 13 s more              │
/// │ loss           0.0026, the best so far                   │
/// │                                                          │
/// │   0.05 ┤⠢⡀                                               │
/// │  0.003 ┤ ⠈⠒⠤⣀⣀                                           │
/// │         1     ↑ best                            epoch 50 │
/// ╰──────────────────────────────────────────────────────────╯
/// ```
pub fn draw(
    state: &UiState,
    pipeline: &PipelineView,
    first: usize,
    theme: &Theme,
    buffer: &mut Buffer,
    area: Rect,
) {
    let room = facts::room(area);
    let page = Page::of(state, pipeline, theme, room);
    let (intent, word) = match &pipeline.training {
        Some(_) => (Intent::Cancel, "cancels"),
        None => (Intent::Retrain, "trains"),
    };
    let words = if state.may(intent) {
        format!("{} {word}", state.keymap.key(intent))
    } else {
        String::new()
    };
    let more = page.height() > room.height;
    let right = facts::note(state, more, words, theme);
    let title = [Span::styled("training", theme.strong)];
    let inner = facts::padded(boxed(buffer, area, theme.accent, &title, right));
    facts::page(
        buffer,
        inner,
        page.height(),
        first,
        theme,
        |buffer, area| {
            page.draw(theme, buffer, area);
        },
    );
}

/// Words, and the curve under them.
struct Page<'a> {
    lines: Vec<Line>,
    losses: &'a [f64],
    epochs: usize,
    curve: u16,
}

impl<'a> Page<'a> {
    fn of(state: &UiState, pipeline: &'a PipelineView, theme: &Theme, area: Rect) -> Self {
        let mut rows = Vec::new();
        let (mut losses, mut epochs): (&[f64], usize) = (&[], 0);
        if let Some(training) = &pipeline.training {
            rows.extend(running(training, pipeline, state.now, theme));
            (losses, epochs) = (&training.losses, training.epochs);
        }
        if losses.is_empty() {
            if !rows.is_empty() {
                rows.push(Row::Blank);
            }
            match &pipeline.last_training {
                Some(outcome) => {
                    rows.extend(ended(outcome, pipeline, (state.now, &state.zone), theme));
                    (losses, epochs) = (&outcome.losses, outcome.losses.len());
                }
                None => rows.extend(none(state, pipeline, theme)),
            }
        }
        // A curve of one point is a point.
        let losses = if losses.len() > 1 { losses } else { &[] };
        if !losses.is_empty() {
            rows.push(Row::Blank);
        }
        let lines = facts::lines(rows, area.width, theme);
        let curve = if losses.is_empty() {
            0
        } else {
            loss::rows(lines.len(), area)
        };
        Self {
            lines,
            losses,
            epochs,
            curve,
        }
    }

    fn height(&self) -> u16 {
        short(self.lines.len()).saturating_add(self.curve)
    }

    fn draw(&self, theme: &Theme, buffer: &mut Buffer, area: Rect) {
        facts::write(&self.lines, buffer, area);
        let above = short(self.lines.len()).min(area.height);
        let below = Rect {
            y: area.y + above,
            height: self.curve.min(area.height - above),
            ..area
        };
        loss::draw(self.losses, self.epochs, theme, buffer, below);
    }
}

fn running(training: &TrainingView, pipeline: &PipelineView, now: Time, theme: &Theme) -> Vec<Row> {
    let done = training.progress;
    let mut rows = vec![
        Row::Words(training.phase.clone(), theme.strong),
        Row::Gauge("done".into(), done, percent(done), theme.accent),
    ];
    if training.epoch > 0 {
        let epoch = format!("{} of {}", training.epoch, training.epochs);
        rows.push(Row::Fact("epoch", epoch, theme.text));
    }
    rows.push(Row::Fact(
        "running for",
        time_left(training, now),
        theme.text,
    ));
    rows.extend(falling(&training.losses, theme));
    let meanwhile = match &pipeline.model {
        Some(model) => format!("model {} scores", model.version),
        None => "nothing is judged before it ends".into(),
    };
    rows.push(Row::Fact("meanwhile", meanwhile, theme.text));
    if training.queued {
        let waits = "another training waits for this one";
        rows.push(Row::Fact("then", waits.into(), theme.text));
    }
    rows
}

/// How long it has run, and how long it may still take: less, when it stops early because nothing gets better.
fn time_left(training: &TrainingView, now: Time) -> String {
    let passed = now.since(training.started);
    let done = training.progress;
    if !(TOLD_FROM..1.0).contains(&done) {
        return span(passed);
    }
    let left = Duration::try_from_secs_f64(passed.as_secs_f64() * (1.0 - done) / done);
    left.map_or_else(
        |_| span(passed),
        |left| format!("{}, at most about {} more", span(passed), span(left)),
    )
}

/// The newest loss and the best one.
fn falling(losses: &[f64], theme: &Theme) -> Option<Row> {
    let (newest, (epoch, best)) = (losses.last()?, loss::best(losses)?);
    let words = if epoch == losses.len() {
        format!("{}, the best so far", number(*newest))
    } else {
        format!(
            "{}, best {} in epoch {epoch}",
            number(*newest),
            number(best)
        )
    };
    Some(Row::Fact("loss", words, theme.text))
}

fn ended(
    outcome: &TrainingOutcome,
    pipeline: &PipelineView,
    (now, zone): (Time, &Zone),
    theme: &Theme,
) -> Vec<Row> {
    let when = format!(
        "{} ago, at {}; it took {}",
        span(now.since(outcome.ended)),
        zone.clock_with_zone(outcome.ended),
        exact_span(outcome.took)
    );
    let mut rows = vec![
        Row::Head("last training"),
        Row::Fact("ended", when, theme.text),
    ];
    match &outcome.result {
        Ok(version) => {
            rows.push(Row::Fact("model", version.clone(), theme.text));
            rows.extend(outcome.decision.as_ref().map(|decision| {
                let (words, style) = decided(decision, theme);
                Row::Fact("decision", words, style)
            }));
        }
        Err(_) if outcome.is_cancelled => {
            rows.push(Row::Fact("decision", "cancelled".into(), theme.text));
        }
        Err(why) => {
            let words = format!("✗ no new model: {why}");
            rows.push(Row::Fact("decision", words, theme.bad));
        }
    }
    let scores = match (&pipeline.model, &outcome.result) {
        (Some(model), Ok(version)) if model.version == *version => None,
        (Some(model), _) => Some(format!("model {}", model.version)),
        (None, _) => Some("no model".into()),
    };
    rows.extend(scores.map(|words| Row::Fact("scores now", words, theme.text)));
    if let Some((epoch, best)) = loss::best(&outcome.losses) {
        let words = format!(
            "{} in epoch {epoch} of {}",
            number(best),
            outcome.losses.len()
        );
        rows.push(Row::Fact("best loss", words, theme.text));
    }
    let figures = outcome.decision.as_ref().and_then(|d| d.comparison);
    if let Some(figures) = figures {
        rows.push(Row::Blank);
        rows.extend(compared(&figures, theme));
    }
    rows
}

/// What became of a new model and why, with a sign that survives without colour.
pub fn decided(decision: &Decision, theme: &Theme) -> (String, Style) {
    if decision.promoted {
        (format!("✓ promoted: {}", decision.reason), theme.good)
    } else {
        (format!("✗ refused: {}", decision.reason), theme.warn)
    }
}

/// Old beside new, on the same windows.
///
/// ```text
/// compared            old        new  on 412 windows
/// error           0.00100   0.000940  6 % lower
/// alarms            0.4 %      0.5 %  of these, all clean
/// ```
pub fn compared(figures: &Comparison, theme: &Theme) -> Vec<Row> {
    let figure = |text: &str, style: Style| Span::styled(right(text, FIGURE), style);
    let remark = |text: String| Span::styled(format!("  {text}"), theme.dim);
    let rate = |part: f64| format!("{:.1} %", part * 100.0);
    let ratio = figures.challenger_error / figures.champion_error;
    let change = match ratio {
        r if !r.is_finite() => String::new(),
        r if r < 0.995 => format!("{} lower", percent(1.0 - r)),
        r if r < 1.005 => "the same".into(),
        r if r < 2.0 => format!("{} higher", percent(r - 1.0)),
        r => format!("{r:.1} times"),
    };
    vec![
        Row::Cells(
            "compared",
            vec![
                figure("old", theme.dim),
                figure("new", theme.dim),
                remark(format!("on {} windows", figures.windows)),
            ],
        ),
        Row::Cells(
            "error",
            vec![
                figure(&exact(figures.champion_error), theme.text),
                figure(&exact(figures.challenger_error), theme.strong),
                remark(change),
            ],
        ),
        Row::Cells(
            "alarms",
            vec![
                figure(&rate(figures.champion_alarms), theme.text),
                figure(&rate(figures.challenger_alarms), theme.strong),
                remark("of these, all clean".into()),
            ],
        ),
    ]
}

/// An error in three significant digits: the two that are compared are close.
fn exact(error: f64) -> String {
    let digits = (2.0 - error.log10().floor()).clamp(0.0, 9.0);
    if (1e-6..1e6).contains(&error) {
        format!("{error:.*}", whole(digits))
    } else {
        format!("{error:.2e}")
    }
}

/// Nothing was trained since the start: what is waited for, or what scores.
fn none(state: &UiState, pipeline: &PipelineView, theme: &Theme) -> Vec<Row> {
    if pipeline.training.is_some() {
        return Vec::new();
    }
    let key = state.keymap.key(Intent::Retrain);
    let may = state.may(Intent::Retrain);
    if let Some(model) = &pipeline.model {
        let words = "no training since the start: a model was there already";
        let (ago, took) = (state.now.since(model.trained_at), model.training_took);
        let trained = format!("{} ago; it took {}", exact_span(ago), exact_span(took));
        let mut rows = vec![
            Row::Words(words.into(), theme.text),
            Row::Blank,
            Row::Fact("model", model.version.clone(), theme.text),
            Row::Fact("trained", trained, theme.text),
        ];
        let best = format!("{} after {} epochs", number(model.val_loss), model.epochs);
        rows.push(Row::Fact("best loss", best, theme.text));
        if may {
            let words =
                format!("{key} trains a new one, which is used only if it isn't clearly worse");
            rows.extend([Row::Blank, Row::Words(words, theme.dim)]);
        }
        return rows;
    }
    let ready = &pipeline.readiness;
    let words = format!("{} of {}", ready.have, ready.need);
    let mut rows = vec![
        Row::Words("no training yet".into(), theme.strong),
        Row::Blank,
        facts::known("windows".into(), ready.ratio(), words, theme),
    ];
    if !ready.text.is_empty() {
        rows.push(Row::Fact("state", ready.text.clone(), theme.text));
    }
    rows.push(Row::Blank);
    let first = "the first model is trained by itself as soon as there are enough windows of rows";
    rows.push(Row::Words(first.into(), theme.dim));
    if may && state.mode != Mode::Test {
        let words = format!("{key} asks for the history anew and trains when it suffices");
        rows.push(Row::Words(words, theme.dim));
    }
    rows
}
