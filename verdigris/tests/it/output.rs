//! What commands print where it cannot be written, and where nobody reads it.

use std::{fs::OpenOptions, process::Command};

use crate::{
    config_check::Place,
    farm::{text, verdigris},
};

/// Commands that print, and need nothing that runs.
const COMMANDS: [&[&str]; 11] = [
    &["--help"],
    &["--version"],
    &["openapi"],
    &["fleet", "schema"],
    &["fleet", "init", "--cloud", "devcloud", "-o", "-"],
    &["config", "show"],
    &["config", "check"],
    &["user", "list"],
    &["fleet", "status"],
    &["fleet", "status", "--watch"],
    &["fleet", "hold", "--help"],
];

fn command(place: &Place, arguments: &[&str]) -> Command {
    let mut command = verdigris();
    command.args(arguments).current_dir(place.path("."));
    command.env("VERDIGRIS_CONFIG", place.path("verdigris.toml"));
    command
}

#[test]
fn output_that_cannot_be_written_is_told_and_is_no_success() {
    let place = Place::new();
    for arguments in COMMANDS {
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = command(&place, arguments).stdout(full).output().unwrap();
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {told}");
        let words = "verdigris: the output cannot be written: No space left on device\n";
        assert_eq!(told.matches(words).count(), 1, "{arguments:?}: {told}");
    }
}

#[test]
fn a_reader_that_went_away_is_no_failure() {
    let place = Place::new();
    for arguments in COMMANDS {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = command(&place, arguments).stdout(writer).output().unwrap();
        let told = text(&output.stderr);
        assert_eq!(
            (output.status.code(), told.as_str()),
            (Some(0), ""),
            "{arguments:?}"
        );
    }
}
