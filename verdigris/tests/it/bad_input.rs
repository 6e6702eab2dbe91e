//! Input that is wrong, through the real client and the real program: each gets words that say what and
//! where, and leaves nothing half done.

use std::{fs, process::Output};

use repository::testing::forge;
use store::testing::PostgresServer;

use crate::{
    config_check::everything,
    farm::{CHROOT, Farm, cached, text, verdigris},
    packages::{GREETING, SLOW, binary_package, source_package},
};

fn said(output: &Output) -> String {
    format!("{}{}", text(&output.stdout), text(&output.stderr))
}

#[test]
fn what_is_no_source_package_is_refused_with_the_reason_and_leaves_nothing() {
    let farm = Farm::start();
    let directory = farm.directory.path();
    farm.copr(&["create", "demo", "--chroot", CHROOT]);
    let good = source_package(directory, GREETING);
    let bytes = fs::read(&good).unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = directory.join(name);
        fs::write(&path, bytes).unwrap();
        path
    };
    let cases = [
        (file("text.src.rpm", b"this is no package\n"), "RPM"),
        (file("cut.src.rpm", &bytes[..bytes.len() * 2 / 3]), "cut short"),
        (file("head.src.rpm", &bytes[..200]), "cut short"),
        (file("empty.src.rpm", b""), "empty.src.rpm"),
        (
            file(
                "binary.src.rpm",
                &fs::read(binary_package(directory, SLOW)).unwrap(),
            ),
            "binary",
        ),
        (
            file("evil.src.rpm", &forge(&bytes, b"\0greeting\0", b"\0../eting\0")),
            "../eting",
        ),
    ];
    for (path, expected) in cases {
        let output = farm.copr_cli(&["build", "--nowait", "demo", path.to_str().unwrap()]);
        let said = said(&output);
        assert!(!output.status.success(), "{}: {said}", path.display());
        assert!(
            said.to_lowercase().contains(&expected.to_lowercase()),
            "{}: {said}",
            path.display()
        );
    }
    assert_eq!(
        farm.json("/api_3/build/list?ownername=admin&projectname=demo")["items"],
        serde_json::json!([])
    );
    let left = walk(&farm.path("data/sources"));
    assert_eq!(left, Vec::<String>::new(), "no refused upload stays");
}

fn walk(directory: &std::path::Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(directory) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for entry in entries.flatten() {
        if entry.path().is_dir() {
            found.extend(walk(&entry.path()));
        } else {
            found.push(entry.path().display().to_string());
        }
    }
    found
}

#[test]
fn wishes_that_cannot_be_met_are_refused_with_the_reason() {
    let farm = Farm::start();
    let package = source_package(farm.directory.path(), GREETING);
    let package = package.to_str().unwrap();
    farm.copr(&["create", "demo", "--chroot", CHROOT]);
    let cases: [(&[&str], &str); 4] = [
        (
            &["create", "demo", "--chroot", CHROOT],
            "You already have a project named 'demo'.",
        ),
        (
            &["create", "other", "--chroot", "fedora-1-mips"],
            "'fedora-1-mips' is not a valid choice for this field.",
        ),
        (
            &["build", "--nowait", "nothing", package],
            "Project admin/nothing does not exist.",
        ),
        (
            &["build", "--nowait", "-r", "fedora-1-mips", "demo", package],
            "fedora-1-mips",
        ),
    ];
    for (arguments, expected) in cases {
        let output = farm.copr_cli(arguments);
        assert!(!output.status.success(), "{arguments:?}");
        assert!(
            said(&output).contains(expected),
            "{arguments:?}: {}",
            said(&output)
        );
    }
    let config = farm.path("data/copr.conf");
    let text = fs::read_to_string(&config).unwrap();
    let wrong: String = text
        .lines()
        .map(|line| {
            if line.starts_with("token") {
                "token = wrong\n"
            } else {
                line
            }
            .to_owned()
                + "\n"
        })
        .collect();
    fs::write(&config, wrong).unwrap();
    let refused = farm.copr_cli(&["create", "third", "--chroot", CHROOT]);
    assert!(
        said(&refused).contains("Login invalid/expired"),
        "{}",
        said(&refused)
    );
}

#[test]
fn a_database_that_is_not_there_is_named_without_its_password() {
    let output = verdigris()
        .args(["migrate"])
        .env(
            "VERDIGRIS_DATABASE__URL",
            "postgres://user:hidden-word@127.0.0.1:1/farm",
        )
        .output()
        .unwrap();
    let said = said(&output);
    assert!(!output.status.success());
    assert!(said.contains("127.0.0.1:1"), "{said}");
    assert!(!said.contains("hidden-word"), "{said}");
}

#[test]
fn a_misspelt_key_in_the_fleet_file_is_shown_with_line_column_and_the_right_one() {
    let directory = tempfile::tempdir().unwrap();
    let fleet = "schema: 1\nfleet: 019a0000-0000-7000-8000-000000000001\nname: x\nclouds: {}\nimages: {}\n\
                 provision: {}\npools:\n  x86:\n    labels: [\"arch:x86_64\"]\n    image: a\n    provision: b\n    \
                 size: {min: 0, maxx: 4}\n    offerings: []\n";
    fs::write(directory.path().join("fleet.yaml"), fleet).unwrap();
    let output = verdigris()
        .args(["config", "check"])
        .env("VERDIGRIS_STORAGE__DIRECTORY", directory.path())
        .env(
            "VERDIGRIS_DATABASE__URL",
            format!("sqlite://{}/x.db", directory.path().display()),
        )
        .output()
        .unwrap();
    let said = said(&output);
    assert!(!output.status.success(), "{said}");
    assert!(said.contains("fleet.yaml:12:20"), "{said}");
    assert!(said.contains("did you mean `max`?"), "{said}");
}

/// What a first start is told, a variable beside it, and what it says. `IMAGE` stands for a good image, `EMPTY` for an empty
/// directory, `TAKEN` for an address at which somebody listens.
const REFUSED: &[(&[&str], (&str, &str), &str)] = &[
    (
        &[],
        NO_VARIABLE,
        "has no machine image yet: name it once with --image",
    ),
    (
        &["--image", "/nowhere"],
        NO_VARIABLE,
        "`devcloud.image`: the machine image /nowhere",
    ),
    (
        &["--image", "EMPTY"],
        NO_VARIABLE,
        "`devcloud.image`: the machine image ",
    ),
    (
        &["--image", "IMAGE", "--mirror", "microdistro=EMPTY"],
        NO_VARIABLE,
        "is no repository: it has no `repodata`",
    ),
    (
        &["--image", "IMAGE", "--mirror", "x=/nowhere"],
        NO_VARIABLE,
        "there is no directory /nowhere",
    ),
    (
        &["--image", "IMAGE", "--listen", "TAKEN"],
        NO_VARIABLE,
        "(`http.listen`)",
    ),
    (
        &["--image", "IMAGE", "--builders", "0"],
        NO_VARIABLE,
        "--builders",
    ),
    (
        GOOD,
        ("VERDIGRIS_WORKER__PARALLEL", "0"),
        "VERDIGRIS_WORKER__PARALLEL: 0 is not from 1",
    ),
    (
        GOOD,
        ("VERDIGRIS_LOG__FILTER", "store=loud"),
        "VERDIGRIS_LOG__FILTER: `store=loud` is no filter",
    ),
    (GOOD, ("VERDIGRIS_WORKER__NAME", "a b"), "worker.name: `a b`"),
    (
        GOOD,
        ("VERDIGRIS_FLEET__PLAYBOOKS", "/nowhere"),
        "`fleet.playbooks`",
    ),
    (GOOD, ("VERDIGRIS_FLEET__FILE", "/nowhere.yaml"), "/nowhere.yaml"),
    (
        GOOD,
        ("VERDIGRIS_DATABASE__URL", "postgres://farm@127.0.0.1:1/farm"),
        "connecting to the database (`database.url`)",
    ),
    (
        GOOD,
        ("VERDIGRIS_DATABASE__URL", "sqlite:///nowhere/farm.db"),
        "there is no directory /nowhere for the database (`database.url`)",
    ),
    (
        GOOD,
        ("VERDIGRIS_STORAGE__RESULTS", "/dev/null/results"),
        "`storage.results`: /dev/null is no directory",
    ),
    (
        GOOD,
        ("VERDIGRIS_STORAGE__SECRETS", "/dev/null"),
        "`storage.secrets`: /dev/null is no directory",
    ),
];
const GOOD: &[&str] = &["--image", "IMAGE"];
const NO_VARIABLE: (&str, &str) = ("VERDIGRIS_CACHE", "/nowhere");

#[test]
fn a_refused_first_start_makes_nothing() {
    let place = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let empty = place.path().join("empty");
    fs::create_dir(&empty).unwrap();
    let told = |word: &&str| {
        word.replace("IMAGE", cached("images/builder/current").to_str().unwrap())
            .replace("EMPTY", empty.to_str().unwrap())
            .replace("TAKEN", &taken.local_addr().unwrap().to_string())
    };
    for (arguments, (variable, value), expected) in REFUSED {
        // One that is not there, and one that is there and empty.
        for directory in [place.path().join("new/farm"), empty.clone()] {
            let output = verdigris()
                .env(variable, value)
                .args(["up", "--directory"])
                .arg(&directory)
                .args(arguments.iter().map(told))
                .output()
                .unwrap();
            let said = said(&output);
            assert!(
                !output.status.success() && said.contains(expected),
                "{arguments:?}: {said}"
            );
        }
        let left = everything(place.path());
        assert_eq!(left.keys().collect::<Vec<_>>(), [&empty], "{arguments:?}");
    }
}

#[test]
fn a_first_start_whose_role_lacks_rights_in_postgresql_makes_nothing_and_names_the_statement() {
    let server = PostgresServer::start().unwrap();
    let owner = server.new_database().unwrap();
    let url = owner.replace("verdigris@", "farm@");
    let place = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        verdigris()
            .env("VERDIGRIS_DATABASE__URL", &url)
            .args(arguments)
            .output()
            .unwrap()
    };
    let directory = place.path().join("farm");
    let image = cached("images/builder/current");
    let up: Vec<&str> = ["up", "--listen", "127.0.0.1:0", "--directory"]
        .into_iter()
        .chain([directory.to_str().unwrap(), "--image", image.to_str().unwrap()])
        .collect();
    let refused = |arguments: &[&str], statement: &str| {
        let output = run(arguments);
        let said = said(&output);
        assert!(
            !output.status.success() && said.contains(statement),
            "{arguments:?}: {said}"
        );
        assert_eq!(everything(place.path()).len(), 0, "{arguments:?}: {said}");
    };
    server
        .execute(
            &owner,
            "CREATE ROLE farm LOGIN; REVOKE CREATE ON SCHEMA public FROM PUBLIC",
        )
        .unwrap();
    let create = "GRANT CREATE ON SCHEMA public TO farm;";
    refused(&up, create);
    refused(&["config", "check", "--role", "up"], create);
    refused(&["migrate"], create);

    // The tables are another role's, and whole: what is wanting then is rights on them.
    server.execute(&owner, create).unwrap();
    assert!(run(&["migrate"]).status.success());
    server
        .execute(
            &owner,
            "REASSIGN OWNED BY farm TO verdigris; GRANT SELECT ON seaql_migrations TO farm",
        )
        .unwrap();
    refused(&up, "GRANT SELECT, INSERT, UPDATE, DELETE ON ");
}

/// A file of a farm's directory, what it holds, and what the start says of it. Where it holds nothing it is a directory.
const SPOILT: [(&str, Option<&[u8]>, &str); 9] = [
    ("copr.conf", None, "copr.conf cannot be read"),
    (
        "copr.conf",
        Some(b"username = \xff\n"),
        "copr.conf cannot be read",
    ),
    ("copr.conf", Some(b"username = a b\n"), "copr.conf: `username`"),
    ("results", Some(b""), "results is no directory"),
    ("devcloud", Some(b""), "devcloud is no directory"),
    (
        "verdigris.db",
        Some(b"This is a letter, and it is long enough to be taken for no empty database."),
        "connecting to the database",
    ),
    ("verdigris.db", None, "connecting to the database"),
    ("secrets/signing.passphrase", Some(b"x"), "can be read by others"),
    ("fleet.yaml", Some(AWAY), "AWS_ACCESS_KEY_ID is not set"),
];
const AWAY: &[u8] =
    b"schema: 1\nfleet: 019a0000-0000-7000-8000-000000000001\nname: x\nclouds:\n  far:\n    kind: ec2\n    \
    region: eu-1\n    credentials: {source: environment}\nimages: {}\nprovision: {}\npools: {}\n";

#[test]
fn a_start_that_its_own_directory_forbids_leaves_it_as_it_was() {
    for (file, content, expected) in SPOILT {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        match content {
            Some(content) => fs::write(&path, content).unwrap(),
            None => fs::create_dir(&path).unwrap(),
        }
        let before = everything(place.path());
        let output = verdigris()
            .env_remove("AWS_ACCESS_KEY_ID")
            .args(["up", "--listen", "127.0.0.1:0", "--image"])
            .arg(cached("images/builder/current"))
            .arg("--directory")
            .arg(place.path())
            .output()
            .unwrap();
        let said = said(&output);
        assert!(
            !output.status.success() && said.contains(expected),
            "{file}: {said}"
        );
        let after = everything(place.path());
        assert_eq!(
            after.keys().collect::<Vec<_>>(),
            before.keys().collect::<Vec<_>>(),
            "{file}: {said}"
        );
        assert_eq!(after, before, "{file}");
    }
}

#[test]
fn an_upload_without_room_for_it_is_refused_before_it_is_stored() {
    let mut farm = Farm::start();
    farm.copr(&["create", "demo", "--chroot", CHROOT]);
    assert!(farm.stop(), "{}", farm.log());
    let settings = farm.path("data/verdigris.toml");
    let before = fs::read_to_string(&settings).unwrap();
    let demanding = before.replace("[storage]\n", "[storage]\nmin_free = \"900000GiB\"\n");
    fs::write(&settings, demanding).unwrap();
    farm.up();
    let (status, health) = farm.get("/health").unwrap();
    assert_eq!(status, 503, "{health}");
    assert!(health.contains("disk"), "{health}");
    let package = source_package(farm.directory.path(), GREETING);
    let refused = farm.copr_cli(&["build", "--nowait", "demo", package.to_str().unwrap()]);
    assert!(!refused.status.success());
    assert!(said(&refused).contains("disk"), "{}", said(&refused));
    assert_eq!(walk(&farm.path("data/sources")), Vec::<String>::new());

    // With room again, the same farm takes the same package.
    assert!(farm.stop(), "{}", farm.log());
    fs::write(&settings, before).unwrap();
    farm.up();
    let build = farm.submit("demo", &package);
    farm.wait_for(build, &["succeeded"]);
}
