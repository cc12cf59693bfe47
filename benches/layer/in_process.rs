//! Requests that are passed to the service in this process: time and allocations over those of the bare service.

use std::hint::black_box;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::Request;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::get;
use dashmap::DashMap;
use latchwork::KeyedLock;
use latchwork::{
    extract::path_param,
    layer::{CoalesceLayer, KeyedLockLayer, Mode},
};
use tokio::runtime::Runtime;
use tower::limit::ConcurrencyLimitLayer;
use tower::{Layer, Service};

use crate::counting::allocations;
use crate::harness::{Measure, Report, Round, Watch};
use crate::service::{Bare, ByHand, User, layer, user};

/// So many requests to each of the two, and then again.
const TURNS: u64 = 64;

const USERS: u64 = 10_000;

pub(crate) fn run(report: &mut Report, runtime: &Runtime) {
    let _timers = runtime.enter();
    let by_hand = ByHand { locks: Arc::default(), inner: Bare };
    let hour = Duration::from_secs(3600);

    let measure = Measure::new("A lock around a service, free key, over the bare service")
        .also("allocations")
        .bound_for("allocations", 0.0..=1.0)
        .run("latchwork", |ops| over(&Bare, &layer().layer(Bare), from_user, ops))
        .bound(180.0)
        .run("latchwork, may wait", |ops| over(&Bare, &layer().wait(hour).layer(Bare), from_user, ops))
        .run("latchwork, guard shared", |ops| {
            over(&Bare, &layer().share_guard(true).layer(Bare), from_user, ops)
        })
        .run("latchwork, off", |ops| over(&Bare, &layer().mode(Mode::Off).layer(Bare), from_user, ops))
        .run("by hand, tokio Mutexes", |ops| over(&Bare, &by_hand, from_user, ops))
        .run("tower ConcurrencyLimit", |ops| {
            over(&Bare, &ConcurrencyLimitLayer::new(1).layer(Bare), from_user, ops)
        });
    report.add(measure);

    let bare = Router::new().route("/users/{user}", get(async || ""));
    let locks = Arc::new(KeyedLock::<String>::new());
    let locked = bare.clone().layer(KeyedLockLayer::new(locks, path_param("user")));
    let hand_made = bare.clone().layer(from_fn_with_state(Arc::default(), by_hand_in_axum));
    let measure = Measure::new("The same in an axum router, by a parameter of the path")
        .also("allocations")
        .run("latchwork", |ops| over(&bare, &locked, from_path, ops))
        .run("by hand, from_fn", |ops| over(&bare, &hand_made, from_path, ops));
    report.add(measure);

    let measure = Measure::new("One call for equal GETs, nobody else asks, over the bare service")
        .also("allocations")
        .run("latchwork", |ops| over(&Bare, &CoalesceLayer::new(user).layer(Bare), from_user, ops));
    report.add(measure);
}

type Locks = DashMap<String, Arc<tokio::sync::Mutex<()>>>;

/// The middleware that is written where there is no such layer.
async fn by_hand_in_axum(
    State(locks): State<Arc<Locks>>,
    Path(user): Path<String>,
    request: Request<Body>,
    next: Next,
) -> Response {
    let lock = locks.entry(user).or_default().clone();
    let _guard = lock.lock_owned().await;
    next.run(request).await
}

fn from_user(turn: u64) -> Request<Body> {
    let mut request = Request::new(Body::empty());
    request.extensions_mut().insert(User(turn % USERS));
    request
}

fn from_path(turn: u64) -> Request<Body> {
    Request::get(format!("/users/user-{}", turn % USERS)).body(Body::empty()).expect("it is a request")
}

/// By how much a request to `around` takes longer and allocates more than one to `bare`.
fn over<A, S>(bare: &A, around: &S, request: fn(u64) -> Request<Body>, ops: u64) -> Round
where
    A: Service<Request<Body>> + Clone,
    S: Service<Request<Body>> + Clone,
{
    let (mut bare, mut around) = (bare.clone(), around.clone());
    let (mut without, mut with) = (Duration::ZERO, Duration::ZERO);
    for turn in 0..ops.div_ceil(TURNS) {
        without += serve(&mut bare, request, turn);
        with += serve(&mut around, request, turn);
    }
    let ops = ops.div_ceil(TURNS) * TURNS;
    let value = (with.as_nanos() as f64 - without.as_nanos() as f64) / ops as f64;
    let without = allocations(TURNS, || serve(&mut bare, request, 0));
    let with = allocations(TURNS, || serve(&mut around, request, 0));
    [value, with - without].into()
}

fn serve<S: Service<Request<Body>>>(
    service: &mut S,
    request: fn(u64) -> Request<Body>,
    turn: u64,
) -> Duration {
    let mut task = Context::from_waker(Waker::noop());
    let watch = Watch::start();
    for nth in 0..TURNS {
        assert!(service.poll_ready(&mut task).is_ready());
        let answer = pin!(service.call(request(turn * TURNS + nth)));
        let Poll::Ready(Ok(answer)) = answer.poll(&mut task) else { panic!("nothing is to be waited for") };
        black_box(answer);
    }
    watch.elapsed()
}
