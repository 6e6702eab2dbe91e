//! What commands print. Output that cannot be written, such as to a full disk, is told once and makes the command fail; that nobody
//! reads it any more (`| head`) is no failure.

use std::{
    io::{self, Write as _},
    process::ExitCode,
    sync::atomic::{AtomicBool, Ordering},
};

use crate::complain;

/// Whether something could not be written.
static IS_LOST: AtomicBool = AtomicBool::new(false);

/// What a command has to say to the person, or the program, that ran it.
pub(crate) fn say(words: &str) {
    note(writeln!(io::stdout(), "{words}"));
}

/// The same without a new line, at once; whether anybody may still read it.
pub(crate) fn show(page: &str) -> bool {
    let mut out = io::stdout().lock();
    note(out.write_all(page.as_bytes()).and_then(|()| out.flush()))
}

/// Notes what came of writing; whether there is any use in writing more.
pub(crate) fn note(written: io::Result<()>) -> bool {
    match written {
        Ok(()) => return true,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
        Err(error) => {
            if !IS_LOST.swap(true, Ordering::Relaxed) {
                complain(&format!("the output cannot be written: {error}"));
            }
        }
    }
    false
}

/// The code that a command ends with that would end with this one: not with success where its output was lost.
pub(crate) fn heard(code: ExitCode) -> ExitCode {
    if code == ExitCode::SUCCESS && IS_LOST.load(Ordering::Relaxed) {
        ExitCode::FAILURE
    } else {
        code
    }
}
