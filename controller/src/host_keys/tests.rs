use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use shell::{ClientKey, HostKey};

use super::MAKE;
use crate::request::user_data;

/// Without what makes sshd read it: who runs these tests may have come here by one.
const REPLACE: &str = include_str!("../scripts/replace_host_key.sh");

/// A machine's folders, as cloud-init leaves them.
struct Disk {
    directory: tempfile::TempDir,
    given: ClientKey,
}

impl Disk {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let given = ClientKey::generate("bdr_019a0000000070008000000000000001").unwrap();
        let disk = Self { directory, given };
        for folder in ["ssh", "cloud/instances/i-1"] {
            fs::create_dir_all(disk.path(folder)).unwrap();
        }
        let private = disk.given.private_openssh().unwrap();
        let key = disk.path("ssh/ssh_host_ed25519_key");
        fs::write(&key, private).unwrap();
        // OpenSSH reads no private key that others may read.
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(
            disk.path("ssh/ssh_host_ed25519_key.pub"),
            disk.given.public_openssh().unwrap(),
        )
        .unwrap();
        disk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn run(&self, script: &str, more: &[&str]) -> Output {
        let mut command = Command::new("sh");
        command.args(["-c", script, "sh"]).arg(self.path("ssh"));
        command.args(more).output().unwrap()
    }

    fn make(&self) -> HostKey {
        let output = self.run(MAKE, &[]);
        assert!(output.status.success(), "{output:?}");
        HostKey::parse(&String::from_utf8(output.stdout).unwrap()).unwrap()
    }

    fn replace(&self, made: &HostKey) -> Output {
        let line = made.to_string();
        let cloud = self.path("cloud").display().to_string();
        let data = line.split(' ').nth(1).unwrap();
        self.run(REPLACE, &[data, &cloud, "/no/such/folder"])
    }

    /// The public half of the private key that sshd would read, and what is said to be it.
    fn shown(&self) -> [HostKey; 2] {
        let private = self.path("ssh/ssh_host_ed25519_key");
        let derived = Command::new("ssh-keygen")
            .arg("-yf")
            .arg(&private)
            .output()
            .unwrap();
        let derived = String::from_utf8(derived.stdout).unwrap();
        let told = fs::read_to_string(private.with_extension("pub")).unwrap();
        [derived, told].map(|text| HostKey::parse(&text).unwrap())
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn the_key_that_a_machine_made_takes_the_place_of_the_given_one() {
    let disk = Disk::new();
    let given = disk.given.host_key().unwrap();
    let made = disk.make();
    assert_eq!(disk.shown(), [given.clone(), given], "it is not used yet");
    let output = disk.replace(&made);
    assert!(output.status.success() && output.stdout.is_empty(), "{output:?}");
    assert_eq!(disk.shown(), [made.clone(), made.clone()]);
    let names = fs::read_dir(disk.path("ssh")).unwrap();
    assert_eq!(names.count(), 2, "nothing else is left there");
    assert_eq!(mode(&disk.path("ssh/ssh_host_ed25519_key")), 0o600);
    assert_eq!(mode(&disk.path("ssh/ssh_host_ed25519_key.pub")), 0o644);
    // Whoever was interrupted begins from the beginning.
    let again = disk.make();
    assert_ne!(again, made);
    assert!(disk.replace(&again).status.success());
    assert_eq!(disk.shown(), [again.clone(), again]);
}

#[test]
fn a_key_that_another_controller_had_made_meanwhile_is_not_used() {
    let disk = Disk::new();
    let given = disk.given.host_key().unwrap();
    let first = disk.make();
    let output = disk.replace(&given);
    assert!(!output.status.success());
    disk.make();
    let output = disk.replace(&first);
    assert!(!output.status.success());
    let words = String::from_utf8(output.stderr).unwrap();
    assert!(
        words.contains("ssh_host_next_key.pub is not the key that was made"),
        "{words}"
    );
    assert_eq!(disk.shown(), [given.clone(), given]);
}

#[test]
fn the_secret_half_of_the_given_key_is_blotted_out_where_cloud_init_keeps_it_and_nothing_else_is() {
    let disk = Disk::new();
    let private = disk.given.private_openssh().unwrap();
    let login = ClientKey::generate("farm").unwrap();
    let document = user_data(Some(&disk.given), &login).unwrap();
    let json = format!("{{\"ssh_keys\": \"{}\"}}", private.replace('\n', "\\n"));
    let pickle = [
        b"\x80\x04\x00text".as_slice(),
        document.as_bytes(),
        b"\x00\xff end",
    ]
    .concat();
    let other = ClientKey::generate("other").unwrap().private_openssh().unwrap();
    let copies: [(&str, &[u8]); 4] = [
        ("cloud/instances/i-1/user-data.txt", document.as_bytes()),
        ("cloud/instances/i-1/obj.pkl", &pickle),
        ("cloud/merged.json", json.as_bytes()),
        ("cloud/other", other.as_bytes()),
    ];
    for (name, content) in copies {
        fs::write(disk.path(name), content).unwrap();
    }
    let made = disk.make();
    let output = disk.replace(&made);
    assert!(output.status.success(), "{output:?}");
    let secret: Vec<&str> = private
        .lines()
        .skip(2)
        .filter(|line| line.len() > 16 && !line.starts_with('-'))
        .collect();
    assert!(secret.len() >= 3, "{}", secret.len());
    for (name, before) in copies {
        let mut expected = before.to_vec();
        for line in &secret {
            let stars = "*".repeat(line.len());
            while let Some(at) = expected
                .windows(line.len())
                .position(|part| part == line.as_bytes())
            {
                expected.splice(at..at + line.len(), stars.bytes());
            }
        }
        let after = fs::read(disk.path(name)).unwrap();
        assert!(after == expected, "{name}: {}", String::from_utf8_lossy(&after));
        assert_eq!(after == before, name == "cloud/other", "{name}");
    }
    // What is left of it is no key any more.
    let user_data = fs::read_to_string(disk.path(copies[0].0)).unwrap();
    assert!(
        user_data.contains(login.public_openssh().unwrap().trim()),
        "{user_data}"
    );
}
