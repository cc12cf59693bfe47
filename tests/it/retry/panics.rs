//! User code that panics in a call: attempts, classifiers, observers, clocks, locks. The call counts as
//! abandoned, once, and whatever a retry had paid that did not begin goes back.

use std::cell::Cell;
use std::future::ready;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use futures::executor::block_on;
use latchwork::{
    KeyedLock, RetryPolicy,
    retry::{Budget, Clock, RetryStats, Sleep, VirtualClock},
    verdict::{RetryKind, Verdict},
};

use crate::retry::calls::{CONFLICT, Entry, Fault, Left, TRANSIENT, every_entry, leave, priced};
use crate::retry::remote::{Answer, Remote};

const CAPACITY: u32 = 100;
const PRICE: u32 = 7;

/// Counts down to a panic.
#[derive(Clone, Default)]
struct Fuse(Arc<AtomicU32>);

impl Fuse {
    /// Blows when it is passed this many times.
    fn lit(times: u32) -> Self {
        Self(Arc::new(AtomicU32::new(times)))
    }

    fn pass(&self) {
        let left = self.0.load(Ordering::Relaxed);
        self.0.store(left.saturating_sub(1), Ordering::Relaxed);
        if left == 1 {
            leave();
        }
    }
}

/// A clock that panics where it is told to.
#[derive(Clone, Default)]
struct Brittle {
    clock: VirtualClock,
    now: Fuse,
    sleep: Fuse,
    awake: Fuse,
}

impl Clock for Brittle {
    fn sleep(&self, wait: Duration) -> Sleep {
        self.sleep.pass();
        let (sleep, awake) = (self.clock.sleep(wait), self.awake.clone());
        Box::pin(async move {
            sleep.await;
            awake.pass();
        })
    }

    fn sleep_blocking(&self, wait: Duration) {
        self.sleep.pass();
        self.clock.sleep_blocking(wait);
        self.awake.pass();
    }

    fn now(&self) -> Instant {
        self.now.pass();
        self.clock.now()
    }
}

struct Scene {
    policy: RetryPolicy,
    budget: Arc<Budget>,
    stats: Arc<RetryStats>,
}

impl Scene {
    fn new(clock: Brittle) -> Self {
        let budget = Arc::new(priced(CAPACITY, PRICE).earnings(0));
        let stats = Arc::new(RetryStats::new());
        let policy =
            RetryPolicy::new().seed(7).jitter(latchwork::retry::Jitter::Equal).deadline(Duration::MAX);
        let policy = policy.budget(&budget).stats(&stats).clock(clock);
        Self { policy, budget, stats }
    }

    /// A call that was ended by a panic after so many attempts, with the price of none that did not begin.
    #[track_caller]
    fn is_abandoned_after(&self, attempts: u32) {
        let counts = self.stats.counts();
        assert_eq!((counts.calls(), counts.abandoned, counts.attempts), (1, 1, attempts.into()));
        assert_eq!(CAPACITY - self.budget.tokens(), PRICE * (attempts - 1), "tokens are lost");
    }
}

/// Whether `f` ends in the panic that it is meant to.
#[track_caller]
fn blows<R>(f: impl FnOnce() -> R) {
    let Err(panic) = catch_unwind(AssertUnwindSafe(f)) else { panic!("it should have panicked") };
    assert_eq!(panic.downcast_ref(), Some(&Left), "another panic than the one on purpose");
}

/// Fails for ever; counts its calls.
fn fails(made: &Cell<u32>) -> Result<(), Fault> {
    made.set(made.get() + 1);
    Err(TRANSIENT)
}

#[test]
fn an_attempt_that_panics_ends_the_call() {
    every_entry(|entry| {
        for at in 1..=4 {
            let (scene, fuse, made) = (Scene::new(Brittle::default()), Fuse::lit(at), Cell::new(0));
            blows(|| {
                entry.call(&scene.policy, || {
                    made.set(made.get() + 1);
                    fuse.pass();
                    Err::<(), _>(TRANSIENT)
                })
            });
            assert_eq!(made.get(), at);
            scene.is_abandoned_after(at);
        }
    });
}

#[test]
fn an_observer_that_panics_ends_the_call_before_it_waits() {
    every_entry(|entry| {
        for at in 1..=3 {
            let clock = Brittle::default();
            let (scene, fuse, made) = (Scene::new(clock.clone()), Fuse::lit(at), Cell::new(0));
            let policy = scene.policy.clone().on_retry(move |_| fuse.pass());
            blows(|| entry.call(&policy, || fails(&made)));
            assert_eq!((made.get(), clock.clock.waits().len() as u32), (at, at - 1));
            scene.is_abandoned_after(at);
        }
    });
}

#[test]
fn a_clock_that_panics_ends_the_call() {
    every_entry(|entry| {
        for at in 1..=3 {
            for clock in [
                // It is asked once before the first attempt.
                Brittle { now: Fuse::lit(at + 1), ..Brittle::default() },
                Brittle { sleep: Fuse::lit(at), ..Brittle::default() },
                Brittle { awake: Fuse::lit(at), ..Brittle::default() },
            ] {
                let (scene, made) = (Scene::new(clock), Cell::new(0));
                blows(|| entry.call(&scene.policy, || fails(&made)));
                assert_eq!(made.get(), at);
                scene.is_abandoned_after(at);
            }
        }
    });
}

#[test]
fn a_clock_that_panics_before_the_first_attempt_leaves_no_call() {
    every_entry(|entry| {
        let scene = Scene::new(Brittle { now: Fuse::lit(1), ..Brittle::default() });
        blows(|| entry.call(&scene.policy, || -> Result<(), Fault> { panic!("it must not be called") }));
        assert_eq!((scene.stats.counts().calls(), scene.budget.tokens()), (0, CAPACITY));
    });
}

#[test]
fn a_classifier_that_panics_ends_the_call() {
    for at in 1..=4 {
        for blocking in [true, false] {
            let (scene, fuse, made) = (Scene::new(Brittle::default()), Fuse::lit(at), Cell::new(0));
            let policy = scene.policy.clone().classify_with(move |fault: &Fault| {
                fuse.pass();
                fault.0
            });
            blows(|| {
                if blocking {
                    policy.run_blocking(|_| fails(&made))
                } else {
                    block_on(policy.run(|_| ready(fails(&made))))
                }
            });
            assert_eq!(
                (made.get(), scene.stats.counts().errors(RetryKind::Transient)),
                (at, u64::from(at - 1))
            );
            scene.is_abandoned_after(at);
        }
    }
}

/// A place in an attempt where user code runs.
const PLACES: [&str; 5] = ["load", "loading", "apply", "store", "storing"];

#[test]
fn a_change_that_panics_anywhere_ends_the_call_and_lets_its_key_go() {
    for place in PLACES {
        for (at, escalation) in (1..=4).flat_map(|at| [0, 2, 3].map(|escalation| (at, escalation))) {
            let (scene, fuse, loads) = (Scene::new(Brittle::default()), Fuse::lit(at), Cell::new(0));
            let locks = Arc::new(KeyedLock::<u32>::new());
            let pass = |here| {
                assert!(locks.is_locked(7));
                if here == place {
                    fuse.pass();
                }
            };
            let pass = &pass;
            let change = scene.policy.retry_on_conflict(
                |_| {
                    loads.set(loads.get() + 1);
                    pass("load");
                    async {
                        pass("loading");
                        Ok(())
                    }
                },
                |()| {
                    pass("apply");
                    Ok(())
                },
                |()| {
                    pass("store");
                    async {
                        pass("storing");
                        Err::<(), _>(CONFLICT)
                    }
                },
            );
            blows(|| block_on(change.escalate_after(escalation, &locks, 7).run()));
            assert_eq!(loads.get(), at, "{place}");
            assert!(locks.is_empty(), "{place}");
            scene.is_abandoned_after(at);
        }
    }
}

/// A key that panics when it is cloned for the lock.
struct Key(Fuse);

impl Clone for Key {
    fn clone(&self) -> Self {
        self.0.pass();
        Self(self.0.clone())
    }
}

#[test]
fn a_lock_that_panics_ends_the_call() {
    for at in 1..=4 {
        for (lock, key) in [(Fuse::lit(at), Fuse::default()), (Fuse::default(), Fuse::lit(at))] {
            let (scene, stores) = (Scene::new(Brittle::default()), Cell::new(0));
            let change = scene.policy.retry_on_conflict(
                async |_| Ok(()),
                Ok,
                |()| {
                    stores.set(stores.get() + 1);
                    ready(Err::<(), _>(CONFLICT))
                },
            );
            // It panics on the way in.
            let lock = Remote::with_hook(|_| Answer::Grants, move |_| lock.pass());
            blows(|| block_on(change.escalate_after(2, &lock, Key(key)).run()));
            assert_eq!(stores.get(), at - 1);
            let counts = scene.stats.counts();
            assert_eq!((counts.calls(), counts.abandoned), (1, 1));
        }
    }
}

#[test]
fn a_policy_goes_on_after_a_panic() {
    let scene = Scene::new(Brittle::default());
    let policy = &scene.policy;
    blows(|| Entry::Run.call(policy, || -> Result<(), Fault> { leave() }));
    let mut left = 2;
    let out = Entry::Run.call(policy, || {
        left -= 1;
        if left > 0 { Err(Fault(Verdict::Retry(RetryKind::Transient))) } else { Ok(7) }
    });
    assert_eq!(out, Ok(7));
    assert_eq!(scene.stats.counts().calls(), 2);
}
