//! Binary PPM: a header of text, then bare RGB pixels, which are read in place.
//!
//! The header is `P6`, width, height and largest value, apart by white space or comments from `#` to the line's end; one
//! white space later the pixels begin.

use diptych_host::Size;

/// Bytes of a header, comments included.
pub(super) const LONGEST_HEADER: u64 = 512;

/// The size of the image in a file of `length` bytes that begins with `begin`, and where its pixels begin. An error is
/// what was found instead.
pub(super) fn header(begin: &[u8], length: u64) -> Result<(Size, u64), String> {
    match begin {
        [b'P', b'6', ..] => {}
        [b'P', kind @ b'1'..=b'7', ..] => return Err(format!("netpbm's P{}", char::from(*kind))),
        _ => return Err("no PPM file".into()),
    }
    let mut at = 2;
    let mut number = || number(begin, &mut at).ok_or("a broken header");
    let (width, height, largest) = (number()?, number()?, number()?);
    if largest != 255 {
        return Err(format!("values up to {largest}"));
    }
    let (size, start) = (Size { width, height }, at as u64 + 1);
    let pixels = (3 * u64::from(width)).saturating_mul(u64::from(height));
    let found = length.saturating_sub(start);
    if pixels == 0 || found != pixels {
        return Err(format!("{found} bytes of pixels where {width}x{height} take {pixels}"));
    }
    Ok((size, start))
}

/// The next number, which white space follows; `at` then stands there.
fn number(begin: &[u8], at: &mut usize) -> Option<u32> {
    let gap = *at;
    loop {
        match begin.get(*at)? {
            b'#' => *at += begin[*at..].iter().position(|byte| *byte == b'\n')?,
            byte if byte.is_ascii_whitespace() => *at += 1,
            _ => break,
        }
    }
    let digits = begin[*at..].iter().position(|byte| !byte.is_ascii_digit())?;
    let text = std::str::from_utf8(&begin[*at..*at + digits]).ok()?;
    *at += digits;
    let number = text.parse().ok()?;
    (*at - digits > gap && begin[*at].is_ascii_whitespace()).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(begin: &str, length: u64) -> Result<(u32, u32, u64), String> {
        header(begin.as_bytes(), length).map(|(size, start)| (size.width, size.height, start))
    }

    #[test]
    fn pixels_begin_one_white_space_after_the_last_number() {
        assert_eq!(check("P6\n4 3\n255\n", 11 + 36), Ok((4, 3, 11)));
        assert_eq!(check("P6 # by hand\n#\n\t4\r\n3 255\n\n", 25 + 36), Ok((4, 3, 25)));
    }

    #[test]
    fn other_kinds_and_broken_headers_are_told_apart() {
        let found = |begin, length| check(begin, length).unwrap_err();
        assert_eq!(found("P5\n4 3\n255\n", 23), "netpbm's P5");
        assert_eq!(found("\u{1}\u{2}", 2), "no PPM file");
        assert_eq!(found("P6\n4 3\n65535\n", 85), "values up to 65535");
        assert_eq!(found("P6\n4 3\n255\n", 46), "35 bytes of pixels where 4x3 take 36");
        assert_eq!(found("P6\n0 3\n255\n", 11), "0 bytes of pixels where 0x3 take 0");
        for broken in [
            "P6",
            "P6\n4 3\n255",
            "P64 3\n255\n",
            "P6\n4 # 3\n255",
            "P6\n4 -3\n255\n",
            "P6\n5000000000 3\n255\n",
        ] {
            assert_eq!(found(broken, 1 << 20), "a broken header", "{broken:?}");
        }
    }
}
