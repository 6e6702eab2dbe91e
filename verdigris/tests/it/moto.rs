//! The controller against moto's EC2, whose instances never answer SSH.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
};

use crate::farm::{cached, eventually, free_port, text, verdigris};

/// A process of the test's own, killed when the test ends.
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().ok(); // It may have ended by itself.
        self.0.wait().ok();
    }
}

/// Runs a few lines of Python with boto3 bound to `ec2`; what they print.
fn boto3(port: u16, lines: &str) -> String {
    let program = format!(
        "import boto3\nec2 = boto3.client('ec2', endpoint_url='http://127.0.0.1:{port}', region_name='us-east-1',\n  \
         aws_access_key_id='test', aws_secret_access_key='test')\n{lines}\n"
    );
    let output = Command::new(cached("venv/bin/python"))
        .args(["-c", &program])
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .output()
        .unwrap();
    if output.status.success() {
        text(&output.stdout)
    } else {
        format!("error: {}", text(&output.stderr))
    }
}

const STATES: &str = "print(*[i['State']['Name'] for r in ec2.describe_instances()['Reservations'] \
     for i in r['Instances']])";

#[test]
fn machines_that_never_answer_are_given_up_in_time_and_terminated() {
    let directory = tempfile::tempdir().unwrap();
    let port = free_port();
    let moto = Command::new(cached("venv/bin/moto_server"))
        .args(["-H", "127.0.0.1", "-p", &port.to_string()])
        .stdout(Stdio::null())
        .stderr(fs::File::create(directory.path().join("moto.log")).unwrap())
        .spawn()
        .unwrap();
    let _moto = Running(moto);
    eventually("moto answers", || {
        boto3(port, "print(len(ec2.describe_regions()['Regions']))").trim() != ""
            && !boto3(port, "ec2.describe_regions()").starts_with("error")
    });
    // Addresses of this machine's loopback: nothing of the test may reach out of it.
    let subnet = boto3(
        port,
        "vpc = ec2.create_vpc(CidrBlock='127.0.0.0/16')['Vpc']['VpcId']\n\
         print(ec2.create_subnet(VpcId=vpc, CidrBlock='127.0.1.0/24')['Subnet']['SubnetId'])",
    );
    assert!(subnet.starts_with("subnet-"), "{subnet}");
    write_fleet(directory.path(), port, subnet.trim());
    let run = |arguments: &[&str]| {
        let mut command = verdigris();
        command.args(arguments).args([
            "--config",
            directory.path().join("verdigris.toml").to_str().unwrap(),
        ]);
        command
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test");
        command
    };
    assert!(run(&["migrate"]).status().unwrap().success());
    let log = fs::File::create(directory.path().join("controller.log")).unwrap();
    let controller = Running(run(&["controller"]).stderr(log).spawn().unwrap());
    // Three failures in a row, then the pool's brake: nothing new is launched, and all three are gone.
    eventually(
        "three instances were launched, every one is terminated, and no builder is believed to exist",
        || {
            let states = boto3(port, STATES);
            let states: Vec<&str> = states.split_whitespace().collect();
            let status = run(&["fleet", "status", "--json"]).output().unwrap();
            let status: serde_json::Value = serde_json::from_slice(&status.stdout).unwrap();
            states.len() >= 3
                && states.iter().all(|state| *state == "terminated")
                && status["builders"] == serde_json::json!([])
        },
    );
    drop(controller);
}

fn write_fleet(directory: &Path, port: u16, subnet: &str) {
    let fleet = format!(
        r#"
schema: 1
fleet: 019a0000-0000-7000-8000-000000000001
name: moto
controller:
  tick: {{min: 100ms, max: 500ms}}
clouds:
  moto:
    kind: ec2
    region: us-east-1
    endpoint: http://127.0.0.1:{port}
    credentials: {{source: environment}}
    network: {{subnet: {subnet}}}
images:
  builder: {{cloud: moto, id: ami-12c6146b}}
provision:
  base:
    connect: {{port: 1}}
    timeouts: {{boot: 2s, pending: 20s}}
pools:
  x86:
    labels: ["arch:x86_64"]
    image: builder
    provision: base
    size: {{max: 1, idle: 1}}
    offerings: [{{types: [t3.micro]}}]
"#
    );
    fs::write(directory.join("fleet.yaml"), fleet).unwrap();
    let settings = format!(
        "[database]\nurl = \"sqlite://{0}/verdigris.db\"\n[storage]\ndirectory = \"{0}\"\n",
        directory.display()
    );
    fs::write(directory.join("verdigris.toml"), settings).unwrap();
}
