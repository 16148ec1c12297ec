//! Which training images a protocol uses: held-out ones, and a part with the same share of every class.
//!
//! Drawn under a seed, from names of their own: the same for the same images and seed, whatever else is evaluated.

use diptych_abi::RandomStream;
use diptych_pipeline::random;

use crate::{Error, Result};

/// Of `samples` rows, those to fit on and `held_out` others, each at least one and in order.
///
/// # Errors
/// There are fewer than two rows.
pub(super) fn hold_out(samples: usize, held_out: usize, seed: u64) -> Result<(Vec<usize>, Vec<usize>)> {
    if samples < 2 {
        return Err(Error::Unfit(format!(
            "found {samples} training images to choose a setting on, expected two or more; give data.validation, or a grid of one value"
        )));
    }
    let mut rows: Vec<usize> = (0..samples).collect();
    random::shuffle(&mut rows, &mut stream(seed, "evaluation/held_out"));
    let held_out = held_out.clamp(1, samples - 1);
    let (held_out, fit) = rows.split_at(held_out);
    Ok((sorted(fit), sorted(held_out)))
}

/// The rows, in order, of this share of each class: rounded, and one at least.
pub(super) fn stratified(labels: &[i64], fraction: f64, seed: u64) -> Vec<usize> {
    let mut rows: Vec<usize> = (0..labels.len()).collect();
    // A larger share holds the smaller one of the same seed.
    random::shuffle(&mut rows, &mut stream(seed, "evaluation/stratified"));
    let mut wanted: Vec<usize> = vec![0; labels.iter().max().map_or(0, |label| *label as usize + 1)];
    for label in labels {
        wanted[*label as usize] += 1;
    }
    for count in wanted.iter_mut().filter(|count| **count > 0) {
        *count = ((*count as f64 * fraction).round() as usize).max(1);
    }
    let mut taken = Vec::new();
    for row in rows {
        let wanted = &mut wanted[labels[row] as usize];
        if *wanted > 0 {
            *wanted -= 1;
            taken.push(row);
        }
    }
    sorted(&taken)
}

/// The rows of 0 to `samples` that are not in `taken`, which is sorted.
pub(super) fn others(samples: usize, taken: &[usize]) -> Vec<usize> {
    (0..samples).filter(|row| taken.binary_search(row).is_err()).collect()
}

fn stream(seed: u64, name: &str) -> RandomStream {
    let seed = random::seed(seed, name);
    RandomStream::new([seed as u32, (seed >> 32) as u32])
}

fn sorted(rows: &[usize]) -> Vec<usize> {
    let mut rows = rows.to_vec();
    rows.sort_unstable();
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_held_out_rows_and_the_others_are_all_rows_once() {
        let (fit, held_out) = hold_out(50, 10, 3).unwrap();
        assert_eq!((fit.len(), held_out.len()), (40, 10));
        assert_eq!(others(50, &held_out), fit);
        assert_eq!(hold_out(50, 10, 3).unwrap(), (fit.clone(), held_out));
        assert_ne!(hold_out(50, 10, 4).unwrap().0, fit);
        assert!(hold_out(1, 1, 0).unwrap_err().to_string().contains("found 1 training images"));
        assert_eq!(hold_out(5, 100, 0).unwrap().0.len(), 1, "something is left to fit on");
    }

    #[test]
    fn a_stratified_part_has_the_share_of_every_class_and_one_at_least() {
        // 200, 52 and 1 samples of three classes, mixed.
        let labels: Vec<i64> = (0..253).map(|row| i64::from(row % 5 == 0) + i64::from(row >= 250)).collect();
        let count = |rows: &[usize], class| rows.iter().filter(|row| labels[**row] == class).count();
        let all: Vec<usize> = (0..253).collect();
        let expected: Vec<usize> =
            (0..3).map(|class| ((count(&all, class) as f64 * 0.1).round() as usize).max(1)).collect();
        let part = stratified(&labels, 0.1, 7);
        assert_eq!((0..3).map(|class| count(&part, class)).collect::<Vec<_>>(), expected);
        assert!(part.windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[test]
    fn a_stratified_part_is_the_seeds_and_a_larger_one_holds_it() {
        let labels: Vec<i64> = (0..400).map(|row| row % 4).collect();
        let part = stratified(&labels, 0.1, 1);
        assert_eq!(part.len(), 40);
        assert_eq!(part, stratified(&labels, 0.1, 1));
        assert_ne!(part, stratified(&labels, 0.1, 2));
        let larger = stratified(&labels, 0.2, 1);
        assert!(part.iter().all(|row| larger.contains(row)));
    }
}
