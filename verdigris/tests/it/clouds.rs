//! Clouds of the test's own, a door to them that can be shut, and a controller with nothing else.

use std::{
    fs,
    io::{self, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use serde_json::Value;

use crate::farm::{cached, eventually, free_port, text, verdigris};

/// The key that both clouds take.
pub(crate) const ACCESS_KEY: &str = "KEY";
pub(crate) const SECRET_KEY: &str = "secret-of-the-test";

/// A process of the test's own, killed when the test ends.
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().ok(); // It may have ended by itself.
        self.0.wait().ok();
    }
}

/// A program that is built beside the one under test.
pub(crate) fn beside(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_BIN_EXE_verdigris")).with_file_name(name);
    assert!(
        path.exists(),
        "{} is missing: build with --workspace",
        path.display()
    );
    path
}

/// What a fleet file has to say of a cloud.
pub(crate) struct CloudFacts {
    /// The port of its API on loopback.
    pub(crate) port: u16,
    pub(crate) region: &'static str,
    pub(crate) image: String,
    pub(crate) ssh_port: u16,
    /// A network of loopback addresses, where it needs one.
    pub(crate) subnet: Option<String>,
    _process: Running,
}

/// moto's EC2, whose instances never answer SSH.
pub(crate) fn moto(directory: &Path) -> CloudFacts {
    let port = free_port();
    let moto = Command::new(cached("venv/bin/moto_server"))
        .args(["-H", "127.0.0.1", "-p", &port.to_string()])
        .stdout(Stdio::null())
        .stderr(fs::File::create(directory.join("moto.log")).unwrap())
        .spawn()
        .unwrap();
    let process = Running(moto);
    eventually("moto answers", || {
        boto3(port, "print(len(ec2.describe_regions()['Regions']) > 0)").trim() == "True"
    });
    // Addresses of this machine's loopback: nothing of the test may reach out of it.
    let subnet = boto3(
        port,
        "vpc = ec2.create_vpc(CidrBlock='127.0.0.0/16')['Vpc']['VpcId']\n\
         print(ec2.create_subnet(VpcId=vpc, CidrBlock='127.0.1.0/24')['Subnet']['SubnetId'])",
    );
    assert!(subnet.starts_with("subnet-"), "{subnet}");
    CloudFacts {
        port,
        region: "us-east-1",
        image: "ami-12c6146b".to_owned(),
        ssh_port: 1,
        subnet: Some(subnet.trim().to_owned()),
        _process: process,
    }
}

/// devcloud as a process of its own. `farm_port` is where machines find the farm.
pub(crate) fn devcloud(directory: &Path, farm_port: u16) -> CloudFacts {
    devcloud_with(directory, farm_port, &::devcloud::Profile::AWS, "")
}

/// A devcloud of a profile, without a farm that its machines could find, once it answers.
pub(crate) fn devcloud_of(directory: &Path, profile: &::devcloud::Profile) -> CloudFacts {
    answering(devcloud_with(directory, free_port(), profile, ""))
}

/// A devcloud whose key is one of a session that has a token, once it answers.
pub(crate) fn devcloud_of_session(directory: &Path, token: &str) -> CloudFacts {
    let profile = &::devcloud::Profile::AWS;
    answering(devcloud_with(directory, free_port(), profile, token))
}

fn answering(cloud: CloudFacts) -> CloudFacts {
    eventually("devcloud answers", || {
        TcpStream::connect(("127.0.0.1", cloud.port)).is_ok()
    });
    cloud
}

fn devcloud_with(
    directory: &Path,
    farm_port: u16,
    profile: &::devcloud::Profile,
    session_token: &str,
) -> CloudFacts {
    let port = free_port();
    let image = cached("images/builder/current").canonicalize().unwrap();
    let log = fs::File::create(directory.join("devcloud.log")).unwrap();
    let cloud = Command::new(beside("devcloud"))
        .arg("serve")
        .arg("--state")
        .arg(directory.join("cloud"))
        .arg("--image")
        .arg(&image)
        .args(["--listen", &format!("127.0.0.1:{port}")])
        .args(["--access-key", ACCESS_KEY, "--secret-key", SECRET_KEY])
        .env("AWS_SESSION_TOKEN", session_token)
        .args(["--forward", &format!("80=127.0.0.1:{farm_port}")])
        .args(["--profile", profile.name])
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap();
    CloudFacts {
        port,
        region: "dev-1",
        image: profile.image_id(&::devcloud::ImageConfig::read(&image).unwrap().name),
        ssh_port: ::devcloud::config::default_ssh_port(),
        subnet: None,
        _process: Running(cloud),
    }
}

/// A devcloud without a farm that its machines could find, once it answers.
pub(crate) fn answering_devcloud(directory: &Path) -> CloudFacts {
    devcloud_of(directory, &::devcloud::Profile::AWS)
}

/// Runs a few lines of Python with boto3 bound to `ec2`; what they print, or `error: ` and why.
pub(crate) fn boto3(port: u16, lines: &str) -> String {
    let program = format!(
        "import boto3\nec2 = boto3.client('ec2', endpoint_url='http://127.0.0.1:{port}', region_name='us-east-1',\n  \
         aws_access_key_id='{ACCESS_KEY}', aws_secret_access_key='{SECRET_KEY}')\n{lines}\n"
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

/// A new host key, in a file and one beside it: its secret and its public half.
pub(crate) fn host_key(file: &Path) -> (String, String) {
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-C", "rack-1", "-f"])
        .arg(file)
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", text(&made.stderr));
    let public = fs::read_to_string(file.with_extension("pub")).unwrap();
    (fs::read_to_string(file).unwrap(), public.trim().to_owned())
}

/// The states of all instances of a cloud.
pub(crate) fn states(port: u16) -> Vec<String> {
    let said = boto3(
        port,
        "print(*[i['State']['Name'] for r in ec2.describe_instances()['Reservations'] for i in r['Instances']])",
    );
    assert!(!said.starts_with("error"), "{said}");
    said.split_whitespace().map(str::to_owned).collect()
}

/// Has devcloud make a fault, as its control endpoint takes it.
pub(crate) fn make_fault(port: u16, fault: &str) {
    make_fault_with(port, SECRET_KEY, fault);
}

/// The same for a cloud with another secret.
pub(crate) fn make_fault_with(port: u16, secret: &str, fault: &str) {
    control(port, secret, "POST /_devcloud/fault", fault);
}

/// Plans what becomes of calls of devcloud.
pub(crate) fn plan_faults(port: u16, plan: &str) {
    control(port, SECRET_KEY, "PUT /_devcloud/faults", plan);
}

fn control(port: u16, secret: &str, what: &str, fault: &str) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    write!(
        stream,
        "{what} HTTP/1.0\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {secret}\r\n\
         Content-Length: {}\r\n\r\n{fault}",
        fault.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.contains("\"done\":true"), "{fault}: {answer}");
}

/// The types of the instances that were ever made, and their states, from the cloud's own books.
pub(crate) fn ledger(directory: &Path) -> Vec<(String, String)> {
    let text = fs::read(directory.join("cloud/ledger.json")).unwrap_or_else(|_| b"{}".to_vec());
    let ledger: Value = serde_json::from_slice(&text).unwrap();
    let instances = ledger["instances"].as_object().cloned().unwrap_or_default();
    let word = |instance: &Value, key: &str| instance[key].as_str().unwrap_or_default().to_owned();
    instances
        .values()
        .map(|instance| (word(instance, "instance_type"), word(instance, "state")))
        .collect()
}

/// A way to a cloud that is shut until it is opened: nobody listens at its port before.
pub(crate) struct Door {
    pub(crate) port: u16,
    leads_to: u16,
    is_shut: Arc<AtomicBool>,
}

impl Door {
    pub(crate) fn to(leads_to: u16) -> Self {
        Self {
            port: free_port(),
            leads_to,
            is_shut: Arc::default(),
        }
    }

    pub(crate) fn open(&self) {
        let listener = TcpListener::bind(("127.0.0.1", self.port)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let (leads_to, is_shut) = (self.leads_to, Arc::clone(&self.is_shut));
        thread::spawn(move || {
            while !is_shut.load(Ordering::SeqCst) {
                match listener.accept() {
                    Ok((stream, _)) => carry(stream, leads_to),
                    Err(_) => thread::sleep(Duration::from_millis(5)),
                }
            }
        });
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.is_shut.store(true, Ordering::SeqCst);
    }
}

fn carry(inside: TcpStream, leads_to: u16) {
    inside.set_nonblocking(false).unwrap();
    let Ok(outside) = TcpStream::connect(("127.0.0.1", leads_to)) else {
        return;
    };
    for (mut from, mut to) in [
        (inside.try_clone().unwrap(), outside.try_clone().unwrap()),
        (outside, inside),
    ] {
        thread::spawn(move || {
            io::copy(&mut from, &mut to).ok();
            to.shutdown(std::net::Shutdown::Write).ok();
        });
    }
}

/// A controller with a database, and nothing else of a farm.
pub(crate) struct Fleet {
    directory: PathBuf,
}

impl Fleet {
    /// Settings and an empty database; the cloud is reached at `port`. `more` is the end of the fleet file: the `size` and
    /// the offerings of its pool `x86`, and the time limits of its builders.
    pub(crate) fn new(directory: &Path, cloud: &CloudFacts, port: u16, pool: &str, timeouts: &str) -> Self {
        let network = cloud
            .subnet
            .as_ref()
            .map(|subnet| format!("    network: {{subnet: {subnet}}}\n"))
            .unwrap_or_default();
        let fleet = format!(
            "schema: 1\nfleet: 019a0000-0000-7000-8000-000000000001\nname: test\n\
             controller:\n  tick: {{min: 100ms, max: 500ms}}\n\
             clouds:\n  rented:\n    kind: ec2\n    region: {region}\n    endpoint: http://127.0.0.1:{port}\n    \
             credentials: {{source: environment}}\n{network}\
             images:\n  builder: {{cloud: rented, id: {image}}}\n\
             provision:\n  base:\n    connect: {{port: {ssh_port}}}\n    timeouts: {timeouts}\n\
             pools:\n  x86:\n    labels: [\"arch:x86_64\"]\n    image: builder\n    provision: base\n{pool}",
            region = cloud.region,
            image = cloud.image,
            ssh_port = cloud.ssh_port,
        );
        fs::write(directory.join("fleet.yaml"), fleet).unwrap();
        let settings = format!(
            "[database]\nurl = \"sqlite://{0}/verdigris.db\"\n[storage]\ndirectory = \"{0}\"\n",
            directory.display()
        );
        fs::write(directory.join("verdigris.toml"), settings).unwrap();
        let fleet = Self {
            directory: directory.to_owned(),
        };
        fleet.run(&["migrate"]);
        fleet
    }

    /// A command of the farm's program, with this fleet's settings and its cloud's keys.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = verdigris();
        command
            .args(arguments)
            .arg("--config")
            .arg(self.directory.join("verdigris.toml"))
            .env("AWS_ACCESS_KEY_ID", ACCESS_KEY)
            .env("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
            .env_remove("AWS_SESSION_TOKEN");
        command
    }

    /// An operator's command, which must succeed; what it prints.
    pub(crate) fn run(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    /// An operator's command, which must fail; what it says.
    pub(crate) fn refused(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).output().unwrap();
        let said = format!("{}{}", text(&output.stdout), text(&output.stderr));
        assert!(!output.status.success(), "{arguments:?}: {said}");
        said
    }

    pub(crate) fn status(&self) -> Value {
        serde_json::from_str(&self.run(&["fleet", "status", "--json"])).unwrap()
    }

    /// Starts the controller.
    pub(crate) fn controller(&self) -> Running {
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.directory.join("controller.log"))
            .unwrap();
        Running(self.command(&["controller"]).stderr(log).spawn().unwrap())
    }

    /// Writes another part into the fleet file in the place of one that stands there; whether it does.
    pub(crate) fn edit(&self, old: &str, new: &str) -> bool {
        let path = self.directory.join("fleet.yaml");
        let before = fs::read_to_string(&path).unwrap();
        fs::write(path, before.replace(old, new)).unwrap();
        before.contains(old)
    }

    /// What the controller said so far.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.directory.join("controller.log")).unwrap_or_default()
    }
}
