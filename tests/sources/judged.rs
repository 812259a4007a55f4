//! The row that is judged is the row that is shown, learned and kept.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use pulsewatch::config::{Config, SourceKind};
use pulsewatch::domain::{Entity, HistoryQuery, PipelineId, Snapshot, Time};
use pulsewatch::source::Collect as _;
use pulsewatch::source::any::Source;
use pulsewatch::source::host::{HostSource, Probe, Reading};

use super::common::driver::Driver;
use super::{MINUTE, memory, minute};

/// Memory that is never the same twice.
struct Restless(u32);

impl Probe for Restless {
    fn read(&mut self) -> Reading {
        self.0 += 1;
        Reading {
            taken: Duration::from_secs(u64::from(self.0) * 30),
            memory: Some(40.0 + f64::from(self.0 * 7919 % 1000) / 100.0),
            ..Reading::default()
        }
    }
}

/// Values of the feature `memory` by grid time.
type Values = BTreeMap<Time, f64>;

/// Adds what was observed; a value that was there must be the same.
fn add(all: &mut Values, found: impl Iterator<Item = (Time, f64)>, what: &str) {
    for (time, value) in found.filter(|(_, value)| value.is_finite()) {
        let before = *all.entry(time).or_insert(value);
        assert_eq!(before, value, "{what} at {time}");
    }
}

fn shown(snapshot: &Snapshot) -> Vec<(Time, f64)> {
    let Some(view) = snapshot.live.entities.first() else {
        return Vec::new();
    };
    view.grid
        .times()
        .zip(view.features[1].values.iter())
        .collect()
}

fn judged(snapshot: &Snapshot) -> Option<(Time, f64)> {
    let verdict = snapshot.live.entities.first()?.latest.as_ref()?;
    let provisional = verdict.provisional.as_ref()?;
    Some((verdict.time, provisional.features[1].value))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_of_the_host_is_judged_as_it_is_shown_learned_and_kept() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = Config::default();
    config.source.kind = SourceKind::Host;
    config.autoencoder.enabled = false;
    config.forecast.enabled = false;
    assert_eq!(config.source.step.0, config.detect.interval.0 * 2);
    let now = minute(0) + Duration::from_secs(7);
    let kept = Some(dir.path().join("history"));
    let (host, _) = HostSource::with_probe(Restless(0), "box", MINUTE, kept.clone(), now);
    let source = Source::Host(Box::new(host));
    let mut driver = Driver::start(Arc::new(config), source, dir.path(), now).unwrap();
    let (mut all_judged, mut all_shown) = (Values::new(), Values::new());
    for _ in 0..120 {
        driver.go_on(1).await;
        let snapshot = driver.snapshot();
        add(&mut all_judged, judged(&snapshot).into_iter(), "judged");
        add(&mut all_shown, shown(&snapshot).into_iter(), "shown");
    }
    let query = HistoryQuery {
        pipeline: PipelineId::Live,
        entity: Entity::sole(),
        from: None,
        to: None,
        max_points: 2000,
    };
    let answer = driver.control().history(query).await.unwrap();
    let mut all_learned = Values::new();
    let values = answer.series[1].values.iter().copied();
    add(&mut all_learned, answer.grid.times().zip(values), "learned");
    driver.stop().await;
    assert!(all_judged.len() > 30, "{all_judged:?}");
    assert!(all_shown.len() > 55, "a row for each step: {all_shown:?}");
    assert_eq!(all_learned, all_shown);
    let (host, _) = HostSource::with_probe(Restless(0), "box", MINUTE, kept, minute(90));
    let periods = [(minute(0), minute(90))];
    let batch = host.history(&periods, None, &|_| {}).await.unwrap();
    let frame = &batch.frames[0];
    let mut all_kept = Values::new();
    add(
        &mut all_kept,
        frame.grid().times().zip(memory(frame)),
        "kept",
    );
    assert_eq!(all_kept, all_shown);
    for (time, value) in all_judged {
        assert_eq!(all_shown[&time], value, "judged at {time}");
    }
}
