//! What set to make, and its record.

use std::fmt::{self, Write as _};
use std::path::PathBuf;
use std::str::FromStr;

use crate::error::Error;
use crate::texture::Texture;

/// Raised when the same options begin to give other images.
const GENERATOR: u32 = 1;

/// What set to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SynthOptions {
    /// Where: a new or empty folder, or one that holds this very set.
    pub folder: PathBuf,
    /// At least one; names differ.
    pub splits: Vec<Split>,
    /// Of every image.
    pub size: ImageSize,
    /// The first so many of [`Texture::ALL`], from 2.
    pub classes: usize,
    /// JPEG quality from 1 to 100.
    pub quality: u8,
    /// Another seed gives another set.
    pub seed: u64,
}

impl SynthOptions {
    /// The demo's set of one split less: 32x32 pixels, all 8 classes, quality 95, seed 0, and no split yet.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        SynthOptions {
            folder: folder.into(),
            splits: Vec::new(),
            size: ImageSize { width: 32, height: 32 },
            classes: Texture::ALL.len(),
            quality: 95,
            seed: 0,
        }
    }

    /// Number of images over all splits.
    pub fn image_count(&self) -> u64 {
        self.splits.iter().map(|split| split.count).sum()
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.splits.is_empty() {
            return Err(Error::NoSplit);
        }
        for (index, split) in self.splits.iter().enumerate() {
            split.check()?;
            if self.splits[..index].iter().any(|earlier| earlier.name == split.name) {
                return Err(Error::SplitTwice { name: split.name.clone() });
            }
        }
        self.size.check()?;
        if !(2..=Texture::ALL.len()).contains(&self.classes) {
            return Err(Error::Classes { classes: self.classes, maximum: Texture::ALL.len() });
        }
        if !(1..=100).contains(&self.quality) {
            return Err(Error::Quality { quality: self.quality });
        }
        if i64::try_from(self.seed).is_err() {
            return Err(Error::Seed { seed: self.seed });
        }
        Ok(())
    }

    /// The text of the set's record: TOML, equal for equal sets.
    pub(crate) fn record(&self) -> String {
        let SynthOptions { folder: _, splits, size, classes, quality, seed } = self;
        let mut text = String::from("# written by `diptych synth`; tells whether a set is there already\n");
        let mut line = |key: &str, value: &dyn fmt::Display| {
            writeln!(text, "{key} = {value}").expect("a string takes every character");
        };
        line("generator", &GENERATOR);
        line("size_pixels", &format_args!("[{}, {}]", size.width, size.height));
        line("classes", classes);
        line("quality", quality);
        line("seed", seed);
        for split in splits {
            line(&format!("images.{}", split.name), &split.count);
        }
        text
    }
}

/// A folder of images within the set, as `train=4096`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// Letters, digits, `_` and `-`.
    pub name: String,
    /// From 1.
    pub count: u64,
}

impl Split {
    /// Six digits number the files.
    const MAXIMUM_COUNT: u64 = 1_000_000;

    fn check(&self) -> Result<(), Error> {
        let plain =
            |character: char| character.is_ascii_alphanumeric() || character == '_' || character == '-';
        if self.name.is_empty() || !self.name.chars().all(plain) {
            return Err(Error::SplitName { name: self.name.clone() });
        }
        if !(1..=Split::MAXIMUM_COUNT).contains(&self.count) {
            let Split { name, count } = self.clone();
            return Err(Error::SplitCount { name, count, maximum: Split::MAXIMUM_COUNT });
        }
        Ok(())
    }
}

impl FromStr for Split {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = || Error::SplitText { text: text.to_owned() };
        let (name, count) = text.split_once('=').ok_or_else(wrong)?;
        let split = Split { name: name.to_owned(), count: count.parse().map_err(|_| wrong())? };
        split.check()?;
        Ok(split)
    }
}

/// Pixels, as `32` (square) or `500x375`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageSize {
    /// Pixels, from 8 to 8192.
    pub width: u32,
    /// Pixels, from 8 to 8192.
    pub height: u32,
}

impl ImageSize {
    const MINIMUM: u32 = 8;
    const MAXIMUM: u32 = 8192;

    fn check(&self) -> Result<(), Error> {
        let range = ImageSize::MINIMUM..=ImageSize::MAXIMUM;
        if range.contains(&self.width) && range.contains(&self.height) {
            return Ok(());
        }
        let (minimum, maximum) = (ImageSize::MINIMUM, ImageSize::MAXIMUM);
        Err(Error::Size { width: self.width, height: self.height, minimum, maximum })
    }
}

impl FromStr for ImageSize {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let pixels = |side: &str| side.parse().map_err(|_| Error::SizeText { text: text.to_owned() });
        let (width, height) = text.split_once('x').unwrap_or((text, text));
        let size = ImageSize { width: pixels(width)?, height: pixels(height)? };
        size.check()?;
        Ok(size)
    }
}

impl fmt::Display for ImageSize {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}x{}", self.width, self.height)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(change: impl FnOnce(&mut SynthOptions)) -> String {
        let mut options = SynthOptions::new("demo");
        options.splits = vec![Split { name: "train".into(), count: 10 }];
        change(&mut options);
        options.check().map_or_else(|error| error.to_string(), |()| "fine".into())
    }

    #[test]
    fn impossible_options_are_told_with_what_was_expected() {
        assert_eq!(check(|_| ()), "fine");
        assert!(check(|options| options.splits.clear()).starts_with("no split was asked for"));
        assert_eq!(
            check(|options| options.splits.push(options.splits[0].clone())),
            "split `train` is named twice: give each split once"
        );
        assert_eq!(check(|options| options.size.height = 0), "size 32x0: expected 8 to 8192 pixels each way");
        assert_eq!(check(|options| options.classes = 1), "found 1 classes, expected 2 to 8");
        assert_eq!(check(|options| options.classes = 9), "found 9 classes, expected 2 to 8");
        assert_eq!(check(|options| options.quality = 0), "found JPEG quality 0, expected 1 to 100");
        assert!(check(|options| options.seed = u64::MAX).starts_with("found seed 18446744073709551615"));
    }

    #[test]
    fn a_split_is_a_name_and_a_count() {
        assert_eq!("train=4096".parse::<Split>().unwrap(), Split { name: "train".into(), count: 4096 });
        for (text, message) in [
            ("train", "split `train`: expected a name and a number of images, as in train=4096"),
            ("train=many", "split `train=many`: expected a name and a number of images, as in train=4096"),
            ("train=0", "split `train`: found 0 images, expected 1 to 1000000"),
            ("../train=5", "split `../train`: expected a name of letters, digits, `_` and `-`"),
            ("=5", "split ``: expected a name of letters, digits, `_` and `-`"),
        ] {
            assert_eq!(text.parse::<Split>().unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn a_size_is_square_or_width_times_height() {
        assert_eq!("32".parse::<ImageSize>().unwrap(), ImageSize { width: 32, height: 32 });
        assert_eq!("500x375".parse::<ImageSize>().unwrap().to_string(), "500x375");
        assert_eq!(
            "big".parse::<ImageSize>().unwrap_err().to_string(),
            "size `big`: expected pixels as 32 (square) or 500x375 (width x height)"
        );
        assert_eq!(
            "0".parse::<ImageSize>().unwrap_err().to_string(),
            "size 0x0: expected 8 to 8192 pixels each way"
        );
    }
}
