//! Which columns there are: the label sets of each query, told apart by the labels that differ.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::assemble::Series;
use super::gather::Query;
use super::labels::named;
use crate::config::EntitiesConfig;
use crate::domain::{Entity, Feature, Labels, Schema};
use crate::source::Batch;

/// The features of all series, by name. A query's label sets are told apart by the labels that differ among them, over all
/// entities; a label that a set lacks counts as empty, as in PromQL. The metric's name tells series apart when nothing else
/// does: one that goes on under another name is the same feature.
pub(super) fn found(
    entities: &BTreeMap<Entity, Vec<Series>>,
    rules: &EntitiesConfig,
    batch: &mut Batch,
) -> Schema {
    let mut queries: BTreeMap<&str, (&Query, BTreeSet<&Labels>)> = BTreeMap::new();
    for one in entities.values().flatten() {
        let (_, sets) = queries
            .entry(&one.query.alias)
            .or_insert_with(|| (one.query, BTreeSet::new()));
        sets.insert(&one.labels);
    }
    let by_name = told_by_name(entities);
    let mut features = BTreeMap::new();
    for (query, sets) in queries.values() {
        let mut differing = differing(sets);
        if !by_name.contains(&*query.alias) {
            differing.remove(NAME);
        }
        for labels in sets {
            let value = |name: &&str| labels.get(*name).cloned().unwrap_or_default();
            let own: Labels = differing
                .iter()
                .map(|name| ((*name).to_owned(), value(name)))
                .collect();
            let feature = feature(query, own);
            features.insert(Arc::clone(&feature.name), feature);
        }
    }
    let schema: Schema = features.into_values().collect();
    let Some((kept, cut)) = schema
        .split_at_checked(rules.max_features)
        .filter(|(_, cut)| !cut.is_empty())
    else {
        return schema;
    };
    let columns = Columns::of(kept);
    let dropped = entities
        .values()
        .flatten()
        .filter(|one| columns.place(one).is_none())
        .count();
    batch.dropped += dropped as u64;
    let first = cut.first().map_or("", |feature| &feature.name);
    batch.warnings.push(format!(
        "{} features were found and [entities] max_features = {} are watched, the first by name; {} ({dropped} series) are left out, from `{first}` on: raise max_features, aggregate in the expressions, or name labels in [entities] group_by or ignore_labels",
        schema.len(),
        rules.max_features,
        cut.len()
    ));
    kept.into()
}

/// The label that holds a metric's name.
const NAME: &str = "__name__";

/// Queries that have series at the same times which differ in the metric's name only.
fn told_by_name<'s>(entities: &'s BTreeMap<Entity, Vec<Series>>) -> BTreeSet<&'s str> {
    let mut found = BTreeSet::new();
    for series in entities.values() {
        let mut alike: BTreeMap<(&str, Labels), Vec<&Series>> = BTreeMap::new();
        for one in series.iter().filter(|one| one.labels.contains_key(NAME)) {
            let mut labels = one.labels.clone();
            labels.remove(NAME);
            let alias: &'s str = &one.query.alias;
            let alike = alike.entry((alias, labels)).or_default();
            let name = one.labels.get(NAME);
            let differs = |other: &&&Series| other.labels.get(NAME) != name;
            if alike.iter().filter(differs).any(|other| other.meets(one)) {
                found.insert(alias);
            }
            alike.push(one);
        }
    }
    found
}

/// Names of the labels whose values are not the same in all sets.
fn differing<'l>(sets: &BTreeSet<&'l Labels>) -> BTreeSet<&'l str> {
    let names = sets.iter().flat_map(|labels| labels.keys());
    let names: BTreeSet<&str> = names.map(String::as_str).collect();
    let differs = |name: &&str| {
        let mut values = sets
            .iter()
            .map(|labels| labels.get(*name).map_or("", String::as_str));
        let first = values.next();
        values.any(|value| Some(value) != first)
    };
    names.into_iter().filter(differs).collect()
}

/// The feature of `query` that these labels tell from its others.
pub(super) fn feature(query: &Query, labels: Labels) -> Feature {
    let mut shown = labels.clone();
    shown.retain(|_, value| !value.is_empty());
    Feature {
        name: named(&query.alias, &shown).into(),
        query: Arc::clone(&query.alias),
        labels,
        unit: query.unit.clone(),
        direction: query.direction,
        limit: query.limit,
    }
}

/// Where the features of each query are, the ones with most labels first.
pub(super) struct Columns<'s>(BTreeMap<&'s str, Vec<(usize, &'s Labels)>>);

impl<'s> Columns<'s> {
    /// The columns of `schema`.
    pub fn of(schema: &'s [Feature]) -> Self {
        let mut queries: BTreeMap<&str, Vec<(usize, &Labels)>> = BTreeMap::new();
        for (column, feature) in schema.iter().enumerate() {
            queries
                .entry(&feature.query)
                .or_default()
                .push((column, &feature.labels));
        }
        for features in queries.values_mut() {
            features.sort_by_key(|(column, labels)| (usize::MAX - labels.len(), *column));
        }
        Self(queries)
    }

    /// The most specific feature of the same query whose labels the series all carries.
    pub fn place(&self, series: &Series) -> Option<usize> {
        let carries = |labels: &Labels| {
            labels
                .iter()
                .all(|(name, value)| series.labels.get(name).map_or("", String::as_str) == value)
        };
        let features = self.0.get(&*series.query.alias)?;
        features
            .iter()
            .find(|(_, labels)| carries(labels))
            .map(|(column, _)| *column)
    }

    /// What a series without a column is called: by the labels that tell its query's columns apart.
    pub fn name(&self, series: &Series) -> String {
        let mut labels = series.labels.clone();
        if let Some(features) = self.0.get(&*series.query.alias) {
            labels.retain(|name, _| features.iter().any(|(_, known)| known.contains_key(name)));
        }
        named(&series.query.alias, &labels)
    }
}
