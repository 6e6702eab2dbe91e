use super::*;

#[test]
fn of_a_compilers_output_the_mistakes_are_shown() {
    let output = "   Compiling a\nwarning: w\nerror[E0425]: no `x`\n --> a.rs:1:2\nerror: could not compile";
    let shown = mistakes(output);
    assert_eq!(
        shown,
        "error[E0425]: no `x`\n --> a.rs:1:2\nerror: could not compile"
    );
    let named = "warning: an error is unused\n   Compiling error\nerror: expected `;`";
    assert_eq!(
        mistakes(named),
        "error: expected `;`",
        "a word in a warning is none"
    );
    assert_eq!(mistakes("   Compiling a\n    Finished"), "");
    let many = format!("error: first\n{}", "more\n".repeat(1000));
    assert_eq!(mistakes(&many).lines().count(), MOST_LINES);
}

#[test]
fn what_a_compiler_says_goes_into_a_file_that_each_run_begins_anew() {
    let place = tempfile::tempdir().unwrap();
    let log = place.path().join("log");
    let compiler = |script: &str| Tool::new("sh").args(["-c", script]);
    let error = compile_into(
        compiler("echo '   Compiling a'; echo 'error: no x' >&2; exit 101"),
        &log,
    );
    let error = format!("{:#}", error.unwrap_err());
    assert!(
        error.contains("exit status: 101") && error.contains(&log.display().to_string()),
        "{error}"
    );
    compile_into(compiler("echo '    Finished'"), &log).unwrap();
    assert_eq!(fs_err::read_to_string(&log).unwrap(), "    Finished\n");
}

#[test]
fn cargo_tells_the_crates_and_what_they_import() {
    let workspace = read().unwrap();
    let package = |name: &str| {
        let mut packages = workspace.packages.iter();
        packages.find(|package| package.name == name).expect(name)
    };
    let store = package("store");
    assert_eq!(
        store.manifest_path,
        root().unwrap().join("crates/store/Cargo.toml")
    );
    let import = |name: &str| {
        let mut imports = store.dependencies.iter();
        imports.find(|import| import.name == name).expect(name)
    };
    assert!(import("model").path.is_some(), "ours");
    assert!(import("sea-orm").path.is_none(), "another's");
    assert_eq!(
        import("store").kind.as_deref(),
        Some("dev"),
        "its own tests want more of it"
    );
    assert_eq!(import("sea-orm").kind, None);
}
