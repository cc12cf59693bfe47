//! Flights: leaders that finish, fail, panic and are dropped, and others on threads and in tasks who join them.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Waker};
use std::time::Duration;

use fastrand::Rng;
use futures::FutureExt;
use latchwork::{SingleFlight, flight::Role};

use crate::watchdog::Post;

const KEYS: u8 = 3;

/// What all share.
#[derive(Default)]
pub(crate) struct Airfield {
    flights: SingleFlight<u8, u64>,
    /// The number of times that the work was begun, and done.
    begun: AtomicU64,
    done: AtomicU64,
    is_at_it: [AtomicBool; KEYS as usize],
}

/// One who is at the work of a key, until dropped.
struct AtIt<'a>(&'a AtomicBool);

impl<'a> AtIt<'a> {
    fn new(field: &'a Airfield, key: u8) -> Self {
        let is_at_it = &field.is_at_it[usize::from(key)];
        assert!(!is_at_it.swap(true, Ordering::Relaxed), "two are at it");
        field.begun.fetch_add(1, Ordering::Relaxed);
        Self(is_at_it)
    }
}

impl Drop for AtIt<'_> {
    fn drop(&mut self) {
        assert!(self.0.swap(false, Ordering::Relaxed), "two were at it");
    }
}

impl Airfield {
    /// The work: its value says for which key, and is another one each time.
    async fn work(&self, key: u8) -> u64 {
        let _at_it = AtIt::new(self, key);
        tokio::task::yield_now().await;
        self.value(key)
    }

    fn value(&self, key: u8) -> u64 {
        self.done.fetch_add(1, Ordering::Relaxed) * u64::from(KEYS) + u64::from(key)
    }

    /// Takes part for so many rounds, as a task.
    pub(crate) async fn fly(self: Arc<Self>, rounds: usize, seed: u64, post: Post) {
        let mut rng = Rng::with_seed(seed);
        for _ in 0..rounds {
            let key = rng.u8(..KEYS);
            let value = match rng.u8(..8) {
                0..3 => Some(self.flights.run(key, || self.work(key)).await.value),
                3 => {
                    let work = async || {
                        self.work(key).await;
                        Err::<u64, ()>(())
                    };
                    self.flights.try_run(key, work).await.ok().map(|flown| flown.value)
                }
                4 => {
                    let work = async || {
                        self.work(key).await;
                        // Without the hook, which would print it.
                        std::panic::resume_unwind(Box::new(()))
                    };
                    let run = AssertUnwindSafe(self.flights.run(key, work)).catch_unwind().await;
                    run.ok().map(|flown| flown.value)
                }
                5 => {
                    self.give_up(key, rng.u8(1..4));
                    None
                }
                6 => {
                    let join = self.flights.join(key).timeout(Duration::from_millis(1)).await;
                    join.ok().map(|role| match role {
                        Role::Leader(leader) => {
                            let at_it = AtIt::new(&self, key);
                            let value = self.value(key);
                            drop(at_it);
                            leader.finish(value)
                        }
                        Role::Joined(value) => value,
                    })
                }
                _ => {
                    let run = async { self.flights.run(key, || self.work(key)).await.value };
                    tokio::time::timeout(Duration::from_micros(50), run).await.ok()
                }
            };
            assert!(value.is_none_or(|value| value % u64::from(KEYS) == u64::from(key)), "another key's");
            post.goes_on();
        }
    }

    /// Is dropped after so many polls.
    fn give_up(&self, key: u8, polls: u8) {
        let mut run = pin!(self.flights.run(key, || self.work(key)));
        for _ in 0..polls {
            if run.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready() {
                return;
            }
        }
    }

    /// The same on a thread.
    pub(crate) fn fly_on_thread(&self, rounds: usize, seed: u64, post: &Post) {
        let mut rng = Rng::with_seed(seed);
        for _ in 0..rounds {
            let key = rng.u8(..KEYS);
            let fails = rng.u8(..4) == 0;
            let flown = self.flights.try_run_blocking(key, || {
                let _at_it = AtIt::new(self, key);
                std::thread::yield_now();
                if fails { Err(()) } else { Ok(self.value(key)) }
            });
            assert!(flown.is_ok_and(|flown| flown.value % u64::from(KEYS) == u64::from(key)) || fails);
            post.goes_on();
        }
    }

    pub(crate) fn check(&self) {
        let counts = self.flights.counts();
        assert_eq!(counts.under_way, 0);
        // A lead is dropped between the two by nobody.
        assert_eq!(counts.flights, self.begun.load(Ordering::Relaxed));
        assert!(counts.joined > 0 && counts.aborted > 0, "nobody met anybody");
    }
}
