//! A layer of an image from the disk of a machine: what the machine wrote over its own image.

use std::{
    fs, io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use rustix::{
    fs::{AtFlags, CWD, Dir, Mode, OFlags, openat, unlinkat},
    io::Errno,
};

use super::context::discard;
use crate::hypervisor::{Failure, launch::IMAGES};

/// The name of the layer in the image's directory.
pub(crate) const LAYER: &str = "root";

/// Where an image's directory is.
pub(super) fn directory(state_dir: &Path, image: &str) -> Result<PathBuf, Failure> {
    let plain = (1..=64).contains(&image.len())
        && image
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if !plain {
        return Err(Failure::InvalidSpec {
            field: "image".to_owned(),
            reason: format!("{image:?} is not letters, digits and dashes"),
        });
    }
    Ok(state_dir.join(IMAGES).join(image))
}

/// Copies what a disk has over its image to a layer in `directory`. One that is there already stays only until the new one is
/// whole.
pub(super) fn copy(upper: &Path, directory: &Path) -> Result<(), Failure> {
    let failure = |error: &dyn std::fmt::Display| Failure::step("copy the machine's disk", error);
    let new = directory.with_extension("new");
    let copied = remove(&new)
        .and_then(|()| fs::create_dir_all(&new))
        .map_err(|error| failure(&error))
        .and_then(|()| copy_tree(upper, &new.join(LAYER)))
        .and_then(|()| forget_host_keys(&new.join(LAYER)).map_err(|errno| failure(&errno)))
        .and_then(|()| {
            remove(directory)
                .and_then(|()| fs::rename(&new, directory))
                .map_err(|error| failure(&error))
        });
    if copied.is_err() {
        discard(new);
    }
    copied
}

/// Removes an image's layer. Nothing happens when it is not there.
pub(super) fn remove(directory: &Path) -> io::Result<()> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// With `cp`, which knows owners, times, holes, hard links, and the marks of the overlay: nodes and attributes for what was
/// removed.
fn copy_tree(from: &Path, to: &Path) -> Result<(), Failure> {
    let output = Command::new("cp")
        .args(["--archive", "--reflink=auto", "--no-target-directory", "--"])
        .args([from, to])
        .stdin(Stdio::null())
        .output()
        .map_err(|error| Failure::step("run cp", error))?;
    if output.status.success() {
        return Ok(());
    }
    let reason = String::from_utf8_lossy(&output.stderr);
    let line = reason.lines().next().unwrap_or("it says nothing").to_owned();
    Err(Failure::step("copy the machine's disk", line))
}

/// Host keys are a machine's own: those of its image would be the same for all.
fn forget_host_keys(layer: &Path) -> rustix::io::Result<()> {
    let open = |directory: &OwnedFd, name: &str| {
        // The machine may have put a link in the way.
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::RDONLY | OFlags::CLOEXEC;
        openat(directory, name, flags, Mode::empty())
    };
    let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
    let root = openat(CWD, layer, flags, Mode::empty())?;
    let ssh = match open(&root, "etc").and_then(|etc| open(&etc, "ssh")) {
        Ok(ssh) => ssh,
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(()),
        Err(errno) => return Err(errno),
    };
    for entry in Dir::read_from(&ssh)? {
        let entry = entry?;
        if entry.file_name().to_bytes().starts_with(b"ssh_host_") {
            unlinkat(&ssh, entry.file_name(), AtFlags::empty())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_layer_has_what_the_disk_has_but_no_host_keys_and_replaces_an_older_one() {
        let scene = tempfile::tempdir().unwrap();
        let upper = scene.path().join("upper");
        fs::create_dir_all(upper.join("etc/ssh")).unwrap();
        for (file, text) in [
            ("etc/ssh/ssh_host_ed25519_key", "secret"),
            ("etc/ssh/ssh_host_ed25519_key.pub", "public"),
            ("etc/ssh/sshd_config", "kept"),
            ("etc/motd", "hello"),
        ] {
            fs::write(upper.join(file), text).unwrap();
        }
        symlink("/etc/shadow", upper.join("link")).unwrap();
        let image = directory(scene.path(), "ami-00000001").unwrap();
        fs::create_dir_all(image.join(LAYER)).unwrap();
        fs::write(image.join(LAYER).join("old"), "").unwrap();
        copy(&upper, &image).unwrap();

        let layer = image.join(LAYER);
        let mut left: Vec<_> = fs::read_dir(layer.join("etc/ssh"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        left.sort();
        assert_eq!(left, ["sshd_config"]);
        assert_eq!(fs::read_to_string(layer.join("etc/motd")).unwrap(), "hello");
        assert_eq!(
            fs::read_link(layer.join("link")).unwrap(),
            Path::new("/etc/shadow")
        );
        assert!(!layer.join("old").exists());
        assert!(!image.with_extension("new").exists());
        assert!(
            upper.join("etc/ssh/ssh_host_ed25519_key").exists(),
            "the disk stays"
        );
        remove(&image).unwrap();
        remove(&image).unwrap();
        assert!(!image.exists());
    }

    #[test]
    fn a_link_in_the_way_to_host_keys_leads_nowhere() {
        let scene = tempfile::tempdir().unwrap();
        let host = scene.path().join("host");
        fs::create_dir_all(host.join("ssh")).unwrap();
        fs::write(host.join("ssh/ssh_host_rsa_key"), "the host's").unwrap();
        for link in ["etc", "etc/ssh"] {
            let upper = scene.path().join(link.replace('/', "-"));
            let place = upper.join(link);
            fs::create_dir_all(place.parent().unwrap()).unwrap();
            let target = if link == "etc" {
                host.clone()
            } else {
                host.join("ssh")
            };
            symlink(target, place).unwrap();
            copy(&upper, &scene.path().join("image")).unwrap();
            assert!(host.join("ssh/ssh_host_rsa_key").exists(), "{link}");
        }
    }

    #[test]
    fn what_cannot_be_copied_leaves_nothing_and_a_bad_name_is_refused() {
        let scene = tempfile::tempdir().unwrap();
        let image = scene.path().join("image");
        copy(&scene.path().join("absent"), &image).unwrap_err();
        assert!(!image.exists());
        for bad in ["", ".", "..", "a/b", "../a", "a b", &"a".repeat(65)] {
            assert!(directory(scene.path(), bad).is_err(), "{bad:?}");
        }
    }
}
