//! The rows of lists.

use crate::domain::{EntityView, Incident, Label, PipelineView};
use crate::tui::state::UiState;

use super::{Table, head, known, moment, number};

/// The anomalies that the log shows.
pub fn anomalies(state: &UiState, pipeline: &PipelineView) -> Table {
    let first = head(&[
        "id",
        "entity",
        "state",
        "start",
        "end",
        "duration_seconds",
        "peak",
        "peak_score",
        "features",
        "label",
        "acknowledged",
    ]);
    let rows = state.listed(pipeline).into_iter().map(|incident| {
        vec![
            // The journal has not numbered it yet.
            if incident.id == 0 {
                String::new()
            } else {
                incident.id.to_string()
            },
            incident.entity.name().to_owned(),
            incident.state.word().to_owned(),
            moment(Some(incident.start)),
            moment(Some(incident.end)),
            number(incident.duration().as_secs_f64()),
            moment(Some(incident.peak)),
            number(incident.peak_score),
            shares(incident),
            incident.label.map_or("", Label::word).to_owned(),
            incident.acknowledged.to_string(),
        ]
    });
    std::iter::once(first).chain(rows).collect()
}

/// `latency=0.61; cpu=0.24`.
fn shares(incident: &Incident) -> String {
    let parts: Vec<String> = incident
        .features
        .iter()
        .map(|part| format!("{}={}", part.feature, number(part.share)))
        .collect();
    parts.join("; ")
}

/// The error table.
pub fn errors(state: &UiState, entity: &EntityView) -> Table {
    let first = head(&[
        "entity",
        "feature",
        "unit",
        "timestamp",
        "value",
        "expected",
        "lower",
        "upper",
        "error",
        "share",
    ]);
    let latest = entity.latest.as_deref();
    let rows = state.error_order(entity).into_iter().filter_map(|column| {
        let feature = entity.features.get(column)?;
        let judged = latest.and_then(|verdict| verdict.features.get(column));
        Some(vec![
            entity.entity.name().to_owned(),
            feature.feature.name.to_string(),
            feature.feature.unit.clone().into(),
            moment(latest.map(|verdict| verdict.time)),
            known(judged.map(|found| found.value).or(feature.values.last())),
            known(judged.map(|found| found.expected).or(feature.expected)),
            known(judged.map(|found| found.lower)),
            known(judged.map(|found| found.upper)),
            known(feature.mse),
            known(feature.share),
        ])
    });
    std::iter::once(first).chain(rows).collect()
}

/// The entities that the list shows, with their newest verdicts.
pub fn entities(state: &UiState, pipeline: &PipelineView) -> Table {
    let first = head(&["entity", "timestamp", "state", "score", "is_anomaly"]);
    let rows = state.entities(pipeline).into_iter().map(|(view, _)| {
        let latest = view.latest.as_deref();
        let judged = latest.filter(|verdict| verdict.score.is_some());
        vec![
            view.entity.name().to_owned(),
            moment(latest.map(|verdict| verdict.time)),
            latest.map_or("", |verdict| verdict.state.word()).to_owned(),
            known(latest.and_then(|verdict| verdict.score)),
            judged
                .map(|verdict| verdict.is_anomaly.to_string())
                .unwrap_or_default(),
        ]
    });
    std::iter::once(first).chain(rows).collect()
}

/// The models that are kept.
pub fn models(pipeline: &PipelineView) -> Table {
    let first = head(&[
        "version",
        "scores_now",
        "trained_at",
        "training_seconds",
        "trained_from",
        "trained_to",
        "windows",
        "epochs",
        "val_loss",
        "threshold",
        "threshold_rule",
        "decision",
    ]);
    let rows = pipeline.models.iter().map(|entry| {
        let model = &entry.model;
        vec![
            model.version.clone(),
            entry.is_current.to_string(),
            moment(Some(model.trained_at)),
            number(model.training_took.as_secs_f64()),
            moment(Some(model.trained_on.0)),
            moment(Some(model.trained_on.1)),
            model.windows.to_string(),
            model.epochs.to_string(),
            number(model.val_loss),
            number(model.threshold_mse),
            model.threshold_rule.clone(),
            entry
                .decision
                .as_ref()
                .map(crate::domain::Decision::told)
                .unwrap_or_default(),
        ]
    });
    std::iter::once(first).chain(rows).collect()
}

/// The losses of the training that runs, or of the last one as long as that has none yet.
pub fn training(pipeline: &PipelineView) -> Table {
    let ended = pipeline.last_training.as_ref().map(|last| &last.losses);
    let running = pipeline.training.as_ref().map(|now| &now.losses);
    let losses = running.filter(|losses| !losses.is_empty()).or(ended);
    let rows = losses.into_iter().flatten().enumerate();
    let rows = rows.map(|(at, loss)| vec![(at + 1).to_string(), number(*loss)]);
    std::iter::once(head(&["epoch", "val_loss"]))
        .chain(rows)
        .collect()
}
