//! `verdigris fleet why`: why a builder is as it is, and why a build waits.

mod build;
mod builder;

use std::{collections::BTreeMap, time::Duration};

use anyhow::bail;
use model::{BuildId, BuilderId, Timestamp, fleet::FleetSpec, quantity::Price};
use runtime::{Settings, clock};
use store::{Attempt, Builder, Store};

use super::{planned, status::running};
use crate::{database, options::Config, parts, say};

/// What is asked about.
#[derive(Debug, PartialEq, Eq)]
enum Subject<'a> {
    Build(BuildId),
    Builder(BuilderId),
    /// A builder, by its cloud's id for it.
    Instance(&'a str),
}

impl<'a> Subject<'a> {
    fn read(text: &'a str) -> anyhow::Result<Self> {
        let text = text.trim();
        if let Ok(number) = text.parse() {
            return Ok(Self::Build(BuildId(number)));
        }
        if let Ok(id) = text.parse() {
            return Ok(Self::Builder(id));
        }
        if text.starts_with("i-") {
            return Ok(Self::Instance(text));
        }
        bail!(
            "`{text}` is neither the number of a build nor a builder: `verdigris fleet status` shows builders, such as \
             bdr_019a0000000070008000000000000001, and their instances, such as i-0123456789abcdef0"
        )
    }
}

/// Says it.
pub(crate) async fn why(config: &Config, what: &str, as_json: bool) -> anyhow::Result<()> {
    let subject = Subject::read(what)?;
    let settings = Settings::load(config.config.as_deref())?;
    let said = database::with(&settings, async |store| {
        let (fleet, _) = parts::fleet_in_force(&settings, &store).await?;
        answer(&subject, &settings, &fleet, &store, as_json).await
    });
    say(said.await?.trim_end());
    Ok(())
}

async fn answer(
    subject: &Subject<'_>,
    settings: &Settings,
    fleet: &FleetSpec,
    store: &Store,
    as_json: bool,
) -> anyhow::Result<String> {
    let now = clock::now();
    let Some(builder) = find(subject, store).await? else {
        let Subject::Build(id) = subject else {
            bail!("{}", not_found(subject));
        };
        let Some(build) = store.build(*id).await? else {
            bail!("{}", not_found(subject));
        };
        let view = store.fleet_snapshot(fleet.fleet, now).await?;
        let (_, plan) = planned(settings, store, fleet, &view)?;
        let attempts = store.attempts_of(*id).await?;
        let prices = prices(store, fleet, &attempts).await?;
        let found = build::BuildStory::new(build, &attempts, fleet, &view, &plan);
        let found = found.with_prices(&attempts, &prices);
        return Ok(if as_json {
            serde_json::to_string_pretty(&found)?
        } else {
            found.as_text()
        });
    };
    let filter = store::EventFilter {
        builder: Some(builder.id),
        ..store::EventFilter::default()
    };
    let events = store.events(filter, store::Page::LONGEST).await?;
    let runs = running(store).await?.remove(&builder.id);
    let hooks = store.hooks_of(builder.id).await?;
    // What is on record is told also where a file of this command cannot be read.
    let view = store.fleet_snapshot(fleet.fleet, now).await?;
    let snapshot = planned(settings, store, fleet, &view).map(|(snapshot, _)| snapshot);
    let planned = snapshot.ok().and_then(|snapshot| {
        let this = snapshot.builders.iter().find(|it| it.id == builder.id)?;
        Some(this.clone())
    });
    let console = store.console_of(builder.id).await?;
    let found = builder::BuilderStory::new(&builder, events, runs.as_ref(), fleet, now)
        .with_hooks(&hooks)
        .with_console(console)
        .with_outdated(planned.as_ref());
    Ok(if as_json {
        serde_json::to_string_pretty(&found)?
    } else {
        found.as_text()
    })
}

/// What an hour of the builders of these attempts costs, as far as the file says so. Of builders that are no longer on record it is not
/// known what they were.
async fn prices(
    store: &Store,
    fleet: &FleetSpec,
    attempts: &[Attempt],
) -> anyhow::Result<BTreeMap<BuilderId, Price>> {
    let mut prices = BTreeMap::new();
    for id in attempts.iter().filter_map(|attempt| attempt.builder) {
        let Some(builder) = store.builder(id).await? else {
            continue;
        };
        if let Some(price) = builder
            .offering()
            .and_then(|offering| fleet.price(&builder.cloud, offering))
        {
            prices.insert(id, price);
        }
    }
    Ok(prices)
}

async fn find(subject: &Subject<'_>, store: &Store) -> anyhow::Result<Option<Builder>> {
    Ok(match subject {
        Subject::Build(_) => None,
        Subject::Builder(id) => store.builder(*id).await?,
        Subject::Instance(id) => store.builder_by_instance(id).await?,
    })
}

fn not_found(subject: &Subject<'_>) -> String {
    match subject {
        Subject::Build(id) => format!("there is no build {id}"),
        Subject::Builder(id) => {
            format!(
                "there is no builder {id} on record; one that ended is forgotten after `database.keep_history`"
            )
        }
        Subject::Instance(id) => format!("no builder on record is the instance {id}"),
    }
}

/// A length of time for people: its two largest units.
fn length(span: Duration) -> String {
    let seconds = span.as_secs();
    let two = |one: u64, other: u64, units: (&str, &str)| match other {
        0 => format!("{one} {}", units.0),
        other => format!("{one} {} {other} {}", units.0, units.1),
    };
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => two(seconds / 60, seconds % 60, ("min", "s")),
        3600..86_400 => two(seconds / 3600, seconds % 3600 / 60, ("h", "min")),
        _ => two(seconds / 86_400, seconds % 86_400 / 3600, ("d", "h")),
    }
}

/// A moment, and how long ago it was.
fn ago(then: Timestamp, now: Timestamp) -> String {
    format!("{}, {} ago", then.to_the_second(), length(now.since(then)))
}

#[cfg(test)]
mod tests {
    use super::{BuildId, BuilderId, Duration, Subject, length, not_found};

    #[test]
    fn builds_have_numbers_and_builders_ids_or_instances() {
        let id = BuilderId(uuid::Uuid::from_u128(0x12));
        let digits = "00000000000000000000000000000012";
        for (text, expected) in [
            ("12", Subject::Build(BuildId(12))),
            (" 12 ", Subject::Build(BuildId(12))),
            ("bdr_00000000000000000000000000000012", Subject::Builder(id)),
            ("00000000-0000-0000-0000-000000000012", Subject::Builder(id)),
            ("i-0123456789abcdef0", Subject::Instance("i-0123456789abcdef0")),
            // Sixteen digits may be a number, thirty-two may not, but for zeros in front.
            ("9000000000000000", Subject::Build(BuildId(9_000_000_000_000_000))),
        ] {
            assert_eq!(Subject::read(text).unwrap(), expected, "{text}");
        }
        assert_eq!(Subject::read(digits).unwrap(), Subject::Build(BuildId(12)));
        for text in ["", "x", "bdr_12", "att_00000000000000000000000000000012", "12a"] {
            let said = Subject::read(text).unwrap_err().to_string();
            let told = format!("`{text}` is neither the number of a build nor a builder: ");
            assert!(said.starts_with(&told), "{said}");
        }
    }

    #[test]
    fn what_is_not_there_is_named() {
        for (subject, words) in [
            (Subject::Build(BuildId(7)), "there is no build 7"),
            (
                Subject::Instance("i-1"),
                "no builder on record is the instance i-1",
            ),
            (
                Subject::Builder(BuilderId(uuid::Uuid::nil())),
                "there is no builder bdr_00000000000000000000000000000000 on record; one that ended is forgotten after \
                 `database.keep_history`",
            ),
        ] {
            assert_eq!(not_found(&subject), words);
        }
    }

    #[test]
    fn a_length_is_told_in_its_two_largest_units() {
        for (seconds, expected) in [
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (61, "1 min 1 s"),
            (3599, "59 min 59 s"),
            (3600, "1 h"),
            (3659, "1 h"),
            (3660, "1 h 1 min"),
            (86_399, "23 h 59 min"),
            (86_400, "1 d"),
            (90_000, "1 d 1 h"),
        ] {
            assert_eq!(length(Duration::from_secs(seconds)), expected, "{seconds}");
        }
    }
}
