//! What building one frame costs, without sending it: a full screen of 24 panes, the usual terminal, and a fleet.
//!
//! `cargo bench --bench frame`; with `-- --json` a line of JSON for each workload instead of criterion's report.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]
#![allow(dead_code, reason = "the fixture is shared with the golden screens")]

#[path = "../tests/screens/fixture.rs"]
mod fixture;
#[path = "../tests/common/views.rs"]
mod views;

use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use criterion::Criterion;
use pulsewatch::config::{ThemeName, UiConfig};
use pulsewatch::domain::{Entity, EntityView, Feature, FeatureView, PipelineId, Snapshot};
use pulsewatch::tui::action::{Action, Effect, Intent};
use pulsewatch::tui::update::update;
use pulsewatch::tui::{ColorDepth, Keymap, Mode, Theme, UiState, render};

/// Frames in one measurement with `--json`; the median is told.
const FRAMES: usize = 301;

struct Workload {
    name: &'static str,
    snapshot: Snapshot,
    state: UiState,
}

impl Workload {
    fn of(name: &'static str, snapshot: Snapshot, size: (u16, u16), keys: &[Intent]) -> Self {
        let keymap = Arc::new(Keymap::new(&BTreeMap::new()).unwrap());
        let config = UiConfig::default();
        let mut state = UiState::new(Mode::Live, &config, keymap, size, snapshot.now);
        for intent in keys {
            for effect in update(&mut state, Action::Press(*intent), &snapshot) {
                if let Effect::Query { ticket, .. } = effect {
                    let result = Ok(fixture::history());
                    update(&mut state, Action::History { ticket, result }, &snapshot);
                }
            }
        }
        Self {
            name,
            snapshot,
            state,
        }
    }
}

/// An entity with `count` features over 500 rows.
fn wide(entity: &EntityView, count: usize) -> EntityView {
    let features: Vec<FeatureView> = (0..count)
        .map(|i| {
            let model = &entity.features[i % entity.features.len()];
            FeatureView {
                feature: Feature {
                    name: format!("{}_{i}", model.feature.name).into(),
                    ..model.feature.clone()
                },
                ..model.clone()
            }
        })
        .collect();
    EntityView {
        features,
        ..entity.clone()
    }
}

fn workloads() -> Vec<Workload> {
    let scoring = || fixture::scoring(PipelineId::Live, true);
    let mut grid = scoring();
    grid.entities = vec![Arc::new(wide(&grid.entities[0], 24))];
    let grid = fixture::snapshot(grid);
    let mut fleet = scoring();
    fleet.grouped = true;
    fleet.entities = (0..500)
        .map(|i| {
            let view = EntityView {
                entity: Entity::named(&format!("node-{i:03}")),
                ..EntityView::clone(&fleet.entities[0])
            };
            Arc::new(view)
        })
        .collect();
    let fleet = fixture::snapshot(fleet);
    let usual = fixture::snapshot(scoring());
    vec![
        Workload::of("frame_200x60_24_panes", grid.clone(), (200, 60), &[]),
        Workload::of(
            "frame_200x60_long_term",
            grid,
            (200, 60),
            &[Intent::LongTerm],
        ),
        Workload::of("frame_80x24", usual.clone(), (80, 24), &[]),
        Workload::of("frame_200x60_detail", usual, (200, 60), &[Intent::Expand]),
        Workload::of(
            "frame_200x60_500_entities",
            fleet,
            (200, 60),
            &[Intent::Entities],
        ),
    ]
}

fn main() {
    let theme = Theme::new(ThemeName::Dark, ColorDepth::True, true);
    let json = std::env::args().any(|arg| arg == "--json");
    // Criterion would refuse the flag.
    let mut criterion = (!json).then(|| Criterion::default().configure_from_args());
    for workload in workloads() {
        let frame = || black_box(render(&workload.state, &workload.snapshot, &theme));
        if let Some(criterion) = &mut criterion {
            criterion.bench_function(workload.name, |bench| bench.iter(frame));
        } else {
            let mut seconds: Vec<f64> = (0..FRAMES)
                .map(|_| {
                    let began = Instant::now();
                    frame();
                    began.elapsed().as_secs_f64()
                })
                .collect();
            seconds.sort_by(f64::total_cmp);
            let line = serde_json::json!({
                "workload": workload.name,
                "impl": "pulsewatch",
                "seconds": seconds[FRAMES / 2],
            });
            println!("{line}");
        }
    }
}
