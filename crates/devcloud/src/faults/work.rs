//! What goes wrong while a call is done.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use time::OffsetDateTime;

use super::{die, effect::Effect};
use crate::ledger::{End, Instance, InstanceFaults, InstanceState, Interruption, Linger, Mishap, TagEdit};

/// The effects that struck a call, at most one of each kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Work {
    pub(super) effects: Vec<Effect>,
    /// Decides which rows of a list are meant.
    pub(super) seed: u64,
}

/// How the next page of a list begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PageFault {
    /// With the last row of this one.
    Repeat,
    /// One row too late.
    Skip,
}

fn after(now: OffsetDateTime, milliseconds: u64) -> OffsetDateTime {
    now + Duration::from_millis(milliseconds)
}

impl Work {
    fn find<T>(&self, wanted: impl Fn(&Effect) -> Option<T>) -> Option<T> {
        self.effects.iter().find_map(wanted)
    }

    /// Whether the instances that are launched never open their public address.
    pub(crate) fn is_without_ssh(&self) -> bool {
        self.effects.contains(&Effect::NoSsh)
    }

    /// Whether the first of them has the address that was freed last.
    pub(crate) fn reuses_address(&self) -> bool {
        self.effects.contains(&Effect::ReuseAddress)
    }

    /// For how many of them there is room.
    pub(crate) fn fewer(&self) -> Option<usize> {
        self.find(|effect| match effect {
            Effect::Fewer { count } => Some(*count),
            _ => None,
        })
    }

    /// How many others launch at the same moment, and their tags.
    pub(crate) fn strangers(&self) -> Option<(usize, &BTreeMap<String, String>)> {
        self.effects.iter().find_map(|effect| match effect {
            Effect::Strangers { count, tags } => Some((*count, tags)),
            _ => None,
        })
    }

    /// How long the tags of a launch are unknown.
    pub(crate) fn delays_tags(&self) -> Option<Duration> {
        self.find(|effect| match effect {
            Effect::DelayTags { milliseconds } => Some(Duration::from_millis(*milliseconds)),
            _ => None,
        })
    }

    /// What is wrong with an instance that is launched now.
    pub(crate) fn of_instance(&self, now: OffsetDateTime) -> InstanceFaults {
        let mut faults = InstanceFaults::default();
        for effect in &self.effects {
            match effect.clone() {
                Effect::SlowBoot { milliseconds } => faults.slow_boot_milliseconds = milliseconds,
                Effect::WrongHostKey => faults.other_host_key = true,
                Effect::HostKeyChanges => faults.host_key_changes = true,
                Effect::NoUserData => faults.without_user_data = true,
                Effect::DelayVisibility { milliseconds } => {
                    faults.hidden_until = Some(after(now, milliseconds));
                }
                Effect::EditTags {
                    after_milliseconds,
                    set,
                    remove,
                } => faults.tag_edits.push(TagEdit {
                    at: after(now, after_milliseconds),
                    set,
                    remove,
                }),
                Effect::SpotLoss {
                    after_milliseconds,
                    notice_milliseconds,
                    spared,
                } => {
                    let notice = after(now, after_milliseconds);
                    faults.interruption = Some(Interruption {
                        notice,
                        end: after(notice, notice_milliseconds),
                        spared,
                    });
                }
                Effect::End {
                    after_milliseconds,
                    code,
                    message,
                } => {
                    let at = after(now, after_milliseconds);
                    faults.end = Some(End { at, code, message });
                }
                Effect::Mishap {
                    after_milliseconds,
                    kind,
                } => {
                    let at = after(now, after_milliseconds);
                    faults.mishap = Some(Mishap { at, kind });
                }
                Effect::Stall { after_bytes } => faults.stall_after_bytes = Some(after_bytes),
                Effect::SlowLink { bytes_per_second } => faults.bytes_per_second = Some(bytes_per_second),
                _ => {}
            }
        }
        faults
    }

    /// What becomes of a list of instances.
    pub(crate) fn spoil(&self, list: Vec<Arc<Instance>>) -> Vec<Arc<Instance>> {
        let mut rows = list;
        for effect in &self.effects {
            rows = match effect {
                Effect::LeaveOut { percent } => {
                    let kept = (0..)
                        .zip(rows)
                        .filter(|(place, _)| !self.is_meant(*place, *percent));
                    kept.map(|(_, row)| row).collect()
                }
                Effect::BareRows { percent } => self.each(rows, *percent, make_bare),
                Effect::OldStates { percent } => self.each(rows, *percent, take_back),
                _ => rows,
            };
        }
        if self.effects.contains(&Effect::Double) {
            rows.extend_from_within(..);
        }
        rows
    }

    fn is_meant(&self, place: u64, percent: u8) -> bool {
        die(self.seed, place) < percent
    }

    fn each(&self, rows: Vec<Arc<Instance>>, percent: u8, change: fn(&mut Instance)) -> Vec<Arc<Instance>> {
        let rows = (0..).zip(rows).map(|(place, mut row)| {
            if self.is_meant(place, percent) {
                change(Arc::make_mut(&mut row));
            }
            row
        });
        rows.collect()
    }

    /// How the next page begins, where that is wrong.
    pub(crate) fn page(&self) -> Option<PageFault> {
        self.find(|effect| match effect {
            Effect::RepeatRow => Some(PageFault::Repeat),
            Effect::SkipRow => Some(PageFault::Skip),
            _ => None,
        })
    }

    /// How long instances that are terminated now live on.
    pub(crate) fn linger(&self, now: OffsetDateTime) -> Option<Linger> {
        self.find(|effect| match effect {
            Effect::Linger {
                milliseconds,
                returns,
            } => Some(Linger {
                until: after(now, *milliseconds),
                returns: *returns,
            }),
            _ => None,
        })
    }

    /// How many bytes a console has at most.
    pub(crate) fn console(&self) -> Option<usize> {
        self.find(|effect| match effect {
            Effect::CutConsole { bytes } => Some(*bytes),
            _ => None,
        })
    }
}

/// An instance that its database knows little of.
fn make_bare(instance: &mut Instance) {
    instance.faults.is_bare = true;
    instance.state_reason = None;
}

/// An instance as a replica knows it that has not heard of its last state.
fn take_back(instance: &mut Instance) {
    let states = instance.history.iter().rev();
    let mut states = states.filter_map(|entry| InstanceState::of_name(&entry.event));
    let current = states.next();
    if let Some(before) = states.next().filter(|_| current == Some(instance.state)) {
        instance.state = before;
        instance.state_reason = None;
    }
}
