//! Words for lengths of time and numbers, and cutting text to a width in terminal columns.

use std::borrow::Cow;
use std::collections::HashSet;
use std::time::Duration;

use ratatui::style::Style;
use ratatui::text::Span;

use crate::domain::Time;

/// Columns that `text` takes on a terminal; control characters take none.
pub fn width(text: &str) -> u16 {
    u16::try_from(Span::raw(text).width()).unwrap_or(u16::MAX)
}

/// `text` in at most `room` columns, with `…` for what was cut; a wide character is never split.
pub fn cut(text: &str, room: u16) -> Cow<'_, str> {
    if width(text) <= room {
        return Cow::Borrowed(text);
    }
    let Some(mut left) = room.checked_sub(1) else {
        return Cow::Borrowed("");
    };
    let span = Span::raw(text);
    let mut kept = String::new();
    for grapheme in span.styled_graphemes(Style::default()) {
        let Some(rest) = left.checked_sub(width(grapheme.symbol)) else {
            break;
        };
        left = rest;
        kept.push_str(grapheme.symbol);
    }
    kept.push('…');
    Cow::Owned(kept)
}

/// In fewer columns a name has no middle.
const SHORTEST: u16 = 5;

/// How names are cut that do not all fit: in the middle where their beginnings alone would not tell them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Names {
    room: u16,
    middle: bool,
}

impl Names {
    /// For `names` in `room` columns.
    pub fn fit<'a>(names: impl Iterator<Item = &'a str>, room: u16) -> Self {
        let mut seen = HashSet::new();
        let long = names.filter(|name| width(name) > room);
        let middle = long.into_iter().any(|name| !seen.insert(cut(name, room)));
        Self { room, middle }
    }

    /// The columns that each may take.
    pub const fn room(self) -> u16 {
        self.room
    }

    /// One of the names in the room there is.
    pub fn cut(self, name: &str) -> Cow<'_, str> {
        if !self.middle || self.room < SHORTEST || width(name) <= self.room {
            return cut(name, self.room);
        }
        let head = self.room / 3;
        let mut tail = self.room.saturating_sub(head + 1);
        let span = Span::raw(name);
        let graphemes: Vec<&str> = span
            .styled_graphemes(Style::default())
            .map(|grapheme| grapheme.symbol)
            .collect();
        let mut end = Vec::new();
        for grapheme in graphemes.into_iter().rev() {
            let Some(rest) = tail.checked_sub(width(grapheme)) else {
                break;
            };
            tail = rest;
            end.push(grapheme);
        }
        let end: String = end.into_iter().rev().collect();
        let begin = cut(name, head + 1);
        Cow::Owned(format!("{begin}{end}"))
    }
}

/// `text` at the left of `room` columns, cut where it is longer.
pub fn left(text: &str, room: u16) -> String {
    let text = cut(text, room);
    let blank = room.saturating_sub(width(&text));
    format!("{text}{}", " ".repeat(usize::from(blank)))
}

/// `text` at the right of `room` columns, whole where it is longer.
pub fn right(text: &str, room: u16) -> String {
    let blank = room.saturating_sub(width(text));
    format!("{}{text}", " ".repeat(usize::from(blank)))
}

/// `text` broken at spaces into lines of at most `room` columns; a word longer than a line is cut.
pub fn wrap(text: &str, room: u16) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if width(line).saturating_add(1).saturating_add(width(word)) <= room => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(cut(word, room).into_owned()),
        }
    }
    lines
}

/// A length of time in one unit: `45 s`, `12 min`, `3 h`, `5 d`.
pub fn span(length: Duration) -> String {
    let secs = length.as_secs();
    match secs {
        0..=119 => format!("{secs} s"),
        120..=7199 => format!("{} min", secs / 60),
        7200..=172_799 => format!("{} h", secs / 3600),
        _ => format!("{} d", secs / 86400),
    }
}

/// The same before a noun: `30-s`, `5-min`, `1-h`, in the largest unit that is exact.
pub fn attribute(length: Duration) -> String {
    let secs = length.as_secs();
    let units = [(86_400, "d"), (3600, "h"), (60, "min")];
    let exact = units
        .into_iter()
        .find(|(unit, _)| secs > 0 && secs.is_multiple_of(*unit));
    exact.map_or_else(
        || format!("{secs}-s"),
        |(unit, word)| format!("{}-{word}", secs / unit),
    )
}

/// How long something lasted, to the minute: `45 s`, `31 min`, `2h45m`, `3d04h`; at most six columns up to 99 days.
pub fn lasting(length: Duration) -> String {
    let minutes = length.as_secs() / 60;
    match minutes {
        0..=119 => span(length),
        120..=2879 => format!("{}h{:02}m", minutes / 60, minutes % 60),
        _ => format!("{}d{:02}h", minutes / 1440, minutes % 1440 / 60),
    }
}

/// A length of time to about a twentieth, in two units where one is too coarse: `45 s`, `12 min`, `6 h 20 min`, `2 d 5 h`.
pub fn exact_span(length: Duration) -> String {
    let minutes = length.as_secs() / 60;
    let (whole, rest, units) = match minutes {
        0..120 => return span(length),
        120..2880 => (minutes / 60, minutes % 60 / 10 * 10, ("h", "min")),
        _ => (minutes / 1440, minutes % 1440 / 60, ("d", "h")),
    };
    match rest {
        0 => format!("{whole} {}", units.0),
        _ => format!("{whole} {} {rest} {}", units.0, units.1),
    }
}

/// `20231114-221320Z`: the part of a file's name that tells when, in UTC.
pub fn stamp(time: Time) -> String {
    match jiff::Timestamp::from_millisecond(time.millis()) {
        Ok(stamp) => stamp.strftime("%Y%m%d-%H%M%SZ").to_string(),
        Err(_) => "–".into(),
    }
}

/// A small number as a person reads it: three significant digits, powers of ten when it is far from 1.
pub fn number(value: f64) -> String {
    match value.abs() {
        _ if !value.is_finite() => "–".into(),
        0.0 => "0".into(),
        v if !(0.0005..1e6).contains(&v) => format!("{value:.1e}"),
        v if v < 0.0995 => format!("{value:.4}"),
        v if v < 9.995 => format!("{value:.2}"),
        v if v < 99.95 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

/// A part of a whole: `43 %`.
pub fn percent(part: f64) -> String {
    if part.is_finite() {
        format!("{:.0} %", part * 100.0)
    } else {
        "–".into()
    }
}

/// A non-negative number of cells or dots; NaN and negatives are 0.
pub fn whole(value: f64) -> usize {
    // Bounded well inside both types before the cast.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    if value > 0.0 {
        value.min(1e9).round() as usize
    } else {
        0
    }
}

/// `value` as a terminal coordinate.
pub fn short(value: usize) -> u16 {
    u16::try_from(value).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_characters_and_long_names_cut_cleanly() {
        assert_eq!(cut("latency", 7), "latency");
        assert_eq!(cut("latency", 4), "lat…");
        assert_eq!(cut("温度計", 4), "温…");
        assert_eq!(cut("温度計", 5), "温度…");
        assert_eq!(cut("anything", 0), "");
        for room in 0..12 {
            assert!(width(&cut("a温b度c計", room)) <= room);
        }
    }

    #[test]
    fn names_that_begin_alike_are_cut_in_the_middle() {
        let alike = ["/api/v1/query", "/api/v1/query_range", "/api/v1/targets"];
        let names = Names::fit(alike.into_iter(), 10);
        let shown = alike.map(|name| names.cut(name).into_owned());
        assert_eq!(shown, ["/ap…/query", "/ap…_range", "/ap…argets"]);
        let names = Names::fit(alike.into_iter(), 19);
        assert_eq!(names.cut("/api/v1/query_range"), "/api/v1/query_range");
        let apart = ["memory_available", "network_receive"];
        let names = Names::fit(apart.into_iter(), 9);
        assert_eq!(names.cut("memory_available"), "memory_a…");
        for room in 0..12 {
            let names = Names::fit(["温度計の名前の一", "温度計の名前の二"].into_iter(), room);
            assert!(width(&names.cut("温度計の名前の一")) <= room);
        }
    }

    #[test]
    fn lines_break_at_spaces() {
        assert_eq!(
            wrap("no data yet from here", 9),
            ["no data", "yet from", "here"]
        );
        assert!(wrap("unbreakable", 4).iter().all(|line| width(line) <= 4));
    }

    #[test]
    fn lengths_and_numbers_read_naturally() {
        assert_eq!(stamp(Time::from_secs(1_700_000_000)), "20231114-221320Z");
        assert_eq!(span(Duration::from_secs(7200)), "2 h");
        assert_eq!(lasting(Duration::from_secs(9900)), "2h45m");
        assert_eq!(lasting(Duration::from_secs(273_600)), "3d04h");
        assert_eq!(lasting(Duration::from_secs(1860)), "31 min");
        assert_eq!(attribute(Duration::from_secs(30)), "30-s");
        assert_eq!(attribute(Duration::from_secs(60)), "1-min");
        assert_eq!(attribute(Duration::from_secs(90)), "90-s");
        assert_eq!(attribute(Duration::from_hours(1)), "1-h");
        assert_eq!(number(0.002_53), "0.0025");
        assert_eq!(number(f64::NAN), "–");
    }
}
