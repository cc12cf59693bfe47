//! Wakers that panic, come back into the lock, or drop other waiters: user code that is run at every
//! possible moment, and must find no internal lock held.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex as StdMutex};
use std::task::Waker;

use latchwork::{KeyedLock, RwLock, Semaphore};

use crate::support::{Event, Hand, alone, hooked, no_hang, panic_of, rounds_of_patience};
use crate::ways::{Acquiring, Way, every_way};

const EVENTS: [Event; 3] = [Event::Cloned, Event::Woken, Event::Dropped];

/// A waker that runs `act` at the first `when` after it was armed.
struct Trap {
    waker: Waker,
    armed: Arc<AtomicBool>,
    sprung: Arc<AtomicUsize>,
}

impl Trap {
    fn new(when: Event, act: impl Fn() + Send + Sync + 'static) -> Self {
        let (armed, sprung) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let waker = hooked({
            let (armed, sprung) = (armed.clone(), sprung.clone());
            move |event| {
                if event == when && armed.swap(false, Ordering::SeqCst) {
                    sprung.fetch_add(1, Ordering::SeqCst);
                    act();
                }
            }
        });
        Self { waker, armed, sprung }
    }

    fn arm(&self) {
        self.armed.store(true, Ordering::SeqCst);
    }

    #[track_caller]
    fn assert_sprung(&self) {
        assert_eq!(self.sprung.load(Ordering::SeqCst), 1, "the case did not come about");
    }
}

/// Brings about `when` for the trap's waker, which waits in `way`'s line before one other waiter.
/// Returns that other one, which is served last. A panic of the trap is caught.
fn spring(way: &Arc<dyn Way>, when: Event, trap: &Trap) {
    let held = way.attempt().expect("it is free");
    let mut victim = Hand::new(way.acquire());
    let mut other = Hand::new(way.acquire());
    if when == Event::Cloned {
        trap.arm();
    }
    let _ = catch_unwind(AssertUnwindSafe(|| victim.poll_with(&trap.waker).is_some()));
    assert!(other.poll().is_none());
    if when != Event::Cloned {
        trap.arm();
    }
    match when {
        Event::Cloned => drop(victim),
        Event::Dropped => {
            // Its waker is replaced, and then dropped.
            let replaced = catch_unwind(AssertUnwindSafe(|| victim.poll().is_some()));
            assert!(!matches!(replaced, Ok(true)), "it is held");
            drop(victim);
        }
        Event::Woken => {
            let _ = catch_unwind(AssertUnwindSafe(|| drop(held)));
            drop(victim);
            assert!(other.poll_while_woken().is_some(), "the other one is told");
            return;
        }
    }
    drop(held);
    assert!(other.poll_while_woken().is_some(), "the other one is told");
}

#[test]
fn a_waker_that_panics_at_any_event_loses_no_other_waiter() {
    no_hang(|| {
        every_way(|way| {
            for when in EVENTS {
                let trap = Trap::new(when, || panic!("a waker that panics"));
                spring(&way, when, &trap);
                trap.assert_sprung();
                assert!(way.is_free());
                assert_eq!(way.waiters(), 0);
            }
        });
    });
}

#[test]
fn a_waker_may_use_the_lock_at_any_event() {
    no_hang(|| {
        every_way(|way| {
            for when in EVENTS {
                let lock = way.clone();
                let trap = Trap::new(when, move || {
                    drop(lock.attempt());
                    let mut acquire = Hand::new(lock.acquire());
                    drop(acquire.poll());
                    drop(acquire);
                });
                spring(&way, when, &trap);
                trap.assert_sprung();
                assert!(way.is_free());
            }
        });
    });
}

#[test]
fn a_waker_may_drop_a_sibling_waiter_at_any_event() {
    no_hang(|| {
        every_way(|way| {
            for when in [Event::Cloned, Event::Dropped] {
                let sibling = Task::default();
                let slot = sibling.clone();
                let trap = Trap::new(when, move || drop(slot.lock().expect("it is not poisoned").take()));
                let held = way.attempt().expect("it is free");
                // One before the trap in the line is dropped by it.
                *sibling.lock().expect("it is not poisoned") = Some(Hand::queued(way.acquire()));
                drop(held);
                let newcomer = way.attempt().expect("nothing was handed over");
                drop(newcomer);
                spring(&way, when, &trap);
                trap.assert_sprung();
                assert!(way.is_free());
                assert_eq!(way.waiters(), 0);
            }
        });
    });
}

#[test]
fn a_waker_may_drop_an_older_waiter_when_a_round_wakes_it() {
    alone("wait::wakers::a_waker_may_drop_an_older_waiter_when_a_round_wakes_it", || {
        every_way(|way| {
            let older = Task::default();
            let slot = older.clone();
            let trap = Trap::new(Event::Woken, move || drop(slot.lock().expect("it is not poisoned").take()));
            let held = way.attempt().expect("it is free");
            *older.lock().expect("it is not poisoned") = Some(Hand::queued(way.acquire()));
            let mut victim = Hand::new(way.acquire());
            assert!(victim.poll_with(&trap.waker).is_none());
            trap.arm();
            drop(held);
            rounds_of_patience();
            trap.assert_sprung();
            drop(victim.poll().expect("the older one was given up, and is gone"));
            drop(victim);
            assert!(way.is_free());
            assert_eq!(way.waiters(), 0);
        });
    });
}

#[test]
fn a_waker_that_panics_in_a_round_harms_nobody() {
    alone("wait::wakers::a_waker_that_panics_in_a_round_harms_nobody", || {
        every_way(|way| {
            let held = way.attempt().expect("it is free");
            let silent = Hand::queued(way.acquire());
            let mut victim = Hand::new(way.acquire());
            let waker = hooked(|event| assert!(event != Event::Woken, "a waker that panics"));
            assert!(victim.poll_with(&waker).is_none());
            let mut behind = Hand::queued(way.acquire());
            drop(held);
            rounds_of_patience();
            rounds_of_patience();
            assert!(behind.is_woken(), "the one whose waker panicked was given up in its turn");
            drop(behind.poll().expect("nobody holds it"));
            drop((silent, victim));
            assert!(way.is_free());
        });
    });
}

#[test]
fn a_waker_may_drop_the_sibling_behind_it_when_it_is_woken() {
    no_hang(|| {
        every_way(|way| {
            let sibling = Task::default();
            let slot = sibling.clone();
            let trap = Trap::new(Event::Woken, move || drop(slot.lock().expect("it is not poisoned").take()));
            let held = way.attempt().expect("it is free");
            let mut first = Hand::new(way.acquire());
            assert!(first.poll_with(&trap.waker).is_none());
            *sibling.lock().expect("it is not poisoned") = Some(Hand::queued(way.acquire()));
            let mut last = Hand::queued(way.acquire());
            trap.arm();
            drop(held);
            trap.assert_sprung();
            drop(first);
            assert!(last.poll_while_woken().is_some());
        });
    });
}

#[test]
fn a_panicking_waker_in_a_batch_keeps_nobody_from_being_woken() {
    for bad in [0, 3, 7, 8, 19] {
        let semaphore = Semaphore::new(0);
        let trap = Trap::new(Event::Woken, || panic!("a waker that panics"));
        let mut waiters: Vec<_> = (0..20).map(|_| Hand::new(semaphore.acquire())).collect();
        for (at, waiter) in waiters.iter_mut().enumerate() {
            let polled = if at == bad { waiter.poll_with(&trap.waker) } else { waiter.poll() };
            assert!(polled.is_none());
        }
        trap.arm();
        assert_eq!(panic_of(|| semaphore.add_permits(20)), "a waker that panics");
        trap.assert_sprung();
        assert_eq!(waiters.iter().filter(|waiter| waiter.is_woken()).count(), 19);
        let permits: Vec<_> = waiters.iter_mut().filter_map(Hand::poll).collect();
        assert_eq!((permits.len(), semaphore.available()), (20, 0));
    }
}

#[test]
fn a_panicking_waker_in_a_batch_of_readers_keeps_nobody_from_being_woken() {
    let (lock, keys) = (RwLock::new(0), KeyedLock::<u32>::new());
    let trap = Trap::new(Event::Woken, || panic!("a waker that panics"));
    let (writer, holder) = (lock.try_write().expect("it is free"), keys.try_lock(1).expect("it is free"));
    let mut readers: Vec<_> = (0..20).map(|_| Hand::new(lock.read())).collect();
    let mut sharers: Vec<_> = (0..20).map(|_| Hand::new(keys.lock_shared(1))).collect();
    for at in 0..20 {
        let bad = at == 5;
        assert!(if bad { readers[at].poll_with(&trap.waker) } else { readers[at].poll() }.is_none());
        assert!(if bad { sharers[at].poll_with(&trap.waker) } else { sharers[at].poll() }.is_none());
    }
    trap.arm();
    assert_eq!(panic_of(|| drop(writer)), "a waker that panics");
    assert_eq!(readers.iter().filter(|reader| reader.is_woken()).count(), 19);
    trap.arm();
    assert_eq!(panic_of(|| drop(holder)), "a waker that panics");
    assert_eq!(sharers.iter().filter(|sharer| sharer.is_woken()).count(), 19);
    drop((readers, sharers));
    assert!(lock.try_write().is_ok() && keys.is_empty());
}

/// Waiters were given up since the line was settled last, so a newcomer notifies those behind them.
#[test]
fn a_newcomer_that_meets_a_panicking_waker_keeps_nothing() {
    alone("wait::wakers::a_newcomer_that_meets_a_panicking_waker_keeps_nothing", || {
        for trying in [true, false] {
            let semaphore = Semaphore::new(3);
            let held = semaphore.acquire_many(3).wait();
            let silent = Hand::queued(semaphore.acquire_many(3));
            drop(held);
            while let Some(permits) = Hand::new(semaphore.acquire()).poll() {
                drop(permits);
            }
            let waker = hooked(|event| assert!(event != Event::Woken, "a waker that panics"));
            let mut behind = [(); 3].map(|()| Hand::new(semaphore.acquire()));
            for waiter in &mut behind {
                assert!(waiter.poll_with(&waker).is_none());
            }
            // The rounds wake one of them, and the newcomer the others, for whom there are permits, too.
            rounds_of_patience();
            let said = panic_of(|| match trying {
                true => semaphore.try_acquire_many(3).is_ok(),
                false => Hand::new(semaphore.acquire_many(3)).poll().is_some(),
            });
            assert_eq!(said, "a waker that panics");
            drop((silent, behind));
            assert!(semaphore.try_acquire_many(3).is_ok());
        }
    });
}

#[test]
fn a_waker_may_own_the_last_handle_of_its_lock() {
    no_hang(|| {
        every_way(|way| {
            let alive = Arc::downgrade(&way);
            let own = Arc::new(StdMutex::new(Some(way.clone())));
            let waker = hooked(move |event| {
                if event == Event::Woken {
                    drop(own.lock().expect("it is not poisoned").take());
                }
            });
            let held = way.attempt().expect("it is free");
            let mut waiter = Hand::new(way.acquire());
            assert!(waiter.poll_with(&waker).is_none());
            drop(way);
            drop(held);
            assert!(waiter.poll_with(&waker).is_some());
            drop((waiter, waker));
            // The list of ways, in the caller, had its own.
            assert!(alive.strong_count() <= 1);
        });
    });
}

#[test]
fn a_guard_dropped_while_its_thread_unwinds_wakes_the_next() {
    every_way(|way| {
        let held = way.attempt().expect("it is free");
        let mut waiter = Hand::queued(way.acquire());
        let said = panic_of(|| {
            let _held = held;
            panic!("while it is held");
        });
        assert_eq!(said, "while it is held");
        assert!(waiter.is_woken() && waiter.poll().is_some(), "there is no poisoning");
    });
}

type Task = Arc<StdMutex<Option<Hand<Acquiring>>>>;

/// Polls the task within `wake`, as some executors do.
fn on_the_spot(task: &Task, served: &Arc<AtomicUsize>) -> Waker {
    let (task, served) = (Arc::downgrade(task), served.clone());
    hooked(move |event| {
        let Some(task) = task.upgrade().filter(|_| event == Event::Woken) else { return };
        let Some(mut hand) = task.lock().expect("it is not poisoned").take() else { return };
        if hand.poll_with(&on_the_spot(&task, &served)).is_some() {
            served.fetch_add(1, Ordering::SeqCst);
        } else {
            *task.lock().expect("it is not poisoned") = Some(hand);
        }
    })
}

#[test]
fn a_waker_that_serves_its_waiter_on_the_spot_drains_the_line() {
    no_hang(|| {
        every_way(|way| {
            let tasks: Vec<Task> = (0..50).map(|_| Arc::default()).collect();
            let served = Arc::new(AtomicUsize::new(0));
            let held = way.attempt().expect("it is free");
            for task in &tasks {
                let mut hand = Hand::new(way.acquire());
                let waker = on_the_spot(task, &served);
                assert!(hand.poll_with(&waker).is_none());
                *task.lock().expect("it is not poisoned") = Some(hand);
            }
            drop(held);
            assert_eq!(served.load(Ordering::SeqCst), 50);
            assert!(way.is_free());
        });
    });
}
