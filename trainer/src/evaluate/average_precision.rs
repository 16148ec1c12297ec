//! Mean average precision over 11 points of recall, for images of several classes each (PASCAL VOC 2007; Everingham et al. 2010).
//!
//! Per class the images are ranked by score. Precision at a recall is the best at that recall or a higher one, and the class's
//! average precision its mean at recalls 0, 0.1, ..., 1.

use tch::Tensor;

/// Average precisions, as fractions of 1.
#[derive(Clone, Debug, PartialEq)]
pub struct AveragePrecision {
    /// Of each class; none for a class that no image has.
    pub per_class: Vec<Option<f64>>,
}

impl AveragePrecision {
    /// Of `scores` (float [samples, classes]) against `targets` (the same shape, 1 where the image has the class).
    /// Equal scores rank in the order of the samples.
    pub fn of(scores: &Tensor, targets: &Tensor) -> AveragePrecision {
        let columns = |tensor: &Tensor| -> Vec<Vec<f64>> {
            let rows = tensor.tr().to_kind(tch::Kind::Double).to_device(tch::Device::Cpu).contiguous();
            Vec::try_from(&rows).expect("a matrix of doubles")
        };
        let per_class = columns(scores).into_iter().zip(columns(targets));
        AveragePrecision { per_class: per_class.map(|(scores, has)| eleven_points(&scores, &has)).collect() }
    }

    /// The mean over classes: mAP.
    pub fn mean(&self) -> f64 {
        let known: Vec<f64> = self.per_class.iter().flatten().copied().collect();
        known.iter().sum::<f64>() / known.len().max(1) as f64
    }
}

fn eleven_points(scores: &[f64], has: &[f64]) -> Option<f64> {
    let positives = has.iter().filter(|has| **has > 0.5).count();
    if positives == 0 {
        return None;
    }
    let mut ranking: Vec<usize> = (0..scores.len()).collect();
    ranking.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
    // Positives found, and precision, at each of them; precision only falls in between.
    let mut found = 0;
    let mut points = Vec::with_capacity(positives);
    for (rank, sample) in ranking.into_iter().enumerate() {
        if has[sample] > 0.5 {
            found += 1;
            points.push((found, f64::from(found) / (rank + 1) as f64));
        }
    }
    let at = |tenths: usize| {
        // found / positives >= tenths / 10, without rounding.
        let reached = points.iter().filter(|(found, _)| *found as usize * 10 >= tenths * positives);
        reached.map(|(_, precision)| *precision).fold(0.0, f64::max)
    };
    Some((0..=10).map(at).sum::<f64>() / 11.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(scores: &[f32], targets: &[f32], classes: i64) -> AveragePrecision {
        let matrix = |values: &[f32]| Tensor::from_slice(values).view([-1, classes]);
        AveragePrecision::of(&matrix(scores), &matrix(targets))
    }

    #[test]
    fn the_mean_over_eleven_recalls_is_that_worked_out_by_hand() {
        // Ranked: yes, no, yes, no. Recall 0 to 0.5 has precision 1, recall 0.6 to 1 has 2/3: (6 + 5 * 2/3) / 11.
        let found = of(&[0.9, 0.8, 0.7, 0.1], &[1.0, 0.0, 1.0, 0.0], 1);
        assert!((found.mean() - (6.0 + 10.0 / 3.0) / 11.0).abs() < 1e-12, "{found:?}");
    }

    #[test]
    fn precision_at_a_recall_is_the_best_at_a_higher_one_too() {
        // Ranked: no, yes, yes, yes: precisions 1/2, 2/3, 3/4, the last of which holds for every recall.
        let found = of(&[4.0, 3.0, 2.0, 1.0], &[0.0, 1.0, 1.0, 1.0], 1);
        assert!((found.mean() - 0.75).abs() < 1e-12, "{found:?}");
    }

    #[test]
    fn classes_count_alike_and_one_without_images_is_left_out() {
        // Class 0 is ranked perfectly, class 1 has its only image last of two, class 2 has none.
        let scores = [0.9, 0.9, 0.5, 0.1, 0.1, 0.5];
        let targets = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0];
        let found = of(&scores, &targets, 3);
        assert_eq!(found.per_class, [Some(1.0), Some(0.5), None]);
        assert_eq!(found.mean(), 0.75);
    }
}
