//! How clients of gRPC see what the layer refuses.

use std::future::{Ready, pending};
use std::time::Duration;

use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{Request, Response};
use axum::routing::any;
use latchwork::keyed::OwnedKeyedGuard;
use latchwork::layer::{KeyedLockLayer, Outcome, RequestKey, by, extension, header};
use latchwork::provider::{Ask, Begun, LockError, LockProvider};
use latchwork::web::Problem;
use tokio::runtime::Builder;
use tonic::service::Routes;
use tonic::{Code, Status};
use tonic_types::StatusExt;
use tower::service_fn;

use super::kitchen::{ByUser, Guest, Kitchen, Locks, by_user, serve};
use crate::layer::service::{Answer, around, call};
use crate::served::client::ask;
use crate::served::server::{LONG, SHORT, Stage, run, run_each};
use crate::support::{Hand, no_hang};

/// What a client may do with a status by itself: wait for this long and call again, or not at all.
fn says(status: &Status) -> (Code, &str, Option<&str>, Option<Duration>) {
    let pushback = status.metadata().get("grpc-retry-pushback-ms").map(|ms| ms.to_str().unwrap());
    let delay = status.get_details_retry_info().and_then(|info| info.retry_delay);
    (status.code(), status.message(), pushback, delay)
}

const SECOND: Option<Duration> = Some(Duration::from_secs(1));

#[test]
fn a_busy_key_aborts_a_call_and_a_stream_and_says_when_to_call_again() {
    run(async {
        let (stage, locks) = (Stage::new(), Locks::default());
        let layer = by_user(&locks);
        let mut guest = Guest::open(serve(&stage, layer.clone()).await).await;
        let _held = locks.try_lock(7).unwrap();
        let expected = (Code::Aborted, "the key is busy", Some("1000"), SECOND);
        assert_eq!(says(&guest.cook("7", "soup").await.unwrap_err()), expected);
        assert_eq!(says(&guest.courses("7", "soup rice").await.unwrap_err()), expected);
        stage.go.open();
        assert_eq!(guest.cook("8", "rice").await.unwrap(), "rice", "the connection is still good");
        assert_eq!(layer.stats().of(Outcome::Busy), 2);
    });
}

#[test]
fn each_refusal_has_its_code_and_only_those_that_may_pass_later_say_when() {
    type SetUp = fn(ByUser) -> ByUser;
    let later = |message| (Code::Unavailable, message, Some("1000"), SECOND);
    let never = |message| (Code::InvalidArgument, message, Some("-1"), None);
    let cases: [(SetUp, &str, _); 6] = [
        (|layer| layer.wait(SHORT), "7", later("timed out waiting for the lock")),
        (|layer| layer.wait(LONG).max_waiters(0), "7", later("too many requests are waiting for the key")),
        (|layer| layer.max_running(0), "8", later("too many requests are running")),
        (|layer| layer, "", never("the request has no valid key: the header x-user is missing")),
        (
            |layer| layer,
            "x7",
            never("the request has no valid key: the header x-user can't be read as a key"),
        ),
        // A client of gRPC understands no other answer.
        (
            |layer| layer.render(|problem| Response::new(problem.title().to_owned())),
            "x7",
            never("the request has no valid key: the header x-user can't be read as a key"),
        ),
    ];
    run_each(cases, |(set_up, user, expected)| async move {
        let (stage, locks) = (Stage::new(), Locks::default());
        let mut guest = Guest::open(serve(&stage, set_up(by_user(&locks))).await).await;
        let _held = locks.try_lock(7).unwrap();
        assert_eq!(says(&guest.cook(user, "soup").await.unwrap_err()), expected);
        assert!(stage.held().is_empty(), "the handler did not run");
    });
}

#[test]
fn a_handlers_problem_arrives_as_those_of_the_layer_do() {
    run(async {
        let (stage, locks) = (Stage::new(), Locks::default());
        let mut guest = Guest::open(serve(&stage, by_user(&locks)).await).await;
        let stale = "the version does not match: the value has changed: read it again";
        assert_eq!(
            says(&guest.cook("7", "stale").await.unwrap_err()),
            (Code::Aborted, stale, Some("-1"), None)
        );
        let late = (Code::Unavailable, "timed out waiting for the lock", Some("1000"), SECOND);
        assert_eq!(says(&guest.cook("7", "late").await.unwrap_err()), late);
    });
}

/// A provider that grants nothing.
#[derive(Clone)]
struct Down(fn() -> LockError);

impl LockProvider<u64> for Down {
    type Guard = OwnedKeyedGuard<u64>;
    type Wait = Ready<Result<Self::Guard, LockError>>;

    fn begin(&self, _: u64, _: Ask) -> Begun<Self::Guard, Self::Wait> {
        Begun::Waiting(std::future::ready(Err(self.0())))
    }
}

#[test]
fn a_provider_that_fails_makes_a_call_unavailable_without_its_cause() {
    type Failure = fn() -> LockError;
    let cases: [(Failure, &str); 2] = [
        (|| LockError::Lost, "the lock was lost"),
        (|| LockError::Unavailable("postgres://s3cr3t".into()), "the lock service is unavailable"),
    ];
    run_each(cases, |(error, message)| async move {
        let stage = Stage::new();
        let layer = KeyedLockLayer::new(Down(error), header("x-user"));
        let mut guest = Guest::open(serve(&stage, layer).await).await;
        let expected = (Code::Unavailable, message, Some("1000"), SECOND);
        assert_eq!(says(&guest.cook("7", "soup").await.unwrap_err()), expected);
    });
}

/// Finds no key, and says so with a long text.
#[derive(Clone)]
struct Verbose(&'static str);

impl RequestKey<u64> for Verbose {
    fn key(&self, _: &mut Parts) -> Result<Option<u64>, Problem> {
        Err(Problem::bad_key(self.0.repeat(4000)).with_retryable(true).with_retry_after(LONG))
    }
}

#[test]
fn a_long_message_arrives_without_its_end() {
    run_each(["é", "a", "%", "😀"], |text| async move {
        let (stage, locks) = (Stage::new(), Locks::default());
        let layer = KeyedLockLayer::new(locks, Verbose(text));
        let mut guest = Guest::open(serve(&stage, layer).await).await;
        let status = guest.cook("7", "soup").await.unwrap_err();
        let (code, message, _, delay) = says(&status);
        assert_eq!((code, delay), (Code::InvalidArgument, Some(LONG)));
        let whole = format!("the request has no valid key: {}", text.repeat(4000));
        assert!(whole.starts_with(message) && (1021..=1024).contains(&message.len()), "{}", message.len());
    });
}

#[test]
fn a_mistake_of_the_set_up_is_internal() {
    run(async {
        let (stage, locks) = (Stage::new(), Locks::default());
        let layer = KeyedLockLayer::new(locks, extension(|user: &u64| Some(*user)));
        let mut guest = Guest::open(serve(&stage, layer).await).await;
        let expected = (Code::Internal, "Internal Server Error", Some("-1"), None);
        assert_eq!(says(&guest.cook("7", "soup").await.unwrap_err()), expected);
    });
}

#[test]
fn other_requests_to_the_same_server_are_still_refused_as_http() {
    run(async {
        let (stage, locks) = (Stage::new(), Locks::default());
        let layer = KeyedLockLayer::new(locks.clone(), by(|_| Some(7)));
        let calls = Routes::new(Kitchen(stage)).into_axum_router();
        let app = calls.route("/plan", any(async || "")).layer(layer);
        let served = crate::served::server::serve(app).await;
        let mut guest = Guest::open(served.addr).await;
        let _held = locks.try_lock(7).unwrap();
        assert!(ask(served.addr, "POST", "/plan").await.refuses_with(409));
        assert_eq!(guest.cook("7", "soup").await.unwrap_err().code(), Code::Aborted);
    });
}

#[test]
fn a_detached_call_that_a_shutdown_ends_is_not_to_be_sent_again() {
    no_hang(|| {
        let locks = crate::layer::service::locks();
        let inner = service_fn(|_: Request<Body>| pending::<Answer>());
        let mut service = around(&crate::layer::service::layer(&locks).detached(true), inner);
        let request = Request::post("/ada").header("content-type", "application/grpc");
        let workers = Builder::new_multi_thread().worker_threads(1).build().unwrap();
        let mut one = {
            let _inside = workers.enter();
            Hand::queued(call(&mut service, request.body(Body::empty()).unwrap()))
        };
        drop(workers);
        let answer = one.poll().expect("the task is gone").unwrap();
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["content-type"]),
            (200, &"application/grpc".parse().unwrap())
        );
        let status = Status::from_header_map(answer.headers()).unwrap();
        assert_eq!(says(&status), (Code::Unknown, "the work was stopped before its end", Some("-1"), None));
    });
}
