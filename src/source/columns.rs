//! A source's own columns brought into the order of an asked-for schema.

use std::ops::Range;
use std::sync::Arc;

use ndarray::{Array2, ArrayRef2};

use crate::domain::{Entity, Frame, Grid, Schema};

/// Which of a source's own columns goes where.
pub(super) struct Columns {
    schema: Schema,
    /// For each column of `schema`, the source's own one.
    from: Vec<Option<usize>>,
    /// The source's own columns that `schema` has no place for.
    pub(super) unknown: Vec<String>,
}

impl Columns {
    /// Matches by name; without `asked` the columns are the source's own.
    pub(super) fn new(own: &Schema, asked: Option<&Schema>) -> Self {
        let schema = Arc::clone(asked.unwrap_or(own));
        let position = |name: &str| own.iter().position(|f| &*f.name == name);
        let from: Vec<Option<usize>> = schema.iter().map(|f| position(&f.name)).collect();
        let unknown = (0..)
            .zip(own.iter())
            .filter(|(i, _)| !from.contains(&Some(*i)))
            .map(|(_, f)| f.name.to_string())
            .collect();
        Self {
            schema,
            from,
            unknown,
        }
    }

    /// Rows `rows` of `values` (in the source's own columns) as a frame on `grid`, which has as many rows. `None` when the
    /// rows are not there.
    pub(super) fn frame(
        &self,
        entity: Entity,
        grid: Grid,
        values: &ArrayRef2<f64>,
        rows: Range<usize>,
    ) -> Option<Frame> {
        let mut picked = Array2::from_elem((rows.len(), self.from.len()), f64::NAN);
        for (mut column, own) in picked.columns_mut().into_iter().zip(&self.from) {
            let Some(own) = own else { continue };
            for (slot, row) in column.iter_mut().zip(rows.clone()) {
                *slot = *values.get((row, *own))?;
            }
        }
        Frame::new(entity, Arc::clone(&self.schema), grid, picked)
    }
}
