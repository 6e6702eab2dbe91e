//! Small grammars: modes, names of variables, command lines, regular expressions, digits.

use unicode_properties::{GeneralCategory, UnicodeGeneralCategory as _};

/// The permission bits written in octal, `644`, `0644` or `1777`.
pub(crate) fn mode(text: &str) -> Option<u32> {
    let digits = (3..=5).contains(&text.len()) && text.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
    u32::from_str_radix(text, 8)
        .ok()
        .filter(|bits| digits && *bits <= 0o7777)
}

/// A text that may be a number as Python looks at one: without the blanks around it, and with the digits of any script
/// as `0` to `9`.
pub(crate) fn plain_number(text: &str) -> String {
    // Python's blanks are Unicode's and the separators of old data files.
    let is_blank = |letter: char| letter.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&letter);
    with_plain_digits(text.trim_matches(is_blank))
}

/// A text with the digits of any script as `0` to `9`, as Python counts them.
pub(crate) fn with_plain_digits(text: &str) -> String {
    text.chars()
        .map(|letter| digit(letter).unwrap_or(letter))
        .collect()
}

/// The digit `0` to `9` of the same value. Unicode has the digits of each script in a row of ten, and these rows in a row.
fn digit(letter: char) -> Option<char> {
    let is_digit = |letter: char| letter.general_category() == GeneralCategory::DecimalNumber;
    if letter.is_ascii() || !is_digit(letter) {
        return None;
    }
    let before = ('\0'..letter)
        .rev()
        .take_while(|letter| is_digit(*letter))
        .count();
    char::from_digit(u32::try_from(before % 10).ok()?, 10)
}

/// Whether this can be the name of a variable.
pub(crate) fn is_identifier(text: &str) -> bool {
    let head = text
        .bytes()
        .next()
        .is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
    head && text
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Permits the regular expressions that mean the same to Python (Ansible) and to POSIX awk (here).
pub(crate) fn check_regexp(text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Err("regexp is empty, which every line matches: leave it out".to_owned());
    }
    unshared(text).map_or(Ok(()), |what| {
        Err(format!(
            "regexp {text:?}: {what} is not supported; use what POSIX and Python share, such as [0-9]"
        ))
    })
}

/// The first thing in a regular expression that the two read differently.
fn unshared(text: &str) -> Option<&'static str> {
    // Whether there is something that `*`, `+` or `?` could repeat, and whether one of them did.
    let (mut is_repeatable, mut is_repeated) = (false, false);
    let mut open: u32 = 0;
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '*' | '+' | '?' if is_repeated => return Some("a lazy or repeated repetition"),
            '*' | '+' | '?' if !is_repeatable => return Some("a repetition of nothing"),
            '*' | '+' | '?' => is_repeated = true,
            // Not every awk repeats by them.
            '{' => return Some("a repetition in braces"),
            '(' if characters.peek() == Some(&'?') => return Some("(?...)"),
            '(' => open = open.saturating_add(1),
            ')' => match open.checked_sub(1) {
                Some(left) => open = left,
                None => return Some("a parenthesis that was not opened"),
            },
            '\\' if characters.next().is_none_or(char::is_alphanumeric) => {
                return Some("a backslash before a letter or digit");
            }
            '[' => {
                characters.next_if_eq(&'^');
                let mut letters = Vec::new();
                // A bracket that comes first is one of the letters.
                let mut letter = characters.next();
                loop {
                    match letter {
                        None => return Some("a bracket that is not closed"),
                        Some('\\') => return Some("a backslash in brackets"),
                        Some('[') if matches!(characters.peek(), Some(':' | '.' | '=')) => {
                            return Some("a class such as [:alpha:]");
                        }
                        Some(one) => letters.push(one),
                    }
                    letter = characters.next();
                    if letter == Some(']') {
                        break;
                    }
                }
                if has_backward_range(&letters) {
                    return Some("a range whose end comes before its begin");
                }
            }
            _ => {}
        }
        if !matches!(character, '*' | '+' | '?') {
            is_repeated = false;
            is_repeatable = !matches!(character, '(' | '|' | '^');
        }
    }
    (open > 0).then_some("a parenthesis that is not closed")
}

/// Whether one of the ranges in brackets holds nothing, such as `z-a`.
fn has_backward_range(mut letters: &[char]) -> bool {
    loop {
        letters = match letters {
            [first, '-', last, ..] if first > last => return true,
            [_, '-', _, rest @ ..] | [_, rest @ ..] => rest,
            [] => return false,
        };
    }
}

/// A command line in which a backslash alone behind a blank is left out with the line end behind it, as Ansible does
/// where the command is the whole of what a module takes.
pub(crate) fn without_continuations(line: &str) -> String {
    let mut kept = String::with_capacity(line.len());
    let mut quote = None;
    let mut characters = line.chars().peekable();
    while let Some(character) = characters.next() {
        match (character, quote) {
            ('\\', None) if kept.ends_with([' ', '\n']) && characters.next_if_eq(&'\n').is_some() => continue,
            ('\\', None | Some('"')) => {
                kept.push(character);
                kept.extend(characters.next());
                continue;
            }
            ('\'' | '"', None) => quote = Some(character),
            (end, Some(begin)) if end == begin => quote = None,
            _ => {}
        }
        kept.push(character);
    }
    kept
}

/// Splits a command line into words as Python's shlex does, which is a POSIX shell that expands nothing, but that keeps a
/// backslash between double quotes unless a quote or a backslash follows.
pub(crate) fn split(line: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match character {
            '\'' | '"' => quoted(character, &mut characters, word.get_or_insert_default())?,
            '\\' => match characters.next() {
                Some(escaped) => word.get_or_insert_default().push(escaped),
                None => return Err("a backslash ends the command line".to_owned()),
            },
            blank if blank.is_ascii_whitespace() => words.extend(word.take()),
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    Ok(words)
}

fn quoted(quote: char, characters: &mut std::str::Chars<'_>, word: &mut String) -> Result<(), String> {
    while let Some(character) = characters.next() {
        match character {
            end if end == quote => return Ok(()),
            '\\' if quote == '"' => match characters.next() {
                Some(escaped @ ('"' | '\\')) => word.push(escaped),
                Some(other) => word.extend(['\\', other]),
                None => break,
            },
            other => word.push(other),
        }
    }
    Err(format!("a {quote} in the command line is never closed"))
}

#[cfg(test)]
mod tests;
