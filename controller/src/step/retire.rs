//! The end of a machine: its cloud is told, until it says that it has ended it.

use std::time::Duration;

use cloud::{Cloud, End};
use model::{
    BuilderState,
    step::{Move, pause_between_ends},
};
use store::{Builder, Lease};
use tracing::{debug, info};

use super::advance;
use crate::{Context, Error};

/// From when on it is told of a machine that it does not end.
const ALARM_AFTER: Duration = Duration::from_secs(900);
/// How much is told of the console of a machine that was never ready.
const CONSOLE_LINES: usize = 20;

/// Logs what a machine that was never ready wrote to its console: with it goes the only trace of why.
async fn tell_console(cloud: &dyn Cloud, builder: &Builder, instance_id: &str) {
    match cloud.console_output(instance_id).await {
        Ok(text) => {
            info!(
                builder.id = %builder.id,
                "The console of instance {instance_id} ends with: {}", last_lines(&text)
            );
        }
        Err(error) => debug!(builder.id = %builder.id, "No console of instance {instance_id}: {error}"),
    }
}

/// The last lines of a console as one line, without what would move a terminal.
fn last_lines(console: &str) -> String {
    let text: String = console
        .chars()
        .filter(|c| *c == '\n' || !c.is_control())
        .collect();
    let lines: Vec<&str> = text.trim_end().lines().collect();
    let last = lines.get(lines.len().saturating_sub(CONSOLE_LINES)..);
    last.unwrap_or_default().join(" | ")
}

/// Asks the cloud for the end; `is_first` says whether this controller has not done so before. That it has come is for the
/// observation to see, so this step only asks, and leaves more time between one question and the next the longer it takes.
/// What the cloud refuses is added to the builder's reason: the machine goes on costing.
pub(super) async fn terminate(
    context: &Context,
    lease: &Lease,
    builder: &Builder,
    is_first: bool,
) -> Result<Duration, Error> {
    let Some(instance_id) = &builder.instance_id else {
        return Err(Error::Contradiction(format!(
            "builder {} is terminating without an instance",
            builder.id
        )));
    };
    let Some(cloud) = context.clouds.get(&builder.cloud) else {
        return Err(Error::Contradiction(format!(
            "there is no cloud `{}` in fleet.yaml",
            builder.cloud
        )));
    };
    let waited = context.clock.now().since(builder.entered_at);
    // It stays to be had for a while; nothing waits for it.
    let telling = async {
        if is_first && builder.ready_at.is_none() {
            tell_console(cloud.as_ref(), builder, instance_id).await;
        }
    };
    let ((), asked) = tokio::join!(telling, cloud.terminate(instance_id));
    if let Some(words) = alarm(&asked, instance_id, waited) {
        context.store.annotate_builder(lease, builder, &words).await?;
    }
    let end = asked.map_err(|source| Error::Cloud {
        cloud: builder.cloud.clone(),
        source,
    })?;
    match end {
        End::Asked => Ok(pause_between_ends(waited)),
        End::Over => {
            let step = Move::new(BuilderState::Terminated, format!("{instance_id} is given back"));
            advance(context, lease, builder, step).await?;
            Ok(Duration::ZERO)
        }
    }
}

/// What operators have to know of a machine that goes on costing: a refusal at once, silence after a while.
fn alarm(asked: &Result<End, cloud::Error>, instance_id: &str, waited: Duration) -> Option<String> {
    match asked {
        Err(error @ cloud::Error::Refused { .. }) => Some(format!("{instance_id} is not ended: {error}")),
        Ok(End::Asked) if waited > ALARM_AFTER => Some(format!(
            "the cloud has not ended {instance_id} since it was told to"
        )),
        Ok(_) | Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operators_are_told_of_a_refusal_at_once_and_of_silence_after_a_quarter_of_an_hour() {
        let refused = || cloud::Error::Refused {
            code: "OperationNotPermitted".to_owned(),
            message: "termination protection".to_owned(),
        };
        let unclear = || cloud::Error::Unclear {
            what: "it did not answer in time".to_owned(),
        };
        let refusal = "i-1 is not ended: the cloud refuses: OperationNotPermitted: termination protection";
        let silence = "the cloud has not ended i-1 since it was told to";
        for (asked, seconds, expected) in [
            (Ok(End::Asked), 0, None),
            (Ok(End::Asked), 900, None),
            (Ok(End::Asked), 901, Some(silence)),
            (Ok(End::Over), 901, None),
            (Err(refused()), 0, Some(refusal)),
            (Err(refused()), 5000, Some(refusal)),
            // That a cloud does not answer is told of the cloud.
            (Err(unclear()), 5000, None),
        ] {
            let told = alarm(&asked, "i-1", Duration::from_secs(seconds));
            assert_eq!(told.as_deref(), expected, "{asked:?} after {seconds} s");
        }
    }

    #[test]
    fn the_end_of_a_console_is_told_in_one_line_that_moves_no_terminal() {
        let many: String = (1..=30).map(|number| format!("line {number}\r\n")).collect();
        let last = last_lines(&many);
        assert!(last.starts_with("line 11 | line 12 | "), "{last}");
        assert!(last.ends_with(" | line 30"), "{last}");
        for (console, expected) in [
            ("", ""),
            ("\n\n", ""),
            ("one", "one"),
            (
                "boot\u{1b}[31m failed\u{7}\nKernel panic\n\n",
                "boot[31m failed | Kernel panic",
            ),
            ("a\tb\u{0}c\nd", "abc | d"),
        ] {
            assert_eq!(last_lines(console), expected, "{console:?}");
        }
    }
}
