//! Percent encoding as signature version 4 and HTML forms use it, and random identifiers.

/// Decodes percent escapes; in forms a plus sign is a blank. `None` when an escape is broken or the result is
/// not UTF-8.
pub(crate) fn percent_decode(text: &str, plus_is_blank: bool) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'%' => {
                let high = char::from(rest.next()?).to_digit(16)?;
                let low = char::from(rest.next()?).to_digit(16)?;
                bytes.push(u8::try_from(high * 16 + low).ok()?);
            }
            b'+' if plus_is_blank => bytes.push(b' '),
            other => bytes.push(other),
        }
    }
    String::from_utf8(bytes).ok()
}

/// Encodes every byte that is not unreserved (RFC 3986 2.3); a slash too unless `keep_slash`.
pub(crate) fn percent_encode(text: &str, keep_slash: bool) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(char::from(byte))
            }
            b'/' if keep_slash => encoded.push('/'),
            other => {
                encoded.push('%');
                encoded.push_str(&hex::encode_upper([other]));
            }
        }
    }
    encoded
}

/// Random bytes from the kernel.
///
/// The kernel's generator fails only before it is seeded, early in boot; a cloud that cannot draw identifiers
/// cannot go on, so callers pass the error up.
pub(crate) fn random<const COUNT: usize>() -> Result<[u8; COUNT], getrandom::Error> {
    let mut bytes = [0; COUNT];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}

/// A resource identifier of EC2: a prefix such as `i-` and 17 hexadecimal digits.
pub(crate) fn resource_id(prefix: &str) -> Result<String, getrandom::Error> {
    let digits = hex::encode(random::<9>()?);
    Ok(format!("{prefix}-{}", digits.get(..17).unwrap_or(&digits)))
}

/// Whether `text` is the prefix, a dash and 8 or 17 lower-case hexadecimal digits.
pub(crate) fn is_resource_id(text: &str, prefix: &str) -> bool {
    text.strip_prefix(prefix)
        .and_then(|rest| rest.strip_prefix('-'))
        .is_some_and(|digits| {
            matches!(digits.len(), 8 | 17)
                && digits
                    .bytes()
                    .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        })
}

#[cfg(test)]
mod tests {
    use super::{is_resource_id, percent_decode, percent_encode, resource_id};

    #[test]
    fn percent_encoding_goes_there_and_back() {
        let text = "a b/ü~*%";
        assert_eq!(percent_encode(text, false), "a%20b%2F%C3%BC~%2A%25");
        assert_eq!(
            percent_decode(&percent_encode(text, true), false).as_deref(),
            Some(text)
        );
        assert_eq!(percent_decode("a+b", true).as_deref(), Some("a b"));
        assert_eq!(percent_decode("%zz", true), None);
        assert_eq!(percent_decode("%f", true), None);
        assert_eq!(percent_decode("%ff", true), None);
    }

    #[test]
    fn a_resource_id_has_seventeen_digits_and_is_recognised() {
        let id = resource_id("i").unwrap();
        assert_eq!(id.len(), 19);
        assert!(is_resource_id(&id, "i"));
        assert!(!is_resource_id("i-XYZ", "i"));
        assert!(!is_resource_id("vol-12345678", "i"));
    }
}
