//! The panels about the engine itself: training, models, health.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use pulsewatch::config::{ThemeName, UiConfig};
use pulsewatch::domain::{
    Command, Component, Counters, Entity, EntityReadiness, HealthBoard, Histogram, PipelineId,
    PipelineView, Snapshot, SourceState, TrainingOutcome, Verdict,
};
use pulsewatch::report::svg::svg;
use pulsewatch::tui::action::{Action, Effect, Intent};
use pulsewatch::tui::keymap::Key;
use pulsewatch::tui::update::update;
use pulsewatch::tui::{ColorDepth, Keymap, Mode, Theme, UiState, buffer_text, render};

use crate::{fixture, scene, views};

const SIZES: [(u16, u16); 4] = [(200, 60), (120, 40), (80, 24), (40, 10)];

struct Screen {
    state: UiState,
    snapshot: Snapshot,
}

impl Screen {
    fn of(snapshot: Snapshot, size: (u16, u16), keys: &[Intent]) -> Self {
        Self::with(&UiConfig::default(), snapshot, size, keys)
    }

    fn with(config: &UiConfig, snapshot: Snapshot, size: (u16, u16), keys: &[Intent]) -> Self {
        let keymap = Arc::new(Keymap::new(&BTreeMap::new()).unwrap());
        let state = UiState::new(Mode::Live, config, keymap, size, snapshot.now);
        let mut screen = Self { state, snapshot };
        update(&mut screen.state, Action::Arrived, &screen.snapshot);
        for key in keys {
            screen.press(*key);
        }
        screen
    }

    fn press(&mut self, intent: Intent) -> Vec<Effect> {
        update(&mut self.state, Action::Press(intent), &self.snapshot)
    }

    fn tap(&mut self, key: &str) -> Vec<Effect> {
        let key = Action::Key(Key::parse(key).unwrap());
        update(&mut self.state, key, &self.snapshot)
    }

    fn text(&self) -> String {
        let theme = Theme::new(ThemeName::Dark, ColorDepth::None, true);
        buffer_text(&render(&self.state, &self.snapshot, &theme))
    }

    fn has(&self, words: &[&str]) {
        let text = self.text();
        for word in words {
            assert!(text.contains(word), "{word} is not in\n{text}");
        }
    }

    fn toast(&self) -> &str {
        self.state.toasts.last().map_or("", |t| &t.text)
    }
}

fn live(change: impl FnOnce(&mut PipelineView)) -> Snapshot {
    let mut pipeline = fixture::scoring(PipelineId::Live, false);
    change(&mut pipeline);
    fixture::snapshot(pipeline)
}

/// The outcome of the training that made this one of the kept models.
fn outcome(model: usize) -> TrainingOutcome {
    let entry = fixture::models().swap_remove(model);
    let mut losses: Vec<f64> = (0..31)
        .map(|i| 0.0021 + 0.3 * (-0.5 * f64::from(i)).exp())
        .collect();
    losses[27] = 0.002;
    TrainingOutcome {
        is_cancelled: false,
        ended: fixture::now() - Duration::from_secs(720),
        took: Duration::from_secs(21),
        result: Ok(entry.model.version.clone()),
        decision: entry.decision,
        losses,
    }
}

/// A pipeline about which there is everything to say.
fn troubled() -> Snapshot {
    let mut snapshot = live(|pipeline| {
        let since = Some(fixture::now() - Duration::from_secs(204));
        pipeline.source.last_success = since;
        pipeline.source.state = SourceState::Stale {
            since,
            error: "http://127.0.0.1:9090: connection refused; is the server running, and is [source] url right?".into(),
            retry_at: fixture::now() + Duration::from_secs(12),
        };
        pipeline.source.warnings = vec![
            "3 series are new and the model does not know them: a, b, c; they are watched from the next training on".into(),
            "the server cut the answer".into(),
        ];
        let mut took = Histogram::with_bounds(&[0.1, 1.0]);
        for seconds in [0.06, 0.1, 0.08] {
            took.observe(seconds);
        }
        pipeline.counters = Arc::new(Counters {
            collect_errors: BTreeMap::from([("connect", 3), ("timeout", 1)]),
            collect_seconds: took,
            series_dropped: 36,
            series_left_out: 12,
            ticks_late: 2,
            ..Counters::default()
        });
        let entity = Arc::make_mut(&mut pipeline.entities[0]);
        entity.readiness = EntityReadiness {
            windows: 1.0,
            seasons: vec![
                (Duration::from_hours(24), 1.0),
                (Duration::from_hours(168), 0.31),
            ],
        };
    });
    snapshot.build.version = "0.9.1";
    snapshot
}

fn all() -> Vec<(&'static str, Snapshot, Vec<Intent>)> {
    let training = [Intent::Training].to_vec();
    let running = live(|p| p.training = Some(fixture::training()));
    vec![
        ("engine-training", running, training.clone()),
        (
            "engine-promoted",
            live(|p| p.last_training = Some(outcome(0))),
            training.clone(),
        ),
        (
            "engine-refused",
            live(|p| p.last_training = Some(outcome(1))),
            training.clone(),
        ),
        ("engine-failed", scene::failed().snapshot, training.clone()),
        (
            "engine-untrained",
            scene::warming_up().snapshot,
            training.clone(),
        ),
        ("engine-kept", live(|_| ()), training),
        (
            "engine-models",
            live(|_| ()),
            vec![Intent::Models, Intent::Down],
        ),
        (
            "engine-asked",
            live(|_| ()),
            vec![Intent::Models, Intent::Down, Intent::Expand],
        ),
        (
            "engine-no-models",
            scene::warming_up().snapshot,
            vec![Intent::Models],
        ),
        ("engine-health", live(|_| ()), vec![Intent::Health]),
        ("engine-troubled", troubled(), vec![Intent::Health]),
        (
            "engine-warming-up",
            scene::warming_up().snapshot,
            vec![Intent::Health],
        ),
    ]
}

/// Nothing leaves its panel at any size, in any spelling; with a folder named as for golden screens, pictures are drawn.
#[test]
fn they_fit_every_size() {
    for (name, snapshot, keys) in all() {
        for size in SIZES {
            let screen = Screen::of(snapshot.clone(), size, &keys);
            let theme = Theme::new(ThemeName::Dark, ColorDepth::True, true);
            let buffer = render(&screen.state, &snapshot, &theme);
            if let Ok(folder) = std::env::var("SCREENS_TO") {
                let (width, height) = size;
                let file = format!("{folder}/{name}-{width}x{height}");
                std::fs::write(format!("{file}.svg"), svg(&buffer)).unwrap();
                std::fs::write(format!("{file}.txt"), buffer_text(&buffer)).unwrap();
            }
            let right = size.0 - 1;
            let rows = (0..size.1).map(|y| buffer[(right, y)].symbol().to_owned());
            let edge: Vec<String> = rows.filter(|s| s != " ").collect();
            assert!(edge.iter().all(|s| "╮│╯".contains(s.as_str())), "{edge:?}");
            let plain = Theme::new(ThemeName::Dark, ColorDepth::None, false);
            let text = buffer_text(&render(&screen.state, &snapshot, &plain));
            let asked = |text: &str| text.matches('?').count();
            let spelled = asked(&text) == asked(&buffer_text(&buffer));
            assert!(text.is_ascii() && spelled, "{text}");
        }
        for (width, height) in (1..=24).flat_map(|w| (1..=12).map(move |h| (w, h))) {
            let mut screen = Screen::of(snapshot.clone(), (width, height), &keys);
            for key in [Intent::End, Intent::PageUp, Intent::Down] {
                screen.press(key);
                screen.text();
            }
        }
    }
}

#[test]
fn a_running_training_shows_how_far_it_is_and_how_the_loss_falls() {
    let mut snapshot = live(|p| p.training = Some(fixture::training()));
    let screen = Screen::of(snapshot.clone(), (120, 40), &[Intent::Training]);
    screen.has(&[
        "fitting the autoencoder",
        "12 of 50",
        "41 %",
        "9 s, at most about 12 s more",
        "the best so far",
        "c cancels",
        "epoch 50",
        "model 20261118T105500Z-3f9a2c scores",
    ]);
    let axis = screen.text().lines().filter(|l| l.contains('┤')).count();
    assert!(axis >= 3, "{}", screen.text());
    let training = Arc::make_mut(&mut snapshot.live).training.as_mut().unwrap();
    training.queued = true;
    training.losses.push(0.9);
    let screen = Screen::of(snapshot, (80, 24), &[Intent::Training]);
    screen.has(&["another training waits", "0.90, best 0.0026 in epoch 12"]);
}

#[test]
fn the_last_training_shows_old_against_new() {
    let promoted = live(|p| p.last_training = Some(outcome(0)));
    let screen = Screen::of(promoted, (120, 40), &[Intent::Training]);
    screen.has(&[
        "12 min ago, at 13:50:11 UTC; it took 21 s",
        "✓ promoted: no worse than the one before",
        "0.0020 in epoch 28 of 31",
        "6 % lower",
        "0.4 %      0.5 %",
        "on 412 windows",
        "0.00100   0.000940",
        "↑  epoch 31",
        "r trains",
    ]);
    let refused = live(|p| p.last_training = Some(outcome(1)));
    let screen = Screen::of(refused, (80, 24), &[Intent::Training]);
    screen.has(&[
        "✗ refused: clearly worse",
        "model 20261118T105500Z-3f9a2c",
        "41 % higher",
    ]);
    let screen = Screen::of(scene::failed().snapshot, (120, 40), &[Intent::Training]);
    screen.has(&["✗ no new model: the loss is not finite after epoch 3"]);
}

#[test]
fn before_the_first_training_it_says_what_is_waited_for() {
    let screen = Screen::of(scene::warming_up().snapshot, (80, 24), &[Intent::Training]);
    screen.has(&[
        "no training yet",
        "41 of 120",
        "ready in about 3 min",
        "trained by itself",
        "r asks for the history anew",
    ]);
    let config = UiConfig {
        read_only: true,
        ..UiConfig::default()
    };
    let snapshot = scene::warming_up().snapshot;
    let screen = Screen::with(&config, snapshot, (80, 24), &[Intent::Training]);
    assert!(!screen.text().contains("r asks"));
    let screen = Screen::of(live(|_| ()), (80, 24), &[Intent::Training]);
    screen.has(&["no training since the start", "r trains a new one"]);
}

#[test]
fn a_page_that_is_too_long_scrolls_to_its_end_and_no_further() {
    let snapshot = live(|p| p.last_training = Some(outcome(1)));
    let mut screen = Screen::of(snapshot, (40, 10), &[Intent::Training]);
    screen.has(&["last training", "Down Up more"]);
    assert!(!screen.text().contains("epoch 31"));
    screen.press(Intent::End);
    screen.has(&["epoch 31"]);
    let end = screen.state.open;
    screen.press(Intent::Down);
    assert_eq!(screen.state.open, end);
    let before = screen.text();
    screen.press(Intent::Up);
    assert_ne!(screen.text(), before, "the first step back is seen");
    for _ in 0..9 {
        screen.press(Intent::PageUp);
    }
    screen.has(&["last training"]);
}

#[test]
fn models_are_listed_with_their_figures() {
    let screen = Screen::of(live(|_| ()), (200, 60), &[Intent::Models]);
    screen.has(&[
        "● 20261118T105500Z-3f9a2c",
        "learned from",
        "04 Nov to 18 Nov",
        "threshold",
        "it scores now",
        "✗ refused: clearly worse than the one that scores",
        "trained        2026-11-18 10:55 UTC, 3 h",
        "windows        2000 of 1 entity, 31 epochs",
    ]);
    let mut screen = Screen::of(live(|_| ()), (40, 10), &[Intent::Models]);
    screen.press(Intent::Down);
    screen.has(&[
        "▸  20261117T225500Z",
        "15 h",
        "✗ refused: clearly worse than the",
        "one that scores",
    ]);
    screen.press(Intent::End);
    screen.has(&["▸  20261116T105400Z"]);
    screen.press(Intent::Down);
    screen.has(&["▸  20261116T105400Z"]);
    screen.press(Intent::Home);
    screen.has(&["▸● 20261118T105500Z"]);
}

#[test]
fn enter_asks_before_another_model_scores() {
    let mut screen = Screen::of(live(|_| ()), (80, 24), &[Intent::Models]);
    assert_eq!(screen.press(Intent::Expand), []);
    assert!(screen.toast().contains("scores already"));
    assert_eq!(screen.state.question, None);
    screen.press(Intent::Down);
    screen.has(&["Enter lets it score"]);
    assert_eq!(screen.press(Intent::Expand), []);
    screen.has(&[
        "Let model 20261117T225500Z score from now on?",
        "It was refused when it was new: clearly worse than the one that",
        "20261118T105500Z-3f9a2c,",
        "which is 3 h old",
    ]);
    screen.tap("Esc");
    assert_eq!(screen.state.question, None);
    screen.press(Intent::Expand);
    let version = "20261117T225500Z-b01177".to_owned();
    let order = Effect::Send(Command::UseModel(version));
    assert_eq!(screen.tap("Enter"), [order]);
    assert!(screen.toast().contains("switching to model"));
}

#[test]
fn a_screen_that_only_looks_and_test_mode_choose_no_model() {
    let config = UiConfig {
        read_only: true,
        ..UiConfig::default()
    };
    let keys = [Intent::Models, Intent::Down, Intent::Expand];
    let screen = Screen::with(&config, live(|_| ()), (80, 24), &keys);
    assert!(screen.toast().contains("read_only"));
    assert_eq!(screen.state.question, None);

    let mut snapshot = scene::test_mode().snapshot;
    let mut test = (*snapshot.test.clone().unwrap()).clone();
    test.models = Arc::from([]);
    snapshot.test = Some(Arc::new(test));
    let keys = [Intent::Test, Intent::Models, Intent::Expand];
    let screen = Screen::of(snapshot, (80, 24), &keys);
    screen.has(&["test mode does not keep its models"]);
    assert!(screen.toast().contains("no models to choose from"));
    let keys = [Intent::Models, Intent::Expand];
    let screen = Screen::of(scene::warming_up().snapshot, (80, 24), &keys);
    screen.has(&["no models yet", "41 of 120 windows"]);
    assert!(screen.toast().contains("no model yet"));
}

#[test]
fn health_says_what_can_be_relied_on() {
    let screen = Screen::of(troubled(), (120, 40), &[Intent::Health]);
    screen.has(&[
        "✗ stale for 3 min",
        "in 12 s",
        "connection refused",
        "14:02:00 UTC, 11 s behind",
        "every 30 s, step 60 s",
        "3, 80 ms on average",
        "3 × connect, 1 × timeout",
        "120 of 120",
        "season 7 d",
        "31 %",
        "20261118T105500Z-3f9a2c",
        "0.0030 (auto)",
        "12 series over the cap",
        "late ticks     2",
        "45.2 MiB",
        "0.7 % of a core",
        "5 h",
        "0.9.1 for x86_64-linux",
        "3 series are new and the model does not know them: a, b, c; they are watched from the next training on",
        "! the server cut the answer",
    ]);
    let calm = Screen::of(live(|_| ()), (120, 40), &[Intent::Health]);
    calm.has(&[
        "● up",
        "none since the start",
        "ready",
        "late ticks     none",
    ]);
    let early = Screen::of(scene::warming_up().snapshot, (80, 40), &[Intent::Health]);
    early.has(&["41 of 120", "season 24 h", "21 %", "none yet"]);
}

/// How far the newest row is behind when `now` is that many hours later.
fn newest_row(hours: u64, change: impl FnOnce(&mut PipelineView)) -> String {
    let mut snapshot = live(change);
    snapshot.now = snapshot.now + Duration::from_hours(hours);
    let text = Screen::of(snapshot, (120, 40), &[Intent::Health]).text();
    let line = text.lines().find(|l| l.contains("newest row"));
    line.unwrap_or(&text).to_owned()
}

#[test]
fn a_source_that_fell_far_behind_is_not_told_as_a_recording() {
    let fresh = newest_row(0, |_| ());
    assert!(fresh.contains("14:02:00 UTC, 11 s behind"), "{fresh}");
    let old = newest_row(72, |_| ());
    assert!(old.contains("3 d behind"), "{old}");
    assert!(old.contains("2026-11-18"), "with its day: {old}");
    for hours in [0, 72] {
        let recorded = newest_row(hours, |p| p.source.recorded = true);
        assert!(recorded.contains("of a recording"), "{recorded}");
        assert!(!recorded.contains("behind"), "{recorded}");
    }
}

#[test]
fn a_threshold_that_labels_raised_is_told_with_the_calibrated_one() {
    let raised = live(|pipeline| {
        let model = pipeline.model.as_mut().unwrap();
        let mut kept = fixture::models();
        model.threshold_mse = kept[0].model.threshold_mse * 1.5;
        kept[0].is_current = true;
        pipeline.models = kept.into();
    });
    let screen = Screen::of(raised, (120, 40), &[Intent::Health]);
    screen.has(&["0.0045 (auto 0.0030, raised by labels)"]);
}

#[test]
fn health_scrolls_where_it_is_too_long() {
    let mut screen = Screen::of(troubled(), (40, 10), &[Intent::Health]);
    screen.has(&["source", "Down Up more"]);
    let mut seen = String::new();
    for _ in 0..60 {
        seen.push_str(&screen.text());
        screen.press(Intent::Down);
    }
    for words in [
        "readiness",
        "scoring",
        "process",
        "45.2 MiB",
        "the server cut",
    ] {
        assert!(seen.contains(words), "{words}");
    }
    screen.press(Intent::Home);
    screen.has(&["source"]);
}

#[test]
fn the_parts_that_do_not_work_are_shown() {
    let board = HealthBoard::default();
    let since = fixture::now() - Duration::from_secs(180);
    board.fail(Component::Cache, since, "no space left on device");
    let mut snapshot = live(|_| ());
    snapshot.health = board.view();
    let screen = Screen::of(snapshot.clone(), (120, 40), &[]);
    screen.has(&["! cache: no space left on device", "for 3 min"]);

    // The one without which nothing can be relied on comes first.
    board.fail(Component::Journal, since, "disk full");
    board.restarted(Component::Collector);
    snapshot.health = board.view();
    let screen = Screen::of(snapshot.clone(), (120, 40), &[]);
    screen.has(&["✗ journal: disk full", "+1 more"]);
    let screen = Screen::of(snapshot, (120, 50), &[Intent::Health]);
    screen.has(&[
        "parts of the program",
        "collector      ● works, started again 1 ×",
        "journal        ✗ for 3 min: disk full",
        "cache          ✗ for 3 min: no space left on device",
    ]);
}

#[test]
fn an_exporter_whose_port_is_taken_is_seen_for_as_long_as_it_is_off() {
    let board = HealthBoard::default();
    let since = fixture::now() - Duration::from_mins(90);
    let text = "another program listens on 127.0.0.1:8901, so the exporter and the HTTP routes are off in this run; set `exporter.listen` to a free address";
    board.fail(Component::Listener, since, text);
    let mut snapshot = live(|_| ());
    snapshot.health = board.view();
    for size in SIZES {
        let screen = Screen::of(snapshot.clone(), size, &[]);
        screen.has(&["! listener", "listener: another program"]);
        assert!(size.0 < 80 || screen.text().contains("● prometheus"));
    }
    let screen = Screen::of(snapshot.clone(), (120, 50), &[Intent::Health]);
    screen.has(&["listener       ✗ for 90 min: another program listens on"]);
    board.recover(Component::Listener);
    snapshot.health = board.view();
    let screen = Screen::of(snapshot, (120, 40), &[]);
    assert!(!screen.text().contains("listener"));
}

#[test]
fn a_source_without_a_whole_step_yet_is_waited_for() {
    let mut pipeline = fixture::pipeline(PipelineId::Live);
    pipeline.source.name = "this host".into();
    pipeline.source.state = SourceState::Up;
    pipeline.source.last_success = Some(fixture::now());
    let mut snapshot = fixture::snapshot(pipeline);
    snapshot.started = fixture::now() - Duration::from_secs(25);
    let screen = Screen::of(snapshot.clone(), (120, 40), &[]);
    screen.has(&["Waiting for the first samples from this host"]);
    snapshot.started = fixture::now() - Duration::from_mins(3);
    let screen = Screen::of(snapshot, (120, 40), &[]);
    screen.has(&["this host answers, but no series match the queries"]);
}

#[test]
fn a_cancelled_training_is_no_failure() {
    let snapshot = live(|pipeline| {
        pipeline.last_training = Some(TrainingOutcome {
            is_cancelled: true,
            result: Err("the training was cancelled".into()),
            decision: None,
            losses: Vec::new(),
            ..outcome(0)
        });
    });
    for size in SIZES {
        let text = Screen::of(snapshot.clone(), size, &[]).text();
        assert!(
            !text.contains("failed") && !text.contains("cancelled"),
            "{text}"
        );
    }
    let screen = Screen::of(snapshot, (120, 40), &[Intent::Training]);
    screen.has(&["decision       cancelled"]);
    assert!(!screen.text().contains('✗'));
}

/// A pipeline with an open incident whose newest row is quiet by itself.
fn quiet_row(score: f64) -> Snapshot {
    live(|pipeline| {
        views::set_incidents(pipeline, fixture::incidents(true));
        let entity = Arc::make_mut(&mut pipeline.entities[0]);
        let latest = entity.latest.as_deref().unwrap();
        let verdict = Verdict {
            score: Some(score),
            gates: fixture::gates(score, false),
            ..latest.clone()
        };
        entity.latest = Some(Arc::new(verdict));
    })
}

#[test]
fn an_open_incident_and_its_newest_row_are_told_in_one_sentence() {
    let screen = Screen::of(quiet_row(1.3), (160, 40), &[]);
    screen.has(&[
        "● incident open; newest row: no alarm: not rare enough",
        "1 open",
    ]);
    let screen = Screen::of(quiet_row(0.4), (160, 40), &[]);
    screen.has(&["● incident open; newest row: normal", "1 open"]);
    assert!(!screen.text().contains("● normal"));
    Screen::of(quiet_row(0.4), (40, 10), &[]).has(&["● incident open"]);
    let screen = Screen::of(quiet_row(1.3), (160, 40), &[Intent::Why]);
    screen.has(&["● An incident is open; this row alone: not rare enough."]);
    let screen = Screen::of(quiet_row(0.4), (160, 40), &[Intent::Why]);
    screen.has(&["● An incident is open; this row alone is normal"]);
}

#[test]
fn an_open_incident_of_this_session_is_one_of_this_session() {
    let mut snapshot = quiet_row(0.4);
    let live = Arc::make_mut(&mut snapshot.live);
    live.counters = Arc::new(Counters {
        incidents_total: 9,
        ..Counters::default()
    });
    let screen = Screen::of(snapshot, (160, 40), &[]);
    screen.has(&["1 open", "1 this session", "9 in all"]);
}

#[test]
fn a_clock_that_was_set_back_is_told_and_no_verdict_stands() {
    let mut snapshot = live(|_| ());
    snapshot.now = fixture::now() - Duration::from_hours(1);
    Arc::make_mut(&mut snapshot.live).source.last_success = Some(snapshot.now);
    let screen = Screen::of(snapshot.clone(), (120, 40), &[]);
    screen.has(&[
        "✗ the clock is",
        "was it set back?",
        "when last seen",
        "stale",
    ]);
    let screen = Screen::of(snapshot, (120, 40), &[Intent::Health]);
    screen.has(&["✗ stale for", "behind the newest row"]);
}

#[test]
fn more_open_anomalies_than_are_listed_are_counted() {
    let snapshot = live(|pipeline| {
        let like = fixture::incidents(true).swap_remove(0);
        let many = (0..250).map(|i| {
            let mut incident = like.clone();
            incident.id = 1000 + i;
            incident.entity = Entity::named(&format!("host-{i:03}"));
            incident
        });
        views::set_incidents(pipeline, many.collect());
        pipeline.incidents = pipeline.incidents[..200].into();
    });
    let screen = Screen::of(snapshot.clone(), (160, 40), &[]);
    screen.has(&["250 open"]);
    let screen = Screen::of(snapshot, (160, 40), &[Intent::Log]);
    assert_eq!(screen.text().matches("250 open").count(), 2);
}
