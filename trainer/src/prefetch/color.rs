//! Colour spaces of an encoder's input, on the device and in single precision.
//!
//! Numbers are scikit-image's. Lab: sRGB is made linear (IEC 61966-2-1), becomes XYZ by the matrix of ITU-R BT.709, is divided by
//! D65's white (CIE 1931, 2 degrees), and goes through CIE 1976's f. YDbDr is a matrix of sRGB as it is.

use tch::{Device, Tensor};

use crate::Result;
use crate::config::ColorSpace;

const XYZ: [[f64; 3]; 3] =
    [[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]];
const WHITE: [f64; 3] = [0.95047, 1.0, 1.08883];
/// f(X), f(Y), f(Z) to L, a and b, but for the constant of L.
const LAB: [[f64; 3]; 3] = [[0.0, 116.0, 0.0], [500.0, -500.0, 0.0], [0.0, 200.0, -200.0]];
const YDBDR: [[f64; 3]; 3] = [[0.299, 0.587, 0.114], [-0.45, -0.883, 1.333], [-1.333, 1.116, 0.217]];

/// From bytes as floats to a colour space's own units.
pub(super) enum Color {
    /// Bytes stay what they are.
    Rgb,
    Lab {
        /// Linear RGB to XYZ over white, [3, 3].
        xyz: Tensor,
        /// f of it to Lab, without L's constant, [3, 3].
        lab: Tensor,
        /// L's constant, [3, 1, 1].
        constant: Tensor,
    },
    /// [3, 3].
    YDbDr(Tensor),
}

impl Color {
    pub(super) fn new(space: ColorSpace, device: Device) -> Result<Color> {
        let matrix = |rows: [[f64; 3]; 3]| -> Result<Tensor> {
            let values = rows.as_flattened().iter().map(|value| *value as f32).collect::<Vec<_>>();
            Ok(Tensor::f_from_slice(&values)?.f_view([3, 3])?.f_to_device(device)?)
        };
        Ok(match space {
            ColorSpace::Rgb => Color::Rgb,
            ColorSpace::Lab => Color::Lab {
                xyz: matrix(std::array::from_fn(|row| XYZ[row].map(|value| value / WHITE[row])))?,
                lab: matrix(LAB)?,
                constant: Tensor::f_from_slice(&[-16f32, 0.0, 0.0])?
                    .f_view([3, 1, 1])?
                    .f_to_device(device)?,
            },
            ColorSpace::YDbDr => Color::YDbDr(matrix(YDBDR.map(|row| row.map(|value| value / 255.0)))?),
        })
    }

    /// `bytes` are float [batch, 3, rows, columns] in 0 to 255, and so they come back for RGB.
    pub(super) fn convert(&self, bytes: Tensor) -> Result<Tensor> {
        match self {
            Color::Rgb => Ok(bytes),
            Color::YDbDr(matrix) => mix(&bytes, matrix),
            Color::Lab { xyz, lab, constant } => {
                let rgb = bytes.f_mul_scalar(1.0 / 255.0)?;
                let curve = rgb.f_add_scalar(0.055)?.f_mul_scalar(1.0 / 1.055)?.f_pow_tensor_scalar(2.4)?;
                let linear = curve.f_where_self(&rgb.f_gt(0.04045)?, &rgb.f_mul_scalar(1.0 / 12.92)?)?;
                let xyz = mix(&linear, xyz)?;
                let root = xyz.f_pow_tensor_scalar(1.0 / 3.0)?;
                let line = xyz.f_mul_scalar(7.787)?.f_add_scalar(16.0 / 116.0)?;
                let f = root.f_where_self(&xyz.f_gt(0.008856)?, &line)?;
                Ok(mix(&f, lab)?.f_add_(constant)?)
            }
        }
    }
}

/// The bytes, as floats that are not rounded, that [`Color::convert`] made `values` [batch, 3, rows, columns] of; on the CPU, for pictures.
pub(crate) fn bytes_of(values: &Tensor, space: ColorSpace) -> Result<Tensor> {
    let inverse = |matrix: &Tensor| matrix.f_to_kind(values.kind())?.f_inverse();
    let (xyz, lab, constant) = match Color::new(space, Device::Cpu)? {
        Color::Rgb => return Ok(values.shallow_clone()),
        Color::YDbDr(matrix) => return mix(values, &inverse(&matrix)?),
        Color::Lab { xyz, lab, constant } => (inverse(&xyz)?, inverse(&lab)?, constant),
    };
    let f = mix(&values.f_sub(&constant)?, &lab)?;
    let cube = f.f_pow_tensor_scalar(3.0)?;
    let line = f.f_add_scalar(-16.0 / 116.0)?.f_mul_scalar(1.0 / 7.787)?;
    let linear = mix(&cube.f_where_self(&cube.f_gt(0.008856)?, &line)?, &xyz)?;
    let curve =
        linear.f_clamp_min(0.0)?.f_pow_tensor_scalar(1.0 / 2.4)?.f_mul_scalar(1.055)?.f_add_scalar(-0.055)?;
    let rgb = curve.f_where_self(&linear.f_gt(0.0031308)?, &linear.f_mul_scalar(12.92)?)?;
    Ok(rgb.f_mul_scalar(255.0)?)
}

/// Each pixel's channels by a matrix. Not as a convolution, for which a GPU may round its inputs to TF32.
fn mix(image: &Tensor, matrix: &Tensor) -> Result<Tensor> {
    Ok(image.f_permute([0, 2, 3, 1])?.f_matmul(&matrix.f_tr()?)?.f_permute([0, 3, 1, 2])?)
}

#[cfg(test)]
mod tests {
    use tch::Kind;

    use super::*;

    fn convert(space: ColorSpace, rgb: &Tensor) -> Tensor {
        let columns = rgb.to_kind(Kind::Float).tr().reshape([1, 3, -1, 1]);
        let made = Color::new(space, Device::Cpu).unwrap().convert(columns).unwrap();
        made.reshape([3, -1]).tr()
    }

    #[test]
    fn white_black_and_red_are_as_computed_by_hand() {
        let rgb = Tensor::from_slice(&[255u8, 255, 255, 0, 0, 0, 255, 0, 0]).view([3, 3]);
        let found = Vec::<f32>::try_from(convert(ColorSpace::Lab, &rgb).reshape(-1)).unwrap();
        let expected = [100.0, 0.0, 0.0, 0.0, 0.0, 0.0, 53.24, 80.09, 67.20];
        assert!(
            found.iter().zip(expected).all(|(found, expected)| (found - expected).abs() < 0.02),
            "{found:?}"
        );
        let found = Vec::<f32>::try_from(convert(ColorSpace::YDbDr, &rgb).reshape(-1)).unwrap();
        let expected = [1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.299, -0.45, -1.333];
        assert!(
            found.iter().zip(expected).all(|(found, expected)| (found - expected).abs() < 1e-5),
            "{found:?}"
        );
    }

    #[test]
    fn agrees_with_scikit_image() {
        let path =
            concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/reference/scikit_image_reference.safetensors");
        let tensors: std::collections::HashMap<String, Tensor> =
            Tensor::read_safetensors(path).unwrap().into_iter().collect();
        // Lab has lengths of about 100; YDbDr of about 1.
        for (space, name, tolerance) in [(ColorSpace::Lab, "lab", 2e-3), (ColorSpace::YDbDr, "ydbdr", 1e-5)] {
            let error = (convert(space, &tensors["rgb"]) - &tensors[name]).abs().max().double_value(&[]);
            assert!(error < tolerance, "{name}: {error}");
        }
    }
}
