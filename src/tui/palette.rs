//! What the command palette offers for the words that were typed: every key's action, and a few that take a value.

use std::time::Duration;

use crate::config::{Span, ThemeName};
use crate::domain::{Entity, Snapshot};

use super::action::Intent;
use super::keymap::{BINDINGS, Binding, Group};
use super::orders::{EntityOrder, ErrorOrder, LogOrder};
use super::state::{Panel, UiState, has};

/// One thing to choose.
#[derive(Clone, Debug, PartialEq)]
pub struct Offer {
    /// What it is called.
    pub words: String,
    /// What it does.
    pub help: String,
    /// Its key, if it has one.
    pub key: String,
    /// What happens when it is chosen.
    pub run: Run,
}

/// What a chosen offer does.
#[derive(Clone, Debug, PartialEq)]
pub enum Run {
    /// What a key does.
    Press(Intent),
    /// `theme light`.
    Theme(ThemeName),
    /// `range 6h`; `None`: all.
    Range(Option<Duration>),
    /// `entity web-1`.
    Entity(Entity),
    /// `interval 10s`.
    Interval(Duration),
    /// `sort peak`.
    Order(Order),
}

/// A column that a table is sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Of the log.
    Log(LogOrder),
    /// Of the list of entities.
    Entities(EntityOrder),
    /// Of the error table.
    Errors(ErrorOrder),
}

/// The usual time ranges, in seconds.
pub const RANGES: [u64; 5] = [900, 3600, 6 * 3600, 86_400, 7 * 86_400];
/// Shortest and longest interval that the engine takes.
const INTERVALS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(3600));
/// Intervals that are offered before a number is typed, and that keys step through, in seconds.
pub const STEPS: [u64; 11] = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800];
/// The themes by the names that the configuration has for them.
const THEMES: [(&str, ThemeName); 5] = [
    ("dark", ThemeName::Dark),
    ("light", ThemeName::Light),
    ("high_contrast", ThemeName::HighContrast),
    ("color_blind", ThemeName::ColorBlind),
    ("mono", ThemeName::Mono),
];

/// A theme's name in the configuration.
pub fn theme_name(theme: ThemeName) -> &'static str {
    let found = THEMES.iter().find(|(_, other)| *other == theme);
    found.map_or("dark", |(name, _)| name)
}

/// The theme after another, round and round.
pub fn next_theme(theme: ThemeName) -> ThemeName {
    let at = THEMES.iter().position(|(_, other)| *other == theme);
    let next = at.map_or(0, |at| (at + 1) % THEMES.len());
    THEMES.get(next).map_or(theme, |(_, next)| *next)
}

/// What the typed words may mean, the likeliest first. Nothing typed offers every action, in the order of the help screen.
pub fn offers(state: &UiState, snapshot: &Snapshot, typed: &str) -> Vec<Offer> {
    let typed = typed.trim_start().to_lowercase();
    let valued = typed
        .split_once(' ')
        .and_then(|(first, rest)| with_value(state, snapshot, first, rest.trim()));
    if let Some(offers) = valued.filter(|offers| !offers.is_empty()) {
        return offers;
    }
    let words: Vec<&str> = typed.split_whitespace().collect();
    let mut all: Vec<Offer> = Group::ALL
        .iter()
        .flat_map(|group| BINDINGS.iter().filter(move |b| b.group == *group))
        .map(|binding| action(state, binding))
        .collect();
    if words.is_empty() {
        return all;
    }
    all.extend(themes(""));
    all.extend(ranges(""));
    let mut ranked: Vec<(u8, Offer)> = all
        .into_iter()
        .filter_map(|offer| Some((rank(&words, &offer)?, offer)))
        .collect();
    ranked.sort_by_key(|(rank, _)| *rank);
    ranked.into_iter().map(|(_, offer)| offer).collect()
}

/// Why the typed words mean nothing, and what would.
pub fn refusal(typed: &str) -> String {
    let (first, rest) = typed.trim().split_once(' ').unwrap_or((typed.trim(), ""));
    let rest = rest.trim();
    match first.to_lowercase().as_str() {
        "theme" => {
            let names = THEMES.map(|(name, _)| name).join(", ");
            format!("`{rest}` is no theme; there are {names}")
        }
        "range" => {
            format!("`{rest}` is no time range; write all, or a length such as 15m, 6h or 7d")
        }
        "interval" => {
            format!("`{rest}` is no interval; write a length from 1s to 1h, such as 10s")
        }
        "sort" => format!("no column of the open table has “{rest}” in its name"),
        "entity" => format!("no entity has “{rest}” in its name"),
        _ => format!("no action has “{}” in its words", typed.trim()),
    }
}

/// `theme …`, `range …`, `entity …`, `interval …`, `sort …`; `None` for another first word.
fn with_value(state: &UiState, snapshot: &Snapshot, first: &str, rest: &str) -> Option<Vec<Offer>> {
    Some(match first {
        "theme" => themes(rest),
        "range" => ranges(rest),
        "interval" => intervals(rest),
        "entity" => entities(state, snapshot, rest),
        "sort" => orders(state, rest),
        _ => return None,
    })
}

fn action(state: &UiState, binding: &Binding) -> Offer {
    Offer {
        words: binding.name.replace('_', " "),
        help: binding.help.into(),
        key: state.keymap.keys(binding.intent),
        run: Run::Press(binding.intent),
    }
}

fn valued(words: String, help: &str, run: Run) -> Offer {
    Offer {
        words,
        help: help.into(),
        key: String::new(),
        run,
    }
}

fn themes(rest: &str) -> Vec<Offer> {
    let rest = rest.replace(' ', "_");
    THEMES
        .iter()
        .filter(|(name, _)| has(name, &rest))
        .map(|(name, theme)| {
            valued(
                format!("theme {name}"),
                "use these colours",
                Run::Theme(*theme),
            )
        })
        .collect()
}

fn ranges(rest: &str) -> Vec<Offer> {
    let offer = |range: Duration| {
        let words = format!("range {}", Span(range));
        valued(words, "show the newest part only", Run::Range(Some(range)))
    };
    let usual = RANGES.map(Duration::from_secs);
    if let Ok(Span(range)) = Span::parse(rest)
        && !range.is_zero()
    {
        return vec![offer(range)];
    }
    let all = valued(
        "range all".into(),
        "show all that is kept",
        Run::Range(None),
    );
    usual
        .map(offer)
        .into_iter()
        .chain([all])
        .filter(|offer| offer.words.starts_with(&format!("range {rest}")))
        .collect()
}

fn intervals(rest: &str) -> Vec<Offer> {
    let offer = |interval: Duration| {
        let words = format!("interval {}", Span(interval));
        valued(words, "poll the source this often", Run::Interval(interval))
    };
    match Span::parse(rest) {
        Ok(Span(interval)) if interval < INTERVALS.0 || interval > INTERVALS.1 => Vec::new(),
        Ok(Span(interval)) => vec![offer(interval)],
        Err(_) => STEPS
            .map(|secs| offer(Duration::from_secs(secs)))
            .into_iter()
            .filter(|offer| offer.words.starts_with(&format!("interval {rest}")))
            .collect(),
    }
}

fn entities(state: &UiState, snapshot: &Snapshot, rest: &str) -> Vec<Offer> {
    let pipeline = state.pipeline(snapshot);
    let named = pipeline.into_iter().flat_map(|p| &p.entities);
    named
        .map(|view| &view.entity)
        .filter(|entity| !entity.is_sole() && has(entity.name(), rest))
        .map(|entity| {
            let words = format!("entity {}", entity.name());
            valued(words, "show it", Run::Entity(entity.clone()))
        })
        .collect()
}

/// The columns that the open table, or the log beside the panes, can be sorted by.
fn orders(state: &UiState, rest: &str) -> Vec<Offer> {
    let columns: Vec<(&str, Order)> = match state.open.map(|open| open.panel) {
        Some(Panel::Errors) => ErrorOrder::ALL
            .map(|order| (order.column(), Order::Errors(order)))
            .into(),
        Some(Panel::Entities) => EntityOrder::ALL
            .map(|order| (order.column(), Order::Entities(order)))
            .into(),
        None | Some(Panel::Log) => LogOrder::ALL
            .map(|order| (order.column(), Order::Log(order)))
            .into(),
        Some(_) => Vec::new(),
    };
    let wanted = columns.into_iter().filter(|(name, _)| has(name, rest));
    wanted
        .map(|(name, order)| {
            let help = "by this column; again the other way round";
            valued(format!("sort {name}"), help, Run::Order(order))
        })
        .collect()
}

/// How well an offer fits, 0 best; `None` when it does not. All words must be in its name or its sentence; failing that,
/// the letters in their order in its name.
fn rank(words: &[&str], offer: &Offer) -> Option<u8> {
    let name = offer.words.as_str();
    let help = offer.help.to_lowercase();
    let typed = words.join(" ");
    let begins = |word: &&str| name.split(' ').any(|part| part.starts_with(*word));
    Some(match () {
        () if name == typed => 0,
        () if name.starts_with(&typed) => 1,
        () if words.iter().all(begins) => 2,
        () if words.iter().all(|word| name.contains(word)) => 3,
        () if words
            .iter()
            .all(|word| name.contains(word) || help.contains(word)) =>
        {
            4
        }
        () if in_order(&words.concat(), name) => 5,
        () => return None,
    })
}

/// Whether the letters of `typed` stand in `name` in their order.
fn in_order(typed: &str, name: &str) -> bool {
    let mut letters = name.chars();
    typed.chars().all(|c| letters.any(|other| other == c))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(words: &str, help: &str) -> Offer {
        valued(words.into(), help, Run::Range(None))
    }

    #[test]
    fn names_come_before_sentences_and_these_before_letters() {
        let sort = offer("sort", "another order of the panes");
        let page = offer("page up", "one page of panes back");
        assert_eq!(rank(&["sort"], &sort), Some(0));
        assert_eq!(rank(&["so"], &sort), Some(1));
        assert_eq!(rank(&["up", "pa"], &page), Some(2));
        assert_eq!(rank(&["order", "pan"], &sort), Some(4));
        assert_eq!(rank(&["pgu"], &page), Some(5));
        assert_eq!(rank(&["panes", "zebra"], &page), None);
    }

    #[test]
    fn values_are_checked() {
        let words = |offers: Vec<Offer>| -> Vec<String> {
            offers.into_iter().map(|offer| offer.words).collect()
        };
        assert_eq!(words(themes("hi")), ["theme high_contrast"]);
        assert_eq!(words(themes("color blind")), ["theme color_blind"]);
        assert_eq!(words(ranges("90m")), ["range 1h30m"]);
        assert_eq!(words(ranges("1")), ["range 15m", "range 1h", "range 1d"]);
        assert_eq!(words(ranges("a")), ["range all"]);
        assert!(ranges("soon").is_empty() && ranges("0s").is_empty());
        assert_eq!(words(intervals("10s")), ["interval 10s"]);
        assert!(intervals("2h").is_empty() && intervals("100ms").is_empty());
        assert!(refusal("range soon").contains("`soon` is no time range"));
        assert!(refusal("theme pink").contains("high_contrast"));
        assert!(refusal("fly away").contains("“fly away”"));
    }

    #[test]
    fn themes_are_named_as_in_the_configuration() {
        for (name, theme) in THEMES {
            let written = serde_json::to_string(&theme).unwrap();
            assert_eq!(written, format!("\"{name}\""));
            assert_eq!(theme_name(theme), name);
        }
    }
}
