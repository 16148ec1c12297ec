//! Lists of files as users write them: a file, a folder, a pattern with `*`, or with braces as WebDataset's.

use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use super::SourceError;

/// Files that a list with braces may have: a slip of a digit shouldn't fill the memory.
const MAXIMUM_FILES: usize = 1_000_000;

/// The files that `path` names.
///
/// A folder stands for the files below it whose names end with one of `suffixes`, sorted; hidden ones aren't looked at.
/// `{000..146}` stands for each number, with as many digits as its ends have, `{a,b}` for either; `*`, `?` and `[ab]`
/// are the shell's. What exists under the very name is never taken for a pattern.
pub(super) fn files(path: &Path, suffixes: &[&str]) -> Result<Vec<PathBuf>, SourceError> {
    if path.is_dir() {
        return in_folder(path, suffixes);
    }
    let text = path.to_string_lossy();
    if path.exists() || !text.contains(['{', '*', '?', '[']) {
        let found = std::fs::metadata(path).map(|_| vec![path.to_path_buf()]);
        return found.map_err(|error| SourceError::Unreadable { path: path.to_path_buf(), error });
    }
    let refuse = |found: String, expected: &str, remedy: &str| SourceError::Unfit {
        path: path.to_path_buf(),
        found,
        expected: expected.into(),
        remedy: remedy.into(),
    };
    let Some(names) = expand(&text) else {
        let found = format!("braces that make no list, or one of more than {MAXIMUM_FILES} files");
        return Err(refuse(found, "{first..last} or {one,other}", "write the list anew"));
    };
    let mut files = Vec::new();
    let mut missing = Vec::new();
    for name in names {
        if name.contains(['*', '?', '[']) {
            let matches = glob::glob(&name)
                .map_err(|error| refuse(error.to_string(), "a pattern of the shell's", "write it anew"))?;
            for file in matches {
                files.push(file.map_err(|error| SourceError::Unreadable {
                    path: error.path().to_path_buf(),
                    error: error.into(),
                })?);
            }
        } else if Path::new(&name).is_file() {
            files.push(name.into());
        } else {
            missing.push(name);
        }
    }
    if let Some(first) = missing.first() {
        let found =
            format!("{} of its {} files missing ({first})", missing.len(), missing.len() + files.len());
        return Err(refuse(found, "all of them", "fetch those that are missing or shorten the list"));
    }
    if files.is_empty() {
        return Err(refuse("no file that fits".into(), "at least one", "correct the pattern"));
    }
    Ok(files)
}

/// Whether the name of `path` ends with one of `suffixes`, in whatever case.
pub(super) fn ends_with(path: &Path, suffixes: &[&str]) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
    suffixes.iter().any(|suffix| name.ends_with(suffix))
}

/// Whether a file directly in `folder` has a name that ends with one of `suffixes`.
pub(super) fn folder_holds(folder: &Path, suffixes: &[&str]) -> bool {
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
    files.map(|entry| entry.path()).any(|path| ends_with(&path, suffixes) && path.is_file())
}

fn in_folder(folder: &Path, suffixes: &[&str]) -> Result<Vec<PathBuf>, SourceError> {
    let mut files = Vec::new();
    let visible = |entry: &walkdir::DirEntry| !entry.file_name().as_encoded_bytes().starts_with(b".");
    for entry in WalkDir::new(folder).follow_links(true).min_depth(1).into_iter().filter_entry(visible) {
        let entry = entry.map_err(super::unlisted)?;
        if entry.file_type().is_file() && ends_with(entry.path(), suffixes) {
            files.push(entry.into_path());
        }
    }
    if files.is_empty() {
        return Err(SourceError::Unfit {
            path: folder.to_path_buf(),
            found: "no such file".into(),
            expected: format!("files that end with {}", suffixes.join(" or ")),
            remedy: "give another folder or another format".into(),
        });
    }
    files.sort_by(|one, other| one.as_os_str().as_encoded_bytes().cmp(other.as_os_str().as_encoded_bytes()));
    Ok(files)
}

/// Every text that `pattern` stands for, in its order; `None` when its braces make no list, or too long a one.
fn expand(pattern: &str) -> Option<Vec<String>> {
    let Some((head, rest)) = pattern.split_once('{') else {
        return (!pattern.contains('}')).then(|| vec![pattern.to_string()]);
    };
    let (inside, tail) = rest.split_once('}')?;
    let choices = choices(inside)?;
    let tails = expand(tail)?;
    if head.contains('}') || choices.len().checked_mul(tails.len())? > MAXIMUM_FILES {
        return None;
    }
    let join =
        |choice: &String| tails.iter().map(move |tail| format!("{head}{choice}{tail}")).collect::<Vec<_>>();
    Some(choices.iter().flat_map(join).collect())
}

/// What stands between two braces.
fn choices(inside: &str) -> Option<Vec<String>> {
    let Some((first, last)) = inside.split_once("..") else {
        return inside.contains(',').then(|| inside.split(',').map(str::to_string).collect());
    };
    let (from, to): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
    let padded = |end: &str| end.len() > 1 && end.starts_with('0');
    let width = if padded(first) || padded(last) { first.len().max(last.len()) } else { 0 };
    (from <= to && to - from < MAXIMUM_FILES)
        .then(|| (from..=to).map(|number| format!("{number:0width$}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn braces_stand_for_each_of_their_choices() {
        let expanded = |text| expand(text).map(|list| list.join(" ")).unwrap_or_default();
        assert_eq!(expanded("a-{0008..0010}.tar"), "a-0008.tar a-0009.tar a-0010.tar");
        assert_eq!(expanded("{9..11}"), "9 10 11");
        assert_eq!(expanded("{08..11}"), "08 09 10 11");
        assert_eq!(expanded("{0..1}/{a,b}.x"), "0/a.x 0/b.x 1/a.x 1/b.x");
        for wrong in
            ["{1..x}", "{3..1}", "{a}", "{1..2", "1}", "a}{1..2}", "{0..9999999}", "{1..1000}{1..1001}"]
        {
            assert_eq!(expand(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn folders_patterns_and_lists_name_the_same_files() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::create_dir_all(path("deep")).unwrap();
        for name in ["deep/s-09.tar", "deep/s-10.TAR", "deep/.s-11.tar", "deep/x.txt", "{1..2}.tar"] {
            std::fs::write(path(name), "").unwrap();
        }
        let all = [path("deep/s-09.tar"), path("deep/s-10.TAR")];
        assert_eq!(files(&path("deep"), &[".tar"]).unwrap(), all);
        assert_eq!(files(&path("deep/s-*"), &[".tar"]).unwrap(), all);
        assert_eq!(files(&path("deep/s-{09.tar,10.TAR}"), &[".tar"]).unwrap(), all);
        assert_eq!(files(&path("{1..2}.tar"), &[".tar"]).unwrap(), [path("{1..2}.tar")]);
        let refusal = |name: &str| files(&path(name), &[".tar"]).unwrap_err().to_string();
        let missing = refusal("deep/s-{08..09}.tar");
        assert!(missing.contains("found 1 of its 2 files missing"), "{missing}");
        assert!(missing.contains("s-08.tar"), "{missing}");
        assert!(refusal("deep/t-*").contains("found no file that fits"));
        assert!(refusal("nowhere.tar").starts_with("cannot read "));
    }
}
