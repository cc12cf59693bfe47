//! Random programs on a cell and on a map, each step compared with a plain table of values and stamps.
//!
//! Waits are futures polled by hand. At every step those whose version is over must have been woken, and
//! no others may come to an end.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::future::Future;

use latchwork::{
    Stamp, Versioned, VersionedMap,
    stamp::StampSource,
    versioned::{Change, Expect, Snapshot, WriteError},
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use crate::support::Hand;

const KEYS: [u8; 3] = [0, 1, 2];
const MAX: u64 = Stamp::MAX.get();

/// An expectation, as seen from the version that there is.
#[derive(Clone, Debug)]
enum Wanted {
    Any,
    Absent,
    Present,
    /// So far from the latest version of the key.
    Exact(i8),
    OneOf(Vec<i8>),
    NoneOf(Vec<i8>),
}

impl Wanted {
    fn expect(&self, last: u64) -> Expect {
        let near = |offset: i8| {
            let number = last.saturating_add_signed(offset.into()).clamp(1, MAX);
            Stamp::new(number).expect("it is clamped")
        };
        match self {
            Self::Any => Expect::Any,
            Self::Absent => Expect::Absent,
            Self::Present => Expect::Present,
            Self::Exact(offset) => near(*offset).into(),
            Self::OneOf(offsets) => Expect::OneOf(offsets.iter().map(|offset| near(*offset)).collect()),
            Self::NoneOf(offsets) => Expect::NoneOf(offsets.iter().map(|offset| near(*offset)).collect()),
        }
    }
}

/// What a closure comes to.
#[derive(Clone, Copy, Debug)]
enum Verdict {
    Keep,
    Set,
    Refuse,
}

#[derive(Clone, Debug)]
enum Op {
    Upsert(u8, Wanted, u32),
    /// A closure that is disturbed so often by another write of its key.
    Update(u8, Wanted, Verdict, u8),
    Remove(u8, Wanted),
    Seed(u8, u32, i8),
    ChangesSince(u8),
    Wait(u8),
    /// A wait for another version than there is.
    WaitLess(u8, i8),
    Poll(Index),
    Cancel(Index),
}

fn wanted() -> impl Strategy<Value = Wanted> {
    let offset = || prop_oneof![4 => Just(0_i8), 1 => -2..=2_i8];
    prop_oneof![
        2 => Just(Wanted::Any),
        1 => Just(Wanted::Absent),
        1 => Just(Wanted::Present),
        4 => offset().prop_map(Wanted::Exact),
        2 => vec(offset(), 0..3).prop_map(Wanted::OneOf),
        2 => vec(offset(), 0..3).prop_map(Wanted::NoneOf),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    let key = || (0..KEYS.len() as u8).prop_map(|at| KEYS[usize::from(at)]);
    let verdict =
        prop_oneof![Just(Verdict::Keep), Just(Verdict::Set), Just(Verdict::Set), Just(Verdict::Refuse)];
    prop_oneof![
        5 => (key(), wanted(), any::<u32>()).prop_map(|(key, wanted, value)| Op::Upsert(key, wanted, value)),
        6 => (key(), wanted(), verdict, prop_oneof![3 => Just(0_u8), 1 => 1..3_u8])
            .prop_map(|(key, wanted, verdict, disturbed)| Op::Update(key, wanted, verdict, disturbed)),
        3 => (key(), wanted()).prop_map(|(key, wanted)| Op::Remove(key, wanted)),
        2 => (key(), any::<u32>(), -3..4_i8).prop_map(|(key, value, offset)| Op::Seed(key, value, offset)),
        1 => (0..6_u8).prop_map(Op::ChangesSince),
        5 => key().prop_map(Op::Wait),
        1 => (key(), -1..2_i8).prop_map(|(key, offset)| Op::WaitLess(key, offset)),
        3 => any::<Index>().prop_map(Op::Poll),
        2 => any::<Index>().prop_map(Op::Cancel),
    ]
}

/// A value and its stamp.
type Found = Option<(u32, u64)>;

/// What came of a write.
#[derive(PartialEq, Debug)]
enum Outcome {
    Stored(u32, u64),
    Conflict { expected: Expect, current: Found, rejected: Option<u32> },
    Refused,
    Exhausted,
}

fn shown(snapshot: &Snapshot<u32>) -> (u32, u64) {
    (**snapshot, snapshot.stamp().get())
}

impl<E> From<Result<Snapshot<u32>, WriteError<u32, E>>> for Outcome {
    fn from(result: Result<Snapshot<u32>, WriteError<u32, E>>) -> Self {
        match result {
            Ok(stored) => Self::Stored(*stored, stored.stamp().get()),
            Err(WriteError::Conflict(conflict)) => Self::Conflict {
                expected: conflict.expected,
                current: conflict.current.as_ref().map(shown),
                rejected: conflict.rejected,
            },
            Err(WriteError::Refused(_)) => Self::Refused,
            Err(_) => Self::Exhausted,
        }
    }
}

/// The plain table.
struct Model {
    keys: BTreeMap<u8, (u32, u64)>,
    latest: u64,
    /// The latest stamp that each key had, there or not.
    last: BTreeMap<u8, u64>,
}

impl Model {
    fn new(latest: u64) -> Self {
        Self { keys: BTreeMap::new(), latest, last: BTreeMap::new() }
    }

    fn find(&self, key: u8) -> Found {
        self.keys.get(&key).copied()
    }

    fn last(&self, key: u8) -> u64 {
        self.last.get(&key).copied().unwrap_or(self.latest)
    }

    fn store(&mut self, key: u8, value: u32, stamp: u64) {
        self.keys.insert(key, (value, stamp));
        self.last.insert(key, stamp);
        self.latest = self.latest.max(stamp);
    }

    fn put(&mut self, key: u8, value: u32) -> Outcome {
        if self.latest == MAX {
            return Outcome::Exhausted;
        }
        self.store(key, value, self.latest + 1);
        Outcome::Stored(value, self.latest)
    }

    fn admits(&self, key: u8, expect: &Expect) -> bool {
        expect.admits(self.find(key).and_then(|(_, stamp)| Stamp::new(stamp)))
    }

    fn upsert(&mut self, key: u8, expect: &Expect, value: u32) -> Outcome {
        if self.admits(key, expect) {
            return self.put(key, value);
        }
        Outcome::Conflict { expected: expect.clone(), current: self.find(key), rejected: Some(value) }
    }

    fn update(&mut self, key: u8, expect: &Expect, verdict: Verdict, mut disturbed: u8) -> Outcome {
        let mut rejected = None;
        loop {
            let (found, admitted) = (self.find(key), self.admits(key, expect));
            let Some((value, stamp)) = found.filter(|_| admitted) else {
                let expected = if admitted { Expect::Present } else { expect.clone() };
                return Outcome::Conflict { expected, current: found, rejected };
            };
            let is_disturbed = disturbed > 0 && self.put(key, disturb(value)) != Outcome::Exhausted;
            disturbed = disturbed.saturating_sub(1);
            match verdict {
                Verdict::Keep => return Outcome::Stored(value, stamp),
                Verdict::Refuse => return Outcome::Refused,
                Verdict::Set if is_disturbed => rejected = Some(change(value)),
                Verdict::Set => return self.put(key, change(value)),
            }
        }
    }
}

fn change(value: u32) -> u32 {
    value.wrapping_mul(3).wrapping_add(1)
}

fn disturb(value: u32) -> u32 {
    value ^ 1
}

/// A closure that first writes to its own key through `write`, so often.
fn closure<'a>(
    verdict: Verdict,
    disturbed: u8,
    write: impl Fn() + 'a,
) -> impl FnMut(&u32) -> Result<Change<u32>, ()> + 'a {
    let left = Cell::new(disturbed);
    move |value| {
        if left.get() > 0 {
            left.set(left.get() - 1);
            write();
        }
        match verdict {
            Verdict::Keep => Ok(Change::Keep),
            Verdict::Set => Ok(Change::Set(change(*value))),
            Verdict::Refuse => Err(()),
        }
    }
}

/// One who waits for the end of a version.
struct Waiter<F> {
    key: u8,
    stamp: u64,
    hand: Hand<F>,
}

/// Those who wait, and what they are entitled to.
struct Waiters<F>(Vec<Waiter<F>>);

impl<F: Future> Waiters<F> {
    fn begin(&mut self, key: u8, stamp: u64, future: F, model: &Model, found: impl Fn(F::Output) -> Found) {
        self.0.push(Waiter { key, stamp, hand: Hand::new(future) });
        self.poll(self.0.len() - 1, model, found);
    }

    fn poll(&mut self, at: usize, model: &Model, found: impl Fn(F::Output) -> Found) {
        let waiter = &mut self.0[at];
        let there = model.find(waiter.key);
        let is_over = there.map(|(_, stamp)| stamp) != Some(waiter.stamp);
        match waiter.hand.poll() {
            Some(out) => {
                assert!(is_over, "it waits for the end of what is there");
                assert_eq!(found(out), there);
                self.0.swap_remove(at);
            }
            None => assert!(!is_over, "it waits for what has come already"),
        }
    }

    fn check(&self, model: &Model) {
        for Waiter { key, stamp, hand } in &self.0 {
            let is_over = model.find(*key).map(|(_, now)| now) != Some(*stamp);
            assert!(!is_over || hand.is_woken(), "a waiter was not told");
        }
    }

    fn apply(&mut self, op: &Op, model: &Model, found: impl Fn(F::Output) -> Found) {
        match op {
            Op::Poll(index) if !self.0.is_empty() => self.poll(index.index(self.0.len()), model, found),
            Op::Cancel(index) if !self.0.is_empty() => drop(self.0.swap_remove(index.index(self.0.len()))),
            _ => {}
        }
    }
}

/// A stamp near that one.
fn near(number: u64, offset: i8) -> Stamp {
    Stamp::new(number.saturating_add_signed(offset.into()).clamp(1, MAX)).expect("it is clamped")
}

fn run_map(latest: u64, program: &[Op]) {
    let source = Stamp::new(latest).map_or_else(StampSource::new, StampSource::after);
    let map = VersionedMap::builder().stamps(source).shards(1).build();
    let mut model = Model::new(latest);
    let mut waiters = Waiters(Vec::new());
    let found = |next: Option<Snapshot<u32>>| next.as_ref().map(shown);
    for op in program {
        match op {
            Op::Upsert(key, wanted, value) => {
                let expect = wanted.expect(model.last(*key));
                let is_new = model.find(*key).is_none();
                let outcome = match expect {
                    Expect::Absent => map.insert_new(*key, *value).into(),
                    _ => match map.upsert(*key, expect.clone(), *value) {
                        Ok(upserted) => {
                            assert_eq!(upserted.created, is_new);
                            Outcome::Stored(*value, upserted.stamp.get())
                        }
                        Err(error) => Outcome::from(Err(error)),
                    },
                };
                assert_eq!(outcome, model.upsert(*key, &expect, *value));
            }
            Op::Update(key, wanted, verdict, disturbed) => {
                let expect = wanted.expect(model.last(*key));
                let write = || drop(map.modify(key, |value| disturb(*value)));
                let outcome = map.try_update(key, expect.clone(), closure(*verdict, *disturbed, write));
                assert_eq!(Outcome::from(outcome), model.update(*key, &expect, *verdict, *disturbed));
            }
            Op::Remove(key, wanted) => {
                let expect = wanted.expect(model.last(*key));
                let there = model.find(*key);
                match map.remove(key, expect.clone()) {
                    Ok(removed) => {
                        assert!(model.admits(*key, &expect));
                        assert_eq!(removed.as_ref().map(shown), there);
                        model.keys.remove(key);
                    }
                    Err(conflict) => {
                        assert!(!model.admits(*key, &expect));
                        assert_eq!(
                            (conflict.current.as_ref().map(shown), conflict.expected),
                            (there, expect)
                        );
                    }
                }
            }
            Op::Seed(key, value, offset) => {
                let stamp = near(model.last(*key), *offset);
                let is_newer = model.find(*key).is_none_or(|(_, own)| own < stamp.get());
                let seeded = map.seed(*key, *value, stamp);
                let is_damaged = stamp > StampSource::MAX_OBSERVED && stamp.get() > model.latest;
                assert_eq!(seeded.ok(), (!is_newer || !is_damaged).then_some(is_newer));
                if is_newer && !is_damaged {
                    model.store(*key, *value, stamp.get());
                }
            }
            Op::ChangesSince(back) => {
                let since = Stamp::new(model.latest.saturating_sub((*back).into()));
                let mut changes = map.changed_since(since);
                changes.keys.sort_unstable();
                let newer = |stamp: u64| since.is_none_or(|since| stamp > since.get());
                let expected: Vec<_> = model.keys.iter().filter(|(_, (_, stamp))| newer(*stamp)).collect();
                let expected: Vec<_> = expected.iter().map(|&(key, (_, stamp))| (*key, *stamp)).collect();
                let got: Vec<_> = changes.keys.iter().map(|(key, stamp)| (*key, stamp.get())).collect();
                assert_eq!((got, changes.upto), (expected, Stamp::new(model.latest)));
            }
            Op::Wait(key) | Op::WaitLess(key, _) => {
                let offset = if let Op::WaitLess(_, offset) = op { *offset } else { 0 };
                let stamp = near(model.last(*key), offset);
                let key = &KEYS[usize::from(*key)];
                waiters.begin(*key, stamp.get(), map.changed(key, stamp), &model, found);
            }
            Op::Poll(_) | Op::Cancel(_) => waiters.apply(op, &model, found),
        }
        waiters.check(&model);
        for key in KEYS {
            assert_eq!(map.get(&key).as_ref().map(shown), model.find(key));
            assert_eq!(map.stamp(&key).map(Stamp::get), model.find(key).map(|(_, stamp)| stamp));
        }
        assert_eq!((map.len(), map.is_empty()), (model.keys.len(), model.keys.is_empty()));
    }
    let mut all: Vec<_> = map.snapshot().into_iter().map(|(key, value)| (key, shown(&value))).collect();
    all.sort_unstable();
    assert_eq!(all, Vec::from_iter(model.keys));
    let mut keys = map.keys();
    keys.sort_unstable();
    assert!(keys.iter().eq(all.iter().map(|(key, _)| key)));
}

/// The same program on a cell, which has the first key always: it can't be removed or seeded.
fn run_cell(stamp: u64, program: &[Op]) {
    let cell = Versioned::starting_at(0, Stamp::new(stamp).expect("it is in range"));
    let mut model = Model::new(stamp);
    model.store(0, 0, stamp);
    let mut waiters = Waiters(Vec::new());
    let found = |next: Snapshot<u32>| Some(shown(&next));
    for op in program {
        let last = model.last(0);
        match op {
            Op::Upsert(_, wanted, value) => {
                let expect = wanted.expect(last);
                let outcome = cell.compare_and_set(expect.clone(), *value);
                assert_eq!(Outcome::from(outcome), model.upsert(0, &expect, *value));
            }
            Op::Update(_, wanted, verdict, disturbed) => {
                let expect = wanted.expect(last);
                let write = || drop(cell.modify(|value| disturb(*value)));
                let outcome = cell.try_update(expect.clone(), closure(*verdict, *disturbed, write));
                assert_eq!(Outcome::from(outcome), model.update(0, &expect, *verdict, *disturbed));
            }
            Op::Wait(_) | Op::WaitLess(..) => {
                let stamp = near(last, if let Op::WaitLess(_, offset) = op { *offset } else { 0 });
                waiters.begin(0, stamp.get(), cell.changed(stamp), &model, found);
            }
            Op::Remove(..) | Op::Seed(..) | Op::ChangesSince(_) => {}
            Op::Poll(_) | Op::Cancel(_) => waiters.apply(op, &model, found),
        }
        waiters.check(&model);
        assert_eq!(Some(shown(&cell.snapshot())), model.find(0));
        assert!(cell.is_current(cell.stamp()) && cell.stamp().get() == model.latest);
    }
    drop(waiters);
    assert_eq!(Some(*cell.into_arc()), model.find(0).map(|(value, _)| value));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_map_is_a_table_of_values_and_stamps(
        latest in prop_oneof![2 => 0..3_u64, 1 => MAX - 6..=MAX],
        program in vec(op(), 0..50)
    ) {
        run_map(latest, &program);
    }

    #[test]
    fn a_cell_is_a_table_with_one_key(
        stamp in prop_oneof![2 => 1..3_u64, 1 => MAX - 6..=MAX],
        program in vec(op(), 0..50)
    ) {
        run_cell(stamp, &program);
    }
}
