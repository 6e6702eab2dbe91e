//! A pool of fixed hosts: two machines that somebody else started, which the farm makes builders and gives back.

use std::{
    fs,
    process::Command,
    time::{Duration, Instant},
};

use store::testing::PostgresServer;

use crate::{
    clouds::{boto3, host_key, states},
    farm::{CHROOT, PATIENCE, eventually, text},
    packages::{GREETING, source_package},
    processes::{Processes, prepared},
};

/// Starts a machine that lets the farm's key in, and has this host key where one is given; its address.
fn machine(farm: &Processes, image: &str, host_key: Option<&str>) -> String {
    let login = farm.run(&["fleet", "key"]);
    let mut data = format!(
        "#cloud-config\ndisable_root: false\nssh_authorized_keys:\n  - {}\n",
        login.trim()
    );
    if let Some(secret) = host_key {
        let lines: String = secret.lines().map(|line| format!("    {line}\n")).collect();
        data.push_str(&format!("ssh_keys:\n  ed25519_private: |\n{lines}"));
    }
    let said = boto3(
        farm.cloud_port,
        &format!(
            "import time\n\
             made = ec2.run_instances(ImageId='{image}', InstanceType='c7i.xlarge', MinCount=1, MaxCount=1, UserData={data:?})\n\
             one = made['Instances'][0]\n\
             while one['State']['Name'] != 'running' or not one.get('PrivateIpAddress'):\n    \
                 time.sleep(0.2)\n    \
                 one = ec2.describe_instances(InstanceIds=[one['InstanceId']])['Reservations'][0]['Instances'][0]\n\
             print(one.get('PublicIpAddress') or one['PrivateIpAddress'])"
        ),
    );
    assert!(!said.starts_with("error"), "{said}");
    said.trim().to_owned()
}

/// Runs a command on a host as root.
fn on_host(farm: &Processes, address: &str, command: &str) {
    let port = devcloud::config::default_ssh_port().to_string();
    let ran = Command::new("ssh")
        .args(["-p", &port, "-i"])
        .arg(farm.path("data/secrets/builders.ed25519"))
        .args([
            "-o",
            "StrictHostKeyChecking=no",
            "-o",
            "UserKnownHostsFile=/dev/null",
        ])
        .args([&format!("root@{address}"), command])
        .output()
        .unwrap();
    assert!(ran.status.success(), "{command}: {}", text(&ran.stderr));
}

/// Waits until the builders that live are in these states.
fn until(farm: &Processes, what: &str, states: &[&str]) {
    let started = Instant::now();
    while farm.states() != states {
        let told = || format!("{what}: {}: {}", note(farm), farm.log("controller"));
        assert!(started.elapsed() < PATIENCE / 2, "it never came: {}", told());
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// What is told of the pool.
fn note(farm: &Processes) -> String {
    let status = farm.status();
    status["pools"]["rack"]["holds_back"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

/// The image of the fleet file that is there before.
fn image(farm: &Processes) -> String {
    let file = fs::read_to_string(farm.path("fleet.yaml")).unwrap();
    let (_, image) = file.split_once("builder: {cloud: devcloud, id: ").unwrap();
    image.split('}').next().unwrap().to_owned()
}

/// Writes a fleet of hosts alone, which are all to be ready.
fn write_fleet(farm: &Processes, hosts: &[String]) {
    let file = fs::read_to_string(farm.path("fleet.yaml")).unwrap();
    let head = file.split("clouds:").next().unwrap();
    let (port, count) = (devcloud::config::default_ssh_port(), hosts.len());
    let lines: String = hosts.iter().map(|host| format!("      - {host}\n")).collect();
    let fleet = format!(
        "{head}provision:\n  base: {{connect: {{port: {port}}}}}\npools:\n  rack:\n    labels: [\"arch:x86_64\"]\n    \
         provision: base\n    size: {{max: {count}, idle: {count}}}\n    hosts:\n{lines}"
    );
    fs::write(farm.path("fleet.yaml"), fleet).unwrap();
}

#[test]
fn a_host_that_is_started_again_while_it_is_idle_serves_on_by_itself() {
    let server = PostgresServer::start().unwrap();
    let (farm, _cloud) = prepared(&server.new_database().unwrap());
    let address = machine(&farm, &image(&farm), None);
    write_fleet(&farm, &[format!("{{name: rack-1, address: {address}}}")]);
    let _roles = ["api", "controller", "worker"].map(|role| farm.spawn(role));
    farm.wait_for_api();
    until(&farm, "the host is a builder", &["ready"]);
    on_host(&farm, &address, "nft list table inet verdigris");
    let said = boto3(
        farm.cloud_port,
        "ids = [i['InstanceId'] for r in ec2.describe_instances()['Reservations'] for i in r['Instances']]\n\
         ec2.reboot_instances(InstanceIds=ids)\nprint(len(ids))",
    );
    assert_eq!(said.trim(), "1");
    eventually("it is found out, and nobody has to release it", || {
        let log = farm.log("controller");
        log.contains("it was started again since it got ready")
            && log.contains("Host rack-1 was started again, and no build had run there")
    });
    until(&farm, "the host is a builder again", &["ready"]);
    // What was in its memory only is there again.
    on_host(&farm, &address, "nft list table inet verdigris");
    farm.copr(&["create", "one", "--chroot", CHROOT]);
    let package = source_package(farm.directory.path(), GREETING);
    farm.copr(&["build", "--nowait", "one", package.to_str().unwrap()]);
    farm.wait_for_build(1, "succeeded");
    assert!(
        !farm.log("controller").contains("is out of service"),
        "{}",
        farm.logs()
    );
}

#[test]
fn builds_run_on_fixed_hosts_which_nobody_launches_or_terminates() {
    let server = PostgresServer::start().unwrap();
    let (farm, _cloud) = prepared(&server.new_database().unwrap());
    let image = image(&farm);
    let (secret, public) = host_key(&farm.path("host_key"));
    let addresses = [
        machine(&farm, &image, Some(&secret)),
        machine(&farm, &image, None),
    ];
    let hosts = [
        format!(
            "{{name: rack-1, address: {}, host_key: \"{public}\"}}",
            addresses[0]
        ),
        format!("{{name: rack-2, address: {}}}", addresses[1]),
    ];
    write_fleet(&farm, &hosts);
    let roles = ["api", "controller", "worker"].map(|role| farm.spawn(role));
    farm.wait_for_api();
    until(&farm, "both hosts are builders", &["ready", "ready"]);

    // More builds than hosts, of two projects: each host is used again.
    let package = source_package(farm.directory.path(), GREETING);
    for project in ["one", "two"] {
        farm.copr(&["create", project, "--chroot", CHROOT]);
        for _ in 0..2 {
            farm.copr(&["build", "--nowait", project, package.to_str().unwrap()]);
        }
    }
    for build in 1..=4 {
        farm.wait_for_build(build, "succeeded");
    }
    until(&farm, "both hosts are builders again", &["ready", "ready"]);

    // What stays on a host takes it out of service, and the other goes on.
    on_host(
        &farm,
        &addresses[0],
        "echo '* * * * * root true' >/etc/cron.d/left",
    );
    for _ in 0..2 {
        farm.copr(&["build", "--nowait", "one", package.to_str().unwrap()]);
    }
    for build in 5..=6 {
        farm.wait_for_build(build, "succeeded");
    }
    eventually("the host is out of service", || {
        note(&farm).contains("host rack-1 is out of service since ")
    });
    assert!(note(&farm).contains("/etc/cron.d/left"), "{}", note(&farm));
    farm.copr(&["build", "--nowait", "two", package.to_str().unwrap()]);
    farm.wait_for_build(7, "succeeded");
    until(&farm, "one host is a builder", &["ready"]);
    on_host(&farm, &addresses[0], "rm /etc/cron.d/left");
    let released = farm.ask(&["release", "rack-1"]);
    assert_eq!(
        released["message"], "host rack-1 is in service again, as it is now",
        "{released}"
    );
    until(&farm, "both hosts are builders after that", &["ready", "ready"]);

    // A host whose key changed is not the one that was known.
    on_host(
        &farm,
        &addresses[1],
        "ssh-keygen -q -t ed25519 -N '' -f /tmp/new && cat /tmp/new >/etc/ssh/ssh_host_ed25519_key && \
         kill -HUP $(cat /run/sshd.pid 2>/dev/null || pgrep -o sshd)",
    );
    let drained = farm.ask(&["terminate", "rack-2", "--wait"]);
    assert_eq!(drained["state"], "done", "{drained}");
    eventually("the stranger is left alone", || {
        farm.log("controller").contains(", expected SHA256:")
    });
    drop(roles);
    assert_eq!(states(farm.cloud_port), ["running", "running"], "{}", farm.logs());
}
