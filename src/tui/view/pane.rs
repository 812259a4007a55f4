//! The grid of feature panes, and one pane of it.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Span;

use crate::domain::{Breach, EntityView, FeatureView};
use crate::tui::action::Intent;
use crate::tui::state::{Focus, UiState};
use crate::tui::text;
use crate::tui::theme::Theme;
use crate::tui::zone::Zone;

use super::chart::{Chart, Ink};
use super::layout::{Kind, Panes};
use super::pen::{Pen, Segment, boxed, centered};
use super::plot::{Plot, Window, latest};

/// Draws the page of panes that holds the selected one.
pub fn grid(state: &UiState, entity: &EntityView, theme: &Theme, buffer: &mut Buffer, area: Rect) {
    let order = state.order(entity);
    if order.is_empty() {
        return none(state, theme, buffer, area);
    }
    let panes = Panes::of(state, entity, &order, area, Kind::Full);
    let selected = state.selected_index(entity, &order);
    let first = panes.first(selected, order.len());
    let window = Window::of(state, entity);
    let filled = (order.len() - first).min(panes.per_page());
    for (place, column) in order.iter().skip(first).take(filled).enumerate() {
        let Some((feature, plot)) = window.plot(entity, *column) else {
            continue;
        };
        let pane = Pane {
            feature,
            plot: &plot,
            window: &window,
            zone: &state.zone,
            selected: first + place == selected && state.focus == Focus::Panes,
        };
        let spot = panes.place(area, place, filled);
        if panes.is_line(place) {
            pane.line(theme, buffer, spot);
        } else {
            pane.draw(theme, buffer, spot);
        }
    }
}

/// Stands in place of the panes while a filter lets none through.
pub fn none(state: &UiState, theme: &Theme, buffer: &mut Buffer, area: Rect) {
    let word = &state.filters.panes;
    let back = if state.expanded {
        "goes back"
    } else {
        "shows all"
    };
    let lines = [
        (format!("no metric has “{word}” in its name"), theme.text),
        (String::new(), theme.text),
        (
            format!("{} {back}", state.keymap.key(Intent::Back)),
            theme.dim,
        ),
    ];
    centered(buffer, area, &lines);
}

struct Pane<'a> {
    feature: &'a FeatureView,
    plot: &'a Plot,
    window: &'a Window<'a>,
    zone: &'a Zone,
    selected: bool,
}

impl Pane<'_> {
    /// ```text
    /// ╭ cpu ────────── ↓ 12 % ↑ 89 % ─ ↗ 37.2 % ╮
    /// │ ⣀⡠⠔⠊⠑⠢⣀          ⢀⡠⠔⠊⠑⠢⣀               │
    /// ╰ 05:40 ─────────────▲▲────────── 14:00 ╯
    /// ```
    fn draw(&self, theme: &Theme, buffer: &mut Buffer, area: Rect) {
        let border = if self.selected {
            theme.accent
        } else {
            theme.faint
        };
        let now = latest(self.feature).map(|(value, _)| value);
        let alarmed = self.is_alarmed();
        let title = [Span::styled(
            self.feature.feature.name.to_string(),
            match (alarmed, self.selected) {
                (true, _) => theme.bad,
                (false, true) => theme.strong,
                (false, false) => theme.text,
            },
        )];
        let inner = boxed(
            buffer,
            area,
            border,
            &title,
            figures(self.feature, (self.plot, self.window), now, alarmed, theme),
        );
        let limit = self.feature.feature.limit;
        let Some(scale) = self.plot.scale(limit) else {
            let words = ("no data".to_owned(), theme.dim);
            return centered(buffer, inner, &[words]);
        };
        let mut chart = Chart::new(inner, self.window.axis, scale, theme.unicode);
        fill(&mut chart, self.plot, self.window, limit, theme);
        chart.paint(buffer, theme);
        times(self.window, self.zone, &chart, theme, buffer, area);
    }

    /// `▸ swap  no data`: a metric without data takes one row.
    fn line(&self, theme: &Theme, buffer: &mut Buffer, area: Rect) {
        let (sign, style) = if self.selected {
            ("▸ ", theme.strong)
        } else {
            ("  ", theme.text)
        };
        Pen::on(buffer, area, 0)
            .say(sign, theme.accent)
            .say(
                &text::cut(&self.feature.feature.name, area.width.saturating_sub(11)),
                style,
            )
            .say("  no data", theme.dim);
    }

    fn is_alarmed(&self) -> bool {
        self.feature.anomalous.last().is_some_and(|v| v > 0.5)
    }
}

/// Puts limit, band, forecast, heat and line on a chart, in the order in which they cover each other.
pub fn fill(
    chart: &mut Chart,
    plot: &Plot,
    window: &Window<'_>,
    limit: Option<f64>,
    theme: &Theme,
) {
    if let Some(limit) = limit {
        chart.guide(limit);
    }
    chart.heat(&window.grid, &plot.hot);
    if let Some(forecast) = &plot.forecast {
        chart.band(&forecast.grid, &forecast.lower, &forecast.upper, theme);
        chart.line(&forecast.grid, &forecast.yhat, Ink::Forecast);
    }
    if let (true, Some(last)) = (window.looks_ahead(), window.grid.last()) {
        chart.divide(last);
    }
    chart.line(&window.grid, &plot.values, Ink::Line);
}

/// Value with its trend, extremes, and what the forecast says of the limit.
pub fn figures(
    feature: &FeatureView,
    (plot, window): (&Plot, &Window<'_>),
    now: Option<f64>,
    alarmed: bool,
    theme: &Theme,
) -> Vec<Segment> {
    let unit = &feature.feature.unit;
    let mut figures = Vec::new();
    let breach = feature.breach.zip(feature.feature.limit);
    if let (Some((breach, limit)), Some(_)) = (breach, &plot.forecast) {
        figures.extend(reach(&breach, &unit.show(limit), theme));
    }
    // Points of history are means: the newest value, which stands beside the extremes, may be beyond all of them.
    let newest = now.filter(|_| window.follows);
    let extremes = plot.extremes().map(|(low, high)| {
        let newest = newest.unwrap_or(low);
        (low.min(newest), high.max(newest))
    });
    if let Some((low, high)) = extremes {
        let words = format!("↓ {}  ↑ {}", unit.show(low), unit.show(high));
        figures.push(Segment::new(2, vec![Span::styled(words, theme.dim)]));
    }
    let value = unit.show(now.unwrap_or(f64::NAN));
    let style = match (now, alarmed) {
        (None, _) => theme.dim,
        (_, true) => theme.bad,
        _ => theme.strong,
    };
    let mut spans = Vec::new();
    if let (Some(trend), Some(_)) = (plot.trend(), now) {
        spans.push(Span::styled(trend.sign(theme.unicode), theme.dim));
    }
    spans.push(Span::styled(value, style));
    figures.push(Segment::new(0, spans));
    figures
}

/// `reaches 90 % in 6 h 20 min (between 5 h and 9 h)`, as much of it as there is room for.
fn reach(breach: &Breach, limit: &str, theme: &Theme) -> Vec<Segment> {
    let earliest = text::exact_span(breach.earliest);
    if breach.is_now() {
        let words = format!("{limit} is reached");
        return vec![Segment::new(1, vec![Span::styled(words, theme.bad)])];
    }
    let Some(likely) = breach.likely else {
        let words = format!("won't reach {limit} within {earliest}");
        return vec![Segment::new(3, vec![Span::styled(words, theme.dim)])];
    };
    let words = format!("reaches {limit} in {}", text::exact_span(likely));
    let between = breach.latest.map_or_else(
        || format!("(not before {earliest})"),
        |latest| format!("(between {earliest} and {})", text::exact_span(latest)),
    );
    vec![
        Segment::new(1, vec![Span::styled(words, theme.warn)]),
        Segment::new(3, vec![Span::styled(between, theme.dim)]),
    ]
}

/// Markers under anomalous columns, and the times of both ends where no marker is in their way.
fn times(
    window: &Window<'_>,
    zone: &Zone,
    chart: &Chart,
    theme: &Theme,
    buffer: &mut Buffer,
    area: Rect,
) {
    let line = Rect {
        x: area.x + 1,
        y: area.bottom().saturating_sub(1),
        width: area.width.saturating_sub(2),
        height: 1,
    };
    let marks: Vec<u16> = chart.hot_columns().collect();
    let free = |from: u16, wide: u16| !marks.iter().any(|m| (from..from + wide).contains(m));
    let length = window.length();
    let start = format!(" {} ", zone.tick(window.axis.from, length));
    let end = format!(" {} ", zone.tick(window.axis.to, length));
    let (left, right) = (text::width(&start), text::width(&end));
    if line.width > left + right + 8 {
        if free(0, left) {
            Pen::on(buffer, line, 0).say(&start, theme.dim);
        }
        if free(line.width - right, right) {
            Pen::on(buffer, line, 0)
                .to(line, line.width - right)
                .say(&end, theme.dim);
        }
        let now = window.grid.last().filter(|_| window.looks_ahead());
        if let Some(column) = now.and_then(|now| chart.cell_column(now)) {
            let from = column.saturating_sub(2);
            if from > left && from + 5 < line.width - right && free(from, 5) {
                Pen::on(buffer, line, 0)
                    .to(line, from)
                    .say(" now ", theme.text);
            }
        }
    }
    for mark in marks {
        Pen::on(buffer, line, 0).to(line, mark).say("▲", theme.hot);
    }
}
