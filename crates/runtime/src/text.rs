//! Files of operators as texts, and lines of them as they are shown with a mistake.

use std::{
    io::{Error, ErrorKind},
    path::Path,
};

/// How many letters of a line are shown on either side of a mistake.
const SHOWN: usize = 60;

/// Reads a file as a text.
pub(crate) fn read(path: &Path) -> Result<String, crate::Error> {
    std::fs::read_to_string(path).map_err(|error| crate::Error::Unreadable {
        path: path.display().to_string(),
        why: why(&error),
    })
}

/// Why a file cannot be read, in words for operators.
fn why(error: &Error) -> String {
    match error.kind() {
        ErrorKind::NotFound => "there is no such file".to_owned(),
        ErrorKind::PermissionDenied => "this user may not read it".to_owned(),
        ErrorKind::IsADirectory => "it is a directory, not a file".to_owned(),
        ErrorKind::InvalidData => "it is no text in UTF-8".to_owned(),
        _ => {
            let said = error.to_string();
            said.split_once(" (os error")
                .map_or(said.clone(), |(words, _)| words.to_owned())
        }
    }
}

/// The line with a mark below the column, both counted from one.
pub(crate) fn shown(text: &str, line: u64, column: u64) -> String {
    let (Ok(row), Ok(at)) = (usize::try_from(line - 1), usize::try_from(column.max(1) - 1)) else {
        return String::new();
    };
    let Some(words) = text.lines().nth(row).filter(|words| !words.trim().is_empty()) else {
        return String::new();
    };
    let first = at.saturating_sub(SHOWN);
    let part = words.chars().skip(first).take(2 * SHOWN);
    let part: String = part.map(|c| if c.is_control() { ' ' } else { c }).collect();
    let margin = " ".repeat(line.to_string().len());
    let mark = " ".repeat(at - first);
    format!("\n  {line} | {}\n  {margin} | {mark}^", part.trim_end())
}

#[cfg(test)]
mod tests {
    use super::{read, shown};

    #[test]
    fn what_cannot_be_read_is_told_in_our_words() {
        let directory = tempfile::tempdir().unwrap();
        let binary = directory.path().join("binary");
        std::fs::write(&binary, b"\xff\xfe[http]").unwrap();
        for (path, expected) in [
            (directory.path().to_owned(), "it is a directory, not a file"),
            (directory.path().join("none"), "there is no such file"),
            (binary, "it is no text in UTF-8"),
            (directory.path().join("x".repeat(300)), "File name too long"),
            (directory.path().join("binary/x"), "Not a directory"),
        ] {
            let said = read(&path).unwrap_err().to_string();
            assert_eq!(said, format!("cannot read {}: {expected}", path.display()));
        }
    }

    #[test]
    fn a_line_is_shown_with_a_mark_below_the_place() {
        let text = "first\n\tsecond ä line\n   \nlast";
        for (line, column, expected) in [
            (1, 1, "\n  1 | first\n    | ^"),
            (1, 5, "\n  1 | first\n    |     ^"),
            // Behind the end, where something is missing.
            (1, 6, "\n  1 | first\n    |      ^"),
            (1, 0, "\n  1 | first\n    | ^"),
            // A tab is as wide as the mark takes it for, and letters are counted, not bytes.
            (2, 11, "\n  2 |  second ä line\n    |           ^"),
            (4, 2, "\n  4 | last\n    |  ^"),
            // A line without words shows nothing, and neither does one that is not there.
            (3, 1, ""),
            (5, 1, ""),
            (u64::MAX, 1, ""),
        ] {
            assert_eq!(shown(text, line, column), expected, "{line}:{column}");
        }
    }

    #[test]
    fn the_mark_stays_below_its_letter_with_long_numbers_and_in_long_lines() {
        let text = "x\n".repeat(99) + &format!("{}!{}", "a".repeat(500), "b".repeat(500));
        for (line, column, letter) in [(99, 1, 'x'), (100, 501, '!'), (100, 1, 'a'), (100, 1001, 'b')] {
            let said = shown(&text, line, column);
            let [words, mark] = said.lines().skip(1).collect::<Vec<_>>()[..] else {
                panic!("{said}");
            };
            let at = mark.chars().position(|c| c == '^').unwrap();
            assert_eq!(words.chars().nth(at), Some(letter), "{said}");
            assert!(words.len() < 140, "{said}");
        }
    }

    #[test]
    fn what_a_file_holds_cannot_move_the_cursor() {
        let said = shown("a\u{1b}[2Jb", 1, 3);
        assert!(!said.replace('\n', "").contains(char::is_control), "{said:?}");
    }
}
