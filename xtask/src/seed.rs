//! A build root made once and carried by the builder image, as mock's root cache is: the first build on a new builder
//! lays an overlay over it, instead of installing a hundred packages. It is made by the image's own dnf, in the image, so that it is what a builder
//! would make itself. The builder uses it only while the base repository is the one it was made from: the digest of `repomd.xml` in the note says so.

use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::cache::{Scratch, sha256_file};
use crate::microdistro;
use crate::process::{Tool, is_root};
use crate::progress::Step;

/// Raised by hand when the code here makes another root out of the same repository.
const VERSION: u32 = 1;

/// Where the roots are in an instance.
const ROOTS: &str = "usr/lib/verdigris/roots";

/// The note's name in the root.
const NOTE: &str = ".verdigris-root.json";

/// What a builder compares before it uses a root.
#[derive(Debug, Serialize, Deserialize)]
struct Note<'a> {
    chroot: &'a str,
    repomd_sha256: &'a str,
    packages: Vec<&'a str>,
}

/// Makes the layer in a mount namespace of its own. Arguments: the base layer, the repository, the layer to fill, a
/// directory to work in, the root's path in the instance, the packages. dnf wants /proc and some devices.
const SCRIPT: &str = r#"
base=$1 repository=$2 layer=$3 work=$4 path=$5; shift 5
mkdir -p "$work/upper" "$work/work" "$work/root" "$layer/$path"
mount -t overlay overlay -o "lowerdir=$base,upperdir=$work/upper,workdir=$work/work" "$work/root"
cd "$work/root"
mkdir -p "$path" run/repository
mount --bind "$layer/$path" "$path"
mount --bind "$repository" run/repository
mount -t proc proc proc
for device in null zero random urandom; do : >"dev/$device"; mount --bind "/dev/$device" "dev/$device"; done
printf '%s\n' '[main]' 'plugins=0' 'reposdir=/dev/null' 'install_weak_deps=0' 'gpgcheck=0' 'cachedir=/run/dnf' \
  '[base]' 'name=base' 'baseurl=file:///run/repository' >run/dnf.conf
chroot . dnf -y -q -c /run/dnf.conf --releasever=1 --installroot="/$path" install "$@"
chroot "$path" /sbin/ldconfig
rm -rf "$path/var/cache/dnf" "$path"/var/log/dnf* "$path"/var/log/hawkey* "$path/var/lib/dnf"
"#;

/// Makes the layer with the micro-distribution's build root in the image's directory, if it is missing; its name.
pub(crate) fn make(image: &Path, repository: &Path) -> Result<String> {
    let repomd = sha256_file(&repository.join("repodata/repomd.xml"))?;
    let digest = crate::cache::sha256(format!("{VERSION} {repomd} {SCRIPT}"));
    let layer = format!("roots-{}", digest.chars().take(12).collect::<String>());
    let place = image.join(&layer);
    if place.exists() {
        return Ok(layer);
    }
    let step = Step::start(format!(
        "build root of {} for the builder image",
        microdistro::CHROOT
    ));
    let scratch = Scratch::beside(image)?;
    let log = image.join("roots.log");
    let made = scratch.path().join("layer");
    // Another scratch directory than the one that is kept: it holds the overlay's upper directory.
    let work = scratch.path().join("work");
    fs_err::create_dir(&made)?;
    fs_err::create_dir(&work)?;
    let path = format!("{ROOTS}/{}", microdistro::CHROOT);
    Tool::in_namespace("sh")
        .args(["-euc", SCRIPT, "seed"])
        .args([&image.join("root"), repository, &made, &work])
        .arg(&path)
        .arg(microdistro::GROUP)
        .log(&log)?;
    write_note(&made.join(&path), &repomd, &log)?;
    fs_err::rename(&made, &place)?;
    let packages = count_packages(&place.join(&path))?;
    step.done(format!("{packages} packages in {}", place.display()));
    Ok(layer)
}

fn write_note(root: &Path, repomd: &str, log: &Path) -> Result<()> {
    let note = Note {
        chroot: microdistro::CHROOT,
        repomd_sha256: repomd,
        packages: vec![microdistro::GROUP],
    };
    let text = serde_json::to_string(&note).context("a note that is no JSON")?;
    let file = root.join(NOTE);
    if is_root() {
        fs_err::write(file, format!("{text}\n"))?;
    } else {
        // The root belongs to the subordinate ids.
        let write = Tool::in_namespace("sh").args(["-euc", r#"printf '%s\n' "$1" >"$2""#, "note"]);
        write.arg(text).arg(file).log(log)?;
    }
    Ok(())
}

/// How many packages have left their licence in the root: a cheap proof that it is one.
fn count_packages(root: &Path) -> Result<usize> {
    Ok(fs_err::read_dir(root.join("usr/share/doc"))?.count())
}
