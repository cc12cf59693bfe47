//! Keys whose own code uses the table, or lies.

use std::cell::Cell;
use std::cmp::Ordering as Order;
use std::hash::{BuildHasherDefault, DefaultHasher, Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::task::{Context, Poll, Waker};

use latchwork::{KeyedLock, key::IntoKey, keyed::OwnedKeyedGuard};

use crate::support::{Event, Hand, hooked, no_hang, panic_of};

type Table = Arc<OnceLock<Weak<KeyedLock<Busybody>>>>;

/// Uses its table wherever it is asked anything, but for its equality.
struct Busybody(u32, Table);

impl Busybody {
    fn use_table(&self) {
        thread_local! {
            static INSIDE: Cell<bool> = const { Cell::new(false) };
        }
        let table = self.1.get().and_then(Weak::upgrade);
        // What it does itself is not to be answered by doing it again.
        if let Some(table) = table.filter(|_| !INSIDE.replace(true)) {
            let key = |id| Self(id, self.1.clone());
            let _ = (table.len(), table.counts(), table.snapshot().len(), table.is_locked(key(self.0)));
            drop(table.try_lock(key(self.0)));
            drop(table.try_lock(key(99)));
            INSIDE.set(false);
        }
    }
}

impl PartialEq for Busybody {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Eq for Busybody {}

impl PartialOrd for Busybody {
    fn partial_cmp(&self, other: &Self) -> Option<Order> {
        Some(self.cmp(other))
    }
}

impl Ord for Busybody {
    fn cmp(&self, other: &Self) -> Order {
        self.use_table();
        self.0.cmp(&other.0)
    }
}

impl Hash for Busybody {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.use_table();
        self.0.hash(state);
    }
}

impl Clone for Busybody {
    fn clone(&self) -> Self {
        self.use_table();
        Self(self.0, self.1.clone())
    }
}

impl Drop for Busybody {
    fn drop(&mut self) {
        self.use_table();
    }
}

#[test]
fn a_key_may_use_its_table_whenever_it_is_hashed_cloned_ordered_or_dropped() {
    no_hang(|| {
        let handle = Table::default();
        let table: Arc<KeyedLock<Busybody>> = Arc::new(KeyedLock::builder().shards(1).build());
        handle.set(Arc::downgrade(&table)).expect("it is set once");
        let key = |id| Busybody(id, handle.clone());
        let guard = table.lock(key(1)).wait();
        let borrowed = &key(1);
        assert!(table.try_lock(key(1)).is_err() && table.try_lock(borrowed).is_err());
        let same = key(1);
        let mut waiter = Hand::queued(table.lock(&same));
        drop(Hand::queued(table.lock(key(1))));
        drop(guard);
        drop(waiter.poll_while_woken().expect("it was told"));
        drop(table.lock_many([key(3), key(1), key(2), key(1)]).wait());
        drop(table.try_lock_many([&key(3), &key(1)]).expect("both are free"));
        let view = table.snapshot();
        drop(view);
        assert_eq!(table.len(), 0);
    });
}

/// Takes the lock of its key while the key is made.
struct Eager<'a>(&'a Arc<KeyedLock<String>>, &'a Cell<Option<OwnedKeyedGuard<String>>>);

impl IntoKey<String> for Eager<'_> {
    fn hash_key<H: Hasher>(&self, state: &mut H) {
        "ada".hash(state);
    }

    fn is_key(&self, key: &String) -> bool {
        key == "ada"
    }

    fn into_key(self) -> String {
        self.1.set(self.0.try_lock_owned("ada").ok());
        "ada".into()
    }
}

#[test]
fn a_key_that_was_locked_while_it_was_made_is_busy() {
    let (keys, taken) = (Arc::new(KeyedLock::<String>::new()), Cell::new(None));
    assert!(keys.try_lock(Eager(&keys, &taken)).is_err());
    drop(taken.take().expect("it was free then"));
    let mut waiter = Hand::queued(keys.lock(Eager(&keys, &taken)));
    drop(taken.take());
    assert!(waiter.poll_while_woken().is_some());
    assert!(keys.is_empty());
}

/// A key that is neither equal to itself for long nor has always the same hash.
#[derive(Clone)]
struct Liar(Arc<AtomicUsize>);

impl Liar {
    fn lie(&self) -> usize {
        // A small generator is random enough.
        let next = |seed: usize| Some(seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).unwrap_or_default() >> 33
    }
}

impl PartialEq for Liar {
    fn eq(&self, _: &Self) -> bool {
        self.lie().is_multiple_of(2)
    }
}

impl Eq for Liar {}

impl PartialOrd for Liar {
    fn partial_cmp(&self, other: &Self) -> Option<Order> {
        Some(self.cmp(other))
    }
}

impl Ord for Liar {
    fn cmp(&self, _: &Self) -> Order {
        [Order::Less, Order::Equal, Order::Greater][self.lie() % 3]
    }
}

impl Hash for Liar {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.lie() % 3).hash(state);
    }
}

#[test]
fn keys_that_lie_do_no_harm_to_the_table() {
    let seed = Liar(Arc::new(AtomicUsize::new(1)));
    let keys: KeyedLock<Liar> = KeyedLock::builder().shards(2).build();
    for _ in 0..200 {
        let mut held: Vec<_> = (0..10).filter_map(|_| keys.try_lock(seed.clone()).ok()).collect();
        let mut waiters: Vec<_> = (0..10).map(|_| Hand::new(keys.lock(&seed))).collect();
        held.extend(waiters.iter_mut().filter_map(Hand::poll));
        drop(keys.try_lock_shared(seed.clone()));
        let views = keys.snapshot();
        drop(held);
        // Those who found themselves ready are gone; the others are served like any waiter.
        let served = waiters.iter_mut().filter_map(Hand::poll_while_woken).count();
        assert!(served <= 10);
        drop((views, waiters));
        assert_eq!(keys.len(), 0, "whatever they said, entries are known by their address");
    }
}

/// A key whose drop panics when told to.
#[derive(PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Bomb(u32, Armed);

#[derive(Clone)]
struct Armed(Arc<AtomicBool>);

impl PartialEq for Armed {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Armed {}

impl PartialOrd for Armed {
    fn partial_cmp(&self, other: &Self) -> Option<Order> {
        Some(self.cmp(other))
    }
}

impl Ord for Armed {
    fn cmp(&self, _: &Self) -> Order {
        Order::Equal
    }
}

impl Hash for Armed {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

impl Drop for Bomb {
    fn drop(&mut self) {
        assert!(!self.1.0.swap(false, Ordering::SeqCst), "a key whose drop panics");
    }
}

/// The key is gone from the list of those to come, and its guard was dropped by the panic.
#[test]
fn several_keys_are_never_granted_without_one_of_them() {
    let armed = Armed(Arc::new(AtomicBool::new(false)));
    let keys = KeyedLock::<Bomb>::new();
    // A view keeps the entry, so that the caller's key is not stored but dropped.
    let guard = keys.try_lock(Bomb(1, armed.clone())).expect("it is free");
    let _view = keys.snapshot();
    drop(guard);
    let mut many = pin!(keys.lock_many([1, 2, 3].map(|id| Bomb(id, armed.clone()))));
    armed.0.store(true, Ordering::SeqCst);
    let mut poll = || many.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    assert!(catch_unwind(AssertUnwindSafe(|| poll().is_ready())).is_err());
    match catch_unwind(AssertUnwindSafe(poll)) {
        Ok(Poll::Ready(guards)) => assert_eq!(guards.len(), 3, "all or none"),
        Ok(Poll::Pending) => panic!("all are free"),
        Err(_) => {}
    }
}

/// Panics when it is hashed or compared so often.
struct Fuse(u32, Armed, &'static AtomicUsize);

impl Fuse {
    fn burn(&self) {
        if self.1.0.load(Ordering::SeqCst) {
            assert_ne!(self.2.fetch_sub(1, Ordering::SeqCst), 1, "a fuse that burns down");
        }
    }
}

impl PartialEq for Fuse {
    fn eq(&self, other: &Self) -> bool {
        self.burn();
        self.0 == other.0
    }
}

impl Eq for Fuse {}

impl PartialOrd for Fuse {
    fn partial_cmp(&self, other: &Self) -> Option<Order> {
        Some(self.cmp(other))
    }
}

impl Ord for Fuse {
    fn cmp(&self, other: &Self) -> Order {
        self.0.cmp(&other.0)
    }
}

impl Hash for Fuse {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.burn();
        self.0.hash(state);
    }
}

#[test]
fn a_key_that_panics_leaves_none_of_several_keys_locked() {
    let armed = Armed(Arc::new(AtomicBool::new(false)));
    let left: &'static AtomicUsize = Box::leak(Box::default());
    let key = |id| Fuse(id, armed.clone(), left);
    let keys = KeyedLock::<Fuse>::builder().shards(1).build();
    let panics = (1..).take_while(|fuse| {
        let held = keys.try_lock(key(2)).expect("it is free");
        let mut many = None;
        left.store(*fuse, Ordering::SeqCst);
        armed.0.store(true, Ordering::SeqCst);
        let poll = || {
            let many = many.insert(Box::pin(keys.lock_many([1, 2, 3].map(key))));
            many.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready()
        };
        let outcome = catch_unwind(AssertUnwindSafe(poll));
        armed.0.store(false, Ordering::SeqCst);
        assert!(!keys.is_locked(key(1)) && !keys.is_locked(key(3)));
        drop(many);
        assert_eq!((keys.len(), keys.counts().waiting), (1, 0));
        drop(held);
        assert!(keys.is_empty());
        outcome.is_err()
    });
    assert!(panics.count() >= 3, "hashed, and compared in the table");
}

type Act = Box<dyn FnOnce() + Send>;

/// Runs something once when it finds its equal.
struct Trigger(u32, Arc<Mutex<Option<Act>>>);

impl PartialEq for Trigger {
    fn eq(&self, other: &Self) -> bool {
        let same = self.0 == other.0;
        let act = self.1.lock().expect("it is not poisoned").take_if(|_| same);
        act.into_iter().for_each(|act| act());
        same
    }
}

impl Eq for Trigger {}

impl PartialOrd for Trigger {
    fn partial_cmp(&self, other: &Self) -> Option<Order> {
        Some(self.cmp(other))
    }
}

impl Ord for Trigger {
    fn cmp(&self, other: &Self) -> Order {
        self.0.cmp(&other.0)
    }
}

impl Hash for Trigger {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

/// The request was not pinned yet, so nobody left the lines for it: its places were freed under them.
#[test]
fn a_thread_that_meets_a_panicking_waker_on_its_way_to_several_keys_leaves_all_lines() {
    // Two shards, as the comparison of key 2 must not use its own: this hasher tells the keys apart in each run.
    let fixed = BuildHasherDefault::<DefaultHasher>::default();
    let keys = Arc::new(KeyedLock::<Trigger>::builder().hasher(fixed).shards(1024).build());
    let key = |id| Trigger(id, Arc::default());
    let held = keys.try_lock(key(2)).expect("it is free");
    let waker = hooked(|event| assert!(event != Event::Woken, "a waker that panics"));
    let first = Arc::new(Mutex::new(Some(Box::pin(keys.lock_owned(key(1))))));
    let second = key(2);
    *second.1.lock().expect("it is not poisoned") = Some(Box::new({
        let first = first.clone();
        move || {
            let mut first = first.lock().expect("it is not poisoned");
            let first = first.as_mut().expect("it is there").as_mut();
            assert!(first.poll(&mut Context::from_waker(&waker)).is_pending(), "key 1 was taken just now");
        }
    }));
    let said = panic_of(|| drop(keys.lock_many([key(1), second]).wait()));
    assert_eq!(said, "a waker that panics");
    drop(first.lock().expect("it is not poisoned").take());
    assert_eq!((keys.len(), keys.counts().waiting), (1, 0));
    drop(held);
    assert!(keys.is_empty());
}
