//! The per-feature error table: what was seen, what was expected, and each feature's contribution to the score.

use ratatui::buffer::Buffer;
use ratatui::layout::{Margin, Rect};
use ratatui::style::Style;
use ratatui::text::Span;

use crate::domain::{EntityView, FeatureView, PipelineView, RowState};
use crate::tui::lists::{mark, page_start};
use crate::tui::state::{ErrorOrder, Panel, Place, UiState};
use crate::tui::text::{Names, number, percent, right, short, width};
use crate::tui::theme::Theme;

use super::detail::between;
use super::pen::{Pen, Segment, bar, block, boxed, centered, point, table};
use super::plot::{Ends, latest};

/// Draws the table in the order that was chosen.
///
/// ```text
/// ╭ errors ─────────────────────── window error 0.0031 · threshold 0.0030 ╮
/// │feature     value  expected         band    error  contr.▾  ━━━━━━─ newest│
/// │latency    840 ms    190 ms   142–238 ms   0.0123   61 %  ━━━━━━─ ▁▁▁▇▇▇│
/// ```
pub fn draw(
    state: &UiState,
    pipeline: &PipelineView,
    entity: &EntityView,
    theme: &Theme,
    buffer: &mut Buffer,
    area: Rect,
) {
    let panel = state.place() == Place::Panel(Panel::Errors);
    let border = if panel { theme.accent } else { theme.faint };
    let order = state.error_order(entity);
    let title = title(state, entity, order.len(), panel, theme);
    let notes = notes(pipeline, entity, theme);
    let inner = boxed(buffer, area, border, &title, notes);
    if let Some(words) = nothing(state, entity, &order) {
        return centered(buffer, inner, &[(words, theme.dim)]);
    }
    let inner = if panel { table(inner) } else { inner };
    let names = entity.features.iter().map(|f| width(&f.feature.name));
    let columns = Columns::over(
        inner.width,
        names.max().unwrap_or(0) + 1,
        longest_value(entity),
    );
    let all = entity.features.iter().map(|f| &*f.feature.name);
    let table = Table {
        names: Names::fit(all, columns.name.saturating_sub(1)),
        columns,
        entity,
        highest: highest(entity),
        theme,
    };
    if inner.height > 0 {
        table.head((state.errors, state.reversed.errors), buffer, inner);
    }
    let page = page(area);
    let selected = state.selected_index(entity, &order);
    let first = if panel {
        page_start(selected, page, order.len())
    } else {
        0
    };
    let rest = order.len().saturating_sub(first);
    // As a pane it does not scroll, and its last line says how many more there are.
    let shown = if panel || rest <= page {
        page
    } else {
        page - 1
    };
    for (line, column) in (1..).zip(order.iter().skip(first).take(shown)) {
        table.row(*column, buffer, inner, line);
        if panel && first + usize::from(line) == selected + 1 {
            point(buffer, inner, line, theme);
        }
    }
    if shown < page {
        let words = format!("{} more", rest - shown);
        Pen::on(buffer, inner, short(page)).say(&words, theme.dim);
    }
}

/// Where the rows are of the table in `area`: under its head.
pub fn rows(area: Rect) -> Rect {
    let inner = area.inner(Margin::new(1, 1));
    Rect {
        y: inner.y + inner.height.min(1),
        height: inner.height.saturating_sub(1),
        ..inner
    }
}

/// Features on one page of the table in `area`.
pub fn page(area: Rect) -> usize {
    usize::from(rows(area).height).max(1)
}

fn title(
    state: &UiState,
    entity: &EntityView,
    listed: usize,
    panel: bool,
    theme: &Theme,
) -> Vec<Span<'static>> {
    let style = if panel { theme.strong } else { theme.text };
    let mut title = vec![Span::styled("errors", style)];
    if panel && !entity.entity.is_sole() {
        title.push(Span::styled(format!("  {}", entity.entity), theme.dim));
    }
    let filter = &state.filters.panes;
    if !filter.is_empty() {
        let all = entity.features.len();
        title.push(Span::styled(format!("  {listed} of {all} · "), theme.dim));
        title.push(Span::styled(format!("/{filter}"), theme.accent));
    }
    title
}

/// The error of the whole window, and the threshold that it is held against.
fn notes(pipeline: &PipelineView, entity: &EntityView, theme: &Theme) -> Vec<Segment> {
    let mut notes = Vec::new();
    if let Some(mse) = entity.latest.as_ref().and_then(|v| v.mse) {
        let words = format!("window error {}", number(mse));
        notes.push(Segment::new(0, vec![Span::styled(words, theme.dim)]));
        if let Some(model) = &pipeline.model {
            let words = format!("threshold {}", number(model.threshold_mse));
            notes.push(Segment::new(1, vec![Span::styled(words, theme.dim)]));
        }
    }
    notes
}

/// The panel of an entity that is not there.
pub fn unknown(theme: &Theme, buffer: &mut Buffer, area: Rect) {
    let title = [Span::styled("errors", theme.strong)];
    let inner = boxed(buffer, area, theme.accent, &title, Vec::new());
    let words = ("nothing scored yet".to_owned(), theme.dim);
    centered(buffer, inner, &[words]);
}

/// Why there is no table.
fn nothing(state: &UiState, entity: &EntityView, order: &[usize]) -> Option<String> {
    if entity.features.iter().all(|f| f.mse.is_none()) {
        let words = match entity.latest.as_ref().map(|v| v.state) {
            Some(RowState::Stale) => "too few samples in the window",
            Some(RowState::Missing) => "no samples at this time",
            _ => "nothing scored yet",
        };
        return Some(words.to_owned());
    }
    let filter = &state.filters.panes;
    order
        .is_empty()
        .then(|| format!("no metric matches /{filter}"))
}

/// Verdicts that the small history goes back.
const HISTORY: usize = 24;

/// What a feature carried of the score at each of the newest verdicts, oldest first; NaN where there was no score.
fn carried(entity: &EntityView, column: usize) -> impl Iterator<Item = f64> + '_ {
    let skip = entity.recent.len().saturating_sub(HISTORY);
    entity.recent.iter().skip(skip).map(move |verdict| {
        let share = verdict.features.get(column).map(|part| part.share);
        share
            .zip(verdict.score)
            .map_or(f64::NAN, |(s, all)| s * all)
    })
}

/// The top of all small histories: the threshold, or the highest that one feature alone carried over it.
fn highest(entity: &EntityView) -> f64 {
    (0..entity.features.len())
        .flat_map(|column| carried(entity, column))
        .filter(|part| part.is_finite())
        .fold(1.0, f64::max)
}

/// Columns of the longest value or expectation.
fn longest_value(entity: &EntityView) -> u16 {
    let known = entity.features.iter().flat_map(|feature| {
        let value = latest(feature).map(|(value, _)| value);
        let unit = &feature.feature.unit;
        let known = value.into_iter().chain(feature.expected);
        known.map(|value| width(&unit.show(value)))
    });
    known.max().unwrap_or(0)
}

/// Which columns fit, and their widths.
struct Columns {
    name: u16,
    /// Width of value and expectation each; 0 where there is no room for them.
    number: u16,
    band: u16,
    error: bool,
    share: u16,
    bar: u16,
    history: u16,
}

/// Width of a number column, the blank before it included.
const NUMBER: u16 = 11;
/// Width of the contribution as a number, and with the whole word as its head.
const CONTRIBUTION: [u16; 2] = [8, 14];
/// Tables from this width on have the whole word.
const WHOLE_FROM: u16 = 130;
/// Width of a band whose ends share a unit, and of one whose ends do not (`505 KiB/s–1.79 MiB/s`).
const BANDS: [u16; 2] = [19, 23];

impl Columns {
    /// `longest` is the room that the longest name takes, `value` the columns of the longest value.
    fn over(room: u16, longest: u16, value: u16) -> Self {
        let number = match room {
            0..36 => 0,
            36..WHOLE_FROM => NUMBER,
            // Spare columns go to values that are longer than usual.
            _ => (value + 2).clamp(NUMBER, 2 * NUMBER),
        };
        let error = room >= 58;
        let [short_word, whole_word] = CONTRIBUTION;
        let share = if room < WHOLE_FROM {
            short_word
        } else {
            whole_word
        };
        let mut rest = room.saturating_sub(share);
        rest = rest.saturating_sub(2 * number);
        rest = rest.saturating_sub(if error { NUMBER } else { 0 });
        let name = longest.clamp(12, 32);
        let fits = |band: &u16| error && rest >= name + band;
        let band = BANDS.into_iter().rfind(fits).unwrap_or(0);
        rest -= band;
        let history = short(HISTORY) + 1;
        let history = if rest >= name + history + 8 {
            history
        } else {
            0
        };
        rest -= history;
        // The bar takes what the names leave.
        let bar = match rest.saturating_sub(name) {
            0..5 => 0,
            left => left.min(25),
        };
        Self {
            name: rest - bar,
            number,
            band,
            error,
            share,
            bar: bar.saturating_sub(1),
            history: history.saturating_sub(1),
        }
    }
}

struct Table<'a> {
    columns: Columns,
    names: Names,
    entity: &'a EntityView,
    highest: f64,
    theme: &'a Theme,
}

impl Table<'_> {
    /// The column that the rows are sorted by has a mark.
    fn head(&self, (order, reversed): (ErrorOrder, bool), buffer: &mut Buffer, area: Rect) {
        let (columns, theme) = (&self.columns, self.theme);
        let word = |name: &str, by: ErrorOrder| {
            let (arrow, style) = if by == order {
                (mark(reversed), theme.text)
            } else {
                ("", theme.dim)
            };
            (format!("{name}{arrow}"), style)
        };
        let mut pen = Pen::on(buffer, area, 0);
        let (name, style) = word("feature", ErrorOrder::Name);
        pen.cell(&name, columns.name, style);
        if columns.number > 0 {
            pen.figure("value", columns.number, theme.dim);
            let (name, style) = word("expected", ErrorOrder::Deviation);
            pen.figure(&name, columns.number, style);
        }
        pen.figure("band", columns.band, theme.dim);
        if columns.error {
            let (name, style) = word("error", ErrorOrder::Error);
            pen.figure(&name, NUMBER, style);
        }
        let name = if columns.share == CONTRIBUTION[1] {
            "contribution"
        } else {
            "contr."
        };
        let (name, style) = word(name, ErrorOrder::Share);
        pen.figure(&name, columns.share, style);
        if columns.history > 0 {
            pen.skip(columns.bar + 2)
                .say("contr. × score, newest", theme.dim);
        }
    }

    fn row(&self, column: usize, buffer: &mut Buffer, area: Rect, line: u16) {
        let (columns, theme) = (&self.columns, self.theme);
        let Some(feature) = self.entity.features.get(column) else {
            return;
        };
        let hot = feature.anomalous.last().is_some_and(|v| v > 0.5);
        let mut pen = Pen::on(buffer, area, line);
        let latest = self.entity.latest.as_ref();
        let is_excused = latest.is_some_and(|verdict| verdict.excused.contains(&column));
        let plain = if is_excused { theme.dim } else { theme.text };
        let name = if hot && !is_excused { theme.bad } else { plain };
        pen.cell(&self.names.cut(&feature.feature.name), columns.name, name);
        self.numbers(column, feature, &mut pen);
        let share = feature.share.map_or("–".into(), percent);
        pen.figure(&share, columns.share, plain);
        let style = if hot { theme.hot } else { theme.line };
        if columns.bar > 0 {
            let part = feature.share.unwrap_or(0.0);
            pen.skip(1).spans(&bar(part, columns.bar, style, theme));
        }
        if columns.history > 0 {
            pen.skip(1);
            let (glyphs, style) = self.history(column, style);
            pen.say(&glyphs, style);
        }
    }

    fn numbers(&self, column: usize, feature: &FeatureView, pen: &mut Pen<'_>) {
        let (columns, theme) = (&self.columns, self.theme);
        let unit = &feature.feature.unit;
        if columns.number > 0 {
            let value = latest(feature).map_or("–".into(), |(v, _)| unit.show(v));
            let expected = feature.expected.map_or("–".into(), |v| unit.show(v));
            pen.figure(&value, columns.number, theme.text).figure(
                &expected,
                columns.number,
                theme.dim,
            );
        }
        if columns.band > 0 {
            let verdict = self.entity.latest.as_ref();
            let part = verdict.and_then(|verdict| verdict.features.get(column));
            let band = part.and_then(|part| {
                let (lower, upper) = Ends::of(feature).cut((part.lower, part.upper));
                between(unit, lower, upper)
            });
            pen.figure(band.as_deref().unwrap_or("–"), columns.band, theme.dim);
        }
        if columns.error {
            let error = feature.mse.map_or("–".into(), number);
            pen.figure(&error, NUMBER, theme.text);
        }
    }

    /// What it carried of the score, as blocks over a height that all rows share; right-aligned, so that the newest stand
    /// under each other.
    fn history(&self, column: usize, style: Style) -> (String, Style) {
        let glyphs: String = carried(self.entity, column)
            .map(|part| {
                if part.is_finite() {
                    block(part / self.highest, self.theme.unicode)
                } else {
                    ' '
                }
            })
            .collect();
        (right(&glyphs, self.columns.history), style)
    }
}
