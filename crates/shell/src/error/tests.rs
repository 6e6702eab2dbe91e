use super::*;

fn text(text: &str) -> String {
    text.to_owned()
}

fn system() -> std::io::Error {
    std::io::ErrorKind::NotFound.into()
}

/// The texts of errors, and whether the same call may succeed later.
fn check<const N: usize>(is_worth_retrying: bool, cases: [(Error, &str); N]) {
    for (error, expected) in cases {
        assert_eq!(error.to_string(), expected);
        assert_eq!(error.is_worth_retrying(), is_worth_retrying, "{error}");
    }
}

#[test]
fn what_may_pass_by_itself_is_worth_retrying() {
    let (endpoint, stage, cause) = (text("root@h:22"), "the key exchange", system().into());
    let (what, limit) = (text("x"), Duration::from_secs(1));
    let unreachable = Error::Unreachable {
        endpoint,
        stage,
        cause,
    };
    let timeout = Error::Timeout {
        what,
        limit,
        bytes_received: 3,
    };
    let (what, why) = (text("x"), text("y"));
    let lost = Error::Lost {
        what,
        bytes_received: 3,
        why,
    };
    let (what, why) = (text("x"), text("y"));
    check(
        true,
        [
            (
                unreachable,
                "root@h:22 cannot be reached: the key exchange failed",
            ),
            (timeout, "x did not end within 1s (3 bytes received)"),
            (lost, "the connection was lost during x, 3 bytes received: y"),
            (Error::Refused { what, why }, "the server refuses x: y"),
        ],
    );
}

#[test]
fn another_machine_and_another_protocol_are_not() {
    let (endpoint, expected, got) = (text("root@h:22"), text("SHA256:a"), text("SHA256:b"));
    let mismatch = Error::HostKeyMismatch {
        endpoint,
        expected,
        got,
    };
    let (endpoint, fingerprint) = (text("root@h:22"), text("SHA256:c"));
    let refused = Error::AuthenticationRefused {
        endpoint,
        fingerprint,
    };
    let (what, cause) = (text("x"), system().into());
    check(
        false,
        [
            (
                mismatch,
                "root@h:22 shows the host key SHA256:b, expected SHA256:a",
            ),
            (refused, "root@h:22 refuses the key SHA256:c"),
            (Error::Protocol { what, cause }, "x failed in the SSH protocol"),
        ],
    );
}

#[test]
fn a_command_a_file_or_a_source_that_is_wrong_is_not() {
    let (what, exit, stderr) = (text("x"), Exit::Signal(text("KILL")), text("no room"));
    let failed = Error::Failed { what, exit, stderr };
    let (path, size, limit) = (text("/x"), 3, 2);
    let large = Error::TooLarge { path, size, limit };
    let (path, why) = (text("/x"), text("y"));
    let damaged = Error::Damaged { path, why };
    let (what, cause) = (text("x"), system());
    let local = Error::Local { what, cause };
    let (what, why) = (text("x"), text("y"));
    check(
        false,
        [
            (failed, "x failed on the builder (killed by signal KILL): no room"),
            (large, "/x has 3 bytes, more than the 2 permitted"),
            (damaged, "/x arrived damaged: y"),
            (local, "the local side of x failed"),
            (Error::Invalid { what, why }, "x is not usable: y"),
        ],
    );
}
