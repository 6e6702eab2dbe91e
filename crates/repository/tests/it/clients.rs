//! The real dnf as the client: both checks on, from an empty repository to an installed package.

use std::{
    path::{Path, PathBuf},
    process::Output,
};

use repository::{PackageMetadata, Publisher, RepositoryId, SigningKey};

use crate::support::{NOW, add, build, is_source, key, repository, run, simple, simple_spec, text};

struct Farm {
    temporary: tempfile::TempDir,
    publisher: Publisher,
    id: RepositoryId,
    key: SigningKey,
}

impl Farm {
    fn new() -> Self {
        let temporary = tempfile::tempdir().unwrap();
        let publisher = Publisher::new(temporary.path().join("results"));
        let farm = Self {
            temporary,
            publisher,
            id: repository(),
            key: key(),
        };
        farm.publisher
            .create_repository(&farm.id, &farm.key, NOW)
            .unwrap();
        farm
    }

    fn add(&self, number: i64, name: &str) -> PackageMetadata {
        let package = simple(self.temporary.path(), name, "1");
        add(&self.publisher, &self.id, number, &package, &self.key)
    }

    /// Runs dnf against this repository only, both checks on, with a cache and a root of its own.
    fn dnf(&self, arguments: &[&str]) -> Output {
        let home = self.temporary.path();
        let base = self.publisher.directory(&self.id);
        let public = base.parent().unwrap().join("pubkey.gpg");
        let configuration = format!(
            "[main]\nreposdir=/dev/null\nplugins=0\ncachedir={home}/cache\nlogdir={home}/log\npersistdir={home}/persist\n\
             install_weak_deps=0\nmetadata_expire=0\n[farm]\nname=farm\nbaseurl=file://{base}/\nenabled=1\ngpgcheck=1\n\
             repo_gpgcheck=1\ngpgkey=file://{public}\n",
            home = home.display(),
            base = base.display(),
            public = public.display(),
        );
        let file = home.join("dnf.conf");
        fs_err::write(&file, configuration).unwrap();
        let root = format!("--installroot={}", self.root().display());
        let mut all = vec!["-y", "-c", text(&file), "--releasever=43", &root];
        all.extend(arguments);
        run("dnf", &all)
    }

    fn root(&self) -> PathBuf {
        self.temporary.path().join("root")
    }

    fn installed(&self, name: &str) -> bool {
        self.root().join("usr/share").join(name).join("version").is_file()
    }

    fn live(&self, file: &str) -> PathBuf {
        self.publisher.directory(&self.id).join("repodata").join(file)
    }
}

impl Drop for Farm {
    fn drop(&mut self) {
        end_agents(self.temporary.path());
    }
}

/// dnf's check of a signature leaves an agent of GnuPG running in each directory of keys.
fn end_agents(directory: &Path) {
    for entry in fs_err::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            if entry.file_name() == "pubring" {
                run("gpgconf", &["--homedir", text(&path), "--kill", "all"]);
            }
            end_agents(&path);
        }
    }
}

fn words(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

#[test]
fn dnf_reads_an_empty_signed_repository_and_then_installs_from_it() {
    let farm = Farm::new();
    let empty = farm.dnf(&["-q", "repoquery", "*"]);
    assert!(empty.status.success(), "{}", words(&empty));
    assert_eq!(String::from_utf8_lossy(&empty.stdout).trim(), "");

    let packages = [farm.add(1, "hello"), farm.add(2, "world")];
    farm.publisher
        .publish(&farm.id, &packages, &farm.key, 1, NOW)
        .unwrap();
    let full = farm.dnf(&["-q", "repoquery", "--refresh", "*"]);
    let listed = String::from_utf8_lossy(&full.stdout).into_owned();
    assert!(
        full.status.success() && listed.contains("hello-0:1-1.noarch"),
        "{}",
        words(&full)
    );
    assert!(listed.contains("world-0:1-1.noarch"), "{listed}");
    let files = farm.dnf(&["-q", "repoquery", "-l", "hello"]);
    assert!(
        String::from_utf8_lossy(&files.stdout).contains("/usr/share/hello/version"),
        "{}",
        words(&files)
    );

    let installed = farm.dnf(&["install", "hello"]);
    assert!(
        installed.status.success() && farm.installed("hello"),
        "{}",
        words(&installed)
    );

    // Rolled back, the repository is empty again, and dnf accepts that too.
    farm.publisher.rollback(&farm.id, 0).unwrap();
    let back = farm.dnf(&["-q", "repoquery", "--refresh", "*"]);
    assert!(
        back.status.success() && String::from_utf8_lossy(&back.stdout).trim().is_empty(),
        "{}",
        words(&back)
    );
}

#[test]
fn dnf_refuses_a_changed_repomd() {
    let farm = Farm::new();
    let packages = [farm.add(1, "hello")];
    farm.publisher
        .publish(&farm.id, &packages, &farm.key, 1, NOW)
        .unwrap();
    let repomd = farm.live("repomd.xml");
    let changed = fs_err::read_to_string(&repomd)
        .unwrap()
        .replace("<revision>1", "<revision>2");
    fs_err::write(&repomd, changed).unwrap();
    let output = farm.dnf(&["install", "hello"]);
    assert!(
        !output.status.success() && words(&output).contains("GPG"),
        "{}",
        words(&output)
    );
    assert!(!farm.installed("hello"));
}

#[test]
fn of_two_builds_of_one_version_dnf_installs_the_newer() {
    let farm = Farm::new();
    // Numbers of which the text's order is not the order.
    let packages: Vec<PackageMetadata> = [(99_999_999, "older"), (100_000_000, "newer")]
        .into_iter()
        .map(|(number, content)| {
            let spec = simple_spec("twice", "1").replace("echo 1 >", &format!("echo {content} >"));
            let built = build(farm.temporary.path(), content, spec);
            let package = built.iter().find(|path| !is_source(path)).unwrap();
            add(&farm.publisher, &farm.id, number, package, &farm.key)
        })
        .collect();
    let file = farm.root().join("usr/share/twice/version");
    for (number, order) in [(1, [0, 1]), (2, [1, 0])] {
        let packages = order.map(|index: usize| packages[index].clone());
        farm.publisher
            .publish(&farm.id, &packages, &farm.key, number, NOW)
            .unwrap();
        let output = farm.dnf(&["install", "--refresh", "twice"]);
        assert!(output.status.success(), "{}", words(&output));
        assert_eq!(fs_err::read_to_string(&file).unwrap(), "newer\n");
        let removed = farm.dnf(&["remove", "twice"]);
        assert!(removed.status.success(), "{}", words(&removed));
    }
}

#[test]
fn dnf_refuses_a_missing_signature() {
    let farm = Farm::new();
    let packages = [farm.add(1, "hello")];
    farm.publisher
        .publish(&farm.id, &packages, &farm.key, 1, NOW)
        .unwrap();
    fs_err::remove_file(farm.live("repomd.xml.asc")).unwrap();
    let output = farm.dnf(&["install", "hello"]);
    assert!(
        !output.status.success() && !farm.installed("hello"),
        "{}",
        words(&output)
    );
}

#[test]
fn dnf_refuses_a_package_signed_by_another_key() {
    let farm = Farm::new();
    let mut package = farm.add(1, "hello");
    // The index is right and signed; only the package's own signature is a stranger's.
    let file = farm.publisher.directory(&farm.id).join(&package.href);
    repository::sign_package(&file, &key(), NOW).unwrap();
    package = PackageMetadata::new(&repository::read_package(&file).unwrap(), &package.href);
    farm.publisher
        .publish(&farm.id, &[package], &farm.key, 1, NOW)
        .unwrap();
    let output = farm.dnf(&["install", "hello"]);
    assert!(
        !output.status.success() && words(&output).contains("GPG"),
        "{}",
        words(&output)
    );
    assert!(!farm.installed("hello"));
}

#[test]
fn dnf_refuses_a_package_changed_after_publication() {
    let farm = Farm::new();
    let package = farm.add(1, "hello");
    let file = farm.publisher.directory(&farm.id).join(&package.href);
    farm.publisher
        .publish(&farm.id, &[package], &farm.key, 1, NOW)
        .unwrap();
    let mut bytes = fs_err::read(&file).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs_err::write(&file, bytes).unwrap();
    let output = farm.dnf(&["install", "hello"]);
    assert!(
        !output.status.success() && !farm.installed("hello"),
        "{}",
        words(&output)
    );
}
