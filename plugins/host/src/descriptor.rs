//! Reading what a factory says of its components: everything is copied out of the library and checked, so that the rest
//! of the program deals with valid Rust values only.

use std::collections::HashSet;
use std::sync::Arc;

use diptych_abi as abi;
use diptych_abi::{ComponentDescriptor, ParameterDescriptor, ParameterValue, Str};

use crate::component::{Component, Factory, Inner, Kind, LibraryInfo, Parameter, ParameterKind, Value};

/// More components, parameters or choices than this are taken for a broken descriptor.
const MOST_ITEMS: usize = 1024;

/// The components of one factory, or what is wrong with them.
pub(crate) fn components(
    factory: Factory,
    library: &Arc<LibraryInfo>,
    creatable: bool,
) -> Result<Vec<Component>, String> {
    let (kind, count, describe) = match factory {
        Factory::Augmentation(factory) => (Kind::Augmentation, factory.count, factory.describe),
        Factory::Encoder(factory) => (Kind::Encoder, factory.count, factory.describe),
        Factory::Loss(factory) => (Kind::Loss, factory.count, factory.describe),
    };
    let (Some(count), Some(describe)) = (count, describe) else {
        return Err(format!("count or describe of the {kind} factory is null"));
    };
    // SAFETY: a function pointer that was checked; the library is being loaded, so nobody else calls it.
    let count = unsafe { count() };
    if count as usize > MOST_ITEMS {
        return Err(format!("the {kind} factory counts {count} components"));
    }
    (0..count)
        .map(|index| {
            // SAFETY: as above, with an index below the count.
            let descriptor = unsafe { describe(index) };
            if descriptor.is_null() {
                return Err(format!(
                    "the {kind} factory counts {count} components and doesn't describe number {index}"
                ));
            }
            // SAFETY: every descriptor starts with its size, and lives as long as the library.
            if (unsafe { (*descriptor).struct_size } as usize) < size_of::<ComponentDescriptor>() {
                return Err(format!("the struct_size of {kind} descriptor {index} is too small"));
            }
            // SAFETY: the size says that the whole struct is there.
            let descriptor = unsafe { &*descriptor };
            let id = text(descriptor.id, || format!("the id of {kind} number {index}"))?;
            if !is_id(&id) {
                return Err(format!("the {kind} id {id:?} is not in snake_case"));
            }
            let both = abi::AUGMENTATION_IN_PLACE | abi::AUGMENTATION_WRITES_PLANAR_F32;
            if kind == Kind::Augmentation && descriptor.flags & both == both {
                return Err(format!(
                    "the augmentation {id:?} has the flags IN_PLACE and WRITES_PLANAR_F32, expected at most one of them"
                ));
            }
            let parameters = parameters(kind, &id, descriptor)?;
            Ok(Component::new(Inner {
                doc: text(descriptor.doc, || format!("the doc of {kind} {id:?}"))?,
                id,
                flags: descriptor.flags,
                parameters,
                library: Arc::clone(library),
                factory,
                index,
                creatable,
            }))
        })
        .collect()
}

fn parameters(kind: Kind, id: &str, descriptor: &ComponentDescriptor) -> Result<Vec<Parameter>, String> {
    let count = descriptor.parameter_count;
    if count == 0 {
        return Ok(Vec::new());
    }
    if descriptor.parameters.is_null() || count > MOST_ITEMS {
        return Err(format!("{kind} {id:?} has {count} parameters at {:?}", descriptor.parameters));
    }
    // SAFETY: the array's first element starts with its size, which is the stride of the whole array.
    let stride = unsafe { (*descriptor.parameters).struct_size } as usize;
    if stride < size_of::<ParameterDescriptor>() || !stride.is_multiple_of(align_of::<ParameterDescriptor>())
    {
        return Err(format!("the struct_size of the parameters of {kind} {id:?} is {stride}"));
    }
    let mut known: HashSet<String> = kind.reserved_keys().iter().map(|key| (*key).to_owned()).collect();
    (0..count)
        .map(|index| {
            // SAFETY: below the count, in an array that lives as long as the library.
            let descriptor = unsafe { &*descriptor.parameters.byte_add(index * stride) };
            let parameter = parameter(descriptor)
                .map_err(|what| format!("parameter {index} of {kind} {id:?}: {what}"))?;
            let mut new = known.insert(parameter.id.clone());
            if parameter.kind == ParameterKind::File {
                new &= known.insert(parameter.hash_key());
            }
            if !new {
                return Err(format!(
                    "parameter {:?} of {kind} {id:?} is there twice, or a key that every {kind} has",
                    parameter.id
                ));
            }
            Ok(parameter)
        })
        .collect()
}

fn parameter(descriptor: &ParameterDescriptor) -> Result<Parameter, String> {
    let id = text(descriptor.id, || "the id".to_owned())?;
    if !is_id(&id) {
        return Err(format!("the id {id:?} is not in snake_case"));
    }
    let kind = match descriptor.default.kind {
        abi::PARAMETER_FLOAT => ParameterKind::Float,
        abi::PARAMETER_INTEGER => ParameterKind::Integer,
        abi::PARAMETER_BOOLEAN => ParameterKind::Boolean,
        abi::PARAMETER_CHOICE => ParameterKind::Choice,
        abi::PARAMETER_RANGE => ParameterKind::Range,
        abi::PARAMETER_TEXT => ParameterKind::Text,
        abi::PARAMETER_FILE => ParameterKind::File,
        other => return Err(format!("{id} has the unknown kind {other}")),
    };
    let choices = if kind == ParameterKind::Choice { choices(descriptor)? } else { Vec::new() };
    let mut parameter = Parameter {
        id,
        kind,
        required: descriptor.required != 0,
        default: Value::Boolean(false),
        minimum: descriptor.minimum,
        maximum: descriptor.maximum,
        unit: text(descriptor.unit, || "the unit".to_owned())?,
        doc: text(descriptor.doc, || "the doc".to_owned())?,
        choices,
    };
    parameter.default = default(&parameter, &descriptor.default)?;
    Ok(parameter)
}

fn choices(descriptor: &ParameterDescriptor) -> Result<Vec<String>, String> {
    let count = descriptor.choice_count;
    if descriptor.choices.is_null() || count == 0 || count > MOST_ITEMS {
        return Err(format!("a choice among {count} texts"));
    }
    // SAFETY: an array of `count` texts that lives as long as the library.
    let texts = unsafe { std::slice::from_raw_parts(descriptor.choices, count) };
    texts.iter().map(|choice| text(*choice, || "a choice".to_owned())).collect()
}

/// The default, checked against the parameter's own bounds; for a required parameter a stand-in that `create` never sees.
fn default(parameter: &Parameter, value: &ParameterValue) -> Result<Value, String> {
    let check = |number: f64| {
        if parameter.required || parameter.allows(number) {
            return Ok(number);
        }
        Err(format!("the default {number} of {} is not {}", parameter.id, parameter.expectation()))
    };
    Ok(match parameter.kind {
        ParameterKind::Float => Value::Float(check(value.float[0])?),
        ParameterKind::Integer => {
            check(value.integer as f64)?;
            Value::Integer(value.integer)
        }
        ParameterKind::Boolean => Value::Boolean(value.integer != 0),
        ParameterKind::Choice => {
            let index = if parameter.required { 0 } else { value.integer };
            let choice =
                usize::try_from(index).ok().and_then(|index| Some((index, parameter.choices.get(index)?)));
            let Some((index, text)) = choice else {
                return Err(format!(
                    "the default of {} is choice {index} of {}",
                    parameter.id,
                    parameter.choices.len()
                ));
            };
            Value::Choice { index, text: text.clone() }
        }
        ParameterKind::Range => {
            let (low, high) = (check(value.float[0])?, check(value.float[1])?);
            if low > high {
                return Err(format!("the default of {} is [{low}, {high}]", parameter.id));
            }
            Value::Range(low, high)
        }
        ParameterKind::Text => Value::Text(text(value.text, || "the default".to_owned())?),
        ParameterKind::File if parameter.required => Value::no_file(),
        ParameterKind::File => {
            let path = text(value.text, || "the default".to_owned())?;
            if !path.is_empty() {
                return Err(format!("the default of {} is the file {path:?}, expected none", parameter.id));
            }
            Value::no_file()
        }
    })
}

fn text(text: Str, what: impl FnOnce() -> String) -> Result<String, String> {
    // SAFETY: the boundary promises text that lives as long as the library.
    match unsafe { text.as_str() } {
        Some(text) => Ok(text.to_owned()),
        None => Err(format!("{} is not valid UTF-8", what())),
    }
}

fn is_id(id: &str) -> bool {
    id.starts_with(|first: char| first.is_ascii_lowercase())
        && id.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}
