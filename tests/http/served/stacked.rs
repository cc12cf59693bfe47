//! Two layers around one service.

use axum::Router;
use axum::http::request::Parts;
use latchwork::layer::{KeyedLockLayer, Outcome};

use super::client::{Line, ask, asked};
use super::server::{
    ByPath, ByPathLayer, LONG, Locks, SHORT, Stage, layer, locks, run, run_each, serve, until, waiters,
};

/// All requests are of one tenant.
fn by_tenant(_: &Parts) -> Option<String> {
    Some("acme".to_owned())
}

fn tenants(locks: &Locks) -> ByPathLayer {
    KeyedLockLayer::new(locks.clone(), by_tenant as ByPath)
}

/// `outer` around `inner` around the stage's handlers.
fn stack(stage: &Stage, inner: &ByPathLayer, outer: &ByPathLayer) -> Router {
    stage.router().layer(inner.clone()).layer(outer.clone())
}

#[test]
fn two_layers_with_different_locks_hold_both_keys() {
    run(async {
        let (stage, of_tenants) = (Stage::new(), locks());
        let of_users = stage.locks.clone();
        let (inner, outer) = (layer(&of_users), tenants(&of_tenants));
        let served = serve(stack(&stage, &inner, &outer)).await;
        let first = asked(served.addr, "POST", "/ada");
        stage.begun.pass().await;
        assert!(of_tenants.is_locked("acme") && of_users.is_locked("ada"));
        assert!(ask(served.addr, "POST", "/grace").await.refuses_with(409), "the tenant is busy");
        assert_eq!(inner.stats().requests(), 1, "the inner layer did not see it");
        stage.go.open();
        assert_eq!(first.await.unwrap().status, 200);
        assert!(of_tenants.is_empty() && of_users.is_empty());
        let held = of_users.try_lock("ada").unwrap();
        assert!(ask(served.addr, "POST", "/ada").await.refuses_with(409), "the user is busy");
        assert!(of_tenants.is_empty(), "the refusal freed the tenant");
        drop(held);
        let seen = |layer: &ByPathLayer| [Outcome::Acquired, Outcome::Busy].map(|o| layer.stats().of(o));
        assert_eq!((seen(&outer), seen(&inner)), ([2, 1], [1, 1]));
    });
}

#[test]
fn a_client_that_hangs_up_frees_the_keys_of_both_layers() {
    run(async {
        let (stage, of_tenants) = (Stage::new(), locks());
        let of_users = stage.locks.clone();
        let (inner, outer) = (layer(&of_users).wait(LONG), tenants(&of_tenants).wait(LONG));
        let served = serve(stack(&stage, &inner, &outer)).await;
        let in_handler = Line::asking(served.addr, "POST", "/ada").await;
        stage.begun.pass().await;
        let at_outer = Line::asking(served.addr, "POST", "/ada").await;
        until(|| waiters(&of_tenants, "acme") == 1).await;
        drop(at_outer);
        until(|| waiters(&of_tenants, "acme") == 0).await;
        assert_eq!(outer.stats().of(Outcome::Cancelled), 1);
        drop(in_handler);
        until(|| of_tenants.is_empty() && of_users.is_empty()).await;
        assert_eq!(stage.held(), [true]);
        let held = of_users.try_lock("ada").unwrap();
        let at_inner = Line::asking(served.addr, "POST", "/ada").await;
        until(|| waiters(&of_users, "ada") == 1).await;
        assert!(of_tenants.is_locked("acme"));
        drop(at_inner);
        until(|| of_tenants.is_empty()).await;
        assert_eq!((inner.stats().of(Outcome::Cancelled), waiters(&of_users, "ada")), (1, 0));
        drop(held);
        assert!(of_users.is_empty());
        assert_eq!((outer.stats().requests(), inner.stats().requests()), (3, 2));
    });
}

#[test]
fn a_layer_on_itself_meets_its_own_lock_and_refuses() {
    run_each(
        [
            ((|layer| layer) as fn(ByPathLayer) -> ByPathLayer, 409, Outcome::Busy),
            (|layer| layer.wait(SHORT), 503, Outcome::TimedOut),
            (|layer| layer.wait(LONG).max_waiters(0), 503, Outcome::QueueFull),
            (|layer| layer.wait(SHORT).detached(true).hold_until_body_end(true), 503, Outcome::TimedOut),
        ],
        |(policy, status, outcome)| async move {
            let stage = Stage::new();
            let locks = stage.locks.clone();
            let (inner, outer) = (policy(layer(&locks)), policy(layer(&locks)));
            let served = serve(stack(&stage, &inner, &outer)).await;
            for round in 1..=2 {
                let refused = ask(served.addr, "POST", "/ada").await;
                assert!(refused.refuses_with(status), "{refused:?}");
                until(|| locks.is_empty()).await;
                assert_eq!((outer.stats().of(Outcome::Acquired), inner.stats().of(outcome)), (round, round));
            }
            assert!(stage.held().is_empty(), "the handler never ran");
            stage.go.open();
            assert_eq!(ask(served.addr, "POST", "/").await.status, 200, "there is no key to meet");
            assert_eq!((outer.stats().requests(), inner.stats().requests()), (3, 3));
        },
    );
}

#[test]
fn one_layer_twice_counts_for_both() {
    run(async {
        let stage = Stage::new();
        let locks = stage.locks.clone();
        let layer = layer(&locks);
        let served = serve(stack(&stage, &layer, &layer)).await;
        assert!(ask(served.addr, "POST", "/ada").await.refuses_with(409));
        let counts = layer.stats();
        assert_eq!((counts.of(Outcome::Acquired), counts.of(Outcome::Busy), counts.requests()), (1, 1, 2));
        assert!(locks.is_empty());
    });
}
