//! The line of waiters: what each party does under the internal lock that guards it.
//!
//! The same code serves the locks whose word is atomic ([`core`](super::core)) and the keys of a
//! table, whose word is plain because their shard's lock guards it.

use std::cell::Cell;
use std::pin::Pin;
use std::task::Waker;

use super::list::{List, Node, Place};
use super::patience::Since;
use super::policy::{Refusal, Word};
use super::wakes::Wakes;
use crate::sync::{AtomicUsize, Ordering};

/// A state word. Whoever holds the line's lock is the only one to change its line bits.
pub(crate) trait WordCell {
    fn get(&self) -> Word;
    /// Puts `next` in the place of `seen`, or says that it is no longer there.
    fn swap(&self, seen: Word, next: Word) -> bool;
}

impl WordCell for AtomicUsize {
    fn get(&self) -> Word {
        Word(self.load(Ordering::Relaxed))
    }

    fn swap(&self, seen: Word, next: Word) -> bool {
        self.compare_exchange(seen.0, next.0, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }
}

impl WordCell for Cell<Word> {
    fn get(&self) -> Word {
        Cell::get(self)
    }

    fn swap(&self, _: Word, next: Word) -> bool {
        self.set(next);
        true
    }
}

/// What came of one attempt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Step {
    /// The permits are the caller's.
    Taken,
    /// The node is enlisted.
    Refused(Waiting),
    /// Nothing has changed: a clone of the waker is needed first.
    NeedsWaker,
}

/// How an enlisted waiter is to wait.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Waiting {
    /// Until its waker is woken.
    Queued,
    /// For a moment. The permits are there, but are left for a while to those who were told to come:
    /// look again soon, no wake-up is promised.
    StandIn,
}

/// Those who wait for one lock: the queue, and how many of them were told and are on their way.
#[derive(Debug)]
pub(crate) struct Line {
    queue: List,
    told: u32,
    len: u32,
    /// Counts those who queued, wrapping.
    tickets: u32,
    /// When the first of the overtakings was that the word counts.
    overtaken_since: Since,
}

impl Line {
    pub(crate) const fn new() -> Self {
        Self { queue: List::new(), told: 0, len: 0, tickets: 0, overtaken_since: Since::START }
    }

    /// How many wait, told or not.
    pub(crate) fn len(&self) -> usize {
        self.len as usize
    }

    /// A newcomer's attempt that does not enlist.
    pub(crate) fn take(&mut self, word: &impl WordCell, need: usize) -> bool {
        loop {
            let seen = word.get();
            match seen.take(need, false, || self.is_late(seen)) {
                Ok(next) if word.swap(seen, next) => return true,
                Ok(_) => {}
                Err(_) => return false,
            }
        }
    }

    /// One attempt of a waiter: takes the permits, or sees to it that the waiter will be told.
    ///
    /// `spare` is a clone of `task` made outside the lock, if there is one; what it holds afterwards
    /// is to be dropped outside the lock.
    pub(crate) fn step(
        &mut self,
        word: &impl WordCell,
        mut node: Pin<&mut Node>,
        need: usize,
        task: &Waker,
        spare: &mut Option<Waker>,
        wakes: &mut Wakes,
    ) -> Step {
        let place = self.queue.place(node.as_mut());
        loop {
            let seen = word.get();
            let first = self.is_first(node.as_mut(), place);
            let refusal = match seen.take(need, first, || self.is_late(seen)) {
                Ok(next) => {
                    let next = match place {
                        Some(place) => self.without(next, place),
                        None => next,
                    };
                    if !word.swap(seen, next) {
                        continue;
                    }
                    if place.is_some() {
                        wakes.keep(self.forget(node));
                        self.chain(word, wakes);
                    }
                    return Step::Taken;
                }
                Err(refusal) => refusal,
            };
            let keeps_waker = place == Some(Place::Queued) && self.queue.wakes(node.as_mut(), task);
            if !keeps_waker && spare.is_none() {
                return Step::NeedsWaker;
            }
            // In the same step as the look at the permits: a release after it sees QUEUED.
            let told = self.told - u32::from(place == Some(Place::Told));
            if !word.swap(seen, seen.with_line(true, told > 0)) {
                continue;
            }
            if !keeps_waker && let Some(waker) = spare.take() {
                match place {
                    None => {
                        self.queue.push_back(node.as_mut(), need, self.tickets, waker);
                        self.tickets = self.tickets.wrapping_add(1);
                        self.len += 1;
                    }
                    Some(Place::Told) => {
                        self.queue.push_front(node.as_mut(), waker);
                        self.told = told;
                    }
                    Some(Place::Queued) => *spare = self.queue.replace_waker(node.as_mut(), waker),
                }
            }
            return Step::Refused(match refusal {
                Refusal::Short => {
                    node.stand_in(None);
                    Waiting::Queued
                }
                Refusal::Reserved => self.stand_by(word, node, wakes),
            });
        }
    }

    /// Tells those at the front who can use the permits that are there; `given` of them are new.
    ///
    /// Permits that nobody was told about yet go as far as they reach. And whoever was told before
    /// and is silent does not keep the next one from hearing of new permits.
    pub(crate) fn tell(&mut self, word: &impl WordCell, given: usize, wakes: &mut Wakes) {
        let there = word.get().permits();
        let mut left = if self.told == 0 { there } else { given.min(there) };
        let mut reach = if given > 0 { there } else { left };
        let before = self.told;
        while let Some(need) = self.queue.front_need()
            && need <= reach
        {
            if wakes.is_full() {
                wakes.rest(left);
                break;
            }
            left = left.saturating_sub(need);
            reach = left;
            self.told += 1;
            wakes.push(self.queue.tell_front());
        }
        if self.told != before {
            self.settle(word);
        }
    }

    /// Takes a waiter that gives up off the line, and passes on what it was told.
    pub(crate) fn leave(
        &mut self,
        word: &impl WordCell,
        mut node: Pin<&mut Node>,
        need: usize,
        wakes: &mut Wakes,
    ) {
        let Some(place) = self.queue.place(node.as_mut()) else { return };
        let kept_others_back = place == Place::Told || self.queue.is_front(node.as_mut());
        wakes.keep(self.forget(node));
        self.settle(word);
        if kept_others_back {
            self.tell(word, need, wakes);
        }
    }

    /// A waiter refused although the permits are there tells the next one in its turn, and stands in for
    /// those who were told and have not come: at each look one more, until it is at the front itself.
    /// Behind one who needs more than there is it just waits.
    fn stand_by(&mut self, word: &impl WordCell, mut node: Pin<&mut Node>, wakes: &mut Wakes) -> Waiting {
        if !self.queue.is_front(node.as_mut()) {
            self.tell(word, 1, wakes);
        }
        let is_told = self.queue.place(node.as_mut()) == Some(Place::Told);
        let reach = word.get().permits();
        if is_told || self.queue.front_need().is_some_and(|need| need > reach) {
            node.stand_in(None);
            return Waiting::Queued;
        }
        if node.as_mut().stands_in_since().is_none() {
            node.stand_in(Some(Since::now()));
        }
        Waiting::StandIn
    }

    /// Whether it is this waiter's turn: it was told; or nobody was and it is at the front; or those
    /// who were told have been waited for long enough.
    fn is_first(&mut self, mut node: Pin<&mut Node>, place: Option<Place>) -> bool {
        match place {
            None => false,
            Some(Place::Told) => true,
            Some(Place::Queued) => {
                self.queue.is_front(node.as_mut())
                    && (self.told == 0 || node.stands_in_since().is_some_and(Since::is_over))
            }
        }
    }

    fn is_late(&mut self, seen: Word) -> bool {
        if seen.overtaken() == 0 {
            self.overtaken_since = Since::now();
            return false;
        }
        self.overtaken_since.is_over()
    }

    /// The waiters' departure leaves permits that others may use: nobody else will tell them.
    fn chain(&mut self, word: &impl WordCell, wakes: &mut Wakes) {
        if self.told == 0 {
            self.tell(word, 0, wakes);
        }
    }

    /// The word as it will be without a waiter at `place`.
    fn without(&self, word: Word, place: Place) -> Word {
        let told = self.told - u32::from(place == Place::Told);
        let queued = self.len - self.told - u32::from(place == Place::Queued);
        word.with_line(queued > 0, told > 0)
    }

    /// Takes an enlisted node off the books. Returns its waker, to be dropped outside the lock.
    fn forget(&mut self, mut node: Pin<&mut Node>) -> Option<Waker> {
        if self.queue.place(node.as_mut()) == Some(Place::Told) {
            self.told -= 1;
        }
        self.len -= 1;
        self.queue.remove(node)
    }

    /// Writes the line's bits anew.
    fn settle(&self, word: &impl WordCell) {
        loop {
            let seen = word.get();
            if word.swap(seen, seen.with_line(!self.queue.is_empty(), self.told > 0)) {
                return;
            }
        }
    }
}
