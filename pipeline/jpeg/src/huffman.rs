//! Huffman codes: tables that answer most symbols with one look, and blocks of coefficients read with them.
//!
//! A table entry says how many bits to drop in its lowest six bits, which is all that the next look waits for; run and
//! value are worked out meanwhile.

use crate::bits::Reader;

/// Codes of up to this many bits are found by one look.
const LOOK: u32 = 12;

/// The order in which a block's coefficients are stored, as indices row by row.
#[rustfmt::skip]
pub(crate) const ZIGZAG: [u8; 64] = [
     0,  1,  8, 16,  9,  2,  3, 10, 17, 24, 32, 25, 18, 11,  4,  5,
    12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13,  6,  7, 14, 21, 28,
    35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51,
    58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
];

/// A block of 8x8 coefficients, row by row, not yet multiplied by its quantization table.
pub(crate) type Block = [i16; 64];

/// The data holds no valid code, or runs past a block's end.
#[derive(Debug)]
pub(crate) struct Invalid;

/// A Huffman table. For symbols of run and size (`run << 4 | size`); those of DC tables have run 0.
#[derive(Clone)]
pub(crate) struct Table {
    /// By the next [`LOOK`] bits: bits 0 to 5 how long code and value are together, 6 to 9 the value's size, 10 to 13 the
    /// run; [`END`] for an end of block, [`LONG`] where the code is longer than a look, or no code.
    lookup: Box<[u16; 1 << LOOK]>,
    /// As many symbols as fit into a look: bits 0 to 5 their length, 6 to 13 the coefficients they stand for, [`END`]
    /// when the last is an end of block; 0 where the first code is longer than a look.
    skip: Box<[u16; 1 << LOOK]>,
    /// By length: the first code, its symbol's index, and the number of codes.
    lengths: [(u32, usize, u32); 17],
    symbols: Vec<u8>,
}

const END: u16 = 1 << 14;
const LONG: u16 = 1 << 15;

/// The entry of a symbol whose code has `length` bits. Values of more than 15 (DC) or 10 bits (AC) do not occur in
/// 8-bit images, and would not fit between two refills.
fn entry(length: u16, symbol: u8, dc: bool) -> Option<u16> {
    let (run, size) = (u16::from(symbol >> 4), u16::from(symbol & 15));
    if dc && run > 0 || !dc && size > 10 {
        return None;
    }
    // An end of block is a run without a value, except 16 zeros.
    let end = if !dc && size == 0 && run != 15 { END } else { 0 };
    Some((length + size) | size << 6 | run << 10 | end)
}

impl Table {
    /// From a DHT segment's counts per length (1 to 16) and its symbols. `None` when they are no Huffman code.
    pub(crate) fn new(counts: &[u8; 16], symbols: &[u8], dc: bool) -> Option<Table> {
        let mut table = Table {
            lookup: Box::new([LONG; 1 << LOOK]),
            skip: Box::new([0; 1 << LOOK]),
            lengths: [(0, 0, 0); 17],
            symbols: symbols.to_vec(),
        };
        let (mut code, mut index) = (0_u32, 0);
        for length in 1..=16 {
            let count = u32::from(counts[length - 1]);
            table.lengths[length] = (code, index, count);
            if code + count > 1 << length {
                return None;
            }
            if length as u32 <= LOOK {
                let spare = LOOK - length as u32;
                for of_length in 0..count {
                    let symbol = *symbols.get(index + of_length as usize)?;
                    let first = ((code + of_length) << spare) as usize;
                    if let Some(entry) = entry(length as u16, symbol, dc) {
                        table.lookup[first..first + (1 << spare)].fill(entry);
                    }
                }
            }
            index += count as usize;
            code = (code + count) << 1;
        }
        if index != symbols.len() {
            return None;
        }
        if !dc {
            table.fill_skip();
        }
        Some(table)
    }

    fn fill_skip(&mut self) {
        for look in 0..1 << LOOK {
            let (mut length, mut advance, mut end) = (0, 0, 0);
            while length < LOOK {
                let entry = self.lookup[look << length & ((1 << LOOK) - 1)];
                let code = u32::from((entry & 63) - (entry >> 6 & 15));
                // What is looked at beyond the known bits are zeros: such a code does not count.
                if entry & LONG != 0 || length + code > LOOK {
                    break;
                }
                length += u32::from(entry & 63);
                end = entry & END;
                if end != 0 {
                    break;
                }
                advance += (entry >> 10 & 15) + 1;
                if advance > 48 {
                    break;
                }
            }
            self.skip[look] = length as u16 | advance << 6 | end;
        }
    }

    /// The entry of a code that is longer than a look, at the start of `bits`; or none.
    #[cold]
    #[inline(never)]
    fn long(&self, bits: u32, dc: bool) -> Result<u16, Invalid> {
        for length in LOOK + 1..=16 {
            let (first, index, count) = self.lengths[length as usize];
            let code = (bits >> (16 - length)).wrapping_sub(first);
            if code < count {
                return entry(length as u16, self.symbols[index + code as usize], dc).ok_or(Invalid);
            }
        }
        Err(Invalid)
    }

    /// The next symbol's entry: not yet dropped. Wants 16 bits to be available.
    #[inline(always)]
    fn entry(&self, reader: &Reader<'_>, dc: bool) -> Result<u16, Invalid> {
        let entry = self.lookup[reader.peek(LOOK)];
        if entry & LONG != 0 { self.long(reader.peek_16(), dc) } else { Ok(entry) }
    }

    /// The next symbol of run and size, taken.
    pub(crate) fn symbol(&self, reader: &mut Reader<'_>) -> Result<(u32, u32), Invalid> {
        reader.refill();
        let entry = u32::from(self.entry(reader, false)?);
        let (run, size) = (entry >> 10 & 15, entry >> 6 & 15);
        reader.consume((entry & 63) - size);
        Ok((run, size))
    }

    /// The next difference of DC coefficients.
    #[inline(always)]
    pub(crate) fn difference(&self, reader: &mut Reader<'_>) -> Result<i32, Invalid> {
        reader.refill();
        let entry = u32::from(self.entry(reader, true)?);
        Ok(reader.signed(entry & 63, entry >> 6 & 15))
    }
}

/// Reads one block of a sequential scan; `block` holds zeros before. `dc` is the component's last DC coefficient.
#[inline(always)]
pub(crate) fn read_block(
    reader: &mut Reader<'_>,
    (dc_table, ac_table): (&Table, &Table),
    dc: &mut i32,
    block: &mut Block,
) -> Result<(), Invalid> {
    let mut bits = *reader;
    *dc = dc.wrapping_add(dc_table.difference(&mut bits)?);
    block[0] = *dc as i16;
    let lookup = &*ac_table.lookup;
    let mut k = 0;
    loop {
        bits.refill();
        // Two symbols of at most 16 + 10 bits need one refill.
        for _ in 0..2 {
            let mut entry = lookup[bits.peek(LOOK)];
            if entry >= END {
                if entry & LONG != 0 {
                    entry = ac_table.long(bits.peek_16(), false)?;
                }
                if entry & END != 0 {
                    bits.consume(u32::from(entry));
                    *reader = bits;
                    return Ok(());
                }
            }
            let entry = u32::from(entry);
            let value = bits.signed(entry, entry >> 6 & 15);
            k += (entry >> 10) as usize + 1;
            if k >= 63 {
                if k > 63 {
                    return Err(Invalid);
                }
                block[63] = value as i16;
                *reader = bits;
                return Ok(());
            }
            // 16 zeros are a run of 15 and a value of size 0, which is 0.
            block[usize::from(ZIGZAG[k] & 63)] = value as i16;
        }
    }
}

/// Reads past one block of a sequential scan, keeping track of its DC coefficient only.
#[inline(always)]
pub(crate) fn skip_block(
    reader: &mut Reader<'_>,
    (dc_table, ac_table): (&Table, &Table),
    dc: &mut i32,
) -> Result<(), Invalid> {
    let mut bits = *reader;
    *dc = dc.wrapping_add(dc_table.difference(&mut bits)?);
    let mut k = 1;
    while k < 64 {
        bits.refill();
        let entry = ac_table.skip[bits.peek(LOOK)];
        let advance = usize::from(entry >> 6 & 0xFF);
        // Symbols that follow a block's last coefficient are the next block's.
        if entry != 0 && k + advance < 64 {
            bits.consume(u32::from(entry));
            k += advance;
            if entry & END != 0 {
                break;
            }
        } else {
            let entry = ac_table.entry(&bits, false)?;
            bits.consume(u32::from(entry));
            if entry & END != 0 {
                break;
            }
            k += usize::from(entry >> 10 & 15) + 1;
            if k > 64 {
                return Err(Invalid);
            }
        }
    }
    *reader = bits;
    Ok(())
}
