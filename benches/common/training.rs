//! Seconds that an epoch of training takes, for one of the reference workloads.
//!
//! Options: `--json` prints nothing but one JSON object per figure, `--all` adds every other instruction set that this machine
//! has and the plain formulation in candle's operations.

use std::sync::atomic::AtomicBool;
use std::time::Instant;

use crate::median::median;
use crate::processor::resident_mb;
use candle_core::{Device, Tensor, Var};
use ndarray::Array2;
use pulsewatch::config::AutoencoderConfig;
use pulsewatch::model::{Autoencoder, Instructions, Shape, TrainOptions, plain, train};
use pulsewatch::prep::window::{Segment, WindowSet};
use serde_json::json;

/// What is trained on what.
pub struct Workload {
    pub name: &'static str,
    pub config: AutoencoderConfig,
    /// Rows of the series.
    pub rows: usize,
    /// Metrics; the calendar's two columns come on top.
    pub features: usize,
    /// Windows of an epoch.
    pub windows: usize,
    /// Epochs that count; one to warm up comes before.
    pub epochs: usize,
}

impl Workload {
    /// Measures and prints.
    pub fn run(mut self) {
        let json = std::env::args().any(|arg| arg == "--json");
        let all = std::env::args().any(|arg| arg == "--all");
        self.config.epochs = self.epochs + 1;
        self.config.patience = self.config.epochs;
        // More than are needed are set aside for training, then as many as are asked for are chosen.
        self.config.train_split.0 = 0.9;
        self.config.max_windows = self.windows;
        let shape = Shape::new(&self.config, self.features);
        let windows = waves(self.rows, &shape);
        for (place, instructions) in Instructions::available().enumerate() {
            if place > 0 && !all {
                break;
            }
            let (seconds, windows) = self.epoch(&shape, &windows, instructions);
            let name = if place == 0 {
                "pulsewatch".to_owned()
            } else {
                format!("pulsewatch-{}", instructions.name())
            };
            let figure = json!({
                "workload": self.name,
                "impl": name,
                "seconds": seconds,
                "windows": windows,
                "instructions": instructions.name(),
                "peak_rss_mb": resident_mb(std::process::id(), "VmHWM"),
            });
            print(json, &figure);
        }
        if all {
            self.growth(&shape, &windows, json);
            let seconds = self.candle(&shape, &windows);
            let figure = json!({"workload": self.name, "impl": "candle", "seconds": seconds});
            print(json, &figure);
        }
        let weights = shape.weights().unwrap_or(0);
        let flops = 6.0 * (weights * shape.window * self.windows) as f64;
        let peak = json!({
            "workload": "peak",
            "impl": "gemm",
            "gflops": peak_gflops(),
            "flops": {self.name: flops},
        });
        print(json, &peak);
    }

    /// How an epoch grows over a decade of windows.
    fn growth(&mut self, shape: &Shape, windows: &WindowSet, json: bool) {
        let most = self.windows;
        for part in [10, 3, 1] {
            self.config.max_windows = most / part;
            let (seconds, windows) = self.epoch(shape, windows, Instructions::best());
            let figure = json!({
                "workload": format!("{}-{windows}-windows", self.name),
                "impl": "pulsewatch",
                "seconds": seconds,
                "windows": windows,
            });
            print(json, &figure);
        }
    }

    /// Median seconds of an epoch, and its windows; validation is not counted.
    fn epoch(
        &self,
        shape: &Shape,
        windows: &WindowSet,
        instructions: Instructions,
    ) -> (f64, usize) {
        let mut options = TrainOptions::from(&self.config);
        options.instructions = instructions;
        let mut began = Instant::now();
        let mut seconds = Vec::new();
        let mut told = |progress: pulsewatch::model::Progress| {
            if progress.fraction >= 1.0 {
                // Told twice: after the last batch, then after validation.
                if seconds.len() < progress.epoch {
                    seconds.push(began.elapsed().as_secs_f64());
                }
                began = Instant::now();
            }
        };
        let cancel = AtomicBool::new(false);
        let trained = train(shape, &options, windows, &cancel, &mut told).unwrap();
        (median(&mut seconds[1..]), trained.windows)
    }

    /// Seconds of an epoch in candle's operations and its autograd, from eight batches; the optimiser is left out.
    fn candle(&self, shape: &Shape, windows: &WindowSet) -> f64 {
        let network = Autoencoder::new(shape.clone(), 1).unwrap();
        let variables: Vec<Var> = network
            .tensors()
            .unwrap()
            .iter()
            .map(|t| Var::from_tensor(t).unwrap())
            .collect();
        let weights: Vec<Tensor> = variables.iter().map(|v| v.as_tensor().clone()).collect();
        let batch = self.config.batch;
        let mut seconds: Vec<f64> = (0..8)
            .map(|i| {
                let began = Instant::now();
                let places: Vec<usize> = (i * batch..(i + 1) * batch).collect();
                let input = plain::time_first(windows.gather(&places).view()).unwrap();
                let output = plain::forward(shape, &weights, &input).unwrap();
                let loss = (output - input).unwrap().sqr().unwrap().mean_all().unwrap();
                loss.backward().unwrap();
                began.elapsed().as_secs_f64()
            })
            .collect();
        median(&mut seconds) * self.windows as f64 / batch as f64
    }
}

fn print(json: bool, figure: &serde_json::Value) {
    if json {
        println!("{figure}");
    } else {
        let text = |key: &str| figure[key].as_str().unwrap_or_default().to_owned();
        match figure["seconds"].as_f64() {
            Some(seconds) => println!("{} {}: {seconds:.3} s", text("workload"), text("impl")),
            None => println!(
                "peak of a product of matrices: {:.0} GFLOP/s",
                figure["gflops"].as_f64().unwrap_or(f64::NAN)
            ),
        }
    }
}

/// Best rate of a 1,024 × 1,024 product by the gemm crate (through candle), on all threads.
fn peak_gflops() -> f64 {
    let n = 1024;
    let a = Tensor::rand(0.0_f32, 1.0, (n, n), &Device::Cpu).unwrap();
    let best = (0..20)
        .map(|_| {
            let began = Instant::now();
            a.matmul(&a).unwrap();
            began.elapsed().as_secs_f64()
        })
        .fold(f64::INFINITY, f64::min);
    2.0 * (n * n * n) as f64 / best / 1e9
}

/// Sines of different periods, one per column, with a little noise.
fn waves(rows: usize, shape: &Shape) -> WindowSet {
    let features = shape.features();
    let values = Array2::from_shape_fn((rows, shape.columns), |(row, column)| {
        let turn = row as f32 / (60.0 + 20.0 * column as f32);
        let noise = ((row * 7919 + column * 104_729) % 1000) as f32 / 1000.0 - 0.5;
        0.5 + 0.4 * (turn * std::f32::consts::TAU).sin() + 0.05 * noise
    });
    let segment = Segment {
        observed: Array2::from_elem((rows, features), true),
        broken: vec![false; rows],
        values,
    };
    WindowSet::new(vec![segment], shape.window, 0.5).unwrap()
}
