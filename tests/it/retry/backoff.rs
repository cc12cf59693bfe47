//! Schedules of waits: growth, cap, spread.

use std::collections::HashSet;
use std::time::Duration;

use latchwork::{
    RetryPolicy,
    retry::{Backoff, Jitter, VirtualClock},
};
use proptest::prelude::*;

use crate::retry::calls::TRANSIENT;

const JITTERS: [Jitter; 4] = [Jitter::None, Jitter::Full, Jitter::Equal, Jitter::Decorrelated];

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn duration() -> impl Strategy<Value = Duration> {
    prop_oneof![
        3 => (0..10_000_u64).prop_map(ms),
        2 => any::<u64>().prop_map(Duration::from_nanos),
        1 => (any::<u64>(), 0..1_000_000_000_u32).prop_map(|(secs, nanos)| Duration::new(secs, nanos)),
        1 => Just(Duration::ZERO),
        1 => Just(Duration::from_nanos(1)),
        1 => Just(Duration::MAX),
    ]
}

fn multiplier() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => (1..5_u32).prop_map(f64::from),
        2 => 1.1..3.0_f64,
        1 => (1..u32::MAX).prop_map(f64::from),
        1 => Just(f64::MAX),
    ]
}

fn retry() -> impl Strategy<Value = u32> {
    prop_oneof![4 => 0..80_u32, 2 => any::<u32>(), 1 => Just(u32::MAX), 1 => Just(u32::MAX - 1)]
}

#[derive(Clone, Copy, Debug)]
struct Words {
    base: Duration,
    cap: Duration,
    multiplier: f64,
}

fn words() -> impl Strategy<Value = Words> {
    (duration(), duration(), multiplier()).prop_map(|(base, cap, multiplier)| Words { base, cap, multiplier })
}

impl Words {
    fn backoff(self, jitter: Jitter) -> Backoff {
        let backoff = Backoff::new().base_delay(self.base).max_delay(self.cap);
        backoff.multiplier(self.multiplier).jitter(jitter)
    }

    fn base(self) -> u128 {
        self.base.as_nanos().min(LONGEST)
    }

    fn cap(self) -> u128 {
        self.cap.as_nanos().min(LONGEST)
    }

    /// By multiplying as often as there are retries before, or until it makes no difference any more.
    fn nominal(self, retry: u32) -> u128 {
        if self.is_whole() {
            let mut delay = self.base();
            for _ in 1..retry.min(200) {
                delay = delay.saturating_mul(self.multiplier as u128);
            }
            return delay.min(self.cap());
        }
        let mut delay = self.base() as f64;
        for _ in 1..retry.min(1_000) {
            delay *= self.multiplier;
        }
        (delay as u128).min(self.cap())
    }

    fn is_whole(self) -> bool {
        self.multiplier.fract() == 0.0
    }

    /// How far a delay may be off: fractions are rounded.
    fn error(self, retry: u32) -> u128 {
        if self.is_whole() { 0 } else { 1 + self.nominal(retry) / 1_000_000_000 }
    }
}

/// Waits are numbers of nanoseconds in 64 bits.
const LONGEST: u128 = u64::MAX as u128;

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_delay_is_the_base_times_the_multiplier_for_each_retry_before_and_capped(
        words in words(),
        retry in retry(),
    ) {
        let delay = words.backoff(Jitter::None).nominal(retry).as_nanos();
        prop_assert!(delay.abs_diff(words.nominal(retry)) <= words.error(retry));
    }

    #[test]
    fn a_delay_never_falls(words in words(), one in retry(), other in retry()) {
        let backoff = words.backoff(Jitter::None);
        prop_assert!(backoff.nominal(one.min(other)) <= backoff.nominal(one.max(other)));
    }

    #[test]
    fn without_jitter_each_wait_is_the_delay(words in words()) {
        for (wait, retry) in words.backoff(Jitter::None).zip(1..100) {
            prop_assert!(wait.as_nanos().abs_diff(words.nominal(retry)) <= words.error(retry));
        }
    }

    #[test]
    fn a_fully_spread_wait_is_at_most_the_delay(words in words(), seed: u64) {
        for (wait, retry) in words.backoff(Jitter::Full).seed(seed).zip(1..100) {
            prop_assert!(wait.as_nanos() <= words.nominal(retry) + words.error(retry));
        }
    }

    #[test]
    fn an_equally_spread_wait_is_at_least_half_the_delay(words in words(), seed: u64) {
        for (wait, retry) in words.backoff(Jitter::Equal).seed(seed).zip(1..100) {
            let (delay, error) = (words.nominal(retry), words.error(retry));
            let least = (delay / 2).saturating_sub(error);
            prop_assert!((least..=delay + error).contains(&wait.as_nanos()));
        }
    }

    #[test]
    fn a_decorrelated_wait_is_at_most_three_times_the_one_before(words in words(), seed: u64) {
        let base = words.base().min(words.cap().div_ceil(3));
        let mut before = base;
        for wait in words.backoff(Jitter::Decorrelated).seed(seed).take(100) {
            let wait = wait.as_nanos();
            let high = (3 * before.max(base)).min(words.cap());
            prop_assert!((base.min(high)..=high).contains(&wait));
            before = wait;
        }
    }

    #[test]
    fn the_same_seed_waits_as_long_again(words in words(), seed: u64) {
        for jitter in JITTERS {
            let waits = || words.backoff(jitter).seed(seed).take(50).collect::<Vec<_>>();
            prop_assert_eq!(waits(), waits());
        }
    }
}

/// Waits of those who have reached the cap, as a share of it.
fn shares_of_the_cap(jitter: Jitter, seed: u64) -> Vec<f64> {
    let backoff = Backoff::new().base_delay(ms(100)).max_delay(ms(5_000)).jitter(jitter).seed(seed);
    backoff.skip(20).take(1_000).map(|wait| wait.div_duration_f64(ms(5_000))).collect()
}

/// A cap that comes after the jitter would make nearly all of them the same.
#[test]
fn waits_are_spread_at_the_cap() {
    for seed in 0..20 {
        // The lowest wait, the middle of the range, and how many of a thousand are in its lesser half at least.
        for (jitter, low, few) in
            [(Jitter::Full, 0.0, 400), (Jitter::Equal, 0.5, 400), (Jitter::Decorrelated, 0.02, 150)]
        {
            let shares = shares_of_the_cap(jitter, seed);
            let distinct: HashSet<_> = shares.iter().map(|share| share.to_bits()).collect();
            assert!(distinct.len() > 990, "{jitter:?}: {} of a thousand are distinct", distinct.len());
            let middle = f64::midpoint(low, 1.0);
            let lower = shares.iter().filter(|share| **share < middle).count();
            assert!((few..=1_000 - few).contains(&lower), "{jitter:?}: {lower} are below the middle");
            let range = 1.0 - low;
            assert!(
                shares.iter().any(|share| *share < low + range / 20.0),
                "{jitter:?} leaves out the lowest"
            );
            assert!(
                shares.iter().any(|share| *share > 1.0 - range / 20.0),
                "{jitter:?} leaves out the highest"
            );
        }
        assert!(shares_of_the_cap(Jitter::None, seed).iter().all(|share| *share == 1.0));
    }
}

/// The range from the base to the cap was empty: all waited for exactly the cap.
#[test]
fn decorrelated_waits_are_spread_though_the_base_reaches_the_cap() {
    for (base, cap) in [(1_000, 1_000), (1_000, 300), (999, 1_000)] {
        for seed in 0..20 {
            let backoff = Backoff::new().base_delay(ms(base)).max_delay(ms(cap)).jitter(Jitter::Decorrelated);
            let waits: Vec<_> = backoff.seed(seed).take(100).collect();
            assert!(waits.iter().all(|wait| (ms(cap) / 3..=ms(cap)).contains(wait)));
            let distinct: HashSet<_> = waits.iter().collect();
            assert!(distinct.len() > 90, "{} of a hundred are distinct", distinct.len());
        }
    }
}

#[test]
fn both_ends_of_a_range_are_waited_for() {
    let spread = |jitter| {
        let backoff =
            Backoff::new().base_delay(Duration::from_nanos(4)).multiplier(1.0).jitter(jitter).seed(1);
        let waits: HashSet<_> = backoff.take(1_000).map(|wait| wait.as_nanos()).collect();
        let mut waits: Vec<_> = waits.into_iter().collect();
        waits.sort_unstable();
        waits
    };
    assert_eq!(spread(Jitter::Full), [0, 1, 2, 3, 4]);
    assert_eq!(spread(Jitter::Equal), [2, 3, 4]);
    assert_eq!(spread(Jitter::None), [4]);
}

#[test]
fn those_without_a_seed_do_not_wait_alike() {
    for jitter in [Jitter::Full, Jitter::Equal, Jitter::Decorrelated] {
        let waits = || Backoff::new().jitter(jitter).take(20).collect::<Vec<_>>();
        assert_ne!(waits(), waits());
    }
}

/// The waits of a call that never succeeds.
fn waits_of(policy: &RetryPolicy) -> Vec<Duration> {
    let clock = VirtualClock::new();
    let policy = policy.clone().clock(clock.clone());
    assert!(policy.run_blocking(|_| Err::<(), _>(TRANSIENT)).is_err());
    clock.waits()
}

#[test]
fn calls_do_not_wait_alike_though_they_share_a_policy() {
    for policy in [RetryPolicy::new(), RetryPolicy::new().seed(7)] {
        let policy = policy.max_attempts(20);
        assert_ne!(waits_of(&policy), waits_of(&policy));
        assert_ne!(waits_of(&policy), waits_of(&policy.clone()));
    }
}

#[test]
fn a_seeded_policy_waits_as_long_again_call_by_call() {
    for jitter in JITTERS {
        let calls = |seed| {
            let policy = RetryPolicy::new().jitter(jitter).max_attempts(20).seed(seed);
            [waits_of(&policy), waits_of(&policy), waits_of(&policy)]
        };
        assert_eq!(calls(7), calls(7));
        assert_eq!(calls(7) == calls(8), jitter == Jitter::None);
    }
}

#[test]
fn a_policy_waits_by_its_own_words() {
    let policy = RetryPolicy::new().base_delay(ms(3)).max_delay(ms(50)).multiplier(3.0).jitter(Jitter::None);
    assert_eq!(waits_of(&policy.max_attempts(6)), [3, 9, 27, 50, 50].map(ms));
    assert_eq!(waits_of(&RetryPolicy::new().jitter(Jitter::None)), [100, 200, 400].map(ms));
}
