//! `verdigris fleet status --watch`: the status again and again, until whoever looks has seen enough.

use std::{
    io::{self, IsTerminal as _},
    pin::pin,
    time::Duration,
};

use model::quantity::Span;

use super::status::look;
use crate::{options::Config, output::show, without_numbers};

/// How often the status may be asked for: more often nobody can read it, and more rarely it is `status` by hand.
const SHORTEST: Span = Span::milliseconds(100);
const LONGEST: Span = Span::seconds(3600);

/// Reads `--interval`.
pub(crate) fn interval(text: &str) -> Result<Span, String> {
    let span: Span = text
        .parse()
        .map_err(|error: model::quantity::InvalidQuantity| error.to_string())?;
    if (SHORTEST..=LONGEST).contains(&span) {
        Ok(span)
    } else {
        Err(format!("{span} is not from {SHORTEST} to {LONGEST}"))
    }
}

/// How a status is put on the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// On a terminal, each over the one before.
    Screen,
    /// One below the other, with an empty line between.
    Pages,
    /// One JSON document a line.
    Lines,
}

/// Shows the status every `interval`. Ctrl-C ends it, and so does whoever closes the output: both are no failure. What keeps it
/// from the first status is one; later ones are waited for.
pub(crate) async fn watch(config: &Config, as_json: bool, interval: Span) -> anyhow::Result<()> {
    let form = match (as_json, io::stdout().is_terminal()) {
        (true, _) => Form::Lines,
        (false, true) => Form::Screen,
        (false, false) => Form::Pages,
    };
    let mut stop = pin!(tokio::signal::ctrl_c());
    let mut number: u64 = 0;
    loop {
        let looked = tokio::select! {
            biased;
            _ = &mut stop => return Ok(()),
            looked = look(config) => looked,
        };
        let text = match looked {
            Ok(status) if as_json => status.as_json().to_string(),
            Ok(status) => status.as_text(),
            Err(error) if number == 0 => return Err(error),
            Err(error) => failure(&without_numbers(&format!("{error:#}")), as_json),
        };
        if !show(&page(&text, form, number, interval)) {
            return Ok(());
        }
        number = number.saturating_add(1);
        let rest: Duration = interval.get();
        tokio::select! {
            biased;
            _ = &mut stop => return Ok(()),
            () = tokio::time::sleep(rest) => {}
        }
    }
}

/// What is shown instead of a status that cannot be had for now.
fn failure(why: &str, as_json: bool) -> String {
    if as_json {
        serde_json::json!({"error": why}).to_string()
    } else {
        format!("! {why}")
    }
}

/// One status, as it is written. On a terminal a line is cleared behind its end, so that nothing flickers.
fn page(text: &str, form: Form, number: u64, interval: Span) -> String {
    match form {
        Form::Lines => format!("{text}\n"),
        Form::Pages if number == 0 => format!("{text}\n"),
        Form::Pages => format!("\n{text}\n"),
        Form::Screen => {
            let begin = if number == 0 { "\x1b[2J\x1b[H" } else { "\x1b[H" };
            let lines: String = text.lines().map(|line| format!("{line}\x1b[K\n")).collect();
            format!("{begin}{lines}\x1b[K\nEvery {interval}; Ctrl-C ends.\x1b[K\n\x1b[J")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Form, Span, failure, interval, page};

    #[test]
    fn only_a_terminal_gets_codes_and_each_page_stands_over_the_one_before() {
        let every = Span::seconds(2);
        for (form, first, second) in [
            (Form::Lines, "{}\n", "{}\n"),
            (Form::Pages, "{}\n", "\n{}\n"),
            (
                Form::Screen,
                "\x1b[2J\x1b[H{}\x1b[K\n\x1b[K\nEvery 2s; Ctrl-C ends.\x1b[K\n\x1b[J",
                "\x1b[H{}\x1b[K\n\x1b[K\nEvery 2s; Ctrl-C ends.\x1b[K\n\x1b[J",
            ),
        ] {
            assert_eq!(page("{}", form, 0, every), first, "{form:?}");
            assert_eq!(page("{}", form, 1, every), second, "{form:?}");
        }
    }

    #[test]
    fn an_interval_is_a_duration_that_somebody_can_follow() {
        for (text, expected) in [
            ("2s", Ok(Span::seconds(2))),
            ("100ms", Ok(Span::milliseconds(100))),
            ("1h", Ok(Span::seconds(3600))),
            ("99ms", Err("99ms is not from 100ms to 1h")),
            ("0s", Err("0s is not from 100ms to 1h")),
            ("2h", Err("2h is not from 100ms to 1h")),
            ("2", Err("`2` is not a duration with a unit (ms, s, m, h, d)")),
        ] {
            assert_eq!(interval(text), expected.map_err(str::to_owned), "{text}");
        }
    }

    #[test]
    fn what_went_wrong_meanwhile_is_told_in_the_form_of_the_rest() {
        assert_eq!(failure("it is \"away\"", true), r#"{"error":"it is \"away\""}"#);
        assert_eq!(failure("it is away", false), "! it is away");
    }
}
