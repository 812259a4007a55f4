//! The small screen: a line for each feature.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::domain::EntityView;
use crate::tui::lists::page_start;
use crate::tui::state::UiState;
use crate::tui::text::{cut, short, width};
use crate::tui::theme::Theme;

use super::pen::{Pen, spark};
use super::plot::{Window, latest};

/// Draws the page of features that holds the selected one.
///
/// ```text
/// ▸ cpu       ▁▂▃▃▂▁▁▂▃▅▆▇   37.2 %
/// ● latency   ▁▁▁▁▁▁▁▁▁▁▇█   840 ms
/// ```
pub fn draw(state: &UiState, entity: &EntityView, theme: &Theme, buffer: &mut Buffer, area: Rect) {
    let area = Rect {
        x: area.x + 1,
        width: area.width.saturating_sub(2),
        ..area
    };
    let order = state.order(entity);
    if order.is_empty() {
        return super::pane::none(state, theme, buffer, area);
    }
    let selected = state.selected_index(entity, &order);
    let page = usize::from(area.height).max(1);
    let first = page_start(selected, page, order.len());
    let window = Window::of(state, entity);
    let value_room = 10_u16.min(area.width / 3);
    let name_room = (area.width / 4).clamp(6, 20);
    for (row, column) in order.iter().skip(first).take(page).enumerate() {
        let Some((feature, plot)) = window.plot(entity, *column) else {
            continue;
        };
        let alarmed = feature.anomalous.last().is_some_and(|v| v > 0.5);
        let (sign, sign_style) = match (alarmed, first + row == selected) {
            (true, _) => ("●", theme.bad),
            (false, true) => ("▸", theme.accent),
            (false, false) => (" ", theme.text),
        };
        let line = short(row);
        let value = latest(feature).map_or("–".to_owned(), |(v, _)| feature.feature.unit.show(v));
        let value = cut(&value, value_room);
        let mut pen = Pen::on(buffer, area, line);
        pen.say(sign, sign_style)
            .skip(1)
            .say(
                &cut(&feature.feature.name, name_room),
                if alarmed { theme.bad } else { theme.text },
            )
            .to(area, name_room + 4);
        let room = pen.room().saturating_sub(value_room + 1);
        let points = plot.values.len();
        for (glyph, from) in spark(&plot.values, room, theme.unicode) {
            let to = (from + points.div_ceil(usize::from(room).max(1))).min(points);
            let hot = plot
                .hot
                .get(from..to)
                .is_some_and(|bin| bin.iter().any(|hot| *hot));
            let style = if hot { theme.hot } else { theme.line };
            pen.say(glyph.encode_utf8(&mut [0; 4]), style);
        }
        let style = if alarmed { theme.bad } else { theme.strong };
        pen.to(area, area.width - width(&value).min(area.width))
            .say(&value, style);
    }
}
