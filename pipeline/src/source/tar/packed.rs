//! Shards that `diptych pack` wrote: what reading them needs of the manifest beside them, and how their members are
//! called.
//!
//! A sample's name may have dots, and need not be text; the key of a member ends at its first dot. Such bytes are written
//! as `%` and two hexadecimal digits, so that the name, and with it the sample's id, comes back as it was. Shards without
//! such a manifest are taken as they are.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::super::SourceError;

/// Name of the manifest, beside the shards.
pub const MANIFEST: &str = "manifest.json";
/// Its `format`: a `manifest.json` that says something else, or nothing, is not ours and not looked at.
pub const FORMAT: &str = "diptych pack";
/// Its `version`. Raised when older programs would misread the set.
pub const VERSION: u64 = 1;

/// What reading packed shards needs to know.
#[derive(Debug)]
pub(super) struct Packed {
    /// Names of the classes that the labels count.
    pub classes: Option<Vec<String>>,
}

impl Packed {
    /// Reads the manifest in `folder`, if there is one of ours. The set must be finished if `whole` of it is wanted.
    pub fn read(folder: &Path, whole: bool) -> Result<Option<Packed>, SourceError> {
        let path = folder.join(MANIFEST);
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(SourceError::Unreadable { path, error }),
        };
        let unfit = |found: String, expected: &str, remedy: &str| SourceError::Unfit {
            path: path.clone(),
            found,
            expected: expected.into(),
            remedy: remedy.into(),
        };
        let manifest: Value = serde_json::from_slice(&text)
            .map_err(|error| unfit(error.to_string(), "JSON", "correct or remove the file"))?;
        if manifest.get("format").and_then(Value::as_str) != Some(FORMAT) {
            return Ok(None);
        }
        if manifest.get("version").and_then(Value::as_u64) != Some(VERSION) {
            let found = format!("version {}", manifest.get("version").unwrap_or(&Value::Null));
            return Err(unfit(found, &format!("version {VERSION}"), "use the program that wrote it"));
        }
        if whole && manifest.get("complete").and_then(Value::as_bool) != Some(true) {
            return Err(unfit(
                "an unfinished set".into(),
                "all of it",
                "give the command again that began to pack it, and it goes on",
            ));
        }
        let names = manifest.get("classes").and_then(Value::as_array);
        let classes = names.map(|names| names.iter().filter_map(Value::as_str).map(str::to_string).collect());
        Ok(Some(Packed { classes }))
    }
}

/// For each of `files`, whether it lies beside a manifest, and the classes where all manifests have the same.
pub(super) fn beside(
    files: &[PathBuf],
    whole: bool,
) -> Result<(Vec<bool>, Option<Vec<String>>), SourceError> {
    // Folders come one after the other: files are listed in the order of their paths, or by hand.
    let mut folders: Vec<(&Path, Option<Packed>)> = Vec::new();
    let mut packed = Vec::with_capacity(files.len());
    for file in files {
        let folder = file.parent().unwrap_or(Path::new(""));
        if folders.last().is_none_or(|(last, _)| *last != folder) {
            folders.push((folder, Packed::read(folder, whole)?));
        }
        packed.push(folders.last().is_some_and(|(_, manifest)| manifest.is_some()));
    }
    let lists: Vec<Option<&Vec<String>>> = folders
        .iter()
        .map(|(_, manifest)| manifest.as_ref().and_then(|manifest| manifest.classes.as_ref()))
        .collect();
    let first = lists.iter().position(Option::is_some).unwrap_or(0);
    if let Some(other) = lists.iter().position(|list| list.is_some() && *list != lists[first]) {
        return Err(SourceError::Unfit {
            path: folders[other].0.join(MANIFEST),
            found: "classes that differ".into(),
            expected: format!("those of {}", folders[first].0.display()),
            remedy: "open the sets one by one, or pack them as one".into(),
        });
    }
    // Where a set has numbers only, names of another one would say nothing of them.
    let all = !lists.is_empty() && lists.iter().all(Option::is_some);
    let classes = if all { lists[first].cloned() } else { None };
    Ok((packed, classes))
}

/// The key of a sample's members: its name as the path of a tar member, relative, without empty parts and without dots,
/// which is none of WebDataset's own notes (`__name__`).
pub fn key_of(name: &[u8]) -> String {
    let first = name.split(|byte| *byte == b'/').next().unwrap_or(name);
    let is_note = first.len() >= 4 && first.starts_with(b"__") && first.ends_with(b"__");
    let mut key = String::with_capacity(name.len());
    let mut at = 0;
    for chunk in name.utf8_chunks() {
        for character in chunk.valid().chars() {
            let escape = match character {
                '%' | '.' | '\0'..='\x1F' | '\x7F' => true,
                '/' => at == 0 || name[at - 1] == b'/' || at + 1 == name.len(),
                '_' => at == 0 && is_note,
                _ => false,
            };
            if escape {
                key.push_str(&escaped(character as u8));
            } else {
                key.push(character);
            }
            at += character.len_utf8();
        }
        key.extend(chunk.invalid().iter().map(|byte| escaped(*byte)));
        at += chunk.invalid().len();
    }
    key
}

fn escaped(byte: u8) -> String {
    format!("%{byte:02X}")
}

/// The name that [`key_of`] made a key of.
pub(super) fn name_of(key: &str) -> Vec<u8> {
    let mut name = Vec::with_capacity(key.len());
    let mut rest = key.as_bytes();
    while let [first, tail @ ..] = rest {
        let digits = tail.first_chunk().filter(|_| *first == b'%').and_then(byte_of);
        name.push(digits.unwrap_or(*first));
        rest = &tail[if digits.is_some() { 2 } else { 0 }..];
    }
    name
}

fn byte_of(digits: &[u8; 2]) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    Some((digit(digits[0])? * 16 + digit(digits[1])?) as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_comes_back_from_its_key() {
        let pairs: [(&[u8], &str); 13] = [
            (b"n01440764/n01440764_10026", "n01440764/n01440764_10026"),
            (b"a.b/c.d", "a%2Eb/c%2Ed"),
            (b"100%/x", "100%25/x"),
            (b"./../x", "%2E/%2E%2E/x"),
            (b"/data//x/", "%2Fdata/%2Fx%2F"),
            (b"a.b/", "a%2Eb%2F"),
            (b".hidden", "%2Ehidden"),
            (b"__notes__/x", "%5F_notes__/x"),
            (b"a/__x__", "a/__x__"),
            (b"a\nb\x7F", "a%0Ab%7F"),
            ("é/ü.1".as_bytes(), "é/ü%2E1"),
            (b"a\xFF\xC3/b", "a%FF%C3/b"),
            (b"_", "_"),
        ];
        for (name, key) in pairs {
            assert_eq!(key_of(name), key);
            assert_eq!(name_of(key), name, "{key}");
            let member = format!("{key}.jpg");
            assert_eq!(super::super::index::split(&member), Some((key, "jpg")));
            let path = Path::new(&member);
            assert_eq!(path.components().collect::<PathBuf>().as_os_str(), path.as_os_str(), "{key}");
        }
    }

    #[test]
    fn what_is_no_escape_stays() {
        for key in ["%", "a%2", "%ZZ", "%+1", "%é"] {
            let expected = key.as_bytes();
            assert_eq!(name_of(key), expected, "{key}");
        }
    }
}
