//! [`PgKeyedBuilder`]: the settings of a [`PgKeyedLock`].

use std::fmt;
use std::hash::{BuildHasher, Hash, RandomState};
use std::marker::PhantomData;
use std::process;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant, SystemTime};

use sqlx::PgPool;

use super::desk::Desk;
use super::key::StableKey;
use super::lease::Leases;
use super::lock::{PgKeyedLock, Shared};
use super::statement::Statements;
use super::stats::LeaseStats;
use super::table::{BadName, Table};
use super::task::{self, Line};
use crate::keyed::KeyedLock;
use crate::remote::{Machine, Rules};

/// Why locks could not be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PgLockError {
    /// The name of the schema or of the table is empty, too long, or has a zero byte.
    #[error(transparent)]
    BadName(#[from] BadName),
    /// The database refused, or did not answer. The table may be missing.
    #[error("the locks can't be set up in the database")]
    Database(#[from] sqlx::Error),
    /// The pool connects to a pooler in transaction mode, where a session belongs to several clients, and nothing can be
    /// listened to. Set [`notify(false)`](PgKeyedBuilder::notify), or give the builder a pool that connects to the server.
    #[error(
        "a pooler shares the sessions of the database: turn `notify` off, or connect to the server itself"
    )]
    SharedSessions,
}

/// The settings of a [`PgKeyedLock`]. All processes that share keys must have the same table and namespace.
///
/// # Examples
///
/// ```no_run
/// use std::time::Duration;
/// use latchwork::pg::PgKeyedLock;
///
/// # async fn example(pool: sqlx::PgPool) -> Result<(), latchwork::pg::PgLockError> {
/// let jobs = PgKeyedLock::<String>::builder(&pool)
///     .schema("ops")
///     .namespace("jobs")
///     .lease(Duration::from_secs(30))
///     .name("jobs");
/// println!("{}", jobs.migration()?); // or jobs.create_table().await?
/// let jobs = jobs.connect().await?;
/// # Ok(())
/// # }
/// ```
#[must_use = "a builder does nothing until it connects"]
pub struct PgKeyedBuilder<K> {
    pool: PgPool,
    schema: Option<String>,
    table: String,
    namespace: String,
    rules: Rules,
    notify: bool,
    name: &'static str,
    of: PhantomData<fn(K)>,
}

const LEASES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(24 * 3600));
const INTERVALS: (Duration, Duration) = (Duration::from_millis(1), Duration::from_secs(3600));

impl<K> PgKeyedBuilder<K> {
    pub(super) fn new(pool: &PgPool) -> Self {
        let lease = Duration::from_secs(10);
        Self {
            pool: pool.clone(),
            schema: None,
            table: "latchwork_locks".to_owned(),
            namespace: String::new(),
            rules: Rules {
                lease,
                interval: Duration::from_millis(50),
                longest_pause: Duration::from_secs(1),
                passes: 8,
                patience: lease,
                batch: 500,
            },
            notify: true,
            name: "leases",
            of: PhantomData,
        }
    }

    /// Sets the schema of the table. Without it the table is found by the search path.
    pub fn schema(mut self, schema: impl Into<String>) -> Self {
        self.schema = Some(schema.into());
        self
    }

    /// Sets the name of the table; "latchwork_locks" by default.
    pub fn table(mut self, table: impl Into<String>) -> Self {
        self.table = table.into();
        self
    }

    /// Sets the namespace of the keys; empty by default. Locks with different namespaces share a table, and no keys. Give
    /// the keys of each type their own: the bytes of two types may be equal.
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = namespace.into();
        self
    }

    /// Sets how long a key stays locked after its process has died; 10 seconds by default, between 100
    /// milliseconds and a day. A held
    /// key costs a write in each third of it. It must be longer than the process or the database may stand still.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.rules.lease = lease.clamp(LEASES.0, LEASES.1);
        self.rules.patience = self.rules.lease;
        self
    }

    /// Sets the pause before a busy key is looked at again; 50 milliseconds by default, between 1
    /// millisecond and an hour. It doubles with each
    /// look, up to a second, or to this interval if that is longer. A look writes nothing, and all keys of a process are looked
    /// at together.
    pub fn poll_interval(mut self, interval: Duration) -> Self {
        self.rules.interval = interval.clamp(INTERVALS.0, INTERVALS.1);
        self.rules.longest_pause = self.rules.interval.max(Duration::from_secs(1));
        self
    }

    /// Sets whether a release wakes the processes that wait for the key (`NOTIFY`). On by default. Without it they find out
    /// by looking. Turn it off behind a pooler in transaction mode, where `LISTEN` does not work. If it is on there,
    /// [`connect`](Self::connect) returns an error, unless it does not notice the pooler.
    pub fn notify(mut self, notify: bool) -> Self {
        self.notify = notify;
        self
    }

    /// Sets the name in events and metrics; "leases" by default.
    pub fn name(mut self, name: &'static str) -> Self {
        self.name = name;
        self
    }

    fn table_of(&self) -> Result<Table, BadName> {
        Table::new(self.schema.as_deref(), &self.table)
    }

    /// Returns the statement that creates the table, for a migration.
    ///
    /// # Errors
    ///
    /// Returns [`BadName`] if the schema or the table can't have this name.
    pub fn migration(&self) -> Result<String, BadName> {
        Ok(self.table_of()?.migration())
    }

    /// Creates the table if there is none. Several processes may do it at the same time.
    ///
    /// # Errors
    ///
    /// Returns the error of the database, or of the names.
    ///
    /// # Cancel safety
    ///
    /// If it is dropped, the table is there or not.
    pub async fn create_table(&self) -> Result<(), PgLockError> {
        let table = self.table_of()?;
        table.create(&mut *self.pool.acquire().await?).await?;
        Ok(())
    }

    /// Makes a connection of its own, with the options of the pool, and starts a task that owns it. It is not one of the
    /// pool's connections, and does not count among them. A second one looks for poolers, and is closed. What the pool does
    /// after it connects, such as `set search_path`, is not done there: name the [schema](Self::schema), if it matters.
    ///
    /// # Errors
    ///
    /// Returns the error of the database, for example if there is no such table, or of the names. Returns
    /// [`SharedSessions`](PgLockError::SharedSessions) if it finds a pooler that `notify` can't work with.
    ///
    /// # Panics
    ///
    /// Panics outside a tokio runtime.
    ///
    /// # Cancel safety
    ///
    /// If it is dropped, nothing stays. It can be dropped anywhere.
    pub async fn connect(self) -> Result<PgKeyedLock<K>, PgLockError>
    where
        K: StableKey + Eq + Hash + Send + Sync + 'static,
    {
        let statements = Statements::new(self.table_of()?, own_number(), self.rules.lease);
        let line = Arc::new(Line {
            pool: self.pool.clone(),
            statements: statements.clone(),
            notify: self.notify,
            limit: self.rules.lease / 3,
            name: self.name,
            is_alone: AtomicBool::new(false),
        });
        let link = line.connect_first().await?.ok_or(PgLockError::SharedSessions)?;

        let (leases, commands) = Leases::new();
        let stats = LeaseStats::default();
        let machine = Machine::new(Instant::now(), self.rules, random());
        let desk = Desk::new(machine, commands, leases.downgrade(), stats.clone(), self.name);
        tokio::spawn(task::run(desk, link));
        Ok(PgKeyedLock::new(Shared {
            local: Arc::new(KeyedLock::builder().name(self.name).build()),
            leases,
            statements: Arc::new(statements),
            namespace: self.namespace.into(),
            pool: self.pool,
            stats,
        }))
    }
}

/// Two processes that start at the same moment must not have the same. `RandomState` asks the operating system once for each
/// thread, which a fork copies.
fn random() -> u64 {
    let time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    RandomState::new().hash_one((process::id(), time.as_nanos()))
}

/// Returns the number by which rows name this process. It is positive.
fn own_number() -> i64 {
    i64::try_from(random() >> 1).unwrap_or(i64::MAX).max(1)
}

impl<K> fmt::Debug for PgKeyedBuilder<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PgKeyedBuilder")
            .field("schema", &self.schema)
            .field("table", &self.table)
            .field("namespace", &self.namespace)
            .field("rules", &self.rules)
            .field("notify", &self.notify)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
