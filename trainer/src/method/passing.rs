//! Which views a network passes, and which of them as one batch.

use tch::Tensor;

use crate::{Error, Result};

diptych_config::choices! {
    /// Which samples share batch statistics.
    pub enum ForwardViews {
        /// Each view is its own pass, as BYOL: statistics over one view.
        Separate = "separate",
        /// All views in one pass, as SimCLR: statistics over all of them.
        Joint = "joint",
        /// Views of one size that follow each other in one pass, as SwAV and DINO: statistics over the global views, and over
        /// the small ones.
        JointBySize = "joint_by_size",
    }
}

/// Which views each network passes, by their places; `None` for all of them. Each view is passed by one at least.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Passing {
    /// Those of the online network.
    pub online: Option<Vec<usize>>,
    /// Those of a target network.
    pub target: Option<Vec<usize>>,
}

impl Passing {
    /// The same of the views at `places` alone, by their places among those.
    pub(super) fn of(&self, places: &[usize]) -> Passing {
        let of = |passed: &Option<Vec<usize>>| {
            let passed = passed.as_ref()?;
            Some((0..places.len()).filter(|&place| passed.contains(&places[place])).collect())
        };
        Passing { online: of(&self.online), target: of(&self.target) }
    }
}

/// The views at `places` as one batch.
pub(super) fn joined(views: &[Tensor], places: &[usize]) -> Result<Tensor> {
    match places {
        [only] => Ok(views[*only].shallow_clone()),
        _ => Ok(Tensor::f_cat(&places.iter().map(|&place| &views[place]).collect::<Vec<_>>(), 0)?),
    }
}

/// The parts of `whole` that belong to the views at `places`.
pub(super) fn parts(whole: &Tensor, places: &[usize]) -> Vec<Tensor> {
    match places {
        [_] => vec![whole.shallow_clone()],
        _ => whole.chunk(places.len() as i64, 0),
    }
}

/// The places of the views that `passed` has, those together that are passed as one batch.
pub(super) fn groups(
    forward: ForwardViews,
    views: &[Tensor],
    passed: &Option<Vec<usize>>,
) -> Result<Vec<Vec<usize>>> {
    let places: Vec<usize> = (0..views.len())
        .filter(|place| passed.as_ref().is_none_or(|passed| passed.contains(place)))
        .collect();
    let size = |place: &usize| views[*place].size();
    match forward {
        ForwardViews::Separate => Ok(places.into_iter().map(|place| vec![place]).collect()),
        ForwardViews::Joint => {
            if let Some(other) = places.iter().find(|place| size(place) != size(&places[0])) {
                let message = format!(
                    "forward.views = \"joint\" passes all views as one batch, but their shapes differ ({:?} and {:?}); \
                     give all views one size, or set forward.views = \"joint_by_size\" or \"separate\"",
                    size(&places[0]),
                    size(other)
                );
                return Err(Error::Unfit(message));
            }
            Ok(vec![places])
        }
        ForwardViews::JointBySize => {
            Ok(places.chunk_by(|first, second| size(first) == size(second)).map(<[usize]>::to_vec).collect())
        }
    }
}
