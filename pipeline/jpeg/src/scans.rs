//! Images whose coefficients come in several scans: progressive ones, and sequential ones with a scan per component.
//!
//! All scans are read, for the whole image, before any pixel is made.

use crate::bits::Reader;
use crate::header::{Frame, Scan, State};
use crate::huffman::{Invalid, Table, ZIGZAG, read_block};
use crate::kernels::{Level, Portable};
use crate::render::Renderer;
use crate::sequential::Segments;
use crate::{Error, corrupt};

/// More scans than any encoder writes: a small file must not keep a worker busy for minutes.
const MOST_SCANS: usize = 200;

/// What describes the coefficients.
pub(crate) struct Shape {
    pub frame: Frame,
    /// Of each component, as it was at its first scan.
    pub quantization: [[i16; 64]; 4],
    /// Where each component's coefficients start, and its blocks per row.
    places: [(usize, usize); 4],
}

/// Reads all scans up to the end marker into `coefficients`: `first` and those that follow it.
pub(crate) fn read(
    state: &mut State,
    frame: Frame,
    first: (Scan, usize),
    bytes: &[u8],
    stream: &mut Vec<u8>,
    coefficients: &mut Vec<i16>,
) -> Result<Shape, Error> {
    let mut places = [(0, 0); 4];
    let mut length = 0;
    for (place, component) in places.iter_mut().zip(frame.components()) {
        let across = frame.mcus_across * component.across;
        *place = (length, across);
        length += 64 * across * frame.mcus_down * component.down;
    }
    coefficients.clear();
    coefficients.resize(length, 0);
    let mut shape = Shape { frame, quantization: [[0; 64]; 4], places };
    let mut seen = [false; 4];
    let mut next = Some(first);
    for _ in 0..MOST_SCANS {
        let Some((scan, at)) = next else {
            let all = seen.iter().zip(shape.frame.components()).all(|(seen, _)| *seen);
            return if all { Ok(shape) } else { Err(corrupt("a component has no scan")) };
        };
        for part in scan.components() {
            if !std::mem::replace(&mut seen[part.component], true) {
                shape.quantization[part.component] =
                    state.quantization(&shape.frame.components()[part.component])?;
            }
        }
        let marker = read_scan(state, &shape, &scan, bytes, at, stream, coefficients)?;
        next = state.next_scan(bytes, marker)?;
    }
    Err(corrupt(format!("more than {MOST_SCANS} scans")))
}

/// Makes pixels of all coefficients that the renderer's window needs.
pub(crate) fn render(
    shape: &Shape,
    coefficients: &[i16],
    renderer: &mut Renderer,
    level: Level,
    out: &mut [u8],
) {
    let window = renderer.window().clone();
    let count = shape.frame.components().iter().map(|component| component.across * component.down).sum();
    for row in window.rows.clone() {
        for column in window.columns.clone() {
            let mut blocks = renderer.blocks(count).iter_mut();
            for (component, (start, per_row)) in shape.frame.components().iter().zip(shape.places) {
                for down in 0..component.down {
                    let first = (row * component.down + down) * per_row + column * component.across;
                    for at in first..first + component.across {
                        let block = blocks.next().expect("the count is the sum over components");
                        block.copy_from_slice(&coefficients[start + 64 * at..][..64]);
                    }
                }
            }
            match level {
                Level::Portable => renderer.transform(Portable, column - window.columns.start),
                #[cfg(target_arch = "x86_64")]
                Level::Avx2(avx2) => renderer.transform(avx2, column - window.columns.start),
            }
        }
        renderer.finish_row(level, row, out);
    }
}

/// Reads one scan, and says where the marker after it begins.
fn read_scan(
    state: &State,
    shape: &Shape,
    scan: &Scan,
    bytes: &[u8],
    at: usize,
    stream: &mut Vec<u8>,
    coefficients: &mut [i16],
) -> Result<usize, Error> {
    let frame = &shape.frame;
    let mut tables: [(Option<&Table>, Option<&Table>); 4] = [(None, None); 4];
    for (tables, part) in tables.iter_mut().zip(scan.components()) {
        if !frame.progressive || scan.first == 0 && scan.high == 0 {
            tables.0 = Some(state.dc(part.dc)?);
        }
        if !frame.progressive || scan.first > 0 {
            tables.1 = Some(state.ac(part.ac)?);
        }
    }
    // A scan of one component has only the blocks that hold pixels; several are interleaved MCU by MCU.
    let single = scan.components().len() == 1;
    let (across, down) = if single {
        let component = &frame.components()[scan.components()[0].component];
        (component.width.div_ceil(8), component.height.div_ceil(8))
    } else {
        (frame.mcus_across, frame.mcus_down)
    };
    let interval = if state.restart_interval == 0 { usize::MAX } else { state.restart_interval };
    let mut segments = Segments::first(bytes, at, stream);
    let mut reader = Reader::new(stream);
    let mut run = Run::default();
    let mut until_restart = interval;
    for row in 0..down {
        for column in 0..across {
            if until_restart == 0 {
                segments.finish(&reader)?;
                segments.restart(stream)?;
                reader = Reader::new(stream);
                run = Run::default();
                until_restart = interval;
            }
            until_restart -= 1;
            for (index, part) in scan.components().iter().enumerate() {
                let component = &frame.components()[part.component];
                let (start, per_row) = shape.places[part.component];
                let (width, height) = if single { (1, 1) } else { (component.across, component.down) };
                for y in 0..height {
                    for x in 0..width {
                        let place = start + 64 * ((row * height + y) * per_row + column * width + x);
                        let block: &mut [i16; 64] =
                            (&mut coefficients[place..place + 64]).try_into().expect("a block has 64");
                        let read =
                            run.block(frame.progressive, scan, tables[index], index, &mut reader, block);
                        if read.is_err() {
                            segments.finish(&reader)?;
                            return Err(corrupt("the image data holds an invalid code"));
                        }
                    }
                }
            }
        }
        if reader.overran() {
            break;
        }
    }
    segments.finish(&reader)
}

/// What goes from block to block within a scan, up to a restart marker.
#[derive(Default)]
struct Run {
    dc: [i32; 4],
    /// Blocks, from the next on, that have no further coefficients in this scan.
    ended: u32,
}

impl Run {
    #[inline]
    fn block(
        &mut self,
        progressive: bool,
        scan: &Scan,
        tables: (Option<&Table>, Option<&Table>),
        index: usize,
        reader: &mut Reader<'_>,
        block: &mut [i16; 64],
    ) -> Result<(), Invalid> {
        match (progressive, tables, scan.high) {
            (false, (Some(dc), Some(ac)), _) => {
                *block = [0; 64];
                read_block(reader, (dc, ac), &mut self.dc[index], block)
            }
            (_, (Some(dc), _), _) => {
                self.dc[index] = self.dc[index].wrapping_add(dc.difference(reader)?);
                block[0] = (self.dc[index] << scan.low) as i16;
                Ok(())
            }
            (_, (_, Some(ac)), 0) => self.first_ac(scan, ac, reader, block),
            (_, (_, Some(ac)), _) => self.refine_ac(scan, ac, reader, block),
            (_, (None, None), _) => {
                if reader.bits(1) == 1 {
                    block[0] |= 1 << scan.low;
                }
                Ok(())
            }
        }
    }

    /// Coefficients `scan.first..=scan.last`, but for their lowest bits.
    fn first_ac(
        &mut self,
        scan: &Scan,
        table: &Table,
        reader: &mut Reader<'_>,
        block: &mut [i16; 64],
    ) -> Result<(), Invalid> {
        if self.ended > 0 {
            self.ended -= 1;
            return Ok(());
        }
        let mut k = scan.first;
        while k <= scan.last {
            let (run, size) = table.symbol(reader)?;
            if size == 0 {
                if run < 15 {
                    self.ended = (1 << run) - 1 + reader.bits(run);
                    return Ok(());
                }
                k += 16;
                continue;
            }
            k += run as usize;
            reader.refill();
            let value = reader.signed(size, size);
            if k > scan.last {
                return Err(Invalid);
            }
            block[usize::from(ZIGZAG[k])] = (value << scan.low) as i16;
            k += 1;
        }
        Ok(())
    }

    /// One more bit of coefficients `scan.first..=scan.last`, of those that are not zero and those that become so.
    fn refine_ac(
        &mut self,
        scan: &Scan,
        table: &Table,
        reader: &mut Reader<'_>,
        block: &mut [i16; 64],
    ) -> Result<(), Invalid> {
        let bit = 1_i16 << scan.low;
        let mut k = scan.first;
        if self.ended == 0 {
            while k <= scan.last {
                let (run, size) = table.symbol(reader)?;
                let mut value = 0;
                match size {
                    0 if run < 15 => {
                        self.ended = (1 << run) + reader.bits(run);
                        break;
                    }
                    0 => {}
                    1 => value = if reader.bits(1) == 1 { bit } else { -bit },
                    _ => return Err(Invalid),
                }
                let mut zeros = run;
                while k <= scan.last {
                    let coefficient = &mut block[usize::from(ZIGZAG[k])];
                    if *coefficient != 0 {
                        refine(coefficient, bit, reader);
                    } else if zeros == 0 {
                        *coefficient = value;
                        k += 1;
                        break;
                    } else {
                        zeros -= 1;
                    }
                    k += 1;
                }
            }
        }
        if self.ended > 0 {
            for &place in &ZIGZAG[k.min(scan.last + 1)..=scan.last] {
                let coefficient = &mut block[usize::from(place)];
                if *coefficient != 0 {
                    refine(coefficient, bit, reader);
                }
            }
            self.ended -= 1;
        }
        Ok(())
    }
}

/// Adds one bit to a coefficient, away from zero, when the data says so and it isn't there yet.
#[inline(always)]
fn refine(coefficient: &mut i16, bit: i16, reader: &mut Reader<'_>) {
    if reader.bits(1) == 1 && *coefficient & bit == 0 {
        *coefficient = coefficient.wrapping_add(if *coefficient > 0 { bit } else { -bit });
    }
}
