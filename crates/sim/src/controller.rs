//! A simulated controller: its process, its lease, and all that it remembers of what it saw and does.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use model::{
    BuilderId, BuilderState, Timestamp,
    fleet::HookPoint,
    plan::{CloudHealth, CloudTrouble},
    step::{Work, live::Looks, notice::Told, sight},
};
use uuid::Uuid;

use crate::{
    cloud::Shown,
    event::Task,
    luck::Luck,
    pauses::{Backoff, Pauses},
    setting::{CLOUDS, File},
    store::Builder,
};

/// How often a cloud is asked while something begins with its word, while something is built there, and otherwise.
const LOOK_SOON: Duration = Duration::from_millis(400);
const LOOK_WHILE_BUILDING: Duration = Duration::from_secs(5);
const LOOK_ANYWAY: Duration = Duration::from_secs(30);
/// How long a cloud that does not answer is left alone at first and at most.
const CLOUD_PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(20));
/// The zero of all clocks.
const BEGINNING: Timestamp = Timestamp::from_micros(1_800_000_000_000_000);

/// What a clock shows that goes wrong by so many microseconds.
pub(crate) fn shown_by_clock(now: Duration, skew: i64) -> Timestamp {
    let right = BEGINNING.plus(now).as_micros();
    Timestamp::from_micros(right.saturating_add(skew))
}

/// What a controller knows of a cloud.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) health: CloudHealth,
    pub(crate) is_looked_at: bool,
    pub(crate) looked: Option<Duration>,
    pauses: Backoff,
    pause: Duration,
}

impl Known {
    const fn unknown() -> Self {
        Self {
            health: CloudHealth::Unknown,
            is_looked_at: false,
            looked: None,
            pauses: Backoff::new(CLOUD_PAUSES),
            pause: Duration::ZERO,
        }
    }

    pub(crate) fn answers(&self) -> bool {
        self.health == CloudHealth::Answers
    }

    /// Whether it is to be asked; `every`: how often, while it answers.
    pub(crate) fn is_due(&self, every: Duration, now: Duration) -> bool {
        let every = match self.health {
            CloudHealth::Away(_) => self.pause,
            CloudHealth::Unknown => Duration::ZERO,
            CloudHealth::Answers => every,
        };
        !self.is_looked_at
            && self
                .looked
                .is_none_or(|looked| now.saturating_sub(looked) >= every)
    }

    pub(crate) fn succeed(&mut self) {
        self.health = CloudHealth::Answers;
        self.pauses = Backoff::new(CLOUD_PAUSES);
    }

    pub(crate) fn fail(&mut self, cloud: &str, why: &str, (luck, now): (&mut Luck, Timestamp)) {
        self.pause = self.pauses.pause(luck);
        let since = match &self.health {
            CloudHealth::Away(trouble) => trouble.since,
            CloudHealth::Answers | CloudHealth::Unknown => now,
        };
        self.health = CloudHealth::Away(CloudTrouble {
            cloud: cloud.to_owned(),
            since,
            reason: why.to_owned(),
            detail: why.to_owned(),
        });
    }
}

/// How often a cloud is asked for a builder in this state.
pub(crate) const fn look_every(state: BuilderState) -> Duration {
    use BuilderState as B;
    match state {
        B::Pending | B::Terminating | B::Resolving => LOOK_SOON,
        B::Reserved | B::Busy => LOOK_WHILE_BUILDING,
        _ => LOOK_ANYWAY,
    }
}

/// What one cloud said when it was asked.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) cloud: &'static str,
    pub(crate) shown: BTreeMap<String, Shown>,
    /// The ids that the list lacked and that were asked for, with an answer.
    pub(crate) asked: BTreeSet<String>,
}

impl Seen {
    pub(crate) fn lacks(&self, id: &str) -> bool {
        self.asked.contains(id) && !self.shown.contains_key(id)
    }

    /// Why the cloud is not to be believed.
    pub(crate) fn doubt<'a>(&self, known: impl Iterator<Item = &'a Builder>) -> Option<String> {
        let ours = known.filter(|it| it.cloud == self.cloud && sight::was_shown(it.state));
        let ids: Vec<&String> = ours.filter_map(|it| it.instance.as_ref()).collect();
        sight::doubt(ids.iter().filter(|id| !self.lacks(id)).count(), ids.len())
    }
}

/// A step that is under way for a builder.
#[derive(Clone, Copy, Debug)]
pub(crate) struct UnderWay {
    pub(crate) number: u64,
    pub(crate) work: Work,
}

/// What a controller remembers, and forgets when it leads no more.
#[derive(Debug)]
pub(crate) struct Memory {
    pub(crate) clouds: BTreeMap<&'static str, Known>,
    /// What clouds said and nobody has thought about yet.
    pub(crate) seen: Vec<Seen>,
    absences: BTreeMap<String, (Timestamp, u32)>,
    /// Until when orphans are not to be ended again.
    pub(crate) told: BTreeMap<String, Duration>,
    pub(crate) under_way: BTreeMap<BuilderId, UnderWay>,
    pub(crate) steps: u64,
    pub(crate) pauses: Pauses<BuilderId>,
    pub(crate) looks: Looks,
    pub(crate) told_of: Told,
    /// The machines on whose notice somebody waits.
    pub(crate) watched: BTreeMap<BuilderId, Watch>,
    pub(crate) watch_pauses: Pauses<BuilderId>,
    /// The hooks that are being tried, each with its number.
    pub(crate) hooks: BTreeMap<Uuid, u64>,
    pub(crate) hook_pauses: Pauses<Uuid>,
    /// The turns for which hooks were written down that builders wait for.
    pub(crate) turns: BTreeSet<(BuilderId, HookPoint)>,
}

/// A connection that waits for a machine's notice.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Watch {
    pub(crate) number: u64,
    /// Whether it is there, and what the machine is told arrives.
    pub(crate) is_open: bool,
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            clouds: CLOUDS.into_iter().map(|name| (name, Known::unknown())).collect(),
            seen: Vec::new(),
            absences: BTreeMap::new(),
            told: BTreeMap::new(),
            under_way: BTreeMap::new(),
            steps: 0,
            pauses: Pauses::default(),
            looks: Looks::default(),
            told_of: Told::default(),
            watched: BTreeMap::new(),
            watch_pauses: Pauses::default(),
            hooks: BTreeMap::new(),
            hook_pauses: Pauses::default(),
            turns: BTreeSet::new(),
        }
    }
}

impl Memory {
    /// Notes one more look that found nothing; whether it is to be believed.
    pub(crate) fn note_absence(&mut self, id: &str, most_are_missing: bool, now: Timestamp) -> bool {
        let (first, times) = self.absences.entry(id.to_owned()).or_insert((now, 0));
        *times = times.saturating_add(1);
        sight::is_absence_believed(*times, now.since(*first), most_are_missing)
    }

    pub(crate) fn note_presence(&mut self, id: &str) {
        self.absences.remove(id);
    }

    /// The number of something that begins now.
    pub(crate) const fn next_number(&mut self) -> u64 {
        self.steps = self.steps.wrapping_add(1);
        self.steps
    }
}

/// A lease that a controller believes to hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Held {
    pub(crate) epoch: i64,
    /// When acting under it ends, by a clock that nobody sets.
    pub(crate) end: Duration,
}

/// A controller.
#[derive(Debug)]
pub(crate) struct Controller {
    /// Its number, by which it holds the lease.
    pub(crate) name: u8,
    /// How often it was started. What was begun in another life is nobody's.
    pub(crate) life: u64,
    pub(crate) is_up: bool,
    pub(crate) is_paused: bool,
    /// What came while it was paused.
    pub(crate) backlog: Vec<Task>,
    /// How wrong its clock is, in microseconds.
    pub(crate) skew: i64,
    /// How wrong it was when its last round began: what that round decided may be carried out after the clock is put right.
    pub(crate) decided_by: i64,
    pub(crate) lease: Option<Held>,
    pub(crate) memory: Memory,
    pub(crate) file: Arc<File>,
    /// The number of the round that comes next, and when.
    pub(crate) round: u64,
    pub(crate) round_at: Duration,
}

impl Controller {
    pub(crate) fn new(name: u8, file: Arc<File>) -> Self {
        Self {
            name,
            life: 0,
            is_up: true,
            is_paused: false,
            backlog: Vec::new(),
            skew: 0,
            decided_by: 0,
            lease: None,
            memory: Memory::default(),
            file,
            round: 0,
            round_at: Duration::ZERO,
        }
    }

    /// Ends it as kill -9 does.
    pub(crate) fn die(&mut self) {
        (self.is_up, self.lease) = (false, None);
        self.forget();
        self.backlog.clear();
    }

    /// Forgets all that it saw and does.
    pub(crate) fn forget(&mut self) {
        self.life = self.life.wrapping_add(1);
        self.memory = Memory::default();
    }

    /// Whether a step is the one under way for a builder.
    pub(crate) fn is_under_way(&self, id: BuilderId, number: u64) -> bool {
        self.memory
            .under_way
            .get(&id)
            .is_some_and(|step| step.number == number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absence_is_believed_after_three_looks_and_a_minute_unless_it_was_seen_meanwhile() {
        let mut memory = Memory::default();
        let at = |second: u64| shown_by_clock(Duration::from_secs(second), 0);
        assert!(!memory.note_absence("i-1", false, at(0)));
        assert!(!memory.note_absence("i-1", false, at(61)));
        assert!(memory.note_absence("i-1", false, at(62)));
        memory.note_presence("i-1");
        assert!(!memory.note_absence("i-1", false, at(63)));
    }

    #[test]
    fn a_cloud_that_does_not_answer_is_asked_ever_more_rarely() {
        let (mut known, mut luck) = (Known::unknown(), Luck::of(1));
        assert!(known.is_due(LOOK_ANYWAY, Duration::ZERO));
        for _ in 0..8 {
            known.fail("near", "no answer", (&mut luck, BEGINNING));
        }
        known.looked = Some(Duration::ZERO);
        assert!(!known.is_due(LOOK_SOON, Duration::from_secs(9)));
        assert!(known.is_due(LOOK_SOON, Duration::from_secs(20)) && !known.answers());
        known.succeed();
        assert!(known.answers() && known.is_due(LOOK_SOON, LOOK_SOON));
    }

    #[test]
    fn a_dead_controller_has_no_lease_and_remembers_nothing_of_its_life() {
        let mut controller = Controller::new(1, Arc::new(File::default()));
        controller.lease = Some(Held {
            epoch: 1,
            end: Duration::from_secs(10),
        });
        let step = UnderWay {
            number: 1,
            work: Work::Call,
        };
        let id = BuilderId(Uuid::from_u128(1));
        controller.memory.under_way.insert(id, step);
        assert!(controller.is_under_way(id, 1) && !controller.is_under_way(id, 2));
        let life = controller.life;
        controller.die();
        assert!(!controller.is_up && controller.lease.is_none() && controller.life > life);
        assert!(!controller.is_under_way(id, 1));
    }

    #[test]
    fn clocks_that_are_wrong_are_so_by_their_skew() {
        let now = Duration::from_secs(5);
        let (right, wrong) = (shown_by_clock(now, 0), shown_by_clock(now, -2_000_000));
        assert_eq!(right.since(wrong), Duration::from_secs(2));
    }
}
