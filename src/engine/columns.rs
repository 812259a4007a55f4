//! Frames by entity, and columns by name.

use std::collections::BTreeMap;
use std::sync::Arc;

use ndarray::Array2;

use crate::domain::{Entity, Frame, Schema};

/// Frames of each entity, in order.
pub fn by_entity(frames: &[Frame]) -> BTreeMap<&Entity, Vec<&Frame>> {
    let mut map: BTreeMap<&Entity, Vec<&Frame>> = BTreeMap::new();
    for frame in frames {
        map.entry(frame.entity()).or_default().push(frame);
    }
    map
}

/// Whether two schemas have the same names in the same order.
pub fn same_names(a: &Schema, b: &Schema) -> bool {
    a.iter().map(|f| &f.name).eq(b.iter().map(|f| &f.name))
}

/// For each column of `schema`, the one of `old` by the same name.
pub fn places(schema: &Schema, old: &Schema) -> Vec<Option<usize>> {
    let place = |name: &str| old.iter().position(|o| &*o.name == name);
    schema.iter().map(|f| place(&f.name)).collect()
}

/// A frame with the columns of `schema`.
pub fn by_name(frame: &Frame, schema: &Schema) -> Option<Frame> {
    let from = places(schema, frame.schema());
    let shape = (frame.grid().len(), schema.len());
    let values = Array2::from_shape_fn(shape, |(row, column)| {
        let place = from.get(column).copied().flatten();
        place
            .and_then(|at| frame.values().get((row, at)).copied())
            .unwrap_or(f64::NAN)
    });
    Frame::new(
        frame.entity().clone(),
        Arc::clone(schema),
        *frame.grid(),
        values,
    )
}
