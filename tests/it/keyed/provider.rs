//! A keyed lock behind the trait for lock providers.

use std::hash::{BuildHasherDefault, DefaultHasher};
use std::sync::{Arc, LazyLock};

use latchwork::{
    KeyedLock,
    provider::{AnyLocks, Ask, Begun, HeldLock, LockError, LockProvider},
};

use crate::support::Hand;

type Locks = Arc<KeyedLock<u32>>;

/// The guard of a request that was answered at once.
#[track_caller]
fn at_once<G, W>(begun: Begun<G, W>) -> G {
    match begun {
        Begun::Acquired(guard) => guard,
        Begun::Refused(error) => panic!("it was refused: {error}"),
        Begun::Waiting(_) => panic!("it waits"),
    }
}

#[track_caller]
fn refused<G, W>(begun: Begun<G, W>) -> LockError {
    match begun {
        Begun::Refused(error) => error,
        Begun::Acquired(_) => panic!("it was acquired"),
        Begun::Waiting(_) => panic!("it waits"),
    }
}

#[track_caller]
fn waiting<G, W>(begun: Begun<G, W>) -> W {
    match begun {
        Begun::Waiting(wait) => wait,
        Begun::Acquired(_) => panic!("it was acquired"),
        Begun::Refused(error) => panic!("it was refused: {error}"),
    }
}

#[test]
fn a_free_key_is_acquired_at_once_and_released_by_its_guard() {
    let locks = Locks::default();
    for ask in [Ask::now(), Ask::wait(), Ask::wait().max_waiters(0), Ask::now().shared()] {
        let held = at_once(locks.begin(7, ask));
        assert_eq!((HeldLock::key(&held), held.is_lost(), locks.is_locked(7)), (&7, false, true));
        assert_eq!(HeldLock::fence(&held), held.fence());
        drop(held);
        assert!(locks.is_empty());
    }
    assert_eq!(locks.counts().waited, 0);
}

#[test]
fn a_lock_in_a_static_is_a_provider_without_an_arc() {
    static LOCKS: LazyLock<KeyedLock<u32>> = LazyLock::new(|| KeyedLock::builder().name("users").build());
    let locks: &'static KeyedLock<u32> = &LOCKS;
    let held = at_once(locks.begin(7, Ask::now()));
    assert!(matches!(refused(locks.begin(7, Ask::now())), LockError::Busy(_)));
    let mut waits = Hand::queued(waiting(locks.begin(7, Ask::wait())));
    drop(held);
    assert!(matches!(waits.poll(), Some(Ok(held)) if !held.is_lost()));
    let shared = [0; 2].map(|_| at_once(locks.begin(7, Ask::now().shared())));
    assert!(shared.iter().all(|held| HeldLock::key(held) == &7));
    assert_eq!(LockProvider::name(&AnyLocks::new(locks)), Some("users"));
}

#[test]
fn a_request_that_does_not_wait_is_refused_as_busy() {
    let locks = Locks::default();
    let guard = locks.lock(7).wait();
    let error = refused(locks.begin(7, Ask::now()));
    assert!(matches!(error, LockError::Busy(busy) if busy.holder == Some(guard.fence())));
    assert!(matches!(refused(locks.begin(7, Ask::now().shared())), LockError::Busy(_)));
    assert_eq!(locks.counts().busy, 2);
}

#[test]
fn a_request_that_waits_is_served_in_its_turn() {
    let locks = Locks::default();
    let guard = locks.lock(7).wait();
    let mut first = Hand::queued(waiting(locks.begin(7, Ask::wait())));
    let mut second = Hand::queued(waiting(locks.begin(7, Ask::wait())));
    drop(guard);
    let held = first.poll_while_woken().expect("it is its turn").expect("nothing fails");
    assert!(second.poll_while_woken().is_none());
    drop(held);
    assert!(second.poll_while_woken().expect("it is its turn").is_ok());
    drop((first, second));
    assert!(locks.is_empty());
}

#[test]
fn a_full_queue_refuses_and_says_so() {
    let locks = Locks::default();
    let guard = locks.lock(7).wait();
    let bounded = || waiting(locks.begin(7, Ask::wait().max_waiters(1)));
    let first = Hand::queued(bounded());
    let refused = Hand::new(bounded()).poll().expect("it is answered");
    assert!(matches!(refused.map(drop), Err(LockError::QueueFull)));
    let none = Hand::new(waiting(locks.begin(7, Ask::wait().shared().max_waiters(0)))).poll();
    assert!(matches!(none.expect("it is answered").map(drop), Err(LockError::QueueFull)));
    drop((first, guard));
    assert!(locks.is_empty());
}

#[test]
fn a_wait_that_is_dropped_leaves_nothing_behind() {
    let locks = Locks::default();
    let guard = locks.lock(7).wait();
    let unpolled = waiting(locks.begin(7, Ask::wait()));
    let polled = Hand::queued(waiting(locks.begin(7, Ask::wait())));
    assert_eq!(locks.counts().waiting, 1);
    drop((unpolled, polled));
    assert_eq!((locks.counts().waiting, locks.counts().cancelled), (0, 1));
    drop(guard);
    assert!(locks.is_empty());
    // One that was notified passes that on.
    let guard = locks.lock(7).wait();
    let notified = Hand::queued(waiting(locks.begin(7, Ask::wait())));
    let mut behind = Hand::queued(waiting(locks.begin(7, Ask::wait())));
    drop(guard);
    drop(notified);
    assert!(behind.poll_while_woken().expect("it is its turn").is_ok());
}

#[test]
fn requests_that_share_hold_the_key_together() {
    let locks = Locks::default();
    assert!(locks.can_share());
    let readers = [(); 2].map(|()| at_once(locks.begin(7, Ask::wait().shared())));
    assert!(readers.iter().all(|guard| guard.is_shared()));
    let mut writer = Hand::queued(waiting(locks.begin(7, Ask::wait())));
    drop(readers);
    assert!(!writer.poll_while_woken().expect("it is its turn").expect("nothing fails").is_shared());
}

#[test]
fn what_has_begun_can_be_awaited() {
    let locks = Locks::default();
    let held = futures::executor::block_on(locks.begin(7, Ask::now()).into_future()).expect("it is free");
    let refused = futures::executor::block_on(locks.begin(7, Ask::now()).into_future());
    assert!(matches!(refused.map(drop), Err(LockError::Busy(_))));
    let mut wait = Hand::queued(locks.begin(7, Ask::wait()).into_future());
    drop(held);
    assert!(wait.poll_while_woken().expect("it is its turn").is_ok());
}

#[cfg(feature = "tokio")]
#[tokio::test(start_paused = true)]
async fn a_request_that_waits_too_long_times_out() {
    use std::time::Duration;

    let locks = Locks::default();
    let ask = Ask::wait().timeout(Duration::from_secs(1));
    let held = locks.begin(7, ask).await.expect("it is free");
    assert!(matches!(locks.begin(7, ask).await.map(drop), Err(LockError::TimedOut(_))));
    assert!(matches!(locks.begin(7, ask.max_waiters(0)).await.map(drop), Err(LockError::QueueFull)));
    let counts = locks.counts();
    assert_eq!((counts.timed_out, counts.busy, counts.waiting), (1, 1, 0));
    drop(held);
    assert!(locks.begin(7, ask.max_waiters(0)).await.is_ok());
}

#[test]
fn a_provider_chosen_at_run_time_does_the_same() {
    let local = Locks::default();
    let locks: AnyLocks<u32> = AnyLocks::new(local.clone());
    assert!(locks.can_share() && locks.show_key().is_none());
    let held = at_once(locks.clone().begin(7, Ask::now()));
    assert_eq!((held.key(), held.is_lost(), local.is_locked(7)), (&7, false, true));
    assert!(
        matches!(refused(locks.begin(7, Ask::now())), LockError::Busy(busy) if busy.holder == Some(held.fence()))
    );
    let mut wait = Hand::queued(waiting(locks.begin(7, Ask::wait().max_waiters(1))));
    let full = Hand::new(locks.begin(7, Ask::wait().max_waiters(1)).into_future()).poll();
    assert!(matches!(full.expect("it is answered").map(drop), Err(LockError::QueueFull)));
    drop(held);
    let held = wait.poll_while_woken().expect("it is its turn").expect("nothing fails");
    assert!(Hand::new(held.lost()).poll().is_none(), "a local lock is never lost");
    drop(held);
    assert!(local.is_empty());
}

#[test]
fn a_provider_shows_keys_as_its_builder_says() {
    let builder = KeyedLock::<u32>::builder().hasher(BuildHasherDefault::<DefaultHasher>::default());
    let locks = Arc::new(builder.show_keys(|key, f| write!(f, "user {key}")).build());
    struct Shown(latchwork::provider::ShowKey<u32>);
    impl std::fmt::Display for Shown {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            (self.0)(&7, f)
        }
    }
    let show = LockProvider::show_key(&locks).expect("it was set");
    assert_eq!(Shown(show).to_string(), "user 7");
    assert_eq!(
        LockProvider::<u32>::show_key(&AnyLocks::new(locks)).map(|show| Shown(show).to_string()).as_deref(),
        Some("user 7")
    );
}

#[test]
fn the_place_of_a_request_is_that_of_its_caller_also_through_any_locks() {
    let locks = Arc::new(KeyedLock::<u32>::builder().track_callers(true).build());
    let local = locks.begin(1, Ask::now());
    let any = AnyLocks::new(locks.clone()).begin(2, Ask::now());
    let views = locks.snapshot();
    assert_eq!(views.len(), 2);
    for view in views {
        assert_eq!(view.caller().map(|place| place.file()), Some(file!()), "{view:?}");
    }
    drop((local, any));
}
