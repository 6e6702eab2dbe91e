//! Filters of single values: texts and numbers.

use crate::value::Value;
use crate::words;

/// What Ansible takes for true: these words and 1. Everything else is false, `y` and 2 as well.
pub(super) fn truth(value: &Value) -> bool {
    match value {
        Value::Bool(value) => *value,
        Value::Int(number) => *number == 1,
        #[expect(clippy::float_cmp, reason = "exactly one is meant")]
        Value::Float(number) => *number == 1.0,
        Value::Text(text) => matches!(text.to_lowercase().as_str(), "yes" | "on" | "1" | "true"),
        _ => false,
    }
}

/// A whole number, cut off behind the point; none where it cannot be one.
pub(super) fn whole(value: &Value, base: i64) -> Result<Option<i64>, String> {
    let number = match value {
        Value::Bool(value) => return Ok(Some(i64::from(*value))),
        Value::Int(number) => return Ok(Some(*number)),
        Value::Float(number) => Some(*number),
        Value::Text(text) => match digits(&words::plain_number(text), base) {
            Some(number) => return number.map(Some),
            None => fraction(value),
        },
        _ => None,
    };
    let Some(number) = number.filter(|number| number.is_finite()) else {
        return match value {
            Value::Float(_) => Err("it is no number".to_owned()),
            _ => Ok(None),
        };
    };
    // Both limits can be written exactly.
    if number.abs() < 9_223_372_036_854_775_808.0 {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "what is behind the point is cut off on purpose"
        )]
        return Ok(Some(number as i64));
    }
    Err("the number does not fit into 64 bits".to_owned())
}

/// A text as Python's `int` reads it in a base: sign, prefix of that base, single underscores between digits. None
/// where it is no such text.
fn digits(text: &str, base: i64) -> Option<Result<i64, String>> {
    let (sign, rest) = match text.strip_prefix(['-', '+']) {
        Some(rest) => (if text.starts_with('-') { "-" } else { "" }, rest),
        None => ("", text),
    };
    let prefixes = [("0x", 16), ("0o", 8), ("0b", 2)];
    let lower = rest.to_lowercase();
    let prefix = prefixes
        .into_iter()
        .find(|(prefix, its_base)| lower.starts_with(prefix) && (base == 0 || base == *its_base));
    let (rest, base) = match prefix {
        Some((_, its_base)) => {
            let rest = rest.get(2..).unwrap_or_default();
            (rest.strip_prefix('_').unwrap_or(rest), its_base)
        }
        // Without a base a leading zero means nothing that all languages agree on.
        None if base == 0 && rest.starts_with('0') && rest.contains(|digit| digit != '0' && digit != '_') => {
            return None;
        }
        None => (rest, if base == 0 { 10 } else { base }),
    };
    let base = u32::try_from(base).ok().filter(|base| (2..=36).contains(base))?;
    let is_digits = !rest.is_empty()
        && rest
            .split('_')
            .all(|part| !part.is_empty() && part.chars().all(|one| one.is_digit(base)));
    if !is_digits {
        return None;
    }
    let number = i64::from_str_radix(&format!("{sign}{}", rest.replace('_', "")), base);
    Some(number.map_err(|_| format!("{text} does not fit into 64 bits")))
}

/// A number with a fraction; none where it cannot be one.
#[expect(clippy::cast_precision_loss, reason = "Python rounds whole numbers so, too")]
pub(super) fn fraction(value: &Value) -> Option<f64> {
    match value {
        Value::Bool(value) => Some(f64::from(u8::from(*value))),
        Value::Int(number) => Some(*number as f64),
        Value::Float(number) => Some(*number),
        Value::Text(text) => {
            let text = words::plain_number(text);
            let parts: Vec<&str> = text.split('_').collect();
            let is_digit = |letter: Option<char>| letter.is_some_and(|letter| letter.is_ascii_digit());
            let joins_digits = parts.windows(2).all(|pair| match pair {
                [one, other] => is_digit(one.chars().next_back()) && is_digit(other.chars().next()),
                _ => true,
            });
            joins_digits.then(|| text.replace('_', "").parse().ok()).flatten()
        }
        _ => None,
    }
}

fn path(value: &Value) -> Result<&str, String> {
    value
        .as_text()
        .ok_or_else(|| format!("{} is no path", value.kind()))
}

/// What is behind the last slash.
pub(super) fn file_name(value: &Value) -> Result<Value, String> {
    Ok(Value::from(path(value)?.rsplit('/').next().unwrap_or_default()))
}

/// What is before the last slash, without slashes at its end unless it has nothing else.
pub(super) fn folder_name(value: &Value) -> Result<Value, String> {
    let path = path(value)?;
    let Some((folder, _)) = path.rsplit_once('/') else {
        return Ok(Value::from(""));
    };
    let bare = folder.trim_end_matches('/');
    Ok(if bare.is_empty() {
        Value::Text(format!("{folder}/"))
    } else {
        Value::from(bare)
    })
}

/// A word for a shell's command line, quoted only where it must be.
pub(super) fn quoted(value: &Value) -> Result<Value, String> {
    let text = if value.is_null() {
        String::new()
    } else {
        value.to_text()?
    };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"@%+=:,./-_".contains(&byte);
    if !text.is_empty() && text.bytes().all(plain) {
        Ok(Value::Text(text))
    } else {
        Ok(Value::Text(format!("'{}'", text.replace('\'', "'\"'\"'"))))
    }
}

/// The value that a JSON text means.
pub(super) fn from_json(value: &Value) -> Result<Value, String> {
    match value {
        Value::Text(text) => {
            let text = json_with_whole_numbers(text)?;
            serde_json::from_str(&text).map_err(|error| error.to_string())
        }
        other => Err(format!("{} is no JSON text", other.kind())),
    }
}

/// JSON in which no whole number is left that the library reads as a fraction: `-0` becomes `0`, as for Python, and one
/// that is larger than 64 bits is refused.
fn json_with_whole_numbers(text: &str) -> Result<String, String> {
    let (mut written, mut is_inside, mut is_escaped) = (String::new(), false, false);
    let is_of_number =
        |letter: char| letter.is_ascii_digit() || matches!(letter, '-' | '+' | '.' | 'e' | 'E');
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        let length = if is_inside || !matches!(letter, '-' | '0'..='9') {
            is_inside ^= letter == '"' && !is_escaped;
            is_escaped = letter == '\\' && !is_escaped;
            letter.len_utf8()
        } else {
            rest.find(|letter| !is_of_number(letter)).unwrap_or(rest.len())
        };
        let (part, tail) = rest.split_at_checked(length).unwrap_or((rest, ""));
        let digits = part.strip_prefix('-').unwrap_or(part);
        let is_whole = !is_inside && !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        if is_whole && part.parse::<i64>().is_err() {
            return Err(format!("{part} does not fit into 64 bits"));
        }
        written.push_str(if is_whole && part == "-0" { "0" } else { part });
        rest = tail;
    }
    Ok(written)
}

/// The parts of a text between separators, or between blanks.
pub(super) fn split(value: &Value, separator: Option<&Value>, most: Option<i64>) -> Result<Value, String> {
    let Value::Text(text) = value else {
        return Err(format!("{} cannot be split", value.kind()));
    };
    let most = most.and_then(|most| usize::try_from(most).ok());
    let parts: Vec<&str> = match separator {
        None | Some(Value::Null) => {
            if most.is_some() {
                return Err("maxsplit is supported only with a separator".to_owned());
            }
            text.split_whitespace().collect()
        }
        Some(Value::Text(separator)) if separator.is_empty() => {
            return Err("the separator is empty".to_owned());
        }
        Some(Value::Text(separator)) => match most {
            Some(most) => text.splitn(most.saturating_add(1), separator.as_str()).collect(),
            None => text.split(separator.as_str()).collect(),
        },
        Some(other) => return Err(format!("the separator is {}, not text", other.kind())),
    };
    Ok(Value::List(parts.into_iter().map(Value::from).collect()))
}
