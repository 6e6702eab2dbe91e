//! The table of machines: what is found at the start, and what is refused before anything is started.

use rustix::fs::{Mode, OFlags, mkdirat, open, openat};

use super::*;
use crate::hypervisor::{cgroup::Hierarchies, protocol};

struct Scene {
    directory: tempfile::TempDir,
}

impl Scene {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        for name in [DISKS, TRASH] {
            fs::create_dir(directory.path().join(name)).unwrap();
        }
        Self { directory }
    }

    fn disk(&self, id: &str) -> PathBuf {
        self.directory.path().join(DISKS).join(id)
    }

    /// The disk of a machine that was stopped.
    fn stopped(&self, number: u8) -> MachineSpec {
        let spec = spec(number);
        make_disk(&self.disk(&spec.instance_id), &spec).unwrap();
        spec
    }

    fn load(&self) -> Arc<Machines> {
        let (control, _) = protocol::pair().unwrap();
        let context = Context {
            state_dir: self.directory.path().to_owned(),
            rootless: false,
            helper_arguments: Vec::new(),
            hierarchies: Hierarchies::default(),
            outside: false,
            control,
        };
        Arc::new(Machines::load(context).unwrap())
    }

    /// Waits until what was thrown away is gone.
    fn has_no_trash(&self) -> bool {
        wait_until(Duration::from_secs(20), || {
            fs::read_dir(self.directory.path().join(TRASH)).unwrap().count() == 0
        })
    }
}

fn spec(number: u8) -> MachineSpec {
    MachineSpec {
        instance_id: format!("i-{number:017x}"),
        private_address: Ipv4Addr::new(10, 88, 1, number),
        layers: vec![PathBuf::from("/image")],
        host_name: format!("machine-{number}"),
        memory_bytes: None,
        other_host_key: false,
        host_key_changes: false,
    }
}

#[test]
fn machines_of_an_earlier_run_are_stopped_and_known_by_their_ids() {
    let scene = Scene::new();
    let (first, second) = (scene.stopped(1), scene.stopped(2));
    let machines = scene.load();
    let stopped = |spec: &MachineSpec| (spec.instance_id.clone(), MachineState::Stopped);
    assert_eq!(machines.list(), [stopped(&first), stopped(&second)]);
    assert_eq!(machines.state(&first.instance_id), MachineState::Stopped);
    assert_eq!(machines.state(&spec(3).instance_id), MachineState::Absent);
    let kept = machines.find(&first.instance_id).unwrap();
    assert_eq!(present(&kept, "").unwrap().spec, first);
}

#[test]
fn what_is_no_machines_disk_is_thrown_away_and_nothing_else() {
    let scene = Scene::new();
    let good = scene.stopped(1);
    // Its making was interrupted; its specification is broken, or another's; its name is no id.
    let halfway = scene.disk("i-00000000000000002");
    fs::create_dir_all(halfway.join("upper/etc")).unwrap();
    fs::write(halfway.join("spec.new"), serde_json::to_vec(&spec(2)).unwrap()).unwrap();
    let broken = scene.disk("i-00000000000000003");
    fs::create_dir(&broken).unwrap();
    fs::write(broken.join(SPEC), "{\"instance_id\":").unwrap();
    make_disk(&scene.disk("i-00000000000000004"), &spec(5)).unwrap();
    let mut odd = spec(6);
    odd.instance_id = "lost+found".to_owned();
    make_disk(&scene.disk("lost+found"), &odd).unwrap();
    fs::write(scene.disk("a-file"), "").unwrap();

    let machines = scene.load();
    assert_eq!(
        machines.list(),
        [(good.instance_id.clone(), MachineState::Stopped)]
    );
    let left: Vec<_> = fs::read_dir(scene.directory.path().join(DISKS))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(left, [good.instance_id]);
    assert!(scene.has_no_trash());
}

#[test]
fn a_disk_is_whole_before_it_has_a_specification() {
    let scene = Scene::new();
    let made = scene.stopped(1);
    let disk = scene.disk(&made.instance_id);
    let mut names: Vec<_> = fs::read_dir(&disk)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["data", "root", "spec.json", "upper", "verdigris", "work"]);
    assert_eq!(read_spec(&disk, &made.instance_id).unwrap(), made);
    assert!(read_spec(&disk, "i-00000000000000002").is_err());
}

#[test]
fn a_specification_that_cannot_be_is_refused_before_anything_is_made() {
    let scene = Scene::new();
    let kept = scene.stopped(1);
    let machines = scene.load();
    let mut no_layers = spec(2);
    no_layers.layers.clear();
    let mut same_address = spec(2);
    same_address.private_address = kept.private_address;
    for (refused, failure) in [
        (
            no_layers,
            Failure::InvalidSpec {
                field: "layers".to_owned(),
                reason: "there is no layer".to_owned(),
            },
        ),
        (
            same_address,
            Failure::InvalidSpec {
                field: "private_address".to_owned(),
                reason: format!("10.88.1.1 is {}'s", kept.instance_id),
            },
        ),
        (
            kept.clone(),
            wrong_state(&kept.instance_id, MachineState::Stopped, "run it anew"),
        ),
    ] {
        assert_eq!(machines.run(&refused).unwrap_err(), failure);
    }
    assert_eq!(machines.list().len(), 1);
    assert!(!scene.disk(&spec(2).instance_id).exists());
    assert!(scene.disk(&kept.instance_id).exists());
}

#[test]
fn what_only_a_running_machine_can_do_a_stopped_one_refuses() {
    let scene = Scene::new();
    let id = scene.stopped(1).instance_id;
    let machines = scene.load();
    for (result, wanted) in [
        (machines.reboot(&id), "reboot it"),
        (machines.set_link(&id, false), "change its link"),
        (machines.set_frozen(&id, true), "freeze or thaw it"),
    ] {
        assert_eq!(
            result.unwrap_err(),
            wrong_state(&id, MachineState::Stopped, wanted)
        );
    }
    machines
        .stop(&id, true)
        .expect("to stop what is stopped is nothing to do");
    machines.end_all();
    assert_eq!(machines.state(&id), MachineState::Stopped);
}

#[test]
fn nothing_can_be_done_to_a_machine_that_is_not_there_but_to_end_it() {
    let scene = Scene::new();
    let machines = scene.load();
    for id in ["i-00000000000000009", "../disks", ""] {
        for result in [
            machines.stop(id, true),
            machines.start(id),
            machines.reboot(id),
            machines.set_link(id, true),
            machines.set_frozen(id, false),
        ] {
            assert_eq!(result.unwrap_err(), Failure::NoSuchMachine { id: id.to_owned() });
        }
        machines
            .terminate(id)
            .expect("to end what is not there is nothing to do");
    }
    assert!(scene.directory.path().join(DISKS).is_dir());
}

#[test]
fn a_terminated_machine_is_gone_with_its_disk_also_for_who_waited_for_it() {
    let scene = Scene::new();
    let gone = scene.stopped(1);
    let id = gone.instance_id.as_str();
    let machines = scene.load();
    let waited = machines.find(id).unwrap();
    machines.terminate(id).unwrap();
    machines.terminate(id).unwrap();
    assert_eq!(machines.list(), []);
    assert_eq!(
        present(&waited, id).err(),
        Some(Failure::NoSuchMachine { id: id.to_owned() })
    );
    assert!(!scene.disk(id).exists());
    assert!(scene.has_no_trash());
    assert_eq!(scene.load().list(), [], "the next run does not find it either");
}

#[test]
fn a_disk_deeper_than_a_path_is_long_is_thrown_away_too() {
    let scene = Scene::new();
    let made = scene.stopped(1);
    let upper = scene.disk(&made.instance_id).join("upper");
    let mut place = open(upper, OFlags::DIRECTORY, Mode::empty()).unwrap();
    for _ in 0..100 {
        let name = "directory".repeat(20);
        mkdirat(&place, &name, Mode::RWXU).unwrap();
        place = openat(&place, &name, OFlags::DIRECTORY, Mode::empty()).unwrap();
    }
    scene.load().terminate(&made.instance_id).unwrap();
    assert!(
        !scene.disk(&made.instance_id).exists(),
        "it is out of the way at once"
    );
    assert!(scene.has_no_trash());
}
