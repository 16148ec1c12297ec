//! What TOML says of a data set, and which source that is.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use diptych_config::{Choice, Kind, Table, choices};

use super::pattern::ends_with;
use super::{
    FolderSource, ListFields, ListSource, ParquetFields, ParquetSource, RawSource, Source, SourceError,
    Split, TarSource, list, parquet, pattern, tar,
};

choices! {
    /// How a data set is stored.
    pub enum Format {
        /// Told by the path's name or by what lies in the folder.
        Auto = "auto",
        /// Image files in a folder.
        Folder = "folder",
        /// WebDataset's tar shards.
        Tar = "tar",
        /// Parquet files as Hugging Face's image data sets.
        Parquet = "parquet",
        /// A list of paths and labels, with a row of names.
        Csv = "csv",
        /// A list of paths and labels, a JSON object a line.
        Jsonl = "jsonl",
        /// CIFAR-10, binary version.
        Cifar10 = "cifar10",
        /// CIFAR-100, binary version.
        Cifar100 = "cifar100",
        /// STL-10, binary version.
        Stl10 = "stl10",
        /// MNIST's IDX files.
        Idx = "idx",
    }
}

/// The keys that say where images come from.
///
/// ```toml
/// path = "imagenet-train-{000000..000146}.tar"
/// format = "auto"             # or a Format
/// split = "train"             # cifar10, cifar100, stl10, idx; parquet, whose files are named after it
/// image_field = "path"        # csv, jsonl; parquet, where it is "image"
/// label_field = "label"       # csv, jsonl, parquet, tar (of a sample's json)
/// coarse_labels = false       # cifar100
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct SourceConfig {
    /// A folder, a file or a pattern.
    pub path: PathBuf,
    /// How it is stored.
    pub format: Format,
    /// The part, of formats that have parts.
    pub split: Option<Split>,
    /// The field that has the image, of formats with named fields.
    pub image_field: Option<String>,
    /// The field that has the label.
    pub label_field: Option<String>,
    /// CIFAR-100's 20 superclasses instead of its 100 classes.
    pub coarse_labels: bool,
}

impl SourceConfig {
    /// Whatever is stored at `path`.
    pub fn new(path: impl Into<PathBuf>) -> SourceConfig {
        SourceConfig {
            path: path.into(),
            format: Format::Auto,
            split: None,
            image_field: None,
            label_field: None,
            coarse_labels: false,
        }
    }

    /// Reads the keys from a table that may have others too.
    pub fn read(table: &mut Table<'_>) -> SourceConfig {
        SourceConfig {
            path: table.required("path"),
            format: table.choice("format", Format::Auto),
            split: table.optional_choice("split"),
            image_field: table.optional("image_field"),
            label_field: table.optional("label_field"),
            coarse_labels: table.or("coarse_labels", false),
        }
    }

    /// Reads what stands under `key`: a path, or a table with the keys.
    pub fn read_at(table: &mut Table<'_>, key: &str) -> SourceConfig {
        if table.value(key).is_some_and(|value| value.kind() == Kind::Table) {
            table.table_or_empty(key, SourceConfig::read)
        } else {
            SourceConfig::new(table.required::<PathBuf>(key))
        }
    }

    /// The keys, without those that were not given.
    pub fn to_toml(&self) -> toml::Table {
        let mut table = toml::Table::new();
        // A path that means the same from every folder.
        let path = std::path::absolute(&self.path).unwrap_or_else(|_| self.path.clone());
        table.insert("path".into(), path.display().to_string().into());
        table.insert("format".into(), self.format.text().into());
        if let Some(split) = self.split {
            table.insert("split".into(), split.text().into());
        }
        for (key, field) in [("image_field", &self.image_field), ("label_field", &self.label_field)] {
            if let Some(field) = field {
                table.insert(key.into(), field.clone().into());
            }
        }
        if self.coarse_labels {
            table.insert("coarse_labels".into(), true.into());
        }
        table
    }

    /// Opens the source. `default_split` is the part that is taken where none is given and there are parts.
    ///
    /// # Errors
    /// Nothing of the format is there, or a key was given that says nothing about the format.
    pub fn open(&self, default_split: Split) -> Result<Arc<dyn Source>, SourceError> {
        let format = match self.format {
            Format::Auto => guess(&self.path),
            format => format,
        };
        self.refuse_meaningless(format)?;
        let path = &self.path;
        let split = self.split.unwrap_or(default_split);
        let label = self.label_field.as_deref();
        let defaults = ListFields::default();
        let fields = ListFields { image: self.image_field.as_deref().unwrap_or(defaults.image), label };
        Ok(match format {
            Format::Auto | Format::Folder => Arc::new(FolderSource::open(path)?),
            Format::Tar => Arc::new(TarSource::open(path, label.unwrap_or("label"))?),
            Format::Parquet => {
                let image = self.image_field.as_deref().unwrap_or("image");
                let files = parquet_files(path, split);
                if self.split.is_some() && files == *path {
                    return Err(SourceError::Unfit {
                        path: path.clone(),
                        found: format!("no file there whose name begins with {}-", split.text()),
                        expected: format!("some, as the split is {:?}", split.text()),
                        remedy: "leave the split out, or give the folder that holds its files".into(),
                    });
                }
                Arc::new(ParquetSource::open(&files, ParquetFields { image, label })?)
            }
            Format::Csv => Arc::new(ListSource::csv(path, fields)?),
            Format::Jsonl => Arc::new(ListSource::jsonl(path, fields)?),
            Format::Cifar10 => Arc::new(RawSource::cifar10(path, split)?),
            Format::Cifar100 => Arc::new(RawSource::cifar100(path, split, self.coarse_labels)?),
            Format::Stl10 => Arc::new(RawSource::stl10(path, split)?),
            Format::Idx => Arc::new(RawSource::idx(path, split)?),
        })
    }

    /// A key that would be ignored is a mistake: whoever wrote it expected it to do something.
    fn refuse_meaningless(&self, format: Format) -> Result<(), SourceError> {
        use Format::{Cifar10, Cifar100, Csv, Idx, Jsonl, Parquet, Stl10, Tar};
        let given: [(&str, bool, &[Format]); 4] = [
            ("split", self.split.is_some(), &[Cifar10, Cifar100, Stl10, Idx, Parquet]),
            ("image_field", self.image_field.is_some(), &[Csv, Jsonl, Parquet]),
            ("label_field", self.label_field.is_some(), &[Csv, Jsonl, Parquet, Tar]),
            ("coarse_labels", self.coarse_labels, &[Cifar100]),
        ];
        match given.into_iter().find(|(_, given, formats)| *given && !formats.contains(&format)) {
            None => Ok(()),
            Some((key, _, formats)) => {
                let formats: Vec<&str> = formats.iter().map(|format| format.text()).collect();
                Err(SourceError::Unfit {
                    path: self.path.clone(),
                    found: format!("the key {key} for data of the format {}", format.text()),
                    expected: format!("it only with {}", formats.join(", ")),
                    remedy: "leave it out, or give another format".into(),
                })
            }
        }
    }
}

/// The format of what is at `path`, by names alone; a folder of image files where nothing else fits.
fn guess(path: &Path) -> Format {
    const BY_SUFFIX: [(&[&str], Format); 5] = [
        (&tar::SUFFIXES, Format::Tar),
        (&parquet::SUFFIXES, Format::Parquet),
        (&list::CSV_SUFFIXES, Format::Csv),
        (&list::JSONL_SUFFIXES, Format::Jsonl),
        (&["-ubyte"], Format::Idx),
    ];
    const BY_FILE: [(&str, Format); 8] = [
        ("data_batch_1.bin", Format::Cifar10),
        ("test_batch.bin", Format::Cifar10),
        ("train.bin", Format::Cifar100),
        ("test.bin", Format::Cifar100),
        ("train_X.bin", Format::Stl10),
        ("unlabeled_X.bin", Format::Stl10),
        ("train-images-idx3-ubyte", Format::Idx),
        ("t10k-images-idx3-ubyte", Format::Idx),
    ];
    if !path.is_dir() {
        let by_suffix = BY_SUFFIX.iter().find(|(suffixes, _)| ends_with(path, suffixes));
        return by_suffix.map_or(Format::Folder, |(_, format)| *format);
    }
    if let Some((_, format)) = BY_FILE.iter().find(|(file, _)| path.join(file).is_file()) {
        return *format;
    }
    let holds = |suffixes: &[&str]| {
        pattern::folder_holds(path, suffixes) || pattern::folder_holds(&path.join("data"), suffixes)
    };
    match () {
        () if holds(&tar::SUFFIXES) => Format::Tar,
        () if holds(&parquet::SUFFIXES) => Format::Parquet,
        () => Format::Folder,
    }
}

/// The files of `split` where a folder, or its folder `data`, names them after splits as Hugging Face does
/// (`data/train-00000-of-00001.parquet`); else what `path` names.
fn parquet_files(path: &Path, split: Split) -> PathBuf {
    let named = [path.join("data"), path.to_path_buf()].map(|folder| (format!("{}-", split.text()), folder));
    let holds = |(prefix, folder): &(String, PathBuf)| {
        let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
        files.map(|entry| entry.file_name()).any(|name| {
            let name = name.to_string_lossy();
            name.starts_with(prefix) && name.ends_with(parquet::SUFFIXES[0])
        })
    };
    let found = named.into_iter().find(holds);
    found.map_or_else(|| path.to_path_buf(), |(prefix, folder)| folder.join(format!("{prefix}*.parquet")))
}

#[cfg(test)]
mod tests {
    use diptych_config::Document;

    use super::*;

    fn read(text: &str) -> SourceConfig {
        Document::parse(text, "data.toml").unwrap().read(SourceConfig::read).unwrap()
    }

    #[test]
    fn a_configuration_reads_back_what_it_wrote() {
        for text in [
            "path = \"/a\"",
            "path = \"/a/{0..9}.tar\"\nformat = \"tar\"\nlabel_field = \"class\"",
            "path = \"/a\"\nformat = \"cifar100\"\nsplit = \"test\"\ncoarse_labels = true",
            "path = \"/a.csv\"\nimage_field = \"file\"",
        ] {
            let config = read(text);
            assert_eq!(read(&config.to_toml().to_string()), config);
        }
    }

    #[test]
    fn a_path_alone_is_a_whole_description() {
        let text = "train = \"/a\"\ntest = { path = \"/a\", split = \"test\" }";
        let (train, test) = Document::parse(text, "data.toml")
            .unwrap()
            .read(|table| (SourceConfig::read_at(table, "train"), SourceConfig::read_at(table, "test")))
            .unwrap();
        assert_eq!(train, SourceConfig::new("/a"));
        assert_eq!(test, SourceConfig { split: Some(Split::Test), ..SourceConfig::new("/a") });
    }

    #[test]
    fn formats_are_told_by_names() {
        let folder = tempfile::tempdir().unwrap();
        let guess_of = |name: &str| guess(&folder.path().join(name));
        assert_eq!(guess_of("shard-{000..007}.tar"), Format::Tar);
        assert_eq!(guess_of("shard-0.TAR"), Format::Tar);
        assert_eq!(guess_of("list.csv"), Format::Csv);
        assert_eq!(guess_of("list.jsonl"), Format::Jsonl);
        assert_eq!(guess_of("train-images-idx3-ubyte"), Format::Idx);
        assert_eq!(guess(folder.path()), Format::Folder);
        std::fs::write(folder.path().join("a.tar"), "").unwrap();
        assert_eq!(guess(folder.path()), Format::Tar);
        std::fs::rename(folder.path().join("a.tar"), folder.path().join("test-0.parquet")).unwrap();
        assert_eq!(guess(folder.path()), Format::Parquet);
        let pattern = |split| parquet_files(folder.path(), split);
        assert_eq!(pattern(Split::Test), folder.path().join("test-*.parquet"));
        assert_eq!(pattern(Split::Train), folder.path());
        std::fs::write(folder.path().join("test_batch.bin"), "").unwrap();
        assert_eq!(guess(folder.path()), Format::Cifar10);
    }

    #[test]
    fn a_key_that_says_nothing_about_the_format_is_refused() {
        let config = SourceConfig { split: Some(Split::Test), ..SourceConfig::new("/nowhere") };
        let Err(error) = config.open(Split::Train) else { panic!("opened") };
        assert_eq!(
            error.to_string(),
            "/nowhere: found the key split for data of the format folder, expected it only with cifar10, cifar100, \
             stl10, idx, parquet; leave it out, or give another format"
        );
    }
}
