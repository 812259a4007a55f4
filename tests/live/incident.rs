//! An incident in backfilled history, found by an engine that is driven through it.

use std::time::Duration;

use pulsewatch::cli::IncidentsListArgs;
use pulsewatch::commands::incidents;
use pulsewatch::domain::{Entity, IncidentState, RowState, Time};
use pulsewatch::store::Registry;

use crate::common::servers::{History, Prometheus};
use crate::driven::{BEGIN, Driven, STEP, config, entity, level, series};

const HOUR: i64 = 3600;
const MINUTE: i64 = 60;
const METRICS: [&str; 3] = ["cpu_load", "latency", "memory"];
const INSTANCES: [&str; 3] = ["a", "b", "c"];
/// Hours that the engine learns from.
const LEARNED: i64 = 48;

/// When what happens, in seconds since the epoch.
struct Story {
    /// First sample.
    from: i64,
    /// The engine starts.
    start: i64,
    /// Latency of `b` is doubled.
    incident: (i64, i64),
    /// `memory` of `c` has no samples between these two.
    lost_metric: (i64, i64),
    /// `a` has no samples at all between these two.
    lost_instance: (i64, i64),
    /// Last sample.
    to: i64,
}

impl Story {
    fn new() -> Self {
        let start = BEGIN;
        Self {
            from: start - LEARNED * HOUR - HOUR,
            start,
            incident: (start + 2 * HOUR, start + 2 * HOUR + 30 * MINUTE),
            lost_metric: (start + HOUR, start + HOUR + 24 * MINUTE),
            lost_instance: (start + 4 * HOUR, start + 4 * HOUR + 40 * MINUTE),
            to: start + 7 * HOUR,
        }
    }

    fn value(&self, instance: usize, metric: usize, time: i64) -> Option<f64> {
        let within = |(from, to): (i64, i64)| time > from && time < to;
        let lost =
            (INSTANCES[instance] == "c" && METRICS[metric] == "memory" && within(self.lost_metric))
                || (INSTANCES[instance] == "a" && within(self.lost_instance));
        let hit = INSTANCES[instance] == "b"
            && METRICS[metric] == "latency"
            && (self.incident.0..self.incident.1).contains(&time);
        let factor = if hit { 2.0 } else { 1.0 };
        (!lost).then(|| level(instance, metric, time) * factor)
    }

    fn history(&self) -> Vec<History> {
        let mut all = Vec::new();
        for (i, instance) in INSTANCES.iter().enumerate() {
            for (m, metric) in METRICS.iter().enumerate() {
                let value = |t| self.value(i, m, t);
                all.push(series(metric, instance, (self.from, self.to), value));
            }
        }
        all
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incident_in_one_instance_is_found_at_its_time_and_nowhere_else() {
    let story = Story::new();
    let server = Prometheus::with_history(&story.history());
    let dir = tempfile::tempdir().unwrap();
    let mut engine = Driven::start(
        config(&server, &METRICS, (LEARNED * HOUR).unsigned_abs()),
        dir.path(),
        story.start,
    );
    let trained = engine.trained().await;
    let model = trained.live.model.clone().unwrap();
    assert_eq!(model.entities, INSTANCES.len());
    assert_eq!(model.trained_on.1, engine.due());
    assert_eq!(trained.live.source.last_success, Some(engine.now));

    let asked = (server.range_query_count(), server.range_query_bytes());
    let quiet = 25;
    for _ in 0..quiet {
        engine.tick().await;
    }
    let requests = server.range_query_count() - asked.0;
    assert_eq!(
        requests,
        quiet * METRICS.len() as u64,
        "one request per query and tick"
    );
    let bytes = (server.range_query_bytes() - asked.1) / requests as f64;
    assert!(
        bytes < 1500.0,
        "{bytes} bytes per request for three series of four rows"
    );

    let mut during = None;
    while engine.now < Time::from_secs(story.to) {
        let snapshot = engine.tick().await;
        if engine.due() == Time::from_secs(story.incident.1 - STEP) {
            during = Some(snapshot);
        }
    }
    let during = during.unwrap();
    let open: Vec<_> = during
        .live
        .incidents
        .iter()
        .filter(|i| i.is_open())
        .collect();
    assert_eq!(open.len(), 1, "{open:#?}");
    let found = open[0];
    assert_eq!(found.entity, Entity::named("b"));
    let began = Time::from_secs(story.incident.0);
    assert!(
        found.start >= began && found.start <= began + Duration::from_secs(2 * STEP.unsigned_abs()),
        "{found:#?}"
    );
    assert_eq!(&*found.features[0].feature, "latency", "{found:#?}");
    assert!(
        found.features[0].value > 1.5 * found.features[0].expected,
        "{found:#?}"
    );

    let shown = entity(&during, "b");
    let latency = shown
        .features
        .iter()
        .find(|f| &*f.feature.name == "latency")
        .unwrap();
    assert_eq!(
        latency.anomalous.iter().last(),
        Some(1.0),
        "the culprit is marked"
    );

    gaps_stay_gaps(&engine, &story).await;
    let last = engine.stop().await;
    let all = &last.live.incidents;
    let kept = all.iter().find(|i| i.id == found.id).unwrap();
    assert_eq!(kept.state, IncidentState::Closed);
    assert_eq!(all.len(), 1, "nothing else was wrong: {all:#?}");
    assert_eq!(
        entity(&last, "a").latest.as_ref().map(|v| v.state),
        Some(RowState::Scored)
    );
    let models = Registry::open(&dir.path().join("models")).list().unwrap();
    assert_eq!(models.len(), 1, "there was no reason to learn anew");

    let mut listed = Vec::new();
    incidents::list(
        dir.path(),
        &IncidentsListArgs {
            limit: 10,
            json: true,
            ..IncidentsListArgs::default()
        },
        last.now,
        &mut listed,
    )
    .unwrap();
    let listed: serde_json::Value = serde_json::from_slice(&listed).unwrap();
    assert_eq!(listed.as_array().map(Vec::len), Some(1), "{listed}");
    assert_eq!(listed[0]["entity"], "b");
    assert_eq!(listed[0]["state"], "closed");
    assert_eq!(listed[0]["features"][0]["feature"], "latency");
}

/// The server looks back five minutes for a sample; what is missing for longer is missing in what the engine keeps.
async fn gaps_stay_gaps(engine: &Driven, story: &Story) {
    for (instance, metrics, (from, to)) in [
        ("c", &METRICS[2..], story.lost_metric),
        ("a", &METRICS[..], story.lost_instance),
    ] {
        let rows = engine.rows(instance, story.to - story.start).await;
        let at = INSTANCES.iter().position(|name| *name == instance).unwrap();
        for one in &rows.series {
            let metric = METRICS.iter().position(|name| *name == &*one.name).unwrap();
            let lost = metrics.contains(&&*one.name);
            for (time, value) in rows.grid.times().zip(&one.values) {
                let t = time.millis() / 1000;
                let gap = lost && t > from + 5 * MINUTE && t < to;
                match story.value(at, metric, t) {
                    _ if gap => assert!(value.is_nan(), "{instance} {} at {t}: {value}", one.name),
                    Some(expected) => {
                        assert_eq!(*value, expected, "{instance} {} at {t}", one.name);
                    }
                    // Within the look-back the last sample stands in.
                    None => assert!(value.is_finite(), "{instance} {} at {t}", one.name),
                }
            }
        }
    }
}
