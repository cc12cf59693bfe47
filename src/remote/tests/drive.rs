//! One machine whose database is the test.

use std::time::{Duration, Instant};

use super::super::{Answers, Batch, Busy, Event, Grant, Held, KeyBytes, Machine, Take, Ticket};
use super::world::rules;

pub(super) struct Drive {
    pub(super) machine: Machine,
    pub(super) now: Instant,
    tickets: u64,
}

pub(super) fn key() -> KeyBytes {
    named("sweets")
}

pub(super) fn named(name: &str) -> KeyBytes {
    name.as_bytes().into()
}

pub(super) fn held(fence: u64) -> Held {
    Held { key: key(), fence }
}

pub(super) fn take() -> Batch {
    Batch { take: vec![Take { key: key(), waits: true }], ..Batch::default() }
}

pub(super) fn pass(fence: u64) -> Batch {
    Batch { pass: vec![held(fence)], ..Batch::default() }
}

pub(super) fn renew(fence: u64) -> Batch {
    Batch { renew: vec![held(fence)], ..Batch::default() }
}

pub(super) fn release(fence: u64) -> Batch {
    Batch { release: vec![held(fence)], ..Batch::default() }
}

pub(super) fn nothing() -> Answers {
    Answers::default()
}

pub(super) fn granted(fence: u64) -> Answers {
    Answers { granted: vec![Grant { held: held(fence), is_wanted: false }], ..nothing() }
}

pub(super) fn granted_and_wanted(fence: u64) -> Answers {
    Answers { granted: vec![Grant { held: held(fence), is_wanted: true }], ..nothing() }
}

pub(super) fn renewed(fence: u64) -> Answers {
    Answers { renewed: vec![Grant { held: held(fence), is_wanted: false }], ..nothing() }
}

pub(super) fn released(fence: u64) -> Answers {
    Answers { released: vec![held(fence)], ..nothing() }
}

pub(super) fn busy(rest: Duration) -> Answers {
    Answers { busy: vec![Busy { key: key(), rest }], ..nothing() }
}

impl Drive {
    pub(super) fn connected() -> Self {
        let now = Instant::now();
        let mut machine = Machine::new(now, rules(), 7);
        machine.connected(now);
        Self { machine, now, tickets: 0 }
    }

    /// A machine whose user holds the key.
    pub(super) fn holding(fence: u64) -> Self {
        let mut drive = Self::connected();
        drive.ask();
        assert_eq!(drive.sends(), Some(take()));
        drive.answer(granted(fence));
        assert!(matches!(drive.events()[..], [Event::Granted { .. }]));
        drive
    }

    pub(super) fn pass_time(&mut self, by: Duration) {
        self.now += by;
    }

    /// Time passes until it is due again.
    pub(super) fn wait(&mut self) -> Duration {
        let at = self.machine.wake_at().expect("something is due");
        let by = at.saturating_duration_since(self.now);
        self.now += by;
        by
    }

    pub(super) fn ask(&mut self) -> Ticket {
        self.ask_for(key(), true)
    }

    pub(super) fn ask_for(&mut self, key: KeyBytes, waits: bool) -> Ticket {
        self.tickets += 1;
        self.machine.ask(self.now, Ticket(self.tickets), key, waits);
        Ticket(self.tickets)
    }

    pub(super) fn withdraw(&mut self, ticket: Ticket) {
        self.machine.withdraw(self.now, ticket);
    }

    pub(super) fn release(&mut self, fence: u64, next: bool) {
        self.machine.release(self.now, &held(fence), next);
    }

    pub(super) fn sends(&mut self) -> Option<Batch> {
        self.machine.next_batch(self.now)
    }

    pub(super) fn answer(&mut self, answers: Answers) {
        self.machine.answered(self.now, answers);
    }

    pub(super) fn reconnect(&mut self) {
        self.machine.disconnected(self.now);
        self.machine.connected(self.now);
    }

    pub(super) fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.machine.next_event()).collect()
    }
}
