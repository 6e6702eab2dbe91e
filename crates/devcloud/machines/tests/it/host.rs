//! What tests of real machines need of this host, and what they look for on it. The tests of the package devcloud use this
//! file too.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The directory of `cargo xtask setup`, `image` and their kin.
pub(crate) fn cache() -> PathBuf {
    let set = |name| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    set("VERDIGRIS_CACHE")
        .or_else(|| set("XDG_CACHE_HOME").map(|path| path.join("verdigris")))
        .or_else(|| set("HOME").map(|path| path.join(".cache/verdigris")))
        .expect("HOME or VERDIGRIS_CACHE is set")
}

/// A new login key in a directory.
pub(crate) fn make_key(directory: &Path, name: &str) -> PathBuf {
    let key = directory.join(name);
    let status = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-f"])
        .arg(&key)
        .status();
    assert!(
        status
            .expect("ssh-keygen is there: run `cargo xtask setup`")
            .success()
    );
    key
}

/// Fails with what is missing when this user cannot make machines.
pub(crate) fn require_machines() {
    let user = rustix::process::geteuid();
    if user.is_root() {
        return;
    }
    let names = Command::new("id")
        .arg("-un")
        .output()
        .expect("`id` is there")
        .stdout;
    let (name, number) = (
        String::from_utf8_lossy(&names).trim().to_owned(),
        user.as_raw().to_string(),
    );
    for file in ["/etc/subuid", "/etc/subgid"] {
        let text = fs::read_to_string(file).unwrap_or_default();
        let mut owners = text.lines().filter_map(|line| line.split(':').next());
        assert!(
            owners.any(|owner| owner == name || owner == number),
            "this test makes machines: run it as root, or give {name} a range of ids in {file}, \
             as by `usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {name}`"
        );
    }
}

/// Every process that has a file or a mount below a state directory: the hypervisor (its log), the machines'
/// processes (their root, their console).
pub(crate) fn processes_of(state_dir: &Path) -> Vec<String> {
    let marker = state_dir.to_string_lossy().into_owned();
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let path = entry.path();
        if !entry
            .file_name()
            .to_string_lossy()
            .bytes()
            .all(|byte| byte.is_ascii_digit())
        {
            continue;
        }
        // A process may end while it is looked at.
        let mounts = fs::read_to_string(path.join("mountinfo")).unwrap_or_default();
        let mut files = fs::read_dir(path.join("fd")).into_iter().flatten().flatten();
        let holds = |path: &Path| fs::read_link(path).is_ok_and(|file| file.starts_with(state_dir));
        if mounts.contains(&marker) || files.any(|file| holds(&file.path())) {
            let command = fs::read(path.join("cmdline")).unwrap_or_default();
            found.push(String::from_utf8_lossy(&command).replace('\0', " "));
        }
    }
    found
}

/// Kills the hypervisor process itself, as the kernel does when memory runs out.
pub(crate) fn kill_hypervisor(state_dir: &Path) {
    let pid = hypervisor_process(state_dir);
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

/// The hypervisor process of a state directory.
pub(crate) fn hypervisor_process(state_dir: &Path) -> rustix::process::Pid {
    let log = state_dir.join("hypervisor.log");
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let status = fs::read_to_string(entry.path().join("status")).unwrap_or_default();
        let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
        // Tools that it has just started write to its log, too, but are not process 1 of its namespace.
        let first = numbers.is_some_and(|numbers| numbers.split_whitespace().next_back() == Some("1"));
        let ours = fs::read_link(entry.path().join("fd/2")).is_ok_and(|file| file == log);
        if ours && first {
            let pid = entry.file_name().to_string_lossy().parse().unwrap();
            found.push(rustix::process::Pid::from_raw(pid).unwrap());
        }
    }
    assert_eq!(found.len(), 1, "the hypervisor process was found");
    found[0]
}

/// The control groups of a cloud, in all hierarchies.
pub(crate) fn groups_of(cloud_id: &str) -> Vec<PathBuf> {
    let name = format!("verdigris-devcloud.{cloud_id}");
    ["", "unified", "memory", "pids"]
        .iter()
        .map(|tree| Path::new("/sys/fs/cgroup").join(tree).join(&name))
        .filter(|path| path.exists())
        .collect()
}
