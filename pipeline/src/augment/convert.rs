//! Between 8-bit interleaved RGB and planar float in [0, 1].

use diptych_host::{Region, Size};

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
        let pixels = pixels[start..start + 3 * width].chunks_exact(3);
        for (((pixel, red), green), blue) in pixels.zip(red).zip(green).zip(blue) {
            *red = f32::from(pixel[0]) / 255.0;
            *green = f32::from(pixel[1]) / 255.0;
            *blue = f32::from(pixel[2]) / 255.0;
        }
    }
}

/// Writes three planes of equal size as interleaved bytes: `floor(255 * value + 0.5)`, values outside [0,
/// 1] clamped.
pub fn to_bytes(planes: &[f32], pixels: &mut [u8]) {
    let area = pixels.len() / 3;
    let (red, rest) = planes.split_at(area);
    let (green, blue) = rest.split_at(area);
    for (((pixel, red), green), blue) in pixels.chunks_exact_mut(3).zip(red).zip(green).zip(blue) {
        pixel[0] = byte(*red);
        pixel[1] = byte(*green);
        pixel[2] = byte(*blue);
    }
}

fn byte(value: f32) -> u8 {
    // `as` cuts off what is behind the point, and turns a NaN into 0.
    (value.clamp(0.0, 1.0) * 255.0 + 0.5) as u8
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
