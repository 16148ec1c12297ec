//! The source that a path on the command line names.

use std::path::Path;
use std::sync::Arc;

use diptych_pipeline::{FolderSource, ListFields, ListSource, Source, SourceError, TarSource};

/// Opens what `path` names: a folder of images, tar shards (one, a folder of them, or a pattern), or a list (`.csv`,
/// `.jsonl`).
///
/// # Errors
/// There is no such thing, or it holds no images.
pub fn open(path: &Path) -> Result<Arc<dyn Source>, SourceError> {
    if path.is_dir() {
        return match FolderSource::open(path) {
            Err(SourceError::NoImages { .. }) if holds_shards(path) => tar(path),
            source => Ok(Arc::new(source?)),
        };
    }
    let is_pattern = !path.exists() && path.to_string_lossy().contains(['{', '*', '?', '[']);
    if is_pattern || ends_with(path, &[".tar", ".tar.gz", ".tgz"]) {
        return tar(path);
    }
    if ends_with(path, &[".csv"]) {
        return Ok(Arc::new(ListSource::csv(path, ListFields::default())?));
    }
    if ends_with(path, &[".jsonl", ".ndjson"]) {
        return Ok(Arc::new(ListSource::jsonl(path, ListFields::default())?));
    }
    Ok(Arc::new(FolderSource::open(path)?))
}

fn tar(path: &Path) -> Result<Arc<dyn Source>, SourceError> {
    Ok(Arc::new(TarSource::open(path, "label")?))
}

fn holds_shards(folder: &Path) -> bool {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.into_iter().any(|entry| ends_with(&entry.path(), &[".tar"]))
}

fn ends_with(path: &Path, suffixes: &[&str]) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    suffixes.iter().any(|suffix| name.ends_with(suffix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_shards_and_lists_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let place = |name: &str| folder.path().join(name);
        let summary = |name: &str| match open(&place(name)) {
            Ok(source) => source.summary().replace(&folder.path().display().to_string(), "DIR"),
            Err(error) => error.to_string().replace(&folder.path().display().to_string(), "DIR"),
        };
        std::fs::create_dir_all(place("images")).unwrap();
        image::RgbImage::new(2, 2).save(place("images/a.png")).unwrap();
        std::fs::write(place("list.csv"), "path\nimages/a.png\n").unwrap();
        std::fs::write(place("list.JSONL"), "{\"path\": \"images/a.png\"}").unwrap();
        std::fs::create_dir_all(place("shards")).unwrap();
        let mut archive = tar::Builder::new(std::fs::File::create(place("shards/0.tar")).unwrap());
        archive.append_path_with_name(place("images/a.png"), "a.png").unwrap();
        archive.finish().unwrap();

        assert_eq!(summary("images"), "1 images in DIR/images, without labels");
        assert_eq!(summary("shards"), "1 images in 1 tar shards of DIR/shards, without labels");
        assert_eq!(summary("shards/0.tar"), "1 images in 1 tar shards of DIR/shards/0.tar, without labels");
        assert_eq!(
            summary("shards/{0..0}.tar"),
            "1 images in 1 tar shards of DIR/shards/{0..0}.tar, without labels"
        );
        assert_eq!(summary("list.csv"), "1 images listed in DIR/list.csv, without labels");
        assert_eq!(summary("list.JSONL"), "1 images listed in DIR/list.JSONL, without labels");
        assert!(summary("nowhere").starts_with("cannot read DIR/nowhere: "), "{}", summary("nowhere"));
        assert!(summary("nowhere.csv").starts_with("cannot read "), "{}", summary("nowhere.csv"));
        assert!(summary("images/a.png").contains("is a file, expected a folder of images"));
        std::fs::remove_file(place("images/a.png")).unwrap();
        assert!(summary("images").starts_with("no images in DIR/images: found an empty folder"));
    }
}
