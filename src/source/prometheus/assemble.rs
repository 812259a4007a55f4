//! From label sets to entities and features: who a series belongs to and which column it fills.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ndarray::Array2;

use super::gather::{Gathered, Query};
use super::labels::named;
use crate::config::EntitiesConfig;
use crate::domain::{Entity, Feature, Frame, Grid, Labels, Schema};
use crate::source::Batch;

/// Names of unknown series that are told.
const MAX_UNKNOWN: usize = 1000;

/// One label set of one query, on its way to a column.
struct Series<'q> {
    query: &'q Query,
    labels: Labels,
    periods: Vec<Option<Vec<f64>>>,
}

/// What all queries gave, as frames of one schema: the given one, or all that was found.
pub(super) fn assemble(
    parts: Vec<(&Query, Gathered)>,
    rules: &EntitiesConfig,
    grids: &[Grid],
    given: Option<&Schema>,
) -> Batch {
    let mut batch = Batch::default();
    let mut entities: BTreeMap<Entity, Vec<Series>> = BTreeMap::new();
    for (query, gathered) in parts {
        crowded(query, &gathered, &mut batch);
        for (labels, periods) in gathered.series {
            let entity = Entity::of(&labels, &rules.group_by);
            let labels = own_labels(labels, rules);
            entities.entry(entity).or_default().push(Series {
                query,
                labels,
                periods,
            });
        }
    }
    limit_entities(&mut entities, rules, &mut batch);
    let schema = match given {
        Some(schema) => Arc::clone(schema),
        None => found(&entities, rules, &mut batch),
    };
    let sole = rules.group_by.is_empty() && !schema.is_empty();
    if sole {
        // The only entity there is stays visible when nothing is known of it.
        entities.entry(Entity::sole()).or_default();
    }
    let columns = Columns::of(&schema);
    let mut unknown = BTreeSet::new();
    let mut clashes: BTreeMap<&str, usize> = BTreeMap::new();
    for (entity, series) in entities {
        let mut placed: Vec<Vec<Series>> = schema.iter().map(|_| Vec::new()).collect();
        for one in series {
            match columns
                .place(&one)
                .and_then(|column| placed.get_mut(column))
            {
                Some(column) => column.push(one),
                None if given.is_some() => {
                    unknown.insert(named(&one.query.alias, &one.labels));
                }
                // Left out by a cap, counted and told there.
                None => {}
            }
        }
        for (period, grid) in grids.iter().enumerate() {
            let observed = |one: &Series| one.periods.get(period).is_some_and(Option::is_some);
            if sole || placed.iter().flatten().any(observed) {
                let values = fill(&placed, period, grid, &mut clashes);
                let schema = Arc::clone(&schema);
                batch
                    .frames
                    .extend(Frame::new(entity.clone(), schema, *grid, values));
            }
        }
    }
    batch.unknown = unknown.into_iter().take(MAX_UNKNOWN).collect();
    for (alias, count) in clashes {
        batch.warnings.push(format!(
            "query `{alias}`: {count} series share a feature with another series at the same times; the first in the order of their labels is taken. Aggregate in the expression (as in `sum by (…)`), or take the label that tells them apart out of [entities] ignore_labels"
        ));
    }
    batch
}

fn crowded(query: &Query, gathered: &Gathered, batch: &mut Batch) {
    let count = gathered.crowded.len();
    if count > 0 {
        batch.dropped += count as u64;
        batch.warnings.push(format!(
            "query `{}`: {count} series were left out because they do not fit into memory; narrow the expression, shorten [history] period or take a longer [source] step",
            query.alias
        ));
    }
}

/// The labels that can tell one feature from another.
fn own_labels(mut labels: Labels, rules: &EntitiesConfig) -> Labels {
    labels.retain(|name, value| {
        name != "__name__"
            && !value.is_empty()
            && !rules.group_by.contains(name)
            && !rules.ignore_labels.contains(name)
    });
    labels
}

fn limit_entities(
    entities: &mut BTreeMap<Entity, Vec<Series>>,
    rules: &EntitiesConfig,
    batch: &mut Batch,
) {
    let (all, mut dropped) = (entities.len(), 0);
    while entities.len() > rules.max {
        let Some((_, series)) = entities.pop_last() else {
            break;
        };
        dropped += series.len();
    }
    if dropped > 0 {
        batch.dropped += dropped as u64;
        batch.warnings.push(format!(
            "{all} entities were found and [entities] max = {} are watched, the first by name; {} entities ({dropped} series) are left out: raise max, or narrow the expressions",
            rules.max,
            all - entities.len()
        ));
    }
}

/// The features of all series, by name. A query's label sets are told apart by the labels that differ among them, over all
/// entities; a label that a set lacks counts as empty, as in PromQL.
fn found(
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
    let mut features = BTreeMap::new();
    for (query, sets) in queries.values() {
        let differing = differing(sets);
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

fn feature(query: &Query, labels: Labels) -> Feature {
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
struct Columns<'s>(BTreeMap<&'s str, Vec<(usize, &'s Labels)>>);

impl<'s> Columns<'s> {
    fn of(schema: &'s [Feature]) -> Self {
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
    fn place(&self, series: &Series) -> Option<usize> {
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
}

/// The values of one entity in one period, `[rows, features]`.
fn fill<'q>(
    placed: &[Vec<Series<'q>>],
    period: usize,
    grid: &Grid,
    clashes: &mut BTreeMap<&'q str, usize>,
) -> Array2<f64> {
    let mut values = Array2::from_elem((grid.len(), placed.len()), f64::NAN);
    for (series, mut column) in placed.iter().zip(values.columns_mut()) {
        for one in series {
            let Some(Some(rows)) = one.periods.get(period) else {
                continue;
            };
            let mut clash = false;
            for (slot, value) in column.iter_mut().zip(rows) {
                if slot.is_nan() {
                    *slot = *value;
                } else if !value.is_nan() {
                    clash = true;
                }
            }
            if clash {
                *clashes.entry(&one.query.alias).or_default() += 1;
            }
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::time::Duration;

    use super::super::block::Block;
    use super::super::cache::Key;
    use super::*;
    use crate::config::SourceConfig;
    use crate::domain::{Direction, Time, Unit};

    fn grid(len: usize) -> Grid {
        Grid::new(Time::from_secs(0), Duration::from_secs(60), len)
    }

    fn query(alias: &str) -> Query {
        Query {
            alias: alias.into(),
            expr: alias.into(),
            unit: Unit::Percent,
            direction: Direction::Above,
            limit: Some(90.0),
            key: Key::new(&SourceConfig::default(), "", &[], alias, 10),
        }
    }

    fn labels(text: &str) -> Labels {
        let pairs = text.split(',').filter(|p| !p.is_empty());
        pairs
            .map(|pair| pair.split_once('=').unwrap())
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }

    fn gathered(series: &[(&str, [f64; 2])]) -> Gathered {
        let mut block = Block::empty(grid(2));
        for (set, values) in series {
            block.series.insert(labels(set), values.to_vec());
        }
        let mut all = Gathered::default();
        all.add(&block, &[grid(2)], &AtomicUsize::new(1000));
        all
    }

    fn rules(group_by: &[&str], ignore: &[&str]) -> EntitiesConfig {
        let owned = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect();
        EntitiesConfig {
            group_by: owned(group_by),
            ignore_labels: owned(ignore),
            ..EntitiesConfig::default()
        }
    }

    fn names(batch: &Batch) -> Vec<String> {
        let schema = batch.frames[0].schema();
        schema.iter().map(|f| f.name.to_string()).collect()
    }

    fn column(batch: &Batch, frame: usize, column: usize) -> Vec<f64> {
        batch.frames[frame].column(column).unwrap().to_vec()
    }

    #[test]
    fn label_sets_are_named_by_what_differs_over_all_entities() {
        let disk = query("disk");
        let part = gathered(&[
            ("__name__=d,instance=a,job=j,device=sda", [1.0, 2.0]),
            ("__name__=d,instance=a,job=j,device=sdb", [3.0, 4.0]),
            ("__name__=d,instance=b,job=j,device=sda", [5.0, 6.0]),
        ]);
        let batch = assemble(
            vec![(&disk, part)],
            &rules(&["instance"], &[]),
            &[grid(2)],
            None,
        );
        assert_eq!(
            names(&batch),
            [r#"disk{device="sda"}"#, r#"disk{device="sdb"}"#]
        );
        assert_eq!(batch.frames.len(), 2);
        assert_eq!(batch.frames[1].entity().name(), "b");
        assert_eq!(column(&batch, 1, 0), [5.0, 6.0]);
        assert!(column(&batch, 1, 1).iter().all(|v| v.is_nan()));
        let feature = &batch.frames[0].schema()[0];
        assert_eq!(feature.labels, labels("device=sda"));
        assert_eq!(
            (feature.limit, feature.direction),
            (Some(90.0), Direction::Above)
        );
    }

    #[test]
    fn one_set_is_the_alias_alone_and_a_lacking_label_differs() {
        let (cpu, net) = (query("cpu"), query("net"));
        let parts = vec![
            (&cpu, gathered(&[("instance=a,mode=idle", [1.0, 2.0])])),
            (
                &net,
                gathered(&[("", [1.0, 2.0]), ("dev=eth0", [3.0, 4.0])]),
            ),
        ];
        let batch = assemble(parts, &rules(&[], &[]), &[grid(2)], None);
        assert_eq!(names(&batch), ["cpu", "net", r#"net{dev="eth0"}"#]);
        assert_eq!(column(&batch, 0, 1), [1.0, 2.0]);
        assert_eq!(column(&batch, 0, 2), [3.0, 4.0]);
        assert!(batch.warnings.is_empty());
    }

    #[test]
    fn ignored_labels_join_series_and_a_clash_is_told() {
        let pods = query("pods");
        let nan = f64::NAN;
        let join = |second| {
            let part = gathered(&[("pod=x1,app=web", [1.0, nan]), ("pod=x2,app=web", second)]);
            assemble(vec![(&pods, part)], &rules(&[], &["pod"]), &[grid(2)], None)
        };
        let handover = join([nan, 2.0]);
        assert_eq!(names(&handover), ["pods"]);
        assert_eq!(column(&handover, 0, 0), [1.0, 2.0]);
        assert!(handover.warnings.is_empty());
        let clash = join([7.0, 2.0]);
        assert_eq!(column(&clash, 0, 0), [1.0, 2.0]);
        assert!(
            clash.warnings[0].contains("`pods`: 1 series"),
            "{:?}",
            clash.warnings
        );
    }

    #[test]
    fn a_given_schema_is_kept_and_the_rest_is_unknown() {
        let disk = query("disk");
        let all = gathered(&[("dev=a", [1.0, 1.0]), ("dev=b", [2.0, 2.0])]);
        let first = assemble(vec![(&disk, all)], &rules(&[], &[]), &[grid(2)], None);
        let schema = Arc::clone(first.frames[0].schema());
        let later = gathered(&[("dev=b", [3.0, 3.0]), ("dev=c", [4.0, 4.0])]);
        let batch = assemble(
            vec![(&disk, later)],
            &rules(&[], &[]),
            &[grid(2)],
            Some(&schema),
        );
        assert!(Arc::ptr_eq(batch.frames[0].schema(), &schema));
        assert!(column(&batch, 0, 0).iter().all(|v| v.is_nan()));
        assert_eq!(column(&batch, 0, 1), [3.0, 3.0]);
        assert_eq!(batch.unknown, [r#"disk{dev="c"}"#]);
        let nothing = assemble(
            vec![(&disk, Gathered::default())],
            &rules(&[], &[]),
            &[grid(2)],
            Some(&schema),
        );
        assert_eq!(nothing.frames.len(), 1);
    }

    #[test]
    fn caps_keep_the_first_by_name_and_say_which_key_to_change() {
        let disk = query("disk");
        let series = [
            ("host=a,dev=1", [1.0; 2]),
            ("host=a,dev=2", [1.0; 2]),
            ("host=b,dev=3", [1.0; 2]),
            ("host=c,dev=1", [1.0; 2]),
        ];
        let mut rules = rules(&["host"], &[]);
        rules.max = 2;
        rules.max_features = 2;
        let batch = assemble(vec![(&disk, gathered(&series))], &rules, &[grid(2)], None);
        assert_eq!(names(&batch), [r#"disk{dev="1"}"#, r#"disk{dev="2"}"#]);
        assert_eq!(batch.dropped, 2);
        assert!(batch.warnings[0].contains("[entities] max = 2"));
        assert!(batch.warnings[1].contains("[entities] max_features = 2"));
        assert_eq!(batch.frames.len(), 1);
        // What a model was trained on is never cut.
        let schema: Schema = (1..=3)
            .map(|dev| feature(&disk, labels(&format!("dev={dev}"))))
            .collect();
        let batch = assemble(
            vec![(&disk, gathered(&series))],
            &rules,
            &[grid(2)],
            Some(&schema),
        );
        assert_eq!(names(&batch).len(), 3);
        assert_eq!(batch.frames.len(), 2);
    }

    #[test]
    fn nothing_found_is_no_frame() {
        let disk = query("disk");
        let batch = assemble(
            vec![(&disk, Gathered::default())],
            &rules(&[], &[]),
            &[grid(2)],
            None,
        );
        assert!(batch.frames.is_empty());
    }
}
