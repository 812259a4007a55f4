//! Finds out why a server has no newest samples, or old ones: they come late, or its clock is behind.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::client::Client;
use super::collection::Collection;
use super::gather::Query;
use crate::domain::{Frame, Grid, Time};

/// How far back samples are looked for.
const REACH: Duration = Duration::from_hours(1);

/// Most rows that are looked at.
const ROWS: u128 = 120;

/// Queries that are asked for an old sample.
const ASKED: usize = 3;

/// A server without samples is asked again after this long.
const AGAIN: Duration = Duration::from_mins(5);

/// How much a server's clock may be behind beyond what is waited for: its header tells whole seconds.
const BEHIND: Duration = Duration::from_secs(10);

/// How long a server repeats a sample that has no successor: Prometheus' lookback.
const LOOKBACK: Duration = Duration::from_mins(5);

/// What is known of one server's lateness.
#[derive(Default)]
pub(super) struct Lateness {
    /// When old samples were looked for last, and what is to be said.
    looked: Mutex<Option<(Time, Option<String>)>>,
}

impl Lateness {
    /// What is to be said after a look at `now` that gave `frames`, where rows wait for `latency`.
    pub async fn of_look(
        &self,
        (client, queries): (&Client, &[Query]),
        frames: &[Frame],
        (now, step, latency): (Time, Duration, Duration),
        collection: &Collection,
    ) -> Option<String> {
        if let Some(text) = clock_behind(client, now, latency) {
            return Some(text);
        }
        let has_samples = |frame: &Frame| frame.values().iter().any(|value| !value.is_nan());
        if frames.iter().any(has_samples) {
            *self.looked.lock().unwrap_or_else(PoisonError::into_inner) = None;
            return None;
        }
        let looked = self
            .looked
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        if let Some((at, text)) = looked
            && at <= now
            && now.since(at) < AGAIN
        {
            return text;
        }
        let text = samples_late((client, queries), (now, step, latency), collection).await;
        *self.looked.lock().unwrap_or_else(PoisonError::into_inner) = Some((now, text.clone()));
        text
    }
}

/// What is to be said of a server whose own clock is behind by more than rows wait for.
pub(super) fn clock_behind(client: &Client, now: Time, latency: Duration) -> Option<String> {
    let behind = now.since(client.clock()?);
    (behind > latency + BEHIND).then(|| {
        format!(
            "the clock of {} is {} behind this one, so its newest samples are missing or repeat older ones; set the clocks right, or [source] latency_offset = \"{}m\"",
            client.shown(),
            length(behind),
            minutes(behind + LOOKBACK)
        )
    })
}

/// What is to be said of samples that there were lately, but none that rows wait for.
pub(super) async fn samples_late(
    (client, queries): (&Client, &[Query]),
    (now, step, latency): (Time, Duration, Duration),
    collection: &Collection,
) -> Option<String> {
    let least = u64::try_from(REACH.as_millis() / ROWS).unwrap_or(u64::MAX);
    let grid = Grid::covering(now - REACH, now, step.max(Duration::from_millis(least)));
    let mut newest: Option<Time> = None;
    for query in queries.iter().take(ASKED) {
        let Ok(told) = client.range(&query.expr, grid, collection).await else {
            continue;
        };
        for values in told.data.series.values() {
            let row = values.iter().rposition(|value| !value.is_nan());
            newest = newest.max(row.map(|row| grid.time(row)));
        }
        if newest.is_some() {
            break;
        }
    }
    let age = now.since(newest?);
    if age <= latency + step * 2 {
        return None;
    }
    // A row without a newer sample repeats the one before it: the sample itself may be older by the lookback.
    let late = age + LOOKBACK;
    Some(format!(
        "the newest samples of {} are {} old; if they always come so late, set [source] latency_offset = \"{}m\"",
        client.shown(),
        length(age),
        minutes(late)
    ))
}

/// A length of time in whole minutes, or seconds where it is short.
fn length(span: Duration) -> String {
    match span.as_secs() {
        secs @ 0..120 => format!("{secs} s"),
        secs => format!("{} min", secs / 60),
    }
}

/// The whole minutes that are no shorter.
fn minutes(span: Duration) -> u64 {
    span.as_secs().div_ceil(60)
}
