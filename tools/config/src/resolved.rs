//! Resolved configurations: their fingerprint and that of files they name, and how two of them differ.

use std::fs::File;
use std::io;
use std::path::Path;

use sha2::{Digest, Sha256};
use toml::{Table, Value};

/// The first 16 hexadecimal digits of the SHA-256 of the table's canonical form: keys sorted, numbers exact.
/// Layout, key order and comments don't change it; every value does, and so does its type.
pub fn fingerprint(table: &Table) -> String {
    let mut canonical = Vec::new();
    write_table(table, &mut canonical);
    hexadecimal(&Sha256::digest(&canonical))
}

/// The first 16 hexadecimal digits of the SHA-256 of a file's contents.
pub fn file_fingerprint(path: &Path) -> io::Result<String> {
    let mut digest = Sha256::new();
    io::copy(&mut File::open(path)?, &mut digest)?;
    Ok(hexadecimal(&digest.finalize()))
}

fn hexadecimal(digest: &[u8]) -> String {
    digest[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}

// Every value is a letter for its type and a form that ends itself (a length first, or fixed width), so
// that no two tables share a canonical form.
fn write_value(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::String(text) => write_text(b's', text, out),
        Value::Integer(number) => {
            out.push(b'i');
            out.extend(number.to_le_bytes());
        }
        Value::Float(number) => {
            // 0.0 and -0.0 compute the same.
            let number = if *number == 0.0 { 0.0 } else { *number };
            out.push(b'f');
            out.extend(number.to_bits().to_le_bytes());
        }
        Value::Boolean(flag) => out.extend([b'b', u8::from(*flag)]),
        Value::Datetime(datetime) => write_text(b'd', &datetime.to_string(), out),
        Value::Array(items) => {
            out.push(b'a');
            out.extend((items.len() as u64).to_le_bytes());
            items.iter().for_each(|item| write_value(item, out));
        }
        Value::Table(table) => write_table(table, out),
    }
}

fn write_table(table: &Table, out: &mut Vec<u8>) {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, _)| *key);
    out.push(b't');
    out.extend((entries.len() as u64).to_le_bytes());
    for (key, value) in entries {
        write_text(b'k', key, out);
        write_value(value, out);
    }
}

fn write_text(tag: u8, text: &str, out: &mut Vec<u8>) {
    out.push(tag);
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}

/// The keys in which two configurations differ, each as (TOML path, value in `left`, value in `right`) with
/// `absent` where a side lacks it, in the order of `left`.
pub fn differences(left: &Table, right: &Table) -> Vec<(String, String, String)> {
    let mut found = Vec::new();
    compare_tables(left, right, "", &mut found);
    found
}

fn compare_tables(left: &Table, right: &Table, path: &str, found: &mut Vec<(String, String, String)>) {
    for (key, value) in left {
        compare(Some(value), right.get(key), &crate::node::join(path, key), found);
    }
    for (key, value) in right.iter().filter(|(key, _)| !left.contains_key(key.as_str())) {
        compare(None, Some(value), &crate::node::join(path, key), found);
    }
}

fn compare(
    left: Option<&Value>,
    right: Option<&Value>,
    path: &str,
    found: &mut Vec<(String, String, String)>,
) {
    match (left, right) {
        (Some(Value::Table(left)), Some(Value::Table(right))) => compare_tables(left, right, path, found),
        (Some(Value::Array(left)), Some(Value::Array(right))) if left.len() == right.len() => {
            for (index, (left, right)) in left.iter().zip(right).enumerate() {
                compare(Some(left), Some(right), &format!("{path}[{index}]"), found);
            }
        }
        (left, right) if left == right => {}
        (left, right) => {
            let text = |value: Option<&Value>| value.map_or("absent".into(), Value::to_string);
            found.push((path.to_string(), text(left), text(right)));
        }
    }
}
