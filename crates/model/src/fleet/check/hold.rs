//! What is wrong with how long builders may be held.

use super::{Contradiction, PoolSpec};
use crate::quantity::Span;

const SHORTEST_HOLD: Span = Span::seconds(1);
/// A machine that is held costs, and nobody looks at one for longer.
const LONGEST_HOLD: Span = Span::seconds(30 * 86_400);

/// What is wrong with the times of `hold`.
pub(super) fn of_pool(name: &str, pool: &PoolSpec, found: &mut Vec<Contradiction>) {
    let hold = &pool.hold;
    let at = |key| ["pools", name, "hold", key];
    for (key, value) in [("default", hold.default), ("max", hold.max)] {
        if !(SHORTEST_HOLD..=LONGEST_HOLD).contains(&value) {
            let words = format!("{value} is not from {SHORTEST_HOLD} to {LONGEST_HOLD}");
            return found.push(Contradiction::new(&at(key), words));
        }
    }
    if hold.default > hold.max {
        let words = format!("{} must not be above the max of {}", hold.default, hold.max);
        found.push(Contradiction::new(&at("default"), words).beside(&at("max")));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_default_of_a_hold_is_within_its_longest_and_that_within_a_month() {
        for (hold, expected) in [
            (json!({}), None),
            (json!({"default": "1s", "max": "1s", "limit": 0}), None),
            (json!({"default": "30d", "max": "30d"}), None),
            (
                json!({"default": "2h", "max": "1h"}),
                Some("pools.x.hold.default: 2h must not be above the max of 1h"),
            ),
            (
                json!({"max": "30m"}),
                Some("pools.x.hold.default: 1h must not be above the max of 30m"),
            ),
            (
                json!({"default": "500ms"}),
                Some("pools.x.hold.default: 500ms is not from 1s to 30d"),
            ),
            (
                json!({"max": "31d"}),
                Some("pools.x.hold.max: 31d is not from 1s to 30d"),
            ),
        ] {
            let pool: PoolSpec = serde_json::from_value(json!({
                "labels": ["arch:x86_64"], "image": "i", "provision": "p", "offerings": [{"types": ["t"]}],
                "size": {"max": 1}, "hold": hold,
            }))
            .unwrap();
            let mut found = Vec::new();
            of_pool("x", &pool, &mut found);
            let found: Vec<String> = found.iter().map(ToString::to_string).collect();
            assert_eq!(found.first().map(String::as_str), expected, "{hold}");
            assert_eq!(found.len(), usize::from(expected.is_some()), "{hold}");
        }
    }
}
