//! Reasons as users may read them. They name no machine of the farm: not the cloud's id of it, not where it answers, and no
//! address of the farm's inner network. What the user gave himself, such as the address of a repository, stays.

use core::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    ops::Range,
};

use crate::Blame;

/// Stands for a machine's id and for an address.
const INSTANCE: &str = "[instance]";
const ADDRESS: &str = "[address]";
/// What may stand around a word without being a part of it.
const AROUND: [char; 3] = ['.', ':', '-'];
/// How the names end that clouds give to machines.
const DOMAINS_OF_MACHINES: [&str; 6] = [
    ".ec2.internal",
    ".compute.internal",
    ".compute-1.internal",
    ".compute.amazonaws.com",
    ".compute-1.amazonaws.com",
    ".novalocal",
];

/// A reason, or a line of a log, without machines of the farm. `given` are texts of the user's own: addresses in them stay.
///
/// What a package is answerable for speaks of the package's own world: there public addresses stay as well, and this machine
/// as each program knows it, `127.0.0.1`.
#[must_use]
pub fn for_users(text: &str, blame: Option<Blame>, given: &[String]) -> String {
    let hidden = match blame {
        Some(Blame::Package) => Addresses::Inner,
        _ => Addresses::All,
    };
    Rule { hidden, given }.text(text)
}

/// A text without one machine of the farm, whose addresses these are. Other addresses stay.
#[must_use]
pub fn without_machine(text: &str, addresses: &[IpAddr], given: &[String]) -> String {
    let hidden = Addresses::These(addresses);
    Rule { hidden, given }.text(text)
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

/// Which addresses are hidden.
enum Addresses<'a> {
    /// Those of networks that only the farm's own machines share.
    Inner,
    /// Those that can be any machine's.
    All,
    These(&'a [IpAddr]),
}

/// What is hidden.
struct Rule<'a> {
    hidden: Addresses<'a>,
    given: &'a [String],
}

impl Rule<'_> {
    fn text(&self, text: &str) -> String {
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
                self.word(run, &mut shown);
            }
            rest = after;
            if rest.is_empty() {
                return shown;
            }
        }
    }

    /// Adds a word without spaces, with the machines in it hidden.
    fn word(&self, run: &str, shown: &mut String) {
        let Some((place, address)) = first_address(run) else {
            return self.names(run, shown);
        };
        let (rest, after) = run.split_at(place.end);
        let (before, word) = rest.split_at(place.start);
        self.word(before, shown);
        if self.hides(address) {
            shown.push_str(ADDRESS);
            self.word(after.split_at(port(after)).1, shown);
        } else {
            shown.push_str(word);
            self.word(after, shown);
        }
    }

    /// Adds a part of a word in which there is no address, with the names of machines in it hidden. One begins where letters or
    /// digits begin: `ami-01234567` holds none.
    fn names(&self, text: &str, shown: &mut String) {
        let mut rest = text;
        while !rest.is_empty() {
            let found =
                machine(rest).filter(|(length, word)| self.hides_name(rest.split_at(*length).0, word));
            if let Some((length, word)) = found {
                shown.push_str(word);
                rest = rest.split_at(length).1;
                rest = rest.split_at(port(rest)).1;
            } else {
                let behind = rest.trim_start_matches(|c: char| c.is_ascii_alphanumeric());
                let next = behind.trim_start_matches(|c: char| !c.is_ascii_alphanumeric());
                shown.push_str(rest.split_at(rest.len() - next.len()).0);
                rest = next;
            }
        }
    }

    /// Nobody gives the id of an instance himself: whoever has it got it from the farm.
    fn hides_name(&self, name: &str, word: &str) -> bool {
        word == INSTANCE || !self.given.iter().any(|text| text.contains(name))
    }

    fn hides(&self, address: IpAddr) -> bool {
        let concerns = match self.hidden {
            Addresses::Inner => is_inner(address),
            Addresses::All => !address.is_unspecified(),
            Addresses::These(these) => these.contains(&address),
        };
        concerns && !self.given.iter().any(|text| mentions(text, address))
    }
}

/// The first address in a word without spaces, and its place. A colon parts it from a word before it (`IP:10.0.0.1`), and from
/// a port, a service or a path behind it (`10.0.0.1:ssh`).
fn first_address(run: &str) -> Option<(Range<usize>, IpAddr)> {
    first_v6(run).or_else(|| first_v4(run))
}

fn first_v6(run: &str) -> Option<(Range<usize>, IpAddr)> {
    let core = run.trim_matches(AROUND);
    let at = run.len() - run.trim_start_matches(AROUND).len();
    let behind = core
        .split_once(':')
        .map(|(label, behind)| (at + label.len() + 1, behind));
    [(0, run), (at, core)]
        .into_iter()
        .chain(behind)
        .find_map(|(start, part)| {
            let before_a_name = part.rsplit_once(':').map(|(word, _)| word);
            let mut words = [Some(part), before_a_name].into_iter().flatten();
            words.find_map(|word| Some((start..start + word.len(), v6(word)?)))
        })
}

/// `a::b` is a name in C++ rather than an address.
fn v6(word: &str) -> Option<IpAddr> {
    let found: Ipv6Addr = word.parse().ok()?;
    let has_digits = word.bytes().any(|byte| byte.is_ascii_digit());
    has_digits.then(|| IpAddr::from(found).to_canonical())
}

fn first_v4(run: &str) -> Option<(Range<usize>, IpAddr)> {
    let mut start = 0;
    let mut is_behind_epoch = false;
    for (index, piece) in run.split(':').enumerate() {
        let core = piece.trim_matches(['.', '-']);
        // `1:10.0.0.7` is a version.
        if let Ok(address) = core.parse::<Ipv4Addr>()
            && !is_behind_epoch
        {
            let start = start + piece.len() - piece.trim_start_matches(['.', '-']).len();
            return Some((start..start + core.len(), address.into()));
        }
        is_behind_epoch = index == 0 && !piece.is_empty() && piece.bytes().all(|byte| byte.is_ascii_digit());
        start += piece.len() + 1;
    }
    None
}

/// The length of a port with its colon, where a text begins with one.
fn port(text: &str) -> usize {
    let Some(rest) = text.strip_prefix(':') else {
        return 0;
    };
    let behind = rest.trim_start_matches(|c: char| c.is_ascii_digit());
    let digits = rest.len() - behind.len();
    let is_port = (1..=5).contains(&digits)
        && matches!(
            behind.trim_start_matches(['.', '-']).chars().next(),
            None | Some(':')
        );
    if is_port { digits + 1 } else { 0 }
}

/// The machine that a text begins with: the length of its name or id, and what stands for it.
fn machine(text: &str) -> Option<(usize, &'static str)> {
    let host = text.split([':', '_']).next().unwrap_or_default();
    let host = host.trim_end_matches(['.', '-']);
    let lower = host.to_ascii_lowercase();
    let is_in_domain = DOMAINS_OF_MACHINES
        .iter()
        .any(|domain| lower.len() > domain.len() && lower.ends_with(domain));
    match instance(text) {
        Some(_) if is_in_domain => Some((host.len(), INSTANCE)),
        Some(length) => Some((length, INSTANCE)),
        None => (is_in_domain || is_numbered(host)).then_some((host.len(), ADDRESS)),
    }
}

/// The length of the id of an instance that a text begins with, in Amazon's and Eucalyptus' form: `i-` and at least eight
/// hexadecimal digits.
fn instance(text: &str) -> Option<usize> {
    let digits = text.strip_prefix("i-")?;
    let behind = digits.trim_start_matches(|c: char| c.is_ascii_hexdigit());
    let is_whole = !behind.starts_with(|c: char| c.is_ascii_alphanumeric());
    (digits.len() - behind.len() >= 8 && is_whole).then_some(text.len() - behind.len())
}

/// Whether a cloud named a host after its address: `ip-10-0-0-7`, whatever follows.
fn is_numbered(host: &str) -> bool {
    let label = host.split('.').next().unwrap_or_default();
    let numbers = label.strip_prefix("ip-").or_else(|| label.strip_prefix("ec2-"));
    numbers.is_some_and(|numbers| {
        let mut numbers = numbers.split('-').map(str::parse::<u8>);
        numbers.by_ref().take(4).filter(Result::is_ok).count() == 4
    })
}

/// Whether a text of the user's names an address.
fn mentions(text: &str, wanted: IpAddr) -> bool {
    text.split(|c| !is_part(c)).any(|run| {
        let mut rest = run;
        while let Some((place, address)) = first_address(rest) {
            if address == wanted {
                return true;
            }
            rest = rest.split_at(place.end).1;
        }
        false
    })
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
