//! Paths of addresses, taken apart and put together. Decoding comes after splitting, so that an encoded slash
//! is a character of a name, and such a name is then refused.

/// Undoes `%41`; with `plus`, `+` is a space, as in forms. What is not such a pair stays as it is.
pub(crate) fn decode(text: &str, plus: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'+' if plus => out.push(b' '),
            b'%' => match pair(&mut bytes.clone()) {
                Some(decoded) => {
                    out.push(decoded);
                    bytes.nth(1);
                }
                None => out.push(b'%'),
            },
            other => out.push(other),
        }
    }
    out
}

fn pair(bytes: &mut impl Iterator<Item = u8>) -> Option<u8> {
    let mut digit = || char::from(bytes.next()?).to_digit(16);
    let (high, low) = (digit()?, digit()?);
    u8::try_from(high * 16 + low).ok()
}

/// A form's key or value.
pub(crate) fn decode_form(text: &str) -> String {
    String::from_utf8_lossy(&decode(text, true)).into_owned()
}

/// The names in a path and whether it ends in a slash; none when a name cannot be one.
pub(crate) fn split(path: &str) -> Option<(Vec<String>, bool)> {
    let ends_in_slash = path.ends_with('/');
    let names = path
        .split('/')
        .filter(|part| !part.is_empty())
        .map(|part| {
            let name = String::from_utf8(decode(part, false)).ok()?;
            let is_name = name != "." && name != ".." && !name.contains(['/', '\0']);
            is_name.then_some(name)
        })
        .collect::<Option<Vec<_>>>()?;
    Some((names, ends_in_slash))
}

/// A name as one part of an address. A colon is encoded too: at the start of a relative address it would make
/// a scheme of what is before it.
pub(crate) fn encode(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~+@".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{decode_form, encode, split};

    #[test]
    fn names_are_decoded_after_the_path_is_split() {
        let names = |path: &str| split(path).map(|(names, slash)| (names.join("|"), slash));
        assert_eq!(
            names("/results/a/b%3Ac/"),
            Some(("results|a|b:c".to_owned(), true))
        );
        assert_eq!(names("//a///b"), Some(("a|b".to_owned(), false)));
        assert_eq!(names("/a+b/%zz"), Some(("a+b|%zz".to_owned(), false)));
        for bad in [
            "/a/../b",
            "/a/%2e%2e/b",
            "/a/..%2fb",
            "/a/%2Fetc",
            "/a/b%00",
            "/a/./b",
            "/a/%FF",
        ] {
            assert_eq!(names(bad), None, "{bad}");
        }
    }

    #[test]
    fn what_is_encoded_is_read_back() {
        for name in [
            "hello-1.0-1.src.rpm",
            "a:b",
            "<script>",
            "ü%",
            "a b",
            "javascript:x",
        ] {
            assert_eq!(split(&encode(name)).unwrap().0, [name]);
        }
        assert_eq!(encode("a\"><b"), "a%22%3E%3Cb");
        assert_eq!(decode_form("%C3%BC+x"), "ü x");
    }
}
