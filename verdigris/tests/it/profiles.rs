//! Clouds that are not reached as the fleet file says, beside those that are: another dialect, another key.

use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    thread,
};

use crate::{
    clouds::{
        ACCESS_KEY, Fleet, Running, SECRET_KEY, answering_devcloud, devcloud_of, devcloud_of_session, ledger,
    },
    farm::{eventually, free_port},
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
    let types = "clouds.lab: instance types are not checked with `profile: eucalyptus`";
    assert!(said.contains(types), "{said}");

    // As its operators would guess it.
    assert!(fleet.edit("/services/compute\n", "/\n"));
    let said = fleet.refused(check);
    assert!(said.contains("that of Eucalyptus is /services/compute"), "{said}");
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
    let (id, secret) = (ACCESS_KEY, SECRET_KEY);
    let text =
        format!("access_key = \"{id}\"\nsecret_key = \"{secret}\"\nsession_token = \"FQoG/+token=\"\n");
    std::fs::write(&key, text).unwrap();
    let place = format!("{{source: file, path: {}}}", key.display());
    assert!(fleet.edit("{source: environment}", &place));
    let _controller = fleet.controller();
    eventually("it gives a machine", || !ledger(directory.path()).is_empty());
}

/// A metadata service of EC2's version 2 at a port, on a machine whose role has the key of the clouds with this token.
fn metadata_service(port: u16, session: &'static str) {
    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let key = serde_json::json!({
        "Code": "Success", "AccessKeyId": ACCESS_KEY, "SecretAccessKey": SECRET_KEY, "Token": session,
        "Expiration": "2999-01-01T00:00:00Z",
    });
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let (mut asked, mut piece) = (String::new(), [0; 4096]);
            while !asked.contains("\r\n\r\n") {
                let count = stream.read(&mut piece).unwrap_or_default();
                asked.push_str(&String::from_utf8_lossy(&piece[..count]));
                if count == 0 {
                    break;
                }
            }
            let path = asked.split(' ').nth(1).unwrap_or_default();
            let has_token = asked
                .to_lowercase()
                .contains("x-aws-ec2-metadata-token: of-the-machine\r\n");
            let (status, body) = match path.strip_prefix("/latest/meta-data/iam/security-credentials/") {
                None if asked.starts_with("PUT /latest/api/token ") => (200, "of-the-machine".to_owned()),
                Some(_) if !has_token => (401, String::new()),
                Some("") => (200, "farm".to_owned()),
                Some("farm") => (200, key.to_string()),
                _ => (404, String::new()),
            };
            let length = body.len();
            write!(
                stream,
                "HTTP/1.1 {status} Said\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
            )
            .ok();
        }
    });
}

#[test]
fn a_cloud_is_asked_with_the_key_of_the_machine_s_role_as_soon_as_there_is_one() {
    let directory = tempfile::tempdir().unwrap();
    let session = "FQoG/+role=";
    let cloud = devcloud_of_session(directory.path(), session);
    let pool = "    size: {max: 1, idle: 1}\n    offerings: [{types: [t3.micro]}]\n";
    let fleet = Fleet::new(directory.path(), &cloud, cloud.port, pool, "{}");
    assert!(fleet.edit("{source: environment}", "{source: instance-role}"));
    let port = free_port();
    let command = |arguments: &[&str]| {
        let mut command = fleet.command(arguments);
        let endpoint = format!("http://127.0.0.1:{port}");
        command.env("AWS_EC2_METADATA_SERVICE_ENDPOINT", endpoint);
        command
    };
    let check = || {
        let output = command(&["config", "check", "--role", "controller"])
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let words = "the cloud cannot be reached: there is no key to ask it with: no metadata service answers (no connection can be made)";
    let said = check();
    assert!(said.contains(&format!("clouds.rented: {words}")), "{said}");
    let log = std::fs::File::create(directory.path().join("controller.log")).unwrap();
    let _controller = Running(command(&["controller"]).stderr(log).spawn().unwrap());
    eventually("the controller says it as well", || {
        fleet.run(&["fleet", "status"]).contains(words) && fleet.log().contains("no metadata service answers")
    });
    assert_eq!(ledger(directory.path()), []);

    metadata_service(port, session);
    eventually("it gives a machine", || !ledger(directory.path()).is_empty());
    let said = check();
    assert!(said.contains("clouds     good"), "{said}");
}
