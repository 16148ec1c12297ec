//! Operations that leave pixels where they are, with the 8-bit arithmetic of Pillow's `ImageOps` and `ImageEnhance`.

use diptych_sdk::{ImageMut, Rgb8};

/// Replaces every sample by what `value` gives for it.
pub fn look_up(image: &mut ImageMut<'_, Rgb8>, value: impl Fn(u8) -> u8) {
    let table: [u8; 256] = std::array::from_fn(|sample| value(sample as u8));
    look_up_channels(image, &[table; 3]);
}

fn look_up_channels(image: &mut ImageMut<'_, Rgb8>, tables: &[[u8; 256]; 3]) {
    image.for_each_pixel(|pixel| {
        for (sample, table) in pixel.iter_mut().zip(tables) {
            *sample = table[usize::from(*sample)];
        }
    });
}

/// How often each channel has each value.
fn histograms(image: &mut ImageMut<'_, Rgb8>) -> [[u32; 256]; 3] {
    let mut histograms = [[0; 256]; 3];
    image.for_each_pixel(|pixel| {
        for (histogram, sample) in histograms.iter_mut().zip(pixel) {
            histogram[usize::from(*sample)] += 1;
        }
    });
    histograms
}

fn identity() -> [u8; 256] {
    std::array::from_fn(|sample| sample as u8)
}

/// Spreads each channel to 0 to 255.
pub fn auto_contrast(image: &mut ImageMut<'_, Rgb8>) {
    let tables = histograms(image).map(|histogram| {
        let lowest = histogram.iter().position(|&count| count > 0).unwrap_or(0);
        let highest = histogram.iter().rposition(|&count| count > 0).unwrap_or(0);
        if highest <= lowest {
            return identity();
        }
        let scale = 255.0 / (highest - lowest) as f64;
        let offset = -(lowest as f64) * scale;
        std::array::from_fn(|sample| (sample as f64 * scale + offset) as u8)
    });
    look_up_channels(image, &tables);
}

/// Gives each channel a flat histogram.
pub fn equalize(image: &mut ImageMut<'_, Rgb8>) {
    let tables = histograms(image).map(|histogram| {
        let pixels: u32 = histogram.iter().sum();
        let most = histogram.iter().rev().find(|&&count| count > 0).copied().unwrap_or(0);
        let step = (pixels - most) / 255;
        // Of a single value, or of fewer pixels than values.
        if step == 0 {
            return identity();
        }
        let mut below = step / 2;
        histogram.map(|count| {
            let value = (below / step).min(255) as u8;
            below += count;
            value
        })
    });
    look_up_channels(image, &tables);
}

/// From `degenerate` towards `sample` and beyond, in single precision, cut to a byte.
fn blend(degenerate: u8, sample: u8, factor: f32) -> u8 {
    let (degenerate, sample) = (f32::from(degenerate), f32::from(sample));
    (degenerate + factor * (sample - degenerate)) as u8
}

/// Luma of ITU-R BT.601 in 16-bit fixed point, rounded.
fn gray(pixel: [u8; 3]) -> u8 {
    let [red, green, blue] = pixel.map(u32::from);
    ((red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16) as u8
}

/// Away from the gray image.
pub fn saturate(image: &mut ImageMut<'_, Rgb8>, factor: f32) {
    image.for_each_pixel(|pixel| {
        let gray = gray(*pixel);
        *pixel = pixel.map(|sample| blend(gray, sample, factor));
    });
}

/// Away from the gray image's mean, rounded to a byte.
pub fn contrast(image: &mut ImageMut<'_, Rgb8>, factor: f32) {
    let mut sum = 0;
    image.for_each_pixel(|pixel| sum += u64::from(gray(*pixel)));
    let count = u64::from(image.width()) * u64::from(image.height());
    let mean = (sum as f64 / count as f64 + 0.5) as u8;
    look_up(image, |sample| blend(mean, sample, factor));
}

/// Away from black.
pub fn brighten(image: &mut ImageMut<'_, Rgb8>, factor: f32) {
    look_up(image, |sample| blend(0, sample, factor));
}

/// Away from the smoothed image: weights 1, of the pixel itself 5, over 13. The image's edge is not smoothed, nor is an image
/// of fewer than three rows or columns. `copy` has the image's size.
pub fn sharpen(image: &mut ImageMut<'_, Rgb8>, factor: f32, copy: &mut [[u8; 3]]) {
    let (width, height) = (image.width() as usize, image.height() as usize);
    if width < 3 || height < 3 {
        return;
    }
    super::warp::copy_pixels(image, copy);
    for y in 1..height - 1 {
        let rows = [y - 1, y, y + 1].map(|row| &copy[row * width..(row + 1) * width]);
        for (x, pixel) in image.row_mut(y as u32).iter_mut().enumerate().take(width - 1).skip(1) {
            *pixel = std::array::from_fn(|channel| {
                let neighbours = rows.iter().flat_map(|row| &row[x - 1..=x + 1]);
                let sum: u32 = neighbours.map(|pixel| u32::from(pixel[channel])).sum();
                let own = u32::from(pixel[channel]);
                // Rounded; 13 is odd, so that there is no half.
                let smooth = ((2 * (sum + 4 * own) + 13) / 26) as u8;
                blend(smooth, pixel[channel], factor)
            });
        }
    }
}
