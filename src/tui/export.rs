//! What is shown, as a table of comma-separated values: times in RFC 3339, numbers in the metric's own unit, an empty cell
//! where nothing is known.

mod charts;
mod tables;

use crate::domain::{Snapshot, Time};

use super::action::Effect;
use super::state::{Panel, Place, UiState};

/// Rows of cells; the first is the head.
type Table = Vec<Vec<String>>;

/// The table of what is shown; what lies over the charts gives the charts. `None` when there is nothing yet.
pub fn table(state: &UiState, snapshot: &Snapshot) -> Option<Effect> {
    let pipeline = state.pipeline(snapshot)?;
    let (name, table) = match state.place() {
        Place::Log | Place::Panel(Panel::Log) => ("anomalies", tables::anomalies(state, pipeline)),
        Place::Panel(Panel::Errors) => ("errors", tables::errors(state, state.shown(snapshot)?)),
        Place::Panel(Panel::Entities) => ("entities", tables::entities(state, pipeline)),
        Place::Panel(Panel::Models) => ("models", tables::models(pipeline)),
        Place::Panel(Panel::Training) => ("training", tables::training(pipeline)),
        Place::Detail => ("metric", charts::detail(state, state.shown(snapshot)?)?),
        Place::Panes | Place::Panel(Panel::Help | Panel::Why | Panel::Health) => {
            let entity = state.shown(snapshot)?;
            if state.expanded {
                ("metric", charts::detail(state, entity)?)
            } else {
                ("metrics", charts::panes(state, entity))
            }
        }
    };
    let csv = csv(&table);
    Some(Effect::Export { name, csv })
}

/// Quoted as RFC 4180 says.
fn csv(table: &Table) -> String {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for row in table {
        // Memory takes every row, and all are equally long.
        let _ = writer.write_record(row);
    }
    String::from_utf8(writer.into_inner().unwrap_or_default()).unwrap_or_default()
}

fn head(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn number(value: f64) -> String {
    if value.is_finite() {
        value.to_string()
    } else {
        String::new()
    }
}

fn known(value: Option<f64>) -> String {
    value.map(number).unwrap_or_default()
}

fn moment(time: Option<Time>) -> String {
    time.map(|time| time.to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_and_what_is_unknown_is_empty() {
        let table = vec![
            head(&["name", "value"]),
            vec!["a, \"b\"".into(), number(f64::NAN)],
            vec!["温度".into(), number(1.5)],
        ];
        assert_eq!(csv(&table), "name,value\n\"a, \"\"b\"\"\",\n温度,1.5\n");
        assert_eq!(known(Some(f64::INFINITY)), "");
        assert_eq!(moment(Some(Time::from_secs(0))), "1970-01-01T00:00:00Z");
    }
}
