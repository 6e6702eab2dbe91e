//! Clean ends: terminate, shutdown, and the death of the process that holds the hypervisor.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    time::Instant,
};

use devcloud_machines::{hypervisor::Error, machine::MachineState};

use crate::{
    host::{groups_of, kill_hypervisor, processes_of, require_machines},
    support::{self, Farm, PATIENCE, cloud_id, until_none},
};

/// Tells the holder below which directory to use, and to hold at all.
const HOLD: &str = "DEVCLOUD_TEST_HOLD";

fn mounts_of(directory: &Path) -> Vec<String> {
    let marker = directory.to_string_lossy().into_owned();
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap();
    table
        .lines()
        .filter(|line| line.contains(&marker))
        .map(str::to_owned)
        .collect()
}

fn disks_of(farm: &Farm) -> Vec<String> {
    let names = |directory: &str| {
        let entries = fs::read_dir(farm.state_dir().join(directory)).unwrap();
        entries
            .map(|entry| entry.unwrap().path().display().to_string())
            .collect::<Vec<_>>()
    };
    [names("disks"), names("trash")].concat()
}

#[tokio::test]
async fn terminate_leaves_no_process_mount_group_or_disk_and_keeps_the_console() {
    let mut farm = Farm::start("").await;
    let machine = farm.run(1).await;
    let id = machine.instance_id.as_str();
    let port = farm.forward(&machine).await;
    // Something that does not want to end, and something that is deep.
    farm.ssh(port, "cd /data && for i in $(seq 500); do mkdir d && cd d; done; (trap '' TERM HUP; setsid sleep 1000) >/dev/null 2>&1 </dev/null &")
        .await
        .unwrap();
    let hypervisors = processes_of(&farm.state_dir())
        .iter()
        .filter(|line| line.contains("hypervisor"))
        .count();
    let group = |id: &str| {
        groups_of(&cloud_id(farm.directory.path()))
            .into_iter()
            .map(|path| path.join(id))
            .filter(|path| path.exists())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        group(id).is_empty(),
        !farm.hypervisor.can_freeze() && !farm.hypervisor.limits_memory()
    );
    let began = Instant::now();
    farm.hypervisor.terminate(id).await.unwrap();
    eprintln!("terminated in {:?}", began.elapsed());
    assert_eq!(farm.hypervisor.state(id).await.unwrap(), MachineState::Absent);
    let left = processes_of(&farm.state_dir());
    assert_eq!(
        left.iter().filter(|line| line.contains("hypervisor")).count(),
        hypervisors
    );
    assert!(
        !left
            .iter()
            .any(|line| line.contains("sleep 1000") || line.contains("sshd")),
        "{left:?}"
    );
    assert!(!farm.state_dir().join("disks").join(id).exists());
    assert_eq!(group(id), Vec::<std::path::PathBuf>::new());
    assert_eq!(mounts_of(farm.directory.path()), Vec::<String>::new());
    until_none("disks", || disks_of(&farm)).await;
    assert!(farm.console(&machine).await.contains("SSH HOST KEY"));
    farm.hypervisor.forget(id).await.unwrap();
    assert_eq!(farm.console(&machine).await, "");
    // The id and the address are free again.
    farm.run(1).await;
}

#[tokio::test]
async fn shutdown_keeps_disks_and_the_next_hypervisor_starts_or_terminates_them() {
    let mut farm = Farm::start("").await;
    let (first, second) = (farm.run(1).await, farm.run(2).await);
    let port = farm.forward(&first).await;
    farm.ssh(port, "echo kept >/root/file").await.unwrap();
    farm.hypervisor.shutdown().await.unwrap();
    farm.hypervisor.closed().await;
    assert!(matches!(
        farm.hypervisor.state(&first.instance_id).await,
        Err(Error::Gone)
    ));
    assert_eq!(processes_of(&farm.state_dir()), Vec::<String>::new());
    assert_eq!(
        groups_of(&cloud_id(farm.directory.path())),
        Vec::<std::path::PathBuf>::new()
    );

    farm.restart().await;
    assert_eq!(
        farm.hypervisor.leftovers(),
        [first.instance_id.clone(), second.instance_id.clone()]
    );
    farm.hypervisor.start_again(&first.instance_id).await.unwrap();
    farm.hypervisor.terminate(&second.instance_id).await.unwrap();
    farm.banner(&first).await;
    let port = farm.forward(&first).await;
    assert_eq!(farm.ssh(port, "cat /root/file").await.unwrap(), "kept\n");
    assert_eq!(
        farm.hypervisor.machines().await.unwrap(),
        [(first.instance_id.clone(), MachineState::Running)]
    );
}

/// The process that the next test kills.
#[tokio::test]
#[ignore = "it holds a hypervisor until it is killed; another test starts it"]
async fn holder() {
    let Some(directory) = std::env::var_os(HOLD) else {
        return;
    };
    let directory = Path::new(&directory);
    let hypervisor = support::start(directory).await;
    for number in [1, 2] {
        hypervisor.run(&support::spec(number)).await.unwrap();
    }
    fs::write(directory.join("holding"), "").unwrap();
    std::future::pending::<()>().await;
}

fn start_holder(directory: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "ends::holder", "--ignored", "--nocapture"])
        .env(HOLD, directory)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

#[tokio::test]
async fn kill_9_of_the_holder_leaves_no_process_mount_namespace_or_group() {
    require_machines();
    let directory = tempfile::tempdir().unwrap();
    let state_dir = directory.path().join("state");
    let mut holder = start_holder(directory.path());
    let deadline = Instant::now() + PATIENCE;
    while !directory.path().join("holding").exists() {
        assert!(
            holder.try_wait().unwrap().is_none() && Instant::now() < deadline,
            "the holder does not hold"
        );
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert!(
        processes_of(&state_dir).len() >= 6,
        "two machines and their hypervisor"
    );
    let namespaces = namespaces_of(&state_dir);
    assert!(
        namespaces.len() >= 9,
        "network, mounts and processes of each: {namespaces:?}"
    );

    holder.kill().unwrap();
    holder.wait().unwrap();
    until_none("processes", || processes_of(&state_dir)).await;
    assert_eq!(mounts_of(directory.path()), Vec::<String>::new());
    until_none("namespaces", || {
        let all = all_namespaces();
        namespaces
            .iter()
            .filter(|name| all.contains(name))
            .cloned()
            .collect()
    })
    .await;
    until_none("control groups", || groups_of(&cloud_id(directory.path()))).await;

    // The next one finds the disks.
    let hypervisor = support::start(directory.path()).await;
    let ids = [support::spec(1).instance_id, support::spec(2).instance_id];
    assert_eq!(hypervisor.leftovers(), ids);
    for path in groups_of(&cloud_id(directory.path())) {
        assert!(
            !ids.iter().any(|id| path.join(id).exists()),
            "a machine's group in {} is left",
            path.display()
        );
    }
    for id in &ids {
        hypervisor.terminate(id).await.unwrap();
    }
    assert_eq!(hypervisor.machines().await.unwrap(), []);
    hypervisor.shutdown().await.unwrap();
    assert_eq!(
        groups_of(&cloud_id(directory.path())),
        Vec::<std::path::PathBuf>::new()
    );
}

#[tokio::test]
async fn the_death_of_the_hypervisor_process_is_an_error_of_its_own() {
    let mut farm = Farm::start("").await;
    let machine = farm.run(1).await;
    kill_hypervisor(&farm.state_dir());
    tokio::time::timeout(PATIENCE, farm.hypervisor.closed())
        .await
        .expect("the end is noticed");
    assert!(matches!(
        farm.hypervisor.run(&farm.spec(2)).await,
        Err(Error::Gone)
    ));
    assert!(matches!(
        farm.hypervisor.stop(&machine.instance_id).await,
        Err(Error::Gone)
    ));
    until_none("processes", || processes_of(&farm.state_dir())).await;
    farm.hypervisor
        .shutdown()
        .await
        .expect("what is gone can be shut down");
    // What it could not take away any more, the next one does.
    farm.restart().await;
    farm.hypervisor.terminate(&machine.instance_id).await.unwrap();
    farm.hypervisor.shutdown().await.unwrap();
    assert_eq!(
        groups_of(&cloud_id(farm.directory.path())),
        Vec::<std::path::PathBuf>::new()
    );
}

#[tokio::test]
async fn the_groups_of_a_killed_cloud_are_swept_by_any_other_and_those_of_living_ones_are_not() {
    let killed = Farm::start("").await;
    let machine = killed.run(1).await;
    // It has no machine, so that its groups are as empty as those of the dead.
    let beside = Farm::start("").await;
    let (killed_id, beside_id) = (
        cloud_id(killed.directory.path()),
        cloud_id(beside.directory.path()),
    );
    let living = groups_of(&beside_id);
    assert_eq!(groups_of(&killed_id).len(), living.len());
    kill_hypervisor(&killed.state_dir());
    tokio::time::timeout(PATIENCE, killed.hypervisor.closed())
        .await
        .expect("the end is noticed");
    until_none("processes", || processes_of(&killed.state_dir())).await;

    let next = Farm::start("").await;
    until_none("groups of the killed cloud", || groups_of(&killed_id)).await;
    assert_eq!(groups_of(&beside_id), living, "the living one keeps its groups");
    beside.hypervisor.run(&machine).await.unwrap();
    for group in &living {
        assert!(
            group.join(&machine.instance_id).is_dir(),
            "no group for a machine in {}",
            group.display()
        );
    }
    // A cloud that is only dropped leaves nothing either.
    let next_id = cloud_id(next.directory.path());
    drop(next);
    until_none("groups of the dropped cloud", || groups_of(&next_id)).await;
}

/// The namespaces of machines and their hypervisor, beyond this process's own.
fn namespaces_of(state_dir: &Path) -> Vec<String> {
    let own = own_namespaces("/proc/self");
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let log = fs::read_link(entry.path().join("fd/2")).unwrap_or_default();
        if log.starts_with(state_dir) {
            found.extend(own_namespaces(&entry.path().to_string_lossy()));
        }
    }
    found.retain(|name| !own.contains(name));
    found.sort();
    found.dedup();
    found
}

fn all_namespaces() -> Vec<String> {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let mut all: Vec<_> = processes
        .flat_map(|entry| own_namespaces(&entry.path().to_string_lossy()))
        .collect();
    // A network namespace can also be held by a mount.
    all.extend(
        fs::read_to_string("/proc/self/mountinfo")
            .unwrap()
            .split_whitespace()
            .map(str::to_owned),
    );
    all
}

fn own_namespaces(process: &str) -> Vec<String> {
    ["net", "mnt", "pid", "uts", "ipc"]
        .iter()
        .filter_map(|kind| fs::read_link(format!("{process}/ns/{kind}")).ok())
        .map(|name| name.to_string_lossy().into_owned())
        .collect()
}
