//! The random stream that an operator draws from: counter-based, so that a draw depends on nothing
//! but its key and its index.
//!
//! The generator is Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3").
//! Draw `n` is the first two words of the block with counter `[n low, n high, 0, 0]` under `key`, as
//! `word[0] | word[1] << 32`. The algorithm is part of the boundary: a plugin in any language computes the
//! same draws.

/// A stream of draws for one (run seed, epoch, sample, view, operator); the key is the host's hash of these.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RandomStream {
    /// Philox key.
    pub key: [u32; 2],
    /// Index of the next draw. Draw 0 decides whether the operator is applied and is the host's; a
    /// plugin finds the stream at 1.
    pub draw: u64,
}

impl RandomStream {
    /// The stream under `key` from its first draw on.
    pub const fn new(key: [u32; 2]) -> Self {
        RandomStream { key, draw: 0 }
    }

    /// The next 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        let words = philox4x32([self.draw as u32, (self.draw >> 32) as u32, 0, 0], self.key);
        self.draw += 1;
        u64::from(words[0]) | u64::from(words[1]) << 32
    }

    /// Uniform in [0, 1), with 53 random bits.
    pub fn unit(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// Uniform in [low, high).
    pub fn uniform(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// True with probability `probability` (always for 1, never for 0).
    pub fn bernoulli(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// Uniform in 0..bound, by multiplication (Lemire 2019, without rejection: the bias is below
    /// `bound / 2^64`). `bound` must not be 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next_u64()) * u128::from(bound)) >> 64) as u64
    }
}

/// One block of Philox4x32-10.
pub const fn philox4x32(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    let mut round = 0;
    while round < 10 {
        let left = counter[0] as u64 * 0xD251_1F53;
        let right = counter[2] as u64 * 0xCD9E_8D57;
        counter = [
            (right >> 32) as u32 ^ counter[1] ^ key[0],
            right as u32,
            (left >> 32) as u32 ^ counter[3] ^ key[1],
            left as u32,
        ];
        key = [key[0].wrapping_add(0x9E37_79B9), key[1].wrapping_add(0xBB67_AE85)];
        round += 1;
    }
    counter
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn philox_gives_the_known_answers_of_its_authors() {
        // Random123's kat_vectors for philox4x32-10.
        assert_eq!(philox4x32([0; 4], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        assert_eq!(
            philox4x32([u32::MAX; 4], [u32::MAX; 2]),
            [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]
        );
        assert_eq!(
            philox4x32([0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344], [0xa409_3822, 0x299f_31d0]),
            [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]
        );
    }

    #[test]
    fn a_draw_depends_only_on_key_and_index() {
        let mut whole = RandomStream::new([7, 9]);
        let draws: Vec<u64> = (0..5).map(|_| whole.next_u64()).collect();
        let mut late = RandomStream { key: [7, 9], draw: 3 };
        assert_eq!(late.next_u64(), draws[3]);
    }

    #[test]
    fn probability_one_is_always_and_zero_is_never() {
        let mut stream = RandomStream::new([1, 2]);
        assert!((0..1000).all(|_| stream.bernoulli(1.0)));
        assert!((0..1000).all(|_| !stream.bernoulli(0.0)));
    }
}
