//! Which device a run computes on.

use std::fmt;

use tch::Device;

use crate::{Error, Result, native};

/// A device as a configuration names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum DeviceName {
    /// `cpu`.
    #[default]
    Cpu,
    /// `cuda` or `cuda:N`.
    Cuda(usize),
}

impl DeviceName {
    /// Reads `cpu`, `cuda` or `cuda:N`.
    pub fn parse(text: &str) -> Option<DeviceName> {
        match text.split_once(':') {
            None if text == "cpu" => Some(DeviceName::Cpu),
            None if text == "cuda" => Some(DeviceName::Cuda(0)),
            Some(("cuda", index)) => index.parse().ok().map(DeviceName::Cuda),
            _ => None,
        }
    }

    /// Makes the device ready. For CUDA this loads libtorch's CUDA half, which a run on the CPU does not pay for.
    pub fn open(self) -> Result<Device> {
        let DeviceName::Cuda(index) = self else { return Ok(Device::Cpu) };
        let refused = |reason: String| {
            Error::Unfit(format!(
                "device = \"{self}\" was asked for, but {reason}; use device = \"cpu\", or run on a machine with an NVIDIA GPU, \
                 its driver and the CUDA build of libtorch"
            ))
        };
        native::load_cuda().map_err(|reason| refused(format!("CUDA can't be loaded: {reason}")))?;
        if !tch::Cuda::is_available() {
            return Err(refused("libtorch finds no usable NVIDIA GPU or driver".into()));
        }
        let count = tch::Cuda::device_count();
        if index as i64 >= count {
            return Err(refused(format!("there are {count} CUDA devices, counted from 0")));
        }
        Ok(Device::Cuda(index))
    }
}

impl fmt::Display for DeviceName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DeviceName::Cpu => formatter.write_str("cpu"),
            DeviceName::Cuda(index) => write!(formatter, "cuda:{index}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_three_forms_and_nothing_else() {
        assert_eq!(DeviceName::parse("cpu"), Some(DeviceName::Cpu));
        assert_eq!(DeviceName::parse("cuda"), Some(DeviceName::Cuda(0)));
        assert_eq!(DeviceName::parse("cuda:3"), Some(DeviceName::Cuda(3)));
        for wrong in ["gpu", "cpu:0", "cuda:", "cuda:x", ""] {
            assert_eq!(DeviceName::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_missing_cuda_device_is_one_clear_error() {
        // No machine has a thousand of them.
        let message = DeviceName::Cuda(1000).open().unwrap_err().to_string();
        assert!(message.starts_with("device = \"cuda:1000\" was asked for, but "), "{message}");
        assert!(message.contains("use device = \"cpu\""), "{message}");
        assert_eq!(message.lines().count(), 1, "{message}");
    }
}
