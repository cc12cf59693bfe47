//! Flights: one run for all who ask at the same time, and nobody is taken down by a leader that goes.

use std::cell::Cell;
use std::future::{Future, pending};
use std::hash::{Hash, Hasher};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use latchwork::{
    SingleFlight,
    flight::{FlightCounts, Leader, Role},
    key::IntoKey,
};
use tokio::runtime::Builder;
use tokio::sync::Notify;

use crate::support::{Event, Hand, hooked, no_hang, panic_of, until};

type Flights = SingleFlight<String, u32>;

fn lead<K: Eq + Hash, V: Clone>(flights: &SingleFlight<K, V>, key: K) -> Leader<K, V> {
    match flights.join(key).wait() {
        Role::Leader(leader) => leader,
        Role::Joined(_) => panic!("nobody was at it"),
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

#[track_caller]
fn leader<K, V>(role: Option<Role<K, V>>) -> Leader<K, V> {
    match role {
        Some(Role::Leader(leader)) => leader,
        Some(Role::Joined(_)) => panic!("it got a value"),
        None => panic!("it waits"),
    }
}

fn counts(counts: FlightCounts) -> (usize, u64, u64, u64) {
    (counts.under_way, counts.flights, counts.joined, counts.aborted)
}

/// Yields so often.
async fn yields(count: usize) {
    for _ in 0..count {
        tokio::task::yield_now().await;
    }
}

#[test]
fn of_many_tasks_that_ask_at_once_one_does_the_work_and_all_get_its_value() {
    const TASKS: usize = 64;
    no_hang(|| {
        let runtime = Builder::new_multi_thread().worker_threads(2).build().expect("a runtime starts");
        let flights = Flights::new();
        let (runs, go) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
        let tasks: Vec<_> = (0..TASKS)
            .map(|_| {
                let (flights, runs, go) = (flights.clone(), runs.clone(), go.clone());
                runtime.spawn(async move {
                    let work = async || {
                        go.notified().await;
                        runs.fetch_add(1, Ordering::Relaxed);
                        42
                    };
                    flights.run("ada", work).await
                })
            })
            .collect();
        until(|| flights.counts().joined == TASKS as u64 - 1);
        go.notify_one();
        let flown: Vec<_> =
            tasks.into_iter().map(|task| runtime.block_on(task).expect("it does not panic")).collect();
        assert_eq!(runs.load(Ordering::Relaxed), 1);
        assert_eq!(flown.iter().filter(|flown| flown.led).count(), 1);
        assert!(flown.iter().all(|flown| flown.value == 42));
        assert_eq!(counts(flights.counts()), (0, 1, TASKS as u64 - 1, 0));
    });
}

#[test]
fn threads_and_tasks_join_each_others_flights() {
    no_hang(|| {
        let runtime = Builder::new_multi_thread().worker_threads(1).build().expect("a runtime starts");
        let flights = Flights::new();
        for task_leads in [true, false] {
            let leader = match task_leads {
                true => runtime.block_on(flights.join("ada")),
                false => flights.join("ada").wait(),
            };
            let before = flights.counts().joined;
            let task = {
                let flights = flights.clone();
                runtime.spawn(async move { flights.run("ada", async || 0).await })
            };
            let thread = {
                let flights = flights.clone();
                std::thread::spawn(move || flights.run_blocking("ada", || 0))
            };
            until(|| flights.counts().joined == before + 2);
            let Role::Leader(leader) = leader else { panic!("nobody was at it") };
            assert_eq!(leader.finish(7), 7);
            let task = runtime.block_on(task).expect("it does not panic");
            let thread = thread.join().expect("it does not panic");
            assert_eq!((task.value, task.led, thread.value, thread.led), (7, false, 7, false));
        }
    });
}

#[test]
fn nothing_is_cached_and_keys_do_not_meet() {
    let flights = Flights::new();
    let ada = lead(&flights, "ada".to_owned());
    assert!(flights.run_blocking("grace", || 1).led, "another key");
    let mut waits = Hand::queued(flights.join("ada"));
    ada.finish(7);
    assert!(flights.run_blocking("ada", || 8).led, "that flight is over");
    assert_eq!(joined(waits.poll()), 7, "it was on the first one");
    assert!(flights.is_empty());
}

#[test]
fn who_joined_gets_that_flights_value_however_late_it_looks() {
    let flights = Flights::new();
    let first = lead(&flights, "ada".to_owned());
    let mut late = Hand::queued(flights.join("ada"));
    first.finish(1);
    let second = lead(&flights, "ada".to_owned());
    assert!(late.is_woken());
    assert_eq!(joined(late.poll()), 1);
    second.finish(2);
}

#[test]
fn an_error_is_its_callers_alone_and_one_of_those_who_joined_does_the_work() {
    let flights = Flights::new();
    let mut first = Hand::queued(flights.try_run("ada", async || {
        yields(1).await;
        Err("no bread")
    }));
    let mut others: Vec<_> = (0..3)
        .map(|number| {
            Hand::queued(flights.try_run("ada", async move || {
                yields(1).await;
                if number == 1 { Ok(number) } else { Err("no salt") }
            }))
        })
        .collect();
    assert_eq!(first.poll(), Some(Err("no bread")));
    assert_eq!(others.iter().map(Hand::is_woken).collect::<Vec<_>>(), [true, false, false]);
    assert_eq!(others[1].poll(), None, "it is not its turn");
    assert_eq!(others[0].poll(), None, "it leads, and yields");
    assert!(others[1].poll().is_none() && others[2].poll().is_none());
    assert_eq!(others[0].poll(), Some(Err("no salt")));
    assert_eq!(others[1].poll(), None, "it leads, and yields");
    let flown = others[1].poll().expect("it has yielded once").expect("its work succeeds");
    assert_eq!((flown.value, flown.led), (1, true));
    let flown = others[2].poll_while_woken().expect("it was woken").expect("an error is not shared");
    assert_eq!((flown.value, flown.led), (1, false));
    assert_eq!(counts(flights.counts()), (0, 3, 3, 2));
}

#[test]
fn errors_on_threads_are_their_callers_alone() {
    let flights = Flights::new();
    assert_eq!(flights.try_run_blocking("ada", || Err("no bread")), Err("no bread"));
    let leader = lead(&flights, "ada".to_owned());
    std::thread::scope(|scope| {
        let other = scope.spawn(|| flights.try_run_blocking("ada", || Err("no salt")));
        until(|| flights.counts().joined == 1);
        leader.finish(7);
        let flown = other.join().expect("it does not panic").expect("it did not do the work");
        assert_eq!((flown.value, flown.led), (7, false));
    });
}

/// Drops a call after each number of polls, and looks at what the others get.
fn dropped_after_each_poll<F: Future>(call: impl Fn(Flights) -> F) {
    for leads in [true, false] {
        for polls in 0..5 {
            let flights = Flights::new();
            let held = (!leads).then(|| lead(&flights, "ada".to_owned()));
            let mut call = Hand::new(call(flights.clone()));
            let mut is_over = false;
            for _ in 0..polls {
                is_over = is_over || call.poll().is_some();
            }
            let is_under_way = !flights.is_empty();
            let mut other = Hand::new(flights.run("ada", async || 8));
            let at_once = other.poll();
            drop(call);
            match held {
                Some(held) => {
                    assert!(at_once.is_none(), "a flight is under way");
                    held.finish(7);
                    assert_eq!(other.poll_while_woken().expect("it was told").value, 7);
                }
                None if is_over || !is_under_way => assert!(at_once.expect("nobody is at it").led),
                None => {
                    assert!(at_once.is_none(), "a flight is under way");
                    assert!(other.poll_while_woken().expect("it was told").led);
                }
            }
            assert!(flights.is_empty());
        }
    }
}

#[test]
fn a_run_dropped_at_any_point_leaves_its_flight_to_others() {
    dropped_after_each_poll(|flights| async move {
        flights
            .run("ada", async || {
                yields(2).await;
                6
            })
            .await;
    });
}

#[test]
fn a_try_run_dropped_at_any_point_leaves_its_flight_to_others() {
    dropped_after_each_poll(|flights| async move {
        let work = async || {
            yields(2).await;
            Ok::<_, ()>(6)
        };
        assert!(flights.try_run("ada", work).await.is_ok());
    });
}

#[test]
fn a_lead_dropped_at_any_point_leaves_its_flight_to_others() {
    dropped_after_each_poll(|flights| async move {
        let role = flights.join("ada").await;
        yields(2).await;
        if let Role::Leader(leader) = role {
            leader.finish(6);
        }
    });
}

#[test]
fn whoever_of_those_who_joined_gives_up_the_others_are_told() {
    for is_aborted in [false, true] {
        for told in [false, true] {
            for leaver in 0..4 {
                let flights = Flights::new();
                let mut held = Some(lead(&flights, "ada".to_owned()));
                let end = |held: Option<Leader<String, u32>>| {
                    let held = held.expect("it ends once");
                    if is_aborted {
                        drop(held);
                    } else {
                        held.finish(7);
                    }
                };
                let mut others: Vec<_> =
                    (0..4).map(|_| Hand::queued(flights.run("ada", async || 8))).collect();
                if told {
                    end(held.take());
                }
                drop(others.remove(leaver));
                if !told {
                    end(held.take());
                }
                let values: Vec<_> =
                    others.iter_mut().map(|other| other.poll_while_woken().expect("told").value).collect();
                assert_eq!(values, [if is_aborted { 8 } else { 7 }; 3]);
                assert!(flights.is_empty());
            }
        }
    }
}

#[test]
fn a_leader_that_panics_leaves_its_flight_to_one_who_joined() {
    let flights = Flights::new();
    let mut leads = Hand::queued(flights.run("ada", async || {
        yields(1).await;
        panic!("on purpose")
    }));
    let mut other = Hand::queued(flights.run("ada", async || 8));
    assert_eq!(panic_of(|| leads.poll()), "on purpose");
    assert!(other.is_woken(), "before the future is dropped");
    assert!(other.poll().expect("it leads").led);
    assert_eq!(panic_of(|| flights.run_blocking("ada", || panic!("on purpose"))), "on purpose");
    assert_eq!(counts(flights.counts()), (0, 3, 1, 2));
}

#[test]
fn work_that_is_dropped_is_gone_before_another_begins() {
    struct Last<'a>(&'a Flights, &'a Cell<u64>);
    impl Drop for Last<'_> {
        fn drop(&mut self) {
            assert_eq!(self.0.len(), 1, "its flight is over already");
            self.1.set(self.1.get() + 1);
        }
    }
    let (flights, dropped) = (Flights::new(), Cell::new(0));
    let work = async || {
        let _last = Last(&flights, &dropped);
        pending().await
    };
    drop(Hand::queued(flights.run("ada", work)));
    drop(Hand::queued(flights.try_run("ada", async || Ok::<_, ()>(work().await))));
    assert_eq!((dropped.get(), flights.counts().aborted), (2, 2));
}

#[test]
fn a_flight_ends_with_the_runtime_of_its_leader() {
    no_hang(|| {
        let runtime = Builder::new_multi_thread().worker_threads(1).build().expect("a runtime starts");
        let flights = Flights::new();
        let in_runtime = flights.clone();
        drop(runtime.spawn(async move { in_runtime.run("ada", pending).await }));
        until(|| flights.len() == 1);
        let other = {
            let flights = flights.clone();
            std::thread::spawn(move || flights.run_blocking("ada", || 7))
        };
        until(|| flights.counts().joined == 1);
        drop(runtime);
        let flown = other.join().expect("it does not panic");
        assert_eq!((flown.value, flown.led), (7, true));
    });
}

#[cfg(feature = "tokio")]
#[test]
fn who_waited_long_enough_goes_and_leaves_the_leader_alone() {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime starts").block_on(async {
        let flights = Flights::new();
        let held = leader(Some(flights.join("ada").await));
        assert!(flights.join("ada").timeout(Duration::from_secs(1)).await.is_err());
        assert!(flights.join("ada").timeout(Duration::ZERO).await.is_err());
        let mut stays = Hand::queued(flights.join("ada"));
        held.finish(7);
        assert_eq!(joined(stays.poll()), 7);
    });
}

#[test]
#[allow(clippy::mem_forget)] // That is the case.
fn a_forgotten_lead_keeps_its_flight_under_way() {
    let flights = Flights::new();
    std::mem::forget(lead(&flights, "ada".to_owned()));
    assert!(flights.join("ada").wait_timeout(Duration::ZERO).is_err());
    assert_eq!(flights.len(), 1);
    assert!(flights.run_blocking("grace", || 1).led);
    drop(flights);
}

/// A value that counts its clones, and panics when told to.
struct Fragile {
    clones: Arc<AtomicUsize>,
    breaks: Arc<AtomicBool>,
}

impl Fragile {
    fn new() -> Self {
        Self { clones: Arc::default(), breaks: Arc::default() }
    }
}

impl Clone for Fragile {
    fn clone(&self) -> Self {
        assert!(!self.breaks.load(Ordering::Relaxed), "it breaks");
        self.clones.fetch_add(1, Ordering::Relaxed);
        Self { clones: self.clones.clone(), breaks: self.breaks.clone() }
    }
}

#[test]
fn a_value_is_cloned_for_all_but_the_last() {
    for others in 0..4_usize {
        let flights = SingleFlight::<u8, Fragile>::new();
        let held = lead(&flights, 7);
        let mut waits: Vec<_> = (0..others).map(|_| Hand::queued(flights.join(7))).collect();
        let value = Fragile::new();
        let clones = value.clones.clone();
        let own = held.finish(value);
        let theirs: Vec<_> = waits.iter_mut().map(|waits| joined(waits.poll())).collect();
        assert_eq!(clones.load(Ordering::Relaxed), others);
        drop((own, theirs));
        assert_eq!(Arc::strong_count(&clones), 1, "none is left behind");
    }
}

#[test]
fn a_clone_that_panics_is_the_trouble_of_who_asked_for_it() {
    let flights = SingleFlight::<u8, Fragile>::new();
    let held = lead(&flights, 7);
    let [mut one, mut two, mut three] = [(); 3].map(|()| Hand::queued(flights.join(7)));
    let value = Fragile::new();
    let (breaks, clones) = (value.breaks.clone(), value.clones.clone());
    breaks.store(true, Ordering::Relaxed);
    assert_eq!(panic_of(|| drop(held.finish(value))), "it breaks");
    assert!(flights.is_empty(), "the flight has ended all the same");
    assert_eq!(panic_of(|| drop(one.poll())), "it breaks");
    breaks.store(false, Ordering::Relaxed);
    drop(joined(two.poll()));
    drop(joined(three.poll()));
    drop((one, two, three));
    assert_eq!((clones.load(Ordering::Relaxed), Arc::strong_count(&clones)), (1, 1));
}

#[test]
fn a_waker_that_panics_keeps_nobody_from_being_told() {
    for is_aborted in [false, true] {
        let flights = Flights::new();
        let held = lead(&flights, "ada".to_owned());
        let bad = hooked(|event| assert!(event != Event::Woken, "a bad waker"));
        let mut first = Hand::new(flights.run("ada", async || 8));
        assert!(first.poll_with(&bad).is_none());
        // More than are told at a time.
        let mut others: Vec<_> = (0..20).map(|_| Hand::queued(flights.run("ada", async || 8))).collect();
        let end = || {
            if is_aborted {
                drop(held);
            } else {
                held.finish(7);
            }
        };
        assert_eq!(panic_of(end), "a bad waker");
        let value = if is_aborted { 8 } else { 7 };
        // It is its turn, if it is anybody's.
        assert_eq!(first.poll().expect("it does not wait").value, value);
        assert!(others.iter_mut().all(|other| other.poll_while_woken().expect("woken").value == value));
        assert!(flights.is_empty());
    }
}

/// A key that does as it is told.
#[derive(Clone)]
struct Odd {
    number: u8,
    /// What panics.
    fails: Fails,
    /// Used by its drop.
    flights: Weak<SingleFlight<Odd, u32>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fails {
    Nothing,
    Hash,
    Eq,
    Drop,
}

impl PartialEq for Odd {
    fn eq(&self, other: &Self) -> bool {
        assert!(self.fails != Fails::Eq, "odd eq");
        self.number == other.number
    }
}

impl Eq for Odd {}

impl Hash for Odd {
    fn hash<H: Hasher>(&self, state: &mut H) {
        assert!(self.fails != Fails::Hash, "odd hash");
        self.number.hash(state);
    }
}

impl Drop for Odd {
    fn drop(&mut self) {
        if let Some(flights) = self.flights.upgrade() {
            // It would hang if a lock were held.
            assert!(flights.counts().flights > 0);
        }
        assert!(self.fails != Fails::Drop || std::thread::panicking(), "odd drop");
    }
}

#[test]
fn keys_that_panic_change_nothing_and_are_dropped_outside_the_lock() {
    let flights = Arc::new(SingleFlight::<Odd, u32>::new());
    let odd = |fails| Odd { number: 7, fails, flights: Arc::downgrade(&flights) };
    let held = lead(&flights, odd(Fails::Nothing));
    let mut waits = Hand::queued(flights.join(odd(Fails::Nothing)));
    assert_eq!(panic_of(|| drop(flights.join(odd(Fails::Hash)).wait())), "odd hash");
    assert_eq!(panic_of(|| drop(flights.join(odd(Fails::Eq)).wait_timeout(Duration::ZERO))), "odd eq");
    assert_eq!(counts(flights.counts()), (1, 1, 1, 0));
    assert_eq!(held.finish(1), 1);
    assert_eq!(joined(waits.poll()), 1);

    for is_aborted in [false, true] {
        let held = lead(&flights, odd(Fails::Drop));
        let mut waits = Hand::queued(flights.run(odd(Fails::Nothing), async || 8));
        let end = || {
            if is_aborted {
                drop(held);
            } else {
                held.finish(7);
            }
        };
        if is_aborted {
            // The key stays, and goes with the flight: everybody has the value by then.
            let mut other = Hand::queued(flights.join(odd(Fails::Nothing)));
            end();
            assert_eq!(panic_of(|| waits.poll()), "odd drop");
            assert_eq!(joined(other.poll()), 8);
        } else {
            assert_eq!(panic_of(end), "odd drop");
            assert_eq!(waits.poll_while_woken().expect("woken").value, 7);
        }
    }
    assert_eq!(panic_of(|| lead(&flights, odd(Fails::Drop)).finish(7)), "odd drop");
    assert!(flights.is_empty());
}

#[test]
fn values_are_cloned_and_dropped_outside_the_locks() {
    #[derive(Debug)]
    struct Nosy(Arc<SingleFlight<u8, Nosy>>);
    impl Clone for Nosy {
        fn clone(&self) -> Self {
            assert!(self.0.counts().flights > 0);
            Self(self.0.clone())
        }
    }
    impl Drop for Nosy {
        fn drop(&mut self) {
            // It would hang if a lock were held.
            assert!(matches!(self.0.join(99).wait(), Role::Leader(_)));
        }
    }
    let flights = Arc::new(SingleFlight::new());
    let held = lead(&flights, 7);
    let (mut one, two) = (Hand::queued(flights.join(7)), Hand::queued(flights.join(7)));
    drop(held.finish(Nosy(flights.clone())));
    drop(joined(one.poll()));
    drop(two);
    drop(one);
    assert_eq!(Arc::strong_count(&flights), 1);
}

#[test]
fn an_owned_key_is_made_only_when_a_flight_is_and_outside_the_lock() {
    struct Name<'a>(&'a str, &'a Cell<u32>, &'a SingleFlight<String, u32>);
    impl IntoKey<String> for Name<'_> {
        fn hash_key<H: Hasher>(&self, state: &mut H) {
            self.0.hash(state);
        }
        fn is_key(&self, key: &String) -> bool {
            self.0 == key
        }
        fn into_key(self) -> String {
            self.1.set(self.1.get() + 1);
            assert!(self.2.counts().under_way < 9, "it may look");
            self.0.to_owned()
        }
    }
    let (flights, made) = (Flights::new(), Cell::new(0));
    let name = || Name("ada", &made, &flights);
    let Role::Leader(held) = flights.join(name()).wait() else { panic!("nobody was at it") };
    assert_eq!(made.get(), 1);
    let mut waits = Hand::queued(flights.join(name()));
    assert_eq!(made.get(), 1, "the entry has one");
    drop(held);
    leader(waits.poll()).finish(7);
    assert_eq!(made.get(), 1, "it leads the flight that there is");
}

#[test]
fn leads_and_calls_outlive_the_handle_that_they_came_from() {
    let flights = Flights::new();
    let Role::Leader(held) = flights.join("ada").wait() else { panic!("nobody was at it") };
    let mut waits = Hand::queued(flights.join("ada"));
    let other = flights.clone();
    drop(flights);
    assert_eq!(other.len(), 1, "a clone sees the same flights");
    drop(other);
    assert_eq!(std::thread::spawn(move || held.finish(7)).join().expect("it does not panic"), 7);
    assert_eq!(joined(waits.poll()), 7);
}

#[test]
fn a_burst_of_flights_is_given_back_and_each_is_found_on_the_way() {
    let flights = SingleFlight::<u64, u64>::new();
    let leads: Vec<_> = (0..3000).map(|key| lead(&flights, key)).collect();
    assert_eq!(flights.len(), 3000);
    for (key, held) in (0..3000).zip(leads) {
        let mut waits = Hand::queued(flights.join(key));
        held.finish(key);
        assert_eq!(joined(waits.poll()), key);
    }
    assert_eq!(format!("{flights:?}"), "SingleFlight { under_way: 0, .. }");
}

#[test]
fn calls_can_be_spawned_with_borrowed_keys_and_leads_go_where_their_values_may() {
    fn may_be_sent<T: Send>(value: T) -> T {
        value
    }
    fn may_be_shared<T: Send + Sync>() {}
    may_be_shared::<Flights>();
    may_be_shared::<Leader<String, u32>>();
    may_be_shared::<Leader<String, u32>>();

    let runtime = Builder::new_multi_thread().worker_threads(1).build().expect("a runtime starts");
    let flights = Flights::new();
    let spawned = flights.clone();
    let task = runtime.spawn(async move {
        let base = String::from("ada");
        let one = may_be_sent(spawned.run("ada", async || base.len() as u32)).await.value;
        let two = spawned.run(&base, async || 1).await.value;
        let three = spawned.try_run(base.as_str(), async || Ok::<_, ()>(1)).await.map(|flown| flown.value);
        let Role::Leader(leader) = spawned.join(base).await else { panic!("nobody is at it") };
        tokio::task::yield_now().await;
        one + two + three.unwrap_or(9) + leader.finish(1)
    });
    assert_eq!(runtime.block_on(task).expect("it does not panic"), 6);

    // What stays on one thread need not be sent or shared.
    let local = SingleFlight::<u8, Rc<u8>>::new();
    assert_eq!(*local.run_blocking(7, || Rc::new(9)).value, 9);
}
