//! Which views predict which.

use diptych_sdk_tensor::Error;

/// Every (predicting view, target view) of the first `predicting` and the first `targets` views, but for a view with itself.
pub fn pairs(predicting: usize, targets: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..predicting)
        .flat_map(move |online| (0..targets).map(move |target| (online, target)))
        .filter(|(online, target)| online != target)
}

/// `global_views` as a number of targets, which there must be.
pub fn targets(global_views: u32, views: usize) -> Result<usize, Error> {
    let targets = global_views as usize;
    if targets > views {
        return Err(Error::new(format_args!(
            "found {views} views, expected at least global_views = {targets}; lower it, or give more views"
        )));
    }
    Ok(targets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_view_predicts_every_target_but_itself() {
        assert_eq!(pairs(2, 2).collect::<Vec<_>>(), [(0, 1), (1, 0)]);
        assert_eq!(pairs(1, 3).collect::<Vec<_>>(), [(0, 1), (0, 2)]);
        assert_eq!(pairs(3, 2).collect::<Vec<_>>(), [(0, 1), (1, 0), (2, 0), (2, 1)]);
    }

    #[test]
    fn more_targets_than_views_are_an_error() {
        assert_eq!(targets(2, 8).unwrap(), 2);
        let message = targets(3, 2).unwrap_err().to_string();
        assert_eq!(
            message,
            "found 2 views, expected at least global_views = 3; lower it, or give more views"
        );
    }
}
