//! Between 8-bit interleaved RGB and planar float in [0, 1].

use diptych_host::{Region, Size};
use multiversion::multiversion;

/// Pixels that are converted at once: their bytes stay in registers or near memory.
const BLOCK: usize = 64;

/// Writes the `region` of an interleaved image as three planes of `region`'s size, one after the other:
/// `value / 255`.
pub fn to_planes(pixels: &[u8], size: Size, region: Region, planes: &mut [f32]) {
    let (width, height) = (region.width as usize, region.height as usize);
    let (red, rest) = planes.split_at_mut(width * height);
    let (green, blue) = rest.split_at_mut(width * height);
    let rows =
        red.chunks_exact_mut(width).zip(green.chunks_exact_mut(width)).zip(blue.chunks_exact_mut(width));
    for (row, ((red, green), blue)) in rows.enumerate() {
        let start = 3 * ((region.y as usize + row) * size.width as usize + region.x as usize);
        row_to_planes(&pixels[start..start + 3 * width], red, green, blue);
    }
}

/// Writes three planes of equal size as interleaved bytes: `floor(255 * value + 0.5)`, values outside [0,
/// 1] clamped.
pub fn to_bytes(planes: &[f32], pixels: &mut [u8]) {
    let area = pixels.len() / 3;
    let (red, rest) = planes.split_at(area);
    let (green, blue) = rest.split_at(area);
    run_to_bytes(red, green, blue, pixels);
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2"))]
fn row_to_planes(pixels: &[u8], red: &mut [f32], green: &mut [f32], blue: &mut [f32]) {
    for (((pixel, red), green), blue) in pixels.as_chunks::<3>().0.iter().zip(red).zip(green).zip(blue) {
        *red = f32::from(pixel[0]) / 255.0;
        *green = f32::from(pixel[1]) / 255.0;
        *blue = f32::from(pixel[2]) / 255.0;
    }
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2"))]
fn run_to_bytes(red: &[f32], green: &[f32], blue: &[f32], pixels: &mut [u8]) {
    let (red, red_rest) = red.as_chunks::<BLOCK>();
    let (green, green_rest) = green.as_chunks::<BLOCK>();
    let (blue, blue_rest) = blue.as_chunks::<BLOCK>();
    let (pixels, pixels_rest) = pixels.as_chunks_mut::<{ 3 * BLOCK }>();
    for (((red, green), blue), pixels) in red.iter().zip(green).zip(blue).zip(pixels) {
        // First to bytes, then interleaved: either is SIMD, both in one loop aren't.
        let mut bytes = [[0; BLOCK]; 3];
        for (bytes, plane) in bytes.iter_mut().zip([red, green, blue]) {
            for at in 0..BLOCK {
                bytes[at] = to_byte(plane[at]);
            }
        }
        for at in 0..BLOCK {
            pixels[3 * at] = bytes[0][at];
            pixels[3 * at + 1] = bytes[1][at];
            pixels[3 * at + 2] = bytes[2][at];
        }
    }
    let rest = red_rest.iter().zip(green_rest).zip(blue_rest).zip(pixels_rest.as_chunks_mut::<3>().0);
    for (((red, green), blue), pixel) in rest {
        *pixel = [to_byte(*red), to_byte(*green), to_byte(*blue)];
    }
}

/// `floor(255 * value + 0.5)` without a conversion to an integer, which SIMD has only without bounds.
#[inline(always)]
fn to_byte(value: f32) -> u8 {
    // Floats from here to twice as much are whole numbers, their lowest bits the number itself.
    const WHOLE: f32 = (1 << 23) as f32;
    // Comparisons that turn a NaN into 0, one instruction each.
    let value = if value > 0.0 { value } else { 0.0 };
    let scaled = 255.0 * if value < 1.0 { value } else { 1.0 };
    // Halves go to the even neighbour, then up.
    let nearest = (scaled + WHOLE) - WHOLE;
    let up = if scaled - nearest >= 0.5 { 1.0 } else { 0.0 };
    (nearest + up + WHOLE).to_bits() as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_back_unchanged() {
        let size = Size { width: 32, height: 8 };
        let pixels: Vec<u8> = (0..=255).flat_map(|value| [value, 255 - value, value ^ 85]).collect();
        let mut planes = vec![0.0; pixels.len()];
        to_planes(&pixels, size, Region { x: 0, y: 0, width: 32, height: 8 }, &mut planes);
        assert_eq!(planes[1], 1.0 / 255.0);
        let mut back = vec![0; pixels.len()];
        to_bytes(&planes, &mut back);
        assert_eq!(back, pixels);
    }

    #[test]
    fn halves_round_up_and_the_rest_is_clamped() {
        let planes = [0.5 / 255.0, -3.0, f32::NAN, 0.499 / 255.0, 1.7, 1.0];
        let mut pixels = [0; 6];
        to_bytes(&planes, &mut pixels);
        // Planes of two pixels: red 0.5 and -3, green NaN and 0.499, blue 1.7 and 1.
        assert_eq!(pixels, [1, 0, 255, 0, 0, 255]);
    }

    #[test]
    fn every_value_is_rounded_as_defined_in_blocks_and_in_the_rest() {
        // Fine steps over [-0.1, 1.1], in three planes of 64 n + 21 pixels.
        let count = 3 * (64 * 90 + 21);
        let planes: Vec<f32> = (0..count).map(|step| step as f32 / count as f32 * 1.2 - 0.1).collect();
        let mut pixels = vec![0; count];
        to_bytes(&planes, &mut pixels);
        for (at, pixel) in pixels.as_chunks::<3>().0.iter().enumerate() {
            for (channel, &found) in pixel.iter().enumerate() {
                let value = f64::from(planes[channel * count / 3 + at].clamp(0.0, 1.0) * 255.0);
                assert_eq!(f64::from(found), (value + 0.5).floor(), "{value}");
            }
        }
    }

    #[test]
    fn a_region_is_cut_out() {
        let size = Size { width: 3, height: 2 };
        let pixels: Vec<u8> = (0..18).collect();
        let region = Region { x: 1, y: 1, width: 2, height: 1 };
        let mut planes = [0.0; 6];
        to_planes(&pixels, size, region, &mut planes);
        let bytes: Vec<u8> = planes.iter().map(|value| (value * 255.0).round() as u8).collect();
        assert_eq!(bytes, [12, 15, 13, 16, 14, 17]);
    }
}
