//! What may be a key, and keys whose own code panics.

use std::borrow::Cow;
use std::cell::Cell;
use std::hash::{Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use latchwork::{KeyedLock, KeyedSemaphore, key::IntoKey};

use crate::support::{Hand, panic_of};

#[test]
fn borrowed_forms_mean_the_owned_key() {
    let keys = KeyedLock::<String>::new();
    let guard = keys.try_lock("ada").expect("it is free");
    let owned = String::from("ada");
    assert!(keys.is_locked("ada") && keys.is_locked(&owned) && keys.is_locked(owned));
    assert!(keys.is_locked(Cow::Borrowed("ada")) && keys.is_locked(Cow::<str>::Owned("ada".into())));
    assert!(!keys.is_locked("Ada") && !keys.is_locked(""));
    drop(guard);
    drop(keys.try_lock(Cow::Borrowed("ada")).expect("it is free"));
    let owned = String::from("ada");
    drop(keys.try_lock(&owned).expect("it is free"));

    let bytes = KeyedLock::<Vec<u8>>::new();
    let guard = bytes.try_lock(&b"ada"[..]).expect("it is free");
    assert!(bytes.is_locked(b"ada".to_vec()) && bytes.is_locked(Cow::Borrowed(&b"ada"[..])));
    assert!(!bytes.is_locked(&b"ad"[..]));
    drop(guard);

    let (boxed, counted) = (KeyedLock::<Box<str>>::new(), KeyedLock::<Arc<str>>::new());
    let guards = (boxed.try_lock("ada").expect("it is free"), counted.try_lock("ada").expect("it is free"));
    let name = Arc::from("ada");
    assert!(boxed.is_locked(Box::<str>::from("ada")) && counted.is_locked(&name) && counted.is_locked(name));
    assert_eq!(&**guards.1.key(), "ada");
}

#[test]
fn tuples_and_references_are_keys() {
    let tenants = KeyedLock::<(u16, u64)>::new();
    let guard = tenants.try_lock((1, 42)).expect("it is free");
    assert!(tenants.is_locked(guard.key()) && !tenants.is_locked((42, 1)));
    assert_eq!(guard.key(), &(1, 42));
    let names = KeyedLock::<&'static str>::new();
    let _guard = names.try_lock("ada").expect("it is free");
    assert!(names.is_locked("ada"));
}

#[derive(PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
struct NotClone(u32);

#[test]
fn a_key_need_not_be_clone() {
    let keys = Arc::new(KeyedLock::<NotClone>::new());
    let guard = keys.try_lock(NotClone(1)).expect("it is free");
    assert!(keys.try_lock_owned(NotClone(1)).is_err());
    let mut waiter = Hand::queued(keys.lock(NotClone(1)));
    drop(guard);
    assert_eq!(waiter.poll().map(|guard| guard.key().0), Some(1));
    assert_eq!(keys.lock_many([NotClone(2), NotClone(1)]).wait().len(), 2);
    assert_eq!(KeyedSemaphore::<NotClone>::new(1).acquire(NotClone(3)).wait().key(), &NotClone(3));
}

#[derive(PartialEq, Eq, Hash)]
struct Seat {
    row: String,
    number: u32,
}

/// Counts how often a key is made of it.
struct SeatRef<'a>(&'a str, u32, &'a Cell<u32>);

impl IntoKey<Seat> for SeatRef<'_> {
    fn hash_key<H: Hasher>(&self, state: &mut H) {
        (self.0, self.1).hash(state);
    }

    fn is_key(&self, key: &Seat) -> bool {
        self.0 == key.row && self.1 == key.number
    }

    fn into_key(self) -> Seat {
        self.2.set(self.2.get() + 1);
        Seat { row: self.0.to_owned(), number: self.1 }
    }
}

#[test]
fn an_owned_key_is_made_only_for_a_new_entry() {
    let (seats, made) = (KeyedLock::<Seat>::new(), Cell::new(0));
    let seat = || SeatRef("B", 7, &made);
    assert!(!seats.is_locked(seat()));
    assert_eq!(made.get(), 0);
    let guard = seats.try_lock(seat()).expect("it is free");
    assert_eq!(made.get(), 1);
    assert!(seats.try_lock(seat()).is_err() && seats.try_lock_shared(seat()).is_err());
    let mut waiter = Hand::queued(seats.lock(seat()));
    drop(Hand::queued(seats.lock_shared(seat())));
    assert!(seats.is_locked(Seat { row: "B".into(), number: 7 }));
    drop(guard);
    assert_eq!(waiter.poll().map(|guard| guard.key().number), Some(7));
    assert_eq!(made.get(), 1, "it was in the table all the time");
    drop(waiter);
    drop(seats.lock(seat()).wait());
    assert_eq!(made.get(), 2);
}

/// A key whose code panics at the `n`th call of one kind.
#[derive(Debug)]
struct Touchy {
    id: u32,
    moods: Arc<Moods>,
}

#[derive(Debug, Default)]
struct Moods {
    hash: AtomicUsize,
    eq: AtomicUsize,
    make: AtomicUsize,
    clone: AtomicUsize,
    drop: AtomicUsize,
    cmp: AtomicUsize,
}

/// Counts down to a panic; zero is calm.
fn tick(mood: &AtomicUsize) {
    let left = mood.load(Ordering::SeqCst);
    mood.store(left.saturating_sub(1), Ordering::SeqCst);
    assert!(left != 1, "a key that panics");
}

impl Hash for Touchy {
    fn hash<H: Hasher>(&self, state: &mut H) {
        tick(&self.moods.hash);
        self.id.hash(state);
    }
}

impl PartialEq for Touchy {
    fn eq(&self, other: &Self) -> bool {
        tick(&self.moods.eq);
        self.id == other.id
    }
}

impl Eq for Touchy {}

impl PartialOrd for Touchy {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Touchy {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        tick(&self.moods.cmp);
        self.id.cmp(&other.id)
    }
}

impl Clone for Touchy {
    fn clone(&self) -> Self {
        tick(&self.moods.clone);
        Self { id: self.id, moods: self.moods.clone() }
    }
}

impl Drop for Touchy {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            tick(&self.moods.drop);
        }
    }
}

/// A borrowed form whose conversion panics.
struct Borrowed<'a>(u32, &'a Arc<Moods>);

impl IntoKey<Touchy> for Borrowed<'_> {
    fn hash_key<H: Hasher>(&self, state: &mut H) {
        tick(&self.1.hash);
        self.0.hash(state);
    }

    fn is_key(&self, key: &Touchy) -> bool {
        tick(&self.1.eq);
        self.0 == key.id
    }

    fn into_key(self) -> Touchy {
        tick(&self.1.make);
        Touchy { id: self.0, moods: self.1.clone() }
    }
}

/// Whether a table with this key held, waited for and beside another one is whole after `panics` ran.
fn stays_whole(mood: fn(&Moods) -> &AtomicUsize, panics: impl Fn(&KeyedLock<Touchy>, &Arc<Moods>)) {
    for countdown in 1..4 {
        let moods = Arc::new(Moods::default());
        let key = |id| Touchy { id, moods: moods.clone() };
        let keys: KeyedLock<Touchy> = KeyedLock::builder().shards(1).build();
        let (other, guard) = (keys.lock(key(1)).wait(), keys.lock(key(7)).wait());
        let mut waiter = Hand::queued(keys.lock(key(7)));
        mood(&moods).store(countdown, Ordering::SeqCst);
        let _ = catch_unwind(AssertUnwindSafe(|| panics(&keys, &moods)));
        mood(&moods).store(0, Ordering::SeqCst);
        assert_eq!(keys.len(), 2);
        assert!(keys.try_lock(key(1)).is_err() && keys.try_lock(key(7)).is_err());
        drop(guard);
        assert!(waiter.poll_while_woken().is_some());
        drop(other);
        assert_eq!(keys.len(), 0);
        drop(keys.try_lock(key(7)).expect("it is free"));
    }
}

/// Everything that can be asked of a key, held or free.
fn everything(keys: &KeyedLock<Touchy>, moods: &Arc<Moods>) {
    for id in [7, 8] {
        let key = || Touchy { id, moods: moods.clone() };
        let calls: [&dyn Fn(); 9] = [
            &|| _ = keys.is_locked(key()),
            &|| drop(keys.try_lock(key())),
            &|| drop(keys.try_lock(Borrowed(id, moods))),
            &|| {
                let key = key();
                drop(keys.try_lock_shared(&key));
            },
            &|| drop(Hand::new(keys.lock(key())).poll()),
            &|| drop(Hand::new(keys.lock(&key())).poll()),
            &|| drop(Hand::new(keys.lock_shared(Borrowed(id, moods))).poll()),
            &|| drop(Hand::new(keys.lock_many([key(), Touchy { id: 9, moods: moods.clone() }])).poll()),
            &|| drop(keys.try_lock_many([Touchy { id: 9, moods: moods.clone() }, key()])),
        ];
        for call in calls {
            let _ = catch_unwind(AssertUnwindSafe(call));
        }
    }
}

#[test]
fn a_panic_in_hash_leaves_the_table_whole() {
    stays_whole(|moods| &moods.hash, everything);
}

#[test]
fn a_panic_in_eq_leaves_the_table_whole() {
    stays_whole(|moods| &moods.eq, everything);
}

#[test]
fn a_panic_in_the_conversion_leaves_the_table_whole() {
    stays_whole(|moods| &moods.make, everything);
    let moods = Arc::new(Moods::default());
    let keys = KeyedLock::<Touchy>::new();
    moods.make.store(1, Ordering::SeqCst);
    assert_eq!(panic_of(|| keys.try_lock(Borrowed(1, &moods)).is_ok()), "a key that panics");
    assert!(keys.try_lock(Borrowed(1, &moods)).is_ok());
}

#[test]
fn a_panic_in_clone_leaves_the_table_whole() {
    stays_whole(|moods| &moods.clone, everything);
}

#[test]
fn a_panic_in_the_order_of_keys_leaves_the_table_whole() {
    stays_whole(|moods| &moods.cmp, everything);
}

#[test]
fn a_panic_in_the_drop_of_a_refused_key_leaves_the_table_whole() {
    stays_whole(|moods| &moods.drop, everything);
}

#[test]
fn a_panic_in_the_drop_of_a_released_key_releases_it() {
    let moods = Arc::new(Moods::default());
    let keys = KeyedLock::<Touchy>::new();
    let guard = keys.lock(Borrowed(1, &moods)).wait();
    moods.drop.store(1, Ordering::SeqCst);
    assert_eq!(panic_of(|| drop(guard)), "a key that panics");
    assert_eq!(keys.len(), 0);
    assert!(keys.try_lock(Borrowed(1, &moods)).is_ok());
}

#[test]
fn keys_are_dropped_with_their_entries_and_with_the_table() {
    let alive = Arc::new(());
    #[derive(Clone)]
    struct Counted(u32, #[allow(dead_code)] Arc<()>);
    impl PartialEq for Counted {
        fn eq(&self, other: &Self) -> bool {
            self.0 == other.0
        }
    }
    impl Eq for Counted {}
    impl Hash for Counted {
        fn hash<H: Hasher>(&self, state: &mut H) {
            self.0.hash(state);
        }
    }
    let keys: KeyedLock<Counted> = KeyedLock::builder().shards(2).build();
    let key = |id| Counted(id, alive.clone());
    let guards: Vec<_> = (0..30).map(|id| keys.try_lock(key(id)).expect("it is free")).collect();
    assert_eq!(Arc::strong_count(&alive), 31);
    let refused = guards.iter().filter(|guard| keys.try_lock(guard.key()).is_err()).count();
    assert_eq!((refused, Arc::strong_count(&alive)), (30, 31));
    drop(guards);
    assert_eq!(Arc::strong_count(&alive), 1);
    // Guards that were forgotten leave their entries to the table.
    #[allow(clippy::mem_forget)]
    (0..30).for_each(|id| std::mem::forget(keys.try_lock(key(id))));
    assert_eq!((keys.len(), Arc::strong_count(&alive)), (30, 31));
    drop(keys);
    assert_eq!(Arc::strong_count(&alive), 1);
}

/// All keys in one place.
#[derive(Clone, Default)]
struct Colliding;

impl Hasher for Colliding {
    fn finish(&self) -> u64 {
        0
    }

    fn write(&mut self, _: &[u8]) {}
}

#[test]
fn keys_whose_hashes_collide_are_still_different_keys() {
    type Build = std::hash::BuildHasherDefault<Colliding>;
    let keys: KeyedLock<u32, Build> = KeyedLock::builder().hasher(Build::default()).build();
    let mut guards: Vec<_> = (0..100).map(|key| keys.try_lock(key).expect("it is free")).collect();
    assert!((0..100).all(|key| keys.try_lock(key).is_err()));
    let mut waiter = Hand::queued(keys.lock(50));
    drop(guards.swap_remove(50));
    assert!(waiter.poll_while_woken().is_some());
    assert_eq!(guards.iter().filter(|guard| keys.is_locked(*guard.key())).count(), 99);
    drop(guards);
    assert!(keys.is_empty());
}
