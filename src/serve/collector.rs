//! The exporter's numbers, read from the newest snapshot at scrape time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use tokio::sync::watch;

use super::families::{self, Family};
use super::scrape::Scrape;
use crate::config::ExporterConfig;
use crate::domain::{
    Entity, EntityView, FeatureView, Forecast, Freshness, PipelineView, RowState, Snapshot,
    SourceState, StaleReason, Time, Verdict,
};

/// The reasons of `collect_errors_total`: all are shown from the start, because none yet is a known 0.
const REASONS: [&str; 6] = ["connect", "timeout", "http", "query", "decode", "other"];

/// A Prometheus collector over the live pipeline of the newest [`Snapshot`]. It holds no numbers of its own: what the
/// snapshot does not know is not exported.
pub struct SnapshotCollector {
    snapshots: watch::Receiver<Arc<Snapshot>>,
    prefix: String,
    max_series: usize,
    descs: Vec<Desc>,
}

impl SnapshotCollector {
    /// A collector that puts `exporter.prefix` before every name and exports at most `exporter.max_series` series
    /// (`series_not_exported`, which counts the rest, comes on top).
    ///
    /// # Errors
    /// When the prefix can't begin a metric name.
    pub fn new(
        snapshots: watch::Receiver<Arc<Snapshot>>,
        exporter: &ExporterConfig,
    ) -> prometheus::Result<Self> {
        Ok(Self {
            snapshots,
            descs: descs(&exporter.prefix)?,
            prefix: exporter.prefix.clone(),
            max_series: exporter.max_series,
        })
    }
}

/// Descriptions of all families under `prefix`.
///
/// # Errors
/// When the prefix can't begin a metric name.
pub(super) fn descs(prefix: &str) -> prometheus::Result<Vec<Desc>> {
    families::ALL.iter().map(|f| f.desc(prefix)).collect()
}

impl Collector for SnapshotCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.descs.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let snapshot = Arc::clone(&self.snapshots.borrow());
        let live = &snapshot.live;
        let freshness = live.freshness(snapshot.time_at(Instant::now()), snapshot.interval);
        let mut scrape = Scrape::new(&self.prefix, live.grouped, self.max_series);
        installation(&mut scrape, &snapshot, live, freshness);
        let rows = rows(&snapshot, live, freshness);
        verdicts(&mut scrape, &rows);
        features(&mut scrape, &rows);
        told_apart(&mut scrape, &rows);
        scrape.finish()
    }
}

/// What is known of the installation as a whole.
fn installation(
    scrape: &mut Scrape,
    snapshot: &Snapshot,
    live: &PipelineView,
    freshness: Freshness<'_>,
) {
    scrape.family(&families::BUILD_INFO, |out| {
        let (build, app) = (&snapshot.build, &snapshot.app);
        let mode = app.mode.as_deref().unwrap_or_default();
        out.put(None, &[build.version, build.target, &app.name, mode], 1.0);
    });
    scrape.single(&families::SOURCE_UP, source_up(live, freshness));
    components(scrape, snapshot);
    scrape.single(&families::READINESS, Some(live.readiness.ratio()));
    let model = live.model.as_ref();
    scrape.single(&families::THRESHOLD, model.map(|m| m.threshold_mse));
    scrape.family(&families::MODEL_INFO, |out| {
        if let Some(model) = model {
            out.put(None, &[&model.version, &model.threshold_rule], 1.0);
        }
    });
    let age = model.map(|m| snapshot.now.since(m.trained_at).as_secs_f64());
    scrape.single(&families::MODEL_AGE, age);
    scrape.single(&families::TRAINING, Some(flag(live.training.is_some())));
    let took = live
        .last_training
        .as_ref()
        .map(|outcome| outcome.took)
        .or(model.map(|m| m.training_took));
    scrape.single(&families::TRAINING_TOOK, took.map(|d| d.as_secs_f64()));
    counters(scrape, live);
}

/// The parts of the program that have reported.
fn components(scrape: &mut Scrape, snapshot: &Snapshot) {
    scrape.family(&families::COMPONENT_UP, |out| {
        for part in snapshot.health.iter() {
            out.put(None, &[part.component.name()], flag(part.fault.is_none()));
        }
    });
    scrape.family(&families::COMPONENT_RESTARTS, |out| {
        for part in snapshot.health.iter() {
            out.put(None, &[part.component.name()], part.restarts as f64);
        }
    });
}

fn counters(scrape: &mut Scrape, live: &PipelineView) {
    let counters = &live.counters;
    scrape.family(&families::COLLECT_TOOK, |out| {
        if !counters.collect_seconds.buckets.is_empty() {
            out.histogram(&counters.collect_seconds);
        }
    });
    scrape.family(&families::COLLECT_ERRORS, |out| {
        let mut by_reason: BTreeMap<&str, u64> = REASONS.map(|reason| (reason, 0)).into();
        by_reason.extend(counters.collect_errors.iter());
        for (reason, count) in by_reason {
            out.put(None, &[reason], count as f64);
        }
    });
    scrape.single(
        &families::SERIES_DROPPED,
        Some(counters.series_dropped as f64),
    );
    // Unknown before the first collection.
    let left_out = live
        .source
        .last_success
        .map(|_| counters.series_left_out as f64);
    scrape.single(&families::SERIES_LEFT_OUT, left_out);
    scrape.single(&families::TICKS_LATE, Some(counters.ticks_late as f64));
}

/// What one entity's series are made from.
struct Row<'a> {
    entity: Entity,
    /// `None` for an entity that is gone but has incidents on record, and before the first data.
    view: Option<&'a EntityView>,
    /// The newest verdict, when it was scored and is still news.
    verdict: Option<&'a Verdict>,
    incidents: u64,
    incident_open: bool,
    stale: Option<bool>,
    last_run: Option<Time>,
    /// The moment whose next forecast point is asked for.
    ahead_of: Time,
    /// Where to look instead when a recording plays in its own past.
    replay_ahead_of: Option<Time>,
    /// What is known of the newest rows may still be stated.
    fresh: bool,
}

/// Entities by name: those that are seen, and those that are only on record.
fn rows<'a>(snapshot: &Snapshot, live: &'a PipelineView, freshness: Freshness<'_>) -> Vec<Row<'a>> {
    let open = &live.open_incidents;
    let row = |entity: &Entity, view: Option<&'a EntityView>| Row {
        incident_open: open.contains_key(entity) || (!live.grouped && !open.is_empty()),
        ..row(snapshot, live, freshness, entity, view)
    };
    if !live.grouped {
        let view = live.entities.first();
        let entity = view.map_or_else(Entity::sole, |view| view.entity.clone());
        return vec![row(&entity, view.map(|view| &**view))];
    }
    let on_record = live.counters.incidents_by_entity.keys();
    let mut views: BTreeMap<&Entity, Option<&EntityView>> =
        on_record.chain(open.keys()).map(|e| (e, None)).collect();
    views.extend(live.entities.iter().map(|v| (&v.entity, Some(&**v))));
    views
        .into_iter()
        .map(|(entity, view)| row(entity, view))
        .collect()
}

fn row<'a>(
    snapshot: &Snapshot,
    live: &PipelineView,
    freshness: Freshness<'_>,
    entity: &Entity,
    view: Option<&'a EntityView>,
) -> Row<'a> {
    let latest = view.and_then(|v| v.latest.as_deref());
    let scored = latest.filter(|v| v.state == RowState::Scored);
    let (stale, fresh) = (freshness.is_stale(), !freshness.is_withdrawn());
    let counters = &live.counters;
    let newest = view.and_then(|v| v.grid.last());
    Row {
        entity: entity.clone(),
        view,
        verdict: scored.filter(|_| fresh),
        incidents: if live.grouped {
            counters
                .incidents_by_entity
                .get(entity)
                .copied()
                .unwrap_or(0)
        } else {
            counters.incidents_total
        },
        incident_open: false,
        stale: latest.map(|v| stale || matches!(v.state, RowState::Stale | RowState::Missing)),
        last_run: if live.grouped && scored.is_none() {
            view.and_then(last_scored_row)
        } else {
            live.last_scored
        },
        ahead_of: newest.map_or(snapshot.now, |time| time.max(snapshot.now)),
        replay_ahead_of: newest.filter(|_| !stale),
        fresh,
    }
}

/// The newest row of an entity that has a score.
fn last_scored_row(view: &EntityView) -> Option<Time> {
    let scores = view.scores.tail(view.grid.len());
    let offset = view.grid.len().checked_sub(scores.len())?;
    let row = scores.iter().rposition(|score| !score.is_nan())?;
    Some(view.grid.time(offset + row))
}

fn source_up(live: &PipelineView, freshness: Freshness<'_>) -> Option<f64> {
    match (&live.source.state, freshness.reason()) {
        (SourceState::Connecting, None) => None,
        (_, Some(StaleReason::Failing(_) | StaleReason::Silent(_))) => Some(0.0),
        // The clock and the scoring are not the source's.
        _ => Some(1.0),
    }
}

fn flag(on: bool) -> f64 {
    f64::from(u8::from(on))
}

/// One series per entity and family.
fn verdicts(scrape: &mut Scrape, rows: &[Row]) {
    let mut each = |family: &'static Family, value: &dyn Fn(&Row) -> Option<f64>| {
        scrape.family(family, |out| {
            for row in rows {
                if let Some(value) = value(row) {
                    out.put(Some(&row.entity), &[], value);
                }
            }
        });
    };
    each(&families::IS_ANOMALY, &|row| {
        row.verdict.map(|v| flag(v.is_anomaly))
    });
    each(&families::SCORE, &|row| row.verdict.and_then(|v| v.score));
    each(&families::MSE, &|row| row.verdict.and_then(|v| v.mse));
    each(&families::INCIDENT, &|row| Some(flag(row.incident_open)));
    each(&families::ANOMALIES, &|row| Some(row.incidents as f64));
    each(&families::STALE, &|row| row.stale.map(flag));
    each(&families::LAST_RUN, &|row| {
        row.last_run.map(Time::as_secs_f64)
    });
    each(&families::IN_WINDOW, &|row| {
        let observed = row.view.filter(|_| row.fresh)?.observed_in_window?;
        Some(observed as f64)
    });
}

/// One series per feature: all entities have the same ones.
fn told_apart(scrape: &mut Scrape, rows: &[Row]) {
    scrape.family(&families::FEATURE_INFO, |out| {
        let Some(view) = rows.iter().find_map(|row| row.view) else {
            return;
        };
        for view in &view.features {
            let feature = &view.feature;
            out.put_labelled(&[&feature.name, &feature.query], &feature.labels, 1.0);
        }
    });
}

/// One series per feature of every entity.
fn features(scrape: &mut Scrape, rows: &[Row]) {
    let mut each = |family: &'static Family, value: &dyn Fn(&Row, &FeatureView) -> Option<f64>| {
        scrape.family(family, |out| {
            for row in rows {
                for feature in row.view.iter().flat_map(|view| &view.features) {
                    if let Some(value) = value(row, feature) {
                        out.put(Some(&row.entity), &[&feature.feature.name], value);
                    }
                }
            }
        });
    };
    each(&families::FEATURE_MSE, &|row, feature| {
        row.verdict.and(feature.mse)
    });
    each(&families::FEATURE_SHARE, &|row, feature| {
        row.verdict.and(feature.share)
    });
    each(&families::BREACH, &|row, feature| {
        let breach = feature.breach.filter(|_| row.fresh)?;
        breach.likely.map(|likely| likely.as_secs_f64())
    });
    each(&families::FORECAST_MAE, &|_, feature| {
        feature.forecast_accuracy.map(|accuracy| accuracy.mae)
    });
    each(&families::FORECAST_COVERAGE, &|_, feature| {
        feature.forecast_accuracy.map(|accuracy| accuracy.coverage)
    });
    forecasts(scrape, rows);
}

fn forecasts(scrape: &mut Scrape, rows: &[Row]) {
    scrape.family(&families::FORECAST, |out| {
        for row in rows {
            for view in row.view.iter().flat_map(|view| &view.features) {
                let Some(forecast) = view.forecast.as_deref() else {
                    continue;
                };
                let next = next_row(forecast, row.ahead_of)
                    .or_else(|| row.replay_ahead_of.and_then(|t| next_row(forecast, t)));
                let Some(next) = next else { continue };
                let bounds = [
                    ("yhat", &forecast.yhat),
                    ("lower", &forecast.lower),
                    ("upper", &forecast.upper),
                ];
                for (bound, values) in bounds {
                    let value = values.get(next).copied().unwrap_or(f64::NAN);
                    out.put(Some(&row.entity), &[&view.feature.name, bound], value);
                }
            }
        }
    });
}

/// The first row of a forecast after `now`.
fn next_row(forecast: &Forecast, now: Time) -> Option<usize> {
    forecast.grid.times().position(|time| time > now)
}
