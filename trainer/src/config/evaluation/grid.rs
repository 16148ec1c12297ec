//! Grids: the values of one setting to choose from.
//!
//! ```toml
//! learning_rates = [0.4, 0.3, 0.2]
//! l2 = { from = 1e-6, to = 1e5, count = 45 }          # logarithmically spaced, both ends included
//! weight_decays = { from = 1e-6, to = 1e-3, count = 7, none = true }      # and 0
//! ```

use diptych_config::{Kind, Table};

/// Values that one grid may have.
const MAXIMUM_VALUES: u32 = 1000;

/// Reads a grid of numbers from 0 on, or above 0 where 0 would be no value. `default` where there is none.
pub(super) fn read(table: &mut Table<'_>, key: &str, default: &[f64], zero: bool) -> Vec<f64> {
    let is_table = table.value(key).is_some_and(|value| value.kind() == Kind::Table);
    let values = if is_table {
        table.table_or_empty(key, |table| spaced(table, zero))
    } else {
        table.or(key, default.to_vec())
    };
    let fits = |value: &f64| value.is_finite() && (*value > 0.0 || zero && *value == 0.0);
    if values.is_empty() || !values.iter().all(fits) {
        let bound = if zero { "from 0" } else { "above 0" };
        table.problem(Some(key), format!("found {values:?}, expected one or more numbers {bound}"));
    }
    values
}

/// Logarithmically spaced, so that each value is the one before times a constant.
fn spaced(table: &mut Table<'_>, zero: bool) -> Vec<f64> {
    let from: f64 = table.required_in("from", f64::MIN_POSITIVE..);
    let to: f64 = table.required_in("to", f64::MIN_POSITIVE..);
    let count: u32 = table.required_in("count", 2..=MAXIMUM_VALUES);
    let none = zero && table.or("none", false);
    if from >= to && from > 0.0 && to > 0.0 {
        table.problem(Some("to"), format!("found {to}, expected more than from = {from}"));
    }
    let exponent = |index: u32| {
        let share = f64::from(index) / f64::from(count.max(2) - 1);
        from.max(f64::MIN_POSITIVE).log10() * (1.0 - share) + to.max(f64::MIN_POSITIVE).log10() * share
    };
    // To 12 digits, so that 1e-4 is just that.
    let rounded = |value: f64| format!("{value:.11e}").parse().unwrap_or(value);
    let zeros = none.then_some(0.0);
    zeros.into_iter().chain((0..count).map(|index| rounded(10f64.powf(exponent(index))))).collect()
}
