//! Where everything is. Pure arithmetic on rectangles, shared by drawing and by the keys that move between panes.

use ratatui::layout::Rect;

use crate::domain::EntityView;
use crate::tui::lists::page_start;
use crate::tui::state::UiState;
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
    /// Places at the end that are lines under the panes: metrics without data, where all fit on one page.
    pub lines: usize,
    /// Panes before those.
    whole: usize,
    /// It is a list, of which the last page is full.
    is_list: bool,
}

impl Panes {
    /// The arrangement of `count` panes in `grid` in which each is closest to a shape that reads well; when not all fit, as
    /// many as fit on a page.
    ///
    /// The last `empty` of them have no data: as long as others have some, they take a line each.
    #[must_use]
    pub fn arrange(grid: Rect, count: usize, empty: usize, kind: Kind) -> Self {
        let plain = Self {
            columns: 1,
            rows: usize::from(grid.height).max(1),
            lines: 0,
            whole: count,
            is_list: true,
        };
        if kind != Kind::Full {
            return plain;
        }
        let whole = count.saturating_sub(empty);
        if empty > 0 && whole > 0 {
            let widest = usize::from(grid.width / PANE_WIDTH).clamp(1, 4);
            let below = Rect {
                height: grid
                    .height
                    .saturating_sub(text::short(empty.div_ceil(widest))),
                ..grid
            };
            let above = Self::grid(below, whole);
            let lines = empty.div_ceil(above.columns.min(widest));
            if above.per_page() >= whole
                && usize::from(grid.height) >= lines + above.rows * usize::from(PANE_HEIGHT)
            {
                return Self {
                    lines: empty,
                    ..above
                };
            }
        }
        Self::grid(grid, count)
    }

    /// One pane over all of the grid.
    #[must_use]
    pub const fn single() -> Self {
        Self {
            columns: 1,
            rows: 1,
            lines: 0,
            whole: 1,
            is_list: false,
        }
    }

    /// The panes of one entity's features, `order` being their columns in their order.
    #[must_use]
    pub fn of(
        state: &UiState,
        entity: &EntityView,
        order: &[usize],
        grid: Rect,
        kind: Kind,
    ) -> Self {
        let columns = order.iter().rev();
        let empty = columns.take_while(|column| !state.has_data(entity, **column));
        Self::arrange(grid, order.len(), empty.count(), kind)
    }

    fn grid(grid: Rect, count: usize) -> Self {
        let height = usize::from(grid.height);
        let of = |columns: usize, rows: usize| Self {
            columns,
            rows,
            lines: 0,
            whole: count,
            is_list: false,
        };
        let widest = usize::from(grid.width / PANE_WIDTH)
            .clamp(1, 4)
            .min(count.max(1));
        let fitting = (1..=widest)
            .map(|columns| of(columns, count.div_ceil(columns).max(1)))
            .filter(|panes| height / panes.rows >= usize::from(PANE_HEIGHT))
            .min_by(|a, b| a.strangeness(grid).total_cmp(&b.strangeness(grid)));
        fitting.unwrap_or_else(|| of(widest, (height / usize::from(PANE_HEIGHT)).max(1)))
    }

    fn strangeness(self, grid: Rect) -> f64 {
        let width = f64::from(grid.width) / self.columns as f64;
        let height = f64::from(grid.height) / self.rows as f64;
        (width / height / ASPECT).ln().abs()
    }

    /// Panes on one page.
    #[must_use]
    pub const fn per_page(self) -> usize {
        self.columns * self.rows + self.lines
    }

    /// The first place of the page that place `at` of `count` is on.
    #[must_use]
    pub fn first(self, at: usize, count: usize) -> usize {
        if self.is_list {
            return page_start(at, self.per_page(), count);
        }
        at - at % self.per_page().max(1)
    }

    /// Whether a place is a line and no pane.
    #[must_use]
    pub const fn is_line(self, place: usize) -> bool {
        self.lines > 0 && place >= self.whole
    }

    /// The rectangle of place `place` on a page with `filled` panes; empty past the page's end. Places share the grid
    /// without gaps: the panes of a last row that is not full are wider.
    #[must_use]
    pub fn place(self, grid: Rect, place: usize, filled: usize) -> Rect {
        if self.lines == 0 {
            return self.pane(grid, place, filled);
        }
        let lines = text::short(self.lines.div_ceil(self.columns)).min(grid.height);
        let above = Rect {
            height: grid.height - lines,
            ..grid
        };
        let Some(line) = place.checked_sub(self.whole) else {
            return self.pane(above, place, self.whole);
        };
        let wide = grid.width / text::short(self.columns).max(1);
        let (column, row) = (
            text::short(line % self.columns),
            text::short(line / self.columns),
        );
        let spot = Rect::new(grid.x + column * wide, above.bottom() + row, wide, 1);
        spot.intersection(grid)
    }

    fn pane(self, grid: Rect, place: usize, filled: usize) -> Rect {
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
        let arrange = |w, h, n| Panes::arrange(Rect::new(0, 0, w, h), n, 0, Kind::Full);
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
            lines: 0,
            whole: 12,
            is_list: false,
        };
        for filled in 10..=12 {
            let cells: u32 = (0..filled)
                .map(|p| panes.place(grid, p, filled).area())
                .sum();
            assert_eq!(cells, grid.area());
        }
        assert_eq!(panes.place(grid, 12, 12).area(), 0);
    }

    #[test]
    fn metrics_without_data_take_a_line_each() {
        let grid = Rect::new(0, 3, 80, 20);
        let panes = Panes::arrange(grid, 7, 3, Kind::Full);
        assert_eq!((panes.columns, panes.rows, panes.lines), (2, 2, 3));
        assert!(!panes.is_line(3) && panes.is_line(4));
        let spots: Vec<Rect> = (0..7).map(|place| panes.place(grid, place, 7)).collect();
        assert_eq!(
            spots.iter().map(|r| r.height).collect::<Vec<_>>(),
            [9, 9, 9, 9, 1, 1, 1]
        );
        for (at, spot) in spots.iter().enumerate() {
            assert_eq!(spot.intersection(grid), *spot);
            let others = spots.iter().skip(at + 1);
            assert!(
                others
                    .into_iter()
                    .all(|other| other.intersection(*spot).area() == 0)
            );
        }
        // Where not all fit, and where nothing has data, they are as the others.
        assert_eq!(
            Panes::arrange(Rect::new(0, 0, 40, 9), 7, 3, Kind::Full).lines,
            0
        );
        assert_eq!(Panes::arrange(grid, 3, 3, Kind::Full).lines, 0);
    }
}
