//! The machine images that devcloud boots: directories with stacked layers and an `image.json`. The base layer is a
//! minimal Debian made by mmdebstrap from the archives this system is set up for; over the builder's lies a second,
//! small layer with a ready build root (see [`crate::seed`]), so that a changed micro-distribution does not rebuild the base.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::apt::{self, Archive};
use crate::cache::{Cache, Scratch, make_current, prune, remove_tree, short_digest, write_atomically};
use crate::process::{Tool, is_root};
use crate::progress::Step;
use crate::{microdistro, seed};

/// Raised by hand when the code here makes another image out of the same packages.
const VERSION: u32 = 1;

/// What every instance needs: the way in, its network and the tools to look at it.
const INSTANCE: &[&str] = &["openssh-server", "iproute2", "procps"];

/// What a builder needs besides: the builder scripts and the chroot driver. No compiler: builds happen in the chroot.
const BUILDER: &[&str] = &[
    "bzip2",
    "ca-certificates",
    "cpio",
    "createrepo-c",
    "diffutils",
    "dnf",
    "dnf-plugins-core",
    "file",
    "gzip",
    "nftables",
    "patch",
    "python3",
    "python3-minimal",
    "rpm",
    "tar",
    "util-linux",
    "xz-utils",
    "zstd",
];

/// How dpkg unpacks: nobody reads manuals on an instance.
const UNPACKING: &[&str] = &[
    "path-exclude=/usr/share/man/*",
    "path-exclude=/usr/share/info/*",
    "path-exclude=/usr/share/locale/*",
    "path-exclude=/usr/share/doc/*",
    "path-include=/usr/share/doc/*/copyright",
    // Waiting for the disk after each file is for systems, not for images that are thrown away when they fail.
    "force-unsafe-io",
];

/// Debian's rpm keeps its database in the caller's home, also inside another root; no RPM distribution does.
const RPM_MACROS: &str = "%_dbpath /var/lib/rpm\n";

/// The file of an image that devcloud reads.
const DESCRIPTION: &str = "image.json";

/// One image: what is in it and where it goes.
#[derive(Debug)]
struct Image {
    name: &'static str,
    packages: Vec<&'static str>,
    /// The directory that holds one directory for each recipe.
    store: &'static str,
    /// The link to the newest.
    link: &'static str,
}

impl Image {
    fn builder() -> Self {
        Self {
            name: "builder",
            packages: INSTANCE.iter().chain(BUILDER).copied().collect(),
            store: "images/builder",
            link: "images/builder/current",
        }
    }

    fn test_minimal() -> Self {
        Self {
            name: "test-minimal",
            packages: INSTANCE.to_vec(),
            store: "images/test-minimal.d",
            link: "images/test-minimal",
        }
    }

    fn digest(&self, codename: &str) -> String {
        let architecture = std::env::consts::ARCH;
        let recipe = format!(
            "{VERSION} {codename} {architecture} {:?} {UNPACKING:?} {RPM_MACROS}",
            self.packages
        );
        short_digest(recipe)
    }

    fn write_description(&self, dir: &Path, digest: &str, layers: &[&str]) -> Result<()> {
        let architecture = std::env::consts::ARCH;
        let text = json!({
            "name": format!("{}-{architecture}", self.name),
            "architecture": architecture,
            "layers": layers,
            "recipe": digest,
        });
        write_atomically(&dir.join(DESCRIPTION), format!("{text:#}\n").as_bytes())
    }
}

/// Makes whatever is missing of the images and the build root they carry. Quick when nothing is.
pub(crate) fn run(cache: &Cache) -> Result<()> {
    test_minimal(cache)?;
    builder(cache)?;
    Ok(())
}

/// The builder image's directory, made if it is missing.
pub(crate) fn builder(cache: &Cache) -> Result<PathBuf> {
    let image = Image::builder();
    let codename = apt::codename()?;
    let repository = microdistro::make(cache)?;
    let _lock = cache.lock("builder-image")?;
    let digest = image.digest(&codename);
    let dir = cache.path(image.store).join(&digest);
    if !dir.join("root").exists() {
        make_base(&image, &codename, &digest, &dir)?;
    }
    let layer = seed::make(&dir, &repository)?;
    let layers = [layer.as_str(), "root"];
    if !is_described(&dir, &layers) {
        image.write_description(&dir, &digest, &layers)?;
        prune(&dir, "roots-", &layer)?;
    }
    make_current(&cache.path(image.link), &digest)?;
    Ok(dir)
}

/// The small image that devcloud's own tests boot, made if it is missing.
pub(crate) fn test_minimal(cache: &Cache) -> Result<PathBuf> {
    let image = Image::test_minimal();
    let link = cache.path(image.link);
    // Whoever put a directory of their own there means it.
    if !link.is_symlink() && link.join(DESCRIPTION).exists() {
        return Ok(link);
    }
    let codename = apt::codename()?;
    let _lock = cache.lock("test-image")?;
    let digest = image.digest(&codename);
    let dir = cache.path(image.store).join(&digest);
    if !dir.exists() {
        make_base(&image, &codename, &digest, &dir)?;
    }
    if link.is_dir() && !link.is_symlink() {
        remove_tree(&link)?;
    }
    make_current(&link, &format!("test-minimal.d/{digest}"))?;
    Ok(link)
}

/// Whether the description of an image names these layers.
fn is_described(dir: &Path, layers: &[&str]) -> bool {
    let text = fs_err::read_to_string(dir.join(DESCRIPTION)).unwrap_or_default();
    serde_json::from_str(&text).is_ok_and(|known: Value| known.get("layers") == Some(&json!(layers)))
}

fn make_base(image: &Image, codename: &str, digest: &str, place: &Path) -> Result<()> {
    let step = Step::start(format!(
        "image {} ({} packages and what they need)",
        image.name,
        image.packages.len()
    ));
    let store = place.parent().context("an image without a store")?;
    let scratch = Scratch::beside(store)?;
    let log = store.join(format!("{digest}.log"));
    if log.exists() {
        fs_err::remove_file(&log)?;
    }
    let root = scratch.path().join("root");
    bootstrap(image, codename, &apt::archives(&log)?, &root, &log, &step)?;
    image.write_description(scratch.path(), digest, &["root"])?;
    scratch.keep_as(place)?;
    step.done(place.display().to_string());
    Ok(())
}

/// Runs mmdebstrap. Without root it works in a user namespace of its own and hands out an archive, which is unpacked
/// in ours: then the files belong to the same subordinate ids that devcloud uses.
fn bootstrap(
    image: &Image,
    codename: &str,
    archives: &[Archive],
    root: &Path,
    log: &Path,
    step: &Step,
) -> Result<()> {
    let archive = (!is_root()).then(|| root.with_extension("tar"));
    let place = match &archive {
        Some(archive) => (archive.as_path(), "unshare", "tar"),
        None => (root, "root", "directory"),
    };
    mmdebstrap(image, codename, archives, place).watch(log, |line| {
        if let Some(said) = line.strip_prefix("I: ").filter(|said| said.ends_with("...")) {
            step.note(said);
        }
    })?;
    if let Some(archive) = archive {
        fs_err::create_dir(root)?;
        // In a user namespace nobody may make devices; an instance gets those of its host.
        let unpack = Tool::in_namespace("tar").args(["--extract", "--exclude=./dev/*", "--file"]);
        unpack.arg(&archive).arg("--directory").arg(root).log(log)?;
        fs_err::remove_file(&archive)?;
    }
    Ok(())
}

/// The command that makes an image: where to, in which mode, in which format.
fn mmdebstrap(
    image: &Image,
    codename: &str,
    archives: &[Archive],
    (target, mode, format): (&Path, &str, &str),
) -> Tool {
    Tool::new("mmdebstrap")
        .args(["--variant=minbase", "--aptopt=APT::Install-Recommends \"false\""])
        .arg(format!("--mode={mode}"))
        .arg(format!("--format={format}"))
        .arg(format!("--include={}", image.packages.join(",")))
        .args(UNPACKING.iter().map(|option| format!("--dpkgopt={option}")))
        .args(hooks().iter().map(|hook| format!("--customize-hook={hook}")))
        .arg(codename)
        .arg(target)
        .args(archives.iter().map(|archive| archive.line("deb")))
}

/// Shell commands that change the root, which is their first argument, before it becomes an image: what belongs to one machine goes.
fn hooks() -> [String; 6] {
    [
        "rm -f \"$1\"/etc/ssh/ssh_host_* \"$1\"/etc/hostname".to_owned(),
        "mkdir -p \"$1\"/etc/rpm".to_owned(),
        format!("printf '%s' '{RPM_MACROS}' >\"$1\"/etc/rpm/macros.verdigris"),
        ": >\"$1\"/etc/machine-id".to_owned(),
        "rm -f \"$1\"/etc/resolv.conf; : >\"$1\"/etc/resolv.conf".to_owned(),
        "rm -rf \"$1\"/var/lib/apt/lists/* \"$1\"/var/cache/apt/*.bin \"$1\"/var/log/*.log \"$1\"/var/log/apt".to_owned(),
    ]
}

#[cfg(test)]
mod tests;
