//! What several colour operators share.

/// Luma of the BYOL authors' grayscale and of torchvision's (ITU-R BT.601, rounded).
pub const LUMA: [f32; 3] = [0.2989, 0.5870, 0.1140];

/// Luma of one pixel.
#[inline(always)]
pub fn luma(red: f32, green: f32, blue: f32) -> f32 {
    LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue
}

/// The larger; unlike `f32::max` one instruction, as NaN does not occur.
#[inline(always)]
pub fn larger(a: f32, b: f32) -> f32 {
    if a > b { a } else { b }
}

/// The smaller; see [`larger`].
#[inline(always)]
pub fn smaller(a: f32, b: f32) -> f32 {
    if a < b { a } else { b }
}

/// Clipped to [0, 1].
#[inline(always)]
pub fn clip(value: f32) -> f32 {
    smaller(larger(value, 0.0), 1.0)
}

/// Replaces each pixel of three equally long runs (red, green, blue) by what `change` makes of it.
#[inline(always)]
pub fn map_pixels([red, green, blue]: [&mut [f32]; 3], change: impl Fn(f32, f32, f32) -> (f32, f32, f32)) {
    // Equal lengths known to the compiler: no bounds checks, and the loop becomes SIMD.
    let count = red.len().min(green.len()).min(blue.len());
    let (red, green, blue) = (&mut red[..count], &mut green[..count], &mut blue[..count]);
    for i in 0..count {
        (red[i], green[i], blue[i]) = change(red[i], green[i], blue[i]);
    }
}
