use clap::Parser as _;

use super::*;

#[derive(Debug, clap::Parser)]
struct Arguments {
    #[command(flatten)]
    beside: Beside,
}

#[test]
fn it_is_measured_beside_one_commit_or_alone() {
    for (line, commit) in [
        (&["bench"][..], Some("f726b6b")),
        (&["bench", "--older", "abc"], Some("abc")),
        (&["bench", "--alone"], None),
    ] {
        let arguments = Arguments::try_parse_from(line).unwrap();
        assert_eq!(arguments.beside.commit(), commit, "{line:?}");
    }
    assert!(Arguments::try_parse_from(["bench", "--alone", "--older", "abc"]).is_err());
}

/// A repository with two commits; the first has another text in its file.
fn repository(place: &Path) -> PathBuf {
    let root = place.join("root");
    fs_err::create_dir_all(&root).unwrap();
    let git = |words: &[&str]| {
        let author = ["-c", "user.name=x", "-c", "user.email=x@example.org"];
        Tool::new("git")
            .args(author)
            .args(words)
            .dir(&root)
            .output()
            .unwrap()
    };
    git(&["init", "--quiet"]);
    for text in ["first", "second"] {
        fs_err::write(root.join("file"), text).unwrap();
        git(&["add", "file"]);
        git(&["commit", "--quiet", "--message", text]);
        git(&["tag", text]);
    }
    root
}

#[test]
fn an_older_commit_is_there_while_it_is_built_and_gone_then() {
    let place = tempfile::tempdir().unwrap();
    let root = repository(place.path());
    let checkout = place.path().join("older");
    let text = at(&root, place.path(), "first", |older| {
        assert_eq!(older, checkout);
        Ok(fs_err::read_to_string(older.join("file"))?)
    });
    assert_eq!(text.unwrap(), "first");
    assert!(!checkout.exists());
    let failed: Result<()> = at(&root, place.path(), "first", |older| {
        fs_err::write(older.join("file"), "changed")?;
        anyhow::bail!("it does not compile")
    });
    assert_eq!(failed.unwrap_err().to_string(), "it does not compile");
    assert!(!checkout.exists(), "also what was changed in it");
    let list = Tool::new("git")
        .args(["worktree", "list"])
        .dir(&root)
        .output()
        .unwrap();
    assert_eq!(list.lines().count(), 1, "git does not know it any more: {list}");
    assert_eq!(fs_err::read_to_string(root.join("file")).unwrap(), "second");
}

#[test]
fn a_commit_that_is_not_there_is_named() {
    let place = tempfile::tempdir().unwrap();
    let root = repository(place.path());
    let error = at(&root, place.path(), "nowhere", |_| Ok(())).unwrap_err();
    assert_eq!(error.to_string(), "a checkout of nowhere");
}

#[test]
fn the_files_are_laid_over_what_the_older_commit_has_there() {
    let place = tempfile::tempdir().unwrap();
    let (root, checkout) = (place.path().join("root"), place.path().join("checkout"));
    for (file, text) in [
        ("root/a/main.rs", "new"),
        ("root/b.rs", "new"),
        ("checkout/b.rs", "old"),
    ] {
        let file = place.path().join(file);
        fs_err::create_dir_all(file.parent().unwrap()).unwrap();
        fs_err::write(file, text).unwrap();
    }
    let programs = Programs {
        names: &[],
        files: &["a/main.rs", "b.rs"],
        era: ("a/era.rs", "older"),
    };
    programs.lay_out(&root, &checkout).unwrap();
    for (file, text) in [("a/main.rs", "new"), ("b.rs", "new"), ("a/era.rs", "older")] {
        assert_eq!(
            fs_err::read_to_string(checkout.join(file)).unwrap(),
            text,
            "{file}"
        );
    }
}

#[test]
fn the_programs_of_the_benchmarks_are_in_the_tree() {
    let root = workspace::root().unwrap();
    for programs in [&crate::bench::api::PROGRAMS, &crate::bench::plan::PROGRAMS] {
        for file in programs.files.iter().chain([&programs.era.0]) {
            assert!(root.join(file).is_file(), "{file} is not there any more");
        }
        for name in programs.names {
            let main = format!("examples/{name}/main.rs");
            assert!(programs.files.iter().any(|file| file.ends_with(&main)), "{name}");
        }
    }
}
