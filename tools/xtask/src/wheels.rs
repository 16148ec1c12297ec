//! Installed wheels: whether each is whole, by the list of its files that pip writes last.

use std::fs;
use std::path::Path;

/// The name and version (`torch`, `2.11.0`) of every installed package that lacks a file or has one of another
/// size: what an interrupted or disk-full install leaves.
pub fn broken(packages: &Path) -> Vec<(String, String)> {
    installed(packages).into_iter().filter(|(name, version)| !is_whole(packages, name, version)).collect()
}

/// The name and version of every package that was at least begun to be installed, sorted.
fn installed(packages: &Path) -> Vec<(String, String)> {
    let Ok(entries) = fs::read_dir(packages) else { return Vec::new() };
    let mut found: Vec<(String, String)> = entries
        .filter_map(|entry| {
            let name = entry.ok()?.file_name().into_string().ok()?;
            let (name, version) = name.strip_suffix(".dist-info")?.rsplit_once('-')?;
            Some((name.to_owned(), version.to_owned()))
        })
        .collect();
    found.sort();
    found
}

/// Whether the package is installed in this version and has all its files. A name is as in its folder:
/// `nvidia_cuda_runtime`.
pub fn is_whole(packages: &Path, name: &str, version: &str) -> bool {
    let Ok(record) = fs::read_to_string(packages.join(format!("{name}-{version}.dist-info/RECORD"))) else {
        return false;
    };
    !record.is_empty()
        && record.lines().filter_map(sized_file).all(|(path, size)| {
            fs::metadata(packages.join(path)).is_ok_and(|metadata| metadata.len() == size)
        })
}

/// The version that starts so (`13.0.`) and is installed whole.
pub fn whole_version(packages: &Path, name: &str, prefix: &str) -> Option<String> {
    installed(packages)
        .into_iter()
        .find(|(found, version)| {
            found == name && version.starts_with(prefix) && is_whole(packages, name, version)
        })
        .map(|(_, version)| version)
}

/// Path and size from one row of RECORD, `path,sha256=...,size`. Rows without a size are of files that Python or
/// pip may change.
fn sized_file(row: &str) -> Option<(String, u64)> {
    let (rest, size) = row.rsplit_once(',')?;
    let (path, _hash) = rest.rsplit_once(',')?;
    // CSV: a path with a comma or a quote stands in quotes, its own quotes doubled.
    let path = match path.strip_prefix('"').and_then(|path| path.strip_suffix('"')) {
        Some(quoted) => quoted.replace("\"\"", "\""),
        None => path.to_owned(),
    };
    Some((path, size.trim().parse().ok()?))
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use std::path::PathBuf;

    /// A folder of one test, removed at its end.
    pub struct Scratch(pub PathBuf);

    impl Scratch {
        pub fn new(name: &str) -> Scratch {
            let folder = std::env::temp_dir().join(format!("xtask-{name}-{}", std::process::id()));
            fs::create_dir_all(&folder).unwrap();
            Scratch(folder)
        }

        pub fn write(&self, path: &str, text: &str) {
            let path = self.0.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn rows_of_a_record_are_read_with_their_quotes() {
        assert_eq!(sized_file("torch/a.py,sha256=xy,12"), Some(("torch/a.py".into(), 12)));
        assert_eq!(sized_file("\"a,\"\"b\"\".py\",sha256=xy,3"), Some(("a,\"b\".py".into(), 3)));
        assert_eq!(sized_file("torch-2.11.0.dist-info/RECORD,,"), None);
    }

    #[test]
    fn an_interrupted_install_is_told_from_a_whole_one() {
        let packages = Scratch::new("wheels");
        packages.write("torch/lib/a.so", "12345");
        packages.write("torch-2.11.0.dist-info/METADATA", "");
        assert_eq!(broken(&packages.0), [("torch".to_owned(), "2.11.0".to_owned())]);

        packages.write("torch-2.11.0.dist-info/RECORD", "torch/lib/a.so,sha256=x,5\ntorch/x.pyc,,\n");
        assert!(is_whole(&packages.0, "torch", "2.11.0"));
        assert!(!is_whole(&packages.0, "torch", "2.12.0"));
        assert_eq!(whole_version(&packages.0, "torch", "2.11.").as_deref(), Some("2.11.0"));
        assert_eq!(whole_version(&packages.0, "torch", "2.12."), None);
        assert_eq!(broken(&packages.0), []);

        packages.write("torch/lib/a.so", "123");
        assert!(!is_whole(&packages.0, "torch", "2.11.0"));
        assert_eq!(whole_version(&packages.0, "torch", "2.11."), None);
    }
}
