//! The anomaly log: open incidents first, then in the order that was chosen.

use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::layout::{Margin, Rect};
use ratatui::style::Style;
use ratatui::text::Span;

use crate::domain::{EntityView, Incident, IncidentState, Label, PipelineView, Time};
use crate::tui::groups::Group;
use crate::tui::lists::{LEAST_SHARE, LogOrder, counted, mark, page_start};
use crate::tui::state::{Panel, Place, UiState};
use crate::tui::text::{self, Names, percent, short, span, width};
use crate::tui::theme::Theme;
use crate::tui::zone::Zone;

use super::incident;
use super::pen::{Pen, Segment, boxed, centered, point, table};

/// Draws the log.
///
/// ```text
/// ╭ anomalies ───────────────── 1 open ╮
/// │● 14:02  12 min  4.2×  latency 61 % │
/// │○ 09:40   3 min  1.3×  cpu 80 %  ✓  │
/// ```
///
/// As a panel it has a head, more columns where there is room, and what is known of the selected one below.
pub fn draw(
    state: &UiState,
    pipeline: &PipelineView,
    theme: &Theme,
    buffer: &mut Buffer,
    area: Rect,
) {
    let panel = state.place() == Place::Panel(Panel::Log);
    let focused = panel || state.place() == Place::Log;
    let border = if focused { theme.accent } else { theme.faint };
    let listed = state.incidents(pipeline);
    let found = state.listed(pipeline).len();
    let title = title(state, found, pipeline.incidents.len(), theme);
    let notes = notes(state, pipeline, panel, theme);
    let inner = boxed(buffer, area, border, &title, notes);
    if listed.is_empty() {
        return centered(buffer, inner, &[(nothing(state, pipeline), theme.dim)]);
    }
    let inner = if panel { table(inner) } else { inner };
    let parts = Parts::of(inner, panel);
    let longest = listed.iter().map(|i| width(i.entity.name())).max();
    let entity = longest.filter(|_| pipeline.grouped);
    let features = if panel {
        longest_blame(&listed, pipeline)
    } else {
        WIDEST
    };
    let columns = Columns::over(inner.width, entity, features, panel);
    let entities = listed.iter().map(|incident| incident.entity.name());
    if !parts.head.is_empty() {
        columns.head((state.log, state.reversed.log), theme, buffer, parts.head);
    }
    let selected = state.place_in(&listed);
    let page = usize::from(parts.rows.height).max(1);
    let first = page_start(selected, page, listed.len());
    let row = Row {
        columns: &columns,
        step: pipeline.step,
        now: newest(pipeline).unwrap_or(state.now),
        zone: &state.zone,
        pipeline,
        entities: Names::fit(entities, columns.entity.saturating_sub(1)),
    };
    let groups = state.groups(pipeline);
    for (line, incident) in listed.iter().skip(first).take(page).enumerate() {
        let line = short(line);
        match groups.iter().find(|group| group.holds(incident)) {
            Some(group) if !state.unfolded.contains(&group.start) => {
                row.draw_group(group, theme, buffer, parts.rows, line);
            }
            Some(_) => row.draw(incident, "┆", theme, buffer, parts.rows, line),
            None => row.draw(incident, " ", theme, buffer, parts.rows, line),
        }
        if first + usize::from(line) == selected {
            point(buffer, parts.rows, line, theme);
        }
    }
    if let Some(incident) = listed.get(selected).filter(|_| !parts.detail.is_empty()) {
        incident::draw(state, pipeline, incident, theme, buffer, parts.detail);
    }
}

/// Where the rows are of the log in `area`.
pub fn rows(area: Rect, panel: bool) -> Rect {
    Parts::of(area.inner(Margin::new(1, 1)), panel).rows
}

/// Incidents on one page of the log in `area`.
pub fn page(area: Rect, panel: bool) -> usize {
    usize::from(rows(area, panel).height).max(1)
}

/// `anomalies  12 of 40 · /cpu`
fn title(state: &UiState, listed: usize, all: usize, theme: &Theme) -> Vec<Span<'static>> {
    let focused = matches!(state.place(), Place::Log | Place::Panel(Panel::Log));
    let style = if focused { theme.strong } else { theme.text };
    let mut title = vec![Span::styled("anomalies", style)];
    let filter = &state.filters.log;
    if !filter.is_empty() {
        title.push(Span::styled(format!("  {listed} of {all} · "), theme.dim));
        title.push(Span::styled(format!("/{filter}"), theme.accent));
    }
    title
}

/// The order, where it is not the usual one or there is room for it, and how many are open.
fn notes(state: &UiState, pipeline: &PipelineView, panel: bool, theme: &Theme) -> Vec<Segment> {
    let mut notes = Vec::new();
    if panel || state.log != LogOrder::default() || state.reversed.log {
        let order = Span::styled(state.log.told(state.reversed.log), theme.dim);
        notes.push(Segment::new(1, vec![order]));
    }
    let open = pipeline.open_incidents.len();
    if open > 0 {
        let words = format!("{open} open");
        notes.push(Segment::new(0, vec![Span::styled(words, theme.bad)]));
    }
    notes
}

fn nothing(state: &UiState, pipeline: &PipelineView) -> String {
    let words = match (pipeline.incidents.is_empty(), pipeline.model.is_some()) {
        (false, _) => {
            let filter = &state.filters.log;
            return format!("no anomaly matches /{filter}");
        }
        (true, true) => "none so far",
        (true, false) => "none so far: nothing is judged before the first model",
    };
    words.to_owned()
}

/// The newest row of the data: recordings live in their own time.
fn newest(pipeline: &PipelineView) -> Option<Time> {
    pipeline.entities.first().and_then(|e| e.grid.last())
}

/// Where the head, the rows and the selected one's facts are.
struct Parts {
    head: Rect,
    rows: Rect,
    detail: Rect,
}

impl Parts {
    fn of(inner: Rect, panel: bool) -> Self {
        let head = u16::from(panel && inner.height >= 5 && inner.width >= 40);
        let detail = match inner.height {
            _ if !panel => 0,
            0..14 => 0,
            high => (high * 2 / 5).clamp(6, 14),
        };
        let rows = inner.height - head - detail;
        let part = |y: u16, height: u16| Rect { y, height, ..inner };
        Self {
            head: part(inner.y, head),
            rows: part(inner.y + head, rows),
            detail: part(inner.y + head + rows, detail),
        }
    }
}

/// Colour and sign of an incident's state; the sign survives without colour.
pub fn sign(incident: &Incident, theme: &Theme) -> (&'static str, Style) {
    match incident.state {
        IncidentState::Open => ("●", theme.bad),
        IncidentState::Closed => ("○", theme.dim),
        IncidentState::Vanished => ("◌", theme.dim),
        IncidentState::Settled => ("◐", theme.dim),
        IncidentState::Past => ("◇", theme.dim),
    }
}

/// How long it lasted or lasts; one row alone is less than a step.
pub fn lasting(incident: &Incident, step: Duration) -> String {
    lasting_for(incident.duration(), step)
}

fn lasting_for(length: Duration, step: Duration) -> String {
    if length.is_zero() {
        format!("<{}", span(step))
    } else {
        text::lasting(length)
    }
}

/// Its highest score, as `4.3×`.
pub fn peak(incident: &Incident) -> String {
    match incident.peak_score.min(9999.0) {
        score if score < 99.95 => format!("{score:.1}×"),
        score => format!("{score:.0}×"),
    }
}

/// `latency 61 %, cpu 22 %`: at most `count` features whose deviation counts, largest first.
pub fn blame(entity: Option<&EntityView>, incident: &Incident, count: usize) -> String {
    let parts: Vec<String> = counted(entity, incident)
        .into_iter()
        .take(count)
        .filter(|part| part.share >= LEAST_SHARE)
        .map(|part| format!("{} {}", part.feature, percent(part.share)))
        .collect();
    parts.join(", ")
}

/// Columns of the longest list of features.
fn longest_blame(listed: &[&Incident], pipeline: &PipelineView) -> u16 {
    let words = listed.iter().map(|incident| {
        width(&blame(
            pipeline.entity(&incident.entity).map(AsRef::as_ref),
            incident,
            4,
        ))
    });
    words.max().unwrap_or(0).clamp(24, WIDEST)
}

/// As many features as have room with their parts, else the first one's name.
fn fitting_blame(entity: Option<&EntityView>, incident: &Incident, room: u16) -> String {
    let whole = (1..=4).rev().map(|count| blame(entity, incident, count));
    let mut whole = whole.filter(|words| width(words) <= room);
    let first = || {
        let parts = counted(entity, incident);
        parts.first().map(|part| part.feature.to_string())
    };
    whole.next().or_else(first).unwrap_or_default()
}

/// As many features as have room with the number of incidents that they drove, else the first one's name.
fn fitting_drivers(group: &Group<'_>, room: u16) -> String {
    let drivers = group.drivers();
    let counted = |count: usize| {
        let counted = drivers.iter().take(count);
        let counted: Vec<String> = counted
            .map(|(name, incidents)| format!("{name} in {incidents}"))
            .collect();
        counted.join(", ")
    };
    let mut fitting = (1..=4)
        .rev()
        .map(counted)
        .filter(|words| width(words) <= room);
    let first = || drivers.first().map(|(name, _)| (*name).to_owned());
    fitting.next().or_else(first).unwrap_or_default()
}

/// Widths of the columns; one that is 0 is not drawn. Without columns of their own, label and acknowledgement are marks
/// at the end of the row.
struct Columns {
    id: u16,
    start: u16,
    end: u16,
    lasts: u16,
    entity: u16,
    peak: u16,
    parts: u16,
    state: u16,
    label: u16,
    seen: u16,
}

/// Columns of the sign, and of the blanks before entity and features.
const BLANKS: u16 = 2 + 1 + 2;

/// Most columns of the features in a row that goes on after them.
const WIDEST: u16 = 64;

impl Columns {
    /// `entity` is the width of the longest name, if there are names; `parts` that of the longest list of features.
    fn over(room: u16, entity: Option<u16>, parts: u16, panel: bool) -> Self {
        let full = panel && room >= 94;
        let words = panel && room >= 64;
        let pick = |wanted: bool, columns: u16| if wanted { columns } else { 0 };
        let most = if full {
            (room / 7).clamp(12, 24)
        } else {
            (room / 4).clamp(6, 16)
        };
        let longest = entity;
        let entity = entity.map(|longest| longest.clamp(6, most) + 1);
        let mut columns = Self {
            id: pick(full, 9),
            start: match room {
                _ if full => 14,
                // The head has a mark where the log is sorted by it.
                40.. if panel => 7,
                _ => 6,
            },
            end: pick(full && (room >= 116 || entity.is_none()), 14),
            lasts: 8,
            entity: entity.unwrap_or(0),
            // Who was to blame says more than how high it was.
            peak: pick(room >= 46 || entity.is_none(), 6),
            parts: 0,
            state: pick(words, 10),
            label: pick(words, 7),
            seen: pick(words, 5),
        };
        columns.parts = room.saturating_sub(columns.taken());
        if words {
            // State and label stay near what they are about.
            columns.parts = columns.parts.min(parts + 2);
            // What is left then goes to names that are longer than their column.
            let spare = room.saturating_sub(columns.taken() + columns.parts);
            let lacks = longest.map_or(0, |longest| (longest + 1).saturating_sub(columns.entity));
            columns.entity += lacks.min(spare);
        }
        columns
    }

    const fn taken(&self) -> u16 {
        let left = self.id + self.start + self.end + self.lasts + self.entity + self.peak;
        BLANKS + left + self.state + self.label + self.seen
    }

    fn head(
        &self,
        (order, reversed): (LogOrder, bool),
        theme: &Theme,
        buffer: &mut Buffer,
        area: Rect,
    ) {
        let dim = theme.dim;
        let named = |by: LogOrder| {
            let is_by = by == order;
            let style = if is_by { theme.text } else { dim };
            let mark = if is_by { mark(reversed) } else { "" };
            (format!("{}{mark}", by.column()), style)
        };
        let [start, lasts, peak, entity] = LogOrder::ALL.map(named);
        let mut pen = Pen::on(buffer, area, 0);
        pen.skip(2)
            .cell("id", self.id, dim)
            .cell(&start.0, self.start, start.1)
            .cell("end", self.end, dim)
            .figure(&lasts.0, self.lasts, lasts.1)
            .skip(1)
            .cell(&entity.0, self.entity, entity.1)
            .figure(&peak.0, self.peak, peak.1)
            .skip(2)
            .cell("features", self.parts, dim)
            .cell("state", self.state, dim)
            .cell("label", self.label, dim)
            .cell("seen", self.seen, dim);
    }
}

/// What the rows of a log have in common.
struct Row<'a> {
    columns: &'a Columns,
    step: Duration,
    now: Time,
    zone: &'a Zone,
    pipeline: &'a PipelineView,
    entities: Names,
}

impl Row<'_> {
    /// `● 14:02  12 min  ▸31 entities  4.2×  latency in 29, cpu in 2`: many that began together.
    fn draw_group(
        &self,
        group: &Group<'_>,
        theme: &Theme,
        buffer: &mut Buffer,
        area: Rect,
        line: u16,
    ) {
        let columns = self.columns;
        let Some(lead) = group.lead() else { return };
        let (glyph, style) = sign(lead, theme);
        let open = group.members.iter().filter(|i| i.is_open()).count();
        let is_seen = group.members.iter().all(|incident| incident.acknowledged);
        let text = if open > 0 || !is_seen {
            theme.text
        } else {
            theme.dim
        };
        let hot = if open > 0 { theme.bad } else { text };
        let start = match columns.id {
            0 => self.zone.when(group.start, self.now),
            _ => self.zone.moment(group.start),
        };
        let who = match columns.entity {
            0..13 => format!("▸{}×", group.entities),
            _ => format!("▸{} entities", group.entities),
        };
        let lasts = lasting_for(group.longest(), self.step);
        let mut pen = Pen::on(buffer, area, line);
        pen.say(glyph, style)
            .skip(1)
            .cell("group", columns.id, text)
            .say(&start, text)
            .to(area, 2 + columns.id + columns.start)
            .cell("–", columns.end, text)
            .figure(&lasts, columns.lasts, text)
            .skip(1)
            .cell(&who, columns.entity, theme.strong)
            .figure(&peak(lead), columns.peak, hot)
            .skip(2);
        let room = columns.parts.min(pen.room());
        let drivers = fitting_drivers(group, room.saturating_sub(1));
        pen.cell(&drivers, room + u16::from(columns.label == 0), text);
        let state = match open {
            0 => lead.state.word().to_owned(),
            open => format!("{open} open"),
        };
        pen.cell(&state, columns.state, hot)
            .skip(columns.label)
            .cell(if is_seen { "✓" } else { "" }, columns.seen, theme.good);
    }

    fn draw(
        &self,
        incident: &Incident,
        mark: &str,
        theme: &Theme,
        buffer: &mut Buffer,
        area: Rect,
        line: u16,
    ) {
        let columns = self.columns;
        let (glyph, style) = sign(incident, theme);
        // What somebody has seen or judged steps back.
        let fresh = !incident.acknowledged && incident.label.is_none();
        let text = if incident.is_open() || fresh {
            theme.text
        } else {
            theme.dim
        };
        let mut pen = Pen::on(buffer, area, line);
        if columns.label == 0 {
            pen.right(&marks(incident, area.width >= 56, theme));
        }
        let time = |time: Time| match columns.id {
            0 => self.zone.when(time, self.now),
            _ => self.zone.moment(time),
        };
        let id = match incident.id {
            0 => "–".to_owned(),
            id => format!("#{id}"),
        };
        let end = if incident.is_open() {
            "–".to_owned()
        } else {
            time(incident.end)
        };
        let hot = if incident.is_open() { theme.bad } else { text };
        pen.say(glyph, style)
            .say(mark, theme.faint)
            .cell(&id, columns.id, text)
            .say(&time(incident.start), text)
            .to(area, 2 + columns.id + columns.start)
            .cell(&end, columns.end, text)
            .figure(&lasting(incident, self.step), columns.lasts, text)
            .skip(1)
            .cell(
                &self.entities.cut(incident.entity.name()),
                columns.entity,
                text,
            )
            .figure(&peak(incident), columns.peak, hot)
            .skip(2);
        let room = columns.parts.min(pen.room());
        let entity = self.pipeline.entity(&incident.entity).map(AsRef::as_ref);
        let words = fitting_blame(entity, incident, room.saturating_sub(1));
        pen.cell(&words, room + u16::from(columns.label == 0), text);
        let label = match incident.label {
            Some(Label::Real) => theme.warn,
            _ => theme.dim,
        };
        let seen = if incident.acknowledged { "✓" } else { "" };
        pen.cell(incident.state.word(), columns.state, hot)
            .cell(incident.label.map_or("", Label::word), columns.label, label)
            .cell(seen, columns.seen, theme.good);
    }
}

/// Label and acknowledgement in a few columns.
fn marks(incident: &Incident, wide: bool, theme: &Theme) -> Vec<Span<'static>> {
    let mut marks = Vec::new();
    match incident.label {
        Some(Label::False) if wide => marks.push(Span::styled(" false", theme.dim)),
        Some(Label::Real) if wide => marks.push(Span::styled(" real", theme.warn)),
        Some(Label::False) => marks.push(Span::styled(" ✗", theme.dim)),
        Some(Label::Real) => marks.push(Span::styled(" !", theme.warn)),
        None => {}
    }
    if incident.acknowledged {
        marks.push(Span::styled(" ✓", theme.good));
    }
    marks
}
