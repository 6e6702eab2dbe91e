//! Instances without a builder, as operators read of them.

use store::Orphan;

/// An instance without a builder, and what becomes of it.
pub(super) fn in_words(orphan: &Orphan) -> String {
    format!(
        "instance {} of cloud {} has the fleet's tag and no builder since {}: {}",
        orphan.instance_id,
        orphan.cloud,
        orphan.first_at.to_the_second(),
        outcome(orphan)
    )
}

/// What becomes of it.
pub(super) fn outcome(orphan: &Orphan) -> String {
    match (&orphan.ignored, &orphan.refusal) {
        (Some(ignored), _) => format!("{}; it is never ended", ignored.in_words()),
        (None, Some(refusal)) => format!("it cannot be ended: {refusal}"),
        (None, None) if orphan.is_ending => "it is being ended".to_owned(),
        (None, None) => "it is ended when it is still there after two minutes".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::stray;

    #[test]
    fn of_a_stray_it_is_told_what_becomes_of_it() {
        let ignored = || model::stray::Ignored {
            by: "alice".to_owned(),
            why: "evidence".to_owned(),
        };
        let no = || Some("no".to_owned());
        for (ignored, refusal, is_ending, outcome) in [
            (
                None,
                None,
                false,
                "it is ended when it is still there after two minutes",
            ),
            (None, None, true, "it is being ended"),
            (None, no(), true, "it cannot be ended: no"),
            (
                Some(ignored()),
                no(),
                false,
                "ignored by alice: evidence; it is never ended",
            ),
        ] {
            let orphan = store::Orphan {
                refusal,
                is_ending,
                ignored,
                ..stray()
            };
            let expected = format!(
                "instance i-9 of cloud c has the fleet's tag and no builder since 2026-11-29T12:00:00Z: {outcome}"
            );
            assert_eq!(super::in_words(&orphan), expected);
        }
    }
}
