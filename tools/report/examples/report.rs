//! Writes the report of the example study, with drawn stand-ins for its pictures, to look at it:
//!
//!     cargo run -p diptych-report --example report -- FOLDER

use std::path::PathBuf;

use diptych_report::{Sheet, example};
use resvg::tiny_skia::{Color, Paint, Pixmap, Rect, Transform};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = PathBuf::from(std::env::args().nth(1).ok_or("expected a folder to write to")?);
    std::fs::create_dir_all(&folder)?;
    let mut study = example::study();
    for (index, variant) in study.variants.iter().enumerate() {
        study.sheets.push(Sheet {
            arms: study.methods.iter().map(|method| (method.id.clone(), variant.id.clone())).collect(),
            image: squares(index as f32)?,
            media_type: "image/png".into(),
            width: 480,
            height: 320,
            description: "squares that stand for views".into(),
        });
    }
    println!("{}", diptych_report::write(&study, &folder)?.display());
    Ok(())
}

fn squares(shift: f32) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
    let mut picture = Pixmap::new(480, 320).ok_or("no picture of this size")?;
    for index in 0..24_u8 {
        let (column, row) = (f32::from(index % 6), f32::from(index / 6));
        let mut paint = Paint::default();
        let tint = Color::from_rgba(column / 6.0, (row + shift) / 8.0, 0.5, 1.0).ok_or("no such colour")?;
        paint.set_color(tint);
        let square = Rect::from_xywh(column * 80.0, row * 80.0, 76.0, 76.0).ok_or("no such square")?;
        picture.fill_rect(square, &paint, Transform::identity(), None);
    }
    Ok(picture.encode_png()?)
}
