//! `verdigris config check` and commands that are pointed at the wrong place: everything is said, nothing is made.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use crate::{
    clouds::{Fleet, answering_devcloud},
    farm::{cached, text, verdigris},
};

/// A farm that never ran: settings, a fleet file and a migrated database.
pub(crate) struct Place(TempDir);

const FLEET: &str = r#"schema: 1
fleet: 019a0000-0000-7000-8000-000000000001
name: test
clouds:
  devcloud: {kind: ec2, region: dev-1, credentials: {source: embedded}}
images:
  builder: {cloud: devcloud, id: IMAGE}
provision:
  builder: {}
pools:
  x86:
    labels: ["arch:x86_64", "chroot:*-1-*"]
    image: builder
    provision: builder
    size: {max: 1}
    offerings: [{types: [c7i.xlarge]}]
"#;

impl Place {
    pub(crate) fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        let directory = place.0.path();
        let image = cached("images/builder/current");
        let id = ::devcloud::ImageConfig::read(&image).unwrap().id;
        let settings = format!(
            "[storage]\ndirectory = \"{}\"\n[devcloud]\nimage = \"{}\"\n",
            directory.display(),
            image.display()
        );
        fs::write(directory.join("verdigris.toml"), settings).unwrap();
        fs::write(directory.join("fleet.yaml"), FLEET.replace("IMAGE", &id)).unwrap();
        place.good(&["migrate"]);
        place
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> (bool, String) {
        let output = verdigris()
            .args(arguments)
            .arg("--config")
            .arg(self.path("verdigris.toml"))
            .env_remove("AWS_ACCESS_KEY_ID")
            .output()
            .unwrap();
        let said = format!("{}{}", text(&output.stdout), text(&output.stderr));
        (output.status.success(), said)
    }

    pub(crate) fn good(&self, arguments: &[&str]) -> String {
        let (is_good, said) = self.run(arguments);
        assert!(is_good, "{arguments:?} {said}");
        said
    }

    /// What a check says that must find nothing, with a text of a file replaced by another.
    fn passes(&self, file: &str, old: &str, new: &str) -> String {
        let path = self.path(file);
        let before = fs::read_to_string(&path).unwrap();
        assert!(before.contains(old), "{old} in {before}");
        fs::write(&path, before.replace(old, new)).unwrap();
        let said = self.good(&["config", "check"]);
        fs::write(&path, before).unwrap();
        said
    }

    /// What a check says that must find something, with a text of a file replaced by another.
    fn finds(&self, file: &str, old: &str, new: &str) -> String {
        let path = self.path(file);
        let before = fs::read_to_string(&path).unwrap();
        assert!(before.contains(old), "{old} in {before}");
        fs::write(&path, before.replace(old, new)).unwrap();
        let files = everything(self.0.path());
        let (is_good, said) = self.run(&["config", "check"]);
        assert!(!is_good, "{said}");
        assert_eq!(everything(self.0.path()), files, "it writes nothing: {said}");
        fs::write(&path, before).unwrap();
        said
    }
}

/// All files and directories below a directory, with what is in them.
pub(crate) fn everything(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.is_symlink() {
            found.extend(everything(&path));
            found.insert(path, Vec::new());
        } else {
            let content = fs::read(&path).unwrap_or_default();
            found.insert(path, content);
        }
    }
    found
}

#[test]
fn commands_at_a_wrong_place_name_it_and_make_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let wrong = directory.path().join("farn");
    let said = |arguments: &[&str], place: &Path| {
        let output = verdigris()
            .args(arguments)
            .env("VERDIGRIS_STORAGE__DIRECTORY", place)
            .output()
            .unwrap();
        assert!(!output.status.success(), "{arguments:?}");
        format!("{}{}", text(&output.stdout), text(&output.stderr))
    };
    let check = said(&["config", "check"], &wrong);
    let database = format!("there is no database at {}/verdigris.db", wrong.display());
    assert!(
        check.contains(&format!(
            "`storage.directory`: there is no directory {}",
            wrong.display()
        )),
        "{check}"
    );
    assert!(check.contains(&database), "{check}");
    assert!(!check.contains("due"), "{check}");
    for arguments in [
        &["user", "list"] as &[&str],
        &["chroot", "list"],
        &["user", "create", "bob"],
        &["api"],
    ] {
        let said = said(arguments, &wrong);
        assert!(said.contains(&database), "{arguments:?} {said}");
    }
    let migrate = said(&["migrate"], &wrong);
    assert!(
        migrate.contains(&format!("there is no directory {}", wrong.display())),
        "{migrate}"
    );
    assert!(everything(directory.path()).is_empty());
    // An empty file is no database, and stays empty.
    fs::write(directory.path().join("verdigris.db"), "").unwrap();
    let check = said(&["config", "check"], directory.path());
    assert!(check.contains("there is no database at"), "{check}");
    assert_eq!(everything(directory.path()).len(), 1);
}

#[test]
fn a_sound_farm_is_told_so_and_nothing_is_written() {
    let place = Place::new();
    let before = everything(place.0.path());
    let said = place.good(&["config", "check"]);
    for line in [
        "settings   good",
        "fleet      good, 1 pool",
        "clouds     good",
        "database   good",
        "disk       good",
    ] {
        assert!(said.lines().any(|found| found == line), "{line} in {said}");
    }
    assert_eq!(everything(place.0.path()), before);
    place.good(&["config", "check", "--role", "up"]);
    let (is_good, said) = place.run(&["config", "check", "--role", "controller"]);
    assert!(
        !is_good && said.contains("works in `verdigris up` only"),
        "{said}"
    );
    let shown: serde_json::Value = serde_json::from_str(&place.good(&["config", "show"])).unwrap();
    assert_eq!(
        shown["storage"]["results"],
        place.path("results").display().to_string()
    );
    assert_eq!(
        shown["fleet"]["file"],
        place.path("fleet.yaml").display().to_string()
    );
    assert_eq!(shown["http"]["builder_url"], "http://127.0.0.1:5080");
    let said = place.good(&["config", "check", "--role", "api"]);
    assert!(!said.contains("clouds") && !said.contains("secrets"), "{said}");
}

/// Stands in a table for the image's id.
const IMAGE: &str = "IMAGE";

/// In which file what is replaced by what, and what is said then.
const MISTAKES: &[(&str, &str, &str, &str)] = &[
    (
        "fleet.yaml",
        IMAGE,
        "ami-1",
        "images.builder.id: it is ami-1, but the machine image of the embedded cloud is",
    ),
    (
        "fleet.yaml",
        "c7i.xlarge",
        "c7i.xlrge",
        "fleet.yaml:16:26: pools.x86.offerings[0].types[0]: the cloud devcloud has no instance type `c7i.xlrge`, did you mean `c7i.xlarge`",
    ),
    (
        "fleet.yaml",
        "image: builder\n",
        "image: bulider\n",
        "fleet.yaml:13:12: pools.x86.image: there is no image `bulider`, did you mean `builder`? There is `builder`",
    ),
    (
        "fleet.yaml",
        "cloud: devcloud, id",
        "cloud: moon, id",
        "fleet.yaml:7:20: images.builder.cloud: there is no cloud `moon`. There is `devcloud`",
    ),
    (
        "fleet.yaml",
        "    provision: builder",
        "    provision: x",
        "fleet.yaml:14:16: pools.x86.provision: there is no provision `x`. There is `builder`",
    ),
    (
        "fleet.yaml",
        "{source: embedded}",
        "{source: file, path: /nowhere/aws.toml}",
        "credentials.path: cannot read /nowhere/aws.toml: there is no such file",
    ),
    (
        "fleet.yaml",
        "{source: embedded}",
        "{source: environment}",
        "clouds.devcloud: credentials: {source: environment}: in the environment AWS_ACCESS_KEY_ID is not set",
    ),
    (
        "fleet.yaml",
        "arch:x86_64",
        "arch:x86-64",
        "`x86-64` is no architecture, did you mean `x86_64`?",
    ),
    (
        "fleet.yaml",
        "builder: {}",
        "builder: {playbook: bilder.yml}",
        "there is no playbook bilder.yml; there is builder.yml",
    ),
    (
        "fleet.yaml",
        "max: 1",
        "max: -1",
        "fleet.yaml:15:17: pools.x86.size.max: expected a whole number from 0",
    ),
    (
        "fleet.yaml",
        "name: test",
        "name: test\nname: too",
        "fleet.yaml:4:1: the key `name` stands twice here",
    ),
    (
        "verdigris.toml",
        "[storage]",
        "[storage]\nmin_free = \"900000GiB\"",
        "less than the 900000GiB of `storage.min_free`",
    ),
    (
        "verdigris.toml",
        "[storage]",
        "[http.mirrors]\nx = \"/nowhere\"\n[storage]",
        "`http.mirrors.x`: there is no directory /nowhere",
    ),
    (
        "verdigris.toml",
        "[storage]",
        "[http.mirrors]\nx = \"/etc\"\n[storage]",
        "`http.mirrors.x`: /etc is no repository",
    ),
    (
        "verdigris.toml",
        "[storage]",
        "[storage]\nresults = \"/nowhere\"",
        "`storage.results`: there is no directory /nowhere",
    ),
    (
        "verdigris.toml",
        "[storage]",
        "[fleet]\nplaybooks = \"/nowhere\"\n[storage]",
        "`fleet.playbooks`: there is no directory",
    ),
    (
        "verdigris.toml",
        "[storage]",
        "[fleet]\nfile = \"/nowhere.yaml\"\n[storage]",
        "there is no fleet file /nowhere.yaml (`fleet.file`)",
    ),
    (
        "verdigris.toml",
        "image = ",
        "image = \"/nowhere\" # ",
        "the machine image /nowhere",
    ),
    (
        "verdigris.toml",
        "[storage]",
        "[worker]\nname = \"a b\"\n[storage]",
        "worker.name: `a b`",
    ),
    (
        "verdigris.toml",
        "[storage]",
        "[storage",
        "verdigris.toml:1:9: a section's name stands in `[ ]`",
    ),
    (
        "verdigris.toml",
        "[storage]",
        "[http]\nmax_connections = 0\n[storage]",
        "verdigris.toml:2:19: [http] max_connections: 0 is not from 8 to 1000000",
    ),
];

#[test]
fn what_a_start_would_refuse_and_what_could_never_build_is_found() {
    let place = Place::new();
    let fleet = fs::read_to_string(place.path("fleet.yaml")).unwrap();
    let id = fleet.split_once("id: ").unwrap().1.split_once('}').unwrap().0;
    for (file, old, new, expected) in MISTAKES {
        let said = place.finds(file, if *old == IMAGE { id } else { old }, new);
        assert!(said.contains(expected), "{new}: {said}");
    }
}

#[test]
fn a_file_that_is_no_database_is_told_so_without_the_libraries_words() {
    let place = Place::new();
    fs::write(place.path("verdigris.db"), [7; 8192]).unwrap();
    for arguments in [&["user", "list"] as &[&str], &["config", "check"], &["migrate"]] {
        let (is_good, said) = place.run(arguments);
        assert!(
            !is_good && said.contains("its file holds something else than a database of SQLite"),
            "{said}"
        );
        for theirs in ["Error:", "error returned", "code:"] {
            assert!(!said.contains(theirs), "{said}");
        }
    }
}

#[test]
fn a_cloud_is_asked_for_all_that_the_fleet_file_wants_of_it() {
    let directory = tempfile::tempdir().unwrap();
    let cloud = answering_devcloud(directory.path());
    let pool = "    size: {max: 1}\n    offerings: [{types: [c7i.xlarge], zones: [dev-1a]}]\n";
    let fleet = Fleet::new(directory.path(), &cloud, cloud.port, pool, "{}");
    let check = &["config", "check", "--role", "controller"];
    let good = fleet.run(check);
    assert!(good.lines().any(|line| line == "clouds     good"), "{good}");
    let file = directory.path().join("fleet.yaml");
    let sound = fs::read_to_string(&file).unwrap();
    for (old, new, expected) in [
        (
            "[c7i.xlarge]",
            "[t3.micro, c7i.xlarg]",
            "pools.x86.offerings[0].types[1]: the cloud rented has no instance type `c7i.xlarg`, did you mean `c7i.xlarge`",
        ),
        (
            "[dev-1a]",
            "[dev-1b]",
            "pools.x86.offerings[0].zones[0]: the cloud rented has no availability zone dev-1b, or none that this account \
             may use. There is dev-1a",
        ),
        (
            "region: dev-1\n",
            "region: dev-1\n    network: {subnet: subnet-0123456789abcdef0, security_groups: [sg-0123456789abcdef0]}\n",
            "clouds.rented.network.subnet: the cloud rented has no subnet subnet-0123456789abcdef0",
        ),
        (
            "region: dev-1\n",
            "region: dev-1\n    network: {security_groups: [sg-0123456789abcdef0]}\n",
            "clouds.rented.network.security_groups[0]: the cloud rented has no security group sg-0123456789abcdef0",
        ),
    ] {
        assert!(sound.contains(old), "{old}");
        fs::write(&file, sound.replace(old, new)).unwrap();
        let said = fleet.refused(check);
        assert!(said.contains(expected), "{new}: {said}");
        assert!(said.contains("fleet.yaml:"), "{said}");
    }
}

/// The built-in playbooks as an operator's own.
fn copy_playbooks(to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../playbooks")).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
    }
}

#[test]
fn a_chroot_in_which_nothing_can_be_built_is_refused_or_found() {
    let place = Place::new();
    for (arguments, expected) in [
        (
            &["chroot", "create", "t-1-x86_65"] as &[&str],
            "t-1-x86_65: `x86_65` is no architecture",
        ),
        (
            &[
                "chroot",
                "create",
                "t-1-x86_64",
                "--repository",
                "base={farm}/mirrors/nomirror/",
            ],
            "there is no mirror `nomirror` in `http.mirrors`",
        ),
    ] {
        let (is_good, said) = place.run(arguments);
        assert!(!is_good && said.contains(expected), "{said}");
    }
    assert!(
        place
            .good(&["chroot", "list"])
            .starts_with("There are no chroots.")
    );
    let said = place.good(&["chroot", "create", "t-1-x86_64", "t-2-x86_64", "t-1-aarch64"]);
    for name in ["t-1-x86_64", "t-2-x86_64", "t-1-aarch64"] {
        let warning = format!(
            "warning: {name}: it has no repositories, so that builds in it fail but on builders with mock"
        );
        assert!(said.contains(&warning), "{said}");
    }
    let (is_good, said) = place.run(&["config", "check"]);
    assert!(!is_good, "{said}");
    for (name, is_found) in [("t-1-x86_64", false), ("t-2-x86_64", true), ("t-1-aarch64", true)] {
        let words = format!("Nothing can be built in the chroot {name}: no pool");
        assert_eq!(said.contains(&words), is_found, "{said}");
    }
    place.good(&["chroot", "deactivate", "t-2-x86_64"]);
    place.good(&["chroot", "delete", "t-1-aarch64"]);
    // Only mock can build there, and it can be seen that the machine image has none.
    let (is_good, said) = place.run(&["config", "check"]);
    let words = "Nothing can be built in the chroot t-1-x86_64: it has no repositories, so that builds in it fail but on builders with \
                 mock, whose own configuration has that name; the machine image has no mock. Either delete it";
    assert!(
        !is_good && said.contains(words) && said.contains("Pools: `x86`"),
        "{said}"
    );
    // Playbooks of the operator's own may do anything.
    let own = format!("[fleet]\nplaybooks = \"{}\"\n", place.path("playbooks").display());
    copy_playbooks(&place.path("playbooks"));
    let said = place.passes("verdigris.toml", "[devcloud]", &format!("{own}[devcloud]"));
    let words = "The chroot t-1-x86_64: it has no repositories, so that";
    assert!(
        said.contains(words) && said.contains("nothing says that all of its builders have it"),
        "{said}"
    );
    for vars in ["{vars: {packages: [mock]}}", "{vars: {packages: mock}}"] {
        let said = place.passes("fleet.yaml", "builder: {}", &format!("builder: {vars}"));
        assert!(!said.contains("mock"), "{said}");
    }
    let (is_good, said) = place.run(&["chroot", "delete", "t-1-aarch64"]);
    assert!(
        !is_good && said.contains("there is no chroot t-1-aarch64") && !said.contains("stays"),
        "{said}"
    );
}
