//! Work that a leader leaves half done.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use latchwork::{
    SingleFlight,
    flight::{Leader, Role},
};

use crate::support::Hand;

type Flights = SingleFlight<u8, u32>;

#[track_caller]
fn leads(role: Option<Role<u8, u32>>) -> Leader<u8, u32> {
    match role {
        Some(Role::Leader(leader)) => leader,
        _ => panic!("it does not lead"),
    }
}

fn lead(flights: &Flights) -> Leader<u8, u32> {
    leads(Some(flights.join(7).wait()))
}

#[test]
fn one_of_the_calls_that_joined_takes_the_work_over_and_the_others_stay_joined() {
    let flights = Flights::new();
    let held = lead(&flights);
    let mut calls = [(); 3].map(|()| Hand::queued(flights.join(7)));
    held.hand_over("half".to_owned());
    assert_eq!(calls.each_ref().map(Hand::wakes), [1, 0, 0]);
    let mut next = leads(calls[0].poll());
    assert_eq!(next.take_over::<String>().as_deref(), Some("half"));
    assert_eq!(next.take_over::<String>(), None, "it is taken once");
    next.finish(8);
    for call in &mut calls[1..] {
        assert!(matches!(call.poll(), Some(Role::Joined(8))));
    }
    assert!(flights.is_empty());
}

#[test]
fn a_first_leader_has_nothing_to_take_over() {
    let flights = Flights::new();
    assert_eq!(lead(&flights).take_over::<String>(), None);
    // Nobody joined: the next one begins anew.
    lead(&flights).hand_over("half");
    assert_eq!(lead(&flights).take_over::<&str>(), None);
    assert_eq!((flights.counts().flights, flights.counts().aborted), (3, 3));
}

#[test]
fn work_is_dropped_where_nobody_takes_it_over() {
    let flights = Flights::new();
    let work = Arc::new(());
    let kept = || Arc::strong_count(&work) - 1;
    lead(&flights).hand_over(work.clone());
    assert_eq!(kept(), 0, "nobody joined");

    let held = lead(&flights);
    let calls = [(); 3].map(|()| Hand::queued(flights.join(7)));
    held.hand_over(work.clone());
    assert_eq!(kept(), 1);
    drop(calls);
    assert_eq!((kept(), flights.len()), (0, 0), "all have given up");

    let held = lead(&flights);
    let mut call = Hand::queued(flights.join(7));
    held.hand_over(work.clone());
    let mut next = leads(call.poll());
    assert_eq!((next.take_over::<u8>(), kept()), (None, 0), "it is of another type");
    next.finish(8);

    // A leader that does not ask for it: it goes with the flight, or when the leader leaves something itself.
    for leaves in [false, true] {
        let held = lead(&flights);
        let mut calls = [(); 2].map(|()| Hand::queued(flights.join(7)));
        held.hand_over(work.clone());
        let next = leads(calls[0].poll());
        assert_eq!(kept(), 1);
        if leaves {
            next.hand_over(());
        } else {
            next.finish(8);
        }
        assert!(calls[1].poll().is_some());
        drop(calls);
        assert_eq!((kept(), flights.len()), (0, 0));
    }
}

#[test]
fn work_outlives_leaders_that_do_not_touch_it() {
    let flights = Flights::new();
    let held = lead(&flights);
    let mut calls: Vec<_> = (0..4).map(|_| Hand::queued(flights.join(7))).collect();
    held.hand_over(8_u32);
    for _ in 0..3 {
        drop(leads(calls.remove(0).poll()));
    }
    assert_eq!(leads(calls.remove(0).poll()).take_over(), Some(8_u32));
}

#[test]
fn work_that_panics_when_it_is_dropped_keeps_nobody_waiting() {
    struct Hot;
    impl Drop for Hot {
        fn drop(&mut self) {
            panic!("asked for");
        }
    }
    let flights = Flights::new();
    let held = lead(&flights);
    let mut calls = [(); 2].map(|()| Hand::queued(flights.join(7)));
    held.hand_over(Hot);
    let next = leads(calls[0].poll());
    assert!(catch_unwind(AssertUnwindSafe(|| next.hand_over(8_u32))).is_err());
    assert!(calls[1].is_woken());
    let mut last = leads(calls[1].poll());
    assert_eq!(last.take_over(), Some(8_u32));
    drop(last);

    // Nobody joined.
    let held = lead(&flights);
    assert!(catch_unwind(AssertUnwindSafe(|| held.hand_over(Hot))).is_err());
    assert!(flights.is_empty());
    assert!(flights.run_blocking(7, || 8).led);
}
