//! Part of what Snappy compressed, without the rest.
//!
//! Every encoder in use compresses blocks of 64 KiB that don't refer to each other, and puts them one after the other
//! into one stream. So a table of where they begin makes any of them readable; whether a stream is such, its elements tell.

use std::io;
use std::ops::Range;

/// Bytes of a block before compression.
const BLOCK: usize = 1 << 16;
/// Bytes of the longest varint of 32 bits.
const VARINT: usize = 5;

/// Where each block of a stream begins, and where the last one ends, in compressed bytes.
#[derive(Debug)]
pub(super) struct Blocks {
    starts: Box<[u32]>,
    /// Bytes before compression.
    total: usize,
}

impl Blocks {
    /// The blocks of `stream`; `None` where they depend on each other, or where it is damaged.
    pub fn of(stream: &[u8]) -> Option<Blocks> {
        let (total, mut at) = read_varint(stream)?;
        let (mut starts, mut done) = (Vec::with_capacity(total / BLOCK + 2), 0);
        while at < stream.len() {
            let in_block = done % BLOCK;
            if in_block == 0 {
                starts.push(u32::try_from(at).ok()?);
            }
            let Element { header, length, distance } = Element::read(&stream[at..])?;
            match distance {
                None => at += header + length,
                Some(distance) if (1..=in_block).contains(&distance) => at += header,
                Some(_) => return None,
            }
            if length > BLOCK - in_block {
                return None;
            }
            done += length;
        }
        starts.push(u32::try_from(at).ok()?);
        (done == total && at == stream.len()).then(|| Blocks { starts: starts.into(), total })
    }

    /// Replaces the content of `out` by what the bytes `range` were before compression. `read` fills a slice from a place
    /// in the stream on.
    pub fn read(
        &self,
        range: Range<usize>,
        read: impl FnOnce(&mut [u8], u64) -> io::Result<()>,
        out: &mut Vec<u8>,
    ) -> io::Result<()> {
        if range.is_empty() {
            out.clear();
            return Ok(());
        }
        let (first, end) = (range.start / BLOCK, range.end.div_ceil(BLOCK));
        let (&from, &to) = match (self.starts.get(first), self.starts.get(end)) {
            (Some(from), Some(to)) => (from, to),
            _ => return Err(io::ErrorKind::UnexpectedEof.into()),
        };
        let length = self.total.min(end * BLOCK) - first * BLOCK;
        // The stream is read behind the content's place, so that it needs no memory of its own; before it comes the
        // length, which makes the blocks a whole stream.
        out.resize(length + VARINT + (to - from) as usize, 0);
        let (content, stream) = out.split_at_mut(length);
        read(&mut stream[VARINT..], u64::from(from))?;
        let varint = write_varint(length as u32, &mut stream[..VARINT]);
        snap::raw::Decoder::new().decompress(&stream[varint..], content).map_err(io::Error::other)?;
        let start = range.start - first * BLOCK;
        out.copy_within(start..start + range.len(), 0);
        out.truncate(range.len());
        Ok(())
    }
}

/// What a stream is made of: bytes that follow as they are, or a copy of earlier ones.
struct Element {
    header: usize,
    length: usize,
    /// How far back the copied bytes lie.
    distance: Option<usize>,
}

impl Element {
    fn read(stream: &[u8]) -> Option<Element> {
        let tag = usize::from(*stream.first()?);
        let little_endian = |count: usize| {
            let bytes = stream.get(1..1 + count)?;
            Some(bytes.iter().rev().fold(0, |number, byte| number << 8 | usize::from(*byte)))
        };
        let upper = tag >> 2;
        Some(match tag & 3 {
            0 if upper < 60 => Element { header: 1, length: upper + 1, distance: None },
            0 => {
                let bytes = upper - 59;
                Element { header: 1 + bytes, length: little_endian(bytes)? + 1, distance: None }
            }
            1 => {
                let distance = (tag >> 5) << 8 | little_endian(1)?;
                Element { header: 2, length: 4 + (upper & 7), distance: Some(distance) }
            }
            2 => Element { header: 3, length: upper + 1, distance: Some(little_endian(2)?) },
            _ => Element { header: 5, length: upper + 1, distance: Some(little_endian(4)?) },
        })
    }
}

/// The number at the begin of `stream`, and the bytes that it takes.
fn read_varint(stream: &[u8]) -> Option<(usize, usize)> {
    let last = stream.iter().take(VARINT).position(|byte| *byte < 0x80)?;
    let number = stream[..=last].iter().rev().fold(0, |number, byte| number << 7 | usize::from(byte & 0x7F));
    Some((number, last + 1))
}

/// Writes `number` at the end of `place`, which has room for it; its begin.
fn write_varint(number: u32, place: &mut [u8]) -> usize {
    let groups = (32 - number.leading_zeros()).div_ceil(7).max(1) as usize;
    let start = place.len() - groups;
    for (group, byte) in place[start..].iter_mut().enumerate() {
        let more = if group + 1 < groups { 0x80 } else { 0 };
        *byte = (number >> (7 * group)) as u8 & 0x7F | more;
    }
    start
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs of noise and of repetition, so that there are literals and copies of every kind.
    fn content(length: usize) -> Vec<u8> {
        let mut state = 1_u32;
        (0..length)
            .map(|at| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                if at / 5000 % 2 == 0 { (state >> 24) as u8 } else { (at % 700 / 3) as u8 }
            })
            .collect()
    }

    fn read(blocks: &Blocks, stream: &[u8], range: Range<usize>) -> Vec<u8> {
        let mut out = vec![9; 3];
        let fill = |bytes: &mut [u8], at: u64| {
            bytes.copy_from_slice(&stream[at as usize..][..bytes.len()]);
            Ok(())
        };
        blocks.read(range, fill, &mut out).unwrap();
        out
    }

    #[test]
    fn every_part_is_as_in_the_whole() {
        for length in [1, 300, BLOCK - 1, BLOCK, BLOCK + 1, 5 * BLOCK + 77] {
            let content = content(length);
            let stream = snap::raw::Encoder::new().compress_vec(&content).unwrap();
            let blocks = Blocks::of(&stream).unwrap();
            let places = [0, 1, 200, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK - 5, length - 1, length];
            for start in places.into_iter().filter(|place| *place <= length) {
                for end in places.into_iter().filter(|place| (start..=length).contains(place)) {
                    assert_eq!(read(&blocks, &stream, start..end), content[start..end], "{start}..{end}");
                }
            }
        }
    }

    #[test]
    fn streams_whose_blocks_depend_on_each_other_or_that_are_damaged_have_none() {
        let literal = |length: usize| {
            let mut bytes = vec![61 << 2];
            bytes.extend(((length - 1) as u16).to_le_bytes());
            bytes.resize(3 + length, 7);
            bytes
        };
        let stream = |total: u32, elements: &[&[u8]]| {
            let mut varint = [0; VARINT];
            let start = write_varint(total, &mut varint);
            [&varint[start..], &elements.concat()].concat()
        };
        let block = BLOCK as u32;
        // A copy of one byte, from two back.
        let copy: &[u8] = &[2, 2, 0];
        let whole = stream(block + 3, &[&literal(BLOCK), &literal(2), copy]);
        assert_eq!(read(&Blocks::of(&whole).unwrap(), &whole, BLOCK..BLOCK + 3), [7; 3]);
        assert!(Blocks::of(&stream(block + 2, &[&literal(BLOCK), &literal(1), copy])).is_none());
        assert!(Blocks::of(&stream(block + 1, &[&literal(BLOCK - 1), &literal(2)])).is_none());
        assert!(Blocks::of(&stream(3, &[&literal(2)])).is_none());
        assert!(Blocks::of(&whole[..whole.len() - 1]).is_none());
        assert!(Blocks::of(&stream(2, &[&literal(2)[..4]])).is_none());
        assert!(Blocks::of(&[]).is_none());
    }

    #[test]
    fn varints_are_read_as_they_are_written() {
        for number in [0, 1, 127, 128, 300, 1 << 21, u32::MAX] {
            let mut place = [0; VARINT];
            let start = write_varint(number, &mut place);
            assert_eq!(read_varint(&place[start..]), Some((number as usize, VARINT - start)));
        }
        assert_eq!(write_varint(300, &mut [0; VARINT]), 3);
        assert_eq!(read_varint(&[0x80; 9]), None);
    }
}
