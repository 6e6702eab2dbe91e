//! Identifiers of resources, in EC2's grammar.

/// Random bytes from the kernel.
///
/// # Errors
/// The kernel's generator fails only before it is seeded, early in boot.
pub fn random<const COUNT: usize>() -> Result<[u8; COUNT], getrandom::Error> {
    let mut bytes = [0; COUNT];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}

/// A new identifier: a prefix such as `i` and 17 hexadecimal digits.
///
/// # Errors
/// As [`random`].
pub fn resource_id(prefix: &str) -> Result<String, getrandom::Error> {
    let digits = hex::encode(random::<9>()?);
    Ok(format!("{prefix}-{}", digits.get(..17).unwrap_or(&digits)))
}

/// Whether `text` is the prefix, a dash and 8 or 17 lower-case hexadecimal digits.
#[must_use]
pub fn is_resource_id(text: &str, prefix: &str) -> bool {
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
    use super::{is_resource_id, resource_id};

    #[test]
    fn a_resource_id_has_seventeen_digits_and_is_recognised() {
        let id = resource_id("i").unwrap();
        assert_eq!(id.len(), 19);
        assert!(is_resource_id(&id, "i"));
        assert_ne!(resource_id("i").unwrap(), id, "the next one is another");
    }

    #[test]
    fn an_id_has_its_prefix_and_eight_or_seventeen_digits() {
        for (text, prefix, good) in [
            ("i-12345678", "i", true),
            ("i-0123456789abcdef0", "i", true),
            ("vpc-0123456789abcdef0", "vpc", true),
            ("vpc-cidr-assoc-12345678", "vpc-cidr-assoc", true),
            ("vpc-cidr-assoc-12345678", "vpc", false),
            ("i-XYZ", "i", false),
            ("i-1234567G", "i", false),
            ("i-ABCDEF01", "i", false),
            ("vol-12345678", "i", false),
            ("i-1234567", "i", false),
            ("i-123456789", "i", false),
            ("i-0123456789abcdef", "i", false),
            ("i-0123456789abcdef01", "i", false),
            ("i-12345678 ", "i", false),
            (" i-12345678", "i", false),
            ("i--12345678", "i", false),
            ("i12345678", "i", false),
            ("i-1234567\u{e9}", "i", false),
            ("i-", "i", false),
            ("i", "i", false),
            ("", "i", false),
        ] {
            assert_eq!(is_resource_id(text, prefix), good, "{text:?} as {prefix}");
        }
    }
}
