//! What a check of the configuration wants to know of the server.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::future::join_all;

use super::PrometheusSource;
use super::collection::Collection;
use super::gather::Query;
use super::lateness;
use crate::domain::{Entity, Grid, Labels, Time};
use crate::source::SourceError;

/// Most points of each series that are looked at over the history.
const POINTS: u128 = 200;

/// The server as it is now.
#[derive(Clone, Debug)]
pub struct ProbeReport {
    /// Product and version, where the server tells. Imitators often tell the version of the API that they imitate.
    pub server: Option<String>,
    /// What is to be known of the server, whichever query is asked: how its newest samples come.
    pub notes: Vec<String>,
    /// One per query, by name.
    pub queries: Vec<QueryProbe>,
}

impl ProbeReport {
    /// Most entities that a query has, now or in its history; at least 1.
    pub fn entities(&self) -> usize {
        let of = |query: &QueryProbe| {
            let past = query.past.as_ref().map_or(0, |past| past.entities);
            query.entities.max(past)
        };
        self.queries.iter().map(of).max().unwrap_or(1).max(1)
    }
}

/// One query as the server answers it now.
#[derive(Clone, Debug)]
pub struct QueryProbe {
    /// `[queries.<name>]`.
    pub query: String,
    /// What was asked, as it may be shown.
    pub expr: String,
    /// Series there are now.
    pub series: usize,
    /// Entities that these belong to.
    pub entities: usize,
    /// Its history, when that could be looked at.
    pub past: Option<Past>,
    /// What the server wants known, and what will not work as meant.
    pub warnings: Vec<String>,
    /// Why there is no answer; it does not say again which query it is about.
    pub error: Option<SourceError>,
}

/// A query over the history, at some 200 of its rows.
#[derive(Clone, Debug, Default)]
pub struct Past {
    /// Series that have a sample in it.
    pub series: usize,
    /// Entities that these belong to.
    pub entities: usize,
    /// Part of their samples that is no number, 0 to 1.
    pub not_a_number: f64,
}

impl PrometheusSource {
    /// Asks every query once at the server's own now, and at some times of the `periods` that are learned from, as seen at
    /// `now`.
    ///
    /// # Errors
    /// [`SourceError::Connect`] or [`SourceError::Timeout`] when the server can't be reached at all; what is wrong with a
    /// single query is in its [`QueryProbe`].
    pub async fn probe(
        &self,
        now: Time,
        periods: &[(Time, Time)],
    ) -> Result<ProbeReport, SourceError> {
        let collection = Collection::default();
        let health = collection.health();
        let server = match self.client.build_info(&collection).await {
            Ok(info) => {
                let name = info.application.as_deref().unwrap_or("Prometheus API");
                info.version
                    .map(|version| self.client.clean(&format!("{name} {version}")))
            }
            Err(_) => match health.down() {
                Some(error) => return Err(error),
                None => None,
            },
        };
        let grids: Vec<Grid> = periods.iter().map(|period| self.coarse(*period)).collect();
        let asked = self
            .queries
            .iter()
            .map(|query| self.ask(query, &grids, &collection));
        let queries = join_all(asked).await;
        if let Some(error) = health.down() {
            return Err(error);
        }
        let notes = self.about_newest(now, &queries, &collection).await;
        Ok(ProbeReport {
            server,
            notes,
            queries,
        })
    }

    /// What is to be known of the server's newest samples at `now`.
    async fn about_newest(
        &self,
        now: Time,
        queries: &[QueryProbe],
        collection: &Collection,
    ) -> Vec<String> {
        self.settling.measure(&self.client, now, collection).await;
        let length = self.settling.length();
        let mut notes = Vec::new();
        // Measured in whole seconds, with one to spare.
        if length > self.client.section().latency_offset.0 + Duration::from_secs(1) {
            notes.push(format!(
                "it repeats older values for its newest {} s: rows wait that long",
                length.as_secs()
            ));
        }
        let mut late = lateness::clock_behind(&self.client, now, self.waited());
        if late.is_none() && queries.iter().all(|query| query.series == 0) {
            let server = (&self.client, &*self.queries);
            late =
                lateness::samples_late(server, (now, self.step, self.waited()), collection).await;
        }
        notes.extend(late);
        notes
    }

    /// A period's rows, thinned out to no more than [`POINTS`].
    fn coarse(&self, (from, to): (Time, Time)) -> Grid {
        let rows = to.since(from).as_millis() / self.step.as_millis().max(1);
        let every = u32::try_from(rows.div_ceil(POINTS)).unwrap_or(u32::MAX);
        Grid::covering(from, to, self.step.saturating_mul(every.max(1)))
    }

    async fn ask(&self, query: &Query, grids: &[Grid], collection: &Collection) -> QueryProbe {
        let mut probe = QueryProbe {
            query: query.alias.to_string(),
            expr: self.shown_expr(query),
            series: 0,
            entities: 0,
            past: None,
            warnings: Vec::new(),
            error: None,
        };
        let told = match self.client.instant(&query.expr, collection).await {
            Ok(told) => told,
            Err(trouble) => {
                probe.error = Some(trouble.error);
                return probe;
            }
        };
        probe.warnings = told.notes;
        let groups = &self.entities.group_by;
        let series = &told.data.block.series;
        probe.series = series.len();
        probe.entities = self.entities_of(series.keys());
        let has_none = |labels: &&Labels| !groups.iter().any(|g| labels.contains_key(g));
        let ungrouped = series.keys().filter(has_none).count();
        if ungrouped > 0 && !groups.is_empty() {
            probe.warnings.push(format!(
                "{ungrouped} series have none of the labels that [entities] group_by names ({}); keep them in the expression, as in `sum by ({}) (…)`",
                groups.join(", "),
                groups.join(", ")
            ));
        }
        match told.data.kind.as_str() {
            "scalar" => (probe.series, probe.entities) = (1, 1),
            kind @ ("matrix" | "string") => {
                (probe.series, probe.entities) = (0, 0);
                probe.error = Some(SourceError::Query(format!(
                    "it gives a {}, not one number per time; use a function such as rate(…) around a range",
                    if kind == "matrix" {
                        "range of samples"
                    } else {
                        kind
                    }
                )));
                return probe;
            }
            _ => {}
        }
        match self.look_back(query, grids, collection).await {
            Ok(past) => probe.past = past,
            Err(error) => probe
                .warnings
                .push(format!("its history could not be looked at: {error}")),
        }
        let now = told.data.not_finite;
        probe.warnings.extend(about_values(&probe, now));
        probe
    }

    fn entities_of<'l>(&self, series: impl Iterator<Item = &'l Labels>) -> usize {
        let groups = &self.entities.group_by;
        let entities: BTreeSet<Entity> = series.map(|labels| Entity::of(labels, groups)).collect();
        entities.len()
    }

    /// The query over the history; `None` when there is none to look at.
    async fn look_back(
        &self,
        query: &Query,
        grids: &[Grid],
        collection: &Collection,
    ) -> Result<Option<Past>, SourceError> {
        let mut series: BTreeSet<Labels> = BTreeSet::new();
        let (mut numbers, mut others) = (0, 0);
        for grid in grids.iter().filter(|grid| !grid.is_empty()) {
            let told = self.client.range_placed(&query.expr, *grid, collection);
            let data = told.await.map_err(|trouble| trouble.error)?.data;
            let values = data.block.series.values().flatten();
            numbers += values.filter(|value| value.is_finite()).count();
            others += data.not_finite;
            series.extend(data.block.series.into_keys());
        }
        let looked = grids.iter().any(|grid| !grid.is_empty());
        Ok(looked.then(|| Past {
            entities: self.entities_of(series.iter()),
            series: series.len(),
            not_a_number: others as f64 / (numbers + others).max(1) as f64,
        }))
    }
}

/// What is to be known of a query's values, `not_finite` of which are no number now.
fn about_values(probe: &QueryProbe, not_finite: usize) -> Vec<String> {
    let mut found = Vec::new();
    let past = probe.past.clone().unwrap_or_default();
    if probe.series == 0 {
        found.push(if past.series > 0 {
            format!(
                "it has no series now; {} had samples in the history",
                past.series
            )
        } else {
            "it has no series now, and none in the history; is the name right, and is something scraped that has it?".into()
        });
    }
    if not_finite > 0 {
        found.push(format!(
            "its value is no number (NaN or infinite) now in {not_finite} of {} series, which counts as missing; a division by zero gives that",
            probe.series
        ));
    }
    if past.not_a_number > 0.0 {
        found.push(format!(
            "{} of its samples in the history are no number (NaN or infinite), which counts as missing",
            percent(past.not_a_number)
        ));
    }
    found
}

/// A part as a percentage that is neither 0 nor 100 % by rounding.
fn percent(part: f64) -> String {
    if part < 0.01 {
        "less than 1 %".into()
    } else if part < 1.0 {
        format!("{:.0} %", (part * 100.0).min(99.0))
    } else {
        "100 %".into()
    }
}
