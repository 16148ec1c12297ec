//! How a run can stand, and how healthy its representation can be.

use serde::{Deserialize, Serialize};

/// What became of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Trained and evaluated.
    Finished,
    /// Ended by its policy on the way, and evaluated as it was.
    StoppedEarly,
    /// At work.
    Running,
    /// Stopped on the way; can be continued.
    Interrupted,
    /// Ended with an error.
    Failed,
    /// Not begun.
    #[default]
    Planned,
}

impl State {
    /// As tables write it.
    pub fn text(self) -> &'static str {
        match self {
            State::Finished => "finished",
            State::StoppedEarly => "stopped early",
            State::Running => "running",
            State::Interrupted => "interrupted",
            State::Failed => "failed",
            State::Planned => "not begun",
        }
    }

    /// Whether there are accuracies.
    pub fn is_result(self) -> bool {
        matches!(self, State::Finished | State::StoppedEarly)
    }
}

/// How healthy the representation was at a run's last logged step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Spread over the sphere.
    Healthy,
    /// The loss fell, and so did the spread.
    Collapsing,
    /// All images are one point, or lie on one line.
    Collapsed,
}

impl Verdict {
    /// As run folders and tables write it.
    pub fn text(self) -> &'static str {
        match self {
            Verdict::Healthy => "healthy",
            Verdict::Collapsing => "collapsing",
            Verdict::Collapsed => "collapsed",
        }
    }

    /// The verdict that a run folder wrote so.
    pub fn of_text(text: &str) -> Option<Verdict> {
        [Verdict::Healthy, Verdict::Collapsing, Verdict::Collapsed]
            .into_iter()
            .find(|known| known.text() == text)
    }
}

/// How many of an arm's runs have a verdict other than healthy; at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unhealthy {
    /// That many collapsed.
    pub collapsed: usize,
    /// That many were collapsing.
    pub collapsing: usize,
    /// Of those whose verdict is known.
    pub of: usize,
}

impl Unhealthy {
    /// Of an arm with these verdicts; `None` where all are healthy.
    pub fn among(verdicts: &[Verdict]) -> Option<Unhealthy> {
        let count = |verdict| verdicts.iter().filter(|known| **known == verdict).count();
        let (collapsed, collapsing) = (count(Verdict::Collapsed), count(Verdict::Collapsing));
        (collapsed + collapsing > 0).then_some(Unhealthy { collapsed, collapsing, of: verdicts.len() })
    }

    /// `collapsed`, or where the seeds differ `1 of 3 collapsed`, or `1 of 3 collapsed, 1 collapsing`.
    pub fn text(self) -> String {
        let Unhealthy { collapsed, collapsing, of } = self;
        match (collapsed, collapsing) {
            (count, 0) if count == of => Verdict::Collapsed.text().into(),
            (0, count) if count == of => Verdict::Collapsing.text().into(),
            (count, 0) => format!("{count} of {of} collapsed"),
            (0, count) => format!("{count} of {of} collapsing"),
            _ => format!("{collapsed} of {of} collapsed, {collapsing} collapsing"),
        }
    }

    /// As [`text`](Self::text), where there is little room: `2 of 3 not healthy` of two kinds.
    pub fn short(self) -> String {
        match self {
            Unhealthy { collapsed: 0, .. } | Unhealthy { collapsing: 0, .. } => self.text(),
            Unhealthy { collapsed, collapsing, of } => {
                format!("{} of {of} not healthy", collapsed + collapsing)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verdict_is_read_as_it_is_written() {
        for verdict in [Verdict::Healthy, Verdict::Collapsing, Verdict::Collapsed] {
            assert_eq!(Verdict::of_text(verdict.text()), Some(verdict));
        }
        assert_eq!(Verdict::of_text("odd"), None);
    }

    #[test]
    fn an_arm_of_which_one_seed_collapsed_and_one_was_collapsing_tells_both() {
        let told = |verdicts: &[Verdict]| Unhealthy::among(verdicts).map(Unhealthy::text);
        let short = |verdicts: &[Verdict]| Unhealthy::among(verdicts).map(Unhealthy::short);
        let (collapsed, collapsing) = (Verdict::Collapsed, Verdict::Collapsing);
        assert_eq!(told(&[collapsing, collapsed]).as_deref(), Some("1 of 2 collapsed, 1 collapsing"));
        assert_eq!(short(&[collapsing, collapsed]).as_deref(), Some("2 of 2 not healthy"));
        assert_eq!(short(&[Verdict::Healthy, collapsed]).as_deref(), Some("1 of 2 collapsed"));
        assert_eq!(told(&[collapsing, collapsing]).as_deref(), Some("collapsing"));
        assert_eq!(told(&[Verdict::Healthy, Verdict::Healthy]), None);
    }
}
