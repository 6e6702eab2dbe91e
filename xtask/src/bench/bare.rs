//! The peer: the same source package built by rpmbuild alone, in the same chroot, with nothing around it.

use std::path::Path;

use anyhow::{Context as _, Result};

use crate::{
    cache::{Cache, Scratch},
    microdistro::CHROOT,
    process::Tool,
};

/// An overlay over the build root that the builder image carries, /proc and a few devices, and rpmbuild in a network
/// namespace of its own, as a user without rights. Prints the seconds that rpmbuild took. Arguments: the image, the root in its
/// layers, a directory to work in, the source package.
const SCRIPT: &str = r#"
image=$1 chroot=$2 work=$3 package=$4
base=$(find "$image" -maxdepth 6 -type d -path "*/usr/lib/verdigris/roots/$chroot" | sort | tail -n 1)
mkdir -p "$work/upper" "$work/work" "$work/root"
mount -t overlay overlay -o "lowerdir=$base,upperdir=$work/upper,workdir=$work/work" "$work/root"
cd "$work/root"
mkdir -p proc dev builddir
mount -t proc proc proc
for device in null zero random urandom; do : >"dev/$device"; mount --bind "/dev/$device" "dev/$device"; done
cp "$package" builddir/source.src.rpm
chown -R 1000:1000 builddir
start=$(date +%s%N)
unshare --net chroot --userspec=1000:1000 . env -i HOME=/builddir PATH=/usr/bin:/usr/sbin:/bin:/sbin \
  rpmbuild --define '_topdir /builddir' --rebuild /builddir/source.src.rpm >"$work/rpmbuild.log" 2>&1 \
  || { tail -n 20 "$work/rpmbuild.log" >&2; exit 1; }
echo $(( $(date +%s%N) - start ))
"#;

/// Seconds of one bare build.
pub(super) fn build(cache: &Cache, package: &Path) -> Result<f64> {
    // On the disk that the farm's builders work on, not in a temporary directory that may be memory.
    let scratch = Scratch::beside(&cache.path("bench"))?;
    let nanoseconds = Tool::in_namespace("sh")
        .args(["-euc", SCRIPT, "bare"])
        .arg(cache.path("images/builder/current").canonicalize()?)
        .arg(CHROOT)
        .arg(scratch.path())
        .arg(package)
        .output()
        .context("a bare rpmbuild in the chroot")?;
    let nanoseconds: f64 = nanoseconds
        .trim()
        .parse()
        .context("the bare build printed no time")?;
    Ok(nanoseconds / 1e9)
}
