use super::*;

const NOTHING: [usize; 0] = [];

fn lines_of(file: &str, text: &str) -> Vec<usize> {
    check(file, text).iter().map(|finding| finding.line).collect()
}

#[test]
fn marks_of_unfinished_work_are_found_as_words_only() {
    let mark = format!("{}{}", "TO", "DO");
    assert_eq!(lines_of("a.rs", &format!("fine\n// {mark}: later\n")), [2]);
    assert_eq!(lines_of("a.rs", &format!("{mark}S and MY{mark}\n")), NOTHING);
    assert_eq!(lines_of("a.sh", "mktemp /tmp/aXXXXXX\n"), NOTHING);
}

#[test]
fn spaces_at_the_end_are_found() {
    assert_eq!(lines_of("a.md", "a\nb \nc\t\n"), [2, 3]);
}

#[test]
fn paths_of_one_machine_and_hosts_of_registries_are_found() {
    let home = format!("{}{}", "/ho", "me/anna/x");
    let work = format!("{}{}", "/wo", "rk/main");
    let host = format!("{}{}", "http://deb.debian", ".org/debian");
    assert_eq!(lines_of("a.rs", &format!("{home}\n{work}\n{host}\n")), [1, 2, 3]);
    assert_eq!(
        lines_of("a.rs", "/root/.ssh/authorized_keys\n/home\n/root\n"),
        NOTHING
    );
    assert_eq!(lines_of("Cargo.lock", &format!("{host}\n")), NOTHING);
}

#[test]
fn long_files_are_found_but_prose_is_not_counted() {
    let text = "line\n".repeat(501);
    assert_eq!(lines_of("a.rs", &text), [501]);
    assert_eq!(lines_of("a.md", &text), NOTHING);
    assert_eq!(lines_of("a.rs", &"line\n".repeat(500)), NOTHING);
}

#[test]
fn long_python_functions_are_found() {
    let long = format!("def f(\n    a,\n):\n{}\n\nx = 1\n", "    a = 1\n".repeat(70));
    assert_eq!(lines_of("a.py", &long), [1]);
    let short = format!(
        "def f():\n{}\n\ndef g():\n{}",
        "    a = 1\n".repeat(60),
        "    a = 1\n".repeat(60)
    );
    assert_eq!(lines_of("a.py", &short), NOTHING);
}
