//! Running other programs: what they print is the user's, a failure says which command it was.

use std::process::{Command, Stdio};

use crate::Failure;

/// Runs to the end, its output shown as it comes. `remedy` ends the message when it fails.
pub fn run(command: &mut Command, remedy: &str) -> Result<(), Failure> {
    match command.stdin(Stdio::null()).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("`{}` failed ({status}): {remedy}", shown(command))),
        Err(error) => Err(format!("`{}` cannot be run: {error}", shown(command))),
    }
}

/// Runs to the end and returns what it printed; its errors are shown.
pub fn output(command: &mut Command, remedy: &str) -> Result<String, Failure> {
    match command.stdin(Stdio::null()).stderr(Stdio::inherit()).output() {
        Ok(output) if output.status.success() => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        Ok(output) => Err(format!("`{}` failed ({}): {remedy}", shown(command), output.status)),
        Err(error) => Err(format!("`{}` cannot be run: {error}", shown(command))),
    }
}

/// What the command printed to standard output, or, when it failed or cannot be run, why (its standard error).
pub fn quiet(command: &mut Command) -> Result<String, String> {
    match command.stdin(Stdio::null()).output() {
        Ok(output) if output.status.success() => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        Ok(output) => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// The command as one would type it.
fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<String> = words.map(|word| word.to_string_lossy().into_owned()).collect();
    let quoted =
        words.iter().map(|word| match word.contains(|c: char| c.is_whitespace() || "*\"'".contains(c)) {
            true => format!("'{word}'"),
            false => word.clone(),
        });
    quoted.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_names_the_command_its_status_and_the_remedy() {
        assert_eq!(
            run(Command::new("sh").args(["-c", "exit 3"]), "try again"),
            Err("`sh -c 'exit 3'` failed (exit status: 3): try again".to_owned())
        );
    }

    #[test]
    fn a_missing_program_is_named() {
        let failure = output(&mut Command::new("no-such-program"), "unused").unwrap_err();
        assert!(failure.starts_with("`no-such-program` cannot be run: "), "{failure}");
    }

    #[test]
    fn a_quiet_command_gives_its_output_or_its_complaint() {
        assert_eq!(quiet(Command::new("sh").args(["-c", "echo yes"])), Ok("yes\n".to_owned()));
        assert_eq!(quiet(Command::new("sh").args(["-c", "echo no >&2; exit 1"])), Err("no".to_owned()));
    }
}
