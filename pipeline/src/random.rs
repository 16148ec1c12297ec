//! Keys of random draws: hashes of what a draw may depend on, and of nothing else.
//!
//! Invariant: the hash is SipHash-2-4 under a fixed key over length-prefixed parts. Changing it changes every
//! run's numbers, so that it never changes.

use std::hash::Hasher;

use diptych_host::RandomStream;
use siphasher::sip::SipHasher24;

/// Key of the stream that one operator draws from for one view of one sample in one epoch. Draw 0 decides
/// whether it is applied; the operator's own draws start at 1.
///
/// `operator` is the operator's instance name in its view and not its position: removing an operator leaves
/// every other one's draws as they were.
pub fn key(seed: u64, epoch: u64, sample: u64, view: u32, operator: &str) -> [u32; 2] {
    let mut hasher = hasher("draw");
    hasher.write(&seed.to_le_bytes());
    hasher.write(&epoch.to_le_bytes());
    hasher.write(&sample.to_le_bytes());
    hasher.write(&view.to_le_bytes());
    write_text(&mut hasher, operator);
    let hash = hasher.finish();
    [hash as u32, (hash >> 32) as u32]
}

/// A seed of its own for each named use (`weights/encoder/online`) under a run's seed.
pub fn seed(run_seed: u64, name: &str) -> u64 {
    let mut hasher = hasher("seed");
    hasher.write(&run_seed.to_le_bytes());
    write_text(&mut hasher, name);
    hasher.finish()
}

/// Stable id of a sample: the hash of its [name](crate::source), with `/` between folders.
pub fn sample_id(name: &[u8]) -> u64 {
    let mut hasher = hasher("sample");
    hasher.write(name);
    hasher.finish()
}

/// Fisher and Yates's shuffle: every order is equally likely.
pub fn shuffle<T>(items: &mut [T], stream: &mut RandomStream) {
    for last in (1..items.len()).rev() {
        items.swap(last, stream.below(last as u64 + 1) as usize);
    }
}

/// A hasher for one purpose: equal input under two purposes gives unrelated hashes.
pub(crate) fn hasher(purpose: &str) -> SipHasher24 {
    let mut hasher = SipHasher24::new_with_key(b"diptych/random/1");
    write_text(&mut hasher, purpose);
    hasher
}

// `Hasher::write_*` of numbers use the machine's byte order; bytes do not.
fn write_text(hasher: &mut SipHasher24, text: &str) {
    hasher.write(&(text.len() as u64).to_le_bytes());
    hasher.write(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_never_change_between_versions() {
        // From a separate implementation of SipHash-2-4 in Python. A change would silently change every run.
        assert_eq!(key(0, 0, 0, 0, "grayscale"), [0xfd96c8e3, 0x9538c8b1]);
        assert_eq!(seed(7, "weights/encoder/online"), 0x79d4_db6e_4aec_dab9);
        assert_eq!(sample_id(b"cat/1.jpg"), 0x0c13_fec4_919b_0d3f);
    }

    #[test]
    fn every_part_of_a_key_counts() {
        let all = [
            key(1, 2, 3, 4, "a"),
            key(2, 2, 3, 4, "a"),
            key(1, 3, 3, 4, "a"),
            key(1, 2, 4, 4, "a"),
            key(1, 2, 3, 5, "a"),
            key(1, 2, 3, 4, "b"),
        ];
        for (index, key) in all.iter().enumerate() {
            assert!(!all[..index].contains(key));
        }
    }
}
