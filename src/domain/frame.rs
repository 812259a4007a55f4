//! Raw samples of one entity on a grid.

use std::sync::Arc;

use ndarray::{Array2, ArrayView1, ArrayView2, s};

use super::{Entity, Feature, Grid, Time};

/// The columns of a [`Frame`], in order; shared by every entity that has the same ones.
pub type Schema = Arc<[Feature]>;

/// Raw values of one entity: `[rows, features]`, row `i` at `grid.time(i)`. A missing value is NaN: that is the mask, so
/// a value can never disagree with it. Infinities never enter: sources turn them into missing values.
#[derive(Clone, Debug)]
pub struct Frame {
    entity: Entity,
    schema: Schema,
    grid: Grid,
    values: Array2<f64>,
}

impl Frame {
    /// A frame from its parts; `None` when the shape of `values` is not `[grid.len(), schema.len()]`.
    #[must_use]
    pub fn new(
        entity: Entity,
        schema: Schema,
        grid: Grid,
        mut values: Array2<f64>,
    ) -> Option<Self> {
        if values.dim() != (grid.len(), schema.len()) {
            return None;
        }
        values.mapv_inplace(|v| if v.is_finite() { v } else { f64::NAN });
        Some(Self {
            entity,
            schema,
            grid,
            values,
        })
    }

    /// A frame on which nothing was observed yet.
    #[must_use]
    pub fn missing(entity: Entity, schema: Schema, grid: Grid) -> Self {
        let values = Array2::from_elem((grid.len(), schema.len()), f64::NAN);
        Self {
            entity,
            schema,
            grid,
            values,
        }
    }

    /// Whose samples these are.
    #[must_use]
    pub const fn entity(&self) -> &Entity {
        &self.entity
    }

    /// The columns.
    #[must_use]
    pub const fn schema(&self) -> &Schema {
        &self.schema
    }

    /// The rows' times.
    #[must_use]
    pub const fn grid(&self) -> &Grid {
        &self.grid
    }

    /// All values, `[rows, features]`, NaN where missing.
    #[must_use]
    pub fn values(&self) -> ArrayView2<'_, f64> {
        self.values.view()
    }

    /// The values alone, `[rows, features]`, without a copy.
    #[must_use]
    pub fn into_values(self) -> Array2<f64> {
        self.values
    }

    /// One column, `None` when there is no such column.
    #[must_use]
    pub fn column(&self, feature: usize) -> Option<ArrayView1<'_, f64>> {
        (feature < self.schema.len()).then(|| self.values.column(feature))
    }

    /// Puts one sample at its grid time. Times off the grid (more than half a step from any row), unknown columns and
    /// non-finite values are left out; says whether the sample was taken.
    pub fn put(&mut self, time: Time, feature: usize, value: f64) -> bool {
        let Some(row) = self.grid.row(time) else {
            return false;
        };
        let Some(slot) = self.values.get_mut((row, feature)) else {
            return false;
        };
        let taken = value.is_finite();
        if taken {
            *slot = value;
        }
        taken
    }

    /// Rows `from..to` as a frame of their own, cut to what is there.
    #[must_use]
    pub fn slice(&self, from: usize, to: usize) -> Self {
        let grid = self.grid.slice(from, to);
        let to = to.min(self.grid.len());
        let values = self.values.slice(s![from.min(to)..to, ..]).to_owned();
        Self {
            entity: self.entity.clone(),
            schema: Arc::clone(&self.schema),
            grid,
            values,
        }
    }
}
