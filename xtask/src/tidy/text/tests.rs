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
fn each_forbidden_word_is_told_with_what_to_do() {
    let join = |first: &str, second: &str| format!("{first}{second}");
    for (line, words) in [
        (join("let a = ", &join("todo", "!()")), "finish it or remove it"),
        (join("# FIX", "ME: soon"), "do it, or write an issue"),
        (join("(X", "XX)"), "do it, or write an issue"),
        (join("cd /wo", "rk/x"), "a path of one machine"),
        (join("/root/.ca", "rgo/bin"), "a path of one machine"),
        (join("cd /ho", "me/anna"), "use `~` or $HOME"),
        (join("curl https://pypi", ".org/simple"), "is a registry's host"),
        (
            join("registry = https://index.crates", ".io"),
            "is a registry's host",
        ),
    ] {
        let advice = check_line(&line);
        assert!(
            matches!(&*advice, [one] if one.contains(words)),
            "{line}: {advice:?}"
        );
    }
    for fine in [
        "todo_list()",
        "EXXXON",
        "/home/$USER and /home/ alone",
        "https://crates.example and mypypi.example",
        "/workshop",
        "\tindented",
        "",
    ] {
        assert_eq!(check_line(fine), [""; 0], "{fine}");
    }
    let both = join("TO", &join("DO: see /wo", "rk/x "));
    assert_eq!(
        check_line(&both).len(),
        3,
        "each is told, the space at the end as well"
    );
}

#[test]
fn the_lines_of_a_python_function_are_those_that_are_deeper() {
    let body = |count: usize| "    a = 1\n".repeat(count);
    let deep = |count: usize| "        a = 1\n".repeat(count);
    for (text, lines) in [
        (format!("def f(\n    a,\n):\n{}\n\nx = 1\n", body(70)), &[1][..]),
        (format!("def f():\n{}", body(69)), &[]),
        (format!("def f():\n{}\n\n\nx = 1\n", body(69)), &[]),
        (format!("def f():\n{}\n{}", body(35), body(34)), &[1]),
        (format!("def f():\n{}\n\ndef g():\n{}", body(60), body(60)), &[]),
        (format!("x = 1\nasync def f():\n{}", body(70)), &[2]),
        (format!("class A:\n    def f(self):\n{}", deep(70)), &[2]),
        (
            format!("class A:\n    def f(self):\n{}    b = 1\n", deep(69)),
            &[],
        ),
        (format!("def f():\n    def g():\n{}", deep(70)), &[1, 2]),
        (format!("defer = 1\n{}", body(80)), &[]),
    ] {
        assert_eq!(lines_of("a.py", &text), lines, "{text}");
        assert_eq!(
            lines_of("tool", &format!("#!/usr/bin/python3\n{text}")).len(),
            lines.len()
        );
        assert_eq!(lines_of("a.txt", &text), NOTHING, "only in Python");
    }
}
