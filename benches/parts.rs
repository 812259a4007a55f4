//! The parts of a tick and of a training, each by itself: `cargo bench --bench parts`.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ndarray::{Array2, Array3};
use pulsewatch::config::{AutoencoderConfig, Fill, ScalerKind};
use pulsewatch::domain::{Grid, Series, Time};
use pulsewatch::model::forecast::prophet::Prophet;
use pulsewatch::model::forecast::{Fit as _, Predict as _};
use pulsewatch::model::{Autoencoder, Instructions, Scratch, Shape, window_errors};
use pulsewatch::prep::gaps::{self, Look};
use pulsewatch::prep::scale::Scaler;

const FEATURES: usize = 17;

fn wave(row: usize, column: usize) -> f64 {
    50.0 + 40.0 * (row as f64 / (20.0 + column as f64)).sin()
}

/// The network's forward pass, on every instruction set of this machine.
fn reconstruct(criterion: &mut Criterion) {
    let shape = Shape::new(&AutoencoderConfig::default(), FEATURES);
    let network = Autoencoder::new(shape.clone(), 1).unwrap();
    let mut group = criterion.benchmark_group("reconstruct");
    for count in [1, 64] {
        let windows =
            Array3::from_shape_fn((count, shape.window, shape.columns), |(n, row, column)| {
                (wave(n + row, column) / 100.0) as f32
            });
        let (mut out, mut scratch) = (windows.clone(), Scratch::default());
        group.throughput(Throughput::Elements(count as u64));
        for instructions in Instructions::available() {
            let network = network.with_instructions(instructions);
            let id = BenchmarkId::new(instructions.name(), count);
            group.bench_function(id, |bencher| {
                bencher.iter(|| {
                    let windows = black_box(windows.view());
                    network
                        .reconstruct_into(windows, out.view_mut(), &mut scratch)
                        .unwrap();
                });
            });
        }
    }
    group.finish();
}

/// From a window and its reconstruction to errors per feature.
fn errors(criterion: &mut Criterion) {
    let shape = (64, 20, FEATURES + 2);
    let (input, output) = (Array3::<f32>::zeros(shape), Array3::<f32>::ones(shape));
    let mask = Array2::from_elem((64, FEATURES), true);
    criterion.bench_function("errors of 64 windows", |bencher| {
        bencher.iter(|| window_errors(black_box(input.view()), output.view(), mask.view()));
    });
}

/// A day of minutes: gaps filled, then scaled.
fn prepare(criterion: &mut Criterion) {
    let mut raw = Array2::from_shape_fn((1_440, FEATURES), |(row, column)| wave(row, column));
    raw.iter_mut()
        .step_by(50)
        .for_each(|value| *value = f64::NAN);
    let scaler = Scaler::fit(ScalerKind::Minmax, raw.view());
    let fallback = scaler.fallback(Fill::FfillBfill);
    criterion.bench_function("fill 1,440 rows", |bencher| {
        bencher.iter(|| {
            gaps::fill(
                black_box(raw.view()),
                Fill::FfillBfill,
                Look::Back,
                5,
                &fallback,
            )
        });
    });
    let filled = gaps::fill(raw.view(), Fill::FfillBfill, Look::Back, 5, &fallback);
    criterion.bench_function("scale 1,440 rows", |bencher| {
        bencher.iter(|| scaler.transform(black_box(filled.values.view())));
    });
}

/// A week of ten-minute rows, as the dashboard forecasts it.
fn forecast(criterion: &mut Criterion) {
    let grid = Grid::new(
        Time::from_secs(1_700_000_000),
        Duration::from_secs(600),
        1_008,
    );
    let values: Vec<f64> = (0..grid.len()).map(|row| wave(row, 3)).collect();
    let prophet = Prophet::default();
    criterion.bench_function("forecast of 1,008 rows", |bencher| {
        bencher.iter(|| {
            let model = prophet.fit(&grid, black_box(&values)).unwrap();
            model.predict(60, 0.9).unwrap()
        });
    });
}

/// What a snapshot shares: a row taken while readers hold the last one.
fn publish(criterion: &mut Criterion) {
    let mut series: Vec<Series> = (0..1_000).map(|_| Series::with_capacity(500)).collect();
    for row in 0..500 {
        series
            .iter_mut()
            .enumerate()
            .for_each(|(i, s)| s.push(wave(row, i)));
    }
    let mut row = 500;
    criterion.bench_function("row of 1,000 shared series", |bencher| {
        bencher.iter(|| {
            let held = series.clone();
            row += 1;
            series
                .iter_mut()
                .enumerate()
                .for_each(|(i, s)| s.push(wave(row, i)));
            held
        });
    });
}

criterion_group!(parts, reconstruct, errors, prepare, forecast, publish);
criterion_main!(parts);
