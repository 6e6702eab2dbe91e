use proptest::prelude::*;

use super::*;

const NOW: Timestamp = Timestamp::from_micros(1_800_000_000_000_000);

fn after(milliseconds: u64) -> Timestamp {
    NOW.plus(Duration::from_millis(milliseconds))
}

fn decimal(text: &str) -> Decimal {
    text.parse().unwrap()
}

/// How long somebody waits, in milliseconds, who makes so many calls as fast as a bucket gives them.
fn fastest(bucket: Bucket, calls: u32) -> u64 {
    let (mut level, mut now) = (Level::full(bucket, NOW), NOW);
    for _ in 0..calls {
        loop {
            match level.take(bucket, (1, 0), now) {
                Ok((left, 1)) => {
                    level = left;
                    break;
                }
                Ok((_, taken)) => panic!("{taken} calls instead of one"),
                Err(wait) => now = now.plus(wait),
            }
        }
    }
    u64::try_from(now.since(NOW).as_millis()).unwrap()
}

#[test]
fn each_documented_bucket_gives_its_burst_and_then_its_rate() {
    use CallClass as C;
    for (class, calls, seconds) in [
        // A farm of Copr's size: 5 at once, then 2 a second.
        (C::Launch, 5, 0),
        (C::Launch, 419, 207),
        // An end for each machine by itself.
        (C::Terminate, 100, 0),
        (C::Terminate, 10_000, 1980),
        (C::Tag, 200, 10),
        (C::Change, 50, 0),
        (C::Change, 100, 10),
        // One description for each of 10,000 machines: no way to look after them.
        (C::Read, 100, 0),
        (C::Read, 10_000, 495),
    ] {
        assert_eq!(
            fastest(class.documented(), calls),
            seconds * 1000,
            "{class} × {calls}"
        );
        assert_eq!(class.as_str().parse::<CallClass>().ok(), Some(class));
    }
}

#[test]
fn a_share_is_of_the_burst_and_of_the_rate_and_holds_one_call_at_least() {
    for (share, calls, milliseconds) in [
        ("1", 7, 1000),
        ("0.7", 3, 0),
        // The half call that is left of the burst of 3.5 is a part of the next one.
        ("0.7", 4, 357),
        ("0.7", 1000, 711_785),
        ("0.1", 1, 0),
        ("0.1", 2, 5000),
        ("0.01", 2, 50_000),
    ] {
        let bucket = CallClass::Launch.documented().share(decimal(share));
        assert_eq!(fastest(bucket, calls), milliseconds, "{share} × {calls}");
    }
    let own = Bucket::of_rate(decimal("0.5"));
    assert_eq!(
        (fastest(own, 2), fastest(own, 3)),
        (0, 1000),
        "five seconds' worth at once"
    );
    assert_eq!(
        Bucket::of_rate(decimal("0.01")).share(decimal("1")),
        Bucket::of_rate(decimal("0.01"))
    );
}

#[test]
fn where_a_cloud_counts_machines_as_well_the_calls_run_out_first() {
    let (mut calls, mut machines) = (
        Level::full(CallClass::Launch.documented(), NOW),
        Level::full(Bucket::of_calls(1000, 2), NOW),
    );
    let mut now = NOW;
    for _ in 0..20_000 {
        if let Err(wait) = calls.take(CallClass::Launch.documented(), (1, 0), now) {
            now = now.plus(wait);
        }
        (calls, _) = calls.take(CallClass::Launch.documented(), (1, 0), now).unwrap();
        let taken = machines.take(Bucket::of_calls(1000, 2), (1, 0), now);
        (machines, _) = taken.expect("machines are left wherever a call was");
    }
}

#[test]
fn a_refusal_empties_the_bucket_and_halves_the_rate_which_creeps_back() {
    let bucket = CallClass::Launch.documented();
    let level = Level::full(bucket, NOW).slowed(bucket, NOW.minus(Duration::from_millis(3)), NOW);
    assert_eq!(level.tokens, 0);
    for (milliseconds, rate, tokens) in [
        (0, "1", 0),
        (1000, "1.003332", 1_001_666),
        (3000, "1.01", 3_015_000),
        // Full, and still slower than it is when the cloud has asked for nothing for so long.
        (60_000, "1.2", 5_000_000),
        (150_000, "1.5", 5_000_000),
        (299_000, "1.996666", 5_000_000),
        (300_000, "2", 5_000_000),
        (9_000_000, "2", 5_000_000),
    ] {
        let then = after(milliseconds);
        assert_eq!(level.rate(bucket, then), decimal(rate), "{milliseconds}");
        assert_eq!(level.at(bucket, then).tokens, tokens, "{milliseconds}");
        let is_slow = (milliseconds < 300_000).then_some(NOW);
        assert_eq!(level.slowed_since(then), is_slow, "{milliseconds}");
    }
    // However often it is looked at, as much comes back, but for what is rounded.
    let large = Bucket::of_calls(10_000, 2);
    let mut often = level;
    for second in 1..=400 {
        often = often.at(large, after(second * 1000));
    }
    let once = level.at(large, after(400_000)).tokens;
    assert_eq!(
        once, 650_000_000,
        "300 s at three quarters of the rate, and 100 s at all of it"
    );
    assert!((once - often.tokens).abs() < 1000, "{often:?}");
}

#[test]
fn many_refusals_at_once_are_one_and_one_that_comes_after_it_halves_again_down_to_a_sixteenth() {
    let bucket = CallClass::Launch.documented();
    let mut level = Level::full(bucket, NOW);
    // 500 calls went out together; the answers come one after the other.
    for number in 0..500 {
        level = level.slowed(bucket, NOW, after(100 + number));
    }
    assert_eq!(
        (level.rate(bucket, after(100)), level.slowed_at),
        (decimal("1"), Some(after(100)))
    );
    let mut rates = Vec::new();
    for number in 1..=6 {
        let asked = after(100 + number * 10);
        level = level.slowed(bucket, asked, asked);
        rates.push(level.rate(bucket, asked).to_two_digits().to_string());
    }
    assert_eq!(rates, ["0.5", "0.25", "0.12", "0.12", "0.12", "0.12"]);
    assert_eq!(
        level.wait(bucket, after(160)).as_secs(),
        8,
        "and still something is asked"
    );
}

#[test]
fn what_is_taken_ahead_is_never_more_than_is_left_and_a_large_wish_is_lent() {
    let bucket = CallClass::Read.documented();
    let full = Level::full(bucket, NOW);
    for (tokens, wish, taken) in [
        (100, (1, 10), Some(11)),
        (11, (1, 10), Some(11)),
        (4, (1, 10), Some(4)),
        (1, (1, 10), Some(1)),
        (0, (1, 10), None),
        (3, (4, 0), None),
        // More than it ever holds: only where it is full.
        (100, (150, 10), Some(150)),
        (99, (150, 0), None),
    ] {
        let level = Level {
            tokens: tokens * 1_000_000,
            ..full
        };
        let found = level.take(bucket, wish, NOW);
        assert_eq!(found.map(|(_, taken)| taken).ok(), taken, "{tokens} {wish:?}");
        if let Ok((left, taken)) = found {
            assert_eq!(left.tokens, level.tokens - tokens_of(taken));
        }
    }
    let (lent, _) = full.take(bucket, (150, 0), NOW).unwrap();
    assert_eq!(
        lent.wait(bucket, NOW),
        Duration::from_millis(2550),
        "50 that were lent, and the next one"
    );
    assert_eq!(full.charge(bucket, 120, NOW).tokens, -20_000_000);
}

#[test]
fn a_bucket_for_those_who_keep_some_holds_less_by_what_they_may_keep() {
    for (bucket, ahead, burst) in [
        (CallClass::Read.documented(), 10, 80),
        (CallClass::Read.documented().share(decimal("0.7")), 7, 56),
        (Bucket::of_rate(decimal("2")), 1, 8),
        // Too little to keep any.
        (Bucket::of_rate(decimal("1.5")), 0, 7),
        (Bucket::of_rate(decimal("0.1")), 0, 1),
    ] {
        let kept = bucket.for_keepers();
        assert_eq!((kept.ahead(), fastest(kept, burst)), (ahead, 0), "{bucket:?}");
        assert!(fastest(kept, burst + 1) > 0, "{bucket:?}");
    }
}

#[test]
fn clocks_that_differ_neither_give_calls_away_nor_stop_them() {
    let bucket = CallClass::Launch.documented();
    let empty = Level {
        tokens: 0,
        ..Level::full(bucket, after(5000))
    };
    // Behind by a little: it waits for the other's clock, and takes no time twice.
    let behind = empty.at(bucket, after(1000));
    assert_eq!((behind.tokens, behind.at), (0, after(5000)));
    assert_eq!(behind.at(bucket, after(6000)).tokens, 2_000_000);
    // An hour ahead is a clock that was wrong.
    let ahead = Level {
        at: after(3_600_000),
        slowed_at: Some(after(3_600_000)),
        pace: WHOLE / 2,
        ..empty
    };
    let now = ahead.at(bucket, NOW);
    assert_eq!((now.tokens, now.at, now.slowed_at), (0, NOW, Some(NOW)));
    assert_eq!(now.at(bucket, after(600_000)).tokens, 5_000_000);
}

#[test]
fn what_holds_launches_back_is_told_with_the_rate_of_the_moment() {
    let bucket = CallClass::Launch.documented().share(decimal("0.7"));
    let full = Level::full(bucket, NOW);
    let told = LaunchCalls::of("aws", bucket, &full, NOW);
    assert_eq!(
        (told.wait, told.slowed_since, told.per_second),
        (Duration::ZERO, None, decimal("1.4"))
    );
    let slowed = full.slowed(bucket, NOW, NOW);
    let told = LaunchCalls::of("aws", bucket, &slowed, after(60_000));
    assert_eq!(
        (told.wait, told.slowed_since, told.per_second),
        (Duration::ZERO, Some(NOW), decimal("0.84"))
    );
}

proptest! {
    /// Whoever takes, whenever: in no stretch of time are more taken than the bucket holds and gets in that time.
    #[test]
    fn no_stretch_of_time_has_more_calls_than_it_may(
        steps in prop::collection::vec((0_u64..3000, 1_u32..4, 0_u32..4, any::<bool>()), 1..80),
    ) {
        let bucket = Bucket::of_calls(10, 2);
        let (mut level, mut now) = (Level::full(bucket, NOW), NOW);
        let mut taken: Vec<(Timestamp, u32)> = Vec::new();
        for (pause, cost, ahead, is_slowed) in steps {
            now = now.plus(Duration::from_millis(pause));
            if is_slowed && pause % 7 == 0 {
                level = level.slowed(bucket, now, now);
            }
            if let Ok((left, count)) = level.take(bucket, (cost, ahead), now) {
                level = left;
                taken.push((now, count));
            }
        }
        for (begin, (since, _)) in taken.iter().enumerate() {
            let mut sum = 0;
            for (until, count) in &taken[begin..] {
                sum += u64::from(*count);
                let may = 10_000_000 + micros(until.since(*since)) * 2;
                prop_assert!(sum * 1_000_000 <= may, "{sum} in {:?}", until.since(*since));
            }
        }
    }
}
