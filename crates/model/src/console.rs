//! What a machine wrote on its console, as text that moves no terminal and that a database takes.

/// How much of the end of a console is kept, in bytes.
pub const KEPT: usize = 16 * 1024;
/// What begins a sequence that moves a terminal.
const ESCAPE: char = '\u{1b}';
const BELL: char = '\u{7}';

/// A console's text without what moves a terminal. A return of the carriage begins a new line, a tab is a space.
#[must_use]
pub fn clean(raw: &str) -> String {
    let mut text = String::with_capacity(raw.len());
    let mut rest = raw.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            ESCAPE => skip_sequence(&mut rest),
            '\r' if rest.peek() == Some(&'\n') => {}
            '\r' | '\n' => text.push('\n'),
            '\t' => text.push(' '),
            c if c.is_control() => {}
            c => text.push(c),
        }
    }
    text
}

/// Goes past what follows an escape: a control sequence up to its last letter, a command of the system up to its end, or one letter.
fn skip_sequence(rest: &mut std::iter::Peekable<impl Iterator<Item = char>>) {
    // What is cut, or no sequence at all, ends with its line: the next one is not lost with it.
    match rest.next_if(|c| *c != '\n' && *c != '\r') {
        Some('[') => {
            while rest.next_if(|c| (' '..='?').contains(c)).is_some() {}
            let _last = rest.next_if(|c| ('@'..='~').contains(c));
        }
        Some(']') => {
            while let Some(c) = rest.next_if(|c| *c != '\n' && *c != '\r') {
                match c {
                    BELL => return,
                    ESCAPE => {
                        let _end = rest.next_if_eq(&'\\');
                        return;
                    }
                    _ => {}
                }
            }
        }
        Some(_) | None => {}
    }
}

/// The end of a console that is kept: its last [`KEPT`] bytes, cleaned, from the beginning of a line on where a line begins there.
#[must_use]
pub fn end(raw: &str) -> String {
    let text = clean(raw);
    let text = text.trim_end();
    let Some(mut from) = text.len().checked_sub(KEPT) else {
        return text.to_owned();
    };
    while !text.is_char_boundary(from) {
        from += 1;
    }
    let (before, tail) = text.split_at(from);
    let begins_here = before.is_empty() || before.ends_with('\n');
    match tail.split_once('\n') {
        Some((_, lines)) if !begins_here => lines.to_owned(),
        _ => tail.to_owned(),
    }
}

/// The last lines of a text, at most so many; empty ones at its end do not count.
#[must_use]
pub fn last_lines(text: &str, most: usize) -> Vec<&str> {
    let lines: Vec<&str> = text.trim_end().lines().collect();
    let skipped = lines.len().saturating_sub(most);
    lines.into_iter().skip(skipped).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_console_moves_a_terminal() {
        for (raw, expected) in [
            ("", ""),
            ("one\r\ntwo\n", "one\ntwo\n"),
            ("10%\r20%\r100%\n", "10%\n20%\n100%\n"),
            ("a\tb\u{0}c\u{7f}\u{9b}d", "a bcd"),
            ("boot\u{1b}[31m failed\u{1b}[0m\u{7}", "boot failed"),
            ("\u{1b}[1;31mred\u{1b}[?25l", "red"),
            ("\u{1b}]0;title\u{7}x\u{1b}]0;title\u{1b}\\y", "xy"),
            ("\u{1b}cclear\u{1b}", "clear"),
            // What is cut takes no other line with it.
            ("a\u{1b}\nb\u{1b}[31\nc\u{1b}]0;d\ne", "a\nb\nc\ne"),
            ("žluť 漢字\n", "žluť 漢字\n"),
        ] {
            assert_eq!(clean(raw), expected, "{raw:?}");
            assert_eq!(clean(&clean(raw)), clean(raw), "{raw:?}");
        }
    }

    #[test]
    fn the_end_that_is_kept_is_bounded_and_begins_with_a_line() {
        let line = |c: &str| format!("{}\n", c.repeat(99));
        let long: String = (0..300).map(|_| line("x")).collect();
        let kept = end(&long);
        assert!(kept.len() <= KEPT && kept.len() > KEPT - 100, "{}", kept.len());
        assert!(kept.lines().all(|line| line.len() == 99), "{kept}");
        // One that fits stays whole, whatever it is cleaned of.
        assert_eq!(end("a\r\nb\u{1b}[0m\n\n"), "a\nb");
        let exact = format!("{}\n{}", "a".repeat(10), "b".repeat(KEPT));
        assert_eq!(end(&exact), "b".repeat(KEPT), "a whole line begins there");
        assert_eq!(end(&"b".repeat(KEPT)).len(), KEPT);
        // No line begins in the part that is kept; no character is cut.
        let wide = "漢".repeat(KEPT);
        let kept = end(&wide);
        assert!(kept.len() <= KEPT && kept.len() > KEPT - 3, "{}", kept.len());
        assert!(kept.chars().all(|c| c == '漢'));
    }

    #[test]
    fn the_last_lines_are_those_before_the_empty_ones() {
        for (text, most, expected) in [
            ("", 2, &[][..]),
            ("\n\n", 2, &[]),
            ("one", 2, &["one"]),
            ("one\ntwo\nthree\n\n", 2, &["two", "three"]),
            ("one\n\nthree", 2, &["", "three"]),
            ("one\ntwo", 0, &[]),
        ] {
            assert_eq!(last_lines(text, most), expected, "{text:?}");
        }
    }
}
