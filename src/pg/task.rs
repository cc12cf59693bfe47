//! The task that owns the connection. No future of a user touches it, so no statement is dropped half way.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use sqlx::{ConnectOptions, PgPool};
use tokio::runtime::Handle;
use tokio::time::{sleep, timeout};

use super::desk::{Desk, Turn};
use super::plans::Plans;
use super::statement::Statements;
use super::{events, pooler};
use crate::remote::{Answers, Batch, KeyBytes};

/// How to make a connection.
pub(super) struct Line {
    pub(super) pool: PgPool,
    pub(super) statements: Statements,
    /// Releases are listened to.
    pub(super) notify: bool,
    /// How long the server may take to answer. After that the connection counts as lost, and there is time left to renew over
    /// another one.
    pub(super) limit: Duration,
    pub(super) name: &'static str,
    /// As far as is known, connections have sessions of their own.
    pub(super) is_alone: AtomicBool,
}

/// A connection.
pub(super) struct Link {
    /// Always there, until it is dropped.
    listener: Option<PgListener>,
    plans: Plans,
    line: Arc<Line>,
    runtime: Handle,
}

/// sqlx needs a runtime for that. A future that makes a connection can be dropped anywhere.
impl Drop for Link {
    fn drop(&mut self) {
        let _entered = self.runtime.enter();
        drop(self.listener.take());
    }
}

/// How long it may take to connect.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// The pause after the second failure in a row. The first one is followed by another try at once, as leases may end soon.
const SHORTEST_PAUSE: Duration = Duration::from_millis(20);
/// The pause doubles up to this.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

impl Line {
    /// Makes the first connection, and finds out whether it has a session of its own. Returns `None` if it would listen
    /// in a session of others.
    pub(super) async fn connect_first(self: &Arc<Self>) -> Result<Option<Link>, sqlx::Error> {
        let mut link = self.open().await?;
        let options = self.options();
        let is_shared = within(CONNECT_LIMIT, pooler::shares_sessions(link.listener(), &options)).await?;
        if is_shared && self.notify {
            return Ok(None);
        }
        self.is_alone.store(!is_shared, Ordering::Relaxed);
        link.begin().await?;
        Ok(Some(link))
    }

    /// Read each time: the pool's may change, with passwords that last for some minutes.
    fn options(&self) -> PgConnectOptions {
        // Its statements are many and have the keys in them.
        (*self.pool.connect_options()).clone().disable_statement_logging()
    }

    pub(super) async fn connect(self: &Arc<Self>) -> Result<Link, sqlx::Error> {
        let mut link = self.open().await?;
        link.begin().await?;
        Ok(link)
    }

    async fn open(self: &Arc<Self>) -> Result<Link, sqlx::Error> {
        // A listener takes its connection from a pool. A new pool each time: the old connection may hang for long.
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .acquire_timeout(CONNECT_LIMIT)
            .max_lifetime(None)
            .idle_timeout(None)
            .test_before_acquire(false)
            .connect_lazy_with(self.options());
        let mut listener = PgListener::connect_with(&pool).await?;
        listener.eager_reconnect(false);
        listener.ignore_pool_close_event(true);
        let (plans, runtime) = (Plans::none(), Handle::current());
        Ok(Link { listener: Some(listener), plans, line: self.clone(), runtime })
    }
}

/// An answer that does not come in time is an error of the connection.
async fn within<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    let late = || sqlx::Error::Io(std::io::ErrorKind::TimedOut.into());
    timeout(limit, work).await.unwrap_or_else(|_| Err(late()))
}

impl Link {
    pub(super) fn listener(&mut self) -> &mut PgListener {
        self.listener.as_mut().expect("it is taken when this is dropped")
    }

    /// Makes the session ready for batches.
    async fn begin(&mut self) -> Result<(), sqlx::Error> {
        let line = self.line.clone();
        within(CONNECT_LIMIT, line.statements.table().check(self.listener())).await?;
        if line.is_alone.load(Ordering::Relaxed) {
            self.plans = within(CONNECT_LIMIT, Plans::prepare(&line.statements, self.listener())).await?;
            if line.notify {
                let channel = line.statements.table().channel();
                within(CONNECT_LIMIT, self.listener().listen(channel)).await?;
            }
        }
        Ok(())
    }

    pub(super) async fn ask(&mut self, batch: &Batch) -> Result<Answers, sqlx::Error> {
        let Self { listener, plans, line, .. } = self;
        let listener = listener.as_mut().expect("it is taken when this is dropped");
        let were_kept = plans.are_kept();
        let answers = within(line.limit, plans.ask(&line.statements, listener, batch)).await;
        if were_kept && !plans.are_kept() {
            // The next connection does not listen.
            line.is_alone.store(false, Ordering::Relaxed);
            events::shared(line.name);
        }
        answers
    }

    /// Waits until the database says that a key was released.
    async fn notified(&mut self) -> Result<Option<KeyBytes>, sqlx::Error> {
        match self.listener().try_recv().await? {
            Some(notification) => Ok(Statements::notified(notification.payload())),
            None => Err(sqlx::Error::Io(std::io::ErrorKind::ConnectionAborted.into())),
        }
    }

    /// Returns what it has said meanwhile.
    fn buffered(&mut self) -> Option<Option<KeyBytes>> {
        let notification = self.listener().next_buffered()?;
        Some(Statements::notified(notification.payload()))
    }
}

/// Runs until all is released after a shutdown. The first connection is made already.
pub(super) async fn run(mut desk: Desk, link: Link) {
    let line = link.line.clone();
    let (mut link, mut pause) = (Some(link), Duration::ZERO);
    while let Some(error) = serve(&mut desk, &line, link.take(), &mut pause).await {
        desk.disconnected(error);
        // Processes that have lost their server together must not come back together.
        let spread = pause.mul_f64(0.5 + fastrand::f64() / 2.0);
        if let Turn::Over = desk.beside(sleep(spread)).await {
            break;
        }
        pause = (pause * 2).clamp(SHORTEST_PAUSE, LONGEST_PAUSE);
    }
    desk.close().await;
}

/// Serves over this connection, or makes one. Returns the error that ended it, or `None` if the task ends.
///
/// An answer ends the `pause` between tries. A connection alone does not: a server can accept connections and refuse all
/// that is asked.
async fn serve(
    desk: &mut Desk,
    line: &Arc<Line>,
    link: Option<Link>,
    pause: &mut Duration,
) -> Option<sqlx::Error> {
    let mut link = match link {
        Some(link) => link,
        None => match desk.beside(line.connect()).await {
            Turn::Done(Ok(link)) => link,
            Turn::Done(Err(error)) => return Some(error),
            Turn::Batch(_) => unreachable!("there is no connection"),
            Turn::Over => return None,
        },
    };
    desk.connected();
    loop {
        let batch = match desk.beside(link.notified()).await {
            Turn::Done(Ok(key)) => {
                key.iter().for_each(|key| desk.woken(key));
                continue;
            }
            Turn::Done(Err(error)) => return Some(error),
            Turn::Batch(batch) => batch,
            Turn::Over => return None,
        };
        match desk.beside(link.ask(&batch)).await {
            Turn::Done(Ok(answers)) => {
                *pause = Duration::ZERO;
                // Before the answers: what was said while they were on their way may be newer.
                while let Some(key) = link.buffered() {
                    key.iter().for_each(|key| desk.woken(key));
                }
                desk.answered(answers);
            }
            Turn::Done(Err(error)) => return Some(error),
            Turn::Batch(_) => unreachable!("one batch is in flight"),
            Turn::Over => return None,
        }
    }
}
