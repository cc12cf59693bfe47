//! [`KeyState`]: what the machine knows of one key, what it asks for it next, and when.

use std::time::Instant;

use super::event::Ticket;
use super::rules::Rules;

/// A key that is asked for, held, or on its way back.
#[derive(Default, Debug)]
pub(super) struct KeyState {
    /// The local request that has no answer yet.
    pub(super) wish: Option<Wish>,
    /// The last grant, as long as the key is ours as far as we know.
    pub(super) lease: Option<Lease>,
    /// What the batch in flight asks for this key.
    pub(super) flight: Option<Ask>,
}

/// A local request that has no answer yet.
#[derive(Debug)]
pub(super) struct Wish {
    pub(super) ticket: Ticket,
    pub(super) waits: bool,
    /// When the key is asked for next.
    pub(super) poll_at: Instant,
    /// Not before, even if the key is said to be free: it is another process's turn.
    pub(super) not_before: Instant,
    /// How many busy answers there were since the key was last said to be free.
    pub(super) busy: u32,
    /// The key was said to be free while the last question was in flight, so its answer may be older than that.
    pub(super) woken: bool,
}

/// A grant.
#[derive(Debug)]
pub(super) struct Lease {
    pub(super) fence: u64,
    /// When it was last asked for. The database counts from a later time.
    pub(super) asked: Instant,
    pub(super) deadline: Instant,
    /// Another process waits for the key.
    pub(super) is_wanted: bool,
    /// How often in a row the key was passed on.
    pub(super) passes: u32,
    /// A holder waits for the answer to its release.
    pub(super) tell: bool,
    pub(super) stage: Stage,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stage {
    /// The request of this ticket holds it.
    Used(Ticket),
    /// Released by its holder, and kept for the next local request: this long, or until it is passed.
    Kept { until: Instant },
    /// Must be released. With a time: it is another process's turn, and local requests ask again from then on.
    Ending { resume: Option<Instant> },
}

/// What a batch asks for one key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Ask {
    Take(Ticket),
    Pass,
    Renew,
    Release,
}

impl KeyState {
    /// What must be asked next, and from when on. `None` while an answer is missing.
    pub(super) fn next_ask(&self, rules: &Rules) -> Option<(Instant, Ask)> {
        if self.flight.is_some() {
            return None;
        }
        match (&self.lease, &self.wish) {
            (None, None) => None,
            (None, Some(wish)) => Some((wish.poll_at, Ask::Take(wish.ticket))),
            (Some(lease), wish) => match lease.stage {
                Stage::Used(_) => Some((lease.asked + rules.renew_after(), Ask::Renew)),
                Stage::Kept { .. } => wish.as_ref().map(|wish| (wish.poll_at, Ask::Pass)),
                // At once, which is any time in the past. It precedes a take, so that passes in disguise cannot
                // keep other processes out.
                Stage::Ending { .. } => Some((lease.asked, Ask::Release)),
            },
        }
    }

    /// When something happens to the key without an answer. `gives_up`: when requests that do not wait stop hoping for a
    /// connection, if there is none.
    pub(super) fn next_change(&self, gives_up: Option<Instant>) -> Option<Instant> {
        let of_lease = self.lease.as_ref().and_then(|lease| match lease.stage {
            Stage::Used(_) => Some(lease.deadline),
            // The answer decides.
            Stage::Kept { .. } if self.flight.is_some() => None,
            Stage::Kept { .. } if self.wish.is_some() => Some(lease.deadline),
            Stage::Kept { until } => Some(until.min(lease.deadline)),
            // A release can still be sent after the deadline, but without a connection there is nothing to wait for.
            Stage::Ending { .. } => gives_up.map(|_| lease.deadline),
        });
        let of_wish = self.wish.as_ref().filter(|wish| !wish.waits).and(gives_up);
        [of_lease, of_wish].into_iter().flatten().min()
    }

    /// Neither asked for nor held.
    pub(super) fn is_empty(&self) -> bool {
        self.wish.is_none() && self.lease.is_none() && self.flight.is_none()
    }
}

impl Wish {
    pub(super) fn new(ticket: Ticket, waits: bool, not_before: Instant) -> Self {
        Self { ticket, waits, poll_at: not_before, not_before, busy: 0, woken: false }
    }

    /// The key may be free: it is asked for at once, or as soon as it is this process's turn.
    pub(super) fn poll_now(&mut self, now: Instant) {
        self.poll_at = self.not_before.max(now);
    }
}

impl Lease {
    /// Whether the next local request may have the key, or another process was kept waiting long enough.
    pub(super) fn may_pass(&self, rules: &Rules) -> bool {
        !self.is_wanted || self.passes < rules.passes
    }

    /// Whether it is on its way back already, and a request that arrives now must ask anew.
    pub(super) fn can_be_kept(&self, rules: &Rules, flight: Option<Ask>, now: Instant) -> bool {
        self.stage == Stage::Ending { resume: None }
            && flight != Some(Ask::Release)
            && now < self.deadline
            && self.may_pass(rules)
    }
}
