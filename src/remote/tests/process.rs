//! A process: its machine, its network and its users.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use super::super::{Answers, Batch, Event, Held, KeyBytes, Machine, Ticket};

/// What is on the network.
#[derive(Debug)]
pub(super) enum Wire {
    Cut,
    Idle,
    /// Not executed yet.
    Sent(Batch),
    /// Executed, and the answer is on its way.
    Answered(Answers),
}

/// The local request or holder of a key. A local lock stands in front, so there is one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum User {
    Asks {
        ticket: Ticket,
        waits: bool,
    },
    Holds {
        ticket: Ticket,
        held: Held,
        deadline: Instant,
    },
    /// It has heard that its lease has ended, and has not released yet.
    Lost {
        held: Held,
    },
}

#[derive(Debug)]
pub(super) struct Process {
    /// What the rows of this process name as their holder.
    pub(super) holder: usize,
    pub(super) machine: Machine,
    pub(super) wire: Wire,
    /// Stopped: time passes, and it notices nothing.
    pub(super) is_stopped: bool,
    pub(super) is_closed: bool,
    pub(super) users: BTreeMap<KeyBytes, User>,
    /// Releases without an answer, by number.
    pub(super) releases: BTreeSet<(KeyBytes, u64)>,
    /// Keys whose row may have got a later number from a batch that was given up.
    pub(super) strayed: BTreeSet<KeyBytes>,
    /// The last number that a user got.
    last: BTreeMap<KeyBytes, u64>,
    /// Grants whose release was confirmed.
    pub(super) confirmed: Vec<Held>,
}

impl Process {
    pub(super) fn new(holder: usize, machine: Machine) -> Self {
        Self {
            holder,
            machine,
            wire: Wire::Cut,
            is_stopped: false,
            is_closed: false,
            users: BTreeMap::new(),
            releases: BTreeSet::new(),
            strayed: BTreeSet::new(),
            last: BTreeMap::new(),
            confirmed: Vec::new(),
        }
    }

    /// The users that may act as holders at this time.
    pub(super) fn holders(&self, now: Instant) -> impl Iterator<Item = &Held> {
        self.users.values().filter_map(move |user| match user {
            User::Holds { held, deadline, .. } if *deadline > now => Some(held),
            _ => None,
        })
    }

    pub(super) fn holds(&self, now: Instant, held: &Held) -> bool {
        self.holders(now).any(|other| other == held)
    }

    pub(super) fn asks(&self, key: &KeyBytes) -> bool {
        matches!(self.users.get(key), Some(User::Asks { .. }))
    }

    /// Does what its task would do: hears all events, and sends what is due.
    pub(super) fn run(&mut self, now: Instant) {
        if self.is_stopped {
            return;
        }
        let must_send = self.machine.wake_at().is_some_and(|at| at <= now);
        let batch = self.machine.next_batch(now);
        while let Some(event) = self.machine.next_event() {
            self.hear(now, event);
        }
        if let Some(batch) = batch {
            assert!(must_send, "a batch was due, and nothing said so");
            self.check(now, &batch);
            assert!(matches!(self.wire, Wire::Idle), "one batch at a time: {:?}", self.wire);
            self.wire = Wire::Sent(batch);
        }
        let next = self.machine.wake_at();
        assert!(next.is_none_or(|at| at > now), "it would be called again and again");
        assert!(self.machine.key_count() <= 2, "nothing is kept for keys that are not known");
    }

    /// Each question serves a user.
    fn check(&self, now: Instant, batch: &Batch) {
        let mut keys = BTreeSet::new();
        let takes = batch.take.iter().map(|take| &take.key);
        let grants = batch.pass.iter().chain(&batch.renew).chain(&batch.release).map(|held| &held.key);
        for key in takes.chain(grants) {
            assert!(keys.insert(key.clone()), "each key occurs once");
        }
        assert!(!keys.is_empty(), "a batch asks something");
        for take in &batch.take {
            assert!(self.asks(&take.key), "a key is taken for a request: {take:?}");
        }
        for held in &batch.pass {
            assert!(self.asks(&held.key), "a key is passed to a request: {held:?}");
        }
        for held in &batch.renew {
            assert!(self.holds(now, held), "a grant is renewed for a holder: {held:?}");
        }
        for held in &batch.release {
            assert!(!self.holds(now, held), "a used grant is not released: {held:?}");
        }
    }

    fn hear(&mut self, now: Instant, event: Event) {
        match event {
            Event::Granted { ticket, held, deadline } => {
                assert!(deadline > now, "a grant is given out while it lasts: {held:?}");
                self.end_request(ticket);
                let last = self.last.insert(held.key.clone(), held.fence);
                assert!(last.is_none_or(|last| last < held.fence), "numbers rise: {last:?}, {held:?}");
                self.users.insert(held.key.clone(), User::Holds { ticket, held, deadline });
            }
            Event::Busy { ticket, .. } | Event::Unavailable { ticket } => {
                let (key, waits) = self.end_request(ticket);
                assert!(!waits || self.is_closed, "a request that waits is not refused: {key:?}");
            }
            Event::Extended { held, deadline } => match self.users.get_mut(&held.key) {
                Some(User::Holds { held: own, deadline: old, .. }) if *own == held => {
                    assert!(*old > now, "what has ended is not extended: {held:?}");
                    assert!(*old < deadline, "extended to an earlier time: {held:?}");
                    *old = deadline;
                }
                other => panic!("{held:?} was extended for {other:?}"),
            },
            Event::Lost { held } => {
                match self.users.insert(held.key.clone(), User::Lost { held: held.clone() }) {
                    Some(User::Holds { held: own, .. }) if own == held => {}
                    other => panic!("{held:?} was lost by {other:?}"),
                }
            }
            Event::Released { held, was_held } => {
                assert!(self.releases.remove(&(held.key.clone(), held.fence)), "released once: {held:?}");
                if was_held {
                    self.confirmed.push(held);
                }
            }
        }
    }

    /// The request has its answer.
    fn end_request(&mut self, ticket: Ticket) -> (KeyBytes, bool) {
        let found = self.users.iter().find_map(|(key, user)| match user {
            User::Asks { ticket: own, waits } if *own == ticket => Some((key.clone(), *waits)),
            _ => None,
        });
        let (key, waits) = found.expect("each request has one answer, and none if it was withdrawn");
        self.users.remove(&key);
        (key, waits)
    }
}
