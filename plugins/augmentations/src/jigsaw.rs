//! Jigsaw: the image is cut into a grid of cells, and a patch of each, at random within its cell, goes into a mosaic in random order.
//!
//! As PIRL's and InfoMin's code, which crops to 255 pixels, cuts 3x3 cells of 85 and patches of 64, and shuffles them. `[patches]` of
//! a run's configuration passes the patches of the mosaic through the encoder one by one. Rows and columns that the grid doesn't
//! divide are left over at the right and at the bottom.

use diptych_sdk::{Augmentation, Error, Images, IntoOutput, Parameters, Plan, PlanarF32, RandomStream};
use diptych_sdk::{Scratch, Size};

/// What TOML may say.
#[derive(Parameters)]
pub struct JigsawParameters {
    /// Cells along each side.
    #[parameter(default = 3, minimum = 1, maximum = 6)]
    grid: u32,
    /// Side of a patch; the mosaic has `grid` times as many.
    #[parameter(default = 64, minimum = 1, maximum = 4096, unit = "pixels")]
    patch_pixels: u32,
}

/// Most cells: for so many is drawn, whatever `grid` is.
const MOST: usize = 36;

/// Where a place of the mosaic comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Patch {
    /// Cell, row by row.
    cell: u32,
    /// Left edge of the patch in the input.
    x: u32,
    /// Its top edge.
    y: u32,
}

/// See the module.
pub struct Jigsaw {
    parameters: JigsawParameters,
    /// By place of the mosaic, row by row.
    patches: Vec<Patch>,
}

impl Augmentation for Jigsaw {
    const ID: &'static str = "jigsaw";
    const DOC: &'static str =
        "Cuts the image into a grid and writes a random patch of each cell, in random order, as a mosaic.";
    type Access = IntoOutput<PlanarF32>;
    type Parameters = JigsawParameters;

    fn new(parameters: JigsawParameters) -> Result<Self, Error> {
        Ok(Jigsaw { parameters, patches: Vec::new() })
    }

    fn plan(&mut self, input: Size, random: &mut RandomStream) -> Result<Plan, Error> {
        let JigsawParameters { grid, patch_pixels } = self.parameters;
        let cell = Size { width: input.width / grid, height: input.height / grid };
        if cell.width < patch_pixels || cell.height < patch_pixels {
            return Err(Error::new(format_args!(
                "the image has {}x{} pixels and so cells of {}x{} in a grid of {grid}, expected cells of at least \
                 patch_pixels = {patch_pixels}; crop to {} pixels before, or lower patch_pixels or grid",
                input.width,
                input.height,
                cell.width,
                cell.height,
                grid * patch_pixels
            )));
        }
        let mut keyed: Vec<(u64, Patch)> = (0..MOST as u32)
            .map(|number| {
                let (column, row) = (number % grid, number / grid);
                let mut within = |room: u32| random.below(u64::from(room) + 1) as u32;
                let x = column * cell.width + within(cell.width - patch_pixels);
                let y = row * cell.height + within(cell.height - patch_pixels);
                (random.next_u64(), Patch { cell: number, x, y })
            })
            .collect();
        keyed.truncate((grid * grid) as usize);
        // Sorted by random keys, every order is equally likely.
        keyed.sort_unstable_by_key(|(key, _)| *key);
        self.patches = keyed.into_iter().map(|(_, patch)| patch).collect();
        let side = grid * patch_pixels;
        Ok(Plan { output: Size { width: side, height: side }, ..Plan::keep(input) })
    }

    fn apply(&mut self, images: Images<'_, PlanarF32>, _: Scratch<'_>) -> Result<(), Error> {
        let Images { input, mut output } = images;
        let JigsawParameters { grid, patch_pixels } = self.parameters;
        let side = patch_pixels as usize;
        // The host may hand over more than the region that was asked for, which is the whole image: no offset.
        for (place, patch) in (0..).zip(&self.patches) {
            let (left, top) = ((place % grid * patch_pixels) as usize, place / grid * patch_pixels);
            for line in 0..patch_pixels {
                let from = input.rows(patch.y + line);
                let to = output.rows_mut(top + line);
                for (from, to) in from.into_iter().zip(to) {
                    to[left..left + side].copy_from_slice(&from[patch.x as usize..][..side]);
                }
            }
        }
        Ok(())
    }

    fn describe_draws(&self) -> String {
        let cells: Vec<String> = self.patches.iter().map(|patch| (patch.cell + 1).to_string()).collect();
        format!("cells {}", cells.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use diptych_sdk::testing::OwnedImage;

    use super::*;
    use crate::testing::{draws_of, made, random_planar, refused, stream, with_defaults};

    fn jigsaw(grid: u32, patch_pixels: u32) -> Jigsaw {
        Jigsaw::new(JigsawParameters { grid, patch_pixels }).unwrap()
    }

    /// An image whose pixels tell their place.
    fn places(width: u32, height: u32) -> OwnedImage<PlanarF32> {
        OwnedImage::<PlanarF32>::from_fn(Size { width, height }, |x, y| [x as f32, y as f32, 0.5])
    }

    #[test]
    fn two_by_two_pixels_are_shuffled_as_their_draws_say() {
        let mut operator = jigsaw(2, 1);
        let made = made(&mut operator, &places(2, 2), 3).pixels();
        let expected: Vec<[f32; 3]> = operator
            .patches
            .iter()
            .map(|patch| [(patch.cell % 2) as f32, (patch.cell / 2) as f32, 0.5])
            .collect();
        assert_eq!(made, expected);
        let mut cells: Vec<u32> = operator.patches.iter().map(|patch| patch.cell).collect();
        cells.sort_unstable();
        assert_eq!(cells, [0, 1, 2, 3]);
    }

    #[test]
    fn a_mosaic_has_one_patch_of_every_cell_whole_and_within_it() {
        let (grid, side, cell) = (3, 5, 8);
        for seed in 0..40 {
            let mosaic = made(&mut jigsaw(grid, side), &places(25, 26), seed).pixels();
            let mut cells = Vec::new();
            for place in 0..grid * grid {
                let at = |x: u32, y: u32| {
                    let (x, y) = (place % grid * side + x, place / grid * side + y);
                    mosaic[(y * grid * side + x) as usize]
                };
                let [left, top, _] = at(0, 0).map(|value| value as u32);
                for (x, y) in (0..side).flat_map(|y| (0..side).map(move |x| (x, y))) {
                    assert_eq!(at(x, y), [(left + x) as f32, (top + y) as f32, 0.5]);
                }
                assert!(left % cell <= cell - side && top % cell <= cell - side, "{left}, {top}");
                cells.push(top / cell * grid + left / cell);
            }
            cells.sort_unstable();
            assert_eq!(cells, (0..9).collect::<Vec<_>>());
        }
    }

    #[test]
    fn every_offset_and_every_cell_come_up_as_often_as_the_others() {
        let (mut lefts, mut firsts) = ([0; 22], [0; 9]);
        let mut operator = with_defaults::<Jigsaw>();
        for seed in 0..4000 {
            operator.plan(Size { width: 255, height: 255 }, &mut stream(seed)).unwrap();
            lefts[(operator.patches[0].x % 85) as usize] += 1;
            firsts[operator.patches[0].cell as usize] += 1;
        }
        // 85 less 64: offsets 0 to 21. Five standard deviations.
        assert!(lefts.iter().all(|count: &i32| (count - 182).abs() < 66), "{lefts:?}");
        assert!(firsts.iter().all(|count: &i32| (count - 444).abs() < 100), "{firsts:?}");
    }

    #[test]
    fn the_same_seed_gives_the_same_mosaic_and_another_seed_another() {
        let make = |seed| made(&mut jigsaw(3, 6), &random_planar(30, 24, 1), seed).pixels();
        assert_eq!(make(5), make(5));
        assert_ne!(make(5), make(6));
    }

    #[test]
    fn draws_as_often_whatever_the_parameters() {
        for (grid, side) in [(1, 9), (3, 3), (3, 8), (6, 4)] {
            assert_eq!(draws_of(&mut jigsaw(grid, side), Size { width: 24, height: 24 }), 108);
        }
    }

    #[test]
    fn an_image_too_small_for_its_patches_is_refused_with_a_size_that_does() {
        let message =
            refused(with_defaults::<Jigsaw>().plan(Size { width: 224, height: 190 }, &mut stream(0)));
        assert!(message.contains("224x190") && message.contains("74x63"), "{message}");
        assert!(message.ends_with("crop to 192 pixels before, or lower patch_pixels or grid"), "{message}");
    }

    #[test]
    fn previews_are_told_the_order() {
        let mut operator = jigsaw(2, 1);
        operator.patches = [3, 0, 2, 1].map(|cell| Patch { cell, ..Patch::default() }).to_vec();
        assert_eq!(operator.describe_draws(), "cells 4 1 3 2");
    }
}
