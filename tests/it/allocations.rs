//! What locks of several keys, retries, flights, claims and gates allocate.
//!
//! The allocator counts for each thread, so other tests that run at the same time change nothing.

#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::future::{Future, ready};
use std::ops::ControlFlow::Break;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use latchwork::{
    Busy, Claims, Fence, KeyedLock, RetryPolicy, SingleFlight,
    fence::FenceGate,
    flight::Role,
    provider::{Ask, Begun, LockProvider},
    retry::{Budget, RetryError, RetryStats, VirtualClock},
};

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
    /// More than were given back.
    static BYTES: Cell<i64> = const { Cell::new(0) };
}

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: everything is passed on to the system's allocator as it came; the cell needs no allocation.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        BYTES.set(BYTES.get() + layout.size() as i64);
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        BYTES.set(BYTES.get() - layout.size() as i64);
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(at, layout) }
    }
}

/// How often `f` allocates on this thread.
fn allocations<R>(f: impl FnOnce() -> R) -> (u64, R) {
    let before = ALLOCATIONS.get();
    let out = f();
    (ALLOCATIONS.get() - before, out)
}

/// Polls once what has nothing to wait for.
fn at_once<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(out) => out,
        Poll::Pending => panic!("there is nothing to wait for"),
    }
}

/// With everything that a policy can be told.
fn policies() -> [RetryPolicy; 2] {
    let plain = RetryPolicy::new().clock(VirtualClock::new());
    let full = plain.clone().deadline(Duration::from_secs(1)).seed(7).name("full");
    let full = full.budget(Arc::new(Budget::new(500))).stats(Arc::new(RetryStats::new()));
    [plain, full]
}

type Out = Result<u32, RetryError<Busy>>;

#[test]
fn up_to_eight_keys_at_once_allocate_nothing() {
    let locks = KeyedLock::<u64>::builder().shards(1).build();
    let shared = Arc::new(KeyedLock::<u64>::new());
    for count in 1..=8 {
        let keys = || (0..count).rev().chain(0..count / 2).take(8);
        // The table keeps what the first lock needs.
        drop(locks.lock_many(keys()).wait());
        drop(shared.lock_many(keys()).wait());
        let (counted, held) = allocations(|| locks.lock_many(keys()).wait().len());
        assert_eq!((counted, held as u64), (0, count));
        let (counted, held) = allocations(|| at_once(locks.lock_many(keys())).len());
        assert_eq!((counted, held as u64), (0, count));
        let (counted, held) = allocations(|| shared.lock_many_owned(keys()).wait().len());
        assert_eq!((counted, held as u64), (0, count));
        let (counted, held) = allocations(|| locks.try_lock_many(keys()).map(|guard| guard.len()));
        assert_eq!((counted, held.map_err(drop)), (0, Ok(count as usize)));
        let (counted, guards) = allocations(|| locks.lock_many(keys()).wait().into_guards());
        assert_eq!((counted, guards.len() as u64), (1, count), "only a vector that is asked for");
    }
}

#[test]
fn a_lock_provider_allocates_nothing_for_a_free_key() {
    let locks = Arc::new(KeyedLock::<u64>::builder().shards(1).build());
    drop(locks.lock(7).wait());
    for ask in [Ask::now(), Ask::now().shared(), Ask::wait(), Ask::wait().max_waiters(0)] {
        let (counted, begun) = allocations(|| locks.begin(7, ask));
        assert!(counted == 0 && matches!(begun, Begun::Acquired(_)), "{counted} for {ask:?}");
    }
    let _guard = locks.lock(7).wait();
    let (counted, begun) = allocations(|| locks.begin(7, Ask::wait()));
    assert!(counted == 1 && matches!(begun, Begun::Waiting(_)), "{counted} to wait");
}

#[test]
fn a_success_at_once_allocates_nothing() {
    for policy in policies() {
        let mut session = policy.session();
        let locks = Arc::new(KeyedLock::<u64>::new());
        let save = || policy.retry_on_conflict(|_| ready(Ok(7)), Ok, |value| ready(Ok(value)));
        // The table keeps what the first lock needs.
        drop(locks.lock(7).wait());
        for (counted, out) in [
            allocations(|| -> Out { policy.run_blocking(|_| Ok(7)) }),
            allocations(|| at_once(policy.run(|_| ready(Ok(7))))),
            allocations(|| match at_once(session.settle(Ok(7))) {
                Break(out) => out,
                _ => panic!("it is a success"),
            }),
            allocations(|| at_once(save().run())),
            allocations(|| at_once(save().escalate_after(2, &locks, 7).run())),
            allocations(|| at_once(save().escalate_after(0, &locks, 7).run())),
        ] {
            assert_eq!((counted, out), (0, Ok(7)));
        }
    }
}

/// Debug builds look whether there is a timer, which takes one to be made.
#[cfg(all(feature = "tokio", not(debug_assertions)))]
#[test]
fn a_success_at_once_by_tokios_clock_allocates_nothing() {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime starts");
    let policy = RetryPolicy::new();
    let (counted, out) =
        runtime.block_on(async { allocations(|| -> Out { at_once(policy.run(|_| ready(Ok(7)))) }) });
    assert_eq!((counted, out), (0, Ok(7)));
}

#[test]
fn a_call_that_waits_is_seen_to_allocate() {
    let policy = RetryPolicy::new()
        .clock(VirtualClock::new())
        .classify_with(|_: &()| latchwork::verdict::Verdict::Retry(latchwork::verdict::RetryKind::Transient));
    let (counted, out) = allocations(|| policy.run_blocking(|_| Err::<(), _>(())));
    assert!(counted > 0 && out.is_err(), "blind: the virtual clock notes its waits");
}

#[test]
fn a_flight_that_nobody_joins_allocates_once() {
    let flights = SingleFlight::<u64, u64>::new();
    // The shards' tables, which they keep.
    (0..1000).for_each(|key| drop(flights.join(key).wait()));
    for key in 0..1000 {
        let (count, flown) = allocations(|| flights.run_blocking(key, || 7));
        assert!(count == 1 && flown.led);
        let (count, flown) = allocations(|| at_once(flights.run(key, || ready(7))));
        assert!(count == 1 && flown.led);
    }
}

#[test]
fn the_first_call_to_join_a_flight_allocates_its_line_and_the_others_nothing() {
    let flights = SingleFlight::<u64, u64>::new();
    let Role::Leader(leader) = flights.join(7).wait() else { panic!("nobody leads") };
    let [mut first, mut second, mut third] = [(); 3].map(|()| Box::pin(flights.join(7)));
    let mut waits = [(first.as_mut(), 1), (second.as_mut(), 0), (third.as_mut(), 0)];
    for (call, expected) in &mut waits {
        let look = || call.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        let (counted, role) = allocations(look);
        assert!(role.is_pending() && counted == *expected, "{counted} to join");
    }
    leader.finish(9);
    for (call, _) in &mut waits {
        let look = || call.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        let (counted, role) = allocations(look);
        assert!(matches!(role, Poll::Ready(Role::Joined(9))) && counted == 0, "{counted} for the value");
    }
}

#[test]
fn a_burst_of_flights_gives_its_memory_back() {
    let flights = SingleFlight::<u64, u64>::new();
    let before = BYTES.get();
    let leaders: Vec<_> = (0..200_000).map(|key| flights.join(key).wait()).collect();
    let most = BYTES.get() - before;
    let mut leaders = leaders.into_iter();
    // Half of them in the order in which they came, half in the other.
    while leaders.next().is_some() && leaders.next_back().is_some() {}
    drop(leaders);
    assert!(flights.is_empty());
    let left = BYTES.get() - before;
    assert!(left < most / 20, "{left} of {most} bytes");
}

#[test]
fn a_claim_allocates_its_name_and_a_number_nothing() {
    let (slugs, ports): (Claims, _) = (Claims::new(), Claims::<u16>::new());
    let (mut kept, mut used) = (Vec::new(), Vec::new());
    // The shards' tables, which they keep.
    for number in 0..1000_u16 {
        kept.push(slugs.try_claim(format!("slug {number}")));
        used.push(ports.try_claim(number));
    }
    drop((kept, used));
    for number in 0..1000_u16 {
        let name = format!("slug {number}");
        let (count, claim) = allocations(|| slugs.try_claim(&*name).expect("it is free"));
        assert_eq!(count, 1, "the name");
        let (count, refused) = allocations(|| slugs.try_claim(claim.name().clone()).is_err());
        assert!(count == 0 && refused);
        let (count, ()) = allocations(|| drop(claim));
        assert_eq!(count, 0);
        let (count, unique) = allocations(|| slugs.claim_unique(&name, ["-2"], 2).expect("it is free"));
        assert!(count == 1 && unique.attempts == 1);
        let (count, claim) = allocations(|| ports.try_claim(number).expect("it is free").commit());
        assert!(count == 0 && ports.release(&claim));
    }
}

#[cfg(feature = "tower")]
#[test]
fn a_request_through_a_layer_allocates_its_fence_and_nothing_else() {
    use std::convert::Infallible;

    use http::{Request, Response};
    use latchwork::layer::{KeyedLockLayer, by};
    use tower::{Layer, Service, service_fn};

    let locks = Arc::new(KeyedLock::<u64>::new());
    let inner = service_fn(|_: Request<()>| {
        ready(Ok::<_, Infallible>(Response::new(http_body_util::Full::default())))
    });
    let layer = KeyedLockLayer::new(locks, by(|parts| Some(parts.uri.path().len() as u64)));
    for layer in [layer.clone(), layer.wait(Duration::from_secs(1))] {
        let mut service = layer.layer(inner);
        for round in 0..3 {
            // With an extension there is room for another one.
            let request = Request::get("/ada").extension(7_u8).body(()).expect("it is a request");
            let (count, response) = allocations(|| at_once(service.call(request)));
            assert!(response.is_ok_and(|response| response.status().is_success()));
            assert!(count == 1 || round == 0, "{count} for a request");
        }
    }
}

#[test]
fn a_claim_of_a_string_allocates_it_once_and_its_commit_clones_it() {
    let slugs = Claims::<String>::new();
    // The shards' tables and boxes, which they keep.
    drop((0..1000).map(|number| slugs.try_claim(format!("slug {number}"))).collect::<Vec<_>>());
    for number in 0..1000 {
        let name = format!("slug {number}");
        let (count, claim) = allocations(|| slugs.try_claim(&*name).expect("it is free"));
        assert_eq!(count, 1, "the name");
        let (count, kept) = allocations(|| claim.commit());
        assert!(count == 1 && slugs.release(&kept));
    }
}

#[test]
fn names_and_fences_give_their_memory_back_after_a_burst() {
    const MANY: u64 = 100_000;
    let (gate, names) = (FenceGate::<u64>::new(), Claims::<u64>::new());
    let before = BYTES.get();
    for key in 0..MANY {
        gate.admit(key, Fence::new(key + 1).expect("it is not zero")).expect("it is the first");
        names.mark_taken(key);
    }
    let most = BYTES.get() - before;
    assert!(most > MANY as i64 * 40, "blind: {most} bytes");
    for key in 0..MANY {
        assert!(gate.forget(key).is_some() && names.release(&key));
    }
    let left = BYTES.get() - before;
    assert!(left < most / 20, "{left} of {most} bytes");
}
