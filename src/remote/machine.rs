//! [`Machine`]: its inputs, and the simple ones of its outputs.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Instant;

use super::batch::{Held, KeyBytes};
use super::event::{Event, Ticket};
use super::key_state::{Ask, KeyState, Lease, Stage, Wish};
use super::rules::Rules;
use super::schedule::Schedule;

/// The leases of one process on the locks of one database.
///
/// Its driver calls the inputs with the time of a monotonic clock, and then
/// [`next_event`](Self::next_event) and [`next_batch`](Self::next_batch) until both return `None`. It does so again at
/// [`wake_at`](Self::wake_at), if nothing happens before.
#[derive(Debug)]
pub(crate) struct Machine {
    pub(super) rules: Rules,
    pub(super) random: fastrand::Rng,
    pub(super) link: Link,
    pub(super) is_closed: bool,
    /// Keys that are asked for, held, or on their way back.
    pub(super) keys: BTreeMap<KeyBytes, KeyState>,
    /// The keys of requests without an answer, and of grants that are used.
    pub(super) tickets: HashMap<Ticket, KeyBytes>,
    pub(super) in_flight: Option<InFlight>,
    /// When leases must be renewed.
    pub(super) renewals: Schedule,
    /// When other keys must be in a batch.
    pub(super) sends: Schedule,
    /// When something happens to keys without an answer.
    pub(super) changes: Schedule,
    pub(super) events: VecDeque<Event>,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Link {
    /// Until something is answered, the time without an answer goes on.
    Up {
        silent_since: Option<Instant>,
    },
    Down {
        since: Instant,
    },
}

/// The batch that has no answer yet.
#[derive(Debug)]
pub(super) struct InFlight {
    /// The time before it was handed out: leases are counted from it.
    pub(super) asked: Instant,
    pub(super) keys: Vec<KeyBytes>,
}

impl Machine {
    /// Creates a machine without a connection.
    pub(crate) fn new(now: Instant, rules: Rules, seed: u64) -> Self {
        Self {
            rules,
            random: fastrand::Rng::with_seed(seed),
            link: Link::Down { since: now },
            is_closed: false,
            keys: BTreeMap::new(),
            tickets: HashMap::new(),
            in_flight: None,
            renewals: Schedule::default(),
            sends: Schedule::default(),
            changes: Schedule::default(),
            events: VecDeque::new(),
        }
    }

    /// Returns `true` if a request for the key has no answer, or if its grant is used. Then it must not be asked for.
    pub(crate) fn is_taken(&self, key: &KeyBytes) -> bool {
        self.keys.get(key).is_some_and(|state| {
            let is_used = |lease: &Lease| matches!(lease.stage, Stage::Used(_));
            state.wish.is_some() || state.lease.as_ref().is_some_and(is_used)
        })
    }

    /// Asks for a key. At most one request per key has no answer, and none arrives while a grant of the key is used: a
    /// local lock stands in front.
    pub(crate) fn ask(&mut self, now: Instant, ticket: Ticket, key: KeyBytes, waits: bool) {
        self.tick(now);
        if self.is_closed {
            self.events.push_back(Event::Unavailable { ticket });
            return;
        }
        let state = self.keys.entry(key.clone()).or_default();
        debug_assert!(state.wish.is_none(), "one request per key");
        let mut not_before = now;
        if let Some(lease) = &mut state.lease {
            debug_assert!(!matches!(lease.stage, Stage::Used(_)), "the holder releases first");
            if lease.can_be_kept(&self.rules, state.flight, now) {
                lease.stage = Stage::Kept { until: now };
            } else if let Stage::Ending { resume: Some(turn) } = lease.stage {
                not_before = turn.max(now);
            }
        }
        state.wish = Some(Wish::new(ticket, waits, not_before));
        self.tickets.insert(ticket, key.clone());
        self.reschedule(&key);
        // Without a connection for too long, it need not wait for the answer.
        self.tick(now);
    }

    /// The request's future was dropped, or its time ran out. What it gets after that is released, and so is what it has.
    pub(crate) fn withdraw(&mut self, now: Instant, ticket: Ticket) {
        self.tick(now);
        let Some(key) = self.tickets.remove(&ticket) else { return };
        let Some(state) = self.keys.get_mut(&key) else { return };
        if state.wish.as_ref().is_some_and(|wish| wish.ticket == ticket) {
            state.wish = None;
        } else if let Some(lease) = &mut state.lease {
            lease.end();
        }
        self.reschedule(&key);
    }

    /// The holder releases. `next`: another local request waits for the key.
    pub(crate) fn release(&mut self, now: Instant, held: &Held, next: bool) {
        self.tick(now);
        let used = self.keys.get_mut(&held.key).and_then(|state| state.lease.as_mut()).and_then(|lease| {
            let Stage::Used(ticket) = lease.stage else { return None };
            (lease.fence == held.fence).then_some((lease, ticket))
        });
        let Some((lease, ticket)) = used else {
            self.events.push_back(Event::Released { held: held.clone(), was_held: false });
            return;
        };
        lease.tell = true;
        lease.stage = if !lease.may_pass(&self.rules) {
            Stage::Ending { resume: Some(now + self.rules.interval) }
        } else if next && !self.is_closed {
            Stage::Kept { until: now + self.rules.window() }
        } else {
            Stage::Ending { resume: None }
        };
        self.tickets.remove(&ticket);
        self.reschedule(&held.key);
    }

    /// The database says that the key may be free.
    pub(crate) fn woken(&mut self, now: Instant, key: &KeyBytes) {
        self.tick(now);
        let Some(wish) = self.keys.get_mut(key).and_then(|state| state.wish.as_mut()) else { return };
        wish.poll_now(now);
        wish.woken = true;
        // If another process is faster, it releases the key soon as well, and may do so before it can learn that this one
        // still waits: its row is locked while it takes the key. So the pauses start anew.
        wish.busy = 0;
        self.reschedule(key);
    }

    /// There is a new connection, on which no batch is in flight.
    pub(crate) fn connected(&mut self, now: Instant) {
        self.disconnected(now);
        if let Link::Down { since } = self.link {
            let is_asked = self.keys.values().any(|state| state.wish.is_some());
            self.link = Link::Up { silent_since: is_asked.then_some(since) };
        }
        for wish in self.keys.values_mut().filter_map(|state| state.wish.as_mut()) {
            // Notifications were missed meanwhile.
            wish.poll_now(now);
        }
        self.reschedule_all();
    }

    /// Ends all: requests are answered with [`Unavailable`](Event::Unavailable), and all grants are released, also those
    /// that are used. With `leave` nothing more is asked of the database: the grants end with their leases, and holders
    /// hear nothing more.
    pub(crate) fn shut_down(&mut self, now: Instant, leave: bool) {
        self.tick(now);
        self.is_closed = true;
        for (key, state) in &mut self.keys {
            if let Some(wish) = state.wish.take() {
                self.events.push_back(Event::Unavailable { ticket: wish.ticket });
            }
            let Some(lease) = &mut state.lease else { continue };
            if leave && lease.tell {
                self.events.push_back(Event::Released { held: lease.held(key), was_held: false });
            }
            if !leave {
                if matches!(lease.stage, Stage::Used(_)) {
                    self.events.push_back(Event::Lost { held: lease.held(key) });
                }
                lease.end();
            }
        }
        self.tickets.clear();
        if leave {
            self.keys.clear();
            self.renewals.clear();
            self.sends.clear();
            self.changes.clear();
            self.in_flight = None;
        } else {
            self.reschedule_all();
        }
    }

    /// Whether it was shut down, and everything has been released or has ended.
    pub(crate) fn is_done(&self) -> bool {
        self.is_closed && self.keys.is_empty() && self.in_flight.is_none()
    }

    /// When it must be asked for events and batches again, although nothing happened. It can be in the past.
    pub(crate) fn wake_at(&self) -> Option<Instant> {
        let send = if self.may_send() { self.next_send() } else { None };
        [send, self.changes.first()].into_iter().flatten().min()
    }

    /// What happened, in order.
    pub(crate) fn next_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When a batch must be sent.
    pub(super) fn next_send(&self) -> Option<Instant> {
        [self.renewals.first(), self.sends.first()].into_iter().flatten().min()
    }

    pub(super) fn may_send(&self) -> bool {
        matches!(self.link, Link::Up { .. }) && self.in_flight.is_none()
    }

    /// Must be called after each change to a key's state. Forgets it if nothing is left of it.
    pub(super) fn reschedule(&mut self, key: &KeyBytes) {
        let gives_up = self.gives_up();
        let Some(state) = self.keys.get(key) else { return };
        let (renewal, send) = match state.next_ask(&self.rules) {
            Some((at, Ask::Renew)) => (Some(at), None),
            ask => (None, ask.map(|(at, _)| at)),
        };
        self.renewals.set(key, renewal);
        self.sends.set(key, send);
        self.changes.set(key, state.next_change(gives_up));
        if state.is_empty() {
            self.keys.remove(key);
        }
    }

    /// Must be called after each change to the link, as times depend on it.
    pub(super) fn reschedule_all(&mut self) {
        let keys: Vec<_> = self.keys.keys().cloned().collect();
        for key in keys {
            self.reschedule(&key);
        }
    }

    /// When requests that do not wait stop hoping for a connection, if there is none.
    pub(super) fn gives_up(&self) -> Option<Instant> {
        match self.link {
            Link::Up { .. } => None,
            Link::Down { since } => Some(since + self.rules.patience),
        }
    }

    /// Nothing is kept of what was asked and held before.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty()
            && self.tickets.is_empty()
            && self.in_flight.is_none()
            && self.renewals.is_empty()
            && self.sends.is_empty()
            && self.changes.is_empty()
            && self.events.is_empty()
    }

    /// The number of keys of which something is kept.
    #[cfg(test)]
    pub(super) fn key_count(&self) -> usize {
        self.keys.len().max(self.tickets.len())
    }
}

impl Lease {
    /// It is released as soon as that can be sent.
    fn end(&mut self) {
        if !matches!(self.stage, Stage::Ending { .. }) {
            self.stage = Stage::Ending { resume: None };
        }
    }

    pub(super) fn held(&self, key: &KeyBytes) -> Held {
        Held { key: key.clone(), fence: self.fence }
    }
}
