//! Embeddings as safetensors: `features` float32 [images, features], `labels` int64 [images] where there are labels, `ids` uint64
//! [images], and `names`, a JSON array of texts as bytes.

use std::collections::HashMap;
use std::path::Path;

use safetensors::tensor::{Dtype, TensorView, serialize_to_file};
use serde_json::json;

use super::Table;
use crate::{Error, Result};

pub(super) fn write(path: &Path, table: &Table) -> Result<()> {
    let damaged = |error| Error::damaged(path, error);
    let (images, width) = table.features.size2()?;
    let values: Vec<u8> = table.values(0, images).into_iter().flat_map(f32::to_le_bytes).collect();
    let ids: Vec<u8> = table.ids.iter().flat_map(|id| id.to_le_bytes()).collect();
    let labels: Vec<u8> = table.labels.iter().flat_map(|label| label.to_le_bytes()).collect();
    let names = json!(table.names).to_string().into_bytes();
    let rows = images as usize;
    let mut tensors = vec![
        ("features", TensorView::new(Dtype::F32, vec![rows, width as usize], &values).map_err(damaged)?),
        ("ids", TensorView::new(Dtype::U64, vec![rows], &ids).map_err(damaged)?),
        ("names", TensorView::new(Dtype::U8, vec![names.len()], &names).map_err(damaged)?),
    ];
    if !table.labels.is_empty() {
        tensors.push(("labels", TensorView::new(Dtype::I64, vec![rows], &labels).map_err(damaged)?));
    }
    let metadata: HashMap<String, String> = table.metadata.iter().cloned().collect();
    serialize_to_file(tensors, Some(metadata), path).map_err(|error| match error {
        safetensors::SafeTensorError::IoError(error) => Error::file("write", path, error),
        error => Error::damaged(path, error),
    })
}
