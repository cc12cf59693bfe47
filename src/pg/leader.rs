//! [`PgKeyedLock::lead`]: work that runs in one process at a time.

use std::future::{Future, poll_fn};
use std::hash::Hash;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use super::guard::PgGuard;
use super::key::StableKey;
use super::lock::PgKeyedLock;
use crate::provider::LockError;

impl<K: StableKey + Eq + Hash + Clone + Send + Sync + 'static> PgKeyedLock<K> {
    /// Runs `work` while this process holds the key, and returns what it returns. Other processes that call it wait, and one
    /// of them takes over when this one ends: for a job that must run on one replica.
    ///
    /// If the lease is lost, the work is dropped, and begins again when the process gets the key again. It can't get the key
    /// while another task has a clone of the guard. The last statements of the work may run on for a moment, beside the next
    /// holder: [verify](PgGuard::verify) the guard in each transaction, or check the fence. To keep a short job from running
    /// twice in a row on two replicas, let the work wait before it returns.
    ///
    /// # Errors
    ///
    /// Returns [`LockError::Unavailable`] if the locks are shut down, and [`LockError::BadKey`].
    ///
    /// # Cancel safety
    ///
    /// If it is dropped, the work is dropped, and the key is released.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(jobs: latchwork::pg::PgKeyedLock<String>) -> Result<(), latchwork::provider::LockError> {
    /// jobs.lead("send reminders".to_owned(), async |guard| {
    ///     while !guard.is_lost() {
    ///         // send_reminders(guard.fence()).await;
    ///         tokio::time::sleep(std::time::Duration::from_secs(60)).await;
    ///     }
    /// })
    /// .await
    /// # }
    /// ```
    pub async fn lead<Fut: Future>(
        &self,
        key: K,
        mut work: impl FnMut(Arc<PgGuard<K>>) -> Fut,
    ) -> Result<Fut::Output, LockError> {
        loop {
            let guard = Arc::new(self.lock_owned(key.clone()).await?);
            let (mut work, mut lost) = (pin!(work(guard.clone())), pin!(guard.lost()));
            let ended = poll_fn(|cx| match work.as_mut().poll(cx) {
                Poll::Ready(done) => Poll::Ready(Some(done)),
                Poll::Pending => lost.as_mut().poll(cx).map(|()| None),
            });
            if let Some(done) = ended.await {
                return Ok(done);
            }
        }
    }
}
