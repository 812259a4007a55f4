//! Colours by role, for every colour depth, and the spelling of a screen in plain ASCII.

use ratatui::buffer::Buffer;
use ratatui::style::{Color, Modifier, Style};

use crate::config::ThemeName;

/// How many colours the terminal can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColorDepth {
    /// None: bold, dim and reverse only.
    None,
    /// The sixteen that the user's terminal defines.
    Ansi16,
    /// The 6×6×6 cube.
    Ansi256,
    /// 24 bit.
    True,
}

impl ColorDepth {
    /// The depth that the environment promises; `variable` gives the value of an environment variable. `NO_COLOR` (not
    /// empty) wins, then `COLORTERM`, then `TERM`.
    pub fn detect(variable: impl Fn(&str) -> Option<String>) -> Self {
        if variable("NO_COLOR").is_some_and(|v| !v.is_empty()) {
            return Self::None;
        }
        let term = variable("TERM").unwrap_or_default();
        match variable("COLORTERM").as_deref() {
            Some("truecolor" | "24bit") => Self::True,
            _ if term == "dumb" || term.is_empty() => Self::None,
            _ if term.ends_with("-direct") => Self::True,
            _ if term.contains("256color") => Self::Ansi256,
            _ => Self::Ansi16,
        }
    }
}

/// Whether the locale is UTF-8: the first of `LC_ALL`, `LC_CTYPE`, `LANG` that is set decides, none is no.
pub fn utf8_locale(variable: impl Fn(&str) -> Option<String>) -> bool {
    ["LC_ALL", "LC_CTYPE", "LANG"]
        .into_iter()
        .filter_map(variable)
        .find(|value| !value.is_empty())
        .is_some_and(|value| {
            let value = value.to_ascii_lowercase();
            value.contains("utf-8") || value.contains("utf8")
        })
}

/// One role's colour: 24 bit, and its stand-in among the sixteen.
#[derive(Clone, Copy)]
struct Ink(u8, u8, u8, Color);

impl Ink {
    fn at(self, depth: ColorDepth) -> Color {
        let Self(r, g, b, ansi) = self;
        match depth {
            ColorDepth::None => Color::Reset,
            ColorDepth::Ansi16 => ansi,
            ColorDepth::Ansi256 => Color::Indexed(nearest(r, g, b)),
            ColorDepth::True => Color::Rgb(r, g, b),
        }
    }
}

/// The nearest of the 256: the grey ramp for colours that are almost grey, else the cube.
fn nearest(r: u8, g: u8, b: u8) -> u8 {
    let spread = r.max(g).max(b) - r.min(g).min(b);
    if spread < 14 {
        let grey = (u16::from(r) + u16::from(g) + u16::from(b)) / 3;
        return match grey {
            0..=3 => 16,
            239.. => 231,
            _ => u8::try_from(232 + (grey.saturating_sub(3)) / 10).unwrap_or(255),
        };
    }
    let level = |v: u8| match v {
        0..=47 => 0,
        48..=114 => 1,
        _ => (v - 35) / 40,
    };
    16 + 36 * level(r) + 6 * level(g) + level(b)
}

struct Palette {
    ground: Ink,
    text: Ink,
    strong: Ink,
    dim: Ink,
    faint: Ink,
    accent: Ink,
    line: Ink,
    good: Ink,
    warn: Ink,
    bad: Ink,
    forecast: Ink,
    band: Ink,
    raised: Ink,
}

const DARK: Palette = Palette {
    ground: Ink(14, 18, 24, Color::Reset),
    text: Ink(198, 206, 216, Color::Gray),
    strong: Ink(240, 245, 250, Color::White),
    dim: Ink(132, 143, 157, Color::DarkGray),
    faint: Ink(52, 61, 74, Color::DarkGray),
    accent: Ink(102, 170, 255, Color::LightBlue),
    line: Ink(84, 184, 196, Color::Cyan),
    good: Ink(106, 190, 120, Color::Green),
    warn: Ink(226, 172, 84, Color::Yellow),
    bad: Ink(255, 98, 98, Color::LightRed),
    forecast: Ink(172, 142, 232, Color::Magenta),
    band: Ink(38, 34, 58, Color::Reset),
    raised: Ink(26, 33, 44, Color::Reset),
};

const LIGHT: Palette = Palette {
    ground: Ink(252, 252, 250, Color::White),
    text: Ink(46, 54, 64, Color::Black),
    strong: Ink(10, 14, 20, Color::Black),
    dim: Ink(108, 117, 128, Color::DarkGray),
    faint: Ink(206, 212, 220, Color::Gray),
    accent: Ink(10, 100, 214, Color::Blue),
    line: Ink(14, 124, 138, Color::Blue),
    good: Ink(28, 124, 56, Color::Green),
    warn: Ink(156, 98, 0, Color::Magenta),
    bad: Ink(204, 30, 44, Color::Red),
    forecast: Ink(122, 74, 214, Color::Magenta),
    band: Ink(236, 228, 250, Color::White),
    raised: Ink(235, 240, 247, Color::White),
};

/// White on black; nothing steps back so far that it is hard to read.
const HIGH_CONTRAST: Palette = Palette {
    ground: Ink(0, 0, 0, Color::Black),
    text: Ink(255, 255, 255, Color::White),
    strong: Ink(255, 255, 255, Color::White),
    dim: Ink(208, 208, 208, Color::Gray),
    faint: Ink(140, 140, 140, Color::Gray),
    accent: Ink(255, 240, 0, Color::LightYellow),
    line: Ink(0, 240, 255, Color::LightCyan),
    good: Ink(90, 255, 90, Color::LightGreen),
    warn: Ink(255, 190, 0, Color::LightYellow),
    bad: Ink(255, 90, 90, Color::LightRed),
    forecast: Ink(255, 150, 255, Color::LightMagenta),
    band: Ink(64, 20, 72, Color::Reset),
    raised: Ink(48, 48, 48, Color::Reset),
};

/// Blue, sky, amber and vermilion: the hues that Okabe and Ito chose so that they stay apart for every common kind of colour
/// blindness (<https://jfly.uni-koeln.de/color/>), as bright as a dark ground needs.
const COLOR_BLIND: Palette = Palette {
    ground: Ink(14, 18, 24, Color::Reset),
    text: Ink(204, 210, 218, Color::Gray),
    strong: Ink(244, 246, 250, Color::White),
    dim: Ink(138, 147, 160, Color::DarkGray),
    faint: Ink(52, 61, 74, Color::DarkGray),
    accent: Ink(240, 228, 66, Color::LightYellow),
    line: Ink(86, 180, 233, Color::LightBlue),
    good: Ink(86, 180, 233, Color::LightBlue),
    warn: Ink(230, 159, 0, Color::Yellow),
    bad: Ink(255, 122, 38, Color::LightRed),
    forecast: Ink(214, 140, 180, Color::Magenta),
    band: Ink(44, 32, 46, Color::Reset),
    raised: Ink(26, 33, 44, Color::Reset),
};

/// Every style that panes use, by role. Made anew for a frame from its name and the terminal's depth.
#[derive(Clone, Debug, PartialEq)]
pub struct Theme {
    /// What the whole screen is filled with.
    pub ground: Style,
    /// Ordinary words.
    pub text: Style,
    /// What the eye should find first.
    pub strong: Style,
    /// What it should find last.
    pub dim: Style,
    /// Borders and rules.
    pub faint: Style,
    /// The selected pane, keys.
    pub accent: Style,
    /// A metric's line.
    pub line: Style,
    /// As it should be.
    pub good: Style,
    /// Not as it should be.
    pub warn: Style,
    /// Anomalous, failed.
    pub bad: Style,
    /// Anomalous columns of a chart.
    pub hot: Style,
    /// What is forecast.
    pub forecast: Style,
    /// Background of a forecast's band; `None` where no shade can be told from the ground.
    pub band: Option<Color>,
    /// The tab of the mode that is shown.
    pub tab: Style,
    /// A selected row.
    pub raised: Style,
    /// Background of boxes that lie over others.
    pub over: Style,
    /// Braille, boxes and arrows, or plain ASCII.
    pub unicode: bool,
}

impl Theme {
    /// The theme called `name` on a terminal of this depth; no colours at all is [`ThemeName::Mono`] whatever the name.
    #[must_use]
    pub fn new(name: ThemeName, depth: ColorDepth, unicode: bool) -> Self {
        match (name, depth) {
            (ThemeName::Mono, _) | (_, ColorDepth::None) => Self::mono(unicode),
            (ThemeName::Dark, _) => Self::painted(&DARK, depth, unicode),
            (ThemeName::Light, _) => Self::painted(&LIGHT, depth, unicode),
            (ThemeName::HighContrast, _) => Self::painted(&HIGH_CONTRAST, depth, unicode),
            (ThemeName::ColorBlind, _) => Self::painted(&COLOR_BLIND, depth, unicode),
        }
    }

    fn painted(palette: &Palette, depth: ColorDepth, unicode: bool) -> Self {
        let ink = |ink: Ink| Style::new().fg(ink.at(depth));
        let ground = palette.ground.at(depth);
        let shades = depth != ColorDepth::Ansi16;
        let raised = Style::new().bg(palette.raised.at(depth));
        Self {
            ground: Style::new().fg(palette.text.at(depth)).bg(ground),
            text: ink(palette.text),
            strong: ink(palette.strong).add_modifier(Modifier::BOLD),
            dim: ink(palette.dim),
            faint: ink(palette.faint),
            accent: ink(palette.accent),
            line: ink(palette.line),
            good: ink(palette.good),
            warn: ink(palette.warn),
            bad: ink(palette.bad).add_modifier(Modifier::BOLD),
            hot: ink(palette.bad),
            forecast: ink(palette.forecast),
            band: shades.then(|| palette.band.at(depth)),
            tab: ink(if shades { palette.ground } else { DARK_ON_TAB })
                .bg(palette.accent.at(depth))
                .add_modifier(Modifier::BOLD),
            raised: if shades {
                raised
            } else {
                Style::new().add_modifier(Modifier::BOLD)
            },
            over: if shades {
                raised
            } else {
                Style::new().bg(ground)
            },
            unicode,
        }
    }

    fn mono(unicode: bool) -> Self {
        let plain = Style::new();
        let bold = plain.add_modifier(Modifier::BOLD);
        let dim = plain.add_modifier(Modifier::DIM);
        let reversed = bold.add_modifier(Modifier::REVERSED);
        Self {
            ground: plain,
            text: plain,
            strong: bold,
            dim,
            faint: dim,
            accent: bold,
            line: plain,
            good: plain,
            warn: bold,
            bad: reversed,
            hot: bold,
            forecast: dim,
            band: None,
            tab: reversed,
            raised: bold,
            over: plain,
            unicode,
        }
    }

    /// The same theme for data that is no longer fresh: lines and numbers step back, anomalies stay.
    #[must_use]
    pub fn faded(&self) -> Self {
        Self {
            text: self.dim,
            strong: self.dim,
            line: self.dim,
            good: self.dim,
            ..self.clone()
        }
    }
}

/// Letters on the active tab where only sixteen colours are to be had.
const DARK_ON_TAB: Ink = Ink(0, 0, 0, Color::Black);

/// Replaces every cell that is not ASCII by its nearest ASCII spelling, the last step of a frame on a terminal without
/// UTF-8.
pub fn spell_in_ascii(buffer: &mut Buffer) {
    for cell in &mut buffer.content {
        if !cell.symbol().is_ascii() {
            let plain = cell.symbol().chars().next().map_or(' ', ascii);
            cell.set_char(plain);
        }
    }
}

fn ascii(symbol: char) -> char {
    match symbol {
        '━' | '‖' => '=',
        '─' | '–' | '—' => '-',
        '│' | '┃' | '▎' | '┤' | '├' => '|',
        '╭' | '╮' | '╰' | '╯' | '┬' | '┴' | '┼' => '+',
        '█' => '#',
        '·' => '.',
        '▲' | '↑' => '^',
        '↗' => '/',
        '↘' => '\\',
        '→' | '▸' => '>',
        '←' => '<',
        '●' | '↻' => '*',
        '○' | '◌' => 'o',
        '↓' | '✓' => 'v',
        '✗' | '×' => 'x',
        '…' => '~',
        'µ' => 'u',
        '°' => ' ',
        _ => '?',
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given<'a>(pairs: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Option<String> + 'a {
        move |name| {
            pairs
                .iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| (*value).to_owned())
        }
    }

    #[test]
    fn depth_follows_the_environment() {
        for (pairs, depth) in [
            (
                &[("NO_COLOR", "1"), ("COLORTERM", "truecolor")][..],
                ColorDepth::None,
            ),
            (
                &[("NO_COLOR", ""), ("TERM", "xterm")][..],
                ColorDepth::Ansi16,
            ),
            (
                &[("COLORTERM", "truecolor"), ("TERM", "xterm")][..],
                ColorDepth::True,
            ),
            (&[("TERM", "screen-256color")][..], ColorDepth::Ansi256),
            (&[("TERM", "linux")][..], ColorDepth::Ansi16),
            (&[("TERM", "dumb")][..], ColorDepth::None),
            (&[][..], ColorDepth::None),
        ] {
            assert_eq!(ColorDepth::detect(given(pairs)), depth, "{pairs:?}");
        }
    }

    #[test]
    fn the_first_locale_that_is_set_decides() {
        assert!(utf8_locale(given(&[("LANG", "en_US.UTF-8")])));
        assert!(!utf8_locale(given(&[
            ("LC_ALL", "C"),
            ("LANG", "en_US.UTF-8")
        ])));
        assert!(utf8_locale(given(&[("LC_ALL", ""), ("LANG", "C.utf8")])));
        assert!(!utf8_locale(given(&[])));
    }

    #[test]
    fn near_colours_are_found_among_256() {
        assert_eq!(nearest(255, 95, 95), 203);
        assert_eq!(nearest(8, 8, 8), 232);
        assert_eq!(nearest(255, 255, 255), 231);
    }

    #[test]
    fn without_colours_nothing_is_coloured() {
        let theme = Theme::new(ThemeName::Light, ColorDepth::None, true);
        assert_eq!(theme, Theme::new(ThemeName::Mono, ColorDepth::True, true));
        assert_eq!(theme.bad.fg, None);
    }
}
