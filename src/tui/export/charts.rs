//! The rows of the charts.

use std::collections::BTreeMap;

use crate::domain::{EntityView, FeatureVerdict, Time};
use crate::tui::state::UiState;
use crate::tui::view::plot::{Plot, Window};

use super::{Table, head, number};

/// Columns of what a chart shows of the future.
const AHEAD: [&str; 3] = ["yhat", "lower", "upper"];

/// All features that the filter lets through, in the shown time range.
pub fn panes(state: &UiState, entity: &EntityView) -> Table {
    let window = Window::of(state, entity);
    let order = state.order(entity);
    let plots: Vec<(String, Plot)> = order
        .iter()
        .filter_map(|column| window.plot(entity, *column))
        .map(|(feature, plot)| (feature.feature.name.to_string(), plot))
        .collect();
    let ahead = plots.iter().any(|(_, plot)| plot.forecast.is_some());
    let mut sheet = Sheet::new(entity);
    for (name, plot) in &plots {
        sheet.column(name.clone(), &window, &plot.values);
        if ahead {
            sheet.forecast(name, plot);
        }
    }
    sheet.judgement(entity, &window, plots.first().map(|(_, plot)| plot));
    sheet.table()
}

/// The selected feature, with what was expected where that is kept; `None` when there is none.
pub fn detail(state: &UiState, entity: &EntityView) -> Option<Table> {
    let column = state.selected_column(entity)?;
    let window = Window::of(state, entity);
    let (feature, plot) = window.plot(entity, column)?;
    let name = feature.feature.name.to_string();
    let mut sheet = Sheet::new(entity);
    sheet.column(name.clone(), &window, &plot.values);
    let judged: BTreeMap<Time, &FeatureVerdict> = entity
        .recent
        .iter()
        .filter_map(|verdict| Some((verdict.time, verdict.features.get(column)?)))
        .collect();
    let of = |pick: fn(&FeatureVerdict) -> f64| -> Vec<f64> {
        let times = window.grid.times();
        times
            .map(|time| judged.get(&time).map_or(f64::NAN, |found| pick(found)))
            .collect()
    };
    sheet.column("expected".into(), &window, &of(|found| found.expected));
    sheet.column("expected_lower".into(), &window, &of(|found| found.lower));
    sheet.column("expected_upper".into(), &window, &of(|found| found.upper));
    if plot.forecast.is_some() {
        sheet.forecast(&name, &plot);
    }
    sheet.judgement(entity, &window, Some(&plot));
    Some(sheet.table())
}

/// Columns of cells by time.
struct Sheet {
    entity: Option<String>,
    columns: Vec<(String, BTreeMap<Time, String>)>,
}

impl Sheet {
    fn new(entity: &EntityView) -> Self {
        let name = entity.entity.name().to_owned();
        Self {
            entity: (!entity.entity.is_sole()).then_some(name),
            columns: Vec::new(),
        }
    }

    fn column(&mut self, name: String, window: &Window<'_>, values: &[f64]) {
        let values = values.iter().copied().chain(std::iter::repeat(f64::NAN));
        let cells = window.grid.times().zip(values.map(number)).collect();
        self.columns.push((name, cells));
    }

    fn forecast(&mut self, name: &str, plot: &Plot) {
        for part in AHEAD {
            let cells = plot.forecast.as_deref().map(|forecast| {
                let values = match part {
                    "yhat" => &forecast.yhat,
                    "lower" => &forecast.lower,
                    _ => &forecast.upper,
                };
                let values = values.iter().copied().map(number);
                forecast.grid.times().zip(values).collect()
            });
            self.columns
                .push((format!("{name}_{part}"), cells.unwrap_or_default()));
        }
    }

    /// Score and anomaly of each row. A point of history that stands for several rows has no score; it is anomalous when one
    /// of them was.
    fn judgement(&mut self, entity: &EntityView, window: &Window<'_>, plot: Option<&Plot>) {
        let same = window.grid.step() == entity.grid.step();
        let rows = entity.grid.len();
        let (scores, flags) = (entity.scores.tail(rows), entity.anomalous.tail(rows));
        let (mut score, mut anomaly) = (BTreeMap::new(), BTreeMap::new());
        for (at, time) in window.grid.times().enumerate() {
            let row = entity.grid.row(time).filter(|_| same);
            if let Some(row) = row {
                score.insert(
                    time,
                    scores.get(row).copied().map(number).unwrap_or_default(),
                );
            }
            let flag = match row {
                Some(row) => flags.get(row).map(|flag| *flag > 0.5),
                None => plot.and_then(|plot| plot.hot.get(at).copied()),
            };
            anomaly.insert(time, flag.map(|flag| flag.to_string()).unwrap_or_default());
        }
        self.columns.push(("score".into(), score));
        self.columns.push(("is_anomaly".into(), anomaly));
    }

    fn table(self) -> Table {
        let mut first = head(&["timestamp"]);
        if self.entity.is_some() {
            first.push("entity".into());
        }
        first.extend(self.columns.iter().map(|(name, _)| name.clone()));
        let all = self.columns.iter().flat_map(|(_, cells)| cells.keys());
        let times: std::collections::BTreeSet<Time> = all.copied().collect();
        let rows = times.into_iter().map(|time| {
            let mut row = vec![time.to_string()];
            row.extend(self.entity.clone());
            let cells = self.columns.iter();
            row.extend(cells.map(|(_, cells)| cells.get(&time).cloned().unwrap_or_default()));
            row
        });
        std::iter::once(first).chain(rows).collect()
    }
}
