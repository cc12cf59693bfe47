//! What becomes of the work when its leader goes.

use std::convert::Infallible;
use std::future::pending;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::body::Body;
use axum::http::{Request, Response};
use futures::FutureExt;
use tokio::runtime::Builder;
use tower::service_fn;

use super::menu::{Menu, layer, soup, taste};
use crate::layer::service::{around, call, get};
use crate::support::{Hand, no_hang, panic_of};

#[test]
fn when_the_leader_hangs_up_another_goes_on_with_its_work() {
    let (layer, menu) = (layer(), Menu::new(soup));
    let mut service = menu.behind(&layer);
    let leader = Hand::queued(call(&mut service, get("/soup")));
    let mut two = Hand::queued(call(&mut service, get("/soup")));
    let mut three = Hand::queued(call(&mut service, get("/soup")));
    drop(leader);
    assert!(two.is_woken() && !three.is_woken());
    assert!(three.poll().is_none() && two.poll().is_none(), "one of them leads");
    assert_eq!(menu.calls(), 1);
    menu.gate.open();
    assert!(two.is_woken() && !three.is_woken(), "the work wakes the new leader");
    assert_eq!(taste(two.poll().unwrap().unwrap()).1, "0");
    assert_eq!(taste(three.poll().unwrap().unwrap()).1, "0");
    assert_eq!((menu.calls(), layer.counts().aborted, layer.counts().under_way), (1, 1, 0));
}

#[test]
fn work_goes_from_leader_to_leader_while_anybody_waits() {
    let (layer, menu) = (layer(), Menu::new(soup));
    let mut service = menu.behind(&layer);
    let mut leader = Hand::queued(call(&mut service, get("/soup")));
    for _ in 0..20 {
        let mut next = Hand::queued(call(&mut service, get("/soup")));
        drop(leader);
        assert!(next.poll().is_none());
        leader = next;
    }
    menu.gate.open();
    assert_eq!(taste(leader.poll().unwrap().unwrap()).1, "0");
    assert_eq!(menu.calls(), 1);
}

/// Sets its flag when it is dropped.
struct Dropped(Arc<AtomicBool>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[test]
fn work_for_which_nobody_waits_is_dropped_with_its_last_client() {
    let flag = Arc::new(AtomicBool::new(false));
    let inner = {
        let flag = flag.clone();
        service_fn(move |_: Request<Body>| {
            let kept = Dropped(flag.clone());
            async move {
                let _kept = kept;
                pending::<Result<Response<Body>, Infallible>>().await
            }
        })
    };
    let is_dropped = || flag.swap(false, Ordering::SeqCst);
    let layer = layer();
    let mut service = around(&layer, inner);
    drop(Hand::queued(call(&mut service, get("/soup"))));
    assert!(is_dropped() && layer.counts().under_way == 0);

    // Handed over, and the next one goes before it leads, or when it does.
    for leads in [false, true] {
        let leader = Hand::queued(call(&mut service, get("/soup")));
        let mut next = Hand::queued(call(&mut service, get("/soup")));
        drop(leader);
        assert!(!is_dropped());
        if leads {
            assert!(next.poll().is_none());
        }
        drop(next);
        assert!(is_dropped() && layer.counts().under_way == 0);
    }
}

#[test]
fn when_the_leaders_call_panics_another_leads() {
    let (layer, menu) = (layer(), Menu::new(|nth| if nth == 0 { panic!("asked for") } else { soup(nth) }));
    let mut service = menu.behind(&layer);
    let mut leader = Hand::queued(call(&mut service, get("/soup")));
    let mut joined = Hand::queued(call(&mut service, get("/soup")));
    menu.gate.open();
    assert_eq!(panic_of(|| leader.poll().is_some()), "asked for");
    assert!(joined.is_woken());
    menu.gate.open();
    assert_eq!(taste(joined.poll().unwrap().unwrap()).1, "1");
}

#[test]
fn a_service_that_panics_when_it_is_called_leaves_no_flight() {
    let layer = layer();
    let inner = service_fn(|_: Request<Body>| -> std::future::Ready<Result<Response<Body>, Infallible>> {
        panic!("asked for")
    });
    let mut service = around(&layer, inner);
    let mut leader = Hand::new(call(&mut service, get("/soup")));
    assert!(catch_unwind(AssertUnwindSafe(|| leader.poll().is_some())).is_err());
    drop(leader);
    assert_eq!(layer.counts().under_way, 0);
}

#[tokio::test]
async fn detached_work_goes_on_though_all_clients_hang_up() {
    let (layer, menu) = (layer().detached(true), Menu::new(soup));
    let mut service = menu.behind(&layer);
    let leader = Hand::queued(call(&mut service, get("/soup")));
    while menu.calls() == 0 {
        tokio::task::yield_now().await;
    }
    let joined = Hand::queued(call(&mut service, get("/soup")));
    drop((leader, joined));
    assert_eq!(layer.counts().under_way, 1);
    let mut late = Hand::queued(call(&mut service, get("/soup")));
    menu.gate.open();
    while !late.is_woken() {
        tokio::task::yield_now().await;
    }
    assert_eq!(taste(late.poll().unwrap().unwrap()).1, "0");
    assert_eq!((menu.calls(), layer.counts().aborted, layer.counts().under_way), (1, 0, 0));
}

#[tokio::test]
async fn detached_work_is_in_the_span_of_its_request() {
    let _guard = tracing::subscriber::set_default(tracing_subscriber::registry());
    let inner = service_fn(async |_: Request<Body>| {
        let name = tracing::Span::current().metadata().map_or("none", |span| span.name());
        Ok::<_, Infallible>(Response::new(Body::from(name)))
    });
    let mut service = around(&layer().detached(true), inner);
    let mut leader = Hand::new(call(&mut service, get("/soup")));
    assert!(tracing::info_span!("request").in_scope(|| leader.poll()).is_none());
    while !leader.is_woken() {
        tokio::task::yield_now().await;
    }
    let Ok(answer) = leader.poll().unwrap();
    assert_eq!(taste(answer).2, Ok(("request".into(), false)));
}

#[tokio::test]
async fn a_panic_in_detached_work_reaches_its_leader_and_another_leads() {
    let menu = Menu::new(|nth| if nth == 0 { panic!("asked for") } else { soup(nth) });
    let layer = layer().detached(true);
    let mut service = menu.behind(&layer);
    let leader = AssertUnwindSafe(call(&mut service, get("/soup"))).catch_unwind();
    let mut leader = Hand::queued(leader);
    let mut joined = Hand::queued(call(&mut service, get("/soup")));
    menu.gate.open();
    while !(leader.is_woken() && joined.is_woken()) {
        tokio::task::yield_now().await;
    }
    let Some(Err(panic)) = leader.poll() else { panic!("the panic comes through") };
    assert_eq!(panic.downcast_ref::<&str>(), Some(&"asked for"));
    menu.gate.open();
    assert!(joined.poll().is_none());
    while !joined.is_woken() {
        tokio::task::yield_now().await;
    }
    assert_eq!(taste(joined.poll().unwrap().unwrap()).1, "1");
}

#[test]
fn a_runtime_that_shuts_down_lets_nobody_hang() {
    no_hang(|| {
        let (layer, menu) = (layer().detached(true), Menu::new(soup));
        let mut service = menu.behind(&layer);
        let workers = Builder::new_multi_thread().worker_threads(1).build().unwrap();
        let others = Builder::new_current_thread().build().unwrap();
        let mut leader = {
            let _inside = workers.enter();
            Hand::queued(call(&mut service, get("/soup")))
        };
        let mut joined = Hand::queued(call(&mut service, get("/soup")));
        drop(workers);
        let (status, _, _) = taste(leader.poll().expect("the task is gone").unwrap());
        assert_eq!(status, 503);
        // One that joined from elsewhere leads.
        assert!(joined.is_woken());
        menu.gate.open();
        others.block_on(async {
            assert!(joined.poll().is_none());
            while !joined.is_woken() {
                tokio::task::yield_now().await;
            }
        });
        assert_eq!(taste(joined.poll().unwrap().unwrap()).0, 203);
        assert_eq!(layer.counts().under_way, 0);
    });
}

#[test]
fn outside_a_runtime_detached_work_panics_and_leaves_no_flight() {
    let (layer, menu) = (layer().detached(true), Menu::new(soup));
    let mut leader = Hand::new(call(&mut menu.behind(&layer), get("/soup")));
    let panic = panic_of(|| leader.poll().is_some());
    assert!(panic.contains("runtime"), "{panic}");
    assert_eq!(layer.counts().under_way, 0);
}
