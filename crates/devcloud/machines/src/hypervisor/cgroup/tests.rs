//! What is written to which file of which hierarchy, on directories that only look like the kernel's, and who may take
//! and remove what.

use std::process::{Command, Stdio};

use super::*;

fn cloud(root: &Path, hierarchy: &str) -> CloudGroup {
    let root = root.join(hierarchy);
    fs::create_dir_all(&root).unwrap();
    CloudGroup::make(&root, "c-1").expect("the group is made and taken")
}

/// Makes a machine's group beforehand with the files that the kernel would put there.
fn files(cloud: &CloudGroup, names: &[&str]) -> PathBuf {
    let group = cloud.path.join("i-1");
    fs::create_dir(&group).unwrap();
    for name in names {
        fs::write(group.join(name), "max").unwrap();
    }
    group
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

const LIMITS: Limits = Limits {
    memory_bytes: Some(512 * 1024 * 1024),
    processes: Some(4096),
};

#[test]
fn limits_go_to_the_file_of_the_version_where_their_controller_lives() {
    let directory = tempfile::tempdir().unwrap();
    let unified = cloud(directory.path(), "unified");
    let group = files(&unified, &["memory.max", "pids.max"]);
    let all_in_one = Hierarchies {
        unified: Some(unified),
        memory: Limited::Unified,
        processes: Limited::Unified,
    };
    let groups = all_in_one.make_machine("i-1", LIMITS);
    assert_eq!(text(&group.join("memory.max")), "536870912");
    assert_eq!(text(&group.join("pids.max")), "4096");
    assert_eq!(groups.entries().collect::<Vec<_>>(), [group.join("cgroup.procs")]);
    assert!(all_in_one.limits_memory() && all_in_one.limits_processes() && all_in_one.can_freeze());

    let directory = tempfile::tempdir().unwrap();
    let (memory, pids) = (cloud(directory.path(), "memory"), cloud(directory.path(), "pids"));
    let (memory_group, pids_group) = (
        files(&memory, &["memory.limit_in_bytes"]),
        files(&pids, &["pids.max"]),
    );
    let apart = Hierarchies {
        unified: None,
        memory: Limited::Own(memory),
        processes: Limited::Own(pids),
    };
    let groups = apart.make_machine("i-1", LIMITS);
    assert_eq!(text(&memory_group.join("memory.limit_in_bytes")), "536870912");
    assert_eq!(text(&pids_group.join("pids.max")), "4096");
    let entries: Vec<PathBuf> = groups.entries().collect();
    assert_eq!(
        entries,
        [memory_group.join("cgroup.procs"), pids_group.join("cgroup.procs")]
    );
    assert!(!apart.can_freeze());
}

#[test]
fn a_machine_without_limits_or_without_hierarchies_is_made_all_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let unified = cloud(directory.path(), "unified");
    let group = files(&unified, &["memory.max", "pids.max"]);
    let hierarchies = Hierarchies {
        unified: Some(unified),
        memory: Limited::Unified,
        processes: Limited::Nowhere,
    };
    hierarchies.make_machine("i-1", Limits::default());
    assert_eq!(text(&group.join("memory.max")), "max", "no limit was asked for");
    hierarchies.make_machine("i-1", LIMITS);
    assert_eq!(text(&group.join("pids.max")), "max", "this controller is nowhere");

    let nowhere = Hierarchies::default();
    let groups = nowhere.make_machine("i-1", LIMITS);
    assert_eq!(groups.entries().count(), 0);
    assert!(!nowhere.limits_memory() && !nowhere.limits_processes() && !nowhere.can_freeze());
    assert!(!groups.set_frozen(true).unwrap(), "it says that it cannot");
    groups.thaw().unwrap();
}

#[test]
fn freezing_waits_for_the_kernels_word() {
    let directory = tempfile::tempdir().unwrap();
    let unified = cloud(directory.path(), "unified");
    let group = files(&unified, &[]);
    fs::write(group.join("cgroup.freeze"), "-").unwrap();
    let hierarchies = Hierarchies {
        unified: Some(unified),
        ..Hierarchies::default()
    };
    let groups = hierarchies.make_machine("i-1", Limits::default());
    for (frozen, word) in [(true, "1"), (false, "0")] {
        fs::write(
            group.join("cgroup.events"),
            format!("populated 1\nfrozen {word}\n"),
        )
        .unwrap();
        let began = Instant::now();
        assert!(groups.set_frozen(frozen).unwrap());
        assert!(began.elapsed() < Duration::from_secs(1), "the kernel has said so");
        assert_eq!(text(&group.join("cgroup.freeze")), word);
    }
    groups.set_frozen(true).unwrap();
    groups.thaw().unwrap();
    assert_eq!(text(&group.join("cgroup.freeze")), "0");
    // A process that cannot be frozen now is given a second.
    fs::write(group.join("cgroup.events"), "populated 1\nfrozen 0\n").unwrap();
    let began = Instant::now();
    assert!(groups.set_frozen(true).unwrap());
    assert!(began.elapsed() >= Duration::from_secs(1));
}

#[test]
fn a_clouds_group_is_its_owners_for_as_long_as_he_holds_its_lock() {
    let directory = tempfile::tempdir().unwrap();
    let owned = cloud(directory.path(), "unified");
    assert_eq!(owned.path.file_name().unwrap(), "verdigris-devcloud.c-1");
    assert!(take(&owned.path).is_none(), "its owner lives");
    let path = owned.path.clone();
    let second = owned.clone();
    drop(owned);
    assert!(take(&path).is_none(), "a clone holds it too");
    drop(second);
    let taken = take(&path).expect("nobody holds it");
    drop(taken);
    fs::remove_dir(&path).unwrap();
    assert!(take(&path).is_none(), "there is none");
}

#[test]
fn a_group_goes_with_the_groups_below_it_and_stays_while_something_is_in_it() {
    let directory = tempfile::tempdir().unwrap();
    let group = directory.path().join("cloud");
    fs::create_dir_all(group.join("i-1/init.scope/deep")).unwrap();
    fs::create_dir_all(group.join("i-2")).unwrap();
    let mut below = subgroups(&group);
    below.sort();
    assert_eq!(below, [group.join("i-1"), group.join("i-2")]);
    // What the kernel answers for a group with a process, a directory answers with a file in it.
    let process = group.join("i-1/init.scope/process");
    fs::write(&process, "").unwrap();
    assert!(remove_tree(&group).is_err());
    assert!(process.exists());
    fs::remove_file(&process).unwrap();
    remove_tree(&group).unwrap();
    assert!(!group.exists());
    assert_eq!(remove_tree(&group).unwrap_err().kind(), io::ErrorKind::NotFound);
    assert!(subgroups(&group).is_empty());
}

#[test]
fn a_group_is_made_once_and_not_where_there_is_no_hierarchy() {
    let directory = tempfile::tempdir().unwrap();
    let group = directory.path().join("group");
    assert!(make_group(&group) && group.is_dir());
    assert!(make_group(&group), "it is there already");
    assert!(!make_group(&directory.path().join("none/group")));
    assert!(CloudGroup::make(&directory.path().join("none"), "c-1").is_none());
}

#[test]
fn what_is_in_a_group_is_killed_by_the_kernels_switch_or_one_by_one() {
    let directory = tempfile::tempdir().unwrap();
    let group = directory.path();
    let mut sleeper = Command::new("sleep")
        .arg("1000")
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    fs::write(
        group.join("cgroup.procs"),
        format!("{}\n\nnot-a-number\n", sleeper.id()),
    )
    .unwrap();
    fs::write(group.join("cgroup.kill"), "").unwrap();
    kill_all(group);
    assert_eq!(text(&group.join("cgroup.kill")), "1");
    assert!(sleeper.try_wait().unwrap().is_none(), "the kernel would do it");
    fs::remove_file(group.join("cgroup.kill")).unwrap();
    kill_all(group);
    let ended = sleeper.wait().unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&ended), Some(9));
    // A process that has ended meanwhile, and a group that is gone, are what is wanted.
    kill_all(group);
    kill_all(&group.join("gone"));
}

#[test]
fn a_file_of_the_kernel_is_written_and_never_made() {
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("memory.max");
    assert_eq!(write(&missing, "1").unwrap_err().kind(), io::ErrorKind::NotFound);
    assert!(!missing.exists());
}

#[test]
fn waiting_ends_when_it_is_so_or_when_patience_does() {
    let mut asked = 0;
    let answered = wait_until(Duration::from_secs(60), || {
        asked += 1;
        asked == 3
    });
    assert!(answered);
    let began = Instant::now();
    assert!(!wait_until(Duration::from_millis(50), || false));
    assert!(began.elapsed() >= Duration::from_millis(50));
    assert!(
        wait_until(Duration::ZERO, || true),
        "it is asked once in any case"
    );
}
