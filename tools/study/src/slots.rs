//! Places for runs: so many on each device, or so many on whatever device the configurations name.

use crate::config::StudyConfig;

/// Where runs run, and how many at a time. What is `None` is as the study file says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SlotOptions {
    /// Runs at a time, 0 for one per core.
    pub jobs: Option<usize>,
    /// Devices, as `device` of a run names them.
    pub devices: Option<Vec<String>>,
    /// Runs at a time on each device.
    pub jobs_per_device: Option<usize>,
}

/// A place for one run at a time: its device, or `None` for the one that the run's configuration names.
pub type Slot = Option<String>;

/// The slots of a worker, at least one: round and round the devices, so that few runs are spread over all of them.
pub fn slots(options: &SlotOptions, study: &StudyConfig, cores: usize) -> Vec<Slot> {
    let most = |jobs: usize| if jobs == 0 { cores } else { jobs };
    let jobs = options.jobs.or(study.jobs).map(most);
    let devices = options.devices.as_ref().unwrap_or(&study.devices);
    if devices.is_empty() {
        return vec![None; jobs.unwrap_or((cores / 2).max(1))];
    }
    let each = options.jobs_per_device.unwrap_or(study.jobs_per_device);
    let all = (0..each).flat_map(|_| devices.iter().cloned().map(Some));
    all.take(jobs.unwrap_or(usize::MAX)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn study(devices: &[&str]) -> StudyConfig {
        StudyConfig {
            devices: devices.iter().map(|device| (*device).into()).collect(),
            jobs_per_device: 1,
            ..StudyConfig::default()
        }
    }

    fn names(options: &SlotOptions, study: &StudyConfig) -> Vec<String> {
        slots(options, study, 8).into_iter().map(|slot| slot.unwrap_or("own".into())).collect()
    }

    #[test]
    fn devices_take_turns_and_jobs_are_a_limit() {
        let own = study(&[]);
        let two = study(&["cuda:0", "cuda:1"]);
        let options = SlotOptions::default();
        assert_eq!(names(&options, &own), ["own"; 4], "one per two cores");
        assert_eq!(names(&options, &two), ["cuda:0", "cuda:1"]);
        let twice = SlotOptions { jobs_per_device: Some(2), ..options.clone() };
        assert_eq!(names(&twice, &two), ["cuda:0", "cuda:1", "cuda:0", "cuda:1"]);
        let three = SlotOptions { jobs: Some(3), ..twice };
        assert_eq!(names(&three, &two), ["cuda:0", "cuda:1", "cuda:0"]);
        assert_eq!(names(&three, &own), ["own"; 3]);
        let other = SlotOptions { devices: Some(vec!["cpu".into()]), ..options };
        assert_eq!(names(&other, &two), ["cpu"], "the command line comes first");
    }
}
