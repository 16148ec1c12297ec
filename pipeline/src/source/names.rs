//! Names of samples, and the ids that come of them.

use std::collections::HashSet;

use rayon::prelude::*;

use crate::random;

/// `path` without what follows the last dot of its last part; a dot that begins the part doesn't count.
pub(super) fn without_suffix(path: &[u8]) -> &[u8] {
    let base = path.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
    match path[base..].iter().rposition(|byte| *byte == b'.') {
        None | Some(0) => path,
        Some(dot) => &path[..base + dot],
    }
}

/// The ids of `count` samples: hashes of their names, or, for samples that share a name, of their full names, which
/// tell any two samples apart.
pub(super) fn ids<N: AsRef<[u8]>, F: AsRef<[u8]>>(
    count: usize,
    name: impl Fn(usize) -> N + Sync,
    full_name: impl Fn(usize) -> F + Sync,
) -> Vec<u64> {
    let mut ids: Vec<u64> =
        (0..count).into_par_iter().map(|index| random::sample_id(name(index).as_ref())).collect();
    let mut sorted = ids.clone();
    sorted.par_sort_unstable();
    let shared: HashSet<u64> =
        sorted.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]).collect();
    if !shared.is_empty() {
        ids.par_iter_mut().enumerate().filter(|(_, id)| shared.contains(id)).for_each(|(index, id)| {
            *id = random::sample_id(full_name(index).as_ref());
        });
    }
    ids
}

/// The name that `id` is the hash of, of the two that [`ids`] knows for its sample.
pub(super) fn name(id: u64, name: impl Into<Vec<u8>>, full_name: impl FnOnce() -> Vec<u8>) -> Vec<u8> {
    let name = name.into();
    if random::sample_id(&name) == id { name } else { full_name() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_suffix_of_the_last_part_goes() {
        let pairs: [(&str, &str); 6] = [
            ("n01440764/n01440764_10026.JPEG", "n01440764/n01440764_10026"),
            ("a.b/c", "a.b/c"),
            ("a.b/c.d.png", "a.b/c.d"),
            ("a/.hidden", "a/.hidden"),
            ("x.", "x"),
            ("", ""),
        ];
        for (path, name) in pairs {
            assert_eq!(without_suffix(path.as_bytes()), name.as_bytes());
        }
    }

    #[test]
    fn samples_that_share_a_name_are_told_apart_and_others_stay() {
        let names = ["a", "b", "a"];
        let full_name = |index: usize| format!("{}#{index}", names[index]);
        let ids = ids(3, |index| names[index], full_name);
        assert_eq!(ids, ["a#0", "b", "a#2"].map(|name| random::sample_id(name.as_bytes())));
        let found: Vec<_> =
            (0..3).map(|index| name(ids[index], names[index], || full_name(index).into())).collect();
        assert_eq!(found, ["a#0", "b", "a#2"].map(str::as_bytes));
    }
}
