//! Hooks of a controller beside which another one leads for a moment.

use store::HookEnd;

use super::*;

#[tokio::test]
async fn a_program_is_ended_when_another_controller_has_written_down_that_its_time_was_over() {
    let (mut farm, programs) = farm(1, "  after_ready: [{cmd: [/slow], timeout: 5m}]\n").await;
    programs.set("/slow", Does::Hangs);
    farm.until_ready(1).await;
    let id = farm.builders().await[0].id;
    assert_eq!(farm.controller.hooks.under_way(), 1);
    // Seed 18 of `cargo xtask sim --real`: the other one's clock was fast. It ended the machine's life and the hook's, and this one asked
    // for the machine's end while the program still ran.
    let run = farm.runs(id).await.remove(0);
    let end = HookEnd {
        state: HookState::Late,
        due_at: None,
        outcome: "its time was over".to_owned(),
        tail: None,
    };
    let store = &farm.controller.context.store;
    store.end_hook(&farm.lease, &run, &end, NOW).await.unwrap();
    farm.settle().await;
    assert_eq!(farm.controller.hooks.under_way(), 0);
    assert_eq!(farm.hook_states(id).await, [HookState::Late]);
    assert_eq!(programs.ran_of("/slow").len(), 1, "it is not begun again");
}
