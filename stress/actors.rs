//! One who acquires, works and releases, over and over, as a thread or as a task.

use std::any::Any;
use std::collections::VecDeque;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Sender;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use fastrand::Rng;
use futures::FutureExt;
use latchwork::{
    Acquire, TimedOut, acquire::Acquisition, keyed::OwnedKeyedGuard, rwlock::OwnedRwLockWriteGuard,
};

use crate::watchdog::Post;
use crate::world::{How, Menu, Op, Then, World};

/// Whatever is held; it is let go of when it is dropped.
pub(crate) type Held = Box<dyn Any + Send>;

/// A panic on purpose. It is raised without the hook, which would print it.
struct Planned;

pub(crate) struct Actor {
    world: Arc<World>,
    menu: Menu,
    post: Post,
    dropper: Sender<Held>,
    rng: Rng,
    /// Acquisitions that were polled once, the oldest first.
    silent: VecDeque<Held>,
}

/// What is out is counted back before the permits are.
struct Counted<G> {
    world: Arc<World>,
    op: Op,
    _permits: G,
}

impl<G> Counted<G> {
    fn new(world: &Arc<World>, op: Op, permits: G) -> Self {
        let (out, count, most) = match op {
            Op::Permits(count) => (&world.permits_out, count, crate::world::PERMITS),
            Op::Seats(key, count) => (&world.seats_out[key], count, crate::world::SEATS),
            _ => unreachable!("only permits are counted"),
        };
        assert!(out.fetch_add(count, Ordering::Relaxed) + count <= most, "too many permits are out");
        Self { world: world.clone(), op, _permits: permits }
    }
}

impl<G> Drop for Counted<G> {
    fn drop(&mut self) {
        match self.op {
            Op::Permits(count) => self.world.permits_out.fetch_sub(count, Ordering::Relaxed),
            Op::Seats(key, count) => self.world.seats_out[key].fetch_sub(count, Ordering::Relaxed),
            _ => unreachable!("only permits are counted"),
        };
    }
}

/// Acquires what `$op` says: by `$get` of the pending `$acquire`, or by `try_` for `How::Try`.
macro_rules! acquire {
    ($world:expr, $op:expr, $how:expr, $acquire:ident => $get:expr) => {{
        let world: &Arc<World> = $world;
        let op: Op = $op;
        macro_rules! either {
            ($try:expr, $lock:expr) => {
                if $how == How::Try {
                    $try.ok()
                } else {
                    let $acquire = $lock;
                    $get
                }
            };
        }
        match op {
            Op::Mutex => either!(world.mutex.try_lock_owned(), world.mutex.lock_owned()).map(|mut guard| {
                *guard += 1;
                world.done.mutex.fetch_add(1, Ordering::Relaxed);
                Box::new(guard) as Held
            }),
            Op::Read => either!(world.rwlock.try_read_owned(), world.rwlock.read_owned()).map(|guard| {
                assert_eq!(guard.0, guard.1, "a reader sees half a write");
                Box::new(guard) as Held
            }),
            Op::Write | Op::WriteThenRead => {
                either!(world.rwlock.try_write_owned(), world.rwlock.write_owned())
                    .map(|guard| write(world, op, guard))
            }
            Op::Permits(count) => either!(
                world.semaphore.try_acquire_many_owned(count),
                world.semaphore.acquire_many_owned(count)
            )
            .map(|permits| Box::new(Counted::new(world, op, permits)) as Held),
            Op::Key(key) => {
                either!(world.keys.try_lock_owned(key), world.keys.lock_owned(key)).map(|guard| {
                    write_key(world, &guard);
                    Box::new(guard) as Held
                })
            }
            Op::KeyShared(key) => {
                either!(world.keys.try_lock_shared_owned(key), world.keys.lock_shared_owned(key))
                    .map(|guard| read_key(world, guard))
            }
            Op::Keys(keys) => either!(world.keys.try_lock_many_owned(keys), world.keys.lock_many_owned(keys))
                .map(|many| {
                    many.iter().for_each(|guard| write_key(world, guard));
                    Box::new(many) as Held
                }),
            Op::Seats(key, count) => either!(
                world.seats.try_acquire_many_owned(key, count),
                world.seats.acquire_many_owned(key, count)
            )
            .map(|permits| Box::new(Counted::new(world, op, permits)) as Held),
        }
    }};
}

fn write(world: &World, op: Op, mut guard: OwnedRwLockWriteGuard<(u64, u64)>) -> Held {
    guard.0 += 1;
    guard.1 += 1;
    world.done.rwlock.fetch_add(1, Ordering::Relaxed);
    if op == Op::Write {
        return Box::new(guard);
    }
    let written = *guard;
    let guard = OwnedRwLockWriteGuard::downgrade(guard);
    assert_eq!(*guard, written, "a writer came in between");
    Box::new(guard)
}

fn write_key(world: &World, guard: &OwnedKeyedGuard<usize>) {
    let (key, fence) = (*guard.key(), guard.fence().get());
    world.values[key].add();
    world.done.values[key].fetch_add(1, Ordering::Relaxed);
    assert!(world.fences[key].swap(fence, Ordering::Relaxed) < fence, "fences of a key rise");
}

fn read_key(world: &World, guard: OwnedKeyedGuard<usize>) -> Held {
    let (key, fence) = (*guard.key(), guard.fence().get());
    assert!(world.fences[key].load(Ordering::Relaxed) < fence, "fences of a key rise");
    // Nobody counts up while the key is shared.
    let seen = world.values[key].get();
    assert_eq!(world.values[key].get(), seen);
    Box::new(guard)
}

impl Actor {
    pub(crate) fn new(world: Arc<World>, menu: Menu, post: Post, dropper: Sender<Held>, seed: u64) -> Self {
        Self { world, menu, post, dropper, rng: Rng::with_seed(seed), silent: VecDeque::new() }
    }

    fn pick(&mut self) -> (Op, How, Then) {
        (self.menu.pick(&mut self.rng), How::pick(&mut self.rng), Then::pick(&mut self.rng))
    }

    pub(crate) fn run_as_thread(mut self, rounds: usize) {
        for _ in 0..rounds {
            let (op, how, then) = self.pick();
            self.post.waits(op, how);
            let Self { world, dropper, silent, .. } = &mut self;
            let planned = catch_unwind(AssertUnwindSafe(|| {
                let held = acquire!(world, op, how, acquire => by_thread(acquire, how, silent));
                match then {
                    Then::Yield => thread::yield_now(),
                    Then::Panic => resume_unwind(Box::new(Planned)),
                    Then::Send => held.into_iter().for_each(|held| send(dropper, held)),
                    Then::Drop => {}
                }
            }));
            pass_on_unplanned(planned);
            self.post.goes_on();
        }
    }

    pub(crate) async fn run_as_task(mut self, rounds: usize) {
        for _ in 0..rounds {
            let (op, how, then) = self.pick();
            self.post.waits(op, how);
            let Self { world, dropper, silent, .. } = &mut self;
            let round = AssertUnwindSafe(async {
                let held = acquire!(world, op, how, acquire => by_task(acquire, how, silent).await);
                match then {
                    Then::Yield => tokio::task::yield_now().await,
                    Then::Panic => resume_unwind(Box::new(Planned)),
                    Then::Send => held.into_iter().for_each(|held| send(dropper, held)),
                    Then::Drop => {}
                }
            });
            pass_on_unplanned(round.catch_unwind().await);
            self.post.goes_on();
        }
    }
}

fn send(dropper: &Sender<Held>, held: Held) {
    dropper.send(held).expect("the other thread drops guards until the end");
}

/// Polls an acquisition once, and keeps it if it has to wait, among a few others.
fn be_silent<A>(acquire: Acquire<A>, silent: &mut VecDeque<Held>) -> Option<A::Guard>
where
    A: Acquisition + Send + 'static,
{
    let mut acquire = Box::pin(acquire);
    match acquire.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(guard) => Some(guard),
        Poll::Pending => {
            silent.push_back(Box::new(acquire));
            if silent.len() > 3 {
                silent.pop_front();
            }
            None
        }
    }
}

fn pass_on_unplanned(round: thread::Result<()>) {
    if let Err(panic) = round
        && !panic.is::<Planned>()
    {
        resume_unwind(panic);
    }
}

fn by_thread<A, G>(acquire: Acquire<A>, how: How, silent: &mut VecDeque<Held>) -> Option<G>
where
    A: Acquisition<Guard = G, Timed = Result<G, TimedOut>> + Send + 'static,
{
    match how {
        How::Silent => be_silent(acquire, silent),
        How::Timeout(micros) => acquire.wait_timeout(Duration::from_micros(micros.into())).ok(),
        How::Cancel => match pin!(acquire).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(guard) => Some(guard),
            Poll::Pending => None,
        },
        How::Wait | How::Try => Some(acquire.wait()),
    }
}

async fn by_task<A, G>(acquire: Acquire<A>, how: How, silent: &mut VecDeque<Held>) -> Option<G>
where
    A: Acquisition<Guard = G, Timed = Result<G, TimedOut>> + Send + 'static,
{
    match how {
        How::Silent => be_silent(acquire, silent),
        How::Timeout(micros) => acquire.timeout(Duration::from_micros(micros.into())).await.ok(),
        How::Cancel => {
            let mut acquire = pin!(acquire);
            let first = futures::poll!(acquire.as_mut());
            if let Poll::Ready(guard) = first {
                return Some(guard);
            }
            tokio::task::yield_now().await;
            None
        }
        How::Wait | How::Try => Some(acquire.await),
    }
}
