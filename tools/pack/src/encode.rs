//! Pixels to the bytes of a member.

use diptych_pipeline::{Size, decode};
use jpeg_encoder::{ChromaSubsamplingMethod, ColorType, SamplingFactor};
use webp::WebPConfig;

/// A member without its name.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Encoded {
    /// Without the dot.
    pub suffix: &'static str,
    pub bytes: Vec<u8>,
}

/// What to make of pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Jpeg { quality: u8 },
    WebP { quality: u8 },
    WebPLossless,
    Ppm,
}

/// The suffix of files that are stored as they are.
pub(crate) fn suffix(format: decode::Format) -> &'static str {
    match format {
        decode::Format::Jpeg => "jpg",
        decode::Format::Png => "png",
        decode::Format::WebP => "webp",
        decode::Format::Bmp => "bmp",
        decode::Format::Tiff => "tif",
    }
}

/// Encodes an RGB image. An error says why the encoding cannot hold it.
pub(crate) fn encode(encoding: Encoding, pixels: &[u8], size: Size) -> Result<Encoded, String> {
    match encoding {
        Encoding::Jpeg { quality } => jpeg(pixels, size, quality),
        Encoding::WebP { quality } => webp(pixels, size, |config| config.quality = quality.into()),
        // Of lossless files the quality is the effort. libwebp's defaults (4 and 75) give files 2 % smaller in nine times
        // the time.
        Encoding::WebPLossless => {
            webp(pixels, size, |config| (config.lossless, config.method, config.quality) = (1, 1, 20.0))
        }
        Encoding::Ppm => Ok(ppm(pixels, size)),
    }
}

/// With Huffman tables of its own a file is 5 % smaller, but then the encoder writes a scan for each component, and decoding
/// a region takes twice as long.
fn jpeg(pixels: &[u8], size: Size, quality: u8) -> Result<Encoded, String> {
    let side = |side: u32| u16::try_from(side).map_err(|_| too_large("JPEG", size, u16::MAX.into()));
    let (width, height) = (side(size.width)?, side(size.height)?);
    let mut bytes = Vec::new();
    let mut encoder = jpeg_encoder::Encoder::new(&mut bytes, quality);
    encoder.set_sampling_factor(SamplingFactor::F_2_2);
    encoder.set_chroma_subsampling_method(ChromaSubsamplingMethod::Average);
    encoder.encode(pixels, width, height, ColorType::Rgb).map_err(|error| error.to_string())?;
    Ok(Encoded { suffix: "jpg", bytes })
}

fn webp(pixels: &[u8], size: Size, set: impl FnOnce(&mut WebPConfig)) -> Result<Encoded, String> {
    const LONGEST: u32 = 16383;
    let Size { width, height } = size;
    if width.max(height) > LONGEST {
        return Err(too_large("WebP", size, LONGEST));
    }
    let mut config = WebPConfig::new().map_err(|()| "libwebp has another version than its headers")?;
    set(&mut config);
    let encoder = webp::Encoder::from_rgb(pixels, width, height);
    let memory = encoder.encode_advanced(&config).map_err(|error| format!("libwebp: {error:?}"))?;
    Ok(Encoded { suffix: "webp", bytes: memory.to_vec() })
}

fn ppm(pixels: &[u8], size: Size) -> Encoded {
    let header = format!("P6\n{} {}\n255\n", size.width, size.height);
    Encoded { suffix: "ppm", bytes: [header.as_bytes(), pixels].concat() }
}

fn too_large(format: &str, size: Size, longest: u32) -> String {
    format!(
        "image of {}x{} pixels, expected at most {longest} a side in {format}; shrink it with --short-side or choose \
         another --format",
        size.width, size.height
    )
}

#[cfg(test)]
mod tests {
    use diptych_pipeline::decode::{DecodeOptions, DecodedImage, decode, format_of};

    use super::*;

    const SIZE: Size = Size { width: 21, height: 18 };

    /// A gradient of all three colours, which lossy encodings bear.
    fn gradient() -> Vec<u8> {
        (0..SIZE.width * SIZE.height)
            .flat_map(|at| [at % SIZE.width * 10, at / SIZE.width * 12, 255 - at % SIZE.width * 5])
            .map(|value| value as u8)
            .collect()
    }

    fn decoded(encoding: Encoding) -> Vec<u8> {
        let Encoded { suffix, bytes } = encode(encoding, &gradient(), SIZE).unwrap();
        assert_eq!(super::suffix(format_of(&bytes).unwrap()), suffix);
        let mut image = DecodedImage::default();
        decode(&bytes, &DecodeOptions::default(), &mut image).unwrap();
        assert_eq!(image.size(), SIZE);
        image.pixels
    }

    #[test]
    fn lossless_webp_gives_the_very_pixels_and_lossy_ones_come_close() {
        let pixels = gradient();
        assert_eq!(decoded(Encoding::WebPLossless), pixels);
        for encoding in [Encoding::Jpeg { quality: 95 }, Encoding::WebP { quality: 95 }] {
            let error: u32 =
                decoded(encoding).iter().zip(&pixels).map(|(a, b)| u32::from(a.abs_diff(*b))).sum();
            assert!(error < 4 * pixels.len() as u32, "{encoding:?}: {error}");
        }
    }

    /// A colour at every other pixel must not win over the pixels beside it.
    #[test]
    fn chroma_is_the_mean_of_its_pixels() {
        let size = Size { width: 16, height: 16 };
        let pixels: Vec<u8> = (0..256)
            .flat_map(|at| if (at % 16 + at / 16) % 2 == 0 { [255, 0, 0] } else { [0, 0, 255] })
            .collect();
        let Encoded { bytes, .. } = encode(Encoding::Jpeg { quality: 100 }, &pixels, size).unwrap();
        let mut image = DecodedImage::default();
        decode(&bytes, &DecodeOptions::default(), &mut image).unwrap();
        let mean = |channel: usize| {
            image.pixels.iter().skip(channel).step_by(3).map(|v| u32::from(*v)).sum::<u32>() / 256
        };
        assert!(mean(0).abs_diff(mean(2)) < 16, "red {}, blue {}", mean(0), mean(2));
    }

    #[test]
    fn a_ppm_is_a_line_for_each_number_and_the_pixels() {
        let Encoded { suffix, bytes } = encode(Encoding::Ppm, &gradient(), SIZE).unwrap();
        assert_eq!((suffix, &bytes[..13]), ("ppm", &b"P6\n21 18\n255\n"[..]));
        assert_eq!(&bytes[13..], gradient());
    }

    #[test]
    fn images_that_a_format_cannot_hold_are_told_with_the_remedy() {
        let ribbon =
            |encoding, width| encode(encoding, &vec![0; 3 * width as usize], Size { width, height: 1 });
        assert_eq!(
            ribbon(Encoding::WebPLossless, 16384).unwrap_err(),
            "image of 16384x1 pixels, expected at most 16383 a side in WebP; shrink it with --short-side or choose \
             another --format"
        );
        assert!(ribbon(Encoding::Jpeg { quality: 90 }, 65536).unwrap_err().contains("65535 a side in JPEG"));
        assert!(ribbon(Encoding::Ppm, 65536).is_ok());
    }
}
