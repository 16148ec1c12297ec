//! Contact sheets: pictures in a grid of cells, a column per image, for people to look at.

use std::io::Cursor;

use diptych_host::Size;
use image::imageops::{self, FilterType};
use image::{ExtendedColorType, ImageFormat, Rgb, RgbImage};

use crate::preview::RenderedView;

/// Side of a cell and gap between cells, in pixels.
const CELL: u32 = 96;
const GAP: u32 = 4;

/// One picture of a sheet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tile {
    /// Width and height in pixels.
    pub size: Size,
    /// [height, width, 3], 8-bit RGB.
    pub pixels: Vec<u8>,
}

impl From<RenderedView> for Tile {
    fn from(view: RenderedView) -> Tile {
        Tile { size: view.size, pixels: view.pixels }
    }
}

/// A grid of pictures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContactSheet {
    /// Of the whole in pixels.
    pub size: Size,
    /// [height, width, 3], 8-bit RGB.
    pub pixels: Vec<u8>,
}

impl ContactSheet {
    /// Draws `columns`, each from top to bottom. Large pictures are shrunk to a cell; small ones are enlarged in whole steps,
    /// so that their pixels stay what they are.
    ///
    /// # Errors
    /// A tile whose pixels do not fit its size.
    pub fn draw(columns: Vec<Vec<Tile>>) -> Result<ContactSheet, String> {
        let rows = columns.iter().map(Vec::len).max().unwrap_or(0);
        let side = |cells: usize| (cells as u32 * (CELL + GAP)).max(GAP + 1) - GAP;
        let mut picture = RgbImage::from_pixel(side(columns.len()), side(rows), Rgb([255; 3]));
        for (column, tiles) in columns.into_iter().enumerate() {
            for (row, tile) in tiles.into_iter().enumerate() {
                let Size { width, height } = tile.size;
                let found = tile.pixels.len();
                let image = RgbImage::from_raw(width, height, tile.pixels)
                    .ok_or_else(|| format!("a view of {width} x {height} pixels has {found} bytes"))?;
                let cell = fitted(&image);
                let at = |place: usize, side: u32| {
                    i64::from(place as u32 * (CELL + GAP) + CELL.saturating_sub(side) / 2)
                };
                imageops::replace(&mut picture, &cell, at(column, cell.width()), at(row, cell.height()));
            }
        }
        let size = Size { width: picture.width(), height: picture.height() };
        Ok(ContactSheet { size, pixels: picture.into_raw() })
    }

    /// As a PNG file.
    ///
    /// # Errors
    /// The encoder's.
    pub fn png(&self) -> Result<Vec<u8>, String> {
        let Size { width, height } = self.size;
        let mut png = Cursor::new(Vec::new());
        image::write_buffer_with_format(
            &mut png,
            &self.pixels,
            width,
            height,
            ExtendedColorType::Rgb8,
            ImageFormat::Png,
        )
        .map_err(|error| format!("the picture cannot be written as PNG: {error}"))?;
        Ok(png.into_inner())
    }
}

/// The image as large as a cell allows.
fn fitted(image: &RgbImage) -> RgbImage {
    let (width, height) = image.dimensions();
    let longest = width.max(height).max(1);
    if longest <= CELL {
        let times = CELL / longest;
        return imageops::resize(image, width * times, height * times, FilterType::Nearest);
    }
    let scaled = |side: u32| (u64::from(side) * u64::from(CELL) / u64::from(longest)).max(1) as u32;
    imageops::resize(image, scaled(width), scaled(height), FilterType::Triangle)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tile(width: u32, height: u32, value: u8) -> Tile {
        Tile { size: Size { width, height }, pixels: vec![value; (3 * width * height) as usize] }
    }

    #[test]
    fn small_pictures_keep_their_pixels_and_large_ones_are_shrunk_into_their_cells() {
        let mut small = tile(32, 32, 10);
        small.pixels[3..6].fill(200);
        let sheet =
            ContactSheet::draw(vec![vec![small, tile(224, 112, 50)], vec![tile(96, 96, 90)]]).unwrap();
        assert_eq!(sheet.size, Size { width: 196, height: 196 });
        let picture = image::load_from_memory(&sheet.png().unwrap()).unwrap().into_rgb8();
        let at = |x, y| picture.get_pixel(x, y).0[0];
        // Each pixel is three wide.
        assert_eq!([at(2, 2), at(3, 0), at(5, 2), at(6, 0), at(3, 3)], [10, 200, 200, 10, 10]);
        // Half as high as wide, in the middle of its cell.
        assert_eq!(
            [at(50, 100 + 23), at(50, 100 + 25), at(50, 100 + 71), at(50, 100 + 73)],
            [255, 50, 50, 255]
        );
        assert_eq!([at(150, 50), at(150, 150)], [90, 255]);
    }

    #[test]
    fn pixels_that_do_not_fit_their_size_are_an_error() {
        let short = Tile { size: Size { width: 2, height: 2 }, pixels: vec![0; 5] };
        assert_eq!(ContactSheet::draw(vec![vec![short]]).unwrap_err(), "a view of 2 x 2 pixels has 5 bytes");
    }
}
