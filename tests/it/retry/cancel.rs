//! Dropping a call at every await of every entry point.

use std::cell::RefCell;
use std::future::Future;
use std::ops::ControlFlow::Break;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;

use latchwork::{
    KeyedLock, RetryPolicy,
    retry::{Budget, RetryError, RetryStats, VirtualClock},
};
use tokio::task::yield_now;

use crate::retry::calls::{CONFLICT, Fault, TRANSIENT, priced};
use crate::retry::remote::{Answer, Remote};
use crate::support::{Hand, panic_of};

const CAPACITY: u32 = 100;
const PRICE: u32 = 7;

/// How the attempts of a call end; beyond them it succeeds.
type Script = &'static [Fault];

const SCRIPTS: [Script; 5] =
    [&[], &[TRANSIENT], &[CONFLICT, TRANSIENT], &[CONFLICT, CONFLICT, CONFLICT], &[TRANSIENT; 4]];

/// What happens in a call, in its order.
#[derive(Default)]
struct Log {
    begun: u32,
    ended: u32,
}

/// A call's policy, what it is told by, and the key that it may take.
struct Scene {
    policy: RetryPolicy,
    budget: Arc<Budget>,
    stats: Arc<RetryStats>,
    locks: Arc<KeyedLock<u32>>,
    turnstile: Remote,
    log: RefCell<Log>,
    script: Script,
}

impl Scene {
    fn new(script: Script) -> Self {
        let budget = Arc::new(priced(CAPACITY, PRICE).earnings(0));
        let stats = Arc::new(RetryStats::new());
        let policy = RetryPolicy::new().clock(VirtualClock::new()).seed(7).budget(&budget).stats(&stats);
        let policy = policy.jitter(latchwork::retry::Jitter::Equal);
        let (locks, turnstile) = (Arc::new(KeyedLock::new()), Remote::new(|_| Answer::GrantsLate));
        Self { policy, budget, stats, locks, turnstile, log: RefCell::default(), script }
    }

    fn end(&self) -> Result<u32, Fault> {
        let mut log = self.log.borrow_mut();
        log.ended += 1;
        self.script.get(log.ended as usize - 1).map_or(Ok(log.ended), |fault| Err(*fault))
    }

    async fn attempt(&self) -> Result<u32, Fault> {
        self.log.borrow_mut().begun += 1;
        yield_now().await;
        yield_now().await;
        self.end()
    }

    /// Only the first part of an attempt.
    async fn load(&self) -> Result<u32, Fault> {
        self.log.borrow_mut().begun += 1;
        yield_now().await;
        Ok(self.log.borrow().begun)
    }

    async fn store(&self) -> Result<u32, Fault> {
        yield_now().await;
        self.end()
    }

    fn is_in_an_attempt(&self) -> bool {
        let log = self.log.borrow();
        log.begun > log.ended
    }

    /// After a call that was dropped: what was paid for a retry is spent if it had begun.
    fn is_abandoned_in_order(&self) {
        let log = self.log.borrow();
        let counts = self.stats.counts();
        assert_eq!((counts.calls(), counts.abandoned), (1, 1));
        assert_eq!(counts.attempts, u64::from(log.begun));
        assert_eq!(CAPACITY - self.budget.tokens(), PRICE * log.begun.saturating_sub(1));
        self.is_left();
    }

    fn is_left(&self) {
        assert!(self.locks.is_empty(), "a key stays locked");
        assert_eq!(self.turnstile.held(), 0, "somebody stays inside");
    }
}

type Calling<'a> = Pin<Box<dyn Future<Output = Result<u32, RetryError<Fault>>> + 'a>>;
type Way = fn(&Scene) -> Calling<'_>;

macro_rules! on_conflict {
    ($scene:ident) => {
        $scene.policy.retry_on_conflict(
            |_| $scene.load(),
            |loaded| {
                assert_eq!(loaded, $scene.log.borrow().begun);
                Ok(())
            },
            |()| $scene.store(),
        )
    };
}

const FREE: [(&str, Way); 6] = [
    ("run", |scene| Box::pin(scene.policy.run(|_| scene.attempt()))),
    ("session", |scene| {
        Box::pin(async {
            let mut session = scene.policy.session();
            loop {
                let result = scene.attempt().await;
                if let Break(out) = session.settle(result).await {
                    return out;
                }
            }
        })
    }),
    ("retry_on_conflict", |scene| Box::pin(on_conflict!(scene).run())),
    ("lock, alone in the last attempt", |scene| {
        Box::pin(on_conflict!(scene).escalate_after(3, &scene.locks, 7).run())
    }),
    ("lock, alone at last", |scene| Box::pin(on_conflict!(scene).escalate_after(1, &scene.locks, 7).run())),
    ("lock, always alone", |scene| Box::pin(on_conflict!(scene).escalate_after(0, &scene.locks, 7).run())),
];

/// Drops a call after each number of polls, until it comes to its end; `check` looks at it after each poll
/// and after the drop. Returns how many polls it takes.
fn drop_at_every_await(name: &str, way: Way, script: Script, check: impl Fn(&Scene, bool)) -> usize {
    for polls in 0.. {
        // Shown with a failure only.
        println!("{name}, {script:?}, dropped after {polls} polls");
        let scene = Scene::new(script);
        let mut call = Hand::new(way(&scene));
        let mut out = None;
        for _ in 0..polls {
            out = call.poll();
            check(&scene, true);
        }
        drop(call);
        scene.is_left();
        if polls == 0 {
            assert_eq!((scene.stats.counts().calls(), scene.log.borrow().begun), (0, 0));
        } else if let Some(out) = out {
            let counts = scene.stats.counts();
            assert_eq!((counts.calls(), counts.abandoned, out.is_ok()), (1, 0, script.len() < 4));
            return polls;
        } else {
            check(&scene, false);
        }
        assert_eq!(scene.budget.capacity(), CAPACITY);
    }
    unreachable!("a call comes to its end")
}

#[test]
fn a_dropped_call_loses_no_token_and_holds_no_key() {
    for (name, way) in FREE {
        for script in SCRIPTS {
            let awaits = drop_at_every_await(name, way, script, |scene, running| {
                if !running {
                    scene.is_abandoned_in_order();
                } else if !scene.is_in_an_attempt() {
                    assert!(scene.locks.is_empty(), "the key is held while it waits");
                }
            });
            // Each attempt is pending twice, each retry waits once.
            let attempts = (script.len() + 1).min(4);
            assert_eq!(awaits, 3 * attempts);
        }
    }
}

/// What makes its attempts through a lock that is not free: there is an await before each attempt.
const TURNSTILE: (&str, Way) =
    ("turnstile", |scene| Box::pin(on_conflict!(scene).escalate_after(1, &scene.turnstile, 7).run()));

#[test]
fn a_call_dropped_at_any_point_leaves_the_lock() {
    let (name, way) = TURNSTILE;
    for script in SCRIPTS {
        let awaits = drop_at_every_await(name, way, script, |scene, running| {
            let inside = scene.turnstile.held();
            assert_eq!(inside, usize::from(running && scene.is_in_an_attempt()));
            assert_eq!(scene.stats.counts().abandoned, u64::from(!running));
        });
        assert_eq!(awaits, 4 * (script.len() + 1).min(4));
    }
}

/// Its tokens counted as spent, though nothing had been loaded.
#[test]
fn a_retry_dropped_at_the_lock_gets_its_tokens_back() {
    let (name, way) = TURNSTILE;
    for script in SCRIPTS {
        drop_at_every_await(name, way, script, |scene, running| {
            if !running {
                let retries = scene.log.borrow().begun.saturating_sub(1);
                assert_eq!(CAPACITY - scene.budget.tokens(), PRICE * retries);
            }
        });
    }
}

#[test]
fn a_call_dropped_at_the_lock_counts_no_attempt_that_it_did_not_begin() {
    let (name, way) = TURNSTILE;
    for script in SCRIPTS {
        drop_at_every_await(name, way, script, |scene, running| {
            if !running {
                assert_eq!(scene.stats.counts().attempts, u64::from(scene.log.borrow().begun));
            }
        });
    }
}

#[test]
fn a_call_dropped_in_the_line_for_its_key_leaves_the_line() {
    for escalation in [0, 3] {
        let scene = Scene::new(&[]);
        let held = scene.locks.try_lock(7).expect("it is free");
        let call = Hand::queued(on_conflict!(scene).escalate_after(escalation, &scene.locks, 7).run());
        assert_eq!((scene.locks.snapshot()[0].waiters(), scene.log.borrow().begun), (1, 0));
        drop(call);
        assert_eq!(scene.locks.snapshot()[0].waiters(), 0);
        drop(held);
        assert!(scene.locks.is_empty());
    }
}

/// It may be dropped alone, and the session with it or later: it is one call.
#[test]
fn a_session_whose_wait_is_dropped_is_abandoned_once() {
    let scene = Scene::new(&[]);
    let mut session = scene.policy.session();
    drop(Hand::queued(session.settle(Err::<(), _>(TRANSIENT))));
    assert_eq!(scene.stats.counts().calls(), 0, "the session is still there");
    drop(session);
    let counts = scene.stats.counts();
    assert_eq!((counts.calls(), counts.abandoned, counts.attempts), (1, 1, 1));
    assert_eq!(scene.budget.tokens(), CAPACITY);
}

/// Its next result would count as that of an attempt that has not begun, and its price would come back twice.
#[test]
fn a_session_whose_wait_was_dropped_goes_on_only_after_a_begin() {
    let scene = Scene::new(&[]);
    let mut session = scene.policy.session();
    drop(Hand::queued(session.settle(Err::<(), _>(TRANSIENT))));
    if cfg!(debug_assertions) {
        let said = panic_of(|| session.judge(Ok::<_, Fault>(())).is_break());
        assert!(said.starts_with("this attempt has not begun"), "{said}");
    }
    session.begin();
    assert_eq!(scene.budget.tokens(), CAPACITY - PRICE);
    assert!(session.judge(Ok::<_, Fault>(())).is_break());
    let counts = scene.stats.counts();
    assert_eq!((counts.retried_ok, counts.attempts, scene.budget.tokens()), (1, 2, CAPACITY));
}

#[cfg(debug_assertions)]
#[test]
fn a_judged_session_that_was_not_begun_again_says_so() {
    let scene = Scene::new(&[]);
    let mut session = scene.policy.session();
    assert!(session.judge(Err::<(), _>(TRANSIENT)).is_continue());
    let said = panic_of(|| session.judge(Err::<(), _>(TRANSIENT)).is_break());
    assert!(said.contains("call Session::begin"), "{said}");
}

#[test]
fn a_session_that_is_never_used_is_a_call_that_was_abandoned() {
    let scene = Scene::new(&[]);
    drop(scene.policy.session());
    assert_eq!((scene.stats.counts().abandoned, scene.budget.tokens()), (1, CAPACITY));
}

/// The attempt's own future goes before anything is counted: what it holds is free by then.
#[test]
fn a_dropped_call_drops_the_attempt_under_way() {
    let scene = Scene::new(&[]);
    let alive = Rc::new(());
    let call = Hand::queued(scene.policy.run(|_| {
        let alive = alive.clone();
        let attempt = scene.attempt();
        async move {
            let out = attempt.await;
            drop(alive);
            out
        }
    }));
    assert_eq!(Rc::strong_count(&alive), 2);
    drop(call);
    assert_eq!(Rc::strong_count(&alive), 1);
}
