//! All entities of the pipeline: a heat map of their scores, and a line for each.

use ratatui::buffer::Buffer;
use ratatui::layout::{Margin, Rect};
use ratatui::style::Style;
use ratatui::text::Span;

use crate::domain::{EntityView, PipelineView};
use crate::tui::lists::{EntityOrder, Standing, mark, page_start};
use crate::tui::state::UiState;
use crate::tui::text::{Names, number, percent, width};
use crate::tui::theme::Theme;

use super::header::threshold_bar;
use super::heat::{Cells, legend};
use super::log::lasting;
use super::pen::{Pen, Segment, boxed, centered, point, table};
use super::why::glossary;

/// Draws the panel.
///
/// ```text
/// ╭ entities  8 ──────────────────────────── 1 anomalous · worst first ╮
/// │ ●▸█ ▃ ▂ ▁ ▁ ▁ ·                                                    │
/// │ ▁ to ▇ up to the threshold   █ over it   ● anomalous   · unknown   │
/// │   entity      score                      state      top feature    │
/// │ ● web-1        4.21 ━━━━━━━━━┃━━━━━━━━━  anomalous  latency 61 %   │
/// │▸◐ web-2        1.08 ━━━━━━━━━┃─────────  no alarm: budget          │
/// ╰────────────────────────────────────────────────────────────────────╯
/// ```
pub fn draw(
    state: &UiState,
    pipeline: &PipelineView,
    theme: &Theme,
    buffer: &mut Buffer,
    area: Rect,
) {
    let listed = state.entities(pipeline);
    let title = title(state, listed.len(), pipeline.entities.len(), theme);
    let notes = notes(state, &listed, theme);
    let inner = boxed(buffer, area, theme.accent, &title, notes);
    if listed.is_empty() {
        let filter = &state.filters.entities;
        let words = if pipeline.entities.is_empty() {
            "none yet".to_owned()
        } else {
            format!("no entity matches /{filter}")
        };
        return centered(buffer, inner, &[(words, theme.dim)]);
    }
    let parts = Parts::of(inner, listed.len());
    let pointed = state.pointed_index(pipeline, &listed);
    if !parts.map.is_empty() {
        let standings: Vec<Standing> = listed.iter().map(|(_, standing)| *standing).collect();
        parts
            .cells
            .draw(&standings, pointed, theme, buffer, parts.map);
        legend(
            &parts.cells,
            theme,
            buffer,
            parts.legend,
            parts.legend.height.saturating_sub(2),
        );
    }
    let names = pipeline.entities.iter().map(|e| width(e.entity.name()));
    let columns = Columns::over(parts.rows.width, names.max().unwrap_or(0));
    let all = pipeline.entities.iter().map(|e| e.entity.name());
    let names = Names::fit(all, columns.name.saturating_sub(1));
    if !parts.head.is_empty() {
        columns.head(
            (state.entity_order, state.reversed.entities),
            theme,
            buffer,
            parts.head,
        );
    }
    let page = usize::from(parts.rows.height).max(1);
    let first = page_start(pointed, page, listed.len());
    for (line, (entity, standing)) in (0_u16..).zip(listed.iter().skip(first).take(page)) {
        let row = Row {
            entity,
            standing: *standing,
            open: open(pipeline, entity),
        };
        row.draw((&columns, names), theme, buffer, parts.rows, line);
        if first + usize::from(line) == pointed {
            point(buffer, parts.rows, line, theme);
        }
    }
}

/// Where the rows are of the list in `area`, when `listed` of them are listed.
pub fn rows(area: Rect, listed: usize) -> Rect {
    Parts::of(area.inner(Margin::new(1, 1)), listed).rows
}

/// Entities on one page of that list.
pub fn page(area: Rect, listed: usize) -> usize {
    usize::from(rows(area, listed).height).max(1)
}

/// `entities  3 of 14 · /web`
fn title(state: &UiState, listed: usize, all: usize, theme: &Theme) -> Vec<Span<'static>> {
    let mut title = vec![Span::styled("entities", theme.strong)];
    let filter = &state.filters.entities;
    if filter.is_empty() {
        title.push(Span::styled(format!("  {all}"), theme.dim));
    } else {
        title.push(Span::styled(format!("  {listed} of {all} · "), theme.dim));
        title.push(Span::styled(format!("/{filter}"), theme.accent));
    }
    title
}

/// How many are anomalous or over the threshold, and the order.
fn notes(state: &UiState, listed: &[(&EntityView, Standing)], theme: &Theme) -> Vec<Segment> {
    let count = |is: fn(&Standing) -> bool| listed.iter().filter(|(_, s)| is(s)).count();
    let mut notes = Vec::new();
    for (rank, count, words, style) in [
        (
            0,
            count(|s| matches!(s, Standing::Anomalous(_))),
            "anomalous",
            theme.bad,
        ),
        (
            1,
            count(|s| matches!(s, Standing::Over(_))),
            "over the threshold",
            theme.warn,
        ),
    ] {
        if count > 0 {
            let words = format!("{count} {words}");
            notes.push(Segment::new(rank, vec![Span::styled(words, style)]));
        }
    }
    let order = Span::styled(state.entity_order.told(state.reversed.entities), theme.dim);
    notes.push(Segment::new(2, vec![order]));
    notes
}

/// Where map, legend, head and rows are.
struct Parts {
    cells: Cells,
    map: Rect,
    legend: Rect,
    head: Rect,
    rows: Rect,
}

impl Parts {
    fn of(inner: Rect, listed: usize) -> Self {
        let most = if inner.height >= 9 && listed > 1 {
            inner.height / 3
        } else {
            0
        };
        let inner = table(inner);
        let cells = Cells::arrange(listed, inner.width, most);
        let map = cells.rows();
        let legend = match inner.height {
            _ if map == 0 => 0,
            0..16 => 1,
            _ => 3,
        };
        let head = u16::from(inner.height >= 5 && inner.width >= 36);
        let mut y = inner.y;
        let mut next = |height: u16| {
            let part = Rect { y, height, ..inner };
            y += height;
            part
        };
        Self {
            cells,
            map: next(map),
            legend: next(legend),
            head: next(head),
            rows: next(inner.height - map - legend - head),
        }
    }
}

/// Widths of the columns; one that is 0 is not drawn.
struct Columns {
    name: u16,
    score: u16,
    bar: u16,
    state: u16,
    top: u16,
    open: u16,
}

/// Columns of the sign.
const SIGNS: u16 = 2;

impl Columns {
    /// `longest` is the width of the longest name.
    fn over(room: u16, longest: u16) -> Self {
        let name = longest.clamp(8, (room / 3).clamp(8, 32)) + 1;
        let score = 8;
        let bar = match room {
            0..66 => 0,
            66..100 => 15,
            _ => 25,
        };
        let left = |taken: u16, most: u16| room.saturating_sub(SIGNS + taken).min(most);
        let state = left(name + score + bar, 22);
        let top = left(name + score + bar + state, 24);
        let open = left(name + score + bar + state + top, 12);
        // What is left goes to names that are longer than their column, then to the feature.
        let spare = room.saturating_sub(SIGNS + name + score + bar + state + top + open);
        let lacks = (longest + 1).saturating_sub(name).min(spare);
        let (name, top) = (name + lacks, top + (spare - lacks).min(24));
        Self {
            name,
            score,
            bar,
            state,
            top: if top < 10 { 0 } else { top },
            open: if open < 9 { 0 } else { open },
        }
    }

    fn head(
        &self,
        (order, reversed): (EntityOrder, bool),
        theme: &Theme,
        buffer: &mut Buffer,
        area: Rect,
    ) {
        let named = |by: EntityOrder| {
            let is_by = by == order;
            let style = if is_by { theme.text } else { theme.dim };
            let mark = if is_by { mark(reversed) } else { "" };
            (format!("{}{mark}", by.column()), style)
        };
        let [score, entity, open] = EntityOrder::ALL.map(named);
        Pen::on(buffer, area, 0)
            .skip(SIGNS)
            .cell(&entity.0, self.name, entity.1)
            .figure(&score.0, self.score, score.1)
            .skip(self.bar + 2)
            .cell("state", self.state.saturating_sub(2), theme.dim)
            .cell(word("top feature", self.top), self.top, theme.dim)
            .cell(if self.open == 0 { "" } else { &open.0 }, self.open, open.1);
    }
}

const fn word(name: &'static str, room: u16) -> &'static str {
    if room == 0 { "" } else { name }
}

/// How long the entity's open incident lasts.
fn open(pipeline: &PipelineView, entity: &EntityView) -> Option<String> {
    let open = pipeline.open_incidents.get(&entity.entity);
    open.map(|incident| lasting(incident, pipeline.step))
}

struct Row<'a> {
    entity: &'a EntityView,
    standing: Standing,
    open: Option<String>,
}

impl Row<'_> {
    fn draw(
        &self,
        (columns, names): (&Columns, Names),
        theme: &Theme,
        buffer: &mut Buffer,
        area: Rect,
        line: u16,
    ) {
        let (sign, style) = sign(self.standing, theme);
        let score = self.standing.score();
        let over = score.is_some_and(|score| score > 1.0);
        let text = if score.is_some() {
            theme.text
        } else {
            theme.dim
        };
        let mut pen = Pen::on(buffer, area, line);
        pen.say(sign, style)
            .skip(1)
            .cell(
                &names.cut(&self.entity.entity.to_string()),
                columns.name,
                text,
            )
            .figure(
                &score.map_or("–".into(), number),
                columns.score,
                if over { style } else { text },
            );
        self.gauge(columns.bar, theme, &mut pen);
        let at = SIGNS + columns.name + columns.score + columns.bar;
        let calm = matches!(self.standing, Standing::Normal(_));
        let top = if over { theme.text } else { theme.dim };
        let open = self.open.as_deref().unwrap_or_default();
        pen.to(area, at + 2)
            .cell(
                &self.words(),
                columns.state.saturating_sub(2),
                if calm { theme.dim } else { style },
            )
            .cell(&self.top(), columns.top, top)
            .cell(open, columns.open, theme.bad);
    }

    /// The score against the threshold; nothing where there is no score.
    fn gauge(&self, room: u16, theme: &Theme, pen: &mut Pen<'_>) {
        let Some(score) = self.standing.score().filter(|_| room > 1) else {
            return;
        };
        let ink = match self.standing {
            Standing::Anomalous(_) => theme.hot,
            Standing::Over(_) => theme.warn,
            _ => theme.line,
        };
        let mut spans = threshold_bar(score, room - 2, ink, theme);
        for span in spans.iter_mut().filter(|span| span.content == "┃") {
            // One under the other they make a line of their own.
            span.style = theme.dim;
        }
        pen.skip(1).spans(&spans);
    }

    fn words(&self) -> String {
        match self.standing {
            Standing::Anomalous(_) => "anomalous".into(),
            Standing::Over(_) => {
                let latest = self.entity.latest.as_deref();
                let stopped = latest.and_then(|verdict| glossary::stopped(&verdict.gates));
                stopped.unwrap_or("over the threshold").to_owned()
            }
            Standing::Normal(_) => "normal".into(),
            Standing::Stale => "stale".into(),
            Standing::Missing => "missing".into(),
            Standing::WarmingUp(part) if part < 1.0 => format!("warming up {}", percent(part)),
            Standing::WarmingUp(_) => "not scored yet".into(),
        }
    }

    /// The feature with the largest contribution to the score, of those whose deviation counts.
    fn top(&self) -> String {
        let latest = self.entity.latest.as_ref();
        let excused = latest.map_or(&[][..], |verdict| &verdict.excused);
        let features = self.entity.features.iter().enumerate();
        let counted = features.filter(|(column, _)| !excused.contains(column));
        let known = counted.filter_map(|(_, f)| {
            let share = f.share.filter(|share| share.is_finite())?;
            Some((&f.feature.name, share))
        });
        let top = known.max_by(|a, b| a.1.total_cmp(&b.1));
        match (self.standing.score(), top) {
            (Some(_), Some((name, share))) => format!("{name} {}", percent(share)),
            _ => String::new(),
        }
    }
}

/// A sign that survives without colour, and the look of the words.
fn sign(standing: Standing, theme: &Theme) -> (&'static str, Style) {
    match standing {
        Standing::Anomalous(_) => ("●", theme.bad),
        Standing::Over(_) => ("◐", theme.warn),
        Standing::Normal(_) => ("○", theme.good),
        Standing::Stale | Standing::Missing | Standing::WarmingUp(_) => ("◌", theme.dim),
    }
}
