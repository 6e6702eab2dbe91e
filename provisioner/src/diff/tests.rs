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
