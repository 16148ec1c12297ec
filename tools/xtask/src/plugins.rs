//! The binary's `plugins/` folder: links to the built-in plugins where cargo builds them, so that every later
//! `cargo build` renews what the binary loads.

use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::Path;

use crate::Failure;

/// The built-in families, one library each.
const FAMILIES: [&str; 3] = ["augmentations", "encoders", "losses"];

/// Links the plugins of both profiles; they need not be built yet.
pub fn link(target: &Path) -> Result<(), Failure> {
    for profile in ["release", "debug"] {
        let folder = target.join(profile).join("plugins");
        fs::create_dir_all(&folder).map_err(|error| {
            format!("{} cannot be made: {error}; make {} writable", folder.display(), target.display())
        })?;
        for family in FAMILIES {
            let library = format!("{DLL_PREFIX}diptych_{family}{DLL_SUFFIX}");
            link_to(&Path::new("..").join(&library), &folder.join(&library))?;
        }
    }
    Ok(())
}

/// Makes `link` point to `to`, whatever it was before.
pub fn link_to(to: &Path, link: &Path) -> Result<(), Failure> {
    if fs::read_link(link).is_ok_and(|found| found == to) {
        return Ok(());
    }
    let made = match fs::remove_file(link) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => symlink(to, link),
    };
    made.map_err(|error| format!("{} cannot be made a link to {}: {error}", link.display(), to.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wheels::tests::Scratch;

    #[test]
    fn a_link_follows_what_cargo_builds_later() {
        let target = Scratch::new("links");
        link(&target.0).unwrap();
        let name = format!("{DLL_PREFIX}diptych_losses{DLL_SUFFIX}");
        for profile in ["release", "debug"] {
            let linked = target.0.join(profile).join("plugins").join(&name);
            assert!(!linked.exists());
            fs::write(target.0.join(profile).join(&name), "built").unwrap();
            assert_eq!(fs::read_to_string(linked).unwrap(), "built");
        }
    }

    #[test]
    fn a_link_elsewhere_and_a_file_in_its_place_are_replaced() {
        let target = Scratch::new("relink");
        let link = target.0.join("link");
        fs::write(&link, "a copy").unwrap();
        for to in ["first", "second", "second"] {
            link_to(Path::new(to), &link).unwrap();
            assert_eq!(fs::read_link(&link).unwrap(), Path::new(to));
        }
    }
}
