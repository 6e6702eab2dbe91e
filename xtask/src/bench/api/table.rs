//! What was measured of requests, as tables.

/// What was measured of one request on one server.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Measured {
    pub(super) requests: u32,
    pub(super) cpu: f64,
    pub(super) elapsed: f64,
    pub(super) bytes: usize,
}

impl Measured {
    pub(super) fn add(&mut self, more: Self) {
        self.requests += more.requests;
        self.cpu += more.cpu;
        self.elapsed += more.elapsed;
        self.bytes = more.bytes;
    }

    /// Milliseconds of CPU time for each request.
    fn cost(&self) -> f64 {
        1e3 * self.cpu / f64::from(self.requests)
    }

    fn in_a_second(&self) -> f64 {
        f64::from(self.requests) / self.elapsed
    }
}

/// What each request costs, and what it cost at an older commit.
pub(super) fn costs(names: &[&str], figures: &[(Measured, Measured)], commit: Option<&str>) -> String {
    let mut text = format!(
        "\n  {:<24} {:>7} {:>12} {:>8}",
        "one connection", "bytes", "CPU ms each", "a second"
    );
    if let Some(commit) = commit {
        let at = format!("at {commit}");
        text += &format!("   {at:>12} {:>8} {:>9}", "a second", "CPU less");
    }
    for (what, (after, older)) in names.iter().zip(figures) {
        text += &format!(
            "\n  {what:<24} {:>7} {:>12.3} {:>8.0}",
            after.bytes,
            after.cost(),
            after.in_a_second()
        );
        if commit.is_some() {
            text += &format!(
                "   {:>12.3} {:>8.0}   x {:>5.1}",
                older.cost(),
                older.in_a_second(),
                older.cost() / after.cost()
            );
        }
    }
    text
}

/// The same list by the farm, by the farm made anew, and by the peer, for some numbers of connections.
pub(super) fn beside_peer(figures: &[(String, [Measured; 3])]) -> String {
    let mut text = format!(
        "\n  {:<28} {:>14} {:>14} {:>8}   {:>12} {:>12} {:>8}",
        "list of 50 builds", "CPU ms, farm", "CPU ms, peer", "", "farm, 1/s", "peer, 1/s", ""
    );
    for (connections, [kept, anew, peer]) in figures {
        for (what, own) in [("", kept), (", made anew", anew)] {
            text += &format!(
                "\n  {:<28} {:>14.3} {:>14.3} x {:>6.1}   {:>12.0} {:>12.0} x {:>6.1}",
                format!("{connections}{what}"),
                own.cost(),
                peer.cost(),
                peer.cost() / own.cost(),
                own.in_a_second(),
                peer.in_a_second(),
                own.in_a_second() / peer.in_a_second()
            );
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{Measured, beside_peer, costs};

    const fn measured(requests: u32, cpu: f64, elapsed: f64, bytes: usize) -> Measured {
        Measured {
            requests,
            cpu,
            elapsed,
            bytes,
        }
    }

    #[test]
    fn rounds_add_up() {
        let mut sum = Measured::default();
        for (requests, cpu, elapsed, bytes) in [(100, 0.05, 1.0, 7), (300, 0.15, 3.0, 8)] {
            sum.add(measured(requests, cpu, elapsed, bytes));
        }
        assert!((sum.cost() - 0.5).abs() < 1e-9, "{}", sum.cost());
        assert!((sum.in_a_second() - 100.0).abs() < 1e-9, "{}", sum.in_a_second());
        assert_eq!(sum.bytes, 8);
    }

    /// The words of each line.
    fn words(text: &str) -> Vec<Vec<&str>> {
        let lines = text.lines().filter(|line| !line.is_empty());
        lines.map(|line| line.split_whitespace().collect()).collect()
    }

    #[test]
    fn costs_stand_beside_those_of_the_older_commit() {
        let figures = [
            (measured(1000, 0.5, 2.0, 120), measured(500, 1.0, 2.0, 118)),
            (measured(2, 0.1, 4.0, 70_000), measured(2, 0.1, 4.0, 70_000)),
        ];
        let names = ["one build", "project page"];
        assert_eq!(
            words(&costs(&names, &figures, None)),
            [
                vec!["one", "connection", "bytes", "CPU", "ms", "each", "a", "second"],
                vec!["one", "build", "120", "0.500", "500"],
                vec!["project", "page", "70000", "50.000", "0"],
            ],
            "half a request in a second is rounded to the even side"
        );
        let beside = costs(&names, &figures, Some("f726b6b"));
        assert_eq!(
            words(&beside)[1..],
            [
                vec!["one", "build", "120", "0.500", "500", "2.000", "250", "x", "4.0"],
                vec![
                    "project", "page", "70000", "50.000", "0", "50.000", "0", "x", "1.0"
                ],
            ]
        );
        let widths: Vec<usize> = beside.lines().skip(1).map(str::len).collect();
        assert!(
            beside.contains("at f726b6b") && widths.windows(2).all(|pair| pair[0] == pair[1]),
            "{beside}"
        );
    }

    #[test]
    fn the_peer_is_compared_with_both_answers_of_the_farm() {
        let farm = measured(4000, 1.0, 2.0, 9);
        let anew = measured(1000, 2.0, 2.0, 9);
        let peer = measured(200, 4.0, 2.0, 9);
        let text = beside_peer(&[("8 connections".to_owned(), [farm, anew, peer])]);
        assert_eq!(
            words(&text)[1..],
            [
                vec![
                    "8",
                    "connections",
                    "0.250",
                    "20.000",
                    "x",
                    "80.0",
                    "2000",
                    "100",
                    "x",
                    "20.0"
                ],
                vec![
                    "8",
                    "connections,",
                    "made",
                    "anew",
                    "2.000",
                    "20.000",
                    "x",
                    "10.0",
                    "500",
                    "100",
                    "x",
                    "5.0"
                ],
            ]
        );
    }
}
