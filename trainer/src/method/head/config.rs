//! The shape of a head as TOML says it: the section `[projector]`, `[predictor]` or `[patches.projector]`.

use diptych_config::{Choice, Table, choices};

use super::norm::GROUPS;

choices! {
    /// Normalisation of hidden layers.
    pub enum HiddenNorm {
        /// Batch norm with scale and shift.
        BatchNorm = "batch_norm",
        /// Group norm in 16 groups, and weight standardisation in the linear layers before it, as encoders have them.
        GroupNorm = "group_norm",
        /// Layer norm with scale and shift.
        LayerNorm = "layer_norm",
        /// No normalisation.
        None = "none",
    }
}

choices! {
    /// What follows the norm of hidden layers.
    pub enum Activation {
        /// max(x, 0).
        Relu = "relu",
        /// x times the normal distribution function of x, as DINO.
        Gelu = "gelu",
    }
}

choices! {
    /// Normalisation of the output.
    pub enum OutputNorm {
        /// No normalisation, as BYOL.
        None = "none",
        /// Batch norm with scale and shift.
        BatchNorm = "batch_norm",
        /// Batch norm without scale and shift.
        BatchNormWithoutAffine = "batch_norm_without_affine",
        /// Batch norm with scale but without shift, as SimCLR.
        BatchNormWithoutShift = "batch_norm_without_shift",
    }
}

choices! {
    /// Where hidden layers start.
    pub enum Initialization {
        /// From what was drawn.
        Drawn = "drawn",
        /// From what was drawn, scaled and shifted so that the first batch gives them the activations of a batch norm, which
        /// they don't have: the modified initialisation of Richemond et al. 2020.
        BatchStatistics = "batch_statistics",
    }
}

/// The shape of a head.
#[derive(Clone, Debug, PartialEq)]
pub struct HeadConfig {
    /// Width of each hidden layer; empty for a linear head.
    pub hidden: Vec<u32>,
    /// Width of the output.
    pub output: u32,
    /// Normalisation of hidden layers.
    pub norm: HiddenNorm,
    /// Whether hidden layers have a bias before their norm.
    pub hidden_bias: bool,
    /// Whether the output layer has a bias.
    pub output_bias: bool,
    /// Normalisation of the output.
    pub output_norm: OutputNorm,
    /// What follows the norm of hidden layers.
    pub activation: Activation,
    /// Where hidden layers start.
    pub initialization: Initialization,
    /// Number of prototypes that the output is compared with; none for the output itself.
    pub prototypes: Option<u32>,
    /// Heads of this shape side by side, each on an equal part of the input; none for one head.
    pub groups: Option<u32>,
}

impl HeadConfig {
    /// Reads the section.
    pub fn read(table: &mut Table<'_>) -> HeadConfig {
        let hidden: Vec<u32> = table.or("hidden", vec![4096]);
        if hidden.contains(&0) {
            table.problem(Some("hidden"), "found a layer of width 0, expected widths from 1");
        }
        let norm = table.choice("norm", HiddenNorm::BatchNorm);
        let odd = hidden.iter().find(|width| !width.is_multiple_of(GROUPS as u32));
        if let (HiddenNorm::GroupNorm, Some(width)) = (norm, odd) {
            let message = format!(
                "found a layer of width {width}, expected multiples of the {GROUPS} groups of its norm"
            );
            table.problem(Some("hidden"), message);
        }
        let hidden_bias = table.or("hidden_bias", true);
        let initialization = table.choice("initialization", Initialization::Drawn);
        if initialization == Initialization::BatchStatistics && (norm != HiddenNorm::None || !hidden_bias) {
            let message =
                "\"batch_statistics\" stands in for a norm: it needs norm = \"none\" and hidden_bias = true";
            table.problem(Some("initialization"), message);
        }
        HeadConfig {
            hidden,
            output: table.or_in("output", 256, 1..=65536),
            norm,
            hidden_bias,
            output_bias: table.or("output_bias", false),
            output_norm: table.choice("output_norm", OutputNorm::None),
            activation: table.choice("activation", Activation::Relu),
            initialization,
            prototypes: table.optional_in("prototypes", 1..=1_000_000),
            groups: table.optional_in("groups", 2..=64),
        }
    }

    /// Width of what comes out, of all groups together.
    pub fn width(&self) -> u32 {
        self.prototypes.unwrap_or(self.output) * self.groups.unwrap_or(1)
    }

    /// The section, complete.
    pub fn to_toml(&self) -> toml::Table {
        let mut table = toml::Table::new();
        let hidden: Vec<toml::Value> = self.hidden.iter().map(|width| i64::from(*width).into()).collect();
        table.insert("hidden".into(), hidden.into());
        table.insert("output".into(), i64::from(self.output).into());
        table.insert("norm".into(), self.norm.text().into());
        table.insert("hidden_bias".into(), self.hidden_bias.into());
        table.insert("output_bias".into(), self.output_bias.into());
        table.insert("output_norm".into(), self.output_norm.text().into());
        table.insert("activation".into(), self.activation.text().into());
        table.insert("initialization".into(), self.initialization.text().into());
        if let Some(prototypes) = self.prototypes {
            table.insert("prototypes".into(), i64::from(prototypes).into());
        }
        if let Some(groups) = self.groups {
            table.insert("groups".into(), i64::from(groups).into());
        }
        table
    }
}
