//! What operators have said of builders, for other operators.

use model::{BuilderState, mark::MarkKind};
use store::Builder;

/// What a builder does, with what an operator wants of it besides.
pub(super) fn state(builder: &Builder) -> String {
    let state = builder.state;
    let wanted = match builder.mark.as_ref().map(|mark| mark.kind) {
        Some(_) if BuilderState::ENDING.contains(&state) || state.is_final() => None,
        Some(MarkKind::Held) if state == BuilderState::Held => None,
        Some(MarkKind::Held) => Some("to be held"),
        Some(MarkKind::Retired | MarkKind::Ended) => Some("retired"),
        Some(MarkKind::TakenBack) => Some("taken back"),
        Some(MarkKind::Cordoned) => Some("cordoned"),
        None => builder.cordoned.then_some("cordoned"),
    };
    match wanted {
        Some(wanted) => format!("{state}, {wanted}"),
        None => state.to_string(),
    }
}

/// Who wants that, why and until when.
pub(super) fn words(builder: &Builder) -> Option<String> {
    builder.mark.as_ref().map(model::mark::Mark::in_words)
}

#[cfg(test)]
mod tests {
    use model::mark::Mark;

    use super::{super::testing::builder as fresh, *};

    #[test]
    fn a_mark_is_told_where_the_state_does_not_say_it() {
        use BuilderState as S;
        for (state, kind, cordoned, expected) in [
            (S::Ready, None, false, "ready"),
            (S::Ready, None, true, "ready, cordoned"),
            (S::Busy, Some(MarkKind::Cordoned), true, "busy, cordoned"),
            (S::Busy, Some(MarkKind::Held), true, "busy, to be held"),
            (S::Held, Some(MarkKind::Held), true, "held"),
            (S::Busy, Some(MarkKind::Retired), true, "busy, retired"),
            (S::Launching, Some(MarkKind::Ended), true, "launching, retired"),
            (S::Busy, Some(MarkKind::TakenBack), true, "busy, taken back"),
            (S::Terminating, Some(MarkKind::Retired), true, "terminating"),
            (S::Terminated, Some(MarkKind::Held), true, "terminated"),
        ] {
            let mut builder = fresh(1, "x86", state);
            builder.cordoned = cordoned;
            builder.mark = kind.map(|kind| Mark {
                kind,
                by: "root".to_owned(),
                why: "old".to_owned(),
                until: None,
                lasts: None,
            });
            assert_eq!(super::state(&builder), expected);
            assert_eq!(words(&builder).is_some(), kind.is_some());
        }
    }
}
