//! Named tensors in safetensors files.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use safetensors::tensor::{Dtype, SafeTensorError, SafeTensors, View};
use tch::{Device, Kind, Tensor};

use crate::{Error, Result};

const KINDS: [(Kind, Dtype); 8] = [
    (Kind::Float, Dtype::F32),
    (Kind::Double, Dtype::F64),
    (Kind::Half, Dtype::F16),
    (Kind::BFloat16, Dtype::BF16),
    (Kind::Int64, Dtype::I64),
    (Kind::Int, Dtype::I32),
    (Kind::Uint8, Dtype::U8),
    (Kind::Bool, Dtype::BOOL),
];

struct Bytes<'a> {
    dtype: Dtype,
    shape: Vec<usize>,
    tensor: &'a Tensor,
}

impl View for &Bytes<'_> {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        let host = self.tensor.detach().to_device(Device::Cpu).contiguous();
        let mut bytes = vec![0; self.data_len()];
        host.copy_data_u8(&mut bytes, host.numel());
        bytes.into()
    }

    fn data_len(&self) -> usize {
        self.tensor.numel() * self.tensor.kind().elt_size_in_bytes()
    }
}

/// Writes `tensors` to `path` and syncs the file.
pub fn write_tensors(path: &Path, tensors: &[(String, Tensor)]) -> Result<()> {
    write_tensors_with(path, tensors, None)
}

/// The same with `metadata` in the file's header.
pub(crate) fn write_tensors_with(
    path: &Path,
    tensors: &[(String, Tensor)],
    metadata: Option<HashMap<String, String>>,
) -> Result<()> {
    let views = tensors
        .iter()
        .map(|(name, tensor)| {
            let dtype = KINDS.iter().find(|(kind, _)| *kind == tensor.kind()).map(|(_, dtype)| *dtype);
            let dtype = dtype.ok_or_else(|| {
                Error::damaged(
                    path,
                    format!("{name} holds {:?}, which a checkpoint can't hold", tensor.kind()),
                )
            })?;
            let shape = tensor.size().iter().map(|size| *size as usize).collect();
            Ok((name.as_str(), Bytes { dtype, shape, tensor }))
        })
        .collect::<Result<Vec<_>>>()?;
    let views = views.iter().map(|(name, view)| (*name, view));
    let bytes = safetensors::serialize(views, metadata).map_err(|error| Error::damaged(path, error))?;
    let write = || {
        let mut file = File::create(path)?;
        file.write_all(&bytes)?;
        file.sync_all()
    };
    write().map_err(|error| Error::file("write", path, error))
}

/// All tensors of a file, on the CPU.
pub fn read_tensors(path: &Path) -> Result<Vec<(String, Tensor)>> {
    let bytes = fs::read(path).map_err(|error| Error::file("read", path, error))?;
    let file = parse(path, &bytes)?;
    file.iter().map(|(name, view)| Ok((name.to_owned(), tensor(path, name, &view)?))).collect()
}

/// Copies the tensors of a file into `tensors`, by name. The file must hold each of them in the same shape and kind.
pub fn restore(path: &Path, tensors: &mut [(String, Tensor)]) -> Result<()> {
    let bytes = fs::read(path).map_err(|error| Error::file("read", path, error))?;
    let file = parse(path, &bytes)?;
    for (name, into) in tensors {
        let view = file.tensor(name).map_err(|_| {
            Error::damaged(path, format!("holds no tensor {name}; expected one of shape {:?}", into.size()))
        })?;
        let from = tensor(path, name, &view)?;
        if from.size() != into.size() || from.kind() != into.kind() {
            let found = format!("{:?} {:?}", from.kind(), from.size());
            let expected = format!("{:?} {:?}", into.kind(), into.size());
            return Err(Error::damaged(path, format!("{name}: found {found}, expected {expected}")));
        }
        tch::no_grad(|| into.f_copy_(&from))?;
    }
    Ok(())
}

fn parse<'a>(path: &Path, bytes: &'a [u8]) -> Result<SafeTensors<'a>> {
    SafeTensors::deserialize(bytes).map_err(|error: SafeTensorError| {
        let size = bytes.len();
        let message = format!(
            "no whole safetensors file, of {size} bytes ({error}): it was cut off or overwritten; get it again from where it was written, or for a checkpoint, begin the run anew with another --out"
        );
        Error::damaged(path, message)
    })
}

fn tensor(path: &Path, name: &str, view: &safetensors::tensor::TensorView<'_>) -> Result<Tensor> {
    let kind = KINDS.iter().find(|(_, dtype)| *dtype == view.dtype()).map(|(kind, _)| *kind);
    let kind = kind.ok_or_else(|| {
        Error::damaged(path, format!("{name} holds {:?}, which this version can't read", view.dtype()))
    })?;
    let shape: Vec<i64> = view.shape().iter().map(|size| *size as i64).collect();
    Ok(Tensor::f_from_data_size(view.data(), &shape, kind)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_survives_the_file_bit_by_bit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.safetensors");
        let values = Tensor::from_slice(&[0.1f64, -2.5, 3e9, 0.0]).view([2, 2]);
        let tensors: Vec<_> =
            KINDS.iter().map(|(kind, _)| (format!("{kind:?}"), values.to_kind(*kind))).collect();
        write_tensors(&path, &tensors).unwrap();
        let read = read_tensors(&path).unwrap();
        assert_eq!(read.len(), tensors.len());
        for (name, expected) in &tensors {
            let (_, found) = read.iter().find(|(found, _)| found == name).unwrap();
            assert_eq!((found.kind(), found.size()), (expected.kind(), expected.size()));
            assert!(found.equal(expected), "{name}");
        }
    }

    #[test]
    fn a_transposed_tensor_is_stored_as_it_reads() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.safetensors");
        let transposed = Tensor::from_slice(&[1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0]).view([2, 3]).tr();
        write_tensors(&path, &[("t".into(), transposed.shallow_clone())]).unwrap();
        assert!(read_tensors(&path).unwrap()[0].1.equal(&transposed));
    }

    #[test]
    fn another_shape_is_named_with_both_shapes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.safetensors");
        write_tensors(&path, &[("w".into(), Tensor::from_slice(&[1.0f32, 2.0]))]).unwrap();
        let mut wrong = [("w".to_owned(), Tensor::from_slice(&[0.0f32; 3]))];
        let message = restore(&path, &mut wrong).unwrap_err().to_string();
        assert!(message.ends_with("w: found Float [2], expected Float [3]"), "{message}");
        let mut missing = [("v".to_owned(), Tensor::from_slice(&[0.0f32; 3]))];
        let message = restore(&path, &mut missing).unwrap_err().to_string();
        assert!(message.contains("holds no tensor v"), "{message}");
    }

    #[test]
    fn a_damaged_file_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.safetensors");
        fs::write(&path, b"not tensors at all").unwrap();
        let message = read_tensors(&path).unwrap_err().to_string();
        assert!(message.contains("of 18 bytes") && message.contains("begin the run anew"), "{message}");
    }

    #[test]
    fn a_full_disk_is_named_as_such() {
        // Every write to this device fails with "no space left".
        let error = write_tensors(Path::new("/dev/full"), &[("w".into(), Tensor::from_slice(&[1.0f32]))]);
        assert!(matches!(error, Err(Error::DiskFull { .. })), "{error:?}");
    }
}
