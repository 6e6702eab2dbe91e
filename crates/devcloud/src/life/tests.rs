use std::{
    net::Ipv4Addr,
    sync::atomic::{AtomicU16, Ordering},
};

use super::*;
use crate::{
    CloudConfig,
    api::samples,
    ledger::{End, Linger, Mishap, MishapKind, TagEdit},
    testing::FakeMachines,
};

const ID: &str = "i-00000000000000001";

#[test]
fn a_start_brings_up_what_ran_ends_what_lost_its_disk_and_leaves_the_rest() {
    use InstanceState::{Pending, Running, ShuttingDown, Stopped, Stopping, Terminated};
    // State, whether the ledger knows of a disk, whether there is one; where it goes, and whether anything is to be done.
    for (state, has_disk, disk, to, is_changed) in [
        (Pending, false, false, Pending, true),
        (Pending, false, true, Pending, true),
        (Pending, true, true, Pending, true),
        (Pending, true, false, ShuttingDown, true),
        (Running, true, true, Pending, true),
        (Running, true, false, ShuttingDown, true),
        (Stopping, true, true, Stopping, true),
        (Stopping, true, false, ShuttingDown, true),
        (Stopped, true, true, Stopped, false),
        (Stopped, true, false, ShuttingDown, true),
        (ShuttingDown, true, true, ShuttingDown, true),
        (ShuttingDown, false, false, ShuttingDown, true),
        (Terminated, true, false, Terminated, false),
    ] {
        let mut instance = samples::instance(ID);
        (instance.state, instance.has_disk) = (state, has_disk);
        let what = format!("{} {has_disk} {disk}", state.name());
        assert_eq!(recover_one(&mut instance, disk), is_changed, "{what}");
        assert_eq!(instance.state, to, "{what}");
        let is_lost = to == ShuttingDown && state != ShuttingDown;
        let reason = instance
            .state_reason
            .as_ref()
            .map(|reason| reason.message.as_str());
        let lost = "Server.InternalError: The disk of the instance was lost";
        assert_eq!(reason, is_lost.then_some(lost), "{what}");
        // Whether it is started again or made anew hangs on it.
        assert_eq!(instance.has_disk, has_disk || (disk && to == Pending), "{what}");
    }
}

/// How many scenes this process has had.
static SCENES: AtomicU16 = AtomicU16::new(0);

struct Scene {
    life: Arc<Life>,
    machines: Arc<FakeMachines>,
    _directory: tempfile::TempDir,
}

impl Scene {
    /// A cloud with one instance that `change` was made to.
    async fn new(change: impl FnOnce(&mut Instance)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut config = CloudConfig::new(directory.path(), "key", "secret");
        // What the one before listened on may not be free yet, and other tests have scenes at the same time.
        config.ssh_port = 4622 + SCENES.fetch_add(1, Ordering::Relaxed);
        let ledger = Ledger::open(directory.path()).unwrap();
        let machines = FakeMachines::new();
        let mut instance = samples::instance(ID);
        instance.public_address = Ipv4Addr::from(0x7f80_0000 | (std::process::id() & 0x003f_ffff));
        change(&mut instance);
        let added = ledger.commit(|state| {
            state.instances.insert(instance.id.clone(), Arc::new(instance));
            Ok::<_, Error>(())
        });
        added.await.unwrap();
        let life = Life::new(ledger, machines.clone(), &config, CancellationToken::new());
        Self {
            life,
            machines,
            _directory: directory,
        }
    }

    fn instance(&self) -> Arc<Instance> {
        Arc::clone(&self.life.ledger.snapshot().instances[ID])
    }

    async fn until(&self, state: InstanceState) {
        for _ in 0..3000 {
            if self.instance().state == state {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("it is never {}: {:?}", state.name(), self.instance());
    }
}

#[tokio::test]
async fn a_disk_that_stays_when_its_instance_ends_is_in_the_ledger() {
    for keeps in [false, true] {
        let scene = Scene::new(|instance| {
            instance.keeps_volume = keeps;
            instance.enter(InstanceState::ShuttingDown, None);
        })
        .await;
        scene.life.reconcile(ID).await;
        let state = scene.life.ledger.snapshot();
        assert_eq!(state.instances[ID].state, InstanceState::Terminated);
        let left: Vec<_> = state.left_volumes.iter().collect();
        let disk = (&state.instances[ID].root_volume_id, &ID.to_owned());
        assert_eq!(left, if keeps { vec![disk] } else { Vec::new() });
    }
}

#[tokio::test]
async fn an_instance_that_cannot_be_started_ends_and_says_why() {
    let scene = Scene::new(|_| ()).await;
    scene.machines.fail("run", "no space is left");
    scene.life.reconcile(ID).await;
    let instance = scene.instance();
    assert_eq!(instance.state, InstanceState::Terminated);
    assert_eq!(
        instance.state_reason.as_ref().unwrap().message,
        "Server.InternalError: The instance could not be started: the hypervisor failed to run the machine: \
         no space is left"
    );
    assert_eq!(
        scene.machines.calls(),
        [format!("run {ID}"), format!("terminate {ID}")]
    );
}

#[tokio::test]
async fn an_instance_is_not_blamed_for_a_hypervisor_that_died() {
    let scene = Scene::new(|_| ()).await;
    scene.machines.die();
    scene.life.reconcile_soon(ID.to_owned());
    while scene.machines.calls().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(scene.instance().state, InstanceState::Pending);
    scene.machines.restart().await.unwrap();
    scene.until(InstanceState::Running).await;
}

#[tokio::test]
async fn what_has_to_end_is_tried_until_it_has() {
    let scene = Scene::new(|instance| instance.state = InstanceState::ShuttingDown).await;
    scene.machines.fail("terminate", "it is busy");
    scene.life.reconcile_soon(ID.to_owned());
    while scene.machines.calls().len() < 3 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(scene.instance().state, InstanceState::ShuttingDown);
    scene.machines.fail("terminate", "");
    scene.until(InstanceState::Terminated).await;
}

#[tokio::test]
async fn a_power_off_from_inside_means_what_the_launch_said() {
    for (behavior, state, verb) in [
        (ShutdownBehavior::Stop, InstanceState::Stopped, "stop"),
        (
            ShutdownBehavior::Terminate,
            InstanceState::Terminated,
            "terminate",
        ),
    ] {
        let scene = Scene::new(|instance| {
            instance.state = InstanceState::Running;
            instance.shutdown_behavior = behavior;
        })
        .await;
        // An event that is older than the start after it changes nothing.
        scene.machines.place(ID, Some(MachineState::Running));
        scene.life.power_off(ID).await.unwrap();
        assert_eq!(scene.instance().state, InstanceState::Running);
        scene.machines.place(ID, Some(MachineState::Stopped));
        scene.life.machine_ended(ID.to_owned());
        scene.until(state).await;
        assert_eq!(scene.machines.calls(), [format!("{verb} {ID}")]);
        assert_eq!(
            scene.instance().state_reason.as_ref().unwrap().code,
            "Client.InstanceInitiatedShutdown"
        );
    }
}

/// What is to come to an instance, and how it shows that it came.
type ToCome = (&'static str, fn(&mut Instance), fn(&Scene) -> bool);

const TO_COME: &[ToCome] = &[
    (
        "an end with a reason",
        |instance| {
            instance.faults.end = Some(End {
                at: soon(),
                code: "Client.X".to_owned(),
                message: "x".to_owned(),
            });
        },
        |scene| {
            let instance = scene.instance();
            let reason = instance.state_reason.as_ref().map(|reason| reason.code.as_str());
            instance.state == InstanceState::Terminated && reason == Some("Client.X")
        },
    ),
    (
        "a mishap",
        |instance| {
            let kind = MishapKind::Freeze;
            instance.faults.mishap = Some(Mishap { at: soon(), kind });
        },
        |scene| scene.machines.calls().contains(&format!("freeze {ID}")),
    ),
    (
        "an edit of tags",
        |instance| {
            instance.faults.tag_edits.push(TagEdit {
                at: soon(),
                set: [("a".to_owned(), "b".to_owned())].into(),
                remove: Vec::new(),
            });
        },
        |scene| {
            scene
                .life
                .ledger
                .snapshot()
                .tags
                .get(ID)
                .is_some_and(|tags| tags["a"] == "b")
        },
    ),
    (
        "an end that lingers",
        |instance| {
            instance.state = InstanceState::ShuttingDown;
            let returns = false;
            instance.faults.linger = Some(Linger {
                until: soon(),
                returns,
            });
        },
        |scene| scene.instance().state == InstanceState::Terminated,
    ),
    (
        "a return",
        |instance| {
            instance.state = InstanceState::ShuttingDown;
            let returns = true;
            instance.faults.linger = Some(Linger {
                until: soon(),
                returns,
            });
        },
        |scene| {
            let runs = scene.machines.states().get(ID) == Some(&MachineState::Running);
            scene.instance().state == InstanceState::Running && runs
        },
    ),
];

fn soon() -> time::OffsetDateTime {
    time::OffsetDateTime::now_utc() + Duration::from_millis(1500)
}

#[tokio::test]
async fn what_is_to_come_to_an_instance_comes_after_a_new_start_too() {
    for (what, change, has_come) in TO_COME {
        let scene = Scene::new(|instance| {
            (instance.state, instance.has_disk) = (InstanceState::Running, true);
            change(instance);
        })
        .await;
        scene.machines.place(ID, Some(MachineState::Stopped));
        scene.life.recover().await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(!has_come(&scene), "{what} has its time");
        for _ in 0..3000 {
            if has_come(&scene) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(has_come(&scene), "{what}: {:?}", scene.instance());
    }
}
