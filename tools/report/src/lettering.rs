//! Text for pictures that other crates compose, in the font of the charts.

use crate::Error;
use crate::chart::Svg;
use crate::chart::png;
use crate::chart::svg::Anchor;

/// A line of text in a picture.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Lettering {
    /// Where it begins, in pixels from the left.
    pub x: f64,
    /// Where it stands, in pixels from the top.
    pub y: f64,
    /// What it says.
    pub text: String,
    /// Whether it is a heading.
    pub heading: bool,
}

/// The lines on a transparent picture of `width` x `height` pixels, as a PNG file: the same on every machine. Letters are 11
/// pixels high and about 6.4 wide.
///
/// # Errors
/// The picture is too large.
pub fn lettering(width: u32, height: u32, lines: &[Lettering]) -> Result<Vec<u8>, Error> {
    const STYLE: &str = "text{font-family:'DejaVu Sans';font-size:11px;fill:#4b4842}.heading{font-weight:bold;fill:#24221f}\
        .paper{fill:none}";
    let mut svg = Svg::new(width.into(), height.into());
    for line in lines {
        let class = if line.heading { "heading" } else { "soft" };
        svg.text(class, (line.x, line.y), Anchor::Start, &line.text);
    }
    Ok(png::render(&svg.file(STYLE, ""), 1.0)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use resvg::tiny_skia::Pixmap;

    #[test]
    fn text_is_drawn_where_it_is_placed_and_nothing_elsewhere() {
        let line = Lettering { x: 50.0, y: 30.0, text: "crop".into(), heading: true };
        let picture = Pixmap::decode_png(&lettering(100, 40, &[line]).unwrap()).unwrap();
        assert_eq!((picture.width(), picture.height()), (100, 40));
        let inked = |x: u32, y: u32| picture.pixel(x, y).is_some_and(|pixel| pixel.alpha() > 0);
        let any = |columns: std::ops::Range<u32>, rows: std::ops::Range<u32>| {
            rows.flat_map(|y| columns.clone().map(move |x| (x, y))).any(|(x, y)| inked(x, y))
        };
        assert!(any(50..80, 20..34));
        assert!(!any(0..49, 0..40) && !any(0..100, 0..18));
    }
}
