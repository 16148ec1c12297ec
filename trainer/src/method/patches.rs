//! Views that are mosaics of patches, as PIRL's and InfoMin's jigsaw: the encoder sees each patch by itself.
//!
//! A mosaic of g x g patches is cut up and passed as one batch of [batch g^2, 3, p, p]. The view's embedding y is the mean of its
//! patches' embeddings. Its projection z goes another way: a head of its own on each patch's embedding, the g^2 outputs side by
//! side in the mosaic's order, and a linear layer with bias on them. Such a view has no target of its own: the target network, which
//! has no such projector, never sees it, and its target projection is z without gradient.

use diptych_config::Table;
use tch::{Device, Tensor};

use super::head::{Activation, Head, HeadConfig, HiddenNorm, OutputNorm};
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
