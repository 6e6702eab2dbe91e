//! Modules: what one call of one module does, and what it leaves for `register`.
//!
//! Each file below holds a family. What happens on the host is a small POSIX script of ours (`scripts/`) whose
//! values are arguments or standard input. A script prints a line `changed ...` for every change it makes, or would.

mod accounts;
mod commands;
mod control;
mod copy;
mod files;
mod packages;

use crate::arguments::Arguments;
use crate::catalogue::Kind;
use crate::expression::Variables;
use crate::host::Host;
use crate::outcome::{Done, Failure, Problem};
use crate::value::Map;

/// Runs one call.
pub(crate) async fn call(
    kind: Kind,
    arguments: &Arguments,
    host: &Host<'_>,
    variables: &Variables,
    environment: &Map,
) -> Result<Done, Failure> {
    match kind {
        Kind::Assert => control::assert(arguments, variables),
        Kind::AuthorizedKey => accounts::authorized_key(arguments, host).await,
        Kind::Command => commands::command(arguments, host, environment).await,
        Kind::Copy => copy::copy(arguments, host).await,
        Kind::Debug => control::debug(arguments, variables),
        Kind::Fail => control::fail(arguments),
        Kind::File => files::file(arguments, host).await,
        Kind::Group => accounts::group(arguments, host).await,
        Kind::LineInFile => files::line_in_file(arguments, host).await,
        Kind::Package => packages::package(arguments, host).await,
        Kind::SetFact => control::set_fact(arguments),
        Kind::Shell => commands::shell(arguments, host, environment).await,
        Kind::Stat => files::stat(arguments, host).await,
        Kind::User => accounts::user(arguments, host).await,
        Kind::WaitFor => control::wait_for(arguments, host).await,
    }
}

/// Reads the arguments of a call as [`call`] does, and does nothing with them.
pub(crate) fn check(kind: Kind, arguments: &Arguments) -> Result<(), Problem> {
    match kind {
        Kind::Assert => control::assert_arguments(arguments).map(drop),
        Kind::AuthorizedKey => accounts::authorized_key_arguments(arguments).map(drop),
        Kind::Command => commands::command_words(arguments)
            .and_then(|words| commands::surroundings(arguments, &words).map(drop)),
        Kind::Copy => copy::copy_arguments(arguments).map(drop),
        Kind::Debug => arguments.only_text("var").map(drop),
        Kind::Fail => Ok(()),
        Kind::File => files::file_arguments(arguments).map(drop),
        Kind::Group => accounts::group_arguments(arguments).map(drop),
        Kind::LineInFile => files::line_arguments(arguments).map(drop),
        Kind::Package => packages::package_arguments(arguments).map(drop),
        Kind::SetFact => control::facts(arguments).map(drop),
        Kind::Shell => commands::shell_words(arguments)
            .and_then(|words| commands::surroundings(arguments, &words).map(drop)),
        Kind::Stat => files::stat_arguments(arguments).map(drop),
        Kind::User => accounts::user_arguments(arguments).map(drop),
        Kind::WaitFor => control::wait_arguments(arguments).map(drop),
    }
}

#[cfg(test)]
mod tests;
