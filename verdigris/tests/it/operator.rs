//! The operator and the users of a farm in one process: tokens that are in no log, end and are renewed, and what is deleted.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use crate::{
    config_check::everything,
    farm::{CHROOT, Farm, cached, text},
    packages::{GREETING, source_package},
};

fn value(section: &str, key: &str) -> String {
    let mut lines = section.lines().filter_map(|line| line.split_once(" = "));
    lines.find(|(name, _)| *name == key).unwrap().1.to_owned()
}

#[test]
fn no_token_is_logged_and_one_that_ended_is_told_and_renewed() {
    let mut farm = Farm::start_with(|_| "[log]\nfilter = \"debug\"\n".to_owned());
    farm.copr(&["create", "demo", "--chroot", CHROOT]);
    let build = farm.submit("demo", &source_package(farm.directory.path(), GREETING));
    farm.wait_for(build, &["succeeded"]);
    let conf = farm.path("data/copr.conf");
    let first = fs::read_to_string(&conf).unwrap();
    assert!(farm.stop(), "{}", farm.log());

    let now = everything(&farm.path("data"));
    let said = farm.operate(&["config", "check"]);
    assert!(said.contains("\nbuilders   good"), "{said}");
    assert_eq!(
        everything(&farm.path("data")),
        now,
        "a look at a whole farm writes nothing"
    );

    let database = farm.path("data/verdigris.db");
    let ended = Command::new("sqlite3")
        .arg(&database)
        .arg("UPDATE account SET token_expires_at = 1700000000000000")
        .status()
        .unwrap();
    assert!(ended.success());
    farm.up();
    let log = farm.log();
    let told = format!("The token of admin in {} ended on 2023-11-14.", conf.display());
    assert!(log.contains(&told), "{log}");
    assert!(log.contains("`verdigris user token admin --config"), "{log}");
    let output = farm.copr_cli(&["create", "other", "--chroot", CHROOT]);
    assert!(
        text(&output.stderr).contains("Login invalid/expired"),
        "{}",
        text(&output.stderr)
    );

    let section = farm.operate(&["user", "token", "admin"]);
    let second = fs::read_to_string(&conf).unwrap();
    assert_eq!(value(&section, "token"), value(&second, "token"));
    assert_eq!(value(&first, "copr_url"), value(&second, "copr_url"));
    farm.copr(&["create", "other", "--chroot", CHROOT]);
    // Another's token leaves the file alone.
    farm.operate(&["user", "create", "alice"]);
    let third = farm.operate(&["user", "token", "alice"]);
    assert_eq!(fs::read_to_string(&conf).unwrap(), second);

    assert!(farm.stop(), "{}", farm.log());
    farm.up();
    let log = farm.log();
    assert_eq!(log.matches("ended on 2023").count(), 1, "{log}");
    for token in [&first, &second, &third].map(|section| value(section, "token")) {
        assert!(token.starts_with("vdg_") && !log.contains(&token), "{log}");
    }
    assert!(!log.contains("vdg_"), "{log}");
}

/// copr-cli with another's section.
fn copr_as(farm: &Farm, section: &Path, arguments: &[&str]) -> Output {
    Command::new(cached("venv/bin/copr-cli"))
        .arg("--config")
        .arg(section)
        .args(arguments)
        .env("HOME", farm.directory.path())
        .output()
        .unwrap()
}

fn the_operator_that_is_needed_stays(farm: &Farm) {
    let said = farm.refused(&["user", "demote", "admin"]);
    assert!(
        said.contains("admin is the last operator; make another first: `verdigris user promote NAME`"),
        "{said}"
    );
    let said = farm.refused(&["user", "delete", "admin"]);
    assert!(said.contains("admin is whom `verdigris up` works as"), "{said}");
    let said = farm.refused(&["user", "delete", "nobody"]);
    assert!(said.contains("there is no user nobody"), "{said}");
}

#[test]
fn users_are_listed_demoted_and_deleted_and_what_is_needed_stays() {
    let mut farm = Farm::start();
    farm.copr(&["create", "demo", "--chroot", CHROOT]);
    the_operator_that_is_needed_stays(&farm);
    let section = farm.operate(&["user", "create", "bob"]);
    let said = farm.refused(&["user", "create", "bob"]);
    assert_eq!(said.trim(), "verdigris: there is a user bob already");
    assert_eq!(
        farm.operate(&["user", "promote", "bob"]).trim(),
        "bob is now an operator."
    );
    assert_eq!(
        farm.operate(&["user", "promote", "bob"]).trim(),
        "bob was already an operator."
    );
    let list = farm.operate(&["user", "list"]);
    let roles: Vec<Vec<&str>> = list
        .lines()
        .map(|line| line.split_whitespace().take(3).collect())
        .collect();
    assert_eq!(
        roles,
        [
            ["USER", "ROLE", "TOKEN"],
            ["admin", "operator", "until"],
            ["bob", "operator", "until"]
        ]
    );
    farm.operate(&["user", "demote", "bob"]);

    let theirs = farm.path("bob.conf");
    fs::write(&theirs, section).unwrap();
    let copr = |arguments: &[&str]| copr_as(&farm, &theirs, arguments);
    assert!(copr(&["create", "mine", "--chroot", CHROOT]).status.success());
    let said = farm.refused(&["user", "delete", "bob"]);
    assert!(
        said.contains("bob still owns the projects bob/mine; delete them first"),
        "{said}"
    );
    let said = farm.refused(&["chroot", "delete", CHROOT]);
    assert!(
        said.contains(&format!("these projects have {CHROOT}: admin/demo, bob/mine")),
        "{said}"
    );
    assert!(copr(&["delete", "mine"]).status.success());
    farm.operate(&["user", "delete", "bob"]);
    let late = copr(&["create", "late", "--chroot", CHROOT]);
    assert!(
        text(&late.stderr).contains("Login invalid/expired"),
        "{}",
        text(&late.stderr)
    );

    farm.copr(&["delete", "demo"]);
    farm.operate(&["chroot", "delete", CHROOT]);
    assert!(
        farm.operate(&["chroot", "list"])
            .starts_with("There are no chroots.")
    );
    assert!(farm.stop(), "{}", farm.log());
    // The users of today are in the file alone.
    assert!(!farm.path("data/verdigris.db-wal").exists());
    let list = farm.operate(&["user", "list"]);
    assert_eq!(list.lines().count(), 2, "{list}");
    assert!(
        !farm.path("data/verdigris.db-wal").exists(),
        "commands leave it whole, too"
    );
}
