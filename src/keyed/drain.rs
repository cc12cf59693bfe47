//! Waiting until no key is in use, for a graceful shutdown.

use std::pin::Pin;
use std::task::Waker;

use super::shard::Shard;
use super::table::{AsTable, Table};
use crate::error::TimedOut;
use crate::wait::{Acquire, Acquisition, End, List, Node, Place, Stand, Wakes};

/// The type that [`KeyedLock::drained`](super::KeyedLock::drained) and
/// [`KeyedSemaphore::drained`](super::KeyedSemaphore::drained) return. `L` is the lock or the semaphore.
pub type Drained<'a, L> = Acquire<Drain<'a, L>>;

/// Waits for an empty table: at one shard after the other until each was empty once. Then it makes sure that all are
/// empty at the same time.
#[derive(Debug)]
pub struct Drain<'a, T> {
    owner: &'a T,
    /// The shard at which it waits, or the one that was in use when it looked last.
    at: usize,
    is_over: bool,
}

impl<'a, T: AsTable> Drain<'a, T> {
    pub(super) fn acquire(owner: &'a T) -> Acquire<Self> {
        Acquire::new(Self { owner, at: 0, is_over: false })
    }

    /// Waits at a shard, unless it is empty.
    fn wait_at(shard: &Shard<T::Key>, mut node: Pin<&mut Node>, task: &Waker) -> Option<()> {
        let mut wakes = Wakes::default();
        // Cloned, woken and dropped outside the lock: wakers are user code.
        let waker = task.clone();
        let mut shard = shard.lock();
        leave(shard.drains(), node.as_mut(), &mut wakes);
        let outcome = if shard.is_empty() {
            Some(())
        } else {
            shard.drains().push_back(node, Place::Queued, Stand::ANY, waker);
            None
        };
        drop(shard);
        wakes.wake();
        wakes.finish();
        outcome
    }
}

fn leave(drains: &mut List, node: Pin<&mut Node>, wakes: &mut Wakes) {
    if node.is_enlisted() {
        wakes.keep(drains.remove(node));
    }
}

impl<T: AsTable> Acquisition for Drain<'_, T> {
    type Guard = ();
    type Timed = Result<(), TimedOut>;
    type Grant = ();

    fn take(&mut self) -> Option<()> {
        assert!(!self.is_over, "an Acquire is not polled again after it was ready");
        let table = self.owner.table();
        // Most likely it still is in use. Then one lock is taken, instead of that of every shard before it.
        if table.shards().get(self.at).is_some_and(|shard| !shard.lock().is_empty()) {
            return None;
        }
        match table.first_in_use() {
            Some(at) => self.at = at,
            None => self.is_over = true,
        }
        self.is_over.then_some(())
    }

    fn step(&mut self, mut node: Pin<&mut Node>, task: &Waker) -> Option<()> {
        loop {
            while let Some(shard) = self.owner.table().shards().get(self.at) {
                Self::wait_at(shard, node.as_mut(), task)?;
                self.at += 1;
            }
            self.at = 0;
            // If it is not over, it goes on at the first shard that is in use.
            if self.take().is_some() {
                return Some(());
            }
        }
    }

    fn guard(&mut self, (): ()) {}

    fn in_time(guard: Option<()>) -> Result<(), TimedOut> {
        guard.ok_or(TimedOut::NEW)
    }

    fn leave(&mut self, node: Pin<&mut Node>, _: End) {
        let Some(shard) = self.owner.table().shards().get(self.at) else { return };
        let mut wakes = Wakes::default();
        let mut shard = shard.lock();
        leave(shard.drains(), node, &mut wakes);
        drop(shard);
        wakes.wake();
        wakes.finish();
    }
}

impl<K, S> Table<K, S> {
    /// Returns the first shard that is in use, or `None` if at one moment no key is: every shard's lock is held then. They
    /// are taken in their order.
    fn first_in_use(&self) -> Option<usize> {
        let mut locked = Vec::new();
        self.shards().iter().position(|shard| {
            let shard = shard.lock();
            let in_use = !shard.is_empty();
            locked.push(shard);
            in_use
        })
    }
}
