//! What the helper finds when it looks at a [line](super::line): waiters that do not come, and those that come late.

use super::line::Line;
use super::list::{Place, Stand};
use super::round::Round;
use super::wakes::Wakes;

/// Rounds in which a notified task is expected to come.
pub(super) const PATIENCE: u16 = 2;
/// The same for a parked thread, which waits for nothing else, so it comes when it gets a processor.
const PATIENCE_WITH_THREADS: u16 = 256;
/// The same for one that stands aside: it waits for another lock, and nobody can say how long that takes.
const PATIENCE_ASIDE: u16 = 16;
/// The longest patience that is learned from tasks that came late ...
const PATIENCE_MOST: u16 = 64;
/// ... and the rounds without late ones after which it is unlearned.
const UNLEARN: u16 = 256;
/// Rounds after which a blocked front is asked whether it is still there, doubled each time it is.
pub(super) const PROBE_AFTER: u16 = 8;
pub(super) const PROBE_AFTER_MOST: u16 = 1024;
/// How many are given up, and notified in their place, in one look: a bound on the time for which it is locked.
const LOOK_MOST: u16 = 1024;

/// How soon the helper looks at a line again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Pace {
    /// When it is crowded again.
    Over,
    /// After a while: its waiters have their turns.
    Calm,
    /// Soon: nothing has moved.
    Urgent,
}

impl Line {
    /// Returns `true` once when the helper must begin to look at this line.
    pub(crate) fn begin_watch(&mut self) -> bool {
        let begins = !self.is_watched && self.is_crowded();
        self.is_watched |= begins;
        begins
    }

    /// The same for a line whose permits are often held for long: returns `true` only if a waiter was notified. If that one
    /// does not come, no release will help.
    pub(crate) fn begin_watch_of_notified(&mut self) -> bool {
        self.notified > 0 && self.begin_watch()
    }

    /// Returns `true` if a waiter depends on others that may not come.
    fn is_crowded(&self) -> bool {
        self.queued + self.notified > u32::from(!self.is_tried)
    }

    /// Gives up notified waiters that have not come in time, and notifies others in their place, twice as many each time.
    /// If the front has been blocked for long, it is woken to show that it still runs. Returns how soon to look again.
    ///
    /// It does not read the permits: the waiters that it notifies may come in vain, and then settle.
    pub(crate) fn look(&mut self, now: Round, wakes: &mut Wakes) -> Pace {
        let (patience, notified) = (self.patience, self.notified);
        self.list.give_up(LOOK_MOST.into(), |stand| {
            let patience = match stand {
                Stand { is_aside: true, .. } => PATIENCE_ASIDE.max(patience),
                Stand { is_thread: true, .. } => PATIENCE_WITH_THREADS,
                _ => patience,
            };
            let is_late = stand.since.until(now) > patience;
            if is_late {
                self.notified -= 1;
                self.claimed -= stand.need;
            }
            is_late
        });
        let gave_up = self.notified < notified;
        if gave_up {
            self.is_stale = true;
            for _ in 0..self.burst {
                self.probe(now, wakes);
            }
            self.burst = self.burst.saturating_mul(2).min(LOOK_MOST);
        } else if self.notified == 0
            && self.is_crowded()
            && let Some(front) = self.list.front(Place::Queued)
            && front.since.until(now) > front.probe_after
        {
            self.probe(now, wakes);
        }
        self.is_watched = self.is_crowded();
        if !self.is_watched {
            Pace::Over
        } else if gave_up || self.is_stuck(now) {
            Pace::Urgent
        } else {
            Pace::Calm
        }
    }

    /// Returns `true` if the line looks as it did a round ago: it may wait for one that does not come.
    fn is_stuck(&mut self, now: Round) -> bool {
        let stood_here = |stand: Stand| stand.since.until(now) >= 2;
        if self.notified > 0 {
            return self.list.front(Place::Notified).is_some_and(stood_here);
        }
        // A front that was asked already is asked seldom.
        self.list
            .front(Place::Queued)
            .is_some_and(|front| front.probe_after == PROBE_AFTER && stood_here(front))
    }

    /// Notifies the front without a look at the permits.
    fn probe(&mut self, now: Round, wakes: &mut Wakes) {
        if let Some(front) = self.list.front(Place::Queued)
            && !self.many_are_coming()
        {
            self.notify(Stand { is_probed: true, since: now, ..front }, wakes);
        }
    }

    /// Whether more are notified than can be counted on.
    pub(super) fn many_are_coming(&self) -> bool {
        self.claimed > usize::MAX / 4
    }

    /// Learns how late the waiters of this line come, and forgets it when none was late for long.
    pub(super) fn learn(&mut self, stand: &Stand, place: Place, now: Round) {
        let late = stand.since.until(now).saturating_mul(2);
        // One that stood aside was not notified, so it was not late.
        if place == Place::Away && !stand.is_aside && late <= PATIENCE_MOST {
            self.patience = self.patience.max(late);
            self.learned_at = now;
        } else if self.learned_at.until(now) > UNLEARN {
            self.patience = PATIENCE;
        }
    }
}
