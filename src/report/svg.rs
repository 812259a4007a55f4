//! A screen as a picture: one self-contained SVG on a grid of cells.
//!
//! Lines, blocks and braille dots are drawn as shapes and every run of text is stretched to its cells, so columns stay
//! straight whatever font the viewer has.

use std::collections::BTreeMap;
use std::fmt::Write;

use ratatui::buffer::{Buffer, Cell};
use ratatui::style::{Color, Modifier};
use ratatui::text::Span;

/// Width of a cell in pixels.
const WIDE: f64 = 9.0;
/// Height of a cell in pixels.
const HIGH: f64 = 19.0;
/// Letters' size and the distance of their base line from the cell's top.
const SIZE: f64 = 15.0;
const BASE: f64 = 14.5;
/// Space around the screen.
const MARGIN: f64 = 12.0;
/// Colours where a cell has none of its own.
const GROUND: Rgb = (14, 18, 24);
const TEXT: Rgb = (198, 206, 216);

type Rgb = (u8, u8, u8);

/// The screen as an SVG document. Its background is that of the upper left cell, dark where that has none.
#[must_use]
pub fn svg(buffer: &Buffer) -> String {
    let area = buffer.area;
    let (width, height) = (
        f64::from(area.width) * WIDE + 2.0 * MARGIN,
        f64::from(area.height) * HIGH + 2.0 * MARGIN,
    );
    let ground = buffer
        .content
        .first()
        .map_or(GROUND, |cell| Paint::of(cell).back);
    let mut picture = Picture {
        ground,
        ..Picture::default()
    };
    for row in 0..area.height {
        picture.row(buffer, row);
    }
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\">\n\
         <rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"{}\"/>\n",
        hex(ground)
    );
    // Writing to a string does not fail.
    let _ = writeln!(
        out,
        "<g transform=\"translate({MARGIN} {MARGIN})\" font-family=\"DejaVu Sans Mono,Menlo,Consolas,monospace\" font-size=\"{SIZE}\">"
    );
    picture.finish(&mut out);
    out.push_str("</g>\n</svg>\n");
    out
}

/// A cell's colours once modifiers are worked in.
#[derive(Clone, Copy, PartialEq)]
struct Paint {
    fore: Rgb,
    back: Rgb,
    bold: bool,
    italic: bool,
    underline: bool,
}

impl Paint {
    fn of(cell: &Cell) -> Self {
        let mut fore = rgb(cell.fg, TEXT);
        let mut back = rgb(cell.bg, GROUND);
        if cell.modifier.contains(Modifier::REVERSED) {
            std::mem::swap(&mut fore, &mut back);
        }
        if cell.modifier.contains(Modifier::DIM) {
            let mix = |a: u8, b: u8| u8::midpoint(a, b);
            fore = (
                mix(fore.0, back.0),
                mix(fore.1, back.1),
                mix(fore.2, back.2),
            );
        }
        Self {
            fore,
            back,
            bold: cell.modifier.contains(Modifier::BOLD),
            italic: cell.modifier.contains(Modifier::ITALIC),
            underline: cell.modifier.contains(Modifier::UNDERLINED),
        }
    }
}

/// Shapes and words by colour, collected row by row.
#[derive(Default)]
struct Picture {
    ground: Rgb,
    backs: String,
    fills: BTreeMap<Rgb, String>,
    strokes: BTreeMap<(Rgb, bool), String>,
    words: String,
}

/// Text under way: cells of one paint side by side.
struct Run {
    column: u16,
    cells: u16,
    text: String,
    paint: Paint,
}

impl Picture {
    fn row(&mut self, buffer: &Buffer, row: u16) {
        self.backgrounds(buffer, row);
        let area = buffer.area;
        let mut run: Option<Run> = None;
        let mut covered = 0;
        for column in 0..area.width {
            let Some(cell) = buffer.cell((area.x + column, area.y + row)) else {
                continue;
            };
            if covered > 0 {
                covered -= 1;
                continue;
            }
            let symbol = cell.symbol();
            let cells = u16::try_from(Span::raw(symbol).width()).unwrap_or(1).max(1);
            covered = cells - 1;
            let paint = Paint::of(cell);
            let drawn = symbol
                .chars()
                .next()
                .is_some_and(|glyph| self.shape(glyph, column, row, paint));
            let blank = symbol == " " || drawn;
            let joins = |run: &Run| {
                run.paint == paint
                    && symbol.is_ascii()
                    && run.column + run.cells == column
                    && run.text.is_ascii()
            };
            match run.as_mut() {
                Some(run) if !drawn && (symbol == " " || joins(run)) && run.text.is_ascii() => {
                    run.text.push_str(symbol);
                    run.cells += cells;
                }
                _ => {
                    self.end(run.take(), row);
                    if !blank {
                        run = Some(Run {
                            column,
                            cells,
                            text: symbol.to_owned(),
                            paint,
                        });
                    }
                }
            }
        }
        self.end(run, row);
    }

    fn backgrounds(&mut self, buffer: &Buffer, row: u16) {
        let area = buffer.area;
        let back = |column: u16| {
            buffer
                .cell((area.x + column, area.y + row))
                .filter(|_| column < area.width)
                .map(|cell| Paint::of(cell).back)
        };
        let mut column = 0;
        while let Some(color) = back(column) {
            let start = column;
            while back(column) == Some(color) {
                column += 1;
            }
            if color != self.ground {
                let (x, y) = (f64::from(start) * WIDE, f64::from(row) * HIGH);
                let wide = f64::from(column - start) * WIDE;
                let _ = writeln!(
                    self.backs,
                    "<rect x=\"{x}\" y=\"{y}\" width=\"{wide}\" height=\"{HIGH}\" fill=\"{}\"/>",
                    hex(color)
                );
            }
        }
    }

    fn end(&mut self, run: Option<Run>, row: u16) {
        let Some(run) = run else {
            return;
        };
        let text = run.text.trim_end();
        let trailing = u16::try_from(run.text.len() - text.len()).unwrap_or(0);
        let x = f64::from(run.column) * WIDE;
        let y = f64::from(row) * HIGH + BASE;
        let length = f64::from(run.cells - trailing) * WIDE;
        let mut style = String::new();
        if run.paint.bold {
            style.push_str(" font-weight=\"bold\"");
        }
        if run.paint.italic {
            style.push_str(" font-style=\"italic\"");
        }
        if run.paint.underline {
            style.push_str(" text-decoration=\"underline\"");
        }
        let _ = writeln!(
            self.words,
            "<text x=\"{x}\" y=\"{y}\" textLength=\"{length}\" lengthAdjust=\"spacingAndGlyphs\" xml:space=\"preserve\" fill=\"{}\"{style}>{}</text>",
            hex(run.paint.fore),
            escaped(text)
        );
    }

    /// Draws a glyph that has to meet its neighbours exactly; says whether it is one.
    fn shape(&mut self, glyph: char, column: u16, row: u16, paint: Paint) -> bool {
        let (x, y) = (f64::from(column) * WIDE, f64::from(row) * HIGH);
        if let Some(parts) = block(glyph) {
            let path = self.fills.entry(paint.fore).or_default();
            for (left, top, wide, high) in parts {
                rect(
                    path,
                    x + left * WIDE,
                    y + top * HIGH,
                    wide * WIDE,
                    high * HIGH,
                );
            }
            return true;
        }
        if let Some(dots) = braille(glyph) {
            let path = self.fills.entry(paint.fore).or_default();
            for (across, down) in dots {
                let (left, top) = (across * WIDE / 2.0, down * HIGH / 4.0);
                rect(path, x + left + 1.0, y + top + 1.2, 2.6, 2.6);
            }
            return true;
        }
        if let Some((lines, heavy)) = lines(glyph) {
            let path = self.strokes.entry((paint.fore, heavy)).or_default();
            stroke(path, x, y, lines);
            return true;
        }
        false
    }

    fn finish(&self, out: &mut String) {
        out.push_str(&self.backs);
        for (color, path) in &self.fills {
            let _ = writeln!(out, "<path fill=\"{}\" d=\"{path}\"/>", hex(*color));
        }
        for ((color, heavy), path) in &self.strokes {
            let width = if *heavy { 3.0 } else { 1.2 };
            let _ = writeln!(
                out,
                "<path fill=\"none\" stroke=\"{}\" stroke-width=\"{width}\" d=\"{path}\"/>",
                hex(*color)
            );
        }
        out.push_str(&self.words);
    }
}

fn rect(path: &mut String, x: f64, y: f64, wide: f64, high: f64) {
    let _ = write!(path, "M{x:.1} {y:.1}h{wide:.1}v{high:.1}h-{wide:.1}z");
}

/// Rectangles of a block element, in parts of the cell: left, top, width, height.
fn block(glyph: char) -> Option<Vec<(f64, f64, f64, f64)>> {
    let code = u32::from(glyph);
    let eighths = |from: u32| f64::from(code - from + 1) / 8.0;
    Some(match glyph {
        '▁'..='█' => vec![(0.0, 1.0 - eighths(0x2581), 1.0, eighths(0x2581))],
        '▉'..='▏' => {
            let wide = 1.0 - f64::from(code - 0x2588) / 8.0;
            vec![(0.0, 0.0, wide, 1.0)]
        }
        '▐' => vec![(0.5, 0.0, 0.5, 1.0)],
        '▀' => vec![(0.0, 0.0, 1.0, 0.5)],
        '▔' => vec![(0.0, 0.0, 1.0, 0.125)],
        '▕' => vec![(0.875, 0.0, 0.125, 1.0)],
        _ => return None,
    })
}

/// Places of a braille glyph's dots: columns 0 and 1, rows 0 to 3.
fn braille(glyph: char) -> Option<Vec<(f64, f64)>> {
    const PLACES: [(f64, f64); 8] = [
        (0.0, 0.0),
        (0.0, 1.0),
        (0.0, 2.0),
        (1.0, 0.0),
        (1.0, 1.0),
        (1.0, 2.0),
        (0.0, 3.0),
        (1.0, 3.0),
    ];
    let bits = u32::from(glyph).checked_sub(0x2800)?;
    let places = (0..).zip(PLACES);
    (bits < 256).then(|| {
        places
            .filter(|(bit, _)| bits >> bit & 1 == 1)
            .map(|(_, place)| place)
            .collect()
    })
}

/// Which sides of its cell a line glyph reaches: left, up, right, down, and whether corners are round; then whether it is
/// heavy.
type Sides = (bool, bool, bool, bool, bool);

fn lines(glyph: char) -> Option<(Sides, bool)> {
    Some(match glyph {
        '─' => ((true, false, true, false, false), false),
        '━' => ((true, false, true, false, false), true),
        '│' => ((false, true, false, true, false), false),
        '┃' => ((false, true, false, true, false), true),
        '╭' => ((false, false, true, true, true), false),
        '╮' => ((true, false, false, true, true), false),
        '╰' => ((false, true, true, false, true), false),
        '╯' => ((true, true, false, false, true), false),
        '┌' => ((false, false, true, true, false), false),
        '┐' => ((true, false, false, true, false), false),
        '└' => ((false, true, true, false, false), false),
        '┘' => ((true, true, false, false, false), false),
        '├' => ((false, true, true, true, false), false),
        '┤' => ((true, true, false, true, false), false),
        '┬' => ((true, false, true, true, false), false),
        '┴' => ((true, true, true, false, false), false),
        '┼' => ((true, true, true, true, false), false),
        _ => return None,
    })
}

fn stroke(path: &mut String, x: f64, y: f64, (left, up, right, down, round): Sides) {
    let (cx, cy) = (x + WIDE / 2.0, y + HIGH / 2.0);
    let ends: Vec<(f64, f64)> = [
        (left, (x, cy)),
        (up, (cx, y)),
        (right, (x + WIDE, cy)),
        (down, (cx, y + HIGH)),
    ]
    .into_iter()
    .filter(|(reaches, _)| *reaches)
    .map(|(_, end)| end)
    .collect();
    if let (true, [a, b]) = (round, ends.as_slice()) {
        let _ = write!(
            path,
            "M{:.1} {:.1}Q{cx:.1} {cy:.1} {:.1} {:.1}",
            a.0, a.1, b.0, b.1
        );
        return;
    }
    for (to_x, to_y) in ends {
        let _ = write!(path, "M{cx:.1} {cy:.1}L{to_x:.1} {to_y:.1}");
    }
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            // Not allowed in XML at all.
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

fn hex((r, g, b): Rgb) -> String {
    format!("#{r:02x}{g:02x}{b:02x}")
}

fn rgb(color: Color, otherwise: Rgb) -> Rgb {
    match color {
        Color::Reset => otherwise,
        Color::Rgb(r, g, b) => (r, g, b),
        Color::Indexed(index) => indexed(index),
        Color::Black => indexed(0),
        Color::Red => indexed(1),
        Color::Green => indexed(2),
        Color::Yellow => indexed(3),
        Color::Blue => indexed(4),
        Color::Magenta => indexed(5),
        Color::Cyan => indexed(6),
        Color::Gray => indexed(7),
        Color::DarkGray => indexed(8),
        Color::LightRed => indexed(9),
        Color::LightGreen => indexed(10),
        Color::LightYellow => indexed(11),
        Color::LightBlue => indexed(12),
        Color::LightMagenta => indexed(13),
        Color::LightCyan => indexed(14),
        Color::White => indexed(15),
    }
}

/// The 256 colours as xterm has them.
fn indexed(index: u8) -> Rgb {
    const SIXTEEN: [Rgb; 16] = [
        (0, 0, 0),
        (205, 49, 49),
        (13, 188, 121),
        (229, 229, 16),
        (36, 114, 200),
        (188, 63, 188),
        (17, 168, 205),
        (204, 204, 204),
        (118, 118, 118),
        (241, 76, 76),
        (35, 209, 139),
        (245, 245, 67),
        (59, 142, 234),
        (214, 112, 214),
        (41, 184, 219),
        (255, 255, 255),
    ];
    match index {
        0..16 => SIXTEEN.get(usize::from(index)).copied().unwrap_or(TEXT),
        232.. => {
            let grey = 8 + 10 * (index - 232);
            (grey, grey, grey)
        }
        _ => {
            let level = |step: u8| if step == 0 { 0 } else { 55 + 40 * step };
            let cube = index - 16;
            (level(cube / 36), level(cube / 6 % 6), level(cube % 6))
        }
    }
}

#[cfg(test)]
mod tests {
    use ratatui::layout::Rect;
    use ratatui::style::Style;

    use super::*;

    fn drawn(text: &str, style: Style) -> String {
        let mut buffer = Buffer::empty(Rect::new(0, 0, 20, 1));
        buffer.set_string(0, 0, text, style);
        svg(&buffer)
    }

    #[test]
    fn words_are_escaped_and_stretched_to_their_cells() {
        let out = drawn("a <b> & \"c\"", Style::new());
        assert!(out.contains("textLength=\"99\""), "{out}");
        assert!(out.contains("a &lt;b&gt; &amp; &quot;c&quot;"), "{out}");
    }

    #[test]
    fn lines_blocks_and_dots_are_shapes() {
        let out = drawn("╭─╮█⣀━", Style::new().fg(Color::Rgb(1, 2, 3)));
        assert!(!out.contains("<text"), "{out}");
        assert_eq!(out.matches("stroke-width").count(), 2);
        assert!(out.contains("fill=\"#010203\""));
    }

    #[test]
    fn wide_characters_take_two_cells() {
        let out = drawn("温x", Style::new());
        assert!(out.contains("textLength=\"18\""), "{out}");
        assert!(out.contains("<text x=\"18\""), "{out}");
    }

    #[test]
    fn backgrounds_and_reverse_are_rectangles() {
        let style = Style::new()
            .fg(Color::Rgb(9, 9, 9))
            .add_modifier(Modifier::REVERSED);
        let out = drawn("ab", style);
        let back = "<rect x=\"0\" y=\"0\" width=\"18\" height=\"19\" fill=\"#090909\"/>";
        // The first cell sets the ground, so the rest stands out from it.
        assert!(out.contains("fill=\"#090909\"/>"), "{out}");
        assert!(!out.contains(back), "{out}");
    }

    #[test]
    fn blocks_fill_their_part() {
        assert_eq!(block('█'), Some(vec![(0.0, 0.0, 1.0, 1.0)]));
        assert_eq!(block('▄'), Some(vec![(0.0, 0.5, 1.0, 0.5)]));
        assert_eq!(block('▎'), Some(vec![(0.0, 0.0, 0.25, 1.0)]));
        assert_eq!(block('a'), None);
    }
}
