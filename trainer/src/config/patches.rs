//! What `[patches]` must agree with in the other sections.

use diptych_config::{Choice, Table};
use diptych_host::Size;
use diptych_pipeline::{View, ViewSet};

use crate::method::head::HeadConfig;
use crate::method::{ForwardViews, PatchesConfig};

/// Views that crop have one size whatever the image's.
const IMAGE: Size = Size { width: 512, height: 512 };

/// Reports what does not fit, as of the section `patches`.
pub(super) fn check_patches(
    table: &mut Table<'_>,
    patches: &PatchesConfig,
    views: &ViewSet,
    projector: &HeadConfig,
    forward: ForwardViews,
) {
    let mut problem = |message: String| table.problem(Some("patches"), message);
    let names: Vec<&str> = views.views.iter().map(|view| view.name.as_str()).collect();
    for name in patches.views.iter().filter(|name| !names.is_empty() && !names.contains(&name.as_str())) {
        problem(format!(
            "views has {name:?}, but the views of [augmentations] are called {}; name one of these",
            names.join(", ")
        ));
    }
    for name in names.iter().take(2).filter(|name| patches.views.iter().any(|patches| patches == *name)) {
        problem(format!(
            "views has {name:?}, which is one of the first two views: these must be whole, as losses take keys and diagnostics \
             figures of them; put the mosaics behind them"
        ));
    }
    if patches.projector.width() != projector.width() {
        problem(format!(
            "projector.output = {}, but the other views' projector gives {}: projections are compared, so the two must be equal",
            patches.projector.width(),
            projector.width()
        ));
    }
    if let Some(groups) = projector.groups {
        problem(format!(
            "found beside projector.groups = {groups}: a mosaic's projection has no groups; remove one of the two"
        ));
    }
    if forward == ForwardViews::Joint {
        problem(format!(
            "found beside forward.views = {:?}, which passes all views as one batch: patches are one of their own; \
             set \"separate\" or \"joint_by_size\"",
            forward.text()
        ));
    }
    // What can't be planned here is told by the run, with the image that it happens to. A view without operators is one whose
    // operators are unknown, which is told already, or one of images of any size.
    let mosaic = |view: &View| !view.operators.is_empty() && patches.views.contains(&view.name);
    let sizes = views.sizes(IMAGE).unwrap_or_default();
    for (view, size) in views.views.iter().zip(sizes).filter(|(view, _)| mosaic(view)) {
        if size.width % patches.grid != 0 || size.height % patches.grid != 0 {
            problem(format!(
                "the view {:?} has {}x{} pixels, expected multiples of grid = {}; give it such a size or set the grid that it \
                 is made of",
                view.name, size.width, size.height, patches.grid
            ));
        }
    }
}
