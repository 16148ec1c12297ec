//! Which MCUs a region of the image needs.

use std::ops::Range;

use diptych_abi::Region;

use crate::header::{Component, Frame};

/// How a component comes to the frame's resolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Upsampling {
    /// It has it.
    None,
    /// Halved across: 3/4 of the nearest sample, 1/4 of the next.
    TriangleAcross,
    /// Halved down.
    TriangleDown,
    /// Halved in both directions.
    Triangle,
    /// Each sample stands for a rectangle.
    Replicate,
}

impl Upsampling {
    /// As libjpeg chooses: chroma of one or two columns is replicated.
    pub(crate) fn of(component: &Component, frame: &Frame) -> Upsampling {
        match (frame.across / component.across, frame.down / component.down) {
            (1, 1) => Upsampling::None,
            (1, 2) => Upsampling::TriangleDown,
            (2, 1) if component.width > 2 => Upsampling::TriangleAcross,
            (2, 2) if component.width > 2 => Upsampling::Triangle,
            _ => Upsampling::Replicate,
        }
    }

    /// Whether a row needs the rows above and below.
    pub(crate) fn looks_down(self) -> bool {
        matches!(self, Upsampling::TriangleDown | Upsampling::Triangle)
    }

    /// Whether a column needs those left and right.
    pub(crate) fn looks_across(self) -> bool {
        matches!(self, Upsampling::TriangleAcross | Upsampling::Triangle)
    }
}

/// A region of pixels, and the MCUs that hold all samples it depends on.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    pub region: Region,
    pub columns: Range<usize>,
    pub rows: Range<usize>,
    /// Rows at the bottom of an MCU that wait for the next one: 1 where upsampling looks down.
    pub lag: usize,
}

impl Window {
    /// # Panics
    /// When the region is empty or not within the frame.
    pub(crate) fn new(frame: &Frame, region: Option<Region>) -> Window {
        let (width, height) = (frame.width as u32, frame.height as u32);
        let region = region.unwrap_or(Region { x: 0, y: 0, width, height });
        let inside = |start: u32, length: u32, of: u32| length > 0 && start < of && length <= of - start;
        assert!(
            inside(region.x, region.width, width) && inside(region.y, region.height, height),
            "{region:?} of an image of {width}x{height} pixels"
        );
        let needs = |of: fn(Upsampling) -> bool| {
            usize::from(frame.components().iter().any(|component| of(Upsampling::of(component, frame))))
        };
        let (sideways, lag) = (needs(Upsampling::looks_across), needs(Upsampling::looks_down));
        // One pixel more on each side is one sample more exactly where the region ends at a sample's edge.
        let span = |start: u32, length: u32, more: usize, side: usize, count: usize| {
            let (start, end) = (start as usize, start as usize + length as usize);
            start.saturating_sub(more) / side..(end + more).div_ceil(side).min(count)
        };
        Window {
            region,
            columns: span(region.x, region.width, sideways, 8 * frame.across, frame.mcus_across),
            rows: span(region.y, region.height, lag, 8 * frame.down, frame.mcus_down),
            lag,
        }
    }
}
