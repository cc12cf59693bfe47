//! Every way to hold one thing alone, behind one face: what holds for one must hold for all.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use latchwork::{Busy, KeyedLock, KeyedSemaphore, Mutex, RwLock, Semaphore, TimedOut, error::NotAcquired};

/// Something held, until dropped.
pub(crate) type Held = Box<dyn Guard>;

pub(crate) trait Guard: Send {}

impl<G: Send> Guard for G {}

pub(crate) type Acquiring = Pin<Box<dyn Future<Output = Held> + Send>>;

/// One thing that one caller at a time can hold.
pub(crate) trait Way: Send + Sync {
    fn name(&self) -> &'static str;
    fn acquire(&self) -> Acquiring;
    fn attempt(&self) -> Result<Held, Busy>;
    fn wait(&self) -> Held;
    fn wait_timeout(&self, timeout: Duration) -> Result<Held, TimedOut>;
    #[cfg(feature = "tokio")]
    fn timeout(&self, timeout: Duration) -> Pin<Box<dyn Future<Output = Result<Held, TimedOut>> + Send>>;

    /// How many wait, while it is held.
    fn waiters(&self) -> usize {
        match self.attempt() {
            Ok(_) => 0,
            Err(busy) => busy.waiters,
        }
    }

    fn is_free(&self) -> bool {
        self.attempt().is_ok()
    }
}

struct Case<L> {
    name: &'static str,
    lock: Arc<L>,
}

/// The queues of these tests have room for all.
fn in_vain(error: impl Into<NotAcquired>) -> TimedOut {
    match error.into() {
        NotAcquired::TimedOut(timed_out) => timed_out,
        other => panic!("{other}"),
    }
}

macro_rules! way {
    ($lock:ty, $self:ident => $acquire:expr, $attempt:expr) => {
        impl Way for Case<$lock> {
            fn name(&self) -> &'static str {
                self.name
            }

            fn acquire(&$self) -> Acquiring {
                let acquire = $acquire;
                Box::pin(async move { Box::new(acquire.await) as Held })
            }

            fn attempt(&$self) -> Result<Held, Busy> {
                $attempt.map(|guard| Box::new(guard) as Held)
            }

            fn wait(&$self) -> Held {
                Box::new($acquire.wait())
            }

            fn wait_timeout(&$self, timeout: Duration) -> Result<Held, TimedOut> {
                $acquire.wait_timeout(timeout).map(|guard| Box::new(guard) as Held).map_err(in_vain)
            }

            #[cfg(feature = "tokio")]
            fn timeout(
                &$self,
                timeout: Duration,
            ) -> Pin<Box<dyn Future<Output = Result<Held, TimedOut>> + Send>> {
                let acquire = $acquire;
                Box::pin(async move {
                    acquire.timeout(timeout).await.map(|guard| Box::new(guard) as Held).map_err(in_vain)
                })
            }
        }
    };
}

way!(Mutex<u32>, self => self.lock.lock_owned(), self.lock.try_lock_owned());
way!(RwLock<u32>, self => self.lock.write_owned(), self.lock.try_write_owned());
way!(Semaphore, self => self.lock.acquire_owned(), self.lock.try_acquire_owned());
way!(KeyedLock<String>, self => self.lock.lock_owned("key"), self.lock.try_lock_owned("key"));
way!(KeyedLock<u8>, self => self.lock.lock_owned(7).max_waiters(1_000_000), self.lock.lock_owned(7).try_now());
way!(Mutex<u8>, self => self.lock.lock_owned().max_waiters(1_000_000), self.lock.lock_owned().try_now());
way!(KeyedLock<u32>, self => self.lock.lock_many_owned([2, 1]), self.lock.try_lock_many_owned([1, 2]));
way!(KeyedSemaphore<u32>, self => self.lock.acquire_owned(1), self.lock.try_acquire_owned(1));

/// All of them, free.
pub(crate) fn ways() -> Vec<Arc<dyn Way>> {
    vec![
        Arc::new(Case { name: "Mutex", lock: Arc::new(Mutex::new(0_u32)) }),
        Arc::new(Case { name: "Mutex with max_waiters", lock: Arc::new(Mutex::new(0_u8)) }),
        Arc::new(Case { name: "RwLock", lock: Arc::new(RwLock::new(0)) }),
        Arc::new(Case { name: "Semaphore", lock: Arc::new(Semaphore::new(1)) }),
        Arc::new(Case { name: "KeyedLock", lock: Arc::new(KeyedLock::<String>::new()) }),
        Arc::new(Case { name: "lock_bounded", lock: Arc::new(KeyedLock::<u8>::new()) }),
        Arc::new(Case { name: "lock_many", lock: Arc::new(KeyedLock::<u32>::new()) }),
        Arc::new(Case { name: "KeyedSemaphore", lock: Arc::new(KeyedSemaphore::<u32>::new(1)) }),
    ]
}

/// Makes a claim about each of them; a failure names the one.
pub(crate) fn every_way(claim: impl Fn(Arc<dyn Way>)) {
    for way in ways() {
        // Shown with a failure only.
        println!("{}", way.name());
        claim(way);
    }
}
