//! What settings may be, beyond their types: the least and the most of each that makes sense, in one place.

use std::{fmt::Display, path::Path};

use figment::Figment;
use model::quantity::{ByteSize, Span};
use url::{Host, Url};

use super::{
    Settings,
    environment::is_variable,
    filter::filter,
    mistakes::{At, Mistakes},
};

const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;
const GIBIBYTE: u64 = 1024;
const TEBIBYTE: u64 = 1024 * GIBIBYTE;

/// Whether a mirror may have this name, which is a part of its address.
#[must_use]
pub fn is_mirror_name(name: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    !name.is_empty() && name.len() <= 64 && !name.starts_with('.') && name.chars().all(is_plain)
}

/// Adds to `mistakes` what is out of bounds.
pub(super) fn check(settings: &Settings, figment: &Figment, mistakes: &mut Mistakes) {
    let mut bounds = Bounds { figment, mistakes };
    bounds.of_database(settings);
    bounds.of_http(settings);
    bounds.of_worker(settings);
    bounds.of_paths(settings);
    if let Err(words) = filter(&settings.log.filter) {
        bounds.tell("log.filter", &words);
    }
}

struct Bounds<'a> {
    figment: &'a Figment,
    mistakes: &'a mut Mistakes,
}

impl Bounds<'_> {
    /// Says what is wrong with a setting, and where it was set.
    fn tell(&mut self, setting: &str, words: &str) {
        let variable = self
            .figment
            .find_metadata(setting)
            .map(|metadata| metadata.name.as_ref())
            .filter(|name| is_variable(name));
        match (variable, setting.split_once('.')) {
            (Some(name), _) => self.mistakes.of_variable(name, words),
            (None, Some((section, key))) => {
                // Names of mirrors may hold dots.
                let path = match key.strip_prefix("mirrors.") {
                    Some(mirror) => vec![section, "mirrors", mirror],
                    None => vec![section, key],
                };
                self.mistakes
                    .of_setting(&path, &format!("[{section}] {key}: "), At::Value, words);
            }
            (None, None) => self.mistakes.of_variable(setting, words),
        }
    }

    fn range<T: PartialOrd + Display>(&mut self, setting: &str, value: T, least: T, most: T) {
        if value < least || value > most {
            self.tell(setting, &format!("{value} is not from {least} to {most}"));
        }
    }

    fn of_database(&mut self, settings: &Settings) {
        let database = &settings.database;
        if let Some(address) = &database.url
            && let Err(words) = database_address(address)
        {
            self.tell("database.url", words);
        }
        // One is held while another is waited for.
        self.range("database.max_connections", database.max_connections, 2, 1000);
        let (least, most) = (Span::seconds(HOUR), Span::seconds(36_500 * DAY));
        self.range("database.keep_history", database.keep_history, least, most);
    }

    fn of_http(&mut self, settings: &Settings) {
        let http = &settings.http;
        for (setting, address) in [
            ("http.public_url", &http.public_url),
            ("http.builder_url", &http.builder_url),
        ] {
            if let Some(address) = address
                && let Err(words) = farm_address(address)
            {
                self.tell(setting, &format!("`{address}` {words}"));
            }
        }
        for (name, path) in &http.mirrors {
            let setting = format!("http.mirrors.{name}");
            if !is_mirror_name(name) {
                let words = "a mirror's name is at most 64 letters of ASCII, digits, dots, dashes and underscores, and \
                             begins with no dot";
                self.tell(&setting, words);
            }
            self.path(&setting, path);
        }
        let (least, most) = (ByteSize::kibibytes(1), ByteSize::mebibytes(TEBIBYTE));
        self.range("http.max_upload", http.max_upload, least, most);
        // Half of them are one client's at most.
        self.range("http.max_connections", http.max_connections, 8, 1_000_000);
        let per_client = http.max_connections_per_client;
        self.range("http.max_connections_per_client", per_client, 1, 1_000_000);
        let (least, most) = (Span::seconds(1), Span::seconds(HOUR));
        self.range("http.head_timeout", http.head_timeout, least, most);
        self.range("http.body_timeout", http.body_timeout, least, most);
        let (least, most) = (ByteSize::from_bytes(1), ByteSize::mebibytes(10));
        self.range("http.min_rate", http.min_rate, least, most);
        let (least, most) = (Span::seconds(60), Span::seconds(24 * HOUR));
        self.range("http.request_timeout", http.request_timeout, least, most);
        self.range("http.max_log_streams", http.max_log_streams, 1, 1_000_000);
        let per_client = http.max_log_streams_per_client;
        self.range("http.max_log_streams_per_client", per_client, 1, 1_000_000);
    }

    fn of_worker(&mut self, settings: &Settings) {
        let worker = &settings.worker;
        self.range("worker.parallel", worker.parallel, 1, 1_000_000);
        let (least, most) = (ByteSize::kibibytes(64), ByteSize::mebibytes(TEBIBYTE));
        self.range("worker.max_log", worker.max_log, least, most);
        self.range("worker.max_results", worker.max_results, least, most);
    }

    fn of_paths(&mut self, settings: &Settings) {
        let (storage, fleet) = (&settings.storage, &settings.fleet);
        self.path("storage.directory", &storage.directory);
        for (setting, path) in [
            ("storage.results", &storage.results),
            ("storage.sources", &storage.sources),
            ("storage.secrets", &storage.secrets),
            ("fleet.file", &fleet.file),
            ("fleet.playbooks", &fleet.playbooks),
            ("fleet.provision_files", &fleet.provision_files),
            ("devcloud.image", &settings.devcloud.image),
        ] {
            if let Some(path) = path {
                self.path(setting, path);
            }
        }
        let (least, most) = (ByteSize::kibibytes(1), ByteSize::mebibytes(1024 * TEBIBYTE));
        self.range("storage.min_free", storage.min_free, least, most);
    }

    fn path(&mut self, setting: &str, path: &Path) {
        if path.as_os_str().is_empty() {
            self.tell(setting, "the path is empty");
        } else if path.as_os_str().as_encoded_bytes().contains(&0) {
            self.tell(setting, "no path holds a character with the number 0");
        }
    }
}

/// What is wrong with an address of the farm, to which paths are added.
fn farm_address(address: &str) -> Result<(), &'static str> {
    let example = "is no address such as https://build.example.org";
    let url = Url::parse(address).map_err(|_| example)?;
    if !["http", "https"].contains(&url.scheme()) {
        return Err("does not begin with http:// or https://");
    }
    // A parser of addresses as browsers have it mends these; builders are given the text as it is.
    let rest = ["http://", "https://"]
        .iter()
        .find_map(|scheme| address.strip_prefix(scheme));
    let is_odd = |c: char| !c.is_ascii_graphic() || "\"'<>\\`".contains(c);
    if rest.is_none_or(|rest| rest.is_empty() || rest.starts_with('/')) || address.contains(is_odd) {
        return Err(example);
    }
    let is_metadata = match url.host() {
        Some(Host::Ipv4(address)) => address.is_link_local(),
        Some(Host::Ipv6(address)) => address.is_unicast_link_local(),
        _ => false,
    };
    if is_metadata {
        return Err("is a link-local address, which builders do not reach");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("holds a user's name or a password, which everybody would read");
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("goes on with `?` or `#`, but paths are added to it");
    }
    Ok(())
}

/// What is wrong with the address of a database. It holds a password: it is never repeated.
fn database_address(address: &str) -> Result<(), &'static str> {
    let kinds = "it is no address of a database, such as sqlite:///srv/verdigris.db or postgres://user:password@host/name";
    if let Some(path) = address.strip_prefix("sqlite://") {
        let (path, parameters) = path.split_once('?').unwrap_or((path, ""));
        let known = ["", "mode=rw", "mode=rwc"];
        let is_known = |one: &str| known.contains(&one) || one.starts_with("cache=");
        return match path {
            _ if !parameters.split('&').all(is_known) => {
                Err("behind its `?` stands something else than mode=rw or mode=rwc")
            }
            "" => Err("it names no file, as sqlite:///srv/verdigris.db does"),
            ":memory:" => {
                Err("a database in memory is lost at the end; name a file, as sqlite:///srv/verdigris.db")
            }
            _ => Ok(()),
        };
    }
    if address.starts_with("postgresql://") {
        return Err("it begins with postgresql://; write postgres://");
    }
    if !address.starts_with("postgres://") {
        return Err(kinds);
    }
    let url = Url::parse(address).map_err(|_| {
        "it is no address such as postgres://user:password@host:5432/name; in a password `@`, `:`, `/`, `?`, `#` and `%` are \
         written as %40, %3A, %2F, %3F, %23 and %25"
    })?;
    let modes = [
        "disable",
        "allow",
        "prefer",
        "require",
        "verify-ca",
        "verify-full",
    ];
    let mut pairs = url.query_pairs();
    if pairs.any(|(key, value)| key == "sslmode" && !modes.contains(&value.as_ref())) {
        return Err("its sslmode is none of disable, allow, prefer, require, verify-ca and verify-full");
    }
    let has_socket = url.query_pairs().any(|(key, _)| key == "host");
    if !has_socket && url.host_str().is_none_or(str::is_empty) {
        return Err("it names no host, as postgres://user:password@host/name does");
    }
    if url.path().trim_matches('/').is_empty() {
        return Err("it names no database, as postgres://user:password@host/name does");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{database_address, farm_address, is_mirror_name};

    #[test]
    fn the_farms_address_is_one_that_paths_can_be_added_to() {
        for good in [
            "http://build.example.org",
            "https://build.example.org:8443/",
            "http://10.88.0.1:80",
            "http://[fd00::1]:5080",
            "https://example.org/farm",
        ] {
            assert_eq!(farm_address(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            "build.example.org",
            "ftp://x",
            "http://",
            "http:///path",
            "http://a b/",
            " http://a",
            "http://a:99999",
            "http://user@a",
            "http://user:secret@a",
            "http://a/?x=1",
            "http://a/#x",
            "file:///srv",
            "http:farm.example.org",
            "http:/farm",
            "http:\\\\farm",
            "http://b\u{fc}cher.example",
            "http://a/<b>",
            "http://a/it's",
            "http://169.254.1.1:5080",
            "http://[fe80::1]:5080",
        ] {
            assert!(farm_address(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_databases_address_is_refused_without_repeating_its_password() {
        for good in [
            "sqlite:///srv/farm.db",
            "sqlite://farm.db?mode=rwc",
            "postgres://farm@db/farm",
            "postgres://farm:p%40ss@db.example.org:5432/farm?sslmode=require",
            "postgres:///farm?host=/run/postgresql",
        ] {
            assert_eq!(database_address(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            "007",
            "mysql://a/b",
            "sqlite://",
            "sqlite://:memory:",
            "sqlite:farm.db",
            "postgresql://farm@db/farm",
            "postgres://",
            "postgres://farm:secret@/farm",
            "postgres://farm:secret@db",
            "postgres://farm:secret@db:port/farm",
            "postgres://farm:sec/ret#@db/farm",
            "postgres://farm:secret@db/farm?sslmode=odd",
            "sqlite:///srv/farm.db?mode=odd",
            "sqlite:///srv/farm.db?mode=memory",
            "sqlite:///srv/farm.db?mode=rwc&mode=memory",
            "sqlite:///srv/farm.db?cache=shared&mode=ro",
        ] {
            let words = database_address(bad).unwrap_err();
            assert!(!words.contains("secret"), "{words}");
        }
    }

    #[test]
    fn a_mirrors_name_is_a_part_of_an_address() {
        for good in ["microdistro", "a.b-c_1", "X"] {
            assert!(is_mirror_name(good), "{good}");
        }
        for bad in ["", ".", "..", ".x", "a/b", "a b", "ä", "%2e", &"x".repeat(65)] {
            assert!(!is_mirror_name(bad), "{bad}");
        }
    }

    #[test]
    fn what_is_wrong_with_the_farms_address_is_said() {
        let example = "is no address such as https://build.example.org";
        for (address, words) in [
            ("build.example.org", example),
            ("http://", example),
            ("http://a:99999", example),
            ("http://a b/", example),
            (" http://a", example),
            ("http://a/x y", example),
            ("http://a/\n", example),
            ("ftp://a", "does not begin with http:// or https://"),
            (
                "build.example.org:5080",
                "does not begin with http:// or https://",
            ),
            (
                "http://u@a",
                "holds a user's name or a password, which everybody would read",
            ),
            (
                "http://:p@a",
                "holds a user's name or a password, which everybody would read",
            ),
            ("http://a/?", "goes on with `?` or `#`, but paths are added to it"),
            ("http://a/#", "goes on with `?` or `#`, but paths are added to it"),
        ] {
            assert_eq!(farm_address(address), Err(words), "{address:?}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_databases_address_is_said_for_each_kind_of_mistake() {
        let modes = "behind its `?` stands something else than mode=rw or mode=rwc";
        let no_host = "it names no host, as postgres://user:password@host/name does";
        let no_database = "it names no database, as postgres://user:password@host/name does";
        for (address, words) in [
            ("sqlite:///f?mode=ro", modes),
            ("sqlite:///f?mode=rwc&x=1", modes),
            ("sqlite:///f?MODE=rwc", modes),
            (
                "sqlite://?mode=rwc",
                "it names no file, as sqlite:///srv/verdigris.db does",
            ),
            (
                "sqlite://:memory:?mode=rwc",
                "a database in memory is lost at the end; name a file, as sqlite:///srv/verdigris.db",
            ),
            (
                "postgresql://h/n",
                "it begins with postgresql://; write postgres://",
            ),
            ("postgres:///n", no_host),
            ("postgres:///n?hostaddr=/run", no_host),
            ("postgres://h", no_database),
            ("postgres://h/", no_database),
            ("postgres:///?host=/run", no_database),
            (
                "postgres://h/n?sslmode=REQUIRE",
                "its sslmode is none of disable, allow, prefer, require, verify-ca and verify-full",
            ),
        ] {
            assert_eq!(database_address(address), Err(words), "{address}");
        }
        for kind in ["SQLITE:///f", "postgres:/h/n", "/srv/farm.db", " sqlite:///f"] {
            let words = database_address(kind).unwrap_err();
            assert!(
                words.starts_with("it is no address of a database, such as sqlite:"),
                "{kind}: {words}"
            );
        }
        for good in [
            "sqlite:///f?",
            "sqlite:///f?mode=rw&cache=shared",
            "sqlite:///a b?cache=private",
            "postgres://h/n?sslmode=verify-full&application_name=farm",
            "postgres://[fd00::1]:5432/n",
            "postgres:///n?host=/run&sslmode=disable",
        ] {
            assert_eq!(database_address(good), Ok(()), "{good}");
        }
    }

    #[test]
    fn a_mirrors_longest_name_is_taken_and_one_letter_more_is_not() {
        assert!(is_mirror_name(&"x".repeat(64)) && !is_mirror_name(&"x".repeat(65)));
        assert!(is_mirror_name("a..b"), "no part of a path but a name");
        for bad in ["a\0", "a\n", "a?", "a#", "-/", "a:b", "a+b"] {
            assert!(!is_mirror_name(bad), "{bad:?}");
        }
    }
}
