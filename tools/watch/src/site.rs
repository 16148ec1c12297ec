//! Answers to requests, without the network: from method, target and host to status, type and body.

use std::fs;
use std::hash::Hasher;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Result;
use diptych_study::live::{Curves, Overview, Pace, Watched};
use serde_json::{Value, json};
use siphasher::sip::SipHasher13;

use crate::route::Route;
use crate::{charts, facts};

/// From one look at the folder to the next, at least, however often it is asked for.
const LOOK: Duration = Duration::from_millis(500);
/// A look that takes long is followed by a pause of so many times that: the cores are the runs'.
const PAUSE: u32 = 10;
/// Bytes of metrics that one look may read: a fraction of a second. The rest is read at the next ones.
const BUDGET: usize = 1 << 24;
/// Runs whose curves are kept, those that were asked for last: about a megabyte each.
const KEPT: usize = 8;
/// A larger picture is none of ours.
const LARGEST_PICTURE: u64 = 1 << 24;

const SCRIPT: &str = "text/javascript; charset=utf-8";

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// `GET`
    pub method: &'a str,
    /// Path and query.
    pub target: &'a str,
    /// The header `Host`.
    pub host: Option<&'a str>,
}

/// What is answered.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    pub status: u16,
    pub content_type: &'static str,
    pub body: Vec<u8>,
}

impl Answer {
    fn well(content_type: &'static str, body: impl Into<Vec<u8>>) -> Answer {
        Answer { status: 200, content_type, body: body.into() }
    }

    fn badly(status: u16, message: &str) -> Answer {
        Answer { status, content_type: "text/plain; charset=utf-8", body: format!("{message}\n").into() }
    }

    fn nothing_here() -> Answer {
        Answer::badly(404, "there is nothing here: pages are / and, in a study, /run/ID for each of its runs")
    }
}

/// A folder and what was read of it.
pub struct Site {
    watched: Watched,
    folder: String,
    pace: Pace,
    /// What was seen last.
    last: Option<Overview>,
    /// By run, those asked for last at the end.
    curves: Vec<(String, Curves)>,
}

impl Site {
    /// # Errors
    /// The folder holds neither a run nor a study.
    pub fn of(folder: &Path) -> Result<Site> {
        let watched = Watched::open(folder)?;
        let (folder, pace) = (full_path(folder), Pace::new(LOOK, PAUSE));
        Ok(Site { watched, folder, pace, last: None, curves: Vec::new() })
    }

    pub fn answer(&mut self, request: Request<'_>) -> Answer {
        if !request.host.is_some_and(is_local) {
            return Answer::badly(
                403,
                "this is for 127.0.0.1 and localhost only; open it under one of these names",
            );
        }
        if !["GET", "HEAD"].contains(&request.method) {
            return Answer::badly(405, "this is for looking only: expected GET or HEAD");
        }
        let (path, query) = request.target.split_once('?').unwrap_or((request.target, ""));
        let since = query.strip_prefix("since=");
        let Some(route) = Route::of(path) else { return Answer::nothing_here() };
        match route {
            Route::Page(Some(id)) if self.watched.folder_of(id).is_none() => Answer::nothing_here(),
            Route::Page(_) => Answer::well("text/html; charset=utf-8", include_str!("page/index.html")),
            Route::Style => Answer::well(
                "text/css; charset=utf-8",
                format!("{}{}", diptych_report::style(), include_str!("page/watch.css")),
            ),
            Route::Script => Answer::well(SCRIPT, include_str!("page/watch.js")),
            Route::Drawing => Answer::well(SCRIPT, include_str!("page/draw.js")),
            Route::Icon => Answer::well("image/svg+xml", include_str!("page/icon.svg")),
            Route::Overview => {
                let overview = self.look();
                versioned(overview_json(&overview, &self.folder), since)
            }
            Route::Run(id) => self.run(id, since),
            Route::Views(id) => self.views(id),
        }
    }

    fn look(&mut self) -> Overview {
        match &self.last {
            Some(overview) if !self.pace.is_due() => overview.clone(),
            _ => {
                let overview = self.pace.look(|| self.watched.look(&mut { BUDGET }));
                self.last = Some(overview.clone());
                overview
            }
        }
    }

    fn run(&mut self, id: &str, since: Option<&str>) -> Answer {
        // A study that was begun again may have other runs since the last look.
        let overview = self.look();
        let Some(folder) = self.watched.folder_of(id).map(Path::to_path_buf) else {
            return Answer::nothing_here();
        };
        let known = self.curves.iter().position(|(known, _)| known == id);
        let mut kept = match known {
            Some(place) => self.curves.remove(place),
            None => (id.to_string(), Curves::of_run(&folder)),
        };
        kept.1.read(&mut { BUDGET });
        if self.curves.len() == KEPT {
            self.curves.remove(0);
        }
        let charts = charts::of(&kept.1);
        let behind = kept.1.is_behind();
        self.curves.push(kept);
        let run = overview.runs.iter().find(|run| run.id == id);
        versioned(
            json!({
                "title": overview.title,
                "is_study": overview.is_study,
                "run": run,
                "color": run.map_or(0, |run| color(&overview, run.method.as_deref())),
                "method": run.and_then(|run| label(&overview, run.method.as_deref())),
                "facts": facts::of(&folder),
                "charts": charts,
                "views": changed(&folder.join("views.png")),
                "behind": behind,
                "folder": full_path(&folder),
            }),
            since,
        )
    }

    fn views(&self, id: &str) -> Answer {
        let Some(folder) = self.watched.folder_of(id) else { return Answer::nothing_here() };
        let path = folder.join("views.png");
        let is_ours = path.metadata().is_ok_and(|found| found.is_file() && found.len() <= LARGEST_PICTURE);
        // Looked at first: to open what is no file may take for ever.
        match is_ours.then(|| fs::read(&path)) {
            Some(Ok(png)) => Answer::well("image/png", png),
            _ => Answer::badly(404, "this run has no picture of its views; one is drawn when a run begins"),
        }
    }
}

/// Whether a `Host` names this machine, under any port: a tunnel has one of its own.
fn is_local(host: &str) -> bool {
    let name = host.rsplit_once(':').map_or(host, |(name, port)| {
        if port.bytes().all(|byte| byte.is_ascii_digit()) { name } else { host }
    });
    name == "127.0.0.1" || name.eq_ignore_ascii_case("localhost")
}

fn overview_json(overview: &Overview, folder: &str) -> Value {
    let methods: Vec<Value> = overview
        .methods
        .iter()
        .map(|method| json!({"id": method.id, "label": method.label, "color": color(overview, Some(&method.id))}))
        .collect();
    json!({
        "title": overview.title,
        "is_study": overview.is_study,
        "folder": folder,
        "methods": methods,
        "counts": overview.counts(),
        "seconds_left": overview.seconds_left,
        "behind": overview.behind,
        "runs": overview.runs,
    })
}

/// As the report colours methods.
fn color(overview: &Overview, method: Option<&str>) -> usize {
    let place = overview.methods.iter().position(|known| Some(known.id.as_str()) == method);
    place.unwrap_or(0) % diptych_report::COLOR_COUNT
}

fn label(overview: &Overview, method: Option<&str>) -> Option<String> {
    let method = overview.methods.iter().find(|known| Some(known.id.as_str()) == method)?;
    Some(method.label.clone())
}

/// As it is found from everywhere.
fn full_path(folder: &Path) -> String {
    folder.canonicalize().unwrap_or_else(|_| folder.to_path_buf()).display().to_string()
}

/// When a file was last written, in whole seconds since 1970.
fn changed(path: &Path) -> Option<u64> {
    let modified = path.metadata().ok()?.modified().ok()?;
    Some(modified.duration_since(UNIX_EPOCH).ok()?.as_secs())
}

/// `state` with a version, a hash of all of it, and the time; nothing but status 204 where who asks has that version.
fn versioned(mut state: Value, since: Option<&str>) -> Answer {
    let mut hasher = SipHasher13::new();
    hasher.write(state.to_string().as_bytes());
    let version = format!("{:016x}", hasher.finish());
    if since == Some(version.as_str()) {
        return Answer { status: 204, content_type: "application/json", body: Vec::new() };
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    state["version"] = version.into();
    state["now"] = now.into();
    Answer::well("application/json", state.to_string())
}

#[cfg(test)]
mod tests;
