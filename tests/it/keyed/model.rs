//! Random programs on a `KeyedLock`, each step compared with a list of who holds what.
//!
//! An acquisition of several keys holds none of them while it waits, but a key may be reserved for it, which is left
//! open, and so is which of its keys have an entry because of it. Everything else is exact, but for what only the
//! clock decides (see `model`).

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use latchwork::{
    Fence, KeyedLock,
    keyed::{KeyView, OwnedKeyedGuard, OwnedKeyedManyGuard, Timing},
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use crate::support::Hand;

const KEYS: u8 = 4;

enum Guard {
    One(OwnedKeyedGuard<u8>),
    Many(Box<OwnedKeyedManyGuard<u8>>),
}

impl Guard {
    fn single(&self) -> Vec<&OwnedKeyedGuard<u8>> {
        match self {
            Guard::One(guard) => vec![guard],
            Guard::Many(guards) => guards.iter().collect(),
        }
    }
}

fn many(guards: OwnedKeyedManyGuard<u8>) -> Guard {
    Guard::Many(Box::new(guards))
}

/// What is asked for.
#[derive(Clone, Debug)]
enum Ask {
    Alone(u8),
    Shared(u8),
    Many(Vec<u8>),
}

impl Ask {
    fn keys(&self) -> &[u8] {
        match self {
            Ask::Alone(key) | Ask::Shared(key) => std::slice::from_ref(key),
            Ask::Many(keys) => keys,
        }
    }
}

#[derive(Clone, Debug)]
enum Op {
    Try(Ask),
    WaitNoLonger(Ask),
    Create(Ask),
    Start(Ask),
    Poll(Index),
    PollElsewhere(Index),
    PollWoken(Index),
    Cancel(Index),
    Release(Index),
    View,
    DropViews,
    Settle,
}

fn ask() -> impl Strategy<Value = Ask> {
    prop_oneof![
        4 => (0..KEYS).prop_map(Ask::Alone),
        3 => (0..KEYS).prop_map(Ask::Shared),
        2 => vec(0..KEYS, 0..4).prop_map(Ask::Many),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        3 => ask().prop_map(Op::Try),
        1 => ask().prop_map(Op::WaitNoLonger),
        1 => ask().prop_map(Op::Create),
        9 => ask().prop_map(Op::Start),
        2 => any::<Index>().prop_map(Op::Poll),
        1 => any::<Index>().prop_map(Op::PollElsewhere),
        5 => any::<Index>().prop_map(Op::PollWoken),
        3 => any::<Index>().prop_map(Op::Cancel),
        7 => any::<Index>().prop_map(Op::Release),
        1 => Just(Op::View),
        1 => Just(Op::DropViews),
        2 => Just(Op::Settle),
    ]
}

type Acquiring = Pin<Box<dyn Future<Output = Guard>>>;

struct Waiter {
    ask: Ask,
    hand: Hand<Acquiring>,
    polled: bool,
}

#[derive(Default)]
struct Model {
    held: Vec<Guard>,
    waiters: Vec<Waiter>,
    fences: HashMap<u8, Fence>,
    /// Keys of views that were kept.
    viewed: Vec<u8>,
}

/// What can be had now.
#[derive(PartialEq, Eq, Debug)]
enum Chance {
    Certain,
    Open,
    None,
}

impl Model {
    /// How many hold `key`, and whether they share it.
    fn holders(&self, key: u8) -> (usize, bool) {
        let holds = self.held.iter().flat_map(Guard::single).filter(|guard| *guard.key() == key);
        let shared: Vec<_> = holds.map(|guard| guard.is_shared()).collect();
        assert!(shared.len() <= 1 || shared.iter().all(|shared| *shared), "{key} has two holders");
        (shared.len(), shared.first().is_some_and(|shared| *shared))
    }

    fn waits(&self, key: u8, many: bool) -> bool {
        let waiters = self.waiters.iter().filter(|waiter| waiter.polled);
        waiters
            .filter(|waiter| waiter.ask.keys().contains(&key))
            .any(|waiter| matches!(waiter.ask, Ask::Many(_)) == many)
    }

    fn chance(&self, ask: &Ask, polite: bool) -> Chance {
        let mut chance = Chance::Certain;
        for &key in ask.keys() {
            match (self.holders(key), ask) {
                ((0, _), _) | ((_, true), Ask::Shared(_)) => {
                    if self.waits(key, true) || (polite && self.waits(key, false)) {
                        chance = Chance::Open;
                    }
                }
                _ => return Chance::None,
            }
        }
        chance
    }

    fn grant(&mut self, guard: Guard) {
        for hold in guard.single() {
            let before = self.fences.insert(*hold.key(), hold.fence());
            assert!(before < Some(hold.fence()), "fences of a key rise");
        }
        self.held.push(guard);
    }

    #[track_caller]
    fn judge(&mut self, chance: &Chance, guard: Option<Guard>) {
        match (chance, guard) {
            (Chance::Certain, None) => panic!("refused although nothing is in the way"),
            (Chance::None, Some(_)) => panic!("granted although somebody holds it"),
            (_, guard) => guard.into_iter().for_each(|guard| self.grant(guard)),
        }
    }

    fn poll(&mut self, at: usize, elsewhere: bool) {
        let chance = self.chance(&self.waiters[at].ask, true);
        let waiter = &mut self.waiters[at];
        waiter.polled = true;
        if elsewhere {
            waiter.hand.change_task();
        }
        let guard = waiter.hand.poll();
        if guard.is_some() {
            self.waiters.remove(at);
        }
        self.judge(&chance, guard);
    }

    fn settle(&mut self) {
        while let Some(at) = self.waiters.iter().position(|waiter| waiter.polled && waiter.hand.is_woken()) {
            self.poll(at, false);
        }
    }
}

struct Run {
    keys: Arc<KeyedLock<u8>>,
    model: Model,
}

impl Run {
    fn acquire(&self, ask: &Ask) -> Acquiring {
        match ask {
            Ask::Alone(key) => {
                let acquire = self.keys.lock_owned(*key);
                Box::pin(async move { Guard::One(acquire.await) })
            }
            Ask::Shared(key) => {
                let acquire = self.keys.lock_shared_owned(*key);
                Box::pin(async move { Guard::One(acquire.await) })
            }
            Ask::Many(keys) => {
                let acquire = self.keys.lock_many_owned(keys.clone());
                Box::pin(async move { many(acquire.await) })
            }
        }
    }

    fn attempt(&self, ask: &Ask) -> Option<Guard> {
        match ask {
            Ask::Alone(key) => self.keys.try_lock_owned(*key).ok().map(Guard::One),
            Ask::Shared(key) => self.keys.try_lock_shared_owned(*key).ok().map(Guard::One),
            Ask::Many(keys) => self.keys.try_lock_many_owned(keys.clone()).ok().map(many),
        }
    }

    fn wait_no_longer(&self, ask: &Ask) -> Option<Guard> {
        let zero = Duration::ZERO;
        match ask {
            Ask::Alone(key) => self.keys.lock_owned(*key).wait_timeout(zero).ok().map(Guard::One),
            Ask::Shared(key) => self.keys.lock_shared_owned(*key).wait_timeout(zero).ok().map(Guard::One),
            Ask::Many(keys) => self.keys.lock_many_owned(keys.clone()).wait_timeout(zero).ok().map(many),
        }
    }

    fn apply(&mut self, op: &Op) {
        let pick = |index: &Index, len: usize| (len > 0).then(|| index.index(len));
        match op {
            Op::Try(ask) => {
                let chance = self.model.chance(ask, true);
                let guard = self.attempt(ask);
                self.model.judge(&chance, guard);
            }
            Op::WaitNoLonger(ask) => {
                let chance = self.model.chance(ask, true);
                let guard = self.wait_no_longer(ask);
                self.model.judge(&chance, guard);
            }
            Op::Create(ask) | Op::Start(ask) => {
                let hand = Hand::new(self.acquire(ask));
                self.model.waiters.push(Waiter { ask: ask.clone(), hand, polled: false });
                if matches!(op, Op::Start(_)) {
                    self.model.poll(self.model.waiters.len() - 1, false);
                }
            }
            Op::Poll(index) | Op::PollElsewhere(index) => {
                if let Some(at) = pick(index, self.model.waiters.len()) {
                    self.model.poll(at, matches!(op, Op::PollElsewhere(_)));
                }
            }
            Op::PollWoken(index) => {
                let waiters = &self.model.waiters;
                let woken: Vec<_> = (0..waiters.len()).filter(|&at| waiters[at].hand.is_woken()).collect();
                if let Some(at) = pick(index, woken.len()) {
                    self.model.poll(woken[at], false);
                }
            }
            Op::Cancel(index) => {
                if let Some(at) = pick(index, self.model.waiters.len()) {
                    drop(self.model.waiters.swap_remove(at));
                }
            }
            Op::Release(index) => {
                if let Some(at) = pick(index, self.model.held.len()) {
                    drop(self.model.held.swap_remove(at));
                }
            }
            // Views are kept from one step to another in `run`.
            Op::View | Op::DropViews => {}
            Op::Settle => self.model.settle(),
        }
        self.check();
    }

    /// The table shows exactly what the model holds and waits for.
    fn check(&self) {
        let views = self.keys.snapshot();
        assert_eq!(views.len(), self.keys.len());
        let waiting: usize = views.iter().map(KeyView::waiters).sum();
        assert_eq!(self.keys.counts().waiting, waiting);
        for key in 0..KEYS {
            let (count, shared) = self.model.holders(key);
            let (waits, waits_many) = (self.model.waits(key, false), self.model.waits(key, true));
            let view = views.iter().find(|view| *view.key() == key);
            let seen = view.map_or((0, false), |view| (view.holders(), view.is_shared()));
            assert_eq!(seen, (count, shared), "holders of {key}");
            let is_due = count > 0 || waits || self.model.viewed.contains(&key);
            assert!(view.is_some() || !is_due, "the entry of {key} is gone");
            assert!(view.is_none() || is_due || waits_many, "the entry of {key} stays for nobody");
            assert!(view.is_none_or(|view| view.fence() >= self.model.fences.get(&key).copied()));
        }
    }

    fn finish(mut self) {
        self.model.held.clear();
        self.model.waiters.retain(|waiter| waiter.polled);
        loop {
            self.model.settle();
            if self.model.held.is_empty() {
                break;
            }
            self.model.held.clear();
        }
        assert!(self.model.waiters.is_empty(), "{} wait for ever", self.model.waiters.len());
        assert_eq!(self.keys.len(), 0);
        assert!(Hand::new(self.keys.drained()).poll().is_some());
    }
}

fn run(shards: usize, program: &[Op]) {
    let told: Arc<[AtomicU64; 2]> = Arc::default();
    let book = told.clone();
    let count = move |timing| {
        book[usize::from(matches!(timing, Timing::Held(_)))].fetch_add(1, Ordering::Relaxed);
    };
    let keys = Arc::new(KeyedLock::builder().shards(shards).observe_times(count).build());
    let table = keys.clone();
    let mut run = Run { keys, model: Model::default() };
    let mut views = Vec::new();
    for op in program {
        match op {
            Op::View => views.extend(table.snapshot()),
            Op::DropViews => views.clear(),
            _ => {}
        }
        run.model.viewed = views.iter().map(|view| *view.key()).collect();
        run.apply(op);
    }
    views.clear();
    run.finish();
    let stats = table.counts();
    let [waits, holds] = told.each_ref().map(|count| count.load(Ordering::Relaxed));
    assert_eq!((waits, holds), (stats.waited - stats.cancelled - stats.timed_out, stats.acquired));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_table_of_locks_is_a_list_of_who_holds_what(shards in 1..3_usize, program in vec(op(), 0..60)) {
        run(shards, &program);
    }
}
