//! Two controllers of one fleet: what the one that waits says.

use crate::{
    clouds::{Fleet, devcloud},
    farm::eventually,
};

#[test]
fn a_controller_that_waits_says_so_once_and_once_more_when_it_leads() {
    let directory = tempfile::tempdir().unwrap();
    let cloud = devcloud(directory.path(), 1);
    let pool = "    size: {max: 0}\n    offerings: [{types: [t3.micro]}]\n";
    let fleet = Fleet::new(directory.path(), &cloud, cloud.port, pool, "{}");
    let first = fleet.controller();
    let leads = "This controller leads fleet test.";
    eventually("the first leads", || fleet.log().contains(leads));
    let _second = fleet.controller();
    let waits = "leads fleet test; this controller waits, and leads when the other is gone.";
    eventually("the second says that it waits", || fleet.log().contains(waits));
    let status = fleet.run(&["fleet", "status"]);
    assert!(
        status.starts_with("POOL  WANTED  BUILDERS  READY  BUSY  STARTING  ENDING  AT MOST"),
        "{status}"
    );
    drop(first);
    let follows = "This controller leads fleet test from now on, after ";
    eventually("the second leads", || fleet.log().contains(follows));
    let log = fleet.log();
    // It asks for the lease every five seconds, and waited longer.
    for words in [leads, waits, follows] {
        assert_eq!(log.matches(words).count(), 1, "{words}: {log}");
    }
    assert!(log.contains("The controller "), "{log}");
    let of_cloud = std::fs::read_to_string(directory.path().join("devcloud.log")).unwrap();
    assert!(of_cloud.contains("devcloud listens at"), "{of_cloud}");
    for text in [log, of_cloud] {
        assert!(!text.contains('\u{1b}'), "colours in a file: {text}");
    }
}
