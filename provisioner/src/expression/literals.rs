//! Texts in quotation marks, as Ansible reads them.
//!
//! Between `{{` and `}}` a backslash is a backslash, so that YAML alone decides what it means. In statements and in
//! conditions Python's escapes count. The parser behind this has rules of its own, which are kept out of the way: each
//! text is written anew in the one form that it reads as it stands. Line ends of Windows become plain ones.

/// Where a piece of code ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Variable,
    Statement,
}

/// A template with its texts in the parser's form.
pub(super) fn in_template(source: &str) -> Result<String, String> {
    let source = source.replace("\r\n", "\n").replace('\r', "\n");
    let mut written = String::with_capacity(source.len());
    let mut rest = source.as_str();
    while let Some((before, place, tail)) = next_code(rest) {
        written.push_str(before);
        rest = tail;
        match place {
            None => rest = copy_through(rest, "#}", &mut written),
            Some(place) => {
                let begins_raw = place == Place::Statement
                    && rest
                        .trim_start_matches(['{', '%', '-', '+', ' ', '\n', '\t'])
                        .strip_prefix("raw")
                        .is_some_and(|rest| {
                            rest.trim_start_matches(['-', '+', ' ', '\n', '\t'])
                                .starts_with("%}")
                        });
                rest = code(rest, place, &mut written)?;
                if begins_raw {
                    rest = copy_through(rest, "endraw", &mut written);
                    rest = copy_through(rest, "%}", &mut written);
                }
            }
        }
    }
    written.push_str(rest);
    Ok(written)
}

/// The pieces of a template between `{{` and `}}`, as they are written.
pub(super) fn variables(source: &str) -> Vec<&str> {
    let (mut found, mut rest) = (Vec::new(), source);
    while let Some((_, place, tail)) = next_code(rest) {
        let mut written = String::new();
        let after = match place {
            None => copy_through(tail, "#}", &mut written),
            // One that is not closed goes to the end.
            Some(place) => code(tail, place, &mut written).unwrap_or_default(),
        };
        if place == Some(Place::Variable) {
            found.extend(tail.strip_suffix(after));
        }
        rest = after;
    }
    found
}

/// A bare expression with its texts in the parser's form.
pub(super) fn in_expression(source: &str) -> Result<String, String> {
    let source = source.replace("\r\n", "\n").replace('\r', "\n");
    let mut written = String::with_capacity(source.len());
    let mut rest = source.as_str();
    while let Some(at) = rest.find(['\'', '"']) {
        let (before, tail) = rest.split_at_checked(at).unwrap_or((rest, ""));
        check_numbers(before)?;
        written.push_str(before);
        let quote = if tail.starts_with('"') { '"' } else { '\'' };
        let (inside, after) = literal(tail, quote)?;
        write_literal(&decoded(inside)?, quote, &mut written);
        rest = after;
    }
    check_numbers(rest)?;
    written.push_str(rest);
    Ok(written)
}

/// What is before the next piece of code, its kind (none for a comment), and the rest from its delimiter on.
fn next_code(text: &str) -> Option<(&str, Option<Place>, &str)> {
    let kinds = [
        ("{{", Some(Place::Variable)),
        ("{%", Some(Place::Statement)),
        ("{#", None),
    ];
    let found = kinds
        .into_iter()
        .filter_map(|(opening, kind)| Some((text.find(opening)?, kind)))
        .min_by_key(|(at, _)| *at)?;
    let (before, rest) = text.split_at_checked(found.0)?;
    Some((before, found.1, rest))
}

/// Copies up to and with `end`, or everything where it does not come; gives the rest.
fn copy_through<'a>(text: &'a str, end: &str, written: &mut String) -> &'a str {
    let at = text.find(end).map_or(text.len(), |at| at + end.len());
    let (before, rest) = text.split_at_checked(at).unwrap_or((text, ""));
    written.push_str(before);
    rest
}

/// Copies one `{{ }}` or `{% %}` with its texts written anew; gives the rest.
fn code<'a>(text: &'a str, place: Place, written: &mut String) -> Result<&'a str, String> {
    let end = if place == Place::Variable { "}}" } else { "%}" };
    let (opening, mut rest) = text.split_at_checked(2).unwrap_or((text, ""));
    written.push_str(opening);
    let mut depth: u32 = 0;
    let mut plain = rest;
    while let Some(character) = rest.chars().next() {
        if matches!(character, '\'' | '"') || depth == 0 && rest.starts_with(end) {
            check_numbers(plain.strip_suffix(rest).unwrap_or_default())?;
        }
        if depth == 0 && rest.starts_with(end) {
            return Ok(copy_through(rest, end, written));
        }
        match character {
            '\'' | '"' => {
                let (inside, after) = literal(rest, character)?;
                let value = match place {
                    Place::Variable => inside.to_owned(),
                    Place::Statement => decoded(inside)?,
                };
                write_literal(&value, character, written);
                rest = after;
                plain = after;
                continue;
            }
            '{' | '[' | '(' => depth = depth.saturating_add(1),
            '}' | ']' | ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        written.push(character);
        rest = rest.get(character.len_utf8()..).unwrap_or_default();
    }
    Ok(rest)
}

/// Refuses numbers that the parser takes and Jinja does not: `007`, and `5.` without a digit behind the dot.
fn check_numbers(code: &str) -> Result<(), String> {
    let is_inside = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.');
    let mut rest = code;
    while let Some(at) = rest.find(|c: char| c.is_ascii_digit()) {
        let (before, number) = rest.split_at_checked(at).unwrap_or((rest, ""));
        let tail = number.trim_start_matches(|c: char| c.is_ascii_digit() || c == '_');
        let whole = number.strip_suffix(tail).unwrap_or(number);
        rest = tail;
        // Of a name, or the part of a number behind its dot.
        if before.ends_with(is_inside) {
            continue;
        }
        let has_fraction = tail
            .strip_prefix('.')
            .map(|behind| behind.starts_with(|c: char| c.is_ascii_digit()));
        let is_float = has_fraction == Some(true) || tail.starts_with(['e', 'E']);
        let is_member = |behind: &str| behind.starts_with(|c: char| c.is_alphabetic() || c == '_');
        if has_fraction == Some(false) && !tail.strip_prefix('.').is_some_and(is_member) {
            return Err(format!("the number {whole}. has no digit behind its dot"));
        }
        if !is_float && whole.starts_with('0') && whole.contains(|c: char| ('1'..='9').contains(&c)) {
            return Err(format!(
                "the number {whole} begins with 0: write it in quotation marks if it is a text"
            ));
        }
    }
    Ok(())
}

/// The inside of the text that begins here, and what comes behind it.
fn literal(text: &str, quote: char) -> Result<(&str, &str), String> {
    let mut is_escaped = false;
    for (at, character) in text.char_indices().skip(1) {
        if character == quote && !is_escaped {
            let inside = text.get(1..at).unwrap_or_default();
            return Ok((inside, text.get(at + 1..).unwrap_or_default()));
        }
        is_escaped = character == '\\' && !is_escaped;
    }
    Err(format!("a {quote} is never closed"))
}

fn write_literal(value: &str, quote: char, written: &mut String) {
    written.push(quote);
    for character in value.chars() {
        if character == '\\' || character == quote {
            written.push('\\');
        }
        written.push(character);
    }
    written.push(quote);
}

/// Python's escapes; a backslash before anything else stays.
fn decoded(text: &str) -> Result<String, String> {
    let mut value = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character != '\\' {
            value.push(character);
            continue;
        }
        match characters.next() {
            None => value.push('\\'),
            Some('\n') => {}
            Some(plain @ ('\\' | '\'' | '"')) => value.push(plain),
            Some('a') => value.push('\u{7}'),
            Some('b') => value.push('\u{8}'),
            Some('f') => value.push('\u{c}'),
            Some('n') => value.push('\n'),
            Some('r') => value.push('\r'),
            Some('t') => value.push('\t'),
            Some('v') => value.push('\u{b}'),
            Some('x') => value.push(coded(&mut characters, 2)?),
            Some('u') => value.push(coded(&mut characters, 4)?),
            Some('U') => value.push(coded(&mut characters, 8)?),
            Some(other @ ('N' | '0'..='7')) => {
                return Err(format!(
                    "the escape \\{other} is not supported: write \\x.. or \\u...."
                ));
            }
            Some(other) => value.extend(['\\', other]),
        }
    }
    Ok(value)
}

fn coded(characters: &mut std::str::Chars<'_>, digits: usize) -> Result<char, String> {
    let text: String = characters.take(digits).collect();
    u32::from_str_radix(&text, 16)
        .ok()
        .filter(|_| text.chars().count() == digits)
        .and_then(char::from_u32)
        .ok_or_else(|| format!("{text:?} is not the number of a letter"))
}

#[cfg(test)]
mod tests;
