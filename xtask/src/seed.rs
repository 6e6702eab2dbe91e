//! A build root made once and carried by the builder image, as mock's root cache is: the first build on a new builder
//! lays an overlay over it, instead of installing a hundred packages. It is made by the image's own dnf, in the image, so that it is what a builder
//! would make itself. The builder uses it only while the base repository is the one it was made from: the digest of `repomd.xml` in the note says so.

use std::path::Path;

use anyhow::Result;
use serde_json::json;

use crate::cache::{Scratch, sha256, sha256_file};
use crate::microdistro;
use crate::process::Tool;
use crate::progress::Step;

/// Raised by hand when the code here makes another root out of the same repository.
const VERSION: u32 = 1;

/// Where the roots are in an instance.
const ROOTS: &str = "usr/lib/verdigris/roots";

/// The name of the note in the root: a builder compares what it says before it uses the root.
const NOTE: &str = ".verdigris-root.json";

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
    let layer = layer_of(&repomd);
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

/// The name of the layer that is made out of a repository.
pub(crate) fn layer_of(repomd: &str) -> String {
    let digest = sha256(format!("{VERSION} {repomd} {SCRIPT}"));
    format!("roots-{}", digest.chars().take(12).collect::<String>())
}

/// Says what a root was made of. The root belongs to the subordinate ids, where the caller is not the administrator.
fn write_note(root: &Path, repomd: &str, log: &Path) -> Result<()> {
    let note = json!({
        "chroot": microdistro::CHROOT,
        "repomd_sha256": repomd,
        "packages": [microdistro::GROUP],
    });
    let write = Tool::in_namespace("sh").args(["-euc", r#"printf '%s\n' "$1" >"$2""#, "note"]);
    write.arg(note.to_string()).arg(root.join(NOTE)).log(log)
}

/// How many packages have left their licence in the root: a cheap proof that it is one.
fn count_packages(root: &Path) -> Result<usize> {
    Ok(fs_err::read_dir(root.join("usr/share/doc"))?.count())
}

#[cfg(test)]
mod tests {
    use super::{Path, SCRIPT, Tool, layer_of, write_note};
    use crate::workspace;

    #[test]
    fn another_repository_makes_another_layer() {
        assert_eq!(layer_of("abc"), layer_of("abc"));
        assert_ne!(layer_of("abc"), layer_of("abd"));
        let digits = layer_of("abc");
        let digits = digits.strip_prefix("roots-").unwrap();
        assert!(
            digits.len() == 12 && digits.chars().all(|c| c.is_ascii_hexdigit()),
            "{digits}"
        );
    }

    #[test]
    fn the_builder_takes_the_root_that_the_note_describes() {
        let root = tempfile::tempdir().unwrap();
        let digest = "0123456789abcdef";
        write_note(root.path(), digest, Path::new("/dev/null")).unwrap();
        // The builder's own code reads it.
        let script = "import sys; from verdigris_builder import roots; print(roots.matches(sys.argv[1], \
                      {'chroot': sys.argv[2], 'repomd_sha256': {'base': sys.argv[3]}, 'packages': [sys.argv[4]]}))";
        for (chroot, repomd, group, matches) in [
            ("microdistro-1-x86_64", digest, "microdistro-buildroot", "True\n"),
            ("microdistro-2-x86_64", digest, "microdistro-buildroot", "False\n"),
            (
                "microdistro-1-x86_64",
                "fedcba",
                "microdistro-buildroot",
                "False\n",
            ),
            ("microdistro-1-x86_64", digest, "gcc", "False\n"),
        ] {
            let said = Tool::new("/usr/bin/python3")
                .args(["-c", script])
                .arg(root.path())
                .args([chroot, repomd, group])
                .dir(&workspace::root().unwrap().join("provision-files/builder"))
                .output();
            assert_eq!(said.unwrap(), matches, "{chroot} {repomd} {group}");
        }
    }

    #[test]
    fn the_shell_understands_the_script() {
        Tool::new("sh").args(["-n", "-c", SCRIPT]).output().unwrap();
    }
}
