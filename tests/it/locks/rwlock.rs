//! `RwLock` and its guards.

use std::cell::Cell;
use std::fmt::Debug;
use std::sync::Arc;
use std::thread;

use latchwork::{
    RwLock,
    rwlock::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLockReadGuard, RwLockWriteGuard},
};

use crate::support::{Hand, panic_of};

static RATES: RwLock<[u32; 2]> = RwLock::new([1, 2]);

#[test]
fn a_rwlock_can_be_a_static() {
    RATES.write().wait()[0] += 1;
    let (one, two) = (RATES.read().wait(), RATES.read().wait());
    assert_eq!((one[0], two[1]), (2, 2));
}

#[test]
fn readers_share_and_writers_do_not() {
    let lock = Arc::new(RwLock::new(1));
    let readers = (
        lock.read().wait(),
        lock.try_read().expect("readers share"),
        lock.read_owned().wait(),
        lock.try_read_owned().expect("readers share"),
    );
    assert_eq!(*readers.0 + *readers.1 + *readers.2 + *readers.3, 4);
    assert!(lock.try_write().is_err() && lock.try_write_owned().is_err());
    drop(readers);
    let mut writer = lock.try_write_owned().expect("the readers have gone");
    *writer += 1;
    assert!(lock.try_read().is_err() && lock.try_read_owned().is_err() && lock.try_write().is_err());
    drop(writer);
    *lock.write().wait() += 1;
    let lock = Arc::into_inner(lock).expect("the guards have gone");
    assert_eq!(lock.into_inner(), 3);
}

#[test]
fn readers_are_told_together_up_to_the_next_writer() {
    let lock = RwLock::new(0);
    let writer = lock.try_write().expect("it is free");
    let mut readers: Vec<_> = (0..12).map(|_| Hand::queued(lock.read())).collect();
    let mut next = Hand::queued(lock.write());
    let mut later = Hand::queued(lock.read());
    drop(writer);
    let guards: Vec<_> = readers.iter_mut().map(|reader| reader.poll_while_woken().expect("told")).collect();
    assert!(!next.is_woken() && !later.is_woken());
    drop(guards);
    assert!(next.is_woken() && !later.is_woken());
    drop(next.poll().expect("told"));
    assert!(later.poll_while_woken().is_some());
}

#[test]
fn a_waiting_writer_is_not_overtaken_by_readers_for_ever() {
    let lock = RwLock::new(0);
    let mut held = vec![lock.read().wait()];
    let mut writer = Hand::queued(lock.write());
    let refused = loop {
        let mut reader = Hand::new(lock.read());
        match reader.poll() {
            Some(guard) => held.push(guard),
            None => break reader,
        }
        assert!(held.len() <= 513);
    };
    drop(held);
    assert!(writer.poll_while_woken().is_some());
    drop(refused);
}

#[test]
fn a_downgraded_writer_lets_readers_in_and_no_writer() {
    let lock = RwLock::new(1);
    let mut writer = lock.try_write().expect("it is free");
    let mut readers: Vec<_> = (0..10).map(|_| Hand::queued(lock.read())).collect();
    let mut next = Hand::queued(lock.write());
    *writer = 2;
    let reader = RwLockWriteGuard::downgrade(writer);
    assert!(lock.try_write().is_err());
    for waiting in &mut readers {
        assert_eq!(waiting.poll_while_woken().map(|guard| *guard), Some(2));
    }
    assert!(!next.is_woken());
    drop(reader);
    assert!(next.poll_while_woken().is_some());

    let lock = Arc::new(RwLock::new(1));
    let reader = OwnedRwLockWriteGuard::downgrade(lock.write_owned().wait());
    drop(lock.try_read().expect("readers share"));
    thread::spawn(move || assert_eq!(*reader, 1)).join().expect("it releases the lock there");
    assert!(lock.try_write().is_ok());
}

#[test]
fn a_mapped_writer_that_is_downgraded_reads_the_whole() {
    struct Chain {
        name: &'static str,
        next: Cell<Option<Box<Chain>>>,
    }
    let tail = Chain { name: "tail", next: Cell::new(None) };
    let lock = RwLock::new(Chain { name: "head", next: Cell::new(Some(Box::new(tail))) });
    let writer = lock.write().wait();
    let writer =
        RwLockWriteGuard::map(writer, |head| head.next.get_mut().as_deref_mut().expect("it is there"));
    assert_eq!(writer.name, "tail");
    // A reader of the part would dangle as soon as another reader empties the cell.
    let reader = RwLockWriteGuard::downgrade(writer);
    drop(lock.try_read().expect("readers share").next.take());
    assert_eq!(reader.name, "head");
}

#[test]
fn mapped_guards_hold_the_lock_and_show_their_part() {
    let lock = RwLock::new((1, String::from("one")));
    let mut name = RwLockWriteGuard::map(lock.write().wait(), |pair| &mut pair.1);
    name.push('!');
    assert!(lock.try_read().is_err());
    drop(name);
    let part =
        RwLockReadGuard::map(RwLockReadGuard::map(lock.read().wait(), |pair| &pair.1), |name| &name[..1]);
    assert_eq!((&*part, lock.try_write().is_err(), lock.try_read().is_ok()), ("o", true, true));
    drop(part);
    let none = RwLockWriteGuard::filter_map(lock.write().wait(), |_| -> Option<&mut u8> { None });
    assert_eq!(none.map(drop).expect_err("there is no such part").0, 1);
    let arc = Arc::new(lock);
    let part = OwnedRwLockReadGuard::map(arc.read_owned().wait(), |pair| &pair.0);
    thread::spawn(move || assert_eq!(*part, 1)).join().expect("it releases the lock there");
    assert!(arc.try_write().is_ok());
}

#[test]
fn a_panic_releases_what_is_held() {
    let lock = RwLock::new(1);
    panic_of(|| {
        let _reader = lock.read().wait();
        panic!("while it reads");
    });
    panic_of(|| {
        *lock.write().wait() = 2;
        let _writer = lock.write().wait();
        panic!("while it writes");
    });
    panic_of(|| RwLockReadGuard::map(lock.read().wait(), |_| -> &u32 { panic!("no part") }));
    assert_eq!(lock.try_write().map(|writer| *writer), Ok(2));
}

#[test]
fn values_without_a_size_can_be_locked() {
    let slice: Arc<RwLock<[u32]>> = Arc::new(RwLock::new([1, 2, 3]));
    slice.write().wait()[1] += 5;
    assert_eq!(slice.read_owned().wait()[1], 7);
    let shown: Arc<RwLock<dyn Debug + Send + Sync>> = Arc::new(RwLock::new("value"));
    assert_eq!(format!("{shown:?}"), "RwLock { value: \"value\" }");
}

#[test]
fn debug_shows_the_value_to_readers_and_does_not_block() {
    let mut lock = RwLock::new(1);
    *lock.get_mut() = 2;
    let reader = lock.read().wait();
    assert_eq!(format!("{lock:?} {reader:?} {reader}"), "RwLock { value: 2 } 2 2");
    drop(reader);
    let writer = lock.write().wait();
    assert_eq!(format!("{lock:?} {writer:?} {writer}"), "RwLock { value: <locked> } 2 2");
}

#[test]
fn it_is_made_of_its_value() {
    assert_eq!(RwLock::<u32>::default().into_inner(), 0);
    assert_eq!(RwLock::from("value").into_inner(), "value");
}

#[test]
fn it_is_locked_while_a_guard_of_either_kind_lives() {
    let lock = RwLock::new(1);
    assert!(!lock.is_locked());
    let reader = lock.read().wait();
    assert!(lock.is_locked());
    drop(reader);
    let writer = lock.write().wait();
    assert!(lock.is_locked());
    drop(writer);
    assert!(!lock.is_locked());
}

#[test]
fn a_reader_is_narrowed_to_a_part_that_may_not_be_there() {
    let lock = RwLock::new(vec![1, 2]);
    let second = RwLockReadGuard::filter_map(lock.read().wait(), |list| list.get(1)).expect("it is there");
    assert_eq!((*second, lock.try_write().is_err(), lock.try_read().is_ok()), (2, true, true));
    drop(second);
    let none = RwLockReadGuard::filter_map(lock.read().wait(), |list| list.get(2));
    assert_eq!(none.map(drop).expect_err("there is no third").len(), 2);
    panic_of(|| RwLockReadGuard::filter_map(lock.read().wait(), |_| -> Option<&u32> { panic!("no part") }));
    assert!(!lock.is_locked());
}

#[test]
fn a_writer_is_downgraded_to_a_reader_of_a_part() {
    let lock = Arc::new(RwLock::new((1, String::from("one"))));
    let mut writer = lock.try_write_owned().expect("it is free");
    let mut next = Hand::queued(lock.write());
    writer.1.push('!');
    let part = OwnedRwLockWriteGuard::downgrade_map(writer, |pair| &pair.1);
    assert_eq!((part.as_str(), lock.is_locked()), ("one!", true));
    assert!(next.poll().is_none());
    drop(part);
    assert!(next.poll_while_woken().is_some());
    drop(next);
    panic_of(|| RwLockWriteGuard::downgrade_map(lock.write().wait(), |_| -> &u32 { panic!("no part") }));
    assert!(!lock.is_locked());
}

#[test]
fn a_guard_knows_its_lock() {
    let lock = Arc::new(RwLock::new((1, 2)));
    let (reader, owned) = (lock.read().wait(), lock.read_owned().wait());
    assert!(std::ptr::eq(*RwLockReadGuard::rwlock(&reader), &*lock));
    assert!(Arc::ptr_eq(OwnedRwLockReadGuard::rwlock(&owned), &lock));
    drop((reader, owned));
    let part = RwLockWriteGuard::map(lock.write().wait(), |pair| &mut pair.0);
    assert!(RwLockWriteGuard::rwlock(&part).is_locked());
}
