//! The figures as a table.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};

use super::{
    Fleet,
    peer::{MACHINES, Passes, TICKETS},
};

/// Figures by database and name, in milliseconds where the name says nothing else.
pub(super) type Figures = BTreeMap<(String, String), Vec<f64>>;

/// Reads lines of a database, a name and a figure.
pub(super) fn read(printed: &str) -> Result<Figures> {
    let mut figures = Figures::new();
    for line in printed.lines().filter(|line| !line.is_empty()) {
        let words: Vec<&str> = line.split(' ').collect();
        let (key, figure) = match *words.as_slice() {
            [database, name, figure] => ((database.to_owned(), name.to_owned()), figure.parse().ok()),
            _ => (Default::default(), None),
        };
        let figure = figure.with_context(|| format!("the line {line:?} is no database, name and figure"))?;
        figures.entry(key).or_default().push(figure);
    }
    Ok(figures)
}

/// The value below which that part of the values lies.
fn quantile(values: &[f64], part: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "an index of a short list"
    )]
    let index = ((sorted.len().saturating_sub(1)) as f64 * part).round() as usize;
    sorted.get(index).copied()
}

fn line(what: &str, values: &[f64]) -> String {
    let [Some(half), Some(most), Some(last)] = [0.5, 0.99, 1.0].map(|part| quantile(values, part)) else {
        return format!("  {what:<76} not measured");
    };
    format!(
        "  {what:<76} {:>4} {half:>9.1} {most:>9.1} {last:>9.1}",
        values.len()
    )
}

/// All of it, and how many pairs of a machine and an attempt are matched in a second beside resalloc.
pub(super) fn report(wanted: &Fleet, figures: &Figures, peer: Option<Passes>) -> String {
    let (builders, waiting, handed, ended) = (wanted.builders, wanted.waiting, wanted.handed, wanted.ended);
    let names = [
        (
            "plan",
            format!("full decision, {builders} builders (a tenth free), {waiting} wait"),
        ),
        ("change", "one attempt goes: look and decide".to_owned()),
        ("said", "and the reasons that this changes are stored".to_owned()),
        ("list", format!("{builders} machines listed over HTTP, in pages")),
        ("cold", "first look after a start".to_owned()),
        ("reasons", "the reasons of everybody, after a start".to_owned()),
        (
            "all-said",
            "the reasons of everybody, when all of them change".to_owned(),
        ),
        ("late", "how late the lease is renewed meanwhile".to_owned()),
        (
            "handed",
            format!("{handed} attempts handed to {handed} builders, on record"),
        ),
        (
            "adopt",
            format!("restart beside {builders} machines: to the first launch"),
        ),
        (
            "no-history",
            "one attempt goes, all of it, beside no ended build".to_owned(),
        ),
        ("history", format!("the same beside {ended} ended builds")),
        ("peak", "most memory of look and decisions, MiB".to_owned()),
    ];
    let mut lines = vec![format!(
        "\n  {:<76} {:>4} {:>9} {:>9} {:>9}",
        "milliseconds", "n", "p50", "p99", "most"
    )];
    for database in ["SQLite", "PostgreSQL"] {
        for (name, what) in &names {
            let values = figures.get(&(database.to_owned(), (*name).to_owned()));
            lines.push(line(
                &format!("{database:<11} {what}"),
                values.map_or(&[][..], Vec::as_slice),
            ));
        }
    }
    lines.push(String::new());
    lines.extend(["SQLite", "PostgreSQL"].map(|database| by_history(database, figures, ended)));
    lines.push(match peer {
        Some(passes) => beside(wanted, figures, passes),
        None => "\n  resalloc was not measured: --resalloc CHECKOUT does.".to_owned(),
    });
    lines.join("\n")
}

/// How much slower the middle round is that has a long history.
fn by_history(database: &str, figures: &Figures, ended: u32) -> String {
    let middle = |name: &str| {
        let values = figures.get(&(database.to_owned(), name.to_owned()))?;
        quantile(values, 0.5)
    };
    let ratio = match (middle("history"), middle("no-history")) {
        (Some(history), Some(none)) => format!("x {:.2}", history / none),
        _ => "not measured".to_owned(),
    };
    format!("  {database:<11} a round beside {ended} ended builds and beside none: {ratio}")
}

fn beside(wanted: &Fleet, figures: &Figures, passes: Passes) -> String {
    let own = figures.get(&("SQLite".to_owned(), "plan".to_owned()));
    let own = own.and_then(|values| quantile(values, 0.5)).unwrap_or(f64::NAN) / 1e3;
    let pairs = |machines: u32, attempts: u32| f64::from(machines) * f64::from(attempts);
    let rate = pairs(wanted.builders, wanted.waiting) / own;
    let theirs = pairs(MACHINES, TICKETS) / passes.unsuitable;
    format!(
        "\n  resalloc, SQLite, {MACHINES} machines and {TICKETS} tickets: {:.1} s where nothing suits, {:.1} s where every machine is given away.\n  \
         Pairs of a machine and an attempt in a second: {rate:.3e} beside resalloc's {theirs:.3e}, x {:.0}.",
        passes.unsuitable,
        passes.given,
        rate / theirs
    )
}

#[cfg(test)]
mod tests {
    use super::{super::Fleet, Passes, read, report};

    const WANTED: Fleet = Fleet {
        builders: 10_000,
        waiting: 100_000,
        rounds: 3,
        handed: 1000,
        ended: 1_000_000,
        resalloc: None,
        no_install: true,
    };

    #[test]
    fn every_figure_has_its_line_with_the_middle_and_the_most() {
        let figures =
            read("SQLite plan 40\nSQLite plan 90.5\nSQLite plan 41\n\nPostgreSQL handed 800\n").unwrap();
        let said = report(&WANTED, &figures, None);
        let of = |what: &str| -> Vec<String> {
            let line = said.lines().find(|line| line.contains(what)).unwrap();
            line.split_whitespace().rev().take(4).map(str::to_owned).collect()
        };
        assert_eq!(
            of("SQLite      full decision, 10000 builders"),
            ["90.5", "90.5", "41.0", "3"]
        );
        assert_eq!(
            of("PostgreSQL  1000 attempts handed"),
            ["800.0", "800.0", "800.0", "1"]
        );
        let missing = said
            .lines()
            .find(|line| line.contains("PostgreSQL  full decision"))
            .unwrap();
        assert!(missing.ends_with("  not measured"), "{missing}");
        assert!(
            said.ends_with("resalloc was not measured: --resalloc CHECKOUT does."),
            "{said}"
        );
        let widths: Vec<usize> = said
            .lines()
            .filter(|line| line.ends_with(".5") || line.ends_with(".0") || line.ends_with("most"))
            .map(str::len)
            .collect();
        assert!(widths.windows(2).all(|pair| pair[0] == pair[1]), "{said}");
    }

    #[test]
    fn a_long_history_is_compared_with_none_by_the_middle_round() {
        let figures =
            read("SQLite no-history 40\nSQLite history 44\nSQLite history 90\nSQLite history 42\n").unwrap();
        let said = report(&WANTED, &figures, None);
        for line in [
            "  SQLite      a round beside 1000000 ended builds and beside none: x 1.10",
            "  PostgreSQL  a round beside 1000000 ended builds and beside none: not measured",
        ] {
            assert!(said.lines().any(|one| one == line), "{said}");
        }
    }

    #[test]
    fn rates_are_compared_by_pairs() {
        let figures = read("SQLite plan 50\n").unwrap();
        let passes = Passes {
            unsuitable: 100.0,
            given: 10.0,
        };
        let said = report(&WANTED, &figures, Some(passes));
        // 1e9 pairs in 50 ms beside 1e5 in 100 s.
        assert!(
            said.contains("2.000e10 beside resalloc's 1.000e3, x 20000000."),
            "{said}"
        );
    }

    #[test]
    fn a_line_that_is_no_figure_is_shown() {
        for line in ["SQLite plan", "SQLite plan many", "SQLite plan 1 2"] {
            let error = read(line).unwrap_err().to_string();
            assert_eq!(
                error,
                format!("the line {line:?} is no database, name and figure")
            );
        }
    }
}
