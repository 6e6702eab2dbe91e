//! From the hypervisor's file system to the machine's own root.
//!
//! This process sees the host's files at first, and an image may hold a link that leads to one of them. So what
//! the machine gets from outside is opened as detached mounts first, then the root is changed, and only then is
//! anything looked up or written in the image.

use std::{
    ffi::CString,
    fs,
    io::{self, Write as _},
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::fs::{OpenOptionsExt as _, PermissionsExt as _, symlink},
    },
    path::Path,
};

use rustix::{
    fs::{CWD, Mode},
    io::Errno,
    mount::{
        FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags,
        fsconfig_create, fsmount, fsopen, mount, mount_remount, move_mount, open_tree, unmount,
    },
    process::{chdir, pivot_root, umask},
    system::sethostname,
    thread::{CapabilitySet, remove_capability_from_bounding_set},
};

use crate::hypervisor::{Failure, protocol::InitConfig};

/// Devices that a machine has, where the host has them.
const DEVICES: &[&str] = &[
    "null", "zero", "full", "random", "urandom", "tty", "fuse", "net/tun",
];

/// What a machine's root may not do, because it is the host's kernel that would do it: devices it made would be the
/// host's disks, files it opened by handles of the file system the host's files.
const FORBIDDEN: &[CapabilitySet] = &[
    CapabilitySet::MKNOD,
    CapabilitySet::DAC_READ_SEARCH,
    CapabilitySet::SYS_MODULE,
    CapabilitySet::SYS_RAWIO,
    CapabilitySet::SYS_TIME,
    CapabilitySet::SYSLOG,
    CapabilitySet::MAC_ADMIN,
    CapabilitySet::MAC_OVERRIDE,
    CapabilitySet::AUDIT_CONTROL,
    CapabilitySet::BLOCK_SUSPEND,
    CapabilitySet::WAKE_ALARM,
    CapabilitySet::BPF,
    CapabilitySet::PERFMON,
];

/// The mounts that the machine gets from outside, opened before its root is changed.
struct PreparedMounts {
    proc: OwnedFd,
    /// Refused in some containers; the machine lives without.
    sys: Option<OwnedFd>,
    devices: Vec<(&'static str, OwnedFd)>,
    data: OwnedFd,
    verdigris: OwnedFd,
}

/// Changes to the machine's root and makes it fit for its programs.
pub(super) fn stand(config: &InitConfig) -> Result<(), Failure> {
    umask(Mode::from_raw_mode(0o022));
    let mounts = prepare(config).map_err(step("gather the machine's mounts"))?;
    let root = config.disk.join("root");
    mount_overlay(config, &root)?;
    change_root(&root).map_err(step("change to the machine's root"))?;
    mount_all(mounts, config.rootless)?;
    write_names(config).map_err(|error| Failure::step("write the machine's host name", error))?;
    if !config.rootless {
        for capability in FORBIDDEN {
            match remove_capability_from_bounding_set(*capability) {
                // The kernel is older than the capability.
                Ok(()) | Err(Errno::INVAL) => {}
                Err(errno) => return Err(Failure::step("give up capabilities", errno)),
            }
        }
    }
    Ok(())
}

fn step(what: &'static str) -> impl Fn(Errno) -> Failure {
    move |errno| Failure::step(what, errno)
}

fn prepare(config: &InitConfig) -> rustix::io::Result<PreparedMounts> {
    let quiet = MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    let mut devices = Vec::new();
    for name in DEVICES {
        match take(&Path::new("/dev").join(name)) {
            Ok(device) => devices.push((*name, device)),
            Err(Errno::NOENT | Errno::NOTDIR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(PreparedMounts {
        proc: make("proc", quiet)?,
        sys: make("sysfs", quiet | MountAttrFlags::MOUNT_ATTR_RDONLY).ok(),
        devices,
        data: take(&config.disk.join("data"))?,
        verdigris: take(&config.disk.join("verdigris"))?,
    })
}

/// A detached bind mount of a path.
fn take(path: &Path) -> rustix::io::Result<OwnedFd> {
    open_tree(
        CWD,
        path,
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC,
    )
}

/// A detached mount of a kernel's file system.
fn make(kind: &str, attributes: MountAttrFlags) -> rustix::io::Result<OwnedFd> {
    let context = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_create(context.as_fd())?;
    fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes)
}

fn mount_overlay(config: &InitConfig, root: &Path) -> Result<(), Failure> {
    let failure = |reason: String| Failure::step("mount the machine's disk over its image", reason);
    for layer in &config.layers {
        if !layer.is_dir() {
            return Err(failure(format!(
                "the layer {} is not a directory",
                layer.display()
            )));
        }
    }
    let layers: Vec<_> = config
        .layers
        .iter()
        .map(|layer| layer.to_string_lossy())
        .collect();
    let disk = config.disk.to_string_lossy();
    let mut options = format!(
        "lowerdir={},upperdir={disk}/upper,workdir={disk}/work",
        layers.join(":")
    );
    if config.rootless {
        options.push_str(",userxattr");
    }
    // The kernel takes a page of options.
    if options.len() > 4000 {
        return Err(failure(
            "the paths of the layers are longer than 4000 bytes together".to_owned(),
        ));
    }
    let options = CString::new(options).map_err(|error| failure(error.to_string()))?;
    // A predecessor's mount of the same disk can be a moment longer in the kernel than its last process.
    let mut result = Ok(());
    crate::hypervisor::cgroup::wait_until(std::time::Duration::from_secs(2), || {
        result = mount(
            "overlay",
            root,
            "overlay",
            MountFlags::NODEV,
            Some(options.as_c_str()),
        );
        !matches!(result, Err(Errno::BUSY))
    });
    result.map_err(|errno| failure(errno.to_string()))
}

fn change_root(root: &Path) -> rustix::io::Result<()> {
    chdir(root)?;
    // The old root ends on top of the new one, where it needs no directory, and is taken off.
    pivot_root(".", ".")?;
    unmount(".", UnmountFlags::DETACH)?;
    chdir("/")
}

fn mount_all(mounts: PreparedMounts, rootless: bool) -> Result<(), Failure> {
    let quiet = MountFlags::NOSUID | MountFlags::NODEV;
    place(&mounts.proc, "/proc")?;
    if let Some(sys) = &mounts.sys {
        place(sys, "/sys")?;
    }
    tmpfs(
        "/dev",
        MountFlags::NOSUID | MountFlags::NOEXEC,
        c"mode=755,size=4m",
    )?;
    for (name, device) in &mounts.devices {
        let target = Path::new("/dev").join(name);
        let made = target
            .parent()
            .map_or(Ok(()), fs::create_dir_all)
            .and_then(|()| fs::write(&target, ""));
        made.map_err(|error| Failure::step(format!("make {}", target.display()), error))?;
        attach(device, &target.to_string_lossy())?;
    }
    directory("/dev/pts")?;
    mount(
        "devpts",
        "/dev/pts",
        "devpts",
        MountFlags::NOSUID | MountFlags::NOEXEC,
        Some(c"newinstance,ptmxmode=0666,mode=620"),
    )
    .map_err(|errno| Failure::step("mount /dev/pts", errno))?;
    for (target, link) in [
        ("pts/ptmx", "/dev/ptmx"),
        ("/proc/self/fd", "/dev/fd"),
        ("/proc/self/fd/0", "/dev/stdin"),
        ("/proc/self/fd/1", "/dev/stdout"),
        ("/proc/self/fd/2", "/dev/stderr"),
    ] {
        symlink(target, link).map_err(|error| Failure::step(format!("make {link}"), error))?;
    }
    tmpfs("/dev/shm", quiet, c"mode=1777")?;
    tmpfs("/run", quiet, c"mode=755")?;
    directory("/run/lock")?;
    // A plain directory of the host: an overlay cannot be the upper of another overlay.
    for (tree, target) in [(&mounts.data, "/data"), (&mounts.verdigris, "/var/lib/verdigris")] {
        place(tree, target)?;
        // In a user namespace the kernel opens no devices anyway, and lets no flags of the host's mount be changed.
        if !rootless {
            mount_remount(target, MountFlags::BIND | MountFlags::NODEV, "")
                .map_err(|errno| Failure::step(format!("mount {target} without devices"), errno))?;
        }
    }
    Ok(())
}

fn tmpfs(target: &str, flags: MountFlags, options: &std::ffi::CStr) -> Result<(), Failure> {
    directory(target)?;
    mount("tmpfs", target, "tmpfs", flags, Some(options))
        .map_err(|errno| Failure::step(format!("mount {target}"), errno))
}

fn place(tree: &OwnedFd, target: &str) -> Result<(), Failure> {
    directory(target)?;
    attach(tree, target)
}

fn attach(tree: &OwnedFd, target: &str) -> Result<(), Failure> {
    move_mount(tree, "", CWD, target, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
        .map_err(|errno| Failure::step(format!("mount {target}"), errno))
}

fn directory(path: &str) -> Result<(), Failure> {
    fs::create_dir_all(path).map_err(|error| Failure::step(format!("make {path}"), error))
}

/// The machine's name, to itself and to its programs.
fn write_names(config: &InitConfig) -> io::Result<()> {
    let name = &config.host_name;
    sethostname(name.as_bytes())?;
    write_file(Path::new("/etc/hostname"), 0o644, format!("{name}\n").as_bytes())?;
    write_file(Path::new("/etc/hosts"), 0o644, hosts(config).as_bytes())?;
    // Where there is no name server none is named: one that cannot be reached costs dnf ten seconds a call.
    let resolver = config
        .name_server
        .map(|address| format!("nameserver {address}\n"))
        .unwrap_or_default();
    write_file(Path::new("/etc/resolv.conf"), 0o644, resolver.as_bytes())
}

/// The machine's `/etc/hosts`: itself, by its whole name first and by its first label.
fn hosts(config: &InitConfig) -> String {
    let name = &config.host_name;
    let names = match name.split_once('.') {
        Some((short, _)) => format!("{name} {short}"),
        None => name.clone(),
    };
    format!("127.0.0.1 localhost\n{} {names}\n", config.private_address)
}

/// Puts a whole new file in the place of whatever was there, a link included.
pub(super) fn write_file(path: &Path, mode: u32, content: &[u8]) -> io::Result<()> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    let mut name = path.as_os_str().to_owned();
    name.push(".verdigris-new");
    let temporary = Path::new(&name);
    let mut file = fs::OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(mode)
        .open(temporary)?;
    file.set_permissions(fs::Permissions::from_mode(mode))?;
    file.write_all(content)?;
    fs::rename(temporary, path)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn a_machine_knows_itself_by_its_whole_name_and_its_short_one() {
        for (name, line) in [
            ("builder", "10.88.1.7 builder"),
            (
                "ip-10-88-1-7.ec2.internal",
                "10.88.1.7 ip-10-88-1-7.ec2.internal ip-10-88-1-7",
            ),
        ] {
            let config = InitConfig {
                instance_id: "i-12345678".to_owned(),
                host_name: name.to_owned(),
                private_address: [10, 88, 1, 7].into(),
                layers: Vec::new(),
                disk: PathBuf::new(),
                rootless: false,
                name_server: None,
                other_host_key: false,
                host_key_changes: false,
            };
            assert_eq!(hosts(&config), format!("127.0.0.1 localhost\n{line}\n"));
        }
    }

    #[test]
    fn a_file_replaces_a_link_and_leaves_what_the_link_led_to() {
        let directory = tempfile::tempdir().unwrap();
        let (host, inside) = (
            directory.path().join("host"),
            directory.path().join("etc/ssh/key"),
        );
        fs::write(&host, "untouched").unwrap();
        fs::create_dir_all(inside.parent().unwrap()).unwrap();
        symlink(&host, &inside).unwrap();
        write_file(&inside, 0o600, b"new").unwrap();
        assert_eq!(fs::read_to_string(&host).unwrap(), "untouched");
        assert!(!fs::symlink_metadata(&inside).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(&inside).unwrap(), "new");
    }

    #[test]
    fn a_file_has_its_mode_whatever_was_there_and_brings_its_directories() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a/b/key");
        for (mode, content) in [(0o600, "secret"), (0o644, "public, and longer"), (0o700, "s")] {
            write_file(&path, mode, content.as_bytes()).unwrap();
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, mode);
            assert_eq!(fs::read_to_string(&path).unwrap(), content);
        }
        let left = fs::read_dir(path.parent().unwrap()).unwrap().count();
        assert_eq!(left, 1, "nothing temporary stays");
    }
}
