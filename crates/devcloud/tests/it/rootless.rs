//! The cloud as an ordinary user. Root becomes `nobody` for it, with a range of ids that only a private view of
//! `/etc` gives him, so that nothing of the system is changed. Whoever is an ordinary user runs all the other tests
//! without root anyway.

use std::{
    os::unix::fs::{PermissionsExt, chown},
    path::{Path, PathBuf},
    process::Stdio,
};

use devcloud::ledger::InstanceState;
use tokio::process::Command;

use crate::{
    ec2_real::{CHANGE, LOOK, LOOKED},
    host::make_key,
    real::{DEVCLOUD, Harness, Served},
    support::{boto3, free_port, until},
};

/// `nobody`, of Debian and of most.
const USER: u32 = 65534;

/// The ids that he may give to processes of his.
const IDS: std::ops::Range<u32> = 300_000..365_536;

/// Becomes `nobody`, who sees the file `$1` as `/etc/subuid` and `/etc/subgid`, and runs the rest.
const BECOME: &str = "mount --bind \"$1\" /etc/subuid; mount --bind \"$1\" /etc/subgid; shift; \
                      exec setpriv --reuid=65534 --regid=65534 --clear-groups -- \"$@\"";

/// What to put before a command that is to be `nobody`'s.
fn as_nobody(directory: &Path) -> Vec<String> {
    let ids = directory.join("ids");
    let line = format!("nobody:{}:{}\n", IDS.start, IDS.end - IDS.start);
    fs_err::write(&ids, line).unwrap();
    let words = [
        "unshare",
        "--mount",
        "--propagation",
        "private",
        "--",
        "sh",
        "-ec",
        BECOME,
        "sh",
    ];
    let words = words.map(str::to_owned).into_iter();
    words.chain([ids.to_str().unwrap().to_owned()]).collect()
}

/// A cloud of `nobody`'s: a copy of the image in his ids, a copy of the program where he can read it.
async fn harness() -> Harness {
    let mut harness = Harness::new().await;
    let directory = harness.directory.path().to_owned();
    std::fs::set_permissions(&directory, std::fs::Permissions::from_mode(0o711)).unwrap();
    let program = directory.join("devcloud");
    // A link where that is possible: the file is large.
    if std::fs::hard_link(DEVCLOUD, &program).is_err() {
        fs_err::copy(DEVCLOUD, &program).unwrap();
    }
    // Thousands of files, which memory takes faster than a busy disk.
    let memory = tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| tempfile::tempdir().unwrap());
    std::fs::set_permissions(memory.path(), std::fs::Permissions::from_mode(0o711)).unwrap();
    let image = memory.path().join("image");
    for owned in [&image, &harness.config.state_dir] {
        fs_err::create_dir(owned).unwrap();
        chown(owned, Some(USER), Some(USER)).unwrap();
    }
    let before = as_nobody(&directory);
    copy_image(&harness.image_directory, &image, &before).await;
    harness.image_directory = image;
    harness.more_directories.push(memory);
    harness.devcloud = before.into_iter().map(Into::into).collect();
    harness.devcloud.push(program.into());
    harness
}

/// Copies an image as the root of `nobody`'s namespace, who may make no devices.
async fn copy_image(from: &Path, to: &Path, before: &[String]) {
    let (program, before) = before.split_first().unwrap();
    let mut read = std::process::Command::new("tar")
        .args(["--exclude=./root/dev/*", "--numeric-owner", "-cf", "-", "."])
        .current_dir(from)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let written = Command::new(program)
        .args(before)
        .args(["unshare", "--user", "--map-root-user", "--map-auto", "--"])
        .args(["tar", "--numeric-owner", "-xpf", "-", "-C"])
        .arg(to)
        .stdin(read.stdout.take().unwrap())
        .status();
    let written = tokio::time::timeout(std::time::Duration::from_secs(120), written).await;
    assert!(written.expect("the image is copied").unwrap().success());
    assert!(read.wait().unwrap().success());
}

/// Processes of the host that belong to the cloud, with their users' ids.
fn processes_below(directory: &Path) -> Vec<(u32, String)> {
    let place = directory.to_str().unwrap();
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        // Processes that end while we look cannot be read.
        let read = |name: &str| std::fs::read(entry.path().join(name)).unwrap_or_default();
        let text = |name: &str| String::from_utf8_lossy(&read(name)).replace('\0', " ");
        let status = text("status");
        let user = status.lines().find_map(|line| line.strip_prefix("Uid:"));
        let user = user.and_then(|ids| ids.split_whitespace().next()?.parse().ok());
        let command = text("cmdline");
        if let Some(user) = user
            && (command.contains(place) || text("mounts").contains(place))
            && !command.is_empty()
        {
            found.push((user, command));
        }
    }
    found
}

fn user_data(host_key: &Path) -> String {
    let private: String = fs_err::read_to_string(host_key)
        .unwrap()
        .lines()
        .map(|line| format!("    {line}\n"))
        .collect();
    let public = fs_err::read_to_string(host_key.with_extension("pub")).unwrap();
    format!(
        "#cloud-config\nssh_keys:\n  ed25519_private: |\n{private}  ed25519_public: {public}\
         runcmd:\n  - echo from user data > /root/proof\n"
    )
}

/// Launches with the injected host key, which the client then insists on.
async fn launch_pinned(harness: &mut Harness, endpoint: &str, count: &str) -> Vec<String> {
    let directory = harness.directory.path().to_owned();
    let host_key = make_key(&directory, "host");
    let (data, known): (PathBuf, PathBuf) = (directory.join("user-data"), directory.join("known_hosts"));
    fs_err::write(&data, user_data(&host_key)).unwrap();
    let public = fs_err::read_to_string(host_key.with_extension("pub")).unwrap();
    fs_err::write(&known, format!("* {public}")).unwrap();
    harness.known_hosts = Some(known);
    let login = harness.key.with_extension("pub");
    let arguments = [
        "launch_with_key",
        count,
        login.to_str().unwrap(),
        data.to_str().unwrap(),
    ];
    let printed = boto3(endpoint, &harness.image, &arguments).await;
    printed.split_whitespace().map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ordinary_user_has_the_same_cloud_and_nothing_of_it_is_left() {
    if !rustix::process::geteuid().is_root() {
        // Only root can become another user; every other test here is this one then.
        crate::host::require_machines();
        return;
    }
    let mut harness = harness().await;
    let directory = harness.directory.path().to_owned();
    let port = free_port();
    let served = Served::start(&harness, port).await;
    let ids = launch_pinned(&mut harness, &served.endpoint, "2").await;
    let before = harness.state();
    let address = before.instances[&ids[0]].public_address.to_string();

    let wait =
        "until [ -s /root/proof ]; do sleep 0.05; done; cat /root/proof; id -u; echo kept > /root/kept; sync";
    assert_eq!(harness.ssh(&address, wait).await, "from user data\n0\n");
    let ask = "exec 3<>/dev/tcp/169.254.169.254/80; \
               printf 'GET /latest/meta-data/instance-id HTTP/1.0\\r\\n\\r\\n' >&3; tail -n1 <&3";
    let told = harness.ssh(&address, &format!("bash -c \"{ask}\"")).await;
    assert_eq!(told.trim(), ids[0]);
    // Ids of the image are the mapped ones: another user's file can be made, and is his.
    let other = "touch /tmp/f && chown 33:33 /tmp/f && stat -c %u:%g /tmp/f /etc/shadow";
    assert_eq!(harness.ssh(&address, other).await, "33:33\n0:42\n");
    boto3(
        &served.endpoint,
        &harness.image,
        &["console_has_host_key", &ids[0]],
    )
    .await;
    let processes = processes_below(&directory);
    assert!(processes.len() >= 6, "{processes:?}");
    for (user, command) in &processes {
        assert!(*user == USER || IDS.contains(user), "{user} runs {command}");
    }

    served.kill().await;
    until("the kernel has ended all of it", || {
        processes_below(&directory).is_empty()
    })
    .await;
    let served = Served::start(&harness, port).await;
    until("both instances run again", || {
        let state = harness.state();
        ids.iter()
            .all(|id| state.instances[id].state == InstanceState::Running)
    })
    .await;
    assert_eq!(harness.ssh(&address, "cat /root/kept").await, "kept\n");
    let mut listed = ids.clone();
    listed.sort();
    assert_eq!(harness.disks(), listed);

    boto3(&served.endpoint, &harness.image, &["terminate_all"]).await;
    until("both instances are terminated", || {
        let state = harness.state();
        let mut instances = state.instances.values();
        instances.all(|one| one.state == InstanceState::Terminated)
    })
    .await;
    assert_eq!(harness.disks(), Vec::<String>::new());
    harness.trash_is_emptied().await;
    served.interrupt().await;
    harness.nothing_is_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ordinary_user_makes_images_of_his_instances() {
    if !rustix::process::geteuid().is_root() {
        // As above.
        crate::host::require_machines();
        return;
    }
    let mut harness = harness().await;
    let served = Served::start(&harness, free_port()).await;
    let ids = launch_pinned(&mut harness, &served.endpoint, "1").await;
    let address = |harness: &Harness, id: &str| harness.state().instances[id].public_address.to_string();
    let first = address(&harness, &ids[0]);
    assert_eq!(harness.ssh(&first, CHANGE).await, "done\n");
    let arguments = ["make_image", &ids[0], "baked"];
    let made = boto3(&served.endpoint, &harness.image, &arguments).await;
    harness.image = made.trim().to_owned();
    // It makes a host key of its own.
    harness.known_hosts = None;
    let upon = harness.launch(&served.endpoint, "1").await;
    let second = address(&harness, &upon[0]);
    assert_eq!(harness.ssh(&second, LOOK).await, LOOKED);
    boto3(&served.endpoint, &harness.image, &["terminate_all"]).await;
    served.interrupt().await;
    harness.nothing_is_left().await;
}
