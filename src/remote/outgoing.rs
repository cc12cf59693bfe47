//! What the time brings, and what is asked next.

use std::time::Instant;

use super::batch::{Batch, KeyBytes, Take};
use super::event::Event;
use super::key_state::{Ask, Stage};
use super::machine::{InFlight, Machine};

impl Machine {
    /// What is asked next. `None` while an answer is missing, without a connection, or if nothing is due.
    ///
    /// `now` must be read before the call: deadlines are counted from it.
    pub(crate) fn next_batch(&mut self, now: Instant) -> Option<Batch> {
        self.tick(now);
        // What could go along does not make a batch of its own.
        if !self.may_send() || self.next_send().is_none_or(|first| first > now) {
            return None;
        }
        let mut batch = Batch::default();
        let mut keys = Vec::new();
        let size = self.rules.greatest_batch();
        // What is due precedes what could go along. No flood of requests may end a lease, and no number of leases may keep
        // requests out.
        let parts = [
            (true, now, size - size / 5),
            (false, now, size),
            (true, now + self.rules.renew_early(), size),
            (false, now + self.rules.poll_early(), size),
        ];
        for (are_renewals, last, most) in parts {
            let schedule = if are_renewals { &self.renewals } else { &self.sends };
            for key in schedule.until(last, most.saturating_sub(keys.len())) {
                if self.put(&mut batch, &key, now) {
                    self.reschedule(&key);
                    keys.push(key);
                }
            }
        }
        self.in_flight = Some(InFlight { asked: now, keys });
        Some(batch)
    }

    /// Puts what the key needs into the batch. Returns `false` if that is not due.
    fn put(&mut self, batch: &mut Batch, key: &KeyBytes, now: Instant) -> bool {
        let Some(state) = self.keys.get_mut(key) else { return false };
        let Some((at, ask)) = state.next_ask(&self.rules) else { return false };
        let early = match ask {
            Ask::Renew => self.rules.renew_early(),
            Ask::Take(_) => self.rules.poll_early(),
            Ask::Pass | Ask::Release => Default::default(),
        };
        // A request that must let another process go first does not go along.
        let too_early = state.wish.as_ref().is_some_and(|wish| now < wish.not_before && ask != Ask::Release);
        if at > now + early || too_early {
            return false;
        }
        let held = state.lease.as_ref().map(|lease| lease.held(key));
        match (ask, held) {
            (Ask::Take(_), _) => {
                let wish = state.wish.as_mut().expect("a take is asked for a request");
                wish.woken = false;
                batch.take.push(Take { key: key.clone(), waits: wish.waits });
            }
            (Ask::Pass, held) => batch.pass.extend(held),
            (Ask::Renew, held) => batch.renew.extend(held),
            (Ask::Release, held) => batch.release.extend(held),
        }
        state.flight = Some(ask);
        true
    }

    /// Lets everything happen that was due by now. All inputs begin with it, so what happens depends on the time alone and
    /// not on how often it is called.
    pub(super) fn tick(&mut self, now: Instant) {
        for key in self.changes.until(now, usize::MAX) {
            self.change(&key, now);
            self.reschedule(&key);
        }
    }

    fn change(&mut self, key: &KeyBytes, now: Instant) {
        let gives_up = self.gives_up();
        let Some(state) = self.keys.get_mut(key) else { return };
        // Before the grant, which may have been kept for this request alone.
        if gives_up.is_some_and(|end| end <= now)
            && let Some(wish) = state.wish.take_if(|wish| !wish.waits)
        {
            self.tickets.remove(&wish.ticket);
            self.events.push_back(Event::Unavailable { ticket: wish.ticket });
        }
        if let Some(lease) = &mut state.lease {
            let held = lease.held(key);
            match lease.stage {
                Stage::Used(ticket) if lease.deadline <= now => {
                    self.tickets.remove(&ticket);
                    self.events.push_back(Event::Lost { held: held.clone() });
                    // The row may be ours for some more time, and others need not wait for its end.
                    lease.stage = Stage::Ending { resume: None };
                }
                Stage::Kept { until } if state.flight.is_none() => {
                    let needless = state.wish.is_none() && until <= now;
                    if needless || lease.deadline <= now {
                        lease.stage = Stage::Ending { resume: None };
                    }
                }
                _ => {}
            }
            // Without a connection its end frees the row as well as a release.
            if matches!(lease.stage, Stage::Ending { .. }) && gives_up.is_some() && lease.deadline <= now {
                if lease.tell {
                    self.events.push_back(Event::Released { held, was_held: false });
                }
                state.lease = None;
            }
        }
    }
}
