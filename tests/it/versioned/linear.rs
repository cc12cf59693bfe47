//! A versioned value and a map of them in the hands of two or three threads, checked for linearizability.
//!
//! The stamps are part of the answers: of a cell and of a map each write's stamp is the next one, in the
//! order in which the calls can be put.

use std::sync::Arc;
use std::thread;

use fastrand::Rng;
use latchwork::{
    Stamp, Versioned, VersionedMap,
    versioned::{Change, Expect, Snapshot, WriteError},
};

use crate::history::{EntryOf, Recorder, Spec, gather, is_linear};

const HISTORIES: u64 = 700;

/// A value and its stamp.
type Found = Option<(u64, u64)>;

#[derive(Clone, PartialEq, Debug)]
enum Call {
    Get(usize),
    Stamp(usize),
    /// Sets a value, whatever key it has or has not.
    Upsert(usize, Expect, u64),
    /// Adds one.
    Update(usize, Expect),
    /// Looks and keeps.
    Keep(usize, Expect),
    Remove(usize, Expect),
    Seed(usize, u64, u64),
}

#[derive(Clone, PartialEq, Debug)]
enum Answer {
    Found(Found),
    Stamp(Option<u64>),
    /// What was stored or kept.
    Stored(u64, u64),
    Removed(Found),
    Seeded(bool),
    /// What was there instead.
    Conflict(Found),
}

/// Two keys, of which a cell has the first; and the latest stamp.
#[derive(Clone, Debug)]
struct World {
    keys: [Found; 2],
    latest: u64,
}

impl World {
    fn put(&mut self, key: usize, value: u64) -> Answer {
        self.latest += 1;
        self.keys[key] = Some((value, self.latest));
        Answer::Stored(value, self.latest)
    }

    /// What a call does, and its answer.
    fn call(&mut self, call: &Call) -> Answer {
        let (Call::Get(key)
        | Call::Stamp(key)
        | Call::Upsert(key, ..)
        | Call::Update(key, _)
        | Call::Keep(key, _)
        | Call::Remove(key, _)
        | Call::Seed(key, ..)) = *call;
        let found = self.keys[key];
        let admits = |expect: &Expect| expect.admits(found.and_then(|(_, stamp)| Stamp::new(stamp)));
        match call {
            Call::Get(_) => Answer::Found(found),
            Call::Stamp(_) => Answer::Stamp(found.map(|(_, stamp)| stamp)),
            Call::Upsert(_, expect, value) if admits(expect) => self.put(key, *value),
            Call::Update(_, expect) | Call::Keep(_, expect) if admits(expect) => match (call, found) {
                (_, None) => Answer::Conflict(None),
                (Call::Keep(..), Some((value, stamp))) => Answer::Stored(value, stamp),
                (_, Some((value, _))) => self.put(key, value + 1),
            },
            Call::Remove(_, expect) if admits(expect) => {
                self.keys[key] = None;
                Answer::Removed(found)
            }
            Call::Seed(_, value, stamp) => {
                let is_newer = found.is_none_or(|(_, own)| own < *stamp);
                if is_newer {
                    self.keys[key] = Some((*value, *stamp));
                    self.latest = self.latest.max(*stamp);
                }
                Answer::Seeded(is_newer)
            }
            Call::Upsert(..) | Call::Update(..) | Call::Keep(..) | Call::Remove(..) => {
                Answer::Conflict(found)
            }
        }
    }
}

impl Spec for World {
    type Call = Call;
    type Answer = Answer;

    fn step(mut self, call: &Call, answer: &Answer) -> Option<Self> {
        (self.call(call) == *answer).then_some(self)
    }
}

fn shown(snapshot: &Snapshot<u64>) -> (u64, u64) {
    (**snapshot, snapshot.stamp().get())
}

fn answer(written: Result<Snapshot<u64>, WriteError<u64>>) -> Answer {
    match written {
        Ok(stored) => {
            let (value, stamp) = shown(&stored);
            Answer::Stored(value, stamp)
        }
        Err(error) => {
            let conflict = error.into_conflict().expect("stamps are left");
            Answer::Conflict(conflict.current.as_ref().map(shown))
        }
    }
}

/// So that the others come in between, which two processors seldom do by themselves.
fn dawdle(value: &u64) -> u64 {
    thread::yield_now();
    value + 1
}

fn keep(_: &u64) -> Result<Change<u64>, std::convert::Infallible> {
    thread::yield_now();
    Ok(Change::Keep)
}

fn on_cell(cell: &Versioned<u64>, call: &Call) -> Answer {
    match call.clone() {
        Call::Get(_) => Answer::Found(Some(shown(&cell.snapshot()))),
        Call::Stamp(_) => Answer::Stamp(Some(cell.stamp().get())),
        Call::Upsert(_, expect, value) => answer(cell.compare_and_set(expect, value)),
        Call::Update(_, expect) => answer(cell.update(expect, dawdle)),
        Call::Keep(_, expect) => answer(cell.try_update(expect, keep)),
        Call::Remove(..) | Call::Seed(..) => unreachable!("a cell has no such call"),
    }
}

fn on_map(map: &VersionedMap<usize, u64>, call: &Call) -> Answer {
    match call.clone() {
        Call::Get(key) => Answer::Found(map.get(&key).as_ref().map(shown)),
        Call::Stamp(key) => Answer::Stamp(map.stamp(&key).map(Stamp::get)),
        Call::Upsert(key, Expect::Absent, value) => answer(map.insert_new(key, value)),
        Call::Upsert(key, expect, value) => match map.upsert(key, expect, value) {
            Ok(upserted) => Answer::Stored(value, upserted.stamp.get()),
            Err(error) => answer(Err(error)),
        },
        Call::Update(key, expect) => answer(map.update(&key, expect, dawdle)),
        Call::Keep(key, expect) => answer(map.try_update(&key, expect, keep)),
        Call::Remove(key, expect) => match map.remove(&key, expect) {
            Ok(removed) => Answer::Removed(removed.as_ref().map(shown)),
            Err(conflict) => Answer::Conflict(conflict.current.as_ref().map(shown)),
        },
        Call::Seed(key, value, stamp) => {
            let stamp = Stamp::new(stamp).expect("it is in range");
            Answer::Seeded(map.seed(key, value, stamp).expect("it is plausible"))
        }
    }
}

/// An expectation, for the most part of a version that this thread has seen.
fn expect(rng: &mut Rng, known: u64) -> Expect {
    let stamp = |number: u64| Stamp::new(number.max(1)).expect("it is small");
    match rng.u8(..9) {
        0 => Expect::Any,
        1 => Expect::Present,
        2 => Expect::Absent,
        3 => Expect::OneOf([stamp(known), stamp(known + 1)].into()),
        4 => Expect::NoneOf([stamp(known), stamp(known + 1)].into()),
        _ => Expect::Exact(stamp(known)),
    }
}

fn play(is_map: bool, seed: u64, recorder: &mut Recorder<Call, Answer>, make: impl Fn(&Call) -> Answer) {
    let mut rng = Rng::with_seed(seed);
    let mut known = 1;
    for turn in 0..5 {
        let key = if is_map { rng.usize(..2) } else { 0 };
        let value = seed * 100 + turn;
        let call = match rng.u8(..if is_map { 12 } else { 8 }) {
            0 | 1 => Call::Get(key),
            2 => Call::Stamp(key),
            3 | 8 => Call::Upsert(key, expect(&mut rng, known), value),
            4..7 => Call::Update(key, expect(&mut rng, known)),
            7 => Call::Keep(key, expect(&mut rng, known)),
            9 | 10 => Call::Remove(key, expect(&mut rng, known)),
            _ => Call::Seed(key, value, known + rng.u64(..3)),
        };
        match recorder.record(call, &make) {
            Answer::Found(Some((_, stamp))) | Answer::Stamp(Some(stamp)) | Answer::Stored(_, stamp) => {
                known = stamp;
            }
            Answer::Conflict(Some((_, stamp))) => known = stamp,
            _ => {}
        }
    }
}

fn check(history: &[EntryOf<World>], world: &World) -> usize {
    assert!(is_linear(history, world), "no order explains {history:#?}");
    history.iter().filter(|entry| matches!(entry.answer, Answer::Conflict(_))).count()
}

#[test]
fn a_cell_is_linearizable() {
    let conflicts: usize = (0..HISTORIES)
        .map(|round| {
            let cell = Arc::new(Versioned::new(0));
            let history = gather(2 + round % 2, move |thread, recorder| {
                play(false, round * 3 + thread, recorder, |call| on_cell(&cell, call));
            });
            check(&history, &World { keys: [Some((0, 1)), None], latest: 1 })
        })
        .sum();
    assert!(conflicts > 0, "blind: nobody was ever refused");
}

#[test]
fn a_map_is_linearizable() {
    let conflicts: usize = (0..HISTORIES)
        .map(|round| {
            let shards = if round % 4 < 2 { 1 } else { 64 };
            let map = Arc::new(VersionedMap::builder().shards(shards).build());
            map.insert_new(0, 0).expect("it is new");
            let history = gather(2 + round % 2, move |thread, recorder| {
                play(true, round * 3 + thread, recorder, |call| on_map(&map, call));
            });
            check(&history, &World { keys: [Some((0, 1)), None], latest: 1 })
        })
        .sum();
    assert!(conflicts > 0, "blind: nobody was ever refused");
}

#[test]
fn the_checker_refuses_histories_that_lose_an_update_or_repeat_a_stamp() {
    let exact = |stamp: u64| Expect::Exact(Stamp::new(stamp).expect("it is small"));
    let entry = |call, answer, begin, end| EntryOf::<World> { call, answer, begin, end };
    let update = |stamp: u64, answer, begin, end| entry(Call::Update(0, exact(stamp)), answer, begin, end);
    let world = World { keys: [Some((0, 1)), None], latest: 1 };
    let good = [
        update(1, Answer::Stored(1, 2), 0, 3),
        update(1, Answer::Conflict(Some((1, 2))), 1, 2),
        entry(Call::Get(0), Answer::Found(Some((1, 2))), 4, 5),
    ];
    assert!(is_linear(&good, &world));
    let bad: [&[EntryOf<World>]; 4] = [
        &[update(1, Answer::Stored(1, 2), 0, 3), update(1, Answer::Stored(1, 3), 1, 2)],
        &[update(1, Answer::Stored(1, 2), 0, 1), entry(Call::Get(0), Answer::Found(Some((0, 1))), 2, 3)],
        &[update(1, Answer::Conflict(Some((0, 1))), 0, 1)],
        &[
            entry(Call::Remove(0, Expect::Any), Answer::Removed(Some((0, 1))), 0, 1),
            entry(Call::Upsert(0, Expect::Absent, 7), Answer::Stored(7, 1), 2, 3),
        ],
    ];
    for history in bad {
        assert!(!is_linear(history, &world), "{history:?}");
    }
}
