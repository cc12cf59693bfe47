//! [`Closing`]: the pending COMMIT of a transaction.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use sqlx::{Database, Transaction};

use super::commit::CommitError;
use super::on_runtime::OnRuntime;
use super::stats::{Ending, Watch};

type Commit = Pin<Box<dyn Future<Output = Result<(), sqlx::Error>> + Send>>;

/// COMMIT is sent, or about to be. A drop does not drop it: a task waits for the answer. So a transaction whose client hangs
/// up here is committed, and counts as what it was.
pub(super) struct Closing {
    /// `None` once it has answered.
    pending: Option<(OnRuntime<Commit>, Watch)>,
}

impl Closing {
    pub(super) fn new<DB: Database>(
        transaction: OnRuntime<Transaction<'static, DB>>,
        mut watch: Watch,
    ) -> Self {
        let (transaction, runtime) = transaction.take();
        // If the runtime shuts down before the answer.
        watch.set(Ending::CommitUnknown);
        let commit: Commit = Box::pin(transaction.commit());
        Self { pending: Some((OnRuntime::new(commit, runtime), watch)) }
    }
}

fn end(mut watch: Watch, answer: Result<(), sqlx::Error>) -> Result<(), CommitError> {
    let outcome = answer.map_err(CommitError::of);
    watch.set(match outcome {
        Ok(()) => Ending::Committed,
        Err(CommitError::Refused(_)) => Ending::CommitRefused,
        Err(CommitError::Unknown(_)) => Ending::CommitUnknown,
    });
    outcome
}

impl Future for Closing {
    type Output = Result<(), CommitError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let (commit, _) = self.pending.as_mut().expect("it is not polled again after its answer");
        let answer = ready!(Pin::new(commit).poll(cx));
        let (_, watch) = self.pending.take().expect("it was just polled");
        Poll::Ready(end(watch, answer))
    }
}

impl Drop for Closing {
    fn drop(&mut self) {
        if let Some((commit, watch)) = self.pending.take() {
            let runtime = commit.runtime();
            runtime.spawn(async move {
                // Nobody waits for the outcome. It is counted.
                let _ = end(watch, commit.await);
            });
        }
    }
}
