//! `[forward]`: which views the networks pass, and how.

use diptych_config::{Choice, Table};
use diptych_pipeline::ViewSet;

use super::{TargetConfig, TargetKind};
use crate::method::{ForwardViews, Passing, PredictorConfig};

/// `[forward]`
#[derive(Clone, Debug, PartialEq)]
pub struct ForwardConfig {
    /// Which samples share batch statistics.
    pub views: ForwardViews,
    /// Names of the views that the online network passes; `None` for all.
    pub online: Option<Vec<String>>,
    /// Names of the views that a target network passes; `None` for all.
    pub target: Option<Vec<String>>,
}

impl ForwardConfig {
    pub(super) fn read(table: &mut Table<'_>) -> ForwardConfig {
        let views = table.choice("views", ForwardViews::Separate);
        let mut names = |key| table.has(key).then(|| table.or(key, Vec::new()));
        ForwardConfig { views, online: names("online"), target: names("target") }
    }

    /// The section; a network that passes all views has no key.
    pub(super) fn to_toml(&self) -> toml::Table {
        let mut table = toml::Table::from_iter([("views".to_owned(), self.views.text().into())]);
        for (key, names) in [("online", &self.online), ("target", &self.target)] {
            if let Some(names) = names {
                table.insert(key.into(), names.clone().into());
            }
        }
        table
    }

    /// The same by the places of `views`.
    pub(crate) fn passing(&self, views: &ViewSet) -> Passing {
        let places = |names: &Option<Vec<String>>| {
            let names = names.as_ref()?;
            let named = views.views.iter().enumerate().filter(|(_, view)| names.contains(&view.name));
            Some(named.map(|(place, _)| place).collect())
        };
        Passing { online: places(&self.online), target: places(&self.target) }
    }
}

/// Reports views that are passed by no network, or by one that there is not.
pub(super) fn check_forward(
    table: &mut Table<'_>,
    forward: &ForwardConfig,
    views: &ViewSet,
    predictor: &PredictorConfig,
    target: &TargetConfig,
) {
    let mut problem = |message: String| table.problem(Some("forward"), message);
    let names: Vec<&str> = views.views.iter().map(|view| view.name.as_str()).collect();
    if names.is_empty() {
        return;
    }
    let passes = |passed: &Option<Vec<String>>, name: &str| {
        passed.as_ref().is_none_or(|passed| passed.iter().any(|passed| passed == name))
    };
    for (key, passed) in [("online", &forward.online), ("target", &forward.target)] {
        if passed.as_ref().is_some_and(Vec::is_empty) {
            problem(format!("{key} has no view; name some, or leave it out for all"));
        }
        for name in passed.iter().flatten().filter(|name| !names.contains(&name.as_str())) {
            problem(format!(
                "{key} has {name:?}, but the views of [augmentations] are called {}; name one of these",
                names.join(", ")
            ));
        }
    }
    if !passes(&forward.online, names[0]) {
        problem(format!(
            "online must have the first view, {:?}: diagnostics and the probe look at it",
            names[0]
        ));
    }
    let has_network = matches!(target.kind, TargetKind::Ema | TargetKind::Fixed);
    if !has_network && (forward.online.is_some() || forward.target.is_some()) {
        problem(format!(
            "found online or target, but target.kind = {:?} is no network of its own, which would pass what the online one does \
             not; leave both out",
            target.kind.text()
        ));
    }
    if matches!(predictor, PredictorConfig::OptimalLinear { .. }) && forward.online.is_some() {
        problem(
            "found online, but predictor.kind = \"optimal_linear\" is solved on all views; leave it out"
                .into(),
        );
    }
    for name in names.iter().filter(|name| !passes(&forward.online, name) && !passes(&forward.target, name)) {
        problem(format!(
            "neither online nor target has the view {name:?}; add it to one, or remove the view"
        ));
    }
}
