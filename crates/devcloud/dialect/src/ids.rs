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
        for other in ["i-XYZ", "vol-12345678", "i-123456789", "i-", "i"] {
            assert!(!is_resource_id(other, "i"), "{other}");
        }
    }
}
