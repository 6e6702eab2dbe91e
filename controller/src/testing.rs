//! What tests of several parts begin with.

use model::{BuilderId, BuilderState, Timestamp};
use store::Builder;
use uuid::Uuid;

pub(crate) const NOW: Timestamp = Timestamp::from_micros(1_800_000_000_000_000);

/// A builder of pool `x86` in cloud `aws` that came to its state just now. It has an instance, and no address and no keys.
pub(crate) fn builder(state: BuilderState) -> Builder {
    Builder {
        id: BuilderId(Uuid::from_u128(1)),
        pool: "x86".parse().unwrap(),
        state,
        version: 1,
        cloud: "aws".to_owned(),
        instance_id: Some("i-1".to_owned()),
        address: None,
        port: 22,
        host_key: None,
        host_key_secret: None,
        host_key_is_given: false,
        host_key_next: None,
        image: "ami-1".to_owned(),
        spec_hash: String::new(),
        cordoned: false,
        reason: None,
        entered_at: NOW,
        deadline: None,
        created_at: NOW,
        ready_at: None,
        launch: None,
        launches: 0,
        refusals: 0,
        postponements: 0,
        sandbox: None,
        uses: 0,
        baseline: None,
        refusal: None,
        mark: None,
        host: None,
        adopted: None,
    }
}
