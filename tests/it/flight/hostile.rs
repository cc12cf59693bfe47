//! Flights among those who do their worst: in wakers, in drops, and while unwinding.

use std::cell::Cell;
use std::hash::{Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};

use latchwork::{
    SingleFlight,
    flight::{Leader, Role},
    key::IntoKey,
};

use crate::support::{Event, Hand, hooked, panic_of};

type Flights = SingleFlight<u8, u32>;

fn lead(flights: &Flights) -> Leader<u8, u32> {
    match flights.join(7).wait() {
        Role::Leader(leader) => leader,
        Role::Joined(_) => panic!("nobody was at it"),
    }
}

#[test]
fn a_lead_lost_while_unwinding_past_panicking_wakers_is_passed_on_to_all() {
    let flights = Flights::new();
    let held = lead(&flights);
    let bad = hooked(|event| assert!(event == Event::Cloned, "a bad waker"));
    let mut bads: Vec<_> = (0..10).map(|_| Hand::new(flights.join(7))).collect();
    assert!(bads.iter_mut().all(|one| one.poll_with(&bad).is_none()));
    let mut good: Vec<_> = (0..10).map(|_| Hand::queued(flights.run(7, async || 8))).collect();
    let panic = panic_of(|| {
        let _held = held;
        panic!("its own");
    });
    assert_eq!(panic, "its own");
    assert_eq!(flights.len(), 1);
    // Each was notified in vain, and gives up: that wakes the next one.
    for one in bads.drain(..9) {
        assert_eq!(panic_of(|| drop(one)), "a bad waker");
    }
    drop(bads);
    assert!(good.iter_mut().all(|one| one.poll_while_woken().is_some_and(|flown| flown.value == 8)));
    drop(catch_unwind(AssertUnwindSafe(|| drop(bad))));
    assert!(flights.is_empty());
}

#[test]
fn a_call_whose_waker_cannot_be_cloned_leaves_nothing_behind() {
    let flights = Flights::new();
    let held = lead(&flights);
    let bad = hooked(|event| assert!(event != Event::Cloned, "a bad waker"));
    let mut call = Hand::new(flights.join(7));
    assert_eq!(panic_of(|| drop(call.poll_with(&bad))), "a bad waker");
    drop(held);
    assert_eq!(flights.len(), 1, "it has joined");
    drop(call);
    assert!(flights.is_empty());
}

#[test]
fn a_lead_that_a_waker_spoils_goes_to_another() {
    let flights = Flights::new();
    let held = lead(&flights);
    // It drops the old waker when it is polled for another task.
    let bad = hooked(|event| assert!(event != Event::Dropped, "a bad waker"));
    let mut first = Hand::new(flights.join(7));
    assert!(first.poll_with(&bad).is_none());
    let mut second = Hand::queued(flights.join(7));
    assert_eq!(panic_of(|| drop(first.poll())), "a bad waker");
    drop(held);
    assert!(first.is_woken() && !second.is_woken());
    drop(first);
    assert!(matches!(second.poll_while_woken(), Some(Role::Leader(_))));
    drop(second);
    drop(catch_unwind(AssertUnwindSafe(|| drop(bad))));
    assert!(flights.is_empty());
}

#[test]
fn a_waker_may_ask_for_the_key_and_drop_others_who_joined() {
    for is_aborted in [false, true] {
        let flights = Arc::new(Flights::new());
        let held = lead(&flights);
        let others = Arc::new(Mutex::new(Vec::new()));
        let led = Arc::new(AtomicUsize::new(0));
        let waker = {
            let (flights, others, led) = (Arc::downgrade(&flights), others.clone(), led.clone());
            hooked(move |event| {
                let Some(flights) = Weak::upgrade(&flights) else { return };
                // From whatever is done to it, it looks and it asks; it drops half of those told and untold.
                if event == Event::Woken {
                    led.fetch_add(usize::from(flights.run_blocking(7, || 9).led), Ordering::Relaxed);
                    let gone: Vec<_> =
                        others.lock().map(|mut others| others.split_off(10)).unwrap_or_default();
                    drop(gone);
                }
                assert!(flights.counts().flights > 0);
            })
        };
        let mut first = Hand::new(flights.join(7));
        assert!(first.poll_with(&waker).is_none());
        others
            .lock()
            .expect("nobody panicked")
            .extend((0..20).map(|_| Hand::queued(Box::pin(flights.join(7)))));
        match is_aborted {
            true => drop(held),
            false => drop(held.finish(7)),
        }
        // After an abort it takes the lead as a newcomer, and after the value it begins a flight.
        assert_eq!(led.load(Ordering::Relaxed), 1);
        for mut other in others.lock().expect("nobody panicked").drain(..) {
            assert!(other.is_woken());
            match other.poll() {
                Some(Role::Joined(value)) => assert_eq!(value, if is_aborted { 9 } else { 7 }),
                other => panic!("{other:?}"),
            }
        }
        drop((first, waker));
        assert!(flights.is_empty());
    }
}

#[test]
fn a_call_that_looks_while_others_are_being_woken_gets_the_value() {
    let flights = Flights::new();
    let held = lead(&flights);
    let last = Arc::new(Mutex::new(None));
    let got = Arc::new(AtomicUsize::new(0));
    let waker = {
        let (last, got) = (last.clone(), got.clone());
        hooked(move |event| {
            let last: Option<Hand<_>> = match event {
                Event::Woken => last.lock().ok().and_then(|mut last| last.take()),
                Event::Cloned | Event::Dropped => None,
            };
            if let Some(mut last) = last {
                assert!(!last.is_woken(), "it is in a later batch");
                assert!(matches!(last.poll(), Some(Role::Joined(7))));
                got.fetch_add(1, Ordering::Relaxed);
            }
        })
    };
    let mut first = Hand::new(flights.join(7));
    assert!(first.poll_with(&waker).is_none());
    let mut others: Vec<_> = (0..30).map(|_| Hand::queued(flights.join(7))).collect();
    *last.lock().expect("nobody panicked") = others.pop();
    assert_eq!(held.finish(7), 7);
    assert_eq!(got.load(Ordering::Relaxed), 1);
    assert!(others.iter_mut().all(|other| matches!(other.poll_while_woken(), Some(Role::Joined(7)))));
}

/// A name that cannot always be made a key.
struct Name<'a>(&'a Cell<bool>);

impl IntoKey<u8> for Name<'_> {
    fn hash_key<H: Hasher>(&self, state: &mut H) {
        7_u8.hash(state);
    }
    fn is_key(&self, key: &u8) -> bool {
        *key == 7
    }
    fn into_key(self) -> u8 {
        assert!(!self.0.get(), "no key");
        7
    }
}

#[test]
fn a_name_of_which_no_key_can_be_made_may_succeed_but_not_begin() {
    let (flights, fails) = (Flights::new(), Cell::new(true));
    assert_eq!(panic_of(|| drop(flights.join(Name(&fails)).wait())), "no key");
    assert!(flights.is_empty());
    let held = lead(&flights);
    let mut first = Hand::queued(flights.join(Name(&fails)));
    let mut other = Hand::queued(flights.join(7));
    drop(held);
    let Some(Role::Leader(leader)) = first.poll() else { panic!("nobody leads") };
    assert_eq!(leader.finish(9), 9);
    assert!(matches!(other.poll(), Some(Role::Joined(9))));
    assert!(flights.is_empty());
}

#[test]
fn a_lead_may_end_on_a_thread_that_unwinds_and_in_the_drop_of_another_value() {
    struct Ends(Option<Leader<u8, u32>>);
    impl Drop for Ends {
        fn drop(&mut self) {
            let leader = self.0.take().expect("it is dropped once");
            assert_eq!(leader.finish(7), 7);
        }
    }
    let flights = Flights::new();
    let ends = Ends(Some(lead(&flights)));
    let mut joined = Hand::queued(flights.join(7));
    let thread = std::thread::spawn(move || {
        let _ends = ends;
        // Without the hook, which would print it.
        resume_unwind(Box::new(()));
    });
    assert!(thread.join().is_err());
    assert!(matches!(joined.poll(), Some(Role::Joined(7))));
}
