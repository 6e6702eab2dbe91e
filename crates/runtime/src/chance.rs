//! What is left to chance in the farm's processes: ids, and how far pauses are spread. A simulation has both come from its seed, so
//! that the same seed shows the same again.

use std::{
    cell::Cell,
    time::{SystemTime, UNIX_EPOCH},
};

use uuid::Uuid;

thread_local! {
    /// The state of the numbers of this thread's simulation, and how many ids it has made; `None` where there is none.
    static SIMULATED: Cell<Option<(u64, u64)>> = const { Cell::new(None) };
}

/// From now on all that is left to chance on this thread comes from a seed. For simulations only: such ids are not unique.
pub fn come_from(seed: u64) {
    SIMULATED.set(Some((seed, 0)));
}

/// A new id, whose order is that of its making (UUID version 7).
#[must_use]
pub fn new_id() -> Uuid {
    let Some((state, made)) = SIMULATED.get() else {
        return Uuid::now_v7();
    };
    SIMULATED.set(Some((state, made.wrapping_add(1))));
    let mut bytes = [0; 10];
    let (_, last) = bytes.split_at_mut(2);
    last.copy_from_slice(&lot().to_be_bytes());
    uuid::Builder::from_unix_timestamp_millis(made, &bytes).into_uuid()
}

/// A number that nobody knows before.
pub(crate) fn lot() -> u64 {
    let Some((state, made)) = SIMULATED.get() else {
        // The low bits of the clock are random enough to spread sleepers.
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        return u64::from(now.unwrap_or_default().subsec_nanos());
    };
    // SplitMix64.
    let state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    SIMULATED.set(Some((state, made)));
    let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some() -> (Vec<Uuid>, Vec<u64>) {
        let ids = (0..300).map(|_| new_id()).collect();
        (ids, (0..5).map(|_| lot()).collect())
    }

    #[test]
    fn ids_are_in_the_order_of_their_making_and_of_version_7_whatever_they_come_from() {
        let own = some().0;
        let simulated = std::thread::spawn(|| {
            come_from(7);
            some().0
        });
        for ids in [own, simulated.join().unwrap()] {
            assert!(ids.is_sorted(), "{ids:?}");
            assert!(ids.windows(2).all(|two| two[0] != two[1]));
            assert!(ids.iter().all(|id| id.get_version_num() == 7));
            let last: std::collections::BTreeSet<u8> = ids.iter().map(|id| id.into_bytes()[15]).collect();
            assert!(last.len() > 100, "their last bytes differ: {}", last.len());
        }
    }

    #[test]
    fn a_seed_gives_the_same_again_on_its_thread_alone() {
        let of = |seed| {
            let thread = std::thread::spawn(move || {
                come_from(seed);
                some()
            });
            thread.join().unwrap()
        };
        assert_eq!(of(7), of(7));
        assert_ne!(of(7), of(8));
        let (here, there) = (some(), some());
        assert_ne!(here.0, there.0, "no simulation is on this thread");
    }
}
