//! What the answers mean, and what is left of a batch that will have none.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::batch::{Answers, Grant, Held, KeyBytes, deadline};
use super::event::{Event, Ticket};
use super::key_state::{Ask, Lease, Stage};
use super::machine::{Link, Machine};

impl Machine {
    /// The database has answered the batch in flight. Answers to a batch before the last [`disconnected`](Self::disconnected)
    /// must not be given to it.
    pub(crate) fn answered(&mut self, now: Instant, answers: Answers) {
        // A lease that has ended by now has ended, even if the answer says that it was renewed in time.
        self.tick(now);
        let Some(batch) = self.in_flight.take() else { return };
        self.link = Link::Up { silent_since: None };
        let mut granted: HashMap<KeyBytes, Grant> = by_key(answers.granted, |grant| &grant.held.key);
        let mut renewed: HashMap<KeyBytes, Grant> = by_key(answers.renewed, |grant| &grant.held.key);
        let released: HashMap<KeyBytes, Held> = by_key(answers.released, |held| &held.key);
        let rests: HashMap<_, _> = answers.busy.into_iter().map(|busy| (busy.key, busy.rest)).collect();
        for key in &batch.keys {
            let Some(state) = self.keys.get_mut(key) else { continue };
            match state.flight.take() {
                Some(Ask::Take(ticket)) => match granted.remove(key) {
                    Some(grant) => self.granted(now, batch.asked, &grant, 0),
                    None => self.busy(now, key, ticket, rests.get(key).copied().unwrap_or(Duration::MAX)),
                },
                Some(Ask::Pass) => match granted.remove(key) {
                    Some(grant) => {
                        let lease = state.lease.take().expect("a pass is asked for a grant");
                        self.tell(key, &lease, true);
                        self.granted(now, batch.asked, &grant, lease.passes + 1);
                    }
                    // The row was locked for a moment, for example by a transaction that verifies the grant. It is still ours.
                    None if rests.contains_key(key) => {
                        if let Some(ticket) = state.wish.as_ref().map(|wish| wish.ticket) {
                            self.busy(now, key, ticket, Duration::MAX);
                        }
                    }
                    None => {
                        let lease = state.lease.take().expect("a pass is asked for a grant");
                        self.tell(key, &lease, false);
                    }
                },
                Some(Ask::Renew) => self.renewed(key, batch.asked, renewed.remove(key)),
                Some(Ask::Release) => {
                    let lease = state.lease.take().expect("a release is asked for a grant");
                    self.tell(key, &lease, released.get(key).is_some_and(|held| held.fence == lease.fence));
                }
                None => {}
            }
            self.reschedule(key);
        }
        // An answer can be so late that what it grants has ended.
        self.tick(now);
    }

    /// The connection is lost. Nothing is known of the batch in flight: it may have been done, or be done later.
    pub(crate) fn disconnected(&mut self, now: Instant) {
        self.tick(now);
        if let Link::Up { silent_since } = self.link {
            self.link = Link::Down { since: silent_since.unwrap_or(now) };
        }
        for key in self.in_flight.take().map(|batch| batch.keys).unwrap_or_default() {
            let Some(state) = self.keys.get_mut(&key) else { continue };
            if state.flight.take() != Some(Ask::Pass) {
                // It is asked again as it is. A take gets the row if it is ours already, without our knowing its number.
                continue;
            }
            // The old number may be valid or not. A take gets the row in both cases, a release only in one. In the other
            // the row is free when its lease ends.
            if state.wish.is_some() {
                let lease = state.lease.take().expect("a pass is asked for a grant");
                self.tell(&key, &lease, false);
            } else if let Some(lease) = &mut state.lease {
                lease.stage = Stage::Ending { resume: None };
            }
        }
        self.reschedule_all();
        self.tick(now);
    }

    /// A take or a pass got the key. It belongs to the local request that waits for it now, which need not be the one for
    /// which it was asked.
    fn granted(&mut self, now: Instant, asked: Instant, grant: &Grant, passes: u32) {
        let key = &grant.held.key;
        let Some(state) = self.keys.get_mut(key) else { return };
        let deadline = deadline(asked, self.rules.lease);
        let mut stage = Stage::Ending { resume: None };
        if deadline > now {
            if let Some(wish) = state.wish.take() {
                stage = Stage::Used(wish.ticket);
                self.events.push_back(Event::Granted {
                    ticket: wish.ticket,
                    held: grant.held.clone(),
                    deadline,
                });
            }
        } else if let Some(wish) = &mut state.wish {
            wish.poll_now(now);
        }
        let (fence, is_wanted) = (grant.held.fence, grant.is_wanted);
        state.lease = Some(Lease { fence, asked, deadline, is_wanted, passes, tell: false, stage });
    }

    /// A take found another holder. A request that arrived after the question must ask for itself.
    fn busy(&mut self, now: Instant, key: &KeyBytes, ticket: Ticket, rest: Duration) {
        let Some(state) = self.keys.get_mut(key) else { return };
        let Some(wish) = state.wish.as_mut().filter(|wish| wish.ticket == ticket) else { return };
        if wish.waits {
            wish.busy = wish.busy.saturating_add(1);
            // If the key was released after the look, that was said meanwhile, and will not be said again.
            if !wish.woken {
                wish.poll_at = now + self.rules.pause(wish.busy, rest, &mut self.random);
            }
        } else {
            state.wish = None;
            self.tickets.remove(&ticket);
            self.events.push_back(Event::Busy { ticket, rest });
        }
    }

    /// A renewal was answered: with the grant, or with nothing.
    fn renewed(&mut self, key: &KeyBytes, asked: Instant, grant: Option<Grant>) {
        let Some(state) = self.keys.get_mut(key) else { return };
        let Some(lease) = &mut state.lease else { return };
        if let Some(grant) = grant.filter(|grant| grant.held.fence == lease.fence) {
            lease.asked = asked;
            lease.deadline = deadline(asked, self.rules.lease);
            lease.is_wanted = grant.is_wanted;
            if matches!(lease.stage, Stage::Used(_)) {
                self.events.push_back(Event::Extended { held: grant.held, deadline: lease.deadline });
            }
            return;
        }
        if let Stage::Used(ticket) = lease.stage {
            self.tickets.remove(&ticket);
            self.events.push_back(Event::Lost { held: lease.held(key) });
        }
        let lease = state.lease.take().expect("it was looked at above");
        self.tell(key, &lease, false);
    }

    /// The holder's release is done, if there was one.
    fn tell(&mut self, key: &KeyBytes, lease: &Lease, was_held: bool) {
        if lease.tell {
            self.events.push_back(Event::Released { held: lease.held(key), was_held });
        }
    }
}

fn by_key<T>(answers: Vec<T>, key: impl Fn(&T) -> &KeyBytes) -> HashMap<KeyBytes, T> {
    answers.into_iter().map(|answer| (key(&answer).clone(), answer)).collect()
}
