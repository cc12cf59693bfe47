//! Who has its turn when: every promise of the waiting core as a program whose polls are driven by hand, without a
//! clock. A *prompt* waiter is polled as soon as it was woken.

use std::any::Any;
use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;

use latchwork::{KeyedLock, KeyedSemaphore, Mutex, RwLock, Semaphore};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use crate::support::{Hand, alone, rounds_of_patience};
use crate::ways::{Acquiring, Way, every_way};

/// How many newcomers may pass the eldest waiter, ...
const TURN: usize = 512;
/// ... and one waiter in all.
const WAIT: usize = 8 * TURN;

/// How many newcomers in a row take what is free, up to more than may.
fn newcomers(way: &Arc<dyn Way>) -> usize {
    (0..10 * WAIT).take_while(|_| Hand::new(way.acquire()).poll().is_some()).count()
}

/// A waiter that was notified by a release.
fn notified(way: &Arc<dyn Way>) -> Hand<Acquiring> {
    let held = way.attempt().expect("it is free");
    let waiter = Hand::queued(way.acquire());
    drop(held);
    assert!(waiter.is_woken());
    waiter
}

#[test]
fn the_eldest_is_passed_so_often_and_no_more() {
    every_way(|way| {
        let mut waiter = notified(&way);
        assert_eq!(newcomers(&way), TURN);
        assert!(way.attempt().is_err(), "nor by those that only try");
        let held = waiter.poll().expect("it is reserved for it");
        drop(held);
        assert!(way.is_free());
        assert_eq!(newcomers(&way), 10 * WAIT, "nobody waits any more");
    });
}

#[test]
fn what_only_tries_is_counted_as_well() {
    every_way(|way| {
        let mut waiter = notified(&way);
        assert_eq!((0..WAIT).take_while(|_| way.attempt().is_ok()).count(), TURN);
        assert_eq!(newcomers(&way), 0);
        assert!(waiter.poll().is_some());
    });
}

/// The first was notified each time, and polled at once, and never had the lock: a newcomer that was refused woke the one
/// behind it, whose turn let newcomers pass anew.
#[test]
fn a_prompt_waiter_is_not_passed_by_the_one_behind_it() {
    every_way(|way| {
        let held = way.attempt().expect("it is free");
        let mut first = Hand::queued(way.acquire());
        let mut behind = Hand::queued(way.acquire());
        drop(held);
        let passed = newcomers(&way);
        let refused = Hand::queued(way.acquire());
        assert!(passed <= TURN && !behind.is_woken());
        assert!(behind.poll().is_none(), "also if it comes without having been woken");
        drop(first.poll().expect("its turn has come"));
        drop(behind.poll_while_woken().expect("and then the next one's"));
        drop(refused);
    });
}

/// The same with readers, of whom one that queued behind the writer went first.
#[test]
fn a_prompt_writer_is_not_passed_by_the_reader_behind_it() {
    let lock = RwLock::new(());
    let keys = KeyedLock::<u32>::new();
    for _ in 0..3 {
        let held = (lock.try_read().expect("it is free"), keys.try_lock_shared(1).expect("it is free"));
        let mut writer = (Hand::queued(lock.write()), Hand::queued(keys.lock(1)));
        let mut behind = (Hand::queued(lock.read()), Hand::queued(keys.lock_shared(1)));
        drop(held);
        assert!(writer.0.is_woken() && writer.1.is_woken());
        let newcomer = (Hand::queued(lock.read()), Hand::queued(keys.lock_shared(1)));
        assert!(behind.0.poll().is_none() && behind.1.poll().is_none());
        drop((writer.0.poll().expect("its turn"), writer.1.poll().expect("its turn")));
        assert!(behind.0.poll_while_woken().is_some() && behind.1.poll_while_woken().is_some());
        drop(newcomer);
    }
}

#[test]
fn a_reader_does_not_pass_a_writer_that_waits_for_readers() {
    let lock = RwLock::new(());
    let held = lock.try_read().expect("it is free");
    let mut writer = Hand::queued(lock.write());
    assert!(lock.try_read().is_err());
    let mut second = Hand::queued(lock.read());
    drop(held);
    assert!(second.poll().is_none());
    let held = writer.poll_while_woken().expect("the readers are gone");
    drop(held);
    assert!(second.poll_while_woken().is_some());
}

/// The clock was read at a few passes only, and sixteen long holds in a row passed a waiter.
#[test]
fn a_waiter_that_meets_a_long_hold_is_passed_by_that_one_alone() {
    every_way(|way| {
        let mut waiter = notified(&way);
        // However many quick ones passed before it was notified.
        let long = way.attempt().expect("a release hands nothing over");
        assert!(waiter.poll().is_none(), "it came while the hold lasts");
        drop(long);
        assert_eq!(newcomers(&way), 0, "it does not come in vain again");
        assert!(waiter.is_woken() && waiter.poll().is_some());
    });
}

#[test]
fn where_holds_are_long_the_next_waiters_have_their_turns_in_order() {
    every_way(|way| {
        let mut first = notified(&way);
        let long = way.attempt().expect("a release hands nothing over");
        assert!(first.poll().is_none());
        drop(long);
        let held = first.poll().expect("its turn");
        let mut second = Hand::queued(way.acquire());
        drop(held);
        assert_eq!(newcomers(&way), 0, "it would come in vain, too");
        drop(second.poll().expect("its turn"));
        // After some turns it is found out anew.
        let mut third = notified(&way);
        assert_eq!(newcomers(&way), TURN);
        assert!(third.poll().is_some());
    });
}

#[test]
fn a_waiter_does_not_come_in_vain_a_fourth_time() {
    every_way(|way| {
        let mut waiter = notified(&way);
        for _ in 0..3 {
            // More than a few quick ones pass, and then one is there when it comes.
            for _ in 0..20 {
                drop(Hand::new(way.acquire()).poll().expect("it may be passed"));
            }
            let held = way.attempt().expect("it may be passed");
            assert!(waiter.poll().is_none());
            drop(held);
            assert!(waiter.is_woken());
        }
        assert_eq!(newcomers(&way), 0);
        assert!(waiter.poll().is_some());
    });
}

/// They went back to the front one after the other, and beyond the eighth the later one before the earlier.
#[test]
fn those_who_came_in_vain_keep_their_order_however_many_they_are() {
    let lock = RwLock::new(());
    let writer = lock.try_write().expect("it is free");
    let mut readers: Vec<_> = (0..30).map(|_| Hand::queued(lock.read())).collect();
    drop(writer);
    assert!(readers.iter().all(Hand::is_woken));
    let writer = lock.try_write().expect("a release hands nothing over");
    for reader in &mut readers {
        assert!(reader.poll().is_none());
    }
    drop(writer);
    // One after the other, as each one's place in the line is seen by what its leaving changes.
    let semaphore = Semaphore::new(30);
    let held = semaphore.acquire_many(30).wait();
    let mut ones: Vec<_> = (0..30).map(|_| Hand::queued(semaphore.acquire())).collect();
    drop(held);
    let mut held = semaphore.try_acquire_many(30).expect("a release hands nothing over");
    for at in (0..30).map(|at| at * 7 % 30) {
        assert!(ones[at].poll().is_none());
    }
    let mut permits = Vec::new();
    for at in 0..30 {
        drop(held.split(1).expect("they are all held"));
        let woken: Vec<_> = (0..30).filter(|at| ones[*at].is_woken()).collect();
        assert_eq!(woken, [at]);
        permits.push(ones[at].poll().expect("its turn"));
    }
    assert!(readers.iter_mut().all(|reader| reader.poll_while_woken().is_some()));
}

#[test]
fn a_late_waiter_has_its_place_again_when_it_comes() {
    alone("wait::fairness::a_late_waiter_has_its_place_again_when_it_comes", || {
        every_way(|way| {
            let held = way.attempt().expect("it is free");
            let mut late = Hand::queued(way.acquire());
            let mut second = Hand::queued(way.acquire());
            let third = Hand::queued(way.acquire());
            drop(held);
            rounds_of_patience();
            let held = second.poll_while_woken().expect("the first one did not come");
            assert!(late.poll().is_none());
            drop(held);
            assert!(late.is_woken() && !third.is_woken(), "it came first");
            assert_eq!(newcomers(&way), 0, "and is not passed again");
            assert!(late.poll().is_some());
        });
    });
}

#[test]
fn a_line_learns_how_late_its_waiters_come() {
    alone("wait::fairness::a_line_learns_how_late_its_waiters_come", || {
        let mutex = Mutex::new(());
        let mut held = mutex.try_lock().expect("it is free");
        for patience in [2, 6] {
            let mut late = Hand::queued(mutex.lock());
            let second = Hand::queued(mutex.lock());
            drop(held);
            for _ in 0..patience {
                latchwork::helper::round();
                assert!(!second.is_woken());
            }
            latchwork::helper::round();
            assert!(second.is_woken(), "it is given up after {patience} rounds");
            held = late.poll().expect("nobody holds it");
        }
        drop(held);
    });
}

#[test]
fn single_permits_go_past_one_that_wants_more_than_there_are() {
    let (semaphore, keys) = (Semaphore::new(2), KeyedSemaphore::<u32>::new(2));
    let too_many = (Hand::queued(semaphore.acquire_many(3)), Hand::queued(keys.acquire_many(1, 3)));
    for _ in 0..2 * WAIT {
        drop(Hand::new(semaphore.acquire()).poll().expect("two are there"));
        drop(Hand::new(keys.acquire(1)).poll().expect("two are there"));
    }
    let held = (semaphore.acquire_many(2).wait(), keys.acquire_many(1, 2).wait());
    let mut queued = (Hand::queued(semaphore.acquire()), Hand::queued(keys.acquire(1)));
    drop(held);
    assert!(queued.0.poll_while_woken().is_some() && queued.1.poll_while_woken().is_some());
    assert!(semaphore.try_acquire_many(3).is_err_and(|busy| busy.waiters == 1), "it waits all the same");
    drop(too_many);
}

#[test]
fn one_that_wanted_more_than_there_were_has_its_place_when_there_are() {
    let semaphore = Semaphore::new(0);
    let mut waiters = [2, 1, 4, 1].map(|need| Hand::queued(semaphore.acquire_many(need)));
    let woken = |waiters: &[Hand<_>; 4]| waiters.each_ref().map(Hand::is_woken);
    semaphore.add_permits(1);
    assert_eq!(woken(&waiters), [false, true, false, false], "more than there is is wanted by the others");
    semaphore.add_permits(1);
    assert_eq!(woken(&waiters), [true, true, false, false], "the first came before the second");
    assert!(waiters[1].poll().is_none(), "it comes in vain: both are for the first");
    drop(waiters[0].poll().expect("its turn"));
    drop(waiters[1].poll_while_woken().expect("its turn"));
    semaphore.add_permits(2);
    drop(waiters[2].poll_while_woken().expect("there are four"));
    drop(waiters[3].poll_while_woken().expect("its turn"));
}

#[test]
fn permits_that_are_forgotten_set_those_aside_who_want_more_than_are_left() {
    let semaphore = Semaphore::new(3);
    let held = semaphore.acquire_many(2).wait();
    let mut three = Hand::queued(semaphore.acquire_many(3));
    let mut one = Hand::queued(semaphore.acquire());
    assert!(one.poll().is_none(), "it stands behind the other one");
    held.forget();
    assert!(one.poll_while_woken().is_some(), "which can't be served any more");
    semaphore.add_permits(2);
    assert_eq!(three.poll_while_woken().map(|three| three.count()), Some(3));
}

#[test]
fn newcomers_take_what_is_left_when_there_is_enough_for_all_who_wait() {
    let semaphore = Semaphore::new(3);
    let held = semaphore.acquire_many(3).wait();
    let mut one = Hand::queued(semaphore.acquire());
    drop(held);
    for _ in 0..2 * WAIT {
        drop(Hand::new(semaphore.acquire_many(2)).poll().expect("three are there, one is claimed"));
    }
    assert!(one.poll().is_some());
}

type Held = Box<dyn Any>;

type Acquired = Pin<Box<dyn Future<Output = Held>>>;

/// What the reference knows of a waiter.
struct Waiting {
    hand: Hand<Acquired>,
    need: usize,
    /// Never polled again: nobody has to wait for it for long, and nothing is promised to it.
    silent: bool,
    /// How many that came after it took permits that it could have used.
    passed: usize,
    /// How many stood before it when it came.
    older: usize,
}

#[derive(Clone, Debug)]
enum Op {
    /// So many newcomers take and release, one after the other.
    Newcomers(usize, usize),
    /// A newcomer takes and holds, or queues.
    Hold(usize),
    Try(usize),
    Queue(usize),
    QueueSilent(usize),
    Release(Index),
    Cancel(Index),
}

fn op(needs: impl Strategy<Value = usize> + Clone + 'static) -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (needs.clone(), prop_oneof![1..20_usize, 400..1500_usize])
            .prop_map(|(need, count)| Op::Newcomers(need, count)),
        3 => needs.clone().prop_map(Op::Hold),
        2 => needs.clone().prop_map(Op::Try),
        4 => needs.clone().prop_map(Op::Queue),
        1 => needs.prop_map(Op::QueueSilent),
        6 => any::<Index>().prop_map(Op::Release),
        1 => any::<Index>().prop_map(Op::Cancel),
    ]
}

/// What is tried out: permits, of which `need` are taken; [`ALL`] are all of a read-write lock.
trait Subject {
    fn acquire(&self, need: usize) -> Acquired;
    fn attempt(&self, need: usize) -> Option<Held>;
}

const ALL: usize = 1000;

impl Subject for Arc<RwLock<()>> {
    fn acquire(&self, need: usize) -> Acquired {
        if need == ALL {
            let acquire = self.write_owned();
            return Box::pin(async move { Box::new(acquire.await) as _ });
        }
        let acquire = self.read_owned();
        Box::pin(async move { Box::new(acquire.await) as _ })
    }

    fn attempt(&self, need: usize) -> Option<Held> {
        if need == ALL {
            return self.try_write_owned().ok().map(|guard| Box::new(guard) as _);
        }
        self.try_read_owned().ok().map(|guard| Box::new(guard) as _)
    }
}

impl Subject for Arc<Semaphore> {
    fn acquire(&self, need: usize) -> Acquired {
        let acquire = self.acquire_many_owned(need);
        Box::pin(async move { Box::new(acquire.await) as _ })
    }

    fn attempt(&self, need: usize) -> Option<Held> {
        self.try_acquire_many_owned(need).ok().map(|guard| Box::new(guard) as _)
    }
}

impl Subject for Arc<KeyedLock<u32>> {
    fn acquire(&self, need: usize) -> Acquired {
        let acquire = if need == ALL { None } else { Some(self.lock_shared_owned(1)) };
        let alone = if need == ALL { Some(self.lock_owned(1)) } else { None };
        Box::pin(async move {
            match (acquire, alone) {
                (Some(shared), _) => Box::new(shared.await) as _,
                (_, Some(alone)) => Box::new(alone.await) as _,
                _ => unreachable!("one of them is made"),
            }
        })
    }

    fn attempt(&self, need: usize) -> Option<Held> {
        if need == ALL {
            return self.try_lock_owned(1).ok().map(|guard| Box::new(guard) as _);
        }
        self.try_lock_shared_owned(1).ok().map(|guard| Box::new(guard) as _)
    }
}

/// Plays programs, and polls every prompt waiter as soon as it is woken.
struct Reference<S> {
    subject: S,
    there: usize,
    held: Vec<(usize, Held)>,
    /// In the order in which they came.
    waiting: VecDeque<Waiting>,
}

impl<S: Subject> Reference<S> {
    /// Permits were taken by one that came after the first `before` waiters.
    fn taken(&mut self, need: usize, before: usize) {
        self.there -= need;
        for waiter in self.waiting.iter_mut().take(before) {
            // It could have used them, and now can't.
            let passed = waiter.need > self.there && waiter.need <= self.there + need;
            waiter.passed += usize::from(passed);
        }
    }

    fn serve(&mut self) {
        while let Some(at) = self.waiting.iter().position(|waiter| !waiter.silent && waiter.hand.is_woken()) {
            if let Some(guard) = self.waiting[at].hand.poll() {
                let need = self.waiting[at].need;
                self.taken(need, at);
                self.waiting.remove(at);
                self.held.push((need, guard));
            }
        }
        for waiter in self.waiting.iter().filter(|waiter| !waiter.silent) {
            let most = WAIT + waiter.older;
            assert!(
                waiter.passed <= most,
                "one that wants {} was passed {} times",
                waiter.need,
                waiter.passed
            );
        }
    }

    fn newcomer(&mut self, need: usize) -> Option<Held> {
        let guard = Hand::new(self.subject.acquire(need)).poll()?;
        self.taken(need, self.waiting.len());
        Some(guard)
    }

    fn queue(&mut self, need: usize, silent: bool) {
        let mut hand = Hand::new(self.subject.acquire(need));
        match hand.poll() {
            Some(guard) => {
                self.taken(need, self.waiting.len());
                self.held.push((need, guard));
            }
            None => {
                let older = self.waiting.len();
                self.waiting.push_back(Waiting { hand, need, silent, passed: 0, older });
            }
        }
    }

    fn apply(&mut self, op: &Op) {
        match op {
            Op::Newcomers(need, count) => {
                for _ in 0..*count {
                    let Some(guard) = self.newcomer(*need) else { break };
                    drop(guard);
                    self.there += need;
                    self.serve();
                }
            }
            Op::Hold(need) => {
                if let Some(guard) = self.newcomer(*need) {
                    self.held.push((*need, guard));
                }
            }
            Op::Try(need) => {
                if let Some(guard) = self.subject.attempt(*need) {
                    self.taken(*need, self.waiting.len());
                    self.held.push((*need, guard));
                }
            }
            Op::Queue(need) => self.queue(*need, false),
            Op::QueueSilent(need) => self.queue(*need, true),
            Op::Release(index) if !self.held.is_empty() => {
                let (need, guard) = self.held.swap_remove(index.index(self.held.len()));
                drop(guard);
                self.there += need;
            }
            Op::Cancel(index) if !self.waiting.is_empty() => {
                let at = index.index(self.waiting.len());
                self.waiting.remove(at);
            }
            Op::Release(_) | Op::Cancel(_) => {}
        }
        self.serve();
    }

    /// Everything is released again and again, and every prompt waiter has its turn.
    fn finish(mut self) {
        for _ in 0..200 {
            for (need, guard) in std::mem::take(&mut self.held) {
                drop(guard);
                self.there += need;
                self.serve();
            }
            if self.waiting.iter().all(|waiter| waiter.silent) {
                return;
            }
            rounds_of_patience();
            self.serve();
        }
        panic!("prompt waiters wait, and everything is free");
    }
}

fn play<S: Subject>(subject: S, total: usize, program: &[Op]) {
    let mut reference = Reference { subject, there: total, held: Vec::new(), waiting: VecDeque::new() };
    for op in program {
        reference.apply(op);
    }
    reference.finish();
}

fn prompt_waiters_are_passed_as_often_as_they_may_be() {
    let config = ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() };
    let or_all = || prop_oneof![3 => Just(1_usize), 1 => Just(ALL)];
    proptest!(config.clone(), |(program in vec(op(or_all()), 0..60))| {
        play(Arc::new(RwLock::new(())), ALL, &program);
    });
    proptest!(config.clone(), |(program in vec(op(or_all()), 0..60))| {
        play(Arc::new(KeyedLock::<u32>::new()), ALL, &program);
    });
    proptest!(config, |(total in 1..6_usize, program in vec(op(1..6_usize), 0..60))| {
        // Nobody wants more than there are: see above for those.
        let program: Vec<Op> = program.into_iter().map(|op| at_most(op, total)).collect();
        play(Arc::new(Semaphore::new(total)), total, &program);
    });
}

fn at_most(op: Op, total: usize) -> Op {
    match op {
        Op::Newcomers(need, count) => Op::Newcomers(need.min(total), count),
        Op::Hold(need) => Op::Hold(need.min(total)),
        Op::Try(need) => Op::Try(need.min(total)),
        Op::Queue(need) => Op::Queue(need.min(total)),
        Op::QueueSilent(need) => Op::QueueSilent(need.min(total)),
        op @ (Op::Release(_) | Op::Cancel(_)) => op,
    }
}

#[test]
fn whatever_happens_around_them_prompt_waiters_are_passed_as_often_as_they_may_be() {
    alone(
        "wait::fairness::whatever_happens_around_them_prompt_waiters_are_passed_as_often_as_they_may_be",
        prompt_waiters_are_passed_as_often_as_they_may_be,
    );
}
