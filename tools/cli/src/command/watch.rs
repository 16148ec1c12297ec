//! `diptych watch`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use diptych_watch::Server;

use crate::console;

/// Show a run or a study in the browser while it goes on.
///
/// Serves a page that updates by itself: of a study all runs with progress, rate, loss, spread, verdict and time left; of each run its
/// curves, queue depths and sample views. The page is for this machine only (127.0.0.1), loads nothing from elsewhere, and changes
/// nothing: watching may begin and end at any time, before, during or after the run. Ctrl-C ends it.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  diptych watch runs/byol\n  diptych watch runs/quickstart --port 0\n\nOn another machine, forward the port and open http://localhost:7878:\n  ssh -L 7878:localhost:7878 MACHINE diptych watch runs/byol"
)]
pub struct Arguments {
    /// The folder of a run (`diptych train --out`) or of a study (`diptych study --out`).
    folder: PathBuf,
    /// Port of 127.0.0.1; 0 takes any that is free.
    #[arg(long, value_name = "N", default_value_t = 7878)]
    port: u16,
}

pub fn run(arguments: Arguments) -> Result<ExitCode> {
    let Arguments { folder, port } = arguments;
    let server = Server::bind(&folder, port)?;
    let stop = console::stop_flag("ending")?;
    console::print(&format!(
        "watching {}: open http://{} (Ctrl-C ends)\n",
        folder.display(),
        server.address()
    ));
    server.serve(&stop);
    Ok(ExitCode::SUCCESS)
}
