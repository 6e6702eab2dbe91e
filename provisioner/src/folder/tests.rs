use std::os::unix::fs::symlink;

use tempfile::TempDir;

use super::*;

fn folder(files: &[&str]) -> TempDir {
    let folder = TempDir::new().expect("a folder");
    for path in files {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
        fs::write(path, "x").expect("a file");
    }
    folder
}

fn names(folder: &TempDir, links: Links) -> Result<Vec<String>, String> {
    let found = read(folder.path(), links).map_err(|error| error.to_string())?;
    Ok(found.into_iter().map(|file| file.path).collect())
}

fn refused(folder: &TempDir, links: Links) -> String {
    names(folder, links).expect_err("refused")
}

#[test]
fn what_editors_and_python_leave_behind_is_no_file_of_ours() {
    let source = folder(&[
        "a",
        "a~",
        "b.pyc",
        "__pycache__/c",
        "d/tests/e",
        "d/README.md",
        "d/.git/x",
        "d/f",
        "tests.py",
    ]);
    let expected = ["a", "d/f", "tests.py"].map(str::to_owned).to_vec();
    assert_eq!(names(&source, Links::Refused), Ok(expected));
}

#[test]
fn what_is_odd_or_too_much_is_refused() {
    let source = folder(&[]);
    fs::write(source.path().join("a\nb"), "").expect("a file");
    assert!(refused(&source, Links::Refused).ends_with("a\nb: the name is not plain text"));
    fs::remove_file(source.path().join("a\nb")).expect("removed");
    let large = fs::File::create(source.path().join("large")).expect("a file");
    large.set_len(MAX_FILE).expect("its size");
    assert!(names(&source, Links::Refused).is_ok());
    large.set_len(MAX_FILE + 1).expect("its size");
    assert_eq!(
        refused(&source, Links::Refused),
        "large: it is larger than 8388608 bytes"
    );
    let many: Vec<String> = (0..=MAX_FILES).map(|number| format!("d/{number}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let said = refused(&folder(&many), Links::Refused);
    assert!(said.ends_with(": there are more than 2000 files"), "{said}");
}

#[test]
fn a_link_is_refused_or_stands_for_what_it_leads_to() {
    let source = folder(&["a", "d/e"]);
    symlink("../a", source.path().join("d/b")).expect("a link");
    assert_eq!(
        refused(&source, Links::Refused),
        "d/b: it is neither a file nor a folder"
    );
    symlink("d", source.path().join("c")).expect("a link");
    let expected = ["a", "c/b", "c/e", "d/b", "d/e"].map(str::to_owned).to_vec();
    assert_eq!(names(&source, Links::Followed), Ok(expected));
    // A link that leads above itself never ends.
    symlink("..", source.path().join("d/up")).expect("a link");
    let said = refused(&source, Links::Followed);
    assert!(said.ends_with("it lies more than 16 folders deep"), "{said}");
    fs::remove_file(source.path().join("d/up")).expect("removed");
    symlink("nowhere", source.path().join("gone")).expect("a link");
    let said = refused(&source, Links::Followed);
    assert!(
        said.ends_with("/gone cannot be used: it cannot be read"),
        "{said}"
    );
}
