//! `verdigris fleet cost`: what machines cost in the last hours or days, by their pools.

use std::{collections::BTreeMap, time::Duration};

use clap::Args;
use model::{
    PoolName, Timestamp,
    budget::{
        beginning,
        costs::{Bill, Bills, MachineTime},
    },
    fleet::FleetSpec,
};
use runtime::{Settings, clock};
use serde_json::{Map, Value, json};

use crate::{database, options::Config, parts, say, table::table};

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);
/// What stands in the place of a pool's name where it was not kept.
const UNKNOWN: &str = "?";

/// The command line.
#[derive(Debug, Args)]
pub(crate) struct CostArguments {
    /// Show each of the last N hours, this one among them, from 1 to 2160; 24 when neither is said.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=2160), conflicts_with = "days")]
    hours: Option<u32>,
    /// Show each of the last N days in UTC, today among them, from 1 to 90.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=90))]
    days: Option<u32>,
    /// As JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: Config,
}

/// Says it.
pub(crate) async fn cost(arguments: &CostArguments) -> anyhow::Result<()> {
    let settings = Settings::load(arguments.config.config.as_deref())?;
    let span = Span::of(arguments);
    let found = database::with(&settings, async |store| {
        let (fleet, _) = parts::fleet_in_force(&settings, &store).await?;
        let now = clock::now();
        let times = store.machine_times(fleet.fleet, span.since(now), now).await?;
        Ok(Costs::new(&fleet, &times, (span, now)))
    });
    let found = found.await?;
    let said = match arguments.json {
        true => serde_json::to_string_pretty(&found.as_json())?,
        false => found.as_text(),
    };
    say(said.trim_end());
    Ok(())
}

/// How many hours or days are shown.
#[derive(Clone, Copy, Debug)]
struct Span {
    length: Duration,
    count: u32,
}

impl Span {
    fn of(arguments: &CostArguments) -> Self {
        match (arguments.days, arguments.hours) {
            (Some(count), _) => Self { length: DAY, count },
            (None, hours) => Self {
                length: HOUR,
                count: hours.unwrap_or(24),
            },
        }
    }

    /// The beginning of the first one.
    fn since(self, now: Timestamp) -> Timestamp {
        beginning(now, self.length).minus(self.length.saturating_mul(self.count.saturating_sub(1)))
    }

    const fn is_days(self) -> bool {
        self.length.as_secs() == DAY.as_secs()
    }

    fn in_words(self) -> String {
        match (self.is_days(), self.count) {
            (true, 1) => "today".to_owned(),
            (false, 1) => "in this hour".to_owned(),
            (true, count) => format!("in the last {count} days"),
            (false, count) => format!("in the last {count} hours"),
        }
    }
}

/// What is shown.
struct Costs {
    fleet: String,
    span: Span,
    now: Timestamp,
    bills: Vec<Bills>,
    /// What each pool cost in all of the time.
    pools: BTreeMap<Option<PoolName>, Bill>,
}

impl Costs {
    fn new(fleet: &FleetSpec, times: &[MachineTime], (span, now): (Span, Timestamp)) -> Self {
        let bills = fleet.bills(times, span.length);
        let mut pools: BTreeMap<Option<PoolName>, Bill> = BTreeMap::new();
        for (name, bill) in bills.iter().flat_map(|one| &one.pools) {
            let sum = pools.entry(name.clone()).or_default();
            *sum = sum.plus(*bill);
        }
        Self {
            fleet: fleet.name.clone(),
            span,
            now,
            bills,
            pools,
        }
    }

    fn total(&self) -> Bill {
        self.pools.values().copied().fold(Bill::default(), Bill::plus)
    }

    fn as_text(&self) -> String {
        if self.bills.is_empty() {
            return format!(
                "No machine was rented {}. Fixed hosts cost nothing by the hour.\n",
                self.span.in_words()
            );
        }
        let begin = if self.span.is_days() {
            "DAY (UTC)"
        } else {
            "HOUR (UTC)"
        };
        let names: Vec<String> = self
            .pools
            .keys()
            .map(|name| named(name.as_ref()).to_owned())
            .collect();
        let mut header = vec![begin, "MACHINE HOURS"];
        header.extend(names.iter().map(String::as_str));
        header.push("ALL POOLS");
        let mut rows: Vec<Vec<String>> = self
            .bills
            .iter()
            .map(|one| self.row(when(one.begin, self.span), &one.pools, one.total()))
            .collect();
        rows.push(self.row("all".to_owned(), &self.pools, self.total()));
        let mut text = table(&header, rows);
        text.push_str("\nBy the prices that the fleet file has now, up to this moment; disks and traffic cost as well.\n");
        if !self.total().unpriced.is_zero() {
            text.push_str(
                "For hours that stand in the place of a price, or are added to one, the file has no price.\n",
            );
        }
        text
    }

    fn row(&self, begin: String, pools: &BTreeMap<Option<PoolName>, Bill>, total: Bill) -> Vec<String> {
        let cells = self.pools.keys().map(|name| {
            let bill = pools.get(name);
            bill.map_or_else(|| "-".to_owned(), |bill| in_words(*bill))
        });
        let mut row = vec![begin, hours(total.time)];
        row.extend(cells);
        row.push(in_words(total));
        row
    }

    fn as_json(&self) -> Value {
        let parts = self.bills.iter().map(|one| {
            let mut part = of_all(&one.pools, one.total());
            part.insert("begin".to_owned(), one.begin.to_string().into());
            part
        });
        json!({
            "fleet": self.fleet, "at": self.now.to_string(), "since": self.span.since(self.now).to_string(),
            "of": if self.span.is_days() { "days" } else { "hours" },
            "parts": parts.collect::<Vec<_>>(), "all": of_all(&self.pools, self.total()),
        })
    }
}

fn named(pool: Option<&PoolName>) -> &str {
    pool.map_or(UNKNOWN, PoolName::as_str)
}

fn of_all(pools: &BTreeMap<Option<PoolName>, Bill>, total: Bill) -> Map<String, Value> {
    let mut all = as_json(total);
    let pools = pools.iter();
    let pools = pools.map(|(name, bill)| (named(name.as_ref()).to_owned(), as_json(*bill).into()));
    all.insert("pools".to_owned(), pools.collect::<Map<_, _>>().into());
    all
}

fn as_json(bill: Bill) -> Map<String, Value> {
    let of = |key: &str, value: Value| (key.to_owned(), value);
    Map::from_iter([
        of("machine_seconds", bill.time.as_secs().into()),
        of("cost", json!(bill.known)),
        of("seconds_without_price", bill.unpriced.as_secs().into()),
    ])
}

/// `2026-11-30 14:00`, or the day of it.
fn when(begin: Timestamp, span: Span) -> String {
    let written = begin.to_string();
    let (day, time) = written.split_once('T').unwrap_or((&written, ""));
    match time.get(..5).filter(|_| !span.is_days()) {
        Some(time) => format!("{day} {time}"),
        None => day.to_owned(),
    }
}

fn hours(time: Duration) -> String {
    // Hundredths, rounded up: what was there is never shown as nothing.
    let hundredths = time.as_secs().div_ceil(36);
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

/// The price, with the hours that have none.
fn in_words(bill: Bill) -> String {
    let unpriced = hours(bill.unpriced);
    match (bill.unpriced.is_zero(), bill.unpriced == bill.time) {
        (true, _) => bill.known.to_string(),
        (false, true) => format!("{unpriced} h"),
        (false, false) => format!("{} + {unpriced} h", bill.known),
    }
}

#[cfg(test)]
mod tests {
    use model::quantity::Price;

    use super::*;
    use crate::fleet::testing::{NOW, name};

    fn fleet() -> FleetSpec {
        let mut fleet = crate::fleet::testing::fleet(&[]);
        let prices = serde_json::from_value(json!({"big": {"on-demand": "0.25"}}));
        fleet.clouds.get_mut("c").unwrap().prices = prices.unwrap();
        fleet
    }

    /// Minutes of a pool's machines in an hour before this one.
    fn time(hours_ago: u32, pool: Option<&str>, offering: &str, minutes: u64) -> MachineTime {
        MachineTime {
            hour: NOW.minus(HOUR * hours_ago),
            cloud: "c".to_owned(),
            pool: pool.map(name),
            offering: Some(offering.parse().unwrap()),
            time: Duration::from_secs(minutes * 60),
        }
    }

    fn costs(times: &[MachineTime], length: Duration, count: u32) -> Costs {
        Costs::new(&fleet(), times, (Span { length, count }, NOW))
    }

    fn some() -> Vec<MachineTime> {
        vec![
            time(1, Some("x86"), "big", 120),
            time(1, Some("x86"), "odd", 30),
            time(1, Some("arm"), "odd", 15),
            time(0, Some("x86"), "big", 6),
            time(13, None, "big", 60),
        ]
    }

    #[test]
    fn people_see_each_hour_with_its_pools_and_what_has_no_price() {
        let expected = "\
HOUR (UTC)        MACHINE HOURS  ?     arm     x86             ALL POOLS
2026-11-28 23:00  1.00           0.25  -       -               0.25
2026-11-29 11:00  2.75           -     0.25 h  0.5 + 0.50 h    0.5 + 0.75 h
2026-11-29 12:00  0.10           -     -       0.025           0.025
all               3.85           0.25  0.25 h  0.525 + 0.50 h  0.775 + 0.75 h

By the prices that the fleet file has now, up to this moment; disks and traffic cost as well.
For hours that stand in the place of a price, or are added to one, the file has no price.
";
        assert_eq!(costs(&some(), HOUR, 24).as_text(), expected);
    }

    #[test]
    fn days_are_whole_and_what_has_prices_needs_no_more_words() {
        let times = [time(13, Some("x86"), "big", 60), time(1, Some("x86"), "big", 60)];
        let expected = "\
DAY (UTC)   MACHINE HOURS  x86   ALL POOLS
2026-11-28  1.00           0.25  0.25
2026-11-29  1.00           0.25  0.25
all         2.00           0.5   0.5

By the prices that the fleet file has now, up to this moment; disks and traffic cost as well.
";
        assert_eq!(costs(&times, DAY, 2).as_text(), expected);
    }

    #[test]
    fn that_there_was_no_machine_is_said_for_the_time_that_was_asked_for() {
        for (length, count, when) in [
            (HOUR, 24, "in the last 24 hours"),
            (HOUR, 1, "in this hour"),
            (DAY, 90, "in the last 90 days"),
            (DAY, 1, "today"),
        ] {
            let expected = format!("No machine was rented {when}. Fixed hosts cost nothing by the hour.\n");
            assert_eq!(costs(&[], length, count).as_text(), expected);
        }
        let begin = |length, count| Span { length, count }.since(NOW).to_string();
        assert_eq!(begin(HOUR, 1), "2026-11-29T12:00:00Z");
        assert_eq!(begin(HOUR, 24), "2026-11-28T13:00:00Z");
        assert_eq!(begin(DAY, 1), "2026-11-29T00:00:00Z");
        assert_eq!(begin(DAY, 90), "2026-09-01T00:00:00Z");
    }

    #[test]
    fn programs_get_seconds_and_prices() {
        let told = costs(&some(), HOUR, 24).as_json();
        assert_eq!(
            (&told["of"], &told["since"]),
            (&json!("hours"), &json!("2026-11-28T13:00:00Z"))
        );
        let hour = &told["parts"][1];
        assert_eq!(hour["begin"], "2026-11-29T11:00:00Z");
        assert_eq!(
            hour["pools"]["x86"],
            json!({"machine_seconds": 9000, "cost": "0.5", "seconds_without_price": 1800})
        );
        assert_eq!(told["all"]["machine_seconds"], 231 * 60);
        assert_eq!(told["all"]["cost"], json!(Price::from_millionths(775_000)));
        assert_eq!(costs(&[], DAY, 1).as_json()["parts"], json!([]));
    }
}
