//! Measured times as a table.

/// Times of one case, in seconds.
#[derive(Debug, Default)]
pub(super) struct Times {
    sorted: Vec<f64>,
}

impl Times {
    pub(super) fn of(mut times: Vec<f64>) -> Self {
        times.sort_by(f64::total_cmp);
        Self { sorted: times }
    }

    /// The middle one; the mean of the two in the middle of an even number. `None` without any.
    pub(super) fn median(&self) -> Option<f64> {
        let half = self.sorted.len() / 2;
        let upper = *self.sorted.get(half)?;
        if self.sorted.len() % 2 == 1 {
            return Some(upper);
        }
        let lower = *self.sorted.get(half.checked_sub(1)?)?;
        Some(f64::midpoint(lower, upper))
    }

    /// One line: what, how often, median, least and most, and the ratio of the medians of this and its peer.
    pub(super) fn line(&self, what: &str, peer: Option<f64>) -> String {
        let (Some(median), Some(least), Some(most)) =
            (self.median(), self.sorted.first(), self.sorted.last())
        else {
            return format!("  {what:<52} not measured");
        };
        let ratio = peer.filter(|peer| *peer > 0.0);
        let ratio = ratio.map_or_else(String::new, |peer| format!("   x {:.2}", median / peer));
        format!(
            "  {what:<52} {:>3} {median:>8.2} {least:>8.2} {most:>8.2}{ratio}",
            self.sorted.len()
        )
    }
}

/// The line above the lines.
pub(super) fn heading(what: &str) -> String {
    format!(
        "\n  {what:<52} {:>3} {:>8} {:>8} {:>8}",
        "n", "median", "least", "most"
    )
}

#[cfg(test)]
mod tests {
    use super::{Times, heading};

    #[test]
    fn the_figures_stand_below_their_headings() {
        let head = heading("hello, seconds");
        let head = head.trim_start_matches('\n');
        for times in [vec![0.004], vec![12.5, 1.0, 99_999.0], vec![3.0; 100]] {
            let line = Times::of(times).line("accepted to installable", None);
            assert_eq!(line.len(), head.len(), "{head}\n{line}");
        }
        let line = Times::of(vec![12.5, 1.0, 7.25]).line("build", Some(0.0));
        let figures: Vec<_> = line.split_whitespace().collect();
        assert_eq!(
            figures,
            ["build", "3", "7.25", "1.00", "12.50"],
            "no ratio to nothing"
        );
    }

    #[test]
    fn the_median_is_in_the_middle_and_none_of_nothing() {
        assert_eq!(Times::of(vec![3.0, 1.0, 2.0]).median(), Some(2.0));
        assert_eq!(Times::of(vec![4.0, 1.0, 2.0, 3.0]).median(), Some(2.5));
        assert_eq!(Times::of(Vec::new()).median(), None);
    }

    #[test]
    fn a_line_names_the_ratio_to_the_peer() {
        let line = Times::of(vec![3.0]).line("build", Some(2.0));
        assert!(line.ends_with("x 1.50"), "{line}");
        assert!(
            Times::of(Vec::new())
                .line("build", Some(2.0))
                .contains("not measured")
        );
    }
}
