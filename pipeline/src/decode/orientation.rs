//! EXIF orientation: how stored pixels are turned to stand upright.

use diptych_abi::{Region, Size};

/// What to do to the stored image, by the EXIF tag's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Orientation {
    /// 1, and everything that is absent or not valid.
    Upright,
    /// 2: mirror left and right.
    FlipHorizontal,
    /// 3: half a turn.
    Rotate180,
    /// 4: mirror top and bottom.
    FlipVertical,
    /// 5: mirror at the main diagonal.
    Transpose,
    /// 6: a quarter turn clockwise.
    Rotate90,
    /// 7: mirror at the other diagonal.
    Transverse,
    /// 8: a quarter turn counter-clockwise.
    Rotate270,
}

impl Orientation {
    pub(super) fn from_tag(value: u8) -> Self {
        match value {
            2 => Orientation::FlipHorizontal,
            3 => Orientation::Rotate180,
            4 => Orientation::FlipVertical,
            5 => Orientation::Transpose,
            6 => Orientation::Rotate90,
            7 => Orientation::Transverse,
            8 => Orientation::Rotate270,
            _ => Orientation::Upright,
        }
    }

    /// From an EXIF block (a small TIFF file, without the `Exif\0\0` before it).
    pub(super) fn from_exif(block: &[u8]) -> Self {
        image::metadata::Orientation::from_exif_chunk(block)
            .map_or(Orientation::Upright, |found| Orientation::from_tag(found.to_exif()))
    }

    fn swaps_axes(self) -> bool {
        use Orientation::{Rotate90, Rotate270, Transpose, Transverse};
        matches!(self, Transpose | Rotate90 | Transverse | Rotate270)
    }

    /// The upright size of an image stored with `size`.
    pub(super) fn size_after(self, size: Size) -> Size {
        if self.swaps_axes() { Size { width: size.height, height: size.width } } else { size }
    }

    /// Where `region` of the upright image is in the image as stored, whose size is `stored`.
    pub(super) fn stored_region(self, stored: Size, region: Region) -> Region {
        let Region { x, y, width, height } = region;
        let upright = self.size_after(stored);
        let (right, below) = (upright.width - x - width, upright.height - y - height);
        let (x, y) = match self {
            Orientation::Upright => (x, y),
            Orientation::FlipHorizontal => (right, y),
            Orientation::Rotate180 => (right, below),
            Orientation::FlipVertical => (x, below),
            Orientation::Transpose => (y, x),
            Orientation::Rotate90 => (y, right),
            Orientation::Transverse => (below, right),
            Orientation::Rotate270 => (below, x),
        };
        let Size { width, height } = self.size_after(Size { width, height });
        Region { x, y, width, height }
    }

    /// Writes the RGB image `pixels` of `size`, turned upright, to `out`.
    pub(super) fn apply(self, size: Size, pixels: &[u8], out: &mut Vec<u8>) {
        let (width, height) = (size.width as usize, size.height as usize);
        out.resize(pixels.len(), 0);
        let upright = self.size_after(size);
        let (rows, columns) = (upright.height as usize, upright.width as usize);
        for (y, row) in out.chunks_exact_mut(3 * columns).enumerate() {
            // The stored pixel of (x, y) is at `start + x * step`, in pixels.
            let (start, step) = match self {
                Orientation::Upright => (y * width, 1),
                Orientation::FlipHorizontal => (y * width + width - 1, -1),
                Orientation::Rotate180 => ((height - 1 - y) * width + width - 1, -1),
                Orientation::FlipVertical => ((height - 1 - y) * width, 1),
                Orientation::Transpose => (y, width as isize),
                Orientation::Rotate90 => ((height - 1) * width + y, -(width as isize)),
                Orientation::Transverse => ((height - 1) * width + rows - 1 - y, -(width as isize)),
                Orientation::Rotate270 => (rows - 1 - y, width as isize),
            };
            let mut at = start as isize;
            for pixel in row.chunks_exact_mut(3) {
                let stored = 3 * at as usize;
                pixel.copy_from_slice(&pixels[stored..stored + 3]);
                at += step;
            }
        }
    }
}
