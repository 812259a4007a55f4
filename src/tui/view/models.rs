//! The models that are kept: their figures, which one scores, and going back to another.

use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::layout::{Margin, Rect};
use ratatui::style::Style;
use ratatui::text::Span;

use crate::domain::{ModelEntry, ModelView, PipelineView, Time};
use crate::tui::action::Intent;
use crate::tui::lists::page_start;
use crate::tui::state::{Mode, UiState};
use crate::tui::text::{cut, exact_span, left, number, right, short, span};
use crate::tui::theme::{ColorDepth, Theme};
use crate::tui::zone::Zone;

use super::facts::{self, Line, Row};
use super::pen::{Pen, boxed, centered};
use super::training::{compared, decided};

/// Rows of the table that stay, however much there is to say of one of them.
const FEWEST: usize = 3;
/// The same on a panel with fewer rows than this.
const FEWEST_LOW: (usize, usize) = (2, 7);

/// Draws the table, and what is known of the model that is pointed at.
///
/// ```text
/// ╭ models ──────────────────────────────── Enter lets it score ╮
/// │   version           age    loss  threshold  decision        │
/// │ ● 20261118T105500Z  3 h  0.0012     0.0030  ✓ promoted: it… │
/// │▸  20261117T225500Z 15 h  0.0024     0.0030  ✗ refused: its… │
/// │                                                             │
/// │ ✗ refused: its error is 1.41 times that of the model that … │
/// ╰─────────────────────────────────────────────────────────────╯
/// ```
pub fn draw(
    state: &UiState,
    pipeline: &PipelineView,
    theme: &Theme,
    buffer: &mut Buffer,
    area: Rect,
) {
    let models = &pipeline.models;
    let chosen = state.model_index(pipeline);
    let entry = models.get(chosen);
    let words = match entry {
        Some(entry) if entry.is_current => "it scores now".into(),
        Some(_) if state.may(Intent::Expand) => {
            format!("{} lets it score", state.keymap.key(Intent::Expand))
        }
        Some(_) | None => String::new(),
    };
    let title = [Span::styled("models", theme.strong)];
    let right = facts::note(state, false, words, theme);
    let inner = boxed(buffer, area, theme.accent, &title, right);
    let Some(entry) = entry else {
        return centered(buffer, inner, &empty(state, pipeline, theme));
    };
    let details = told(entry, state, theme, inner);
    let table = table(state, pipeline, inner);
    let rows = Table {
        room: inner.width,
        zone: &state.zone,
    };
    rows.draw(models, chosen, state.now, theme, buffer, table);
    let below = Rect {
        y: table.bottom(),
        height: inner.height - table.height,
        ..inner
    };
    // A blank line between the two, unless room is short.
    let air = u16::from(usize::from(below.height) > details.len().min(3));
    let below = facts::padded(Rect {
        y: below.y + air,
        height: below.height - air,
        ..below
    });
    facts::write(&details, buffer, below);
}

/// Where the table is in a panel's inside, its head included: as high as what there is to say of any model lets it be, so
/// that pointing at another one moves no row.
fn table(state: &UiState, pipeline: &PipelineView, inner: Rect) -> Rect {
    let theme = Theme::new(state.theme, ColorDepth::None, true);
    let told = pipeline
        .models
        .iter()
        .map(|entry| told(entry, state, &theme, inner).len());
    let rows = usize::from(inner.height.saturating_sub(1));
    let fewest = if rows < FEWEST_LOW.1 {
        FEWEST_LOW.0
    } else {
        FEWEST
    };
    let room = rows.saturating_sub(told.max().unwrap_or(0) + 1);
    let shown = pipeline.models.len().min(room.max(fewest.min(rows)));
    Rect {
        height: short(shown + 1).min(inner.height),
        ..inner
    }
}

/// Where the models are of the panel in `area`: under the head.
pub fn rows(state: &UiState, pipeline: &PipelineView, area: Rect) -> Rect {
    let table = table(state, pipeline, area.inner(Margin::new(1, 1)));
    Rect {
        y: table.y + table.height.min(1),
        height: table.height.saturating_sub(1),
        ..table
    }
}

/// Models on one page of the panel in `area`.
pub fn page(state: &UiState, pipeline: &PipelineView, area: Rect) -> usize {
    usize::from(rows(state, pipeline, area).height).max(1)
}

/// The lines about one model in a panel's inside.
fn told(entry: &ModelEntry, state: &UiState, theme: &Theme, inner: Rect) -> Vec<Line> {
    let rows = details(entry, state, theme);
    facts::lines(rows, facts::padded(inner).width, theme)
}

fn empty(state: &UiState, pipeline: &PipelineView, theme: &Theme) -> Vec<(String, Style)> {
    if state.mode == Mode::Test {
        let words = "test mode does not keep its models: each start trains its own";
        return vec![(words.into(), theme.dim)];
    }
    let mut lines = vec![("no models yet".to_owned(), theme.text)];
    if !pipeline.readiness.text.is_empty() {
        lines.push((pipeline.readiness.text.clone(), theme.dim));
    }
    lines
}

/// What is known of one model; the decision first, for small screens.
fn details(entry: &ModelEntry, state: &UiState, theme: &Theme) -> Vec<Row> {
    let model = &entry.model;
    let decision = match &entry.decision {
        Some(decision) => decided(decision, theme),
        None => ("its release kept no decisions".into(), theme.dim),
    };
    let (from, to) = model.trained_on;
    let day = |time: Time| state.zone.minute(time);
    let facts = [
        (
            "trained",
            format!(
                "{}, {} ago; it took {}",
                day(model.trained_at),
                exact_span(state.now.since(model.trained_at)),
                exact_span(model.training_took)
            ),
        ),
        ("learned from", format!("{} to {}", day(from), day(to))),
        (
            "windows",
            format!(
                "{} of {} {}, {} epochs",
                model.windows,
                model.entities,
                if model.entities == 1 {
                    "entity"
                } else {
                    "entities"
                },
                model.epochs
            ),
        ),
        ("loss", number(model.val_loss)),
        (
            "threshold",
            format!("{} ({})", number(model.threshold_mse), model.threshold_rule),
        ),
    ];
    let mut rows = vec![Row::Words(decision.0, decision.1)];
    let figures = entry.decision.as_ref().and_then(|d| d.comparison);
    rows.extend(figures.iter().flat_map(|figures| compared(figures, theme)));
    rows.push(Row::Fact("version", model.version.clone(), theme.text));
    rows.extend(facts.map(|(name, words)| Row::Fact(name, words, theme.text)));
    rows
}

/// A column of figures.
struct Column {
    /// Panels from this width on have it.
    from: u16,
    wide: u16,
    head: &'static str,
    words: fn(&ModelView, Time, &Zone) -> String,
}

const fn column(
    from: u16,
    wide: u16,
    head: &'static str,
    words: fn(&ModelView, Time, &Zone) -> String,
) -> Column {
    Column {
        from,
        wide,
        head,
        words,
    }
}

/// Columns between the version and the decision.
const COLUMNS: [Column; 7] = [
    column(0, 8, "age", |model, now, _| {
        span(now.since(model.trained_at))
    }),
    column(110, 8, "took", |model, _, _| span(model.training_took)),
    column(130, 20, "learned from", |model, _, zone| {
        let (from, to) = model.trained_on;
        format!("{} to {}", zone.tick(from, DAYS), zone.tick(to, DAYS))
    }),
    column(90, 10, "windows", |model, _, _| model.windows.to_string()),
    column(90, 8, "epochs", |model, _, _| model.epochs.to_string()),
    column(56, 11, "loss", |model, _, _| number(model.val_loss)),
    column(72, 11, "threshold", |model, _, _| {
        number(model.threshold_mse)
    }),
];

/// Columns of the marks at the left.
const MARKS: u16 = 3;
/// Panels from this width on have the whole version, those below only the part that tells when.
const WHOLE_FROM: u16 = 100;
/// A length of time whose ends are told by their days.
const DAYS: Duration = Duration::from_hours(24 * 14);

/// The table on a panel `room` columns wide.
struct Table<'a> {
    room: u16,
    zone: &'a Zone,
}

impl Table<'_> {
    fn draw(
        &self,
        models: &[ModelEntry],
        chosen: usize,
        now: Time,
        theme: &Theme,
        buffer: &mut Buffer,
        area: Rect,
    ) {
        let page = usize::from(area.height.saturating_sub(1)).max(1);
        let first = page_start(chosen, page, models.len());
        let head = self.cells(None, now, theme);
        Pen::on(buffer, area, 0)
            .skip(MARKS)
            .spans(&head)
            .say("  decision", theme.dim);
        let listed = models.iter().enumerate().skip(first).take(page);
        for (line, (index, entry)) in (1_u16..).zip(listed) {
            let here = index == chosen;
            let mut pen = Pen::on(buffer, area, line);
            pen.say(if here { "▸" } else { " " }, theme.accent)
                .say(if entry.is_current { "●" } else { " " }, theme.good)
                .skip(1)
                .spans(&self.cells(Some(entry), now, theme));
            if let Some(decision) = &entry.decision {
                let (words, style) = decided(decision, theme);
                pen.skip(2).say(&words, style);
            }
            if here {
                let band = Rect {
                    y: area.y + line,
                    height: u16::from(line < area.height),
                    ..area
                };
                buffer.set_style(band, theme.raised);
            }
        }
    }

    /// The cells of a row, or of the head.
    fn cells(&self, entry: Option<&ModelEntry>, now: Time, theme: &Theme) -> Line {
        let style = match entry {
            Some(entry) if entry.is_current => theme.strong,
            Some(_) => theme.text,
            None => theme.dim,
        };
        let whole = self.room >= WHOLE_FROM;
        let wide = if whole { 26 } else { 16 };
        let version = match entry.map(|entry| entry.model.version.as_str()) {
            None => "version",
            Some(version) if whole => version,
            Some(version) => version.split('-').next().unwrap_or(version),
        };
        let mut cells = vec![Span::styled(left(version, wide), style)];
        for column in COLUMNS.iter().filter(|column| self.room >= column.from) {
            let words = match entry {
                Some(entry) => (column.words)(&entry.model, now, self.zone),
                None => column.head.to_owned(),
            };
            let words = cut(&words, column.wide - 1);
            cells.push(Span::styled(right(&words, column.wide), style));
        }
        cells
    }
}
