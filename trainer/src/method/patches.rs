//! Views that are mosaics of patches, as PIRL's and InfoMin's jigsaw: the encoder sees each patch by itself.
//!
//! A mosaic of g x g patches is cut up and passed as one batch of [batch g^2, 3, p, p]. The view's embedding y is the mean of its
//! patches' embeddings. Its projection z goes another way: a head of its own on each patch's embedding, the g^2 outputs side by
//! side in the mosaic's order, and a linear layer with bias on them. Such a view has no target of its own: the target network, which
//! has no such projector, never sees it, and its target projection is z without gradient.

use diptych_config::Table;
use tch::{Device, Tensor};

use super::head::{Activation, Head, HeadConfig, HiddenNorm, Initialization, OutputNorm};
use super::variable::Variable;
use crate::{Error, Result};

/// `[patches]`
#[derive(Clone, Debug, PartialEq)]
pub struct PatchesConfig {
    /// Names of the views that are mosaics, at least one.
    pub views: Vec<String>,
    /// Patches along each side, g.
    pub grid: u32,
    /// `[patches.projector]`: the head on each patch, whose width is also that of the projection.
    pub projector: HeadConfig,
}

impl PatchesConfig {
    pub(crate) fn read(table: &mut Table<'_>) -> PatchesConfig {
        let views: Vec<String> = table.or("views", Vec::new());
        if views.is_empty() {
            table.problem(
                Some("views"),
                "found none, expected names of views that are mosaics; or remove the section",
            );
        }
        let grid = table.or_in("grid", 3, 1..=64);
        let projector = table.table_or_empty("projector", |table| {
            let projector = HeadConfig::read(table);
            for (key, found) in [("groups", projector.groups), ("prototypes", projector.prototypes)] {
                if let Some(found) = found {
                    table.problem(
                        Some(key),
                        format!("found {found}, which a head on patches can't have; remove it"),
                    );
                }
            }
            projector
        });
        PatchesConfig { views, grid, projector }
    }

    /// The section, complete.
    pub(crate) fn to_toml(&self) -> toml::Table {
        toml::Table::from_iter([
            ("views".to_owned(), self.views.clone().into()),
            ("grid".to_owned(), i64::from(self.grid).into()),
            ("projector".to_owned(), self.projector.to_toml().into()),
        ])
    }
}

/// What projects mosaics, and which views they are.
pub struct Patches {
    /// By view, whether it is a mosaic.
    mosaics: Vec<bool>,
    grid: i64,
    /// On each patch's embedding.
    projector: Head,
    /// On the outputs of all patches of a mosaic.
    linear: Head,
}

impl Patches {
    /// For encoders of `features`; `mosaics` tells of each view whether it is one. The two seeds are those of the head and of the
    /// linear layer.
    pub fn new(
        config: &PatchesConfig,
        mosaics: Vec<bool>,
        features: i64,
        seeds: [u64; 2],
        device: Device,
    ) -> Result<Patches> {
        let width = config.projector.width();
        let linear = HeadConfig {
            hidden: Vec::new(),
            output: width,
            norm: HiddenNorm::None,
            hidden_bias: false,
            output_bias: true,
            output_norm: OutputNorm::None,
            activation: Activation::Relu,
            initialization: Initialization::Drawn,
            prototypes: None,
            groups: None,
        };
        let grid = i64::from(config.grid);
        Ok(Patches {
            mosaics,
            grid,
            projector: Head::new(&config.projector, features, seeds[0], device)?,
            linear: Head::new(&linear, grid * grid * i64::from(width), seeds[1], device)?,
        })
    }

    /// Whether view `index` is a mosaic.
    pub(super) fn is_mosaic(&self, index: usize) -> bool {
        self.mosaics[index]
    }

    /// Mosaics [batch, 3, g p, g q] to patches [batch g^2, 3, p, q], a mosaic's row by row.
    pub(super) fn cut(&self, mosaics: &Tensor) -> Result<Tensor> {
        let (batch, channels, rows, columns) = mosaics.size4()?;
        let grid = self.grid;
        if rows % grid != 0 || columns % grid != 0 {
            return Err(Error::Unfit(format!(
                "a view of [patches] has {columns}x{rows} pixels, expected multiples of patches.grid = {grid}; \
                 give the view such a size or set the grid that it is made of"
            )));
        }
        // Channels last as all batches, so that a patch's rows stay whole.
        let cells = mosaics.f_permute([0, 2, 3, 1])?.f_contiguous()?;
        let cells = cells.f_view([batch, grid, rows / grid, grid, columns / grid, channels])?;
        let patches =
            cells.f_permute([0, 1, 3, 2, 4, 5])?.f_reshape([-1, rows / grid, columns / grid, channels])?;
        Ok(patches.f_permute([0, 3, 1, 2])?)
    }

    /// Embeddings of patches, [batch g^2, features], to embedding and projection of their mosaics, [batch, ...] each.
    pub(super) fn project(&mut self, embeddings: &Tensor) -> Result<(Tensor, Tensor)> {
        let patches = self.grid * self.grid;
        let embedding = embeddings.f_view([-1, patches, embeddings.size()[1]])?;
        let embedding = embedding.f_mean_dim([1].as_slice(), false, None)?;
        let outputs = self.projector.forward(embeddings, true)?;
        let side_by_side = outputs.f_view([-1, patches * outputs.size()[1]])?;
        Ok((embedding, self.linear.forward(&side_by_side, true)?))
    }

    /// `patches.projector.*` and `patches.linear1.*`.
    pub(super) fn variables(&self) -> Vec<Variable> {
        let of = |head: &Head, prefix: &'static str| {
            head.variables().into_iter().map(move |variable| variable.prefixed(prefix))
        };
        of(&self.projector, "patches.projector").chain(of(&self.linear, "patches")).collect()
    }
}

#[cfg(test)]
mod tests {
    use tch::Kind;

    use super::super::testing::{CPU, ema, head, networks};
    use super::super::{ForwardViews, Networks};
    use super::*;

    /// BYOL's networks with a third view of 2x2 patches of 2x2 pixels.
    fn with_patches() -> Networks {
        let projector = HeadConfig { norm: HiddenNorm::None, ..head() };
        let config = PatchesConfig { views: vec!["jigsaw".into()], grid: 2, projector };
        let mosaics = vec![false, false, true];
        let mut networks = networks(ema, true, ForwardViews::JointBySize);
        networks.patches = Some(Patches::new(&config, mosaics, 5, [7, 8], Device::Cpu).unwrap());
        networks
    }

    fn views() -> [Tensor; 3] {
        let wave = |count: i64, factor: f64| (Tensor::arange(count, CPU) * factor).cos();
        let whole = |factor| wave(6 * 12, factor).view([6, 3, 2, 2]);
        [whole(0.7), whole(1.9), wave(6 * 48, 0.31).view([6, 3, 4, 4])]
    }

    #[test]
    fn patches_are_cut_in_the_mosaics_order() {
        let networks = with_patches();
        // One image whose samples tell channel, row and column.
        let mosaic = Tensor::arange(48, CPU).view([1, 3, 4, 4]);
        let patches = networks.patches.as_ref().unwrap().cut(&mosaic).unwrap();
        assert_eq!(patches.size(), [4, 3, 2, 2]);
        for (patch, first) in [0.0, 2.0, 8.0, 10.0].into_iter().enumerate() {
            let found = Vec::<f32>::try_from(patches.get(patch as i64).reshape(-1)).unwrap();
            let one = |channel: f32| [0.0, 1.0, 4.0, 5.0].map(|place| 16.0 * channel + first + place);
            assert_eq!(found, [one(0.0), one(1.0), one(2.0)].concat());
        }
        let odd = networks.patches.as_ref().unwrap().cut(&Tensor::zeros([1, 3, 5, 4], CPU));
        let message = odd.unwrap_err().to_string();
        assert!(message.contains("has 4x5 pixels, expected multiples of patches.grid = 2"), "{message}");
    }

    #[test]
    fn each_patch_is_encoded_by_itself_and_whole_views_stay_as_they_were() {
        let [first, second, mosaic] = views();
        let mut with = with_patches();
        let outputs = with.forward(&[first.copy(), second.copy(), mosaic.copy()]).unwrap();
        let plain = networks(ema, true, ForwardViews::JointBySize).forward(&[first, second]).unwrap();
        for (found, expected) in outputs.iter().zip(&plain) {
            assert!(found.prediction.allclose(&expected.prediction, 1e-6, 1e-6, false));
            assert!(found.target_projection.allclose(&expected.target_projection, 1e-6, 1e-6, false));
        }
        // The encoder is a linear map of 2x2 pixels: on anything larger than a patch it fails, and the mean is that of four.
        let corners = [(0, 0), (0, 2), (2, 0), (2, 2)];
        let embeddings = corners.map(|(row, column)| {
            let patch = mosaic.narrow(2, row, 2).narrow(3, column, 2).contiguous();
            with.online.encoder.forward(&patch, true).unwrap()
        });
        let mean = Tensor::stack(&embeddings, 0).mean_dim([0].as_slice(), false, Kind::Float);
        assert!(outputs[2].embedding.allclose(&mean, 1e-5, 1e-6, false));
        assert_eq!(outputs[2].projection.size(), outputs[0].projection.size());
    }

    #[test]
    fn a_mosaics_projection_depends_on_the_order_and_its_embedding_does_not() {
        let [first, second, mosaic] = views();
        let turned = Tensor::cat(&[&mosaic.narrow(2, 2, 2), &mosaic.narrow(2, 0, 2)], 2);
        let run = |third: &Tensor| {
            let views = [first.copy(), second.copy(), third.copy()];
            with_patches().forward(&views).unwrap().pop().unwrap()
        };
        let (one, other) = (run(&mosaic), run(&turned));
        assert!(one.embedding.allclose(&other.embedding, 1e-5, 1e-6, false));
        assert!(!one.projection.allclose(&other.projection, 1e-3, 1e-3, false));
    }

    #[test]
    fn a_mosaic_trains_the_encoder_and_its_own_projector_and_has_no_target() {
        let mut networks = with_patches();
        let outputs = networks.forward(&views()).unwrap();
        assert!(outputs[2].target_embedding.is_none() && outputs[0].target_embedding.is_some());
        assert!(!outputs[2].target_projection.requires_grad());
        assert_eq!(outputs[2].target_projection, outputs[2].projection);
        outputs[2].prediction.sum(Kind::Float).backward();
        let touched: Vec<String> = networks
            .variables()
            .unwrap()
            .into_iter()
            .filter(|variable| variable.tensor.grad().defined())
            .map(|variable| variable.name)
            .collect();
        for name in [
            "encoder.weight",
            "patches.projector.linear1.weight",
            "patches.linear1.weight",
            "patches.linear1.bias",
        ] {
            assert!(touched.iter().any(|found| found == name), "{name} is not in {touched:?}");
        }
        let others = |name: &String| name.starts_with("projector.") || name.starts_with("target.");
        assert!(!touched.iter().any(others), "{touched:?}");
    }
}
