//! Several keys at once: sorted, each once, all or none.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Waker;
use std::thread;
use std::time::Duration;

use latchwork::{KeyedLock, helper};
use proptest::collection::{btree_set, vec};
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::TestRunner;

use crate::support::{Event, Hand, alone, hooked, no_hang, panic_of, until};

#[test]
fn keys_are_sorted_and_each_is_held_once() {
    let keys = KeyedLock::<String>::new();
    let many = keys.lock_many(["c", "a", "b", "a", "c"]).wait();
    assert_eq!(many.iter().map(|guard| guard.key().as_str()).collect::<Vec<_>>(), ["a", "b", "c"]);
    assert_eq!((many.len(), many.is_empty(), keys.len()), (3, false, 3));
    assert!(many.iter().all(|guard| !guard.is_shared()));
    assert!(format!("{many:?}").contains("\"b\""));
    drop(many);
    assert!(keys.is_empty());
    assert_eq!(keys.counts().acquired, 3);
}

#[test]
fn no_keys_are_had_at_once() {
    let keys = KeyedLock::<u32>::new();
    let none = keys.lock_many([0_u32; 0]).wait();
    assert!(none.is_empty() && none.iter().next().is_none());
    assert!(keys.try_lock_many(Vec::<u32>::new()).is_ok_and(|none| none.is_empty()));
}

#[test]
fn try_takes_all_or_none() {
    let keys = KeyedLock::<u32>::new();
    let two = keys.try_lock(2).expect("it is free");
    assert!(keys.try_lock_many([1, 2, 3]).is_err());
    assert_eq!((keys.is_locked(1), keys.is_locked(3), keys.len()), (false, false, 1));
    drop(two);
    let many = keys.try_lock_many([3, 1, 2]).expect("all are free");
    assert_eq!(many.len(), 3);
}

#[test]
fn nothing_is_held_while_it_waits() {
    let keys = KeyedLock::<u32>::new();
    let locked = || [1, 2, 3].map(|key| keys.is_locked(key));
    for busy in 1..=3 {
        let held = keys.try_lock(busy).expect("it is free");
        let mut many = Hand::queued(keys.lock_many([3, 2, 1]));
        assert_eq!(locked(), [1, 2, 3].map(|key| key == busy));
        // Not even when it finds other keys busy, one after the other.
        let others: Vec<_> = (busy + 1..=3).map(|key| keys.try_lock(key).expect("it is free")).collect();
        drop(held);
        for held in others {
            assert!(many.is_woken() && many.poll().is_none());
            assert_eq!(locked(), [1, 2, 3].map(|key| key >= *held.key() && key > busy));
            drop(held);
        }
        assert_eq!(many.poll_while_woken().map(|many| many.len()), Some(3));
        assert!(keys.is_empty());
    }
    assert_eq!(keys.counts().waiting, 0);
}

#[test]
fn keys_it_had_are_reserved_for_it() {
    let keys = KeyedLock::<u32>::new();
    let two = keys.try_lock(2).expect("it is free");
    let mut many = Hand::queued(keys.lock_many([1, 2]));
    assert!(!keys.is_locked(1) && keys.try_lock(1).is_err());
    let mut single = Hand::queued(keys.lock(1));
    drop(two);
    let both = many.poll_while_woken().expect("nobody goes before it");
    assert!(!single.is_woken());
    drop(both);
    drop(single.poll_while_woken().expect("its turn has come"));
    assert!(keys.is_empty());
}

#[test]
fn one_that_is_never_polled_again_keeps_none_of_its_keys() {
    alone("keyed::many::one_that_is_never_polled_again_keeps_none_of_its_keys", || {
        for busy in 1..=3 {
            let keys = KeyedLock::<u32>::new();
            let held = keys.try_lock(busy).expect("it is free");
            let mut silent = Hand::queued(keys.lock_many([1, 2, 3]));
            let mut tasks = [1, 2, 3].map(|key| Hand::new(keys.lock(key)));
            let first: Vec<_> = tasks.iter_mut().map(|task| task.poll().is_some()).collect();
            assert_eq!(first, [1, 2, 3].map(|key| key > busy), "smaller ones are reserved");
            drop(held);
            for _ in 0..17 {
                helper::round();
            }
            for (task, _) in tasks.iter_mut().zip(first).filter(|(_, first)| !first) {
                assert!(task.poll_while_woken().is_some(), "it was given up");
            }
            for key in 1..=3 {
                thread::scope(|s| s.spawn(|| drop(keys.lock(key).wait())).join())
                    .expect("a thread has it, too");
                assert!(keys.try_lock(key).is_ok());
            }
            drop(tasks);
            assert_eq!(silent.poll_while_woken().map(|many| many.len()), Some(3), "it may come late");
            assert!(keys.is_empty());
        }
    });
}

/// It is polled all the time, as in a `select!` with a timer, and never has its turn at the second key.
#[test]
fn one_that_holds_a_key_and_waits_for_another_does_not_deadlock_with_it() {
    alone("keyed::many::one_that_holds_a_key_and_waits_for_another_does_not_deadlock_with_it", || {
        let keys = KeyedLock::<u32>::new();
        let two = keys.try_lock(2).expect("it is free");
        let mut many = Hand::queued(keys.lock_many([1, 2]));
        let mut one = Hand::queued(keys.lock(1));
        for _ in 0..17 {
            assert!(!one.is_woken() && many.poll().is_none());
            helper::round();
        }
        drop((one.poll_while_woken().expect("nobody holds it"), two));
        assert!(many.poll_while_woken().is_some());
    });
}

#[test]
fn one_that_was_given_up_has_its_place_in_all_lines_again() {
    alone("keyed::many::one_that_was_given_up_has_its_place_in_all_lines_again", || {
        let keys = KeyedLock::<u32>::new();
        let two = keys.try_lock(2).expect("it is free");
        let mut late = Hand::queued(keys.lock_many([1, 2]));
        let mut second = Hand::queued(keys.lock_many([1, 2]));
        for _ in 0..17 {
            helper::round();
        }
        assert!(second.poll_while_woken().is_none(), "it has the first key, and waits for the second");
        drop(two);
        assert!(late.is_woken() && !second.is_woken());
        let both = late.poll().expect("it came first, and nobody holds anything");
        assert!(second.poll_while_woken().is_none());
        drop(both);
        assert!(second.poll_while_woken().is_some());
        assert!(keys.is_empty());
    });
}

/// The one is the eldest at the first key, the other at the second: reserved for each other, both would wait.
#[test]
fn two_that_are_the_eldest_at_one_key_each_do_not_wait_for_each_other() {
    alone("keyed::many::two_that_are_the_eldest_at_one_key_each_do_not_wait_for_each_other", || {
        let keys = KeyedLock::<u32>::new();
        let (one, three) = (keys.try_lock(1).expect("it is free"), keys.try_lock(3).expect("it is free"));
        let mut elder = Hand::queued(keys.lock_many([1, 2]));
        let mut younger = Hand::queued(keys.lock_many([1, 2, 3]));
        drop(one);
        for _ in 0..3 {
            helper::round();
        }
        assert!(younger.poll_while_woken().is_none(), "the elder one did not come, so it waits for 3");
        let two = keys.try_lock(2);
        assert!(two.is_err(), "which the younger one has its turn at");
        assert!(elder.poll().is_none(), "it has its turn at 1");
        drop(three);
        for _ in 0..2 {
            drop(younger.poll_while_woken());
            drop(elder.poll_while_woken());
        }
        drop((elder, younger));
        assert_eq!(keys.counts().acquired, 2 + 5, "both were served");
        assert!(keys.is_empty());
    });
}

/// The same without anybody being late: the second one passes the first at key 1, and is before it at key 2.
#[test]
fn one_that_passed_an_elder_one_does_not_wait_for_it() {
    let keys = KeyedLock::<u32>::new();
    let [one, two] = [1, 2].map(|key| keys.try_lock(key).expect("it is free"));
    let mut elder = Hand::queued(keys.lock_many([1, 2]));
    drop(one);
    let mut second = Hand::queued(keys.lock_many([1, 2]));
    assert!(elder.poll().is_none(), "it has its turn at 1");
    drop(two);
    assert!(second.is_woken() && second.poll().is_none(), "1 is for the elder one");
    drop(elder.poll_while_woken().expect("and 2 now, too"));
    drop(second.poll_while_woken().expect("its turn has come"));
    assert!(keys.is_empty());
}

#[test]
fn a_waker_that_panics_leaves_no_key_locked() {
    let keys = KeyedLock::<u32>::new();
    let panics = hooked(|event| assert!(event != Event::Woken, "a waker that panics"));
    for busy in 2..=3 {
        let held = keys.try_lock(busy).expect("it is free");
        let mut many = Hand::new(keys.lock_many([1, 2, 3]));
        assert!(many.poll_with(Waker::noop()).is_none());
        let mut behind = Hand::new(keys.lock(1));
        assert!(behind.poll_with(&panics).is_none());
        assert_eq!(panic_of(|| drop(many)), "a waker that panics");
        assert!(behind.poll().is_some(), "it was woken all the same");
        drop((behind, held));
        assert!(keys.is_empty());
    }
}

#[test]
fn cancelled_at_any_point_it_leaves_nothing_and_passes_on_what_was_reserved() {
    let keys = KeyedLock::<u32>::new();
    for (busy, notified) in (1..=4).flat_map(|busy| [(busy, false), (busy, true)]) {
        let mut held = Some(keys.try_lock(busy).expect("it is free"));
        let many = Hand::queued(keys.lock_many([1, 2, 3, 4]));
        let mut behind: Vec<_> = (1..=busy).map(|key| Hand::queued(keys.lock(key))).collect();
        if notified {
            held = None;
            assert!(many.is_woken() && !behind.iter().any(Hand::is_woken));
        }
        drop(many);
        drop(held);
        assert!(behind.iter_mut().all(|waiter| waiter.poll_while_woken().is_some()));
        drop(behind);
        assert!(keys.is_empty());
    }
    let stats = keys.counts();
    assert_eq!((stats.cancelled, stats.waiting), (8, 0), "each request counts once");

    // Also after it had its turn at one key and found the next one busy.
    let held = [2, 4].map(|key| keys.try_lock(key).expect("it is free"));
    let mut many = Hand::queued(keys.lock_many([1, 2, 3, 4]));
    let [two, four] = held;
    drop(two);
    assert!(many.poll_while_woken().is_none());
    let mut behind: Vec<_> = (1..=3).map(|key| Hand::queued(keys.lock(key))).collect();
    drop(many);
    assert!(behind.iter_mut().all(|waiter| waiter.poll_while_woken().is_some()));
    drop((behind, four));
    assert!(keys.is_empty());
}

#[test]
fn an_attempt_that_fails_counts_no_grant_and_fences_rise() {
    let keys = KeyedLock::<u32>::new();
    let first = keys.try_lock(1).map(|guard| guard.fence()).expect("it is free");
    let two = keys.try_lock(2).expect("it is free");
    assert!(keys.try_lock_many([1, 2]).is_err());
    let mut many = Hand::queued(keys.lock_many([1, 2]));
    assert_eq!((keys.counts().acquired, keys.counts().waited, keys.counts().waiting), (2, 1, 2));
    drop(two);
    let both = many.poll_while_woken().expect("both are free");
    assert!(both.iter().next().is_some_and(|one| *one.key() == 1 && one.fence() > first));
    assert_eq!((keys.counts().acquired, keys.counts().waited, keys.counts().waiting), (4, 1, 0));
}

#[test]
fn timed_out_it_holds_nothing() {
    let keys = KeyedLock::<u32>::new();
    let three = keys.try_lock(3).expect("it is free");
    for timeout in [Duration::ZERO, Duration::from_millis(1)] {
        assert!(keys.lock_many([1, 2, 3, 4]).wait_timeout(timeout).is_err());
        assert_eq!(keys.len(), 1);
    }
    drop(three);
    assert_eq!((keys.counts().timed_out, keys.counts().cancelled), (2, 0));
}

#[test]
fn it_waits_for_one_key_after_the_other() {
    let keys = KeyedLock::<u32>::new();
    let mut held: Vec<_> = (0..5).map(|key| keys.try_lock(key).expect("it is free")).collect();
    let mut many = Hand::queued(keys.lock_many(0..5));
    for guard in held.drain(..4) {
        drop(guard);
        assert!(many.is_woken() && many.poll().is_none());
    }
    held.clear();
    assert_eq!(many.poll_while_woken().map(|many| many.len()), Some(5));
}

#[test]
fn the_guards_can_be_released_one_by_one() {
    let keys = KeyedLock::<u32>::new();
    let mut guards = keys.lock_many([1, 2, 3]).wait().into_guards();
    drop(guards.remove(1));
    assert_eq!([1, 2, 3].map(|key| keys.is_locked(key)), [true, false, true]);
    drop(guards);
    assert!(keys.is_empty());
}

#[test]
fn opposite_orders_from_many_threads_and_tasks_do_not_deadlock() {
    const ROUNDS: usize = 1000;
    no_hang(|| {
        let keys = Arc::new(KeyedLock::<u32>::new());
        let values: Arc<[AtomicUsize; 4]> = Arc::default();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().expect("it starts");
        let tasks = [[0, 1, 2], [2, 1, 0], [3, 0, 2]].map(|order| {
            let (keys, values) = (keys.clone(), values.clone());
            runtime.spawn(async move {
                for _ in 0..ROUNDS {
                    let many = keys.lock_many(order).await;
                    for guard in many.iter() {
                        let value = &values[*guard.key() as usize];
                        value.store(value.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
                    }
                    tokio::task::yield_now().await;
                }
            })
        });
        thread::scope(|s| {
            for order in [[3, 2, 1], [1, 2, 3]] {
                let (keys, values) = (&keys, &values);
                s.spawn(move || {
                    for _ in 0..ROUNDS {
                        let many = keys.lock_many(order).wait();
                        for guard in many.iter() {
                            let value = &values[*guard.key() as usize];
                            value.store(value.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
                        }
                    }
                });
            }
        });
        for task in tasks {
            runtime.block_on(task).expect("no task panics");
        }
        assert_eq!(values.each_ref().map(|value| value.load(Ordering::Relaxed) / ROUNDS), [3, 4, 5, 3]);
        assert!(keys.is_empty());
    });
}

#[test]
fn a_thread_that_waits_for_many_is_notified_key_by_key() {
    no_hang(|| {
        let keys = KeyedLock::<u32>::new();
        let (one, two) = (keys.lock(1).wait(), keys.lock(2).wait());
        thread::scope(|s| {
            let many = s.spawn(|| keys.lock_many([2, 1]).wait().len());
            until(|| keys.try_lock(1).is_err_and(|busy| busy.waiters == 1));
            drop(one);
            until(|| keys.try_lock(2).is_err_and(|busy| busy.waiters == 1));
            drop(two);
            assert_eq!(many.join().expect("it gets both"), 2);
        });
    });
}

#[derive(Clone, Debug)]
enum Op {
    /// Another request, for these keys.
    Ask(Vec<u32>),
    /// One of those that were woken is polled.
    Poll(Index),
    Release(Index),
    Cancel(Index),
    /// As if those that were woken were late.
    Rounds(u8),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => btree_set(0..5_u32, 1..5).prop_map(|keys| Op::Ask(keys.into_iter().collect())),
        6 => any::<Index>().prop_map(Op::Poll),
        4 => any::<Index>().prop_map(Op::Release),
        1 => any::<Index>().prop_map(Op::Cancel),
        1 => (1..20_u8).prop_map(Op::Rounds),
    ]
}

fn play(program: &[Op], order: &[Index]) {
    let keys = KeyedLock::<u32>::new();
    let (mut waiting, mut held) = (Vec::new(), Vec::new());
    for op in program {
        match op {
            Op::Ask(set) => {
                let mut hand = Hand::new(keys.lock_many(set.iter().copied()));
                match hand.poll() {
                    Some(many) => held.push(many),
                    None => waiting.push(hand),
                }
            }
            Op::Poll(index) => {
                let woken: Vec<_> = (0..waiting.len()).filter(|at| waiting[*at].is_woken()).collect();
                if !woken.is_empty() {
                    let at = *index.get(&woken);
                    if let Some(many) = waiting[at].poll() {
                        held.push(many);
                        drop(waiting.remove(at));
                    }
                }
            }
            Op::Release(index) if !held.is_empty() => drop(held.swap_remove(index.index(held.len()))),
            Op::Cancel(index) if !waiting.is_empty() => drop(waiting.remove(index.index(waiting.len()))),
            Op::Rounds(count) => (0..*count).for_each(|_| helper::round()),
            Op::Release(_) | Op::Cancel(_) => {}
        }
        let mut locked: Vec<_> = held.iter().flat_map(|many| many.iter().map(|guard| *guard.key())).collect();
        locked.sort_unstable();
        let seen: Vec<_> = (0..5).filter(|key| keys.is_locked(*key)).collect();
        assert_eq!(locked, seen, "what nobody holds is not locked");
    }
    // From now on all are prompt, in any order, and each releases at once.
    held.clear();
    let mut polls = 0;
    for index in order.iter().cycle() {
        let woken: Vec<_> = (0..waiting.len()).filter(|at| waiting[*at].is_woken()).collect();
        if woken.is_empty() {
            break;
        }
        let at = *index.get(&woken);
        if waiting[at].poll().is_some() {
            drop(waiting.remove(at));
        }
        polls += 1;
        assert!(polls < 10_000, "they go round in circles");
    }
    assert!(waiting.is_empty(), "{} wait for each other", waiting.len());
    assert!(keys.is_empty());
}

#[test]
fn all_that_are_prompt_are_served_whatever_they_lock_and_in_whatever_order_they_are_polled() {
    alone(
        "keyed::many::all_that_are_prompt_are_served_whatever_they_lock_and_in_whatever_order_they_are_polled",
        || {
            let config =
                ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() };
            let programs = (vec(op(), 0..80), vec(any::<Index>(), 1..20));
            let played = TestRunner::new(config).run(&programs, |(program, order)| {
                play(&program, &order);
                Ok(())
            });
            played.expect("no program fails");
        },
    );
}

/// Plays `singles` tasks, each of which locks one key after the other and holds it for a few moves. Returns how often
/// they were served while a request for all keys waited.
fn passed_beside(singles: usize, hold: usize, order: &[Index], together: bool) -> usize {
    let keys = KeyedLock::<u32>::new();
    let mut tasks: Vec<_> = (0..singles).map(|at| (Hand::new(keys.lock(at as u32 % 4)), None, 0)).collect();
    for (hand, guard, _) in &mut tasks {
        *guard = hand.poll();
    }
    let mut many = Hand::queued(keys.lock_many(0..4));
    let (mut passed, mut moves) = (0, 0);
    for index in order.iter().cycle() {
        if many.poll_while_woken().is_some() {
            break;
        }
        moves += 1;
        assert!(moves < 1_000_000, "it starves");
        // In any order, but all of them from time to time: one that holds a key for ever is another case.
        let at = if moves % 2 == 0 { index.index(singles) } else { moves / 2 % singles };
        let (hand, guard, held) = &mut tasks[at];
        if guard.is_some() && *held < hold {
            *held += 1;
            continue;
        }
        *guard = if guard.take().is_some() {
            let key = if together { 0 } else { (at + moves) as u32 % 4 };
            (*hand, *held) = (Hand::new(keys.lock(key)), 0);
            hand.poll()
        } else {
            hand.poll_while_woken()
        };
        passed += usize::from(guard.is_some());
    }
    passed
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// In each of its four lines: by those that came before it, and by newcomers until its turn.
    #[test]
    fn a_prompt_request_for_hot_keys_is_passed_so_often_and_no_more(
        singles in 4..10_usize,
        hold in 0..4_usize,
        order in vec(any::<Index>(), 50..200),
        together in any::<bool>(),
    ) {
        let passed = passed_beside(singles, hold, &order, together);
        assert!(passed <= 4 * (singles + 512 + 1), "{passed} went before it");
    }
}
