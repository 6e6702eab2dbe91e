//! Publication: atomic for readers, safe after a crash, repeatable, and reversible.

use std::{
    os::unix::fs::PermissionsExt as _,
    path::Path,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::Duration,
};

use model::Timestamp;
use repository::{
    Error, Manifest, ManifestEntry, ManifestLimits, PackageMetadata, Publisher, RepositoryId, Retention,
    SigningKey,
};

use crate::support::{NOW, build_directory, key, repository, simple, text};

fn set_up() -> (tempfile::TempDir, Publisher, RepositoryId, SigningKey) {
    let temporary = tempfile::tempdir().unwrap();
    let publisher = Publisher::new(temporary.path().join("results"));
    let (id, key) = (repository(), key());
    publisher.create_repository(&id, &key, NOW).unwrap();
    (temporary, publisher, id, key)
}

/// Packages of a real one under many names: the metadata alone matters here.
fn packages(directory: &Path, count: usize) -> Vec<PackageMetadata> {
    let package = repository::read_package(&simple(directory, "hello", "1")).unwrap();
    (0..count)
        .map(|number| PackageMetadata::new(&package, &format!("{number:08}-hello/hello.rpm")))
        .collect()
}

fn later(minutes: u64) -> Timestamp {
    NOW.plus(Duration::from_secs(60 * minutes))
}

/// Reads as a client does: `repomd.xml`, then what it names, through the live path. Gives the revision.
fn read_as_client(repodata: &Path) -> String {
    let repomd = fs_err::read_to_string(repodata.join("repomd.xml")).unwrap();
    fs_err::read(repodata.join("repomd.xml.asc")).unwrap();
    let names: Vec<&str> = repomd
        .split("href=\"repodata/")
        .skip(1)
        .map(|rest| rest.split('"').next().unwrap())
        .collect();
    assert_eq!(names.len(), 3, "{repomd}");
    for name in names {
        assert!(!fs_err::read(repodata.join(name)).unwrap().is_empty());
    }
    repomd
        .split("<revision>")
        .nth(1)
        .unwrap()
        .split('<')
        .next()
        .unwrap()
        .to_owned()
}

#[test]
fn a_reader_never_misses_a_file_while_fifty_snapshots_are_published() {
    let (temporary, publisher, id, key) = set_up();
    let all = packages(temporary.path(), 50);
    let repodata = publisher.directory(&id).join("repodata");
    let (done, reads) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut last = 0;
                while !done.load(Ordering::Relaxed) {
                    let revision: u64 = read_as_client(&repodata).parse().unwrap();
                    assert!(
                        revision >= last,
                        "the repository went back from {last} to {revision}"
                    );
                    last = revision;
                    reads.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for number in 1..=50_u64 {
            let part = &all[..usize::try_from(number).unwrap()];
            publisher.publish(&id, part, &key, number, later(number)).unwrap();
            // At least one read between two switches, so that every state has been seen.
            let before = reads.load(Ordering::Relaxed);
            while reads.load(Ordering::Relaxed) == before {
                std::thread::yield_now();
            }
        }
        done.store(true, Ordering::Relaxed);
    });
    assert!(reads.load(Ordering::Relaxed) >= 50);
    assert_eq!(publisher.live(&id).unwrap().packages, 50);
}

#[test]
fn creating_a_repository_again_changes_nothing() {
    let (temporary, publisher, id, key) = set_up();
    let first = publisher.live(&id).unwrap();
    assert_eq!(first.number, 0);
    assert_eq!(publisher.create_repository(&id, &key, later(1)).unwrap(), first);
    let key_file = temporary.path().join("results/ann/demo/pubkey.gpg");
    assert_eq!(
        fs_err::read_to_string(&key_file).unwrap(),
        key.public_armored().unwrap()
    );
    publisher
        .publish(&id, &packages(temporary.path(), 1), &key, 4, later(2))
        .unwrap();
    assert_eq!(
        publisher.create_repository(&id, &key, later(3)).unwrap().number,
        4,
        "the content stays"
    );
}

#[test]
fn a_directory_with_a_suffix_has_the_key_at_both_places() {
    let (temporary, publisher, _, key) = set_up();
    let id = RepositoryId::parse("@group", "demo:pr:7", "fedora-43-x86_64").unwrap();
    publisher.create_repository(&id, &key, NOW).unwrap();
    for directory in ["@group/demo", "@group/demo:pr:7"] {
        assert!(
            temporary
                .path()
                .join("results")
                .join(directory)
                .join("pubkey.gpg")
                .is_file(),
            "{directory}"
        );
    }
    read_as_client(
        &temporary
            .path()
            .join("results/@group/demo:pr:7/fedora-43-x86_64/repodata"),
    );
}

#[test]
fn the_same_publication_again_is_the_same_snapshot_and_another_is_refused() {
    let (temporary, publisher, id, key) = set_up();
    let all = packages(temporary.path(), 3);
    let first = publisher.publish(&id, &all[..2], &key, 7, later(1)).unwrap();
    assert_eq!(
        publisher.publish(&id, &all[..2], &key, 7, later(2)).unwrap(),
        first
    );
    let other = publisher.publish(&id, &all, &key, 7, later(3)).unwrap_err();
    assert!(matches!(other, Error::NumberTaken { number: 7, .. }), "{other}");
    let lower = publisher.publish(&id, &all, &key, 6, later(3)).unwrap_err();
    assert!(
        matches!(
            lower,
            Error::NumberTaken {
                number: 6,
                highest: 7,
                ..
            }
        ),
        "{lower}"
    );
    let twice = [all[0].clone(), all[0].clone()];
    let twice = publisher.publish(&id, &twice, &key, 8, later(3)).unwrap_err();
    assert!(matches!(twice, Error::DuplicatePackage { .. }), "{twice}");
    assert_eq!(publisher.live(&id).unwrap(), first);
    let missing = RepositoryId::parse("ann", "other", "fedora-43-x86_64").unwrap();
    let missing = publisher.publish(&missing, &all, &key, 1, NOW).unwrap_err();
    assert!(matches!(missing, Error::NoRepository { .. }), "{missing}");
}

#[test]
fn equal_content_has_equal_files_and_the_revision_never_falls() {
    let (temporary, publisher, id, key) = set_up();
    let all = packages(temporary.path(), 2);
    let first = publisher.publish(&id, &all, &key, 1, later(9)).unwrap();
    let second = publisher.publish(&id, &all, &key, 2, later(1)).unwrap();
    assert_eq!(first.files, second.files);
    assert_eq!(first.content, second.content);
    assert!(
        second.revision > first.revision,
        "the clock was set back between them"
    );
}

#[test]
fn what_a_crash_left_behind_is_swept_and_the_old_state_stays_live() {
    let (temporary, publisher, id, key) = set_up();
    let all = packages(temporary.path(), 3);
    publisher.publish(&id, &all[..1], &key, 1, later(1)).unwrap();
    let directory = publisher.directory(&id);
    // A crash while a snapshot was written, and one between the two steps of the switch.
    let unfinished = directory.join(".snapshots/.new-2");
    fs_err::create_dir_all(&unfinished).unwrap();
    fs_err::write(unfinished.join("primary.xml.gz"), "half").unwrap();
    fs_err::os::unix::fs::symlink(".snapshots/00000002", directory.join(".repodata.new")).unwrap();
    assert_eq!(publisher.live(&id).unwrap().number, 1);
    read_as_client(&directory.join("repodata"));
    publisher.publish(&id, &all[..2], &key, 2, later(2)).unwrap();
    assert!(!unfinished.exists() && !directory.join(".repodata.new").exists());

    // A crash after a snapshot was complete and before the switch: the same call again finishes it.
    publisher.publish(&id, &all, &key, 3, later(3)).unwrap();
    fs_err::remove_file(directory.join("repodata")).unwrap();
    fs_err::os::unix::fs::symlink(".snapshots/00000002", directory.join("repodata")).unwrap();
    assert_eq!(publisher.live(&id).unwrap().number, 2);
    assert_eq!(publisher.publish(&id, &all, &key, 3, later(4)).unwrap().number, 3);
    assert_eq!(publisher.live(&id).unwrap().number, 3);
}

#[test]
fn rollback_and_pruning_keep_what_they_should() {
    let (temporary, publisher, id, key) = set_up();
    let all = packages(temporary.path(), 10);
    for number in 1..=9_u64 {
        let part = &all[..usize::try_from(number).unwrap()];
        publisher
            .publish(&id, part, &key, number, later(number * 60))
            .unwrap();
    }
    assert_eq!(publisher.rollback(&id, 2).unwrap().packages, 2);
    read_as_client(&publisher.directory(&id).join("repodata"));
    let missing = publisher.rollback(&id, 99).unwrap_err();
    assert!(
        matches!(missing, Error::NoSuchSnapshot { number: 99, .. }),
        "{missing}"
    );
    // Superseded at the hour of the next one: at 8:30 the states 0 to 5 are more than two hours out of use.
    let retention = Retention {
        keep: 3,
        grace: Duration::from_secs(2 * 3600),
        most: 64,
    };
    let removed = publisher.prune(&id, &retention, later(8 * 60 + 30)).unwrap();
    assert_eq!(
        removed,
        [0, 1, 3, 4, 5],
        "2 is live, 6 is in its grace, 7 to 9 are the newest"
    );
    let kept: Vec<u64> = publisher
        .snapshots(&id)
        .unwrap()
        .iter()
        .map(|snapshot| snapshot.number)
        .collect();
    assert_eq!(kept, [2, 6, 7, 8, 9]);
    let live = publisher.directory(&id).join("repodata");
    read_as_client(&live);
    let files = fs_err::read_dir(&live)
        .unwrap()
        .filter(|entry| text(&entry.as_ref().unwrap().path()).ends_with(".xml.gz"));
    assert_eq!(
        files.count(),
        15,
        "three files of each of the five states that are kept"
    );
    assert_eq!(
        publisher
            .publish(&id, &all, &key, 10, later(600))
            .unwrap()
            .packages,
        10
    );
    assert_eq!(
        publisher
            .prune(
                &id,
                &Retention {
                    keep: 1,
                    grace: Duration::ZERO,
                    most: 64
                },
                later(601)
            )
            .unwrap(),
        [2, 6, 7, 8, 9]
    );
}

/// A project that builds all day would otherwise fill the disk within the day.
#[test]
fn of_many_snapshots_the_oldest_go_before_their_grace_is_over() {
    let (temporary, publisher, id, key) = set_up();
    let all = packages(temporary.path(), 8);
    for number in 1..=7_u64 {
        let part = &all[..usize::try_from(number).unwrap()];
        publisher.publish(&id, part, &key, number, later(number)).unwrap();
    }
    let retention = Retention {
        keep: 2,
        grace: Duration::from_secs(24 * 3600),
        most: 5,
    };
    assert_eq!(publisher.prune(&id, &retention, later(8)).unwrap(), [0, 1, 2]);
    assert_eq!(
        publisher.prune(&id, &retention, later(8)).unwrap(),
        Vec::<u64>::new()
    );
    read_as_client(&publisher.directory(&id).join("repodata"));
}

fn manifest(names: &[&str]) -> Manifest {
    let entry = |name: &&str| ManifestEntry {
        name: (*name).to_owned(),
        size: 1,
        sha256: "0".repeat(64),
    };
    Manifest::new(names.iter().map(entry).collect(), &ManifestLimits::default()).unwrap()
}

#[test]
fn results_are_placed_at_once_and_replaced_at_once() {
    let (_temporary, publisher, id, _key) = set_up();
    let build = build_directory(123, "hello");
    for content in ["first", "second"] {
        let staged = publisher.stage(&id, &build, model::Epoch(1)).unwrap();
        fs_err::write(staged.join("build.log.gz"), content).unwrap();
        fs_err::write(staged.join("success"), "").unwrap();
        let placed = publisher
            .place_results(&id, &build, &staged, &manifest(&["build.log.gz", "success"]))
            .unwrap();
        assert!(
            placed.ends_with("ann/demo/fedora-43-x86_64/00000123-hello"),
            "{}",
            placed.display()
        );
        assert_eq!(
            fs_err::read_to_string(placed.join("build.log.gz")).unwrap(),
            content
        );
        assert!(!staged.exists());
    }
    assert_eq!(publisher.builds(&id).unwrap(), std::slice::from_ref(&build));
    publisher.remove_build(&id, &build).unwrap();
    publisher.remove_build(&id, &build).unwrap();
    assert_eq!(publisher.builds(&id).unwrap(), []);
    assert!(!publisher.build_directory(&id, &build).exists());
}

#[test]
fn who_stages_aside_is_in_nobodys_way() {
    let (_temporary, publisher, id, _key) = set_up();
    let build = build_directory(123, "hello");
    let aside = publisher.stage_aside(&id, &build).unwrap();
    let own = publisher.stage(&id, &build, model::Epoch(7)).unwrap();
    let other = publisher.stage_aside(&id, &build).unwrap();
    let mut modes = Vec::new();
    for (directory, content) in [(&own, "own"), (&other, "other"), (&aside, "aside")] {
        fs_err::write(directory.join("backend.log"), content).unwrap();
        let placed = publisher
            .place_results(&id, &build, directory, &manifest(&["backend.log"]))
            .unwrap();
        let found = fs_err::read_to_string(placed.join("backend.log")).unwrap();
        assert_eq!(found, content);
        modes.push(fs_err::metadata(&placed).unwrap().permissions().mode());
    }
    // The process that serves results may be another user's.
    assert_eq!(modes, [modes[0]; 3]);
    assert_eq!(publisher.builds(&id).unwrap(), [build]);
}

#[test]
fn only_the_names_of_builds_directories_name_builds() {
    assert_eq!("00000123-hello".parse(), Ok(build_directory(123, "hello")));
    assert_eq!("123456789-a-b".parse(), Ok(build_directory(123_456_789, "a-b")));
    for other in [
        "repodata",
        "srpm-builds",
        "123-hello",
        "00000123",
        "00000123-",
        "-1-a",
        "00000123-../x",
    ] {
        assert!(other.parse::<repository::BuildDirectory>().is_err(), "{other}");
    }
}

#[test]
fn results_that_differ_from_the_manifest_stay_outside() {
    let (_temporary, publisher, id, _key) = set_up();
    let build = build_directory(5, "hello");
    let names = manifest(&["a", "b"]);
    let staged = publisher.stage(&id, &build, model::Epoch(1)).unwrap();
    fs_err::write(staged.join("a"), "").unwrap();
    let refused = |why: &str| {
        let error = publisher.place_results(&id, &build, &staged, &names).unwrap_err();
        assert!(
            matches!(&error, Error::ResultFile { .. }) && error.to_string().contains(why),
            "{error}"
        );
        assert!(!publisher.build_directory(&id, &build).exists());
    };
    refused("not received");
    fs_err::os::unix::fs::symlink("/etc/passwd", staged.join("b")).unwrap();
    refused("not a regular file");
    fs_err::remove_file(staged.join("b")).unwrap();
    fs_err::create_dir(staged.join("b")).unwrap();
    refused("not a regular file");
    fs_err::remove_dir(staged.join("b")).unwrap();
    fs_err::write(staged.join("b"), "").unwrap();
    fs_err::write(staged.join(".hidden"), "").unwrap();
    refused("not in the manifest");
}

#[test]
fn repositories_of_one_project_that_are_made_at_once_share_its_key() {
    let temporary = tempfile::tempdir().unwrap();
    let (publisher, key) = (Publisher::new(temporary.path()), key());
    let public = temporary.path().join("ann/demo/pubkey.gpg");
    for round in 0..20 {
        std::thread::scope(|scope| {
            for chroot in ["fedora-43-x86_64", "fedora-44-x86_64", "fedora-45-x86_64"] {
                let (publisher, key) = (&publisher, &key);
                scope.spawn(move || {
                    let id = RepositoryId::parse("ann", "demo", chroot).unwrap();
                    publisher.write_public_key(&id, key).unwrap();
                });
            }
        });
        assert_eq!(
            fs_err::read_to_string(&public).unwrap(),
            key.public_armored().unwrap(),
            "{round}"
        );
        fs_err::remove_file(&public).unwrap();
    }
    let left = fs_err::read_dir(public.parent().unwrap()).unwrap().count();
    assert_eq!(left, 0, "nothing half written is left");
}
