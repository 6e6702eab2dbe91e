//! Clouds that are not reached as the fleet file says, beside those that are: another dialect, another key.

use crate::{
    clouds::{Fleet, answering_devcloud, devcloud_of, devcloud_of_session, ledger},
    farm::eventually,
};

#[test]
fn a_cloud_that_is_not_what_its_profile_says_is_refused_and_the_other_one_goes_on() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let cloud = answering_devcloud(here.path());
    let lab = devcloud_of(there.path(), &::devcloud::Profile::EUCALYPTUS);
    let pool = "    size: {max: 1, idle: 1}\n    offerings: [{types: [t3.micro]}]\n";
    let fleet = Fleet::new(here.path(), &cloud, cloud.port, pool, "{}");
    let clouds = format!(
        "clouds:\n  lab:\n    kind: ec2\n    region: dev-1\n    endpoint: http://127.0.0.1:{}/services/compute\n    \
         credentials: {{source: environment}}\n",
        lab.port
    );
    let images = format!("images:\n  lab: {{cloud: lab, id: {}}}\n", lab.image);
    let pools = "pools:\n  old:\n    labels: [\"arch:x86_64\"]\n    image: lab\n    provision: base\n    \
                 size: {max: 1, idle: 1}\n    offerings: [{types: [m1.small]}]\n";
    for (old, new) in [
        ("clouds:\n", clouds.as_str()),
        ("images:\n", &images),
        ("pools:\n", pools),
    ] {
        assert!(fleet.edit(old, new), "{old}");
    }

    let check = &["config", "check", "--role", "controller"];
    let words = "clouds.lab.profile: it is `aws`, but the endpoint speaks the dialect of `eucalyptus`: ";
    let said = fleet.refused(check);
    assert!(said.contains(words) && said.contains("fleet.yaml:"), "{said}");
    assert!(!said.contains("clouds.rented.profile"), "{said}");

    let _controller = fleet.controller();
    let is_told = || fleet.run(&["fleet", "status"]).contains(words);
    eventually("it is told of", is_told);
    eventually("the other cloud gives a builder", || {
        !ledger(here.path()).is_empty()
    });
    assert!(ledger(there.path()).is_empty() && is_told(), "{}", fleet.log());
    let told = fleet.log().matches(words).count();
    assert_eq!(told, 1, "once is enough: {}", fleet.log());

    // Written as it says.
    let endpoint = "/services/compute\n";
    assert!(fleet.edit(endpoint, &format!("{endpoint}    profile: eucalyptus\n")));
    eventually("it gives a machine", || !ledger(there.path()).is_empty());
    assert!(!is_told());
    let said = fleet.run(check);
    assert!(said.contains("clouds     good"), "{said}");
}

#[test]
fn the_key_of_a_session_is_good_with_its_own_token_only() {
    let directory = tempfile::tempdir().unwrap();
    let cloud = devcloud_of_session(directory.path(), "FQoG/+token=");
    let pool = "    size: {max: 1, idle: 1}\n    offerings: [{types: [t3.micro]}]\n";
    let fleet = Fleet::new(directory.path(), &cloud, cloud.port, pool, "{}");
    for (token, is_good) in [
        (Some("FQoG/+token="), true),
        (Some("another"), false),
        (Some(""), false),
        (None, false),
    ] {
        let mut check = fleet.command(&["config", "check", "--role", "controller"]);
        if let Some(token) = token {
            check.env("AWS_SESSION_TOKEN", token);
        }
        let said = String::from_utf8(check.output().unwrap().stdout).unwrap();
        assert_eq!(said.contains("clouds     good"), is_good, "{token:?}: {said}");
        assert_eq!(said.contains("AuthFailure"), !is_good, "{token:?}: {said}");
    }
    // In a file, too.
    let key = directory.path().join("key.toml");
    let (id, secret) = (crate::clouds::ACCESS_KEY, crate::clouds::SECRET_KEY);
    let text =
        format!("access_key = \"{id}\"\nsecret_key = \"{secret}\"\nsession_token = \"FQoG/+token=\"\n");
    std::fs::write(&key, text).unwrap();
    let place = format!("{{source: file, path: {}}}", key.display());
    assert!(fleet.edit("{source: environment}", &place));
    let _controller = fleet.controller();
    eventually("it gives a machine", || !ledger(directory.path()).is_empty());
}
