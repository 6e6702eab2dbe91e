use super::*;
use serde_json::json;
use tempfile::TempDir;

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = TempDir::new().expect("a folder");
    for (path, text) in files {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
        fs::write(path, text).expect("a file");
    }
    folder
}

fn rendered(files: &[(&str, &str)], variables: Value) -> Result<Vec<(String, String)>, String> {
    let (source, target) = (folder(files), TempDir::new().expect("a folder"));
    let staging = Staging::load(source.path()).map_err(|error| error.to_string())?;
    let variables = variables.as_object().expect("an object").clone();
    staging
        .write(target.path(), &variables)
        .map_err(|error| error.to_string())?;
    let mut found = Vec::new();
    read_folder(target.path(), "", &mut found).map_err(|error| error.to_string())?;
    found.sort_by(|one, other| one.path.cmp(&other.path));
    let text = |file: File| (file.path, String::from_utf8(file.content).expect("text"));
    Ok(found.into_iter().map(text).collect())
}

#[test]
fn plain_files_templates_and_lists_are_staged() {
    let files = [
        ("plain/{{x}}", "{{untouched}}"),
        ("one.conf.hbs", "v={{line v}} {{json v}}\n"),
        (
            "dir/@things.cfg.hbs",
            "{{name}} {{optional this \"extra\" \"none\"}}\n",
        ),
        ("tests/left-out", ""),
        ("README.md", ""),
        (".hidden", ""),
    ];
    let variables = json!({ "v": "a b", "things": [{ "name": "t1" }, { "name": "t-2", "extra": true }] });
    let expected = [
        ("dir/t-2.cfg", "t-2 1\n"),
        ("dir/t1.cfg", "t1 none\n"),
        ("one.conf", "v=a b \"a b\"\n"),
        ("plain/{{x}}", "{{untouched}}"),
    ];
    let expected = expected.map(|(path, text)| (path.to_owned(), text.to_owned()));
    assert_eq!(rendered(&files, variables).expect("staged"), expected);
}

#[test]
fn a_program_stays_one() {
    let source = folder(&[("run", "#!/bin/sh\n"), ("data", "")]);
    fs::set_permissions(source.path().join("run"), fs::Permissions::from_mode(0o700)).expect("a mode");
    let target = TempDir::new().expect("a folder");
    Staging::load(source.path())
        .expect("loaded")
        .write(target.path(), &Map::new())
        .expect("staged");
    let mode = |name: &str| {
        fs::metadata(target.path().join(name))
            .expect("it")
            .permissions()
            .mode()
            & 0o777
    };
    assert_eq!((mode("run"), mode("data")), (0o755, 0o644));
}

#[test]
fn mistakes_name_the_template_and_the_line() {
    let broken = rendered(&[("a.hbs", "one\n{{#if x}}\n")], json!({})).expect_err("broken");
    assert!(broken.starts_with("a.hbs:"), "{broken}");
    let missing = rendered(&[("a.hbs", "one\n{{line there}}\n")], json!({})).expect_err("missing");
    assert_eq!(missing, "a.hbs:2:1: the variable \"there\" is missing");
    let not_a_list = rendered(&[("@things.cfg.hbs", "")], json!({ "things": 1 })).expect_err("no list");
    assert_eq!(
        not_a_list,
        "@things.cfg.hbs: the variable \"things\" is not a list"
    );
}

#[test]
fn hostile_values_do_not_get_into_files_made_of_lines() {
    for value in ["a\nb", "a\"\"\"", "a'b", "a\\", "a\u{7}"] {
        let error = rendered(&[("a.hbs", "{{line v}}")], json!({ "v": value })).expect_err("refused");
        assert!(
            error.contains("holds a quote, a backslash or a control character"),
            "{error}"
        );
    }
    for name in ["../x", "", ".x", "a/b", "a b"] {
        let variables = json!({ "things": [{ "name": name }] });
        let error = rendered(&[("@things.cfg.hbs", "")], variables).expect_err("refused");
        assert!(error.contains("no file name"), "{error}");
    }
}

#[test]
fn links_in_the_folder_are_refused() {
    let source = folder(&[("a", "")]);
    std::os::unix::fs::symlink("/etc/passwd", source.path().join("b")).expect("a link");
    let error = Staging::load(source.path()).err().expect("refused").to_string();
    assert_eq!(error, "b: it is neither a file nor a folder");
}
