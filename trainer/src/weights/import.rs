//! From a safetensors file into an encoder: `encoder.weights`.
//!
//! Names and shapes must be the encoder's, one for one. Only a classifier on top of it may be there besides, `fc.*` or
//! `head.*`, and is left out. Floats of another precision are converted.

use std::collections::HashMap;
use std::path::PathBuf;

use diptych_config::file_fingerprint;
use tch::Tensor;

use crate::checkpoint::read_tensors;
use crate::config::WeightsConfig;
use crate::method::Variable;
use crate::{Error, Result};

/// More lines than this say the same again.
const MOST_LINES: usize = 12;

/// The tensors of a file, on the CPU.
pub struct Weights {
    path: PathBuf,
    tensors: HashMap<String, Tensor>,
}

impl Weights {
    /// Reads the file.
    ///
    /// # Errors
    /// It can't be read, holds no tensors, or other ones than when the configuration was read.
    pub fn read(config: &WeightsConfig) -> Result<Weights> {
        let WeightsConfig { path, hash } = config;
        let found = file_fingerprint(path).map_err(|error| Error::file("read", path, error))?;
        if found != *hash {
            return Err(Error::Unfit(format!(
                "encoder.weights = {path:?}: found a file with the hash {found}, expected {hash}; bring back the file \
                 that was there, or remove encoder.weights_hash for a run with the new one"
            )));
        }
        Ok(Weights { path: path.clone(), tensors: read_tensors(path)?.into_iter().collect() })
    }

    /// Writes every tensor into the variable of its name.
    ///
    /// # Errors
    /// Names or shapes differ; all differences are listed, and nothing is written.
    pub fn copy_into(&self, variables: &[Variable]) -> Result<()> {
        let problems = self.problems(variables);
        if !problems.is_empty() {
            let more = problems.len().saturating_sub(MOST_LINES);
            let mut lines = problems[..problems.len() - more].join("\n");
            if more > 0 {
                lines.push_str(&format!("\n  and {more} more"));
            }
            return Err(Error::damaged(
                &self.path,
                format!(
                    "these weights are not the encoder's:\n{lines}\nexpected its {} names and shapes, as `diptych export` \
                     writes them; choose the encoder and the width that the file was made for",
                    variables.len()
                ),
            ));
        }
        tch::no_grad(|| {
            for variable in variables {
                variable.tensor.shallow_clone().f_copy_(&self.tensors[&variable.name])?;
            }
            Ok(())
        })
    }

    fn problems(&self, variables: &[Variable]) -> Vec<String> {
        let mut problems = Vec::new();
        for variable in variables {
            let (name, expected) = (&variable.name, &variable.tensor);
            let described = |tensor: &Tensor| format!("{:?} {:?}", tensor.kind(), tensor.size());
            match self.tensors.get(name) {
                None => problems.push(format!("  {name}: missing, expected {}", described(expected))),
                Some(found) => {
                    let floats = found.is_floating_point() && expected.is_floating_point();
                    if found.size() != expected.size() || (found.kind() != expected.kind() && !floats) {
                        let (found, expected) = (described(found), described(expected));
                        problems.push(format!("  {name}: found {found}, expected {expected}"));
                    }
                }
            }
        }
        let strangers = self.besides(variables).into_iter().filter(|name| !is_classifier(name));
        problems
            .extend(strangers.map(|name| format!("  {name}: found, and the encoder has no such variable")));
        problems
    }

    /// Sorted names of the file that are not the encoder's.
    fn besides(&self, variables: &[Variable]) -> Vec<&str> {
        let known = |name: &str| variables.iter().any(|variable| variable.name == name);
        let mut names: Vec<&str> =
            self.tensors.keys().map(String::as_str).filter(|name| !known(name)).collect();
        names.sort_unstable();
        names
    }

    /// For the run's log: what the encoder with these variables took over, and what was left out.
    pub fn note(&self, variables: &[Variable]) -> String {
        let besides = self.besides(variables);
        let left_out =
            if besides.is_empty() { String::new() } else { format!(", without {}", besides.join(", ")) };
        format!("the encoder starts from {} tensors of {}{left_out}", variables.len(), self.path.display())
    }
}

fn is_classifier(name: &str) -> bool {
    ["fc.", "head."].iter().any(|prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind};

    use super::*;
    use crate::checkpoint::write_tensors;

    fn variables() -> Vec<Variable> {
        let variable = |name: &str, tensor| Variable {
            name: name.into(),
            tensor,
            trainable: true,
            bias: false,
            norm: false,
        };
        vec![
            variable("conv.weight", Tensor::zeros([2, 1], (Kind::Float, Device::Cpu))),
            variable("bn.num_batches_tracked", Tensor::zeros([], (Kind::Int64, Device::Cpu))),
        ]
    }

    /// What copying a file of these tensors into [`variables`] comes to.
    fn copied(tensors: &[(&str, Tensor)]) -> (Result<()>, Vec<Variable>, String) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("w.safetensors");
        let named: Vec<_> =
            tensors.iter().map(|(name, tensor)| ((*name).to_owned(), tensor.shallow_clone())).collect();
        write_tensors(&path, &named).unwrap();
        let hash = file_fingerprint(&path).unwrap();
        let weights = Weights::read(&WeightsConfig { path, hash }).unwrap();
        let variables = variables();
        let copied = weights.copy_into(&variables);
        let note = weights.note(&variables);
        (copied, variables, note)
    }

    fn weight() -> Tensor {
        Tensor::from_slice(&[1.5f64, -2.0]).view([2, 1])
    }

    #[test]
    fn tensors_go_where_their_names_say_and_a_classifier_is_left_out_by_name() {
        let (copied, variables, note) = copied(&[
            ("bn.num_batches_tracked", Tensor::from(7i64)),
            ("fc.weight", weight()),
            ("conv.weight", weight()),
            ("fc.bias", weight()),
        ]);
        copied.unwrap();
        assert_eq!(Vec::<f32>::try_from(variables[0].tensor.view(-1)).unwrap(), [1.5, -2.0]);
        assert_eq!(variables[1].tensor.int64_value(&[]), 7);
        assert!(note.starts_with("the encoder starts from 2 tensors of "), "{note}");
        assert!(note.ends_with(", without fc.bias, fc.weight"), "{note}");
    }

    #[test]
    fn every_missing_strange_and_misshapen_tensor_is_named_and_nothing_is_written() {
        let (copied, variables, _) =
            copied(&[("conv.weight", weight().tr()), ("layer5.weight", weight()), ("fc.weight", weight())]);
        let message = copied.unwrap_err().to_string();
        for expected in [
            "  conv.weight: found Double [1, 2], expected Float [2, 1]",
            "  bn.num_batches_tracked: missing, expected Int64 []",
            "  layer5.weight: found, and the encoder has no such variable",
            "expected its 2 names and shapes",
        ] {
            assert!(message.contains(expected), "{expected} is not in\n{message}");
        }
        assert!(!message.contains("fc.weight"), "{message}");
        assert_eq!(variables[0].tensor.abs().max().double_value(&[]), 0.0);
    }

    #[test]
    fn a_file_that_was_changed_since_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("w.safetensors");
        write_tensors(&path, &[("w".into(), weight())]).unwrap();
        let message = Weights::read(&WeightsConfig { path, hash: "00".into() }).err().unwrap().to_string();
        assert!(message.contains("expected 00; bring back the file that was there"), "{message}");
    }
}
