use super::*;

#[test]
fn a_change_is_shown_with_three_lines_around_it() {
    let old = "1\n2\n3\n4\n5\n6\n7\n8\n9\n";
    let new = "1\n2\n3\n4\nfive\n6\n7\n8\n9\n";
    let expected = "--- f\n+++ f\n@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+five\n 6\n 7\n 8\n";
    assert_eq!(unified("f", old, new), expected);
}

#[test]
fn a_new_file_an_emptied_one_and_an_equal_one() {
    assert_eq!(
        unified("f", "", "a\nb\n"),
        "--- f\n+++ f\n@@ -0,0 +1,2 @@\n+a\n+b\n"
    );
    assert_eq!(unified("f", "a\n", ""), "--- f\n+++ f\n@@ -1,1 +0,0 @@\n-a\n");
    assert_eq!(unified("f", "a\n", "a\n"), "");
}

#[test]
fn a_repeated_line_is_not_counted_twice() {
    assert_eq!(
        unified("f", "a\na\n", "a\n"),
        "--- f\n+++ f\n@@ -1,2 +1,1 @@\n a\n-a\n"
    );
}

#[test]
fn a_long_diff_is_cut() {
    let text = unified("f", "", &"x\n".repeat(1000));
    assert!(text.ends_with("(801 more lines)\n"), "{text}");
}

#[test]
fn a_line_end_that_is_missing_or_of_windows_is_shown() {
    let head = "--- f\n+++ f\n";
    let cases = [
        (
            "a\nb",
            "a\nb\n",
            "@@ -1,2 +1,2 @@\n a\n-b\n\\ No newline at end of file\n+b\n",
        ),
        (
            "a\n",
            "a",
            "@@ -1,1 +1,1 @@\n-a\n+a\n\\ No newline at end of file\n",
        ),
        (
            "a\nb",
            "c\nb",
            "@@ -1,2 +1,2 @@\n-a\n+c\n b\n\\ No newline at end of file\n",
        ),
        ("a\r\n", "a\n", "@@ -1,1 +1,1 @@\n-a\r\n+a\n"),
        ("", "\n", "@@ -0,0 +1,1 @@\n+\n"),
    ];
    for (old, new, expected) in cases {
        assert_eq!(
            unified("f", old, new),
            format!("{head}{expected}"),
            "{old:?} {new:?}"
        );
    }
}

#[test]
fn changes_at_both_ends_are_one_hunk() {
    let old = "a\n1\n2\n3\n4\n5\nb\n";
    let new = "1\n2\n3\n4\n5\nb\nc\n";
    let text = unified("f", old, new);
    assert!(
        text.starts_with("--- f\n+++ f\n@@ -1,7 +1,7 @@\n-a\n-1\n"),
        "{text}"
    );
    assert!(text.ends_with("+b\n+c\n"), "{text}");
    // Everything before and behind is left out but three lines.
    let around = |middle: &str| format!("{}{middle}{}", "x\n".repeat(50), "y\n".repeat(50));
    let text = unified("f", &around("old\n"), &around("new\nnewer\n"));
    assert_eq!(
        text,
        "--- f\n+++ f\n@@ -48,7 +48,8 @@\n x\n x\n x\n-old\n+new\n+newer\n y\n y\n y\n"
    );
}
