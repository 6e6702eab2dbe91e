//! What a cloud said that it has no more of, so that it is not asked for that again for a while, whoever wants it.

use std::{fmt, str::FromStr, time::Duration};

use crate::{Market, Offering, Timestamp};

/// For how long a cloud that has no more machines of a type is asked for others first: Karpenter's time.
const FIRST_OF_MACHINES: Duration = Duration::from_secs(180);
/// The same for quotas and addresses, of which something may be given back at any moment, and for reasons that are not known.
const FIRST_OF_OTHERS: Duration = Duration::from_secs(60);
/// However often it says so again.
const LONGEST: Duration = Duration::from_secs(1800);

/// What a cloud has no more of, by its refusal of a launch.
///
/// As text, which the database keeps, it is a word and what it is about: `capacity c7i.xlarge@eu-central-1a spot`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Shortage {
    /// Machines of a type, in a zone, in a market: an offering without subnet and price.
    Capacity(Offering),
    /// Machines at a price that is not above the offering's.
    Price(Offering),
    /// Free addresses in the subnet that the offering names, or that the cloud chooses in its zone: an offering's text without
    /// its type and market.
    Addresses(String),
    /// The account's quota for a family of types in a market.
    Quota(&'static str, Market),
    /// Something that each machine of the account needs.
    Account,
    /// Of the offering as a whole, for a reason that the farm does not know.
    Offering(Offering),
}

impl Shortage {
    /// What EC2's code of a refusal says of an offering. The codes are those of Amazon's list of error codes; Eucalyptus 4.4 has
    /// `InsufficientInstanceCapacity`, `InstanceLimitExceeded` and `InsufficientAddressCapacity` of them.
    #[must_use]
    pub fn of(code: &str, offering: &Offering) -> Self {
        match code {
            "InsufficientInstanceCapacity"
            | "InsufficientHostCapacity"
            | "InsufficientReservedInstanceCapacity"
            | "InsufficientCapacity"
            | "UnfulfillableCapacity"
            | "Unsupported" => Self::Capacity(Offering {
                subnet: None,
                max_price: None,
                ..offering.clone()
            }),
            "SpotMaxPriceTooLow" => Self::Price(offering.clone()),
            "InsufficientFreeAddressesInSubnet" => Self::Addresses(place(offering)),
            "VcpuLimitExceeded" | "InstanceLimitExceeded" | "MaxSpotInstanceCountExceeded" => {
                Self::Quota(family(&offering.instance_type), offering.market)
            }
            "InsufficientAddressCapacity" | "AddressLimitExceeded" | "VolumeLimitExceeded" => Self::Account,
            _ => Self::Offering(offering.clone()),
        }
    }

    /// Whether a launch of the offering would need it.
    #[must_use]
    pub fn covers(&self, offering: &Offering) -> bool {
        match self {
            Self::Capacity(of) => {
                (&of.instance_type, &of.zone, of.market)
                    == (&offering.instance_type, &offering.zone, offering.market)
            }
            Self::Price(of) => {
                // Without a limit it pays up to the price on demand, which a limit may be above.
                let same = Offering {
                    max_price: of.max_price,
                    ..offering.clone()
                };
                same == *of
                    && offering
                        .max_price
                        .is_some_and(|price| of.max_price.is_none_or(|limit| price <= limit))
                    || offering == of
            }
            Self::Addresses(of) => *of == place(offering),
            Self::Quota(of, market) => (*of, *market) == (family(&offering.instance_type), offering.market),
            Self::Account => true,
            Self::Offering(of) => of == offering,
        }
    }

    /// For how long others are asked for first, when a cloud has said so for so many times.
    fn pause(&self, strikes: u32) -> Duration {
        let times = 1 << strikes.saturating_sub(1).min(8);
        self.first().saturating_mul(times).min(LONGEST)
    }

    const fn first(&self) -> Duration {
        match self {
            Self::Capacity(_) | Self::Price(_) => FIRST_OF_MACHINES,
            Self::Addresses(_) | Self::Quota(..) | Self::Account | Self::Offering(_) => FIRST_OF_OTHERS,
        }
    }
}

/// Where an offering's addresses come from.
fn place(offering: &Offering) -> String {
    let (zone, subnet) = (offering.zone.as_deref(), offering.subnet.as_deref());
    format!("@{}/{}", zone.unwrap_or_default(), subnet.unwrap_or_default())
}

/// The families for which Amazon counts virtual processors, each by the letters that its types begin with. Types of another
/// cloud are all of one family.
const FAMILIES: [&str; 8] = ["dl", "f", "g", "inf", "p", "trn", "u", "x"];

fn family(instance_type: &str) -> &'static str {
    let letters: String = instance_type
        .chars()
        .take_while(char::is_ascii_lowercase)
        .collect();
    // `vt` counts with `g`.
    let letters = if letters == "vt" { "g" } else { letters.as_str() };
    let found = FAMILIES.into_iter().find(|family| *family == letters);
    found.unwrap_or("standard")
}

/// A text that is no shortage.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is nothing that a cloud can have no more of")]
pub struct UnknownShortage(String);

impl FromStr for Shortage {
    type Err = UnknownShortage;

    fn from_str(text: &str) -> Result<Self, UnknownShortage> {
        let unknown = || UnknownShortage(text.to_owned());
        let (word, of) = text.split_once(' ').unwrap_or((text, ""));
        let offering = || of.parse::<Offering>().map_err(|_| unknown());
        match word {
            "capacity" => Ok(Self::Capacity(offering()?)),
            "price" => Ok(Self::Price(offering()?)),
            "addresses" => Ok(Self::Addresses(of.to_owned())),
            "quota" => {
                let market = of
                    .strip_suffix(" spot")
                    .map_or(Market::OnDemand, |_| Market::Spot);
                Ok(Self::Quota(family(of.trim_end_matches(" spot")), market))
            }
            "account" => Ok(Self::Account),
            "offering" => Ok(Self::Offering(offering()?)),
            _ => Err(unknown()),
        }
    }
}

impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Capacity(of) => write!(f, "capacity {of}"),
            Self::Price(of) => write!(f, "price {of}"),
            Self::Addresses(of) => write!(f, "addresses {of}"),
            Self::Quota(of, Market::OnDemand) => write!(f, "quota {of}"),
            Self::Quota(of, Market::Spot) => write!(f, "quota {of} spot"),
            Self::Account => f.write_str("account"),
            Self::Offering(of) => write!(f, "offering {of}"),
        }
    }
}

/// That a cloud had no more of something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    pub shortage: Shortage,
    /// When it said so for the last time.
    pub noted_at: Timestamp,
    /// Until when it is asked for other things first.
    pub until: Timestamp,
    /// How often it has said so, each time after that moment had come.
    pub strikes: u32,
    /// The offering and the cloud's words.
    pub why: String,
}

impl Note {
    /// What is noted after a refusal of a launch that was asked for at `asked_at`. Of many that are under way together each tells
    /// the same, and none of them that it lasts.
    #[must_use]
    pub fn after(
        before: Option<&Self>,
        shortage: Shortage,
        why: &str,
        (asked_at, now): (Timestamp, Timestamp),
    ) -> Self {
        let recent = before.filter(|note| !note.is_forgotten(now));
        if let Some(same) = recent.filter(|note| asked_at <= note.noted_at) {
            return same.clone();
        }
        let strikes = recent.map_or(0, |note| note.strikes).saturating_add(1);
        let pause = shortage.pause(strikes);
        Self {
            shortage,
            noted_at: now,
            until: now.plus(pause),
            strikes,
            why: why.to_owned(),
        }
    }
}

impl Note {
    /// Whether it is over for longer than the longest pause: the next one is another shortage.
    #[must_use]
    pub fn is_forgotten(&self, now: Timestamp) -> bool {
        self.until.plus(LONGEST) <= now
    }

    /// Since when it lasts, at the latest: each time but the first was told after the pause before it.
    #[must_use]
    pub fn since(&self) -> Timestamp {
        let before = (1..self.strikes.min(64)).map(|strikes| self.shortage.pause(strikes));
        self.noted_at
            .minus(before.fold(Duration::ZERO, Duration::saturating_add))
    }

    /// Whether an offering is not asked for because of it.
    fn blocks(&self, offering: &Offering, now: Timestamp) -> bool {
        now < self.until && self.shortage.covers(offering)
    }

    /// What a cloud is not asked for, as a sentence for operators.
    #[must_use]
    pub fn describe(&self, cloud: &str) -> String {
        let until = self.until.to_the_second();
        let times = match self.strikes {
            1 => String::new(),
            more => format!(", {more} times by now"),
        };
        format!(
            "cloud {cloud} is short of `{}` and is asked for others first until {until}; it said{times}: {}",
            self.shortage, self.why
        )
    }
}

/// The offerings that a cloud may have, by what is noted: all of them, if there is a note against each.
#[must_use]
pub fn worth_asking<'a>(offerings: &[&'a Offering], notes: &[Note], now: Timestamp) -> Vec<&'a Offering> {
    let open = not_short(offerings, notes, now);
    if open.is_empty() { offerings.to_vec() } else { open }
}

/// The offerings against which nothing is noted.
#[must_use]
pub fn not_short<'a>(offerings: &[&'a Offering], notes: &[Note], now: Timestamp) -> Vec<&'a Offering> {
    let is_short = |offering: &Offering| notes.iter().any(|note| note.blocks(offering, now));
    let all = offerings.iter().copied();
    all.filter(|offering| !is_short(offering)).collect()
}

/// Since when all of these offerings have been refused, at the latest; `None` where one of them is not short.
#[must_use]
pub fn refused_since(offerings: &[Offering], notes: &[Note], now: Timestamp) -> Option<Timestamp> {
    let since = |offering: &Offering| {
        let against = notes.iter().filter(|note| note.blocks(offering, now));
        against.map(Note::since).min()
    };
    let all: Option<Vec<Timestamp>> = offerings.iter().map(since).collect();
    all?.into_iter().max()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_micros(1_800_000_000_000_000);

    fn offering(text: &str) -> Offering {
        text.parse().unwrap()
    }

    fn seconds(count: u64) -> Timestamp {
        NOW.plus(Duration::from_secs(count))
    }

    #[test]
    fn a_refusal_tells_of_others_that_need_the_same_and_of_no_more() {
        let refused = "c7i.xlarge@a/subnet-1 spot<=0.2";
        for (code, text, covered, others) in [
            (
                "InsufficientInstanceCapacity",
                "capacity c7i.xlarge@a spot",
                &["c7i.xlarge@a spot", "c7i.xlarge@a/subnet-2 spot<=9"][..],
                &[
                    "c7i.xlarge@a",
                    "c7i.xlarge@b spot",
                    "c7i.xlarge spot",
                    "c7a.xlarge@a spot",
                ][..],
            ),
            (
                "SpotMaxPriceTooLow",
                "price c7i.xlarge@a/subnet-1 spot<=0.2",
                &[
                    "c7i.xlarge@a/subnet-1 spot<=0.2",
                    "c7i.xlarge@a/subnet-1 spot<=0.1",
                ],
                &[
                    "c7i.xlarge@a/subnet-1 spot<=0.3",
                    "c7i.xlarge@a/subnet-1 spot",
                    "c7i.xlarge@a/subnet-1",
                ],
            ),
            (
                "InsufficientFreeAddressesInSubnet",
                "addresses @a/subnet-1",
                &["c7i.xlarge@a/subnet-1", "m7i.large@a/subnet-1 spot"],
                &["c7i.xlarge@a/subnet-2 spot<=0.2", "c7i.xlarge@b", "c7i.xlarge"],
            ),
            (
                "VcpuLimitExceeded",
                "quota standard spot",
                &["c7i.xlarge spot", "m7i.large@b spot<=1", "t3.micro spot"],
                &["c7i.xlarge@a", "g5.xlarge spot", "p4d.24xlarge spot"],
            ),
            (
                "InsufficientAddressCapacity",
                "account",
                &["c7i.xlarge", "g5.xlarge@b spot"],
                &[],
            ),
            (
                "UnauthorizedOperation",
                "offering c7i.xlarge@a/subnet-1 spot<=0.2",
                &["c7i.xlarge@a/subnet-1 spot<=0.2"],
                &["c7i.xlarge@a/subnet-1 spot", "c7i.xlarge@a/subnet-2 spot<=0.2"],
            ),
        ] {
            let shortage = Shortage::of(code, &offering(refused));
            assert_eq!(shortage.to_string(), text, "{code}");
            assert_eq!(text.parse(), Ok(shortage.clone()));
            assert!(shortage.covers(&offering(refused)), "{code}");
            for one in covered {
                assert!(shortage.covers(&offering(one)), "{code}: {one}");
            }
            for one in others {
                assert!(!shortage.covers(&offering(one)), "{code}: {one}");
            }
        }
        for text in ["", "capacity", "capacity ", "price a@", "thirst", "Account"] {
            let error = text.parse::<Shortage>().unwrap_err().to_string();
            assert_eq!(
                error,
                format!("`{text}` is nothing that a cloud can have no more of")
            );
        }
    }

    #[test]
    fn quotas_are_those_of_amazons_families() {
        for (instance_type, expected) in [
            ("c7i.xlarge", "standard"),
            ("m1.small", "standard"),
            ("t3.micro", "standard"),
            ("g5.xlarge", "g"),
            ("vt1.3xlarge", "g"),
            ("p4d.24xlarge", "p"),
            ("inf2.xlarge", "inf"),
            ("u-6tb1.112xlarge", "u"),
            ("x2idn.16xlarge", "x"),
            ("dl1.24xlarge", "dl"),
        ] {
            assert_eq!(family(instance_type), expected, "{instance_type}");
        }
    }

    #[test]
    fn the_longer_a_shortage_lasts_the_more_rarely_it_is_tried() {
        let mut note = None;
        let mut now = NOW;
        let mut pauses = Vec::new();
        for _ in 0..6 {
            let capacity = Shortage::Capacity(offering("a"));
            let next = Note::after(note.as_ref(), capacity, "no room", (now, now));
            pauses.push(next.until.since(now).as_secs());
            now = next.until.plus(Duration::from_secs(1));
            note = Some(next);
        }
        assert_eq!(pauses, [180, 360, 720, 1440, 1800, 1800]);
        // Half an hour after it was over it is a new one.
        let later = now.plus(Duration::from_secs(1800));
        let next = Note::after(note.as_ref(), Shortage::Account, "no room", (later, later));
        assert_eq!((next.strikes, next.until.since(later).as_secs()), (1, 60));
    }

    #[test]
    fn a_shortage_lasts_since_the_first_time_that_it_was_told_however_often_since() {
        let capacity = || Shortage::Capacity(offering("a"));
        let mut note = Note::after(None, capacity(), "no room", (NOW, NOW));
        for _ in 0..7 {
            assert_eq!(note.since(), NOW, "{} times", note.strikes);
            let again = note.until;
            note = Note::after(Some(&note), capacity(), "no room", (again, again));
        }
        note.strikes = u32::MAX;
        assert!(note.since() < note.noted_at);
        let line = [offering("a"), offering("b")];
        let notes = |strikes: [u32; 2]| {
            let all = strikes.into_iter().zip(["capacity a", "capacity b"]);
            let all = all.map(|(strikes, what)| Note {
                shortage: what.parse().unwrap(),
                noted_at: seconds(500),
                until: seconds(600),
                strikes,
                why: String::new(),
            });
            all.collect::<Vec<_>>()
        };
        let since = |notes: &[Note], now: u64| refused_since(&line, notes, seconds(now));
        assert_eq!(since(&notes([1, 1]), 599), Some(seconds(500)));
        assert_eq!(
            since(&notes([2, 1]), 599),
            Some(seconds(500)),
            "the last one of them"
        );
        assert_eq!(since(&notes([2, 2]), 599), Some(seconds(320)));
        assert_eq!(since(&notes([2, 2])[..1], 599), None, "one is not refused");
        assert_eq!(since(&notes([2, 2]), 600), None, "it is asked for again");
    }

    #[test]
    fn operators_are_told_what_is_short_until_when_and_what_the_cloud_said() {
        let mut note = Note {
            shortage: "capacity c7i.xlarge@a spot".parse().unwrap(),
            noted_at: NOW,
            until: seconds(180),
            strikes: 1,
            why: "c7i.xlarge@a spot: the cloud refuses: X".to_owned(),
        };
        let begin = "cloud aws is short of `capacity c7i.xlarge@a spot` and is asked for others first until";
        let end = "c7i.xlarge@a spot: the cloud refuses: X";
        let until = seconds(180).to_the_second();
        assert_eq!(note.describe("aws"), format!("{begin} {until}; it said: {end}"));
        note.strikes = 3;
        assert_eq!(
            note.describe("aws"),
            format!("{begin} {until}; it said, 3 times by now: {end}")
        );
    }

    #[test]
    fn many_that_are_refused_together_tell_it_once() {
        let first = Note::after(None, Shortage::Account, "first", (seconds(0), seconds(2)));
        let second = Note::after(
            Some(&first),
            Shortage::Account,
            "second",
            (seconds(1), seconds(3)),
        );
        assert_eq!(second, first);
        let third = Note::after(Some(&first), Shortage::Account, "third", (seconds(3), seconds(4)));
        assert_eq!((third.strikes, third.why.as_str()), (2, "third"));
    }

    #[test]
    fn what_is_short_is_left_out_until_its_time_and_if_all_is_short_nothing_is() {
        let offerings = [offering("a spot"), offering("a"), offering("b")];
        let note = |text: &str, until: u64| Note {
            shortage: text.parse().unwrap(),
            noted_at: NOW,
            until: seconds(until),
            strikes: 1,
            why: String::new(),
        };
        let left = |notes: &[Note], now: u64| -> Vec<String> {
            let left = worth_asking(&offerings.iter().collect::<Vec<_>>(), notes, seconds(now));
            left.iter().map(ToString::to_string).collect()
        };
        assert_eq!(left(&[], 0), ["a spot", "a", "b"]);
        let spot = note("capacity a spot", 10);
        assert_eq!(left(std::slice::from_ref(&spot), 9), ["a", "b"]);
        assert_eq!(
            left(std::slice::from_ref(&spot), 10),
            ["a spot", "a", "b"],
            "back to the first"
        );
        assert_eq!(left(&[spot.clone(), note("capacity a", 20)], 5), ["b"]);
        assert_eq!(left(&[spot, note("account", 20)], 5), ["a spot", "a", "b"]);
    }
}
