//! A running server over made-up snapshots, and a control that records what it is told.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, Once};
use std::time::Duration;

use pulsewatch::config::{ApiConfig, ExporterConfig, Secret};
use pulsewatch::domain::{
    Command, Control, ControlError, Counters, Entity, EntityReadiness, EntityView, Feature,
    FeatureVerdict, FeatureView, Forecast, Gate, Grid, Histogram, HistoryAnswer, HistoryQuery,
    HistorySeries, Label, LabelEffect, ModelView, PipelineId, PipelineView, Readiness, RowState,
    Series, Snapshot, SourceState, SourceView, Spike, SpikedRows, Time, Verdict,
};
use pulsewatch::serve::{Bound, Server};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use crate::views::{self, MINUTE};

/// The newest grid time of every made-up entity.
pub const NEWEST: Time = Time::from_secs(1_800_000_000);
pub const NOW: Time = Time::from_secs(1_800_000_030);

/// What every metric's name begins with.
pub const P: &str = "anomaly_detector_";

/// The value of a series of a scrape (labels included), `None` when it is not exported.
pub fn value(text: &str, series: &str) -> Option<f64> {
    let prefix = format!("{P}{series} ");
    let line = text.lines().find_map(|line| line.strip_prefix(&prefix))?;
    Some(line.parse().unwrap())
}

/// Before anything has arrived.
pub fn empty() -> Snapshot {
    Snapshot {
        started: Time::from_secs(1_799_999_000),
        ..views::snapshot(NOW, pipeline(PipelineId::Live))
    }
}

/// A pipeline that waits for its first windows.
fn pipeline(id: PipelineId) -> PipelineView {
    PipelineView {
        readiness: Readiness {
            have: 41,
            need: 120,
            eta: Some(Duration::from_secs(180)),
            text: "ready in about 3 min: 41 of 120 windows".into(),
        },
        ..views::pipeline(id)
    }
}

/// A scored feature with 30 rows counting up from 0; the newest row is an anomaly.
pub fn feature(name: &str) -> FeatureView {
    let values: Vec<f64> = (0..30).map(f64::from).collect();
    FeatureView {
        feature: Feature::plain(name),
        values: Series::of(&values),
        anomalous: Series::of(&[0.0; 30]),
        mse: Some(0.25),
        share: Some(0.5),
        expected: Some(3.0),
        forecast: None,
        breach: None,
        forecast_accuracy: None,
    }
}

/// A forecast of three hours: one row at the newest grid time, one an hour and one two hours later.
pub fn forecast() -> Forecast {
    Forecast {
        grid: Grid::new(NEWEST, Duration::from_secs(3600), 3),
        yhat: vec![10.0, 11.0, 12.0],
        lower: vec![9.0, 9.5, 10.0],
        upper: vec![11.0, 12.5, 14.0],
        level: 0.9,
    }
}

pub fn entity(name: &str, features: Vec<FeatureView>) -> EntityView {
    let entity = Entity::named(name);
    let mut flags = [0.0; 30];
    flags[29] = 1.0;
    let mut scores = [f64::NAN; 30];
    scores[29] = 1.5;
    EntityView {
        grid: Grid::new(NEWEST - MINUTE * 29, MINUTE, 30),
        latest: Some(Arc::new(Verdict {
            time: NEWEST,
            entity: entity.clone(),
            state: RowState::Scored,
            score: Some(1.5),
            alarm: Some(1.5),
            mse: Some(0.75),
            is_anomaly: true,
            provisional: None,
            excused: Vec::new(),
            features: features
                .iter()
                .map(|_| FeatureVerdict {
                    value: 29.0,
                    expected: 3.0,
                    lower: 1.0,
                    upper: 5.0,
                    mse: 0.25,
                    share: 0.5,
                })
                .collect(),
            gates: vec![Gate {
                name: "threshold".into(),
                passed: true,
                detail: "score 1.50, threshold 1".into(),
            }],
        })),
        recent: Arc::from([]),
        entity,
        features,
        scores: Series::of(&scores),
        anomalous: Series::of(&flags),
        observed_in_window: Some(19),
        readiness: EntityReadiness::default(),
    }
}

/// A model that has scored these entities.
pub fn scored(grouped: bool, entities: Vec<EntityView>) -> Snapshot {
    let mut seconds = Histogram::with_bounds(&[0.1, 1.0]);
    seconds.observe(0.05);
    seconds.observe(0.5);
    let live = PipelineView {
        grouped,
        source: SourceView {
            state: SourceState::Up,
            last_success: Some(NOW),
            ..pipeline(PipelineId::Live).source
        },
        model: Some(ModelView {
            version: "20270115-080000".into(),
            trained_at: NOW - Duration::from_secs(600),
            trained_on: (Time::from_secs(0), NOW),
            windows: 2000,
            epochs: 12,
            val_loss: 0.01,
            threshold_mse: 0.5,
            threshold_rule: "auto".into(),
            entities: entities.len(),
            training_took: Duration::from_secs(7),
        }),
        readiness: Readiness {
            have: 120,
            need: 120,
            eta: None,
            text: String::new(),
        },
        counters: Arc::new(Counters {
            incidents_total: 3,
            incidents_by_entity: Arc::new(entities.iter().map(|e| (e.entity.clone(), 2)).collect()),
            collect_errors: BTreeMap::from([("timeout", 4)]),
            collect_seconds: seconds,
            ..Counters::default()
        }),
        entities: entities.into_iter().map(Arc::new).collect(),
        last_scored: Some(NOW),
        ..pipeline(PipelineId::Live)
    };
    Snapshot {
        live: Arc::new(live),
        ..empty()
    }
}

/// Two scored features of the one entity.
pub fn two_features() -> Snapshot {
    scored(
        false,
        vec![entity("", vec![feature("cpu"), feature("memory")])],
    )
}

/// The same snapshot with its live pipeline changed.
pub fn with_live(mut snapshot: Snapshot, change: impl FnOnce(&mut PipelineView)) -> Snapshot {
    change(Arc::make_mut(&mut snapshot.live));
    snapshot
}

/// Records commands; refuses them when told to.
#[derive(Default)]
pub struct Recorder {
    pub sent: Mutex<Vec<Command>>,
    pub asked: Mutex<Vec<HistoryQuery>>,
    pub refuse: Mutex<Option<ControlError>>,
}

impl Control for Recorder {
    fn send(&self, command: Command) -> Result<(), ControlError> {
        if let Some(error) = *self.refuse.lock().unwrap() {
            return Err(error);
        }
        self.sent.lock().unwrap().push(command);
        Ok(())
    }

    fn history(
        &self,
        query: HistoryQuery,
    ) -> Pin<Box<dyn Future<Output = Result<HistoryAnswer, ControlError>> + Send + '_>> {
        self.asked.lock().unwrap().push(query);
        let refused = *self.refuse.lock().unwrap();
        Box::pin(async move { refused.map_or_else(|| Ok(history()), Err) })
    }

    fn spiked(
        &self,
        seed: u64,
    ) -> Pin<Box<dyn Future<Output = Result<SpikedRows, ControlError>> + Send + '_>> {
        let refused = *self.refuse.lock().unwrap();
        Box::pin(async move { refused.map_or_else(|| Ok(spiked(seed)), Err) })
    }

    fn preview(
        &self,
        _incident: u64,
        _label: Option<Label>,
    ) -> Pin<Box<dyn Future<Output = Result<LabelEffect, ControlError>> + Send + '_>> {
        Box::pin(async { Err(ControlError::NotFound) })
    }
}

/// Four rows, two of them with a spike, one of which is an anomaly.
fn spiked(seed: u64) -> SpikedRows {
    let times: Vec<Time> = (0..4).map(|row| NEWEST - MINUTE * (3 - row)).collect();
    let spike = |row: usize| Spike {
        time: times[row],
        feature: Arc::from("cpu"),
        deviations: 10.0,
    };
    SpikedRows {
        features: vec![(Arc::from("cpu"), vec![1.0, 90.0, f64::NAN, seed as f64])],
        scores: vec![Some(0.5), Some(4.0), None, Some(0.9)],
        anomalous: vec![false, true, false, false],
        injected: vec![spike(1), spike(3)],
        times,
    }
}

fn history() -> HistoryAnswer {
    HistoryAnswer {
        grid: Grid::new(NEWEST - MINUTE * 2, MINUTE, 3),
        series: vec![HistorySeries {
            name: Arc::from("cpu"),
            values: vec![1.0, f64::NAN, 3.0],
            forecast: Some(Arc::new(forecast())),
            ..HistorySeries::default()
        }],
        anomalous: vec![false, false, true],
        scores: vec![0.5, f64::NAN, 2.0],
    }
}

/// Settings for a free loopback port.
pub fn exporter() -> ExporterConfig {
    ExporterConfig {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        ..ExporterConfig::default()
    }
}

pub fn with_token(token: &str) -> ApiConfig {
    ApiConfig {
        token: Some(Secret::Inline(token.to_owned().into())),
        read_only: false,
    }
}

/// A server on a port of its own; stops when dropped.
pub struct Running {
    pub url: String,
    pub address: SocketAddr,
    pub control: Arc<Recorder>,
    pub snapshots: watch::Sender<Arc<Snapshot>>,
    pub client: reqwest::Client,
    stop: Option<oneshot::Sender<()>>,
    served: JoinHandle<()>,
}

impl Running {
    pub fn start(snapshot: Snapshot) -> Self {
        Self::with(snapshot, &exporter(), &ApiConfig::default())
    }

    pub fn with(snapshot: Snapshot, exporter: &ExporterConfig, api: &ApiConfig) -> Self {
        let bound = Server::bind(exporter, api, true).unwrap().unwrap();
        Self::serve(snapshot, bound)
    }

    pub fn serve(snapshot: Snapshot, bound: Bound) -> Self {
        let address = bound.local_addr();
        let (snapshots, seen) = watch::channel(Arc::new(snapshot));
        let control = Arc::new(Recorder::default());
        let (stop, stopped) = oneshot::channel();
        let shared: Arc<Recorder> = Arc::clone(&control);
        let served = tokio::spawn(async move {
            let shutdown = async {
                let _ = stopped.await;
            };
            bound.serve(seen, shared, shutdown).await.unwrap();
        });
        Self {
            url: format!("http://{address}"),
            address,
            control,
            snapshots,
            client: client(),
            stop: Some(stop),
            served,
        }
    }

    pub fn publish(&self, snapshot: Snapshot) {
        self.snapshots.send(Arc::new(snapshot)).unwrap();
    }

    pub async fn get(&self, path: &str) -> reqwest::Response {
        let url = format!("{}{path}", self.url);
        self.client.get(url).send().await.unwrap()
    }

    pub async fn metrics(&self) -> String {
        let response = self.get("/metrics").await;
        assert_eq!(response.status(), 200);
        response.text().await.unwrap()
    }

    pub fn post(&self, path: &str) -> reqwest::RequestBuilder {
        self.client.post(format!("{}{path}", self.url))
    }

    /// Asks it to stop and waits until it has.
    pub async fn stop(mut self) {
        self.stop.take().unwrap().send(()).unwrap();
        self.served.await.unwrap();
    }
}

fn client() -> reqwest::Client {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| {
        rustls::crypto::ring::default_provider()
            .install_default()
            .unwrap();
    });
    reqwest::Client::builder().no_proxy().build().unwrap()
}

/// The body of a problem document, its shape checked.
pub async fn problem(response: reqwest::Response, status: u16) -> serde_json::Value {
    assert_eq!(response.status(), status);
    assert_eq!(
        response.headers()["content-type"],
        "application/problem+json"
    );
    let body: serde_json::Value = response.json().await.unwrap();
    assert_eq!(body["status"], status);
    assert_eq!(body["type"], "about:blank");
    assert!(body["title"].is_string());
    assert_eq!(body["detail"], body["error"]);
    body
}
