//! The colours themselves: one palette for each theme.
//!
//! Each names its ground, so that it can be read on a light terminal and on a dark one alike.

use ratatui::style::Color;

use super::ColorDepth;

/// One role's colour: 24 bit, and its stand-in among the sixteen.
#[derive(Clone, Copy)]
pub(super) struct Ink(pub u8, pub u8, pub u8, pub Color);

impl Ink {
    /// The colour at a depth.
    pub(super) fn at(self, depth: ColorDepth) -> Color {
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

/// One colour for each role.
pub(super) struct Palette {
    pub ground: Ink,
    pub text: Ink,
    pub strong: Ink,
    pub dim: Ink,
    pub faint: Ink,
    pub accent: Ink,
    pub line: Ink,
    pub good: Ink,
    pub warn: Ink,
    pub bad: Ink,
    pub forecast: Ink,
    pub band: Ink,
    pub raised: Ink,
}

/// Light on dark.
pub(super) const DARK: Palette = Palette {
    ground: Ink(14, 18, 24, Color::Black),
    text: Ink(198, 206, 216, Color::White),
    strong: Ink(240, 245, 250, Color::White),
    dim: Ink(132, 143, 157, Color::Gray),
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

/// Dark on light.
pub(super) const LIGHT: Palette = Palette {
    ground: Ink(252, 252, 250, Color::White),
    text: Ink(46, 54, 64, Color::Black),
    strong: Ink(10, 14, 20, Color::Black),
    dim: Ink(108, 117, 128, Color::DarkGray),
    faint: Ink(206, 212, 220, Color::Gray),
    accent: Ink(10, 100, 214, Color::Blue),
    line: Ink(14, 124, 138, Color::Blue),
    good: Ink(28, 124, 56, Color::Blue),
    warn: Ink(156, 98, 0, Color::Magenta),
    bad: Ink(204, 30, 44, Color::Red),
    forecast: Ink(122, 74, 214, Color::Magenta),
    band: Ink(236, 228, 250, Color::White),
    raised: Ink(235, 240, 247, Color::White),
};

/// White on black; nothing steps back so far that it is hard to read.
pub(super) const HIGH_CONTRAST: Palette = Palette {
    ground: Ink(0, 0, 0, Color::Black),
    text: Ink(255, 255, 255, Color::White),
    strong: Ink(255, 255, 255, Color::White),
    dim: Ink(208, 208, 208, Color::Gray),
    faint: Ink(140, 140, 140, Color::Gray),
    accent: Ink(255, 240, 0, Color::LightYellow),
    line: Ink(0, 240, 255, Color::LightCyan),
    good: Ink(90, 255, 90, Color::LightGreen),
    warn: Ink(255, 190, 0, Color::LightYellow),
    bad: Ink(255, 112, 112, Color::LightRed),
    forecast: Ink(255, 150, 255, Color::LightMagenta),
    band: Ink(64, 20, 72, Color::Reset),
    raised: Ink(48, 48, 48, Color::Reset),
};

/// Blue, sky, amber and vermilion: the hues that Okabe and Ito chose so that they stay apart for every common kind of colour
/// blindness (<https://jfly.uni-koeln.de/color/>), as bright as a dark ground needs.
pub(super) const COLOR_BLIND: Palette = Palette {
    ground: Ink(14, 18, 24, Color::Black),
    text: Ink(204, 210, 218, Color::White),
    strong: Ink(244, 246, 250, Color::White),
    dim: Ink(138, 147, 160, Color::Gray),
    faint: Ink(52, 61, 74, Color::DarkGray),
    accent: Ink(240, 228, 66, Color::LightYellow),
    line: Ink(86, 180, 233, Color::LightBlue),
    good: Ink(86, 180, 233, Color::LightBlue),
    warn: Ink(240, 196, 92, Color::Yellow),
    bad: Ink(232, 98, 18, Color::LightRed),
    forecast: Ink(214, 140, 180, Color::Magenta),
    band: Ink(44, 32, 46, Color::Reset),
    raised: Ink(26, 33, 44, Color::Reset),
};

/// Letters on the active tab where only sixteen colours are to be had.
pub(super) const DARK_ON_TAB: Ink = Ink(0, 0, 0, Color::Black);

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [(&str, &Palette); 4] = [
        ("dark", &DARK),
        ("light", &LIGHT),
        ("high contrast", &HIGH_CONTRAST),
        ("colour-blind safe", &COLOR_BLIND),
    ];

    /// A channel as light, per IEC 61966-2-1.
    fn linear(channel: u8) -> f64 {
        let v = f64::from(channel) / 255.0;
        if v <= 0.040_45 {
            v / 12.92
        } else {
            ((v + 0.055) / 1.055).powf(2.4)
        }
    }

    fn light((r, g, b): (u8, u8, u8)) -> [f64; 3] {
        [linear(r), linear(g), linear(b)]
    }

    fn rgb(ink: Ink) -> (u8, u8, u8) {
        (ink.0, ink.1, ink.2)
    }

    /// Contrast of two colours, 1 to 21, as WCAG 2.2 defines it (<https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio>).
    fn contrast(a: (u8, u8, u8), b: (u8, u8, u8)) -> f64 {
        let luminance = |color| {
            let [r, g, b] = light(color);
            0.2126 * r + 0.7152 * g + 0.0722 * b
        };
        let (a, b) = (luminance(a), luminance(b));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    fn product(matrix: [[f64; 3]; 3], v: [f64; 3]) -> [f64; 3] {
        matrix.map(|row| row.iter().zip(v).map(|(part, of)| part * of).sum())
    }

    /// Distance in CIE L*a*b* under D65: about 2 can just be told apart side by side.
    fn distance(a: [f64; 3], b: [f64; 3]) -> f64 {
        let lab = |rgb| {
            let xyz = product(
                [
                    [0.412_456, 0.357_576, 0.180_438],
                    [0.212_673, 0.715_152, 0.072_175],
                    [0.019_334, 0.119_192, 0.950_304],
                ],
                rgb,
            );
            let white = [0.950_47, 1.0, 1.088_83];
            let f = [0, 1, 2].map(|i: usize| match xyz[i] / white[i] {
                part if part > 216.0 / 24_389.0 => part.cbrt(),
                part => (24_389.0 / 27.0 * part + 16.0) / 116.0,
            });
            [
                116.0 * f[1] - 16.0,
                500.0 * (f[0] - f[1]),
                200.0 * (f[1] - f[2]),
            ]
        };
        let pairs = lab(a).into_iter().zip(lab(b));
        pairs
            .map(|(one, other): (f64, f64)| (one - other).powi(2))
            .sum::<f64>()
            .sqrt()
    }

    /// What eyes without the long-wave (protanopia) or the middle-wave cone (deuteranopia) see: Machado, Oliveira and
    /// Fernandes, "A Physiologically-based Model for Simulation of Color Vision Deficiency" (2009), severity 1.
    const PROTANOPIA: [[f64; 3]; 3] = [
        [0.152_286, 1.052_583, -0.204_868],
        [0.114_503, 0.786_281, 0.099_216],
        [-0.003_882, -0.048_116, 1.051_998],
    ];
    const DEUTERANOPIA: [[f64; 3]; 3] = [
        [0.367_322, 0.860_646, -0.227_968],
        [0.280_085, 0.672_501, 0.047_413],
        [-0.011_820, 0.042_940, 0.968_881],
    ];

    #[test]
    fn words_can_be_read_on_their_ground() {
        for (name, palette) in ALL {
            let Palette { ground, raised, .. } = *palette;
            for (role, ink, least) in [
                ("text", palette.text, 4.5),
                ("strong", palette.strong, 4.5),
                ("accent", palette.accent, 4.5),
                ("bad", palette.bad, 4.5),
                ("warn", palette.warn, 4.0),
                ("good", palette.good, 4.0),
                ("dim", palette.dim, 3.0),
            ] {
                for (under, ground) in [("ground", ground), ("selected row", raised)] {
                    let found = contrast(rgb(ink), rgb(ground));
                    assert!(found >= least, "{name}: {role} on {under} is {found:.2}");
                }
            }
            let tab = contrast(rgb(ground), rgb(palette.accent));
            assert!(tab >= 4.5, "{name}: letters on the tab {tab:.2}");
        }
    }

    #[test]
    fn colour_blind_eyes_tell_bad_from_line_and_good() {
        let seen = |matrix, ink: Ink| product(matrix, light(rgb(ink))).map(|v| v.clamp(0.0, 1.0));
        for (kind, matrix) in [("protanopia", PROTANOPIA), ("deuteranopia", DEUTERANOPIA)] {
            let p = &COLOR_BLIND;
            for (pair, a, b, least) in [
                ("bad, line", p.bad, p.line, 60.0),
                ("bad, good", p.bad, p.good, 60.0),
                ("warn, good", p.warn, p.good, 60.0),
                ("bad, forecast", p.bad, p.forecast, 40.0),
                ("bad, warn", p.bad, p.warn, 20.0),
                ("line, forecast", p.line, p.forecast, 15.0),
            ] {
                let found = distance(seen(matrix, a), seen(matrix, b));
                assert!(found >= least, "{kind}: {pair} are {found:.0} apart");
            }
        }
    }

    /// The sixteen as two usual terminals paint them: the kernel's console and xterm.
    fn painted(color: Color) -> [(u8, u8, u8); 2] {
        match color {
            Color::Black => [(0, 0, 0), (0, 0, 0)],
            Color::Red => [(170, 0, 0), (205, 0, 0)],
            Color::Green => [(0, 170, 0), (0, 205, 0)],
            Color::Yellow => [(170, 85, 0), (205, 205, 0)],
            Color::Blue => [(0, 0, 170), (0, 0, 238)],
            Color::Magenta => [(170, 0, 170), (205, 0, 205)],
            Color::Cyan => [(0, 170, 170), (0, 205, 205)],
            Color::Gray => [(170, 170, 170), (229, 229, 229)],
            Color::DarkGray => [(85, 85, 85), (127, 127, 127)],
            Color::LightRed => [(255, 85, 85), (255, 0, 0)],
            Color::LightGreen => [(85, 255, 85), (0, 255, 0)],
            Color::LightYellow => [(255, 255, 85), (255, 255, 0)],
            Color::LightBlue => [(85, 85, 255), (92, 92, 255)],
            Color::LightMagenta => [(255, 85, 255), (255, 0, 255)],
            Color::LightCyan => [(85, 255, 255), (0, 255, 255)],
            Color::White => [(255, 255, 255), (255, 255, 255)],
            other => panic!("{other} is what the terminal makes of it"),
        }
    }

    #[test]
    fn the_sixteen_can_be_read_on_light_and_dark_terminals() {
        for (name, palette) in ALL {
            for (role, ink, least) in [
                ("text", palette.text, 4.5),
                ("strong", palette.strong, 4.5),
                ("bad", palette.bad, 3.9),
                ("dim", palette.dim, 3.0),
                ("accent", palette.accent, 3.0),
                ("good", palette.good, 3.0),
                ("warn", palette.warn, 3.0),
            ] {
                // The ground is named too, so what the terminal itself has behind does not matter.
                let grounds = painted(palette.ground.3);
                for (ink, ground) in painted(ink.3).into_iter().zip(grounds) {
                    let found = contrast(ink, ground);
                    assert!(found >= least, "{name}: {role} is {found:.2}");
                }
            }
        }
    }

    #[test]
    fn near_colours_are_found_among_256() {
        assert_eq!(nearest(255, 95, 95), 203);
        assert_eq!(nearest(8, 8, 8), 232);
        assert_eq!(nearest(255, 255, 255), 231);
    }
}
