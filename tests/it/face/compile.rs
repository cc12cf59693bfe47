//! What types promise the compiler. The package `compile_fail` has programs that it must refuse.

use std::cell::Cell;
use std::hash::{BuildHasherDefault, DefaultHasher, Hash};
use std::marker::PhantomData;
use std::panic::{RefUnwindSafe, UnwindSafe, catch_unwind};
use std::rc::Rc;

use latchwork::{
    Busy, Claims, Conflict, Fence, KeyedLock, KeyedSemaphore, Mutex, RetryPolicy, RwLock, Semaphore,
    SingleFlight, Stamp, TimedOut, Versioned, VersionedMap,
    claim::{Claim, UniqueClaim},
    error::NotAcquired,
    fence::{FenceGate, StaleFence},
    flight::{FlightCounts, Flown, Join, Leader, Role},
    keyed::{
        KeyView, KeyedBuilder, KeyedCounts, KeyedGuard, KeyedManyGuard, KeyedPermit, OwnedKeyedGuard,
        OwnedKeyedManyGuard, OwnedKeyedPermit, Timing,
    },
    mutex::{MutexGuard, OwnedMutexGuard},
    provider::AnyLocks,
    retry::{Backoff, Budget, RetryCounts, RetryError, RetryStats, Session, VirtualClock},
    rwlock::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLockReadGuard, RwLockWriteGuard},
    semaphore::{OwnedPermit, Permit},
    stamp::StampSource,
    versioned::{Expect, Snapshot, WriteError},
};

macro_rules! is {
    ($($ty:ty: $($bound:path),+;)*) => {
        $($(const _: () = {
            const fn check<T: ?Sized + $bound>() {}
            check::<$ty>();
        };)+)*
    };
}

/// Fails to compile, for being ambiguous, if the type does implement the trait.
macro_rules! is_not {
    ($($ty:ty: $($bound:path),+;)*) => {
        $($(const _: fn() = || {
            trait Ambiguous<A> {
                fn here() {}
            }
            struct Implemented;
            impl<T: ?Sized> Ambiguous<()> for T {}
            impl<T: ?Sized + $bound> Ambiguous<Implemented> for T {}
            <$ty as Ambiguous<_>>::here();
        };)+)*
    };
}

type Plain = u8;
/// Can be sent and not shared.
type Sent = Cell<u8>;
/// Can be shared and not sent.
type Shared = std::sync::MutexGuard<'static, u8>;
/// Neither.
type Stuck = Rc<u8>;

/// A key that can be sent and not shared.
#[derive(PartialEq, Eq, PartialOrd, Ord, Hash)]
struct SentKey(PhantomData<Cell<u8>>);
/// A key that can be neither.
type StuckKey = Rc<u8>;
type Hasher = BuildHasherDefault<DefaultHasher>;

is! {
    Mutex<Plain>: Send, Sync, Unpin;
    Mutex<Sent>: Send, Sync;
    MutexGuard<'static, Plain>: Send, Sync, Unpin;
    MutexGuard<'static, Sent>: Send;
    MutexGuard<'static, (Plain, Sent), Plain>: Send, Sync;
    OwnedMutexGuard<Plain>: Send, Sync, Unpin;
    OwnedMutexGuard<Sent>: Send;

    RwLock<Plain>: Send, Sync, Unpin;
    RwLock<Sent>: Send;
    RwLockReadGuard<'static, Plain>: Send, Sync, Unpin;
    RwLockWriteGuard<'static, Plain>: Send, Sync, Unpin;
    OwnedRwLockReadGuard<Plain>: Send, Sync;
    OwnedRwLockWriteGuard<Plain>: Send, Sync;

    Semaphore: Send, Sync, Unpin;
    Permit<'static>: Send, Sync;
    OwnedPermit: Send, Sync;

    KeyedLock<String>: Send, Sync, Unpin;
    KeyedLock<String, Hasher>: Send, Sync;
    KeyedGuard<'static, String>: Send, Sync, Unpin;
    OwnedKeyedGuard<String>: Send, Sync;
    KeyedManyGuard<'static, String>: Send, Sync;
    OwnedKeyedManyGuard<String>: Send, Sync;
    KeyedSemaphore<String>: Send, Sync;
    KeyedPermit<'static, String>: Send, Sync;
    OwnedKeyedPermit<String>: Send, Sync;
    KeyView<'static, String, Hasher>: Send, Sync;
    KeyedBuilder<String>: Send, Sync;
    KeyedBuilder<StuckKey>: Send, Sync;
    FenceGate<String>: Send, Sync;
    FenceGate<SentKey>: Send, Sync;

    Stamp: Send, Sync, Copy, Ord, Hash;
    StampSource: Send, Sync;
    Expect: Send, Sync, Clone;
    Snapshot<Plain>: Send, Sync, Clone, Unpin;
    Versioned<Plain>: Send, Sync, Unpin;
    VersionedMap<String, Plain>: Send, Sync, Unpin;
    VersionedMap<String, Plain, Hasher>: Send, Sync;
    Conflict<Plain>: Send, Sync, std::error::Error;
    Conflict<Stuck>: std::error::Error;
    WriteError<Plain>: Send, Sync, std::error::Error;
    Claims<String>: Send, Sync, Unpin;
    Claims<String>: Clone;
    Claim<String>: Send, Sync, Unpin;
    UniqueClaim<String>: Send, Sync;

    SingleFlight<String, Plain>: Send, Sync, Unpin, Clone;
    SingleFlight<String, Plain, Hasher>: Send, Sync;
    // Stored keys are touched by one thread at a time; values are not.
    SingleFlight<SentKey, Plain>: Send, Sync;
    Leader<String, Plain>: Send, Sync, Unpin;
    Leader<SentKey, Plain>: Send, Sync;
    Role<String, Plain>: Send, Sync;
    Join<String, Plain>: Send, Sync;
    Flown<Plain>: Send, Sync, Copy;
    FlightCounts: Send, Sync, Copy;

    RetryPolicy: Send, Sync, Clone, Unpin;
    RetryPolicy<fn(&Stuck) -> latchwork::verdict::Verdict>: Send, Sync;
    Session<'static, latchwork::retry::ByTrait>: Send, Sync;
    RetryError<Busy>: Send, Sync, Clone, std::error::Error;
    Budget: Send, Sync;
    RetryStats: Send, Sync;
    RetryCounts: Send, Sync, Copy;
    Backoff: Send, Iterator, Clone;
    VirtualClock: Send, Sync, Clone;

    Busy: Send, Sync, Copy, std::error::Error;
    TimedOut: Send, Sync, Copy, std::error::Error;
    NotAcquired: Send, Sync, Copy, std::error::Error;
    StaleFence: Send, Sync, Copy, std::error::Error;
    Fence: Send, Sync, Copy, Ord, Hash;
    KeyedCounts: Send, Sync, Copy;
    Timing: Send, Sync, Copy;
}

is_not! {
    Mutex<Shared>: Send, Sync;
    Mutex<Stuck>: Send, Sync;
    MutexGuard<'static, Sent>: Sync;
    MutexGuard<'static, Shared>: Send;
    MutexGuard<'static, Stuck>: Send, Sync;
    MutexGuard<'static, (Plain, Stuck), Plain>: Send;
    MutexGuard<'static, Plain>: Clone;
    OwnedMutexGuard<Sent>: Sync;
    OwnedMutexGuard<Stuck>: Send, Sync;

    RwLock<Sent>: Sync;
    RwLock<Shared>: Send, Sync;
    RwLock<Stuck>: Send, Sync;
    RwLockReadGuard<'static, Sent>: Send, Sync;
    RwLockReadGuard<'static, Shared>: Send;
    RwLockReadGuard<'static, Stuck>: Send, Sync;
    RwLockWriteGuard<'static, Sent>: Send, Sync;
    RwLockWriteGuard<'static, Stuck>: Send, Sync;
    OwnedRwLockReadGuard<Sent>: Send, Sync;
    OwnedRwLockWriteGuard<Sent>: Send, Sync;
    Permit<'static>: Clone;

    KeyedLock<SentKey>: Sync;
    KeyedLock<StuckKey>: Send, Sync;
    KeyedLock<String, Sent>: Sync;
    KeyedGuard<'static, SentKey>: Send, Sync;
    KeyedGuard<'static, StuckKey>: Send, Sync;
    KeyedGuard<'static, String>: Clone;
    OwnedKeyedGuard<SentKey>: Send, Sync;
    KeyedManyGuard<'static, SentKey>: Send, Sync;
    KeyedSemaphore<SentKey>: Sync;
    KeyedPermit<'static, SentKey>: Send, Sync;
    KeyView<'static, SentKey, Hasher>: Send, Sync;
    FenceGate<StuckKey>: Send, Sync;

    Snapshot<Sent>: Send, Sync;
    Snapshot<Stuck>: Send, Sync;
    Versioned<Sent>: Send, Sync;
    Versioned<Stuck>: Send, Sync;
    VersionedMap<String, Sent>: Send, Sync;
    VersionedMap<SentKey, Plain>: Sync;
    VersionedMap<StuckKey, Plain>: Send, Sync;
    Conflict<Stuck>: Send, Sync;
    Claims<StuckKey>: Send, Sync;
    Claims<SentKey>: Send, Sync;
    Claim<String>: Clone;
    Claim<SentKey>: Send, Sync;

    SingleFlight<String, Sent>: Send, Sync;
    SingleFlight<String, Shared>: Send, Sync;
    SingleFlight<StuckKey, Plain>: Send, Sync;
    SingleFlight<String, Plain, Sent>: Sync;
    Leader<String, Sent>: Send, Sync;
    Leader<String, Shared>: Send, Sync;
    Leader<StuckKey, Plain>: Send, Sync;
    Leader<String, Plain>: Clone;
    Leader<String, Stuck>: Send, Sync;
}

// No user values are inside, or they are only compared; and a panic leaves all of it consistent.
is! {
    Semaphore: UnwindSafe, RefUnwindSafe;
    Permit<'static>: UnwindSafe, RefUnwindSafe;
    OwnedPermit: UnwindSafe, RefUnwindSafe;
    KeyedLock<String>: UnwindSafe, RefUnwindSafe;
    KeyedGuard<'static, String>: UnwindSafe, RefUnwindSafe;
    OwnedKeyedGuard<String>: UnwindSafe, RefUnwindSafe;
    KeyedManyGuard<'static, String>: UnwindSafe, RefUnwindSafe;
    KeyedSemaphore<String>: UnwindSafe, RefUnwindSafe;
    KeyedPermit<'static, String>: UnwindSafe, RefUnwindSafe;
    // By value: who catches the panic has none of it left.
    Mutex<Plain>: UnwindSafe;
    RwLock<Plain>: UnwindSafe;
    // Values are replaced as a whole, and closures run outside of the locks.
    Versioned<Plain>: UnwindSafe, RefUnwindSafe;
    VersionedMap<String, Plain>: UnwindSafe, RefUnwindSafe;
    Snapshot<Plain>: UnwindSafe, RefUnwindSafe;
    FenceGate<String>: UnwindSafe, RefUnwindSafe;
    StampSource: UnwindSafe, RefUnwindSafe;
    Claims<String>: UnwindSafe, RefUnwindSafe;
    Claim<String>: UnwindSafe, RefUnwindSafe;
    SingleFlight<String, Plain>: UnwindSafe, RefUnwindSafe;
    AnyLocks<String>: UnwindSafe, RefUnwindSafe;
    // Those that observe, wait and make schedules are shared anyway, and protect themselves.
    RetryPolicy: UnwindSafe, RefUnwindSafe;
    RetryPolicy<fn(&Stuck) -> latchwork::verdict::Verdict>: UnwindSafe, RefUnwindSafe;
    Budget: UnwindSafe, RefUnwindSafe;
    RetryStats: UnwindSafe, RefUnwindSafe;
    RetryCounts: UnwindSafe, RefUnwindSafe;
    RetryError<Busy>: UnwindSafe, RefUnwindSafe;
    Backoff: UnwindSafe, RefUnwindSafe;
    VirtualClock: UnwindSafe, RefUnwindSafe;
    Busy: UnwindSafe, RefUnwindSafe;
    TimedOut: UnwindSafe, RefUnwindSafe;
    NotAcquired: UnwindSafe, RefUnwindSafe;
}

// There is no poisoning: the next holder may meet a value that a panic left half written.
is_not! {
    Mutex<Plain>: RefUnwindSafe;
    RwLock<Plain>: RefUnwindSafe;
    MutexGuard<'static, Plain>: UnwindSafe;
    KeyedLock<String, Sent>: RefUnwindSafe;
    Versioned<Sent>: UnwindSafe, RefUnwindSafe;
    VersionedMap<String, Sent>: UnwindSafe, RefUnwindSafe;
    VersionedMap<SentKey, Plain>: UnwindSafe, RefUnwindSafe;
    Claims<SentKey>: RefUnwindSafe;
    FenceGate<SentKey>: UnwindSafe, RefUnwindSafe;
    SingleFlight<String, Sent>: UnwindSafe, RefUnwindSafe;
    SingleFlight<SentKey, Plain>: UnwindSafe, RefUnwindSafe;
    SingleFlight<String, Plain, Sent>: RefUnwindSafe;
    AnyLocks<SentKey>: UnwindSafe, RefUnwindSafe;
    RetryPolicy<Sent>: RefUnwindSafe;
}

// The peers without poisoning say the same of their locks.
is_not! {
    tokio::sync::Mutex<Plain>: RefUnwindSafe;
    tokio::sync::RwLock<Plain>: RefUnwindSafe;
    parking_lot::Mutex<Plain>: RefUnwindSafe;
    parking_lot::RwLock<Plain>: RefUnwindSafe;
}

#[test]
fn a_panic_in_a_closure_leaves_a_value_that_others_may_use_without_assertions() {
    let (cell, map) = (Versioned::new(1), VersionedMap::<String, u8>::new());
    map.insert_new("ada".to_owned(), 1).expect("it is new");
    assert!(catch_unwind(|| cell.modify(|_| panic!("in a cell"))).is_err());
    assert!(catch_unwind(|| map.modify("ada", |_| panic!("in a map"))).is_err());
    assert_eq!((cell.modify(|n| n + 1).ok().as_deref(), cell.stamp().get()), (Some(&2), 2));
    assert_eq!(map.modify("ada", |n| n + 1).ok().as_deref(), Some(&2));
}

/// A struct can hold a wait for a change.
struct _Feed<'a> {
    price: latchwork::versioned::Changed<'a, u32>,
    menu: latchwork::versioned::ChangedKey<'a, String, u32, str>,
}

/// A reader of a part is as covariant as a reference to it. (The lock itself is not: see `lock_is_invariant`.)
fn _shorten<'a>(part: RwLockReadGuard<'a, u32, &'static str>) -> RwLockReadGuard<'a, u32, &'a str> {
    part
}

fn is_sendable_future<F: Future + Send>(_: &F) {}

/// Calls with a value of which the type has no name.
fn is_shareable<T: Sync>(_: &T) {}

#[test]
fn acquisitions_can_be_sent_while_they_wait() {
    let (mutex, rwlock) = (std::sync::Arc::new(Mutex::new(Cell::new(1))), RwLock::new(1));
    let (semaphore, keys) = (Semaphore::new(1), KeyedLock::<String>::new());
    let seats = KeyedSemaphore::<String>::new(1);
    is_sendable_future(&mutex.lock());
    is_sendable_future(&mutex.lock_owned());
    is_sendable_future(&mutex.lock().max_waiters(1));
    is_sendable_future(&keys.lock("ada").max_waiters(1));
    is_sendable_future(&rwlock.read());
    is_sendable_future(&rwlock.write());
    is_sendable_future(&semaphore.acquire());
    is_sendable_future(&keys.lock("ada"));
    is_sendable_future(&keys.lock_shared("ada"));
    is_sendable_future(&keys.lock_many(["ada"]));
    is_sendable_future(&keys.drained());
    is_sendable_future(&seats.acquire("ada"));
    let (cell, map) = (Versioned::new(1), VersionedMap::<String, u8>::new());
    is_sendable_future(&cell.changed(Stamp::MIN));
    is_sendable_future(&map.changed("ada", Stamp::MIN));
    let flights = SingleFlight::<String, u8>::new();
    is_sendable_future(&flights.join("ada"));
    is_sendable_future(&flights.run("ada", async || 1));
    is_shareable(&flights.join("ada"));
    is_shareable(&cell.changed(Stamp::MIN));
    is_shareable(&mutex.lock());
    is_shareable(&keys.lock("ada"));
    #[cfg(feature = "tokio")]
    is_sendable_future(&keys.lock("ada").max_waiters(1).timeout(std::time::Duration::ZERO));
    // None of them was polled.
    assert!(!mutex.is_locked() && keys.is_empty() && seats.is_empty() && flights.is_empty());
}

/// Says of a type without a name whether it is `Unpin`: the method of the bounded `impl` is preferred.
struct Probe<T>(PhantomData<T>);

fn probe<T>(_: &T) -> Probe<T> {
    Probe(PhantomData)
}

impl<T: Unpin> Probe<T> {
    fn is_unpin(&self) -> bool {
        true
    }
}

trait Otherwise {
    fn is_unpin(&self) -> bool {
        false
    }
}

impl<T> Otherwise for Probe<T> {}

#[test]
fn acquisitions_stay_where_they_are_polled() {
    let (mutex, keys) = (Mutex::new(1), KeyedLock::<u32>::new());
    assert!(!probe(&mutex.lock()).is_unpin() && !probe(&keys.lock(1)).is_unpin());
    assert!(!probe(&keys.lock_many([1])).is_unpin() && !probe(&keys.drained()).is_unpin());
    assert!(probe(&mutex.lock().wait()).is_unpin());
}
