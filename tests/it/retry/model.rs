//! Random policies and random outcomes, each call compared with the reference by every entry point.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use latchwork::{
    RetryPolicy,
    retry::{Budget, Jitter, RetryCounts, RetryError, RetryStats, Retrying, VirtualClock},
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
    multiplier: u32,
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
        prop_oneof![2 => Just([0, 0, 1, 1, 5, 5, 5]), 1 => std::array::from_fn::<_, 7, _>(|_| price())];
    let capacity = prop_oneof![4 => 0..40_u32, 1 => Just(u32::MAX)];
    let earnings = prop_oneof![3 => Just(1), 1 => 0..20_u32];
    (capacity, earnings, prices).prop_map(|(capacity, earnings, prices)| Bucket {
        // The reference adds before it compares.
        capacity: capacity.min(u32::MAX - 100),
        earnings,
        prices,
    })
}

fn rules() -> impl Strategy<Value = Rules> {
    let attempts = prop_oneof![4 => 1..8_u32, 1 => Just(u32::MAX)];
    let deadline =
        proptest::option::of(prop_oneof![4 => (0..4_000_u64).prop_map(ms), 1 => Just(Duration::MAX)]);
    // Now and then a kind more, or a kind less, than by default.
    let turned = proptest::option::of(0..7_usize);
    let bucket = proptest::option::of(bucket());
    (attempts, deadline, turned, bucket).prop_map(|(max_attempts, deadline, turned, bucket)| {
        let mut retried = std::array::from_fn(|at| RetryKind::ALL[at] != RetryKind::UniqueViolation);
        if let Some(turned) = turned {
            retried[turned] = !retried[turned];
        }
        Rules { max_attempts, deadline, retried, bucket }
    })
}

fn plan() -> impl Strategy<Value = Plan> {
    let delays = (prop_oneof![4 => 0..300_u64, 1 => Just(0)], 0..1_500_u64, 1..5_u32);
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

    /// The waits that calls of this schedule draw, as far as they may come: had from calls that do
    /// nothing but fail.
    fn draws(&self) -> Vec<Vec<Duration>> {
        let told = Arc::new(Mutex::new(Vec::new()));
        let policy = self.schedule().max_attempts(STEPS as u32 + 1).clock(VirtualClock::new()).on_retry({
            let told = told.clone();
            move |retry| told.lock().expect("no panic").push(retry.wait)
        });
        let waits = self.calls.iter().map(|_| {
            assert!(policy.run_blocking(|_| Err::<(), _>(TRANSIENT)).is_err());
            std::mem::take(&mut *told.lock().expect("no panic"))
        });
        waits.collect()
    }
}

/// A policy at work, and all that can be seen of it.
struct Subject {
    policy: RetryPolicy,
    clock: VirtualClock,
    budget: Option<Arc<Budget>>,
    stats: Arc<RetryStats>,
    told: Arc<Mutex<Vec<Told>>>,
    leaves: Arc<AtomicBool>,
}

impl Subject {
    fn new(plan: &Plan) -> Self {
        let (clock, stats) = (VirtualClock::new(), Arc::new(RetryStats::new()));
        let (told, leaves) = (Arc::<Mutex<Vec<Told>>>::default(), Arc::<AtomicBool>::default());
        let mut policy = plan.schedule().max_attempts(plan.rules.max_attempts).clock(clock.clone());
        policy = policy.name("plan").stats(&stats).on_retry({
            let (told, leaves) = (told.clone(), leaves.clone());
            move |retry: &Retrying| {
                let Retrying { name, attempt, kind, wait, .. } = *retry;
                assert_eq!(name, "plan");
                told.lock().expect("no panic").push(Told { attempt, kind, wait });
                if leaves.swap(false, Ordering::Relaxed) {
                    leave();
                }
            }
        });
        for (kind, retried) in RetryKind::ALL.iter().copied().zip(plan.rules.retried) {
            policy = policy.retry_kind(kind, retried);
        }
        if let Some(deadline) = plan.rules.deadline {
            policy = policy.deadline(deadline);
        }
        let budget = plan.rules.bucket.as_ref().map(|bucket| {
            let budget = Budget::new(bucket.capacity).earnings(bucket.earnings);
            let priced = RetryKind::ALL.iter().copied().zip(bucket.prices);
            Arc::new(priced.fold(budget, |budget, (kind, price)| budget.price(kind, price)))
        });
        if let Some(budget) = &budget {
            policy = policy.budget(budget);
        }
        Self { policy, clock, budget, stats, told, leaves }
    }

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
    let failed =
        counts.not_retryable + counts.attempts_exhausted + counts.deadline_exceeded + counts.budget_exhausted;
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
    failed: [AtomicUsize; 4],
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
    let (subject, mut reference) = (Subject::new(plan), Reference::new(plan.rules.clone(), plan.draws()));
    for (at, script) in plan.calls.iter().enumerate() {
        let started = subject.clock.elapsed();
        let outcome = subject.call(entry, script);
        met.note(outcome);
        prop_assert_eq!(outcome, reference.call(script), "call {} by {:?}", at, entry);
        prop_assert_eq!(subject.clock.waits(), reference.waits.clone(), "call {} by {:?}", at, entry);
        prop_assert_eq!(subject.clock.elapsed(), reference.now);
        prop_assert_eq!(subject.told.lock().expect("no panic").clone(), reference.told.clone());
        if let Some(budget) = &subject.budget {
            prop_assert_eq!(budget.tokens(), reference.tokens, "call {} by {:?}", at, entry);
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
