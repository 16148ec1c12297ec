//! Labels that stand beside what they name, and not on each other.

/// Where labels of lines should stand, `height` apart at least and between `low` and `high`, each as near to its place in
/// `places` as the others leave room. With more labels than room they go on below `high`.
pub fn apart(places: &[f64], height: f64, low: f64, high: f64) -> Vec<f64> {
    let mut order: Vec<usize> = (0..places.len()).collect();
    order.sort_by(|left, right| places[*left].total_cmp(&places[*right]));
    let mut found = places.to_vec();
    let mut least = low;
    for index in &order {
        found[*index] = found[*index].max(least);
        least = found[*index] + height;
    }
    let mut most = high;
    for index in order.iter().rev() {
        if found[*index] <= most {
            break;
        }
        found[*index] = most;
        most -= height;
    }
    // Too many: the first keeps its place, the last ones leave the plot.
    let mut least = low;
    for index in &order {
        found[*index] = found[*index].max(least);
        least = found[*index] + height;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::apart;

    #[test]
    fn labels_with_room_stay_and_crowded_ones_move_as_little_as_they_must() {
        assert_eq!(apart(&[50.0, 10.0], 12.0, 0.0, 100.0), [50.0, 10.0]);
        assert_eq!(apart(&[50.0, 48.0, 49.0], 12.0, 0.0, 100.0), [72.0, 48.0, 60.0]);
        assert_eq!(apart(&[99.0, 98.0], 12.0, 0.0, 100.0), [100.0, 88.0]);
    }

    #[test]
    fn more_labels_than_room_still_do_not_overlap() {
        let found = apart(&[1.0; 9], 12.0, 0.0, 50.0);
        assert!(found.windows(2).all(|pair| pair[1] - pair[0] >= 12.0), "{found:?}");
    }
}
