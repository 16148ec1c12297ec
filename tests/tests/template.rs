//! A plugin of one's own, made, built and used by the very lines of README's section about it.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use diptych_tests::{built_plugin, built_program, repository};

const SECTION: &str = "## An augmentation of your own";

/// The shell lines of README's section.
fn lines_of_readme() -> Vec<String> {
    let readme = fs::read_to_string(repository().join("README.md")).unwrap();
    let (_, section) = readme.split_once(SECTION).expect("README has the section");
    let (_, block) = section.split_once("```sh\n").expect("the section has a block of shell");
    let (block, _) = block.split_once("```").expect("the block ends");
    block.lines().map(String::from).collect()
}

fn shell(line: &str) -> Output {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let builtin = ["diptych-augmentations", "diptych-encoders", "diptych-losses"].map(built_plugin);
    Command::new("sh")
        .args(["-c", &line.replacen("cargo ", &format!("'{cargo}' "), 1)])
        .current_dir(repository())
        .env("DIPTYCH_PLUGIN_PATH", std::env::join_paths(builtin).unwrap())
        // As in a shell of the user's: what is built lies in the plugin's own folder.
        .env_remove("CARGO_TARGET_DIR")
        .output()
        .unwrap()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn a_plugin_made_by_readmes_steps_trains() {
    let folder = tempfile::tempdir().unwrap();
    let images = folder.path().join("images");
    let train = images.join("train");
    let program = built_program();
    let made = Command::new(&program).args(["synth", text(&images), "--split", "train=32"]).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let config = folder.path().join("my.toml");
    let small = repository().join("configs/pretrain/byol_demo.toml");
    let set = folder.path().join("set.toml");
    let crop = "{ id = \"random_resized_crop\", size_pixels = 32 }";
    let posterize = format!("[[views]]\noperators = [{crop}, {{ id = \"posterize\", bits = 3 }}]\n");
    fs::write(&set, format!("{posterize}[[views]]\noperators = [{crop}]\n")).unwrap();
    let mut lines = format!("extends = \"{}\"\nthreads = 1\n", text(&small));
    lines += &format!("data.path = \"{}\"\naugmentations.set = \"{}\"\n", text(&train), text(&set));
    lines += "loader.batch_size = 16\nschedule = { steps = 2, warmup_steps = 1 }\n";
    fs::write(&config, lines).unwrap();

    let out = folder.path().join("run");
    let steps = lines_of_readme();
    for step in &steps {
        let mut line = step
            .replace("my_plugin/", &format!("{}/my_plugin/", text(folder.path())))
            .replace("new-plugin my_plugin", &format!("new-plugin {}/my_plugin", text(folder.path())))
            .replace("target/release/diptych ", &format!("{} ", text(&program)));
        if line.contains("my.toml") {
            line = format!("{} --out {}", line.replace("my.toml", text(&config)), text(&out));
        }
        let output = shell(&line);
        assert!(output.status.success(), "{line}\n{}", String::from_utf8_lossy(&output.stderr));
    }
    assert!(steps.len() >= 3, "{steps:?}");
    let run = fs::read_to_string(out.join("run.json")).unwrap();
    assert!(run.contains("\"state\": \"finished\""), "{run}");
    assert!(fs::read_to_string(out.join("config.toml")).unwrap().contains("\"posterize\""));
}
