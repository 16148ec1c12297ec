//! A plugin of the user's own: a copy of `plugins/template` that builds wherever it lies.
//!
//! The copy has a name of its own, the absolute path of the SDK, a workspace of its own (it may lie within another one),
//! and the versions in this repository's `Cargo.lock`, so that building it downloads nothing that building Diptych did
//! not.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::Failure;

/// What the template's manifest says, and a copy of it differently.
const NAME: &str = "name = \"diptych-template-plugin\"";
const SDK: &str = "path = \"../sdk\"";

/// Makes `folder`, which is to be new, a copy of the template of the repository at `root`. Answers its package's name,
/// which is the folder's.
pub fn create(root: &Path, folder: &Path) -> Result<String, Failure> {
    let name = package_name(folder)?;
    let template = root.join("plugins/template");
    let manifest = manifest(&read(&template.join("Cargo.toml"))?, &name, &root.join("plugins/sdk"))?;
    make_new(folder)?;
    write(&folder.join("Cargo.toml"), &manifest)?;
    make_new(&folder.join("src"))?;
    for file in ["src/lib.rs", "README.md"] {
        write(&folder.join(file), &read(&template.join(file))?)?;
    }
    write(&folder.join("Cargo.lock"), &read(&root.join("Cargo.lock"))?)?;
    write(&folder.join(".gitignore"), "/target\n")?;
    Ok(name)
}

/// The folder's name, if cargo takes it for a package.
fn package_name(folder: &Path) -> Result<String, Failure> {
    let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let valid = name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name.chars().all(|character| character.is_ascii_alphanumeric() || "_-".contains(character));
    if !valid {
        return Err(format!(
            "found {name:?} as the name of the plugin, expected letters, digits, `_` and `-`, a letter first: \
             name such a folder, as in cargo xtask new-plugin my_plugin"
        ));
    }
    Ok(name.to_owned())
}

/// The template's manifest for a copy called `name` that lies anywhere.
fn manifest(template: &str, name: &str, sdk: &Path) -> Result<String, Failure> {
    let start = template.find("[package]").filter(|_| template.contains(NAME) && template.contains(SDK));
    let start = start.ok_or_else(|| {
        format!("plugins/template/Cargo.toml lacks `{NAME}` or `{SDK}`: restore it from the repository")
    })?;
    let sdk = sdk.display().to_string().replace('\\', r"\\").replace('"', "\\\"");
    let copy = template[start..]
        .replace(NAME, &format!("name = \"{name}\""))
        .replace(SDK, &format!("path = \"{sdk}\""));
    Ok(format!("{copy}\n# Its own, wherever the folder lies.\n[workspace]\n"))
}

fn make_new(folder: &Path) -> Result<(), Failure> {
    fs::create_dir(folder).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => {
            format!("{} is already there: name a folder that is not", folder.display())
        }
        _ => format!("{} cannot be made: {error}", folder.display()),
    })
}

fn read(path: &PathBuf) -> Result<String, Failure> {
    fs::read_to_string(path).map_err(|error| format!("{} cannot be read: {error}", path.display()))
}

fn write(path: &PathBuf, text: &str) -> Result<(), Failure> {
    fs::write(path, text).map_err(|error| format!("{} cannot be written: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wheels::tests::Scratch;

    #[test]
    fn a_copy_has_a_name_the_way_to_the_sdk_and_nothing_of_the_workspace() {
        let place = Scratch::new("new-plugin");
        let folder = place.0.join("my-plugin");
        let root = crate::root();
        assert_eq!(create(&root, &folder).as_deref(), Ok("my-plugin"));
        let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap();
        assert!(manifest.starts_with("[package]\nname = \"my-plugin\"\n"), "{manifest}");
        assert!(manifest.contains(&format!("path = \"{}/plugins/sdk\"", root.display())), "{manifest}");
        assert!(manifest.ends_with("[workspace]\n") && !manifest.contains("workspace = true"), "{manifest}");
        let again = create(&root, &folder).unwrap_err();
        assert!(again.ends_with("my-plugin is already there: name a folder that is not"), "{again}");
    }

    #[test]
    fn a_folder_that_cargo_would_not_take_for_a_package_is_refused_with_an_example() {
        for folder in ["2fast", "my plugin", "..", "a.b", "/"] {
            let failure = create(&crate::root(), Path::new(folder)).unwrap_err();
            assert!(failure.contains("cargo xtask new-plugin my_plugin"), "{failure}");
        }
    }

    #[test]
    fn a_path_with_quotes_stays_toml() {
        let template = format!("[package]\n{NAME}\n[dependencies]\ndiptych-sdk = {{ {SDK} }}\n");
        let manifest = manifest(&template, "mine", Path::new("/a \"b\"/sdk")).unwrap();
        assert!(manifest.contains(r#"path = "/a \"b\"/sdk""#), "{manifest}");
    }

    #[test]
    fn a_template_that_was_changed_is_not_copied_wrongly() {
        let other = "[package]\nname = \"other\"\n";
        let failure = manifest(other, "mine", Path::new("/sdk")).unwrap_err();
        assert!(failure.starts_with("plugins/template/Cargo.toml lacks"), "{failure}");
    }
}
