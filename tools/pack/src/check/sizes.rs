//! How large the images of a set are.

use std::path::PathBuf;

use diptych_pipeline::Size;
use serde::Serialize;

/// Short sides below so many pixels are counted: there is little to see in such images.
pub(super) const TINY: u32 = 32;
/// Images whose long side is more than so many times their short side are counted.
pub(super) const ELONGATED: u32 = 4;

/// Sizes in pixels, of upright images.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Sizes {
    /// The image of the fewest pixels.
    pub smallest: Extreme,
    /// The image of the most pixels.
    pub largest: Extreme,
    /// The image whose sides differ most.
    pub most_elongated: Extreme,
    /// Number of images whose short side is below 32 pixels.
    pub tiny: usize,
    /// Number of images whose long side is more than four times the short one.
    pub elongated: usize,
    /// Short sides by powers of two, from the lowest that occurs to the highest.
    pub short_sides: Vec<Bin>,
}

/// One image at an end of the range; the first of several.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Extreme {
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Where the image lies.
    pub path: PathBuf,
}

/// Images whose short side is in a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Bin {
    /// From so many pixels on, a power of two.
    pub from: u32,
    /// Up to so many.
    pub to: u32,
    /// Number of images.
    pub images: usize,
}

impl Sizes {
    /// Of images by index; `None` when there are none.
    pub(super) fn of(
        images: impl Iterator<Item = (usize, Size)> + Clone,
        path: impl Fn(usize) -> PathBuf,
    ) -> Option<Sizes> {
        let area = |size: &Size| u64::from(size.width) * u64::from(size.height);
        // Of equal ones, `min_by_key` gives the first and `max_by_key` the last, hence the index.
        let smallest = images.clone().min_by_key(|(_, size)| area(size))?;
        let largest = images.clone().max_by_key(|(index, size)| (area(size), usize::MAX - index))?;
        let most_elongated = images.clone().reduce(|most, other| {
            // long / short of one against the other, without division.
            let ((short, long), (other_short, other_long)) = (sides(most.1), sides(other.1));
            if u64::from(other_long) * u64::from(short) > u64::from(long) * u64::from(other_short) {
                other
            } else {
                most
            }
        })?;
        let extreme = |(index, size): (usize, Size)| Extreme {
            width: size.width,
            height: size.height,
            path: path(index),
        };

        let mut counts = [0; 32];
        let (mut tiny, mut elongated) = (0, 0);
        for (_, size) in images {
            let (short, long) = sides(size);
            tiny += usize::from(short < TINY);
            elongated += usize::from(u64::from(long) > u64::from(ELONGATED) * u64::from(short));
            counts[short.max(1).ilog2() as usize] += 1;
        }
        let first = counts.iter().position(|count| *count > 0)?;
        let last = counts.iter().rposition(|count| *count > 0)?;
        let bin =
            |power: usize| Bin { from: 1 << power, to: u32::MAX >> (31 - power), images: counts[power] };
        Some(Sizes {
            smallest: extreme(smallest),
            largest: extreme(largest),
            most_elongated: extreme(most_elongated),
            tiny,
            elongated,
            short_sides: (first..=last).map(bin).collect(),
        })
    }
}

/// The short and the long side.
fn sides(size: Size) -> (u32, u32) {
    (size.width.min(size.height), size.width.max(size.height))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(sizes: &[(u32, u32)]) -> Option<Sizes> {
        let sizes: Vec<Size> =
            sizes.iter().map(|(width, height)| Size { width: *width, height: *height }).collect();
        Sizes::of(sizes.iter().copied().enumerate(), |index| index.to_string().into())
    }

    #[test]
    fn extremes_are_the_first_of_their_kind() {
        let sizes =
            of(&[(64, 64), (31, 125), (128, 32), (500, 375), (375, 500), (256, 16), (16, 256)]).unwrap();
        let text =
            |extreme: &Extreme| format!("{}: {}x{}", extreme.path.display(), extreme.width, extreme.height);
        assert_eq!(text(&sizes.smallest), "1: 31x125");
        assert_eq!(text(&sizes.largest), "3: 500x375");
        assert_eq!(text(&sizes.most_elongated), "5: 256x16");
        assert_eq!((sizes.tiny, sizes.elongated), (3, 3));
    }

    #[test]
    fn bins_are_powers_of_two_without_gaps() {
        let sizes = of(&[(32, 40), (63, 63), (300, 256)]).unwrap();
        let bins: Vec<_> = sizes.short_sides.iter().map(|bin| (bin.from, bin.to, bin.images)).collect();
        assert_eq!(bins, [(32, 63, 2), (64, 127, 0), (128, 255, 0), (256, 511, 1)]);
        assert_eq!(of(&[(1, 1)]).unwrap().short_sides, [Bin { from: 1, to: 1, images: 1 }]);
        assert_eq!(of(&[]), None);
    }
}
