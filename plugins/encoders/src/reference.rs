//! For tests: what torchvision and timm compute, written by `tests/reference/encoder_reference.py`, and the weights that it was
//! computed with.

use std::collections::HashMap;

use diptych_sdk_tensor::Variables;
use tch::Tensor;

pub const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/reference");

/// The tensors of a reference file.
pub fn read(name: &str) -> HashMap<String, Tensor> {
    Tensor::read_safetensors(format!("{FOLDER}/{name}.safetensors")).unwrap().into_iter().collect()
}

/// Numbers in [-1, 1) that depend on the variable and the element's index alone: the hash of the scripts.
pub fn values(variable: u64, shape: &[i64]) -> Tensor {
    let count = shape.iter().product::<i64>() as u64;
    let mix = |h: u64| ((h ^ (h >> 16)) * 0x45d9f3b) & 0xffff_ffff;
    let value = |index: u64| {
        let h = mix(mix((index * 2_654_435_761 + variable * 40503 + 12345) & 0xffff_ffff));
        ((h ^ (h >> 16)) as f64 / 2_147_483_648.0 - 1.0) as f32
    };
    Tensor::from_slice(&(0..count).map(value).collect::<Vec<f32>>()).reshape(shape)
}

/// Fills all float variables as the scripts do; `key` says which numbers a variable gets, by its place and name.
pub fn fill(variables: &Variables, key: impl Fn(usize, &str) -> u64) {
    let _guard = tch::no_grad_guard();
    for (index, variable) in variables.iter().enumerate() {
        let (shape, name) = (variable.tensor.size(), variable.name.as_str());
        if name.ends_with("num_batches_tracked") {
            continue;
        }
        let numbers = values(key(index, name), &shape);
        let fan_in = shape.iter().skip(1).product::<i64>() as f64;
        let start = match shape.len() {
            4 => numbers * (6.0 / fan_in).sqrt(),
            2 => numbers * (3.0 / fan_in).sqrt(),
            _ if name.ends_with("weight") || name.ends_with("running_var") => 1.0 + 0.2 * numbers,
            _ => 0.2 * numbers,
        };
        variable.tensor.shallow_clone().copy_(&start);
    }
}

/// The key of `encoder_reference.py`.
pub fn by_name(_: usize, name: &str) -> u64 {
    name.bytes()
        .fold(0x811c_9dc5, |hash: u32, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
        .into()
}

/// The hash of names and shapes that the script keeps as `NETWORK.names`.
pub fn names_hash(variables: &Variables) -> i64 {
    let line = |variable: &diptych_sdk_tensor::Variable| {
        let shape: Vec<String> = variable.tensor.size().iter().map(i64::to_string).collect();
        format!("{} {}\n", variable.name, shape.join("x"))
    };
    let lines: String = variables.iter().map(line).collect();
    let hash = lines
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    hash.wrapping_sub(1 << 63) as i64
}

/// Fails when `found` is further from `expected` than 1e-4 of the latter's largest value.
pub fn check(found: &Tensor, expected: &Tensor, what: &str) {
    check_within(1e-4, found, expected, what);
}

/// The same with another tolerance.
pub fn check_within(tolerance: f64, found: &Tensor, expected: &Tensor, what: &str) {
    let error = (found - expected).abs().max().double_value(&[]) / expected.abs().max().double_value(&[]);
    assert!(error < tolerance, "{what}: {error}");
}
