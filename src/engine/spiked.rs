//! The end of a recording with fresh spikes in it, judged by a model that learned its beginning: what the older PulseWatch
//! called its test mode.

use std::collections::HashMap;
use std::sync::Arc;

use super::EngineError;
use super::backtest::replay;
use super::ledger::Ledger;
use super::pipeline::Pipeline;
use super::scorer::Scorer;
use crate::config::Config;
use crate::domain::{Frame, Spike, SpikedRows};
use crate::source::inject::{InjectSpec, InjectionKind, apply, deviations};

/// Rows that are shown and judged.
const ROWS: usize = 50;

/// Spikes that are put into them.
const SPIKES: usize = 2;

/// Judges the last 50 rows of `frame` with two spikes of ten standard deviations in them, at a column and a row each that
/// follow from `seed`. Nothing else is changed by it: the pipeline is its own, and ends with the answer.
///
/// # Errors
/// [`EngineError`] when the network can't score.
pub fn spiked(
    frame: &Frame,
    scorer: &Arc<Scorer>,
    config: &Config,
    seed: u64,
) -> Result<SpikedRows, EngineError> {
    let first = frame.grid().len().saturating_sub(ROWS);
    let mut values = frame.values().to_owned();
    let spread = deviations(&values, 0..first);
    let spec = InjectSpec {
        count: SPIKES,
        kind: Some(InjectionKind::Spike),
        seed,
    };
    let mut injected = Vec::new();
    for spike in spec.plan(&values, first..frame.grid().len(), &spread) {
        let feature = frame.schema().get(spike.column);
        if apply(&mut values, &spike, &spread)
            && let Some(feature) = feature
        {
            injected.push(Spike {
                time: frame.grid().time(spike.rows.start),
                feature: Arc::clone(&feature.name),
                deviations: spike.magnitude,
            });
        }
    }
    let (entity, schema) = (frame.entity().clone(), Arc::clone(frame.schema()));
    let grid = *frame.grid();
    let Some(rows) = Frame::new(entity, schema, grid, values) else {
        return Ok(SpikedRows::default());
    };
    let mut config = config.clone();
    config.ui.max_points = config.ui.max_points.max(ROWS + scorer.context());
    let mut pipeline = Pipeline::new(Arc::new(config), Ledger::new(None)?)?;
    pipeline.adopt(Arc::clone(scorer));
    let mut verdicts = HashMap::new();
    replay(&mut pipeline, &rows, first..grid.len(), &mut |_, new| {
        verdicts.extend(new.into_iter().map(|verdict| (verdict.time, verdict)));
    })?;
    let shown = rows.slice(first, grid.len());
    let verdict = |time| verdicts.get(&time);
    let times = || shown.grid().times();
    Ok(SpikedRows {
        times: times().collect(),
        features: shown
            .schema()
            .iter()
            .enumerate()
            .map(|(column, feature)| {
                let values = shown.values().column(column).to_vec();
                (Arc::clone(&feature.name), values)
            })
            .collect(),
        scores: times().map(|time| verdict(time)?.score).collect(),
        anomalous: times()
            .map(|time| verdict(time).is_some_and(|verdict| verdict.is_anomaly))
            .collect(),
        injected,
    })
}
