//! The scenes that golden screens are drawn of.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use pulsewatch::config::{ThemeName, UiConfig};
use pulsewatch::domain::{
    EntityReadiness, Level, PipelineId, Provisional, Readiness, RowState, Snapshot, SourceState,
    SourceView, TrainingOutcome, Verdict,
};
use pulsewatch::tui::action::{Action, Effect, Intent};
use pulsewatch::tui::update::update;
use pulsewatch::tui::{ColorDepth, Keymap, Mode, Theme, UiState};
use ratatui::buffer::Buffer;

use crate::{fixture, views};

/// What is shown, and the keys that were pressed before.
pub struct Scene {
    pub name: &'static str,
    pub mode: Mode,
    pub snapshot: Snapshot,
    pub keys: Vec<Intent>,
    pub unicode: bool,
}

impl Scene {
    fn of(name: &'static str, snapshot: Snapshot) -> Self {
        Self {
            name,
            mode: Mode::Live,
            snapshot,
            keys: Vec::new(),
            unicode: true,
        }
    }

    /// The screen's state at this size, after the keys; history is answered at once.
    pub fn state(&self, width: u16, height: u16) -> UiState {
        let keymap = Arc::new(Keymap::new(&BTreeMap::new()).unwrap());
        let size = (width, height);
        let config = UiConfig::default();
        let mut state = UiState::new(self.mode, &config, keymap, size, self.snapshot.now);
        let presses = self.keys.iter().copied().map(Action::Press);
        for action in std::iter::once(Action::Arrived).chain(presses) {
            for effect in update(&mut state, action, &self.snapshot) {
                if let Effect::Query { ticket, .. } = effect {
                    let result = Ok(fixture::history());
                    update(
                        &mut state,
                        Action::History { ticket, result },
                        &self.snapshot,
                    );
                }
            }
        }
        state
    }

    pub fn draw(&self, width: u16, height: u16, theme: ThemeName, depth: ColorDepth) -> Buffer {
        let theme = Theme::new(theme, depth, self.unicode);
        pulsewatch::tui::render(&self.state(width, height), &self.snapshot, &theme)
    }
}

pub fn starting() -> Scene {
    Scene::of(
        "starting",
        fixture::snapshot(fixture::pipeline(PipelineId::Live)),
    )
}

pub fn warming_up() -> Scene {
    let mut pipeline = fixture::pipeline(PipelineId::Live);
    pipeline.source = SourceView {
        name: "this host".into(),
        recorded: false,
        state: SourceState::Up,
        last_success: Some(fixture::now()),
        warnings: Vec::new(),
        more_warnings: 0,
    };
    pipeline.readiness = Readiness {
        have: 41,
        need: 120,
        eta: Some(Duration::from_secs(180)),
        text: "ready in about 3 min: 41 of 120 windows".into(),
    };
    let mut entity = fixture::entity("", false, false, 60);
    let newest = entity.grid.last().unwrap();
    entity.latest = Some(Arc::new(Verdict {
        provisional: Some(Provisional {
            score: 0.31,
            confidence: 0.42,
            features: Vec::new(),
        }),
        ..Verdict::unscored(newest, entity.entity.clone(), RowState::WarmingUp)
    }));
    entity.readiness = EntityReadiness {
        windows: 0.34,
        seasons: vec![
            (Duration::from_hours(24), 0.21),
            (Duration::from_hours(168), 0.03),
        ],
    };
    pipeline.entities = vec![Arc::new(entity)];
    let mut snapshot = fixture::snapshot(pipeline);
    snapshot.banner = Some(
        "this host's own metrics: no configuration was found; `pulsewatch config init` writes one to start from"
            .into(),
    );
    Scene::of("warming_up", snapshot)
}

pub fn live() -> Scene {
    Scene::of(
        "live",
        fixture::snapshot(fixture::scoring(PipelineId::Live, false)),
    )
}

pub fn incident() -> Scene {
    Scene::of(
        "incident",
        fixture::snapshot(fixture::scoring(PipelineId::Live, true)),
    )
}

pub fn stale() -> Scene {
    let mut pipeline = fixture::scoring(PipelineId::Live, false);
    let since = Some(fixture::now() - Duration::from_secs(204));
    pipeline.source.last_success = since;
    pipeline.source.state = SourceState::Stale {
        since,
        error: "http://127.0.0.1:9090: connection refused; is the server running, and is [source] url right?".into(),
        retry_at: fixture::now() + Duration::from_secs(12),
    };
    let mut snapshot = fixture::snapshot(pipeline);
    snapshot.notices = Arc::from([fixture::notice(
        3,
        Level::Warning,
        "the source does not answer",
    )]);
    Scene::of("stale", snapshot)
}

pub fn training() -> Scene {
    let mut pipeline = fixture::scoring(PipelineId::Live, false);
    pipeline.training = Some(fixture::training());
    Scene::of("training", fixture::snapshot(pipeline))
}

pub fn failed() -> Scene {
    let mut pipeline = fixture::scoring(PipelineId::Live, false);
    pipeline.last_training = Some(TrainingOutcome {
        is_cancelled: false,
        ended: fixture::now() - Duration::from_secs(300),
        took: Duration::from_secs(4),
        result: Err(
            "the loss is not finite after epoch 3; lower [autoencoder] learning_rate".into(),
        ),
        decision: None,
        losses: Vec::new(),
    });
    Scene::of("failed", fixture::snapshot(pipeline))
}

/// A training that ended well.
pub fn trained() -> Scene {
    let mut pipeline = fixture::scoring(PipelineId::Live, false);
    let newest = fixture::models().remove(0);
    pipeline.last_training = Some(TrainingOutcome {
        is_cancelled: false,
        ended: fixture::now() - Duration::from_secs(500),
        took: Duration::from_secs(21),
        result: Ok(newest.model.version),
        decision: newest.decision,
        losses: (0..31)
            .map(|i| 0.0009 + 0.05 * (-0.3 * f64::from(i)).exp())
            .collect(),
    });
    Scene::of("trained", fixture::snapshot(pipeline))
}

pub fn frozen() -> Scene {
    Scene {
        keys: vec![Intent::Freeze],
        ..Scene::of("frozen", incident().snapshot)
    }
}

pub fn long_term() -> Scene {
    Scene {
        mode: Mode::LongTerm,
        ..Scene::of("long_term", live().snapshot)
    }
}

pub fn test_mode() -> Scene {
    let mut pipeline = fixture::scoring(PipelineId::Test, true);
    pipeline.source.name = "sample data".into();
    pipeline.grouped = true;
    pipeline.entities = ["web-1", "web-2", "数据库-主"]
        .map(|name| Arc::new(fixture::entity(name, name == "web-1", true, fixture::ROWS)))
        .to_vec();
    let mut incidents = fixture::incidents(true);
    for (incident, entity) in incidents.iter_mut().zip(pipeline.entities.iter().cycle()) {
        incident.entity = entity.entity.clone();
    }
    views::set_incidents(&mut pipeline, incidents);
    let mut snapshot = starting().snapshot;
    snapshot.test = Some(Arc::new(pipeline));
    snapshot.banner =
        Some("the built-in sample: this host's own metrics warm up behind it, 1 shows them".into());
    Scene {
        mode: Mode::Test,
        ..Scene::of("test_mode", snapshot)
    }
}

pub fn help() -> Scene {
    Scene {
        keys: vec![Intent::Help],
        ..Scene::of("help", live().snapshot)
    }
}

pub fn expanded() -> Scene {
    Scene {
        keys: vec![Intent::Right, Intent::Right, Intent::Expand],
        ..Scene::of("expanded", incident().snapshot)
    }
}

pub fn expanded_forecast() -> Scene {
    Scene {
        mode: Mode::LongTerm,
        keys: vec![Intent::Down, Intent::Up, Intent::Right, Intent::Expand],
        ..Scene::of("expanded_forecast", live().snapshot)
    }
}

pub fn empty() -> Scene {
    let mut pipeline = fixture::pipeline(PipelineId::Live);
    pipeline.source.state = SourceState::Stale {
        since: None,
        error: "http://127.0.0.1:9090: connection refused; is the server running, and is [source] url right?".into(),
        retry_at: fixture::now() + Duration::from_secs(12),
    };
    Scene::of("empty", fixture::snapshot(pipeline))
}

/// The explanation of the newest row, over the dashboard.
pub fn why() -> Scene {
    Scene {
        keys: vec![Intent::Why],
        ..Scene::of("why", incident().snapshot)
    }
}

/// The source can't be asked at all.
pub fn error() -> Scene {
    let mut snapshot = failed().snapshot;
    let live = Arc::make_mut(&mut snapshot.live);
    let since = Some(fixture::now() - Duration::from_secs(7300));
    live.source.last_success = since;
    live.source.state = SourceState::Stale {
        since,
        error: "http://127.0.0.1:9090/api/v1/query_range: 401 Unauthorized; set [source] auth to what the server asks for".into(),
        retry_at: fixture::now() + Duration::from_secs(45),
    };
    live.source.warnings = vec![
        "query latency: 3 series were dropped, [entities] max is 1000".into(),
        "the server's clock is 40 s behind".into(),
    ];
    snapshot.notices = Arc::from([fixture::notice(
        9,
        Level::Error,
        "rows up to 14:02:00 could not be scored: the model has other features",
    )]);
    Scene::of("error", snapshot)
}

/// A panel of the incident scene, opened by its key.
fn panel(name: &'static str, keys: &[Intent], snapshot: Snapshot) -> Scene {
    Scene {
        keys: keys.to_vec(),
        ..Scene::of(name, snapshot)
    }
}

/// A fleet of 300 entities, some of them anomalous, some without data.
pub fn fleet() -> Scene {
    let mut pipeline = fixture::scoring(PipelineId::Live, true);
    pipeline.grouped = true;
    pipeline.entities = (0..300)
        .map(|i| {
            let name = format!("node-{i:03}.example.org");
            let (hot, scored) = (i % 97 == 5, i % 41 != 7);
            Arc::new(fixture::entity(&name, hot, scored, 60))
        })
        .collect();
    let mut incidents = fixture::incidents(true);
    for (incident, entity) in incidents
        .iter_mut()
        .zip(pipeline.entities.iter().skip(5).step_by(97))
    {
        incident.entity = entity.entity.clone();
    }
    views::set_incidents(&mut pipeline, incidents);
    Scene {
        keys: vec![Intent::Entities],
        ..Scene::of("fleet", fixture::snapshot(pipeline))
    }
}

/// Why an incident is marked false is asked with what that would change.
pub fn question() -> Scene {
    Scene {
        keys: vec![Intent::MarkFalse],
        ..Scene::of("question", incident().snapshot)
    }
}

/// Nothing but the wanted word is typed.
pub fn palette() -> Scene {
    Scene {
        keys: vec![Intent::Palette],
        ..Scene::of("palette", live().snapshot)
    }
}

pub fn all() -> Vec<Scene> {
    vec![
        starting(),
        warming_up(),
        live(),
        incident(),
        stale(),
        training(),
        failed(),
        long_term(),
        test_mode(),
        help(),
        expanded(),
        expanded_forecast(),
        empty(),
        why(),
        error(),
        fleet(),
        question(),
        palette(),
        panel("log", &[Intent::Log, Intent::Down], incident().snapshot),
        panel("errors", &[Intent::Errors], incident().snapshot),
        panel("training_panel", &[Intent::Training], training().snapshot),
        panel("trained", &[Intent::Training], trained().snapshot),
        panel("models", &[Intent::Models, Intent::Down], live().snapshot),
        panel("health", &[Intent::Health], stale().snapshot),
        frozen(),
    ]
}
