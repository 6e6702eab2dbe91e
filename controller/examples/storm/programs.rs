//! The programs of hooks, as a controller of the farm runs them. One whose controller is killed runs on without it.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use controller::{HookRunner, Order, Tried};
use model::hook::End;
use runtime::clock::Clock;
use sim::{Fault, Rule};

use crate::{
    gate::Gate,
    outside::{All, Outside},
    tries::Told,
};

/// How long a program takes that hangs and that nobody ends.
const HANGS: Duration = Duration::from_secs(1800);
/// What a program ends with that wants to be tried again.
const TRY_AGAIN: i32 = 75;

/// The way of one program of the farm to those of its hooks.
pub(crate) struct Programs {
    pub(crate) outside: Arc<Outside>,
    pub(crate) gate: Arc<Gate>,
}

impl std::fmt::Debug for Programs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Programs")
    }
}

/// One that runs. It is ended when nobody waits for it any more.
struct Running {
    outside: Arc<Outside>,
    gate: Arc<Gate>,
    number: u64,
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.gate.is_killed() {
            self.outside.with(|all| all.tries.end(self.number, None));
        }
    }
}

/// What a try will be like.
struct Fate {
    takes: Duration,
    end: End,
    /// Whether its controller is killed while it runs.
    is_fatal: bool,
}

fn fate(all: &mut All) -> Fate {
    let luck = &mut all.luck;
    // What is too slow for its limit has failed as well: nothing is, once it is calm.
    let (takes, end) = if luck.strikes(Fault::HookHangs) {
        (HANGS, End::Exit(0))
    } else if luck.strikes(Fault::HookNotRun) {
        let why = "there is no such program".to_owned();
        (Duration::ZERO, End::NotRun(why))
    } else {
        let takes = luck.millis(20, if luck.is_calm() { 900 } else { 4000 });
        let code = if luck.strikes(Fault::HookFails) {
            1
        } else if luck.strikes(Fault::HookAgain) {
            TRY_AGAIN
        } else {
            0
        };
        (takes, End::Exit(code))
    };
    Fate {
        takes,
        end,
        is_fatal: luck.strikes(Fault::KilledInHook),
    }
}

impl Programs {
    /// A try begins; its number and what it will be like.
    fn begin(&self, order: &Order) -> Result<(Running, Fate), String> {
        let told: Told = serde_json::from_str(&order.input).map_err(|error| error.to_string())?;
        let mut environment = order.environment.iter();
        let key = environment.find(|(name, _)| *name == "VERDIGRIS_ATTEMPT");
        let key = key.map_or("", |(_, key)| key);
        self.outside.with(|all| {
            all.tell(|| format!("a hook runs for {} s at most: {told}", order.limit.as_secs()));
            let (number, mistake) = all.tries.begin(told, (key, order.limit), self.gate.life());
            if let Some(words) = mistake {
                all.violate(Rule::Hook, words);
            }
            let running = Running {
                outside: Arc::clone(&self.outside),
                gate: Arc::clone(&self.gate),
                number,
            };
            Ok((running, fate(all)))
        })
    }
}

#[async_trait]
impl HookRunner for Programs {
    async fn run(&self, order: &Order, clock: &Clock) -> Tried {
        self.gate.passed().await;
        let (running, fate) = match self.begin(order) {
            Ok(begun) => begun,
            Err(words) => {
                let words = format!("a hook is told what is not understood: {words}: {}", order.input);
                self.outside.with(|all| all.violate(Rule::Hook, words.clone()));
                return Tried {
                    end: End::NotRun(words),
                    tail: String::new(),
                };
            }
        };
        let (over, end) = match fate.takes > order.limit {
            true => (order.limit, End::Late(order.limit)),
            false => (fate.takes, fate.end),
        };
        if fate.is_fatal {
            clock.sleep(over / 2).await;
            if !self.outside.with(|all| all.luck.is_calm()) {
                self.gate.kill();
            }
        }
        clock.sleep(over).await;
        self.gate.passed().await;
        self.outside.with(|all| {
            all.tell(|| format!("a hook ends: {end}"));
            all.tries.end(running.number, Some(&end));
        });
        Tried {
            end,
            tail: "the simulation has said this".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use model::Timestamp;
    use runtime::clock::ManualClock;

    use super::*;

    const INPUT: &str = r#"{"hook": "after_ready", "run": "7", "attempt": 1, "attempts": 2,
        "builder": "bdr_00000000000000000000000000000001", "state": "ready", "pool": "x"}"#;

    fn order(input: &str, seconds: u64) -> Order {
        Order {
            command: vec!["/hook".to_owned()],
            environment: vec![("VERDIGRIS_ATTEMPT", "7-1".to_owned())],
            input: input.to_owned(),
            limit: Duration::from_secs(seconds),
        }
    }

    /// A hook that begins, and time that passes until it ends, or is over in vain.
    async fn run(input: &str, fault: Option<Fault>) -> (Arc<Outside>, Option<Tried>) {
        let outside = Outside::new(3, None, false);
        outside.with(|all| match fault {
            Some(fault) => all.luck = sim::luck::Luck::once(fault, 0),
            None => all.luck.calm_down(),
        });
        let manual = ManualClock::new(Timestamp::from_micros(0));
        let clock = Clock::Manual(manual.clone());
        let gate = Gate::new(&outside, clock.clone());
        let programs = Programs {
            outside: Arc::clone(&outside),
            gate: Arc::clone(&gate),
        };
        let order = order(input, 20);
        let running = tokio::spawn(async move { programs.run(&order, &clock).await });
        for _ in 0..100 {
            for _ in 0..20 {
                tokio::task::yield_now().await;
            }
            if gate.is_killed() {
                break;
            }
            manual.advance(Duration::from_secs(1));
        }
        let is_finished = running.is_finished();
        running.abort();
        (outside, running.await.ok().filter(|_| is_finished))
    }

    #[tokio::test]
    async fn programs_end_as_chance_wants_it_and_one_whose_controller_is_killed_runs_on() {
        let builder = "bdr_00000000000000000000000000000001".parse().unwrap();
        let late = End::Late(Duration::from_secs(20));
        for (fault, expected) in [
            (None, Some(End::Exit(0))),
            (Some(Fault::HookFails), Some(End::Exit(1))),
            (Some(Fault::HookAgain), Some(End::Exit(75))),
            (Some(Fault::HookHangs), Some(late)),
            (Some(Fault::KilledInHook), None),
        ] {
            let (outside, tried) = run(INPUT, fault).await;
            assert_eq!(tried.map(|it| it.end), expected, "{fault:?}");
            let life = 1;
            let is_left = outside.with(|all| all.tries.running(builder, life)).is_some();
            assert_eq!(is_left, fault == Some(Fault::KilledInHook), "{fault:?}");
            assert!(outside.with(|all| all.violation.is_none()));
        }
        let (_, tried) = run(INPUT, Some(Fault::HookNotRun)).await;
        assert!(matches!(tried.unwrap().end, End::NotRun(_)));
    }

    #[tokio::test]
    async fn a_hook_that_is_told_something_else_breaks_a_rule() {
        for (input, words) in [
            ("{}", "a hook is told what is not understood: missing field"),
            (
                INPUT.replace("\"attempt\": 1", "\"attempt\": 2").as_str(),
                "is tried under number 2 of 2 after 0",
            ),
        ] {
            let (outside, _) = run(input, None).await;
            let broken = outside.with(|all| all.violation.clone()).unwrap();
            assert_eq!(broken.rule, Rule::Hook);
            assert!(broken.words.contains(words), "{}", broken.words);
        }
    }
}
