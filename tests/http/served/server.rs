//! Servers on loopback, and handlers that stop where the test says.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::request::Parts;
use axum::routing::any;
use latchwork::KeyedLock;
use latchwork::layer::KeyedLockLayer;
use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinHandle;

use crate::support::{alone_with_helper, no_hang};

/// Longer than any test.
pub(crate) const LONG: Duration = Duration::from_secs(3600);
/// For waits that are to be too long.
pub(crate) const SHORT: Duration = Duration::from_millis(20);

pub(crate) type Locks = Arc<KeyedLock<String>>;
pub(crate) type ByPath = fn(&Parts) -> Option<String>;
pub(crate) type ByPathLayer = KeyedLockLayer<String, ByPath>;

pub(crate) fn locks() -> Locks {
    Arc::default()
}

/// The path without its slash; no key for the root.
pub(crate) fn by_path(parts: &Parts) -> Option<String> {
    let path = &parts.uri.path()[1..];
    (!path.is_empty()).then(|| path.to_owned())
}

pub(crate) fn layer(locks: &Locks) -> ByPathLayer {
    KeyedLockLayer::new(locks.clone(), by_path as ByPath)
}

/// How many wait for this key.
pub(crate) fn waiters(locks: &Locks, key: &str) -> usize {
    locks.snapshot().iter().find(|view| view.key() == key).map_or(0, |view| view.waiters())
}

/// Runs the test on a runtime with two workers; a hang becomes a failure.
///
/// It runs in a process of its own, with the helper thread, as a server does. Other tests of this binary do without it.
#[track_caller]
pub(crate) fn run<F: Future<Output = ()> + Send + 'static>(test: F) {
    alone_with_helper(name_of::<F>(), || block_on(test));
}

/// Runs the test with each case, one after the other.
#[track_caller]
pub(crate) fn run_each<T, F: Future<Output = ()> + Send + 'static>(
    cases: impl IntoIterator<Item = T>,
    test: impl Fn(T) -> F,
) {
    alone_with_helper(name_of::<F>(), || cases.into_iter().map(test).for_each(block_on));
}

/// The name of the test in whose body the future of this type is written.
fn name_of<F>() -> &'static str {
    let (_, path) = std::any::type_name::<F>().split_once("::").expect("it is in a crate");
    path.split("::{{closure}}").next().unwrap_or(path)
}

#[track_caller]
fn block_on(test: impl Future<Output = ()> + Send + 'static) {
    no_hang(|| Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(test));
}

/// Yields until `done`: for others to get to a point that can be observed.
pub(crate) async fn until(done: impl Fn() -> bool) {
    while !done() {
        tokio::task::yield_now().await;
        std::thread::yield_now();
    }
}

/// A server that accepts until it is told to stop, or is dropped with the runtime.
pub(crate) struct Served {
    pub(crate) addr: SocketAddr,
    stop: oneshot::Sender<()>,
    done: JoinHandle<io::Result<()>>,
}

pub(crate) async fn serve(app: Router) -> Served {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = axum::serve(listener, app).with_graceful_shutdown(async {
        if stopped.await.is_err() {
            std::future::pending::<()>().await;
        }
    });
    Served { addr, stop, done: tokio::spawn(serving.into_future()) }
}

impl Served {
    /// Accepts no more, and returns when every connection is at its end.
    pub(crate) async fn stop(self) {
        self.stop.send(()).unwrap();
        self.done.await.unwrap().unwrap();
    }
}

/// Each [`open`](Self::open) lets one pass.
#[derive(Clone)]
pub(crate) struct Gate(Arc<Semaphore>);

impl Gate {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Semaphore::new(0)))
    }

    pub(crate) fn open(&self) {
        self.0.add_permits(1);
    }

    /// Lets all pass, from now on.
    pub(crate) fn open_wide(&self) {
        self.0.add_permits(100_000);
    }

    pub(crate) async fn pass(&self) {
        self.0.acquire().await.expect("it is never closed").forget();
    }
}

/// A handler that tells when it has begun and goes on when it may, and the locks around it.
#[derive(Clone)]
pub(crate) struct Stage {
    pub(crate) locks: Locks,
    pub(crate) begun: Gate,
    pub(crate) go: Gate,
    pub(crate) ended: Arc<AtomicUsize>,
    /// What the probes of the handlers saw.
    pub(crate) held: Arc<Mutex<Vec<bool>>>,
}

impl Stage {
    pub(crate) fn new() -> Self {
        Self {
            locks: locks(),
            begun: Gate::new(),
            go: Gate::new(),
            ended: Arc::default(),
            held: Arc::default(),
        }
    }

    /// What a handler does. Its probe looks at `key`.
    pub(crate) async fn play(&self, key: String) -> String {
        let _probe = self.probe(&key);
        self.begun.open();
        self.go.pass().await;
        self.ended.fetch_add(1, Ordering::SeqCst);
        key
    }

    pub(crate) fn probe(&self, key: &str) -> Probe {
        Probe { locks: self.locks.clone(), key: key.to_owned(), held: self.held.clone() }
    }

    /// Handlers of every path, without a layer.
    pub(crate) fn router(&self) -> Router {
        let play =
            async |State(stage): State<Self>, parts: Parts| stage.play(parts.uri.path()[1..].into()).await;
        Router::new().route("/", any(play)).route("/{key}", any(play)).with_state(self.clone())
    }

    pub(crate) fn ended(&self) -> usize {
        self.ended.load(Ordering::SeqCst)
    }

    pub(crate) fn held(&self) -> Vec<bool> {
        self.held.lock().unwrap().clone()
    }
}

/// Tells, when it is dropped, whether its key was still held.
pub(crate) struct Probe {
    locks: Locks,
    key: String,
    held: Arc<Mutex<Vec<bool>>>,
}

impl Drop for Probe {
    fn drop(&mut self) {
        let is_held = self.locks.is_locked(self.key.as_str());
        self.held.lock().unwrap().push(is_held);
    }
}
