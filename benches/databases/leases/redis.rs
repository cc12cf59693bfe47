//! A lock of Redis: `SET key token NX PX lease`, and a script that deletes the key if the token is still there.

use std::env;

use redis::aio::MultiplexedConnection;
use redis::{Client, Script, cmd};
use tokio::runtime::Runtime;

const RELEASE: &str = "return redis.call('get', KEYS[1]) == ARGV[1] and redis.call('del', KEYS[1]) or 0";
/// As long as a lease of ours, in milliseconds.
const LEASE: u64 = 10_000;

pub(super) struct Redis {
    connection: MultiplexedConnection,
    release: Script,
}

/// Returns the names and addresses of the servers in `REDIS_URL`, of which there may be several: one that stores a grant
/// before it answers does more than one that does not.
pub(super) fn servers(runtime: &Runtime) -> Vec<(String, String)> {
    let urls = env::var("REDIS_URL").unwrap_or_default();
    let named = |url: &str| {
        let name = runtime.block_on(async { Redis::connect(url).await.name().await });
        (name, url.to_owned())
    };
    urls.split_whitespace().map(named).collect()
}

impl Redis {
    pub(super) async fn connect(url: &str) -> Self {
        let client = Client::open(url).expect("REDIS_URL has addresses of Redis");
        let connection = client.get_multiplexed_async_connection().await;
        Self {
            connection: connection.expect("the servers of REDIS_URL answer"),
            release: Script::new(RELEASE),
        }
    }

    /// Returns a name that says when the server stores a grant.
    async fn name(&mut self) -> String {
        let stores = self.setting("appendonly").await == "yes";
        let when = if stores { self.setting("appendfsync").await } else { "never".to_owned() };
        format!("Redis, fsync {when}")
    }

    async fn setting(&mut self, name: &str) -> String {
        let mut ask = cmd("CONFIG");
        ask.arg("GET").arg(name);
        let (_, value): (String, String) =
            ask.query_async(&mut self.connection).await.expect("it has the setting");
        value
    }

    /// Acquires and releases a key.
    pub(super) async fn turn(&mut self, key: i64) {
        let (key, token) = (format!("latchwork bench {key}"), fastrand::u64(..));
        let mut set = cmd("SET");
        set.arg(&key).arg(token).arg("NX").arg("PX").arg(LEASE);
        let is_held: bool = set.query_async(&mut self.connection).await.expect("the server answers");
        assert!(is_held, "nobody else has the key");
        let released: u64 =
            self.release.key(&key).arg(token).invoke_async(&mut self.connection).await.expect("it answers");
        assert_eq!(released, 1, "it was held to its end");
    }
}
