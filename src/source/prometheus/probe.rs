//! What a check of the configuration wants to know of the server.

use std::collections::BTreeSet;

use futures::future::join_all;

use super::PrometheusSource;
use super::collection::Collection;
use super::gather::Query;
use crate::domain::Entity;
use crate::source::SourceError;

/// The server as it is now.
#[derive(Clone, Debug)]
pub struct ProbeReport {
    /// Product and version, where the server tells. Imitators often tell the version of the API that they imitate.
    pub server: Option<String>,
    /// One per query, by name.
    pub queries: Vec<QueryProbe>,
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
    /// What the server wants known, and what will not work as meant.
    pub warnings: Vec<String>,
    /// Why there is no answer; it does not say again which query it is about.
    pub error: Option<SourceError>,
}

impl PrometheusSource {
    /// Asks every query once, at the server's own now.
    ///
    /// # Errors
    /// [`SourceError::Connect`] or [`SourceError::Timeout`] when the server can't be reached at all; what is wrong with a
    /// single query is in its [`QueryProbe`].
    pub async fn probe(&self) -> Result<ProbeReport, SourceError> {
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
        let asked = self
            .queries
            .iter()
            .map(|query| self.ask(query, &collection));
        let queries = join_all(asked).await;
        match health.down() {
            Some(error) => Err(error),
            None => Ok(ProbeReport { server, queries }),
        }
    }

    async fn ask(&self, query: &Query, collection: &Collection) -> QueryProbe {
        let mut probe = QueryProbe {
            query: query.alias.to_string(),
            expr: self.shown_expr(query),
            series: 0,
            entities: 0,
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
        let mut entities = BTreeSet::new();
        let mut ungrouped = 0;
        for labels in told.data.block.series.keys() {
            probe.series += 1;
            ungrouped +=
                usize::from(!groups.is_empty() && !groups.iter().any(|g| labels.contains_key(g)));
            entities.insert(Entity::of(labels, groups));
        }
        probe.entities = entities.len();
        if ungrouped > 0 {
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
            }
            _ if probe.series == 0 => probe.warnings.push(
                "it has no series now; is the name right, and is something scraped that has it?"
                    .into(),
            ),
            _ => {}
        }
        probe
    }
}
