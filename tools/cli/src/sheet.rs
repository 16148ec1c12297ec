//! Contact sheets with captions: rows of pictures, each brought to the height of a row, with lines of text below.

use anyhow::{Context, Result};
use diptych_report::text::wrap;
use diptych_report::{Lettering, lettering};
use image::imageops::{self, FilterType};
use image::{Rgb, RgbImage};

/// A picture with its caption.
pub struct Cell {
    pub picture: RgbImage,
    pub heading: String,
    pub lines: Vec<String>,
}

/// Height of a row's pictures in pixels, and their greatest width.
const ROW: u32 = 160;
const WIDEST: u32 = 640;
/// Least width of a column: captions need some.
const COLUMN: u32 = 210;
const GAP: u32 = 10;
/// Height of a line of text, and width of a letter with some slack.
const LINE: u32 = 14;
const LETTER: f64 = 6.8;

/// The sheet; columns are as wide as their widest picture.
pub fn draw(rows: &[Vec<Cell>]) -> Result<RgbImage> {
    let pictures: Vec<Vec<RgbImage>> =
        rows.iter().map(|row| row.iter().map(|cell| fitted(&cell.picture)).collect()).collect();
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width_of = |column: usize| {
        let widest = pictures.iter().filter_map(|row| row.get(column)).map(RgbImage::width).max();
        widest.unwrap_or(0).max(COLUMN)
    };
    let widths: Vec<u32> = (0..columns).map(width_of).collect();
    let captions: Vec<Vec<Vec<String>>> = rows
        .iter()
        .map(|row| row.iter().zip(&widths).map(|(cell, width)| caption(cell, *width)).collect())
        .collect();
    let height_of =
        |row: &Vec<Vec<String>>| ROW + LINE * row.iter().map(Vec::len).max().unwrap_or(0) as u32 + 2 * GAP;
    let width = widths.iter().map(|width| width + GAP).sum::<u32>() + GAP;
    let mut sheet =
        RgbImage::from_pixel(width, captions.iter().map(height_of).sum::<u32>() + GAP, Rgb([255; 3]));
    let mut letters = Vec::new();
    let mut y = GAP;
    for (pictures, captions) in pictures.iter().zip(&captions) {
        let mut x = GAP;
        for ((picture, caption), width) in pictures.iter().zip(captions).zip(&widths) {
            imageops::replace(&mut sheet, picture, x.into(), y.into());
            letters.extend(caption.iter().enumerate().map(|(index, text)| Lettering {
                x: x.into(),
                y: f64::from(y + ROW + LINE * (index as u32 + 1)),
                text: text.clone(),
                heading: index == 0,
            }));
            x += width + GAP;
        }
        y += height_of(captions);
    }
    overlay(&mut sheet, &letters)?;
    Ok(sheet)
}

/// The heading on one line, the rest wrapped to the column.
fn caption(cell: &Cell, width: u32) -> Vec<String> {
    let letters = (f64::from(width) / LETTER) as usize;
    let heading = match cell.heading.chars().count() {
        // The end of a path tells more than its beginning.
        count if count > letters => {
            format!("\u{2026}{}", cell.heading.chars().skip(count + 1 - letters).collect::<String>())
        }
        _ => cell.heading.clone(),
    };
    std::iter::once(heading).chain(cell.lines.iter().flat_map(|line| wrap(line, letters))).collect()
}

fn overlay(sheet: &mut RgbImage, letters: &[Lettering]) -> Result<()> {
    let (width, height) = sheet.dimensions();
    let png = lettering(width, height, letters)?;
    let layer =
        image::load_from_memory(&png).context("a picture that was just drawn can be read")?.into_rgba8();
    for (pixel, above) in sheet.pixels_mut().zip(layer.pixels()) {
        let [red, green, blue, alpha] = above.0.map(u32::from);
        let blend =
            |below: u8, above: u32| ((u32::from(below) * (255 - alpha) + above * alpha + 127) / 255) as u8;
        pixel.0 = [blend(pixel.0[0], red), blend(pixel.0[1], green), blend(pixel.0[2], blue)];
    }
    Ok(())
}

/// As high as a row, or as wide as a picture may be: in its own shape.
fn fitted(picture: &RgbImage) -> RgbImage {
    let (width, height) = (f64::from(picture.width()), f64::from(picture.height()));
    let scale = (f64::from(ROW) / height).min(f64::from(WIDEST) / width);
    let scaled = |side: f64| (side * scale).round().max(1.0) as u32;
    let filter = if scale > 1.0 { FilterType::Nearest } else { FilterType::Triangle };
    imageops::resize(picture, scaled(width), scaled(height), filter)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(color: [u8; 3], lines: usize) -> Cell {
        Cell {
            picture: RgbImage::from_pixel(16, 16, Rgb(color)),
            heading: "view".into(),
            lines: vec!["crop 12x12 at (1, 2)".into(); lines],
        }
    }

    #[test]
    fn pictures_stand_in_rows_with_room_for_the_longest_caption() {
        let rows = [vec![cell([255, 0, 0], 0), cell([0, 255, 0], 3)], vec![cell([0, 0, 255], 1)]];
        let sheet = draw(&rows).unwrap();
        let row = ROW + 4 * LINE + 2 * GAP;
        assert_eq!(sheet.dimensions(), (2 * COLUMN + 3 * GAP, GAP + row + ROW + 2 * LINE + 2 * GAP));
        let at = |x, y| sheet.get_pixel(x, y).0;
        assert_eq!(at(GAP + 5, GAP + 5), [255, 0, 0]);
        assert_eq!(at(2 * GAP + COLUMN + 5, GAP + 5), [0, 255, 0]);
        assert_eq!(at(GAP + 5, GAP + row + 5), [0, 0, 255]);
        let inked = (GAP + ROW..GAP + row).any(|y| (GAP..COLUMN).any(|x| at(x, y) != [255; 3]));
        assert!(inked, "the caption is drawn below its picture");
    }

    #[test]
    fn a_picture_keeps_its_shape_however_wide_or_high_it_is() {
        let size = |width, height| fitted(&RgbImage::new(width, height)).dimensions();
        assert_eq!([size(1600, 200), size(200, 1600), size(16, 16)], [(640, 80), (20, 160), (160, 160)]);
        assert_eq!(size(4000, 1), (640, 1));
    }

    #[test]
    fn a_long_heading_keeps_its_end() {
        let long = Cell { heading: format!("{}/last", "x".repeat(80)), ..cell([0; 3], 0) };
        let caption = caption(&long, COLUMN);
        assert!(caption[0].starts_with('\u{2026}') && caption[0].ends_with("/last"), "{caption:?}");
        assert!(caption[0].chars().count() as f64 * LETTER <= f64::from(COLUMN));
    }
}
