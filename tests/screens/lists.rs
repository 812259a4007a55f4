//! The anomaly log, the error table and the entities: what they show, and what keys do in them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use pulsewatch::config::{ThemeName, UiConfig};
use pulsewatch::domain::{
    Command, Entity, EntityReadiness, EntityView, Label, LabelEffect, PipelineId, RowState, Series,
    Snapshot, Verdict,
};
use pulsewatch::tui::action::{Action, Effect, Intent};
use pulsewatch::tui::keymap::Key;
use pulsewatch::tui::lists::{EntityOrder, LogOrder};
use pulsewatch::tui::state::{ErrorOrder, Focus, Panel};
use pulsewatch::tui::update::update;
use pulsewatch::tui::{ColorDepth, Keymap, Mode, Theme, UiState, buffer_text, render};

use crate::scene::Scene;
use crate::{fixture, scene, views};

const SIZES: [(u16, u16); 4] = [(200, 60), (120, 40), (80, 24), (40, 10)];

struct Screen {
    state: UiState,
    snapshot: Snapshot,
}

impl Screen {
    fn of(snapshot: Snapshot) -> Self {
        let config = UiConfig::default();
        let keymap = Arc::new(Keymap::new(&BTreeMap::new()).unwrap());
        let state = UiState::new(Mode::Live, &config, keymap, (120, 40), snapshot.now);
        let mut screen = Self { state, snapshot };
        screen.act(Action::Arrived);
        screen
    }

    fn act(&mut self, action: Action) -> Vec<Effect> {
        update(&mut self.state, action, &self.snapshot)
    }

    fn press(&mut self, intent: Intent) -> Vec<Effect> {
        self.act(Action::Press(intent))
    }

    fn tap(&mut self, code: KeyCode) {
        let event = KeyEvent::new(code, KeyModifiers::NONE);
        self.act(Action::Key(Key::of(&event)));
    }

    fn write(&mut self, text: &str) {
        for c in text.chars() {
            self.tap(KeyCode::Char(c));
        }
    }

    fn text(&self) -> String {
        self.drawn(true)
    }

    fn drawn(&self, unicode: bool) -> String {
        let theme = Theme::new(ThemeName::Dark, ColorDepth::None, unicode);
        buffer_text(&render(&self.state, &self.snapshot, &theme))
    }

    fn at(&mut self, (width, height): (u16, u16)) -> String {
        self.act(Action::Resize(width, height));
        self.text()
    }
}

fn incident() -> Screen {
    Screen::of(scene::incident().snapshot)
}

/// Hosts with scores of every kind; the first four are anomalous, held back by a gate, without samples, warming up.
fn fleet(count: usize) -> Screen {
    let mut pipeline = fixture::scoring(PipelineId::Live, true);
    pipeline.grouped = true;
    let hot = fixture::entity("", true, true, 60);
    let calm = fixture::entity("", false, true, 60);
    let hosts = (0..count).map(|i| Arc::new(host(i, if i == 0 { &hot } else { &calm })));
    pipeline.entities = hosts.collect();
    let mut incidents = fixture::incidents(true);
    for (i, incident) in incidents.iter_mut().enumerate() {
        incident.entity = Entity::named(&format!("host-{i:03}"));
    }
    views::set_incidents(&mut pipeline, incidents);
    Screen::of(fixture::snapshot(pipeline))
}

fn host(i: usize, like: &EntityView) -> EntityView {
    let entity = Entity::named(&format!("host-{i:03}"));
    let old = like.latest.as_deref().unwrap();
    let time = old.time;
    let (state, score) = match i {
        0 => (RowState::Scored, Some(4.2)),
        1 => (RowState::Scored, Some(1.3)),
        2 => (RowState::Missing, None),
        3 => (RowState::WarmingUp, None),
        _ => (RowState::Scored, Some((i * 37 % 97) as f64 / 100.0)),
    };
    let mut latest = Verdict {
        state,
        score,
        is_anomaly: i == 0,
        entity: entity.clone(),
        ..old.clone()
    };
    if score.is_none() {
        latest = Verdict::unscored(time, entity.clone(), state);
    }
    if i == 1 {
        latest.gates = fixture::gates(1.3, false);
    }
    EntityView {
        entity,
        latest: Some(Arc::new(latest)),
        readiness: EntityReadiness {
            windows: 0.34,
            seasons: Vec::new(),
        },
        ..like.clone()
    }
}

/// The panels, and the strip over the panes.
fn scenes() -> Vec<Scene> {
    let panel = |name, snapshot: &Snapshot, keys: &[Intent]| Scene {
        name,
        keys: keys.to_vec(),
        snapshot: snapshot.clone(),
        ..scene::incident()
    };
    let (alone, fleet) = (scene::incident().snapshot, fleet(40).snapshot);
    vec![
        panel("log", &alone, &[Intent::Log]),
        panel("errors", &alone, &[Intent::Errors, Intent::Down]),
        panel("entities", &fleet, &[Intent::Entities, Intent::Down]),
        panel("fleet", &fleet, &[]),
        panel("question", &alone, &[Intent::MarkFalse]),
    ]
}

/// Every panel and the strip, at every size, in Unicode and in ASCII.
#[test]
fn lists_fit_every_size_and_spell_in_ascii() {
    for (width, height) in SIZES {
        for mut scene in scenes() {
            for unicode in [true, false] {
                scene.unicode = unicode;
                let buffer = scene.draw(width, height, ThemeName::Dark, ColorDepth::None);
                let text = buffer_text(&buffer);
                assert_eq!(text.lines().count(), usize::from(height), "{}", scene.name);
                // The key of the help is the only question mark.
                let marks = text.replace("? help", "").replace("alarm?", "");
                assert!(unicode || text.is_ascii(), "{text}");
                assert!(!marks.contains('?'), "{} {text}", scene.name);
            }
        }
    }
}

#[test]
fn a_filter_of_the_log_chooses_as_it_is_typed() {
    let mut screen = incident();
    screen.press(Intent::Log);
    screen.press(Intent::Filter);
    screen.write("cpu REAL");
    for size in [(200, 60), (120, 40), (80, 24)] {
        let text = screen.at(size);
        assert!(text.contains("1 of 4 · /cpu REAL"), "{text}");
        assert!(text.contains("memory 74 %") && !text.contains("network_receive"));
    }
    screen.tap(KeyCode::Enter);
    // What is marked is what is seen.
    screen.press(Intent::MarkReal);
    let asked = screen.state.question.take().unwrap();
    assert_eq!(
        asked.command,
        Command::Label(41, None),
        "it is real already"
    );
    screen.press(Intent::Filter);
    screen.write(" nothing");
    assert!(
        screen
            .text()
            .contains("no anomaly matches /cpu REAL nothing")
    );
    assert_eq!(screen.press(Intent::Acknowledge), []);
    assert!(
        screen
            .state
            .toasts
            .last()
            .unwrap()
            .text
            .contains("matches the filter")
    );
    screen.state.prompt = None;
    screen.press(Intent::Back);
    assert!(screen.state.filters.log.is_empty() && screen.state.open.is_some());

    for (words, ids) in [
        ("open", vec![42]),
        ("vanished", vec![38]),
        ("false", vec![40]),
        ("acknowledged", vec![41]),
        ("new closed", vec![40]),
        ("#4", vec![42, 41, 40]),
    ] {
        screen.state.filters.log = words.into();
        let listed = screen.state.incidents(&screen.snapshot.live);
        let found: Vec<u64> = listed.iter().map(|i| i.id).collect();
        assert_eq!(found, ids, "{words}");
    }
}

/// Number of the selected incident.
fn chosen(screen: &Screen) -> u64 {
    let incident = screen.state.chosen_incident(&screen.snapshot.live);
    incident.unwrap().id
}

#[test]
fn the_log_has_three_orders_and_open_ones_come_first() {
    let mut screen = incident();
    screen.press(Intent::Log);
    let ids = |screen: &Screen| -> Vec<u64> {
        let listed = screen.state.incidents(&screen.snapshot.live);
        listed.iter().map(|i| i.id).collect()
    };
    assert_eq!(ids(&screen), [42, 41, 40, 38]);
    screen.press(Intent::Sort);
    assert_eq!(screen.state.log, LogOrder::Longest);
    assert_eq!(ids(&screen), [42, 38, 41, 40]);
    assert!(screen.text().contains("longest first"));
    screen.press(Intent::Sort);
    assert_eq!(ids(&screen), [42, 38, 41, 40]);
    assert!(screen.text().contains("highest peak first"));
    assert!(screen.text().contains("peak▾"), "{}", screen.text());
    screen.press(Intent::Reverse);
    assert_eq!(ids(&screen), [40, 41, 38, 42]);
    let text = screen.text();
    assert!(
        text.contains("lowest peak first") && text.contains("peak▴"),
        "{text}"
    );
    screen.press(Intent::Reverse);
    // Keys move along the order that is seen, and to its ends.
    screen.press(Intent::Down);
    assert_eq!(chosen(&screen), 38);
    assert!(screen.text().contains("anomaly 38"), "its facts are below");
    screen.press(Intent::End);
    assert_eq!(chosen(&screen), 40);
    screen.press(Intent::Home);
    assert_eq!(chosen(&screen), 42);
    assert_eq!(screen.state.sort, pulsewatch::tui::state::Sort::Name);
}

#[test]
fn a_log_with_room_says_all_of_the_selected_one() {
    let mut screen = incident();
    screen.press(Intent::Log);
    for size in [(200, 60), (120, 40)] {
        let text = screen.at(size);
        for words in [
            "#42",
            "end",
            "state",
            "label",
            "seen",
            "closed",
            "vanished",
            "real",
            "16 Nov 10:02",
            "142–238 ms",
            "above",
            "✓ min_duration",
            "not seen yet",
        ] {
            assert!(text.contains(words), "{words} {text}");
        }
    }
    let text = screen.at((80, 24));
    assert!(
        text.contains("anomaly 42") && text.contains("w why"),
        "{text}"
    );
    let text = screen.at((40, 10));
    assert!(
        text.contains("latency 61 %") && !text.contains("anomaly 42"),
        "{text}"
    );
}

#[test]
fn enter_goes_to_the_row_that_is_farthest_off() {
    let mut screen = incident();
    screen.press(Intent::Log);
    screen.state.filters.panes = "memory".into();
    screen.press(Intent::Expand);
    let farthest = fixture::farthest(&screen.snapshot.live, "latency");
    assert!(screen.state.open.is_none() && screen.state.expanded);
    assert_eq!(
        (screen.state.mode, screen.state.cursor),
        (Mode::Live, Some(farthest))
    );
    assert_eq!(screen.state.until, None, "it is in view");
    assert_eq!(screen.state.selected.as_deref(), Some("latency"));
    assert!(screen.state.filters.panes.is_empty(), "it would hide it");
    assert!(screen.text().contains("latency  3 of 7"));

    // Older than what is shown, among the rows at hand.
    let mut screen = incident();
    let range = Duration::from_secs(1800);
    screen.state.live_range = Some(range);
    let last = screen.snapshot.live.entities[0].grid.last().unwrap();
    let mut incidents = screen.snapshot.live.incidents.to_vec();
    incidents[0].peak = last - Duration::from_secs(7200);
    let peak = incidents[0].peak;
    (incidents[0].start, incidents[0].end) = (peak, peak);
    views::set_incidents(Arc::make_mut(&mut screen.snapshot.live), incidents);
    screen.press(Intent::Log);
    screen.press(Intent::Expand);
    let until = screen.state.until.unwrap();
    assert!(until >= peak && until - range <= peak && until <= last);
    assert_eq!(screen.state.mode, Mode::Live);
}

#[test]
fn an_old_peak_is_shown_in_long_term_mode() {
    let mut screen = incident();
    screen.press(Intent::Log);
    screen.press(Intent::Down);
    let effects = screen.press(Intent::Expand);
    assert_eq!(screen.state.mode, Mode::LongTerm);
    // 6.4 hours ago.
    assert_eq!(screen.state.long_range, Some(Duration::from_secs(8 * 3600)));
    assert_eq!(screen.state.selected.as_deref(), Some("memory"));
    let asked = effects.iter().find_map(|effect| match effect {
        Effect::Query { query, .. } => query.from,
        _ => None,
    });
    assert!(asked.unwrap() <= screen.state.cursor.unwrap());
    let told = &screen.state.toasts.last().unwrap().text;
    assert!(told.contains("18 Nov 08:09 is older"), "{told}");
    screen.press(Intent::Back);
    assert!(!screen.state.expanded && screen.state.cursor.is_none());
}

#[test]
fn what_is_gone_is_said_and_not_jumped_to() {
    let mut screen = fleet(3);
    screen.press(Intent::Log);
    screen.press(Intent::End);
    screen.press(Intent::Expand);
    assert!(screen.state.open.is_some() && !screen.state.expanded);
    let told = &screen.state.toasts.last().unwrap().text;
    assert!(
        told.contains("host-003 is gone") && told.contains("w explains"),
        "{told}"
    );

    let mut test = Screen::of(scene::test_mode().snapshot);
    test.press(Intent::Test);
    test.press(Intent::Log);
    test.press(Intent::Down);
    test.press(Intent::Expand);
    assert!(!test.state.expanded, "test mode has no long term");
    assert!(
        test.state
            .toasts
            .last()
            .unwrap()
            .text
            .contains("no longer kept")
    );
    test.press(Intent::Up);
    test.press(Intent::Expand);
    assert!(test.state.expanded);
}

#[test]
fn the_log_beside_the_panes_keeps_its_keys() {
    let mut screen = incident();
    for intent in [Intent::Right, Intent::Right, Intent::Down] {
        screen.press(intent);
    }
    assert_eq!(screen.state.focus, Focus::Log);
    screen.press(Intent::Sort);
    assert_eq!(screen.state.log, LogOrder::Longest);
    assert!(screen.text().contains("longest first"), "{}", screen.text());
    screen.press(Intent::Right);
    assert_eq!(chosen(&screen), 41, "right goes nowhere");
    screen.press(Intent::Left);
    assert_eq!(screen.state.focus, Focus::Panes);
}

/// The lines of the table, the head first.
fn rows(text: &str, from: &str) -> Vec<String> {
    let lines = text.lines().skip_while(|line| !line.contains(from));
    let table = lines.skip(1).take_while(|line| !line.contains('╰'));
    table.map(str::to_owned).collect()
}

#[test]
fn the_error_table_sorts_selects_and_opens() {
    let mut screen = incident();
    screen.press(Intent::Errors);
    let text = screen.at((120, 40));
    assert!(
        text.contains("threshold 0.0030") && text.contains("156–252 ms"),
        "{text}"
    );
    let heads = ["contr.▾", "error▾", "expected▾", "feature▾"];
    for (i, head) in heads.iter().enumerate() {
        let text = screen.text();
        let table = rows(&text, "╭ errors");
        assert!(table[0].contains(head), "{text}");
        assert_eq!(table[0].matches('▾').count(), 1);
        let first = if i < 3 { "latency" } else { "cpu" };
        assert!(table[1].contains(first), "{head} {text}");
        screen.press(Intent::Sort);
    }
    assert_eq!(screen.state.errors, ErrorOrder::Share);
    screen.press(Intent::Down);
    assert_eq!(
        screen.state.selected.as_deref(),
        Some("cpu"),
        "the second row"
    );
    screen.press(Intent::Home);
    screen.press(Intent::Expand);
    assert!(screen.state.expanded && screen.state.open.is_none());
    assert!(screen.text().contains("latency  3 of 7"));
    for size in SIZES {
        screen.act(Action::Resize(size.0, size.1));
        screen.state.expanded = false;
        screen.state.open = None;
        screen.press(Intent::Errors);
        let text = screen.text();
        assert!(
            text.contains("contr.▾") || text.contains("contribution▾"),
            "{text}"
        );
    }
}

#[test]
fn the_error_table_filters_and_pages() {
    let mut screen = incident();
    screen.press(Intent::Errors);
    screen.at((80, 12));
    screen.press(Intent::End);
    let text = screen.text();
    assert!(
        text.contains("temperature") && !text.contains("latency  "),
        "{text}"
    );
    screen.at((120, 40));
    screen.press(Intent::Filter);
    screen.write("net");
    let text = screen.text();
    assert!(
        text.contains("1 of 7 · /net") && !text.contains("disk_used"),
        "{text}"
    );
    screen.write("zzz");
    assert!(screen.text().contains("no metric matches /netzzz"));
}

#[test]
fn what_is_unknown_of_a_feature_is_never_zero() {
    let mut screen = incident();
    let live = Arc::make_mut(&mut screen.snapshot.live);
    let entity = Arc::make_mut(&mut live.entities[0]);
    let masked = &mut entity.features[1];
    masked.mse = None;
    masked.share = None;
    masked.expected = None;
    masked.values = Series::of(&[f64::NAN; 5]);
    let mut latest = (**entity.latest.as_ref().unwrap()).clone();
    latest.features[1].lower = f64::NAN;
    entity.latest = Some(Arc::new(latest));
    screen.press(Intent::Errors);
    for order in 0..3 {
        let text = screen.text();
        let table = rows(&text, "╭ errors");
        let row = table.iter().find(|row| row.contains("disk_used")).unwrap();
        assert_eq!(row.matches('–').count(), 5, "{row}");
        assert!(!row.contains('0') && !row.contains('━'), "{row}");
        let last = table.iter().rposition(|row| row.contains('%')).unwrap();
        assert!(
            order == 2 || table[last + 1].contains("disk_used"),
            "{text}"
        );
        screen.press(Intent::Sort);
    }
}

#[test]
fn entities_are_searched_sorted_and_switched_to() {
    let mut screen = fleet(40);
    screen.press(Intent::Entities);
    let text = screen.at((120, 40));
    for words in [
        "1 anomalous",
        "1 over the threshold",
        "worst first",
        "not rare enough",
        "latency 61 %",
        "up to the threshold",
        "entities  40",
        "8 min",
    ] {
        assert!(text.contains(words), "{words} {text}");
    }
    let table = rows(&text, "top feature");
    assert!(table[0].contains("host-000") && table[1].contains("host-001"));
    screen.press(Intent::End);
    let text = screen.text();
    assert!(
        text.contains("warming up 34 %") && text.contains("missing"),
        "{text}"
    );
    screen.press(Intent::Sort);
    assert_eq!(screen.state.entity_order, EntityOrder::Name);
    let text = screen.text();
    assert!(
        text.contains("by name") && text.contains("missing"),
        "{text}"
    );
    screen.press(Intent::Filter);
    screen.write("17");
    let text = screen.text();
    assert!(
        text.contains("1 of 40 · /17") && text.contains("host-017"),
        "{text}"
    );
    screen.tap(KeyCode::Enter);
    screen.press(Intent::Expand);
    assert!(screen.state.open.is_none());
    assert!(
        screen.text().contains("host-017  18 of 40"),
        "{}",
        screen.text()
    );
    screen.press(Intent::Entities);
    screen.state.filters.entities = "nobody".into();
    assert!(screen.text().contains("no entity matches /nobody"));
    screen.press(Intent::Expand);
    assert_eq!(screen.state.entity, Some(Entity::named("host-017")));
    screen.press(Intent::NextEntity);
    assert_eq!(screen.state.entity, Some(Entity::named("host-018")));
}

#[test]
fn the_pointer_stays_on_its_entity_as_scores_change() {
    let mut screen = fleet(12);
    screen.press(Intent::Entities);
    screen.press(Intent::Down);
    assert_eq!(screen.state.pointed, Some(Entity::named("host-001")));
    let live = Arc::make_mut(&mut screen.snapshot.live);
    live.entities[1] = Arc::new(host(2, &live.entities[2].clone()));
    let calm = EntityView {
        entity: Entity::named("host-001"),
        ..(*live.entities[1]).clone()
    };
    live.entities[1] = Arc::new(calm);
    screen.act(Action::Arrived);
    screen.press(Intent::Expand);
    assert_eq!(screen.state.entity, Some(Entity::named("host-001")));
}

#[test]
fn a_thousand_entities_stay_readable() {
    let mut screen = fleet(1000);
    screen.press(Intent::Entities);
    for size in SIZES {
        let text = screen.at(size);
        assert!(
            text.contains("host-000") && text.contains("anomalous"),
            "{text}"
        );
    }
    let text = screen.at((80, 24));
    assert!(
        text.contains('●') && text.contains('▇') && text.contains('▁'),
        "{text}"
    );
    assert!(screen.at((120, 24)).contains("each the worst of up to"));
    screen.press(Intent::End);
    assert!(screen.at((40, 10)).contains("warming up 34 %"));
}

#[test]
fn the_list_of_entities_opens_at_the_worst_and_leaves_no_row_blank() {
    let mut screen = fleet(66);
    screen.state.entity = Some(Entity::named("host-060"));
    screen.press(Intent::Entities);
    assert_eq!(screen.state.pointed, Some(Entity::named("host-000")));
    let listed = |text: &str| text.lines().filter(|line| line.contains("host-0")).count();
    let text = screen.at((120, 40));
    let page = listed(&text);
    assert!(page > 20 && text.contains("anomalous"), "{text}");
    screen.press(Intent::End);
    assert_eq!(listed(&screen.text()), page, "the last page is full");
    screen.press(Intent::Back);
    screen.state.entity_order = EntityOrder::Name;
    screen.press(Intent::Entities);
    assert_eq!(screen.state.pointed, Some(Entity::named("host-000")));
}

#[test]
fn metrics_without_data_come_last_and_take_a_line() {
    let mut screen = incident();
    let live = Arc::make_mut(&mut screen.snapshot.live);
    let entity = Arc::make_mut(&mut live.entities[0]);
    for name in ["cpu", "memory"] {
        let found = entity
            .features
            .iter_mut()
            .find(|f| &*f.feature.name == name);
        found.unwrap().values = Series::of(&[f64::NAN; fixture::ROWS]);
    }
    let entity = Arc::clone(&live.entities[0]);
    let order = screen.state.order(&entity);
    let names: Vec<&str> = order
        .iter()
        .map(|i| &*entity.features[*i].feature.name)
        .collect();
    assert_eq!(names[5..], ["cpu", "memory"]);
    for size in [(200, 60), (120, 40), (80, 40)] {
        let text = screen.at(size);
        for name in ["cpu", "memory"] {
            assert!(text.contains(&format!("  {name}  no data")), "{text}");
            assert!(!text.contains(&format!("╭ {name} ")), "{text}");
        }
    }
    // They can be selected and opened.
    screen.state.selected = Some("memory".into());
    assert!(screen.at((120, 40)).contains("▸ memory  no data"));
    screen.press(Intent::Expand);
    assert!(screen.text().contains("no data in this time range"));
}

#[test]
fn axes_begin_with_the_first_row() {
    let mut screen = incident();
    let live = Arc::make_mut(&mut screen.snapshot.live);
    let entity = Arc::make_mut(&mut live.entities[0]);
    for feature in &mut entity.features {
        let known = feature.values.tail(44);
        let mut rows = vec![f64::NAN; fixture::ROWS - 44];
        rows.extend(known);
        feature.values = Series::of(&rows);
    }
    let text = screen.at((200, 60));
    assert!(text.contains("all, 43 min"), "{text}");
    // Left edges of the panes: 43 minutes before 14:02.
    assert!(text.contains("╰ 13:19 ─"), "{text}");
}

#[test]
fn names_that_begin_alike_stay_apart_and_get_spare_columns() {
    let mut screen = fleet(8);
    let live = Arc::make_mut(&mut screen.snapshot.live);
    let handlers = [
        "query",
        "query_range",
        "query_exemplars",
        "targets/metadata",
    ];
    let name = |i: usize| {
        format!(
            "handler=/api/v1/{},instance=prometheus-main-{i}.example.org:9090",
            handlers[i % 4]
        )
    };
    for (i, entity) in live.entities.iter_mut().enumerate() {
        Arc::make_mut(entity).entity = Entity::named(&name(i));
    }
    let mut incidents = live.incidents.to_vec();
    for (i, incident) in incidents.iter_mut().enumerate() {
        incident.entity = Entity::named(&name(i));
    }
    views::set_incidents(live, incidents);
    screen.press(Intent::Log);
    for size in [(120, 40), (80, 24)] {
        let text = screen.at(size);
        for i in 0..4 {
            assert!(
                text.contains(&format!("{i}.example.org:9090")[4..]),
                "{text}"
            );
        }
    }
    // With room for it, the whole name.
    let text = screen.at((200, 60));
    assert!(text.contains(&name(1)), "{text}");
    screen.press(Intent::Entities);
    assert!(screen.text().contains(&name(1)), "{}", screen.text());
    assert!(screen.at((120, 40)).contains(".example.org:9090"));
}

#[test]
fn an_open_incident_shows_its_peak_and_its_newest_row() {
    let mut screen = incident();
    let live = Arc::make_mut(&mut screen.snapshot.live);
    // By now it is about memory.
    let entity = Arc::make_mut(&mut live.entities[0]);
    let mut latest = (**entity.latest.as_ref().unwrap()).clone();
    latest.time = latest.time + fixture::MINUTE;
    for (feature, part) in entity.features.iter().zip(&mut latest.features) {
        part.share = if &*feature.feature.name == "latency" {
            0.07
        } else {
            0.155
        };
    }
    latest.features[2].value = 0.31;
    entity.latest = Some(Arc::new(latest));
    screen.press(Intent::Log);
    for size in [(200, 60), (120, 40)] {
        let text = screen.at(size);
        let head = text.lines().find(|row| row.contains("at peak")).unwrap();
        assert!(head.contains("now") && head.contains("expected"), "{text}");
        let row = text
            .lines()
            .rfind(|line| line.contains("latency "))
            .unwrap();
        for words in ["61 %", " 7 %", "840 ms", "310 ms"] {
            assert!(row.contains(words), "{words} {text}");
        }
    }
    // One that is over has no newest row.
    screen.press(Intent::Down);
    assert!(!screen.at((200, 60)).contains("at peak"));
    screen.press(Intent::Up);
    screen.press(Intent::Why);
    let text = screen.at((200, 60));
    assert!(text.contains("What drove the score at its peak"), "{text}");
    assert!(text.contains("What drives it now (score"), "{text}");
}

/// A storm: `count` entities are anomalous since about the same time, and what was there before.
fn storm(count: usize) -> Screen {
    let mut screen = fleet(count);
    let live = Arc::make_mut(&mut screen.snapshot.live);
    let first = live.incidents[0].clone();
    let old = live.incidents[1..].to_vec();
    let many = (0..count).map(|i| {
        let mut incident = first.clone();
        incident.id = 100 + i as u64;
        incident.entity = Entity::named(&format!("host-{i:03}"));
        incident.start = first.start + fixture::MINUTE * u32::try_from(i % 3).unwrap();
        incident.peak_score = 1.0 + i as f64 / 10.0;
        incident
    });
    let all = many.chain(old).collect();
    views::set_incidents(live, all);
    screen
}

#[test]
fn anomalies_that_begin_together_are_one_line_until_it_is_unfolded() {
    let mut screen = storm(31);
    let lines = |screen: &Screen| screen.state.incidents(&screen.snapshot.live).len();
    assert_eq!(lines(&screen), 4, "one line for 31, and three others");
    for size in [(200, 60), (120, 40)] {
        let text = screen.at(size);
        assert!(
            text.contains("▸31") && text.contains("×  latency"),
            "{text}"
        );
        assert!(text.contains("31 open"), "{text}");
    }
    screen.press(Intent::Log);
    for size in [(200, 60), (120, 40), (80, 24)] {
        let text = screen.at(size);
        assert!(
            text.contains("▸31 entities") || text.contains("▸31×"),
            "{text}"
        );
    }
    let text = screen.at((120, 40));
    assert!(
        text.contains("31 anomalies of 31 entities began within 2 min"),
        "{text}"
    );
    assert!(text.contains("Space fold"), "{text}");
    // All are exported and counted, whatever is folded.
    assert_eq!(screen.state.listed(&screen.snapshot.live).len(), 34);
    // A word on the line is one on all of them.
    let sent = screen.press(Intent::Acknowledge);
    assert_eq!(sent.len(), 31);
    assert_eq!(sent[0], Effect::Send(Command::Acknowledge(100)));
    assert_eq!(
        screen.state.toasts.last().unwrap().text,
        "31 anomalies acknowledged"
    );
    screen.press(Intent::MarkFalse);
    let text = screen.text();
    assert!(
        text.contains("one of a group: the 30 others keep"),
        "{text}"
    );
    screen.tap(KeyCode::Esc);
    // Enter shows them, and from there leads to one.
    screen.press(Intent::Expand);
    assert!(screen.state.open.is_some() && !screen.state.expanded);
    assert_eq!(lines(&screen), 34);
    assert_eq!(chosen(&screen), 100);
    assert_eq!(screen.press(Intent::Acknowledge).len(), 1);
    screen.press(Intent::Down);
    assert_eq!(chosen(&screen), 101);
    // Folded again, the highest stands for all.
    screen.press(Intent::Fold);
    assert_eq!((lines(&screen), chosen(&screen)), (4, 130));
    screen.press(Intent::Fold);
    assert_eq!(lines(&screen), 34);
    screen.press(Intent::End);
    screen.press(Intent::Fold);
    assert!(
        screen
            .state
            .toasts
            .last()
            .unwrap()
            .text
            .contains("is not one of many")
    );
    // Where the log is not on the screen, the alert counts the others.
    screen.press(Intent::Back);
    assert!(
        screen.at((40, 10)).contains("30 others and"),
        "{}",
        screen.text()
    );
    // More than the engine takes at once are acknowledged in parts.
    let mut many = storm(50);
    many.press(Intent::Log);
    assert_eq!(many.press(Intent::Acknowledge).len(), 32);
    let said = &many.state.toasts.last().unwrap().text;
    assert!(said.ends_with("again for the other 18"), "{said}");
    // Five are listed one by one.
    assert_eq!(lines(&storm(5)), 8);
}

#[test]
fn alarms_of_a_young_entity_are_to_be_taken_with_caution() {
    let mut screen = incident();
    let words = "Less than a day of this entity is known";
    let known = |screen: &mut Screen, part| {
        let live = Arc::make_mut(&mut screen.snapshot.live);
        let entity = Arc::make_mut(&mut live.entities[0]);
        entity.readiness.seasons = vec![(Duration::from_hours(24), part)];
    };
    known(&mut screen, 0.3);
    screen.press(Intent::Why);
    screen.press(Intent::End);
    assert!(screen.at((200, 60)).contains(words), "{}", screen.text());
    known(&mut screen, 0.8);
    assert!(!screen.text().contains(words));
}

/// Types an action into the palette and chooses it.
fn does(screen: &mut Screen, words: &str) {
    screen.press(Intent::Palette);
    screen.write(words);
    screen.tap(KeyCode::Enter);
}

#[test]
fn a_column_is_chosen_to_sort_by_and_again_to_reverse() {
    let mut screen = fleet(40);
    screen.press(Intent::Entities);
    let names = |screen: &Screen| -> Vec<String> {
        let listed = screen.state.entities(&screen.snapshot.live);
        listed
            .iter()
            .map(|(view, _)| view.entity.to_string())
            .collect()
    };
    let scores = |screen: &Screen| -> Vec<Option<f64>> {
        let listed = screen.state.entities(&screen.snapshot.live);
        listed
            .iter()
            .map(|(_, standing)| standing.score())
            .collect()
    };
    assert!(screen.at((120, 40)).contains("score▾"));
    screen.press(Intent::Reverse);
    assert!(screen.text().contains("score▴") && screen.text().contains("best first"));
    let found = scores(&screen);
    assert!(found[..38].is_sorted() && found[0].is_some());
    assert_eq!(found[38..], [None, None], "what is unknown stays last");
    does(&mut screen, "sort entity");
    assert_eq!(screen.state.entity_order, EntityOrder::Name);
    assert_eq!(names(&screen)[0], "host-000");
    does(&mut screen, "sort entity");
    assert_eq!(names(&screen)[0], "host-039");
    assert!(screen.text().contains("entity▴"), "{}", screen.text());
    does(&mut screen, "sort open");
    assert_eq!(names(&screen)[0], "host-000", "the only one that is open");
    screen.press(Intent::Back);

    screen.press(Intent::Log);
    does(&mut screen, "sort entity");
    let entities = |screen: &Screen| -> Vec<String> {
        let listed = screen.state.incidents(&screen.snapshot.live);
        listed.iter().map(|i| i.entity.to_string()).collect()
    };
    assert_eq!(
        entities(&screen),
        ["host-000", "host-001", "host-002", "host-003"]
    );
    does(&mut screen, "sort entity");
    assert_eq!(entities(&screen)[0], "host-003");
    screen.press(Intent::Back);

    let mut screen = incident();
    screen.press(Intent::Errors);
    does(&mut screen, "sort feature");
    assert_eq!(screen.state.errors, ErrorOrder::Name);
    screen.press(Intent::Reverse);
    let text = screen.at((120, 40));
    assert!(rows(&text, "╭ errors")[1].contains("temperature"), "{text}");
    assert!(text.contains("feature▴"), "{text}");
    does(&mut screen, "sort wrong");
    assert!(
        screen
            .state
            .toasts
            .last()
            .unwrap()
            .text
            .contains("no column")
    );
    screen.press(Intent::Help);
    screen.press(Intent::Reverse);
    assert!(
        screen
            .state
            .toasts
            .last()
            .unwrap()
            .text
            .contains("no table to sort")
    );
}

#[test]
fn a_strip_shows_all_entities_where_there_is_more_than_one() {
    let mut screen = fleet(8);
    let strip = |text: &str| {
        let line = text.lines().find(|line| line.contains("shows all 8"));
        line.map(str::to_owned)
    };
    for size in [(200, 60), (120, 40), (80, 30)] {
        let line = strip(&screen.at(size)).unwrap();
        assert!(line.contains("entities ▸● █ · · "), "{line}");
        assert!(line.contains("1 anomalous  n shows all 8"), "{line}");
    }
    screen.press(Intent::NextEntity);
    assert!(strip(&screen.text()).unwrap().contains("entities  ●▸█"));
    for size in [(80, 24), (40, 10)] {
        assert_eq!(strip(&screen.at(size)), None);
    }
    let plain = {
        screen.at((120, 40));
        screen.drawn(false)
    };
    assert!(plain.contains("entities  *># . . "), "{plain}");
    let mut alone = incident();
    assert!(!alone.at((120, 40)).contains("shows all"));
}

#[test]
fn a_label_is_asked_for_with_what_it_is_about() {
    let mut screen = fleet(40);
    screen.press(Intent::Log);
    screen.press(Intent::Down);
    let effects = screen.press(Intent::MarkFalse);
    let Some(Effect::Preview {
        ticket,
        incident: 41,
        label: Some(Label::False),
    }) = effects.first()
    else {
        panic!("{effects:?}");
    };
    let text = screen.at((120, 40));
    for words in [
        "Mark anomaly 41 as a false alarm?",
        "host-001: closed, 18 Nov 07:38 to 18 Nov 08:09, 31 min, peak 2.7×",
        "memory 74 %, cpu 12 %",
        "So far it is called real.",
        "Replaying stored data …",
        "y Enter yes   n Esc no",
    ] {
        assert!(text.contains(words), "{words} {text}");
    }
    let lost = (Entity::named("host-001"), fixture::now());
    let effect = LabelEffect {
        raise_before: 1.0,
        raise_after: 1.3,
        replayed: 12,
        removed: vec![lost.clone(); 7],
        lost: vec![lost],
        returned: Vec::new(),
        out_of_reach: false,
        height_unknown: false,
    };
    screen.act(Action::Preview {
        ticket: *ticket,
        result: Ok(effect),
    });
    for size in SIZES {
        let text = screen.at(size);
        let words = text.replace(['│', '\n'], " ");
        let words: Vec<&str> = words.split_whitespace().collect();
        let told = words
            .join(" ")
            .contains("7 of 12 incidents would go, 1 real one lost");
        assert!(told, "{text}");
        // In the box and in place of the hint bar, and nothing else there.
        assert_eq!(text.matches("y Enter yes   n Esc no").count(), 2, "{text}");
        assert!(
            !text.contains("? help") && !text.contains("q quit"),
            "{text}"
        );
    }
    assert!(!screen.text().contains("Replaying stored data …"));
    assert!(screen.at((120, 40)).contains("memory 74 %"));
    // The key that asked may have been pressed twice, and the others are swallowed.
    for key in ["m", "M", "a", "q", "L", "x", "Down"] {
        assert_eq!(screen.act(Action::Key(Key::parse(key).unwrap())), []);
        assert!(screen.state.question.is_some() && screen.state.open.is_some());
    }
    let sent = screen.act(Action::Key(Key::parse("y").unwrap()));
    assert_eq!(sent, [Effect::Send(Command::Label(41, Some(Label::False)))]);
}

#[test]
fn a_narrow_log_names_who_was_to_blame() {
    let mut screen = fleet(40);
    for size in [(80, 24), (200, 60)] {
        let text = screen.at(size);
        assert!(
            text.contains("host-000") && text.contains("latency"),
            "{text}"
        );
        assert!(text.contains("memory"), "{text}");
    }
    screen.press(Intent::Log);
    let text = screen.at((40, 10));
    assert!(
        text.contains("8 min host-000") && text.contains("latency"),
        "{text}"
    );
}

#[test]
fn a_list_is_not_left_while_its_filter_is_typed() {
    // The log under the panes, and beside them.
    for size in [(80, 40), (120, 40)] {
        let mut screen = incident();
        screen.at(size);
        screen.state.focus = Focus::Log;
        screen.press(Intent::Filter);
        screen.write("e");
        screen.tap(KeyCode::Up);
        assert_eq!(screen.state.focus, Focus::Log, "{size:?}");
        screen.write("m");
        assert_eq!(screen.state.filters.log, "em");
        screen.state.focus = Focus::Panes;
        screen.tap(KeyCode::Esc);
        screen.press(Intent::Filter);
        for _ in 0..9 {
            screen.tap(KeyCode::Down);
        }
        screen.write("e");
        assert_eq!(screen.state.focus, Focus::Panes, "{size:?}");
        assert_eq!(screen.state.filters.panes, "e");
        // Afterwards the arrows lead on as ever.
        screen.tap(KeyCode::Enter);
        for key in [Intent::Right, Intent::Right, Intent::Down, Intent::Down] {
            screen.press(key);
        }
        for _ in 0..9 {
            screen.press(Intent::Down);
        }
        assert_eq!(screen.state.focus, Focus::Log, "{size:?}");
    }
}

#[test]
fn esc_after_a_jump_goes_back_to_the_log() {
    let mut screen = Screen::of(scene::incident().snapshot);
    screen.press(Intent::Log);
    screen.press(Intent::Down);
    let chosen = screen.state.incident.clone();
    screen.press(Intent::Expand);
    assert!(screen.state.expanded);
    screen.press(Intent::Back);
    assert_eq!(screen.state.line(Panel::Log), Some(0));
    assert_eq!(screen.state.incident, chosen, "the next one is a key away");
    screen.press(Intent::Back);
    assert_eq!(screen.state.open, None);
    // A chart that was opened from the grid goes back there.
    screen.press(Intent::Expand);
    screen.press(Intent::Back);
    assert_eq!(screen.state.open, None);
}

#[test]
fn the_hint_of_the_sort_key_is_about_what_it_sorts() {
    let mut screen = incident();
    screen.state.size = (200, 60);
    assert!(screen.text().contains("s sort by score"));
    screen.state.focus = Focus::Log;
    for words in [
        "longest first",
        "highest peak first",
        "by entity",
        "newest first",
    ] {
        let hint = format!("s sort {words}");
        assert!(screen.text().contains(&hint), "{hint}\n{}", screen.text());
        screen.press(Intent::Sort);
    }
    screen.state.focus = Focus::Panes;
    assert!(screen.text().contains("s sort by score"));
}
