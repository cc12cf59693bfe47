//! Many threads and tasks that do the same thing at the same time, for a time.
//!
//! For a time and not so many operations each: some locks take a thousand times longer once their
//! waiters have lined up, and nobody ends up having the lock alone.
//!
//! Threads that are alone, and not more than there are processors, are pinned to one each.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Barrier};
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use tokio::runtime::{Builder, Runtime};

use super::Round;
use super::clock::pin;

/// How many milliseconds a round of a crowd takes.
pub(crate) const ROUND: u64 = 100;

/// A member on a thread of its own. It returns how many operations it made.
pub(crate) type OnThread = Box<dyn FnOnce() -> u64 + Send>;
/// A member that is a task.
pub(crate) type AsTask = BoxFuture<'static, u64>;

/// Tells the members when to stop.
#[derive(Clone, Default)]
pub(crate) struct Stop(Arc<AtomicBool>);

impl Stop {
    #[inline]
    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Relaxed)
    }
}

/// What a crowd did.
pub(crate) struct Outcome {
    ns: f64,
    /// Operations by member: the threads first.
    pub(crate) counts: Vec<u64>,
}

impl Outcome {
    /// Wall time over all operations, and how many times the mean the greediest member made.
    pub(crate) fn greediest(&self) -> Round {
        [self.per_op(), self.share()].into()
    }

    /// How many times the mean the greediest member made.
    pub(crate) fn share(&self) -> f64 {
        let most = self.counts.iter().max().copied().unwrap_or(0);
        most as f64 * self.counts.len() as f64 / self.total() as f64
    }

    /// Asserts that as many operations were made as the locked numbers say.
    pub(crate) fn checked(self, counted: u64) -> Self {
        assert_eq!(self.total(), counted, "two holders at a time");
        self
    }

    pub(crate) fn per_op(&self) -> f64 {
        self.ns / self.total() as f64
    }

    /// How long it took, from the first operation to the last.
    pub(crate) fn seconds(&self) -> f64 {
        self.ns / 1e9
    }

    pub(crate) fn total(&self) -> u64 {
        self.counts.iter().sum()
    }
}

/// Adds one to a locked number. It is no atomic addition: that none is lost is the lock's doing.
#[inline]
pub(crate) fn count(value: &AtomicU64) {
    value.store(value.load(Relaxed) + 1, Relaxed);
}

/// A runtime with two workers.
pub(crate) fn runtime() -> Runtime {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("the machine has threads to spare")
}

/// Lets all members start together, sets `stop` after so many milliseconds and waits for the last.
/// What is timed begins with the first member's first operation and ends with the last member's last.
pub(crate) fn run(
    runtime: &Runtime,
    (stop, milliseconds): (Stop, u64),
    threads: Vec<OnThread>,
    tasks: Vec<AsTask>,
) -> Outcome {
    let pinned = tasks.is_empty() && available_parallelism().is_ok_and(|most| threads.len() <= most.get());
    let threads_ready = Barrier::new(threads.len() + 1);
    let tasks_ready = Arc::new(tokio::sync::Barrier::new(tasks.len() + 1));
    let tasks: Vec<_> = tasks
        .into_iter()
        .map(|member| {
            let ready = tasks_ready.clone();
            runtime.spawn(async move {
                ready.wait().await;
                let start = Instant::now();
                (start, member.await, Instant::now())
            })
        })
        .collect();
    let on_thread = |nth: usize, member: OnThread| {
        if pinned {
            pin(nth);
        }
        threads_ready.wait();
        let start = Instant::now();
        (start, member(), Instant::now())
    };
    let mut members = Vec::new();
    std::thread::scope(|scope| {
        let on_thread = &on_thread;
        let threads: Vec<_> = threads
            .into_iter()
            .enumerate()
            .map(|(nth, member)| scope.spawn(move || on_thread(nth, member)))
            .collect();
        runtime.block_on(tasks_ready.wait());
        threads_ready.wait();
        std::thread::sleep(Duration::from_millis(milliseconds));
        stop.0.store(true, Relaxed);
        members.extend(threads.into_iter().map(|thread| thread.join().expect("no member panics")));
    });
    runtime.block_on(async {
        for task in tasks {
            members.push(task.await.expect("no member panics"));
        }
    });
    let first = members.iter().map(|member| member.0).min().expect("there are members");
    let last = members.iter().map(|member| member.2).max().expect("there are members");
    let counts = members.iter().map(|member| member.1).collect();
    Outcome { ns: (last - first).as_nanos() as f64, counts }
}
