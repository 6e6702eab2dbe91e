//! copy of whole folders: what goes in one command, and what does not.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tempfile::TempDir;

use crate::host::tests::fake::{Fake, output};
use crate::host::tests::here::{Here, play};
use crate::report::Mode;

/// A folder of ours with these files, each with its mode.
fn folder(files: impl IntoIterator<Item = (String, Vec<u8>, u32)>) -> TempDir {
    let ours = TempDir::new().expect("a folder");
    for (name, content, mode) in files {
        let path = ours.path().join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(&path, content).expect("a file");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("its mode");
    }
    ours
}

fn copy(ours: &Path, rest: &str) -> String {
    format!("- copy: {{ src: {}/, {rest} }}", ours.display())
}

/// Files of many sizes, some of them more than goes in one command, in folders and with names that a shell could misread.
fn many() -> Vec<(String, Vec<u8>, u32)> {
    let names = ["-n", ".hidden", "a  b ", "*", "$(id)", "sub/it's", "sub/deep/-rf"];
    let odd = names.map(str::to_owned).into_iter();
    let plain = (0..230).map(|number| format!("plain{number:03}"));
    let mut files: Vec<_> = odd
        .chain(plain)
        .enumerate()
        .map(|(number, name)| {
            let bytes = (0..number * 37).map(|at| u8::try_from(at % 251).expect("a byte"));
            (name, bytes.collect(), if number % 2 == 0 { 0o644 } else { 0o750 })
        })
        .collect();
    files.push(("large".to_owned(), vec![b'x'; 5 * 1024 * 1024], 0o644));
    files
}

#[tokio::test]
async fn every_file_of_a_large_folder_arrives_as_it_is() {
    let (here, files) = (Here::new(), many());
    let ours = folder(files.clone());
    // Beside the scripts' own programs: how often files were put into their places.
    here.program("mv", "echo mv >>\"$CALLS\"; exec /bin/mv \"$@\"");
    let task = copy(ours.path(), "dest: ~/x, mode: preserve");
    let changes = here.changes(&task, Mode::Apply).await;
    assert_eq!(
        changes.iter().filter(|it| it.starts_with("content of ")).count(),
        files.len()
    );
    for (name, content, mode) in &files {
        let name = format!("x/{name}");
        assert!(fs::read(here.path(&name)).expect("a file") == *content, "{name}");
        assert_eq!(here.mode(&name), *mode, "{name}");
    }
    // Two modes in three folders, two more for what is above a hundred files, and the large one by itself.
    let calls = here.calls().len();
    assert!(calls <= 9, "{} files were moved by {calls} commands", files.len());
    assert_eq!(here.snapshot().len(), files.len() + 3, "nothing else is left");
    assert!(here.changes(&task, Mode::Apply).await.is_empty());
}

#[tokio::test]
async fn files_that_are_there_keep_what_is_not_asked_for() {
    let here = Here::new();
    let ours = folder(["a", "b", "c"].map(|name| (name.to_owned(), b"new".to_vec(), 0o700)));
    fs::create_dir(here.path("x")).expect("a folder");
    for (name, mode) in [("a", 0o600), ("b", 0o444)] {
        here.write(&format!("x/{name}"), "old");
        fs::set_permissions(here.path(&format!("x/{name}")), fs::Permissions::from_mode(mode))
            .expect("its mode");
    }
    here.check(&[(
        &copy(ours.path(), "dest: ~/x, force: false"),
        &["content of ~/x/c"],
    )])
    .await;
    fs::remove_file(here.path("x/c")).expect("removed");
    here.check(&[
        (
            &copy(ours.path(), "dest: ~/x"),
            &["content of ~/x/a", "content of ~/x/b", "content of ~/x/c"],
        ),
        (
            &copy(ours.path(), "dest: ~/x, mode: \"0640\""),
            &[
                "mode 600 -> 640 of ~/x/a",
                "mode 444 -> 640 of ~/x/b",
                "mode 644 -> 640 of ~/x/c",
            ],
        ),
    ])
    .await;
    here.write("x/a", "other");
    here.check(&[(
        &copy(ours.path(), "dest: ~/x, mode: preserve"),
        &[
            "content of ~/x/a",
            "mode 640 -> 700 of ~/x/a",
            "mode 640 -> 700 of ~/x/b",
            "mode 640 -> 700 of ~/x/c",
        ],
    )])
    .await;
    assert_eq!((here.read("x/a").as_str(), here.mode("x/a")), ("new", 0o700));
}

#[tokio::test]
async fn a_folder_in_the_place_of_a_file_is_named() {
    let here = Here::new();
    let ours = folder(["a", "b"].map(|name| (name.to_owned(), b"new".to_vec(), 0o644)));
    fs::create_dir_all(here.path("x/b")).expect("a folder");
    assert_eq!(
        here.failure(&copy(ours.path(), "dest: ~/x")).await,
        "the module's script failed\n~/x/b/ is a directory"
    );
}

#[tokio::test]
async fn of_files_that_arrive_damaged_none_takes_its_place() {
    let here = Here::new();
    let ours = folder(["a", "b", "c"].map(|name| (name.to_owned(), name.into(), 0o644)));
    fs::create_dir(here.path("x")).expect("a folder");
    here.write("x/a", "old");
    let before = here.snapshot();
    let names =
        |snapshot: &std::collections::BTreeMap<String, String>| snapshot.keys().cloned().collect::<Vec<_>>();
    here.program("cat", "/bin/cat | /usr/bin/tr c d");
    assert_eq!(
        here.failure(&copy(ours.path(), "dest: ~/x")).await,
        "the module's script failed\nthe content arrived damaged"
    );
    let after = here.snapshot();
    assert_eq!((names(&after), &after["x/a"]), (names(&before), &before["x/a"]));
}

#[tokio::test]
async fn the_files_of_a_folder_that_cannot_be_owned_stay_out_of_it() {
    let here = Here::new();
    let ours = folder([("a".to_owned(), b"a".to_vec(), 0o644)]);
    // The folder itself can be.
    here.program("chown", "case \"$*\" in *./a) echo no >&2; exit 1;; esac");
    fs::create_dir(here.path("x")).expect("a folder");
    let failure = here.failure(&copy(ours.path(), "dest: ~/x, owner: \"1\"")).await;
    assert!(failure.starts_with("the module's script failed\nno"), "{failure}");
    assert!(!here.path("x/a").exists());
}

#[tokio::test]
async fn files_with_one_place_go_in_one_command_with_their_sizes() {
    let ours = folder([
        ("a".to_owned(), b"one".to_vec(), 0o644),
        ("b".to_owned(), b"two!".to_vec(), 0o644),
    ]);
    let fake = Fake::new([
        output(0, "directory|755|root|0|root|0|/x\n", ""),
        output(0, "", ""),
    ]);
    play(&fake, &copy(ours.path(), "dest: /x, owner: root"), Mode::Apply)
        .await
        .expect("copied");
    let asked = fake.asked();
    let digest = |text: &str| {
        use sha2::Digest;
        hex::encode(sha2::Sha256::digest(text))
    };
    assert_eq!(
        asked[1],
        format!(
            "[copy] 0 /x 644 root '' 3 {} a 4 {} b <onetwo!",
            digest("one"),
            digest("two!")
        )
    );
    assert_eq!(asked.len(), 2);
}
