//! Random policies and random outcomes, each call compared with the reference by every entry point.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use latchwork::{
    RetryPolicy,
    retry::{Budget, Classifier, Jitter, RetryCounts, RetryError, RetryStats, Retrying, VirtualClock},
    verdict::{RetryKind, Verdict},
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{TestCaseResult, TestRunner};

use crate::retry::calls::{ENTRIES, Entry, Fault, Left, TRANSIENT, leave};
use crate::retry::reference::{Bucket, Counted, End, Outcome, Reference, Rules, Step, Told, place, place_of};

/// Attempts in a script, at most.
const STEPS: usize = 7;
const CALLS: usize = 6;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

#[derive(Clone, Debug)]
struct Plan {
    rules: Rules,
    base: Duration,
    cap: Duration,
    multiplier: f64,
    jitter: Jitter,
    seed: u64,
    calls: Vec<Vec<Step>>,
}

fn kind() -> impl Strategy<Value = RetryKind> {
    prop_oneof![
        3 => Just(RetryKind::Transient),
        3 => Just(RetryKind::VersionConflict),
        2 => proptest::sample::select(RetryKind::ALL),
    ]
}

fn hint() -> impl Strategy<Value = Duration> {
    prop_oneof![3 => (0..400_u64).prop_map(ms), 1 => (0..20_000_u64).prop_map(ms)]
}

fn verdict() -> impl Strategy<Value = Verdict> {
    prop_oneof![
        1 => Just(Verdict::Stop),
        12 => kind().prop_map(Verdict::Retry),
        4 => (kind(), hint()).prop_map(|(kind, floor)| Verdict::RetryAfter(kind, floor)),
    ]
}

fn end() -> impl Strategy<Value = End> {
    prop_oneof![
        3 => Just(End::Ok),
        12 => verdict().prop_map(End::Fail),
        1 => verdict().prop_map(End::FailAndLeave),
        1 => Just(End::Leave),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let takes = prop_oneof![3 => Just(0), 2 => 0..300_u64, 1 => 0..3_000_u64].prop_map(ms);
    (takes, end()).prop_map(|(takes, end)| Step { takes, end })
}

fn bucket() -> impl Strategy<Value = Bucket> {
    let price = || prop_oneof![1 => Just(0), 3 => 0..8_u32];
    let prices =
        prop_oneof![2 => Just([0, 0, 1, 1, 14, 5, 14]), 1 => std::array::from_fn::<_, 7, _>(|_| price())];
    let capacity = prop_oneof![4 => 0..40_u32, 1 => Just(u32::MAX)];
    let earnings = prop_oneof![3 => Just(1), 1 => 0..20_u32];
    let refill = prop_oneof![1 => Just(0), 2 => 1..30_u32, 1 => Just(1_000_000_000)];
    (capacity, earnings, refill, prices).prop_map(|(capacity, earnings, refill, prices)| Bucket {
        capacity,
        earnings,
        refill,
        // A policy refuses a budget that can't pay one of its prices.
        prices: prices.map(|price: u32| price.min(capacity)),
    })
}

fn rules() -> impl Strategy<Value = Rules> {
    let attempts = prop_oneof![4 => 1..8_u32, 1 => Just(u32::MAX)];
    let deadline =
        proptest::option::of(prop_oneof![4 => (0..4_000_u64).prop_map(ms), 1 => Just(Duration::MAX)]);
    // Now and then a kind more, or a kind less, than by default.
    let turned = proptest::option::of(0..7_usize);
    let bucket = proptest::option::of(bucket());
    let max_hint = prop_oneof![3 => Just(ms(300_000)), 1 => (0..1_000_u64).prop_map(ms)];
    (attempts, deadline, max_hint, turned, bucket).prop_map(
        |(max_attempts, deadline, max_hint, turned, bucket)| {
            let mut retried = std::array::from_fn(|at| RetryKind::ALL[at] != RetryKind::UniqueViolation);
            if let Some(turned) = turned {
                retried[turned] = !retried[turned];
            }
            Rules { max_attempts, deadline, max_hint, retried, bucket }
        },
    )
}

fn plan() -> impl Strategy<Value = Plan> {
    let delays = (
        prop_oneof![4 => 0..300_u64, 1 => Just(0)],
        0..1_500_u64,
        proptest::sample::select(vec![1.0, 1.5, 2.0, 3.0, 4.0]),
    );
    let jitter =
        proptest::sample::select(vec![Jitter::None, Jitter::Full, Jitter::Equal, Jitter::Decorrelated]);
    let calls = vec(vec(step(), 0..=STEPS), 1..=CALLS);
    (rules(), delays, jitter, any::<u64>(), calls).prop_map(
        |(rules, (base, cap, multiplier), jitter, seed, calls)| Plan {
            rules,
            base: ms(base),
            cap: ms(cap),
            multiplier,
            jitter,
            seed,
            calls,
        },
    )
}

impl Plan {
    fn schedule(&self) -> RetryPolicy {
        let policy = RetryPolicy::new().base_delay(self.base).max_delay(self.cap).multiplier(self.multiplier);
        policy.jitter(self.jitter).seed(self.seed)
    }

    /// The waits of the n-th call that draws any, counted from 0, as far as they may come: those of a call that fails with
    /// the same errors, under a policy that retries everything.
    ///
    /// Each comes with the random number that spread it, if any did: that is a wait out of the longest range.
    fn draws(&self, nth: usize, script: &[Step]) -> Vec<(Duration, Option<u64>)> {
        let waits = Self::waits(self.schedule(), nth, script);
        if self.jitter == Jitter::None {
            return waits.into_iter().map(|wait| (wait, None)).collect();
        }
        let longest = Duration::from_nanos(u64::MAX);
        let full = self.schedule().base_delay(longest).max_delay(longest).jitter(Jitter::Full);
        let shares = Self::waits(full, nth, &[]).into_iter().map(|wait| Some(wait.as_nanos() as u64));
        waits.into_iter().zip(shares).collect()
    }

    fn waits(policy: RetryPolicy, nth: usize, script: &[Step]) -> Vec<Duration> {
        let told = RefCell::new(Vec::new());
        let policy = policy.max_attempts(STEPS as u32 + 1).max_hint(Duration::MAX);
        let policy = policy.retry_kind(RetryKind::UniqueViolation, true).clock(VirtualClock::new());
        let policy = policy.on_retry(|retry: &Retrying<'_, Fault>| {
            if let Fault(Verdict::RetryAfter(_, hint)) = retry.error {
                assert!(retry.wait >= *hint, "a wait of {:?} though the hint is {hint:?}", retry.wait);
            }
            told.borrow_mut().push(retry.wait);
        });
        // Those before it take their numbers, too.
        for _ in 0..nth {
            assert!(policy.clone().max_attempts(2).run_blocking(|_| Err::<(), _>(TRANSIENT)).is_err());
        }
        told.take();
        let call = policy.run_blocking(|attempt| {
            Err::<(), _>(match script.get(attempt.number() as usize - 1).map(|step| step.end) {
                Some(End::Fail(verdict) | End::FailAndLeave(verdict)) if verdict != Verdict::Stop => {
                    Fault(verdict)
                }
                _ => TRANSIENT,
            })
        });
        assert!(call.is_err());
        told.take()
    }
}

/// A policy at work, and all that can be seen of it.
struct Subject<C> {
    policy: RetryPolicy<C>,
    clock: VirtualClock,
    budget: Option<Arc<Budget>>,
    stats: Arc<RetryStats>,
    told: Arc<Mutex<Vec<Told>>>,
    leaves: Arc<AtomicBool>,
}

impl Subject<()> {
    fn new(plan: &Plan) -> Subject<impl Classifier<Fault> + use<>> {
        let (clock, stats) = (VirtualClock::new(), Arc::new(RetryStats::new()));
        let (told, leaves) = (Arc::<Mutex<Vec<Told>>>::default(), Arc::<AtomicBool>::default());
        let mut policy = plan.schedule().max_attempts(plan.rules.max_attempts).clock(clock.clone());
        policy = policy.name("plan").stats(&stats).max_hint(plan.rules.max_hint);
        let observer = {
            let (told, leaves) = (told.clone(), leaves.clone());
            move |retry: &Retrying<'_, Fault>| {
                let Retrying { name, attempt, kind, wait, .. } = *retry;
                assert_eq!(name, "plan");
                told.lock().expect("no panic").push(Told { attempt, kind, wait });
                if leaves.swap(false, Ordering::Relaxed) {
                    leave();
                }
            }
        };
        for (kind, retried) in RetryKind::ALL.iter().copied().zip(plan.rules.retried) {
            policy = policy.retry_kind(kind, retried);
        }
        if let Some(deadline) = plan.rules.deadline {
            policy = policy.deadline(deadline);
        }
        let budget = plan.rules.bucket.as_ref().map(|bucket| {
            let budget =
                Budget::new(bucket.capacity).earnings(bucket.earnings).refill_per_second(bucket.refill);
            let priced = RetryKind::ALL.iter().copied().zip(bucket.prices);
            Arc::new(priced.fold(budget, |budget, (kind, price)| budget.price(kind, price)))
        });
        if let Some(budget) = &budget {
            policy = policy.budget(budget);
        }
        Subject { policy: policy.on_retry(observer), clock, budget, stats, told, leaves }
    }
}

impl<C: Classifier<Fault>> Subject<C> {
    fn call(&self, entry: Entry, script: &[Step]) -> Outcome {
        let made = Cell::new(0);
        let attempt = || {
            let step = script.get(made.get());
            made.set(made.get() + 1);
            self.clock.advance(step.map_or(Duration::ZERO, |step| step.takes));
            match step.map_or(End::Ok, |step| step.end) {
                End::Ok => Ok(made.get() as u32),
                End::Fail(verdict) => Err(Fault(verdict)),
                End::FailAndLeave(verdict) => {
                    self.leaves.store(true, Ordering::Relaxed);
                    Err(Fault(verdict))
                }
                End::Leave => leave(),
            }
        };
        let call = AssertUnwindSafe(|| entry.call(&self.policy, attempt));
        let out = catch_unwind(call).map_err(|panic| {
            assert_eq!(panic.downcast_ref(), Some(&Left), "a panic that is not of the plan");
        });
        self.leaves.store(false, Ordering::Relaxed);
        match out {
            Err(()) => Outcome::Left,
            Ok(Ok(attempts)) => Outcome::Ok { attempts },
            Ok(Err(RetryError { error, reason, attempts, conflicts, slept, name, .. })) => {
                assert_eq!((name, attempts), ("plan", made.get() as u32));
                Outcome::Failed { error: error.0, reason, attempts, conflicts, slept }
            }
        }
    }
}

fn counted(counts: &RetryCounts) -> Counted {
    Counted {
        first_try_ok: counts.first_try_ok,
        retried_ok: counts.retried_ok,
        failed: [
            counts.not_retryable,
            counts.attempts_exhausted,
            counts.deadline_exceeded,
            counts.budget_exhausted,
            counts.hint_too_long,
        ],
        failed_after_retry: counts.failed_after_retry,
        abandoned: counts.abandoned,
        attempts: counts.attempts,
        errors: std::array::from_fn(|at| counts.errors(RetryKind::ALL[at])),
    }
}

fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// What follows of the single counts, by the words of the documentation.
fn sums_hold(counts: &RetryCounts, calls: usize) -> TestCaseResult {
    let failed = counts.not_retryable
        + counts.attempts_exhausted
        + counts.deadline_exceeded
        + counts.budget_exhausted
        + counts.hint_too_long;
    prop_assert_eq!(counts.failed(), failed);
    prop_assert_eq!(counts.calls(), calls as u64);
    prop_assert_eq!(counts.calls(), counts.first_try_ok + counts.retried_ok + failed + counts.abandoned);
    let conflicts: u64 = [RetryKind::VersionConflict, RetryKind::Deadlock, RetryKind::Serialization]
        .map(|kind| counts.errors(kind))
        .iter()
        .sum();
    prop_assert_eq!(counts.conflicts, conflicts);
    prop_assert_eq!(counts.conflict_rate(), share(conflicts, counts.attempts));
    prop_assert_eq!(counts.mean_attempts(), share(counts.attempts, calls as u64));
    let ended = counts.retried_ok + counts.failed_after_retry;
    prop_assert_eq!(counts.retry_success_rate(), share(counts.retried_ok, ended));
    Ok(())
}

/// How often something was met in all plans.
#[derive(Default)]
struct Met {
    ok: AtomicUsize,
    retried_ok: AtomicUsize,
    failed: [AtomicUsize; 5],
    left: AtomicUsize,
    long_waits: AtomicUsize,
    by_kind: [AtomicUsize; 7],
}

impl Met {
    fn note(&self, outcome: Outcome) {
        let count = match outcome {
            Outcome::Ok { attempts: 1 } => &self.ok,
            Outcome::Ok { .. } => &self.retried_ok,
            Outcome::Failed { reason, .. } => &self.failed[place_of(reason)],
            Outcome::Left => &self.left,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }

    fn note_retries(&self, plan: &Plan, told: &[Told]) {
        for retry in told {
            self.by_kind[place(retry.kind)].fetch_add(1, Ordering::Relaxed);
            self.long_waits.fetch_add(usize::from(retry.wait > plan.cap), Ordering::Relaxed);
        }
    }

    fn everything(&self) {
        let counts = [&self.ok, &self.retried_ok, &self.left, &self.long_waits].into_iter();
        for (at, count) in counts.chain(&self.failed).chain(&self.by_kind).enumerate() {
            assert!(count.load(Ordering::Relaxed) > 0, "blind: the plans never come to {at}");
        }
    }
}

fn compare(plan: &Plan, entry: Entry, met: &Met) -> TestCaseResult {
    let (subject, mut reference) = (
        Subject::new(plan),
        Reference::new(plan.rules.clone(), |nth, script: &[Step]| plan.draws(nth, script)),
    );
    for (at, script) in plan.calls.iter().enumerate() {
        let started = subject.clock.elapsed();
        let outcome = subject.call(entry, script);
        met.note(outcome);
        prop_assert_eq!(outcome, reference.call(script), "call {} by {:?}", at, entry);
        prop_assert_eq!(subject.clock.waits(), reference.waits.clone(), "call {} by {:?}", at, entry);
        prop_assert_eq!(subject.clock.elapsed(), reference.now);
        prop_assert_eq!(subject.told.lock().expect("no panic").clone(), reference.told.clone());
        if let Some(budget) = &subject.budget {
            prop_assert_eq!(budget.tokens(), reference.tokens(), "call {} by {:?}", at, entry);
        }
        let counts = subject.stats.counts();
        prop_assert_eq!(counted(&counts), reference.counted, "call {} by {:?}", at, entry);
        sums_hold(&counts, at + 1)?;
        if let (Outcome::Failed { slept, .. }, Some(deadline)) = (outcome, plan.rules.deadline) {
            let attempts: Duration = script.iter().map(|step| step.takes).sum();
            prop_assert!(subject.clock.elapsed() - started <= attempts + slept);
            prop_assert!(slept <= deadline, "it waited {:?} of {:?}", slept, deadline);
        }
    }
    met.note_retries(plan, &reference.told);
    Ok(())
}

#[test]
fn a_call_comes_to_what_the_reference_says_by_every_entry_point() {
    let config = ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() };
    let met = Met::default();
    let checked = TestRunner::new(config)
        .run(&plan(), |plan| ENTRIES.into_iter().try_for_each(|entry| compare(&plan, entry, &met)));
    if let Err(failure) = checked {
        panic!("{failure}");
    }
    met.everything();
}
