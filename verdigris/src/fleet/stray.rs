//! Instances without a builder, as operators read of them.

use store::Orphan;

/// An instance without a builder, and what becomes of it.
pub(super) fn in_words(orphan: &Orphan) -> String {
    let outcome = match (&orphan.ignored, &orphan.refusal) {
        (Some(ignored), _) => format!("{}; it is never ended", ignored.in_words()),
        (None, Some(refusal)) => format!("it cannot be ended: {refusal}"),
        (None, None) if orphan.is_ending => "it is being ended".to_owned(),
        (None, None) => "it is ended when it is still there after two minutes".to_owned(),
    };
    format!(
        "instance {} of cloud {} has the fleet's tag and no builder since {}: {outcome}",
        orphan.instance_id,
        orphan.cloud,
        orphan.first_at.to_the_second()
    )
}

#[cfg(test)]
mod tests {
    use super::super::testing::NOW;

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
                cloud: "c".to_owned(),
                instance_id: "i-9".to_owned(),
                state: "running".to_owned(),
                first_at: NOW,
                last_at: NOW,
                times_seen: 1,
                refusal,
                pool: None,
                is_ending,
                ignored,
            };
            let expected = format!(
                "instance i-9 of cloud c has the fleet's tag and no builder since 2026-11-29T12:00:00Z: {outcome}"
            );
            assert_eq!(super::in_words(&orphan), expected);
        }
    }
}
