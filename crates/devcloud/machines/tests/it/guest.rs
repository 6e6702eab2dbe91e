//! The program that the tests' machines are started with: a cloud has these steps as hidden commands of its own.

use std::process::ExitCode;

fn main() -> ExitCode {
    devcloud_machines::guest::main(std::env::args_os().skip(1).collect())
}
