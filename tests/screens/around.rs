//! Palette, prompt, help, filters, ranges, mouse, clipboard and export: keys and clicks in, words and effects out.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use pulsewatch::config::{ThemeName, UiConfig};
use pulsewatch::domain::{Command, Snapshot, TrainingView};
use pulsewatch::tui::action::{Action, Effect, Intent, Pointer};
use pulsewatch::tui::keymap::{BINDINGS, Key};
use pulsewatch::tui::state::{Focus, Panel, Place};
use pulsewatch::tui::update::update;
use pulsewatch::tui::{ColorDepth, Keymap, Mode, Theme, UiState, Zone, buffer_text, render};

use crate::{fixture, scene};

pub const SIZES: [(u16, u16); 4] = [(200, 60), (120, 40), (80, 24), (40, 10)];

pub struct Screen {
    pub state: UiState,
    pub snapshot: Snapshot,
}

impl Screen {
    pub fn of(snapshot: Snapshot, size: (u16, u16)) -> Self {
        let keymap = Arc::new(Keymap::new(&BTreeMap::new()).unwrap());
        let config = UiConfig::default();
        let state = UiState::new(Mode::Live, &config, keymap, size, snapshot.now);
        let mut screen = Self { state, snapshot };
        screen.act(Action::Arrived);
        screen
    }

    pub fn incident(size: (u16, u16)) -> Self {
        Self::of(scene::incident().snapshot, size)
    }

    pub fn act(&mut self, action: Action) -> Vec<Effect> {
        let mut all = Vec::new();
        for effect in update(&mut self.state, action, &self.snapshot) {
            if let Effect::Query { ticket, .. } = effect {
                let result = Ok(fixture::history());
                self.act(Action::History { ticket, result });
            } else {
                all.push(effect);
            }
        }
        all
    }

    /// Keys split at spaces, each as in `[ui.keys]`; what the last one caused.
    pub fn keys(&mut self, keys: &str) -> Vec<Effect> {
        let mut last = Vec::new();
        for key in keys.split(' ') {
            last = self.act(Action::Key(Key::parse(key).expect(key)));
        }
        last
    }

    /// Every character of `text` as a key.
    fn write(&mut self, text: &str) {
        for c in text.chars() {
            let name = if c == ' ' {
                "Space".into()
            } else {
                c.to_string()
            };
            self.keys(&name);
        }
    }

    pub fn click(&mut self, column: u16, row: u16) -> Vec<Effect> {
        self.act(Action::Mouse(Pointer::Click, column, row))
    }

    /// The first place where `words` stand.
    pub fn place_of(&self, words: &str) -> (u16, u16) {
        let text = self.text();
        let found = text.lines().enumerate().find_map(|(row, line)| {
            let at = line.find(words)?;
            Some((line[..at].chars().count(), row))
        });
        let (column, row) = found.unwrap_or_else(|| panic!("no {words} in\n{text}"));
        let short = |cells: usize| u16::try_from(cells).unwrap();
        (short(column), short(row))
    }

    pub fn click_on(&mut self, words: &str) -> Vec<Effect> {
        let (column, row) = self.place_of(words);
        self.click(column, row)
    }

    pub fn text(&self) -> String {
        let theme = Theme::new(self.state.theme, ColorDepth::None, true);
        buffer_text(&render(&self.state, &self.snapshot, &theme))
    }

    fn selected(&self) -> &str {
        self.state.selected.as_deref().unwrap_or("cpu")
    }

    fn toast(&self) -> &str {
        self.state.toasts.last().map_or("", |t| &t.text)
    }
}

pub fn has(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "{word} is not in\n{text}");
    }
}

#[test]
fn the_palette_reaches_every_action() {
    for binding in &BINDINGS {
        let mut screen = Screen::incident((120, 40));
        screen.keys(":");
        screen.write(&binding.name.replace('_', " "));
        let text = screen.text();
        has(&text, &["actions", &binding.name.replace('_', " ")]);
        let mut direct = Screen::incident((120, 40));
        let wanted = direct.act(Action::Press(binding.intent));
        assert_eq!(screen.keys("Enter"), wanted, "{}", binding.name);
        assert_eq!(
            screen.state.place(),
            direct.state.place(),
            "{}",
            binding.name
        );
        assert_eq!(screen.state.mode, direct.state.mode, "{}", binding.name);
    }
}

#[test]
fn the_palette_lists_chooses_and_closes() {
    for size in SIZES {
        let mut screen = Screen::incident(size);
        screen.keys(":");
        has(&screen.text(), &["actions", "next mode", "▸", ":▏"]);
        screen.write("the");
        has(&screen.text(), &[":the▏"]);
        screen.write("me");
        screen.keys("Down");
        has(&screen.text(), &["▸ theme dark"]);
        screen.keys("Up Up");
        let text = screen.text();
        assert!(!text.contains("▸ theme dark"), "it goes round:\n{text}");
        screen.keys("Esc");
        assert!(screen.state.prompt.is_none());
        assert!(!screen.text().contains("actions"));
    }
}

#[test]
fn the_palette_takes_values_and_refuses_wrong_ones() {
    let mut screen = Screen::incident((120, 40));
    let mut typed = |text: &str| {
        screen.state.toasts.clear();
        screen.keys(":");
        screen.write(text);
        let effects = screen.keys("Enter");
        let state = &screen.state;
        (
            effects,
            state.theme,
            state.live_range,
            screen.toast().to_owned(),
        )
    };
    assert_eq!(typed("theme light").1, ThemeName::Light);
    assert_eq!(typed("theme color").1, ThemeName::ColorBlind);
    assert!(
        typed("theme pink")
            .3
            .contains("`pink` is no theme; there are dark")
    );
    assert_eq!(typed("range 90m").2, Some(Duration::from_secs(5400)));
    assert_eq!(typed("range all").2, None);
    assert!(typed("range soon").3.contains("no time range"));
    let set = Command::SetInterval(Duration::from_secs(10));
    assert_eq!(typed("interval 10s").0, [Effect::Send(set)]);
    assert!(typed("interval 3d").3.contains("from 1s to 1h"));
    assert!(typed("entity web").3.contains("no entity"));
    assert!(typed("fly away").3.contains("no action"));

    let mut test = Screen::of(scene::test_mode().snapshot, (120, 40));
    test.keys("3 :");
    test.write("entity 数据");
    has(&test.text(), &["entity 数据库-主"]);
    test.keys("Enter");
    has(&test.text(), &["3 of 3"]);
}

#[test]
fn filters_show_as_they_are_typed_are_kept_and_let_go() {
    for size in SIZES {
        let mut screen = Screen::incident(size);
        screen.keys("/");
        screen.write("MEM");
        let text = screen.text();
        has(&text, &["/MEM▏", "memory"]);
        assert!(!text.contains("disk_used ─"), "{text}");
        if size.0 > 40 {
            has(&text, &["1 of 7"]);
        }
        screen.keys("Enter");
        has(&screen.text(), &["/MEM", "Esc shows all"]);
        screen.keys("Esc");
        assert_eq!(screen.state.filters.panes, "");
        assert!(!screen.text().contains("shows all"));
    }
}

#[test]
fn a_filter_that_lets_nothing_through_says_so() {
    for size in SIZES {
        let mut screen = Screen::incident(size);
        screen.keys("/");
        screen.write("xyz");
        has(&screen.text(), &["no metric has “xyz” in its name"]);
        screen.keys("Enter Enter");
        has(&screen.text(), &["no metric has “xyz”"]);
        screen.keys("Esc Esc");
        assert!(!screen.text().contains("xyz"), "{}", screen.text());
    }
}

#[test]
fn lines_are_edited_and_letters_are_letters() {
    let mut screen = Screen::incident((80, 24));
    screen.keys("/");
    screen.write("disk 温度q");
    assert!(screen.text().contains("/disk 温度q▏"), "q does not quit");
    screen.keys("Backspace Ctrl-w");
    assert_eq!(screen.state.filters.panes, "disk ");
    screen.keys("Ctrl-u");
    assert_eq!(screen.state.filters.panes, "");
    screen.keys("Backspace");
    assert!(screen.state.prompt.is_none(), "nothing is left to delete");
    screen.keys("/");
    assert_eq!(screen.keys("Ctrl-c"), [Effect::Quit]);
    screen.keys("Esc Enter /");
    assert!(screen.state.prompt.is_none());
    assert!(screen.toast().contains("no list to filter"));
}

#[test]
fn help_begins_with_the_first_three_keys_and_is_searched() {
    for size in SIZES {
        let mut screen = Screen::incident(size);
        screen.keys("?");
        has(&screen.text(), &["keys", "Start here.", "What is wrong:"]);
        screen.keys("/");
        screen.write("false alarm");
        let text = screen.text();
        has(&text, &["alarm", "of 49"]);
        assert!(!text.contains("end the dashboard"), "{text}");
        screen.keys("Ctrl-u");
        screen.write("zebra");
        has(&screen.text(), &["no key has “zebra”"]);
        screen.keys("Esc");
        has(&screen.text(), &["Start here."]);
        screen.keys("Esc");
        assert_eq!(screen.state.place(), Place::Panes);
    }
}

#[test]
fn help_scrolls_to_its_end_and_back_at_once() {
    let mut screen = Screen::incident((40, 10));
    screen.keys("?");
    let top = screen.text();
    for _ in 0..200 {
        screen.keys("Down");
    }
    let end = screen.text();
    has(&end, &["Ctrl-z"]);
    screen.keys("Up");
    assert_ne!(screen.text(), end, "no presses are lost at the end");
    screen.keys("Home");
    assert_eq!(screen.text(), top);
}

#[test]
fn usual_ranges_step_and_say_what_is_shown() {
    let mut screen = Screen::incident((120, 40));
    has(&screen.text(), &["all, 4 h 50 min"]);
    screen.keys("{");
    assert_eq!(screen.state.live_range, Some(Duration::from_secs(3600)));
    assert_eq!(screen.toast(), "last 60 min");
    screen.state.toasts.clear();
    has(&screen.text(), &["last 60 min"]);
    screen.keys("{ {");
    assert_eq!(screen.state.live_range, Some(Duration::from_secs(900)));
    screen.keys("} } }");
    assert_eq!(screen.state.live_range, None);
    screen.keys("2 {");
    assert_eq!(screen.state.long_range, Some(Duration::from_secs(86_400)));
    screen.keys("}");
    assert_eq!(
        screen.state.long_range,
        Some(Duration::from_secs(7 * 86_400))
    );
}

#[test]
fn themes_go_round_and_are_named() {
    let mut screen = Screen::incident((80, 24));
    for (theme, name) in [
        (ThemeName::Light, "theme light"),
        (ThemeName::HighContrast, "theme high_contrast"),
        (ThemeName::ColorBlind, "theme color_blind"),
        (ThemeName::Mono, "theme mono"),
        (ThemeName::Dark, "theme dark"),
    ] {
        screen.keys("t");
        assert_eq!((screen.state.theme, screen.toast()), (theme, name));
    }
}

#[test]
fn long_toasts_take_several_lines() {
    let words = "the history could not be had: connection refused; is the server running?";
    for size in SIZES {
        let mut screen = Screen::incident(size);
        let level = pulsewatch::domain::Level::Warning;
        screen.act(Action::Say(level, words.into()));
        let text = screen.text();
        has(&text, &["the history could", "running?"]);
    }
}

#[test]
fn clicks_choose_panes_and_open_them() {
    for size in [(200, 60), (120, 40), (80, 24)] {
        let mut screen = Screen::incident(size);
        screen.click_on(" latency ─");
        assert_eq!(screen.selected(), "latency", "{size:?}");
        assert!(!screen.state.expanded);
        screen.click_on(" latency ─");
        assert!(screen.state.expanded, "{size:?}");
    }
    let mut small = Screen::incident((40, 10));
    small.click_on("● latency ");
    assert_eq!(small.selected(), "latency");
}

/// Number of the selected incident.
fn chosen(screen: &Screen) -> u64 {
    let incident = screen.state.chosen_incident(&screen.snapshot.live);
    incident.unwrap().id
}

#[test]
fn clicks_choose_modes_and_anomalies() {
    let mut screen = Screen::incident((120, 40));
    screen.click_on("2 Long-term");
    assert_eq!(screen.state.mode, Mode::LongTerm);
    screen.click_on("1 Live");
    assert_eq!(screen.state.mode, Mode::Live);
    screen.click_on("memory 74 %");
    assert_eq!(screen.state.focus, Focus::Log);
    assert_eq!(chosen(&screen), 41);
}

#[test]
fn the_wheel_zooms_charts_and_scrolls_words() {
    let mut screen = Screen::incident((120, 40));
    screen.act(Action::Mouse(Pointer::WheelUp, 10, 10));
    assert_eq!(screen.state.live_range, Some(Duration::from_secs(4 * 3600)));
    screen.act(Action::Mouse(Pointer::WheelDown, 10, 10));
    assert_eq!(screen.state.live_range, None);
    let (column, row) = screen.place_of("memory 74 %");
    screen.act(Action::Mouse(Pointer::WheelDown, column, row));
    assert_eq!(chosen(&screen), 41, "over the log");
    let mut help = Screen::incident((40, 10));
    help.keys("?");
    help.act(Action::Mouse(Pointer::WheelDown, 10, 5));
    assert!(help.state.line(Panel::Help).unwrap() > 0);
}

#[test]
fn clicks_choose_rows_of_panels() {
    for size in [(120, 40), (80, 24)] {
        let mut screen = Screen::incident(size);
        screen.keys("L");
        screen.click_on("memory 74 %");
        assert_eq!(chosen(&screen), 41, "{size:?}");
        screen.keys("E");
        screen.click_on("requests ");
        assert_eq!(screen.selected(), "requests", "{size:?}");
        assert_eq!(screen.state.place(), Place::Panel(Panel::Errors));
        screen.click_on("requests ");
        assert!(screen.state.expanded, "a second click opens the chart");
        let mut test = Screen::of(scene::test_mode().snapshot, size);
        test.keys("3 n");
        test.click_on("web-2");
        test.click_on("web-2");
        assert_eq!(test.state.entity.as_ref().unwrap().name(), "web-2");
        screen.keys("v");
        screen.click_on("✗ refused");
        let refused = Some("20261117T225500Z-b01177");
        assert_eq!(screen.state.model.as_deref(), refused, "{size:?}");
        screen.click_on("✗ refused");
        assert!(screen.state.question.is_some(), "{size:?}");
    }
}

#[test]
fn a_click_in_the_large_chart_points_at_a_moment() {
    for size in SIZES {
        let mut screen = Screen::incident(size);
        screen.keys("Enter");
        screen.click(size.0 / 2, size.1 / 2);
        let pointed = screen.state.cursor.expect("a moment");
        let grid = fixture::grid();
        assert!(grid.row(pointed).is_some(), "{size:?}");
        screen.click(size.0 / 2 - 6, size.1 / 2);
        assert!(screen.state.cursor.unwrap() < pointed, "{size:?}");
    }
}

#[test]
fn the_first_hint_is_put_away_for_good() {
    let snapshot = scene::warming_up().snapshot;
    let words = "this host's own metrics";
    for size in [(200, 60), (80, 24), (60, 16)] {
        let mut screen = Screen::of(snapshot.clone(), size);
        has(&screen.text(), &[words, "Esc hides"]);
        // The innermost first.
        screen.keys("L");
        screen.keys("Esc");
        has(&screen.text(), &[words]);
        screen.keys("Esc");
        assert!(!screen.text().contains(words));
        screen.act(Action::Arrived);
        assert!(!screen.text().contains(words));
        screen.snapshot.banner = Some("something else to know".into());
        has(&screen.text(), &["something else to know"]);
    }
    let narrow = Screen::of(snapshot, (40, 10));
    has(&narrow.text(), &["this host's", "Esc hides"]);
}

#[test]
fn moments_are_shown_in_the_zone_that_was_asked_for() {
    let zone = |name| Zone::new(jiff::tz::TimeZone::get(name).unwrap());
    let mut screen = Screen::incident((200, 60));
    has(&screen.text(), &["14:02:11 UTC", "● 13:54 "]);
    screen.state.zone = zone("America/New_York");
    has(&screen.text(), &["09:02:11 EST", "● 08:54 "]);
    has(
        &Screen::incident((40, 10)).text(),
        &["● prometheus", "14:02:11 UTC"],
    );
    let zoned = |screen: &mut Screen, keys: &str, words: &[&str]| {
        screen.keys(keys);
        has(&screen.text(), words);
        assert!(!screen.text().contains("UTC"), "{}", screen.text());
        screen.keys("Esc");
    };
    zoned(&mut screen, "w", &["09:02:00 EST, the newest row"]);
    zoned(
        &mut screen,
        "L",
        &["since 18 Nov 08:54", "peak 4.3× at 18 Nov 09:02"],
    );
    zoned(&mut screen, "v", &["2026-11-18 05:55 EST, 3 h ago"]);
    zoned(&mut screen, "H", &["09:02:00 EST, 11 s behind"]);
    zoned(&mut screen, "f", &["frozen at 09:02:11 EST"]);
    screen.keys("f");
    zoned(&mut screen, "Enter Left", &[" 09:0"]);
    // Files and copies say UTC themselves.
    let (_, table) = exported(screen.keys("e"));
    assert_eq!(table.last().unwrap()[0], "2026-11-18T14:02:00Z");
    has(&copied(screen.keys("y")), &["2026-11-18T14:02:00Z"]);
    // Round times are round on these clocks, half an hour from UTC's.
    let mut screen = Screen::incident((200, 60));
    screen.state.zone = zone("Asia/Kolkata");
    screen.keys("Enter");
    has(&screen.text(), &["15:00", "16:00", "19:32:11 IST"]);
}

#[test]
fn clicks_while_something_is_asked_change_nothing() {
    let mut screen = Screen::incident((120, 40));
    screen.keys("r");
    assert!(screen.state.question.is_some());
    assert_eq!(screen.click(10, 10), []);
    assert!(screen.state.question.is_some());
    assert_eq!(screen.keys("o"), [], "a question waits");
    screen.keys("n");
    assert_eq!(screen.keys("o"), [Effect::Mouse(true)]);
    assert_eq!(screen.keys("o"), [Effect::Mouse(false)]);
}

pub fn copied(effects: Vec<Effect>) -> String {
    match effects.into_iter().next() {
        Some(Effect::Copy(text)) => text,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_selected_is_copied() {
    let mut screen = Screen::incident((120, 40));
    let pane = copied(screen.keys("y"));
    has(
        &pane,
        &[
            "cpu 2026-11-18T14:02:00Z value 8",
            "expected",
            "score",
            "contribution 24 %",
        ],
    );
    let line = copied(screen.keys("Right Right y"));
    has(
        &line,
        &["anomaly 42, open, 2026-11-18T13:54:00Z to", "latency 61 %"],
    );
    assert!(!line.contains('\n'));
    let table = copied(screen.keys("E y"));
    has(&table, &["feature", "latency", "61 %"]);
    assert_eq!(table.lines().count(), 8);
    assert_eq!(screen.keys("? y"), []);
    assert!(screen.toast().contains("nothing to copy"));
}

#[test]
fn a_copied_moment_is_what_the_large_chart_says_of_it() {
    let mut screen = Screen::incident((120, 40));
    screen.keys("Enter");
    let newest = fixture::grid().last().unwrap();
    // Between two rows the nearest one is meant, and past the last row there is nothing.
    for cursor in [
        newest,
        newest + Duration::from_secs(20),
        newest + Duration::from_secs(7200),
    ] {
        screen.state.cursor = Some(cursor);
        let words = copied(screen.keys("y"));
        has(&words, &["cpu 2026-11-18T14:02:00Z value 8", "expected "]);
        has(&words, &["score ", "contribution 24 %"]);
        let band = words.split_once("expected ").unwrap().1;
        let band = band.split_once('(').unwrap().1.split_once(')').unwrap().0;
        has(&screen.text(), &[&format!("expected {band}")]);
    }
}

#[test]
fn a_copied_forecast_is_called_one() {
    let mut screen = Screen::of(scene::live().snapshot, (120, 40));
    screen.keys("2 Enter");
    screen.state.cursor = Some(fixture::now() + Duration::from_secs(6 * 3600));
    let words = copied(screen.keys("y"));
    has(&words, &["cpu 2026-11-1", " forecast ", "–"]);
    assert!(!words.contains("no value"), "{words}");
    assert!(!words.contains("– ("), "{words}");
}

#[test]
fn bands_that_are_not_known_are_left_out_of_copies() {
    let mut screen = Screen::incident((120, 40));
    let pipeline = &mut screen.snapshot.live;
    let pipeline = Arc::make_mut(pipeline);
    let entity = Arc::make_mut(&mut pipeline.entities[0]);
    let mut recent = entity.recent.to_vec();
    let newest = Arc::make_mut(recent.last_mut().unwrap());
    for part in &mut newest.features {
        (part.lower, part.upper) = (f64::NAN, f64::NAN);
    }
    entity.recent = Arc::from(recent);
    let words = copied(screen.keys("y"));
    has(&words, &["expected 4"]);
    assert!(!words.contains('('), "{words}");
}

fn exported(effects: Vec<Effect>) -> (&'static str, Vec<Vec<String>>) {
    match effects.into_iter().next() {
        Some(Effect::Export { name, csv }) => {
            let mut reader = csv::ReaderBuilder::new()
                .has_headers(false)
                .from_reader(csv.as_bytes());
            let rows = reader.records().map(|row| {
                let row = row.unwrap();
                row.iter().map(str::to_owned).collect()
            });
            (name, rows.collect())
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn panes_are_exported_as_they_are_shown() {
    let mut screen = Screen::incident((120, 40));
    let (name, rows) = exported(screen.keys("e"));
    assert_eq!(name, "metrics");
    assert_eq!(rows[0][..3], ["timestamp", "cpu", "disk_used"]);
    assert_eq!(rows[0][8..], ["score", "is_anomaly"]);
    assert_eq!(rows.len(), 1 + fixture::ROWS);
    let last = rows.last().unwrap();
    assert_eq!(last[0], "2026-11-18T14:02:00Z");
    assert_eq!(last[9], "true");
    let gap = rows.iter().find(|row| row[1].is_empty()).unwrap();
    assert_eq!((&*gap[8], &*gap[9]), ("", "false"));
    screen.keys("{ /");
    screen.write("cpu");
    let (_, rows) = exported(screen.keys("Enter e"));
    assert_eq!(rows[0], ["timestamp", "cpu", "score", "is_anomaly"]);
    assert_eq!(rows.len(), 1 + 61, "the last hour");
}

#[test]
fn a_detail_is_exported_with_what_was_expected() {
    let mut screen = Screen::incident((120, 40));
    let (name, rows) = exported(screen.keys("Enter e"));
    assert_eq!(name, "metric");
    let head = "timestamp,cpu,expected,expected_lower,expected_upper,score,is_anomaly";
    assert_eq!(rows[0].join(","), head);
    assert!(!rows.last().unwrap()[4].is_empty());
}

#[test]
fn the_long_term_is_exported_with_its_forecast() {
    let mut screen = Screen::of(scene::live().snapshot, (120, 40));
    let (_, rows) = exported(screen.keys("2 e"));
    let head = [
        "timestamp",
        "cpu",
        "cpu_yhat",
        "cpu_lower",
        "cpu_upper",
        "disk_used",
    ];
    assert_eq!(rows[0][..6], head);
    let ahead = rows.last().unwrap();
    assert!(ahead[1].is_empty() && !ahead[2].is_empty());
    assert!(rows[1][2].is_empty() && !rows[1][1].is_empty());
}

#[test]
fn lists_are_exported_row_by_row() {
    let mut screen = Screen::incident((120, 40));
    let (name, rows) = exported(screen.keys("L e"));
    assert_eq!((name, rows.len()), ("anomalies", 5));
    assert_eq!(rows[1][0], "42");
    assert_eq!(rows[2][9..], ["real", "true"]);
    let (name, rows) = exported(screen.keys("E e"));
    assert_eq!((name, rows.len()), ("errors", 8));
    let (name, rows) = exported(screen.keys("v e"));
    assert_eq!((name, rows.len()), ("models", 4));
    assert_eq!(rows[1][1], "true");
    let (name, rows) = exported(screen.keys("n e"));
    assert_eq!((name, rows.len()), ("entities", 2));
    assert_eq!(rows[1][4], "true");
    let mut starting = Screen::of(scene::starting().snapshot, (80, 24));
    assert_eq!(starting.keys("e"), []);
    assert!(starting.toast().contains("nothing to export"));
}

#[test]
fn rows_of_errors_and_entities_say_whose_they_are_and_no_more_than_is_known() {
    let mut test = Screen::of(scene::test_mode().snapshot, (120, 40));
    let (_, rows) = exported(test.keys("3 E e"));
    assert_eq!(rows[0][..3], ["entity", "feature", "unit"]);
    assert!(!rows[1][0].is_empty(), "{:?}", rows[1]);
    let mut early = Screen::of(scene::warming_up().snapshot, (120, 40));
    let pipeline = &mut early.snapshot.live;
    let entity = &mut Arc::make_mut(pipeline).entities[0];
    Arc::make_mut(entity).latest = None;
    let (_, rows) = exported(early.keys("n e"));
    assert_eq!(rows[1][2], "", "nothing was judged");
}

#[test]
fn the_last_losses_are_exported_until_there_are_new_ones() {
    let mut screen = Screen::of(scene::trained().snapshot, (120, 40));
    let (name, last) = exported(screen.keys("T e"));
    assert_eq!((name, last.len()), ("training", 32));
    Arc::make_mut(&mut screen.snapshot.live).training = Some(TrainingView {
        losses: Vec::new(),
        ..fixture::training()
    });
    assert_eq!(exported(screen.keys("e")).1, last, "it collects history");
    Arc::make_mut(&mut screen.snapshot.live).training = Some(fixture::training());
    assert_eq!(exported(screen.keys("e")).1.len(), 13);
}

#[test]
fn panels_hint_at_the_keys_that_matter_there() {
    for (key, words) in [
        ("L", &["Enter go there", "m false alarm", "Esc back"][..]),
        ("E", &["Enter chart", "s sort", "Esc back"]),
        ("n", &["Enter show it", "/ search", "Esc back"]),
        ("v", &["Enter use this model", "Esc back"]),
        ("T", &["r train", "c cancel", "Esc back"]),
        ("H", &["< slower", "Esc back"]),
        ("w", &["a seen", "M real", "Esc back"]),
        ("?", &["/ search", "Esc back"]),
    ] {
        for size in [(200, 60), (120, 40), (80, 24)] {
            let mut screen = Screen::incident(size);
            screen.keys(key);
            let text = screen.text();
            let bar = text.lines().last().unwrap();
            has(bar, words);
        }
    }
}

#[test]
fn everything_around_draws_in_ascii() {
    for keys in ["?", ":", "/", "? /", "t", "{"] {
        for (width, height) in SIZES {
            let mut screen = Screen::incident((width, height));
            screen.keys(keys);
            let theme = Theme::new(ThemeName::Dark, ColorDepth::None, false);
            let text = buffer_text(&render(&screen.state, &screen.snapshot, &theme));
            assert!(text.is_ascii(), "{text}");
            let odd: Vec<char> = text.chars().filter(|c| *c == '?').collect();
            let marks = text.matches("? help").count() + text.matches("   ?  show").count();
            let asked = text.matches('?').count() - marks;
            assert!(asked <= 1, "{} unknown glyphs\n{text}", odd.len());
        }
    }
}

#[test]
fn no_size_is_too_small_for_a_prompt() {
    for keys in ["?", ":", "/", "? / q", ": t h", "/ x y z"] {
        for width in 1..30 {
            for height in 1..16 {
                let mut screen = Screen::incident((width, height));
                screen.keys(keys);
                for pointer in [Pointer::Click, Pointer::WheelUp, Pointer::WheelDown] {
                    screen.act(Action::Mouse(pointer, width / 2, height / 2));
                    screen.text();
                }
            }
        }
    }
    let mut screen = Screen::incident((20, 5));
    screen.act(Action::Press(Intent::Palette));
    has(&screen.text(), &[":▏"]);
}
