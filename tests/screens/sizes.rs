//! No size, no state and no name makes it panic or leave the screen.

use std::sync::Arc;

use proptest::prelude::*;
use pulsewatch::config::ThemeName;
use pulsewatch::domain::{EntityView, Feature, FeatureView, Grid, Series, Unit};
use pulsewatch::tui::action::{Action, Intent};
use pulsewatch::tui::keymap::BINDINGS;
use pulsewatch::tui::update::update;
use pulsewatch::tui::{ColorDepth, Theme, UiState, buffer_text, render};

use crate::{fixture, scene};

#[test]
fn every_small_size_draws() {
    for scene in scene::all() {
        for width in 1..=20 {
            for height in 1..=20 {
                scene.draw(width, height, ThemeName::Dark, ColorDepth::True);
            }
        }
        for (width, height) in [(1, 200), (500, 1), (500, 5), (20, 300), (300, 100)] {
            scene.draw(width, height, ThemeName::Light, ColorDepth::Ansi16);
        }
    }
}

#[test]
fn what_is_too_small_says_what_it_needs() {
    let text = |w, h| buffer_text(&scene::live().draw(w, h, ThemeName::Dark, ColorDepth::True));
    assert!(text(19, 5).contains("needs 20×5"));
    assert!(text(20, 4).contains("needs 20×5"));
    assert!(!text(20, 5).contains("needs"));
}

fn odd_entity(count: usize, name: &str, values: &[f64]) -> EntityView {
    let mut view = fixture::entity("", false, true, 20);
    let feature = |i: usize| FeatureView {
        feature: Feature {
            unit: Unit::from(["", "percent", "bytes", "s", "jobs"][i % 5].to_owned()),
            limit: i.is_multiple_of(3).then_some(1.0),
            ..Feature::plain(&format!("{name}{i}"))
        },
        values: Series::of(values),
        anomalous: Series::of(&vec![1.0; values.len()]),
        mse: Some(f64::INFINITY),
        share: i.is_multiple_of(2).then_some(f64::NAN),
        expected: Some(-1e300),
        forecast: None,
        breach: None,
        forecast_accuracy: None,
    };
    view.features = (0..count).map(feature).collect();
    view.scores = Series::of(values);
    view.grid = Grid::new(fixture::now(), fixture::MINUTE, values.len());
    view
}

fn any_value() -> impl Strategy<Value = f64> {
    prop_oneof![
        5 => -1e6..1e6,
        1 => Just(f64::NAN),
        1 => Just(f64::INFINITY),
        1 => Just(0.0),
        1 => Just(1e300),
        1 => Just(-1e300),
        1 => Just(5e-324),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_data_and_any_keys_draw(
        (width, height) in (1_u16..260, 1_u16..90),
        count in 0_usize..40,
        name in "[a-z温度\u{301}\u{200b}\u{1b}👩‍👩‍👧 ]{0,40}",
        values in prop::collection::vec(any_value(), 0..300),
        which in 0..scene::all().len(),
        keys in prop::collection::vec(0..BINDINGS.len(), 0..24),
    ) {
        let scene = scene::all().swap_remove(which);
        let mut snapshot = scene.snapshot.clone();
        if !snapshot.live.entities.is_empty() {
            let mut live = (*snapshot.live).clone();
            live.entities = vec![Arc::new(odd_entity(count, &name, &values))];
            snapshot.live = Arc::new(live);
        }
        let mut state: UiState = scene.state(width, height);
        for key in keys {
            let intent: Intent = BINDINGS[key].intent;
            update(&mut state, Action::Press(intent), &snapshot);
            let theme = Theme::new(state.theme, ColorDepth::True, scene.unicode);
            let buffer = render(&state, &snapshot, &theme);
            prop_assert_eq!(buffer.content.len(), usize::from(width) * usize::from(height));
        }
        let theme = Theme::new(state.theme, ColorDepth::True, scene.unicode);
        let buffer = render(&state, &snapshot, &theme);
        prop_assert!(buffer.content.iter().all(|c| !c.symbol().contains(char::is_control)));
        let picture = pulsewatch::report::svg::svg(&buffer);
        prop_assert!(picture.ends_with("</svg>\n"));
    }
}
