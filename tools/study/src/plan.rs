//! From the study to its runs: every base with every variant under every seed.

use std::path::{Path, PathBuf};

use crate::config::StudyConfig;

/// One run of a study.
#[derive(Clone, Debug, PartialEq)]
pub struct PlannedRun {
    /// Name of its folder: `byol-remove_color-seed1`.
    pub id: String,
    /// Id of its base.
    pub base: String,
    /// Id of its variant.
    pub variant: String,
    /// Key of its random draws.
    pub seed: u64,
    /// Configuration.
    pub config: PathBuf,
    /// Overrides that make it what it is; the last one is its seed.
    pub sets: Vec<String>,
}

/// All runs: seed by seed, so that every arm has a result before any has its second.
pub fn plan(study: &StudyConfig) -> Vec<PlannedRun> {
    let mut runs = Vec::new();
    for &seed in &study.seeds {
        for variant in &study.variants {
            for base in &study.bases {
                let mut sets: Vec<String> =
                    [&study.sets, &base.sets, &variant.sets].into_iter().flatten().cloned().collect();
                sets.push(format!("seed={seed}"));
                runs.push(PlannedRun {
                    id: format!("{}-{}-seed{seed}", base.id, variant.id),
                    base: base.id.clone(),
                    variant: variant.id.clone(),
                    seed,
                    config: base.config.clone(),
                    sets,
                });
            }
        }
    }
    runs
}

/// Folder of a run below the study's.
pub fn run_folder(out: &Path, id: &str) -> PathBuf {
    out.join("runs").join(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quickstart_study_is_two_methods_by_four_variants_by_three_seeds() {
        let configs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs");
        let study = StudyConfig::load(&configs.join("studies/quickstart.toml")).unwrap();
        let runs = plan(&study);
        assert_eq!(runs.len(), 24);
        let sets = |id: &str| runs.iter().find(|run| run.id == id).unwrap().sets.join(" ");
        assert_eq!(sets("byol-baseline-seed0"), "seed=0");
        assert_eq!(sets("simclr-remove_grayscale-seed1"), "augmentations.remove=[\"grayscale\"] seed=1");
        assert_eq!(
            sets("byol-remove_color-seed2"),
            "augmentations.remove=[\"color_jitter\", \"grayscale\"] seed=2"
        );
        assert_eq!(sets("simclr-crop_only-seed0"), "augmentations.only=[\"random_resized_crop\"] seed=0");
        assert!(runs[..8].iter().all(|run| run.seed == 0), "a seed is whole before the next begins");
        let config = &runs.iter().find(|run| run.base == "simclr").unwrap().config;
        assert!(config.ends_with("configs/pretrain/simclr_demo.toml"));
        assert_eq!(study.reference.unwrap().values.len(), 8);
    }
}
