//! One feature over the whole body: a chart with axes, the score under it, the figures in words.

use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Span;

use crate::domain::{EntityView, FeatureView, Time, Unit};
use crate::tui::state::{Mode, UiState};
use crate::tui::text::{self, number, percent, tick, width};
use crate::tui::theme::Theme;

use super::chart::{Axis, Chart, Ink, Scale};
use super::pane::{figures, fill};
use super::pen::{Pen, boxed, centered};
use super::plot::{Plot, Window, flags, latest};

/// Columns of the value labels at the left.
const LABELS: u16 = 11;
/// Distances that time labels may have, in seconds.
const STEPS: [u64; 15] = [
    60, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400, 172_800, 604_800,
    1_209_600, 2_592_000,
];

/// Draws the selected feature.
pub fn draw(state: &UiState, entity: &EntityView, theme: &Theme, buffer: &mut Buffer, area: Rect) {
    let order = state.order(entity);
    let place = state.selected_index(entity, &order);
    let window = Window::of(state, entity);
    let found = order
        .get(place)
        .and_then(|column| window.plot(entity, *column));
    let Some((feature, plot)) = found else {
        return;
    };
    let now = latest(feature).map(|(value, _)| value);
    let alarmed = feature.anomalous.last().is_some_and(|v| v > 0.5);
    let mut title = vec![Span::styled(feature.feature.name.to_string(), theme.strong)];
    if !entity.entity.is_sole() {
        title.push(Span::styled(format!("  {}", entity.entity), theme.dim));
    }
    title.push(Span::styled(
        format!("  {} of {}", place + 1, order.len()),
        theme.dim,
    ));
    let inner = boxed(
        buffer,
        area,
        theme.accent,
        &title,
        figures(feature, &plot, now, alarmed, theme),
    );
    let parts = Parts::split(inner, state.mode != Mode::LongTerm);
    let ahead = state.mode == Mode::LongTerm;
    facts(feature, ahead, theme, buffer, parts.facts);
    let limit = feature.feature.limit;
    let Some(scale) = plot.scale(limit) else {
        let words = ("no data in this time range".to_owned(), theme.dim);
        return centered(buffer, parts.chart, &[words]);
    };
    let mut chart = Chart::new(parts.chart, window.axis, scale, theme.unicode);
    fill(&mut chart, &plot, &window, limit, theme);
    chart.paint(buffer, theme);
    heights(&feature.feature.unit, scale, theme, buffer, parts.heights);
    axis(&chart, &window, theme, buffer, parts.axis);
    score(entity, &window, &plot, theme, buffer, &parts);
}

/// ```text
/// │ heights │ chart          │
/// │         │ axis           │ markers and times, 2 lines
/// │ score   │ track          │ 3 or 6 lines under a blank one, where there is room
/// │ facts                    │ 1 line
/// ```
struct Parts {
    chart: Rect,
    heights: Rect,
    axis: Rect,
    track: Rect,
    facts: Rect,
}

impl Parts {
    fn split(inner: Rect, scored: bool) -> Self {
        let labels = if inner.width >= 50 { LABELS } else { 0 };
        let low = inner.height < 6;
        let axis = if low { inner.height.min(1) } else { 2 };
        let facts = u16::from(inner.height >= 8);
        let track = match inner.height {
            _ if !scored => 0,
            0..16 => 0,
            16..28 => 4,
            _ => 7,
        };
        let chart = inner.height - axis - facts - track;
        let plain = Rect {
            x: inner.x + labels,
            width: inner.width - labels,
            height: chart,
            ..inner
        };
        let below = |y: u16, height: u16| Rect { y, height, ..plain };
        Self {
            chart: plain,
            heights: Rect {
                width: labels,
                height: chart,
                ..inner
            },
            axis: below(inner.y + chart, axis),
            track: below(inner.y + chart + axis, track),
            facts: Rect {
                y: inner.y + chart + axis + track,
                height: facts,
                ..inner
            },
        }
    }
}

/// Round values at the left, on the rows where they are.
fn heights(unit: &Unit, scale: Scale, theme: &Theme, buffer: &mut Buffer, area: Rect) {
    let last = area.height.saturating_sub(1);
    if area.width < 4 || last == 0 {
        return;
    }
    let room = area.width - 2;
    let mut free = 0;
    for value in round_values(unit, scale, f64::from((last / 2).clamp(2, 8))) {
        let part = (scale.high - value) / (scale.high - scale.low);
        let row = text::short(text::whole(part * f64::from(last)));
        if row < free || row > last {
            continue;
        }
        free = row + 2;
        let shown = unit.show(value);
        let shown = text::cut(&shown, room);
        Pen::on(buffer, area, row)
            .skip(room - width(&shown))
            .say(&shown, theme.dim);
        Pen::on(buffer, area, row)
            .to(area, area.width - 1)
            .say("┤", theme.faint);
    }
}

/// About `count` round values on a scale, highest first; round as the unit counts, so bytes in powers of 1024.
fn round_values(unit: &Unit, scale: Scale, count: f64) -> Vec<f64> {
    let rough = (scale.high - scale.low) / count;
    let base = match unit {
        Unit::Bytes | Unit::BytesPerSecond => {
            1024_f64.powf(scale.high.abs().max(1.0).log(1024.0).floor())
        }
        _ => 1.0,
    };
    let decade = 10_f64.powf((rough / base).log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0]
        .map(|digit| digit * decade * base)
        .into_iter()
        .find(|step| *step >= rough);
    let Some(step) = step.filter(|step| step.is_finite() && *step > 0.0) else {
        return Vec::new();
    };
    let top = (scale.high / step).floor();
    (0..=text::whole(count) + 1)
        .map(|down| (top - down as f64) * step)
        .filter(|value| *value >= scale.low)
        .collect()
}

/// Markers under anomalous columns, and times at round distances.
fn axis(chart: &Chart, window: &Window<'_>, theme: &Theme, buffer: &mut Buffer, area: Rect) {
    for column in chart.hot_columns() {
        Pen::on(buffer, area, 0)
            .to(area, column)
            .say("▲", theme.hot);
    }
    let Some(row) = area.height.checked_sub(1) else {
        return;
    };
    let length = window.length();
    for (time, column) in ticks(window.axis, area.width)
        .into_iter()
        .filter_map(|time| Some((time, chart.cell_column(time)?)))
    {
        let label = tick(time, length);
        let left = column.saturating_sub(width(&label) / 2);
        if left + width(&label) <= area.width && row > 0 {
            Pen::on(buffer, area, row)
                .to(area, left)
                .say(&label, theme.dim);
        }
    }
}

/// Round times on an axis, far enough apart for their labels.
fn ticks(axis: Axis, room: u16) -> Vec<Time> {
    let length = axis.to.since(axis.from);
    let most = f64::from((room / 14).max(1));
    let step = STEPS
        .map(Duration::from_secs)
        .into_iter()
        .find(|step| length.as_secs_f64() / step.as_secs_f64() <= most);
    step.map_or_else(Vec::new, |step| {
        crate::domain::Grid::covering(axis.from, axis.to, step)
            .times()
            .collect()
    })
}

/// The entity's score over the same times, with the threshold as a dotted line.
fn score(
    entity: &EntityView,
    window: &Window<'_>,
    plot: &Plot,
    theme: &Theme,
    buffer: &mut Buffer,
    parts: &Parts,
) {
    if parts.track.height < 2 {
        return;
    }
    let area = Rect {
        y: parts.track.y + 1,
        height: parts.track.height - 1,
        ..parts.track
    };
    draw_score(entity, window, plot.values.len(), theme, buffer, area);
    if parts.heights.width > 0 {
        let label = Rect {
            width: parts.heights.width,
            x: parts.heights.x,
            ..area
        };
        Pen::on(buffer, label, 0).say("score over", theme.dim);
        Pen::on(buffer, label, 1).say("threshold", theme.dim);
    }
}

/// The score's line, red where rows were anomalous, with the threshold as a dotted line. Heights grow with the logarithm,
/// so that a score of 2 is still seen beside one of 200.
pub fn draw_score(
    entity: &EntityView,
    window: &Window<'_>,
    rows: usize,
    theme: &Theme,
    buffer: &mut Buffer,
    area: Rect,
) -> Option<f64> {
    let scores = entity.scores.tail(rows);
    let highest = scores
        .iter()
        .copied()
        .filter(|v| v.is_finite())
        .fold(None, |top: Option<f64>, v| {
            Some(top.map_or(v, |top| top.max(v)))
        });
    let heights: Vec<f64> = scores.iter().map(|score| score.ln_1p()).collect();
    let scale = Scale::over(heights.iter().copied().chain([0.0, 1.2_f64.ln_1p()]))?;
    let mut chart = Chart::new(area, window.axis, scale, theme.unicode);
    chart.guide(1.0_f64.ln_1p());
    chart.heat(&window.grid, &flags(&entity.anomalous, rows));
    chart.line(&window.grid, &heights, Ink::Line);
    chart.paint(buffer, theme);
    highest
}

/// `expected 210 ms · error 0.0123 · 61 % of the score · limit 2 s`, and of the long term how forecasts turned out:
/// `forecasts off by 12 ms on average · 91 % within the band`.
fn facts(feature: &FeatureView, ahead: bool, theme: &Theme, buffer: &mut Buffer, area: Rect) {
    let unit = &feature.feature.unit;
    let accuracy = feature.forecast_accuracy.filter(|_| ahead);
    let known = [
        (
            "forecasts off by ",
            accuracy.map(|found| unit.show(found.mae)),
        ),
        (
            "within the band ",
            accuracy.map(|found| percent(found.coverage)),
        ),
        ("expected ", feature.expected.map(|v| unit.show(v))),
        ("error ", feature.mse.map(number)),
        ("part in the score ", feature.share.map(percent)),
        ("limit ", feature.feature.limit.map(|v| unit.show(v))),
    ];
    let mut pen = Pen::on(buffer, area, 0);
    pen.skip(1);
    for (name, value) in known {
        if let Some(value) = value {
            pen.say(name, theme.dim).say(&value, theme.text).skip(3);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_not_too_many() {
        let axis = Axis {
            from: Time::from_secs(1_700_000_000),
            to: Time::from_secs(1_700_030_000),
            step: Duration::from_secs(60),
        };
        let found = ticks(axis, 120);
        assert!((4..=9).contains(&found.len()), "{found:?}");
        assert!(found.iter().all(|t| t.millis() % 3_600_000 == 0));
        assert!(ticks(axis, 10).len() <= 2);
    }

    #[test]
    fn heights_are_round_in_their_unit() {
        let shown = |unit: &Unit, low, high| -> Vec<String> {
            round_values(unit, Scale { low, high }, 4.0)
                .into_iter()
                .map(|v| unit.show(v))
                .collect()
        };
        assert_eq!(
            shown(&Unit::Seconds, 0.12, 0.91),
            ["800 ms", "600 ms", "400 ms", "200 ms"]
        );
        assert_eq!(
            shown(&Unit::Bytes, 4e9, 8e9),
            ["7 GiB", "6 GiB", "5 GiB", "4 GiB"]
        );
        assert_eq!(shown(&Unit::Celsius, -5.0, 4.0), ["0 °C", "-5 °C"]);
    }
}
