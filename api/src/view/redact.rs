//! Reasons as users may read them. Those that the farm makes itself name the machine: the cloud's id for it and where it
//! answers, which concern operators only.

use std::net::{IpAddr, SocketAddr};

use model::Blame;

/// Letters that stand around a word and are no part of it.
const AROUND: [char; 13] = ['(', ')', '[', ']', '{', '}', ',', ';', ':', '.', '"', '\'', '`'];

/// The reason of a failure: what the package is answerable for is said in full.
pub(crate) fn reason_for_users(blame: Option<Blame>, reason: &str) -> String {
    match blame {
        Some(Blame::Package) => reason.to_owned(),
        _ => without_machine(reason),
    }
}

/// The text without ids of instances and addresses of machines.
pub(crate) fn without_machine(text: &str) -> String {
    text.split_inclusive(char::is_whitespace).map(shown).collect()
}

fn shown(word: &str) -> String {
    let core = word.trim_matches(|c: char| c.is_whitespace() || AROUND.contains(&c));
    let bare = core.strip_suffix("'s").unwrap_or(core);
    let mut shown = word.to_owned();
    for part in bare.split(['=', '@', '/']) {
        if is_instance(part) {
            shown = shown.replacen(part, "[instance]", 1);
        } else if is_address(part) {
            shown = shown.replacen(part, "[address]", 1);
        }
    }
    shown
}

/// Amazon's and Eucalyptus' form: `i-` and at least eight hexadecimal digits.
fn is_instance(word: &str) -> bool {
    word.strip_prefix("i-")
        .is_some_and(|digits| digits.len() >= 8 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

fn is_address(word: &str) -> bool {
    // The brackets of an IPv6 address were trimmed, and the port is then behind what is left of them.
    let v6 = word.split_once("]:").map_or(word, |(address, _)| address);
    word.parse::<SocketAddr>().is_ok() || word.parse::<IpAddr>().is_ok() || v6.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use model::Blame;

    use super::{reason_for_users, without_machine};

    #[test]
    fn no_machine_is_named() {
        for (reason, shown) in [
            (
                "instance i-0abc1234def567890 runs at 10.88.0.7",
                "instance [instance] runs at [address]",
            ),
            (
                "the cloud no longer knows instance i-deadbeef",
                "the cloud no longer knows instance [instance]",
            ),
            (
                "i-0abc1234's console (at 10.0.0.3:22): no answer",
                "[instance]'s console (at [address]): no answer",
            ),
            (
                "connecting to [fd00::7]:22, refused",
                "connecting to [[address], refused",
            ),
            (
                "connecting to root@10.0.0.3:22: timed out",
                "connecting to root@[address]: timed out",
            ),
            ("address=10.0.0.3", "address=[address]"),
            (
                "asking http://10.0.0.3:8080/latest: 404",
                "asking http://[address]/latest: 404",
            ),
            ("fd00::7 is gone", "[address] is gone"),
            (
                "pool x86-std is at its maximum of 90",
                "pool x86-std is at its maximum of 90",
            ),
            (
                "an i-frame at 12:30, version 1.2.3",
                "an i-frame at 12:30, version 1.2.3",
            ),
            ("two\n  lines  i-0abc1234\n", "two\n  lines  [instance]\n"),
        ] {
            assert_eq!(without_machine(reason), shown);
        }
    }

    #[test]
    fn what_a_package_is_answerable_for_is_shown_in_full() {
        let reason = "a test wants to reach 192.0.2.1";
        assert_eq!(reason_for_users(Some(Blame::Package), reason), reason);
        for blame in [
            None,
            Some(Blame::Infrastructure),
            Some(Blame::Service),
            Some(Blame::Cancelled),
        ] {
            assert_eq!(reason_for_users(blame, reason), "a test wants to reach [address]");
        }
    }
}
