//! Faults that a farm has to live with, made on purpose.

use std::{fs, net::SocketAddrV4, path::Path, time::Duration};

use devcloud_machines::{
    hypervisor::{Error, GATEWAY},
    machine::MachineState,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{
    host::{groups_of, hypervisor_process},
    support::{Farm, PATIENCE, cloud_id, greeting},
};

#[tokio::test]
async fn a_partition_loses_packets_without_closing_and_heals() {
    let mut farm = Farm::start("").await;
    let machine = farm.run(1).await;
    let port = farm.forward(&machine).await;
    let target = SocketAddrV4::new(machine.private_address, 22);
    let mut open = farm.hypervisor.connect(target, PATIENCE).await.unwrap();
    open.read_exact(&mut [0; 8]).await.unwrap();

    farm.hypervisor
        .set_link(&machine.instance_id, false)
        .await
        .unwrap();
    let refused = farm.hypervisor.connect(target, Duration::from_millis(500)).await;
    assert!(matches!(refused, Err(Error::Connect { .. })), "{refused:?}");
    assert_eq!(
        farm.hypervisor.state(&machine.instance_id).await.unwrap(),
        MachineState::Running
    );

    farm.hypervisor
        .set_link(&machine.instance_id, true)
        .await
        .unwrap();
    farm.banner(&machine).await;
    assert_eq!(farm.ssh(port, "echo back").await.unwrap(), "back\n");
    // The old connection was never closed: sshd takes its version and sends its keys.
    open.write_all(b"SSH-2.0-test\r\n").await.unwrap();
    let mut rest = [0; 256];
    tokio::time::timeout(PATIENCE, open.read_exact(&mut rest))
        .await
        .expect("it answers")
        .unwrap();
}

#[tokio::test]
async fn a_frozen_machine_is_silent_until_it_thaws_and_can_be_terminated_frozen() {
    let farm = Farm::start("").await;
    let machine = farm.run(1).await;
    let id = machine.instance_id.as_str();
    if !farm.hypervisor.can_freeze() {
        assert!(matches!(
            farm.hypervisor.freeze(id).await,
            Err(Error::Unsupported { .. })
        ));
        return;
    }
    farm.hypervisor.freeze(id).await.unwrap();
    // The kernel takes the connection, and nobody greets.
    assert_eq!(
        greeting(&farm.hypervisor, machine.private_address).await,
        Err("silence".to_owned())
    );
    farm.hypervisor.thaw(id).await.unwrap();
    farm.banner(&machine).await;
    farm.hypervisor.freeze(id).await.unwrap();
    farm.hypervisor.terminate(id).await.unwrap();
    assert_eq!(farm.hypervisor.state(id).await.unwrap(), MachineState::Absent);
}

#[tokio::test]
async fn a_machine_that_powers_off_is_told_of_and_one_that_reboots_comes_back() {
    let mut farm = Farm::start("").await;
    let machine = farm.run(1).await;
    let port = farm.forward(&machine).await;
    let mut events = farm.hypervisor.subscribe();
    for command in ["touch /root/marker; reboot", "touch /root/marker; kill -INT 1"] {
        let before = boots(&farm, &machine).await;
        // The connection is closed from under the client.
        farm.ssh(port, command).await.ok();
        farm.console_with(&machine, "reboots").await;
        let deadline = std::time::Instant::now() + PATIENCE;
        while boots(&farm, &machine).await == before {
            assert!(std::time::Instant::now() < deadline, "it does not come back");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        farm.banner(&machine).await;
        farm.ssh(port, "rm /root/marker").await.unwrap();
    }
    farm.ssh(port, "poweroff").await.ok();
    let event = tokio::time::timeout(PATIENCE, events.recv())
        .await
        .expect("its end is told")
        .unwrap();
    assert_eq!(
        (event.instance_id, event.state),
        (machine.instance_id.clone(), MachineState::Stopped)
    );
    assert_eq!(
        farm.hypervisor.state(&machine.instance_id).await.unwrap(),
        MachineState::Stopped
    );
    farm.hypervisor.start_again(&machine.instance_id).await.unwrap();
    farm.banner(&machine).await;
}

async fn boots(farm: &Farm, machine: &devcloud_machines::machine::MachineSpec) -> usize {
    farm.console(machine).await.matches("starts as").count()
}

#[tokio::test]
async fn sshd_comes_back_when_it_is_killed_and_orphans_are_collected() {
    let mut farm = Farm::start("").await;
    let machine = farm.run(1).await;
    let port = farm.forward(&machine).await;
    farm.ssh(
        port,
        "(setsid sh -c 'sleep 0.1' >/dev/null 2>&1 </dev/null &) ; pkill -9 -o -x sshd",
    )
    .await
    .ok();
    farm.console_with(&machine, "sshd ended with signal 9").await;
    farm.banner(&machine).await;
    let zombies =
        "for i in $(seq 500); do ps -eo stat= | grep -q ^Z || { echo none; break; }; sleep 0.01; done";
    assert_eq!(farm.ssh(port, zombies).await.unwrap(), "none\n");
}

#[tokio::test]
async fn without_metadata_a_machine_says_so_and_starts_sshd_all_the_same() {
    let mut farm = Farm::start("").await;
    farm.end_metadata().await;
    let machine = farm.spec(1);
    farm.hypervisor.run(&machine).await.unwrap();
    farm.banner(&machine).await;
    let console = farm.console(&machine).await;
    assert!(
        console.contains("the metadata service cannot be reached"),
        "{console}"
    );
}

#[tokio::test]
async fn a_memory_limit_ends_what_takes_more() {
    let mut farm = Farm::start("").await;
    let mut machine = farm.spec(1);
    machine.memory_bytes = Some(128 * 1024 * 1024);
    farm.hypervisor.run(&machine).await.unwrap();
    farm.banner(&machine).await;
    let port = farm.forward(&machine).await;
    // `tail` keeps what has no line's end.
    let greedy = farm
        .ssh(
            port,
            "head -c 300M /dev/zero | tail >/dev/null; echo ${PIPESTATUS[1]}",
        )
        .await
        .unwrap();
    assert_eq!(
        greedy,
        if farm.hypervisor.limits_memory() {
            "137\n"
        } else {
            "0\n"
        }
    );
}

#[tokio::test]
async fn the_hosts_side_listens_at_the_gateway() {
    let mut farm = Farm::start("").await;
    let machine = farm.run(1).await;
    let port = farm.forward(&machine).await;
    let listener = farm
        .hypervisor
        .listen(SocketAddrV4::new(GATEWAY, 8080))
        .await
        .unwrap();
    assert!(matches!(
        farm.hypervisor.listen(SocketAddrV4::new(GATEWAY, 8080)).await,
        Err(Error::Failed { .. })
    ));
    let serve = async {
        let (mut stream, peer) = listener.accept().await.unwrap();
        stream.write_all(b"from the host\n").await.unwrap();
        peer.ip()
    };
    let command = format!("bash -c 'cat </dev/tcp/{GATEWAY}/8080'");
    let (peer, text) = tokio::join!(serve, farm.ssh(port, &command));
    assert_eq!(
        (text.unwrap().as_str(), peer),
        ("from the host\n", machine.private_address.into())
    );
}

#[tokio::test]
async fn a_machine_that_starts_processes_without_end_takes_none_from_its_neighbours() {
    let mut farm = Farm::start("").await;
    let (greedy, other) = (farm.run(1).await, farm.run(2).await);
    if !farm.hypervisor.limits_processes() {
        return;
    }
    let limit = groups_of(&cloud_id(farm.directory.path()))
        .into_iter()
        .map(|group| group.join(&greedy.instance_id).join("pids.max"))
        .find(|file| file.exists())
        .expect("the machine has a limit");
    assert_eq!(fs::read_to_string(&limit).unwrap(), "4096\n");
    // The same with a limit that a test can reach without filling the host.
    let current = fs::read_to_string(limit.with_file_name("pids.current")).unwrap();
    let few = current.trim().parse::<u32>().unwrap() + 40;
    fs::write(&limit, few.to_string()).unwrap();
    let (greedy_port, port) = (farm.forward(&greedy).await, farm.forward(&other).await);
    let many = "for i in $(seq 80); do sleep 1000 >/dev/null 2>&1 </dev/null & done; jobs -p | wc -l";
    // Not bash, which tries again for a quarter of a minute.
    let refused = farm.ssh(greedy_port, &format!("sh -c '{many}'")).await;
    assert!(
        refused.as_ref().is_err() || refused.as_ref().is_ok_and(|count| count.trim() != "80"),
        "80 processes were started where {few} are allowed: {refused:?}"
    );
    assert_eq!(farm.ssh(port, "echo lives").await.unwrap(), "lives\n");
    farm.hypervisor.terminate(&greedy.instance_id).await.unwrap();
    assert_eq!(farm.ssh(port, "echo lives").await.unwrap(), "lives\n");
}

#[tokio::test]
async fn a_thread_that_cannot_be_started_fails_one_request_and_ends_no_machine() {
    let mut farm = Farm::start("").await;
    let machine = farm.run(1).await;
    let port = farm.forward(&machine).await;
    let hierarchy = Path::new("/sys/fs/cgroup/pids");
    if !hierarchy.join("tasks").exists() || farm.hypervisor.rootless() {
        return;
    }
    // In a group of its own the hypervisor process may have the threads that it has, and not one more.
    let group = hierarchy.join(format!("test-{}", cloud_id(farm.directory.path())));
    fs::create_dir(&group).unwrap();
    let process = hypervisor_process(&farm.state_dir()).as_raw_nonzero().to_string();
    fs::write(group.join("cgroup.procs"), &process).unwrap();
    fs::write(group.join("pids.max"), "0").unwrap();
    let refused = farm.hypervisor.machines().await;
    assert!(
        matches!(&refused, Err(Error::Failed { what, .. }) if what == "start a thread for the request"),
        "{refused:?}"
    );
    fs::write(group.join("pids.max"), "max").unwrap();
    assert_eq!(
        farm.hypervisor.machines().await.unwrap(),
        [(machine.instance_id.clone(), MachineState::Running)]
    );
    assert_eq!(farm.ssh(port, "echo lives").await.unwrap(), "lives\n");
    fs::write(hierarchy.join("cgroup.procs"), &process).unwrap();
    fs::remove_dir(&group).unwrap();
}
