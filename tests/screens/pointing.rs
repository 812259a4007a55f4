//! What is pointed at stays what it is: marks in lists that grow, clicks and the wheel on what can be seen.

use std::sync::Arc;

use pulsewatch::domain::{Command, ModelEntry};
use pulsewatch::tui::action::{Action, Pointer};
use pulsewatch::tui::state::Panel;

use crate::around::{SIZES, Screen, copied, has};
use crate::{fixture, scene};

/// Twelve models, the newest first.
fn many_models(screen: &mut Screen) {
    let mut models = fixture::models();
    let last = models.last().unwrap().clone();
    for n in 10..19 {
        let mut more = last.clone();
        more.model.version = format!("20261110T10{n}00Z-c0ffee");
        models.push(more);
    }
    with_models(screen, models);
}

fn with_models(screen: &mut Screen, models: Vec<ModelEntry>) {
    Arc::make_mut(&mut screen.snapshot.live).models = Arc::from(models);
}

/// The row of the screen that has the mark, without the frame.
fn marked(screen: &Screen) -> String {
    let text = screen.text();
    let row = text.lines().find(|line| line.contains('▸'));
    row.unwrap_or_else(|| panic!("no mark in\n{text}"))
        .to_owned()
}

#[test]
fn the_mark_stays_on_its_model_when_a_training_ends() {
    for size in SIZES {
        let mut screen = Screen::incident(size);
        screen.keys("v Down");
        has(&marked(&screen), &["20261117T225500Z"]);
        let mut models = fixture::models();
        let mut newest = models[1].clone();
        newest.model.version = "20261118T140100Z-aa0001".into();
        models.insert(0, newest);
        with_models(&mut screen, models);
        screen.act(Action::Arrived);
        has(&marked(&screen), &["20261117T225500Z"]);
        assert_eq!(copied(screen.keys("y")), "20261117T225500Z-b01177");
        screen.keys("Enter");
        let question = screen.state.question.as_ref().expect("a question");
        let version = "20261117T225500Z-b01177";
        assert_eq!(question.command, Command::UseModel(version.into()));
    }
}

#[test]
fn the_newest_model_stays_marked_too_when_another_comes() {
    let mut screen = Screen::incident((120, 40));
    screen.keys("v");
    let mut models = fixture::models();
    let mut newest = models[0].clone();
    newest.model.version = "20261118T140100Z-aa0001".into();
    newest.is_current = false;
    models.insert(0, newest);
    with_models(&mut screen, models);
    has(&marked(&screen), &["20261118T105500Z"]);
    screen.keys("Enter");
    assert!(screen.state.question.is_none(), "that one scores already");
    screen.keys("Home");
    has(&marked(&screen), &["20261118T140100Z"]);
}

#[test]
fn clicks_hit_the_models_they_show_on_every_page() {
    for size in [(120, 24), (80, 24), (40, 10)] {
        let mut screen = Screen::incident(size);
        many_models(&mut screen);
        screen.keys("v End");
        has(&marked(&screen), &["20261110T101800Z"]);
        let text = screen.text();
        let other = text
            .lines()
            .find_map(|line| {
                let at = line.find("20261110T10")?;
                let version = line.get(at..at + 16)?;
                (!line.contains('▸')).then(|| version.to_owned())
            })
            .unwrap_or_else(|| panic!("one row alone\n{text}"));
        let place = screen.place_of(&other);
        screen.click(place.0, place.1);
        has(&marked(&screen), &[&other]);
        assert!(screen.state.question.is_none(), "the first click selects");
        screen.click(place.0, place.1);
        let question = screen.state.question.as_ref().expect("a question");
        has(&question.text, &[&other]);
    }
}

#[test]
fn a_click_on_the_row_that_is_marked_already_is_enough() {
    let mut test = Screen::of(scene::test_mode().snapshot, (120, 40));
    test.keys("3 n");
    test.state.pointed = None;
    test.state.entity = None;
    test.click_on("web-1         3.82");
    assert!(test.state.open.is_none(), "web-1 is shown already");
}

#[test]
fn the_wheel_zooms_over_charts_only() {
    for size in [(120, 40), (80, 24)] {
        let mut screen = Screen::incident(size);
        for row in [0, size.1 - 1] {
            screen.act(Action::Mouse(Pointer::WheelUp, 10, row));
            assert_eq!(screen.state.live_range, None, "row {row} of {size:?}");
        }
        screen.keys("Enter");
        screen.act(Action::Mouse(Pointer::WheelUp, 10, size.1 - 1));
        assert_eq!(screen.state.live_range, None);
        screen.act(Action::Mouse(Pointer::WheelUp, size.0 / 2, size.1 / 2));
        assert!(screen.state.live_range.is_some());
    }
}

#[test]
fn an_explanation_over_the_chart_takes_its_clicks() {
    let mut narrow = Screen::incident((80, 24));
    narrow.keys("Enter w");
    narrow.click(40, 12);
    assert_eq!(narrow.state.cursor, None, "the chart can't be seen");
    narrow.act(Action::Mouse(Pointer::WheelDown, 40, 12));
    assert_eq!(narrow.state.live_range, None);
    assert!(narrow.state.line(Panel::Why).unwrap() > 0, "words scroll");
    let mut wide = Screen::incident((200, 60));
    wide.keys("Enter w");
    wide.click(60, 20);
    assert!(wide.state.cursor.is_some(), "the chart is beside it");
    let pointed = wide.state.cursor;
    wide.click(170, 20);
    assert_eq!(wide.state.cursor, pointed, "words are no moments");
}
