//! What can be asked for.

/// A page or a file. Runs are named by their ids as they stand in the address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route<'a> {
    /// `/`, or `/run/ID`: the same page, which shows what its address says.
    Page(Option<&'a str>),
    /// `/watch.css`
    Style,
    /// `/watch.js`
    Script,
    /// `/draw.js`
    Drawing,
    /// `/icon.svg`
    Icon,
    /// `/state.json`: all runs.
    Overview,
    /// `/run/ID/state.json`: one run with its curves.
    Run(&'a str),
    /// `/run/ID/views.png`
    Views(&'a str),
}

impl<'a> Route<'a> {
    /// Of a request's target without its query; `None` where there is nothing. Nothing is decoded: what needs `%` names nothing here.
    pub fn of(path: &'a str) -> Option<Route<'a>> {
        Some(match path {
            "/" => Route::Page(None),
            "/watch.css" => Route::Style,
            "/watch.js" => Route::Script,
            "/draw.js" => Route::Drawing,
            "/icon.svg" => Route::Icon,
            "/state.json" => Route::Overview,
            _ => {
                let rest = path.strip_prefix("/run/")?;
                let (id, what) = rest.split_once('/').map_or((rest, None), |(id, what)| (id, Some(what)));
                if id.is_empty()
                    || !id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
                {
                    return None;
                }
                match what {
                    None => Route::Page(Some(id)),
                    Some("state.json") => Route::Run(id),
                    Some("views.png") => Route::Views(id),
                    Some(_) => return None,
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_page_and_file_has_its_address() {
        assert_eq!(Route::of("/"), Some(Route::Page(None)));
        assert_eq!(Route::of("/run/byol-no_gray-seed0"), Some(Route::Page(Some("byol-no_gray-seed0"))));
        assert_eq!(Route::of("/run/a/state.json"), Some(Route::Run("a")));
        assert_eq!(Route::of("/run/a/views.png"), Some(Route::Views("a")));
        assert_eq!(Route::of("/state.json"), Some(Route::Overview));
    }

    #[test]
    fn no_other_address_is_known_whatever_it_climbs_or_escapes() {
        for path in [
            "",
            "//",
            "/run/",
            "/run//views.png",
            "/run/../state.json",
            "/run/..",
            "/run/%2e%2e/views.png",
            "/run/a/../../../etc/passwd",
            "/run/a%2f..%2f..%2fetc/passwd",
            "/run/a/config.toml",
            "/run/a/views.png/",
            "/run/a\\..\\b",
            "/run/a\0/views.png",
            "/etc/passwd",
            "/../../etc/passwd",
            "/state.json/../run.json",
            "http://127.0.0.1/",
        ] {
            assert_eq!(Route::of(path), None, "{path:?}");
        }
    }
}
