//! Keys and what they ask for: one table feeds key handling, the help screen, the palette, the hint bar of the panes and of
//! the large chart, and the check for conflicts. Where a panel is open, the hint bar has the panel's words for the same keys
//! (`view/hints.rs`). Only while a line is typed or a question waits are there keys that are not of this table
//! (`update/prompt.rs`, `update/question.rs`): what is typed there is text and answers.

use std::collections::BTreeMap;
use std::fmt;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::action::Intent;

/// One key with its modifiers. Shift is part of the character (`M`), never a modifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    code: KeyCode,
    ctrl: bool,
    alt: bool,
}

/// Keys with a name; all others are one character.
const NAMED: [(&str, KeyCode); 14] = [
    ("Enter", KeyCode::Enter),
    ("Esc", KeyCode::Esc),
    ("Tab", KeyCode::Tab),
    ("BackTab", KeyCode::BackTab),
    ("Space", KeyCode::Char(' ')),
    ("Backspace", KeyCode::Backspace),
    ("Left", KeyCode::Left),
    ("Right", KeyCode::Right),
    ("Up", KeyCode::Up),
    ("Down", KeyCode::Down),
    ("PageUp", KeyCode::PageUp),
    ("PageDown", KeyCode::PageDown),
    ("Home", KeyCode::Home),
    ("End", KeyCode::End),
];

impl Key {
    /// What was pressed.
    #[must_use]
    pub fn of(event: &KeyEvent) -> Self {
        Self {
            code: event.code,
            ctrl: event.modifiers.contains(KeyModifiers::CONTROL),
            alt: event.modifiers.contains(KeyModifiers::ALT),
        }
    }

    /// A character without Ctrl or Alt, as typed into a line.
    #[must_use]
    pub const fn typed(self) -> Option<char> {
        match self.code {
            KeyCode::Char(c) if !self.ctrl && !self.alt => Some(c),
            _ => None,
        }
    }

    /// Whether it is this key without Ctrl or Alt.
    #[must_use]
    pub fn is(self, code: KeyCode) -> bool {
        self.code == code && !self.ctrl && !self.alt
    }

    /// Whether it is Ctrl with this letter.
    #[must_use]
    pub fn is_control(self, letter: char) -> bool {
        self.code == KeyCode::Char(letter) && self.ctrl && !self.alt
    }

    /// Ctrl-C.
    #[must_use]
    pub fn interrupts(self) -> bool {
        self == INTERRUPT
    }

    /// Reads `q`, `Tab`, `PageUp`, `F5`, `Ctrl-r`, `Alt-x`; names in any case, characters exactly. `None`: no such key.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (ctrl, rest) = strip(text, "ctrl-");
        let (alt, rest) = strip(rest, "alt-");
        let mut chars = rest.chars();
        let code = match (chars.next(), chars.next()) {
            (Some(c), None) if !c.is_control() && c != ' ' => KeyCode::Char(c),
            _ => NAMED
                .iter()
                .find(|(name, _)| name.eq_ignore_ascii_case(rest))
                .map(|(_, code)| *code)
                .or_else(|| function_key(rest))?,
        };
        Some(Self { code, ctrl, alt })
    }
}

fn strip<'a>(text: &'a str, prefix: &str) -> (bool, &'a str) {
    match text.get(..prefix.len()) {
        Some(head) if head.eq_ignore_ascii_case(prefix) && text.len() > prefix.len() => {
            (true, text.get(prefix.len()..).unwrap_or_default())
        }
        _ => (false, text),
    }
}

fn function_key(text: &str) -> Option<KeyCode> {
    let number: u8 = text.strip_prefix(['F', 'f'])?.parse().ok()?;
    (1..=12).contains(&number).then_some(KeyCode::F(number))
}

/// As it is written in `[ui.keys]`: `q`, `Enter`, `Ctrl-r`.
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.ctrl {
            f.write_str("Ctrl-")?;
        }
        if self.alt {
            f.write_str("Alt-")?;
        }
        let named = NAMED.iter().find(|(_, code)| *code == self.code);
        match (named, self.code) {
            (Some((shown, _)), _) => f.write_str(shown),
            (None, KeyCode::Char(c)) => write!(f, "{c}"),
            (None, code) => write!(f, "{code}"),
        }
    }
}

/// The help screen's chapters, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// Quit, help, looks.
    General,
    /// Which data.
    Modes,
    /// Where to look.
    Moving,
    /// What else can be looked at.
    Panels,
    /// Orders to the engine.
    Engine,
    /// Words on incidents.
    Incidents,
}

impl Group {
    /// Every chapter, in the order of the help screen.
    pub const ALL: [Self; 6] = [
        Self::Modes,
        Self::Panels,
        Self::Incidents,
        Self::Engine,
        Self::Moving,
        Self::General,
    ];

    /// Its heading.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::General => "General",
            Self::Modes => "Modes",
            Self::Moving => "Moving",
            Self::Panels => "Panels",
            Self::Engine => "Engine",
            Self::Incidents => "Incidents",
        }
    }
}

/// When the hint bar shows a binding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hint {
    /// Only the help screen shows it.
    Never,
    /// Everywhere.
    Always,
    /// Wherever there is something to choose from.
    Lists,
    /// Where a model scores.
    Scored,
    /// On screens without a log.
    Compact,
    /// On the grid of panes.
    Panes,
    /// Wherever there are charts.
    Charts,
    /// While one feature fills the screen; panels have words of their own.
    Inside,
    /// In the large chart.
    Detail,
    /// While a training runs.
    Training,
    /// In test mode.
    Test,
    /// With an incident at hand.
    Incident,
    /// With more than one entity.
    Entities,
    /// On a group of incidents.
    Group,
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Binding {
    /// What it asks for.
    pub intent: Intent,
    /// Its name in `[ui.keys]`.
    pub name: &'static str,
    /// Default keys, split at spaces.
    keys: &'static str,
    /// Its chapter.
    pub group: Group,
    /// Where the hint bar shows it.
    pub hint: Hint,
    /// The hint bar's word for it.
    pub short: &'static str,
    /// The help screen's sentence.
    pub help: &'static str,
}

const fn row(
    intent: Intent,
    name: &'static str,
    keys: &'static str,
    group: Group,
    hint: Hint,
    short: &'static str,
    help: &'static str,
) -> Binding {
    Binding {
        intent,
        name,
        keys,
        group,
        hint,
        short,
        help,
    }
}

/// The table: every key the dashboard knows. Order is that of the hint bar and of each chapter of help.
#[rustfmt::skip]
pub const BINDINGS: [Binding; 49] = [
    row(Intent::Quit, "quit", "q", Group::General, Hint::Always, "quit", "end the dashboard"),
    row(Intent::Help, "help", "?", Group::General, Hint::Always, "help", "show or hide this screen"),
    row(Intent::Back, "back", "Esc", Group::General, Hint::Inside, "back", "go back one step; on the panes, hide the hint"),
    row(Intent::NextMode, "next_mode", "Tab", Group::Modes, Hint::Always, "mode", "next mode"),
    row(Intent::Live, "live", "1", Group::Modes, Hint::Never, "live", "live: the newest data, scored as it comes"),
    row(Intent::LongTerm, "long_term", "2", Group::Modes, Hint::Never, "long-term", "long-term: all that is kept, and a forecast"),
    row(Intent::Test, "test", "3", Group::Modes, Hint::Never, "test", "test: recorded data with spikes put in"),
    row(Intent::Expand, "expand", "Enter", Group::Moving, Hint::Panes, "expand", "large chart of the selected pane or incident"),
    row(Intent::Left, "left", "Left h", Group::Moving, Hint::Detail, "moment", "pane to the left; in a chart: earlier"),
    row(Intent::Right, "right", "Right l", Group::Moving, Hint::Never, "right", "pane to the right or the log; in a chart: later"),
    row(Intent::PreviousEntity, "previous_entity", "[", Group::Moving, Hint::Never, "entity", "previous entity"),
    row(Intent::NextEntity, "next_entity", "]", Group::Moving, Hint::Entities, "entity", "next entity"),
    row(Intent::Why, "why", "w", Group::Panels, Hint::Scored, "why", "why the selected moment is an anomaly, or not"),
    row(Intent::Cancel, "cancel", "c", Group::Engine, Hint::Training, "cancel training", "stop the training that runs"),
    row(Intent::Inject, "inject", "x", Group::Engine, Hint::Test, "inject spike", "put a spike into the test data"),
    row(Intent::Acknowledge, "acknowledge", "a", Group::Incidents, Hint::Incident, "acknowledge", "mark the selected incident as seen"),
    row(Intent::MarkFalse, "mark_false", "m", Group::Incidents, Hint::Incident, "false alarm", "call it a false alarm; again takes it back"),
    row(Intent::MarkReal, "mark_real", "M", Group::Incidents, Hint::Incident, "real", "call it a real problem; again takes it back"),
    row(Intent::Filter, "filter", "/", Group::Moving, Hint::Lists, "filter", "show only what a word is in; Esc shows all"),
    row(Intent::Sort, "sort", "s", Group::Moving, Hint::Lists, "sort", "another order of panes, or of the open table"),
    row(Intent::Reverse, "reverse", "i", Group::Moving, Hint::Never, "reverse", "the opposite order of the log or the open table"),
    row(Intent::Fold, "fold", "Space", Group::Incidents, Hint::Group, "fold", "show or hide the incidents of a group in the log"),
    row(Intent::ZoomIn, "zoom_in", "+ =", Group::Moving, Hint::Charts, "zoom", "shorter time range"),
    row(Intent::ZoomOut, "zoom_out", "-", Group::Moving, Hint::Never, "zoom out", "longer time range"),
    row(Intent::Freeze, "freeze", "f", Group::General, Hint::Always, "freeze", "hold the picture still; again resumes"),
    row(Intent::Retrain, "retrain", "r", Group::Engine, Hint::Panes, "retrain", "train a new model for the shown mode"),
    row(Intent::Up, "up", "Up k", Group::Moving, Hint::Never, "up", "pane or incident above; in a chart: feature"),
    row(Intent::Down, "down", "Down j", Group::Moving, Hint::Never, "down", "pane or incident below"),
    row(Intent::PageUp, "page_up", "PageUp", Group::Moving, Hint::Never, "page up", "one page back; in a chart: half of it"),
    row(Intent::PageDown, "page_down", "PageDown", Group::Moving, Hint::Never, "page down", "one page on"),
    row(Intent::Home, "home", "Home g", Group::Moving, Hint::Never, "first", "to the first line, or to the oldest moment"),
    row(Intent::End, "end", "End G", Group::Moving, Hint::Never, "last", "to the last line, or to the newest moment"),
    row(Intent::RangeShorter, "range_shorter", "{", Group::Moving, Hint::Never, "shorter range", "shorter usual range: 15 min, 1 h, 6 h, 1 d, 7 d"),
    row(Intent::RangeLonger, "range_longer", "}", Group::Moving, Hint::Never, "longer range", "longer usual range, up to all that is kept"),
    row(Intent::Log, "log", "L", Group::Panels, Hint::Compact, "log", "all anomalies, one line each"),
    row(Intent::Errors, "errors", "E", Group::Panels, Hint::Never, "errors", "error, contribution and band of each feature"),
    row(Intent::Entities, "entities", "n", Group::Panels, Hint::Entities, "entities", "all entities by their scores"),
    row(Intent::Training, "training", "T", Group::Panels, Hint::Never, "training", "how training goes, and how the last one went"),
    row(Intent::Models, "models", "v", Group::Panels, Hint::Never, "models", "the models that are kept, and going back to one"),
    row(Intent::Health, "health", "H", Group::Panels, Hint::Never, "health", "source, readiness, memory and processor time"),
    row(Intent::Slower, "slower", "<", Group::Engine, Hint::Never, "slower", "poll the source less often"),
    row(Intent::Faster, "faster", ">", Group::Engine, Hint::Never, "faster", "poll the source more often"),
    row(Intent::Palette, "palette", ":", Group::General, Hint::Always, "do", "choose any action by its words"),
    row(Intent::Theme, "theme", "t", Group::General, Hint::Never, "theme", "next colours: light, contrast, colour-blind"),
    row(Intent::Copy, "copy", "y", Group::General, Hint::Never, "copy", "copy what is selected to the clipboard"),
    row(Intent::Export, "export", "e", Group::General, Hint::Never, "export", "save what is shown as CSV"),
    row(Intent::Mouse, "mouse", "o", Group::General, Hint::Never, "mouse", "clicks and wheel here, or the terminal's again"),
    row(Intent::Screenshot, "screenshot", "S", Group::General, Hint::Never, "screenshot", "save the screen as SVG and as text"),
    row(Intent::Suspend, "suspend", "Ctrl-z", Group::General, Hint::Never, "suspend", "give the terminal back to the shell"),
];

/// Ctrl-C ends the dashboard whatever `[ui.keys]` says.
const INTERRUPT: Key = Key {
    code: KeyCode::Char('c'),
    ctrl: true,
    alt: false,
};

/// One mistake in `[ui.keys]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyMistake {
    /// The action, the key below `[ui.keys]`.
    pub action: String,
    /// What is wrong.
    pub problem: String,
    /// What would be right.
    pub remedy: String,
}

impl fmt::Display for KeyMistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            action,
            problem,
            remedy,
        } = self;
        write!(f, "[ui.keys] {action}: {problem}; {remedy}")
    }
}

/// What is wrong with `[ui.keys]`: one line for each mistake.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct KeymapError(pub Vec<KeyMistake>);

/// The table with the user's keys in it.
#[derive(Clone, Debug)]
pub struct Keymap {
    keys: Vec<(Key, Intent)>,
}

impl Keymap {
    /// The default keys, with those of `[ui.keys]` (action name → keys, split at spaces) in their place.
    ///
    /// # Errors
    /// Names every action that does not exist, every key that can't be read, and every key that two actions claim.
    pub fn new(overrides: &BTreeMap<String, String>) -> Result<Self, KeymapError> {
        let mut mistakes: Vec<KeyMistake> = overrides
            .keys()
            .filter(|name| !BINDINGS.iter().any(|b| b.name == **name))
            .map(|name| unknown(name))
            .collect();
        let mut keys: Vec<(Key, Intent)> = Vec::new();
        for binding in &BINDINGS {
            let mut wrong = |problem: String, remedy: String| {
                mistakes.push(KeyMistake {
                    action: binding.name.to_owned(),
                    problem,
                    remedy,
                });
            };
            let words = overrides
                .get(binding.name)
                .map_or(binding.keys, String::as_str);
            if words.split_whitespace().next().is_none() {
                let remedy = format!("write one, such as \"{}\"", binding.keys);
                wrong("no key is given".into(), remedy);
            }
            for word in words.split_whitespace() {
                match Key::parse(word) {
                    None => wrong(
                        format!("`{word}` is no key"),
                        "write a character, Tab, Enter, PageUp, F5, Ctrl-r, …".into(),
                    ),
                    Some(key) => match taken(&keys, key) {
                        Some(other) => wrong(
                            format!("`{word}` is claimed by `{other}` too"),
                            "give one of them another key".into(),
                        ),
                        None => keys.push((key, binding.intent)),
                    },
                }
            }
        }
        keys.push((INTERRUPT, Intent::Quit));
        if mistakes.is_empty() {
            Ok(Self { keys })
        } else {
            Err(KeymapError(mistakes))
        }
    }

    /// What a key asks for.
    #[must_use]
    pub fn intent(&self, key: Key) -> Option<Intent> {
        self.keys
            .iter()
            .find(|(bound, _)| *bound == key)
            .map(|(_, intent)| *intent)
    }

    /// All keys of an intent, as shown: `Left h`.
    #[must_use]
    pub fn keys(&self, intent: Intent) -> String {
        let shown: Vec<String> = self
            .keys
            .iter()
            .filter(|(key, bound)| *bound == intent && *key != INTERRUPT)
            .map(|(key, _)| key.to_string())
            .collect();
        shown.join(" ")
    }

    /// The first key of an intent, as shown.
    #[must_use]
    pub fn key(&self, intent: Intent) -> String {
        self.keys
            .iter()
            .find(|(_, bound)| *bound == intent)
            .map(|(key, _)| key.to_string())
            .unwrap_or_default()
    }
}

fn unknown(name: &str) -> KeyMistake {
    let names: Vec<&str> = BINDINGS.iter().map(|b| b.name).collect();
    KeyMistake {
        action: name.to_owned(),
        problem: "there is no such action".into(),
        remedy: format!("the actions are {}", names.join(", ")),
    }
}

fn taken(keys: &[(Key, Intent)], key: Key) -> Option<&'static str> {
    if key == INTERRUPT {
        return Some("quit");
    }
    let (_, intent) = keys.iter().find(|(bound, _)| *bound == key)?;
    BINDINGS
        .iter()
        .find(|b| b.intent == *intent)
        .map(|b| b.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(pairs: &[(&str, &str)]) -> Result<Keymap, KeymapError> {
        let given = pairs
            .iter()
            .map(|(name, keys)| ((*name).to_owned(), (*keys).to_owned()))
            .collect();
        Keymap::new(&given)
    }

    #[test]
    fn the_table_itself_has_no_conflict_and_every_intent_once() {
        let keymap = keys(&[]).unwrap();
        for binding in &BINDINGS {
            let same = BINDINGS.iter().filter(|b| b.intent == binding.intent);
            assert_eq!(same.count(), 1, "{}", binding.name);
            assert!(!keymap.keys(binding.intent).is_empty());
        }
    }

    #[test]
    fn keys_can_be_changed() {
        let keymap = keys(&[("retrain", "R F5"), ("quit", "Ctrl-q")]).unwrap();
        assert_eq!(
            keymap.intent(Key::parse("f5").unwrap()),
            Some(Intent::Retrain)
        );
        assert_eq!(keymap.intent(Key::parse("r").unwrap()), None);
        assert_eq!(
            keymap.intent(Key::parse("ctrl-c").unwrap()),
            Some(Intent::Quit)
        );
        assert_eq!(keymap.keys(Intent::Retrain), "R F5");
    }

    #[test]
    fn conflicts_and_mistakes_are_named_all_at_once() {
        let error = keys(&[
            ("retrain", "q"),
            ("theme", "Hyper-9"),
            ("fly", "z"),
            ("help", "Ctrl-c"),
            ("sort", ""),
        ])
        .unwrap_err();
        let text = error.to_string();
        for part in [
            "retrain: `q` is claimed by `quit` too",
            "theme: `Hyper-9` is no key",
            "fly: there is no such action",
            "help: `Ctrl-c` is claimed by `quit` too",
            "sort: no key is given",
        ] {
            assert!(text.contains(part), "{part} is not in:\n{text}");
        }
        assert_eq!(error.0.len(), 5);
    }

    #[test]
    fn shift_is_part_of_the_character() {
        let event = KeyEvent::new(KeyCode::Char('M'), KeyModifiers::SHIFT);
        assert_eq!(Some(Key::of(&event)), Key::parse("M"));
        assert_ne!(Key::parse("M"), Key::parse("m"));
        assert_eq!(Key::parse("<").unwrap().to_string(), "<");
        assert_eq!(Key::parse("ctrl-"), None);
        assert_eq!(Key::parse("-").unwrap().to_string(), "-");
    }
}
