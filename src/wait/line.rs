//! The line of waiters: what each party does under the internal lock that guards it.
//!
//! The same code serves locks and keys. A lock's word is atomic ([`core`](super::core)). A key's word is plain, because its
//! shard's lock guards it.

use std::pin::Pin;
use std::task::Waker;

use super::helper;
use super::list::{List, Node, Place, Stand, is_older};
use super::look::{PATIENCE, PROBE_AFTER, PROBE_AFTER_MOST};
use super::policy::{MAX_PERMITS, Marks, Refusal, Word, allowance};
use super::round::Round;
use super::wakes::Wakes;

/// If at most this number of newcomers passed a waiter since it was notified, and it comes in vain, holds are long.
const FEW: u32 = if cfg!(latchwork_loom) { 1 } else { 8 };
/// The most turns that are served in order before the line finds out again whether holds are long.
const IN_ORDER_MOST: u8 = 16;
/// A waiter that came in vain this often ...
const OFTEN: u8 = 3;
/// ... or waited for this number of rounds has waited long enough.
const LONG: u16 = 2;

/// The permits of one lock. The marks in its word are changed under the line's lock only, and so is the total.
pub(crate) trait Pool {
    fn word(&self) -> Word;
    /// Puts `next` in the place of `seen`. Returns `false` if the word is another one.
    fn swap(&self, seen: Word, next: Word) -> bool;
    /// How many permits there are in all.
    fn total(&self) -> usize;
}

/// The outcome of one attempt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Step {
    /// The permits are the caller's.
    Taken,
    /// The node is enlisted and will be notified.
    Refused,
    /// Nothing has changed: a clone of the waker is needed first.
    NeedsWaker,
}

/// The waiters of one lock.
///
/// *Live* waiters are queued or notified: the line counts on them. The *eldest* is the live one with the oldest
/// ticket. When the line's lock is released,
///
/// 1. the word is marked as waited for if a waiter is live;
/// 2. a release looks at the line if a queued waiter may be notified: the eldest, or another while not all permits are
///    claimed;
/// 3. if the eldest is queued, the permits do not suffice for it;
/// 4. what is left to newcomers is left of the present eldest's allowance;
/// 5. the helper looks at the line if two or more are live.
///
/// The helper changes places, but never a word. So after its look 1, 2 and 4 may be untrue until the line is settled: the
/// word may say that a waiter is expected when none is. The next notified waiter that comes, or the next newcomer that is
/// refused, corrects it.
#[derive(Debug)]
pub(crate) struct Line {
    pub(super) list: List,
    /// How many are enlisted, wherever they stand.
    pub(super) len: u32,
    pub(super) queued: u32,
    pub(super) notified: u32,
    /// What the notified ones want, in all.
    pub(super) claimed: usize,
    /// The ticket of the next waiter, wrapping.
    pub(super) next_ticket: u32,
    /// The ticket of the eldest, as of the last settling.
    pub(super) eldest: Option<u32>,
    /// How many newcomers had passed the line when the word's count was set last, wrapping, ...
    pub(super) passed: u32,
    /// ... and what it was set to.
    pub(super) allowed: u32,
    /// The number of turns for which newcomers do not pass, since holds are long. Otherwise waiters would be woken only to
    /// come in vain.
    pub(super) in_order: u8,
    /// To how many `in_order` is set when they are found to be long again.
    pub(super) confidence: u8,
    /// How many rounds a notified task is expected for.
    pub(super) patience: u16,
    /// When a waiter was late last.
    pub(super) learned_at: Round,
    /// How many waiters the next look notifies in the place of those that did not come.
    pub(super) burst: u16,
    /// The smallest need of the oversized waiters.
    pub(super) least_oversized: usize,
    /// The helper looks at this line.
    pub(super) is_watched: bool,
    /// A `try_` call was refused for the sake of the eldest.
    pub(super) is_tried: bool,
    /// The helper changed places since the last settling.
    pub(super) is_stale: bool,
}

impl Line {
    pub(crate) const fn new() -> Self {
        Self {
            list: List::new(),
            len: 0,
            queued: 0,
            notified: 0,
            claimed: 0,
            next_ticket: 0,
            eldest: None,
            passed: 0,
            allowed: 0,
            in_order: 0,
            confidence: 1,
            patience: PATIENCE,
            learned_at: Round::START,
            burst: 1,
            least_oversized: usize::MAX,
            is_watched: false,
            is_tried: false,
            is_stale: false,
        }
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.len as usize
    }

    /// A newcomer's attempt that does not wait. What is reserved for others may not be: they may have been given up
    /// in the meantime, or there is enough for all.
    pub(crate) fn try_take(&mut self, pool: &impl Pool, need: usize, wakes: &mut Wakes) -> bool {
        loop {
            let seen = pool.word();
            match self.newcomer(seen, need) {
                Ok(next) if pool.swap(seen, next) => return true,
                Ok(_) => {}
                // The marks may be older than the last round: nobody may be expected any more.
                Err(Refusal::Reserved) if self.is_stale => self.settle(pool, wakes),
                Err(Refusal::Reserved) => {
                    // The call leaves, so the helper must see that the eldest keeps others out, even if it is alone.
                    self.is_tried = true;
                    return false;
                }
                Err(Refusal::Short) => return false,
            }
        }
    }

    /// One attempt of a waiter: takes the permits, or sees to it that the waiter will be notified.
    ///
    /// `spare` is a clone of `task` made outside the lock, if there is one; what it holds afterwards
    /// must be dropped outside the lock.
    pub(crate) fn step(
        &mut self,
        pool: &impl Pool,
        mut node: Pin<&mut Node>,
        need: usize,
        task: &Waker,
        spare: &mut Option<Waker>,
        wakes: &mut Wakes,
    ) -> Step {
        let place = self.list.place(node.as_mut());
        let seen = loop {
            let seen = pool.word();
            let next = match place {
                None => self.newcomer(seen, need),
                Some(place) => self.turn(node.as_mut(), place, seen),
            };
            match next {
                Ok(next) if pool.swap(seen, next) => {
                    // A newcomer was never counted, so nothing has changed for the others.
                    if let Some(place) = place {
                        self.served(node, place, wakes);
                        self.settle(pool, wakes);
                    }
                    return Step::Taken;
                }
                Ok(_) => {}
                Err(Refusal::Reserved) if place.is_none() && self.is_stale => self.settle(pool, wakes),
                Err(_) => break seen,
            }
        };
        // Its waker is unspent, and still the right one: there is nothing to do.
        let in_ring = matches!(place, Some(Place::Queued | Place::Oversized));
        if in_ring && self.list.wakes(node.as_mut(), task) {
            return Step::Refused;
        }
        let Some(waker) = spare.take() else { return Step::NeedsWaker };
        match place {
            None => {
                // A release looks at the line anyway, so nothing changes for the word.
                let is_settled = seen.is_queued() && self.queued > 0 && !self.is_stale;
                self.enlist(pool, node, need, seen, waker);
                if is_settled {
                    return Step::Refused;
                }
            }
            // Its waker is spent.
            Some(place @ (Place::Notified | Place::Away)) => {
                self.came_in_vain(pool, node, place, seen, waker);
            }
            Some(Place::Queued | Place::Oversized) => {
                *spare = self.list.replace_waker(node, waker);
                return Step::Refused;
            }
        }
        // A release may have come since the look at the permits. Now it is seen, or sees the mark.
        self.settle(pool, wakes);
        Step::Refused
    }

    /// Enlists a newcomer behind others if nothing but that changes: it must wait, and a release looks at the line
    /// anyway. Returns `false` if there is more to be done; see [`step`](Self::step). It takes the waker.
    pub(crate) fn enlist_behind(
        &mut self,
        pool: &impl Pool,
        node: Pin<&mut Node>,
        need: usize,
        waker: &mut Option<Waker>,
    ) -> bool {
        let seen = pool.word();
        let is_settled = seen.is_queued() && self.queued > 0 && self.notified == 0 && !self.is_stale;
        if !is_settled || node.is_enlisted() || seen.permits() >= need {
            return false;
        }
        let Some(waker) = waker.take() else { return false };
        self.enlist(pool, node, need, seen, waker);
        true
    }

    /// Takes a waiter that gives up off the line, and passes on what it was notified of.
    pub(crate) fn leave(&mut self, pool: &impl Pool, mut node: Pin<&mut Node>, wakes: &mut Wakes) {
        if let Some(place) = self.list.place(node.as_mut()) {
            self.forget(node, place, wakes);
            self.settle(pool, wakes);
        }
    }

    /// The total has grown: oversized waiters may be served now.
    pub(crate) fn grown(&mut self, pool: &impl Pool, wakes: &mut Wakes) {
        if self.least_oversized <= pool.total() {
            self.least_oversized = usize::MAX;
            self.list.move_some(Place::Oversized, Place::Queued, |stand| {
                let fits = stand.need <= pool.total();
                if fits {
                    self.queued += 1;
                } else {
                    self.least_oversized = self.least_oversized.min(stand.need);
                }
                fits
            });
        }
        self.settle(pool, wakes);
    }

    /// Dismisses all waiters: what they wait for is over. Returns `false` if the batch ran full before.
    pub(crate) fn dismiss(&mut self, wakes: &mut Wakes) -> bool {
        while !self.list.is_empty() && !wakes.is_full() {
            wakes.push(self.list.send_away(Place::Queued));
            self.queued -= 1;
        }
        // Their wakers are spent already.
        while self.notified > 0 {
            self.list.send_away(Place::Notified);
            self.notified -= 1;
        }
        self.claimed = 0;
        self.list.is_empty()
    }

    /// Takes a waiter off the line when what it waits for is over, also if it is still to be dismissed. The caller
    /// drops the waker once no internal lock is held.
    pub(crate) fn dismissed(&mut self, mut node: Pin<&mut Node>) -> Option<Waker> {
        let place = self.list.place(node.as_mut())?;
        self.take_off(node, place)
    }

    /// Permits were given back.
    ///
    /// If newcomers have taken them again already, the front is notified all the same: it comes in vain, and by that
    /// shows whether few have passed it in the meantime. So long holds pass it once or twice, however quickly one
    /// newcomer follows another.
    pub(crate) fn released(&mut self, pool: &impl Pool, wakes: &mut Wakes) {
        self.settle(pool, wakes);
        let seen = pool.word();
        let passed = self.passed_at(seen);
        // A starving front has nothing to learn: the permits are reserved for it.
        if self.notified == 0
            && let Some(front) = self.list.front(Place::Queued)
            && front.notified_at != passed
            && !front.is_starving
        {
            self.notify(Stand { notified_at: passed, since: helper::now(), ..front }, wakes);
            self.settle(pool, wakes);
        }
    }

    /// Ends each change: notifies waiters in order while the permits suffice, and marks the word.
    pub(crate) fn settle(&mut self, pool: &impl Pool, wakes: &mut Wakes) {
        loop {
            let seen = pool.word();
            self.notify_fitting(pool, seen, wakes);
            let eldest = self.eldest();
            let passed = self.passed_at(seen);
            let mut is_new = false;
            let left = match eldest {
                None => 0,
                // Reserved for it.
                Some((eldest, _)) if eldest.is_starving => 0,
                // A turn begins: a new share of the bound.
                Some((eldest, _)) if self.eldest != Some(eldest.ticket) => {
                    is_new = true;
                    let passed_it = passed.wrapping_sub(eldest.entered);
                    match self.in_order {
                        0 => allowance(passed_it as usize, (self.queued + self.notified) as usize),
                        _ => 0,
                    }
                }
                Some(_) => seen.left(),
            };
            let next = seen.marked(Marks {
                // While all permits are claimed, the claimants settle when they come, and a release need not look.
                queued: self.queued > 0
                    && (self.claimed < pool.total() || matches!(eldest, Some((_, Place::Queued)))),
                // A writer at the front: the readers before the last one need not look.
                whole: self.notified == 0
                    && pool.total() == MAX_PERMITS
                    && matches!(eldest, Some((Stand { need: MAX_PERMITS, .. }, _))),
                waiting: eldest.is_some(),
                left,
            });
            if next == seen || pool.swap(seen, next) {
                let eldest = eldest.map(|(eldest, _)| eldest.ticket);
                // It was for the sake of another one.
                self.is_tried &= self.eldest == eldest;
                self.eldest = eldest;
                self.in_order -= u8::from(is_new && self.in_order > 0);
                self.passed = passed;
                self.allowed = left as u32;
                self.is_stale = false;
                return;
            }
        }
    }

    /// Notifies the front of the queue as long as what it wants is there, and nobody before it claims it.
    fn notify_fitting(&mut self, pool: &impl Pool, seen: Word, wakes: &mut Wakes) {
        while let Some(front) = self.list.front(Place::Queued) {
            if front.need > pool.total() {
                // It must not keep out requests that can be served.
                self.set_aside(front.need);
                continue;
            }
            let goes_first =
                self.list.front(Place::Notified).is_none_or(|other| is_older(front.ticket, other.ticket));
            let claimed_before = if goes_first { 0 } else { self.claimed };
            if front.need > seen.permits().saturating_sub(claimed_before) {
                if goes_first && seen.permits() > 0 {
                    // It needs more than there is: newcomers must not take what comes back one by one.
                    self.list.change_front(Place::Queued, |front| front.is_starving = true);
                }
                return;
            }
            if wakes.is_full() {
                // Wakers run outside the lock, so the batch has an end. The rest follows when it is woken.
                return wakes.come_back();
            }
            let notified_at = self.passed_at(seen);
            self.notify(Stand { notified_at, since: helper::now(), ..front }, wakes);
        }
    }

    /// Notifies the front, of which `stand` will be known.
    pub(super) fn notify(&mut self, stand: Stand, wakes: &mut Wakes) {
        self.claimed += stand.need;
        self.queued -= 1;
        self.notified += 1;
        wakes.push(self.list.notify_front(stand));
    }

    /// Puts the front aside, which wants more permits than there are.
    fn set_aside(&mut self, need: usize) {
        self.list.move_front(Place::Queued, Place::Oversized);
        self.queued -= 1;
        self.least_oversized = self.least_oversized.min(need);
    }

    /// The eldest live waiter, and where it stands.
    fn eldest(&mut self) -> Option<(Stand, Place)> {
        let queued = self.list.front(Place::Queued).map(|front| (front, Place::Queued));
        let notified = self.list.front(Place::Notified).map(|front| (front, Place::Notified));
        match (queued, notified) {
            (Some(queued), Some(notified)) if is_older(queued.0.ticket, notified.0.ticket) => Some(queued),
            (queued, notified) => notified.or(queued),
        }
    }

    /// How many newcomers had passed the line at a word, wrapping.
    pub(super) fn passed_at(&self, seen: Word) -> u32 {
        self.passed.wrapping_add(self.allowed.saturating_sub(seen.left() as u32))
    }

    /// The word after a newcomer took `need` permits.
    fn newcomer(&self, seen: Word, need: usize) -> Result<Word, Refusal> {
        match seen.take(need) {
            // All waiters before it were notified, and there is enough for them and for it.
            Err(Refusal::Reserved)
                if self.queued == 0 && need <= seen.permits().saturating_sub(self.claimed) =>
            {
                Ok(seen.take_turn(need))
            }
            outcome => outcome,
        }
    }

    /// The word after an enlisted waiter took its permits, if it is its turn. That is so if it is the eldest, or if all
    /// older ones were notified and there is enough for all of them.
    fn turn(&mut self, node: Pin<&mut Node>, place: Place, seen: Word) -> Result<Word, Refusal> {
        let this = self.list.stand(node);
        let before = |front: Option<Stand>| front.is_some_and(|front| is_older(front.ticket, this.ticket));
        let unclaimed = if !before(self.list.front(Place::Notified)) {
            seen.permits()
        } else if place == Place::Notified {
            seen.permits().saturating_sub(self.claimed - this.need)
        } else {
            seen.permits().saturating_sub(self.claimed)
        };
        if this.need > seen.permits() {
            Err(Refusal::Short)
        } else if before(self.list.front(Place::Queued)) || this.need > unclaimed {
            Err(Refusal::Reserved)
        } else {
            Ok(seen.take_turn(this.need))
        }
    }

    /// Enlists a newcomer at the back.
    fn enlist(&mut self, pool: &impl Pool, node: Pin<&mut Node>, need: usize, seen: Word, waker: Waker) {
        let stand = self.draw_ticket(need, seen, node.is_thread());
        self.len += 1;
        let ring = self.ring_for(need, pool);
        self.list.push_back(node, ring, stand, waker);
    }

    /// What is known of a newcomer.
    pub(super) fn draw_ticket(&mut self, need: usize, seen: Word, is_thread: bool) -> Stand {
        let (now, passed) = (helper::now(), self.passed_at(seen));
        let ticket = self.next_ticket;
        self.next_ticket = ticket.wrapping_add(1);
        Stand {
            ticket,
            need,
            entered: passed,
            notified_at: passed,
            born: now,
            since: now,
            probe_after: PROBE_AFTER,
            in_vain: 0,
            is_starving: false,
            is_probed: false,
            is_thread,
            is_aside: false,
        }
    }

    /// Returns the ring for a waiter that wants `need` permits.
    fn ring_for(&mut self, need: usize, pool: &impl Pool) -> Place {
        if need > pool.total() {
            self.least_oversized = self.least_oversized.min(need);
            return Place::Oversized;
        }
        self.queued += 1;
        Place::Queued
    }

    /// Puts a waiter that came in vain back where it stood. If it met long holds, or has waited long, it is starving: as the
    /// eldest it will not come in vain again. So long holds pass a waiter about once, and short ones up to the bound.
    fn came_in_vain(
        &mut self,
        pool: &impl Pool,
        mut node: Pin<&mut Node>,
        place: Place,
        seen: Word,
        waker: Waker,
    ) {
        let now = helper::now();
        let mut stand = self.list.stand(node.as_mut());
        self.arrived(&stand, place, now);
        if stand.is_probed {
            stand.probe_after = stand.probe_after.saturating_mul(2).min(PROBE_AFTER_MOST);
        } else {
            let passed_it = self.passed_at(seen).wrapping_sub(stand.notified_at);
            stand.in_vain = stand.in_vain.saturating_add(1);
            stand.is_starving |= passed_it <= FEW || stand.in_vain >= OFTEN;
            self.meets_holds(passed_it <= FEW);
        }
        let has_waited_long = !cfg!(latchwork_loom) && stand.born.until(now) >= LONG;
        stand.is_starving |= place == Place::Away || has_waited_long;
        stand.is_probed = false;
        stand.is_aside = false;
        stand.since = now;
        let ring = self.ring_for(stand.need, pool);
        self.list.put_back(node, ring, stand, waker);
    }

    /// Takes a waiter that has its permits off the line.
    fn served(&mut self, mut node: Pin<&mut Node>, place: Place, wakes: &mut Wakes) {
        if place == Place::Away || self.patience > PATIENCE {
            let stand = self.list.stand(node.as_mut());
            self.learn(&stand, place, helper::now());
        }
        self.burst = 1;
        self.forget(node, place, wakes);
    }

    /// A waiter has come, so it is no longer expected.
    fn arrived(&mut self, stand: &Stand, place: Place, now: Round) {
        self.learn(stand, place, now);
        self.burst = 1;
        if place == Place::Notified {
            self.notified -= 1;
            self.claimed -= stand.need;
        }
    }

    /// Learns whether holds are long, from one that came in vain: the more often they are found to be, the longer the line
    /// is served in order before a newcomer may pass again. Short ones are found at once.
    fn meets_holds(&mut self, are_long: bool) {
        if are_long {
            self.in_order = self.confidence;
            self.confidence = (2 * self.confidence).min(IN_ORDER_MOST);
        } else {
            self.confidence = 1;
        }
    }

    /// Takes an enlisted waiter off the books.
    fn forget(&mut self, node: Pin<&mut Node>, place: Place, wakes: &mut Wakes) {
        wakes.keep(self.take_off(node, place));
    }

    fn take_off(&mut self, mut node: Pin<&mut Node>, place: Place) -> Option<Waker> {
        self.len -= 1;
        match place {
            Place::Queued => self.queued -= 1,
            Place::Notified => {
                self.notified -= 1;
                self.claimed -= self.list.stand(node.as_mut()).need;
            }
            Place::Oversized | Place::Away => {}
        }
        self.list.remove(node)
    }
}
