//! What is wrong with the hooks of a fleet file.

use crate::{
    fleet::{FleetSpec, HookPoint, HookSpec, LONGEST_WAIT},
    quantity::Span,
};

use super::{Contradiction, unknown};

/// For how long one try may go on. In less no program starts on a busy machine; what takes longer is no matter of one builder.
const SHORTEST_TRY: Span = Span::seconds(1);
const LONGEST_TRY: Span = Span::seconds(300);
/// How often a hook may be tried.
const MOST_TRIES: u32 = 100;

/// What is wrong with them, in the order of a builder's life.
pub(super) fn in_fleet(fleet: &FleetSpec, found: &mut Vec<Contradiction>) {
    for point in HookPoint::ALL {
        for (index, hook) in fleet.hooks.at(point).iter().enumerate() {
            let index = index.to_string();
            let at = ["hooks", point.as_str(), &index];
            of_command(at, hook, found);
            of_limits(at, point, hook, found);
            of_pools(at, hook, fleet, found);
        }
    }
}

fn of_command([hooks, point, index]: [&str; 3], hook: &HookSpec, found: &mut Vec<Contradiction>) {
    let example = "such as /etc/verdigris/hooks/register";
    match hook.cmd.first() {
        None => {
            let words = format!("a program is needed, {example}");
            found.push(Contradiction::new(&[hooks, point, index, "cmd"], words));
        }
        Some(program) if !program.starts_with('/') || program.ends_with('/') => {
            let words = format!("`{program}` is not the whole path of a program, {example}");
            found.push(Contradiction::new(&[hooks, point, index, "cmd", "0"], words));
        }
        Some(_) => {}
    }
    for (number, word) in hook.cmd.iter().enumerate() {
        if word.contains('\0') {
            let path = [hooks, point, index, "cmd", &number.to_string()];
            found.push(Contradiction::new(
                &path,
                "it holds a NUL character, which ends a word",
            ));
        }
    }
}

fn of_limits(
    [hooks, point, index]: [&str; 3],
    of: HookPoint,
    hook: &HookSpec,
    found: &mut Vec<Contradiction>,
) {
    let (most, why) = match of {
        HookPoint::BeforeTerminate => (
            LONGEST_WAIT,
            ": a machine that is to end waits for no hook any longer",
        ),
        _ => (LONGEST_TRY, ""),
    };
    if !(SHORTEST_TRY..=most).contains(&hook.timeout) {
        let words = format!("{} is not from {SHORTEST_TRY} to {most}{why}", hook.timeout);
        found.push(Contradiction::new(&[hooks, point, index, "timeout"], words));
    }
    if !(1..=MOST_TRIES).contains(&hook.attempts) {
        let words = format!("{} is not from 1 to {MOST_TRIES}", hook.attempts);
        found.push(Contradiction::new(&[hooks, point, index, "attempts"], words));
    }
    if hook.skip_if.is_some() && of != HookPoint::BeforeTerminate {
        let words =
            "only hooks of `before_terminate` are left out: there may be no machine to reach at other times";
        found.push(Contradiction::new(&[hooks, point, index, "skip_if"], words));
    }
}

fn of_pools(
    [hooks, point, index]: [&str; 3],
    hook: &HookSpec,
    fleet: &FleetSpec,
    found: &mut Vec<Contradiction>,
) {
    let known: Vec<String> = fleet.pools.keys().map(ToString::to_string).collect();
    for (number, pool) in hook.pools.iter().enumerate() {
        let path = [hooks, point, index, "pools", &number.to_string()];
        let unknown = unknown(&path, "pool", pool.as_str(), known.iter());
        found.extend(unknown.map(|it| it.beside(&["pools"])));
    }
}

#[cfg(test)]
mod tests {
    use super::FleetSpec;

    fn found(point: &str, hook: &str) -> Vec<String> {
        let hook: serde_json::Value = serde_json::from_str(hook).unwrap();
        let spec: FleetSpec = serde_json::from_value(serde_json::json!({
            "schema": 1, "fleet": "019ac1f0-0000-7000-8000-000000000000", "name": "test", "provision": {"p": {}},
            "pools": {"rack": {
                "labels": ["arch:x86_64"], "provision": "p", "size": {"max": 1},
                "hosts": [{"name": "rack-1", "address": "192.0.2.1"}],
            }},
            "hooks": {point: [{"cmd": ["/bin/true"]}, hook]},
        }))
        .unwrap();
        spec.contradictions().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_can_be_run_is_right() {
        for (point, hook) in [
            ("before_spawn", r#"{"cmd": ["/a"]}"#),
            ("after_ready", r#"{"cmd": ["/a", "", "b c"], "pools": ["rack"]}"#),
            (
                "after_terminate",
                r#"{"cmd": ["/a"], "timeout": "5m", "attempts": 100}"#,
            ),
            (
                "after_spawn",
                r#"{"cmd": ["/a"], "timeout": "1s", "attempts": 1}"#,
            ),
            (
                "before_terminate",
                r#"{"cmd": ["/a"], "timeout": "30s", "skip_if": "unreachable"}"#,
            ),
        ] {
            assert_eq!(found(point, hook), Vec::<String>::new(), "{point} {hook}");
        }
    }

    #[test]
    fn what_can_never_be_run_is_told_with_its_place() {
        for (point, hook, words) in [
            (
                "after_ready",
                r#"{"cmd": []}"#,
                "hooks.after_ready[1].cmd: a program is needed, such as /etc/verdigris/hooks/register",
            ),
            (
                "after_spawn",
                r#"{"cmd": ["register", "-v"]}"#,
                "hooks.after_spawn[1].cmd[0]: `register` is not the whole path of a program, such as \
                 /etc/verdigris/hooks/register",
            ),
            (
                "after_spawn",
                r#"{"cmd": ["/etc/"]}"#,
                "hooks.after_spawn[1].cmd[0]: `/etc/` is not the whole path of a program, such as \
                 /etc/verdigris/hooks/register",
            ),
            (
                "after_spawn",
                r#"{"cmd": ["/a", "b\u0000"]}"#,
                "hooks.after_spawn[1].cmd[1]: it holds a NUL character, which ends a word",
            ),
            (
                "before_spawn",
                r#"{"cmd": ["/a"], "timeout": "999ms"}"#,
                "hooks.before_spawn[1].timeout: 999ms is not from 1s to 5m",
            ),
            (
                "after_terminate",
                r#"{"cmd": ["/a"], "timeout": "301s"}"#,
                "hooks.after_terminate[1].timeout: 301s is not from 1s to 5m",
            ),
            (
                "before_terminate",
                r#"{"cmd": ["/a"], "timeout": "31s"}"#,
                "hooks.before_terminate[1].timeout: 31s is not from 1s to 30s: a machine that is to end waits for no hook \
                 any longer",
            ),
            (
                "after_ready",
                r#"{"cmd": ["/a"], "attempts": 0}"#,
                "hooks.after_ready[1].attempts: 0 is not from 1 to 100",
            ),
            (
                "after_ready",
                r#"{"cmd": ["/a"], "attempts": 101}"#,
                "hooks.after_ready[1].attempts: 101 is not from 1 to 100",
            ),
            (
                "after_terminate",
                r#"{"cmd": ["/a"], "skip_if": "unreachable"}"#,
                "hooks.after_terminate[1].skip_if: only hooks of `before_terminate` are left out: there may be no machine \
                 to reach at other times",
            ),
            (
                "after_ready",
                r#"{"cmd": ["/a"], "pools": ["rack", "rakc"]}"#,
                "hooks.after_ready[1].pools[1]: there is no pool `rakc`, did you mean `rack`? There is `rack`",
            ),
        ] {
            assert_eq!(found(point, hook), [words], "{point} {hook}");
        }
    }
}
