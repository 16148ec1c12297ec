//! Where a network without norm starts: `initialization = "batch_statistics"`.
//!
//! After Richemond et al. 2020 ("BYOL works even without batch statistics"; 65.7% with a ResNet-50 on ImageNet), who
//! run the network with batch norm once on a batch of augmented images, note each layer's mean m and variance v per
//! channel, and train without norms from the scale g / sqrt(v) and the shift b - m g / sqrt(v), where g = 1 and b = 0 are the
//! norm's own. The network then begins with the activations that batch norm gives it, and batch statistics never
//! enter its training.
//!
//! Here the batch is not of images, which an encoder doesn't have when it is made, but 32 images of 1/f noise, whose spectrum
//! falls as that of photographs does; the same ones in every run. The layers are measured in one pass, each after
//! those before it have their scale and shift; 1e-5 is added to v, as batch norm does. All of it happens on the CPU.

use diptych_sdk::Choice;
use diptych_sdk_tensor::{Error, Initial, Outputs, Role, Variables};
use tch::{Device, Kind, Tensor};

use crate::norm::{Mode, NormKind};

const IMAGES: i64 = 32;

/// Where a network without norm starts.
#[derive(Choice, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Initialization {
    /// Scales of 1, shifts of 0.
    He,
    /// See the module.
    BatchStatistics,
}

impl Initialization {
    /// Refuses what would be without effect.
    pub(crate) fn check(self, norm: NormKind) -> Result<(), Error> {
        if self != Initialization::He && norm != NormKind::None {
            return Err(Error::new(
                "initialization = \"batch_statistics\" stands in for norms, expected norm = \"none\" beside it; \
                 remove it or set norm = \"none\"",
            ));
        }
        Ok(())
    }

    /// Builds a network, and sets its scales and shifts where that is asked for, on noise of `side` pixels.
    pub(crate) fn build<N>(
        self,
        variables: &mut Variables,
        side: i64,
        build: impl Fn(&mut Variables) -> Result<N, Error>,
        run: impl FnOnce(&N, &Tensor, Mode) -> Result<Outputs, Error>,
    ) -> Result<N, Error> {
        let network = build(variables)?;
        if self == Initialization::BatchStatistics {
            let mut drawn = variables.twin_on_cpu();
            let twin = build(&mut drawn)?;
            tch::no_grad(|| run(&twin, &noise(side)?, Mode::Measure))?;
            variables.copy_values(&drawn)?;
        }
        Ok(network)
    }
}

/// Float [32, 3, side, side] of mean 0 and deviation 1 per channel: noise of 1, 2, 4, ..., `side` pixels a side, enlarged to
/// `side` and added up, so that every octave has the same share of the variance.
pub(crate) fn noise(side: i64) -> Result<Tensor, Error> {
    let mut draws = Variables::new(0, Device::Cpu);
    let mut sum = Tensor::f_zeros([IMAGES, 3, side, side], (Kind::Float, Device::Cpu))?;
    let mut octave = 1;
    while octave <= side {
        let shape = [IMAGES, 3, octave, octave];
        let normal = Initial::Normal { deviation: 1.0 };
        let drawn = draws.make(&format!("noise{octave}"), Role::Buffer, normal, &shape)?;
        sum = sum.f_add_(&drawn.f_upsample_bilinear2d([side, side], false, None, None)?)?;
        octave *= 2;
    }
    let (variance, mean) = sum.f_var_mean_dim([0, 2, 3].as_slice(), false, true)?;
    Ok(sum.f_sub(&mean)?.f_mul(&variance.f_rsqrt()?)?)
}
