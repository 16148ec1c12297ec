//! The views that are measured: those of the configuration at the run's own size, and the run's operators one by one.

use diptych_config::Document;
use diptych_host::Registry;
use diptych_pipeline::{Operator, Size, View, ViewSet};

use super::config::CurveConfig;
use crate::config::RunConfig;
use crate::{Error, Result};

/// The key by which operators are told the size of what they make.
const SIZE: &str = "size_pixels";
/// An image whose views have the sizes of all others': sets of views begin with a crop.
const IMAGE: Size = Size { width: 256, height: 256 };

/// Makes views at the size that a run's encoder sees.
pub(super) struct Views<'a> {
    registry: &'a Registry,
    /// Side in pixels.
    pub side: u32,
    /// The image itself: resized by its short side, and the square in its middle.
    pub base: View,
}

impl<'a> Views<'a> {
    /// Of the first view of `run`.
    pub fn of(run: &RunConfig, registry: &'a Registry) -> Result<Views<'a>> {
        let sizes = run.views.sizes(IMAGE)?;
        let Size { width, height } = sizes[0];
        if width != height {
            return Err(Error::Unfit(format!(
                "the run's views have {width}x{height} pixels; probes are made for square views only"
            )));
        }
        let resize = |id: &str| toml::Table::from_iter([("id".to_owned(), id.into()), size(width)]);
        let base = build(
            "the unchanged view",
            "unchanged",
            vec![resize("resize"), resize("center_crop")],
            registry,
        )?;
        Ok(Views { registry, side: width, base })
    }

    /// `view` such that its size is the run's: operators that set a size are given it, all others begin with the base.
    pub fn fitted(&self, view: &View) -> Result<View> {
        let mut tables: Vec<toml::Table> = view.operators.iter().map(table).collect();
        let sets_size = tables.iter().any(|table| table.contains_key(SIZE));
        for table in tables.iter_mut().filter(|table| table.contains_key(SIZE)) {
            table.insert(SIZE.into(), i64::from(self.side).into());
        }
        if !sets_size {
            tables.splice(0..0, self.base.operators.iter().map(table));
        }
        build(&format!("the view {:?}", view.name), &view.name, tables, self.registry)
    }

    /// A curve of one view for every operator of `run` with its parameters there, always applied. What stands in several views
    /// with the same parameters is one.
    pub fn of_run(&self, run: &RunConfig) -> Vec<CurveConfig> {
        let mut curves: Vec<CurveConfig> = Vec::new();
        for operator in run.views.views.iter().flat_map(|view| &view.operators) {
            let always = Operator { probability: operator.probability.map(|_| 1.0), ..operator.clone() };
            let view = View { name: "run's own".into(), operators: vec![always] };
            if !curves.iter().any(|curve| curve.views[0] == view) {
                let strength = String::new();
                curves.push(CurveConfig { operator: operator.name.clone(), strength, views: vec![view] });
            }
        }
        curves
    }
}

fn size(side: u32) -> (String, toml::Value) {
    (SIZE.to_owned(), i64::from(side).into())
}

/// As an augmentation set names it.
fn table(operator: &Operator) -> toml::Table {
    let mut table = toml::Table::new();
    table.insert("id".into(), operator.parameters.component().id().into());
    table.insert("name".into(), operator.name.clone().into());
    if let Some(probability) = operator.probability {
        table.insert("probability".into(), probability.into());
    }
    operator.parameters.to_toml(&mut table);
    table
}

/// One view, read as any other; problems call it `what`.
fn build(what: &str, name: &str, operators: Vec<toml::Table>, registry: &Registry) -> Result<View> {
    let operators: Vec<toml::Value> = operators.into_iter().map(toml::Value::Table).collect();
    let view = toml::Table::from_iter([
        ("name".to_owned(), toml::Value::from(name)),
        ("operators".to_owned(), operators.into()),
    ]);
    let set = toml::Table::from_iter([("views".to_owned(), toml::Value::Array(vec![view.into()]))]);
    let document = Document::parse(&set.to_string(), what)?;
    let mut views = document.read(|table| ViewSet::read(table, registry))?.views;
    views.pop().ok_or_else(|| Error::Internal(format!("{what} was read as none")))
}
