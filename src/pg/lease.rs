//! [`Leases`]: what the rest of the process says to the connection's task. [`Lease`]: a grant, while it is used.

use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Instant;

use tokio::sync::{mpsc, oneshot, watch};

use crate::provider::LockError;
use crate::remote::{Held, KeyBytes, Ticket};

/// What the task is asked to do.
pub(super) enum Command {
    Ask { ticket: Ticket, key: KeyBytes, waits: bool, answer: oneshot::Sender<Answer> },
    Withdraw(Ticket),
    Release { held: Held, next: bool, done: Option<oneshot::Sender<bool>> },
    ShutDown { leave: bool, done: oneshot::Sender<()> },
}

pub(super) type Answer = Result<Lease, LockError>;

/// The way to the task: a channel without a bound, so that the drop of a guard never waits.
#[derive(Clone)]
pub(super) struct Leases {
    commands: mpsc::UnboundedSender<Command>,
    tickets: Arc<AtomicU64>,
}

impl Leases {
    pub(super) fn new() -> (Self, mpsc::UnboundedReceiver<Command>) {
        let (commands, received) = mpsc::unbounded_channel();
        (Self { commands, tickets: Arc::default() }, received)
    }

    /// For the task, which must not keep its own channel open.
    pub(super) fn downgrade(&self) -> WeakLeases {
        WeakLeases { commands: self.commands.downgrade(), tickets: self.tickets.clone() }
    }

    /// Asks for a key, whose local lock the caller holds.
    pub(super) fn ask(&self, key: KeyBytes, waits: bool) -> Asked {
        let ticket = Ticket(self.tickets.fetch_add(1, Ordering::Relaxed));
        let (answer, answered) = oneshot::channel();
        self.send(Command::Ask { ticket, key, waits, answer });
        Asked { ticket, leases: self.clone(), answer: Some(answered) }
    }

    /// Returns when all is released, or at once if that is left to the ends of the leases.
    pub(super) async fn shut_down(&self, leave: bool) {
        let (done, is_done) = oneshot::channel();
        self.send(Command::ShutDown { leave, done });
        // If the task has ended, there is nothing left to do.
        let _ = is_done.await;
    }

    /// If the task has ended, the command is dropped, and with it what would bring the answer.
    fn send(&self, command: Command) {
        let _ = self.commands.send(command);
    }
}

/// The way to the task, while a lock, a guard or a request has it.
pub(super) struct WeakLeases {
    commands: mpsc::WeakUnboundedSender<Command>,
    tickets: Arc<AtomicU64>,
}

impl WeakLeases {
    pub(super) fn upgrade(&self) -> Option<Leases> {
        Some(Leases { commands: self.commands.upgrade()?, tickets: self.tickets.clone() })
    }
}

/// A request for a key. If it is dropped, it is withdrawn.
pub(super) struct Asked {
    ticket: Ticket,
    leases: Leases,
    /// `None` once it is answered.
    answer: Option<oneshot::Receiver<Answer>>,
}

impl Future for Asked {
    type Output = Answer;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Answer> {
        let answer = self.answer.as_mut().expect("it is not polled again after its answer");
        let answer = ready!(Pin::new(answer).poll(cx));
        self.answer = None;
        Poll::Ready(answer.unwrap_or_else(|_| Err(LockError::Unavailable(Box::new(Ended)))))
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        if self.answer.is_some() {
            self.leases.send(Command::Withdraw(self.ticket));
        }
    }
}

/// The task of the connection has ended: it was shut down, or its runtime was.
#[derive(Debug, thiserror::Error)]
#[error("the locks were shut down")]
pub(super) struct Ended;

/// A key breaks the contract of its trait.
#[derive(Debug, thiserror::Error)]
#[error("another key of this process has the same bytes")]
pub(super) struct SameBytes;

/// A grant. If it is dropped, it is released.
pub(super) struct Lease {
    held: Held,
    /// When it ends, if it is not renewed; `None` once it is lost.
    end: watch::Receiver<Option<Instant>>,
    leases: Leases,
    is_released: bool,
}

impl Lease {
    pub(super) fn new(held: Held, end: watch::Receiver<Option<Instant>>, leases: Leases) -> Self {
        Self { held, end, leases, is_released: false }
    }

    pub(super) fn held(&self) -> &Held {
        &self.held
    }

    pub(super) fn is_lost(&self) -> bool {
        // The clock, too: the runtime of the task may stand still.
        self.end.borrow().is_none_or(|end| end <= Instant::now())
    }

    pub(super) async fn lost(&self) {
        let mut end = self.end.clone();
        // The task says it, at the latest when it ends itself.
        let _ = end.wait_for(Option::is_none).await;
    }

    /// Releases it. `next`: another local request waits for the key.
    pub(super) fn release(&mut self, next: bool, done: Option<oneshot::Sender<bool>>) {
        if !self.is_released {
            self.is_released = true;
            self.leases.send(Command::Release { held: self.held.clone(), next, done });
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.release(false, None);
    }
}

/// Why nothing could be asked of the database: the last error of the connection.
#[derive(Clone, Debug)]
pub(super) struct Unreachable(pub(super) Option<Arc<sqlx::Error>>);

impl std::fmt::Display for Unreachable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the database of the locks does not answer")
    }
}

impl Error for Unreachable {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.as_ref().map(|error| &**error as &(dyn Error + 'static))
    }
}
