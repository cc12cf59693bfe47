//! Locks behind pgbouncer in transaction mode: each transaction can be in another session.

use std::env;
use std::path::PathBuf;
use std::time::Duration;

use latchwork::pg::{PgKeyedLock, PgLockError};
use latchwork::sql::Scope;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Pool, query_as, query_scalar, raw_sql};
use tokio::task::JoinSet;

use super::{Db, connect, pool};
use crate::cluster;
use crate::server::Server;

/// Its argument is the program.
const SCRIPT: &str = r#"
set -eu
dir=$(mktemp -d) pooler=
stop() {
    [ -z "$pooler" ] || kill "$pooler" 2>/dev/null || true
    rm -rf "$dir"
}
trap stop EXIT
trap 'exit 1' INT TERM HUP
trap '' PIPE
cat >"$dir/settings" <<END
[databases]
* = host=SOCKET user=tests
[pgbouncer]
listen_addr =
listen_port = 5432
unix_socket_dir = $dir
auth_type = any
SETTINGS
ignore_startup_parameters = extra_float_digits
END
"$1" "$dir/settings" >"$dir/log" 2>&1 &
pooler=$!
until [ -S "$dir/.s.PGSQL.5432" ]; do
    kill -0 "$pooler" 2>/dev/null || { cat "$dir/log" >&2; exit 1; }
    sleep 0.01
done
echo "$dir"
exec 1>&-
cat >/dev/null
"#;

const MISSING: &str =
    "pgbouncer is not installed: run tests/run, which installs the package of the distribution";

fn program() -> Option<PathBuf> {
    let on_path = env::var_os("PATH")?;
    let folders =
        env::split_paths(&on_path).chain([PathBuf::from("/usr/sbin"), PathBuf::from("/opt/homebrew/bin")]);
    folders.map(|folder| folder.join("pgbouncer")).find(|program| program.exists())
}

/// Each transaction gets the session that was used last.
const TRANSACTIONS: &str = "pool_mode = transaction\ndefault_pool_size = 2";

/// Starts a pooler. Returns how to connect through it to the database of the pool.
async fn pooler_of(direct: &Pool<Db>, settings: &str) -> (Server, PgConnectOptions) {
    let socket = cluster::socket().to_str().expect("it is text");
    let script = SCRIPT.replace("SOCKET", socket).replace("SETTINGS", settings);
    let program = program().expect(MISSING);
    let pooler = tokio::task::spawn_blocking(move || Server::start(&script, &program, cluster::USER));
    let pooler = pooler.await.expect("it starts");
    let options = PgConnectOptions::new()
        .socket(pooler.folder())
        .username("tests")
        .database(direct.connect_options().get_database().expect("it has one"))
        // Prepared statements belong to sessions.
        .statement_cache_capacity(0);
    (pooler, options)
}

/// Returns locks in a pool of their own, as a process has them.
async fn process(options: &PgConnectOptions) -> (Pool<Db>, PgKeyedLock<i64>) {
    let pool = connect(4, options.clone()).await;
    let builder = PgKeyedLock::builder(&pool)
        .lease(Duration::from_secs(5))
        .poll_interval(Duration::from_millis(2))
        .notify(false);
    builder.create_table().await.expect("the role may create tables");
    let locks = builder.connect().await.expect("the table is there");
    (pool, locks)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn locks_work_behind_a_pooler_in_transaction_mode() {
    let direct = pool(1).await;
    raw_sql("create table counters as select key, 0::bigint as n from generate_series(0, 2) keys (key)")
        .execute(&direct)
        .await
        .expect("it is new");
    let (_pooler, options) = pooler_of(&direct, TRANSACTIONS).await;
    let mut tasks = JoinSet::new();
    for _ in 0..2 {
        let (pool, locks) = process(&options).await;
        for task in 0..6 {
            let (locks, scope) = (locks.clone(), Scope::new(pool.clone()));
            tasks.spawn(async move {
                for round in 0..10 {
                    let guard = locks.lock_owned((task + round) % 3).await.expect("its turn comes");
                    let mut tx = scope.begin().await.expect("a session is free");
                    guard.verify(&mut tx).await.expect("it is held");
                    add(&mut tx, *guard.key()).await.expect("it is done");
                    tx.commit().await.expect("nothing stands against it");
                    guard.release().await.expect("it was held to its end");
                }
            });
        }
    }
    while let Some(done) = tasks.join_next().await {
        done.expect("it does not panic");
    }
    let sum = query_scalar::<_, i64>("select sum(n)::bigint from counters");
    assert_eq!(sum.fetch_one(&direct).await.expect("a number"), 2 * 6 * 10);
}

#[tokio::test]
async fn a_pooler_that_shares_sessions_is_found_before_one_of_them_listens() {
    let in_turn = format!("{TRANSACTIONS}\nserver_round_robin = 1");
    for settings in [TRANSACTIONS, &in_turn] {
        let direct = pool(1).await;
        let (_pooler, options) = pooler_of(&direct, settings).await;
        let pooled = connect(4, options).await;
        // Both are open at the same time, so it opens both of its sessions.
        let open = [pooled.begin().await, pooled.begin().await];
        for transaction in open {
            transaction.expect("a session is free").rollback().await.expect("it was open");
        }

        let builder = || PgKeyedLock::<i64>::builder(&pooled);
        builder().create_table().await.expect("the role may create tables");
        for _ in 0..3 {
            let error = builder().connect().await.expect_err(settings);
            assert!(matches!(error, PgLockError::SharedSessions), "{error:?}");
        }
        let listening =
            "select pid from pg_stat_activity where datname = current_database() and query ilike 'listen%'";
        assert_eq!(query_as::<_, (i32,)>(listening).fetch_all(&direct).await.expect("a list"), []);
        let locks = PgKeyedLock::<i64>::builder(&direct).connect().await.expect("its sessions are its own");
        locks.shut_down().await;
    }
}

#[tokio::test]
async fn one_session_is_enough_if_it_is_not_shared() {
    let direct = pool(1).await;
    let (_pooler, options) = pooler_of(&direct, "pool_mode = session\ndefault_pool_size = 1").await;
    PgKeyedLock::<i64>::builder(&direct).create_table().await.expect("the role may create tables");
    let lazy = sqlx::Pool::<Db>::connect_lazy_with(options);
    let locks = PgKeyedLock::builder(&lazy).connect().await.expect("it has the session");
    let guard = locks.lock_owned(7).await.expect("it is free");
    guard.release().await.expect("it was held to its end");
    locks.shut_down().await;
}

/// In two statements, so that others could come between them.
async fn add(connection: &mut sqlx::PgConnection, key: i64) -> Result<(), sqlx::Error> {
    let look = sqlx::AssertSqlSafe(format!("select n from counters where key = {key}"));
    let row = raw_sql(look).fetch_one(&mut *connection).await?;
    let next = sqlx::Row::try_get::<i64, _>(&row, 0)? + 1;
    let update = sqlx::AssertSqlSafe(format!("update counters set n = {next} where key = {key}"));
    raw_sql(update).execute(connection).await?;
    Ok(())
}
