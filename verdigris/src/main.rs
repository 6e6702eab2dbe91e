//! The build farm: one program with every role.
//!
//! `verdigris up` runs the whole farm in this process, with SQLite, a local directory and the embedded cloud;
//! `verdigris api`, `controller` and `worker` are the same parts as processes of their own. The other
//! commands are the operator's. Each command is one file; [`parts`] puts the roles together.

mod assets;
mod check;
mod chroot;
mod cli;
mod credentials;
mod database;
mod embedded;
mod fleet;
mod instance_types;
mod lock;
mod options;
mod parts;
mod roles;
mod secrets;
mod table;
mod up;
mod user;

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The hidden first argument with which the embedded cloud starts this program again, inside its namespaces.
pub(crate) const GUEST: &str = "devcloud-guest";

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_some_and(|first| first == GUEST) {
        // Before any thread is started: namespaces are entered by processes with one thread.
        return devcloud::guest::main(arguments.collect());
    }
    let command = cli::Arguments::read();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            complain(&format!("cannot start: {error}"));
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(command.run()) {
        Ok(code) => code,
        Err(error) => {
            complain(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

#[expect(
    clippy::print_stderr,
    reason = "the command's last words to the person who ran it"
)]
fn complain(words: &str) {
    eprintln!("verdigris: {words}");
}

/// What a command has to say to the person, or the program, that ran it. One who has stopped listening (`| head`) is
/// no reason to fail.
pub(crate) fn say(words: &str) {
    use std::io::Write as _;
    writeln!(std::io::stdout(), "{words}").ok();
}
