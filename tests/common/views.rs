//! Snapshots as they are before anything has arrived, for readers to be tried on.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pulsewatch::domain::{
    BuildInfo, Counters, Incident, PipelineId, PipelineView, ProcessView, Readiness, Snapshot,
    SourceState, SourceView, Time,
};

pub const MINUTE: Duration = Duration::from_secs(60);

/// A pipeline that just started: no data, no model.
pub fn pipeline(id: PipelineId) -> PipelineView {
    PipelineView {
        id,
        source: SourceView {
            name: "prometheus http://127.0.0.1:9090".into(),
            recorded: id == PipelineId::Test,
            state: SourceState::Connecting,
            last_success: None,
            warnings: Vec::new(),
            more_warnings: 0,
        },
        step: MINUTE,
        window: 20,
        grouped: false,
        model: None,
        training: None,
        last_training: None,
        models: Arc::from([]),
        readiness: Readiness {
            have: 0,
            need: 120,
            eta: None,
            text: "asking for 14 days of history".into(),
        },
        entities: Vec::new(),
        incidents: Arc::from([]),
        open_incidents: Arc::new(BTreeMap::new()),
        counters: Arc::new(Counters::default()),
        last_scored: None,
        without_samples: Duration::ZERO,
        catching_up: None,
    }
}

/// Gives a pipeline these incidents, the open ones among them also by entity.
pub fn set_incidents(pipeline: &mut PipelineView, incidents: Vec<Incident>) {
    let open = incidents.iter().filter(|incident| incident.is_open());
    let open = open.map(|incident| (incident.entity.clone(), Arc::new(incident.clone())));
    pipeline.open_incidents = Arc::new(open.collect());
    pipeline.incidents = Arc::from(incidents);
}

/// The first snapshot of an engine, at `now`.
pub fn snapshot(now: Time, live: PipelineView) -> Snapshot {
    Snapshot {
        revision: 1,
        now,
        started: now,
        made: Instant::now(),
        build: BuildInfo {
            version: "0.0.0-test",
            target: "test-target",
        },
        app: Arc::default(),
        banner: None,
        interval: Duration::from_secs(30),
        live: Arc::new(live),
        test: None,
        notices: Arc::from([]),
        process: ProcessView::default(),
        health: Arc::from([]),
        stopping: false,
    }
}
