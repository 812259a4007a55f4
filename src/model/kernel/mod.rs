//! The fused arithmetic of the autoencoder: all layers forth and back through time on one vector of weights.
//!
//! Compared with the plain formulation in candle's operations ([`super::lstm`]), which stays as the reference that tests
//! hold this against, it keeps a step's sums in registers until the new state is known, projects the repeated code once,
//! keeps what the way back needs in buffers that are used again, and shares one division among a cell's gates.
//!
//! `lanes` is a register and the curves on it, `tile` products of matrices, `layer` one LSTM layer, `dense` the last layer
//! and the error, `network` all of them, `adam` the optimiser. Registers are [pulp]'s, whose types are proof that the
//! machine has the instructions, so that there is no unsafe code here.
//!
//! Everything that is reached through `vectorize` is `#[inline(always)]`: what is not inlined into the function that pulp
//! compiles for an instruction set would be compiled without it.

// Shapes are checked where windows and weights come in; inside, checks are where slices are cut, outside of inner loops.
#![allow(clippy::indexing_slicing)]
#![allow(clippy::inline_always)]

mod adam;
mod dense;
mod lanes;
mod layer;
mod network;
#[cfg(test)]
mod tests;
mod tile;

use pulp::Simd;

/// Evaluates an expression with `simd` bound to the registers of an instruction set.
macro_rules! dispatch {
    ($instructions:expr, $simd:ident => $body:expr) => {
        match $instructions.0 {
            #[cfg(target_arch = "x86_64")]
            $crate::model::kernel::Set::Avx512($simd) => $body,
            #[cfg(target_arch = "x86_64")]
            $crate::model::kernel::Set::Avx2($simd) => $body,
            $crate::model::kernel::Set::Portable($simd) => $body,
        }
    };
}
use dispatch;

pub(crate) use adam::{Adam, add};
pub(crate) use network::{Half, Network, Workspace};

/// An instruction set that the kernel is compiled for and that this machine has: it can't be made otherwise.
#[derive(Clone, Copy)]
pub struct Instructions(Set);

#[derive(Clone, Copy)]
enum Set {
    #[cfg(target_arch = "x86_64")]
    Avx512(pulp::x86::V4),
    #[cfg(target_arch = "x86_64")]
    Avx2(pulp::x86::V3),
    Portable(pulp::Scalar128b),
}

impl Instructions {
    /// What this machine can run, best first.
    pub fn available() -> impl Iterator<Item = Self> {
        [
            #[cfg(target_arch = "x86_64")]
            pulp::x86::V4::try_new().map(Set::Avx512),
            #[cfg(target_arch = "x86_64")]
            pulp::x86::V3::try_new().map(Set::Avx2),
            Some(Set::Portable(pulp::Scalar128b)),
        ]
        .into_iter()
        .flatten()
        .map(Self)
    }

    /// The best that this machine can run.
    #[must_use]
    pub fn best() -> Self {
        let portable = Self(Set::Portable(pulp::Scalar128b));
        Self::available().next().unwrap_or(portable)
    }

    /// `avx512` (F, BW, CD, DQ, VL; 16 floats at once), `avx2` (with FMA; 8 floats), or `portable` (4 floats).
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Set::Avx512(_) => "avx512",
            #[cfg(target_arch = "x86_64")]
            Set::Avx2(_) => "avx2",
            Set::Portable(_) => "portable",
        }
    }

    /// Floats in a register.
    fn lanes(self) -> usize {
        fn lanes<S: Simd>(_: S) -> usize {
            S::F32_LANES
        }
        dispatch!(self, simd => lanes(simd))
    }
}

impl std::fmt::Debug for Instructions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
