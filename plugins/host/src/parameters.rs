//! From TOML to the validated values of one component.

use std::path::Path;

use diptych_config::{Table, file_fingerprint, nearest};

use crate::component::{Component, Parameter, ParameterKind, Value};

/// Values for every parameter of one component, valid and in the library's order.
#[derive(Clone, Debug)]
pub struct Parameters {
    component: Component,
    values: Vec<Value>,
}

/// A parameter without a default, where defaults were asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{component} needs a value for {parameter}, which has no default")]
pub struct MissingValue {
    /// Id of the component.
    pub component: String,
    /// Id of the parameter.
    pub parameter: String,
}

/// Reads every parameter of `component` from `table`. What is wrong is reported to the table, and a stand-in takes
/// its place; keys that are no parameters are the table's to report, so the caller asks it
/// for [`crate::Kind::reserved_keys`] itself.
pub fn read_parameters(component: &Component, table: &mut Table<'_>) -> Parameters {
    let values = component.parameters().iter().map(|parameter| read(parameter, table)).collect();
    Parameters { component: component.clone(), values }
}

fn read(parameter: &Parameter, table: &mut Table<'_>) -> Value {
    let Some(found) = table.value(&parameter.id) else {
        if parameter.required {
            table.problem(Some(&parameter.id), format!("missing, expected {}", parameter.expectation()));
        }
        return parameter.default.clone();
    };
    if parameter.kind == ParameterKind::File {
        return read_file(parameter, found, table);
    }
    convert(parameter, found).unwrap_or_else(|| {
        let mut message = format!("found {found}, expected {}", parameter.expectation());
        if parameter.kind == ParameterKind::Choice
            && let Some(text) = found.as_str()
            && let Some(near) = nearest(text, parameter.choices.iter().map(String::as_str))
        {
            message.push_str(&format!("; did you mean {near:?}?"));
        }
        table.problem(Some(&parameter.id), message);
        parameter.default.clone()
    })
}

/// A hash beside the path is believed here, so that a run can be looked at without its files; creating the component checks it.
fn read_file(parameter: &Parameter, found: diptych_config::Value<'_>, table: &mut Table<'_>) -> Value {
    let noted: Option<String> = table.optional(&parameter.hash_key());
    let path = match found.as_str() {
        Some("") if !parameter.required => return parameter.default.clone(),
        Some(path) if !path.is_empty() => path,
        _ => {
            table
                .problem(Some(&parameter.id), format!("found {found}, expected {}", parameter.expectation()));
            return parameter.default.clone();
        }
    };
    let hash = noted.map_or_else(|| file_fingerprint(Path::new(path)), Ok);
    let hash = hash.unwrap_or_else(|error| {
        table.problem(
            Some(&parameter.id),
            format!("cannot read {path:?}: {error}; give the path of a file, from the working directory"),
        );
        String::new()
    });
    Value::File { path: path.to_owned(), hash }
}

fn convert(parameter: &Parameter, found: diptych_config::Value<'_>) -> Option<Value> {
    let number =
        |value: diptych_config::Value<'_>| value.as_float().filter(|number| parameter.allows(*number));
    match parameter.kind {
        ParameterKind::Float => number(found).map(Value::Float),
        ParameterKind::Integer => {
            let integer = found.as_integer()?;
            parameter.allows(integer as f64).then_some(Value::Integer(integer))
        }
        ParameterKind::Boolean => found.as_bool().map(Value::Boolean),
        ParameterKind::Choice => {
            let text = found.as_str()?;
            let index = parameter.choices.iter().position(|choice| choice == text)?;
            Some(Value::Choice { index, text: text.to_owned() })
        }
        ParameterKind::Range => {
            let mut items = found.items()?;
            let (low, high) = (number(items.next()?)?, number(items.next()?)?);
            (items.next().is_none() && low <= high).then_some(Value::Range(low, high))
        }
        ParameterKind::Text => found.as_str().map(|text| Value::Text(text.to_owned())),
        ParameterKind::File => None,
    }
}

impl Parameters {
    /// The defaults of `component`.
    ///
    /// # Errors
    /// A parameter has no default.
    pub fn defaults(component: &Component) -> Result<Parameters, MissingValue> {
        if let Some(missing) = component.parameters().iter().find(|parameter| parameter.required) {
            return Err(MissingValue { component: component.id().to_owned(), parameter: missing.id.clone() });
        }
        let values = component.parameters().iter().map(|parameter| parameter.default.clone()).collect();
        Ok(Parameters { component: component.clone(), values })
    }

    /// The component that they are for.
    pub fn component(&self) -> &Component {
        &self.component
    }

    /// The value of parameter `id`.
    pub fn get(&self, id: &str) -> Option<&Value> {
        self.iter().find(|(parameter, _)| parameter.id == id).map(|(_, value)| value)
    }

    /// Every parameter with its value.
    pub fn iter(&self) -> impl Iterator<Item = (&Parameter, &Value)> {
        self.component.parameters().iter().zip(&self.values)
    }

    /// Checks that every file still holds what it held when it was named.
    pub(crate) fn check_files(&self) -> Result<(), String> {
        for (parameter, value) in self.iter() {
            let Value::File { path, hash } = value else { continue };
            if path.is_empty() {
                continue;
            }
            let id = &parameter.id;
            let found = file_fingerprint(Path::new(path))
                .map_err(|error| format!("{id} = {path:?}: {error}; bring the file back"))?;
            if found != *hash {
                return Err(format!(
                    "{id} = {path:?}: found a file with the hash {found}, expected {hash}; bring back the file that was \
                     there, or remove {} for a run with the new one",
                    parameter.hash_key()
                ));
            }
        }
        Ok(())
    }

    /// Writes all values, defaults included, and hashes of files, beside what `table` already holds.
    pub fn to_toml(&self, table: &mut toml::Table) {
        for (parameter, value) in self.iter() {
            table.insert(parameter.id.clone(), value.to_toml());
            if let Value::File { hash, .. } = value
                && !hash.is_empty()
            {
                table.insert(parameter.hash_key(), hash.clone().into());
            }
        }
    }
}

impl PartialEq for Parameters {
    /// The same values for the same component.
    fn eq(&self, other: &Self) -> bool {
        self.component.kind() == other.component.kind()
            && self.component.id() == other.component.id()
            && self.values == other.values
    }
}
