//! The answer to one scrape while it is being put together: series in, up to a cap.

use std::collections::BTreeMap;

use prometheus::proto::{
    Bucket, Counter, Gauge, Histogram as ProtoHistogram, LabelPair, Metric, MetricFamily,
    MetricType,
};

use super::families::{Family, Kind, NOT_EXPORTED};
use crate::domain::{Entity, Histogram, Labels};

/// Labels of a feature that are exported.
const MAX_LABELS: usize = 16;

/// The families of one scrape, under a cap. Holds at most `max_series` series; the rest is only counted.
pub(super) struct Scrape<'a> {
    prefix: &'a str,
    grouped: bool,
    room: usize,
    left_out: u64,
    families: Vec<MetricFamily>,
}

impl<'a> Scrape<'a> {
    /// Nothing yet. `grouped` puts the `entity` label on the families that are per entity.
    pub(super) fn new(prefix: &'a str, grouped: bool, max_series: usize) -> Self {
        Self {
            prefix,
            grouped,
            room: max_series,
            left_out: 0,
            families: Vec::new(),
        }
    }

    /// One family: `fill` puts its series in, in the order in which they are kept when the cap is near.
    pub(super) fn family(&mut self, family: &'static Family, fill: impl FnOnce(&mut Samples)) {
        let mut samples = Samples {
            family,
            grouped: self.grouped,
            room: &mut self.room,
            left_out: &mut self.left_out,
            metrics: Vec::new(),
        };
        fill(&mut samples);
        let metrics = samples.metrics;
        self.push(family, metrics);
    }

    /// A family of one series without labels; nothing when the value is unknown.
    pub(super) fn single(&mut self, family: &'static Family, value: Option<f64>) {
        self.family(family, |out| {
            if let Some(value) = value {
                out.put(None, &[], value);
            }
        });
    }

    fn push(&mut self, family: &'static Family, metrics: Vec<Metric>) {
        if metrics.is_empty() {
            return;
        }
        let mut proto = MetricFamily::default();
        proto.set_name(format!("{}{}", self.prefix, family.name));
        proto.set_help(family.help.to_owned());
        proto.set_field_type(match family.kind {
            Kind::Gauge => MetricType::GAUGE,
            Kind::Counter => MetricType::COUNTER,
            Kind::Histogram => MetricType::HISTOGRAM,
        });
        proto.set_metric(metrics);
        self.families.push(proto);
    }

    /// All families, with the count of what was left out (itself outside the cap).
    pub(super) fn finish(mut self) -> Vec<MetricFamily> {
        let metric = scalar(Kind::Gauge, Vec::new(), self.left_out as f64);
        self.push(&NOT_EXPORTED, vec![metric]);
        self.families
    }
}

/// The series of one family.
pub(super) struct Samples<'a> {
    family: &'static Family,
    grouped: bool,
    room: &'a mut usize,
    left_out: &'a mut u64,
    metrics: Vec<Metric>,
}

impl Samples<'_> {
    /// Adds one series; `values` are those of the family's labels, in that order. A NaN is unknown and left out; a series
    /// over the cap is counted and left out.
    pub(super) fn put(&mut self, entity: Option<&Entity>, values: &[&str], value: f64) {
        if !value.is_nan() && self.take(1) {
            let labels = self.labels(entity, values);
            self.metrics.push(scalar(self.family.kind, labels, value));
        }
    }

    /// As [`Samples::put`], with labels of a feature: at most [`MAX_LABELS`], each under its name after `label_`.
    pub(super) fn put_labelled(&mut self, values: &[&str], own: &Labels, value: f64) {
        if self.take(1) {
            let mut labels = self.labels(None, values);
            let own = own.iter().filter(|(_, value)| !value.is_empty());
            let own: BTreeMap<String, &String> =
                own.map(|(name, value)| (label(name), value)).collect();
            labels.extend(
                own.into_iter()
                    .take(MAX_LABELS)
                    .map(|(name, value)| pair(&name, value)),
            );
            self.metrics.push(scalar(self.family.kind, labels, value));
        }
    }

    /// Adds a histogram.
    pub(super) fn histogram(&mut self, histogram: &Histogram) {
        // One per bucket, and `+Inf`, `_sum`, `_count`.
        if self.take(histogram.buckets.len() + 3) {
            let mut metric = Metric::from_label(self.labels(None, &[]));
            metric.set_histogram(to_proto(histogram));
            self.metrics.push(metric);
        }
    }

    fn take(&mut self, series: usize) -> bool {
        if let Some(room) = self.room.checked_sub(series) {
            *self.room = room;
            return true;
        }
        *self.left_out += u64::try_from(series).unwrap_or(u64::MAX);
        false
    }

    fn labels(&self, entity: Option<&Entity>, values: &[&str]) -> Vec<LabelPair> {
        let entity = entity.filter(|_| self.grouped && self.family.per_entity);
        entity
            .map(|entity| pair("entity", entity.name()))
            .into_iter()
            .chain(
                self.family
                    .labels
                    .iter()
                    .zip(values)
                    .map(|(n, v)| pair(n, v)),
            )
            .collect()
    }
}

/// A source's label under a name of our own, in the letters that every server takes.
fn label(name: &str) -> String {
    let plain = |letter: char| {
        if letter.is_ascii_alphanumeric() {
            letter
        } else {
            '_'
        }
    };
    format!("label_{}", name.chars().map(plain).collect::<String>())
}

fn pair(name: &str, value: &str) -> LabelPair {
    let mut pair = LabelPair::default();
    pair.set_name(name.to_owned());
    pair.set_value(value.to_owned());
    pair
}

fn scalar(kind: Kind, labels: Vec<LabelPair>, value: f64) -> Metric {
    let mut metric = Metric::from_label(labels);
    if kind == Kind::Counter {
        let mut counter = Counter::default();
        counter.set_value(value);
        metric.set_counter(counter);
    } else {
        let mut gauge = Gauge::default();
        gauge.set_value(value);
        metric.set_gauge(gauge);
    }
    metric
}

fn to_proto(histogram: &Histogram) -> ProtoHistogram {
    let buckets = histogram.buckets.iter().map(|(bound, count)| {
        let mut bucket = Bucket::default();
        bucket.set_upper_bound(*bound);
        bucket.set_cumulative_count(*count);
        bucket
    });
    let mut proto = ProtoHistogram::default();
    proto.set_bucket(buckets.collect());
    proto.set_sample_sum(histogram.sum);
    proto.set_sample_count(histogram.count);
    proto
}
