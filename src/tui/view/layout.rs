//! Where everything is. Pure arithmetic on rectangles, shared by drawing and by the keys that move between panes.

use ratatui::layout::Rect;

use crate::tui::text;

/// Smallest screen that shows anything.
pub const SMALLEST: (u16, u16) = (20, 5);
/// Narrowest pane of the grid.
const PANE_WIDTH: u16 = 34;
/// Lowest pane: a border, two rows of chart, a border.
const PANE_HEIGHT: u16 = 4;
/// Width over height of a pane that reads well, in cells.
const ASPECT: f64 = 5.5;

/// What a screen of this size can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only the size that is needed.
    TooSmall,
    /// A list with a line for each feature.
    Compact,
    /// Panes, log and table.
    Full,
}

/// The rectangles of one frame; one that is empty is not drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// What fits.
    pub kind: Kind,
    /// Mode, source, model; score and counts.
    pub header: Rect,
    /// One line for each alert.
    pub alerts: Rect,
    /// All entities in a line, where there is more than one and room for it.
    pub strip: Rect,
    /// Everything between those and the hint bar.
    pub body: Rect,
    /// Feature panes (or the compact list).
    pub grid: Rect,
    /// The score over time.
    pub score: Rect,
    /// Anomaly log.
    pub log: Rect,
    /// Per-feature error table.
    pub errors: Rect,
    /// Hint bar.
    pub footer: Rect,
}

/// ```text
/// ┌───────────────────────────────────────────────────┐
/// │ pulsewatch  1 Live  2 Long-term  3 Test   source …│ header
/// │ score ▕████░░░│░░░░▏ 0.42        open · session   │
/// │ ! alerts: banner, frozen, stale, training         │ alerts, 0 to 4 lines
/// │ entities ▁▁▂●▁▁▁█▁▁                    n shows all│ strip, from 30 rows on
/// │╭ cpu ────── 37 % ╮╭ memory ─ 1.2 GiB ╮╭ score ───╮│
/// ││ ⣀⡠⠔⠊⠑⠢⣀         ││                  │╰──────────╯│ from 112 columns on: panes left,
/// │╰ 05:40 ─▲─ 14:00 ╯╰──────────────────╯╭ anomalies╮│ score, log and errors right;
/// │╭ disk ───────────╮╭ network ─────────╮╰──────────╯│ below: log and errors under the panes;
/// ││                 ││                  │╭ errors ──╮│ under 60×16: a list, a line for each feature
/// │╰─────────────────╯╰──────────────────╯╰──────────╯│
/// │ q quit  ? help  Tab mode  Enter expand  1–6 of 7  │ footer
/// └───────────────────────────────────────────────────┘
/// ```
#[must_use]
pub fn layout(area: Rect, alerts: usize, features: usize, entities: usize, hints: bool) -> Layout {
    let mut rest = area;
    let kind = match (area.width, area.height) {
        (w, h) if w < SMALLEST.0 || h < SMALLEST.1 => Kind::TooSmall,
        (w, h) if w < 60 || h < 16 => Kind::Compact,
        _ => Kind::Full,
    };
    let none = Rect::new(area.x, area.y, 0, 0);
    let header = top(&mut rest, if area.height >= 8 { 2 } else { 1 });
    let room = match kind {
        Kind::TooSmall => 0,
        Kind::Compact => area.height / 8,
        Kind::Full => (area.height / 8).min(4),
    };
    let alerts = top(&mut rest, room.min(text::short(alerts)));
    let footer = if hints && area.height >= 6 {
        bottom(&mut rest, 1)
    } else {
        none
    };
    let strip = if kind == Kind::Full && entities > 1 && area.height >= 30 {
        top(&mut rest, 1)
    } else {
        none
    };
    let body = rest;
    let mut layout = Layout {
        kind,
        header,
        alerts,
        strip,
        body,
        grid: body,
        score: none,
        log: none,
        errors: none,
        footer,
    };
    if kind == Kind::Full {
        split(&mut layout, features);
    }
    layout
}

fn split(layout: &mut Layout, features: usize) {
    let mut rest = layout.body;
    if rest.width >= 112 && rest.height >= 18 {
        let mut side = right(&mut rest, (layout.body.width * 2 / 5).clamp(44, 68));
        if side.height >= 28 {
            let height = (side.height * 28 / 100).min(14);
            layout.score = top(&mut side, height);
        }
        let rows = text::short(features).saturating_add(3);
        let height = rows.clamp(6, (side.height / 2).max(6));
        layout.errors = bottom(&mut side, height);
        layout.log = side;
    } else if rest.height >= 13 {
        let mut strip = bottom(&mut rest, (layout.body.height * 38 / 100).clamp(5, 12));
        if strip.width >= 78 {
            let half = strip.width / 2;
            layout.errors = right(&mut strip, half);
        }
        layout.log = strip;
    }
    layout.grid = rest;
}

fn top(rest: &mut Rect, height: u16) -> Rect {
    let height = height.min(rest.height);
    let cut = Rect { height, ..*rest };
    rest.y += height;
    rest.height -= height;
    cut
}

fn bottom(rest: &mut Rect, height: u16) -> Rect {
    let height = height.min(rest.height);
    rest.height -= height;
    Rect {
        y: rest.y + rest.height,
        height,
        ..*rest
    }
}

fn right(rest: &mut Rect, width: u16) -> Rect {
    let width = width.min(rest.width);
    rest.width -= width;
    Rect {
        x: rest.x + rest.width,
        width,
        ..*rest
    }
}

/// How panes stand in the grid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Panes {
    /// Panes side by side, at least 1.
    pub columns: usize,
    /// Panes on top of each other, at least 1.
    pub rows: usize,
}

impl Panes {
    /// The arrangement of `count` panes in `grid` in which each is closest to a shape that reads well; when not all fit, as
    /// many as fit on a page.
    #[must_use]
    pub fn arrange(grid: Rect, count: usize, kind: Kind) -> Self {
        let height = usize::from(grid.height);
        if kind != Kind::Full {
            return Self {
                columns: 1,
                rows: height.max(1),
            };
        }
        let widest = usize::from(grid.width / PANE_WIDTH)
            .clamp(1, 4)
            .min(count.max(1));
        let fitting = (1..=widest)
            .map(|columns| Self {
                columns,
                rows: count.div_ceil(columns).max(1),
            })
            .filter(|panes| height / panes.rows >= usize::from(PANE_HEIGHT))
            .min_by(|a, b| a.strangeness(grid).total_cmp(&b.strangeness(grid)));
        fitting.unwrap_or(Self {
            columns: widest,
            rows: (height / usize::from(PANE_HEIGHT)).max(1),
        })
    }

    fn strangeness(self, grid: Rect) -> f64 {
        let width = f64::from(grid.width) / self.columns as f64;
        let height = f64::from(grid.height) / self.rows as f64;
        (width / height / ASPECT).ln().abs()
    }

    /// Panes on one page.
    #[must_use]
    pub const fn per_page(self) -> usize {
        self.columns * self.rows
    }

    /// The rectangle of place `place` on a page with `filled` panes; empty past the page's end. Places share the grid
    /// without gaps: the panes of a last row that is not full are wider.
    #[must_use]
    pub fn place(self, grid: Rect, place: usize, filled: usize) -> Rect {
        let (column, row) = (place % self.columns, place / self.columns);
        let columns = filled
            .saturating_sub(row * self.columns)
            .clamp(1, self.columns);
        let edge = |part: usize, parts: usize, length: u16| {
            text::short(usize::from(length) * part.min(parts) / parts)
        };
        let (left, right) = (
            edge(column, columns, grid.width),
            edge(column + 1, columns, grid.width),
        );
        let (top, bottom) = (
            edge(row, self.rows, grid.height),
            edge(row + 1, self.rows, grid.height),
        );
        Rect::new(grid.x + left, grid.y + top, right - left, bottom - top)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(l: &Layout) -> [Rect; 8] {
        [
            l.header, l.alerts, l.strip, l.grid, l.score, l.log, l.errors, l.footer,
        ]
    }

    #[test]
    fn parts_cover_the_screen_and_never_overlap() {
        for width in 1..=220 {
            for height in 1..=70 {
                for (alerts, entities) in [(0, 1), (2, 40), (9, 0)] {
                    let area = Rect::new(0, 0, width, height);
                    let l = layout(area, alerts, 7, entities, true);
                    let mut cells = 0;
                    for (i, a) in parts(&l).iter().enumerate() {
                        assert_eq!(a.intersection(area).area(), a.area());
                        cells += a.area();
                        for b in parts(&l).iter().skip(i + 1) {
                            assert_eq!(a.intersection(*b).area(), 0, "{width}x{height}");
                        }
                    }
                    assert_eq!(cells, area.area(), "{width}x{height}");
                }
            }
        }
    }

    #[test]
    fn panes_reflow_from_one_to_four_columns() {
        let arrange = |w, h, n| Panes::arrange(Rect::new(0, 0, w, h), n, Kind::Full);
        assert_eq!(arrange(60, 30, 4).columns, 1);
        assert_eq!(arrange(76, 35, 7).columns, 2);
        assert_eq!(arrange(136, 55, 24).columns, 3);
        assert_eq!(arrange(200, 30, 12).columns, 4);
        let paged = arrange(80, 13, 40);
        assert_eq!((paged.columns, paged.rows), (2, 3));
    }

    #[test]
    fn places_tile_the_grid() {
        let grid = Rect::new(3, 2, 101, 37);
        let panes = Panes {
            columns: 3,
            rows: 4,
        };
        for filled in 10..=12 {
            let cells: u32 = (0..filled)
                .map(|p| panes.place(grid, p, filled).area())
                .sum();
            assert_eq!(cells, grid.area());
        }
        assert_eq!(panes.place(grid, 12, 12).area(), 0);
    }
}
