//! `Mutex` and its guards.

use std::fmt::Debug;
use std::sync::Arc;
use std::thread;

use latchwork::{
    Mutex,
    mutex::{MutexGuard, OwnedMutexGuard},
};

use crate::support::{Hand, panic_of};

static COUNT: Mutex<u32> = Mutex::new(0);
static NAMES: Mutex<Vec<&str>> = const { Mutex::new(Vec::new()) };

#[test]
fn a_mutex_can_be_a_static() {
    thread::scope(|s| {
        for _ in 0..4 {
            s.spawn(|| {
                *COUNT.lock().wait() += 1;
                NAMES.lock().wait().push("ada");
            });
        }
    });
    assert_eq!((*COUNT.lock().wait(), NAMES.lock().wait().len()), (4, 4));
}

#[test]
fn what_one_holder_writes_the_next_one_reads() {
    let mutex = Mutex::new(String::new());
    mutex.lock().wait().push('a');
    mutex.try_lock().expect("it is free").push('b');
    let arc = Arc::new(mutex);
    arc.lock_owned().wait().push('c');
    arc.try_lock_owned().expect("it is free").push('d');
    assert_eq!(*arc.lock().wait(), "abcd");
    let mut mutex = Arc::into_inner(arc).expect("the guards have gone");
    mutex.get_mut().push('e');
    assert_eq!(mutex.into_inner(), "abcde");
}

#[test]
fn it_is_locked_while_a_guard_lives() {
    let mutex = Arc::new(Mutex::new(0));
    assert!(!mutex.is_locked());
    let guard = mutex.lock().wait();
    assert!(mutex.is_locked() && mutex.try_lock().is_err() && mutex.try_lock_owned().is_err());
    drop(guard);
    assert!(!mutex.is_locked());
    let owned = mutex.lock_owned().wait();
    assert!(mutex.is_locked() && mutex.try_lock().is_err());
    drop(owned);
    assert!(!mutex.is_locked());
}

#[test]
fn a_mapped_guard_holds_the_lock_and_shows_its_part() {
    let pair = Mutex::new((1, String::from("one")));
    let mut name = MutexGuard::map(pair.lock().wait(), |pair| &mut pair.1);
    name.push('!');
    let mut first = MutexGuard::map(name, |name| &mut name[..1]);
    first.make_ascii_uppercase();
    assert_eq!((&*first, pair.is_locked()), ("O", true));
    drop(first);
    assert_eq!(pair.into_inner(), (1, "One!".into()));

    let owned = Arc::new(Mutex::new((1, 2)));
    let mut second = OwnedMutexGuard::map(owned.lock_owned().wait(), |pair| &mut pair.1);
    *second += 1;
    thread::spawn(move || drop(second)).join().expect("it releases the lock there");
    assert_eq!(*owned.lock().wait(), (1, 3));
}

#[test]
fn a_part_that_is_not_there_gives_the_guard_back() {
    let list = Mutex::new(vec![1, 2]);
    let mut guard =
        MutexGuard::filter_map(list.lock().wait(), |list| list.get_mut(5)).expect_err("two are there");
    guard.push(3);
    let mut third = MutexGuard::filter_map(guard, |list| list.get_mut(2)).expect("now it is there");
    *third += 1;
    assert!(list.is_locked());
    drop(third);
    assert_eq!(list.into_inner(), [1, 2, 4]);
}

#[test]
fn a_panic_while_a_part_is_sought_releases_the_lock() {
    let mutex = Mutex::new(1);
    panic_of(|| MutexGuard::map(mutex.lock().wait(), |_| -> &mut u32 { panic!("no part") }));
    assert!(!mutex.is_locked());
    panic_of(|| {
        MutexGuard::filter_map(mutex.lock().wait(), |_| -> Option<&mut u32> { panic!("no part") }).is_ok()
    });
    assert!(!mutex.is_locked());
}

#[test]
fn a_mapped_guard_wakes_the_next_one_when_it_goes() {
    let pair = Mutex::new((1, 2));
    let part = MutexGuard::map(pair.lock().wait(), |pair| &mut pair.0);
    let mut waiter = Hand::queued(pair.lock());
    drop(part);
    assert_eq!(waiter.poll_while_woken().map(|pair| pair.1), Some(2));
}

#[test]
fn a_panic_leaves_the_value_as_it_is_and_poisons_nothing() {
    let mutex = Mutex::new(1);
    panic_of(|| {
        let mut guard = mutex.lock().wait();
        *guard = 2;
        panic!("half-way");
    });
    assert_eq!(mutex.try_lock().map(|guard| *guard), Ok(2));
}

#[test]
fn values_without_a_size_can_be_locked() {
    let slice: Arc<Mutex<[u32]>> = Arc::new(Mutex::new([1, 2, 3]));
    slice.lock().wait()[1] += 5;
    assert_eq!(slice.lock_owned().wait()[1], 7);
    let shown: Arc<Mutex<dyn Debug + Send>> = Arc::new(Mutex::new("value"));
    assert_eq!(format!("{:?}", shown.lock().wait()), "\"value\"");
    assert_eq!(format!("{shown:?}"), "Mutex { value: \"value\" }");
    let mut boxed: Box<Mutex<[u32]>> = Box::new(Mutex::new([1]));
    boxed.get_mut()[0] = 2;
    assert_eq!(boxed.lock().wait()[0], 2);
}

#[test]
fn debug_shows_the_value_and_does_not_block() {
    let mutex = Mutex::new(1);
    assert_eq!(format!("{mutex:?}"), "Mutex { value: 1 }");
    let guard = mutex.lock().wait();
    assert_eq!(format!("{mutex:?}"), "Mutex { value: <locked> }");
    assert_eq!(format!("{guard:?} {guard}"), "1 1");
    let waiter = Hand::queued(mutex.lock());
    drop(guard);
    assert_eq!(format!("{mutex:?}"), "Mutex { value: 1 }");
    assert!(waiter.is_woken());
}

#[test]
fn it_is_made_of_its_value() {
    assert_eq!(Mutex::<u32>::default().into_inner(), 0);
    assert_eq!(Mutex::from("value").into_inner(), "value");
}

#[test]
fn the_value_is_dropped_with_its_mutex() {
    let alive = Arc::new(());
    let mutex = Mutex::new(alive.clone());
    drop(mutex.lock().wait());
    drop(mutex);
    assert_eq!(Arc::strong_count(&alive), 1);
}

#[test]
fn a_guard_knows_its_mutex() {
    let mutex = Arc::new(Mutex::new((1, 2)));
    let part = MutexGuard::map(mutex.lock().wait(), |pair| &mut pair.0);
    assert!(MutexGuard::mutex(&part).try_lock().is_err());
    drop(part);
    let owned = mutex.lock_owned().wait();
    assert!(Arc::ptr_eq(OwnedMutexGuard::mutex(&owned), &mutex));
}
