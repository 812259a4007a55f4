//! Keys, snapshots and answers in; state, effects and words on the screen out.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use pulsewatch::config::{ThemeName, UiConfig};
use pulsewatch::domain::{
    Command, ControlError, Entity, HistoryQuery, Label, LabelEffect, Level, PipelineId, Snapshot,
};
use pulsewatch::tui::action::{Action, Effect, Intent};
use pulsewatch::tui::keymap::Key;
use pulsewatch::tui::state::{Focus, Sort};
use pulsewatch::tui::update::{TOASTS, update};
use pulsewatch::tui::{ColorDepth, Keymap, Mode, Theme, UiState, buffer_text, render};

use crate::{fixture, scene};

struct Screen {
    state: UiState,
    snapshot: Snapshot,
}

impl Screen {
    fn with(config: &UiConfig, snapshot: Snapshot) -> Self {
        let keymap = Arc::new(Keymap::new(&config.keys).unwrap());
        let state = UiState::new(Mode::Live, config, keymap, (120, 40), snapshot.now);
        let mut screen = Self { state, snapshot };
        screen.act(Action::Arrived);
        screen
    }

    fn of(snapshot: Snapshot) -> Self {
        Self::with(&UiConfig::default(), snapshot)
    }

    fn act(&mut self, action: Action) -> Vec<Effect> {
        update(&mut self.state, action, &self.snapshot)
    }

    fn press(&mut self, intent: Intent) -> Vec<Effect> {
        self.act(Action::Press(intent))
    }

    fn text(&self) -> String {
        let theme = Theme::new(ThemeName::Dark, ColorDepth::None, true);
        buffer_text(&render(&self.state, &self.snapshot, &theme))
    }

    /// The newest toast.
    fn toast(&self) -> &str {
        self.state.toasts.last().map_or("", |t| &t.text)
    }
}

fn incident() -> Screen {
    Screen::of(scene::incident().snapshot)
}

fn sent(effects: Vec<Effect>) -> Option<Command> {
    match effects.into_iter().next() {
        Some(Effect::Send(command)) => Some(command),
        _ => None,
    }
}

#[test]
fn quitting_is_an_effect() {
    assert_eq!(incident().press(Intent::Quit), [Effect::Quit]);
}

#[test]
fn modes_change_and_test_mode_is_started_once() {
    let mut screen = incident();
    assert_eq!(sent(screen.press(Intent::Test)), Some(Command::StartTest));
    assert!(screen.text().contains("Starting test mode"));
    assert_eq!(screen.act(Action::Arrived), []);
    screen.snapshot.test = scene::test_mode().snapshot.test;
    screen.act(Action::Arrived);
    assert!(screen.text().contains("sample data"));
    screen.press(Intent::NextMode);
    assert_eq!(screen.state.mode, Mode::Live);
    screen.press(Intent::Test);
    assert_eq!(screen.press(Intent::Test), []);
}

#[test]
fn orders_go_to_the_shown_pipeline() {
    let mut screen = incident();
    assert_eq!(screen.press(Intent::Retrain), [], "a model scores already");
    assert!(screen.text().contains("Train a new model now?"));
    assert!(screen.text().contains("took 21 s"), "{}", screen.text());
    screen.act(Action::Key(Key::parse("n").unwrap()));
    assert!(!screen.text().contains("Train a new model now?"));
    screen.press(Intent::Retrain);
    assert_eq!(screen.press(Intent::Retrain), [], "the key again is no yes");
    assert!(screen.text().contains("Train a new model now?"));
    assert_eq!(
        sent(screen.act(Action::Key(Key::parse("y").unwrap()))),
        Some(Command::Retrain(PipelineId::Live))
    );
    assert_eq!(screen.press(Intent::Cancel), []);
    assert_eq!(screen.toast(), "no training is running");
    assert_eq!(screen.press(Intent::Inject), []);
    assert!(screen.toast().contains("test data only"));

    let mut test = Screen::of(scene::test_mode().snapshot);
    test.press(Intent::Test);
    assert_eq!(
        sent(test.press(Intent::Retrain)),
        Some(Command::Retrain(PipelineId::Test))
    );
    assert_eq!(sent(test.press(Intent::Inject)), Some(Command::InjectSpike));
    assert_eq!(test.press(Intent::Acknowledge), []);
    assert!(test.toast().contains("not kept"));

    let mut training = Screen::of(scene::training().snapshot);
    assert_eq!(
        sent(training.press(Intent::Cancel)),
        Some(Command::CancelTraining(PipelineId::Live))
    );
}

#[test]
fn the_interval_steps_and_stops_at_its_ends() {
    let mut screen = incident();
    let secs = |s| Some(Command::SetInterval(Duration::from_secs(s)));
    assert_eq!(sent(screen.press(Intent::Faster)), secs(15));
    assert_eq!(sent(screen.press(Intent::Slower)), secs(30));
    assert_eq!(sent(screen.press(Intent::Slower)), secs(60));
    assert_eq!(
        sent(screen.press(Intent::Slower)),
        secs(120),
        "from what was asked for, not from what still is"
    );
    screen.snapshot.interval = Duration::from_secs(120);
    screen.act(Action::Arrived);
    screen.snapshot.interval = Duration::from_secs(1);
    assert_eq!(screen.press(Intent::Faster), []);
    assert_eq!(screen.toast(), "1 s is the shortest interval");
}

#[test]
fn a_read_only_screen_says_why_it_does_nothing() {
    let config = UiConfig {
        read_only: true,
        ..UiConfig::default()
    };
    let mut screen = Screen::with(&config, scene::incident().snapshot);
    for intent in [
        Intent::Retrain,
        Intent::Slower,
        Intent::Acknowledge,
        Intent::MarkFalse,
        Intent::Test,
    ] {
        screen.state.toasts.clear();
        assert_eq!(screen.press(intent), [], "{intent:?}");
        assert!(screen.toast().contains("read_only"), "{intent:?}");
    }
    assert!(screen.text().contains("may not start it"));

    let config = UiConfig {
        retrain_enabled: false,
        ..UiConfig::default()
    };
    let mut screen = Screen::with(&config, scene::incident().snapshot);
    assert_eq!(screen.press(Intent::Retrain), []);
    assert!(screen.toast().contains("retrain_enabled"));
}

#[test]
fn words_on_the_selected_incident() {
    let mut screen = incident();
    assert_eq!(
        sent(screen.press(Intent::Acknowledge)),
        Some(Command::Acknowledge(42))
    );
    let asked = screen.press(Intent::MarkFalse);
    let [Effect::Preview { ticket, .. }] = asked[..] else {
        panic!("{asked:?}");
    };
    assert!(screen.text().contains("anomaly 42 as a false alarm?"));
    let at = (Entity::sole(), fixture::now());
    let effect = LabelEffect {
        raise_before: 1.0,
        raise_after: 1.4,
        replayed: 9,
        removed: vec![at; 7],
        lost: Vec::new(),
        returned: Vec::new(),
        out_of_reach: false,
        height_unknown: false,
    };
    let late = Action::Preview {
        ticket: ticket + 1,
        result: Err(ControlError::Busy),
    };
    screen.act(late);
    assert!(
        screen.text().contains("Replaying stored data …"),
        "another question's"
    );
    screen.act(Action::Preview {
        ticket,
        result: Ok(effect),
    });
    assert!(screen.text().contains("7 of 9 incidents would go"));
    assert_eq!(
        sent(screen.act(Action::Key(Key::parse("y").unwrap()))),
        Some(Command::Label(42, Some(Label::False)))
    );
    assert!(screen.toast().contains("marked as a false alarm"));
    // To the right edge, into the log, one down: number 41 is real and seen already.
    for intent in [Intent::Right, Intent::Right, Intent::Down] {
        screen.press(intent);
    }
    assert_eq!(screen.state.focus, Focus::Log);
    screen.press(Intent::MarkReal);
    assert!(screen.text().contains("Take the label of anomaly 41 back?"));
    assert_eq!(
        sent(screen.act(Action::Key(Key::parse("Enter").unwrap()))),
        Some(Command::Label(41, None))
    );
    assert_eq!(screen.press(Intent::Acknowledge), []);
    assert_eq!(screen.toast(), "already acknowledged");
    screen.press(Intent::Left);
    assert_eq!(screen.state.focus, Focus::Panes);

    let mut calm = Screen::of(scene::starting().snapshot);
    assert_eq!(calm.press(Intent::MarkReal), []);
    assert_eq!(calm.toast(), "there is no anomaly to speak of");
}

#[test]
fn arrows_follow_the_panes_on_the_screen() {
    let mut screen = incident();
    let at = |screen: &Screen| screen.state.selected.clone().unwrap_or("cpu".into());
    screen.press(Intent::Down);
    assert_eq!(&*at(&screen), "latency", "two panes side by side");
    screen.press(Intent::Right);
    assert_eq!(&*at(&screen), "memory");
    screen.press(Intent::Up);
    assert_eq!(&*at(&screen), "disk_used");
    screen.press(Intent::Left);
    screen.press(Intent::Left);
    assert_eq!(&*at(&screen), "cpu");
    screen.state.size = (60, 24);
    screen.press(Intent::Down);
    assert_eq!(&*at(&screen), "disk_used", "one under the other");
}

#[test]
fn enter_expands_and_esc_comes_back() {
    let mut screen = incident();
    screen.press(Intent::Down);
    screen.press(Intent::Expand);
    assert!(screen.text().contains("latency  3 of 7"));
    screen.press(Intent::Down);
    assert!(screen.text().contains("memory  4 of 7"));
    screen.press(Intent::Back);
    assert!(screen.text().contains("anomalies"));
    // From the log, the incident's first feature.
    screen.press(Intent::Right);
    screen.press(Intent::Right);
    assert_eq!(screen.state.focus, Focus::Log);
    screen.press(Intent::Expand);
    assert!(screen.text().contains("latency  3 of 7"));
}

#[test]
fn sorting_puts_the_largest_part_first() {
    let mut screen = incident();
    screen.press(Intent::Sort);
    assert_eq!(screen.state.sort, Sort::Score);
    screen.press(Intent::Expand);
    assert!(
        screen.text().contains("latency  1 of 7"),
        "{}",
        screen.text()
    );
}

#[test]
fn entities_cycle_both_ways() {
    let mut screen = Screen::of(scene::test_mode().snapshot);
    screen.press(Intent::Test);
    assert!(screen.text().contains("web-1  1 of 3"));
    screen.press(Intent::PreviousEntity);
    assert!(screen.text().contains("3 of 3"));
    screen.press(Intent::NextEntity);
    assert!(screen.text().contains("web-1  1 of 3"));
}

#[test]
fn zoom_cuts_the_time_range() {
    let mut screen = incident();
    assert!(screen.text().contains("09:03"));
    screen.press(Intent::ZoomIn);
    assert_eq!(screen.state.live_range, Some(Duration::from_secs(4 * 3600)));
    assert!(screen.text().contains("10:02"));
    for _ in 0..9 {
        screen.press(Intent::ZoomIn);
    }
    assert_eq!(screen.state.live_range, Some(Duration::from_secs(600)));
    for _ in 0..9 {
        screen.press(Intent::ZoomOut);
    }
    assert_eq!(screen.state.live_range, None);
}

#[test]
fn freezing_shows_a_banner_and_the_way_back() {
    let mut screen = incident();
    screen.press(Intent::Freeze);
    assert!(screen.state.frozen.is_some());
    let text = screen.text();
    assert!(text.contains("frozen at 14:02:11 UTC") && text.contains("f resumes"));
    screen.press(Intent::Freeze);
    assert!(screen.state.frozen.is_none());
}

#[test]
fn a_source_that_says_nothing_is_told_before_it_fails() {
    let mut screen = incident();
    let after = |secs| Action::Tick(fixture::now() + Duration::from_secs(secs));
    screen.act(after(60));
    assert!(!screen.text().contains("last data"));
    screen.act(after(110));
    assert!(screen.text().contains("last data 110 s ago"));
}

#[test]
fn the_future_leaves_room_for_the_past() {
    let mut snapshot = scene::long_term().snapshot;
    let entity = Arc::make_mut(&mut Arc::make_mut(&mut snapshot.live).entities[0]);
    for feature in &mut entity.features {
        // A band that has lost all hold.
        let forecast = feature.forecast.as_mut().map(Arc::make_mut).unwrap();
        for bound in &mut forecast.upper {
            *bound += 1e12;
        }
    }
    let drawn = |snapshot: Snapshot| {
        let mut screen = Screen::of(snapshot);
        screen.press(Intent::LongTerm);
        screen.press(Intent::Expand);
        screen.text()
    };
    let text = drawn(snapshot);
    let chart = text.lines().take_while(|line| !line.contains("score,"));
    let heights: Vec<&str> = chart.filter(|line| line.contains('┤')).collect();
    assert!(heights.len() > 2 && !text.contains("e9"), "{text}");
    assert!(heights.iter().all(|line| line.contains(" % ")), "{text}");
}

fn question(effects: Vec<Effect>) -> Option<(u64, HistoryQuery)> {
    effects.into_iter().find_map(|effect| match effect {
        Effect::Query { ticket, query } => Some((ticket, query)),
        _ => None,
    })
}

#[test]
fn long_term_mode_asks_waits_and_asks_again() {
    let mut screen = Screen::of(scene::live().snapshot);
    let (ticket, query) = question(screen.press(Intent::LongTerm)).unwrap();
    assert_eq!((query.from, query.max_points), (None, 300));
    assert_eq!(
        question(screen.act(Action::Arrived)),
        None,
        "one is under way"
    );
    let late = Action::History {
        ticket: ticket + 7,
        result: Err(ControlError::Stopped),
    };
    screen.act(late);
    assert!(screen.state.history.pending, "an answer to something else");
    let result = Ok(fixture::history());
    screen.act(Action::History { ticket, result });
    assert!(screen.text().contains("12 Nov"));
    assert_eq!(question(screen.act(Action::Arrived)), None, "still fresh");
    screen.snapshot.now = screen.snapshot.now + Duration::from_secs(31);
    assert!(question(screen.act(Action::Arrived)).is_some());
    let (_, zoomed) = question(screen.press(Intent::ZoomIn)).unwrap();
    assert!(zoomed.from.is_some());
}

#[test]
fn a_history_that_could_not_be_had_is_told() {
    let mut screen = Screen::of(scene::live().snapshot);
    let (ticket, _) = question(screen.press(Intent::LongTerm)).unwrap();
    let result = Err(ControlError::Busy);
    screen.act(Action::History { ticket, result });
    assert!(screen.text().contains("the history could not be had"));
    assert!(screen.text().contains("09:03"), "the snapshot's rows stay");
}

#[test]
fn notices_become_toasts_that_go_away() {
    let mut screen = incident();
    let notices: Vec<_> = (0..9)
        .map(|id| fixture::notice(id, Level::Info, &format!("notice {id}")))
        .collect();
    screen.snapshot.notices = Arc::from(notices);
    screen.act(Action::Arrived);
    assert_eq!(screen.state.toasts.len(), TOASTS);
    assert!(screen.text().contains("notice 8"));
    screen.act(Action::Arrived);
    screen.act(Action::Tick(screen.snapshot.now + Duration::from_secs(5)));
    assert!(screen.state.toasts.is_empty(), "each is told once");
    screen.act(Action::Say(Level::Error, ControlError::Busy.to_string()));
    assert!(screen.text().contains("command queue is full"));
}

#[test]
fn help_lists_every_binding() {
    let mut screen = incident();
    screen.state.size = (130, 60);
    screen.press(Intent::Help);
    let text = screen.text();
    for binding in &pulsewatch::tui::keymap::BINDINGS {
        assert!(text.contains(binding.help), "{}", binding.name);
    }
    // On a small screen it scrolls.
    screen.state.size = (60, 16);
    assert!(!screen.text().contains("call it a real problem"));
    for _ in 0..2 {
        screen.press(Intent::PageDown);
    }
    assert!(screen.text().contains("call it a real problem"));
    screen.press(Intent::Back);
    assert!(screen.state.open.is_none());
}

#[test]
fn changed_keys_are_shown_where_keys_are_shown() {
    let config = UiConfig {
        keys: BTreeMap::from([("help".to_owned(), "F1".to_owned())]),
        ..UiConfig::default()
    };
    let screen = Screen::with(&config, scene::live().snapshot);
    assert!(screen.text().contains("F1 help"));
}

#[test]
fn no_is_no_whatever_key_asked() {
    let config = UiConfig {
        keys: BTreeMap::from([
            ("mark_false".to_owned(), "n".to_owned()),
            ("entities".to_owned(), "N".to_owned()),
        ]),
        ..UiConfig::default()
    };
    let mut screen = Screen::with(&config, scene::incident().snapshot);
    let key = |name| Action::Key(Key::parse(name).unwrap());
    screen.act(key("n"));
    let text = screen.text();
    assert!(text.contains("y Enter yes   n Esc no"), "{text}");
    assert_eq!(screen.act(key("n")), []);
    assert_eq!(screen.state.question, None);
    screen.act(key("n"));
    assert_eq!(
        sent(screen.act(key("y"))),
        Some(Command::Label(42, Some(Label::False)))
    );
    // Another key that asks says neither.
    screen.act(key("M"));
    assert!(screen.text().contains("y Enter yes   n Esc no"));
    assert_eq!(screen.act(key("M")), []);
    assert!(screen.state.question.is_some());
}

/// A screen with these rights, after these keys.
fn offered(config: &UiConfig, scene: &scene::Scene, keys: &[Intent]) -> String {
    let mut screen = Screen::with(config, scene.snapshot.clone());
    screen.state.size = (200, 60);
    for intent in keys {
        screen.press(*intent);
    }
    screen.state.toasts.clear();
    screen.text()
}

/// A scene, keys, and what is offered then.
type Offered<'a> = (&'a scene::Scene, &'a [Intent], &'a [&'a str]);

#[test]
fn a_screen_that_only_looks_offers_no_orders() {
    let looks = UiConfig {
        read_only: true,
        ..UiConfig::default()
    };
    let (calm, hot, busy) = (scene::trained(), scene::incident(), scene::training());
    let models = [Intent::Models, Intent::Down];
    let orders: [Offered<'_>; 7] = [
        (&hot, &[], &["a acknowledge", "m false alarm", "r retrain"]),
        (&hot, &[Intent::Log], &["a seen", "M real", "a acknowledge"]),
        (&hot, &[Intent::Health], &["< slower", "> faster"]),
        (&calm, &[Intent::Training], &["r trains", "r train "]),
        (&busy, &[Intent::Training], &["c cancels"]),
        (&busy, &[], &["c cancels", "c cancel training"]),
        (&calm, &models, &["Enter use this", "Enter lets it score"]),
    ];
    for (scene, keys, words) in orders {
        let may = offered(&UiConfig::default(), scene, keys);
        let may_not = offered(&looks, scene, keys);
        for word in words {
            assert!(may.contains(word), "{word}\n{may}");
            assert!(!may_not.contains(word), "{word}\n{may_not}");
        }
    }
    let shown = offered(&looks, &scene::test_mode(), &[Intent::Test]);
    assert!(!shown.contains("inject spike") && shown.contains("sample data"));
}

#[test]
fn what_is_switched_off_or_not_kept_is_not_offered() {
    let all = UiConfig::default();
    for keys in [&[Intent::Test][..], &[Intent::Test, Intent::Log]] {
        let shown = offered(&all, &scene::test_mode(), keys);
        for word in ["a acknowledge", "a seen", "m false alarm", "M real"] {
            assert!(!shown.contains(word), "{word}\n{shown}");
        }
    }
    let untrained = UiConfig {
        retrain_enabled: false,
        ..UiConfig::default()
    };
    let calm = scene::trained();
    let shown = offered(&untrained, &calm, &[Intent::Training]);
    assert!(!shown.contains("r train") && shown.contains("v models"));
    assert!(!offered(&untrained, &calm, &[]).contains("r retrain"));
}
