//! User code that panics: wakers, keys, and what their panics carry.

use std::future::Future;
use std::hash::{Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex as StdMutex};
use std::task::{Context, Poll, Waker};
use std::thread;

use latchwork::{KeyedLock, Semaphore, key::IntoKey};

use crate::support::{Event, Hand, hooked, no_hang, panic_of, until};
use crate::ways::{Held, every_way};

/// Polls `acquire` once while the thread unwinds, and hands out what came of it.
fn poll_while_unwinding<F: Future>(acquire: F, waker: &Waker) -> Option<F::Output> {
    struct OnDrop<C: FnMut()>(C);
    impl<C: FnMut()> Drop for OnDrop<C> {
        fn drop(&mut self) {
            self.0();
        }
    }
    let mut acquire = Box::pin(acquire);
    let mut out = None;
    let unwound = catch_unwind(AssertUnwindSafe(|| {
        let _poll = OnDrop(|| {
            if let Poll::Ready(guard) = acquire.as_mut().poll(&mut Context::from_waker(waker)) {
                out = Some(guard);
            }
        });
        panic!("on purpose");
    }));
    assert!(unwound.is_err());
    out
}

/// Its clone lets go of the lock, so that the step after it takes it; then the clone is not needed, and
/// its drop panics.
fn panics_when_not_needed(held: Arc<StdMutex<Option<Held>>>) -> Waker {
    let cloned = AtomicBool::new(false);
    hooked(move |event| match event {
        Event::Cloned => {
            drop(held.lock().expect("nobody panics with it").take());
            cloned.store(true, Ordering::SeqCst);
        }
        Event::Dropped if cloned.swap(false, Ordering::SeqCst) => panic!("a waker that panics"),
        _ => {}
    })
}

#[test]
fn an_acquisition_that_ends_with_a_wakers_panic_holds_nothing() {
    every_way(|way| {
        let held: Arc<StdMutex<Option<Held>>> = Arc::default();
        *held.lock().expect("nobody panics with it") = Some(way.attempt().expect("it is free"));
        let waker = panics_when_not_needed(held);
        let mut waiter = Hand::new(way.acquire());
        assert_eq!(panic_of(|| waiter.poll_with(&waker).is_some()), "a waker that panics");
        drop(waiter);
        assert!(way.is_free());
    });
}

/// Two held the lock once: the permits went back for the panic, which the unwinding thread then kept to
/// itself, and the guard was returned all the same.
#[test]
fn a_guard_had_while_unwinding_past_a_panicking_waker_holds_the_lock() {
    every_way(|way| {
        let held: Arc<StdMutex<Option<Held>>> = Arc::default();
        *held.lock().expect("nobody panics with it") = Some(way.attempt().expect("it is free"));
        let waker = panics_when_not_needed(held);
        let guard = poll_while_unwinding(way.acquire(), &waker);
        if guard.is_some() {
            assert!(way.attempt().is_err(), "two hold the lock at the same time");
        }
        drop(guard);
        assert!(way.is_free());
    });
}

/// A key whose drop panics when told to.
struct Bomb(u32, Arc<AtomicBool>);

impl PartialEq for Bomb {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Eq for Bomb {}

impl Hash for Bomb {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl Drop for Bomb {
    fn drop(&mut self) {
        assert!(!self.1.swap(false, Ordering::SeqCst), "a key whose drop panics");
    }
}

/// The grant was lost once, for it had no guard yet when the caller's key was dropped.
#[test]
fn a_key_that_panics_in_drop_leaves_nothing_locked() {
    let (armed, calm) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    for trying in [true, false] {
        let keys = KeyedLock::<Bomb>::new();
        let other = keys.lock_shared(Bomb(1, calm.clone())).wait();
        let key = Bomb(1, armed.clone());
        armed.store(true, Ordering::SeqCst);
        let acquire = AssertUnwindSafe(|| {
            if trying {
                drop(keys.try_lock_shared(key));
            } else {
                drop(keys.lock_shared(key).wait());
            }
        });
        assert!(catch_unwind(acquire).is_err());
        drop(other);
        assert!(!keys.is_locked(Bomb(1, calm.clone())), "nobody has a guard (trying: {trying})");
        assert_eq!(keys.len(), 0);
    }
}

#[test]
fn a_key_that_panics_when_its_thread_has_waited_long_enough_leaves_nothing_locked() {
    let (armed, calm) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let keys = Arc::new(KeyedLock::<Bomb>::new());
    let held = keys.lock(Bomb(1, calm.clone())).wait();
    let waiter = thread::spawn({
        let (keys, key) = (keys.clone(), Bomb(1, armed.clone()));
        move || keys.lock(key).wait().is_shared()
    });
    until(|| keys.snapshot()[0].waiters() == 1);
    armed.store(true, Ordering::SeqCst);
    drop(held);
    let panic = waiter.join().expect_err("its key panics");
    assert_eq!(panic.downcast_ref(), Some(&"a key whose drop panics"));
    assert!(keys.is_empty() && !keys.is_locked(Bomb(1, calm)));
}

/// A borrowed key whose conversion panics.
struct NoKey;

impl IntoKey<u32> for NoKey {
    fn hash_key<H: Hasher>(&self, state: &mut H) {
        7_u32.hash(state);
    }

    fn is_key(&self, key: &u32) -> bool {
        *key == 7
    }

    fn into_key(self) -> u32 {
        panic!("no key can be made")
    }
}

/// It looked for the entry for ever, which the key had not come to make.
#[test]
fn polled_again_after_a_panic_it_does_not_spin() {
    no_hang(|| {
        let keys = KeyedLock::<u32>::new();
        let mut acquire = pin!(keys.lock(NoKey));
        for _ in 0..2 {
            let mut context = Context::from_waker(Waker::noop());
            let poll = AssertUnwindSafe(|| acquire.as_mut().poll(&mut context).is_ready());
            assert!(catch_unwind(poll).is_err());
        }
    });
}

/// The second payload was dropped between two wake-ups.
#[test]
fn a_panic_payload_that_panics_in_drop_loses_nobody() {
    struct Payload;
    impl Drop for Payload {
        fn drop(&mut self) {
            if !thread::panicking() {
                panic!("a payload that panics")
            }
        }
    }
    let semaphore = Semaphore::new(0);
    let woken = Arc::new(AtomicUsize::new(0));
    let mut waiters: Vec<_> = (0..6).map(|_| Box::pin(semaphore.acquire())).collect();
    for (at, waiter) in waiters.iter_mut().enumerate() {
        let woken = woken.clone();
        let waker = hooked(move |event| {
            if event == Event::Woken {
                woken.fetch_add(1, Ordering::SeqCst);
                if at < 2 {
                    panic_any(Payload);
                }
            }
        });
        let waiter: Pin<&mut _> = waiter.as_mut();
        assert!(waiter.poll(&mut Context::from_waker(&waker)).is_pending());
    }
    let release = catch_unwind(AssertUnwindSafe(|| semaphore.add_permits(6)));
    #[allow(clippy::mem_forget)] // Its drop panics.
    std::mem::forget(release.expect_err("the first panic is passed on"));
    assert_eq!(woken.load(Ordering::SeqCst), 6);
}
