//! One versioned value: no update is lost, what is read belongs together, waiters miss no change.

use std::sync::Arc;

use latchwork::{
    Stamp, Versioned,
    versioned::{Expect, WriteError},
};
use loom::thread;

use crate::support::{Seen, Watched, Woken, check, poll_once};

/// A value that is the number of its stamp.
fn numbered() -> Arc<Versioned<u64>> {
    Arc::new(Versioned::new(1))
}

fn count_up(cell: &Versioned<u64>) -> Stamp {
    cell.modify(|number| number + 1).unwrap().stamp()
}

#[test]
fn no_update_is_lost_when_three_modify() {
    check(None, 5_800, || {
        let cell = numbered();
        let others: Vec<_> = (0..2)
            .map(|_| {
                let cell = cell.clone();
                thread::spawn(move || count_up(&cell))
            })
            .collect();
        let mut stamps = vec![count_up(&cell)];
        stamps.extend(others.into_iter().map(|other| other.join().unwrap()));
        stamps.sort_unstable();
        assert_eq!(stamps.iter().map(|stamp| stamp.get()).collect::<Vec<_>>(), [2, 3, 4]);
        assert_eq!((*cell.snapshot(), cell.stamp().get()), (4, 4));
    });
}

#[test]
fn of_two_updates_of_one_version_one_is_refused_and_shown_the_other() {
    check(None, 14, || {
        let cell = Arc::new(Versioned::new("old"));
        let seen = cell.stamp();
        let other = {
            let cell = cell.clone();
            thread::spawn(move || cell.update(seen, |_| "other").map_err(WriteError::into_conflict))
        };
        let own = cell.update(seen, |_| "own").map_err(WriteError::into_conflict);
        let other = other.join().unwrap();
        let (winner, loser) = match (&own, &other) {
            (Ok(winner), Err(Some(loser))) | (Err(Some(loser)), Ok(winner)) => (winner, loser),
            _ => panic!("lost update: {own:?} and {other:?}"),
        };
        let current = loser.current.as_ref().unwrap();
        assert_eq!((**current, current.stamp()), (**winner, winner.stamp()));
    });
}

#[test]
fn a_snapshot_is_never_torn_and_stamps_never_repeat_or_go_back() {
    check(None, 2_200, || {
        let cell = numbered();
        let modifies = {
            let cell = cell.clone();
            thread::spawn(move || count_up(&cell))
        };
        let sets = {
            let cell = cell.clone();
            thread::spawn(move || {
                let seen = cell.snapshot();
                cell.compare_and_set(seen.stamp(), *seen + 1).map(|stored| stored.stamp()).ok()
            })
        };
        let (first, second) = (cell.snapshot(), cell.snapshot());
        assert_eq!((*first, *second), (first.stamp().get(), second.stamp().get()), "a torn snapshot");
        assert!(first.stamp() <= second.stamp(), "stamps went back");
        let (modified, set) = (modifies.join().unwrap(), sets.join().unwrap());
        assert_ne!(Some(modified), set, "a stamp was given twice");
    });
}

#[test]
fn the_stamp_alone_is_neither_ahead_of_the_value_nor_behind_it() {
    check(None, 110, || {
        let cell = numbered();
        let writer = {
            let cell = cell.clone();
            thread::spawn(move || {
                let stored = count_up(&cell);
                assert!(cell.is_current(stored), "the only writer sees its own write");
            })
        };
        let before = cell.stamp();
        let snapshot = cell.snapshot();
        assert!(before <= snapshot.stamp(), "the stamp was ahead of the value");
        assert!(snapshot.stamp() <= cell.stamp(), "the stamp is behind the value");
        if !cell.is_current(snapshot.stamp()) {
            assert!(cell.snapshot().stamp() > snapshot.stamp());
        }
        writer.join().unwrap();
    });
}

#[test]
fn who_sees_a_stamp_sees_what_its_writer_did_before() {
    check(None, 6, || {
        let (cell, beside) = (numbered(), Arc::new(Watched::default()));
        let first = cell.stamp();
        let writer = {
            let (cell, beside) = (cell.clone(), beside.clone());
            thread::spawn(move || {
                beside.add(1);
                count_up(&cell);
            })
        };
        if !cell.is_current(first) {
            assert_eq!(beside.get(), 1);
        }
        writer.join().unwrap();
    });
}

#[test]
fn who_sees_a_stamp_by_itself_sees_what_its_writer_did_before() {
    check(None, 6, || {
        let (cell, beside) = (numbered(), Arc::new(Watched::default()));
        let writer = {
            let (cell, beside) = (cell.clone(), beside.clone());
            thread::spawn(move || {
                beside.add(1);
                count_up(&cell);
            })
        };
        if cell.stamp() > Stamp::MIN {
            assert_eq!(beside.get(), 1);
        }
        writer.join().unwrap();
    });
}

#[test]
fn who_waits_for_a_change_misses_none() {
    let seen = Seen::default();
    let noted = seen.clone();
    check(None, 80, move || {
        let cell = numbered();
        let first = cell.stamp();
        let writer = {
            let cell = cell.clone();
            thread::spawn(move || count_up(&cell))
        };
        let next = noted.task(cell.changed(first));
        assert_eq!((*next, next.stamp().get()), (2, 2));
        writer.join().unwrap();
    });
    seen.both();
}

#[test]
fn one_write_reaches_a_thread_and_a_task_that_wait() {
    let seen = Seen::default();
    let noted = seen.clone();
    check(Some(4), 5_100, move || {
        let cell = numbered();
        let first = cell.stamp();
        let thread = {
            let cell = cell.clone();
            thread::spawn(move || assert_eq!(*cell.changed(first).wait(), 2))
        };
        let task = {
            let (cell, noted) = (cell.clone(), noted.clone());
            thread::spawn(move || assert_eq!(*noted.task(cell.changed(first)), 2))
        };
        count_up(&cell);
        thread.join().unwrap();
        task.join().unwrap();
    });
    seen.both();
}

#[test]
fn a_waiter_that_gives_up_takes_no_change_from_another() {
    let seen = Seen::default();
    let noted = seen.clone();
    check(Some(4), 7_800, move || {
        let cell = numbered();
        let first = cell.stamp();
        let waiter = {
            let (cell, noted) = (cell.clone(), noted.clone());
            thread::spawn(move || assert_eq!(*noted.task(cell.changed(first)), 2))
        };
        let writer = {
            let cell = cell.clone();
            thread::spawn(move || count_up(&cell))
        };
        let mut cancelled = Box::pin(cell.changed(first));
        drop(poll_once(cancelled.as_mut()));
        drop(cancelled);
        waiter.join().unwrap();
        writer.join().unwrap();
    });
    seen.both();
}

/// The one who gives up was the last on its watch, and is about to take it away. Meanwhile the value is written, and
/// somebody waits for the version after it.
#[test]
fn who_gives_up_late_leaves_the_watch_of_the_next_version() {
    let seen = Seen::default();
    let noted = seen.clone();
    check(None, 40, move || {
        let cell = numbered();
        let first = cell.stamp();
        let gives_up = {
            let (cell, noted) = (cell.clone(), noted.clone());
            thread::spawn(move || {
                let mut cancelled = Box::pin(cell.changed(first));
                noted.note(poll_once(cancelled.as_mut()).is_pending());
            })
        };
        let second = count_up(&cell);
        let woken = Arc::new(Woken::default());
        let mut follower = Box::pin(cell.changed(second));
        assert!(woken.poll(follower.as_mut()).is_pending());
        gives_up.join().unwrap();
        count_up(&cell);
        assert!(woken.is(), "a waiter of the next version was forgotten");
        assert!(woken.poll(follower.as_mut()).is_ready());
    });
    seen.both();
}

/// A value that looks, when it is dropped, whether its waiter was told.
struct Looks(Option<Arc<Woken>>);

impl Drop for Looks {
    fn drop(&mut self) {
        assert!(self.0.as_ref().is_none_or(|waiter| waiter.is()), "dropped before its waiter was told");
    }
}

#[test]
fn a_value_is_dropped_when_its_waiters_have_been_told() {
    check(None, 1, || {
        let waiter = Arc::new(Woken::default());
        let cell = Arc::new(Versioned::new(Looks(Some(waiter.clone()))));
        let mut waits = Box::pin(cell.changed(Stamp::MIN));
        assert!(waiter.poll(waits.as_mut()).is_pending());
        let writer = {
            let cell = cell.clone();
            thread::spawn(move || drop(cell.compare_and_set(Expect::Any, Looks(None)).unwrap()))
        };
        writer.join().unwrap();
        assert!(waiter.is() && poll_once(waits.as_mut()).is_ready());
    });
}

#[test]
fn who_waits_from_version_to_version_sees_the_last_one() {
    let seen = Seen::default();
    let noted = seen.clone();
    check(None, 3_000, move || {
        let cell = numbered();
        let mut known = cell.stamp();
        let writer = {
            let cell = cell.clone();
            thread::spawn(move || {
                count_up(&cell);
                count_up(&cell);
            })
        };
        while known.get() < 3 {
            let next = noted.task(cell.changed(known));
            assert!(next.stamp() > known && *next == next.stamp().get());
            known = next.stamp();
        }
        writer.join().unwrap();
    });
    seen.both();
}

#[test]
fn what_is_expected_is_judged_by_what_is_there_when_it_is_written() {
    check(None, 15, || {
        let cell = numbered();
        let first = cell.stamp();
        let either = Expect::OneOf([first, Stamp::new(2).unwrap()].into());
        let other = {
            let cell = cell.clone();
            thread::spawn(move || count_up(&cell))
        };
        // Whether it comes first or second, it is content, and nothing is lost.
        let mut calls = 0;
        let stored = cell.update(either, |number| {
            calls += 1;
            number + 1
        });
        let stored = stored.unwrap();
        assert_eq!(*stored, stored.stamp().get());
        assert!(calls <= 2, "{calls} calls");
        other.join().unwrap();
        assert_eq!(*cell.snapshot(), 3);
    });
}
