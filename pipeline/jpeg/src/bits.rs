//! Entropy-coded data as bits: stuffed zeros are taken out first, so that reading bits needs to look for nothing.

use memchr::memchr;

/// Zero bytes behind the data. Reading past them gives zeros too, only slower.
const PADDING: usize = 16;

/// Appends to `stream` (emptied before) the entropy-coded data of `bytes` from `at` on, up to the next marker,
/// without its stuffed zeros. Answers where the marker's code is (the byte after 0xFF); `None` when the file ends
/// before one.
pub(crate) fn unstuff(bytes: &[u8], at: usize, stream: &mut Vec<u8>) -> Option<usize> {
    stream.clear();
    let mut start = at;
    let mut at = at;
    let marker = loop {
        let Some(found) = bytes.get(at..).and_then(|rest| memchr(0xFF, rest)) else { break None };
        at += found + 1;
        match bytes.get(at) {
            Some(0x00) => {
                stream.extend_from_slice(&bytes[start..at]);
                at += 1;
                start = at;
            }
            Some(0xFF) => {
                // A fill byte: the marker, if it is one, begins with the next.
                stream.extend_from_slice(&bytes[start..at - 1]);
                start = at;
            }
            Some(_) => {
                stream.extend_from_slice(&bytes[start..at - 1]);
                break Some(at);
            }
            None => break None,
        }
    };
    stream.extend_from_slice(&[0; PADDING]);
    marker
}

/// Reads bits, most significant first, from what [`unstuff`] wrote. Past the end it reads zeros, and
/// [`Reader::overran`] tells.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a> {
    /// What is not in `buffer` yet.
    rest: &'a [u8],
    /// The next bits, from the highest on. Below `count` bits there may be further correct ones.
    buffer: u64,
    /// Only the lowest six bits count.
    count: u32,
    exhausted: bool,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(stream: &'a [u8]) -> Self {
        Reader { rest: stream, buffer: 0, count: 0, exhausted: false }
    }

    /// Makes at least 56 bits available.
    #[inline(always)]
    pub(crate) fn refill(&mut self) {
        if let Some(&bytes) = self.rest.first_chunk() {
            self.buffer |= u64::from_be_bytes(bytes) >> (self.count & 63);
            // As many whole bytes as fit: at most 7, which the mask tells the compiler.
            self.rest = &self.rest[((self.count ^ 63) >> 3 & 7) as usize..];
        } else {
            self.exhausted = true;
        }
        self.count |= 56;
    }

    /// The next `count` bits (1 to 32), which stay.
    #[inline(always)]
    pub(crate) fn peek(&self, count: u32) -> usize {
        (self.buffer >> (64 - count)) as usize
    }

    /// The next 16 bits, which stay.
    #[inline(always)]
    pub(crate) fn peek_16(&self) -> u32 {
        (self.buffer >> 48) as u32
    }

    /// Drops `count` bits (0 to 63) that are available; of `count`, only the low six bits are looked at.
    #[inline(always)]
    pub(crate) fn consume(&mut self, count: u32) {
        self.buffer = self.buffer.wrapping_shl(count);
        self.count = self.count.wrapping_sub(count);
    }

    /// Drops `total` bits, of which the last `size` (0 to 15) are a difference as JPEG codes it, and answers that:
    /// the lower half of the codes are negative. Of `total`, only the low six bits are looked at.
    #[inline(always)]
    pub(crate) fn signed(&mut self, total: u32, size: u32) -> i32 {
        let bits = (self.buffer.rotate_left(total) as u32 & ((1 << size) - 1)) as i32;
        let positive = ((self.buffer.wrapping_shl(total.wrapping_sub(size))) as i64 >> 63) as i32;
        self.consume(total);
        bits + (!positive & LOWEST[(size & 15) as usize])
    }

    /// The next `count` bits (0 to 16), taken.
    #[inline(always)]
    pub(crate) fn bits(&mut self, count: u32) -> u32 {
        self.refill();
        let bits = self.buffer.rotate_left(count) as u32 & ((1 << count) - 1);
        self.consume(count);
        bits
    }

    /// Whether more was read than there is.
    pub(crate) fn overran(&self) -> bool {
        self.exhausted || 8 * self.rest.len() + ((self.count & 63) as usize) < 8 * PADDING
    }
}

/// The lowest difference of each size: `1 - 2^size`.
const LOWEST: [i32; 16] = {
    let mut lowest = [0; 16];
    let mut size = 0;
    while size < 16 {
        lowest[size] = 1 - (1 << size);
        size += 1;
    }
    lowest
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stuffed_zeros_and_fill_bytes_are_taken_out() {
        let mut stream = Vec::new();
        let file = [9, 1, 0xFF, 0, 2, 0xFF, 0, 0xFF, 0xFF, 0xD9];
        assert_eq!(unstuff(&file, 1, &mut stream), Some(9));
        assert_eq!(stream[..stream.len() - PADDING], [1, 0xFF, 2, 0xFF]);
        assert_eq!(unstuff(&file[..9], 1, &mut stream), None);
    }

    #[test]
    fn bits_come_in_order_and_zeros_after_them() {
        let mut stream = Vec::new();
        unstuff(&[0b1010_0110, 0b1100_0001, 0xFF, 0xD9], 0, &mut stream);
        let mut reader = Reader::new(&stream);
        assert_eq!([3, 1, 5, 7].map(|count| reader.bits(count)), [0b101, 0, 0b01101, 0b1000001]);
        assert!(!reader.overran());
        for _ in 0..40 {
            assert_eq!(reader.bits(16), 0);
            assert!(reader.overran());
        }
    }

    #[test]
    fn differences_are_signed_as_the_standard_tables_them() {
        // Size 3: 000 is -7, 011 is -4, 100 is 4, 111 is 7; size 0 is 0.
        for (bits, value) in [(0b000, -7), (0b011, -4), (0b100, 4), (0b111, 7)] {
            let mut stream = Vec::new();
            unstuff(&[0b10 << 6 | bits << 3, 0xFF, 0xD9], 0, &mut stream);
            let mut reader = Reader::new(&stream);
            reader.refill();
            assert_eq!(reader.signed(2, 0), 0);
            assert_eq!(reader.signed(3, 3), value);
        }
    }
}
