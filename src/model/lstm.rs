//! One LSTM layer over a sequence, in candle's operations.
//!
//! The reference for the kernel: time first, all weights in one matrix, all biases in one vector, and an input that repeats
//! over time given once.

use candle_core::{Result, Tensor};

use crate::config::Activation;

/// Gates of a cell, in the order of the weights' columns: input, forget, output, candidate. The three that pass through
/// the sigmoid lie side by side, so one call serves them.
pub const GATES: usize = 4;

/// Place of the forget gate among the [`GATES`].
pub const FORGET: usize = 1;

/// Runs one layer (Hochreiter & Schmidhuber 1997, with the forget gate of Gers et al. 2000) from a zero state:
///
/// ```text
/// [i f o g] = [x_t h_(t−1)] · weights + bias       i, f, o through the sigmoid; g through the activation
/// c_t = f ∘ c_(t−1) + i ∘ g
/// h_t = o ∘ activation(c_t)
/// ```
///
/// - `input`: `[steps, batch, inputs]`, or `[1, batch, inputs]` for the same input in every step.
/// - `weights`: `[inputs + units, 4 · units]`, the rows of the input above those of the state.
/// - `bias`: `[4 · units]`.
///
/// Gives `[steps, batch, units]`. Gradients flow to all three. Any float type works; the network uses f32.
///
/// # Errors
/// candle's, when the shapes do not go together.
pub fn sequence(
    input: &Tensor,
    steps: usize,
    weights: &Tensor,
    bias: &Tensor,
    activation: Activation,
) -> Result<Tensor> {
    let (rows, batch, _) = input.dims3()?;
    let units = bias.dim(0)? / GATES;
    let (kind, device) = (input.dtype(), input.device());
    // The bias as one more row, met by a column of ones: adding it by broadcast would cost a sum over the batch for
    // every step on the way back. One product per step of input and state together is, under candle's autograd,
    // cheaper than projecting the whole input at once, because the way back through every slice of that projection
    // writes a gradient of its full size.
    let packed = Tensor::cat(&[weights, &bias.unsqueeze(0)?], 0)?;
    let ones = Tensor::ones((batch, 1), kind, device)?;
    let inputs = (0..rows)
        .map(|row| input.get(row))
        .collect::<Result<Vec<_>>>()?;
    let mut state = Tensor::zeros((batch, units), kind, device)?;
    let mut cell: Option<Tensor> = None;
    let mut outputs = Vec::with_capacity(steps);
    for x in inputs.iter().cycle().take(steps) {
        let gates = Tensor::cat(&[x, &state, &ones], 1)?.matmul(&packed)?;
        let open = candle_nn::ops::sigmoid(&gates.narrow(1, 0, 3 * units)?)?;
        let candidate = activate(&gates.narrow(1, 3 * units, units)?, activation)?;
        let mut next = (open.narrow(1, 0, units)? * candidate)?;
        if let Some(cell) = cell {
            next = ((open.narrow(1, units, units)? * cell)? + next)?;
        }
        state = (open.narrow(1, 2 * units, units)? * activate(&next, activation)?)?;
        cell = Some(next);
        outputs.push(state.clone());
    }
    Tensor::stack(&outputs, 0)
}

fn activate(values: &Tensor, activation: Activation) -> Result<Tensor> {
    match activation {
        Activation::Tanh => values.tanh(),
        Activation::Relu => values.relu(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{DType, Device, Var};
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    const STEPS: usize = 4;
    const BATCH: usize = 2;
    const INPUTS: usize = 3;
    const UNITS: usize = 2;

    /// Input, weights and bias of a small layer in f64, so that differences are exact enough.
    fn layer(rows: usize) -> [Var; 3] {
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        [
            vec![rows, BATCH, INPUTS],
            vec![INPUTS + UNITS, GATES * UNITS],
            vec![GATES * UNITS],
        ]
        .map(|dims| {
            let count = dims.iter().product();
            let values: Vec<f64> = (0..count).map(|_| rng.random_range(-1.0..1.0)).collect();
            Var::from_tensor(&Tensor::from_vec(values, dims, &Device::Cpu).unwrap()).unwrap()
        })
    }

    /// Sum of all outputs, each with its own weight, so that no gradient cancels.
    fn loss(layer: &[Var; 3], activation: Activation) -> Tensor {
        let [x, w, b] = layer;
        let out = sequence(x, STEPS, w, b, activation).unwrap();
        assert_eq!(out.dims(), [STEPS, BATCH, UNITS]);
        let count = f64::from(u32::try_from(out.elem_count()).unwrap());
        let weights = Tensor::arange(1.0, count + 1.0, &Device::Cpu).unwrap();
        (out.flatten_all().unwrap() * weights)
            .unwrap()
            .sum_all()
            .unwrap()
    }

    #[test]
    fn gradients_agree_with_finite_differences() {
        for (rows, activation) in [
            (STEPS, Activation::Tanh),
            (STEPS, Activation::Relu),
            (1, Activation::Tanh),
        ] {
            let layer = layer(rows);
            let gradients = loss(&layer, activation).backward().unwrap();
            for (place, var) in layer.iter().enumerate() {
                let gradient: Vec<f64> = gradients
                    .get(var)
                    .unwrap()
                    .flatten_all()
                    .unwrap()
                    .to_vec1()
                    .unwrap();
                let original: Vec<f64> = var.flatten_all().unwrap().to_vec1().unwrap();
                let at = |index: usize, move_by: f64| -> f64 {
                    let mut moved = original.clone();
                    moved[index] += move_by;
                    let moved = Tensor::from_vec(moved, var.dims(), &Device::Cpu).unwrap();
                    var.set(&moved).unwrap();
                    loss(&layer, activation).to_scalar().unwrap()
                };
                for (index, exact) in gradient.iter().enumerate() {
                    let difference = (at(index, 1e-5) - at(index, -1e-5)) / 2e-5;
                    assert!(
                        (difference - exact).abs() < 1e-6 * (1.0 + exact.abs()),
                        "{activation:?}, argument {place}, cell {index}: {exact} against {difference}"
                    );
                }
                at(0, 0.0);
            }
        }
    }

    #[test]
    fn a_repeated_input_equals_its_copies() {
        let [x, w, b] = layer(1);
        let copies = x
            .broadcast_as((STEPS, BATCH, INPUTS))
            .unwrap()
            .contiguous()
            .unwrap();
        let run = |x: &Tensor| -> Vec<f64> {
            let out = sequence(x, STEPS, &w, &b, Activation::Tanh).unwrap();
            out.flatten_all().unwrap().to_vec1().unwrap()
        };
        assert_eq!(run(&x), run(&copies));
    }

    #[test]
    fn one_step_is_the_written_formula() {
        let sigmoid = |v: f64| 1.0 / (1.0 + (-v).exp());
        let x = Tensor::new(&[[[2.0_f64]]], &Device::Cpu).unwrap();
        let w = Tensor::new(
            &[[0.1_f64, 0.2, 0.3, 0.4], [9.0, 9.0, 9.0, 9.0]],
            &Device::Cpu,
        )
        .unwrap();
        let b = Tensor::new(&[0.5_f64, 1.0, -0.5, 0.25], &Device::Cpu).unwrap();
        let out = sequence(&x, 1, &w, &b, Activation::Tanh).unwrap();
        assert_eq!(out.dtype(), DType::F64);
        let cell = sigmoid(0.7) * f64::tanh(1.05);
        let expected = sigmoid(0.1) * cell.tanh();
        let found = out.flatten_all().unwrap().to_vec1::<f64>().unwrap()[0];
        assert!((found - expected).abs() < 1e-12);
    }
}
