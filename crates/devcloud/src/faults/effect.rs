//! What a rule does to the calls that it strikes.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::ledger::MishapKind;

/// The name that stands for all actions, or for the rest of a name.
pub(super) const ANY: &str = "*";

/// The longest time that an effect may name, in milliseconds: an hour.
const LONGEST: u64 = 3_600_000;

/// When in the course of a call an effect is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// The request has come, and nothing of it was read.
    Arrival,
    /// Before anything is done.
    Wait,
    /// Before anything is done, instead of doing it.
    Refusal,
    /// While it is done.
    Work,
    /// When it was done.
    Done,
}

/// When an answer is lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum When {
    /// Nothing is done.
    Before,
    /// The client sees the end before the work is done.
    During,
    /// The work is done.
    #[default]
    After,
}

/// How instances are paid for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Market {
    Spot,
    OnDemand,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum Effect {
    /// Nothing is done, or it is done all the same, and the answer is this error.
    Fail {
        code: String,
        #[serde(default)]
        done: bool,
    },
    /// The call waits before anything is done, or when it was done.
    Pause {
        milliseconds: u64,
        #[serde(default)]
        done: bool,
    },
    /// The answer is lost.
    LoseAnswer {
        #[serde(default)]
        hang: bool,
        #[serde(default)]
        when: When,
    },
    /// The instances that are launched never open their public address.
    NoSsh,
    /// They open it so long after their start.
    SlowBoot { milliseconds: u64 },
    /// They show another host key than their user data brought.
    WrongHostKey,
    /// They have another host key after each start but their first.
    HostKeyChanges,
    /// Their metadata service has no user data.
    NoUserData,
    /// For so long they are in no list, and their ids are unknown.
    DelayVisibility { milliseconds: u64 },
    /// For so long they have no tags.
    DelayTags { milliseconds: u64 },
    /// Somebody else edits their tags.
    EditTags {
        #[serde(default)]
        after_milliseconds: u64,
        #[serde(default)]
        set: BTreeMap<String, String>,
        #[serde(default)]
        remove: Vec<String>,
    },
    /// The cloud takes them back, or only says so.
    SpotLoss {
        /// How long after the launch they are told.
        after_milliseconds: u64,
        /// How long after that they are ended.
        #[serde(default)]
        notice_milliseconds: u64,
        #[serde(default)]
        spared: bool,
    },
    /// They end, for this reason.
    End {
        after_milliseconds: u64,
        #[serde(default = "server_error")]
        code: String,
        #[serde(default)]
        message: String,
    },
    /// Something befalls their machines.
    Mishap {
        after_milliseconds: u64,
        kind: MishapKind,
    },
    /// Each connection to their public address falls silent after so many bytes from their side.
    Stall {
        #[serde(default)]
        after_bytes: u64,
    },
    /// Each connection carries so many bytes in a second from their side.
    SlowLink { bytes_per_second: u64 },
    /// There is room for so many instances only.
    Fewer { count: usize },
    /// For so long there is no room for instances such as these.
    Shortage {
        milliseconds: u64,
        instance_type: Option<String>,
        zone: Option<String>,
        market: Option<Market>,
    },
    /// The first instance has the address that was freed last.
    ReuseAddress,
    /// Others of the account launch so many at the same moment.
    Strangers {
        count: usize,
        #[serde(default)]
        tags: BTreeMap<String, String>,
    },
    /// So many of a hundred instances are missing in the answer.
    LeaveOut { percent: u8 },
    /// Every instance is twice in the answer.
    Double,
    /// So many of a hundred have no address and no reason of their state.
    BareRows { percent: u8 },
    /// So many of a hundred are in the state before their last.
    OldStates { percent: u8 },
    /// The next page begins with the last instance of this one.
    RepeatRow,
    /// The next page begins one instance too late.
    SkipRow,
    /// The instances do not end for so long, or not at all.
    Linger {
        milliseconds: u64,
        #[serde(default)]
        returns: bool,
    },
    /// The console has only its first bytes, so many of them.
    CutConsole {
        #[serde(default)]
        bytes: usize,
    },
}

fn server_error() -> String {
    "Server.InternalError".to_owned()
}

impl Effect {
    pub(super) fn stage(&self) -> Stage {
        match self {
            Self::Fail { done: true, .. } | Self::Pause { done: true, .. } => Stage::Done,
            Self::Fail { .. } => Stage::Refusal,
            Self::Pause { .. } => Stage::Wait,
            Self::LoseAnswer {
                when: When::After, ..
            } => Stage::Done,
            Self::LoseAnswer { .. } => Stage::Arrival,
            _ => Stage::Work,
        }
    }

    /// The one action that it is for, where it is not for all.
    pub(super) fn only_action(&self) -> Option<&'static str> {
        match self {
            Self::Fail { .. } | Self::Pause { .. } | Self::LoseAnswer { .. } => None,
            Self::LeaveOut { .. }
            | Self::Double
            | Self::BareRows { .. }
            | Self::OldStates { .. }
            | Self::RepeatRow
            | Self::SkipRow => Some("DescribeInstances"),
            Self::Linger { .. } => Some("TerminateInstances"),
            Self::CutConsole { .. } => Some("GetConsoleOutput"),
            _ => Some("RunInstances"),
        }
    }

    pub(super) fn check(&self) -> Result<(), String> {
        match self {
            Self::Fail { code, .. } => check_code("fail.code", code),
            Self::Pause { milliseconds, .. } => check_time("pause.milliseconds", *milliseconds, 1),
            Self::SlowBoot { milliseconds } => check_time("slow-boot.milliseconds", *milliseconds, 1),
            Self::DelayVisibility { milliseconds } => {
                check_time("delay-visibility.milliseconds", *milliseconds, 1)
            }
            Self::DelayTags { milliseconds } => check_time("delay-tags.milliseconds", *milliseconds, 1),
            Self::EditTags { set, remove, .. } if set.is_empty() && remove.is_empty() => {
                Err("edit-tags: it sets and removes nothing".to_owned())
            }
            Self::EditTags {
                after_milliseconds, ..
            } => check_time("edit-tags.after_milliseconds", *after_milliseconds, 0),
            Self::SpotLoss {
                after_milliseconds,
                notice_milliseconds,
                ..
            } => {
                check_time("spot-loss.after_milliseconds", *after_milliseconds, 0)?;
                check_time("spot-loss.notice_milliseconds", *notice_milliseconds, 0)
            }
            Self::End {
                after_milliseconds,
                code,
                ..
            } => {
                check_time("end.after_milliseconds", *after_milliseconds, 0)?;
                check_code("end.code", code)
            }
            Self::Mishap {
                after_milliseconds, ..
            } => check_time("mishap.after_milliseconds", *after_milliseconds, 0),
            Self::SlowLink { bytes_per_second: 0 } => {
                Err("slow-link.bytes_per_second: 0 is not from 1; `stall` is for no bytes at all".to_owned())
            }
            Self::Shortage { milliseconds, .. } => check_time("shortage.milliseconds", *milliseconds, 1),
            Self::Strangers { count, .. } if !(1..=100).contains(count) => {
                Err(format!("strangers.count: {count} is not from 1 to 100"))
            }
            Self::LeaveOut { percent } => check_percent("leave-out.percent", *percent),
            Self::BareRows { percent } => check_percent("bare-rows.percent", *percent),
            Self::OldStates { percent } => check_percent("old-states.percent", *percent),
            Self::Linger { milliseconds, .. } => check_time("linger.milliseconds", *milliseconds, 1),
            _ => Ok(()),
        }
    }
}

/// Whether a fault may last so long, in milliseconds.
pub(super) fn check_time(name: &str, milliseconds: u64, least: u64) -> Result<(), String> {
    if (least..=LONGEST).contains(&milliseconds) {
        return Ok(());
    }
    Err(format!("{name}: {milliseconds} is not from {least} to {LONGEST}"))
}

/// Whether a number can be so many of a hundred.
pub(super) fn check_percent(name: &str, percent: u8) -> Result<(), String> {
    if (1..=100).contains(&percent) {
        return Ok(());
    }
    Err(format!("{name}: {percent} is not from 1 to 100"))
}

/// Whether a text can be the code of an error.
pub(super) fn check_code(name: &str, text: &str) -> Result<(), String> {
    let is_code = (1..=100).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'.');
    if is_code {
        return Ok(());
    }
    Err(format!(
        "{name}: {text:?} is not letters, digits and dots, as EC2's codes are"
    ))
}
