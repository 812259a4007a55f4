//! Made-up snapshots: seven metrics with daily shapes, a gap, an incident; all of it computed, nothing random.

use std::sync::Arc;
use std::time::Duration;

use pulsewatch::domain::{
    Breach, BuildInfo, Comparison, Contribution, Counters, Decision, Entity, EntityReadiness,
    EntityView, Feature, FeatureVerdict, FeatureView, Forecast, ForecastAccuracy, Gate, Grid,
    HistoryAnswer, HistorySeries, Incident, IncidentState, Label, Level, ModelEntry, ModelView,
    Notice, PipelineId, PipelineView, ProcessView, Readiness, RowState, Series, Snapshot,
    SourceState, Time, TrainingView, Unit, Verdict, Why,
};

use crate::views;
pub use crate::views::{MINUTE, pipeline};

const HOUR: u64 = 3600;
/// Rows of the live window.
pub const ROWS: usize = 300;
/// Rows that the incident lasts so far.
const HOT: usize = 9;

pub fn now() -> Time {
    // 2026-11-18 14:02:11 UTC, a Wednesday.
    Time::from_secs(1_795_010_531)
}

struct Metric {
    name: &'static str,
    unit: Unit,
    limit: Option<f64>,
    base: f64,
    swing: f64,
    noise: f64,
    /// What it becomes during the incident.
    hot: f64,
    share: f64,
}

fn metric(name: &'static str, unit: Unit, base: f64, swing: f64, noise: f64) -> Metric {
    Metric {
        name,
        unit,
        limit: None,
        base,
        swing,
        noise,
        hot: f64::NAN,
        share: 0.03,
    }
}

fn metrics() -> Vec<Metric> {
    vec![
        Metric {
            limit: Some(90.0),
            hot: 86.0,
            share: 0.24,
            ..metric("cpu", Unit::Percent, 34.0, 14.0, 3.0)
        },
        Metric {
            limit: Some(90.0),
            ..metric("disk_used", Unit::Percent, 71.0, 0.8, 0.05)
        },
        Metric {
            hot: 0.84,
            share: 0.61,
            ..metric("latency", Unit::Seconds, 0.19, 0.04, 0.02)
        },
        metric("memory", Unit::Bytes, 6.1e9, 9e8, 6e7),
        metric("network_receive", Unit::BytesPerSecond, 4.2e6, 2.1e6, 7e5),
        metric("requests", Unit::PerSecond, 1200.0, 400.0, 60.0),
        metric("temperature", Unit::Celsius, 52.0, 5.0, 0.4),
    ]
}

/// A number in [-1, 1] that looks random and is not.
fn jitter(row: usize, salt: usize) -> f64 {
    let x = (row as f64 * 12.9898 + salt as f64 * 78.233).sin() * 43_758.545;
    (x - x.floor()) * 2.0 - 1.0
}

fn value(metric: &Metric, time: Time, salt: usize) -> f64 {
    let hours = time.as_secs_f64() / 3600.0;
    let day = ((hours - 9.0) / 24.0 * std::f64::consts::TAU).sin();
    let fast = (hours / 1.7 * std::f64::consts::TAU + salt as f64).sin();
    let row = usize::try_from(time.millis() / 60_000).unwrap();
    metric.base
        + metric.swing * (0.7 * day + 0.3 * fast)
        + metric.noise * jitter(row, salt)
        + if metric.name == "disk_used" {
            (hours % 240.0) * 0.03
        } else {
            0.0
        }
}

pub fn grid() -> Grid {
    let last = Grid::align(now(), MINUTE);
    Grid::new(
        last - MINUTE * (u32::try_from(ROWS).unwrap() - 1),
        MINUTE,
        ROWS,
    )
}

fn forecast(metric: &Metric, salt: usize, after: Grid) -> Forecast {
    let step = Duration::from_secs(HOUR / 2);
    let grid = Grid::new(after.last().unwrap() + step, step, 48);
    let yhat: Vec<f64> = grid.times().map(|t| value(metric, t, salt)).collect();
    let width = |i: usize| (metric.noise + metric.swing * 0.2) * (1.0 + i as f64 / 24.0);
    Forecast {
        lower: yhat.iter().enumerate().map(|(i, y)| y - width(i)).collect(),
        upper: yhat.iter().enumerate().map(|(i, y)| y + width(i)).collect(),
        yhat,
        grid,
        level: 0.9,
    }
}

/// One entity's view; `hot`: an incident is under way, `scored`: a model judges.
pub fn entity(name: &str, hot: bool, scored: bool, rows: usize) -> EntityView {
    let grid = grid().slice(ROWS - rows, ROWS);
    let gap = if rows > 120 {
        rows - 120..rows - 104
    } else {
        0..0
    };
    let mut features = Vec::new();
    for (salt, metric) in metrics().iter().enumerate() {
        let is_hot = |row: usize| hot && row + HOT >= rows && metric.hot.is_finite();
        let values: Vec<f64> = grid
            .times()
            .enumerate()
            .map(|(row, time)| match row {
                row if is_hot(row) => metric.hot * (1.0 + 0.04 * jitter(row, salt)),
                row if gap.contains(&row) => f64::NAN,
                _ => value(metric, time, salt),
            })
            .collect();
        let flags: Vec<f64> = (0..rows)
            .map(|row| f64::from(u8::from(is_hot(row))))
            .collect();
        let share = if hot { metric.share } else { 1.0 / 7.0 };
        features.push(FeatureView {
            feature: Feature {
                unit: metric.unit.clone(),
                limit: metric.limit,
                ..Feature::plain(metric.name)
            },
            values: Series::of(&values),
            anomalous: Series::of(&flags),
            mse: scored.then_some(share * if hot { 0.0121 } else { 0.0011 }),
            share: scored.then_some(share),
            expected: scored.then(|| value(metric, grid.last().unwrap(), salt)),
            forecast: scored.then(|| Arc::new(forecast(metric, salt, grid))),
            breach: (scored && metric.name == "disk_used").then(|| Breach {
                earliest: Duration::from_secs(5 * HOUR),
                likely: Some(Duration::from_secs(6 * HOUR + 1230)),
                latest: Some(Duration::from_secs(9 * HOUR)),
                within: Duration::from_secs(7 * 24 * HOUR),
            }),
            forecast_accuracy: scored.then_some(ForecastAccuracy {
                mae: metric.noise,
                coverage: 0.91,
                n: 192,
            }),
        });
    }
    let track: Vec<f64> = (0..rows)
        .map(|row| match row {
            _ if !scored => f64::NAN,
            row if hot && row + HOT >= rows => 3.9 + 0.4 * jitter(row, 9),
            row if gap.contains(&row) => f64::NAN,
            row => 0.38 + 0.12 * jitter(row, 9),
        })
        .collect();
    let flags: Vec<f64> = (0..rows)
        .map(|r| f64::from(u8::from(hot && r + HOT >= rows)))
        .collect();
    let entity = Entity::named(name);
    let recent: Vec<Arc<Verdict>> = if scored {
        (0..rows)
            .map(|row| Arc::new(verdict(&entity, &grid, row, &features, &track, &flags)))
            .collect()
    } else {
        Vec::new()
    };
    EntityView {
        entity,
        grid,
        features,
        scores: Series::of(&track),
        anomalous: Series::of(&flags),
        latest: recent.last().cloned(),
        recent: Arc::from(recent),
        observed_in_window: Some(20),
        readiness: EntityReadiness::default(),
    }
}

/// The verdict on a row: what was seen beside the shape of the day, with the gates that were asked.
fn verdict(
    entity: &Entity,
    grid: &Grid,
    row: usize,
    features: &[FeatureView],
    track: &[f64],
    flags: &[f64],
) -> Verdict {
    let (time, score, anomaly) = (grid.time(row), track[row], flags[row] > 0.5);
    if !score.is_finite() {
        return Verdict::unscored(time, entity.clone(), RowState::Missing);
    }
    let metrics = metrics();
    let parts = metrics.iter().enumerate().map(|(salt, metric)| {
        let expected = value(metric, time, salt);
        let width = 2.0 * metric.noise + 0.2 * metric.swing;
        FeatureVerdict {
            value: features[salt].values.iter().nth(row).unwrap(),
            expected,
            lower: expected - width,
            upper: expected + width,
            mse: score * 0.003 * metric.share,
            share: if anomaly { metric.share } else { 1.0 / 7.0 },
        }
    });
    Verdict {
        score: Some(score),
        mse: Some(score * 0.003),
        is_anomaly: anomaly,
        features: parts.collect(),
        gates: gates(score, anomaly),
        ..Verdict::unscored(time, entity.clone(), RowState::Scored)
    }
}

pub fn gates(score: f64, anomaly: bool) -> Vec<Gate> {
    let gate = |name: &str, passed: bool, detail: String| Gate {
        name: name.into(),
        passed,
        detail,
    };
    let mut gates = vec![gate(
        "threshold",
        score > 1.0,
        format!("score {score:.2}, over 1 is asked for"),
    )];
    if score > 1.0 {
        gates.extend([
            gate(
                "budget",
                anomaly,
                format!("{:.2} times what 0.5 false alarms a day allow", score / 1.4),
            ),
            gate(
                "direction",
                true,
                "latency is above what is expected, both count".into(),
            ),
            gate(
                "min_deviation",
                true,
                "latency is 342 % off, 3 % is asked for".into(),
            ),
            gate(
                "min_duration",
                true,
                "5 of the last 5 rows were candidates, 3 are asked for".into(),
            ),
            gate("maintenance", true, "no window is open".into()),
        ]);
    }
    gates
}

/// Three kept models: the one that scores, one before it, one that was refused.
pub fn models() -> Vec<ModelEntry> {
    let entry = |version: &str, hours: u64, is_current, promoted| ModelEntry {
        model: ModelView {
            version: version.into(),
            trained_at: now() - Duration::from_secs(hours * HOUR + 400),
            val_loss: 0.0009 + 0.0001 * hours as f64,
            ..model()
        },
        is_current,
        decision: Some(Decision {
            promoted,
            reason: if promoted {
                "no worse than the one before".into()
            } else {
                "clearly worse than the one that scores".into()
            },
            comparison: Some(Comparison {
                windows: 412,
                champion_error: 1.0e-3,
                challenger_error: if promoted { 0.94e-3 } else { 1.41e-3 },
                uncertainty: 0.04,
                champion_alarms: 0.004,
                challenger_alarms: if promoted { 0.005 } else { 0.031 },
            }),
        }),
    };
    vec![
        entry("20261118T105500Z-3f9a2c", 3, true, true),
        entry("20261117T225500Z-b01177", 15, false, false),
        entry("20261116T105400Z-9d02ee", 51, false, true),
    ]
}

fn incident(id: u64, hours_ago: f64, minutes: u64, peak: f64, parts: &[(&str, f64)]) -> Incident {
    let last = grid().last().unwrap();
    let start = last - Duration::from_secs_f64(hours_ago * 3600.0);
    let end = start + MINUTE * u32::try_from(minutes).unwrap();
    Incident {
        id,
        entity: Entity::sole(),
        start,
        end,
        peak: end,
        peak_score: peak,
        peak_alarm: Some(peak),
        state: IncidentState::Closed,
        features: parts
            .iter()
            .map(|(name, share)| {
                let metric = metrics().into_iter().find(|m| m.name == *name).unwrap();
                let width = 2.0 * metric.noise + 0.2 * metric.swing;
                Contribution {
                    feature: Arc::from(*name),
                    share: *share,
                    value: if metric.hot.is_finite() {
                        metric.hot
                    } else {
                        metric.base + 2.5 * metric.swing
                    },
                    expected: metric.base,
                    lower: metric.base - width,
                    upper: metric.base + width,
                }
            })
            .collect(),
        why: Why {
            opening: gates(1.3, true),
            peak: gates(peak, true),
        },
        acknowledged: false,
        label: None,
    }
}

pub fn incidents(open: bool) -> Vec<Incident> {
    let mut list = vec![
        Incident {
            label: Some(Label::Real),
            acknowledged: true,
            ..incident(41, 6.4, 31, 2.7, &[("memory", 0.74), ("cpu", 0.12)])
        },
        Incident {
            label: Some(Label::False),
            ..incident(
                40,
                11.2,
                0,
                1.2,
                &[("network_receive", 0.55), ("requests", 0.31)],
            )
        },
        Incident {
            state: IncidentState::Vanished,
            ..incident(38, 52.0, 140, 5.8, &[("temperature", 0.91)])
        },
    ];
    if open {
        let now = Incident {
            state: IncidentState::Open,
            ..incident(
                42,
                8.0 / 60.0,
                8,
                4.3,
                &[("latency", 0.61), ("cpu", 0.24), ("requests", 0.03)],
            )
        };
        list.insert(0, now);
    }
    list
}

/// The row of the open incident in which a feature is farthest from what is expected.
pub fn farthest(pipeline: &PipelineView, name: &str) -> Time {
    let (view, incident) = (&pipeline.entities[0], &pipeline.incidents[0]);
    let mut names = view.features.iter();
    let column = names.position(|f| &*f.feature.name == name).unwrap();
    let away = |verdict: &Verdict| {
        let part = &verdict.features[column];
        (part.value - part.expected).abs() / (part.upper - part.lower)
    };
    let rows = view
        .recent
        .iter()
        .filter(|verdict| verdict.time >= incident.start);
    rows.max_by(|a, b| away(a).total_cmp(&away(b)))
        .unwrap()
        .time
}

pub fn model() -> ModelView {
    ModelView {
        version: "20261118T105500Z-3f9a2c".into(),
        trained_at: now() - Duration::from_secs(3 * HOUR + 400),
        trained_on: (now() - Duration::from_secs(14 * 24 * HOUR), now()),
        windows: 2000,
        epochs: 31,
        val_loss: 0.0009,
        threshold_mse: 0.003,
        threshold_rule: "auto".into(),
        entities: 1,
        training_took: Duration::from_secs(21),
    }
}

/// A pipeline that scores; `hot`: with an incident under way.
pub fn scoring(id: PipelineId, hot: bool) -> PipelineView {
    let mut pipeline = pipeline(id);
    pipeline.source.state = SourceState::Up;
    pipeline.source.last_success = Some(now());
    pipeline.model = Some(model());
    pipeline.readiness = Readiness {
        have: 120,
        need: 120,
        eta: None,
        text: String::new(),
    };
    pipeline.entities = vec![Arc::new(entity("", hot, true, ROWS))];
    views::set_incidents(&mut pipeline, incidents(hot));
    pipeline.counters = Arc::new(Counters {
        incidents_total: 42,
        incidents_session: 3,
        incidents_by_entity: Arc::default(),
        ..Counters::default()
    });
    pipeline.models = Arc::from(models());
    pipeline.last_scored = grid().last();
    pipeline
}

pub fn training() -> TrainingView {
    TrainingView {
        started: now() - Duration::from_secs(9),
        phase: "fitting the autoencoder".into(),
        epoch: 12,
        epochs: 50,
        progress: 0.41,
        losses: (0..12)
            .map(|i| 0.002 + 0.05 * (-0.4 * f64::from(i)).exp())
            .collect(),
        queued: false,
    }
}

pub fn snapshot(live: PipelineView) -> Snapshot {
    Snapshot {
        revision: 7,
        started: now() - Duration::from_secs(5 * HOUR),
        process: ProcessView {
            memory: Some(47_400_000),
            cpu: Some(0.007),
        },
        build: BuildInfo {
            version: "0.1.0",
            target: "x86_64-linux",
        },
        ..views::snapshot(now(), live)
    }
}

pub fn notice(id: u64, level: Level, text: &str) -> Notice {
    Notice {
        id,
        time: now(),
        level,
        text: text.into(),
    }
}

/// Six days of history in half-hour means, with the forecast of a day.
pub fn history() -> HistoryAnswer {
    let step = Duration::from_secs(HOUR / 2);
    let rows = 6 * 48;
    let last = Grid::align(now(), step);
    let grid = Grid::new(last - step * (rows - 1), step, rows as usize);
    let series = metrics()
        .iter()
        .enumerate()
        .map(|(salt, metric)| HistorySeries {
            name: Arc::from(metric.name),
            values: grid
                .times()
                .enumerate()
                .map(|(row, t)| {
                    if (100..106).contains(&row) {
                        f64::NAN
                    } else {
                        value(metric, t, salt)
                    }
                })
                .collect(),
            forecast: Some(Arc::new(forecast(metric, salt, grid))),
            anomalous: hot(grid.len()),
            ..HistorySeries::default()
        })
        .collect();
    HistoryAnswer {
        grid,
        series,
        anomalous: hot(grid.len()),
        scores: (0..grid.len())
            .map(|row| match row {
                0..20 => f64::NAN,
                180..184 => 3.1,
                row => 0.2 + (row % 7) as f64 / 20.0,
            })
            .collect(),
    }
}

/// The anomalous rows of the history.
fn hot(rows: usize) -> Vec<bool> {
    (0..rows).map(|row| (180..184).contains(&row)).collect()
}
