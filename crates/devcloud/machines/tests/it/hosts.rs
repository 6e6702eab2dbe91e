//! Machines are real hosts, and nothing of them outlives them.

use std::{fs, time::Instant};

use devcloud_machines::{hypervisor::Error, machine::MachineState};

use crate::{
    host::{make_key, processes_of},
    support::{self, Farm, until_none},
};

#[tokio::test]
async fn a_machine_boots_answers_ssh_with_the_injected_key_and_is_a_host_of_its_own() {
    let mut farm =
        Farm::start("#!/bin/sh\necho said-by-user-data on $(cat /proc/sys/kernel/hostname)\n").await;
    let began = Instant::now();
    let first = farm.run(1).await;
    eprintln!("sshd greeted after {:?}", began.elapsed());
    let second = farm.run(2).await;
    let port = farm.forward(&first).await;

    let text = farm
        .ssh(
            port,
            "hostname; ls /proc | grep -c '^[0-9]'; ip -4 -o addr show eth0",
        )
        .await
        .unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "machine-1");
    assert!(
        lines[1].parse::<u32>().unwrap() < 20,
        "it sees its own processes only: {text}"
    );
    assert!(lines[2].contains("10.88.0.10/16"), "{text}");
    let console = farm.console_with(&first, "script ended with status 0").await;
    assert!(console.contains("said-by-user-data on machine-1"), "{console}");
    assert!(
        console.contains("-----BEGIN SSH HOST KEY FINGERPRINTS-----\n256 SHA256:"),
        "{console}"
    );
    let key = farm
        .ssh(port, "cut -d' ' -f1,2 /etc/ssh/ssh_host_ed25519_key.pub")
        .await
        .unwrap();
    assert!(console.contains(key.trim()), "{console}");
    // It reaches its neighbour, and nothing outside of the cloud.
    let neighbour = format!("exec 3<>/dev/tcp/{}/22 && head -c7 <&3", second.private_address);
    assert_eq!(
        farm.ssh(port, &format!("bash -c '{neighbour}'")).await.unwrap(),
        "SSH-2.0"
    );
    let outside = "bash -c 'timeout 2 bash -c \"</dev/tcp/192.0.2.1/22\" 2>/dev/null || echo unreachable'";
    assert_eq!(farm.ssh(port, outside).await.unwrap(), "unreachable\n");
    farm.hypervisor.shutdown().await.unwrap();
    assert_eq!(processes_of(&farm.state_dir()), Vec::<String>::new());
}

/// User data that brings a host key, a login key and commands, and the host key's public half.
fn cloud_config() -> (String, String) {
    let keys = tempfile::tempdir().unwrap();
    let key = make_key(keys.path(), "host");
    let private = fs::read_to_string(&key)
        .unwrap()
        .lines()
        .map(|line| format!("    {line}\n"))
        .collect::<String>();
    let public = fs::read_to_string(key.with_extension("pub")).unwrap();
    let user_data = format!(
        "#cloud-config\nssh_keys:\n  ed25519_private: |\n{private}  ed25519_public: {public}runcmd:\n\
         \x20 - test -s /root/.ssh/authorized_keys && echo first-command\n\
         \x20 - [\"printf\", \"%s|\", \"second command\", \"it's\"]\n"
    );
    (user_data, public.split(' ').nth(1).unwrap().trim().to_owned())
}

#[tokio::test]
async fn a_machine_with_another_host_key_does_all_else_that_its_user_data_says() {
    let (user_data, public) = cloud_config();
    let mut farm = Farm::start(user_data).await;
    let mut machine = farm.spec(1);
    machine.other_host_key = true;
    farm.hypervisor.run(&machine).await.unwrap();
    let console = farm.console_with(&machine, "script ended with status 0").await;
    assert!(console.contains("ssh-ed25519 "), "it has a key: {console}");
    assert!(
        !console.contains(&public),
        "it has the one that was brought: {console}"
    );
    assert!(console.contains("second command|it's|"), "{console}");
    let port = farm.forward(&machine).await;
    farm.banner(&machine).await;
    assert_eq!(farm.ssh(port, "echo in").await.unwrap(), "in\n");
}

/// The fields behind `ssh-ed25519` of the public keys that a console names, in their order.
fn public_keys(console: &str) -> Vec<String> {
    let keys = console
        .lines()
        .filter_map(|line| line.strip_prefix("ssh-ed25519 "));
    let keys = keys.filter_map(|rest| rest.split(' ').next());
    keys.map(str::to_owned).collect()
}

#[tokio::test]
async fn a_host_key_can_change_with_each_reboot_and_not_before() {
    let (user_data, public) = cloud_config();
    let mut farm = Farm::start(user_data).await;
    let mut machine = farm.spec(1);
    machine.host_key_changes = true;
    farm.hypervisor.run(&machine).await.unwrap();
    farm.banner(&machine).await;
    let mut seen = public_keys(&farm.console_with(&machine, "END SSH HOST KEY KEYS").await);
    assert_eq!(seen, [public], "the first is the one that was brought");
    for starts in 2..4 {
        farm.hypervisor.reboot(&machine.instance_id).await.unwrap();
        farm.banner(&machine).await;
        seen = public_keys(&farm.console_with(&machine, "END SSH HOST KEY KEYS").await);
        let different: std::collections::BTreeSet<&String> = seen.iter().collect();
        assert_eq!((seen.len(), different.len()), (starts, starts), "{seen:?}");
    }
    let port = farm.forward(&machine).await;
    assert_eq!(farm.ssh(port, "echo in").await.unwrap(), "in\n");
}

#[tokio::test]
async fn a_host_key_that_was_replaced_on_the_machine_stays_after_a_reboot() {
    let (user_data, public) = cloud_config();
    let mut farm = Farm::start(user_data).await;
    let machine = farm.run(1).await;
    farm.banner(&machine).await;
    let port = farm.forward(&machine).await;
    let replace = "ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/new && mv /etc/ssh/new /etc/ssh/ssh_host_ed25519_key \
                   && mv /etc/ssh/new.pub /etc/ssh/ssh_host_ed25519_key.pub && cut -d ' ' -f 2 /etc/ssh/ssh_host_ed25519_key.pub";
    let made = farm.ssh(port, replace).await.unwrap().trim().to_owned();
    farm.hypervisor.reboot(&machine.instance_id).await.unwrap();
    farm.banner(&machine).await;
    let seen = public_keys(&farm.console_with(&machine, "END SSH HOST KEY KEYS").await);
    assert_eq!(seen, [public, made]);
}

#[tokio::test]
async fn cloud_config_brings_the_host_key_a_login_key_and_commands() {
    let (user_data, public) = cloud_config();
    let farm = Farm::start(user_data).await;
    let machine = farm.run(1).await;
    let console = farm.console_with(&machine, "script ended with status 0").await;
    assert!(console.contains(&format!("ssh-ed25519 {public}")), "{console}");
    assert!(console.contains("first-command\n"), "{console}");
    assert!(console.contains("second command|it's|"), "{console}");
    let target = std::net::SocketAddrV4::new(machine.private_address, 22);
    let mut far = farm.hypervisor.connect(target, support::PATIENCE).await.unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let scan = tokio::process::Command::new("ssh-keyscan")
        .args(["-t", "ed25519", "-p", &port, "127.0.0.1"])
        .output();
    let (scan, _) = tokio::join!(scan, async {
        let (mut near, _) = listener.accept().await.unwrap();
        tokio::io::copy_bidirectional(&mut near, &mut far).await.ok()
    });
    assert!(
        String::from_utf8_lossy(&scan.unwrap().stdout).contains(&public),
        "sshd shows the injected key"
    );
}

#[tokio::test]
async fn stop_start_and_reboot_keep_the_disk_and_run_the_user_data_once() {
    let mut farm = Farm::start("#!/bin/sh\necho run >>/var/log/runs\n").await;
    let machine = farm.run(1).await;
    let id = machine.instance_id.as_str();
    let port = farm.forward(&machine).await;
    farm.console_with(&machine, "script ended with status 0").await;
    farm.ssh(
        port,
        "echo kept >/root/file; echo kept >/data/file; echo kept >/var/lib/verdigris/file",
    )
    .await
    .unwrap();

    farm.hypervisor.stop(id).await.unwrap();
    assert_eq!(farm.hypervisor.state(id).await.unwrap(), MachineState::Stopped);
    assert!(matches!(
        farm.hypervisor.reboot(id).await,
        Err(Error::WrongState { .. })
    ));
    farm.hypervisor
        .stop(id)
        .await
        .expect("to stop what is stopped is nothing to do");
    farm.hypervisor.start_again(id).await.unwrap();
    assert!(matches!(
        farm.hypervisor.start_again(id).await,
        Err(Error::WrongState { .. })
    ));
    farm.banner(&machine).await;
    let files = "cat /root/file /data/file /var/lib/verdigris/file /var/log/runs";
    assert_eq!(farm.ssh(port, files).await.unwrap(), "kept\nkept\nkept\nrun\n");

    let boot = "cat /proc/1/stat | cut -d' ' -f22";
    let before = farm.ssh(port, boot).await.unwrap();
    farm.hypervisor.reboot(id).await.unwrap();
    farm.banner(&machine).await;
    assert_ne!(
        farm.ssh(port, boot).await.unwrap(),
        before,
        "process 1 is another one"
    );
    assert_eq!(farm.ssh(port, files).await.unwrap(), "kept\nkept\nkept\nrun\n");
}

#[tokio::test]
async fn a_builder_can_stack_an_overlay_and_make_namespaces_inside() {
    let mut farm = Farm::start("").await;
    let machine = farm.run(1).await;
    let port = farm.forward(&machine).await;
    let work = "cd /var/lib/verdigris && mkdir upper work root && \
                unshare --mount --pid --fork --net sh -c 'mount -t overlay o -o lowerdir=/usr,upperdir=upper,workdir=work root \
                && echo x >root/new && mount -t proc proc /proc && ls /proc | grep -c \"^[0-9]\"' && cat upper/new";
    let text = farm.ssh(port, work).await.unwrap();
    assert!(text.ends_with("x\n"), "{text}");
}

#[tokio::test]
async fn the_root_of_a_machine_makes_no_devices_and_opens_none_but_its_own() {
    let mut farm = Farm::start("").await;
    let machine = farm.run(1).await;
    let port = farm.forward(&machine).await;
    // The numbers are a disk's, and those of /dev/null, which anyone could be given.
    let make = "for at in / /data/ /var/lib/verdigris/ /run/ /dev/; do \
                for node in 'b 254 0' 'b 8 0' 'c 1 3'; do \
                mknod ${at}node $node 2>&1; rm ${at}node 2>/dev/null && echo MADE $at $node; done; done; true";
    let text = farm.ssh(port, make).await.unwrap();
    assert!(!text.contains("MADE"), "{text}");
    assert_eq!(text.matches("Operation not permitted").count(), 15, "{text}");
    let mounts = "for at in / /data /var/lib/verdigris /run; do awk -v at=$at '$2 == at {print $4}' /proc/mounts; done";
    let mounts = farm.ssh(port, mounts).await.unwrap();
    assert_eq!(mounts.lines().count(), 4, "{mounts}");
    for line in mounts.lines() {
        // Without root the last of them are the host's own mount, whose flags are not to be changed.
        assert!(line.contains("nodev") || farm.hypervisor.rootless(), "{mounts}");
    }
    let own = "echo lost >/dev/null && head -c8 /dev/zero | wc -c && head -c8 /dev/urandom | wc -c";
    assert_eq!(farm.ssh(port, own).await.unwrap(), "8\n8\n");
}

#[tokio::test]
async fn what_cannot_be_run_is_refused_and_leaves_nothing() {
    let farm = Farm::start("").await;
    let good = farm.run(1).await;
    assert!(matches!(
        farm.hypervisor.run(&good).await,
        Err(Error::WrongState {
            state: MachineState::Running,
            ..
        })
    ));
    let mut bad = farm.spec(2);
    bad.layers.insert(0, farm.directory.path().join("no-such-layer"));
    let error = farm.hypervisor.run(&bad).await.unwrap_err();
    assert!(
        matches!(&error, Error::Failed { reason, .. } if reason.contains("no-such-layer")),
        "{error:?}"
    );
    let mut twin = farm.spec(3);
    twin.private_address = good.private_address;
    assert!(
        matches!(farm.hypervisor.run(&twin).await, Err(Error::InvalidSpec { field, .. }) if field == "private_address")
    );
    let mut wrong = farm.spec(4);
    wrong.host_name = "a b".to_owned();
    assert!(
        matches!(farm.hypervisor.run(&wrong).await, Err(Error::InvalidSpec { field, .. }) if field == "host_name")
    );
    let running = vec![(good.instance_id.clone(), MachineState::Running)];
    assert_eq!(farm.hypervisor.machines().await.unwrap(), running);
    farm.banner(&good).await;
    let disks = fs::read_dir(farm.state_dir().join("disks")).unwrap().count();
    assert_eq!(disks, 1);
    // A number is free again after a failure.
    farm.run(3).await;
    for id in ["i-00000000000000009", "../../etc/passwd"] {
        assert!(matches!(
            farm.hypervisor.stop(id).await,
            Err(Error::NoSuchMachine { .. })
        ));
        assert_eq!(farm.hypervisor.state(id).await.unwrap(), MachineState::Absent);
        farm.hypervisor
            .terminate(id)
            .await
            .expect("to terminate what is not there is nothing to do");
    }
    assert!(matches!(
        farm.hypervisor.console_output("../x", 9).await,
        Err(Error::NoSuchMachine { .. })
    ));
}

#[tokio::test]
async fn a_link_in_an_image_leads_to_no_file_of_the_host() {
    let farm = Farm::start("").await;
    let (layer, host) = (
        farm.directory.path().join("layer"),
        farm.directory.path().join("host"),
    );
    fs::create_dir_all(layer.join("etc")).unwrap();
    fs::create_dir_all(&host).unwrap();
    for name in ["hostname", "hosts", "resolv.conf"] {
        fs::write(host.join(name), "untouched").unwrap();
        std::os::unix::fs::symlink(host.join(name), layer.join("etc").join(name)).unwrap();
    }
    std::os::unix::fs::symlink(&host, layer.join("data")).unwrap();
    std::os::unix::fs::symlink(&host, layer.join("root")).unwrap();
    let mut spec = farm.spec(1);
    spec.layers.insert(0, layer);
    // Its `/root` and `/data` lead nowhere inside: whether it comes up is its own affair.
    farm.hypervisor.run(&spec).await.ok();
    farm.console_with(&spec, "").await;
    farm.hypervisor.terminate(&spec.instance_id).await.unwrap();
    let mut names: Vec<_> = fs::read_dir(&host)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["hostname", "hosts", "resolv.conf"]);
    for name in names {
        assert_eq!(fs::read_to_string(host.join(name)).unwrap(), "untouched");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_machines_at_once_come_up_and_go() {
    let farm = std::sync::Arc::new(Farm::start("").await);
    let began = Instant::now();
    let machines: Vec<_> = (1..=20)
        .map(|number| {
            let farm = std::sync::Arc::clone(&farm);
            tokio::spawn(async move { farm.run(number).await })
        })
        .collect();
    let mut specs = Vec::new();
    for machine in machines {
        specs.push(machine.await.unwrap());
    }
    eprintln!("twenty machines greeted after {:?}", began.elapsed());
    assert_eq!(farm.hypervisor.machines().await.unwrap().len(), 20);
    let began = Instant::now();
    for spec in &specs {
        farm.hypervisor.terminate(&spec.instance_id).await.unwrap();
    }
    eprintln!(
        "twenty machines were terminated one by one in {:?}",
        began.elapsed()
    );
    assert_eq!(farm.hypervisor.machines().await.unwrap(), []);
    // What is left is the hypervisor: `unshare` and the process itself.
    until_none("machines' processes", || {
        let all = processes_of(&farm.state_dir());
        if all.len() == 2 { Vec::new() } else { all }
    })
    .await;
}
