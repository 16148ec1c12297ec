//! `diptych export`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use diptych_config::Choice;
use diptych_trainer::weights::{ExportedNetwork, export};

use crate::console;

/// Write a trained encoder alone, as safetensors under torchvision's or timm's names.
///
/// Takes the latest checkpoint of a run. The file holds parameters and buffers, and loads with strict=True into the network of the same name once that has no classifier.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  diptych export runs/byol --out encoder.safetensors\n  diptych export runs/byol --out target.safetensors --network target\n\nIn Python, for an encoder resnet50:\n  network = torchvision.models.resnet50()\n  network.fc = torch.nn.Identity()\n  network.load_state_dict(safetensors.torch.load_file(\"encoder.safetensors\"))\nand for vit_small:\n  network = timm.create_model(\"vit_small_patch16_224\", num_classes=0)\n\nTo start a run from it: --set encoder.weights=encoder.safetensors"
)]
pub struct Arguments {
    /// The folder of a run that `diptych train` wrote.
    run: PathBuf,
    /// The file to write; it must not exist.
    #[arg(long, short, value_name = "FILE")]
    out: PathBuf,
    /// Which encoder: the trained one, or the moving average of it that is its target.
    #[arg(long, value_name = "NETWORK", default_value = "online", value_parser = parse_network)]
    network: ExportedNetwork,
}

pub fn run(arguments: Arguments) -> Result<ExitCode> {
    let Arguments { run, out, network } = arguments;
    let exported = export(&run, network, &out)?;
    console::print(&format!(
        "exported the {} encoder {} at step {}, {} tensors: {}\n",
        network.text(),
        exported.encoder,
        exported.step,
        exported.tensors,
        out.display()
    ));
    Ok(ExitCode::SUCCESS)
}

fn parse_network(text: &str) -> Result<ExportedNetwork, String> {
    let found = ExportedNetwork::ALL.iter().find(|(name, _)| *name == text);
    found.map(|(_, network)| *network).ok_or_else(|| format!("found {text:?}, expected online or target"))
}
