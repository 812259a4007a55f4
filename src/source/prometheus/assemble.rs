//! From label sets to entities and features: who a series belongs to and which column it fills.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ndarray::Array2;

use super::features::{Columns, found};
use super::gather::{Gathered, Query};
use crate::config::EntitiesConfig;
use crate::domain::{Entity, Frame, Grid, Labels, Schema};
use crate::source::Batch;

/// Names of unknown series that are told.
const MAX_UNKNOWN: usize = 1000;

/// Values that all frames of a collection may hold: 4 GiB.
const MAX_CELLS: usize = 1 << 29;

/// One label set of one query, on its way to a column.
pub(super) struct Series<'q> {
    /// Whose.
    pub query: &'q Query,
    /// Labels that can tell one feature from another, the metric's name (`__name__`) among them.
    pub labels: Labels,
    /// Values by period.
    periods: Vec<Option<Vec<f64>>>,
}

impl Series<'_> {
    /// Whether both have a value at some time.
    pub fn meets(&self, other: &Self) -> bool {
        let both = |(a, b): (&f64, &f64)| !a.is_nan() && !b.is_nan();
        let mut periods = self.periods.iter().zip(&other.periods);
        periods.any(|periods| matches!(periods, (Some(a), Some(b)) if a.iter().zip(b).any(both)))
    }
}

/// What all queries gave, as frames of one schema: the given one, or all that was found. Holds 8 bytes per entity, feature
/// and row, 4 GiB at most.
pub(super) fn assemble(
    parts: Vec<(&Query, Gathered)>,
    rules: &EntitiesConfig,
    grids: &[Grid],
    given: Option<&Schema>,
) -> Batch {
    let mut batch = Batch::default();
    let mut entities = by_entity(parts, rules, &mut batch);
    let limit = format!("[entities] max = {} are watched", rules.max);
    limit_entities(&mut entities, rules.max, &limit, &mut batch);
    let schema = match given {
        Some(schema) => Arc::clone(schema),
        None => found(&entities, rules, &mut batch),
    };
    let cells = grids.iter().map(Grid::len).sum::<usize>() * schema.len();
    let fit = (MAX_CELLS / cells.max(1)).max(1);
    let limit = format!("{fit} fit into memory");
    limit_entities(&mut entities, fit, &limit, &mut batch);
    let sole = rules.group_by.is_empty() && !schema.is_empty();
    if sole {
        // The only entity there is stays visible when nothing is known of it.
        entities.entry(Entity::sole()).or_default();
    }
    let columns = Columns::of(&schema);
    let mut unknown = BTreeSet::new();
    let mut clashes: Clashes = BTreeMap::new();
    for (entity, series) in entities {
        let (placed, rest) = spread(series, &columns, schema.len());
        unknown.extend(rest);
        for (period, grid) in grids.iter().enumerate() {
            let observed = |one: &Series| one.periods.get(period).is_some_and(Option::is_some);
            if sole || placed.iter().flatten().any(observed) {
                let values = fill((&entity, &placed), period, grid, &mut clashes);
                let frame = Frame::new(entity.clone(), Arc::clone(&schema), *grid, values);
                batch.frames.extend(frame);
            }
        }
    }
    if given.is_some() {
        // Without a given schema, what has no column was left out by a cap: counted and told there.
        batch.unknown = unknown.into_iter().take(MAX_UNKNOWN).collect();
    }
    tell_clashes(&clashes, &mut batch);
    batch
}

fn by_entity<'q>(
    parts: Vec<(&'q Query, Gathered)>,
    rules: &EntitiesConfig,
    batch: &mut Batch,
) -> BTreeMap<Entity, Vec<Series<'q>>> {
    let mut entities: BTreeMap<Entity, Vec<Series>> = BTreeMap::new();
    for (query, gathered) in parts {
        crowded(query, &gathered, batch);
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
    entities
}

/// The series of each column, and the names of those without one.
fn spread<'q>(
    series: Vec<Series<'q>>,
    columns: &Columns,
    count: usize,
) -> (Vec<Vec<Series<'q>>>, Vec<String>) {
    let mut placed: Vec<Vec<Series>> = (0..count).map(|_| Vec::new()).collect();
    let mut rest = Vec::new();
    for one in series {
        let column = columns.place(&one);
        match column.and_then(|column| placed.get_mut(column)) {
            Some(column) => column.push(one),
            None => rest.push(columns.name(&one)),
        }
    }
    (placed, rest)
}

/// By query the series whose place another one had taken: whose, in which column, which one there.
type Clashes<'q> = BTreeMap<&'q str, BTreeSet<(Entity, usize, usize)>>;

fn tell_clashes(clashes: &Clashes, batch: &mut Batch) {
    for (alias, series) in clashes {
        let count = series.len();
        batch.warnings.push(format!(
            "query `{alias}`: {count} series share a feature with another series at the same times; the first in the order of their labels is taken. Aggregate in the expression (as in `sum by (…)`), or take the label that tells them apart out of [entities] ignore_labels"
        ));
    }
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
        !value.is_empty() && !rules.group_by.contains(name) && !rules.ignore_labels.contains(name)
    });
    labels
}

fn limit_entities(
    entities: &mut BTreeMap<Entity, Vec<Series>>,
    most: usize,
    limit: &str,
    batch: &mut Batch,
) {
    let (all, mut dropped) = (entities.len(), 0);
    while entities.len() > most {
        let Some((_, series)) = entities.pop_last() else {
            break;
        };
        dropped += series.len();
    }
    if dropped > 0 {
        batch.dropped += dropped as u64;
        batch.warnings.push(format!(
            "{all} entities were found and {limit}, the first by name; {} entities ({dropped} series) are left out: raise max where memory allows, or narrow the expressions",
            all - entities.len()
        ));
    }
}

/// The values of one entity in one period, `[rows, features]`.
fn fill<'q>(
    (entity, placed): (&Entity, &[Vec<Series<'q>>]),
    period: usize,
    grid: &Grid,
    clashes: &mut Clashes<'q>,
) -> Array2<f64> {
    let mut values = Array2::from_elem((grid.len(), placed.len()), f64::NAN);
    let columns = placed.iter().zip(values.columns_mut()).enumerate();
    for (place, (series, mut column)) in columns {
        for (number, one) in series.iter().enumerate() {
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
                let series = clashes.entry(&one.query.alias).or_default();
                series.insert((entity.clone(), place, number));
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
    use super::super::features::feature;
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
            counter: false,
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
    fn series_that_differ_in_their_names_only_are_features_of_their_own() {
        let load = query("load");
        let part = || {
            gathered(&[
                ("__name__=load1,job=j", [1.0, 2.0]),
                ("__name__=load5,job=j", [3.0, 4.0]),
            ])
        };
        let batch = assemble(vec![(&load, part())], &rules(&[], &[]), &[grid(2)], None);
        let both = [r#"load{__name__="load1"}"#, r#"load{__name__="load5"}"#];
        assert_eq!(names(&batch), both);
        assert_eq!(column(&batch, 0, 1), [3.0, 4.0]);
        assert!(batch.warnings.is_empty(), "{:?}", batch.warnings);
        let schema = Arc::clone(batch.frames[0].schema());
        let later = assemble(
            vec![(&load, part())],
            &rules(&[], &[]),
            &[grid(2)],
            Some(&schema),
        );
        assert_eq!(column(&later, 0, 0), [1.0, 2.0]);
        assert!(later.unknown.is_empty());
        // One that goes on under another name, as in `new or old`, is one feature.
        let renamed = gathered(&[
            ("__name__=old,job=j", [1.0, f64::NAN]),
            ("__name__=new,job=j", [f64::NAN, 2.0]),
        ]);
        let batch = assemble(vec![(&load, renamed)], &rules(&[], &[]), &[grid(2)], None);
        assert_eq!(names(&batch), ["load"]);
        assert_eq!(column(&batch, 0, 0), [1.0, 2.0]);
    }

    #[test]
    fn a_clash_in_several_periods_counts_its_series_once() {
        let pods = query("pods");
        let mut block = Block::empty(grid(4));
        for pod in ["pod=x1", "pod=x2", "pod=x3"] {
            block.series.insert(labels(pod), vec![1.0; 4]);
        }
        let periods = [grid(2), Grid::new(grid(4).time(2), grid(4).step(), 2)];
        let mut all = Gathered::default();
        all.add(&block, &periods, &AtomicUsize::new(1000));
        let batch = assemble(vec![(&pods, all)], &rules(&[], &["pod"]), &periods, None);
        let words = "query `pods`: 2 series share a feature";
        assert!(batch.warnings[0].starts_with(words), "{:?}", batch.warnings);
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
