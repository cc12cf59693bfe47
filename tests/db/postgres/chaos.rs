//! Many processes that add to counters under the locks, while some are killed, stand still, or lose their sessions.

use std::env;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use latchwork::pg::PgKeyedLock;
use latchwork::sql::Scope;
use sqlx::{Pool, query, query_as, query_scalar};
use tokio::task::JoinSet;

use super::child::{LEASE, Process, locks};
use super::{Db, pool};

const KEYS: usize = 3;
const TASKS: usize = 4;

/// The tasks of a process. Each adds one to a counter, again and again.
pub(super) struct Adders {
    tasks: JoinSet<()>,
    is_over: Arc<AtomicBool>,
    added: Arc<AtomicU64>,
}

impl Adders {
    pub(super) async fn start(pool: &Pool<Db>) -> Self {
        let (locks, scope) = (locks(pool).await, Scope::new(pool.clone()));
        let (is_over, added) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let mut tasks = JoinSet::new();
        for _ in 0..TASKS {
            let (locks, scope, is_over, added) =
                (locks.clone(), scope.clone(), is_over.clone(), added.clone());
            tasks.spawn(async move {
                while !is_over.load(Ordering::Relaxed) {
                    // The lock may be lost, and sessions end: then nothing was added, or nobody knows.
                    if add(&locks, &scope).await.is_ok() {
                        added.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
        Self { tasks, is_over, added }
    }

    /// Returns how many increments were committed and said to be.
    pub(super) async fn end(mut self) -> u64 {
        self.is_over.store(true, Ordering::Relaxed);
        while let Some(done) = self.tasks.join_next().await {
            done.expect("it does not panic");
        }
        self.added.load(Ordering::Relaxed)
    }
}

/// Reads the counter and writes it, and writes down from when to when that was, by the clock of the server.
async fn add(
    locks: &PgKeyedLock<String>,
    scope: &Scope<Db>,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let key = fastrand::usize(..KEYS).to_string();
    let guard = locks.lock_owned(key.clone()).await?;
    let mut tx = scope.begin().await?;
    guard.verify(&mut tx).await?;
    query("insert into history (key, fence) values ($1, $2)")
        .bind(&key)
        .bind(guard.fence())
        .execute(&mut *tx)
        .await?;
    let n: i64 = query_scalar("select n from counters where key = $1").bind(&key).fetch_one(&mut *tx).await?;
    query("update counters set n = $2 where key = $1").bind(&key).bind(n + 1).execute(&mut *tx).await?;
    let update = "update history set until = clock_timestamp() where key = $1 and fence = $2";
    query(update).bind(&key).bind(guard.fence()).execute(&mut *tx).await?;
    tx.commit().await?;
    Ok(())
}

/// What was done, for the line that a long run prints.
#[derive(Default)]
struct Summary {
    added: i64,
    killed: u64,
    frozen: u64,
    terminated: i64,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { added, killed, frozen, terminated } = self;
        write!(
            f,
            "{added} increments, {killed} killed, {frozen} frozen, {terminated} sessions ended, nothing lost"
        )
    }
}

struct Chaos {
    pool: Pool<Db>,
    processes: Vec<Process>,
    done: Summary,
}

impl Chaos {
    async fn start(processes: usize) -> Self {
        let pool = pool(2).await;
        query("create table counters (key text primary key, n bigint not null)")
            .execute(&pool)
            .await
            .expect("it is new");
        query(
            "create table history (key text, fence bigint, since timestamptz default clock_timestamp(), \
             until timestamptz, primary key (key, fence))",
        )
        .execute(&pool)
        .await
        .expect("it is new");
        for key in 0..KEYS {
            let insert = query("insert into counters values ($1, 0)").bind(key.to_string());
            insert.execute(&pool).await.expect("it is new");
        }
        let processes = (0..processes).map(|_| Process::start("adder", &pool)).collect();
        Self { pool, processes, done: Summary::default() }
    }

    async fn number(&self, sql: &'static str) -> i64 {
        query_scalar(sql).fetch_one(&self.pool).await.expect("a number")
    }

    /// Waits until all counters have moved on, as keys do not stay locked.
    async fn progress(&self) {
        let counters = async || {
            let sql = "select n from counters order by key";
            query_scalar::<_, i64>(sql).fetch_all(&self.pool).await.expect("numbers")
        };
        let before = counters().await;
        while counters().await.iter().zip(&before).any(|(now, before)| *now < before + 3) {
            query("select pg_sleep(0.01)").execute(&self.pool).await.expect("it answers");
        }
    }

    async fn kill(&mut self, at: usize) {
        let killed = std::mem::replace(&mut self.processes[at], Process::start("adder", &self.pool));
        killed.kill().await;
        self.done.killed += 1;
    }

    /// Lets a process stand still until its leases have ended.
    async fn freeze(&mut self, at: usize) {
        self.processes[at].freeze().await;
        query("select pg_sleep($1)")
            .bind(LEASE.as_secs_f64() * 1.3)
            .execute(&self.pool)
            .await
            .expect("it answers");
        self.processes[at].thaw().await;
        self.done.frozen += 1;
    }

    /// Ends some sessions of the processes: of locks, and of transactions.
    async fn terminate(&mut self) {
        let sql = "select count(pg_terminate_backend(pid)) from pg_stat_activity \
                   where datname = current_database() and pid <> pg_backend_pid() and random() < 0.3";
        // Also the other connection of this pool, which it replaces.
        self.done.terminated += self.number(sql).await;
    }

    async fn end(mut self) -> Summary {
        let mut said = 0;
        for process in &mut self.processes {
            process.tell("end").await;
        }
        for process in &mut self.processes {
            said += process.answer().await.parse::<i64>().expect("a number");
        }
        let counted = self.number("select sum(n)::bigint from counters").await;
        let written = self.number("select count(*) from history").await;
        assert_eq!(counted, written, "increments were lost");
        assert!(said <= written, "increments were lost that were said to be committed: {said} of {written}");
        let overlaps: Vec<(String, i64)> = query_as(
            "select key, fence from (select *, lag(until) over grants as before, lag(since) over grants as earlier \
             from history window grants as (partition by key order by fence)) grants \
             where before > since or earlier >= since or until is null",
        )
        .fetch_all(&self.pool)
        .await
        .expect("rows");
        assert!(overlaps.is_empty(), "grants overlap, or their fences are in another order: {overlaps:?}");
        self.done.added = counted;
        self.done
    }
}

#[tokio::test]
async fn nothing_is_lost_while_processes_are_killed_and_stand_still() {
    let mut chaos = Chaos::start(3).await;
    for at in 0..3 {
        chaos.progress().await;
        chaos.kill(at).await;
        chaos.progress().await;
        chaos.freeze((at + 1) % 3).await;
        chaos.progress().await;
        chaos.terminate().await;
    }
    chaos.progress().await;
    chaos.end().await;
}

/// Run by `.ci/chaos`.
#[tokio::test]
#[ignore = "it takes as long as it is told"]
async fn nothing_is_lost_in_a_long_run() {
    let set = |name| env::var(name).expect("`.ci/chaos` sets it").parse::<u64>().expect("a number");
    let processes = usize::try_from(set("CHAOS_PROCESSES")).expect("they are few");
    let end = Instant::now() + Duration::from_secs(60 * set("CHAOS_MINUTES"));
    let mut chaos = Chaos::start(processes).await;
    while Instant::now() < end {
        let at = fastrand::usize(..processes);
        match fastrand::u32(..3) {
            0 => chaos.kill(at).await,
            1 => chaos.freeze(at).await,
            _ => chaos.terminate().await,
        }
        chaos.progress().await;
    }
    println!("{}", chaos.end().await);
}
