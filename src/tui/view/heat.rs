//! Entities as cells: a block as high as the score, so that hundreds can be seen at a glance.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Span;

use crate::domain::PipelineView;
use crate::tui::action::Intent;
use crate::tui::lists::Standing;
use crate::tui::state::UiState;
use crate::tui::text::{short, width};
use crate::tui::theme::Theme;

use super::pen::{Pen, block};

/// The glyph of an entity and its look: its height up to the threshold, full over it, a dot of its own for an anomaly.
pub fn cell(standing: Standing, theme: &Theme) -> (char, Style) {
    match standing {
        Standing::Anomalous(_) => ('●', theme.bad),
        Standing::Over(_) => ('█', theme.warn),
        Standing::Normal(score) => (block(score, theme.unicode), theme.line),
        Standing::Stale | Standing::Missing | Standing::WarmingUp(_) => ('·', theme.dim),
    }
}

/// Cells side by side: where there is room, with a blank before each.
pub struct Cells {
    /// Columns of one.
    wide: u16,
    /// Cells in a row.
    across: usize,
    /// Cells in all.
    count: usize,
    /// Entities that share them.
    entities: usize,
}

impl Cells {
    /// The cells of `entities` entities in at most `rows` rows of `columns` columns.
    pub fn arrange(entities: usize, columns: u16, rows: u16) -> Self {
        let wide = if entities * 2 <= usize::from(columns) {
            2
        } else {
            1
        };
        let across = usize::from(columns / wide).max(1);
        Self {
            wide,
            across,
            count: entities.min(across * usize::from(rows)),
            entities,
        }
    }

    /// Rows that they take.
    pub fn rows(&self) -> u16 {
        short(self.count.div_ceil(self.across))
    }

    /// Most entities in one cell.
    pub const fn crowd(&self) -> usize {
        self.entities
            .div_ceil(if self.count == 0 { 1 } else { self.count })
    }

    /// Draws them, each as the worst of those that share it; the one with entity `marked` stands out.
    pub fn draw(
        &self,
        standings: &[Standing],
        marked: usize,
        theme: &Theme,
        buffer: &mut Buffer,
        area: Rect,
    ) {
        for place in 0..self.count {
            let from = place * self.entities / self.count;
            let to = (place + 1) * self.entities / self.count;
            let shared = standings.get(from..to).unwrap_or_default().iter();
            let worst = shared.copied().max_by(|a, b| {
                let (a, b) = (a.badness(), b.badness());
                a.0.cmp(&b.0).then(a.1.total_cmp(&b.1))
            });
            let Some(worst) = worst else { continue };
            let (glyph, style) = cell(worst, theme);
            let is_marked = (from..to).contains(&marked);
            let mut pen = Pen::on(buffer, area, short(place / self.across));
            pen.skip(short(place % self.across) * self.wide);
            if self.wide == 2 {
                pen.say(if is_marked { "▸" } else { " " }, theme.accent);
            }
            let style = if is_marked && self.wide == 1 {
                theme.tab
            } else {
                style
            };
            pen.say(glyph.encode_utf8(&mut [0; 4]), style);
        }
    }
}

/// Draws all entities of a pipeline in one row, by name.
///
/// ```text
/// entities  ▁ ▁ ▂▸● ▁ █ ▁ ·                        1 anomalous · n shows all 8
/// ```
pub fn strip(
    state: &UiState,
    pipeline: &PipelineView,
    theme: &Theme,
    buffer: &mut Buffer,
    area: Rect,
) {
    let area = Rect {
        x: area.x + u16::from(area.width > 2),
        width: area.width.saturating_sub(2),
        ..area
    };
    let standings: Vec<Standing> = pipeline
        .entities
        .iter()
        .map(|view| Standing::of(view))
        .collect();
    let mut pen = Pen::on(buffer, area, 0);
    pen.cell("entities", 9, theme.dim);
    let mut tail = vec![Span::raw("  ")];
    let hot = standings
        .iter()
        .filter(|s| matches!(s, Standing::Anomalous(_)))
        .count();
    if hot > 0 {
        tail.push(Span::styled(format!("{hot} anomalous  "), theme.bad));
    }
    let all = standings.len();
    if state.hints {
        let key = state.keymap.key(Intent::Entities);
        tail.push(Span::styled(key, theme.accent));
        tail.push(Span::styled(format!(" shows all {all}"), theme.dim));
    } else {
        tail.push(Span::styled(format!("{all} in all"), theme.dim));
    }
    pen.right(&tail);
    let room = Rect {
        x: area.x + 9,
        width: pen.room(),
        ..area
    };
    let cells = Cells::arrange(standings.len(), room.width, 1);
    let shown = state.entity_index(pipeline);
    cells.draw(&standings, shown, theme, buffer, room);
}

/// What the cells mean.
pub fn legend(cells: &Cells, theme: &Theme, buffer: &mut Buffer, area: Rect, line: u16) {
    let low = if theme.unicode {
        "▁ to ▇"
    } else {
        "0 to 9"
    };
    let mut pieces = vec![
        (low, theme.line, "up to the threshold".to_owned()),
        ("█", theme.warn, "over it".to_owned()),
        ("●", theme.bad, "anomalous".to_owned()),
        ("·", theme.dim, "unknown".to_owned()),
    ];
    if cells.crowd() > 1 {
        let words = format!("each the worst of up to {}", cells.crowd());
        pieces.push(("", theme.dim, words));
    }
    let mut pen = Pen::on(buffer, area, line);
    for (glyph, style, words) in pieces {
        if pen.room() < width(glyph) + width(&words) + 1 {
            break;
        }
        pen.say(glyph, style).skip(1).say(&words, theme.dim).skip(3);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_share_the_room_there_is() {
        let few = Cells::arrange(7, 40, 3);
        assert_eq!((few.wide, few.rows(), few.crowd()), (2, 1, 1));
        let many = Cells::arrange(100, 60, 3);
        assert_eq!((many.wide, many.rows(), many.crowd()), (1, 2, 1));
        let crowd = Cells::arrange(1000, 60, 3);
        assert_eq!((crowd.count, crowd.rows(), crowd.crowd()), (180, 3, 6));
        assert_eq!(Cells::arrange(0, 0, 0).crowd(), 0);
        assert_eq!(Cells::arrange(5, 0, 0).rows(), 0);
    }
}
