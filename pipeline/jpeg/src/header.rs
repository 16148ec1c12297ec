//! The segments of a JPEG file, up to a scan and between scans.

use diptych_abi::Size;

use crate::huffman::{Table, ZIGZAG};
use crate::{Error, corrupt};

/// What the segments before the image data say.
#[derive(Clone, Copy, Debug)]
pub struct Header<'a> {
    /// As stored. A side may be 0: there is then nothing to decode.
    pub size: Size,
    /// The first EXIF block, a small TIFF file, which has the orientation.
    pub exif: Option<&'a [u8]>,
}

impl<'a> Header<'a> {
    /// Reads the segments up to the first scan.
    ///
    /// # Errors
    /// The file breaks the format's rules, or ends before.
    pub fn read(bytes: &'a [u8]) -> Result<Header<'a>, Error> {
        let (mut size, mut exif) = (None, None);
        let mut at = 2;
        loop {
            let segment = Segment::after(bytes, at)?;
            match segment.marker {
                marker if is_frame(marker) => {
                    let [_precision, h0, h1, w0, w1, _components, ..] = *segment.body else {
                        return Err(short_frame(segment.body));
                    };
                    let (width, height) = (u16::from_be_bytes([w0, w1]), u16::from_be_bytes([h0, h1]));
                    size = Some(Size { width: width.into(), height: height.into() });
                }
                APP1 => exif = exif.or(segment.body.strip_prefix(b"Exif\0\0")),
                SOS => {
                    let size = size.ok_or_else(|| corrupt("image data begins before a frame header"))?;
                    return Ok(Header { size, exif });
                }
                EOI => return Err(corrupt("end marker before any image data")),
                _ => {}
            }
            at = segment.next;
        }
    }
}

pub(crate) const SOS: u8 = 0xDA;
pub(crate) const EOI: u8 = 0xD9;
const DHT: u8 = 0xC4;
const DQT: u8 = 0xDB;
const DRI: u8 = 0xDD;
const APP0: u8 = 0xE0;
const APP1: u8 = 0xE1;
const APP14: u8 = 0xEE;

/// SOF0 to SOF15, without DHT (C4), JPG (C8) and DAC (CC).
fn is_frame(marker: u8) -> bool {
    matches!(marker, 0xC0..=0xCF) && !matches!(marker, 0xC4 | 0xC8 | 0xCC)
}

fn short_frame(body: &[u8]) -> Error {
    corrupt(format!("frame header of {} bytes, expected at least 6", body.len()))
}

/// One marker and what belongs to it.
pub(crate) struct Segment<'a> {
    pub marker: u8,
    pub body: &'a [u8],
    /// Where the segment ends.
    pub next: usize,
}

impl<'a> Segment<'a> {
    /// The segment at or after `at`. Stray bytes before its marker are skipped, as libjpeg does.
    pub(crate) fn after(bytes: &'a [u8], at: usize) -> Result<Segment<'a>, Error> {
        let mut at = at;
        let marker = loop {
            at += bytes.get(at..).and_then(|rest| memchr::memchr(0xFF, rest)).ok_or(Error::Truncated)?;
            at += 1;
            match *bytes.get(at).ok_or(Error::Truncated)? {
                // A stuffed zero or a fill byte is no marker.
                0x00 | 0xFF => {}
                marker => break marker,
            }
        };
        at += 1;
        // Markers without a length: TEM, RST0 to RST7, SOI, EOI.
        if matches!(marker, 0x01 | 0xD0..=0xD9) {
            return Ok(Segment { marker, body: &[], next: at });
        }
        let length = bytes.get(at..at + 2).ok_or(Error::Truncated)?;
        let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
        if length < 2 {
            return Err(corrupt(format!("segment {marker:02x} with length {length}, expected at least 2")));
        }
        let body = bytes.get(at + 2..at + length).ok_or(Error::Truncated)?;
        Ok(Segment { marker, body, next: at + length })
    }
}

/// How the samples of a pixel become red, green and blue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Colour {
    Gray,
    Rgb,
    YCbCr,
    Cmyk,
    Ycck,
}

/// One component of the frame. Samples are counted at its own resolution.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Component {
    pub id: u8,
    /// Blocks per MCU, across and down.
    pub across: usize,
    pub down: usize,
    pub quantization: usize,
    /// Samples that mean something: the blocks' further ones only fill them up.
    pub width: usize,
    pub height: usize,
}

/// A frame of 8-bit samples in Huffman coding.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame {
    pub progressive: bool,
    pub width: usize,
    pub height: usize,
    components: [Component; 4],
    count: usize,
    /// Most blocks per MCU of any component, across and down.
    pub across: usize,
    pub down: usize,
    /// MCUs of an interleaved scan.
    pub mcus_across: usize,
    pub mcus_down: usize,
}

impl Frame {
    /// 1, 3 or 4.
    pub(crate) fn components(&self) -> &[Component] {
        &self.components[..self.count]
    }

    fn read(marker: u8, body: &[u8]) -> Result<Frame, Error> {
        let unsupported = |what: &str| {
            Err(Error::Unsupported(format!("{what}; 8-bit baseline and progressive Huffman coding are")))
        };
        match marker {
            0xC0..=0xC2 => {}
            0xC3 | 0xC5..=0xC7 | 0xCB | 0xCD..=0xCF => {
                return unsupported("lossless or hierarchical coding is not supported");
            }
            _ => return unsupported("arithmetic coding is not supported"),
        }
        let [precision, h0, h1, w0, w1, count, ref list @ ..] = *body else { return Err(short_frame(body)) };
        if precision != 8 {
            return unsupported(&format!("samples of {precision} bits are not supported"));
        }
        if !matches!(count, 1 | 3 | 4) {
            return Err(Error::Unsupported(format!(
                "{count} components, expected 1 (gray), 3 (colour) or 4 (CMYK)"
            )));
        }
        let (width, height) =
            (usize::from(u16::from_be_bytes([w0, w1])), usize::from(u16::from_be_bytes([h0, h1])));
        if width == 0 || height == 0 {
            return Err(corrupt(format!("a frame of {width}x{height} pixels")));
        }
        let count = usize::from(count);
        let list = list.get(..3 * count).ok_or_else(|| short_frame(body))?;
        let mut components = [Component::default(); 4];
        for (component, entry) in components.iter_mut().zip(list.chunks_exact(3)) {
            // The blocks of a frame of one component are not interleaved, whatever its factors.
            let factors = if count == 1 { 0x11 } else { entry[1] };
            let (across, down) = (usize::from(factors >> 4), usize::from(factors & 15));
            if !(1..=4).contains(&across) || !(1..=4).contains(&down) || entry[2] > 3 {
                return Err(corrupt(format!(
                    "component with sampling {across}x{down} and table {}",
                    entry[2]
                )));
            }
            let quantization = usize::from(entry[2]);
            *component = Component { id: entry[0], across, down, quantization, width: 0, height: 0 };
        }
        let of_image = &mut components[..count];
        let across = of_image.iter().map(|component| component.across).max().unwrap_or(1);
        let down = of_image.iter().map(|component| component.down).max().unwrap_or(1);
        for component in &mut *of_image {
            if across % component.across != 0 || down % component.down != 0 {
                return unsupported("a component that is scaled by a fraction is not supported");
            }
            component.width = (width * component.across).div_ceil(across);
            component.height = (height * component.down).div_ceil(down);
        }
        if of_image.iter().map(|component| component.across * component.down).sum::<usize>() > 10 {
            return Err(corrupt("more than 10 blocks per MCU"));
        }
        Ok(Frame {
            progressive: marker == 0xC2,
            width,
            height,
            components,
            count,
            across,
            down,
            mcus_across: width.div_ceil(8 * across),
            mcus_down: height.div_ceil(8 * down),
        })
    }
}

/// One component's part in a scan: which it is, and its tables.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ScanComponent {
    pub component: usize,
    pub dc: usize,
    pub ac: usize,
}

/// What a SOS segment says.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Scan {
    components: [ScanComponent; 4],
    count: usize,
    /// First and last coefficient, in zigzag order, and successive approximation: progressive scans only.
    pub first: usize,
    pub last: usize,
    pub high: u32,
    pub low: u32,
}

impl Scan {
    pub(crate) fn components(&self) -> &[ScanComponent] {
        &self.components[..self.count]
    }

    fn read(body: &[u8], frame: &Frame) -> Result<Scan, Error> {
        let broken = || corrupt(format!("scan header {body:02x?}"));
        let count = usize::from(*body.first().ok_or_else(broken)?);
        let (list, rest) = body[1..].split_at_checked(2 * count).ok_or_else(broken)?;
        let [first, last, approximation, ..] = *rest else { return Err(broken()) };
        if !(1..=frame.count).contains(&count) {
            return Err(broken());
        }
        let mut scan = Scan {
            count,
            first: first.into(),
            last: last.into(),
            high: u32::from(approximation >> 4),
            low: u32::from(approximation & 15),
            ..Scan::default()
        };
        for (index, entry) in list.chunks_exact(2).enumerate() {
            let component = frame.components().iter().position(|component| component.id == entry[0]);
            let component = component.ok_or_else(broken)?;
            if entry[1] >> 4 > 3
                || entry[1] & 15 > 3
                || scan.components[..index].iter().any(|of| of.component == component)
            {
                return Err(broken());
            }
            scan.components[index] =
                ScanComponent { component, dc: usize::from(entry[1] >> 4), ac: usize::from(entry[1] & 15) };
        }
        let dc_only = scan.first == 0 && scan.last == 0;
        let valid = dc_only || (1..=scan.last).contains(&scan.first) && scan.last < 64 && count == 1;
        if frame.progressive && (!valid || scan.low > 13 || scan.high != 0 && scan.high != scan.low + 1) {
            return Err(broken());
        }
        Ok(scan)
    }
}

/// One place for a Huffman table. What was built for one file is kept for the next, which mostly has the same.
#[derive(Clone, Default)]
struct Place {
    definition: Vec<u8>,
    table: Option<Table>,
    /// Whether the current file has defined it.
    defined: bool,
}

/// Everything that segments before a scan set.
#[derive(Clone, Default)]
pub(crate) struct State {
    pub frame: Option<Frame>,
    /// MCUs between restart markers; 0 for none.
    pub restart_interval: usize,
    quantization: [Option<[u16; 64]>; 4],
    dc: [Place; 4],
    ac: [Place; 4],
    jfif: bool,
    adobe_transform: Option<u8>,
}

impl State {
    /// Forgets the last file.
    pub(crate) fn reset(&mut self) {
        let (dc, ac) = (std::mem::take(&mut self.dc), std::mem::take(&mut self.ac));
        *self = State { dc, ac, ..State::default() };
        for place in self.dc.iter_mut().chain(&mut self.ac) {
            place.defined = false;
        }
    }

    /// Follows the segments from `at` on to the next scan, and says it and where its data begins; `None` at the end
    /// marker.
    pub(crate) fn next_scan(&mut self, bytes: &[u8], at: usize) -> Result<Option<(Scan, usize)>, Error> {
        let mut at = at;
        loop {
            let Segment { marker, body, next } = Segment::after(bytes, at)?;
            at = next;
            match marker {
                marker if is_frame(marker) => {
                    if self.frame.is_some() {
                        return Err(corrupt("a second frame header"));
                    }
                    self.frame = Some(Frame::read(marker, body)?);
                }
                SOS => {
                    let frame = self.frame.as_ref();
                    let frame = frame.ok_or_else(|| corrupt("image data begins before a frame header"))?;
                    return Ok(Some((Scan::read(body, frame)?, next)));
                }
                EOI => return Ok(None),
                DHT => self.read_huffman(body)?,
                DQT => self.read_quantization(body)?,
                DRI => match *body {
                    [high, low, ..] => self.restart_interval = usize::from(u16::from_be_bytes([high, low])),
                    _ => return Err(corrupt("restart interval of less than 2 bytes")),
                },
                APP0 => self.jfif |= body.starts_with(b"JFIF\0"),
                APP14 if body.len() >= 12 && body.starts_with(b"Adobe") => {
                    self.adobe_transform = Some(body[11]);
                }
                _ => {}
            }
        }
    }

    fn read_quantization(&mut self, body: &[u8]) -> Result<(), Error> {
        let mut rest = body;
        while let Some((&head, after)) = rest.split_first() {
            let (place, bytes) = (usize::from(head & 15), if head >> 4 == 0 { 1 } else { 2 });
            let values = after.get(..64 * bytes).ok_or_else(|| corrupt("a short quantization table"))?;
            let table = self.quantization.get_mut(place);
            let table =
                table.ok_or_else(|| corrupt(format!("quantization table {place}, expected 0 to 3")))?;
            let table = table.insert([0; 64]);
            for (value, place) in values.chunks_exact(bytes).zip(ZIGZAG) {
                table[usize::from(place)] = value.iter().fold(0, |all, &byte| all << 8 | u16::from(byte));
            }
            rest = &after[64 * bytes..];
        }
        Ok(())
    }

    fn read_huffman(&mut self, body: &[u8]) -> Result<(), Error> {
        let broken = || corrupt("a damaged Huffman table");
        let mut rest = body;
        while let Some((&head, after)) = rest.split_first() {
            let counts: &[u8; 16] = after.first_chunk().ok_or_else(broken)?;
            let count = counts.iter().map(|&count| usize::from(count)).sum::<usize>();
            let definition = after.get(..16 + count).ok_or_else(broken)?;
            let places = match head >> 4 {
                0 => &mut self.dc,
                1 => &mut self.ac,
                _ => return Err(broken()),
            };
            let place = places.get_mut(usize::from(head & 15)).ok_or_else(broken)?;
            if place.table.is_none() || place.definition != definition {
                place.table = None;
                place.table = Some(Table::new(counts, &definition[16..], head >> 4 == 0).ok_or_else(broken)?);
                place.definition.clear();
                place.definition.extend_from_slice(definition);
            }
            place.defined = true;
            rest = &after[16 + count..];
        }
        Ok(())
    }

    pub(crate) fn dc(&self, index: usize) -> Result<&Table, Error> {
        defined(&self.dc[index], "DC", index)
    }

    pub(crate) fn ac(&self, index: usize) -> Result<&Table, Error> {
        defined(&self.ac[index], "AC", index)
    }

    /// A component's quantization table, row by row.
    pub(crate) fn quantization(&self, component: &Component) -> Result<[i16; 64], Error> {
        let index = component.quantization;
        let table = self.quantization[index]
            .ok_or_else(|| corrupt(format!("quantization table {index} is used and not defined")))?;
        // As 16-bit multiplication sees them: no 8-bit image needs the sign.
        Ok(table.map(|value| value as i16))
    }

    /// Told as libjpeg tells it.
    pub(crate) fn colour(&self, frame: &Frame) -> Colour {
        let ids = frame.components.map(|component| component.id);
        match (frame.count, self.adobe_transform) {
            (1, _) => Colour::Gray,
            (3, _) if self.jfif => Colour::YCbCr,
            (3, Some(0)) => Colour::Rgb,
            (3, None) if ids[..3] == *b"RGB" => Colour::Rgb,
            (3, _) => Colour::YCbCr,
            (_, Some(2)) => Colour::Ycck,
            _ => Colour::Cmyk,
        }
    }
}

fn defined<'a>(place: &'a Place, class: &str, index: usize) -> Result<&'a Table, Error> {
    let table = place.table.as_ref().filter(|_| place.defined);
    table.ok_or_else(|| corrupt(format!("{class} Huffman table {index} is used and not defined")))
}
