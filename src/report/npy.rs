//! NumPy's `.npy` files, format version 1.0: arrays of floats that Python reads with `numpy.load`.

use ndarray::{ArrayD, ArrayRef, Dimension, IxDyn};

const MAGIC: &[u8] = b"\x93NUMPY";
/// The data begins at a multiple of this.
const ALIGNMENT: usize = 64;
/// Axes of an array that is read; NumPy itself stops at 64.
const MOST_AXES: usize = 8;

/// Why bytes are no array that can be used.
#[derive(Debug, thiserror::Error)]
pub enum NpyError {
    /// Not the format.
    #[error("this is no .npy file: {0}")]
    Format(&'static str),
    /// An array of another kind.
    #[error(
        "this .npy file holds {0}; 32 or 64 bit little-endian floats in C order are understood"
    )]
    Unsupported(String),
    /// Header and data disagree.
    #[error(
        "this .npy file is damaged: its header promises {promised} bytes of data, there are {found}"
    )]
    Length {
        /// By shape and type.
        promised: usize,
        /// After the header.
        found: usize,
    },
    /// The header can't be written: it names more axes than it has room for.
    #[error("an array of {0} axes does not fit into a .npy header")]
    TooManyAxes(usize),
}

/// A number that an array may consist of.
pub trait Element: Copy {
    /// NumPy's name for it.
    const DESCR: &'static str;
    /// Appends its little-endian bytes.
    fn put(self, out: &mut Vec<u8>);
}

impl Element for f32 {
    const DESCR: &'static str = "<f4";
    fn put(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_le_bytes());
    }
}

impl Element for f64 {
    const DESCR: &'static str = "<f8";
    fn put(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_le_bytes());
    }
}

/// The array as the bytes of a `.npy` file, in C order whatever its layout. Holds a second copy of the data in memory.
///
/// # Errors
/// [`NpyError::TooManyAxes`] when the shape does not fit into a version 1.0 header (thousands of axes).
pub fn to_npy<T: Element, D: Dimension>(array: &ArrayRef<T, D>) -> Result<Vec<u8>, NpyError> {
    let numbers: Vec<String> = array.shape().iter().map(usize::to_string).collect();
    let mut axes = numbers.join(", ");
    if array.ndim() == 1 {
        // A Python tuple of one.
        axes.push(',');
    }
    let mut header = format!(
        "{{'descr': '{}', 'fortran_order': False, 'shape': ({axes}), }}",
        T::DESCR
    );
    let start = MAGIC.len() + 4;
    let padded = (start + header.len() + 1).next_multiple_of(ALIGNMENT) - start;
    let length = u16::try_from(padded).map_err(|_| NpyError::TooManyAxes(array.ndim()))?;
    header.extend(std::iter::repeat_n(' ', padded - 1 - header.len()));
    header.push('\n');
    let mut bytes = Vec::with_capacity(start + padded + array.len() * size_of::<T>());
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&[1, 0]);
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(header.as_bytes());
    for value in array {
        value.put(&mut bytes);
    }
    Ok(bytes)
}

/// Reads an array of 32 or 64 bit floats, the latter rounded to 32 bits. Never reserves more than the bytes at hand ask for.
///
/// # Errors
/// [`NpyError`] that says what is wrong with the bytes, or what they hold instead.
pub fn from_npy(bytes: &[u8]) -> Result<ArrayD<f32>, NpyError> {
    let (header, data) = split(bytes)?;
    let kind = entry(header, "descr")?;
    let kind = kind
        .strip_prefix(['\'', '"'])
        .and_then(|k| k.split(['\'', '"']).next())
        .ok_or_else(|| NpyError::Unsupported("records".into()))?;
    let width = match kind {
        "<f4" => 4,
        "<f8" => 8,
        other => return Err(NpyError::Unsupported(format!("elements of type `{other}`"))),
    };
    if !entry(header, "fortran_order")?.starts_with("False") {
        return Err(NpyError::Unsupported("an array in Fortran order".into()));
    }
    let shape = shape(entry(header, "shape")?)?;
    let promised = shape
        .iter()
        .try_fold(width, |product: usize, n| product.checked_mul(*n))
        .ok_or(NpyError::Format("its shape is too large to be true"))?;
    if promised != data.len() {
        return Err(NpyError::Length {
            promised,
            found: data.len(),
        });
    }
    let values: Vec<f32> = if width == 4 {
        data.as_chunks()
            .0
            .iter()
            .map(|b| f32::from_le_bytes(*b))
            .collect()
    } else {
        data.as_chunks()
            .0
            .iter()
            .map(|b| narrowed(f64::from_le_bytes(*b)))
            .collect()
    };
    ArrayD::from_shape_vec(IxDyn(&shape), values)
        .map_err(|_| NpyError::Format("its shape does not fit its data"))
}

/// The nearest 32 bit float.
#[allow(clippy::cast_possible_truncation)]
fn narrowed(value: f64) -> f32 {
    value as f32
}

/// The header's text and the data after it.
fn split(bytes: &[u8]) -> Result<(&str, &[u8]), NpyError> {
    let cut = NpyError::Format("it ends within its header");
    let rest = bytes
        .strip_prefix(MAGIC)
        .ok_or(NpyError::Format("it does not begin with \\x93NUMPY"))?;
    let (length, rest) = match rest {
        [1, _, a, b, rest @ ..] => (usize::from(u16::from_le_bytes([*a, *b])), rest),
        [2 | 3, _, a, b, c, d, rest @ ..] => {
            let length = u32::from_le_bytes([*a, *b, *c, *d]);
            (usize::try_from(length).unwrap_or(usize::MAX), rest)
        }
        [] | [1..=3, ..] => return Err(cut),
        _ => return Err(NpyError::Format("its version is unknown")),
    };
    let (header, data) = rest.split_at_checked(length).ok_or(cut)?;
    let header =
        std::str::from_utf8(header).map_err(|_| NpyError::Format("its header is no text"))?;
    Ok((header, data))
}

/// What follows `'key':` in the header, a Python dictionary.
fn entry<'a>(header: &'a str, key: &'static str) -> Result<&'a str, NpyError> {
    let wrong = NpyError::Format("its header lacks `descr`, `fortran_order` or `shape`");
    let at = header
        .find(&format!("'{key}'"))
        .or_else(|| header.find(&format!("\"{key}\"")));
    let Some(rest) = at.and_then(|at| header.get(at + key.len() + 2..)) else {
        return Err(wrong);
    };
    let value = rest.trim_start().strip_prefix(':').ok_or(wrong)?;
    Ok(value.trim_start())
}

/// `(3, 20, 8)`
fn shape(text: &str) -> Result<Vec<usize>, NpyError> {
    let wrong = || NpyError::Format("its shape is no tuple of numbers");
    let (axes, _) = text
        .strip_prefix('(')
        .and_then(|t| t.split_once(')'))
        .ok_or_else(wrong)?;
    let shape = axes
        .split(',')
        .map(str::trim)
        .filter(|n| !n.is_empty())
        .map(|n| n.trim_end_matches('L').parse().map_err(|_| wrong()))
        .collect::<Result<Vec<usize>, _>>()?;
    if shape.len() > MOST_AXES {
        return Err(NpyError::Unsupported(format!("{} axes", shape.len())));
    }
    Ok(shape)
}

#[cfg(test)]
mod tests {
    use ndarray::{Array1, Array3, array};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn bytes_are_those_of_the_format() {
        let bytes = to_npy(&array![[1.0_f32, 2.0], [3.0, f32::NAN]]).unwrap();
        assert_eq!(&bytes[..10], b"\x93NUMPY\x01\x00\x76\x00");
        let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2), }";
        assert_eq!(&bytes[10..10 + header.len()], header.as_bytes());
        assert!(bytes[10 + header.len()..127].iter().all(|b| *b == b' '));
        assert_eq!(bytes[127], b'\n');
        assert_eq!(&bytes[128..132], &1.0_f32.to_le_bytes());
        assert_eq!(bytes.len(), 128 + 16);
        let one = to_npy(&Array1::from(vec![1.5_f64])).unwrap();
        let text = String::from_utf8_lossy(&one);
        assert!(text.contains("'<f8'") && text.contains("'shape': (1,), "));
        let none = to_npy(&Array3::<f32>::zeros((0, 20, 3))).unwrap();
        assert!(String::from_utf8_lossy(&none).contains("(0, 20, 3)"));
        assert_eq!(none.len(), 128);
    }

    #[test]
    fn turned_arrays_are_written_in_c_order() {
        let array = array![[1.0_f32, 2.0, 3.0], [4.0, 5.0, 6.0]];
        let turned = array.t();
        let read = from_npy(&to_npy(&turned).unwrap()).unwrap();
        assert_eq!(read, turned.to_owned().into_dyn());
    }

    /// A file as NumPy's versions 1 to 3 write it.
    fn file(version: u8, header: &str, data: &[u8]) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend([version, 0]);
        let length = u32::try_from(header.len()).unwrap().to_le_bytes();
        bytes.extend(if version == 1 { &length[..2] } else { &length });
        bytes.extend(header.as_bytes());
        bytes.extend(data);
        bytes
    }

    #[test]
    fn other_writers_files_are_read() {
        let header = "{\"shape\": (2,), 'fortran_order':False,'descr' : '<f8'}\n";
        let data: Vec<u8> = [0.5_f64, -2.0]
            .iter()
            .flat_map(|v| v.to_le_bytes())
            .collect();
        for version in 1..=3 {
            let read = from_npy(&file(version, header, &data)).unwrap();
            assert_eq!(read, array![0.5_f32, -2.0].into_dyn());
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        let header = |descr: &str, order: &str, shape: &str| {
            format!("{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}\n")
        };
        for (header, words) in [
            (header("'<i8'", "False", "(1,)"), "`<i8`"),
            (header("'>f4'", "False", "(1,)"), "`>f4`"),
            (header("[('a', '<f4')]", "False", "(1,)"), "records"),
            (header("'<f4'", "True", "(1,)"), "Fortran"),
            (header("'<f4'", "False", "(2,)"), "promises 8"),
            (
                header("'<f4'", "False", "(99999999999, 99999999999)"),
                "too large",
            ),
            (header("'<f4'", "False", "(1, -1)"), "shape"),
            (header("'<f4'", "False", "(1,1,1,1,1,1,1,1,1)"), "9 axes"),
            ("{}".into(), "lacks"),
        ] {
            let said = from_npy(&file(1, &header, &[0; 4]))
                .unwrap_err()
                .to_string();
            assert!(said.contains(words), "{said}");
        }
        for bytes in [
            &b"PAR1"[..],
            b"\x93NUMPY",
            b"\x93NUMPY\x01\x00\xff\xff{",
            b"\x93NUMPY\x09\x00\x00\x00",
        ] {
            assert!(from_npy(bytes).is_err());
        }
    }

    proptest! {
        #[test]
        fn arrays_round_trip(shape in prop::collection::vec(0_usize..5, 0..4), seed in any::<f32>()) {
            let array = ArrayD::from_shape_fn(IxDyn(&shape), |at| {
                at.as_array_view().iter().fold(seed, |v, i| v * 1.5 + *i as f32)
            });
            let read = from_npy(&to_npy(&array).unwrap()).unwrap();
            prop_assert_eq!(read.shape(), array.shape());
            prop_assert!(read.iter().zip(&array).all(|(a, b)| a.to_bits() == b.to_bits() || a.is_nan()));
        }

        #[test]
        fn anything_never_panics(mut bytes in prop::collection::vec(any::<u8>(), 0..200), whole in any::<bool>()) {
            if whole {
                let mut file = to_npy(&Array3::<f32>::zeros((2, 3, 1))).unwrap();
                for (at, byte) in bytes.chunks_exact(2).map(|c| (usize::from(c[0]), c[1])) {
                    let len = file.len();
                    file[at % len] = byte;
                }
                bytes = file;
            }
            let _ = from_npy(&bytes);
        }
    }
}
