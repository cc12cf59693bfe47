//! A lock provider in another process, played by a stand-in: it delays, fails, and loses its lock.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, Response};
use latchwork::keyed::OwnedKeyedGuard;
use latchwork::layer::{HeldKey, KeyedLockLayer, LayerStats, Mode, Outcome};
use latchwork::provider::{AnyGuard, AnyLocks, Ask, Begun, HeldLock, LockError, LockProvider};
use latchwork::web::{Problem, ProblemKind};
use latchwork::{Busy, Fence, TimedOut};
use tower::service_fn;

use super::service::{Answer, ByPath, Gate, Locks, around, by_path, call, get, locks, post};
use crate::support::Hand;

const LONG: Duration = Duration::from_secs(3600);
/// In the cause of a failure.
const SECRET: &str = "postgres://s3cr3t";

type Wait<G> = Pin<Box<dyn Future<Output = Result<G, LockError>> + Send>>;

/// How the stand-in answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Reply {
    Grant,
    Busy,
    TimedOut,
    QueueFull,
    Lost,
    Unavailable,
    BadKey,
}

impl Reply {
    const FAILURES: [Self; 6] =
        [Self::Busy, Self::TimedOut, Self::QueueFull, Self::Lost, Self::Unavailable, Self::BadKey];

    fn error(self) -> LockError {
        match self {
            Self::Grant => unreachable!("it is no failure"),
            Self::Busy => Busy::new(0, None).into(),
            Self::TimedOut => TimedOut::new().into(),
            Self::QueueFull => LockError::QueueFull,
            Self::Lost => LockError::Lost,
            Self::Unavailable => LockError::Unavailable(format!("no connection to {SECRET}").into()),
            Self::BadKey => LockError::BadKey(format!("{SECRET} takes no such keys").into()),
        }
    }

    fn refused_as(self) -> (u16, ProblemKind, Outcome, Outcome) {
        match self {
            Self::Grant => unreachable!("it is no failure"),
            Self::Busy => (409, ProblemKind::Busy, Outcome::Busy, Outcome::WouldBeBusy),
            Self::TimedOut => (503, ProblemKind::TimedOut, Outcome::TimedOut, Outcome::WouldTimeOut),
            Self::QueueFull => (503, ProblemKind::QueueFull, Outcome::QueueFull, Outcome::WouldQueueFull),
            Self::Lost => (503, ProblemKind::LockLost, Outcome::Lost, Outcome::WouldBeLost),
            Self::Unavailable => {
                (503, ProblemKind::LockUnavailable, Outcome::Unavailable, Outcome::WouldBeUnavailable)
            }
            Self::BadKey => (400, ProblemKind::BadKey, Outcome::BadKey, Outcome::WouldBeBadKey),
        }
    }
}

/// The stand-in: it answers at once, or when its gate lets it.
#[derive(Clone)]
pub(crate) struct Remote {
    pub(crate) locks: Locks,
    reply: Reply,
    gate: Option<Gate>,
    pub(crate) loss: Loss,
    asked: Arc<Mutex<Vec<Ask>>>,
    withdrawn: Arc<AtomicUsize>,
}

impl Remote {
    pub(crate) fn new(reply: Reply, gate: Option<&Gate>) -> Self {
        let gate = gate.cloned();
        let (asked, withdrawn) = <(Arc<Mutex<Vec<Ask>>>, Arc<AtomicUsize>)>::default();
        Self { locks: locks(), reply, gate, loss: Loss::new(), asked, withdrawn }
    }

    fn answer(&self, key: String) -> Result<RemoteGuard, LockError> {
        match self.reply {
            Reply::Grant => {
                let local = self.locks.try_lock_owned(key)?;
                Ok(RemoteGuard { local, loss: self.loss.clone() })
            }
            failure => Err(failure.error()),
        }
    }

    pub(crate) fn layer(&self) -> KeyedLockLayer<String, ByPath, Self> {
        KeyedLockLayer::new(self.clone(), by_path)
    }
}

impl LockProvider<String> for Remote {
    type Guard = RemoteGuard;
    type Wait = Wait<RemoteGuard>;

    fn begin(&self, key: String, ask: Ask) -> Begun<RemoteGuard, Self::Wait> {
        self.asked.lock().unwrap().push(ask);
        let Some(gate) = self.gate.clone() else {
            return match self.answer(key) {
                Ok(guard) => Begun::Acquired(guard),
                Err(error) => Begun::Refused(error),
            };
        };
        let (remote, withdrawal) = (self.clone(), Withdrawal(Some(self.withdrawn.clone())));
        Begun::Waiting(Box::pin(async move {
            gate.pass().await;
            withdrawal.answered();
            remote.answer(key)
        }))
    }
}

/// Counts requests that are dropped before their answer.
struct Withdrawal(Option<Arc<AtomicUsize>>);

impl Withdrawal {
    fn answered(mut self) {
        self.0 = None;
    }
}

impl Drop for Withdrawal {
    fn drop(&mut self) {
        if let Some(withdrawn) = &self.0 {
            withdrawn.fetch_add(1, Ordering::SeqCst);
        }
    }
}

/// Whether the lock is lost, for the guard.
#[derive(Clone)]
pub(crate) struct Loss {
    lost: Arc<tokio::sync::Semaphore>,
    watched: Arc<AtomicUsize>,
}

impl Loss {
    fn new() -> Self {
        Self { lost: Arc::new(tokio::sync::Semaphore::new(0)), watched: Arc::default() }
    }

    pub(crate) fn happen(&self) {
        self.lost.close();
    }

    /// Returns how often somebody began to wait for it.
    pub(crate) fn watched(&self) -> usize {
        self.watched.load(Ordering::SeqCst)
    }
}

pub(crate) struct RemoteGuard {
    local: OwnedKeyedGuard<String>,
    loss: Loss,
}

impl HeldLock for RemoteGuard {
    type Key = String;

    fn key(&self) -> &String {
        self.local.key()
    }

    fn fence(&self) -> Fence {
        self.local.fence()
    }

    fn is_lost(&self) -> bool {
        self.loss.lost.is_closed()
    }

    fn lost(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        self.loss.watched.fetch_add(1, Ordering::SeqCst);
        Box::pin(async {
            assert!(self.loss.lost.acquire().await.is_err(), "there are no permits");
        })
    }
}

/// A service that counts its calls.
fn counted(
    calls: &Arc<AtomicUsize>,
) -> impl tower::Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send + 'static>
+ Clone
+ Send
+ 'static {
    let calls = calls.clone();
    service_fn(move |_: Request<Body>| {
        calls.fetch_add(1, Ordering::SeqCst);
        async { Answer::Ok(Response::new(Body::empty())) }
    })
}

pub(crate) fn only(stats: &LayerStats, outcome: Outcome) {
    assert_eq!((stats.of(outcome), stats.requests()), (1, 1), "{outcome:?}: {stats:?}");
}

#[test]
fn each_failure_is_refused_in_its_own_way_and_keeps_its_cause_secret() {
    for reply in Reply::FAILURES {
        for is_late in [false, true] {
            let (gate, calls) = (Gate::new(), Arc::default());
            let remote = Remote::new(reply, is_late.then_some(&gate));
            let layer = remote.layer();
            let mut service = around(&layer, counted(&calls));
            let mut one = Hand::new(call(&mut service, post("/ada")));
            if is_late {
                assert!(one.poll().is_none());
                gate.open();
            }
            let refused = one.poll().unwrap().unwrap();
            let (status, kind, outcome, _) = reply.refused_as();
            assert_eq!(refused.status().as_u16(), status);
            // A bad key stays bad.
            let is_bad = reply == Reply::BadKey;
            assert_eq!(refused.headers().get("retry-after").is_none(), is_bad);
            let problem = refused.extensions().get::<Problem>().unwrap().clone();
            assert_eq!((problem.kind(), problem.is_retryable()), (Some(kind), !is_bad));
            assert_eq!(problem.detail(), is_bad.then_some("the key can't be locked"));
            let body = Hand::new(axum::body::to_bytes(Body::new(refused.into_body()), 1000)).poll();
            let body = String::from_utf8(body.unwrap().unwrap().into()).unwrap();
            assert!(body.contains(kind.slug()) && !body.contains(SECRET), "{body}");
            only(&layer.stats(), outcome);
            assert_eq!(calls.load(Ordering::SeqCst), 0, "{reply:?}");
            assert!(remote.locks.is_empty());
        }
    }
}

#[test]
fn each_failure_is_only_counted_while_the_layer_observes() {
    for reply in Reply::FAILURES {
        for is_late in [false, true] {
            let (gate, calls) = (Gate::new(), Arc::default());
            let remote = Remote::new(reply, is_late.then_some(&gate));
            let layer = remote.layer().mode(Mode::Observe);
            let mut service = around(&layer, counted(&calls));
            gate.open();
            let answer = Hand::new(call(&mut service, post("/ada"))).poll().unwrap().unwrap();
            assert_eq!((answer.status().as_u16(), calls.load(Ordering::SeqCst)), (200, 1));
            only(&layer.stats(), reply.refused_as().3);
        }
    }
}

#[test]
fn an_answer_that_takes_time_is_a_wait_only_for_a_layer_that_waits() {
    for (waits, mode, outcome) in [
        (true, Mode::Enforce, Outcome::Waited),
        (false, Mode::Enforce, Outcome::Acquired),
        (true, Mode::Observe, Outcome::WouldWait),
        (false, Mode::Observe, Outcome::Acquired),
    ] {
        let (gate, calls) = (Gate::new(), Arc::default());
        let remote = Remote::new(Reply::Grant, Some(&gate));
        let layer = remote.layer().mode(mode);
        let layer = if waits { layer.wait(LONG) } else { layer };
        let mut service = around(&layer, counted(&calls));
        let mut one = Hand::new(call(&mut service, post("/ada")));
        gate.open();
        assert_eq!(one.poll().unwrap().unwrap().status(), 200);
        only(&layer.stats(), outcome);
        assert!(remote.locks.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_never_answers_is_given_up() {
    const LIMIT: Duration = Duration::from_secs(7);
    for (wait, limit) in [(None, LIMIT), (Some(Duration::from_secs(3)), Duration::from_secs(10))] {
        let (gate, calls) = (Gate::new(), Arc::default());
        let remote = Remote::new(Reply::Grant, Some(&gate));
        let layer = remote.layer().answer_timeout(LIMIT);
        let layer = if let Some(wait) = wait { layer.wait(wait) } else { layer };
        let mut service = around(&layer, counted(&calls));
        let begun = tokio::time::Instant::now();
        let refused = call(&mut service, post("/ada")).await.unwrap();
        assert_eq!((refused.status(), begun.elapsed()), (axum::http::StatusCode::SERVICE_UNAVAILABLE, limit));
        assert_eq!(
            refused.extensions().get::<Problem>().and_then(Problem::kind),
            Some(ProblemKind::LockUnavailable)
        );
        only(&layer.stats(), Outcome::Unavailable);
        assert_eq!((calls.load(Ordering::SeqCst), remote.withdrawn.load(Ordering::SeqCst)), (0, 1));
    }
}

#[test]
fn an_observed_request_that_is_over_before_the_answer_is_not_taken_for_one_that_would_wait() {
    for (waits, outcome) in [(false, Outcome::Unanswered), (true, Outcome::WouldWait)] {
        let (gate, calls) = (Gate::new(), Arc::default());
        let remote = Remote::new(Reply::Grant, Some(&gate));
        let layer = remote.layer().mode(Mode::Observe);
        let layer = if waits { layer.wait(LONG) } else { layer };
        let mut service = around(&layer, counted(&calls));
        assert_eq!(Hand::new(call(&mut service, post("/ada"))).poll().unwrap().unwrap().status(), 200);
        only(&layer.stats(), outcome);
    }
}

#[test]
fn a_client_that_hangs_up_withdraws_the_request_for_its_key() {
    let (gate, calls) = (Gate::new(), Arc::default());
    let remote = Remote::new(Reply::Grant, Some(&gate));
    let layer = remote.layer().wait(LONG);
    let mut service = around(&layer, counted(&calls));
    let waits = Hand::queued(call(&mut service, post("/ada")));
    drop(waits);
    assert_eq!(remote.withdrawn.load(Ordering::SeqCst), 1);
    only(&layer.stats(), Outcome::Cancelled);
    gate.open();
    assert_eq!((calls.load(Ordering::SeqCst), remote.locks.len()), (0, 0));
}

#[test]
fn the_provider_is_asked_as_the_layer_was_set_up() {
    let calls = Arc::default();
    let remote = Remote::new(Reply::Grant, None);
    let asked = |layer: KeyedLockLayer<_, _, _>, request| {
        assert!(Hand::new(call(&mut around(&layer, counted(&calls)), request)).poll().is_some());
        remote.asked.lock().unwrap().pop().expect("it was asked")
    };
    assert_eq!(asked(remote.layer(), post("/ada")), Ask::now());
    assert_eq!(asked(remote.layer().share_reads(true), post("/ada")), Ask::now());
    assert_eq!(asked(remote.layer().share_reads(true), get("/ada")), Ask::now().shared());
    let waits = remote.layer().wait(LONG).max_waiters(3);
    assert_eq!(asked(waits, get("/ada")), Ask::wait().timeout(LONG).max_waiters(3));
}

#[test]
fn a_lock_that_is_lost_when_it_arrives_is_none() {
    for is_late in [false, true] {
        for (mode, status, outcome) in
            [(Mode::Enforce, 503, Outcome::Lost), (Mode::Observe, 200, Outcome::WouldBeLost)]
        {
            let (gate, calls) = (Gate::new(), Arc::default());
            let remote = Remote::new(Reply::Grant, is_late.then_some(&gate));
            remote.loss.happen();
            gate.open();
            let layer = remote.layer().wait(LONG).mode(mode);
            let mut service = around(&layer, counted(&calls));
            let answer = Hand::new(call(&mut service, post("/ada"))).poll().unwrap().unwrap();
            assert_eq!(answer.status(), status);
            only(&layer.stats(), outcome);
            assert!(remote.locks.is_empty());
        }
    }
}

#[test]
fn a_lock_that_is_lost_while_the_handler_runs_leaves_its_answer_and_is_seen_by_it() {
    for is_shared in [false, true] {
        let remote = Remote::new(Reply::Grant, None);
        let (gate, seen) = (Gate::new(), Arc::new(Mutex::new(None)));
        let inner = {
            let (gate, seen) = (gate.clone(), seen.clone());
            service_fn(move |request: Request<Body>| {
                let held = request.extensions().get::<HeldKey<String, RemoteGuard>>().cloned();
                assert_eq!(held.is_some(), is_shared);
                let fence = request.extensions().get::<Fence>().copied();
                let (gate, seen) = (gate.clone(), seen.clone());
                async move {
                    if let Some(held) = held {
                        assert_eq!((held.is_lost(), held.key()), (false, &"ada".to_owned()));
                        held.lost().await;
                        *seen.lock().unwrap() = Some(held.is_lost());
                    }
                    gate.pass().await;
                    assert!(fence.is_some(), "late writes are refused by it");
                    Answer::Ok(Response::new(Body::from("done")))
                }
            })
        };
        let layer = remote.layer().share_guard(is_shared);
        let mut service = around(&layer, inner);
        let mut one = Hand::queued(call(&mut service, post("/ada")));
        gate.open();
        if is_shared {
            assert!(one.poll().is_none());
        }
        remote.loss.happen();
        assert_eq!(one.poll().unwrap().unwrap().status(), 200);
        assert_eq!(*seen.lock().unwrap(), is_shared.then_some(true));
        assert_eq!(remote.loss.watched(), usize::from(is_shared), "only the handler watches");
        only(&layer.stats(), Outcome::Acquired);
        assert!(remote.locks.is_empty());
    }
}

#[test]
fn the_provider_can_be_chosen_at_run_time() {
    let local = locks();
    let remote = Remote::new(Reply::Grant, None);
    for (provider, locks) in
        [(AnyLocks::new(local.clone()), local.clone()), (AnyLocks::new(remote.clone()), remote.locks.clone())]
    {
        let inner = {
            let locks = locks.clone();
            service_fn(move |request: Request<Body>| {
                let held = request.extensions().get::<HeldKey<String, AnyGuard<String>>>().unwrap();
                assert!(locks.is_locked(held.key()) && !held.is_lost());
                async { Answer::Ok(Response::new(Body::empty())) }
            })
        };
        let layer: KeyedLockLayer<String, ByPath, AnyLocks<String>> = KeyedLockLayer::new(provider, by_path);
        let mut service = around(&layer.share_guard(true), inner);
        let held = locks.try_lock("ada").unwrap();
        assert_eq!(Hand::new(call(&mut service, post("/ada"))).poll().unwrap().unwrap().status(), 409);
        drop(held);
        assert_eq!(Hand::new(call(&mut service, post("/ada"))).poll().unwrap().unwrap().status(), 200);
        assert!(locks.is_empty());
    }
}
