//! Where the autoencoder is off, the forecast detects alone.

use pulsewatch::config::Config;
use pulsewatch::domain::{Command, PipelineId, RowState, Snapshot};
use pulsewatch::model::Bundle;
use pulsewatch::store::Registry;

use crate::common::driver::Driver;
use crate::common::fake::Fake;
use crate::fixture::{
    NOW, STEP, bumped, config, is_scoring, open_incident, opened, scoring, server,
};

fn alone(fake: &Fake) -> Config {
    let mut config = config(&fake.url(), &["cpu", "load"]);
    config.autoencoder.enabled = false;
    config.forecast.enabled = true;
    config
}

/// What was expected of the newest row's `cpu`, and its value.
fn expected(snapshot: &Snapshot) -> (f64, f64, f64) {
    let latest = snapshot.live.entities[0].latest.as_ref().unwrap();
    assert_eq!(latest.state, RowState::Scored);
    let cpu = &latest.features[0];
    (cpu.lower, cpu.value, cpu.upper)
}

#[tokio::test(flavor = "multi_thread")]
async fn it_scores_finds_an_incident_explains_it_and_goes_on_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let fake = server().await;
    let config = alone(&fake);
    let mut driver = scoring(&config, dir.path()).await;
    let version = driver.snapshot().live.model.clone().unwrap().version;
    driver.go_on(60).await;
    let snapshot = driver.snapshot();
    assert!(snapshot.live.incidents.is_empty(), "{:?}", driver.told());
    let (lower, value, upper) = expected(&snapshot);
    assert!(lower < value && value < upper, "{lower} {value} {upper}");
    let registry = Registry::open(&dir.path().join("models"));
    let bundle = Bundle::from_bytes(&registry.read(&version).unwrap().0).unwrap();
    assert!(bundle.networks.is_empty() && bundle.views.is_some());

    let bump = driver.now.millis() / 1000 + 3 * STEP;
    fake.change(|world| {
        world.forget("cpu");
        world.add("cpu", &[], move |t| {
            Some(bumped(t, 0.0, bump, bump + 12 * STEP))
        });
    });
    let found = opened(&mut driver).await;
    let incident = open_incident(&found).unwrap();
    let late = (incident.start.millis() / 1000 - bump) / STEP;
    assert!((0..3).contains(&late), "{late} rows late");
    assert_eq!(&*incident.features[0].feature, "cpu");
    driver.until("over", |s| open_incident(s).is_none()).await;

    let now = driver.now;
    driver.stop().await;
    let mut driver = Driver::open(&config, dir.path(), now);
    let snapshot = driver.wait("scored at once", is_scoring).await;
    assert_eq!(snapshot.live.model.as_ref().unwrap().version, version);
    // A new one takes its place without being compared: there are no networks to compare.
    driver.send(Command::Retrain(PipelineId::Live));
    driver
        .until("trained anew", |s| {
            s.live.model.as_ref().is_some_and(|m| m.version != version)
        })
        .await;
    assert!(is_scoring(&driver.snapshot()), "{:?}", driver.told());
    driver.stop().await;
    assert!(now.millis() / 1000 > NOW);
}

/// A model of the other kind is not taken.
#[tokio::test(flavor = "multi_thread")]
async fn a_model_with_a_network_is_not_that_of_the_forecast_alone() {
    let dir = tempfile::tempdir().unwrap();
    let fake = server().await;
    let with = config(&fake.url(), &["cpu", "load"]);
    let driver = scoring(&with, dir.path()).await;
    let version = driver.snapshot().live.model.clone().unwrap().version;
    driver.stop().await;
    let driver = scoring(&alone(&fake), dir.path()).await;
    let other = driver.snapshot().live.model.clone().unwrap().version;
    assert_ne!(version, other);
    driver.stop().await;
}
