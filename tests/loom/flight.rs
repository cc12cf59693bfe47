//! Flights: one leader at a time, and each who asks gets the value of a flight it was on, or leads.

use std::collections::hash_map::DefaultHasher;
use std::hash::BuildHasherDefault;
use std::sync::Arc;

use latchwork::{
    SingleFlight,
    flight::{Leader, Role},
    helper,
};
use loom::thread;

use crate::support::{Seen, Watched, Woken, check, poll_once};

/// The same hash in every execution; a model's table has one shard.
type Fixed = BuildHasherDefault<DefaultHasher>;
type Flights = SingleFlight<u8, usize, Fixed>;

fn flights() -> Flights {
    SingleFlight::with_hasher(Fixed::default())
}

/// The lead of a flight that nobody else can lead yet.
fn lead(flights: &Flights) -> Leader<u8, usize> {
    match flights.join(7).wait() {
        Role::Leader(leader) => leader,
        Role::Joined(_) => panic!("nobody was at it"),
    }
}

/// The work: its value is the number of times it was done. Two leaders at once, or one that does not see what
/// the one before did, fail.
fn work(done: &Watched) -> usize {
    done.add(1);
    done.get()
}

/// Leads or joins; says what it got, and whether it led.
fn settle(role: Role<u8, usize>, done: &Watched) -> (usize, bool) {
    match role {
        Role::Leader(leader) => (leader.finish(work(done)), true),
        Role::Joined(value) => (value, false),
    }
}

#[test]
fn one_leads_at_a_time_and_the_others_get_its_value() {
    let seen = Seen::default();
    let noted = seen.clone();
    check(Some(4), 1_800, move || {
        let (flights, done) = (flights(), Arc::new(Watched::default()));
        let others: Vec<_> = (0..2)
            .map(|_| {
                let (flights, done) = (flights.clone(), done.clone());
                thread::spawn(move || settle(flights.join(7).wait(), &done))
            })
            .collect();
        let mut got = vec![settle(noted.task(flights.join(7)), &done)];
        got.extend(others.into_iter().map(|other| other.join().unwrap()));
        let led: Vec<_> = got.iter().filter(|(_, led)| *led).map(|(value, _)| *value).collect();
        assert_eq!(led.len(), done.get(), "the work was done by who did not lead");
        assert!(got.iter().all(|(value, _)| led.contains(value)), "a value of nobody");
        let counts = flights.counts();
        assert_eq!((counts.flights, counts.joined), (led.len() as u64, 3 - led.len() as u64));
        assert!(flights.is_empty());
    });
    seen.both();
}

#[test]
fn who_found_a_flight_gets_its_value_also_when_it_looks_late() {
    let (seen, joined) = (Seen::default(), Seen::default());
    let (noted, joins) = (seen.clone(), joined.clone());
    check(None, 8, move || {
        let (flights, done) = (flights(), Arc::new(Watched::default()));
        let leader = lead(&flights);
        let other = {
            let (flights, done, noted) = (flights.clone(), done.clone(), noted.clone());
            thread::spawn(move || settle(noted.task(flights.join(7)), &done))
        };
        leader.finish(work(&done));
        let (value, led) = other.join().unwrap();
        assert_eq!(value, 1 + usize::from(led));
        assert_eq!(
            flights.counts().joined,
            u64::from(!led),
            "it found a flight, and did the work all the same"
        );
        joins.note(led);
    });
    seen.both();
    joined.both();
}

#[test]
fn a_thread_and_a_task_that_joined_are_both_told() {
    let seen = Seen::default();
    let noted = seen.clone();
    check(Some(4), 1_000, move || {
        let (flights, done) = (flights(), Arc::new(Watched::default()));
        let leader = lead(&flights);
        let task = {
            let (flights, done, noted) = (flights.clone(), done.clone(), noted.clone());
            thread::spawn(move || settle(noted.task(flights.join(7)), &done))
        };
        let thread = {
            let (flights, done) = (flights.clone(), done.clone());
            thread::spawn(move || settle(flights.join(7).wait(), &done))
        };
        leader.finish(work(&done));
        let (task, thread) = (task.join().unwrap(), thread.join().unwrap());
        assert!(task.1 || thread.1 || task.0 <= 2 && thread.0 <= 2);
        assert_eq!(done.get() as u64, flights.counts().flights);
    });
    seen.both();
}

#[test]
fn no_value_outlives_its_flight() {
    let seen = Seen::default();
    let noted = seen.clone();
    check(None, 8, move || {
        let flights = flights();
        let leader = lead(&flights);
        let other = {
            let flights = flights.clone();
            thread::spawn(move || match flights.join(7).wait() {
                Role::Leader(_) => false,
                Role::Joined(1) => {
                    let again = flights.join(7).wait();
                    assert!(matches!(again, Role::Leader(_)), "the value of a flight that is over");
                    true
                }
                Role::Joined(_) => panic!("a value of nobody"),
            })
        };
        leader.finish(1);
        noted.note(other.join().unwrap());
        assert!(matches!(flights.join(7).wait(), Role::Leader(_)));
        assert!(flights.is_empty());
    });
    seen.both();
}

#[test]
fn after_an_abort_one_of_those_who_joined_leads() {
    let (seen, joined) = (Seen::default(), Seen::default());
    let (noted, joins) = (seen.clone(), joined.clone());
    check(Some(4), 2_100, move || {
        let (flights, done) = (flights(), Arc::new(Watched::default()));
        let leader = lead(&flights);
        let others: Vec<_> = (0..2)
            .map(|_| {
                let (flights, done, noted) = (flights.clone(), done.clone(), noted.clone());
                thread::spawn(move || settle(noted.task(flights.join(7)), &done))
            })
            .collect();
        drop(leader);
        let got: Vec<_> = others.into_iter().map(|other| other.join().unwrap()).collect();
        let led = got.iter().filter(|(_, led)| *led).count();
        assert!(led > 0 && led == done.get());
        assert!(led == 2 || got[0].0 == got[1].0);
        assert_eq!((flights.counts().aborted, flights.counts().flights), (1, 1 + led as u64));
        assert!(flights.is_empty());
        joins.note(led == 1);
    });
    seen.both();
    joined.both();
}

#[test]
fn one_who_joined_and_gives_up_takes_nothing_from_another() {
    for aborts in [false, true] {
        let seen = Seen::default();
        let noted = seen.clone();
        check(Some(4), 850, move || {
            let (flights, done) = (flights(), Arc::new(Watched::default()));
            let other = {
                let (flights, done, noted) = (flights.clone(), done.clone(), noted.clone());
                thread::spawn(move || settle(noted.task(flights.join(7)), &done))
            };
            let leader = match flights.join(7).wait() {
                Role::Leader(leader) => Some(leader),
                Role::Joined(_) => None,
            };
            let quitter = {
                let flights = flights.clone();
                thread::spawn(move || {
                    let mut quitter = Box::pin(flights.join(7));
                    drop(poll_once(quitter.as_mut()));
                })
            };
            if let Some(leader) = leader {
                if aborts {
                    drop(leader);
                } else {
                    leader.finish(work(&done));
                }
            }
            quitter.join().unwrap();
            other.join().unwrap();
            assert!(flights.is_empty());
        });
        seen.both();
    }
}

#[test]
fn of_two_that_stay_joined_after_an_abort_one_leads() {
    let seen = Seen::default();
    let noted = seen.clone();
    check(Some(3), 800, move || {
        let (flights, done) = (flights(), Arc::new(Watched::default()));
        let leader = lead(&flights);
        let others: Vec<_> = (0..2)
            .map(|_| {
                let mut call = Box::pin(flights.join(7));
                assert!(poll_once(call.as_mut()).is_pending());
                let (done, noted) = (done.clone(), noted.clone());
                thread::spawn(move || match noted.task_pinned(call.as_mut()) {
                    Role::Leader(leader) => (leader.finish(work(&done)), true),
                    Role::Joined(value) => (value, false),
                })
            })
            .collect();
        drop(leader);
        let got: Vec<_> = others.into_iter().map(|other| other.join().unwrap()).collect();
        assert!(got.iter().all(|(value, _)| *value == 1));
        assert_eq!((got.iter().filter(|(_, led)| *led).count(), done.get()), (1, 1));
        let counts = flights.counts();
        assert_eq!((counts.flights, counts.joined, counts.aborted), (2, 2, 1));
        assert!(flights.is_empty());
    });
    seen.both();
}

#[test]
fn a_newcomer_and_a_successor_do_not_lead_at_once() {
    let (seen, passed) = (Seen::default(), Seen::default());
    let (noted, passes) = (seen.clone(), passed.clone());
    check(Some(3), 1_200, move || {
        let (flights, done) = (flights(), Arc::new(Watched::default()));
        let leader = lead(&flights);
        let mut successor = Box::pin(flights.join(7));
        assert!(poll_once(successor.as_mut()).is_pending());
        let newcomer = {
            let (flights, done) = (flights.clone(), done.clone());
            thread::spawn(move || settle(flights.join(7).wait(), &done))
        };
        let successor = {
            let (done, noted) = (done.clone(), noted.clone());
            thread::spawn(move || match noted.task_pinned(successor.as_mut()) {
                Role::Leader(leader) => (leader.finish(work(&done)), true),
                Role::Joined(value) => (value, false),
            })
        };
        drop(leader);
        let (successor, newcomer) = (successor.join().unwrap(), newcomer.join().unwrap());
        assert_eq!(done.get(), usize::from(successor.1) + usize::from(newcomer.1));
        assert!(successor.1 || newcomer.1);
        assert!(flights.is_empty());
        passes.note(newcomer.1);
    });
    seen.both();
    passed.both();
}

#[test]
fn a_notified_one_that_gives_up_passes_the_lead_on() {
    let seen = Seen::default();
    let noted = seen.clone();
    check(Some(4), 1_200, move || {
        let (flights, done) = (flights(), Arc::new(Watched::default()));
        let leader = lead(&flights);
        let mut quitter = Box::pin(flights.join(7));
        assert!(poll_once(quitter.as_mut()).is_pending());
        let other = {
            let (flights, done, noted) = (flights.clone(), done.clone(), noted.clone());
            thread::spawn(move || settle(noted.task(flights.join(7)), &done))
        };
        let quitter = thread::spawn(move || drop(quitter));
        drop(leader);
        quitter.join().unwrap();
        assert_eq!(other.join().unwrap(), (1, true));
        assert!(flights.is_empty());
    });
    seen.both();
}

#[test]
fn a_flight_that_everybody_leaves_is_gone() {
    check(None, 4_500, move || {
        let flights = flights();
        let leader = lead(&flights);
        let quitters: Vec<_> = (0..2)
            .map(|_| {
                let mut quitter = Box::pin(flights.join(7));
                assert!(poll_once(quitter.as_mut()).is_pending());
                thread::spawn(move || drop(quitter))
            })
            .collect();
        drop(leader);
        for quitter in quitters {
            quitter.join().unwrap();
        }
        assert!(flights.is_empty());
    });
}

#[test]
fn a_value_reaches_more_than_a_batch() {
    let seen = Seen::default();
    let noted = seen.clone();
    check(None, 6, move || {
        let (flights, done) = (flights(), Arc::new(Watched::default()));
        let leader = lead(&flights);
        let idle: Vec<_> = (0..16)
            .map(|_| {
                let (mut call, woken) = (Box::pin(flights.join(7)), Arc::new(Woken::default()));
                assert!(woken.poll(call.as_mut()).is_pending());
                (call, woken)
            })
            .collect();
        let last = {
            let (flights, done, noted) = (flights.clone(), done.clone(), noted.clone());
            thread::spawn(move || settle(noted.task(flights.join(7)), &done))
        };
        leader.finish(work(&done));
        assert!(idle.iter().all(|(_, woken)| woken.is()));
        last.join().unwrap();
        drop(idle);
        assert!(flights.is_empty());
    });
    seen.both();
}

#[test]
fn one_who_joined_and_is_never_polled_again_stalls_nobody() {
    let seen = Seen::default();
    let noted = seen.clone();
    check(Some(4), 8, move || {
        let (flights, done) = (flights(), Arc::new(Watched::default()));
        let leader = lead(&flights);
        let woken = Arc::new(Woken::default());
        let mut silent = Box::pin(flights.join(7));
        assert!(woken.poll(silent.as_mut()).is_pending());
        let other = {
            let (flights, done, noted) = (flights.clone(), done.clone(), noted.clone());
            thread::spawn(move || settle(noted.task(flights.join(7)), &done))
        };
        drop(leader);
        helper::round();
        assert!(other.join().unwrap().1, "nobody else could lead");
        assert!(woken.is());
        drop(silent);
        assert!(flights.is_empty());
    });
    seen.both();
}

#[test]
fn a_round_beside_an_abort_loses_no_notification() {
    let seen = Seen::default();
    let noted = seen.clone();
    check(Some(3), 20_000, move || {
        let (flights, done) = (flights(), Arc::new(Watched::default()));
        let leader = lead(&flights);
        let others: Vec<_> = (0..2)
            .map(|_| {
                let mut call = Box::pin(flights.join(7));
                assert!(poll_once(call.as_mut()).is_pending());
                let (done, noted) = (done.clone(), noted.clone());
                thread::spawn(move || match noted.task_pinned(call.as_mut()) {
                    Role::Leader(leader) => (leader.finish(work(&done)), true),
                    Role::Joined(value) => (value, false),
                })
            })
            .collect();
        let rounds = thread::spawn(helper::round);
        drop(leader);
        rounds.join().unwrap();
        let got: Vec<_> = others.into_iter().map(|other| other.join().unwrap()).collect();
        assert_eq!((got.iter().filter(|(_, led)| *led).count(), done.get()), (1, 1));
        assert!(flights.is_empty());
    });
    seen.both();
}
