//! The fleet file is changed under a running controller.

use std::{fs, process::Command};

use crate::{
    clouds::{Fleet, answering_devcloud, states},
    farm::eventually,
};

const LIMITS: &str = "{boot: 3m, provision: 30m, check: 30m}";

fn troubles(fleet: &Fleet) -> String {
    fleet.status()["troubles"].to_string()
}

#[test]
fn a_changed_fleet_file_is_in_force_within_seconds_and_a_bad_one_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let cloud = answering_devcloud(directory.path());
    let pool = "    size: {max: 2}\n    offerings: [{types: [t3.micro]}]\n";
    let fleet = Fleet::new(directory.path(), &cloud, cloud.port, pool, LIMITS);
    let file = directory.path().join("fleet.yaml");
    let good = fs::read_to_string(&file).unwrap();
    let controller = fleet.controller();
    eventually("it leads", || troubles(&fleet) == "[]");

    // A size with a mistake in it: nothing happens, and the mistake is told with its place.
    let bad = good.replace("{max: 2}", "{max: 2, idel: 1}");
    fs::write(&file, &bad).unwrap();
    let noticed = "the fleet file was changed at ";
    eventually("the mistake is told", || troubles(&fleet).contains(noticed));
    let shown = fleet.run(&["fleet", "status"]);
    assert!(
        shown.contains("fleet.yaml:23:20") && shown.contains("did you mean `idle`?"),
        "{shown}"
    );
    assert!(shown.contains("the one before stays in force"), "{shown}");
    assert!(fleet.run(&["fleet", "plan"]).contains("did you mean `idle`?"));
    eventually("the controller sees it too", || {
        fleet.log().contains("is not used, the one before stays in force")
    });
    assert_eq!(states(cloud.port), [""; 0]);

    // Nor is one in force with which no builder could be made.
    let lost = good.replace("  base:\n", "  base:\n    playbook: nope.yml\n");
    fs::write(&file, lost.replace("{max: 2}", "{max: 2, idle: 1}")).unwrap();
    eventually("it is refused", || {
        troubles(&fleet).contains("provision.base.playbook: there is no playbook nope.yml")
    });
    assert_eq!(states(cloud.port), [""; 0]);

    // Mended it is in force: a machine comes.
    fs::write(&file, good.replace("{max: 2}", "{max: 2, idle: 1}")).unwrap();
    eventually("a machine comes", || states(cloud.port).len() == 1);
    eventually("nothing is wrong", || troubles(&fleet) == "[]");
    assert!(
        fleet.log().contains("is in force: pool x86 changes."),
        "{}",
        fleet.log()
    );

    // Its cloud cannot get another name before it has ended.
    fs::write(&file, good.replace("rented", "bought")).unwrap();
    eventually("it is refused", || {
        troubles(&fleet).contains("clouds.rented is called bought, and 1 machine is left there")
    });
    // Nor can it be looked for in another region; neither by this controller nor by one that starts beside it.
    fs::write(&file, good.replace("region: ", "region: not-")).unwrap();
    let lost = "clouds.rented.region was `";
    eventually("it is refused", || troubles(&fleet).contains(lost));
    let refused = fleet.command(&["controller"]).output().unwrap();
    let words = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && words.contains(lost), "{words}");

    // The pool that is gone gives its machine back, though its cloud is gone as well: that is kept until then.
    let (before, _) = good.split_once("clouds:").unwrap();
    let (_, provision) = good.split_once("\nprovision:").unwrap();
    let (provision, _) = provision.split_once("\npools:").unwrap();
    fs::write(&file, format!("{before}provision:{provision}\npools: {{}}\n")).unwrap();
    eventually("the machine ends", || {
        states(cloud.port).iter().all(|state| state == "terminated")
    });
    let let_go = "is in force: `clouds` changes.";
    eventually("the cloud is let go", || fleet.log().contains(let_go));
    let kept = "Cloud rented is gone from the fleet file, and kept until its last machine has ended.";
    assert!(fleet.log().contains(kept), "{}", fleet.log());
    assert_eq!(fleet.status()["kept_clouds"].to_string(), "[]");
    eventually("nothing is wrong", || troubles(&fleet) == "[]");

    // Access keys and playbooks are read with it, and change without it.
    let hangup = Command::new("kill")
        .args(["-HUP", &controller.0.id().to_string()])
        .status();
    assert!(hangup.unwrap().success());
    eventually("it is read once more", || {
        fleet.log().contains("is in force: it says the same as before.")
    });
}
