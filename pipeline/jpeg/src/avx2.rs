//! The kernels for AVX2, and the loops around them compiled for machines that have it.
//!
//! The only file with `unsafe`: for calling functions that want these instructions, which an [`Avx2`] proves are there, and
//! for loads of vectors from arrays.

#![allow(unsafe_code)]

use std::arch::x86_64::*;
use std::ops::Range;

use crate::bits::Reader;
use crate::huffman::{Block, Invalid};
use crate::kernels::*;
use crate::render::Renderer;
use crate::sequential::{Unit, read_mcus};

/// Proof that the machine has AVX2 and BMI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Avx2(());

impl Avx2 {
    pub(crate) fn detect() -> Option<Avx2> {
        let all = is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("bmi1")
            && is_x86_feature_detected!("bmi2")
            && is_x86_feature_detected!("lzcnt");
        all.then_some(Avx2(()))
    }

    pub(crate) fn read_mcus(
        self,
        reader: &mut Reader<'_>,
        units: &[Unit<'_>],
        dc: &mut [i32; 4],
        renderer: &mut Renderer,
        row: usize,
        columns: Range<usize>,
    ) -> Result<(), Invalid> {
        #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt")]
        fn with_avx2(
            avx2: Avx2,
            reader: &mut Reader<'_>,
            units: &[Unit<'_>],
            dc: &mut [i32; 4],
            renderer: &mut Renderer,
            row: usize,
            columns: Range<usize>,
        ) -> Result<(), Invalid> {
            read_mcus(avx2, reader, units, dc, renderer, row, columns)
        }
        // SAFETY: `self` exists on machines only that have these instructions.
        unsafe { with_avx2(self, reader, units, dc, renderer, row, columns) }
    }

    pub(crate) fn write_rows(
        self,
        renderer: &mut Renderer,
        row: usize,
        pixel_rows: Range<usize>,
        out: &mut [u8],
    ) {
        #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt")]
        fn with_avx2(
            avx2: Avx2,
            renderer: &mut Renderer,
            row: usize,
            pixel_rows: Range<usize>,
            out: &mut [u8],
        ) {
            renderer.write_rows(avx2, row, pixel_rows, out)
        }
        // SAFETY: `self` exists on machines only that have these instructions.
        unsafe { with_avx2(self, renderer, row, pixel_rows, out) }
    }
}

impl Kernels for Avx2 {
    #[inline(always)]
    fn idct_pair(
        self,
        blocks: [&Block; 2],
        quantization: [&[i16; 64]; 2],
        samples: &mut [u8],
        targets: [(usize, usize); 2],
    ) {
        // SAFETY: `self` exists on machines only that have these instructions.
        unsafe { idct_pair(blocks, quantization, samples, targets) }
    }

    #[inline(always)]
    fn ycc(self, y: &[u8], cb: &[u8], cr: &[u8], pixels: &mut [u8]) {
        // SAFETY: `self` exists on machines only that have these instructions.
        unsafe { ycc(y, cb, cr, pixels) }
    }
}

/// Row `row` of each block, the first in the lower half.
#[inline]
#[target_feature(enable = "avx2")]
fn load_rows([first, second]: [&[i16; 64]; 2], row: usize) -> __m256i {
    let half = |block: &[i16; 64]| {
        let row: &[i16; 8] = block[8 * row..8 * row + 8].try_into().expect("eight columns");
        // SAFETY: a row has the 16 bytes that are read; alignment is not asked for.
        unsafe { _mm_loadu_si128(row.as_ptr().cast()) }
    };
    _mm256_inserti128_si256(_mm256_castsi128_si256(half(first)), half(second), 1)
}

#[inline]
#[target_feature(enable = "avx2")]
fn load_32(bytes: &[u8; 32]) -> __m256i {
    // SAFETY: the array has the 32 bytes that are read; alignment is not asked for.
    unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn store_32(bytes: &mut [u8; 32], value: __m256i) {
    // SAFETY: the array has the 32 bytes that are written; alignment is not asked for.
    unsafe { _mm256_storeu_si256(bytes.as_mut_ptr().cast(), value) }
}

/// Each half of the vectors is a block of its own: no instruction below crosses the middle.
#[inline]
#[target_feature(enable = "avx2")]
fn idct_pair(
    blocks: [&Block; 2],
    quantization: [&[i16; 64]; 2],
    samples: &mut [u8],
    targets: [(usize, usize); 2],
) {
    let mut rows = [_mm256_setzero_si256(); 8];
    for (index, row) in rows.iter_mut().enumerate() {
        *row = _mm256_mullo_epi16(load_rows(blocks, index), load_rows(quantization, index));
    }
    let columns = transpose(transform::<11>(rows));
    let rows = transpose(transform::<18>(columns));
    let offset = _mm256_set1_epi8(-128);
    for pair in 0..4 {
        let bytes = _mm256_packs_epi16(rows[2 * pair], rows[2 * pair + 1]);
        let bytes = _mm256_xor_si256(bytes, offset);
        let halves = [_mm256_castsi256_si128(bytes), _mm256_extracti128_si256(bytes, 1)];
        for (half, (start, stride)) in halves.into_iter().zip(targets) {
            let words = [_mm_cvtsi128_si64(half), _mm_extract_epi64(half, 1)];
            for (row, word) in words.into_iter().enumerate() {
                let at = start + (2 * pair + row) * stride;
                samples[at..at + 8].copy_from_slice(&word.to_le_bytes());
            }
        }
    }
}

/// One dimension of the inverse DCT, as [`Portable`] does it, across the vectors. Products of 16-bit numbers are added in
/// pairs, so each rotation is two instructions per four lanes.
#[inline]
#[target_feature(enable = "avx2")]
fn transform<const SHIFT: i32>(rows: [__m256i; 8]) -> [__m256i; 8] {
    /// `a * of_a + b * of_b`, for the pairs that were interleaved.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn combine(pairs: [__m256i; 2], of_a: i32, of_b: i32) -> [__m256i; 2] {
        let factors = _mm256_set1_epi32(of_b << 16 | of_a & 0xFFFF);
        [_mm256_madd_epi16(pairs[0], factors), _mm256_madd_epi16(pairs[1], factors)]
    }
    #[inline]
    #[target_feature(enable = "avx2")]
    fn interleave(a: __m256i, b: __m256i) -> [__m256i; 2] {
        [_mm256_unpacklo_epi16(a, b), _mm256_unpackhi_epi16(a, b)]
    }
    #[inline]
    #[target_feature(enable = "avx2")]
    fn add(a: [__m256i; 2], b: [__m256i; 2]) -> [__m256i; 2] {
        [_mm256_add_epi32(a[0], b[0]), _mm256_add_epi32(a[1], b[1])]
    }
    #[inline]
    #[target_feature(enable = "avx2")]
    fn subtract(a: [__m256i; 2], b: [__m256i; 2]) -> [__m256i; 2] {
        [_mm256_sub_epi32(a[0], b[0]), _mm256_sub_epi32(a[1], b[1])]
    }
    /// `value << 13`, with the half that rounds what comes of it.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn scale<const SHIFT: i32>(value: __m256i) -> [__m256i; 2] {
        let half = _mm256_set1_epi32(1 << (SHIFT - 1));
        interleave(_mm256_setzero_si256(), value)
            .map(|wide| _mm256_add_epi32(_mm256_srai_epi32(wide, 3), half))
    }
    #[inline]
    #[target_feature(enable = "avx2")]
    fn narrow<const SHIFT: i32>(value: [__m256i; 2]) -> __m256i {
        _mm256_packs_epi32(_mm256_srai_epi32(value[0], SHIFT), _mm256_srai_epi32(value[1], SHIFT))
    }
    let [i0, i1, i2, i3, i4, i5, i6, i7] = rows;

    let pairs = interleave(i2, i6);
    let even3 = combine(pairs, F0_541 + F0_765, F0_541);
    let even2 = combine(pairs, F0_541, F0_541 - F1_847);
    let even0 = scale::<SHIFT>(_mm256_add_epi16(i0, i4));
    let even1 = scale::<SHIFT>(_mm256_sub_epi16(i0, i4));
    let even = [add(even0, even3), add(even1, even2), subtract(even1, even2), subtract(even0, even3)];

    let pairs = interleave(_mm256_add_epi16(i7, i3), _mm256_add_epi16(i5, i1));
    let z3 = combine(pairs, F1_175 - F1_961, F1_175);
    let z4 = combine(pairs, F1_175, F1_175 - F0_390);
    let pairs = interleave(i7, i1);
    let odd3 = add(combine(pairs, F0_298 - F0_899, -F0_899), z3);
    let odd0 = add(combine(pairs, -F0_899, F1_501 - F0_899), z4);
    let pairs = interleave(i5, i3);
    let odd2 = add(combine(pairs, F2_053 - F2_562, -F2_562), z4);
    let odd1 = add(combine(pairs, -F2_562, F3_072 - F2_562), z3);

    [
        narrow::<SHIFT>(add(even[0], odd0)),
        narrow::<SHIFT>(add(even[1], odd1)),
        narrow::<SHIFT>(add(even[2], odd2)),
        narrow::<SHIFT>(add(even[3], odd3)),
        narrow::<SHIFT>(subtract(even[3], odd3)),
        narrow::<SHIFT>(subtract(even[2], odd2)),
        narrow::<SHIFT>(subtract(even[1], odd1)),
        narrow::<SHIFT>(subtract(even[0], odd0)),
    ]
}

/// Transposes the 8x8 numbers in each half.
#[inline]
#[target_feature(enable = "avx2")]
fn transpose(r: [__m256i; 8]) -> [__m256i; 8] {
    let a = [
        _mm256_unpacklo_epi16(r[0], r[1]),
        _mm256_unpackhi_epi16(r[0], r[1]),
        _mm256_unpacklo_epi16(r[2], r[3]),
        _mm256_unpackhi_epi16(r[2], r[3]),
        _mm256_unpacklo_epi16(r[4], r[5]),
        _mm256_unpackhi_epi16(r[4], r[5]),
        _mm256_unpacklo_epi16(r[6], r[7]),
        _mm256_unpackhi_epi16(r[6], r[7]),
    ];
    let b = [
        _mm256_unpacklo_epi32(a[0], a[2]),
        _mm256_unpackhi_epi32(a[0], a[2]),
        _mm256_unpacklo_epi32(a[1], a[3]),
        _mm256_unpackhi_epi32(a[1], a[3]),
        _mm256_unpacklo_epi32(a[4], a[6]),
        _mm256_unpackhi_epi32(a[4], a[6]),
        _mm256_unpacklo_epi32(a[5], a[7]),
        _mm256_unpackhi_epi32(a[5], a[7]),
    ];
    [
        _mm256_unpacklo_epi64(b[0], b[4]),
        _mm256_unpackhi_epi64(b[0], b[4]),
        _mm256_unpacklo_epi64(b[1], b[5]),
        _mm256_unpackhi_epi64(b[1], b[5]),
        _mm256_unpacklo_epi64(b[2], b[6]),
        _mm256_unpackhi_epi64(b[2], b[6]),
        _mm256_unpacklo_epi64(b[3], b[7]),
        _mm256_unpackhi_epi64(b[3], b[7]),
    ]
}

/// 32 pixels at a time. The last may be fewer: the lines go on behind them, the pixels don't.
#[inline]
#[target_feature(enable = "avx2")]
fn ycc(y: &[u8], cb: &[u8], cr: &[u8], pixels: &mut [u8]) {
    let lines = y.chunks(32).zip(cb.chunks(32)).zip(cr.chunks(32));
    for (pixels, ((y, cb), cr)) in pixels.chunks_mut(96).zip(lines) {
        if let (Ok(y), Ok(cb), Ok(cr)) = (y.try_into(), cb.try_into(), cr.try_into()) {
            let (red, green, blue) = rgb(load_32(y), load_32(cb), load_32(cr));
            if let Ok(whole) = pixels.try_into() {
                interleave(red, green, blue, whole);
            } else {
                let mut whole = [0; 96];
                interleave(red, green, blue, &mut whole);
                pixels.copy_from_slice(&whole[..pixels.len()]);
            }
        } else {
            Portable.ycc(y, cb, cr, pixels);
        }
    }
}

/// In 16-bit numbers, where 1.402 is 1 + 0.402, 1.772 is 2 - 0.228 and -0.71414 is 0.28586 - 1; the bits are those of
/// 32-bit numbers.
#[inline]
#[target_feature(enable = "avx2")]
fn rgb(y: __m256i, cb: __m256i, cr: __m256i) -> (__m256i, __m256i, __m256i) {
    let zero = _mm256_setzero_si256();
    let middle = _mm256_set1_epi16(128);
    let one = _mm256_set1_epi16(1);
    let half = _mm256_set1_epi32(1 << 15);
    let green_factors = _mm256_set1_epi32(18_734 << 16 | -22_554 & 0xFFFF);
    let convert = |y: __m256i, cb: __m256i, cr: __m256i| {
        let (cb, cr) = (_mm256_sub_epi16(cb, middle), _mm256_sub_epi16(cr, middle));
        let (cb2, cr2) = (_mm256_add_epi16(cb, cb), _mm256_add_epi16(cr, cr));
        // Products of doubled numbers: halving after adding one rounds.
        let rounded = |product: __m256i| _mm256_srai_epi16(_mm256_add_epi16(product, one), 1);
        let red = rounded(_mm256_mulhi_epi16(cr2, _mm256_set1_epi16(26_345)));
        let blue = rounded(_mm256_mulhi_epi16(cb2, _mm256_set1_epi16(-14_942)));
        let green = [_mm256_unpacklo_epi16(cb, cr), _mm256_unpackhi_epi16(cb, cr)].map(|pairs| {
            _mm256_srai_epi32(_mm256_add_epi32(_mm256_madd_epi16(pairs, green_factors), half), 16)
        });
        let green = _mm256_sub_epi16(_mm256_packs_epi32(green[0], green[1]), cr);
        (
            _mm256_add_epi16(y, _mm256_add_epi16(red, cr)),
            _mm256_add_epi16(y, green),
            _mm256_add_epi16(y, _mm256_add_epi16(blue, cb2)),
        )
    };
    let low = |line: __m256i| _mm256_unpacklo_epi8(line, zero);
    let high = |line: __m256i| _mm256_unpackhi_epi8(line, zero);
    let (red0, green0, blue0) = convert(low(y), low(cb), low(cr));
    let (red1, green1, blue1) = convert(high(y), high(cb), high(cr));
    (_mm256_packus_epi16(red0, red1), _mm256_packus_epi16(green0, green1), _mm256_packus_epi16(blue0, blue1))
}

/// Each half gives 48 bytes: a shuffle puts every sample where it belongs modulo 16, and blends pick.
#[inline]
#[target_feature(enable = "avx2")]
fn interleave(red: __m256i, green: __m256i, blue: __m256i, pixels: &mut [u8; 96]) {
    /// For the place `3 * pixel + channel` modulo 16, the pixel.
    const fn places(channel: usize) -> [i8; 16] {
        let mut places = [0; 16];
        let mut pixel = 0;
        while pixel < 16 {
            places[(3 * pixel + channel) % 16] = pixel as i8;
            pixel += 1;
        }
        places
    }
    /// Whether byte `at` of the 16-byte part `part` is of `channel`, as a blend wants it.
    const fn mask(part: usize, channel: usize) -> [i8; 16] {
        let mut mask = [0; 16];
        let mut at = 0;
        while at < 16 {
            if (16 * part + at) % 3 == channel {
                mask[at] = -1;
            }
            at += 1;
        }
        mask
    }
    let both = |bytes: [i8; 16]| {
        // SAFETY: the array has the 16 bytes that are read; alignment is not asked for.
        _mm256_broadcastsi128_si256(unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) })
    };
    let red = _mm256_shuffle_epi8(red, both(const { places(0) }));
    let green = _mm256_shuffle_epi8(green, both(const { places(1) }));
    let blue = _mm256_shuffle_epi8(blue, both(const { places(2) }));
    let parts = [
        (both(const { mask(0, 1) }), both(const { mask(0, 2) })),
        (both(const { mask(1, 1) }), both(const { mask(1, 2) })),
        (both(const { mask(2, 1) }), both(const { mask(2, 2) })),
    ]
    .map(|(is_green, is_blue)| _mm256_blendv_epi8(_mm256_blendv_epi8(red, green, is_green), blue, is_blue));
    let [first, second, third] = parts;
    let (whole, _) = pixels.as_chunks_mut::<32>();
    store_32(&mut whole[0], _mm256_permute2x128_si256(first, second, 0x20));
    store_32(&mut whole[1], _mm256_permute2x128_si256(third, first, 0x30));
    store_32(&mut whole[2], _mm256_permute2x128_si256(second, third, 0x31));
}
