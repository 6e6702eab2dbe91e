//! Reasons as users may read them. They name no machine of the farm: not the cloud's id of it, not where it answers, and no
//! address of the farm's inner network. What the user gave himself, such as the address of a repository, stays.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::Blame;

/// Stands for a machine's id and for an address.
const INSTANCE: &str = "[instance]";
const ADDRESS: &str = "[address]";
/// What may stand around a word without being a part of it.
const AROUND: [char; 3] = ['.', ':', '-'];

/// A reason, or a line of a log, without machines of the farm. `given` are texts of the user's own: addresses in them stay.
///
/// What a package is answerable for speaks of the package's own world: there public addresses stay as well, and this machine
/// as each program knows it, `127.0.0.1`.
#[must_use]
pub fn for_users(text: &str, blame: Option<Blame>, given: &[String]) -> String {
    let rule = Rule {
        is_packages: blame == Some(Blame::Package),
        given,
    };
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    loop {
        let (between, tail) = rest.split_at(rest.find(is_part).unwrap_or(rest.len()));
        let (run, after) = tail.split_at(tail.find(|c| !is_part(c)).unwrap_or(tail.len()));
        shown.push_str(between);
        let (before, _) = text.split_at(text.len() - tail.len());
        if is_version(run) && is_comparison(before) {
            shown.push_str(run);
        } else {
            rule.show(run, &mut shown);
        }
        rest = after;
        if rest.is_empty() {
            return shown;
        }
    }
}

/// Whether a letter can be part of an address, a name of a machine, or an id.
fn is_part(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | ':' | '-' | '_')
}

/// Whether a word can be the version of a package: of an id or a port it cannot.
fn is_version(run: &str) -> bool {
    run.trim_matches(AROUND).parse::<Ipv4Addr>().is_ok()
}

/// Whether what stands before a word compares versions, as in `>= 10.0.0.1`. An arrow does not.
fn is_comparison(before: &str) -> bool {
    let text = before.trim_end();
    let left = text.trim_end_matches(['<', '>', '=']);
    let (_, operator) = text.split_at(left.len());
    let is_operator = matches!(operator, "<" | "<=" | "=" | "==" | ">=" | ">");
    is_operator && text.len() < before.len() && !left.ends_with('-')
}

/// What is hidden.
struct Rule<'a> {
    is_packages: bool,
    given: &'a [String],
}

impl Rule<'_> {
    /// Adds a word without spaces, with the machine in it hidden.
    fn show(&self, run: &str, shown: &mut String) {
        for (start, part) in parts(run) {
            if let Some(word) = self.hidden(part) {
                let (before, rest) = run.split_at(start);
                let (_, after) = rest.split_at(part.len());
                shown.extend([before, word, after]);
                return;
            }
        }
        shown.push_str(run);
    }

    /// What stands in the place of a word; none if it may be read.
    fn hidden(&self, word: &str) -> Option<&'static str> {
        if is_instance(word) {
            return Some(INSTANCE);
        }
        let is_hidden = match address(word) {
            Some(address) => self.hides(address),
            None => is_machine(word) && !self.given.iter().any(|text| text.contains(word)),
        };
        is_hidden.then_some(ADDRESS)
    }

    fn hides(&self, address: IpAddr) -> bool {
        let concerns = if self.is_packages {
            is_inner(address)
        } else {
            !address.is_unspecified()
        };
        concerns && !self.given.iter().any(|text| names(text, address))
    }
}

/// The ways to read a word: as it is, without what only stands around it, and without a word before a colon (`IP:10.0.0.1`);
/// each with its place.
fn parts(run: &str) -> impl Iterator<Item = (usize, &str)> {
    let core = run.trim_matches(AROUND);
    let at = run.len() - run.trim_start_matches(AROUND).len();
    let behind = core
        .split_once(':')
        .filter(|(label, _)| !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphabetic()))
        .map(|(label, behind)| (at + label.len() + 1, behind));
    [(0, run), (at, core)].into_iter().chain(behind)
}

/// Amazon's and Eucalyptus' form: `i-` and at least eight hexadecimal digits.
fn is_instance(word: &str) -> bool {
    word.strip_prefix("i-")
        .is_some_and(|digits| digits.len() >= 8 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// The name that a cloud gives a machine after its address: `ip-10-0-0-7.ec2.internal`.
fn is_machine(word: &str) -> bool {
    let host = word.split(['.', ':']).next().unwrap_or_default();
    let numbers = host.strip_prefix("ip-").or_else(|| host.strip_prefix("ec2-"));
    numbers.is_some_and(|numbers| {
        let numbers: Vec<_> = numbers.split('-').map(str::parse::<u8>).collect();
        numbers.len() == 4 && numbers.iter().all(Result::is_ok)
    })
}

/// The address that a word is, with or without a port. `a::b` is a name in C++ rather than an address.
fn address(word: &str) -> Option<IpAddr> {
    let ip: Option<IpAddr> = word.parse().ok();
    let found = ip.or_else(|| word.parse().ok().map(|socket: SocketAddr| socket.ip()))?;
    word.bytes()
        .any(|byte| byte.is_ascii_digit())
        .then(|| found.to_canonical())
}

/// Whether a text of the user's names an address.
fn names(text: &str, wanted: IpAddr) -> bool {
    text.split(|c| !is_part(c))
        .flat_map(parts)
        .any(|(_, part)| address(part) == Some(wanted))
}

/// Whether an address is of a network that only the farm's own machines share.
fn is_inner(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [first, second, ..] = v4.octets();
            let is_shared = first == 100 && second & 0xc0 == 64;
            let is_other_loopback = v4.is_loopback() && v4 != Ipv4Addr::LOCALHOST;
            v4.is_private() || v4.is_link_local() || is_shared || is_other_loopback
        }
        IpAddr::V6(v6) => v6.is_unique_local() || v6.is_unicast_link_local() || is_of_v4(v6),
    }
}

/// Whether an IPv6 address stands for an inner one of IPv4, by NAT64.
fn is_of_v4(v6: Ipv6Addr) -> bool {
    let [prefix @ .., a, b] = v6.segments();
    let v4 = Ipv4Addr::from((u32::from(a) << 16) | u32::from(b));
    prefix == [0x64, 0xff9b, 0, 0, 0, 0] && is_inner(v4.into())
}

#[cfg(test)]
mod tests;
