//! A network from a TorchScript file, trained like any other: what `torch.jit.script(network).save("network.pt")` writes.
//!
//! `forward` takes images, float [batch, 3, rows, columns], and gives [batch, features], or a map
//! [batch, channels, rows, columns] whose mean over rows and columns then is the features. Weights start as they are in
//! the file, whatever the run's seed: a target network of the same file starts from the same ones.
//!
//! Variables have their TorchScript names. What they are to the optimizer follows from their names and shapes, since TorchScript
//! doesn't say: a module whose `weight` has one dimension is a norm, with its `bias` and its buffers; every other parameter
//! named `bias` is a bias; the rest are weights. Parameters that don't require a gradient are shown as buffers. A variable under several
//! names has its first one.
//!
//! A network saved by `torch.jit.trace` keeps the mode that it was traced in, and one that was frozen has no parameters; both
//! are for inference.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use diptych_sdk::Parameters;
use diptych_sdk_tensor::{Encoder, Error, Outputs, Role, ScriptModule, ScriptVariable, Variables};
use tch::{Kind, Tensor};

/// What TOML can say.
#[derive(Parameters)]
pub struct TorchScriptParameters {
    /// File that `torch.jit.script(network).save(path)` wrote, from the working directory.
    path: PathBuf,
    /// Side of the images in the trial pass that finds the number of features; networks that take one size only need theirs.
    #[parameter(default = 224, minimum = 1, maximum = 4096, unit = "pixels")]
    image_size: u32,
}

/// The network.
pub struct TorchScript {
    module: ScriptModule,
    features: u32,
}

impl Encoder for TorchScript {
    const ID: &'static str = "torchscript";
    const DOC: &'static str = "Any network that a TorchScript file holds, with its own names of variables.\n\n\
        Its `forward` gives [batch, features], or a map [batch, channels, rows, columns] that is averaged. Save it with \
        `torch.jit.script(network).save(path)`, neither traced nor frozen. The file's contents are part of the run's \
        fingerprint.\n\n\
        Outputs: `pooled`, and `map` where there is one.";
    type Parameters = TorchScriptParameters;

    fn new(parameters: TorchScriptParameters, variables: &mut Variables) -> Result<Self, Error> {
        let TorchScriptParameters { path, image_size } = parameters;
        let module = ScriptModule::load(&path, variables.device()).map_err(|error| {
            Error::new(format_args!(
                "found no TorchScript module in {} ({error}), expected what torch.jit.script(network).save(..) writes",
                path.display()
            ))
        })?;
        show(&module, &path, variables)?;
        let side = i64::from(image_size);
        let images = Tensor::f_zeros([2, 3, side, side], (Kind::Float, variables.device()))?;
        let mut network = TorchScript { module, features: 0 };
        let trial = tch::no_grad(|| network.forward(&images, false)).map_err(|error| {
            Error::new(format_args!(
                "{} on images of {side} pixels: {error}; set image_size to a size that it takes",
                path.display()
            ))
        })?;
        network.features = trial.pooled.size()[1] as u32;
        Ok(network)
    }

    fn feature_count(&self) -> u32 {
        self.features
    }

    fn forward(&mut self, images: &Tensor, training: bool) -> Result<Outputs, Error> {
        let output = self.module.forward(images, training)?;
        if output.kind() != Kind::Float {
            return Err(Error::new(format_args!("forward gave {:?}, expected 32-bit floats", output.kind())));
        }
        match output.size()[..] {
            [batch, features] if batch == images.size()[0] && features > 0 => Ok(Outputs::pooled(output)),
            [batch, channels, rows, columns]
                if batch == images.size()[0] && channels > 0 && rows * columns > 0 =>
            {
                let pooled = output.f_mean_dim([2, 3].as_slice(), false, None::<Kind>)?;
                Ok(Outputs { pooled, maps: vec![("map", output)] })
            }
            _ => Err(Error::new(format_args!(
                "forward gave {:?} for {} images, expected [batch, features] or [batch, channels, rows, columns]",
                output.size(),
                images.size()[0]
            ))),
        }
    }
}

/// Names every variable of the module once.
fn show(module: &ScriptModule, path: &Path, variables: &mut Variables) -> Result<(), Error> {
    let list = module.variables()?;
    let norms: HashSet<String> = list
        .iter()
        .filter(|variable| variable.parameter && variable.tensor.dim() == 1)
        .filter_map(|variable| Some(variable.name.strip_suffix("weight")?.to_owned()))
        .filter(|module| module.is_empty() || module.ends_with('.'))
        .collect();
    let mut shown = HashSet::new();
    let mut trained = false;
    for variable in list {
        // An empty tensor has no storage to share.
        if variable.tensor.numel() > 0 && !shown.insert(variable.tensor.data_ptr() as usize) {
            continue;
        }
        let role = role(&variable, &norms);
        trained |= !matches!(role, Role::Buffer | Role::NormBuffer);
        let _ = variables.make_from(&variable.name, role, variable.tensor)?;
    }
    if trained {
        return Ok(());
    }
    Err(Error::new(format_args!(
        "{} holds a module without parameters that require a gradient, so that nothing could be trained; save it before \
         torch.jit.freeze",
        path.display()
    )))
}

/// `norms` are the names of the norms' modules, with their last dot.
fn role(variable: &ScriptVariable, norms: &HashSet<String>) -> Role {
    let (module, name) = variable.name.split_at(variable.name.rfind('.').map_or(0, |dot| dot + 1));
    let norm = norms.contains(module);
    match (variable.parameter && variable.tensor.requires_grad(), norm) {
        (false, false) => Role::Buffer,
        (false, true) => Role::NormBuffer,
        (true, true) if name == "bias" => Role::NormShift,
        (true, true) => Role::NormScale,
        (true, false) if name == "bias" => Role::Bias,
        (true, false) => Role::Weight,
    }
}

#[cfg(test)]
mod tests {
    use diptych_sdk_tensor::testing::build_encoder;

    use super::*;
    use crate::reference::{self, FOLDER, check, values};

    fn build(file: &str, image_size: u32) -> Result<(TorchScript, Variables), Error> {
        let path = Path::new(FOLDER).join("torchscript").join(file);
        build_encoder(TorchScriptParameters { path, image_size }, 7)
    }

    fn message(file: &str) -> String {
        build(file, 32).err().unwrap().to_string()
    }

    #[test]
    fn computes_what_python_computes_and_trains_its_own_variables() {
        let reference = reference::read("encoder_reference");
        let (mut network, variables) = build("network.pt", 32).unwrap();
        assert_eq!(network.feature_count(), 6);
        let images = values(1000, &[4, 3, 40, 36]);
        check(&network.forward(&images, false).unwrap().pooled, &reference["torchscript.eval"], "eval");
        let trained = network.forward(&images, true).unwrap().pooled;
        check(&trained, &reference["torchscript.train"], "train");
        (&trained * &trained).sum(Kind::Float).backward();
        let variable = |name: &str| variables.iter().find(|variable| variable.name == name).unwrap();
        let gradient = variable("conv.weight").tensor.grad();
        check(&gradient, &reference["torchscript.gradient"], "gradient");
        let mean = &variable("bn.running_mean").tensor;
        check(mean, &reference["torchscript.running_mean"], "running_mean");
        assert_eq!(variable("bn.num_batches_tracked").tensor.int64_value(&[]), 1);

        // What is written into a variable is what the network computes with.
        tch::no_grad(|| drop(variable("fc.bias").tensor.shallow_clone().fill_(100.0)));
        assert!(network.forward(&images, false).unwrap().pooled.min().double_value(&[]) > 50.0);
    }

    #[test]
    fn roles_follow_from_names_and_shapes() {
        let (_, variables) = build("network.pt", 32).unwrap();
        let found: Vec<(&str, Role)> =
            variables.iter().map(|variable| (variable.name.as_str(), variable.role)).collect();
        let expected = [
            ("conv.weight", Role::Weight),
            ("bn.weight", Role::NormScale),
            ("bn.bias", Role::NormShift),
            ("fc.weight", Role::Weight),
            ("fc.bias", Role::Bias),
            ("bn.running_mean", Role::NormBuffer),
            ("bn.running_var", Role::NormBuffer),
            ("bn.num_batches_tracked", Role::NormBuffer),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn two_networks_of_one_file_start_equal_and_share_nothing() {
        let (_, one) = build("network.pt", 32).unwrap();
        let (_, other) = build("network.pt", 32).unwrap();
        let pairs = || one.iter().zip(other.iter()).map(|(one, other)| (&one.tensor, &other.tensor));
        assert!(pairs().all(|(one, other)| one.equal(other)));
        assert!(pairs().all(|(one, other)| one.data_ptr() != other.data_ptr()));
    }

    #[test]
    fn a_map_is_averaged() {
        let (mut network, _) = build("map.pt", 8).unwrap();
        let outputs = network.forward(&values(3, &[2, 3, 8, 8]), false).unwrap();
        assert_eq!((outputs.pooled.size(), outputs.maps[0].1.size()), (vec![2, 5], vec![2, 5, 4, 4]));
        let mean = outputs.maps[0].1.mean_dim([2, 3].as_slice(), false, Kind::Float);
        assert!(mean.equal(&outputs.pooled));
    }

    #[test]
    fn files_that_are_no_network_are_refused_with_what_was_found() {
        assert!(message("pair.pt").contains("forward gave a value of type Tuple, expected a tensor"));
        assert!(
            message("frozen.pt").ends_with("save it before torch.jit.freeze"),
            "{}",
            message("frozen.pt")
        );
        let found = message("../encoder_reference.safetensors");
        assert!(found.contains("found no TorchScript module in"), "{found}");
        assert!(found.ends_with("expected what torch.jit.script(network).save(..) writes"), "{found}");
        let (mut network, _) = build("network.pt", 32).unwrap();
        let gray = values(3, &[2, 1, 8, 8]);
        let found = network.forward(&gray, false).unwrap_err().to_string();
        assert!(found.contains("to have 3 channels, but got 1 channels"), "{found}");
        assert!(!found.contains('\n'), "{found}");
    }
}
