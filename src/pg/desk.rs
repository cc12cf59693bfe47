//! [`Desk`]: the machine, and the requests and holders that it answers.

use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{sleep, sleep_until};

use super::events;
use super::lease::{Answer, Command, Lease, SameBytes, Unreachable, WeakLeases};
use super::stats::LeaseStats;
use crate::error::Busy;
use crate::provider::LockError;
use crate::remote::{Answers, Batch, Event, Held, KeyBytes, Machine, Ticket};

/// Everything of the task but the connection.
pub(super) struct Desk {
    machine: Machine,
    commands: mpsc::UnboundedReceiver<Command>,
    /// All locks, guards and requests are gone.
    is_deserted: bool,
    leases: WeakLeases,
    stats: LeaseStats,
    name: &'static str,
    asked: HashMap<Ticket, oneshot::Sender<Answer>>,
    holders: HashMap<KeyBytes, Holder>,
    /// Callers that wait for the end of a release.
    released: HashMap<Held, oneshot::Sender<bool>>,
    shut_down: Vec<oneshot::Sender<()>>,
    last_error: Option<Arc<sqlx::Error>>,
}

struct Holder {
    fence: u64,
    end: watch::Sender<Option<Instant>>,
}

/// What happens next.
pub(super) enum Turn<T> {
    /// What was waited for.
    Done(T),
    /// There is something to ask.
    Batch(Batch),
    /// The task ends.
    Over,
}

impl Desk {
    pub(super) fn new(
        machine: Machine,
        commands: mpsc::UnboundedReceiver<Command>,
        leases: WeakLeases,
        stats: LeaseStats,
        name: &'static str,
    ) -> Self {
        Self {
            machine,
            commands,
            is_deserted: false,
            leases,
            stats,
            name,
            asked: HashMap::new(),
            holders: HashMap::new(),
            released: HashMap::new(),
            shut_down: Vec::new(),
            last_error: None,
        }
    }

    /// Waits for `work`, and obeys meanwhile. If there is something to ask, returns that instead: while `work` is an answer,
    /// or there is no connection, there never is.
    pub(super) async fn beside<F: Future>(&mut self, work: F) -> Turn<F::Output> {
        enum Woken<T> {
            Done(T),
            Command(Option<Command>),
            Time,
        }
        let mut work = pin!(work);
        loop {
            // All that was said by now goes into the next batch.
            for _ in 0..self.commands.len() {
                if let Ok(command) = self.commands.try_recv() {
                    self.obey(command);
                }
            }
            let batch = self.machine.next_batch(Instant::now());
            self.deliver();
            if let Some(batch) = batch {
                self.stats.asked();
                return Turn::Batch(batch);
            }
            if self.machine.is_done() {
                return Turn::Over;
            }
            // Without anything due it looks now and then, for nothing.
            let at = self.machine.wake_at().unwrap_or_else(|| Instant::now() + Duration::from_secs(3600));
            let mut time = pin!(sleep_until(at.into()));
            let woken = poll_fn(|cx| {
                // First, so that many commands do not keep an answer waiting.
                if let Poll::Ready(done) = work.as_mut().poll(cx) {
                    return Poll::Ready(Woken::Done(done));
                }
                if !self.is_deserted
                    && let Poll::Ready(command) = self.commands.poll_recv(cx)
                {
                    return Poll::Ready(Woken::Command(command));
                }
                time.as_mut().poll(cx).map(|()| Woken::Time)
            });
            match woken.await {
                Woken::Done(done) => return Turn::Done(done),
                Woken::Command(Some(command)) => self.obey(command),
                Woken::Command(None) => {
                    self.is_deserted = true;
                    self.machine.shut_down(Instant::now(), false);
                }
                Woken::Time => {}
            }
        }
    }

    fn obey(&mut self, command: Command) {
        let now = Instant::now();
        match command {
            // The local locks take two keys for different ones whose bytes are equal.
            Command::Ask { key, answer, .. } if self.machine.is_taken(&key) => {
                let _ = answer.send(Err(LockError::BadKey(Box::new(SameBytes))));
            }
            Command::Ask { ticket, key, waits, answer } => {
                self.asked.insert(ticket, answer);
                self.machine.ask(now, ticket, key, waits);
            }
            Command::Withdraw(ticket) => {
                self.asked.remove(&ticket);
                self.machine.withdraw(now, ticket);
            }
            Command::Release { held, next, done } => {
                if let Some(done) = done {
                    self.released.insert(held.clone(), done);
                }
                self.forget(&held);
                self.machine.release(now, &held, next);
            }
            Command::ShutDown { leave, done } => {
                self.machine.shut_down(now, leave);
                self.shut_down.push(done);
            }
        }
    }

    pub(super) fn connected(&mut self) {
        self.stats.connected();
        events::connected(self.name);
        self.machine.connected(Instant::now());
    }

    pub(super) fn disconnected(&mut self, error: sqlx::Error) {
        events::disconnected(self.name, &error);
        self.last_error = Some(Arc::new(error));
        self.machine.disconnected(Instant::now());
    }

    pub(super) fn answered(&mut self, answers: Answers) {
        self.machine.answered(Instant::now(), answers);
    }

    pub(super) fn woken(&mut self, key: &KeyBytes) {
        self.machine.woken(Instant::now(), key);
    }

    /// Tells requests and holders what has happened.
    fn deliver(&mut self) {
        while let Some(event) = self.machine.next_event() {
            match event {
                Event::Granted { ticket, held, deadline } => {
                    self.stats.granted();
                    let (end, ends) = watch::channel(Some(deadline));
                    self.holders.insert(held.key.clone(), Holder { fence: held.fence, end });
                    match self.leases.upgrade() {
                        // If nobody waits any more, the lease is dropped here, and released with that.
                        Some(leases) => self.answer(ticket, Ok(Lease::new(held, ends, leases))),
                        None => self.machine.release(Instant::now(), &held, false),
                    }
                }
                Event::Busy { ticket, .. } => {
                    self.stats.busy();
                    self.answer(ticket, Err(Busy::new(0, None).into()));
                }
                Event::Unavailable { ticket } => {
                    self.stats.unavailable();
                    let why = Unreachable(self.last_error.clone());
                    self.answer(ticket, Err(LockError::Unavailable(Box::new(why))));
                }
                Event::Extended { held, deadline } => {
                    if let Some(holder) = self.holders.get(&held.key).filter(|it| it.fence == held.fence) {
                        holder.end.send_replace(Some(deadline));
                    }
                }
                Event::Lost { held } => {
                    self.stats.lost();
                    events::lost(self.name, held.fence);
                    if let Some(holder) = self.forget(&held) {
                        holder.end.send_replace(None);
                    }
                }
                Event::Released { held, was_held } => {
                    if let Some(done) = self.released.remove(&held) {
                        let _ = done.send(was_held);
                    }
                }
            }
        }
    }

    fn answer(&mut self, ticket: Ticket, answer: Answer) {
        if let Some(asked) = self.asked.remove(&ticket) {
            let _ = asked.send(answer);
        }
    }

    fn forget(&mut self, held: &Held) -> Option<Holder> {
        let is_this = self.holders.get(&held.key).is_some_and(|holder| holder.fence == held.fence);
        if is_this { self.holders.remove(&held.key) } else { None }
    }

    /// The end of the task. Grants that were left to their leases last until then.
    pub(super) async fn close(mut self) {
        for done in self.shut_down.drain(..) {
            let _ = done.send(());
        }
        // What was sent, and what will be, has its answer at once: that there is none.
        self.commands.close();
        while self.commands.recv().await.is_some() {}
        let mut ends: Vec<Holder> = self.holders.drain().map(|(_, holder)| holder).collect();
        ends.sort_by_key(|holder| *holder.end.borrow());
        for holder in ends {
            let end = *holder.end.borrow();
            if let Some(end) = end {
                sleep(end.saturating_duration_since(Instant::now())).await;
            }
            holder.end.send_replace(None);
        }
    }
}

/// If its runtime is shut down, nobody renews.
impl Drop for Desk {
    fn drop(&mut self) {
        for (_, holder) in self.holders.drain() {
            holder.end.send_replace(None);
        }
    }
}
