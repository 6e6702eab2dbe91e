//! Control groups of machines: one per machine below one per cloud, in the version 2 tree and, where memory
//! lives in version 1, in that hierarchy too.
//!
//! They are the one thing of a machine that the kernel does not take away with the hypervisor process, so both
//! sides use this module: the hypervisor process makes and removes them, this process sweeps what a killed
//! predecessor of the same cloud left. Where no hierarchy is writable machines run without.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

/// How long the kernel may take to let an emptied group go.
const REMOVAL_PATIENCE: Duration = Duration::from_secs(3);

/// The hierarchies that this cloud's groups are in.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hierarchies {
    /// The cloud's group in the version 2 tree.
    unified: Option<PathBuf>,
    /// Whether version 2 limits memory here.
    unified_memory: bool,
    /// The cloud's group in the version 1 memory hierarchy.
    memory: Option<PathBuf>,
}

/// The groups of one machine.
#[derive(Clone, Debug, Default)]
pub(crate) struct Groups {
    unified: Option<PathBuf>,
    memory: Option<PathBuf>,
}

/// The name of the cloud's group.
fn cloud_group(cloud_id: &str) -> String {
    format!("verdigris-devcloud-{cloud_id}")
}

/// Where hierarchies are mounted: version 2 (alone, or beside version 1), and version 1's memory.
fn roots() -> (Option<PathBuf>, Option<PathBuf>) {
    let unified = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"]
        .map(PathBuf::from)
        .into_iter()
        .find(|root| root.join("cgroup.procs").exists() && root.join("cgroup.controllers").exists());
    let memory = Some(PathBuf::from("/sys/fs/cgroup/memory"))
        .filter(|root| root.join("memory.limit_in_bytes").exists());
    (unified, memory)
}

impl Hierarchies {
    /// Makes the cloud's groups where that is allowed.
    pub(crate) fn make(cloud_id: &str) -> Self {
        let (unified, memory) = roots();
        let name = cloud_group(cloud_id);
        let make = |root: Option<PathBuf>| {
            root.map(|root| root.join(&name))
                .filter(|group| make_group(group))
        };
        let unified = make(unified);
        let unified_memory = unified.as_ref().is_some_and(|group| {
            // Fails where memory is not a controller of this tree, or is not handed down to it.
            write(&group.join("cgroup.subtree_control"), "+memory").is_ok()
        });
        let memory = if unified_memory { None } else { make(memory) };
        Self {
            unified,
            unified_memory,
            memory,
        }
    }

    /// Whether a machine's memory limit is enforced.
    pub(crate) fn limits_memory(&self) -> bool {
        self.unified_memory || self.memory.is_some()
    }

    /// Whether machines can be frozen.
    pub(crate) fn can_freeze(&self) -> bool {
        self.unified.is_some()
    }

    /// Makes the groups of one machine and sets its limit. What of it fails is logged and left out.
    pub(crate) fn make_machine(&self, id: &str, memory_bytes: Option<u64>) -> Groups {
        let make = |cloud: &Option<PathBuf>| {
            cloud
                .as_ref()
                .map(|cloud| cloud.join(id))
                .filter(|path| make_group(path))
        };
        let groups = Groups {
            unified: make(&self.unified),
            memory: make(&self.memory),
        };
        if let Some(bytes) = memory_bytes {
            let file = if self.unified_memory {
                groups.unified.as_ref().map(|group| group.join("memory.max"))
            } else {
                groups
                    .memory
                    .as_ref()
                    .map(|group| group.join("memory.limit_in_bytes"))
            };
            if let Some(file) = file
                && let Err(error) = write(&file, &bytes.to_string())
            {
                tracing::warn!(id, bytes, %error, "The machine's memory limit could not be set.");
            }
        }
        groups
    }

    /// Removes the cloud's own groups, when no machine is left in them.
    pub(crate) fn remove(&self) {
        for group in [&self.unified, &self.memory].into_iter().flatten() {
            remove_group(group);
        }
    }
}

impl Groups {
    /// The files to which a process writes `0` to move itself into the groups.
    pub(crate) fn entries(&self) -> impl Iterator<Item = PathBuf> {
        [&self.unified, &self.memory]
            .into_iter()
            .flatten()
            .map(|group| group.join("cgroup.procs"))
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
        for group in [&self.unified, &self.memory].into_iter().flatten() {
            remove_group(group);
        }
    }
}

/// Ends and removes what an earlier run of the same cloud left in the hierarchies.
///
/// Only for a caller that holds the lock of the cloud's state directory: it kills what it finds.
pub(crate) fn sweep(cloud_id: &str) {
    let (unified, memory) = roots();
    for root in [unified, memory].into_iter().flatten() {
        let group = root.join(cloud_group(cloud_id));
        if !group.is_dir() {
            continue;
        }
        for machine in subgroups(&group) {
            if machine.join("cgroup.kill").exists()
                && let Err(error) = write(&machine.join("cgroup.kill"), "1")
            {
                tracing::warn!(path = %machine.display(), %error, "A left control group could not be killed.");
            }
            remove_group(&machine);
        }
        remove_group(&group);
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
