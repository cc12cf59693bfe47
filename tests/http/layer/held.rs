//! From when until when the key is held.

use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, Response, StatusCode};
use latchwork::Fence;
use latchwork::layer::{HeldKey, Outcome};
use tower::service_fn;

use super::service::{Answer, Gate, Probe, around, call, gated, get, layer, locks, post};
use crate::support::{Hand, panic_of};

const LONG: Duration = Duration::from_secs(3600);

#[test]
fn the_key_is_held_while_the_handler_runs_and_no_longer() {
    let locks = locks();
    let gate = Gate::new();
    let inner = {
        let (gate, locks) = (gate.clone(), locks.clone());
        service_fn(move |_: Request<Body>| {
            let (gate, locks) = (gate.clone(), locks.clone());
            assert!(locks.is_locked("ada"), "the service is called with the key");
            async move {
                gate.pass().await;
                assert!(locks.is_locked("ada"));
                Ok::<_, Infallible>(Response::new(Body::from("a plan")))
            }
        })
    };
    let layer = layer(&locks);
    let mut service = around(&layer, inner);
    let mut one = Hand::queued(call(&mut service, post("/ada")));
    assert!(locks.is_locked("ada"));
    let two = Hand::new(call(&mut service, post("/ada"))).poll().unwrap().unwrap();
    assert_eq!(two.status(), StatusCode::CONFLICT);
    assert_eq!(two.headers()["retry-after"], "1");
    gate.open();
    let answered = one.poll().unwrap().unwrap();
    assert!(locks.is_empty(), "the key is free though the future and the body are still there");
    assert_eq!(answered.status(), StatusCode::OK);
    assert_eq!((layer.stats().of(Outcome::Acquired), layer.stats().of(Outcome::Busy)), (1, 1));
}

/// Where a call that holds a probe is dropped.
#[derive(Clone, Copy, Debug)]
enum Dropped {
    Unpolled,
    Running,
    Panicked,
}

#[test]
fn what_the_handler_holds_is_dropped_before_the_key_is_free() {
    for dropped in [Dropped::Unpolled, Dropped::Running, Dropped::Panicked] {
        let locks = locks();
        let (gate, held) = (Gate::new(), Arc::new(Mutex::new(None)));
        let inner = {
            let (gate, locks, held) = (gate.clone(), locks.clone(), held.clone());
            service_fn(move |_: Request<Body>| {
                let (gate, probe) =
                    (gate.clone(), Probe { locks: locks.clone(), key: "ada", held: held.clone() });
                async move {
                    let _probe = probe;
                    gate.pass().await;
                    panic!("asked for");
                    #[allow(unreachable_code, reason = "it says what the service returns")]
                    Answer::Ok(Response::new(Body::empty()))
                }
            })
        };
        let mut service = around(&layer(&locks), inner);
        let mut one = Hand::new(call(&mut service, post("/ada")));
        match dropped {
            Dropped::Unpolled => {}
            Dropped::Running => assert!(one.poll().is_none()),
            Dropped::Panicked => {
                gate.open();
                assert_eq!(panic_of(|| one.poll().is_some()), "asked for");
            }
        }
        drop(one);
        assert_eq!(*held.lock().unwrap(), Some(true), "{dropped:?}");
        assert!(locks.is_empty(), "{dropped:?}");
    }
}

#[test]
fn a_service_that_panics_when_it_is_called_leaves_no_key() {
    let locks = locks();
    let inner = service_fn(|request: Request<Body>| {
        assert!(request.uri().path() != "/ada", "asked for");
        async { Ok::<_, Infallible>(Response::new(Body::empty())) }
    });
    let mut service = around(&layer(&locks), inner);
    assert!(catch_unwind(AssertUnwindSafe(|| drop(call(&mut service, post("/ada"))))).is_err());
    assert!(locks.is_empty());
    assert!(Hand::new(call(&mut service, post("/grace"))).poll().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_service_that_panics_when_it_is_called_after_a_wait_leaves_no_key() {
    let locks = locks();
    let inner = service_fn(|_: Request<Body>| -> std::future::Ready<Answer> { panic!("asked for") });
    let mut service = around(&layer(&locks).wait(LONG), inner);
    let held = locks.try_lock("ada").unwrap();
    let mut waits = Hand::queued(call(&mut service, post("/ada")));
    drop(held);
    assert_eq!(panic_of(|| waits.poll().is_some()), "asked for");
    assert!(locks.is_empty(), "the guard went with the panic");
}

#[tokio::test(start_paused = true)]
async fn those_who_wait_are_served_in_their_order_and_counted() {
    let locks = locks();
    let inner = service_fn(async |_: Request<Body>| Ok::<_, Infallible>(Response::new(Body::empty())));
    let layer = layer(&locks).wait(LONG);
    let mut service = around(&layer, inner);
    let held = locks.try_lock("ada").unwrap();
    let mut one = Hand::queued(call(&mut service, post("/ada")));
    let mut two = Hand::queued(call(&mut service, post("/ada")));
    let three = Hand::queued(call(&mut service, post("/ada")));
    assert_eq!(locks.snapshot()[0].waiters(), 3);
    drop(three);
    assert_eq!(layer.stats().of(Outcome::Cancelled), 1);
    drop(held);
    assert!(one.is_woken() && !two.is_woken());
    assert!(one.poll().is_some());
    assert!(two.is_woken());
    assert!(two.poll().is_some());
    assert_eq!(layer.stats().of(Outcome::Waited), 2);
    assert_eq!(layer.stats().requests(), 3);
    assert!(locks.is_empty());
    let stats = locks.counts();
    assert_eq!((stats.waited, stats.cancelled), (3, 1));
}

#[test]
fn the_fence_of_the_grant_is_in_the_extensions() {
    let locks = locks();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let inner = {
        let seen = seen.clone();
        service_fn(move |request: Request<Body>| {
            let extensions = request.extensions();
            assert!(extensions.get::<HeldKey<String>>().is_none(), "the guard is shared only if asked for");
            seen.lock().unwrap().push(extensions.get::<Fence>().copied());
            async { Ok::<_, Infallible>(Response::new(Body::empty())) }
        })
    };
    let mut service = around(&layer(&locks), inner);
    for path in ["/ada", "/ada", "/"] {
        assert!(Hand::new(call(&mut service, post(path))).poll().is_some());
    }
    let seen = seen.lock().unwrap();
    assert!(seen[0].is_some() && seen[0] < seen[1], "{seen:?}");
    assert_eq!(seen[2], None, "without a key there is no fence");
}

#[test]
fn a_handler_that_keeps_the_shared_guard_keeps_the_key() {
    let locks = locks();
    let kept = Arc::new(Mutex::new(None));
    let inner = {
        let kept = kept.clone();
        service_fn(move |mut request: Request<Body>| {
            let held = request.extensions_mut().remove::<HeldKey<String>>().unwrap();
            assert_eq!(held.key(), "ada");
            assert_eq!(request.extensions().get(), Some(&held.fence()));
            *kept.lock().unwrap() = Some(held);
            async { Ok::<_, Infallible>(Response::new(Body::empty())) }
        })
    };
    let mut service = around(&layer(&locks).share_guard(true), inner);
    assert!(Hand::new(call(&mut service, post("/ada"))).poll().is_some());
    assert!(locks.is_locked("ada"));
    *kept.lock().unwrap() = None;
    assert!(locks.is_empty());
}

#[test]
fn a_handler_that_drops_its_request_early_does_not_free_the_key() {
    for share in [false, true] {
        let locks = locks();
        let gate = Gate::new();
        let inner = {
            let gate = gate.clone();
            service_fn(move |request: Request<Body>| {
                drop(request);
                let gate = gate.clone();
                async move {
                    gate.pass().await;
                    Ok::<_, Infallible>(Response::new(Body::empty()))
                }
            })
        };
        let mut service = around(&layer(&locks).share_guard(share), inner);
        let _one = Hand::queued(call(&mut service, post("/ada")));
        assert!(locks.is_locked("ada"));
    }
}

#[test]
fn reads_share_a_key_only_if_asked_for() {
    let locks = locks();
    let gate = Gate::new();
    let inner = gated(&gate);
    let mut alone = around(&layer(&locks), inner.clone());
    let first = Hand::queued(call(&mut alone, get("/ada")));
    assert!(Hand::new(call(&mut alone, get("/ada"))).poll().is_some(), "refused");
    drop(first);
    let mut together = around(&layer(&locks).share_reads(true), inner);
    let (_one, _two) =
        (Hand::queued(call(&mut together, get("/ada"))), Hand::queued(call(&mut together, get("/ada"))));
    assert!(locks.snapshot()[0].is_shared() && locks.snapshot()[0].holders() == 2);
    let write = Hand::new(call(&mut together, post("/ada"))).poll().unwrap().unwrap();
    assert_eq!(write.status(), StatusCode::CONFLICT);
}

#[test]
fn a_service_can_be_shared_by_clones_that_share_its_lock_and_counts() {
    let locks = locks();
    let layer = layer(&locks);
    let inner = service_fn(async |_: Request<Body>| Ok::<_, Infallible>(Response::new(Body::empty())));
    let (mut one, mut two) = (around(&layer, inner), around(&layer.clone(), inner));
    let mut three = one.clone();
    let _held = locks.try_lock("ada").unwrap();
    for service in [&mut one, &mut two, &mut three] {
        assert_eq!(
            Hand::new(call(service, get("/ada"))).poll().unwrap().unwrap().status(),
            StatusCode::CONFLICT
        );
    }
    assert_eq!(layer.stats().of(Outcome::Busy), 3);
}
