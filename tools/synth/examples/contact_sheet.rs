//! Draws a contact sheet of the demo data to look at: one row per class.
//!
//! `cargo run -p diptych-synth --example contact_sheet -- sheet.png [SIZE] [IMAGES_PER_CLASS] [ZOOM]`

use diptych_synth::{ImageSize, SynthOptions, Texture};
use image::{RgbImage, imageops};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let argument = |index: usize, default: &str| arguments.get(index).map_or(default, |text| text).to_owned();
    let size: ImageSize = argument(1, "32").parse()?;
    let columns: u32 = argument(2, "10").parse()?;
    let zoom: u32 = argument(3, "3").parse()?;

    let options = SynthOptions { size, ..SynthOptions::new("") };
    let (width, height) = (size.width * zoom, size.height * zoom);
    let gap = 4;
    let mut sheet = RgbImage::new(columns * (width + gap), Texture::ALL.len() as u32 * (height + gap));
    let mut filled = [0; Texture::ALL.len()];
    for number in 0.. {
        let (class, image) = diptych_synth::draw(&options, "train", number);
        let column = &mut filled[class as usize];
        if *column < columns {
            let image = imageops::resize(&image, width, height, imageops::FilterType::Nearest);
            let (x, y) = (*column * (width + gap), class as u32 * (height + gap));
            imageops::replace(&mut sheet, &image, i64::from(x), i64::from(y));
            *column += 1;
        }
        if filled.iter().all(|&column| column == columns) {
            break;
        }
    }
    sheet.save(argument(0, "contact_sheet.png"))?;
    Ok(())
}
