//! Vector registers: the instruction sets the kernel is compiled for, and the two curved functions on them.

use pulp::Simd;

/// An instruction set with what the kernel must know of it beyond pulp's [`Simd`].
pub(super) trait Lanes: Simd {
    /// Rows of a register tile that is four vectors wide: what fits beside the four vectors of weights.
    const ROWS: usize;

    /// `a · b + c`, fused where the machine can.
    fn fma(self, a: Self::f32s, b: Self::f32s, c: Self::f32s) -> Self::f32s;

    /// `x` held between `-limit` and `limit`; NaN stays NaN, so that a training that diverges is noticed.
    fn clamp(self, x: Self::f32s, limit: f32) -> Self::f32s;
}

macro_rules! x86_lanes {
    ($kind:ty, $rows:literal) => {
        impl Lanes for $kind {
            const ROWS: usize = $rows;

            #[inline(always)]
            fn fma(self, a: Self::f32s, b: Self::f32s, c: Self::f32s) -> Self::f32s {
                self.mul_add_e_f32s(a, b, c)
            }

            #[inline(always)]
            fn clamp(self, x: Self::f32s, limit: f32) -> Self::f32s {
                // Both instructions give their second operand when one is NaN.
                let below = self.min_f32s(self.splat_f32s(limit), x);
                self.max_f32s(self.splat_f32s(-limit), below)
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
x86_lanes!(pulp::x86::V4, 6);
#[cfg(target_arch = "x86_64")]
x86_lanes!(pulp::x86::V3, 2);

impl Lanes for pulp::Scalar128b {
    const ROWS: usize = 2;

    #[inline(always)]
    fn fma(self, a: Self::f32s, b: Self::f32s, c: Self::f32s) -> Self::f32s {
        // A fused multiply without the instruction would be a call into the C library.
        self.add_f32s(self.mul_f32s(a, b), c)
    }

    #[inline(always)]
    fn clamp(self, x: Self::f32s, limit: f32) -> Self::f32s {
        let mut held: [f32; 4] = pulp::bytemuck::cast(x);
        for value in &mut held {
            *value = value.clamp(-limit, limit);
        }
        pulp::bytemuck::cast(held)
    }
}

/// Beyond this tanh is 1 to the last bit of an f32 but one.
const LIMIT: f32 = 8.0;

/// tanh x ≈ x · P(x²) / Q(x²) for |x| ≤ [`LIMIT`]: a minimax fit of our own, lowest power first; both begin with 1. The
/// largest error in f32 is 3.1e-7.
const NUMERATOR: [f32; 4] = [1.344_450_3e-1, 3.571_603e-3, 2.189_474_3e-5, 1.523_053_3e-8];
const DENOMINATOR: [f32; 4] = [4.677_783e-1, 2.616_446e-2, 3.411_3e-4, 8.522_493e-7];

/// Numerator and denominator of tanh. The denominator is between 1 and 242, so four of them can be multiplied.
#[inline(always)]
fn tanh_ratio<S: Lanes>(simd: S, x: S::f32s) -> (S::f32s, S::f32s) {
    let x = simd.clamp(x, LIMIT);
    let square = simd.mul_f32s(x, x);
    let one = simd.splat_f32s(1.0);
    let series = |factors: &[f32; 4]| {
        let mut sum = simd.splat_f32s(factors[3]);
        for factor in [factors[2], factors[1], factors[0]] {
            sum = simd.fma(sum, square, simd.splat_f32s(factor));
        }
        simd.fma(sum, square, one)
    };
    (simd.mul_f32s(x, series(&NUMERATOR)), series(&DENOMINATOR))
}

/// Hyperbolic tangent, to 3.1e-7.
#[inline(always)]
pub(super) fn tanh<S: Lanes>(simd: S, x: S::f32s) -> S::f32s {
    let (above, below) = tanh_ratio(simd, x);
    simd.div_f32s(above, below)
}

/// Logistic function, as half of a tangent of half: to 1.6e-7.
#[inline(always)]
pub(super) fn sigmoid<S: Lanes>(simd: S, x: S::f32s) -> S::f32s {
    let half = simd.splat_f32s(0.5);
    simd.fma(tanh(simd, simd.mul_f32s(x, half)), half, half)
}

/// What is positive of x.
#[inline(always)]
pub(super) fn relu<S: Lanes>(simd: S, x: S::f32s) -> S::f32s {
    // With x second NaN stays NaN.
    simd.max_f32s(simd.splat_f32s(0.0), x)
}

/// `value` where `x` is positive, else 0.
#[inline(always)]
pub(super) fn where_positive<S: Lanes>(simd: S, x: S::f32s, value: S::f32s) -> S::f32s {
    let zero = simd.splat_f32s(0.0);
    simd.select_f32s(simd.less_than_f32s(zero, x), value, zero)
}

/// Activations of a cell's input, forget and output gate and of its candidate. Their divisions, the dearest part, are made
/// into one: 1/a = (1/abcd) · bcd.
#[inline(always)]
pub(super) fn gates<S: Lanes, const RELU: bool>(simd: S, sums: [S::f32s; 4]) -> [S::f32s; 4] {
    let one = simd.splat_f32s(1.0);
    let half = simd.splat_f32s(0.5);
    let halved = |x| tanh_ratio(simd, simd.mul_f32s(x, half));
    let (above_i, below_i) = halved(sums[0]);
    let (above_f, below_f) = halved(sums[1]);
    let (above_o, below_o) = halved(sums[2]);
    let (above_g, below_g) = if RELU {
        (relu(simd, sums[3]), one)
    } else {
        tanh_ratio(simd, sums[3])
    };
    let first = simd.mul_f32s(below_i, below_f);
    let second = simd.mul_f32s(below_o, below_g);
    let inverse = simd.div_f32s(one, simd.mul_f32s(first, second));
    let inverse_first = simd.mul_f32s(inverse, second);
    let inverse_second = simd.mul_f32s(inverse, first);
    let open = |above, inverse, other| {
        let tangent = simd.mul_f32s(above, simd.mul_f32s(inverse, other));
        simd.fma(tangent, half, half)
    };
    [
        open(above_i, inverse_first, below_f),
        open(above_f, inverse_first, below_i),
        open(above_o, inverse_second, below_g),
        if RELU {
            above_g
        } else {
            simd.mul_f32s(above_g, simd.mul_f32s(inverse_second, below_o))
        },
    ]
}
