use super::*;
use serde_json::json;
use tempfile::TempDir;

fn files_in(files: &[(&str, &str)]) -> TempDir {
    let folder = TempDir::new().expect("a folder");
    for (path, text) in files {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
        fs::write(path, text).expect("a file");
    }
    folder
}

fn rendered(files: &[(&str, &str)], variables: Value) -> Result<Vec<(String, String)>, String> {
    let (source, target) = (files_in(files), TempDir::new().expect("a folder"));
    let staging = Staging::load(source.path()).map_err(|error| error.to_string())?;
    let variables = variables.as_object().expect("an object").clone();
    staging
        .write(target.path(), &variables)
        .map_err(|error| error.to_string())?;
    let found = folder::read(target.path(), Links::Refused).map_err(|error| error.to_string())?;
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
    let source = files_in(&[("run", "#!/bin/sh\n"), ("data", "")]);
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
    let source = files_in(&[("a", "")]);
    std::os::unix::fs::symlink("/etc/passwd", source.path().join("b")).expect("a link");
    let error = Staging::load(source.path()).err().expect("refused").to_string();
    assert_eq!(error, "b: it is neither a file nor a folder");
}

#[test]
fn a_list_needs_no_extension_and_has_its_folder() {
    let files = [("deep/er/@names.hbs", "{{name}}"), ("@names.a.b.hbs", "")];
    let staged = rendered(&files, json!({ "names": [{ "name": "x" }] })).expect("staged");
    let expected = [("deep/er/x", "x"), ("x.a.b", "")];
    assert_eq!(
        staged,
        expected.map(|(path, text)| (path.to_owned(), text.to_owned()))
    );
    assert_eq!(rendered(&files, json!({ "names": [] })), Ok(Vec::new()));
}

#[test]
fn no_file_takes_the_place_of_another() {
    let twice = json!({ "names": [{ "name": "x" }, { "name": "y" }, { "name": "x" }] });
    let cases: [(&[(&str, &str)], &str); 3] = [
        (
            &[("@names.cfg.hbs", "{{name}}")],
            "@names.cfg.hbs: it becomes x.cfg, which @names.cfg.hbs becomes too",
        ),
        (
            &[("d/a", ""), ("d/a.hbs", "")],
            "d/a.hbs: it becomes d/a, which d/a becomes too",
        ),
        (
            &[("x.cfg.hbs", ""), ("y.cfg", ""), ("@names.cfg.hbs", "")],
            "@names.cfg.hbs: it becomes x.cfg, which @names.cfg.hbs becomes too",
        ),
    ];
    for (files, expected) in cases {
        assert_eq!(rendered(files, twice.clone()), Err(expected.to_owned()));
    }
}

#[test]
fn helpers_write_values_for_files_of_lines() {
    let values = json!({ "t": "a b", "h": "<&>", "n": 1.5, "yes": true, "no": false, "null": null, "l": [1, "é"], "o": { "k": "v", "n": null } });
    let cases = [
        ("{{line t}}", Ok("a b")),
        ("{{line n}}", Ok("1.5")),
        ("{{line yes}}{{line no}}", Ok("10")),
        ("{{json l}}", Ok("[1,\"é\"]")),
        ("{{json null}}", Ok("null")),
        ("{{json t}}", Ok("\"a b\"")),
        ("{{optional o \"k\" \"d\"}}", Ok("v")),
        ("{{optional o \"n\" \"d\"}}", Ok("d")),
        ("{{optional o \"none\" 5}}", Ok("5")),
        ("{{t}} {{#each l}}<{{this}}>{{/each}}", Ok("a b <1><é>")),
        // What others escape for HTML stays as it is.
        ("{{{t}}} {{h}}", Ok("a b <&>")),
        ("{{line l}}", Err("text or number")),
        ("{{line null}}", Err("text or number")),
        ("{{line nope}}", Err("the variable \"nope\" is missing")),
        ("{{json o.nope}}", Err("the variable \"o.nope\" is missing")),
        ("{{json}}", Err("json")),
        ("{{optional o}}", Err("optional")),
        ("{{nohelper t}}", Err("nohelper")),
    ];
    for (template, expected) in cases {
        let got = rendered(&[("a.hbs", template)], values.clone());
        match expected {
            Ok(text) => assert_eq!(got, Ok(vec![("a".to_owned(), text.to_owned())]), "{template}"),
            Err(part) => {
                let error = got.expect_err(template);
                assert!(
                    error.starts_with("a.hbs:1:") && error.contains(part),
                    "{template}: {error}"
                );
            }
        }
    }
}

#[test]
fn a_template_that_is_no_text_is_refused() {
    let source = files_in(&[]);
    fs::write(source.path().join("a.hbs"), [0xff]).expect("a file");
    let refused = Staging::load(source.path()).err().expect("refused").to_string();
    assert_eq!(refused, "a.hbs: a template must be UTF-8 text");
}

#[test]
fn a_place_that_cannot_be_written_is_named() {
    let source = files_in(&[("d/a", "")]);
    let target = files_in(&[("d", "a file where a folder should be")]);
    let staging = Staging::load(source.path()).expect("loaded");
    let error = staging.write(target.path(), &Map::new()).expect_err("refused");
    let expected = format!(
        "{}/d/a cannot be used: it cannot be written",
        target.path().display()
    );
    assert_eq!(error.to_string(), expected);
}
