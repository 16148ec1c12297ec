//! `plugins/abi/include/diptych_plugin.h` is what cbindgen makes of `plugins/abi`, and what follows by hand.

use std::env;
use std::fs;

use cbindgen::{Builder, Config, DocumentationStyle, Language, Style};
use diptych_test_support::repository;

const OPENING: &str =
    "// The plugin boundary of Diptych for C and C++. Generated from plugins/abi, to renew it:
// UPDATE_HEADER=1 cargo test -p diptych-host --test header";

fn generated() -> String {
    let abi = repository().join("plugins/abi");
    let by_hand = fs::read_to_string(abi.join("include/trailer.h")).unwrap();
    let mut config = Config {
        language: Language::C,
        header: Some(OPENING.to_owned()),
        include_guard: Some("DIPTYCH_PLUGIN_H".to_owned()),
        sys_includes: ["stddef.h", "stdint.h", "string.h"].map(str::to_owned).to_vec(),
        no_includes: true,
        usize_is_size_t: true,
        cpp_compat: true,
        style: Style::Both,
        documentation_style: DocumentationStyle::C99,
        line_length: 110,
        ..Config::default()
    };
    config.export.prefix = Some("Diptych".to_owned());
    // Structs are reached from the entry only by names in comments, so they are named here.
    config.export.include = [
        "PluginEntry",
        "HostInfo",
        "AugmentationFactory",
        "EncoderFactory",
        "LossFactory",
        "ComponentDescriptor",
        "PixelFormat",
    ]
    .map(str::to_owned)
    .to_vec();
    let bindings = Builder::new()
        .with_config(config)
        .with_src(abi.join("src/lib.rs"))
        .with_src(abi.join("src/augmentation.rs"))
        .with_src(abi.join("src/encoder.rs"))
        .with_src(abi.join("src/loss.rs"))
        .with_src(abi.join("src/parameter.rs"))
        .with_src(abi.join("src/random.rs"))
        .generate()
        .expect("cbindgen reads plugins/abi");
    let mut text = Vec::new();
    bindings.write(&mut text);
    let text = String::from_utf8(text).expect("cbindgen writes UTF-8");
    // The prefix is the types'; C's constants are in capitals. What is written by hand belongs inside the include guard.
    let text = text.replace("#define Diptych", "#define DIPTYCH_");
    let (declarations, guard_end) = text.rsplit_once("#endif").expect("the header ends its include guard");
    format!("{declarations}{}\n\n#endif{guard_end}", by_hand.trim_end())
}

#[test]
fn the_committed_header_is_the_generated_one() {
    let path = repository().join("plugins/abi/include/diptych_plugin.h");
    let generated = generated();
    if env::var_os("UPDATE_HEADER").is_some() {
        fs::write(&path, &generated).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == generated,
        "{} is out of date; run: UPDATE_HEADER=1 cargo test -p diptych-host --test header",
        path.display()
    );
}
