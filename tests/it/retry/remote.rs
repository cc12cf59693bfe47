//! A stand-in for a lock provider in another process: it answers as its script says, and notes what it is asked.

use std::fmt;
use std::future::pending;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use latchwork::Fence;
use latchwork::provider::{Ask, Begun, HeldLock, LockError, LockProvider};
use tokio::task::yield_now;

/// What the other side does about a request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Answer {
    Grants,
    /// The answer takes a trip, for which the future is pending once.
    GrantsLate,
    /// The lock is lost as soon as it is held.
    Loses,
    Refuses(fn() -> LockError),
    RefusesLate(fn() -> LockError),
    /// There is no answer.
    Hangs,
}

type Hook = Box<dyn Fn(Ask) + Send + Sync>;

struct Server {
    answer: Box<dyn Fn(usize) -> Answer + Send + Sync>,
    hook: Hook,
    can_share: bool,
    asks: Mutex<Vec<Ask>>,
    held: AtomicUsize,
    withdrawn: AtomicUsize,
}

pub(crate) struct Remote(Arc<Server>);

impl Remote {
    /// It answers its n-th request, counted from 0, as the function says.
    pub(crate) fn new(answer: impl Fn(usize) -> Answer + Send + Sync + 'static) -> Self {
        Self::with_hook(answer, |_| ())
    }

    /// It calls `hook` for each request.
    pub(crate) fn with_hook(
        answer: impl Fn(usize) -> Answer + Send + Sync + 'static,
        hook: impl Fn(Ask) + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(Server {
            answer: Box::new(answer),
            hook: Box::new(hook),
            can_share: true,
            asks: Mutex::default(),
            held: AtomicUsize::new(0),
            withdrawn: AtomicUsize::new(0),
        }))
    }

    pub(crate) fn that_cannot_share(self) -> Self {
        let server = Arc::into_inner(self.0).expect("it is not shared yet");
        Self(Arc::new(Server { can_share: false, ..server }))
    }

    /// How the key was asked for, in order.
    pub(crate) fn ways(&self) -> Vec<&'static str> {
        let asks = self.0.asks.lock().expect("no panic");
        asks.iter().map(|ask| if ask.is_shared() { "together" } else { "alone" }).collect()
    }

    /// How many locks are held.
    pub(crate) fn held(&self) -> usize {
        self.0.held.load(Ordering::SeqCst)
    }

    /// How many requests were dropped before their answer.
    pub(crate) fn withdrawn(&self) -> usize {
        self.0.withdrawn.load(Ordering::SeqCst)
    }
}

impl Clone for Remote {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<K: Send + Sync + 'static> LockProvider<K> for Remote {
    type Guard = RemoteGuard<K>;
    type Wait = Pin<Box<dyn Future<Output = Result<RemoteGuard<K>, LockError>> + Send>>;

    fn begin(&self, key: K, ask: Ask) -> Begun<Self::Guard, Self::Wait> {
        assert!(ask.waits() && ask.time_limit().is_none());
        (self.0.hook)(ask);
        let number = {
            let mut asks = self.0.asks.lock().expect("no panic");
            asks.push(ask);
            asks.len() - 1
        };
        let server = self.0.clone();
        match (self.0.answer)(number) {
            Answer::Grants => Begun::Acquired(RemoteGuard::new(server, key, false)),
            Answer::Loses => Begun::Acquired(RemoteGuard::new(server, key, true)),
            Answer::Refuses(error) => Begun::Refused(error()),
            Answer::GrantsLate => Begun::Waiting(Box::pin(async move {
                let request = Request::new(&server);
                yield_now().await;
                request.answered();
                Ok(RemoteGuard::new(server.clone(), key, false))
            })),
            Answer::RefusesLate(error) => Begun::Waiting(Box::pin(async move {
                let request = Request::new(&server);
                yield_now().await;
                request.answered();
                Err(error())
            })),
            Answer::Hangs => Begun::Waiting(Box::pin(async move {
                let _request = Request::new(&server);
                pending().await
            })),
        }
    }

    fn can_share(&self) -> bool {
        self.0.can_share
    }
}

/// A request under way.
struct Request<'s> {
    server: &'s Server,
    is_answered: AtomicBool,
}

impl<'s> Request<'s> {
    fn new(server: &'s Server) -> Self {
        Self { server, is_answered: AtomicBool::new(false) }
    }

    fn answered(&self) {
        self.is_answered.store(true, Ordering::SeqCst);
    }
}

impl Drop for Request<'_> {
    fn drop(&mut self) {
        if !*self.is_answered.get_mut() {
            self.server.withdrawn.fetch_add(1, Ordering::SeqCst);
        }
    }
}

pub(crate) struct RemoteGuard<K> {
    server: Arc<Server>,
    key: K,
    is_lost: bool,
}

impl<K> RemoteGuard<K> {
    fn new(server: Arc<Server>, key: K, is_lost: bool) -> Self {
        server.held.fetch_add(1, Ordering::SeqCst);
        Self { server, key, is_lost }
    }
}

impl<K: Send + Sync> HeldLock for RemoteGuard<K> {
    type Key = K;

    fn key(&self) -> &K {
        &self.key
    }

    fn fence(&self) -> Fence {
        Fence::new(7).expect("it is not 0")
    }

    fn is_lost(&self) -> bool {
        self.is_lost
    }

    fn lost(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(std::future::pending())
    }
}

impl<K> Drop for RemoteGuard<K> {
    fn drop(&mut self) {
        self.server.held.fetch_sub(1, Ordering::SeqCst);
    }
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote").field("held", &self.held()).finish_non_exhaustive()
    }
}
