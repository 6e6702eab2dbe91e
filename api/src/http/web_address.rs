//! Addresses that users name for people to visit and for builders to fetch from.

use std::net::{IpAddr, Ipv6Addr};

use model::{RepositoryAddress, RepositoryPlace, repository_address::fill};
use url::{Host, Url};

/// The longest that is taken.
const LONGEST: usize = 1800;
/// The longest that builders take, with variables filled in.
const LONGEST_EXPANDED: usize = 2000;
/// No name of a chroot is longer.
const LONGEST_VALUE: usize = 255;
const VARIABLES: [&str; 5] = ["chroot", "distname", "releasever", "basearch", "arch"];
/// Characters that would end a value in a configuration file or a command.
const UNSAFE: [char; 6] = ['"', '\'', '<', '>', '\\', '`'];
/// Amazon's metadata service by IPv6.
const METADATA: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);

/// What is wrong with an address of the web; the rules are those of `provision-files/builder/verdigris_builder/task.py`, so
/// that what is taken here is taken there.
#[must_use]
pub fn mistake(text: &str) -> Option<&'static str> {
    let is_plain = text.chars().all(|c| c.is_ascii_graphic() && !UNSAFE.contains(&c));
    if !is_plain || text.len() > LONGEST {
        return Some("it is too long or has characters that an address cannot have");
    }
    let is_web = ["http://", "https://"].iter().any(|scheme| {
        text.strip_prefix(scheme)
            .is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'))
    });
    let Some(url) = Url::parse(text).ok().filter(|_| is_web) else {
        return Some("it must begin with http:// or https:// and a host");
    };
    // Also an empty name, which the parser leaves out.
    let authority = text
        .split("://")
        .nth(1)
        .and_then(|rest| rest.split(['/', '?', '#']).next());
    if authority.is_some_and(|authority| authority.contains('@')) {
        return Some("a name or password in it would be shown to everybody");
    }
    let address = match url.host() {
        Some(Host::Ipv4(address)) => Some(IpAddr::V4(address)),
        Some(Host::Ipv6(address)) => Some(IpAddr::V6(address).to_canonical()),
        _ => None,
    };
    let is_metadata = address.is_some_and(|address| match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local() || address == METADATA,
    });
    is_metadata.then_some("link-local addresses are those of a cloud's metadata")
}

/// What is wrong with an address of a repository: of the web, or `copr://OWNER/PROJECT` on this farm.
pub(crate) fn repository_mistake(text: &str) -> Option<&'static str> {
    match RepositoryAddress::parse(text) {
        Err(why) => Some(why),
        Ok(RepositoryAddress { place, .. }) => match place {
            RepositoryPlace::Farm { .. } => None,
            RepositoryPlace::Web(address) => {
                let longest = "x".repeat(LONGEST_VALUE);
                let expanded = fill(&address, |name| {
                    VARIABLES.contains(&name).then_some(longest.as_str())
                });
                let is_long = expanded.len() > LONGEST_EXPANDED;
                mistake(&address).or_else(|| is_long.then_some("it is too long with its variables filled in"))
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::{mistake, repository_mistake};

    #[test]
    fn what_builders_take_is_taken() {
        for good in [
            "https://example.org/$chroot/$basearch/",
            "http://127.0.0.1:8080/x?a=b&c=[d]",
            "http://[fd00::1]/",
        ] {
            assert_eq!(mistake(good), None, "{good}");
        }
        for good in [
            "copr://@group/lib:custom:x",
            "copr://alice/lib?priority=5",
            "https://example.org/$distname/$chroot/$releasever_major/?priority=99&a=b",
        ] {
            assert_eq!(repository_mistake(good), None, "{good}");
        }
    }

    #[test]
    fn what_builders_refuse_is_refused_with_its_reason() {
        for (bad, part) in [
            ("ftp://example.org/", "must begin"),
            ("https:///path", "must begin"),
            ("https://", "must begin"),
            ("example.org", "must begin"),
            ("http://example.org:port/", "must begin"),
            ("http://user:secret@example.org/", "password"),
            ("http://@example.org/", "password"),
            ("http://example.org/a b", "characters"),
            ("http://example.org/'x'", "characters"),
            ("http://example.org/\n[evil]", "characters"),
            ("http://169.254.169.254/latest/", "link-local"),
            ("http://0xa9fea9fe/latest/", "link-local"),
            ("http://[::ffff:169.254.169.254]/", "link-local"),
            ("http://[fd00:ec2::254]/", "link-local"),
            ("http://[fe80::1]/", "link-local"),
            ("copr://nobody", "copr://OWNER/PROJECT"),
            ("https://example.org/?priority=0", "from 1 to 99"),
            ("https://example.org/?priority=+5", "from 1 to 99"),
            ("https://example.org/?priority=005", "from 1 to 99"),
            ("copr://alice/lib?priority=100", "from 1 to 99"),
            ("https://example.org/?priority=1&priority=1", "twice"),
        ] {
            let said = repository_mistake(bad).unwrap_or_default();
            assert!(said.contains(part), "{bad}: {said}");
        }
        let long = format!("http://example.org/{}", "x".repeat(2000));
        assert!(mistake(&long).is_some());
        // Short itself, but not on every builder.
        let grows = format!("http://example.org/{}", "$chroot/".repeat(200));
        assert_eq!(mistake(&grows), None);
        assert!(repository_mistake(&grows).is_some_and(|said| said.contains("filled in")));
    }
}
