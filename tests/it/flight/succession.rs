//! What becomes of a flight when its leader goes: one call leads, the others stay joined.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};

use latchwork::{
    SingleFlight,
    flight::{Leader, Role},
    helper,
};

use crate::support::{Hand, alone, alone_with_helper, no_hang, rounds_of_patience, until};

type Flights = SingleFlight<u8, u32>;

fn lead(flights: &Flights) -> Leader<u8, u32> {
    leads(Some(flights.join(7).wait()))
}

#[track_caller]
fn leads<K, V>(role: Option<Role<K, V>>) -> Leader<K, V> {
    match role {
        Some(Role::Leader(leader)) => leader,
        Some(Role::Joined(_)) => panic!("it got a value"),
        None => panic!("it waits"),
    }
}

#[track_caller]
fn joined<K, V>(role: Option<Role<K, V>>) -> V {
    match role {
        Some(Role::Joined(value)) => value,
        Some(Role::Leader(_)) => panic!("it leads"),
        None => panic!("it waits"),
    }
}

#[test]
fn after_an_abort_the_work_is_run_once_in_whatever_order_the_others_look() {
    const CALLS: usize = 500;
    for is_reversed in [false, true] {
        let (flights, runs) = (Flights::new(), Cell::new(0));
        let held = lead(&flights);
        let call = || {
            flights.run(7, async || {
                runs.set(runs.get() + 1);
                8
            })
        };
        let mut calls: Vec<_> = (0..CALLS).map(|_| Hand::queued(call())).collect();
        if is_reversed {
            calls.reverse();
        }
        drop(held);
        assert_eq!(calls.iter().filter(|call| call.is_woken()).count(), 1);
        // All look, also those that were not woken. The work does not suspend.
        let mut flown: Vec<_> = calls.iter_mut().filter_map(Hand::poll).collect();
        flown.extend(calls.iter_mut().filter(|call| call.is_woken()).filter_map(Hand::poll));
        assert_eq!((flown.len(), runs.get()), (CALLS, 1));
        assert_eq!(flown.iter().filter(|flown| flown.led).count(), 1);
        assert!(flights.is_empty());
    }
}

#[test]
fn calls_that_fail_one_after_the_other_are_woken_once_each() {
    const CALLS: usize = 2000;
    let (flights, runs) = (Flights::new(), Cell::new(0));
    let held = lead(&flights);
    let call = || {
        flights.try_run(7, async || {
            runs.set(runs.get() + 1);
            Err::<u32, _>("no bread")
        })
    };
    let mut calls: Vec<_> = (0..CALLS).map(|_| Hand::queued(call())).collect();
    drop(held);
    for call in &mut calls {
        assert_eq!(call.poll_while_woken(), Some(Err("no bread")));
    }
    assert_eq!((calls.iter().map(Hand::wakes).sum::<usize>(), runs.get()), (CALLS, CALLS));
    let counts = flights.counts();
    assert_eq!((counts.flights, counts.joined, counts.aborted), (2001, 2000, 2001));
    assert!(flights.is_empty());
}

#[test]
fn a_value_wakes_every_call_once_however_many_they_are() {
    for count in [1, 15, 16, 17, 32, 100] {
        let flights = Flights::new();
        let held = lead(&flights);
        let mut calls: Vec<_> = (0..count).map(|_| Hand::queued(flights.join(7))).collect();
        assert_eq!(held.finish(7), 7);
        for call in &mut calls {
            assert_eq!((call.wakes(), joined(call.poll())), (1, 7));
        }
    }
}

#[test]
fn a_call_gets_the_value_of_a_successor_of_the_leader_that_it_joined() {
    let flights = Flights::new();
    let held = lead(&flights);
    let [mut one, mut two, mut three] = [(); 3].map(|()| Hand::queued(flights.join(7)));
    drop(held);
    let held = leads(one.poll_while_woken());
    assert!(two.poll().is_none());
    drop(held);
    let held = leads(two.poll_while_woken());
    let mut late = Hand::queued(flights.join(7));
    assert_eq!(held.finish(9), 9);
    let next = lead(&flights);
    assert_eq!((joined(three.poll_while_woken()), joined(late.poll_while_woken())), (9, 9));
    drop(next);
    assert!(flights.is_empty());
}

#[test]
fn a_successor_that_is_never_polled_again_is_passed() {
    alone("flight::succession::a_successor_that_is_never_polled_again_is_passed", || {
        let flights = Flights::new();
        let held = lead(&flights);
        let mut silent = Hand::queued(flights.join(7));
        let mut other = Hand::queued(flights.join(7));
        drop(held);
        assert!(silent.is_woken() && !other.is_woken());
        rounds_of_patience();
        let second = leads(other.poll_while_woken());
        let mut third = Hand::queued(flights.join(7));
        assert_eq!(second.finish(7), 7);
        assert_eq!(joined(third.poll_while_woken()), 7);
        assert!(flights.is_empty());
        // It is still on that flight.
        assert_eq!(joined(silent.poll()), 7);
    });
}

#[test]
fn any_number_of_silent_successors_is_passed_in_a_few_rounds() {
    alone("flight::succession::any_number_of_silent_successors_is_passed_in_a_few_rounds", || {
        let flights = Flights::new();
        let held = lead(&flights);
        let silent: Vec<_> = (0..1000).map(|_| Hand::queued(flights.join(7))).collect();
        let mut other = Hand::queued(flights.join(7));
        drop(held);
        let mut rounds = 0;
        let held = loop {
            helper::round();
            if let Some(role) = other.poll_while_woken() {
                break leads(Some(role));
            }
            rounds += 1;
            assert!(rounds < 100, "it is stuck");
        };
        assert!(silent.iter().all(|silent| silent.wakes() <= 2));
        assert_eq!(held.finish(7), 7);
        drop(silent);
        assert!(flights.is_empty());
    });
}

#[test]
fn a_successor_that_was_passed_leads_when_it_comes_late_and_is_first() {
    alone("flight::succession::a_successor_that_was_passed_leads_when_it_comes_late_and_is_first", || {
        let flights = Flights::new();
        let held = lead(&flights);
        let mut late = Hand::queued(flights.join(7));
        let mut other = Hand::queued(flights.join(7));
        drop(held);
        rounds_of_patience();
        assert!(other.is_woken());
        let held = leads(late.poll());
        assert!(other.poll().is_none(), "it came in vain, and stays");
        drop(held);
        leads(other.poll_while_woken()).finish(7);
    });
}

#[test]
fn a_newcomer_may_lead_before_a_successor_once() {
    let flights = Flights::new();
    let held = lead(&flights);
    let mut waits = Hand::queued(flights.join(7));
    drop(held);
    // Without the helper, and while the successor is silent: a newcomer is not held up.
    let held = lead(&flights);
    assert!(waits.poll().is_none());
    drop(held);
    let mut newcomer = Hand::queued(flights.join(7));
    leads(waits.poll_while_woken()).finish(7);
    assert_eq!(joined(newcomer.poll_while_woken()), 7);
    let counts = flights.counts();
    assert_eq!((counts.flights, counts.joined, counts.aborted), (3, 2, 2));
}

#[test]
fn newcomers_that_fail_do_not_hold_a_silent_successor_up_for_ever() {
    let flights = Flights::new();
    let held = lead(&flights);
    let mut silent = Hand::queued(flights.join(7));
    drop(held);
    let mut led = 0;
    let last = loop {
        let mut newcomer = Hand::new(flights.join(7));
        match newcomer.poll() {
            Some(role) => drop(leads(Some(role))),
            None => break newcomer,
        }
        led += 1;
        assert!(led <= 512, "it is passed without bound");
    };
    drop(leads(silent.poll()));
    drop(silent);
    drop(last);
    assert!(flights.is_empty());
}

#[test]
fn the_lead_is_passed_on_by_those_who_give_up() {
    for leaver in 0..4 {
        let flights = Flights::new();
        let held = lead(&flights);
        let mut calls: Vec<_> = (0..4).map(|_| Hand::queued(flights.join(7))).collect();
        drop(held);
        drop(calls.remove(leaver));
        assert_eq!(calls.iter().map(Hand::wakes).collect::<Vec<_>>(), [1, 0, 0]);
        while !calls.is_empty() {
            assert_eq!(flights.len(), 1, "calls wait");
            drop(leads(calls.remove(0).poll_while_woken()));
        }
        assert!(flights.is_empty());
    }
}

#[test]
fn a_flight_that_all_have_left_leaves_nothing_behind() {
    let flights = SingleFlight::<Arc<str>, Arc<str>>::new();
    let key: Arc<str> = Arc::from("ada");
    let join = || flights.join(key.clone());
    let held = leads(Some(join().wait()));
    let calls: Vec<_> = (0..3).map(|_| Hand::queued(join())).collect();
    assert_eq!(Arc::strong_count(&key), 5);
    drop(held);
    assert_eq!(flights.counts().under_way, 1, "calls wait for the lead");
    drop(calls);
    assert_eq!(flights.counts().under_way, 0);
    assert_eq!(Arc::strong_count(&key), 1);

    // With a value that nobody looks at.
    let held = leads(Some(join().wait()));
    let calls: Vec<_> = (0..20).map(|_| Hand::queued(join())).collect();
    let value = held.finish(key.clone());
    assert!(flights.is_empty());
    drop((calls, value));
    assert_eq!(Arc::strong_count(&key), 1);
}

#[test]
#[allow(clippy::mem_forget)] // That is the case.
fn a_forgotten_call_keeps_its_flight_until_there_is_a_value() {
    alone("flight::succession::a_forgotten_call_keeps_its_flight_until_there_is_a_value", || {
        let flights = Flights::new();
        let held = lead(&flights);
        std::mem::forget(Hand::queued(flights.join(7)));
        let mut other = Hand::queued(flights.join(7));
        drop(held);
        rounds_of_patience();
        drop(leads(other.poll_while_woken()));
        drop(other);
        assert_eq!(flights.len(), 1, "it is counted on");
        assert!(flights.run_blocking(7, || 8).led);
        assert!(flights.is_empty());
    });
}

#[test]
fn a_waker_that_leads_at_once_is_the_only_one_to_be_woken() {
    let flights = Flights::new();
    let Role::Leader(held) = flights.join(7).wait() else { panic!("nobody leads") };
    let mut calls: Vec<_> = (0..3).map(|_| Hand::queued(flights.join(7))).collect();
    drop(held);
    // As on another thread: the second one looks before the first one, which was notified.
    assert!(calls[1].poll().is_none() && calls[2].poll().is_none());
    let held = leads(calls[0].poll());
    drop(held);
    assert!(calls[1].is_woken() && !calls[2].is_woken());
}

#[test]
fn threads_whose_work_fails_lead_one_at_a_time() {
    const THREADS: usize = 12;
    no_hang(|| {
        let flights = Flights::new();
        let (at_work, runs) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let held = lead(&flights);
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..THREADS)
                .map(|_| {
                    scope.spawn(|| {
                        flights.try_run_blocking(7, || {
                            assert_eq!(at_work.fetch_add(1, Ordering::SeqCst), 0, "two lead");
                            runs.fetch_add(1, Ordering::SeqCst);
                            std::thread::yield_now();
                            at_work.fetch_sub(1, Ordering::SeqCst);
                            Err::<u32, _>("no bread")
                        })
                    })
                })
                .collect();
            until(|| flights.counts().joined == THREADS as u64);
            drop(held);
            for thread in threads {
                assert!(thread.join().expect("it does not panic").is_err());
            }
        });
        assert_eq!(runs.load(Ordering::SeqCst), THREADS);
        assert!(flights.is_empty());
    });
}

#[test]
fn of_threads_that_joined_one_does_the_work_after_an_abort() {
    const THREADS: usize = 12;
    no_hang(|| {
        let flights = Flights::new();
        let (runs, go) = (AtomicUsize::new(0), Barrier::new(2));
        let work = || {
            runs.fetch_add(1, Ordering::SeqCst);
            go.wait();
            8
        };
        let held = lead(&flights);
        std::thread::scope(|scope| {
            let threads: Vec<_> =
                (0..THREADS).map(|_| scope.spawn(|| flights.run_blocking(7, work).value)).collect();
            until(|| flights.counts().joined == THREADS as u64);
            drop(held);
            go.wait();
            assert!(threads.into_iter().all(|thread| thread.join().expect("it does not panic") == 8));
        });
        assert_eq!(runs.load(Ordering::SeqCst), 1);
    });
}

#[test]
fn the_helper_is_not_needed_while_a_call_leads() {
    alone_with_helper("flight::succession::the_helper_is_not_needed_while_a_call_leads", || {
        let flights = Flights::new();
        let held = lead(&flights);
        let mut calls: Vec<_> = (0..20).map(|_| Hand::queued(flights.join(7))).collect();
        assert_eq!(held.finish(7), 7);
        assert!(calls.iter_mut().all(|call| joined(call.poll()) == 7));
        assert!(!helper::is_running());

        // But when nobody does, and another one is behind a successor.
        let held = lead(&flights);
        let mut calls: Vec<_> = (0..2).map(|_| Hand::queued(flights.join(7))).collect();
        drop(held);
        assert!(helper::is_running());
        until(|| calls[1].is_woken());
        leads(calls[1].poll()).finish(7);
    });
}
