//! What the farm did for an attempt, and when. It is kept among the results under the name that Copr gives such a log. No
//! machine is named: users read this.

use std::sync::{Mutex, PoisonError};

use model::Timestamp;
use runtime::clock;
use store::Attempt;

use crate::wording::Wording;

/// Its name among the results.
pub(crate) const NAME: &str = "backend.log";
/// The most lines, and the most characters of one.
const MOST_LINES: usize = 1000;
const LONGEST_LINE: usize = 2000;

/// What was done, in order.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    /// Lines with their moments.
    lines: Mutex<Vec<(Timestamp, String)>>,
    /// How its readers speak of what it tells.
    wording: Wording,
}

impl Journal {
    /// An empty one, for readers of these words.
    pub(crate) fn new(wording: Wording) -> Self {
        Self {
            wording,
            ..Self::default()
        }
    }

    /// Adds the first line: what is being told of.
    pub(crate) fn begin(&self, attempt: &Attempt) {
        let package = attempt.package.as_ref();
        let package = package.map_or_else(|| "a source".to_owned(), ToString::to_string);
        let what = format!(
            "Build {} of {package} for {}, attempt {}, is in the queue.",
            attempt.build, attempt.chroot, attempt.number
        );
        self.note_at(attempt.queued_at, &what);
    }

    /// Adds a line. Parts of it may come from a builder: whatever they hold, it is one line.
    pub(crate) fn note(&self, text: &str) {
        self.note_at(clock::now(), text);
    }

    /// Adds a line about an earlier moment.
    pub(crate) fn note_at(&self, at: Timestamp, text: &str) {
        let plain: String = self
            .wording
            .published(text)
            .chars()
            .filter(|c| !c.is_control())
            .take(LONGEST_LINE)
            .collect();
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() < MOST_LINES {
            lines.push((at, plain));
        }
    }

    /// All of it.
    pub(crate) fn text(&self) -> String {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines
            .iter()
            .map(|(at, line)| format!("[{at}] {line}\n"))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::Journal;

    #[test]
    fn a_line_stays_a_line_without_machines_and_there_is_an_end_of_them() {
        let journal = Journal::default();
        journal.note("Passed over a\nb\u{1b}[31m.rpm: no result");
        assert!(
            journal.text().ends_with("Z] Passed over ab[31m.rpm: no result\n"),
            "{}",
            journal.text()
        );
        journal.note("Will connect again: root@10.88.0.7:22 does not answer");
        assert!(journal.text().ends_with("root@[address] does not answer\n"));
        journal.note(&"ä".repeat(10_000));
        let text = journal.text();
        assert_eq!(text.lines().nth(2).unwrap().matches('ä').count(), 2000);
        for _ in 0..2000 {
            journal.note("again");
        }
        assert_eq!(journal.text().lines().count(), 1000);
    }
}
