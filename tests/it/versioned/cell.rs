//! One versioned value: who may write, what a refusal says, and what closures may do.

use std::cell::{Cell, RefCell};
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use latchwork::{
    Stamp, Versioned,
    versioned::{Change, Exhausted, Expect, WriteError},
};

use crate::support::panic_of;

fn stamp(number: u64) -> Stamp {
    Stamp::new(number).expect("it is in range")
}

/// A value that is no `Debug` and no `Clone`.
struct Plain(u32);

#[test]
fn an_edit_from_a_second_tab_is_refused_and_shown_the_first() {
    let card = Versioned::new("Ada".to_owned());
    let (first_tab, second_tab) = (card.snapshot(), card.snapshot());
    let stored = card.update(first_tab.stamp(), |name| format!("{name} Lovelace")).expect("it is current");
    let calls = Cell::new(0);
    let refused = card.update(second_tab.stamp(), |name| {
        calls.set(calls.get() + 1);
        format!("Countess {name}")
    });
    let conflict = refused.expect_err("it is stale").into_conflict().expect("it is stale");
    assert_eq!(calls.get(), 0, "nothing is computed from a stale version");
    assert_eq!(conflict.expected, Expect::Exact(first_tab.stamp()));
    let current = conflict.current.expect("there is a value");
    assert!(Arc::ptr_eq(current.arc(), stored.arc()) && current.stamp() == stored.stamp());
    assert_eq!(conflict.rejected, None);
    assert_eq!((first_tab.as_str(), second_tab.as_str()), ("Ada", "Ada"), "snapshots do not change");
}

#[test]
fn every_write_has_a_new_stamp_also_of_the_same_value() {
    let cell = Versioned::starting_at(7, stamp(41));
    let stamps: Vec<u64> = [
        cell.compare_and_set(Expect::Any, 7).expect("any will do").stamp(),
        cell.update(Expect::Present, |value| *value).expect("there is a value").stamp(),
        cell.modify(|value| *value).expect("stamps are left").stamp(),
    ]
    .map(Stamp::get)
    .into();
    assert_eq!(stamps, [42, 43, 44]);
    assert!(cell.is_current(stamp(44)) && !cell.is_current(stamp(41)));
}

#[test]
fn each_expectation_admits_what_it_says() {
    let [one, two, three] = [1, 2, 3].map(stamp);
    let either = || Expect::OneOf([one, two].into());
    let neither = || Expect::NoneOf([one, two].into());
    let table: [(Expect, [bool; 3]); 8] = [
        // Nothing there, stamp 2, stamp 3.
        (Expect::Any, [true, true, true]),
        (Expect::Absent, [true, false, false]),
        (Expect::Present, [false, true, true]),
        (Expect::Exact(two), [false, true, false]),
        (either(), [false, true, false]),
        (Expect::OneOf([].into()), [false, false, false]),
        (neither(), [true, false, true]),
        (Expect::NoneOf([].into()), [true, true, true]),
    ];
    for (expect, admits) in table {
        let found = [None, Some(two), Some(three)].map(|found| expect.admits(found));
        assert_eq!(found, admits, "{expect}");
        let cell = Versioned::starting_at(0, two);
        assert_eq!(cell.compare_and_set(expect, 1).is_ok(), admits[1]);
    }
    let words = [Expect::Any, Expect::Absent, Expect::Present, two.into()].map(|expect| expect.to_string());
    assert_eq!(words, ["anything", "no value", "a value", "stamp 2"]);
    assert_eq!(either().to_string(), "one of the stamps [1, 2]");
    assert_eq!(neither().to_string(), "none of the stamps [1, 2]");
}

#[test]
fn a_refused_value_comes_back() {
    let cell = Versioned::new(Box::new(1));
    let address = Box::new(2);
    let pointer = &raw const *address;
    let conflict = cell.compare_and_set(Expect::Absent, address).expect_err("it is refused").into_conflict();
    let rejected = conflict.and_then(|conflict| conflict.rejected).expect("it was not stored");
    assert!(std::ptr::eq(pointer, &raw const *rejected));
}

#[test]
fn what_was_computed_in_vain_comes_back_with_the_conflict() {
    let cell = Versioned::new(1);
    let refused = cell.update(cell.stamp(), |value| {
        cell.modify(|_| 100).expect("stamps are left");
        value + 1
    });
    let conflict = refused.expect_err("it has changed meanwhile").into_conflict().expect("it has changed");
    assert_eq!((conflict.rejected, conflict.current.as_deref()), (Some(2), Some(&100)));
}

#[test]
fn an_exact_update_computes_once_at_most_and_a_modification_as_often_as_it_must() {
    let (cell, calls) = (Versioned::new(0), Cell::new(0));
    let disturbed = |value: &i32| {
        calls.set(calls.get() + 1);
        if calls.get() <= 3 {
            cell.compare_and_set(Expect::Any, 10 * calls.get()).expect("any will do");
        }
        value + 1
    };
    assert!(cell.update(cell.stamp(), disturbed).is_err());
    assert_eq!(calls.replace(0), 1);
    assert_eq!(*cell.modify(disturbed).expect("stamps are left"), 31);
    assert_eq!(calls.get(), 4, "three times disturbed, once not");
}

#[test]
fn an_update_goes_on_with_another_version_that_was_expected_too() {
    let cell = Versioned::new(1);
    let either = Expect::OneOf([stamp(1), stamp(2)].into());
    let seen = RefCell::new(Vec::new());
    let disturbed = |value: &i32| {
        seen.borrow_mut().push(*value);
        if *value < 100 {
            cell.compare_and_set(Expect::Any, value * 100).expect("any will do");
        }
        value + 1
    };
    assert_eq!(*cell.update(either.clone(), disturbed).expect("stamp 2 is expected"), 101);
    assert_eq!(*seen.borrow(), [1, 100]);
    assert!(cell.update(either, disturbed).is_err(), "stamp 3 is not");
}

#[test]
fn to_keep_a_value_draws_no_stamp_and_wakes_nobody() {
    let cell = Versioned::starting_at("same", Stamp::MAX);
    let mut waiter = crate::support::Hand::queued(cell.changed(Stamp::MAX));
    let kept = cell.try_modify(|_| Ok::<_, ()>(Change::Keep)).expect("nothing is to be written");
    assert_eq!((*kept, kept.stamp()), ("same", Stamp::MAX));
    assert!(!waiter.is_woken() && waiter.poll().is_none());
}

#[test]
fn a_closures_error_is_passed_on_and_nothing_is_written() {
    let stock = Versioned::new(1_u32);
    let sell = |left: &u32| {
        left.checked_sub(1).map(Change::Set).ok_or_else(|| "x".parse::<u8>().expect_err("it is refused"))
    };
    assert!(stock.try_update(Expect::Any, sell).is_ok());
    let error = stock.try_modify(sell).expect_err("it is sold out");
    assert_eq!(error.to_string(), "the new value could not be computed");
    assert!(error.source().is_some_and(|source| source.is::<std::num::ParseIntError>()));
    assert!(error.conflict().is_none() && error.into_conflict().is_none());
    assert_eq!(stock.stamp(), stamp(2));
}

#[test]
fn a_closure_that_panics_changes_nothing() {
    let cell = Versioned::new(1);
    assert_eq!(panic_of(|| cell.modify(|_| panic!("oh"))), "oh");
    assert_eq!((*cell.snapshot(), cell.stamp()), (1, Stamp::MIN));
    assert_eq!(
        cell.modify(|value| value + 1).map(|stored| *stored),
        Ok(2).map_err(|never: Exhausted<i32>| never)
    );
}

#[test]
fn a_closure_may_use_the_same_cell() {
    let cell = Versioned::new(1);
    let stored =
        cell.modify(|value| *cell.snapshot() + *value + cell.stamp().get() as i32).map(|stored| *stored);
    assert_eq!(stored.ok(), Some(3));
}

#[test]
fn readers_do_not_wait_for_a_closure() {
    let cell = Versioned::new(1);
    cell.modify(|value| {
        let read = std::thread::scope(|scope| scope.spawn(|| *cell.snapshot()).join());
        assert_eq!(read.ok(), Some(1));
        value + 1
    })
    .expect("stamps are left");
}

#[test]
fn without_a_stamp_nothing_is_written() {
    let cell = Versioned::starting_at(1, stamp(Stamp::MAX.get() - 1));
    assert_eq!(cell.modify(|value| value + 1).map(|stored| stored.stamp()).ok(), Some(Stamp::MAX));
    assert_eq!(cell.modify(|value| value + 1).expect_err("no stamp is left").rejected, 3);
    let error = cell.compare_and_set(Stamp::MAX, 9).expect_err("no stamp is left");
    assert_eq!(error.to_string(), "no stamps are left");
    assert!(matches!(error, WriteError::Exhausted(exhausted) if exhausted.rejected == 9));
    // What is stale is told so first.
    assert!(cell.compare_and_set(Stamp::MIN, 9).is_err_and(|error| error.conflict().is_some()));
    assert_eq!((*cell.snapshot(), cell.stamp()), (2, Stamp::MAX));
}

#[test]
fn errors_show_stamps_and_no_values() {
    let cell = Versioned::starting_at(Plain(1234), stamp(7));
    let error = cell.compare_and_set(stamp(6), Plain(5678)).err().expect("it is stale");
    assert_eq!(error.to_string(), "conflict: expected stamp 6, found stamp 7");
    let shown = format!("{error:?}");
    assert!(shown.contains("Stamp(6)") && shown.contains("Stamp(7)") && !shown.contains("234"), "{shown}");
    assert!(error.source().is_none());
    assert_eq!(error.into_conflict().and_then(|conflict| conflict.rejected).map(|plain| plain.0), Some(5678));
}

/// A value whose drop looks at the cell that it was in.
struct Nosy {
    cell: Arc<Versioned<Option<Nosy>>>,
    seen: Arc<AtomicUsize>,
}

impl Drop for Nosy {
    fn drop(&mut self) {
        self.seen.fetch_add(self.cell.stamp().get() as usize, Ordering::Relaxed);
        // Both would hang if a lock were held.
        let _ = self.cell.modify(|_| None);
        drop(self.cell.snapshot());
    }
}

#[test]
fn replaced_values_are_dropped_outside_the_lock() {
    let (cell, seen) = (Arc::new(Versioned::new(None)), Arc::new(AtomicUsize::new(0)));
    let nosy = || Some(Nosy { cell: cell.clone(), seen: seen.clone() });
    cell.compare_and_set(Expect::Any, nosy()).expect("any will do");
    cell.compare_and_set(Expect::Any, None).expect("any will do");
    assert_eq!((seen.load(Ordering::Relaxed), cell.stamp()), (3, stamp(4)));
    // A refused one, too.
    drop(cell.compare_and_set(Stamp::MIN, nosy()));
    assert_eq!((seen.load(Ordering::Relaxed), cell.stamp()), (7, stamp(5)));
}

#[test]
fn the_value_outlives_its_cell() {
    let cell = Versioned::new(vec![7]);
    let snapshot = cell.snapshot();
    let value = cell.into_arc();
    assert!(Arc::ptr_eq(snapshot.arc(), &value));
    assert_eq!(*snapshot.into_arc(), [7]);
    let shown = format!("{:?} {:?}", Versioned::<u8>::default(), Versioned::new(5).snapshot());
    assert_eq!(shown, "Versioned { value: 0, stamp: Stamp(1) } Snapshot { value: 5, stamp: Stamp(1) }");
}

#[test]
fn no_update_of_many_threads_is_lost() {
    let cell = Versioned::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..500).for_each(|_| drop(cell.modify(|n| n + 1))));
        }
    });
    assert_eq!((*cell.snapshot(), cell.stamp().get()), (2000, 2001));
}

#[test]
fn a_bounded_modification_gives_up_after_its_last_call_and_says_what_it_met() {
    let calls = Cell::new(0);
    for max in 1..=3 {
        let cell = Versioned::new(0);
        let crowded = cell.modify_up_to(max, |value| {
            calls.set(calls.get() + 1);
            cell.modify(|value| value + 10).expect("stamps are left");
            value + 1
        });
        let conflict = crowded.expect_err("it is crowded").into_conflict().expect("it is crowded");
        assert_eq!(calls.replace(0), max);
        let last = max as u64;
        assert_eq!(
            conflict.to_string(),
            format!("conflict: expected stamp {last}, found stamp {}", last + 1)
        );
        let max = max as i32;
        assert_eq!((conflict.rejected, conflict.current.as_deref()), (Some(max * 10 - 9), Some(&(max * 10))));
        assert_eq!(*cell.snapshot(), max * 10, "nothing of it is stored");
    }
}

#[test]
fn a_bounded_modification_may_still_succeed_at_its_last_call() {
    let (cell, calls) = (Versioned::new(0), Cell::new(0));
    let stored = cell.modify_up_to(3, |value| {
        calls.set(calls.get() + 1);
        if calls.get() < 3 {
            cell.modify(|value| value + 10).expect("stamps are left");
        }
        value + 1
    });
    assert_eq!((stored.map(|stored| *stored).ok(), calls.get()), (Some(21), 3));
    assert_eq!(panic_of(|| cell.modify_up_to(0, |value| *value)), "a write needs one try at least");
}

#[test]
fn snapshots_are_equal_if_their_stamps_and_values_are() {
    let cell = Versioned::new(7);
    let first = cell.snapshot();
    assert_eq!(first, cell.snapshot());
    assert_eq!(first, Versioned::new(7).snapshot());
    assert_ne!(first, Versioned::new(8).snapshot(), "another value");
    assert_ne!(first, cell.modify(|same| *same).expect("stamps are left"), "another version");
}
