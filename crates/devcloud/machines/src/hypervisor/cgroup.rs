//! Control groups of machines: one per machine below one per cloud, in the version 2 tree and, where a controller
//! lives in version 1, in its hierarchy too.
//!
//! They are the one thing of a machine that the kernel does not take away with the hypervisor process. That process
//! makes them and removes them at its end. When it is killed they stay, empty, until the next hypervisor on this host
//! sweeps: it finds the owner of a cloud's groups gone by the lock that a living one holds on their directory.
//! Where no hierarchy is writable machines run without.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use rustix::{
    fs::{FlockOperation, flock},
    process::{Pid, Signal, kill_process},
};

/// How long the kernel may take to let an emptied group go.
const REMOVAL_PATIENCE: Duration = Duration::from_secs(3);

/// How long a sweep that is under way may hold a group's lock.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);

/// What the names of clouds' groups begin with. Groups of versions that took no lock are named `verdigris-devcloud-`:
/// nobody can say whether their owners live, so they are left alone.
const PREFIX: &str = "verdigris-devcloud.";

/// A controller that limits machines, by its name and the file that holds its limit in either version.
struct Controller {
    name: &'static str,
    version1: &'static str,
    version2: &'static str,
}

const MEMORY: Controller = Controller {
    name: "memory",
    version1: "memory.limit_in_bytes",
    version2: "memory.max",
};

const PROCESSES: Controller = Controller {
    name: "pids",
    version1: "pids.max",
    version2: "pids.max",
};

/// The group of one cloud in one hierarchy. It is its owner's for as long as the lock is held.
#[derive(Clone, Debug)]
struct CloudGroup {
    path: PathBuf,
    _lock: Arc<File>,
}

/// The hierarchies that this cloud's groups are in.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hierarchies {
    /// The cloud's group in the version 2 tree.
    unified: Option<CloudGroup>,
    memory: Limited,
    processes: Limited,
}

/// Where a controller's limits are enforced.
#[derive(Clone, Debug, Default)]
enum Limited {
    #[default]
    Nowhere,
    /// In the version 2 tree.
    Unified,
    /// In a version 1 hierarchy of its own, where this is the cloud's group.
    Own(CloudGroup),
}

impl Limited {
    fn own(&self) -> Option<&CloudGroup> {
        match self {
            Self::Own(group) => Some(group),
            Self::Nowhere | Self::Unified => None,
        }
    }
}

/// The groups of one machine.
#[derive(Clone, Debug, Default)]
pub(crate) struct Groups {
    unified: Option<PathBuf>,
    memory: Option<PathBuf>,
    processes: Option<PathBuf>,
}

/// What a machine may use at most.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Limits {
    pub(crate) memory_bytes: Option<u64>,
    pub(crate) processes: Option<u32>,
}

/// The name of the cloud's group.
fn cloud_group(cloud_id: &str) -> String {
    format!("{PREFIX}{cloud_id}")
}

/// Where the version 2 tree is mounted: alone, or beside version 1.
fn unified_root() -> Option<PathBuf> {
    ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"]
        .map(PathBuf::from)
        .into_iter()
        .find(|root| root.join("cgroup.procs").exists() && root.join("cgroup.controllers").exists())
}

/// Where a controller's version 1 hierarchy is mounted, if that is where the controller lives.
fn own_root(controller: &Controller) -> Option<PathBuf> {
    let root = Path::new("/sys/fs/cgroup").join(controller.name);
    // The root group of `pids` has no limit, so its tasks file tells the version.
    root.join("tasks").exists().then_some(root)
}

fn roots() -> impl Iterator<Item = PathBuf> {
    let own = [&MEMORY, &PROCESSES].into_iter().filter_map(own_root);
    unified_root().into_iter().chain(own)
}

impl CloudGroup {
    /// Makes the cloud's group in a hierarchy and takes it for this process. `None` where that is not allowed.
    fn make(root: &Path, cloud_id: &str) -> Option<Self> {
        let path = root.join(cloud_group(cloud_id));
        let deadline = Instant::now() + LOCK_PATIENCE;
        loop {
            if !make_group(&path) {
                return None;
            }
            if let Some(lock) = take(&path) {
                return Some(Self {
                    path,
                    _lock: Arc::new(lock),
                });
            }
            if Instant::now() >= deadline {
                tracing::warn!(path = %path.display(), "Machines run without this control group: another process holds it.");
                return None;
            }
            thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Takes the lock of a cloud's group. `None` when its owner lives, or when it was swept away meanwhile.
fn take(path: &Path) -> Option<File> {
    let directory = File::open(path).ok()?;
    flock(&directory, FlockOperation::NonBlockingLockExclusive).ok()?;
    let (locked, found) = (directory.metadata().ok()?, fs::metadata(path).ok()?);
    ((locked.dev(), locked.ino()) == (found.dev(), found.ino())).then_some(directory)
}

impl Hierarchies {
    /// Makes the cloud's groups where that is allowed.
    pub(crate) fn make(cloud_id: &str) -> Self {
        let unified = unified_root().and_then(|root| CloudGroup::make(&root, cloud_id));
        let limited = |controller: &Controller| {
            let handed_down = unified.as_ref().is_some_and(|group| {
                // Fails where the controller is not of this tree, or is not handed down to this group.
                let wanted = format!("+{}", controller.name);
                write(&group.path.join("cgroup.subtree_control"), &wanted).is_ok()
            });
            if handed_down {
                return Limited::Unified;
            }
            own_root(controller)
                .and_then(|root| CloudGroup::make(&root, cloud_id))
                .map_or(Limited::Nowhere, Limited::Own)
        };
        Self {
            memory: limited(&MEMORY),
            processes: limited(&PROCESSES),
            unified,
        }
    }

    /// Whether a machine's memory limit is enforced.
    pub(crate) fn limits_memory(&self) -> bool {
        !matches!(self.memory, Limited::Nowhere)
    }

    /// Whether a machine's number of processes is.
    pub(crate) fn limits_processes(&self) -> bool {
        !matches!(self.processes, Limited::Nowhere)
    }

    /// Whether machines can be frozen.
    pub(crate) fn can_freeze(&self) -> bool {
        self.unified.is_some()
    }

    /// Makes the groups of one machine and sets its limits. What of it fails is logged and left out.
    pub(crate) fn make_machine(&self, id: &str, limits: Limits) -> Groups {
        let make = |cloud: Option<&CloudGroup>| {
            cloud
                .map(|cloud| cloud.path.join(id))
                .filter(|path| make_group(path))
        };
        let groups = Groups {
            unified: make(self.unified.as_ref()),
            memory: make(self.memory.own()),
            processes: make(self.processes.own()),
        };
        let set = |controller: &Controller, limited: &Limited, own: &Option<PathBuf>, value: u64| {
            let file = match limited {
                Limited::Nowhere => return,
                Limited::Unified => groups
                    .unified
                    .as_ref()
                    .map(|group| group.join(controller.version2)),
                Limited::Own(_) => own.as_ref().map(|group| group.join(controller.version1)),
            };
            if let Some(file) = file
                && let Err(error) = write(&file, &value.to_string())
            {
                let name = controller.name;
                tracing::warn!(id, name, value, %error, "A limit of the machine could not be set.");
            }
        };
        if let Some(bytes) = limits.memory_bytes {
            set(&MEMORY, &self.memory, &groups.memory, bytes);
        }
        if let Some(processes) = limits.processes {
            set(
                &PROCESSES,
                &self.processes,
                &groups.processes,
                u64::from(processes),
            );
        }
        groups
    }

    /// Ends what still runs in the cloud's groups and removes them.
    pub(crate) fn remove(&self) {
        for group in self.groups() {
            remove_cloud(&group.path);
        }
    }

    fn groups(&self) -> impl Iterator<Item = &CloudGroup> {
        self.unified
            .iter()
            .chain(self.memory.own())
            .chain(self.processes.own())
    }
}

impl Groups {
    fn all(&self) -> impl Iterator<Item = &PathBuf> {
        [&self.unified, &self.memory, &self.processes]
            .into_iter()
            .flatten()
    }

    /// The files to which a process writes `0` to move itself into the groups.
    pub(crate) fn entries(&self) -> impl Iterator<Item = PathBuf> {
        self.all().map(|group| group.join("cgroup.procs"))
    }

    /// Freezes or thaws every process; returns when the kernel says so, or after a second: a process in an
    /// uninterruptible wait freezes when it leaves it.
    pub(crate) fn set_frozen(&self, frozen: bool) -> Result<bool, io::Error> {
        let Some(group) = &self.unified else {
            return Ok(false);
        };
        write(&group.join("cgroup.freeze"), if frozen { "1" } else { "0" })?;
        let wanted = if frozen { "frozen 1" } else { "frozen 0" };
        wait_until(Duration::from_secs(1), || {
            fs::read_to_string(group.join("cgroup.events"))
                .is_ok_and(|text| text.lines().any(|line| line == wanted))
        });
        Ok(true)
    }

    /// Lets every process go on, without waiting for it.
    pub(crate) fn thaw(&self) -> io::Result<()> {
        match &self.unified {
            Some(group) => write(&group.join("cgroup.freeze"), "0"),
            None => Ok(()),
        }
    }

    /// Removes the groups of an ended machine.
    pub(crate) fn remove(&self) {
        for group in self.all() {
            remove_group(group);
        }
    }
}

/// Ends and removes what an earlier run of the same cloud left in the hierarchies.
///
/// Only for a caller that holds the lock of the cloud's state directory: it kills what it finds.
pub(crate) fn sweep(cloud_id: &str) {
    for root in roots() {
        let group = root.join(cloud_group(cloud_id));
        if group.is_dir() {
            remove_cloud(&group);
        }
    }
}

/// Removes the empty groups that killed hypervisors of whatever state directory left on this host.
///
/// A group whose owner lives is known by its lock, and one in which a process is left cannot be removed at all.
pub(crate) fn sweep_abandoned() {
    for root in roots() {
        let names_cloud = |path: &PathBuf| {
            path.file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with(PREFIX))
        };
        for group in subgroups(&root).into_iter().filter(names_cloud) {
            let Some(lock) = take(&group) else { continue };
            match remove_tree(&group) {
                Ok(()) => {
                    tracing::info!(path = %group.display(), "The control group of a killed cloud was removed.")
                }
                Err(error) => tracing::debug!(path = %group.display(), %error, "A control group stays."),
            }
            drop(lock);
        }
    }
}

/// Ends every process in a cloud's group and removes it.
fn remove_cloud(group: &Path) {
    for machine in subgroups(group) {
        kill_all(&machine);
    }
    remove_group(group);
}

/// Ends every process of a group, with what is below it.
fn kill_all(group: &Path) {
    let switch = group.join("cgroup.kill");
    if switch.exists() {
        if let Err(error) = write(&switch, "1") {
            tracing::warn!(path = %group.display(), %error, "A control group could not be killed.");
        }
        return;
    }
    // Version 1, or a kernel before 5.14: whoever forks meanwhile is found when the group is removed.
    for process in fs::read_to_string(group.join("cgroup.procs"))
        .unwrap_or_default()
        .lines()
        .filter_map(|line| Pid::from_raw(line.parse().ok()?))
    {
        // One that has ended meanwhile is what is wanted.
        kill_process(process, Signal::KILL).ok();
    }
}

fn subgroups(group: &Path) -> Vec<PathBuf> {
    fs::read_dir(group)
        .map(|entries| {
            entries
                .flatten()
                .map(|entry| entry.path())
                .filter(|path| path.is_dir())
                .collect()
        })
        .unwrap_or_default()
}

fn make_group(group: &Path) -> bool {
    match fs::create_dir(group) {
        Ok(()) => true,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => true,
        Err(error) => {
            tracing::info!(path = %group.display(), %error, "Machines run without this control group.");
            false
        }
    }
}

/// Removes a group with what a machine made below it; a group that stays is logged, and swept at the next start.
fn remove_group(group: &Path) {
    let removed = wait_until(REMOVAL_PATIENCE, || match remove_tree(group) {
        Ok(()) => true,
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    });
    if !removed {
        tracing::warn!(path = %group.display(), "A control group stays: something is still in it.");
    }
}

/// Removes the directories of a group, innermost first. Its files are the kernel's and go with them.
fn remove_tree(group: &Path) -> io::Result<()> {
    for below in subgroups(group) {
        remove_tree(&below)?;
    }
    fs::remove_dir(group)
}

/// Writes to a file of the kernel without making one.
pub(crate) fn write(path: &Path, text: &str) -> io::Result<()> {
    OpenOptions::new()
        .write(true)
        .open(path)?
        .write_all(text.as_bytes())
}

/// Asks again every few milliseconds until the answer is yes or the patience is over.
pub(crate) fn wait_until(patience: Duration, mut done: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + patience;
    let mut pause = Duration::from_millis(1);
    loop {
        if done() {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

#[cfg(test)]
mod tests;
