//! The peer: the same source package built by rpmbuild alone, in the same chroot on the same builder, with nothing around it.

use std::path::Path;

use anyhow::{Context as _, Result};

use crate::{farm::Farm, microdistro::CHROOT};

/// An overlay over the build root that the builder carries, /proc and a few devices, and rpmbuild in a network namespace of
/// its own, as a user without rights. The source package is its standard input. Prints the nanoseconds that rpmbuild took, and
/// leaves nothing.
///
/// The environment is that of the farm's builds, which is mock's: in a locale with UTF-8 `configure` and what it calls take longer
/// than in the locale C, and may do something else.
const SCRIPT: &str = r#"
set -eu
work=$(mktemp -d /var/lib/verdigris/bare.XXXXXX)
mkdir "$work/upper" "$work/work" "$work/root"
mount -t overlay overlay -o "lowerdir=/usr/lib/verdigris/roots/CHROOT,upperdir=$work/upper,workdir=$work/work" "$work/root"
cd "$work/root"
mkdir -p proc dev builddir
mount -t proc proc proc
for device in null zero random urandom; do : >"dev/$device"; mount --bind "/dev/$device" "dev/$device"; done
cat >builddir/source.src.rpm
chown -R 61000:61000 builddir
start=$(date +%s%N)
unshare --net chroot --userspec=61000:61000 . env -i HOME=/builddir PATH=/usr/bin:/bin:/usr/sbin:/sbin \
  LANG=C.UTF-8 SHELL=/bin/bash TERM=vt100 USER=mockbuild LOGNAME=mockbuild HOSTNAME=builder \
  rpmbuild --define '_topdir /builddir' --rebuild /builddir/source.src.rpm >"$work/rpmbuild.log" 2>&1 \
  || { tail -n 20 "$work/rpmbuild.log" >&2; exit 1; }
echo $(( $(date +%s%N) - start ))
cd /
umount -R "$work/root"
rm -rf "$work"
"#;

/// Seconds of one bare build.
pub(super) fn build(farm: &Farm, package: &Path) -> Result<f64> {
    let nanoseconds = farm
        .on_a_ready_builder(&SCRIPT.replace("CHROOT", CHROOT), package)
        .context("a bare rpmbuild on a builder")?;
    seconds(&nanoseconds)
}

fn seconds(printed: &str) -> Result<f64> {
    let nanoseconds: f64 = printed
        .trim()
        .parse()
        .with_context(|| format!("the bare build printed no time, but {printed:?}"))?;
    Ok(nanoseconds / 1e9)
}

#[cfg(test)]
mod tests {
    use super::{CHROOT, SCRIPT, seconds};
    use crate::process::Tool;

    #[test]
    fn the_last_words_of_a_bare_build_are_its_time() {
        for (printed, expected) in [
            ("1500000000\n", Some(1.5)),
            ("0", Some(0.0)),
            ("", None),
            ("fast\n", None),
        ] {
            assert_eq!(seconds(printed).ok(), expected, "{printed}");
        }
    }

    #[test]
    fn the_shell_understands_the_script() {
        let script = SCRIPT.replace("CHROOT", CHROOT);
        Tool::new("sh").args(["-n", "-c", &script]).output().unwrap();
        assert!(script.contains("lowerdir=/usr/lib/verdigris/roots/microdistro-1-x86_64,"));
    }
}
