//! Images brought to a short side, as the `resize` operator does: antialiased bicubic with Pillow's semantics; the long
//! side is `floor(short_side * long / short)`, as in torchvision.

use diptych_pipeline::Size;
use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::U8x3;
use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions, Resizer};

/// Shrinks images, and keeps its working memory from one to the next.
#[derive(Default)]
pub(crate) struct Shrinker {
    resizer: Resizer,
    pixels: Vec<u8>,
}

impl Shrinker {
    /// The RGB image brought to `short_side`; `None` where it isn't larger.
    pub fn shrink(&mut self, pixels: &[u8], size: Size, short_side: u32) -> Option<(&[u8], Size)> {
        let target = size_after(size, short_side)?;
        self.pixels.resize(3 * target.width as usize * target.height as usize, 0);
        // Keys' cubic with a = -0.5 is the Catmull-Rom spline.
        let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::CatmullRom));
        const FIT: &str = "buffers have three bytes for each pixel";
        let source = TypedImageRef::<U8x3>::from_buffer(size.width, size.height, pixels).expect(FIT);
        let mut shrunk =
            TypedImage::<U8x3>::from_buffer(target.width, target.height, &mut self.pixels).expect(FIT);
        self.resizer
            .resize_typed(&source, &mut shrunk, &options)
            .expect("without a crop nothing lies outside");
        Some((&self.pixels, target))
    }
}

/// The size after shrinking; `None` where there is nothing to shrink.
fn size_after(size: Size, short_side: u32) -> Option<Size> {
    let (short, long) = (size.width.min(size.height), size.width.max(size.height));
    if short <= short_side {
        return None;
    }
    // Less than `long`, which is a u32.
    let long = (u64::from(short_side) * u64::from(long) / u64::from(short)) as u32;
    Some(if size.width <= size.height {
        Size { width: short_side, height: long }
    } else {
        Size { width: long, height: short_side }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_torchvisions_and_never_larger() {
        let after = |width, height| size_after(Size { width, height }, 256);
        assert_eq!(after(500, 375), Some(Size { width: 341, height: 256 }));
        assert_eq!(after(375, 500), Some(Size { width: 256, height: 341 }));
        assert_eq!(after(257, 4000), Some(Size { width: 256, height: 3984 }));
        assert_eq!([after(256, 500), after(500, 32)], [None, None]);
    }

    /// Recorded from Pillow 13.0: `Image.resize((4, 4), BICUBIC)` of this 11x9 image.
    #[test]
    fn agrees_with_pillow() {
        let pixels: Vec<u8> = (0..99)
            .map(|i| (i % 11, i / 11))
            .flat_map(|(x, y): (u32, u32)| {
                [x * 37 + y * 11, x * 5 + y * 71, x * x * 3 + y * 29].map(|v| v as u8)
            })
            .collect();
        let mut shrinker = Shrinker::default();
        let (found, size) = shrinker.shrink(&pixels, Size { width: 11, height: 9 }, 4).unwrap();
        assert_eq!(size, Size { width: 4, height: 4 });
        for (found, expected) in found.iter().zip(PILLOW_BICUBIC.as_flattened()) {
            assert!(found.abs_diff(*expected) <= 1, "found {found}, Pillow has {expected}");
        }
    }

    #[test]
    fn a_flat_image_stays_flat_whatever_was_shrunk_before() {
        let mut shrinker = Shrinker::default();
        for (width, height) in [(30, 20), (90, 40), (9, 8)] {
            let pixels = [9, 130, 255].repeat((width * height) as usize);
            let (found, _) = shrinker.shrink(&pixels, Size { width, height }, 7).unwrap();
            assert!(found.chunks(3).all(|pixel| pixel == [9, 130, 255]));
        }
    }

    #[rustfmt::skip]
    const PILLOW_BICUBIC: [[u8; 3]; 16] = [
        [42, 61, 23], [151, 74, 58], [130, 88, 154], [74, 103, 130],
        [66, 148, 85], [172, 162, 126], [132, 178, 170], [99, 111, 96],
        [93, 118, 154], [189, 119, 201], [86, 131, 122], [129, 141, 130],
        [122, 163, 216], [170, 81, 141], [68, 76, 85], [158, 92, 170],
    ];
}
