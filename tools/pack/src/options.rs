//! What to pack, and how.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use diptych_pipeline::decode::DecodeOptions;

use crate::error::Error;

/// What to write, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackOptions {
    /// Folder of the shards: a new or empty one, or one that holds this very set or a part of it.
    pub folder: PathBuf,
    /// Images whose shorter side has more pixels are shrunk to it; others stay as large as they are.
    pub short_side: Option<u32>,
    /// How images are stored.
    pub format: Format,
    /// Where a shard ends.
    pub shards: ShardLimit,
    /// Whether images that cannot be read are left out and listed instead of being an error.
    pub skip_unreadable: bool,
    /// Images with more pixels (width times height) count as unreadable.
    pub maximum_pixels: u64,
    /// Threads that read, shrink and encode; 0 for one per core. The set is the same whatever their number.
    pub workers: usize,
}

impl PackOptions {
    /// Images as they are, in shards of 256 MB.
    pub fn new(folder: impl Into<PathBuf>) -> PackOptions {
        PackOptions {
            folder: folder.into(),
            short_side: None,
            format: Format::Keep { quality: Format::QUALITY },
            shards: ShardLimit::Bytes(256_000_000),
            skip_unreadable: false,
            maximum_pixels: DecodeOptions::default().maximum_pixels,
            workers: 0,
        }
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        let refuse = |found: String, expected: &str| Err(Error::Options { found, expected: expected.into() });
        if self.short_side == Some(0) {
            return refuse("a short side of 0 pixels".into(), "at least 1");
        }
        if let Some(quality) = self.format.quality().filter(|quality| !(1..=100).contains(quality)) {
            return refuse(format!("quality {quality}"), "1 to 100");
        }
        match self.shards {
            ShardLimit::Bytes(0) => refuse("shards of 0 bytes".into(), "at least 1"),
            ShardLimit::Samples(0) => refuse("shards of 0 samples".into(), "at least 1"),
            _ => Ok(()),
        }
    }
}

/// How images are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// The bytes of the files as they are. Images that are shrunk become JPEG where they were JPEG, else lossless WebP;
    /// images that the source has as pixels stay pixels.
    Keep {
        /// Of JPEGs that were shrunk, 1 to 100.
        quality: u8,
    },
    /// JPEG, 4:2:0.
    Jpeg {
        /// From 1 to 100.
        quality: u8,
    },
    /// Lossy WebP.
    WebP {
        /// From 1 to 100.
        quality: u8,
    },
    /// WebP with the very pixels.
    WebPLossless,
    /// Pixels, as binary PPM: large, and read without decoding.
    Raw,
}

impl Format {
    /// The usual quality.
    pub const QUALITY: u8 = 90;

    /// What the command line and the manifest call it.
    pub fn name(self) -> &'static str {
        match self {
            Format::Keep { .. } => "keep",
            Format::Jpeg { .. } => "jpeg",
            Format::WebP { .. } => "webp",
            Format::WebPLossless => "webp-lossless",
            Format::Raw => "raw",
        }
    }

    /// `None` where nothing is lost.
    pub fn quality(self) -> Option<u8> {
        match self {
            Format::Keep { quality } | Format::Jpeg { quality } | Format::WebP { quality } => Some(quality),
            Format::WebPLossless | Format::Raw => None,
        }
    }
}

/// Where a shard ends, and the next one begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShardLimit {
    /// With the sample that brings it to so many bytes.
    Bytes(u64),
    /// After so many samples.
    Samples(u64),
}

/// A number of bytes, as people write it: `64MB`, `1.5 GB`, `256MiB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteSize(pub u64);

const UNITS: [(&str, f64); 8] = [
    ("KIB", 1024.0),
    ("MIB", 1048576.0),
    ("GIB", 1073741824.0),
    ("KB", 1e3),
    ("MB", 1e6),
    ("GB", 1e9),
    ("TB", 1e12),
    ("B", 1.0),
];

impl FromStr for ByteSize {
    type Err = Error;

    fn from_str(text: &str) -> Result<ByteSize, Error> {
        let upper = text.to_uppercase();
        let (number, unit) = UNITS
            .iter()
            .find_map(|(suffix, unit)| Some((upper.strip_suffix(suffix)?, *unit)))
            .unwrap_or((&upper, 1.0));
        match number.trim().parse::<f64>() {
            Ok(number) if (0.0..=1e18).contains(&(number * unit)) => Ok(ByteSize((number * unit) as u64)),
            _ => Err(Error::Options {
                found: format!("size {text:?}"),
                expected: "bytes, or a number with kB, MB, GB, KiB, MiB or GiB, as 256MB".into(),
            }),
        }
    }
}

impl fmt::Display for ByteSize {
    /// In three digits or more.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.0 as f64;
        match self.0 {
            0..1_000 => write!(formatter, "{} bytes", self.0),
            1_000..1_000_000 => write!(formatter, "{:.1} kB", bytes / 1e3),
            1_000_000..1_000_000_000 => write!(formatter, "{:.1} MB", bytes / 1e6),
            _ => write!(formatter, "{:.1} GB", bytes / 1e9),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_people_write_them() {
        for (text, bytes) in [
            ("0", 0),
            ("512", 512),
            ("64kB", 64_000),
            ("1.5 gb", 1_500_000_000),
            ("2MiB", 2 << 20),
            ("7 B", 7),
        ] {
            assert_eq!(text.parse::<ByteSize>().unwrap(), ByteSize(bytes), "{text}");
        }
        for text in ["", "MB", "-1MB", "1XB", "nan", "1e30"] {
            let error = text.parse::<ByteSize>().unwrap_err().to_string();
            assert!(error.starts_with(&format!("found size {text:?}, expected bytes, or")), "{error}");
        }
    }

    #[test]
    fn sizes_are_written_short() {
        let text = |bytes| ByteSize(bytes).to_string();
        assert_eq!([text(999), text(1_250), text(20_480_000)], ["999 bytes", "1.2 kB", "20.5 MB"]);
        assert_eq!(text(1_300_000_000_000), "1300.0 GB");
    }

    #[test]
    fn impossible_options_are_refused() {
        let check = |change: fn(&mut PackOptions)| {
            let mut options = PackOptions::new("set");
            change(&mut options);
            options.check().unwrap_err().to_string()
        };
        assert_eq!(
            check(|options| options.short_side = Some(0)),
            "found a short side of 0 pixels, expected at least 1"
        );
        assert_eq!(
            check(|options| options.format = Format::Jpeg { quality: 101 }),
            "found quality 101, expected 1 to 100"
        );
        assert_eq!(
            check(|options| options.shards = ShardLimit::Samples(0)),
            "found shards of 0 samples, expected at least 1"
        );
        assert!(PackOptions::new("set").check().is_ok());
    }
}
