//! Real Debian packages, small ones, on their way to a real repository of RPMs.

use super::*;

/// A directory in which the micro-distribution is made.
struct Work {
    directory: tempfile::TempDir,
}

impl Work {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs_err::create_dir(directory.path().join("debs")).unwrap();
        Self { directory }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Makes a Debian package; the content of files is text; `-> x` makes a link to x, and `= x` a copy of x.
    fn deb(&self, control: &str, files: &[(&str, &str)]) -> String {
        let name = control.lines().find_map(|line| line.strip_prefix("Package: "));
        let name = name.unwrap().to_owned();
        let root = self.path().join("making").join(&name);
        let whole = format!("{control}\nArchitecture: amd64\nMaintainer: Nobody <nobody@example.org>\n");
        for (file, text) in files.iter().chain(&[("DEBIAN/control", whole.as_str())]) {
            let path = root.join(file);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            match text.split_once(' ') {
                Some(("->", target)) => fs_err::os::unix::fs::symlink(target, path).unwrap(),
                Some(("=", other)) => drop(fs_err::copy(other, path).unwrap()),
                _ => fs_err::write(path, text).unwrap(),
            }
        }
        Tool::new("dpkg-deb")
            .args(["--build", "--root-owner-group", "-Znone"])
            .arg(&root)
            .arg(self.path().join("debs").join(format!("{name}.deb")))
            .output()
            .unwrap();
        name
    }

    fn pack(&self, names: &[String]) -> Result<usize> {
        let names = names.iter().cloned().collect();
        pack(
            self.path(),
            &names,
            &self.path().join("log"),
            &Step::start("packing"),
        )
    }

    /// What rpm says of a package in the repository.
    fn query(&self, package: &str, what: &[&str]) -> Vec<String> {
        let files = fs_err::read_dir(self.path().join("repo")).unwrap();
        let mut files = files.map(|entry| entry.unwrap().path());
        let is_it = |path: &PathBuf| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            name.starts_with(&format!("{package}-"))
        };
        let file = files.find(is_it).expect(package);
        let said = Tool::new("rpm").arg("-qp").args(what).arg(file).output().unwrap();
        said.lines().map(|line| line.trim_end().to_owned()).collect()
    }
}

const GAWK: &str = "Package: gawk\nVersion: 1:5.2~rc1-x-1+b1\nDepends: libodd (>= 1) | nowhere, nowhere, mawk:any\n\
                    Provides: awk\nDescription: 100% \"GNU\" awk\n more of it";
const LIBODD: &str = "Package: libodd\nVersion: 2\nPre-Depends: gawk\nProvides: mawk\nDescription: odd";

/// Without what rpm wants of rpm itself.
fn of_ours(requires: Vec<String>) -> Vec<String> {
    let ours = requires.into_iter().filter(|line| !line.starts_with("rpmlib("));
    ours.collect()
}

/// Two packages with odd names in a work directory, beside one that nobody wants; the names of the two.
fn two(work: &Work) -> [String; 2] {
    let gawk = work.deb(
        GAWK,
        &[
            ("bin/gawk", "#!/bin/sh\n"),
            ("etc/gawk.conf", "a = b\n"),
            ("usr/share/gawk/100% of it", "odd names\n"),
            ("usr/share/gawk/it's [x]", "odd names\n"),
            ("usr/share/gawk/grüße", "odd names\n"),
            ("usr/share/man/man1/gawk.1", "a manual\n"),
            ("usr/share/doc/gawk/copyright", "GPL\n"),
            ("usr/share/doc/gawk/changelog", "new\n"),
        ],
    );
    let libodd = work.deb(
        LIBODD,
        &[
            ("lib/x86_64-linux-gnu/libodd.so", "-> libodd.so.1"),
            (
                "lib/x86_64-linux-gnu/libodd.so.1",
                "= /lib/x86_64-linux-gnu/libc.so.6",
            ),
            ("usr/share/doc/libodd", "-> gawk"),
        ],
    );
    work.deb(
        "Package: unwanted\nVersion: 1\nDescription: no",
        &[("usr/bin/u", "")],
    );
    [gawk, libodd]
}

#[test]
fn debian_packages_become_rpms_with_their_files_and_dependencies() {
    let work = Work::new();
    let made = work.pack(&two(&work)).unwrap();
    assert_eq!(made, 4, "both, the file system and the group");
    assert!(work.path().join("repo/repodata/repomd.xml").is_file());

    assert_eq!(
        work.query(
            "gawk",
            &[
                "--queryformat",
                "%{EPOCH} %{VERSION} %{RELEASE} %{SUMMARY}\\n%{LICENSE}\\n"
            ]
        ),
        [
            "1 5.2~rc1.x 1+b1.1 100% \"GNU\" awk",
            "see /usr/share/doc/gawk/copyright"
        ]
    );
    assert_eq!(
        work.query("gawk", &["--list"]),
        [
            "/etc/gawk.conf",
            "/usr/bin/awk",
            "/usr/bin/gawk",
            "/usr/share/doc/gawk",
            "/usr/share/doc/gawk/copyright",
            "/usr/share/gawk",
            "/usr/share/gawk/100% of it",
            "/usr/share/gawk/grüße",
            "/usr/share/gawk/it's [x]",
        ],
        "without manuals, in one /usr, with the link that its script makes"
    );
    assert_eq!(work.query("gawk", &["--configfiles"]), ["/etc/gawk.conf"]);
    assert_eq!(
        of_ours(work.query("gawk", &["--requires"])),
        ["libodd", "microdistro-filesystem"]
    );
    let provides = work.query("gawk", &["--provides"]);
    for name in ["awk", "/usr/bin/awk", "gawk = 1:5.2~rc1.x-1+b1.1"] {
        assert!(provides.iter().any(|line| line == name), "{name}: {provides:?}");
    }
}

#[test]
fn libraries_the_file_system_and_the_group_are_packages_too() {
    let work = Work::new();
    work.pack(&two(&work)).unwrap();
    assert_eq!(
        work.query("libodd", &["--list"]),
        [
            "/usr/lib/x86_64-linux-gnu/libodd.so",
            "/usr/lib/x86_64-linux-gnu/libodd.so.1"
        ],
        "documentation that is a link is left out"
    );
    let provides = work.query("libodd", &["--provides"]);
    assert!(
        provides.contains(&"libc.so.6()(64bit)".to_owned()),
        "{provides:?}"
    );
    let base = work.query("microdistro-filesystem", &["--list"]);
    for path in ["/bin", "/tmp", "/etc/os-release", "/usr/lib/os-release"] {
        assert!(base.iter().any(|line| line == path), "{path}: {base:?}");
    }
    assert_eq!(
        of_ours(work.query(GROUP, &["--requires"])).len(),
        tables::BUILD_ROOT.len()
    );
}

#[test]
fn packages_that_cannot_be_packed_are_named() {
    let plain = |name: &str| format!("Package: {name}\nVersion: 1\nDescription: x");
    let twice = Work::new();
    let [one, other] = ["one", "other"].map(|name| twice.deb(&plain(name), &[("usr/bin/tool", name)]));
    let both = twice.pack(&[one, other]).unwrap_err();
    assert_eq!(both.to_string(), "/usr/bin/tool is in one and in other");

    let missing = Work::new();
    let there = missing.deb(&plain("there"), &[("usr/bin/tool", "")]);
    let error = missing.pack(&[there, "lost".to_owned()]).unwrap_err();
    assert_eq!(error.to_string(), "apt did not download [\"lost\"]");

    let folded = Work::new();
    let odd = folded.deb(&plain("odd"), &[("bin/tool", "1"), ("usr/bin/tool", "2")]);
    let error = folded.pack(&[odd]).unwrap_err().to_string();
    assert!(error.contains("usr/bin/tool twice, in / and in /usr"), "{error}");

    let broken = Work::new();
    fs_err::write(broken.path().join("debs/broken.deb"), "no archive").unwrap();
    let error = broken.pack(&[]).unwrap_err().to_string();
    assert!(
        error.contains("dpkg-deb") && error.contains("broken.deb"),
        "{error}"
    );
}

/// A cache in which the distribution is made already; its repository.
pub(crate) fn made(cache: &Cache) -> PathBuf {
    let digest = digest(&apt::codename().unwrap());
    let repository = cache.path("microdistro").join(digest).join("repo");
    fs_err::create_dir_all(repository.join("repodata")).unwrap();
    fs_err::write(repository.join("repodata/repomd.xml"), "<repomd/>\n").unwrap();
    repository
}

#[test]
fn a_distribution_that_is_there_is_not_made_again() {
    let place = tempfile::tempdir().unwrap();
    let cache = Cache::at(place.path()).unwrap();
    let repository = made(&cache);
    for old in ["older", "oldest"] {
        fs_err::create_dir(cache.path("microdistro").join(old)).unwrap();
    }
    for _ in 0..2 {
        assert_eq!(make(&cache).unwrap(), repository);
        let current = cache.path("microdistro/current/repo").canonicalize().unwrap();
        assert_eq!(current, repository);
    }
    // The link, what it leads to, and the one before, which somebody may be using.
    assert_eq!(fs_err::read_dir(cache.path("microdistro")).unwrap().count(), 3);
    assert_ne!(digest("bookworm"), digest("trixie"));
}

#[test]
fn the_tables_agree_with_each_other() {
    let is_own = |name: &&str| tables::BUILD_ROOT.contains(name) || tables::ON_REQUEST.contains(name);
    for (package, link, target) in tables::LINKS {
        assert!(
            is_own(package),
            "{package} with the link {link} is never asked for"
        );
        assert!(!target.starts_with('/'), "{link} is a link in every root");
    }
    for (path, text) in tables::FILES {
        let (directory, _) = path.rsplit_once('/').unwrap();
        assert!(
            tables::DIRECTORIES.contains(&directory),
            "nobody makes {directory} for {path}"
        );
        assert!(text.is_empty() || text.ends_with('\n'), "{path}");
    }
    for (directory, _) in tables::MODES {
        assert!(tables::DIRECTORIES.contains(directory), "{directory} is not ours");
    }
    for top in tables::FOLDED {
        assert!(
            tables::DIRECTORIES.contains(&&*format!("/usr/{top}")),
            "/{top} leads nowhere"
        );
        assert!(
            !tables::DIRECTORIES.contains(&&*format!("/{top}")),
            "/{top} is a link"
        );
    }
    for list in [
        tables::BUILD_ROOT,
        tables::ON_REQUEST,
        tables::DIRECTORIES,
        tables::LEFT_OUT,
    ] {
        assert!(list.is_sorted(), "{list:?}");
    }
    let all = tables::all();
    for part in ["base-files", "zlib-devel", "which.debianutils", "PRETTY_NAME"] {
        assert!(all.contains(part), "a change of {part} makes no new distribution");
    }
}
