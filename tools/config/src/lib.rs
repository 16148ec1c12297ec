//! Strict TOML: reads configuration files so that every mistake in them is reported at once, each with its
//! file, line and TOML path.
//!
//! A [`Document`] is a file with what it `extends` merged in and `--set` overrides applied; every
//! value in it still knows where it was written. [`Document::read`] hands a [`Table`] to the
//! caller, who asks for keys by name and type. A wrong value never stops the reading: it becomes a
//! [`Problem`], and a stand-in is returned. Keys that nobody asked for are problems too.
//!
//! ```
//! let document = diptych_config::Document::parse("batch_size = 64\nworkres = 2", "run.toml").unwrap();
//! let problems = document
//!     .read(|table| (table.required::<usize>("batch_size"), table.or("workers", 0_usize)))
//!     .unwrap_err();
//! assert_eq!(problems.to_string(), "run.toml:2: workres: unknown key, did you mean `workers`?");
//! ```

mod choice;
mod document;
mod from_value;
mod node;
mod problem;
mod resolved;
mod table;

pub use choice::{Choice, nearest};
pub use document::Document;
pub use from_value::{FromValue, Wrong};
pub use node::{Kind, Value};
pub use problem::{Problem, Problems};
pub use resolved::{differences, file_fingerprint, fingerprint};
pub use table::Table;
