//! What a command that asked for something answers: one line of JSON, and an exit code.

use model::{
    BuilderId,
    intent::{Intent, IntentState},
};
use serde::Serialize;

/// The code of whatever is in the way and is none of the others.
const FAILED: u8 = 1;
const UNDER_WAY: u8 = 2;
const NOTHING: u8 = 3;
const REFUSED: u8 = 4;
/// The code with which a command ends that cannot use settings, fleet file or arguments.
pub(crate) const BAD_CONFIG: u8 = 5;
const TOO_LATE: u8 = 6;

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Answer {
    pub(super) verb: &'static str,
    /// How it stands: the intent's state, `planned` where it was only asked what would be done, or `error`.
    pub(super) state: String,
    /// The code with which the command ends.
    pub(super) code: u8,
    /// A sentence for people.
    pub(super) message: String,
    /// What tells it from others that ask for the same.
    pub(super) key: Option<String>,
    /// Who asked for it first.
    pub(super) actor: Option<String>,
    /// Whether this command was the one that asked for it, and not another with the same key before it.
    pub(super) is_first: bool,
    /// The builders that it is about.
    pub(super) builders: Vec<BuilderId>,
    /// Whether people have to hear of it.
    #[serde(skip)]
    pub(super) is_told: bool,
    /// What the controller would do, where that was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) actions: Option<Vec<String>>,
}

impl Answer {
    /// How an intent stands. `is_too_late`: whether its end was waited for in vain.
    pub(super) fn of(intent: &Intent, is_first: bool, is_too_late: bool) -> Self {
        let code = code(intent.state, is_too_late);
        Self {
            verb: intent.request.verb(),
            state: intent.state.to_string(),
            code,
            message: intent.words.clone(),
            key: Some(intent.key.clone()),
            actor: Some(intent.actor.clone()),
            is_first,
            builders: intent.builders.clone(),
            is_told: is_bad(code),
            actions: None,
        }
    }

    /// What came of the same before, where nothing is done now. `has_key`: whether the operator gave the key, and so wants that.
    pub(super) fn of_before(ended: &Intent, has_key: bool) -> Self {
        let (words, at) = (&ended.words, ended.created_at.to_the_second());
        let which = if has_key { "another `--key`" } else { "`--key`" };
        let answer = Self::of(ended, false, false);
        Self {
            message: format!(
                "{words}; it was asked for at {at} already, and nothing was done now: {which} asks anew"
            ),
            is_told: answer.is_told || !has_key,
            ..answer
        }
    }

    /// What would come of it.
    pub(super) fn planned(
        intent: &Intent,
        (state, message): (IntentState, String),
        actions: Vec<String>,
    ) -> Self {
        let code = match state {
            IntentState::Nothing | IntentState::Refused | IntentState::Failed => code(state, false),
            IntentState::New | IntentState::Running | IntentState::Done => 0,
        };
        Self {
            state: "planned".to_owned(),
            code,
            message,
            is_told: is_bad(code),
            actions: Some(actions),
            ..Self::of(intent, false, false)
        }
    }

    /// Why nothing could be asked for.
    pub(super) fn error(verb: &'static str, message: String, is_bad_config: bool) -> Self {
        Self {
            verb,
            state: "error".to_owned(),
            code: if is_bad_config { BAD_CONFIG } else { FAILED },
            message,
            key: None,
            actor: None,
            is_first: false,
            builders: Vec::new(),
            is_told: true,
            actions: None,
        }
    }

    /// The line for programs.
    pub(super) fn line(&self) -> String {
        serde_json::to_string(self)
            .unwrap_or_else(|error| format!("{{\"state\":\"error\",\"message\":\"{error}\"}}"))
    }
}

/// Whether people have to hear of what ends with this code.
const fn is_bad(code: u8) -> bool {
    !matches!(code, 0 | UNDER_WAY | NOTHING)
}

const fn code(state: IntentState, is_too_late: bool) -> u8 {
    match state {
        IntentState::Done => 0,
        IntentState::New | IntentState::Running if is_too_late => TOO_LATE,
        IntentState::New | IntentState::Running => UNDER_WAY,
        IntentState::Nothing => NOTHING,
        IntentState::Refused => REFUSED,
        IntentState::Failed => TOO_LATE,
    }
}

#[cfg(test)]
mod tests {
    use model::{Timestamp, intent::Request};

    use super::*;

    fn intent(state: IntentState) -> Intent {
        Intent {
            key: "reconcile/2026-11-29T12:00/00".to_owned(),
            request: Request::Reconcile,
            actor: "operator:root".to_owned(),
            state,
            words: "a pass has begun".to_owned(),
            builders: vec![BuilderId(uuid::Uuid::from_u128(7))],
            created_at: Timestamp::from_micros(0),
        }
    }

    #[test]
    fn the_code_says_how_it_stands_and_whether_it_was_waited_for_in_vain() {
        use IntentState as S;
        for (state, in_time, too_late) in [
            (S::New, 2, 6),
            (S::Running, 2, 6),
            (S::Done, 0, 0),
            (S::Nothing, 3, 3),
            (S::Refused, 4, 4),
            (S::Failed, 6, 6),
        ] {
            assert_eq!(code(state, false), in_time, "{state}");
            assert_eq!(code(state, true), too_late, "{state}");
        }
        for (state, expected) in [(S::Running, 0), (S::Done, 0), (S::Nothing, 3), (S::Refused, 4)] {
            let planned = Answer::planned(&intent(S::New), (state, String::new()), vec![]);
            assert_eq!(planned.code, expected, "{state}");
        }
        assert_eq!(Answer::error("spawn", String::new(), true).code, 5);
        assert_eq!(Answer::error("spawn", String::new(), false).code, 1);
    }

    #[test]
    fn what_ended_before_is_told_to_have_done_nothing_now() {
        let ended = intent(IntentState::Done);
        for (has_key, words) in [(false, "`--key` asks anew"), (true, "another `--key` asks anew")] {
            let answer = Answer::of_before(&ended, has_key);
            let expected = format!(
                "a pass has begun; it was asked for at 1970-01-01T00:00:00Z already, and nothing was done now: {words}"
            );
            assert_eq!((answer.message, answer.code), (expected, 0));
            assert!(!answer.is_first);
            assert_eq!(answer.is_told, !has_key, "who gave a key asked for that");
        }
        assert!(Answer::of_before(&intent(IntentState::Refused), true).is_told);
    }

    #[test]
    fn the_line_has_all_that_a_program_asks_for() {
        let line = Answer::of(&intent(IntentState::Running), true, false).line();
        let expected = "{\"verb\":\"reconcile\",\"state\":\"running\",\"code\":2,\"message\":\"a pass has begun\",\
             \"key\":\"reconcile/2026-11-29T12:00/00\",\"actor\":\"operator:root\",\"is_first\":true,\
             \"builders\":[\"bdr_00000000000000000000000000000007\"]}";
        assert_eq!(line, expected);
        let planned = Answer::planned(
            &intent(IntentState::New),
            (IntentState::Done, "it is so".to_owned()),
            vec!["drain    bdr_7: old".to_owned()],
        );
        assert!(
            planned
                .line()
                .ends_with(",\"actions\":[\"drain    bdr_7: old\"]}"),
            "{}",
            planned.line()
        );
        assert!(planned.line().contains("\"state\":\"planned\""));
    }
}
