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
mod follow;
mod holder;
mod hosts;
mod image;
mod instance_types;
mod lock;
mod options;
mod output;
mod parts;
mod provision;
mod roles;
mod secrets;
mod signals;
mod table;
mod up;
mod user;

use std::process::ExitCode;

pub(crate) use output::say;

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
    let command = match cli::Arguments::read() {
        Ok(command) => command,
        Err(code) => return code,
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            complain(&format!("cannot start: {error}"));
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(command.run()) {
        Ok(code) => output::heard(code),
        Err(error) => {
            complain(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// The command's last words to the person who ran it. Where they cannot be written either, nobody can be told.
pub(crate) fn complain(words: &str) {
    use std::io::Write as _;
    writeln!(std::io::stderr(), "verdigris: {}", without_numbers(words)).ok();
}

/// A text without the system's numbers of errors, which stand behind its words for them: ` (os error 2)`.
pub(crate) fn without_numbers(text: &str) -> String {
    let mut parts = text.split(" (os error ");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let rest = part.trim_start_matches(|c: char| c.is_ascii_digit());
        out.push_str(rest.strip_prefix(')').unwrap_or(rest));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::without_numbers;

    #[test]
    fn errors_of_the_system_are_told_in_its_words_alone() {
        for (said, told) in [
            (
                "reading a: No such file or directory (os error 2)",
                "reading a: No such file or directory",
            ),
            (
                "a: gone (os error 2): b: busy (os error 16), and c",
                "a: gone: b: busy, and c",
            ),
            ("nothing of it (os)", "nothing of it (os)"),
        ] {
            assert_eq!(without_numbers(said), told);
        }
        let real = std::io::Error::from_raw_os_error(13).to_string();
        assert_eq!(without_numbers(&real), "Permission denied");
    }
}
