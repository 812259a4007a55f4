//! How the dashboard was left: colours, orders, time ranges and the mouse, in a small file for the next run.
//!
//! What the configuration has a word for is kept beside that word, and counts only as long as the word is the same: who
//! edits the configuration gets what it says.

use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::config::{Span, ThemeName};

use super::lists::{EntityOrder, LogOrder, Reversed};
use super::state::{ErrorOrder, Sort, UiState};

/// Version of the file.
const FORMAT: u32 = 1;
/// A longer file is not ours.
const LONGEST: u64 = 64 * 1024;

/// A value, and what the configuration said when it was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Kept<T> {
    value: T,
    config: T,
}

impl<T: PartialEq> Kept<T> {
    /// The value, unless the configuration says something else by now.
    fn under(self, config: &T) -> Option<T> {
        (self.config == *config).then_some(self.value)
    }
}

/// What is remembered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Memory {
    format: u32,
    sort: Sort,
    errors: ErrorOrder,
    log: LogOrder,
    entities: EntityOrder,
    #[serde(default)]
    reversed: Reversed,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    live_range: Option<Span>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    long_range: Option<Span>,
    theme: Kept<ThemeName>,
    mouse: Kept<bool>,
    /// The hint on how a run began that was put away; another one shows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    dismissed: Option<String>,
}

impl Memory {
    /// How the dashboard is now.
    pub fn of(state: &UiState) -> Self {
        Self {
            format: FORMAT,
            sort: state.sort,
            errors: state.errors,
            log: state.log,
            entities: state.entity_order,
            reversed: state.reversed,
            live_range: state.live_range.map(Span),
            long_range: state.long_range.map(Span),
            theme: Kept {
                value: state.theme,
                config: state.config.theme,
            },
            mouse: Kept {
                value: state.mouse,
                config: state.config.mouse,
            },
            dismissed: state.dismissed.clone(),
        }
    }

    /// Makes the dashboard as it was.
    pub fn restore(&self, state: &mut UiState) {
        let range = |span: Option<Span>| span.map(|span| span.0).filter(|range| !range.is_zero());
        state.sort = self.sort;
        state.errors = self.errors;
        state.log = self.log;
        state.entity_order = self.entities;
        state.reversed = self.reversed;
        state.live_range = range(self.live_range);
        state.long_range = range(self.long_range);
        state.dismissed.clone_from(&self.dismissed);
        if let Some(theme) = self.theme.under(&state.config.theme) {
            state.theme = theme;
        }
        if let Some(mouse) = self.mouse.under(&state.config.mouse) {
            state.mouse = mouse;
        }
    }

    /// From the file; `None` when there is none.
    ///
    /// # Errors
    /// One clause on why the file is not one of these, or can't be read.
    pub fn read(path: &Path) -> Result<Option<Self>, String> {
        let length = match std::fs::metadata(path) {
            Ok(found) if !found.is_file() => return Err("it is no file".into()),
            Ok(found) => found.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.to_string()),
        };
        if length > LONGEST {
            return Err("it is too long to be one".into());
        }
        let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
        Self::parse(&text).map(Some)
    }

    fn parse(text: &str) -> Result<Self, String> {
        let memory: Self = toml::from_str(text).map_err(|error| error.message().to_owned())?;
        if memory.format == FORMAT {
            Ok(memory)
        } else {
            Err(format!("it is of format {}, not {FORMAT}", memory.format))
        }
    }

    /// As it is written.
    pub fn text(&self) -> String {
        // Plain fields and two small tables: nothing that TOML can't say.
        let fields = toml::to_string(self).unwrap_or_default();
        format!("# How the dashboard was left. Removing this file forgets it.\n{fields}")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;
    use std::time::Duration;

    use crate::config::UiConfig;
    use crate::domain::Time;
    use crate::tui::{Keymap, Mode};

    use super::*;

    fn state(config: &UiConfig) -> UiState {
        let keymap = Arc::new(Keymap::new(&BTreeMap::new()).unwrap());
        UiState::new(Mode::Live, config, keymap, (80, 24), Time::from_secs(0))
    }

    fn left() -> UiState {
        let mut state = state(&UiConfig::default());
        state.theme = ThemeName::ColorBlind;
        state.sort = Sort::LastIncident;
        state.errors = ErrorOrder::Deviation;
        state.log = LogOrder::Highest;
        state.entity_order = EntityOrder::Name;
        state.reversed.log = true;
        state.live_range = Some(Duration::from_secs(6 * 3600));
        state.mouse = true;
        state.dismissed = Some("a hint".into());
        state
    }

    #[test]
    fn what_was_left_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ui.toml");
        assert_eq!(Memory::read(&path), Ok(None));
        let memory = Memory::of(&left());
        std::fs::write(&path, memory.text()).unwrap();
        assert_eq!(Memory::read(&path), Ok(Some(memory.clone())));
        let mut fresh = state(&UiConfig::default());
        memory.restore(&mut fresh);
        assert_eq!(Memory::of(&fresh), memory);
        assert_eq!(fresh.theme, ThemeName::ColorBlind);
        assert_eq!(fresh.mode, Mode::Live, "a mode is not remembered");
    }

    #[test]
    fn an_edited_configuration_wins() {
        let memory = Memory::of(&left());
        let config = UiConfig {
            theme: ThemeName::Light,
            ..UiConfig::default()
        };
        let mut fresh = state(&config);
        memory.restore(&mut fresh);
        assert_eq!(fresh.theme, ThemeName::Light);
        assert!(fresh.mouse, "nothing was said about the mouse");
        assert_eq!(fresh.sort, Sort::LastIncident);
    }

    #[test]
    fn what_is_damaged_or_foreign_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ui.toml");
        let ours = Memory::of(&left()).text();
        for text in [
            "",
            "sort = ",
            "[table]\nof = \"somebody else\"\n",
            &ours.replace("format = 1", "format = 2"),
            &ours.replace("color_blind", "ultraviolet"),
            &ours[..ours.len() / 2],
        ] {
            std::fs::write(&path, text).unwrap();
            assert!(Memory::read(&path).is_err(), "{text}");
        }
        std::fs::write(&path, [0xff, 0xfe, 0x00]).unwrap();
        assert!(Memory::read(&path).is_err());
        std::fs::write(&path, "#".repeat(70_000)).unwrap();
        assert!(Memory::read(&path).unwrap_err().contains("too long"));
        assert!(Memory::read(folder.path()).is_err());
    }
}
