//! Installs what the farm and its tests need and the system lacks: Debian packages, the test runner, and a Python
//! environment with the real clients. Quick where nothing is missing. `--no-install` only says what is.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::apt;
use crate::cache::{Cache, write_atomically};
use crate::process::{Tool, find, is_root};
use crate::progress::{Step, say};
use crate::python::{Environment, PYTHON};

/// What a system has to have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To run a farm: the demo and the benchmarks.
    Farm,
    /// To run every test besides.
    Tests,
}

/// What only tests call.
const TEST_PACKAGES: &[&str] = &["dpkg-dev", "gnupg", "postgresql", "sqlite3", "wget"];

/// What the farm, devcloud, the builder image and the demo call, by Debian's names.
const PACKAGES: &[&str] = &[
    "apt",
    "ca-certificates",
    "cpio",
    "createrepo-c",
    "dnf",
    "dnf-plugins-core",
    "gcc",
    "iproute2",
    "libc6-dev",
    "make",
    "mmdebstrap",
    "mount",
    "nftables",
    "openssh-client",
    "openssh-server",
    "python3",
    "python3-venv",
    "rpm",
    "slirp4netns",
    "uidmap",
    "util-linux",
    "xz-utils",
    "zstd",
];

/// The test runner's version; any that is there already will do.
const NEXTEST: &str = "0.9.143";

/// Every Python package with its version.
const REQUIREMENTS: &str = include_str!("../python-requirements.txt");

/// The package that has Ansible's collections in it, of which the tests use one. It is 54 MB to load and would be 210 MB
/// in 21,000 files to install; the one is 4 MB.
const COLLECTIONS: &str = "ansible==12.3.0";

/// What of that package is taken.
const COLLECTION: &str = "ansible_collections/amazon/aws/";

/// Takes a part out of a zipped package: the package, where to, what.
const EXTRACT: &str = "import sys, zipfile; package = zipfile.ZipFile(sys.argv[1]); \
                       package.extractall(sys.argv[2], [n for n in package.namelist() if n.startswith(sys.argv[3])])";
/// Every Node.js package with its version and digest.
const NODE_PACKAGES: &str = include_str!("../node/package.json");
const NODE_LOCK: &str = include_str!("../node/package-lock.json");
/// Says which packages are installed.
const NODE_INSTALLED: &str = "installed.json";

/// What is missing, and how it would be installed.
#[derive(Debug, PartialEq, Eq)]
enum Missing {
    Packages(Vec<&'static str>),
    Nextest,
    Python(PathBuf),
    Collection,
    Node(PathBuf),
    SubordinateIds(String),
}

impl Missing {
    /// What a person would type.
    fn commands(&self, is_root: bool) -> Vec<String> {
        let sudo = if is_root { "" } else { "sudo " };
        match self {
            Self::Packages(names) => vec![
                format!("{sudo}apt-get update"),
                format!(
                    "{sudo}apt-get install --yes --no-install-recommends {}",
                    names.join(" ")
                ),
            ],
            Self::Nextest => vec![format!(
                "cargo install --locked cargo-nextest --version {NEXTEST}"
            )],
            Self::Python(venv) => {
                let venv = venv.display();
                vec![
                    format!("{PYTHON} -m venv {venv}"),
                    format!("{venv}/bin/pip install --requirement xtask/python-requirements.txt"),
                ]
            }
            Self::Collection => vec![format!(
                "cargo xtask setup    # {COLLECTION} out of the Python package {COLLECTIONS}"
            )],
            Self::Node(directory) => {
                let directory = directory.display();
                vec![
                    format!("mkdir -p {directory} && cp xtask/node/package*.json {directory}"),
                    format!("npm ci --prefix {directory}"),
                ]
            }
            Self::SubordinateIds(user) => {
                vec![format!(
                    "{sudo}usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {user}"
                )]
            }
        }
    }

    fn install(&self, cache: &Cache) -> Result<()> {
        match self {
            Self::Packages(names) => install_packages(cache, names),
            Self::Nextest => install_nextest(cache),
            Self::Python(venv) => install_python(cache, venv),
            Self::Collection => install_collection(cache),
            Self::Node(directory) => install_node(cache, directory),
            Self::SubordinateIds(user) => Tool::as_root("usermod")
                .args(["--add-subuids", "100000-165535", "--add-subgids", "100000-165535"])
                .arg(user)
                .show(),
        }
    }
}

/// Installs what is missing, or says what is.
pub(crate) fn run(cache: &Cache, purpose: Purpose, install: bool) -> Result<()> {
    let missing = look(cache, purpose)?;
    if missing.is_empty() {
        return Ok(());
    }
    if !install {
        say("missing; these commands install it, or the same without --no-install does:");
        missing
            .iter()
            .flat_map(|one| one.commands(is_root()))
            .for_each(|command| say(format!("    {command}")));
        bail!("something is missing");
    }
    for one in &missing {
        one.install(cache)?;
    }
    let left = look(cache, purpose)?;
    if !left.is_empty() {
        bail!("still missing after the installation: {left:?}");
    }
    Ok(())
}

/// The Python environment's program of this name, as `copr-cli`.
pub(crate) fn python_tool(cache: &Cache, name: &str) -> PathBuf {
    cache.path("venv/bin").join(name)
}

fn environment(place: &Path) -> Environment<'_> {
    Environment {
        place,
        requirements: REQUIREMENTS,
    }
}

/// What this system has of what is looked for.
#[derive(Debug, Clone)]
struct Found {
    packages: BTreeSet<String>,
    nextest: bool,
    /// The user who has no range of subordinate ids and needs one.
    without_ids: Option<String>,
    python: bool,
    collection: bool,
    node: bool,
}

fn look(cache: &Cache, purpose: Purpose) -> Result<Vec<Missing>> {
    if find("dpkg-query").is_none() {
        bail!(
            "this system has no Debian packages: images and chroots are made out of them. Debian 12 is the tested system"
        );
    }
    // A status of 1 only says that some are unknown, so the whole list is asked for.
    let packages = Tool::new("dpkg-query")
        .args(["--show", "--showformat", "${Package} ${db:Status-Status}\\n"])
        .output()?;
    let found = Found {
        packages: parse_installed(&packages),
        nextest: nextest(cache).is_some(),
        without_ids: without_subordinate_ids()?,
        python: environment(&cache.path("venv")).is_complete(),
        collection: collection_mark(cache).exists(),
        node: has_node_packages(&cache.path("node")),
    };
    Ok(missing(cache, purpose, &found))
}

/// What is missing, in the order in which it is installed.
fn missing(cache: &Cache, purpose: Purpose, found: &Found) -> Vec<Missing> {
    let for_tests = purpose == Purpose::Tests;
    let of_tests = TEST_PACKAGES.iter().filter(|_| for_tests);
    let packages: Vec<&str> = PACKAGES
        .iter()
        .chain(of_tests)
        .copied()
        .filter(|name| !found.packages.contains(*name))
        .collect();
    let users = found.without_ids.clone().map(Missing::SubordinateIds);
    [
        (!packages.is_empty()).then_some(Missing::Packages(packages)),
        (for_tests && !found.nextest).then_some(Missing::Nextest),
        users,
        (!found.python).then(|| Missing::Python(cache.path("venv"))),
        (for_tests && !found.collection).then_some(Missing::Collection),
        (for_tests && !found.node).then(|| Missing::Node(cache.path("node"))),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Whether the Node.js packages are those that are wanted. The copy of their list is written last.
fn has_node_packages(directory: &Path) -> bool {
    fs_err::read_to_string(directory.join(NODE_INSTALLED)).is_ok_and(|installed| installed == NODE_LOCK)
}

fn parse_installed(text: &str) -> BTreeSet<String> {
    text.lines()
        .filter_map(|line| line.strip_suffix(" installed"))
        .map(str::to_owned)
        .collect()
}

fn install_packages(cache: &Cache, names: &[&str]) -> Result<()> {
    let step = Step::start(format!("Debian packages: {}", names.join(" ")));
    apt::codename()?;
    if !is_root() {
        step.note("the administrator's rights are needed: sudo may ask for your password");
    }
    let log = cache.path("apt.log");
    apt::update(&log)?;
    apt::install(names, &log)?;
    step.done(format!("{} packages", names.len()));
    Ok(())
}

/// The test runner, in the PATH or where this module put it.
pub(crate) fn nextest(cache: &Cache) -> Option<PathBuf> {
    find("cargo-nextest")
        .or_else(|| Some(cache.path("tools/bin/cargo-nextest")).filter(|path| path.is_file()))
}

fn install_nextest(cache: &Cache) -> Result<()> {
    let _lock = cache.lock("test-runner")?;
    let step = Step::start(format!("cargo-nextest {NEXTEST}, compiled: some minutes"));
    let install = Tool::new("cargo").args([
        "install",
        "--locked",
        "--quiet",
        "cargo-nextest",
        "--version",
        NEXTEST,
    ]);
    install.arg("--root").arg(cache.path("tools")).show()?;
    step.done("installed");
    Ok(())
}

fn install_python(cache: &Cache, venv: &Path) -> Result<()> {
    let _lock = cache.lock("python")?;
    let step =
        Step::start("Python environment with copr-cli, boto3, awscli, moto, ansible-core and Helm's engine");
    let log = cache.path("venv.log");
    environment(venv).install(&log, |line| {
        if line.starts_with("Installing") {
            step.note("installing");
        }
    })?;
    step.done(venv.display().to_string());
    Ok(())
}

/// The file that says which version of the collection is there, and that all of it is.
fn collection_mark(cache: &Cache) -> PathBuf {
    cache.path("collections").join(COLLECTIONS.replace("==", "-"))
}

fn install_collection(cache: &Cache) -> Result<()> {
    let _lock = cache.lock("collections")?;
    let mark = collection_mark(cache);
    if mark.exists() {
        return Ok(());
    }
    let step = Step::start("Ansible's collection amazon.aws: 54 MB to load");
    let log = cache.path("collections.log");
    let python = python_tool(cache, "python3");
    let loaded = cache.path("collections.loaded");
    if loaded.exists() {
        fs_err::remove_dir_all(&loaded)?;
    }
    Tool::new(&python)
        .args(["-m", "pip", "download", "--quiet", "--no-deps", "--dest"])
        .arg(&loaded)
        .arg(COLLECTIONS)
        .log(&log)?;
    let package = fs_err::read_dir(&loaded)?
        .next()
        .context("pip loaded nothing")??
        .path();
    Tool::new(&python)
        .args(["-c", EXTRACT])
        .arg(&package)
        .arg(cache.path("collections"))
        .arg(COLLECTION)
        .log(&log)?;
    fs_err::remove_dir_all(&loaded)?;
    write_atomically(&mark, b"")?;
    step.done("amazon.aws");
    Ok(())
}

/// With the Node.js of the Python environment, which is made before.
fn install_node(cache: &Cache, directory: &Path) -> Result<()> {
    let _lock = cache.lock("node")?;
    let step = Step::start("Node.js packages: generators of clients, for tests of the OpenAPI document");
    fs_err::create_dir_all(directory)?;
    write_atomically(&directory.join("package.json"), NODE_PACKAGES.as_bytes())?;
    write_atomically(&directory.join("package-lock.json"), NODE_LOCK.as_bytes())?;
    let programs = cache.path("venv/bin");
    let path = std::env::var("PATH").unwrap_or_default();
    Tool::new(programs.join("npm"))
        .args([
            "ci",
            "--no-audit",
            "--no-fund",
            "--no-update-notifier",
            "--loglevel=error",
            "--prefix",
        ])
        .arg(directory)
        .env("PATH", format!("{}:{path}", programs.display()))
        .log(&cache.path("node.log"))?;
    write_atomically(&directory.join(NODE_INSTALLED), NODE_LOCK.as_bytes())?;
    step.done(directory.display().to_string());
    Ok(())
}

/// The caller's name, if no range of subordinate ids is theirs: without one there are no user namespaces with more than one id.
fn without_subordinate_ids() -> Result<Option<String>> {
    if is_root() {
        return Ok(None);
    }
    let user = Tool::new("id").args(["--user", "--name"]).output();
    let user = user.context("who is running this?")?.trim().to_owned();
    let has_range = |file: &str| fs_err::read_to_string(file).is_ok_and(|ranges| names_user(&ranges, &user));
    let has_both = has_range("/etc/subuid") && has_range("/etc/subgid");
    Ok((!has_both).then_some(user))
}

/// Whether a list of ranges has one of this user.
fn names_user(ranges: &str, user: &str) -> bool {
    ranges.lines().any(|line| line.split(':').next() == Some(user))
}

#[cfg(test)]
mod tests;
