//! A lasting change is learned, an incident is not.

use pulsewatch::domain::Time;

use crate::common::driver::Driver;
use crate::common::fake::Fake;
use crate::fixture::{NOW, STEP, config, noticed, scoring, wave};

const TOLD: &str = "the data have changed for good";

/// An incident of two hours at first, and after a while another level and pace for ever.
fn value(time: i64) -> f64 {
    match (time - NOW) / STEP {
        30..150 => wave(time, 0.0) + 120.0,
        300.. => wave(time * 2, 0.0) + 120.0,
        _ => wave(time, 0.0),
    }
}

async fn drive_to(driver: &mut Driver, row: i64) {
    while driver.now < Time::from_secs(NOW + row * STEP) {
        driver.go_on(1).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lasting_change_brings_a_new_model_and_an_incident_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let fake = Fake::start().await;
    fake.change(|world| {
        world.until = i64::MAX;
        world.add("cpu", &[], |t| Some(value(t)));
    });
    let config = config(&fake.url(), &["cpu"]);
    let mut driver = scoring(&config, dir.path()).await;
    let first = driver.snapshot().live.model.clone().unwrap().version;
    drive_to(&mut driver, 300).await;
    assert!(!noticed(&driver.snapshot(), TOLD), "{:?}", driver.told());
    assert!(!driver.snapshot().live.incidents.is_empty());

    // The test's sums are kept over a restart.
    drive_to(&mut driver, 700).await;
    assert!(!noticed(&driver.snapshot(), TOLD));
    let now = driver.now;
    driver.stop().await;
    let mut driver = Driver::open(&config, dir.path(), now);
    let snapshot = driver
        .until("a new model", |s| {
            s.live.model.as_ref().is_some_and(|m| m.version != first)
        })
        .await;
    assert!(noticed(&snapshot, TOLD));
    assert!(noticed(&snapshot, "was promoted"), "{:?}", driver.told());
    let row = (driver.now.millis() / 1000 - NOW) / STEP;
    assert!((900..1300).contains(&row), "{row} {:#?}", driver.told());
    // It begins anew.
    driver.go_on(60).await;
    let told = driver.snapshot();
    assert_eq!(
        told.notices
            .iter()
            .filter(|n| n.text.contains(TOLD))
            .count(),
        1
    );
    driver.stop().await;
}
