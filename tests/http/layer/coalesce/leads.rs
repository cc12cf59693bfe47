//! What becomes of the work when its leader goes.

use std::convert::Infallible;
use std::future::pending;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, Response};
use futures::FutureExt;
use latchwork::layer::SharedBody;
use tokio::runtime::Builder;
use tower::util::BoxCloneSyncService;
use tower::{Layer, Service, ServiceExt, service_fn};

use super::menu::{Menu, layer, soup, taste};
use crate::layer::service::{around, call, get};
use crate::support::{Hand, no_hang, panic_of};

/// Of detached work.
const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn when_the_leader_hangs_up_another_calls_anew() {
    let (layer, menu) = (layer(), Menu::new(soup));
    let mut service = menu.behind(&layer);
    let leader = Hand::queued(call(&mut service, get("/soup")));
    let mut two = Hand::queued(call(&mut service, get("/soup")));
    let mut three = Hand::queued(call(&mut service, get("/soup")));
    drop(leader);
    assert!(two.is_woken() && !three.is_woken());
    assert!(three.poll().is_none() && two.poll().is_none(), "one of them leads");
    assert_eq!(menu.calls(), 2);
    menu.gate.open();
    assert!(two.is_woken() && !three.is_woken(), "the call wakes its own leader");
    assert_eq!(taste(two.poll().unwrap().unwrap()).1, "1");
    assert_eq!(taste(three.poll().unwrap().unwrap()).1, "1");
    assert_eq!((menu.calls(), layer.counts().aborted, layer.counts().under_way), (2, 1, 0));
}

/// Counts the calls that are under way.
#[derive(Clone, Default)]
struct Running(Arc<AtomicUsize>);

impl Running {
    fn begin(&self) -> Self {
        assert_eq!(self.0.fetch_add(1, Ordering::SeqCst), 0, "the call before is still there");
        self.clone()
    }

    fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

/// A call that is under way. It ends when it is dropped.
struct Call(Running);

impl Drop for Call {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A service whose first calls, of this number, hang.
fn hanging(running: &Running, calls: usize) -> impl MenuLike {
    let (running, nth) = (running.clone(), Arc::new(AtomicUsize::new(0)));
    service_fn(move |_: Request<Body>| {
        let hangs = nth.fetch_add(1, Ordering::SeqCst) < calls;
        let call = Call(running.begin());
        async move {
            let _call = call;
            if hangs {
                pending::<()>().await;
            }
            Ok(Response::new(Body::from("soup")))
        }
    })
}

trait MenuLike:
    Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send> + Clone + Send + 'static
{
}

impl<T> MenuLike for T where
    T: Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send>
        + Clone
        + Send
        + 'static
{
}

#[test]
fn a_call_is_dropped_with_its_leader_and_before_another_calls() {
    let (layer, running) = (layer(), Running::default());
    let mut service = around(&layer, hanging(&running, 2));
    drop(Hand::queued(call(&mut service, get("/soup"))));
    assert_eq!((running.count(), layer.counts().under_way), (0, 0));

    let leader = Hand::queued(call(&mut service, get("/soup")));
    let mut next = Hand::queued(call(&mut service, get("/soup")));
    drop(leader);
    assert_eq!((running.count(), layer.counts().under_way), (0, 1));
    assert!(next.poll().is_some());
    assert_eq!((running.count(), layer.counts().under_way), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn when_the_limit_of_detached_work_is_over_its_leader_is_refused_and_another_calls() {
    let (layer, running) = (layer().detached(LIMIT), Running::default());
    let mut service = around(&layer, hanging(&running, 1));
    let leader = tokio::spawn(call(&mut service, get("/soup")));
    tokio::time::sleep(LIMIT / 2).await;
    let joined = tokio::spawn(call(&mut service, get("/soup")));
    tokio::time::sleep(LIMIT / 4).await;
    assert_eq!((running.count(), layer.counts().joined), (1, 1));
    let Ok(refused) = leader.await.unwrap();
    assert_eq!(refused.status(), 503);
    assert_eq!(refused.headers()["retry-after"], "1");
    let Ok(served) = joined.await.unwrap();
    assert_eq!(served.status(), 200);
    assert_eq!((running.count(), layer.counts().aborted, layer.counts().under_way), (0, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_detached_call_that_hangs_is_dropped_at_its_limit_though_all_clients_are_gone() {
    let (layer, running) = (layer().detached(LIMIT), Running::default());
    let mut service = around(&layer, hanging(&running, 1));
    let client = tokio::spawn(call(&mut service, get("/soup")));
    tokio::time::sleep(LIMIT / 2).await;
    client.abort();
    assert!(client.await.unwrap_err().is_cancelled());
    assert_eq!((running.count(), layer.counts().under_way), (1, 1));
    tokio::time::sleep(LIMIT).await;
    assert_eq!((running.count(), layer.counts().under_way), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_requests_its_own_key_leaves_nothing_behind() {
    type Boxed = BoxCloneSyncService<Request<Body>, Response<SharedBody<Body>>, Infallible>;

    for layer in [layer(), layer().detached(LIMIT)] {
        let (itself, running) = (Arc::<Mutex<Option<Boxed>>>::default(), Running::default());
        let inner = {
            let (itself, running) = (itself.clone(), running.clone());
            service_fn(move |_: Request<Body>| {
                let call = Call(running.begin());
                let itself = itself.lock().unwrap().clone().expect("it is set before it is called");
                async move {
                    let _call = call;
                    itself.oneshot(get("/soup")).await.map(|answer| answer.map(Body::new))
                }
            })
        };
        let service = Boxed::new(layer.layer(inner));
        *itself.lock().unwrap() = Some(service.clone());
        // The client gives up, or the limit is over.
        match tokio::time::timeout(LIMIT * 2, service.oneshot(get("/soup"))).await {
            Ok(Ok(answer)) => assert_eq!(answer.status(), 503),
            Err(_) => assert_eq!(layer.counts().joined, 1),
        }
        assert_eq!((running.count(), layer.counts().under_way), (0, 0));
        itself.lock().unwrap().take();
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
    let (layer, menu) = (layer().detached(LIMIT), Menu::new(soup));
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
    let mut service = around(&layer().detached(LIMIT), inner);
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
    let layer = layer().detached(LIMIT);
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
        let (layer, menu) = (layer().detached(LIMIT), Menu::new(soup));
        let mut service = menu.behind(&layer);
        let workers = Builder::new_multi_thread().worker_threads(1).enable_time().build().unwrap();
        let others = Builder::new_current_thread().enable_time().build().unwrap();
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
    let (layer, menu) = (layer().detached(LIMIT), Menu::new(soup));
    let mut leader = Hand::new(call(&mut menu.behind(&layer), get("/soup")));
    let panic = panic_of(|| leader.poll().is_some());
    assert!(panic.contains("runtime"), "{panic}");
    assert_eq!(layer.counts().under_way, 0);
}
