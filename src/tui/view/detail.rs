//! One feature over the whole body: a chart with axes, the score under it, the figures in words.

mod axes;
mod moment;
mod ruler;
mod shares;
mod track;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Span;

use crate::domain::{EntityView, FeatureView, PipelineView, Time};
use crate::tui::action::Intent;
use crate::tui::state::{Mode, UiState};
use crate::tui::text::{number, percent};
use crate::tui::theme::Theme;

use self::axes::{Cross, Stretch};
use super::chart::Chart;
use super::pane::{figures, fill};
use super::pen::{Pen, Segment, boxed, centered};
use super::plot::{Ends, Plot, Window, latest};

pub use self::moment::{Moment, between, parts, pointed, verdict_before};
pub use self::ruler::Ruler;
pub use self::track::draw_score;

/// Columns of the value labels at the left.
const LABELS: u16 = 11;

/// The part of the body that the large chart is drawn on: all of it, but for what an explanation beside it takes.
pub fn area(state: &UiState, body: Rect) -> Rect {
    let taken = super::why::beside(state, body);
    Rect {
        width: body.width - taken.width.min(body.width),
        ..body
    }
}

/// The large chart under way.
struct Detail<'a> {
    state: &'a UiState,
    pipeline: &'a PipelineView,
    entity: &'a EntityView,
    feature: &'a FeatureView,
    column: usize,
    window: Window<'a>,
    plot: Plot,
}

/// Draws the selected feature.
pub fn draw(
    state: &UiState,
    pipeline: &PipelineView,
    entity: &EntityView,
    theme: &Theme,
    buffer: &mut Buffer,
    body: Rect,
) {
    let order = state.order(entity);
    let place = state.selected_index(entity, &order);
    let window = Window::of(state, entity);
    let found = order
        .get(place)
        .and_then(|column| Some((*column, window.plot(entity, *column)?)));
    let Some((column, (feature, plot))) = found else {
        return;
    };
    let detail = Detail {
        state,
        pipeline,
        entity,
        feature,
        column,
        window,
        plot,
    };
    detail.draw((place, order.len()), theme, buffer, area(state, body));
}

impl Detail<'_> {
    fn draw(&self, place: (usize, usize), theme: &Theme, buffer: &mut Buffer, area: Rect) {
        let alarmed = self.feature.anomalous.last().is_some_and(|v| v > 0.5);
        let now = latest(self.feature).map(|(value, _)| value);
        let mut right = figures(
            self.feature,
            (&self.plot, &self.window),
            now,
            alarmed,
            theme,
        );
        right.splice(0..0, self.held(theme));
        boxed(buffer, area, theme.accent, &self.title(place, theme), right);
        let parts = Parts::of(self.state, area);
        let moment = Moment::of(
            self.state,
            self.entity,
            &self.window,
            (self.column, &self.plot),
        );
        let newest = self.entity.grid.last().unwrap_or(self.state.now);
        moment::readout(
            &moment,
            self.feature,
            (newest, &self.state.zone),
            theme,
            buffer,
            parts.readout,
        );
        let ahead = self.state.mode == Mode::LongTerm;
        let error = moment.part.map(|part| part.mse);
        facts(self.feature, ahead, error, theme, buffer, parts.facts);
        shares::column(self.entity, &moment, self.column, theme, buffer, parts.side);
        shares::strip(
            self.entity,
            &moment,
            self.column,
            theme,
            buffer,
            parts.strip,
        );
        self.chart(&moment, theme, buffer, &parts);
    }

    fn title(&self, (place, count): (usize, usize), theme: &Theme) -> Vec<Span<'static>> {
        let name = self.feature.feature.name.to_string();
        let mut title = vec![Span::styled(name, theme.strong)];
        if !self.entity.entity.is_sole() {
            title.push(Span::styled(format!("  {}", self.entity.entity), theme.dim));
        }
        let place = format!("  {} of {count}", place + 1);
        title.push(Span::styled(place, theme.dim));
        title
    }

    /// Says that what is shown does not end with the newest row, and how to come back to it.
    fn held(&self, theme: &Theme) -> Option<Segment> {
        let last = self.window.grid.last().filter(|_| !self.window.follows)?;
        let newest = self.entity.grid.last().unwrap_or(last);
        let end = self.state.keymap.key(Intent::End);
        let words = format!(
            "◂ until {}, {end} follows",
            self.state.zone.when(last, newest)
        );
        Some(Segment::new(1, vec![Span::styled(words, theme.warn)]))
    }

    /// Chart, axes and score track, with the crosshair through all of them.
    fn chart(&self, moment: &Moment<'_>, theme: &Theme, buffer: &mut Buffer, parts: &Parts) {
        let limit = self.feature.feature.limit;
        let band = self.band();
        let Some(scale) = self.plot.scale_with(limit, &band.lower, &band.upper) else {
            let words = ("no data in this time range".to_owned(), theme.dim);
            return centered(buffer, parts.chart, &[words]);
        };
        let mut chart = Chart::new(parts.chart, self.window.axis, scale, theme.unicode);
        let incidents = self.incidents(&mut chart);
        chart.band(&self.window.grid, &band.lower, &band.upper, theme);
        fill(&mut chart, &self.plot, &self.window, limit, theme);
        let cursor = self.state.cursor.map(|_| moment.time);
        if let Some(time) = cursor {
            chart.cross(time);
            let value = moment.value.or(moment.ahead.map(|(yhat, _, _)| yhat));
            chart.point(time, value.unwrap_or(f64::NAN));
        }
        chart.paint(buffer, theme);
        let unit = &self.feature.feature.unit;
        axes::heights(unit, scale, theme, buffer, parts.labels(parts.chart));
        let cross = cursor.and_then(|time| self.cross(&chart, time, parts.axis.width));
        let window = &self.window;
        axes::times(
            &chart,
            (window, &self.state.zone),
            &incidents,
            cross.as_ref(),
            theme,
            buffer,
            parts.axis,
        );
        let track = (parts.labels(parts.track), parts.track);
        track::draw(self.entity, window, cursor, theme, buffer, track);
        if let Some(cross) = cross {
            cross.draw(theme, buffer, parts.axis);
        }
    }

    fn cross(&self, chart: &Chart, time: Time, room: u16) -> Option<Cross> {
        let newest = self.entity.grid.last().unwrap_or(time);
        let words = self.state.zone.stamp(time, newest);
        Some(Cross::new(chart.cell_column(time)?, &words, room))
    }

    /// What was expected of the feature, row by row, as far as verdicts are kept.
    fn band(&self) -> Band {
        let rows = self.window.grid.len();
        let ends = Ends::of(self.feature);
        if let Some((mut lower, mut upper)) = self.window.history_band(self.entity, self.column) {
            // Far back it may have been where it has not been lately.
            let ends = self
                .plot
                .values
                .iter()
                .fold(ends, |ends, value| ends.with(*value));
            for (lower, upper) in lower.iter_mut().zip(&mut upper) {
                (*lower, *upper) = ends.cut((*lower, *upper));
            }
            return Band { lower, upper };
        }
        let mut band = Band {
            lower: vec![f64::NAN; rows],
            upper: vec![f64::NAN; rows],
        };
        let from = self.window.grid.start();
        let skip = self.entity.recent.partition_point(|v| v.time < from);
        for verdict in self.entity.recent.iter().skip(skip) {
            let row = self.window.grid.row(verdict.time);
            let part = parts(verdict).get(self.column);
            let (Some(row), Some(part)) = (row, part) else {
                continue;
            };
            let slots = (band.lower.get_mut(row), band.upper.get_mut(row));
            if let (Some(lower), Some(upper)) = slots {
                (*lower, *upper) = ends.cut((part.lower, part.upper));
            }
        }
        band
    }

    /// Shades the incidents of the entity that are in view; oldest first, so that the newest lies on top.
    fn incidents(&self, chart: &mut Chart) -> Vec<Stretch> {
        let half = self.window.grid.step() / 2;
        let (from, to) = (self.window.axis.from, self.window.axis.to);
        self.pipeline
            .incidents
            .iter()
            .rev()
            .filter(|i| i.entity == self.entity.entity && i.start <= to && i.end >= from)
            .filter_map(|incident| {
                let columns = chart.tint(incident.start - half, incident.end + half)?;
                Some(Stretch {
                    from: columns.0,
                    to: columns.1,
                    open: incident.is_open(),
                })
            })
            .collect()
    }
}

/// Ends of what is expected, on the window's rows; NaN where it is not known.
struct Band {
    lower: Vec<f64>,
    upper: Vec<f64>,
}

/// ```text
/// │ heights │ chart          │ shares │
/// │         │ axis           │        │ markers and times, 2 lines
/// │ score   │ track          │        │ a caption and 3 or 6 lines, where there is room
/// │ readout                           │ the moment that is pointed at, 1 line
/// │ shares                            │ where there is no room at the side, 1 or 2 lines
/// │ facts                             │ 1 line
/// ```
struct Parts {
    inner: Rect,
    chart: Rect,
    axis: Rect,
    track: Rect,
    readout: Rect,
    side: Rect,
    strip: Rect,
    facts: Rect,
}

impl Parts {
    /// The parts of the large chart with its border in `area`; the same for drawing and for the keys.
    fn of(state: &UiState, area: Rect) -> Self {
        let inner = Rect {
            x: area.x + 1,
            y: area.y + 1,
            width: area.width.saturating_sub(2),
            height: area.height.saturating_sub(2),
        };
        Self::split(inner, state.mode != Mode::LongTerm)
    }

    /// `explained`: what shares the features have in the score is known, so it has a place.
    fn split(inner: Rect, explained: bool) -> Self {
        let (wide, high) = (inner.width, inner.height);
        let beside = explained && wide >= 104 && high >= 8;
        let side = if beside {
            (wide * 3 / 10).clamp(34, 52)
        } else {
            0
        };
        let labels = if wide >= 50 { LABELS } else { 0 };
        let readout = u16::from(high >= 3);
        let strip = match high {
            _ if beside || !explained => 0,
            0..14 => 0,
            14..20 => 1,
            _ => 2,
        };
        let facts = u16::from(high >= 16);
        let axis = if high < 7 { high.min(1) } else { 2 };
        let track = match high {
            0..14 => 0,
            14..28 => 4,
            _ => 7,
        };
        let chart = high.saturating_sub(readout + strip + facts + axis + track);
        let mut y = inner.y;
        let mut line = |x: u16, width: u16, height: u16| {
            let part = Rect::new(inner.x + x, y, width, height);
            y += height;
            part
        };
        let room = wide - labels - side;
        Self {
            inner,
            chart: line(labels, room, chart),
            axis: line(labels, room, axis),
            track: line(labels, room, track),
            readout: line(0, wide, readout),
            strip: line(0, wide, strip),
            facts: line(0, wide, facts),
            side: Rect {
                x: inner.x + wide - side.saturating_sub(2),
                width: side.saturating_sub(3),
                height: if beside { chart + axis + track } else { 0 },
                ..inner
            },
        }
    }

    /// What is left of a part that begins behind the labels.
    fn labels(&self, part: Rect) -> Rect {
        Rect {
            x: self.inner.x,
            width: part.x.saturating_sub(self.inner.x),
            ..part
        }
    }
}

/// `error 0.0123   limit 2 s`, and of the long term how forecasts turned out: `forecasts off by 12 ms   within the band 91 %`.
fn facts(
    feature: &FeatureView,
    ahead: bool,
    error: Option<f64>,
    theme: &Theme,
    buffer: &mut Buffer,
    area: Rect,
) {
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
        (
            "error ",
            error.filter(|error| error.is_finite()).map(number),
        ),
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
