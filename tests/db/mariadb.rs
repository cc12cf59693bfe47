//! Pools of connections to databases of the run's own MariaDB, and what holds there alone.

mod engine;

use std::env;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use sqlx::mysql::{MySqlConnectOptions, MySqlPoolOptions};
use sqlx::pool::PoolConnection;
use sqlx::{AssertSqlSafe, Connection, MySqlConnection, Pool, query, query_scalar};

use crate::server::Server;

pub(crate) type Db = sqlx::MySql;

/// The server listens at a socket in its folder and nowhere else. Without tables of grants it needs no installation: an
/// empty folder is enough, and any user may enter.
const SCRIPT: &str = r#"
set -eu
dir=$(mktemp -d)
server=
stop() {
    [ -z "$server" ] || kill -9 "$server" 2>/dev/null || true
    [ -z "$server" ] || wait "$server" 2>/dev/null || true
    rm -rf "$dir"
}
trap stop EXIT
# Only then does the trap above run, whatever the shell.
trap 'exit 1' INT TERM HUP
trap '' PIPE
cd "$dir"
mkdir data
"$1/mariadbd" --no-defaults --datadir="$dir/data" --socket="$dir/socket" --pid-file="$dir/pid" --tmpdir="$dir" \
    --skip-networking --skip-grant-tables --max-connections=300 --innodb-buffer-pool-size=16M \
    --innodb-log-file-size=8M --innodb-data-file-path=ibdata1:4M:autoextend </dev/null >log 2>&1 &
server=$!
# The socket is there a little earlier than the server.
until grep -q "ready for connections" log; do
    kill -0 "$server" 2>/dev/null || { cat log >&2; exit 1; }
    sleep 0.05
done
echo "$dir"
exec 1>&-
cat >/dev/null
"#;

const MISSING: &str = "MariaDB's server is not installed: run tests/run, which installs the package of the \
                       distribution, or set MARIADB_BIN to the folder of mariadbd";

/// It refuses to run as root, and its package without the system's service makes no user for it.
static SERVER: LazyLock<Server> =
    LazyLock::new(|| Server::start(SCRIPT, &programs().expect(MISSING), "nobody"));

/// Returns the folder of the server's program.
fn programs() -> Option<PathBuf> {
    let has_server = |dir: &PathBuf| dir.join("mariadbd").exists();
    if let Some(dir) = env::var_os("MARIADB_BIN").map(PathBuf::from) {
        return Some(dir).filter(has_server);
    }
    // A user's path often lacks the folders of servers.
    let usual = ["/usr/sbin", "/usr/libexec", "/opt/homebrew/opt/mariadb/bin"].map(PathBuf::from);
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).chain(usual).find(has_server)
}

fn options() -> MySqlConnectOptions {
    let socket: &Path = &SERVER.folder().join("socket");
    MySqlConnectOptions::new().socket(socket).username("tests")
}

/// A read that keeps other writers away until the transaction ends.
pub(crate) const LOCKING_READ: &str = "select n from numbers where id = 1 for update";

/// Returns a pool of this many connections to an empty database of its own.
pub(crate) async fn pool(connections: u32) -> Pool<Db> {
    static NEXT: AtomicU32 = AtomicU32::new(0);

    let name = format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed));
    let mut admin = MySqlConnection::connect_with(&options()).await.expect("the server answers");
    let sql = AssertSqlSafe(format!("create database {name}"));
    query(sql).execute(&mut admin).await.expect("a database is created");
    admin.close().await.expect("the connection ends");
    MySqlPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(Duration::from_secs(60))
        .connect_with(options().database(&name))
        .await
        .expect("the server answers")
}

/// Returns how many of the pool's connections are inside a transaction, when all of them are held.
pub(crate) async fn inside_transactions(_: &Pool<Db>, held: &mut [PoolConnection<Db>]) -> i64 {
    let mut inside = 0;
    for connection in held {
        let sql = "select @@in_transaction = 1"; // signed
        inside += query_scalar::<_, i64>(sql).fetch_one(&mut **connection).await.expect("it is a variable");
    }
    inside
}
