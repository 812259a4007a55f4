//! The large chart and the explanation: keys in, words on the screen out.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use pulsewatch::config::{ThemeName, UiConfig};
use pulsewatch::domain::{ControlError, Entity, EntityView, HistoryQuery, Series, Snapshot, Time};
use pulsewatch::report::svg::svg;
use pulsewatch::tui::action::{Action, Effect, Intent};
use pulsewatch::tui::keymap::Key;
use pulsewatch::tui::state::{Focus, key_of};
use pulsewatch::tui::update::update;
use pulsewatch::tui::view;
use pulsewatch::tui::{ColorDepth, Keymap, Mode, Theme, UiState, buffer_text, render};

use crate::{fixture, scene, views};

const SIZES: [(u16, u16); 4] = [(200, 60), (120, 40), (80, 24), (40, 10)];

struct Screen {
    state: UiState,
    snapshot: Snapshot,
}

impl Screen {
    /// Large chart of `feature`.
    fn of(snapshot: Snapshot, mode: Mode, feature: &str) -> Self {
        let keymap = Arc::new(Keymap::new(&BTreeMap::new()).unwrap());
        let config = UiConfig::default();
        let mut state = UiState::new(mode, &config, keymap, (120, 40), snapshot.now);
        state.selected = Some(Arc::from(feature));
        let mut screen = Self { state, snapshot };
        screen.act(Action::Arrived);
        screen.press(Intent::Expand);
        screen
    }

    fn incident() -> Self {
        Self::of(scene::incident().snapshot, Mode::Live, "latency")
    }

    /// The log in focus.
    fn log() -> Self {
        let mut screen = Self::incident();
        screen.press(Intent::Back);
        screen.state.focus = Focus::Log;
        screen
    }

    /// History is answered at once; gives the last question.
    fn act(&mut self, action: Action) -> Option<HistoryQuery> {
        let mut asked = None;
        for effect in update(&mut self.state, action, &self.snapshot) {
            if let Effect::Query { ticket, query } = effect {
                let result = Ok(fixture::history());
                self.act(Action::History { ticket, result });
                asked = Some(query);
            }
        }
        asked
    }

    fn press(&mut self, intent: Intent) -> Option<HistoryQuery> {
        self.act(Action::Press(intent))
    }

    /// Asks for a label and takes it back; gives the number of the anomaly that it was about.
    fn marked(&mut self) -> Option<u64> {
        let action = Action::Press(Intent::MarkFalse);
        let effects = update(&mut self.state, action, &self.snapshot);
        self.state.question = None;
        effects.into_iter().find_map(|effect| match effect {
            Effect::Preview { incident, .. } => Some(incident),
            _ => None,
        })
    }

    /// The newest toast.
    fn toast(&self) -> &str {
        self.state.toasts.last().map_or("", |toast| &toast.text)
    }

    fn text(&self) -> String {
        let theme = Theme::new(ThemeName::Dark, ColorDepth::None, true);
        buffer_text(&render(&self.state, &self.snapshot, &theme))
    }

    fn draw(&self, name: &str) {
        if let Ok(folder) = std::env::var("SCREENS_TO") {
            for (width, height) in SIZES {
                let mut state = self.state.clone();
                state.size = (width, height);
                let theme = Theme::new(ThemeName::Dark, ColorDepth::True, true);
                let file = format!("{folder}/{name}-{width}x{height}.svg");
                std::fs::write(file, svg(&render(&state, &self.snapshot, &theme))).unwrap();
            }
        }
    }
}

/// Where it is drawn to be looked at.
#[test]
fn pictures() {
    let mut screen = Screen::incident();
    screen.press(Intent::Left);
    screen.draw("detail-hot");
    screen.press(Intent::Why);
    screen.draw("detail-why");
    screen.press(Intent::Back);
    screen.press(Intent::ZoomIn);
    screen.press(Intent::ZoomIn);
    screen.press(Intent::PageUp);
    screen.draw("detail-panned");
    let mut screen = Screen::of(scene::incident().snapshot, Mode::Live, "requests");
    screen.draw("detail-newest");
    screen.press(Intent::Why);
    screen.draw("why-newest");
    let mut screen = Screen::of(scene::long_term().snapshot, Mode::LongTerm, "cpu");
    screen.press(Intent::Right);
    screen.press(Intent::Right);
    screen.draw("detail-long");
    let mut screen = Screen::log();
    screen.press(Intent::Why);
    screen.draw("why-incident");
    for (name, scene) in [("live", scene::live()), ("warming", scene::warming_up())] {
        let mut screen = Screen::of(scene.snapshot, Mode::Live, "cpu");
        screen.press(Intent::Back);
        screen.press(Intent::Why);
        screen.draw(&format!("why-{name}"));
    }
}

fn newest() -> Time {
    fixture::grid().last().unwrap()
}

/// The one entity of the live pipeline, to be changed.
fn entity(snapshot: &mut Snapshot) -> &mut EntityView {
    Arc::make_mut(&mut Arc::make_mut(&mut snapshot.live).entities[0])
}

#[test]
fn the_crosshair_tells_what_was_found_at_its_moment() {
    let mut screen = Screen::incident();
    let text = screen.text();
    assert!(text.contains("14:02:00   value 860 ms ↑"), "{text}");
    screen.press(Intent::Left);
    let at = screen.state.cursor.unwrap();
    assert!(at < newest() && screen.state.until.is_none());
    let text = screen.text();
    assert!(text.contains("expected 1") && text.contains(" ms   score "));
    assert!(
        text.contains("contribution 61 %") && text.contains('●'),
        "{text}"
    );
    for _ in 0..8 {
        screen.press(Intent::Left);
    }
    let text = screen.text();
    assert!(text.contains("contribution 14 %"), "{text}");
    for _ in 0..10 {
        screen.press(Intent::Right);
    }
    assert_eq!(screen.state.cursor, None, "past the newest it follows");
    // Into the gap, where nothing is known.
    screen.state.cursor = Some(fixture::grid().time(fixture::ROWS - 110));
    let text = screen.text();
    assert!(text.contains("value missing"), "{text}");
    assert!(text.contains("nothing was observed") && !text.contains("contribution 14"));
}

#[test]
fn up_and_down_choose_the_feature_and_the_crosshair_stays() {
    let mut screen = Screen::incident();
    screen.press(Intent::Left);
    let at = screen.state.cursor;
    screen.press(Intent::Up);
    assert_eq!(screen.state.selected.as_deref(), Some("disk_used"));
    screen.press(Intent::Down);
    screen.press(Intent::Down);
    assert!(screen.text().contains("memory  4 of 7"));
    assert_eq!(screen.state.cursor, at);
    screen.press(Intent::Back);
    assert_eq!((screen.state.cursor, screen.state.until), (None, None));
}

#[test]
fn panning_leaves_the_newest_row_and_comes_back_to_it() {
    let mut screen = Screen::incident();
    screen.press(Intent::PageUp);
    assert!(!screen.text().contains("until"), "all of it is shown");
    screen.press(Intent::ZoomIn);
    screen.press(Intent::ZoomIn);
    screen.press(Intent::PageUp);
    assert!(screen.text().contains("◂ until 13:02, End follows"));
    screen.press(Intent::PageDown);
    assert_eq!(screen.state.until, None);
    screen.press(Intent::Home);
    let text = screen.text();
    assert!(text.contains("09:03:00   value") && text.contains("◂ until 11:03"));
    screen.press(Intent::Left);
    assert_eq!(screen.state.cursor, Some(fixture::grid().start()));
    screen.press(Intent::End);
    assert!(!screen.text().contains("until"));
    assert_eq!((screen.state.cursor, screen.state.until), (None, None));
}

#[test]
fn the_chart_moves_under_the_crosshair_at_its_edges() {
    let mut screen = Screen::incident();
    for _ in 0..3 {
        screen.press(Intent::ZoomIn);
    }
    assert_eq!(screen.state.live_range, Some(Duration::from_hours(1)));
    let mut before = newest();
    for _ in 0..130 {
        screen.press(Intent::Left);
        let at = screen.state.cursor.unwrap();
        assert_eq!(before.since(at), fixture::MINUTE, "row by row");
        before = at;
    }
    assert!(
        screen.text().contains("11:52:00   value"),
        "{}",
        screen.text()
    );
    assert!(screen.state.until.is_some());
    for _ in 0..131 {
        screen.press(Intent::Right);
    }
    assert_eq!((screen.state.cursor, screen.state.until), (None, None));
}

#[test]
fn no_anomalous_row_is_stepped_over() {
    let mut snapshot = scene::live().snapshot;
    let rows = fixture::ROWS;
    let wanted = [77, 150, 203];
    let flags: Vec<f64> = (0..rows)
        .map(|row| f64::from(u8::from(wanted.contains(&row))))
        .collect();
    entity(&mut snapshot).anomalous = Series::of(&flags);
    let mut screen = Screen::of(snapshot, Mode::Live, "cpu");
    screen.state.size = (80, 24);
    let mut seen = Vec::new();
    for _ in 0..80 {
        screen.press(Intent::Left);
        seen.extend(screen.state.cursor);
    }
    for row in wanted {
        assert!(seen.contains(&fixture::grid().time(row)), "{row}");
    }
}

#[test]
fn zooming_keeps_the_crosshair_where_it_is() {
    let mut screen = Screen::incident();
    for _ in 0..40 {
        screen.press(Intent::Left);
    }
    let at = screen.state.cursor;
    let column = |screen: &Screen| {
        let text = screen.text();
        let line = text.lines().find(|line| line.contains('●')).unwrap();
        line.chars().rev().position(|c| c == '●').unwrap()
    };
    // The header has a dot of its own, so lines are searched from the right below it.
    let body = |screen: &Screen| {
        let text = screen.text();
        let line = text
            .lines()
            .skip(2)
            .find(|line| line.contains('●'))
            .unwrap();
        line.chars().position(|c| c == '●').unwrap()
    };
    let before = body(&screen);
    assert!(column(&screen) > 0);
    for _ in 0..3 {
        screen.press(Intent::ZoomIn);
        assert_eq!(screen.state.cursor, at);
        assert!(body(&screen).abs_diff(before) <= 2, "{}", screen.text());
    }
    for _ in 0..6 {
        screen.press(Intent::ZoomOut);
    }
    assert_eq!((screen.state.cursor, screen.state.until), (at, None));
}

#[test]
fn incidents_are_marked_under_the_axis_of_other_features_too() {
    let screen = Screen::of(scene::incident().snapshot, Mode::Live, "requests");
    let text = screen.text();
    let axis = text
        .lines()
        .find(|line| line.contains("━━━") && !line.contains('%'));
    assert!(axis.is_some(), "{text}");
}

#[test]
fn history_is_asked_for_where_one_looks() {
    let mut screen = Screen::of(scene::long_term().snapshot, Mode::LongTerm, "cpu");
    assert!(screen.state.history.oldest.is_some());
    screen.state.long_range = Some(Duration::from_hours(24));
    screen.act(Action::Arrived);
    let query = screen.press(Intent::PageUp).unwrap();
    let (from, to) = (query.from.unwrap(), query.to.unwrap());
    assert_eq!(to.since(from), Duration::from_hours(36));
    assert_eq!(to.millis() % 43_200_000, 0);
    let until = screen.state.until.unwrap();
    assert!(until <= to && until - Duration::from_hours(24) >= from);
    assert_eq!(screen.press(Intent::Left), None, "what is at hand holds it");
    let text = screen.text();
    assert!(
        text.contains("◂ until") && !text.contains("forecast "),
        "{text}"
    );
    screen.press(Intent::Home);
    assert!(
        screen.text().contains("12 Nov 14:30:00   value"),
        "{}",
        screen.text()
    );
    assert!(screen.press(Intent::End).is_some());
    assert!(!screen.text().contains("until"));
}

#[test]
fn before_the_first_kept_row_there_is_a_way_back() {
    let mut screen = Screen::of(scene::long_term().snapshot, Mode::LongTerm, "cpu");
    screen.state.long_range = Some(Duration::from_hours(24));
    screen.state.until = Some(newest() - Duration::from_hours(24 * 40));
    let effects = update(&mut screen.state, Action::Arrived, &screen.snapshot);
    let Some(Effect::Query { mut ticket, .. }) = effects.into_iter().next() else {
        panic!("nothing was asked");
    };
    for _ in 0..60 {
        let result = Err(ControlError::NotFound);
        let action = Action::History { ticket, result };
        let effects = update(&mut screen.state, action, &screen.snapshot);
        match effects.into_iter().next() {
            Some(Effect::Query {
                ticket: next,
                query,
            }) if query.to.is_some() => ticket = next,
            _ => return assert_eq!(screen.state.history.error, None),
        }
    }
    panic!("it does not come back");
}

#[test]
fn the_newest_row_is_explained() {
    let mut screen = Screen::of(scene::live().snapshot, Mode::Live, "cpu");
    screen.press(Intent::Back);
    screen.press(Intent::Why);
    let text = screen.text();
    for part in [
        "✓ Normal: the score is under its threshold.",
        "14:02:00 UTC, the newest row",
        "network_re…    14 %  6.03 MiB/s  4.3–7.77 MiB/s  within",
        "✗ threshold",
        "Nothing: no alarm was raised.",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    assert!(!text.contains("stopped here"));
}

#[test]
fn an_incident_is_explained_gate_by_gate() {
    let mut screen = Screen::log();
    screen.press(Intent::Why);
    let text = screen.text();
    for part in [
        "● Anomaly: latency is far above what is expected.",
        "anomaly 42, open, not acknowledged",
        "8 min, from 13:54:00 UTC to now",
        "4.30 at 14:02:00 UTC, the threshold is 1",
        "840 ms   142–238 ms  far above",
        "✓ min_duration  has it lasted long enough?",
        "a     mark it as seen",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    // Enter goes on to its chart.
    screen.press(Intent::Expand);
    assert!(screen.state.expanded && screen.state.open.is_none());
    assert!(screen.text().contains("latency  3 of 7"));
}

#[test]
fn the_gate_that_stopped_a_row_is_named_with_its_setting() {
    let mut snapshot = scene::incident().snapshot;
    views::set_incidents(Arc::make_mut(&mut snapshot.live), Vec::new());
    let entity = entity(&mut snapshot);
    let mut verdict = (**entity.latest.as_ref().unwrap()).clone();
    verdict.is_anomaly = false;
    let gate = verdict.gates.iter_mut().find(|g| g.name == "min_duration");
    gate.unwrap().passed = false;
    entity.latest = Some(Arc::new(verdict));
    let mut screen = Screen::of(snapshot, Mode::Live, "latency");
    screen.press(Intent::Why);
    let mut text = screen.text();
    screen.press(Intent::End);
    text.push_str(&screen.text());
    for part in [
        "○ No alarm: too short so far.",
        "✗ min_duration ← stopped here",
        "min_duration decided that it is none",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
}

#[test]
fn a_row_that_was_not_judged_says_why() {
    let mut screen = Screen::incident();
    screen.state.cursor = Some(fixture::grid().time(fixture::ROWS - 110));
    screen.press(Intent::Why);
    let text = screen.text();
    assert!(text.contains("the source has no sample of this"), "{text}");
    assert!(text.contains("H     how the source is"), "{text}");

    let mut screen = Screen::of(scene::warming_up().snapshot, Mode::Live, "cpu");
    screen.press(Intent::Why);
    let text = screen.text();
    for part in [
        "Not judged: there is no model yet",
        "0.31, provisional (confidence 42 %)",
        "41 of 120",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
}

#[test]
fn a_moment_whose_verdict_is_gone_says_so_or_shows_its_incident() {
    let mut snapshot = scene::incident().snapshot;
    let view = entity(&mut snapshot);
    view.recent = Arc::from(view.recent[290..].to_vec());
    let mut screen = Screen::of(snapshot, Mode::Live, "latency");
    screen.press(Intent::Home);
    assert!(screen.text().contains("not kept for this moment"));
    screen.press(Intent::Why);
    let text = screen.text();
    assert!(
        text.contains("not at hand") && text.contains("10 verdicts"),
        "{text}"
    );
    let live = Arc::make_mut(&mut screen.snapshot.live);
    let mut incidents = live.incidents.to_vec();
    incidents[1].start = fixture::grid().start();
    incidents[1].end = fixture::grid().time(9);
    views::set_incidents(live, incidents);
    assert!(
        screen.text().contains("anomaly 41, closed"),
        "{}",
        screen.text()
    );
}

#[test]
fn words_are_said_on_what_is_explained() {
    let mut screen = Screen::incident();
    screen.state.incident = screen.snapshot.live.incidents.get(2).map(key_of);
    screen.press(Intent::Left);
    screen.press(Intent::Why);
    assert_eq!(screen.marked(), Some(42));
    // The chart gives way to the box, and the crosshair still moves.
    let before = screen.state.cursor;
    screen.press(Intent::Left);
    assert!(screen.state.cursor < before && screen.state.open.is_some());
    let text = screen.text();
    assert!(text.contains("latency  3 of 7") && text.contains("● Anomaly"));

    let mut screen = Screen::log();
    screen.press(Intent::Log);
    screen.press(Intent::Down);
    screen.press(Intent::Why);
    assert!(
        screen.text().contains("marked as real"),
        "{}",
        screen.text()
    );
    assert_eq!(screen.state.focus, Focus::Log);
}

#[test]
fn words_follow_what_is_explained_and_never_go_to_another_anomaly() {
    let mut screen = Screen::incident();
    screen.press(Intent::Left);
    screen.press(Intent::Why);
    // The log would not list it, and what was selected before does not matter.
    screen.state.filters.log = "memory".into();
    screen.state.incident = screen.snapshot.live.incidents.get(1).map(key_of);
    assert_eq!(screen.marked(), Some(42));
    // The crosshair moves to where nothing was wrong: there is nothing to speak of.
    screen.state.cursor = Some(newest() - Duration::from_mins(30));
    assert!(screen.text().contains("✓ Normal"), "{}", screen.text());
    for intent in [Intent::MarkReal, Intent::MarkFalse, Intent::Acknowledge] {
        screen.state.toasts.clear();
        let effects = update(&mut screen.state, Action::Press(intent), &screen.snapshot);
        assert_eq!(effects, [], "{intent:?}");
        assert!(screen.toast().contains("part of no anomaly"), "{intent:?}");
    }
    // Another entity, without an anomaly.
    let live = Arc::make_mut(&mut screen.snapshot.live);
    live.entities = vec![
        live.entities[0].clone(),
        Arc::new(fixture::entity("web-2", false, true, fixture::ROWS)),
    ];
    screen.press(Intent::Right);
    screen.state.cursor = Some(newest());
    assert_eq!(screen.marked(), Some(42));
    screen.press(Intent::NextEntity);
    assert_eq!(screen.marked(), None);
}

#[test]
fn a_selected_anomaly_is_not_replaced_without_a_word() {
    let mut screen = Screen::log();
    screen.press(Intent::Down);
    assert_eq!(screen.marked(), Some(41));
    screen.state.filters.log = "latency".into();
    assert_eq!(screen.marked(), None);
    assert!(screen.toast().contains("its first one is selected now"));
    assert_eq!(screen.marked(), Some(42));
    screen.state.filters.log = "nothing like it".into();
    screen.press(Intent::Acknowledge);
    assert!(screen.toast().contains("no anomaly matches the filter"));
}

#[test]
fn an_anomaly_stays_selected_when_the_journal_numbers_it() {
    let mut screen = Screen::log();
    let number = |screen: &mut Screen, id| {
        let live = Arc::make_mut(&mut screen.snapshot.live);
        let mut incidents = live.incidents.to_vec();
        incidents[1].id = id;
        views::set_incidents(live, incidents);
        screen.act(Action::Arrived);
    };
    number(&mut screen, 0);
    screen.press(Intent::Down);
    assert_eq!(screen.marked(), None);
    assert!(screen.toast().contains("not in the journal yet"));
    number(&mut screen, 43);
    assert_eq!(screen.marked(), Some(43));
}

#[test]
fn the_log_and_its_explanation_mean_the_same_anomaly() {
    let mut screen = Screen::log();
    screen.press(Intent::Sort);
    screen.press(Intent::Sort);
    screen.state.filters.log = "temperature".into();
    screen.press(Intent::Why);
    let text = screen.text();
    assert!(text.contains("anomaly 38, vanished"), "{text}");
    assert_eq!(screen.marked(), Some(38));
}

#[test]
fn what_is_forecast_has_not_happened_and_a_hole_was_not_judged() {
    let mut screen = Screen::of(scene::long_term().snapshot, Mode::LongTerm, "cpu");
    screen.press(Intent::Right);
    screen.press(Intent::Right);
    screen.press(Intent::Why);
    let text = screen.text();
    assert!(text.contains("This has not happened yet"), "{text}");
    assert!(!text.contains("✓ Normal") && !text.contains("Anomaly:"));
    assert_eq!(screen.marked(), None);
    for size in SIZES {
        screen.state.size = size;
        let text = screen.text();
        assert!(text.contains("This has not happened yet"), "{text}");
    }

    let mut snapshot = scene::incident().snapshot;
    let view = entity(&mut snapshot);
    let mut recent = view.recent.to_vec();
    recent.drain(100..110);
    view.recent = Arc::from(recent);
    let mut screen = Screen::of(snapshot, Mode::Live, "latency");
    screen.state.cursor = Some(fixture::grid().time(105));
    screen.press(Intent::Why);
    let text = screen.text();
    assert!(text.contains("Nothing was judged at this moment"), "{text}");
    screen.state.cursor = Some(fixture::grid().time(99));
    assert!(screen.text().contains("✓ Normal"), "{}", screen.text());
}

#[test]
fn a_chart_that_was_left_is_opened_at_its_newest_row() {
    let mut screen = Screen::incident();
    for _ in 0..20 {
        screen.press(Intent::Left);
    }
    for intent in [Intent::Log, Intent::Why, Intent::Back] {
        screen.press(intent);
    }
    assert!(!screen.state.expanded);
    screen.state.focus = Focus::Panes;
    screen.press(Intent::Expand);
    assert!(
        screen.text().contains("14:02:00   value"),
        "{}",
        screen.text()
    );
}

#[test]
fn enter_goes_from_an_explanation_to_the_chart_of_its_anomaly() {
    let mut screen = Screen::of(scene::incident().snapshot, Mode::Live, "temperature");
    screen.press(Intent::Back);
    screen.state.filters.log = "memory".into();
    screen.press(Intent::Why);
    assert!(screen.text().contains("Enter look at its chart"));
    screen.press(Intent::Expand);
    assert!(screen.state.expanded && screen.state.open.is_none());
    assert_eq!(screen.state.selected.as_deref(), Some("latency"));
    let farthest = fixture::farthest(&screen.snapshot.live, "latency");
    assert_eq!(screen.state.cursor, Some(farthest));
    // Beside the chart it only closes.
    screen.press(Intent::Left);
    let at = screen.state.cursor;
    screen.press(Intent::Why);
    screen.press(Intent::Expand);
    assert_eq!((screen.state.open, screen.state.cursor), (None, at));
}

#[test]
fn the_log_leads_to_the_row_that_is_farthest_off() {
    let mut screen = Screen::log();
    // The score peaks at the newest row; the feature was farthest off three rows before.
    let peak = screen.snapshot.live.incidents[0].peak;
    let worst = peak - fixture::MINUTE * 3;
    let view = entity(&mut screen.snapshot);
    let changed = view.recent.iter().map(|verdict| {
        let mut verdict = (**verdict).clone();
        if verdict.time == worst {
            verdict.features[2].value = 9.0;
        }
        Arc::new(verdict)
    });
    view.recent = changed.collect();
    screen.press(Intent::Expand);
    assert_eq!(screen.state.cursor, Some(worst));
    assert_eq!(screen.state.selected.as_deref(), Some("latency"));
    // Where the verdicts are gone, the peak is all that is known.
    let mut screen = Screen::log();
    let view = entity(&mut screen.snapshot);
    view.recent = view.recent.iter().rev().take(3).rev().cloned().collect();
    screen.press(Intent::Expand);
    assert_eq!(screen.state.cursor, Some(peak));
}

/// The incident's latency, its largest contribution, does not count: it is off in a harmless direction, say.
fn excused(mut snapshot: Snapshot, excused: &[usize]) -> Snapshot {
    let view = entity(&mut snapshot);
    let changed = view.recent.iter().map(|verdict| {
        let mut verdict = (**verdict).clone();
        verdict.excused = excused.to_vec();
        Arc::new(verdict)
    });
    view.recent = changed.collect();
    view.latest = view.recent.last().cloned();
    snapshot
}

#[test]
fn headline_and_rank_name_what_counts() {
    // Columns: cpu, disk_used, latency, …
    let snapshot = excused(scene::incident().snapshot, &[1, 2]);
    let mut screen = Screen::of(snapshot.clone(), Mode::Live, "cpu");
    screen.press(Intent::Back);
    let log = screen.text();
    let line = log.lines().find(|line| line.contains("● 13:54")).unwrap();
    assert!(
        line.contains("cpu 24 %") && !line.contains("latency 61 %"),
        "{log}"
    );
    screen.press(Intent::Why);
    let text = screen.text();
    assert!(
        text.contains("● Anomaly: cpu is far above what is expected."),
        "{text}"
    );
    let (cpu, latency) = (
        text.find("cpu   ").unwrap(),
        text.find("latency   ").unwrap(),
    );
    assert!(cpu < latency, "{text}");
    assert!(text.contains("grey: muted, under maintenance"), "{text}");
    // The incident itself, from the log.
    screen.press(Intent::Back);
    screen.state.focus = Focus::Log;
    screen.press(Intent::Why);
    assert!(
        screen.text().contains("● Anomaly: cpu is far above"),
        "{}",
        screen.text()
    );
    screen.press(Intent::Expand);
    assert_eq!(screen.state.selected.as_deref(), Some("cpu"));

    let snapshot = excused(scene::incident().snapshot, &[0, 1, 2, 3, 4, 5, 6]);
    let mut screen = Screen::of(snapshot, Mode::Live, "cpu");
    screen.press(Intent::Why);
    let text = screen.text();
    assert!(text.contains("no metric is off far enough"), "{text}");
}

#[test]
fn no_band_reaches_below_what_ever_was() {
    let below_zero = |name: &str| {
        let mut snapshot = scene::incident().snapshot;
        let view = entity(&mut snapshot);
        let column = view
            .features
            .iter()
            .position(|f| &*f.feature.name == name)
            .unwrap();
        let changed = view.recent.iter().map(|verdict| {
            let mut verdict = (**verdict).clone();
            if let Some(part) = verdict.features.get_mut(column) {
                part.lower = -17.8;
            }
            Arc::new(verdict)
        });
        view.recent = changed.collect();
        view.latest = view.recent.last().cloned();
        snapshot
    };
    let mut screen = Screen::of(below_zero("cpu"), Mode::Live, "cpu");
    assert!(
        screen.text().contains("expected 0–56.8 %"),
        "{}",
        screen.text()
    );
    screen.press(Intent::Back);
    screen.press(Intent::Errors);
    assert!(!screen.text().contains("-17.8"), "{}", screen.text());
    screen.press(Intent::Why);
    assert!(screen.text().contains("0–56.8 %"), "{}", screen.text());
    // A temperature may well be below zero.
    let screen = Screen::of(below_zero("temperature"), Mode::Live, "temperature");
    assert!(
        screen.text().contains("expected -17.8 to "),
        "{}",
        screen.text()
    );
}

#[test]
fn a_typed_range_and_another_entity_keep_the_moment() {
    let mut screen = Screen::incident();
    for _ in 0..40 {
        screen.press(Intent::Left);
    }
    let at = screen.state.cursor;
    let enter = |screen: &mut Screen, text: &str| {
        screen.press(Intent::Palette);
        screen.state.prompt.as_mut().unwrap().text = text.into();
        screen.act(Action::Key(Key::parse("Enter").unwrap()));
    };
    enter(&mut screen, "range 30m");
    assert_eq!(screen.state.live_range, Some(Duration::from_mins(30)));
    assert_eq!(screen.state.cursor, at);
    let until = screen.state.until.unwrap();
    assert!(until >= at.unwrap() && until.since(at.unwrap()) <= Duration::from_mins(30));
    assert!(screen.toast().contains("30 min") && !screen.toast().contains("last"));
    let readout = at.unwrap().to_string();
    assert!(screen.text().contains(&readout[11..19]), "{readout}");

    let live = Arc::make_mut(&mut screen.snapshot.live);
    live.grouped = true;
    live.entities = ["web-1", "web-2"]
        .map(|name| Arc::new(fixture::entity(name, false, true, fixture::ROWS)))
        .to_vec();
    screen.state.pointed = Some(Entity::named("web-1"));
    enter(&mut screen, "entity web-2");
    assert_eq!((screen.state.cursor, &screen.state.pointed), (at, &None));
    assert_eq!(screen.state.entity, Some(Entity::named("web-2")));
    for intent in [Intent::Entities, Intent::Home, Intent::Expand] {
        screen.press(intent);
    }
    assert_eq!(screen.state.entity, Some(Entity::named("web-1")));
    assert_eq!((screen.state.cursor, screen.state.open), (at, None));
}

#[test]
fn the_explanation_scrolls_to_its_end_and_no_further() {
    for (width, height) in SIZES {
        let mut screen = Screen::log();
        screen.state.size = (width, height);
        screen.press(Intent::Why);
        assert!(
            screen.text().contains("● Anomaly: latency"),
            "{}",
            screen.text()
        );
        screen.press(Intent::End);
        let end = screen.text();
        assert!(end.contains("rarer."), "{end}");
        screen.press(Intent::Down);
        assert_eq!(screen.text(), end);
        screen.press(Intent::Home);
        assert!(screen.text().contains("● Anomaly: latency"));
    }
    let screen = Screen::log();
    let words = view::why_words(&screen.state, &screen.snapshot).join("\n");
    assert!(words.contains("far above, +342 %") && words.contains("✓ budget"));
}

#[test]
fn every_size_shows_chart_and_readout_in_ascii_too() {
    for (width, height) in SIZES {
        let mut screen = Screen::incident();
        screen.state.size = (width, height);
        screen.press(Intent::Left);
        let text = screen.text();
        assert!(
            text.contains(" value 8") && text.contains(" ms ↑"),
            "{text}"
        );
        assert_eq!(text.contains("score, an alarm is over 1"), height >= 24);
        assert_eq!(text.contains("61 %") && text.contains("━"), height >= 24);
        let plain = Theme::new(ThemeName::Dark, ColorDepth::None, false);
        let text = buffer_text(&render(&screen.state, &screen.snapshot, &plain));
        assert!(text.is_ascii() && text.contains(" value 8"), "{text}");
    }
}
