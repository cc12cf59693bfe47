//! Random programs on `Mutex`, `RwLock` and `Semaphore`, each step compared with a count of permits.
//!
//! Acquisitions are futures polled by hand, so a program also decides who is never polled, who is
//! polled although nobody woke it, and who gives up when. Whether a newcomer may still pass those who wait
//! is left open here (see `fairness`); everything else is exact.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use latchwork::{
    Mutex, RwLock, Semaphore,
    mutex::OwnedMutexGuard,
    rwlock::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard},
    semaphore::OwnedPermit,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use crate::support::Hand;

/// What a writer takes, as the model counts.
const WHOLE: usize = 1000;

enum Guard {
    Mutex(#[allow(dead_code)] OwnedMutexGuard<()>),
    Reader(#[allow(dead_code)] OwnedRwLockReadGuard<()>),
    Writer(OwnedRwLockWriteGuard<()>),
    Permits(OwnedPermit),
}

/// What is tried out.
enum Subject {
    Mutex(Arc<Mutex<()>>),
    RwLock(Arc<RwLock<()>>),
    Semaphore(Arc<Semaphore>),
}

type Acquiring = Pin<Box<dyn Future<Output = Guard>>>;

impl Subject {
    fn acquire(&self, need: usize) -> Acquiring {
        match self {
            Subject::Mutex(lock) => {
                let acquire = lock.lock_owned();
                Box::pin(async move { Guard::Mutex(acquire.await) })
            }
            Subject::RwLock(lock) if need == WHOLE => {
                let acquire = lock.write_owned();
                Box::pin(async move { Guard::Writer(acquire.await) })
            }
            Subject::RwLock(lock) => {
                let acquire = lock.read_owned();
                Box::pin(async move { Guard::Reader(acquire.await) })
            }
            Subject::Semaphore(lock) => {
                let acquire = lock.acquire_many_owned(need);
                Box::pin(async move { Guard::Permits(acquire.await) })
            }
        }
    }

    fn attempt(&self, need: usize) -> Option<Guard> {
        match self {
            Subject::Mutex(lock) => lock.try_lock_owned().ok().map(Guard::Mutex),
            Subject::RwLock(lock) if need == WHOLE => lock.try_write_owned().ok().map(Guard::Writer),
            Subject::RwLock(lock) => lock.try_read_owned().ok().map(Guard::Reader),
            Subject::Semaphore(lock) => lock.try_acquire_many_owned(need).ok().map(Guard::Permits),
        }
    }

    fn wait_no_longer(&self, need: usize) -> Option<Guard> {
        let zero = Duration::ZERO;
        match self {
            Subject::Mutex(lock) => lock.lock_owned().wait_timeout(zero).ok().map(Guard::Mutex),
            Subject::RwLock(lock) if need == WHOLE => {
                lock.write_owned().wait_timeout(zero).ok().map(Guard::Writer)
            }
            Subject::RwLock(lock) => lock.read_owned().wait_timeout(zero).ok().map(Guard::Reader),
            Subject::Semaphore(lock) => {
                lock.acquire_many_owned(need).wait_timeout(zero).ok().map(Guard::Permits)
            }
        }
    }

    /// What can be seen of the permits that are there without taking any.
    fn check(&self, there: usize, total: usize) {
        match self {
            Subject::Mutex(lock) => assert_eq!(lock.is_locked(), there == 0),
            Subject::RwLock(lock) => {
                assert!(there == WHOLE || lock.try_write().is_err());
                assert!(there > 0 || lock.try_read().is_err());
            }
            Subject::Semaphore(lock) => assert_eq!((lock.available(), lock.total()), (there, total)),
        }
    }
}

#[derive(Clone, Debug)]
enum Op {
    Try(usize),
    WaitNoLonger(usize),
    /// Makes an acquisition without polling it.
    Create(usize),
    /// Makes one and polls it.
    Start(usize),
    Poll(Index),
    /// Polls one from another task.
    PollElsewhere(Index),
    PollWoken(Index),
    Cancel(Index),
    Release(Index),
    /// Permits are forgotten or a writer is downgraded.
    Reduce(Index),
    Split(Index),
    Add(usize),
    Settle,
}

fn op(needs: impl Strategy<Value = usize> + Clone + 'static) -> impl Strategy<Value = Op> {
    prop_oneof![
        3 => needs.clone().prop_map(Op::Try),
        1 => needs.clone().prop_map(Op::WaitNoLonger),
        1 => needs.clone().prop_map(Op::Create),
        8 => needs.prop_map(Op::Start),
        2 => any::<Index>().prop_map(Op::Poll),
        1 => any::<Index>().prop_map(Op::PollElsewhere),
        5 => any::<Index>().prop_map(Op::PollWoken),
        3 => any::<Index>().prop_map(Op::Cancel),
        6 => any::<Index>().prop_map(Op::Release),
        1 => any::<Index>().prop_map(Op::Reduce),
        1 => any::<Index>().prop_map(Op::Split),
        1 => (0..3_usize).prop_map(Op::Add),
        2 => Just(Op::Settle),
    ]
}

struct Waiter {
    need: usize,
    hand: Hand<Acquiring>,
    polled: bool,
}

struct Model {
    lock: Subject,
    total: usize,
    held: Vec<(usize, Guard)>,
    waiters: Vec<Waiter>,
}

impl Model {
    fn new(lock: Subject, total: usize) -> Self {
        Self { lock, total, held: Vec::new(), waiters: Vec::new() }
    }

    fn there(&self) -> usize {
        self.total - self.held.iter().map(|(count, _)| count).sum::<usize>()
    }

    fn is_waited_for(&self) -> bool {
        self.waiters.iter().any(|waiter| waiter.polled)
    }

    fn poll(&mut self, at: usize, elsewhere: bool) {
        let (there, waited_for) = (self.there(), self.is_waited_for());
        let waiter = &mut self.waiters[at];
        if elsewhere {
            waiter.hand.change_task();
        }
        waiter.polled = true;
        let need = waiter.need;
        match waiter.hand.poll() {
            Some(guard) => {
                assert!(need <= there, "{need} of {there} permits were given out");
                self.waiters.remove(at);
                self.held.push((need, guard));
            }
            None => assert!(need > there || (waited_for && need > 0), "{need} of {there} were refused"),
        }
    }

    /// Polls whoever is woken until nobody is. Then no permits may lie about that all could use.
    fn settle(&mut self) {
        while let Some(at) = self.waiters.iter().position(|waiter| waiter.polled && waiter.hand.is_woken()) {
            self.poll(at, false);
        }
        let most = self.waiters.iter().filter(|waiter| waiter.polled).map(|waiter| waiter.need).max();
        assert!(most.is_none_or(|most| most > self.there()), "a wake-up is lost: {} are there", self.there());
    }

    fn apply(&mut self, op: &Op) {
        let pick = |index: &Index, len: usize| (len > 0).then(|| index.index(len));
        match op {
            Op::Try(need) => {
                let guard = self.lock.attempt(*need);
                assert!(guard.is_none() || *need <= self.there());
                assert!(
                    guard.is_some() || *need > self.there() || self.is_waited_for(),
                    "it is refused though {} are there and nobody waits",
                    self.there()
                );
                self.held.extend(guard.map(|guard| (*need, guard)));
            }
            Op::WaitNoLonger(need) => {
                let guard = self.lock.wait_no_longer(*need);
                assert!(guard.is_none() || *need <= self.there());
                assert!(guard.is_some() || *need > self.there() || self.is_waited_for());
                self.held.extend(guard.map(|guard| (*need, guard)));
            }
            Op::Create(need) | Op::Start(need) => {
                let hand = Hand::new(self.lock.acquire(*need));
                self.waiters.push(Waiter { need: *need, hand, polled: false });
                if matches!(op, Op::Start(_)) {
                    self.poll(self.waiters.len() - 1, false);
                }
            }
            Op::Poll(index) | Op::PollElsewhere(index) => {
                if let Some(at) = pick(index, self.waiters.len()) {
                    self.poll(at, matches!(op, Op::PollElsewhere(_)));
                }
            }
            Op::PollWoken(index) => {
                let woken: Vec<_> =
                    (0..self.waiters.len()).filter(|&at| self.waiters[at].hand.is_woken()).collect();
                if let Some(at) = pick(index, woken.len()) {
                    self.poll(woken[at], false);
                }
            }
            Op::Cancel(index) => {
                if let Some(at) = pick(index, self.waiters.len()) {
                    drop(self.waiters.swap_remove(at));
                }
            }
            Op::Release(index) => {
                if let Some(at) = pick(index, self.held.len()) {
                    drop(self.held.swap_remove(at));
                }
            }
            Op::Reduce(index) => {
                if let Some(at) = pick(index, self.held.len()) {
                    self.reduce(at);
                }
            }
            Op::Split(index) => {
                if let Some(at) = pick(index, self.held.len())
                    && let (count @ 1.., Guard::Permits(permits)) = &mut self.held[at]
                {
                    let part = permits.split(1).expect("there is one at least");
                    *count -= 1;
                    self.held.push((1, Guard::Permits(part)));
                }
            }
            Op::Add(count) => {
                if let Subject::Semaphore(lock) = &self.lock {
                    lock.add_permits(*count);
                    self.total += count;
                }
            }
            Op::Settle => self.settle(),
        }
        self.lock.check(self.there(), self.total);
    }

    fn reduce(&mut self, at: usize) {
        match self.held.swap_remove(at) {
            (count, Guard::Permits(permits)) => {
                permits.forget();
                self.total -= count;
            }
            (_, Guard::Writer(writer)) => {
                self.held.push((1, Guard::Reader(OwnedRwLockWriteGuard::downgrade(writer))));
            }
            other => self.held.push(other),
        }
    }

    /// Once nothing is held, everybody who can ever be served is, by being polled when woken only.
    fn finish(mut self) {
        self.held.clear();
        let total = self.total;
        self.waiters.retain(|waiter| waiter.polled && waiter.need <= total);
        loop {
            self.settle();
            if self.held.is_empty() {
                break;
            }
            self.held.clear();
        }
        assert!(self.waiters.is_empty(), "{} wait for ever", self.waiters.len());
        self.lock.check(self.total, self.total);
        drop(self.lock.attempt(self.total).expect("nothing is held"));
    }
}

fn run(lock: Subject, total: usize, program: &[Op]) {
    let mut model = Model::new(lock, total);
    for op in program {
        model.apply(op);
    }
    model.finish();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_mutex_is_one_permit(program in vec(op(Just(1)), 0..60)) {
        run(Subject::Mutex(Arc::default()), 1, &program);
    }

    #[test]
    fn a_rwlock_is_many_permits_of_which_a_writer_takes_all(
        program in vec(op(prop_oneof![Just(1), Just(WHOLE)]), 0..60)
    ) {
        run(Subject::RwLock(Arc::default()), WHOLE, &program);
    }

    #[test]
    fn a_semaphore_never_gives_out_what_it_does_not_have(
        total in 0..6_usize,
        program in vec(op(0..5_usize), 0..60)
    ) {
        run(Subject::Semaphore(Arc::new(Semaphore::new(total))), total, &program);
    }
}
