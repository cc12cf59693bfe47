//! A name claimed and given up again, beside the set that is written by hand for it.

use std::collections::HashSet;
use std::hint::black_box;

use latchwork::Claims;
use parking_lot::Mutex;

use crate::asked::Keys;
use crate::counting::allocations;
use crate::harness::{Measure, Report, Round};

pub(crate) fn run(report: &mut Report) {
    let names = Keys::names();
    let (ours, by_hand) = (Claims::<String>::new(), ByHand::default());
    let measure = Measure::new("24-byte name as &str, claim + drop")
        .also("allocations")
        .run("latchwork", |ops| each(&names, ops, |name| ours.try_claim(name.as_str()).is_ok()))
        .run("a HashSet in a Mutex", |ops| each(&names, ops, |name| by_hand.try_claim(name).is_some()));
    report.add(measure);
}

fn each(names: &Keys<String>, ops: u64, mut claim: impl FnMut(&String) -> bool) -> Round {
    let mut time = 0.0;
    let allocations = allocations(ops, || time = names.free(ops, |name| assert!(black_box(claim(name)))));
    [time, allocations].into()
}

/// The least that is written by hand: a claim borrows the name that the set owns a copy of.
#[derive(Default)]
struct ByHand(Mutex<HashSet<String>>);

struct Claimed<'a> {
    names: &'a ByHand,
    name: &'a str,
}

impl ByHand {
    fn try_claim<'a>(&'a self, name: &'a str) -> Option<Claimed<'a>> {
        self.0.lock().insert(name.to_owned()).then(|| Claimed { names: self, name })
    }
}

impl Drop for Claimed<'_> {
    fn drop(&mut self) {
        self.names.0.lock().remove(self.name);
    }
}
