//! Colours by role, for every colour depth, and the spelling of a screen in plain ASCII.

mod palette;

use ratatui::buffer::Buffer;
use ratatui::style::{Color, Modifier, Style};

use crate::config::ThemeName;

use self::palette::{COLOR_BLIND, DARK, DARK_ON_TAB, HIGH_CONTRAST, Ink, LIGHT, Palette};

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

/// Beginnings of `TERM` of terminals that show 24 bits and, over SSH, have no other way to say so.
const TRUE_COLOR: [&str; 7] = [
    "alacritty",
    "contour",
    "foot",
    "rio",
    "wezterm",
    "xterm-ghostty",
    "xterm-kitty",
];

impl ColorDepth {
    /// The depth that the environment promises; `variable` gives the value of an environment variable. `NO_COLOR` (not
    /// empty) wins, then `TERM=dumb`, then `COLORTERM`, then `TERM`.
    pub fn detect(variable: impl Fn(&str) -> Option<String>) -> Self {
        if variable("NO_COLOR").is_some_and(|v| !v.is_empty()) {
            return Self::None;
        }
        Self::of_terminal(variable)
    }

    /// The depth where colours were asked for in so many words: whatever `NO_COLOR` says, and sixteen at least.
    pub fn forced(variable: impl Fn(&str) -> Option<String>) -> Self {
        match Self::of_terminal(variable) {
            Self::None => Self::Ansi16,
            depth => depth,
        }
    }

    fn of_terminal(variable: impl Fn(&str) -> Option<String>) -> Self {
        let term = variable("TERM").unwrap_or_default();
        let promises = variable("COLORTERM").unwrap_or_default();
        let modern = variable("WT_SESSION").is_some_and(|v| !v.is_empty());
        match promises.to_ascii_lowercase().as_str() {
            _ if term == "dumb" => Self::None,
            "truecolor" | "24bit" => Self::True,
            _ if modern || term.ends_with("-direct") => Self::True,
            _ if TRUE_COLOR.iter().any(|name| term.starts_with(name)) => Self::True,
            _ if term.is_empty() => Self::None,
            _ if term.contains("256color") => Self::Ansi256,
            _ => Self::Ansi16,
        }
    }
}

/// Whether the terminal has Braille, boxes and arrows: a UTF-8 locale, and not the kernel's own console, whose font has
/// none of them.
pub fn has_glyphs(variable: impl Fn(&str) -> Option<String>) -> bool {
    let term = variable("TERM").unwrap_or_default();
    let plain = ["linux", "dumb", "cons25", "vt100", "vt220"].contains(&term.as_str());
    !plain && utf8_locale(variable)
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
        '│' | '┃' | '┆' | '▎' | '▏' | '┤' | '├' => '|',
        '╭' | '╮' | '╰' | '╯' | '┬' | '┴' | '┼' => '+',
        '█' => '#',
        '·' => '.',
        '▲' | '▴' | '↑' => '^',
        '→' | '▸' => '>',
        '←' | '◂' => '<',
        '▾' | '●' | '↻' => '*',
        '○' | '◌' => 'o',
        '◐' => 'O',
        '↓' | '✓' => 'v',
        '✗' | '×' => 'x',
        '…' => '~',
        '“' | '”' => '"',
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
            (
                &[("TERM", "dumb"), ("COLORTERM", "truecolor")][..],
                ColorDepth::None,
            ),
            (&[("TERM", "xterm-kitty")][..], ColorDepth::True),
            (&[("TERM", "tmux-direct")][..], ColorDepth::True),
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
    fn colours_that_are_asked_for_are_there() {
        for (pairs, depth) in [
            (
                &[("NO_COLOR", "1"), ("TERM", "dumb")][..],
                ColorDepth::Ansi16,
            ),
            (&[][..], ColorDepth::Ansi16),
            (
                &[("NO_COLOR", "1"), ("TERM", "xterm-256color")][..],
                ColorDepth::Ansi256,
            ),
        ] {
            assert_eq!(ColorDepth::forced(given(pairs)), depth, "{pairs:?}");
        }
    }

    #[test]
    fn a_console_without_the_glyphs_gets_ascii() {
        let utf8 = ("LANG", "C.UTF-8");
        assert!(has_glyphs(given(&[utf8, ("TERM", "xterm-256color")])));
        assert!(!has_glyphs(given(&[utf8, ("TERM", "linux")])));
        assert!(!has_glyphs(given(&[("TERM", "xterm")])));
    }

    #[test]
    fn without_colours_nothing_is_coloured() {
        let theme = Theme::new(ThemeName::Light, ColorDepth::None, true);
        assert_eq!(theme, Theme::new(ThemeName::Mono, ColorDepth::True, true));
        assert_eq!(theme.bad.fg, None);
    }
}
