use super::*;

const STUDY: &str = r#"{"fingerprints": {}, "protocol": {}, "remarks": [], "study": {
    "name": "small", "title": "A <small> study", "seeds": [0], "evaluation": "e.toml",
    "baseline": "baseline", "jobs": null, "devices": [], "jobs_per_device": 1, "sets": [], "random_init": false,
    "reference": null,
    "bases": [{"id": "a", "label": "A", "config": "a.toml", "sets": []},
              {"id": "b", "label": "B", "config": "b.toml", "sets": []}],
    "variants": [{"id": "baseline", "label": "baseline", "sets": []}]}}"#;

struct Fixture {
    folder: tempfile::TempDir,
    site: Site,
}

impl Fixture {
    /// A study of two runs, the second of which is at step 3 of 10.
    fn new() -> Fixture {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("study.json"), STUDY).unwrap();
        let run = folder.path().join("runs/b-baseline-seed0");
        fs::create_dir_all(&run).unwrap();
        fs::write(
            run.join("run.json"),
            r#"{"state": "interrupted", "step": 3, "steps": 10, "device": "cpu"}"#,
        )
        .unwrap();
        fs::write(run.join("metrics.jsonl"), "{\"step\":3,\"loss\":1.5,\"z_std\":0.75}\n").unwrap();
        fs::write(run.join("views.png"), [1, 2, 3]).unwrap();
        let site = Site::of(folder.path()).unwrap();
        Fixture { folder, site }
    }

    fn get(&mut self, target: &str) -> Answer {
        self.site.answer(Request { method: "GET", target, host: Some("127.0.0.1:7878") })
    }

    fn json(&mut self, target: &str) -> Value {
        let answer = self.get(target);
        assert_eq!((answer.status, answer.content_type), (200, "application/json"));
        serde_json::from_slice(&answer.body).unwrap()
    }

    /// As if it had not been looked at just now.
    fn forget(&mut self) {
        self.site.last = None;
    }
}

#[test]
fn a_study_tells_all_its_runs() {
    let state = Fixture::new().json("/state.json");
    assert_eq!((&state["title"], &state["is_study"]), (&json!("A <small> study"), &json!(true)));
    assert_eq!(state["counts"], json!([[1, "interrupted"], [1, "not begun"]]));
    assert_eq!(state["methods"][1], json!({"id": "b", "label": "B", "color": 1}));
    let [waiting, begun] = [&state["runs"][0], &state["runs"][1]];
    assert_eq!((&waiting["id"], &waiting["state"]), (&json!("a-baseline-seed0"), &json!("not begun")));
    assert_eq!(waiting["loss"], Value::Null);
    for (key, expected) in [
        ("id", json!("b-baseline-seed0")),
        ("method", json!("b")),
        ("state", json!("interrupted")),
        ("step", json!(3)),
        ("steps", json!(10)),
        ("loss", json!(1.5)),
        ("z_std", json!(0.75)),
        ("verdict", Value::Null),
        ("seconds_left", Value::Null),
        ("loss_curve", json!([[3, 1.5]])),
    ] {
        assert_eq!(begun[key], expected, "{key}");
    }
    assert!(begun["last_line"].as_f64().unwrap() <= state["now"].as_f64().unwrap());
}

#[test]
fn a_run_tells_its_curves_and_what_it_is() {
    let mut fixture = Fixture::new();
    let state = fixture.json("/run/b-baseline-seed0/state.json");
    assert_eq!((&state["color"], &state["method"]), (&json!(1), &json!("B")));
    assert_eq!(state["charts"][0]["title"], "Loss");
    assert_eq!(state["charts"][0]["series"][0]["points"], json!([[3, 1.5]]));
    assert_eq!(state["facts"], json!([["device", "cpu"]]));
    assert!(state["views"].is_u64());
    let views = fixture.get("/run/b-baseline-seed0/views.png");
    assert_eq!((views.status, views.content_type, views.body), (200, "image/png", vec![1, 2, 3]));
    let waiting = fixture.json("/run/a-baseline-seed0/state.json");
    assert_eq!((&waiting["charts"], &waiting["views"]), (&json!([]), &Value::Null));
    assert_eq!(fixture.get("/run/a-baseline-seed0/views.png").status, 404);
}

#[test]
fn who_knows_the_state_is_told_only_when_it_changes() {
    let mut fixture = Fixture::new();
    for (target, steps) in [("/state.json", 4), ("/run/b-baseline-seed0/state.json", 5)] {
        let version = fixture.json(target)["version"].as_str().unwrap().to_string();
        let again = format!("{target}?since={version}");
        fixture.forget();
        let answer = fixture.get(&again);
        assert_eq!((answer.status, answer.body.len()), (204, 0));
        let path = fixture.folder.path().join("runs/b-baseline-seed0/metrics.jsonl");
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, format!("{text}{{\"step\":{steps},\"loss\":1.0}}\n")).unwrap();
        fixture.forget();
        let state = fixture.json(&again);
        let run = state.get("run").unwrap_or(&state["runs"][1]);
        assert_eq!(run["step"], steps, "{target}");
    }
}

#[test]
fn a_study_that_was_begun_again_has_the_pages_of_its_runs_and_no_others() {
    let mut fixture = Fixture::new();
    fixture.json("/run/b-baseline-seed0/state.json");
    let other = STUDY.replace("\"id\": \"b\"", "\"id\": \"c\"");
    fs::write(fixture.folder.path().join("study.json"), other).unwrap();
    fixture.forget();
    assert_eq!(fixture.get("/run/b-baseline-seed0/state.json").status, 404);
    fixture.forget();
    assert_eq!(fixture.json("/run/c-baseline-seed0/state.json")["run"]["id"], "c-baseline-seed0");
}

#[test]
fn a_picture_that_is_no_file_or_too_large_is_not_opened() {
    let mut fixture = Fixture::new();
    let picture = fixture.folder.path().join("runs/b-baseline-seed0/views.png");
    fs::File::create(&picture).unwrap().set_len(LARGEST_PICTURE + 1).unwrap();
    assert_eq!(fixture.get("/run/b-baseline-seed0/views.png").status, 404);
    fs::remove_file(&picture).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&picture).status().unwrap().success());
    // Whoever opened it would wait for a writer.
    assert_eq!(fixture.get("/run/b-baseline-seed0/views.png").status, 404);
}

#[test]
fn a_page_is_the_same_file_for_every_run_there_is() {
    let mut fixture = Fixture::new();
    let page = fixture.get("/");
    assert_eq!((page.status, page.content_type), (200, "text/html; charset=utf-8"));
    assert_eq!(fixture.get("/run/a-baseline-seed0"), page);
    let text = String::from_utf8(page.body).unwrap();
    assert!(text.contains("src=\"/watch.js\"") && text.contains("href=\"/watch.css\""), "{text}");
    for file in ["/watch.js", "/draw.js", "/watch.css", "/icon.svg"] {
        assert_eq!(fixture.get(file).status, 200, "{file}");
    }
}

#[test]
fn no_file_of_the_page_names_another_server() {
    let mut fixture = Fixture::new();
    for file in ["/", "/watch.js", "/draw.js", "/watch.css", "/icon.svg"] {
        let text = String::from_utf8(fixture.get(file).body).unwrap();
        // The name of SVG's namespace is no address that a browser loads.
        let text = text.replace("http://www.w3.org/2000/svg", "");
        assert!(!text.contains("://") && !text.contains("@import") && !text.contains("url("), "{file}");
    }
}

#[test]
fn what_is_not_there_is_not_found() {
    let mut fixture = Fixture::new();
    for target in [
        "/run/c-baseline-seed0",
        "/run/c/state.json",
        "/run/../state.json",
        "/runs",
        "/run/a-baseline-seed0/run.json",
    ] {
        let answer = fixture.get(target);
        assert_eq!(answer.status, 404, "{target}");
        assert!(String::from_utf8(answer.body).unwrap().contains("pages are /"), "{target}");
    }
}

#[test]
fn only_looking_is_allowed() {
    let mut fixture = Fixture::new();
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"] {
        let answer = fixture.site.answer(Request { method, target: "/", host: Some("localhost") });
        assert_eq!(answer.status, 405, "{method}");
    }
    let head = fixture.site.answer(Request { method: "HEAD", target: "/", host: Some("localhost") });
    assert_eq!(head.status, 200);
}

#[test]
fn a_request_under_another_name_is_refused_whatever_it_asks_for() {
    let mut fixture = Fixture::new();
    let mut status =
        |host| fixture.site.answer(Request { method: "GET", target: "/state.json", host }).status;
    for host in ["127.0.0.1", "127.0.0.1:7878", "localhost:9000", "LocalHost"] {
        assert_eq!(status(Some(host)), 200, "{host}");
    }
    for host in [
        "attacker.example",
        "attacker.example:7878",
        "127.0.0.1.attacker.example",
        "localhost.",
        "127.0.0.1:a",
        "",
    ] {
        assert_eq!(status(Some(host)), 403, "{host}");
    }
    assert_eq!(status(None), 403);
}

#[test]
fn curves_of_a_few_runs_only_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let seeds: Vec<String> = (0..20).map(|seed| seed.to_string()).collect();
    let study = STUDY.replace("\"seeds\": [0]", &format!("\"seeds\": [{}]", seeds.join(",")));
    fs::write(folder.path().join("study.json"), study).unwrap();
    let site = Site::of(folder.path()).unwrap();
    let mut fixture = Fixture { folder, site };
    for seed in &seeds {
        fixture.json(&format!("/run/a-baseline-seed{seed}/state.json"));
        assert!(fixture.site.curves.len() <= KEPT);
    }
    assert_eq!(fixture.site.curves.last().unwrap().0, "a-baseline-seed19");
}
