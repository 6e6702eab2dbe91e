use std::fs;

use runtime::clock;
use store::DatabaseSettings;

use super::*;
use crate::testing::Farm;

#[test]
fn what_is_old_goes_with_its_empty_directory_and_what_is_young_stays() {
    let root = tempfile::tempdir().unwrap();
    let [old, young] = ["ab/abcd", "cd/cdef"].map(|name| root.path().join(name));
    for path in [&old, &young] {
        fs::create_dir_all(path).unwrap();
        fs::write(path.join("x-1-1.src.rpm"), "x").unwrap();
    }
    let hours_ago = SystemTime::now() - Duration::from_secs(7200);
    fs::File::open(&old).unwrap().set_modified(hours_ago).unwrap();
    let mut found = stored_sources(root.path());
    found.sort();
    assert_eq!(found, [old.clone(), young.clone()]);
    assert_eq!(
        remove(&found, Duration::from_secs(3600), &CancellationToken::new()),
        1
    );
    assert!(!old.parent().unwrap().exists() && young.exists());
}

#[test]
fn directories_belong_to_projects() {
    let root = tempfile::tempdir().unwrap();
    for name in ["alice/demo", "alice/demo:custom:x", "@group/lib", ".trash/1"] {
        fs::create_dir_all(root.path().join(name)).unwrap();
    }
    let mut found: Vec<_> = directories(root.path())
        .iter()
        .filter_map(|path| project_of(path))
        .collect();
    found.sort();
    let of = |owner: &str, project: &str| (owner.to_owned(), project.to_owned());
    assert_eq!(
        found,
        [of("@group", "lib"), of("alice", "demo"), of("alice", "demo")]
    );
}

#[test]
fn only_what_is_staged_is_found_below_the_results() {
    let root = tempfile::tempdir().unwrap();
    let staged = root
        .path()
        .join("alice/demo/fedora-43-x86_64/.staging/00000001-x");
    fs::create_dir_all(&staged).unwrap();
    fs::create_dir_all(root.path().join("alice/demo/fedora-43-x86_64/00000002-y")).unwrap();
    fs::create_dir_all(root.path().join(".trash/1/2/.staging/3")).unwrap();
    assert_eq!(staging(root.path()), [staged]);
}

const HOUR: Duration = Duration::from_secs(3600);

/// Something with a file in it, that was last changed so long ago.
fn make(path: &Path, ago: Duration) {
    fs::create_dir_all(path).unwrap();
    fs::write(path.join("x"), "x").unwrap();
    let then = SystemTime::now() - ago;
    fs::File::open(path).unwrap().set_modified(then).unwrap();
}

async fn swept(farm: &Farm) -> usize {
    sweep(&farm.context, &CancellationToken::new()).await.unwrap()
}

#[tokio::test]
async fn of_sources_and_logs_those_that_the_database_knows_stay_however_old_they_are() {
    let farm = Farm::start().await;
    let source = farm.store_source();
    let build = farm.submit(source.clone()).await;
    let attempt = farm.store().attempts_of(build).await.unwrap()[0].id;
    let used = crate::task::source_path(&farm.context.sources, &source);
    let used = used.parent().unwrap().to_owned();
    let unused = farm.context.sources.join("ab").join("ab".repeat(32));
    let results = farm.context.publisher.root().to_owned();
    let (log, forgotten) = (
        log::directory(&results, attempt),
        log::directory(&results, AttemptId(Uuid::from_u128(4711))),
    );
    let odd = log::attempts(&results).join("not-an-id");
    for path in [&used, &unused, &log, &forgotten, &odd] {
        make(path, HOUR * 2);
    }
    assert_eq!(swept(&farm).await, 2);
    assert!(used.is_dir() && log.is_dir());
    assert!(!unused.exists() && !forgotten.exists());
    assert!(odd.is_dir(), "what is none of this program's is left alone");
    assert_eq!(swept(&farm).await, 0, "nothing is left to do");
}

#[tokio::test]
async fn what_is_young_stays_since_its_row_may_be_on_its_way() {
    let farm = Farm::start().await;
    let unused = farm.context.sources.join("ab").join("ab".repeat(32));
    for (ago, expected) in [(HOUR / 2, 0), (HOUR * 2, 1)] {
        make(&unused, ago);
        assert_eq!(swept(&farm).await, expected, "{ago:?}");
    }
}

#[tokio::test]
async fn results_go_with_their_project_and_those_of_a_project_that_is_not_known_stay() {
    let farm = Farm::start().await;
    let results = farm.context.publisher.root().to_owned();
    let paths = [
        "alice/tools",
        "alice/tools:custom:x",
        "alice/toolset",
        "bob/tools",
    ]
    .map(|it| results.join(it));
    let make_all = || paths.iter().for_each(|path| make(path, HOUR * 2));
    make_all();
    assert_eq!(swept(&farm).await, 0);
    // A farm whose last project is gone does not look at all.
    farm.another_project("spare").await;
    farm.store()
        .delete_project(farm.project.id, clock::now())
        .await
        .unwrap();
    assert_eq!(swept(&farm).await, 2);
    let left: Vec<bool> = paths.iter().map(|path| path.exists()).collect();
    assert_eq!(left, [false, false, true, true]);
}

#[tokio::test]
async fn beside_an_empty_database_nothing_is_removed() {
    let farm = Farm::start().await;
    let unused = farm.context.sources.join("ab").join("ab".repeat(32));
    make(&unused, HOUR * 100);
    let place = tempfile::tempdir().unwrap();
    let settings = DatabaseSettings {
        url: format!("sqlite://{}", place.path().join("empty.sqlite").display()),
        max_connections: 2,
    };
    let empty = store::Store::connect(&settings).await.unwrap();
    empty.migrate().await.unwrap();
    let mistaken = Context {
        store: empty,
        ..farm.context.clone()
    };
    assert_eq!(sweep(&mistaken, &CancellationToken::new()).await.unwrap(), 0);
    assert!(unused.is_dir());
}

#[tokio::test]
async fn the_trash_goes_after_an_hour_and_what_is_staged_after_two_days() {
    let farm = Farm::start().await;
    let results = farm.context.publisher.root().to_owned();
    let trash = results.join(repository::TRASH).join("1");
    let staged = results
        .join("alice/tools/fedora-43-x86_64")
        .join(repository::STAGING)
        .join("00000001-x");
    for (ago, left) in [
        (HOUR / 2, (true, true)),
        (HOUR * 2, (false, true)),
        (HOUR * 47, (false, true)),
        (HOUR * 49, (false, false)),
    ] {
        make(&trash, ago);
        make(&staged, ago);
        swept(&farm).await;
        assert_eq!((trash.exists(), staged.exists()), left, "{ago:?}");
    }
}

#[tokio::test]
async fn a_sweep_that_is_told_to_stop_removes_nothing_more() {
    let farm = Farm::start().await;
    let unused = farm.context.sources.join("ab").join("ab".repeat(32));
    make(&unused, HOUR * 2);
    let stop = CancellationToken::new();
    stop.cancel();
    assert_eq!(sweep(&farm.context, &stop).await.unwrap(), 0);
    assert!(unused.is_dir());
}

#[test]
fn one_that_cannot_be_removed_keeps_no_other_from_it() {
    let root = tempfile::tempdir().unwrap();
    let (file, gone) = (root.path().join("a/1"), root.path().join("b/2"));
    make(file.parent().unwrap(), HOUR * 2);
    fs::write(&file, "x").unwrap();
    let then = SystemTime::now() - HOUR * 2;
    fs::File::open(&file).unwrap().set_modified(then).unwrap();
    assert_eq!(remove(&[gone, file.clone()], HOUR, &CancellationToken::new()), 1);
    assert!(
        !file.exists() && file.parent().unwrap().exists(),
        "that one is not empty"
    );
}
