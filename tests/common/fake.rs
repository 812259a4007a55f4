//! A server that plays Prometheus: its series are functions of time, and it can be told to misbehave.

#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;

use pulsewatch::domain::Labels;

use super::misbehaving::{Answers, Reply, Request, Server};

/// A series' value at a second since the epoch.
pub type Value = Box<dyn Fn(i64) -> Option<f64> + Send>;

/// What the server has and how it behaves.
#[derive(Default)]
pub struct World {
    /// Expression, labels, values.
    series: Vec<(String, Labels, Value)>,
    /// No samples after this second.
    pub until: i64,
    /// What every request gets instead of its answer.
    pub trouble: Option<Reply>,
    /// What requests for one expression get instead.
    pub troubles: BTreeMap<String, Reply>,
    /// Requests for more grid times than this are never answered.
    pub silent_over: Option<i64>,
    /// Requests answered or not.
    pub asked: usize,
    /// Grid times asked for, over all requests.
    pub points: i64,
    /// Grid times of each request.
    pub widths: Vec<i64>,
}

impl World {
    /// Adds a series to what `expr` gives.
    pub fn add(
        &mut self,
        expr: &str,
        labels: &[(&str, &str)],
        value: impl Fn(i64) -> Option<f64> + Send + 'static,
    ) {
        let labels = labels
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        self.series.push((expr.to_owned(), labels, Box::new(value)));
    }

    /// Takes away all series of `expr`.
    pub fn forget(&mut self, expr: &str) {
        self.series.retain(|(own, _, _)| own != expr);
    }
}

impl Answers for World {
    fn answer(&mut self, request: Request) -> Reply {
        self.asked += 1;
        let form: HashMap<String, String> = url::form_urlencoded::parse(request.body.as_bytes())
            .into_owned()
            .collect();
        let expr = form.get("query").map_or("", String::as_str);
        let seconds = |name: &str| form.get(name).and_then(|text| text.parse::<f64>().ok());
        let (Some(start), Some(end), Some(step)) =
            (seconds("start"), seconds("end"), seconds("step"))
        else {
            return Reply::status(404, "", "not found");
        };
        let (start, end, step) = (start as i64, end as i64, (step as i64).max(1));
        self.points += (end - start) / step + 1;
        self.widths.push((end - start) / step + 1);
        if self
            .silent_over
            .is_some_and(|most| (end - start) / step + 1 > most)
        {
            return Reply::Silence;
        }
        let trouble = self.trouble.as_ref().or_else(|| self.troubles.get(expr));
        if let Some(trouble) = trouble {
            return trouble.clone();
        }
        let mut result = Vec::new();
        for (_, labels, value) in self.series.iter().filter(|(own, _, _)| own == expr) {
            let mut values = String::new();
            for time in (start..=end.min(self.until)).step_by(step as usize) {
                if let Some(value) = value(time) {
                    let comma = if values.is_empty() { "" } else { "," };
                    write!(values, "{comma}[{time},\"{}\"]", shown(value)).unwrap();
                }
            }
            if !values.is_empty() {
                let labels = serde_json::to_string(labels).unwrap();
                result.push(format!(r#"{{"metric":{labels},"values":[{values}]}}"#));
            }
        }
        Reply::matrix(&result.join(","))
    }
}

/// As Prometheus writes it.
fn shown(value: f64) -> String {
    if value == f64::INFINITY {
        "+Inf".into()
    } else if value == f64::NEG_INFINITY {
        "-Inf".into()
    } else {
        value.to_string()
    }
}

/// A server that plays Prometheus.
pub type Fake = Server<World>;

impl Fake {
    /// A server without any series.
    pub async fn start() -> Self {
        Self::saying(World::default()).await
    }
}
