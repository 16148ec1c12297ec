//! Sequential images with all components in one scan: each MCU is decoded to samples as soon as it is read.

use std::ops::Range;

use crate::bits::{Reader, unstuff};
use crate::header::{Frame, Scan, State};
use crate::huffman::{Invalid, Table, read_block, skip_block};
use crate::kernels::{Kernels, Level, Portable};
use crate::render::Renderer;
use crate::{Error, corrupt};

/// One block of an MCU.
#[derive(Clone, Copy)]
pub(crate) struct Unit<'a> {
    pub component: usize,
    pub tables: (&'a Table, &'a Table),
}

/// Where the entropy-coded data of a scan is read.
pub(crate) struct Segments<'a> {
    bytes: &'a [u8],
    /// The marker after the current segment.
    marker: Option<usize>,
    next_restart: u8,
}

impl<'a> Segments<'a> {
    /// Opens the first segment, which begins at `at`.
    pub(crate) fn first(bytes: &'a [u8], at: usize, stream: &mut Vec<u8>) -> Self {
        Segments { bytes, marker: unstuff(bytes, at, stream), next_restart: 0xD0 }
    }

    /// Opens the next segment, behind a restart marker.
    pub(crate) fn restart(&mut self, stream: &mut Vec<u8>) -> Result<(), Error> {
        let at = self.marker.ok_or(Error::Truncated)?;
        if self.bytes[at] != self.next_restart {
            return Err(corrupt(format!(
                "marker {:02x} where restart marker {:02x} is due",
                self.bytes[at], self.next_restart
            )));
        }
        self.next_restart = 0xD0 + (self.next_restart + 1) % 8;
        self.marker = unstuff(self.bytes, at + 1, stream);
        Ok(())
    }

    /// Where the marker after the current segment begins, or an error when the reader wanted more than there is.
    pub(crate) fn finish(&self, reader: &Reader<'_>) -> Result<usize, Error> {
        match self.marker {
            None => Err(Error::Truncated),
            Some(_) if reader.overran() => Err(corrupt("the image data ends early")),
            Some(at) => Ok(at - 1),
        }
    }
}

/// Decodes the rows that the renderer's window needs into `out`. Answers where the marker after what was read begins.
#[expect(clippy::too_many_arguments, reason = "each part of the decoder is borrowed on its own")]
pub(crate) fn decode(
    state: &State,
    frame: &Frame,
    scan: &Scan,
    (bytes, at): (&[u8], usize),
    stream: &mut Vec<u8>,
    renderer: &mut Renderer,
    level: Level,
    out: &mut [u8],
) -> Result<usize, Error> {
    let mut units: [Option<Unit<'_>>; 10] = [None; 10];
    let mut filled = units.iter_mut();
    for part in scan.components() {
        let component = &frame.components()[part.component];
        let tables = (state.dc(part.dc)?, state.ac(part.ac)?);
        for (_, unit) in (0..component.across * component.down).zip(filled.by_ref()) {
            *unit = Some(Unit { component: part.component, tables });
        }
    }
    let mut count = 0;
    let first = units[0].expect("a scan has a component");
    let units = units.map(|unit| {
        count += usize::from(unit.is_some());
        unit.unwrap_or(first)
    });
    let units = &units[..count];

    let mut segments = Segments::first(bytes, at, stream);
    let mut reader = Reader::new(stream);
    let mut dc = [0; 4];
    let interval = if state.restart_interval == 0 { usize::MAX } else { state.restart_interval };
    let mut until_restart = interval;
    for row in 0..renderer.window().rows.end {
        let mut column = 0;
        while column < frame.mcus_across {
            if until_restart == 0 {
                segments.finish(&reader)?;
                segments.restart(stream)?;
                reader = Reader::new(stream);
                dc = [0; 4];
                until_restart = interval;
            }
            let run = column..column + until_restart.min(frame.mcus_across - column);
            until_restart -= run.len();
            column = run.end;
            let read = match level {
                Level::Portable => read_mcus(Portable, &mut reader, units, &mut dc, renderer, row, run),
                #[cfg(target_arch = "x86_64")]
                Level::Avx2(avx2) => avx2.read_mcus(&mut reader, units, &mut dc, renderer, row, run),
            };
            if read.is_err() {
                segments.finish(&reader)?;
                return Err(corrupt("the image data holds an invalid code"));
            }
        }
        if reader.overran() {
            break;
        }
        renderer.finish_row(level, row, out);
    }
    segments.finish(&reader)
}

/// Reads the MCUs `columns` of `row`, and makes samples of those in the renderer's window.
#[inline(always)]
pub(crate) fn read_mcus<K: Kernels>(
    kernels: K,
    reader: &mut Reader<'_>,
    units: &[Unit<'_>],
    dc: &mut [i32; 4],
    renderer: &mut Renderer,
    row: usize,
    columns: Range<usize>,
) -> Result<(), Invalid> {
    let window = renderer.window();
    let wanted = if window.rows.contains(&row) { window.columns.clone() } else { 0..0 };
    for column in columns {
        if !wanted.contains(&column) {
            for unit in units {
                skip_block(reader, unit.tables, &mut dc[unit.component])?;
            }
            continue;
        }
        let blocks = renderer.blocks(units.len());
        for (unit, block) in units.iter().zip(blocks) {
            *block = [0; 64];
            read_block(reader, unit.tables, &mut dc[unit.component], block)?;
        }
        renderer.transform(kernels, column - wanted.start);
    }
    Ok(())
}
