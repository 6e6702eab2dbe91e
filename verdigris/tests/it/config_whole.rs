//! `verdigris config check`: all that is wrong at once, and to a role nothing of what only another needs.

use std::{fs, os::unix::fs::PermissionsExt as _};

use crate::{
    config_check::Place,
    farm::{text, verdigris},
};

#[test]
fn all_mistakes_of_a_fleet_file_are_told_at_once() {
    let place = Place::new();
    let file = place.path("fleet.yaml");
    // As somebody writes it who begins with the clouds.
    let text = "clouds:\n  aws: {region: eu-central-1, credentials: {source: environment}}\nimages: {}\n\
        provision:\n  builder: {playbok: b.yml}\npools:\n  x86: {labels: [], size: {max: -1}, offerings: [{zones: [a]}]}\n";
    fs::write(&file, text).unwrap();
    let (_, said) = place.run(&["config", "check"]);
    for (at, words) in [
        ("1:1", "the key `schema` is missing"),
        ("1:1", "the key `fleet` is missing"),
        ("1:1", "the key `name` is missing"),
        ("2:8", "clouds.aws: the key `kind` is missing"),
        (
            "5:13",
            "provision.builder: there is no key `playbok` here, did you mean `playbook`?",
        ),
        (
            "7:8",
            "pools.x86.image: it is missing; only a pool of `hosts` has none",
        ),
        ("7:8", "pools.x86: the key `provision` is missing"),
        // It reads well, and the file contradicts itself.
        ("7:17", "pools.x86.labels: an `arch:` label is needed"),
        ("7:33", "pools.x86.size.max: expected a whole number from 0"),
        ("7:50", "pools.x86.offerings[0]: the key `types` is missing"),
    ] {
        let line = format!("{}:{at}: {words}", file.display());
        assert!(said.contains(&line), "{line}\n{said}");
    }
    assert_eq!(said.matches("fleet.yaml:").count(), 10, "{said}");
}

#[test]
fn a_role_is_told_nothing_of_what_only_another_needs() {
    let place = Place::new();
    fs::create_dir(place.path("secrets")).unwrap();
    for name in ["signing.passphrase", "devcloud.json"] {
        let path = place.path("secrets").join(name);
        fs::write(&path, "x").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    }
    let settings = place.path("verdigris.toml");
    let text = fs::read_to_string(&settings).unwrap();
    let mirror = place.path("mirror/repodata");
    fs::create_dir_all(&mirror).unwrap();
    let mirrors = format!("[http.mirrors]\nm = \"{}/mirror\"\n", place.path("").display());
    fs::write(&settings, format!("{text}{mirrors}")).unwrap();
    place.good(&[
        "chroot",
        "create",
        "t-2-x86_64",
        "--repository",
        "base={farm}/mirrors/m/",
    ]);
    fs::write(&settings, format!("{text}[worker]\nname = \"a b\"\n")).unwrap();
    let wrong = [
        ("signing.passphrase can be read by others", &["worker", "up"][..]),
        ("devcloud.json can be read by others", &["up"]),
        ("worker.name: `a b`", &["worker", "up"]),
        ("there is no mirror `m`", &["api", "up"]),
        ("no pool of the fleet file has labels", &["controller", "up"]),
    ];
    for role in ["api", "controller", "worker", "up"] {
        let (_, said) = place.run(&["config", "check", "--role", role]);
        for (words, roles) in &wrong {
            assert_eq!(
                said.contains(words),
                roles.contains(&role),
                "{role}: {words}\n{said}"
            );
        }
    }
}

#[test]
fn an_empty_variable_names_no_file_and_an_empty_option_is_refused() {
    let empty = ["VERDIGRIS_CONFIG", "VERDIGRIS_IMAGE", "VERDIGRIS_DIRECTORY"];
    let run = |arguments: &[&str]| {
        let mut command = verdigris();
        let output = command
            .args(arguments)
            .envs(empty.map(|name| (name, "")))
            .output()
            .unwrap();
        (
            output.status.success(),
            format!("{}{}", text(&output.stdout), text(&output.stderr)),
        )
    };
    let (is_good, said) = run(&["config", "show"]);
    assert!(
        is_good && said.contains("\"listen\": \"127.0.0.1:5080\""),
        "{said}"
    );
    let (_, said) = run(&["up", "--directory", "/nowhere/farm"]);
    assert!(said.contains("name it once with --image DIR"), "{said}");
    let (is_good, said) = run(&["config", "show", "--config", ""]);
    assert!(!is_good && said.contains("--config <FILE>"), "{said}");
    let (_, said) = run(&["up", "--listen", "localhost:5080"]);
    assert!(
        said.contains("it is no address with a port, such as 127.0.0.1:5080"),
        "{said}"
    );
    let (_, said) = run(&["up", "--directory", "/nowhere/farm", "--image", "/nowhere/image"]);
    assert!(
        said.contains("`devcloud.image`: the machine image /nowhere/image is not there"),
        "{said}"
    );
}
