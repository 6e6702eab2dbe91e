//! What the system's own apt knows: the archives it is set up for, the closure of some packages, their files and
//! their sources. Nothing below /etc or /var is changed, but by `apt-get update` where there are no lists yet.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::process::Tool;
use crate::progress::{Count, say};

/// One archive that the system is set up for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Archive {
    uri: String,
    suite: String,
    component: String,
}

impl Archive {
    /// Its line in a list of sources; `kind` is `deb` or `deb-src`.
    pub(crate) fn line(&self, kind: &str) -> String {
        let Self {
            uri,
            suite,
            component,
        } = self;
        format!("{kind} {uri} {suite} {component}")
    }
}

/// The name of the running Debian release, as `bookworm`; an error on any other system.
pub(crate) fn codename() -> Result<String> {
    codename_in(&fs_err::read_to_string("/etc/os-release")?)
}

fn codename_in(release: &str) -> Result<String> {
    let field = |name: &str| {
        let mut fields = release.lines().filter_map(|line| line.split_once('='));
        let found = fields.find(|(known, _)| *known == name);
        found.map(|(_, value)| value.trim_matches('"').to_owned())
    };
    let id = field("ID").unwrap_or_default();
    if id != "debian" {
        bail!(
            "this system is {id:?}: images and the micro-distribution are made out of Debian's packages, on Debian 12"
        );
    }
    field("VERSION_CODENAME").context("/etc/os-release names no VERSION_CODENAME")
}

/// Debian's own archives among those that the system is set up for. Fetches apt's lists first where there are none; what it says then goes to `log`.
pub(crate) fn archives(log: &Path) -> Result<Vec<Archive>> {
    let found = listed_archives()?;
    if !found.is_empty() {
        return Ok(found);
    }
    say("    apt has no lists of packages yet");
    update(log)?;
    let found = listed_archives()?;
    if found.is_empty() {
        bail!("apt knows no archive whose origin is Debian: look at /etc/apt/sources.list.d");
    }
    Ok(found)
}

/// Fetches the lists of packages; what apt says goes to `log`.
pub(crate) fn update(log: &Path) -> Result<()> {
    Tool::as_root("apt-get").args(["-q", "update"]).log(log)
}

/// Installs packages of the system; what apt says goes to `log`.
pub(crate) fn install(names: &[&str], log: &Path) -> Result<()> {
    let mut count = Count::per_cent("installed");
    let install = Tool::as_root("env").args(["DEBIAN_FRONTEND=noninteractive", "apt-get"]);
    install
        .args(["-q", "install", "--yes", "--no-install-recommends"])
        .args(["-o", "APT::Status-Fd=1"])
        .args(names)
        .watch(log, |line| {
            if let Some(done) = progress_of(line) {
                count.set(done);
            }
        })
}

/// Per cent of the whole, from a line that apt writes for programs: `dlstatus:FILE:PER CENT:TEXT` while it fetches, the first
/// half of the work, and `pmstatus:PACKAGE:PER CENT:TEXT` while it installs.
fn progress_of(line: &str) -> Option<u64> {
    let mut fields = line.split(':');
    let before = match fields.next()? {
        "dlstatus" => 0.0,
        "pmstatus" => 50.0,
        _ => return None,
    };
    // A package's name may have an architecture behind a colon.
    let done = fields.skip(1).find_map(|field| field.parse::<f64>().ok())?;
    let done = before + done.clamp(0.0, 100.0) / 2.0;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 0 and 100"
    )]
    Some(done as u64)
}

fn listed_archives() -> Result<Vec<Archive>> {
    let format = "$(ORIGIN)|$(REPO_URI)|$(RELEASE)|$(COMPONENT)|$(FILENAME)";
    let text = Tool::new("apt-get")
        .args(["indextargets", "--format", format, "Created-By: Packages"])
        .output()?;
    Ok(parse_archives(&text, |list| Path::new(list).exists()))
}

/// The archives of the origin Debian whose list was fetched, each once.
fn parse_archives(text: &str, fetched: impl Fn(&str) -> bool) -> Vec<Archive> {
    let mut found = BTreeSet::new();
    for line in text.lines() {
        let fields = line.split('|').collect::<Vec<_>>();
        if let ["Debian", uri, suite, component, list] = fields.as_slice()
            && fetched(list)
        {
            let [uri, suite, component] = [uri, suite, component].map(|field| (*field).to_owned());
            found.insert(Archive {
                uri,
                suite,
                component,
            });
        }
    }
    found.into_iter().collect()
}

/// Options that make apt resolve as for an empty system, with its state and archives below `work`; no lock of the system is taken, so no right is needed.
fn bare_system(work: &Path) -> Result<Vec<String>> {
    let (state, archives) = (work.join("state"), work.join("debs"));
    fs_err::create_dir_all(archives.join("partial"))?;
    fs_err::create_dir_all(&state)?;
    fs_err::write(state.join("status"), "")?;
    Ok(options(&[
        ("Dir::State::status", &state.join("status")),
        ("Dir::State::extended_states", &state.join("extended_states")),
        ("Dir::Cache::archives", &archives),
        ("APT::Install-Recommends", Path::new("false")),
        ("APT::Sandbox::User", Path::new("")),
        ("Dpkg::Use-Pty", Path::new("false")),
    ]))
}

/// Settings as apt's arguments.
fn options(settings: &[(&str, &Path)]) -> Vec<String> {
    let of_one = |(name, value): &(&str, &Path)| ["-o".to_owned(), format!("{name}={}", value.display())];
    settings.iter().flat_map(of_one).collect()
}

/// The names of all packages that an empty system needs for these.
pub(crate) fn closure(work: &Path, packages: &[&str]) -> Result<BTreeSet<String>> {
    let simulated = Tool::new("apt-get")
        .args(["--simulate", "-q"])
        .args(bare_system(work)?)
        .arg("install")
        .args(packages)
        .output()
        .context("working out which Debian packages are needed (is `apt-get update` long ago?)")?;
    Ok(parse_simulation(&simulated))
}

fn parse_simulation(text: &str) -> BTreeSet<String> {
    let installs = text.lines().filter_map(|line| line.strip_prefix("Inst "));
    installs
        .filter_map(|rest| rest.split_whitespace().next())
        .map(str::to_owned)
        .collect()
}

/// Downloads these packages and all they need into `debs` below `work`.
pub(crate) fn download(work: &Path, packages: &[&str], total: usize, log: &Path) -> Result<()> {
    let mut count = Count::of("downloaded", total);
    Tool::new("apt-get")
        .args(["--yes", "-q", "--download-only"])
        .args(bare_system(work)?)
        .arg("install")
        .args(packages)
        .watch(log, |line| {
            if line.starts_with("Get:") {
                count.one_more();
            }
        })
        .context("downloading Debian packages (`apt-get update` helps where a file is not found)")
}

/// Downloads the source of one Debian package, the newest that there is, into `target`, through a configuration of our own: the system's need not name any source
/// archive. apt checks the archive's signature and the files' digests.
pub(crate) fn download_source(work: &Path, target: &Path, source: &str, log: &Path) -> Result<()> {
    let (lists, parts) = (work.join("lists"), work.join("empty"));
    for directory in [&lists.join("partial"), &parts, target] {
        fs_err::create_dir_all(directory)?;
    }
    let list = work.join("sources.list");
    let lines: String = archives(log)?
        .iter()
        .map(|one| one.line("deb-src") + "\n")
        .collect();
    fs_err::write(&list, lines)?;
    let options = options(&[
        ("Dir::Etc::sourcelist", &list),
        ("Dir::Etc::sourceparts", &parts),
        ("Dir::State::lists", &lists),
        ("Dir::Cache", work),
        ("APT::Sandbox::User", Path::new("")),
    ]);
    let fresh = lists.join(".complete");
    if !fresh.exists() {
        Tool::new("apt-get")
            .args(["-q", "update"])
            .args(&options)
            .log(log)?;
        fs_err::write(&fresh, "")?;
    }
    let get = Tool::new("apt-get")
        .args(["-q", "--download-only"])
        .args(&options)
        .args(["source", source]);
    get.dir(target).log(log)
}

#[cfg(test)]
pub(crate) mod tests;
