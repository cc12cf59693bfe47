//! A server that crashes while keys are held.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use latchwork::pg::PgKeyedLock;
use sqlx::postgres::PgConnectOptions;
use sqlx::query_scalar;

use super::connect;
use crate::cluster;
use crate::server::{self, Server};

/// A server of one test.
struct Cluster {
    server: Server,
    programs: PathBuf,
}

impl Cluster {
    fn start() -> Self {
        let (server, programs) = cluster::start();
        Self { server, programs }
    }

    fn socket(&self) -> &Path {
        self.server.folder()
    }

    /// Ends the server without a checkpoint, as a crash does, and starts it again with the same options.
    async fn crash(&self) {
        let folder = self.server.folder();
        let mut command = server::command(self.programs.join("pg_ctl"), cluster::USER);
        command.arg("-D").arg(folder.join("data")).arg("-l").arg(folder.join("log"));
        command.args(["-w", "-m", "immediate", "restart"]).stdout(Stdio::null());
        let status = tokio::process::Command::from(command).status().await;
        assert!(status.expect("it starts").success(), "the server did not start again");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leases_survive_a_crash_of_the_server_and_fences_go_on_rising() {
    let cluster = tokio::task::spawn_blocking(Cluster::start).await.expect("it starts");
    let options = PgConnectOptions::new().socket(cluster.socket()).username("tests").database("postgres");
    let pool = connect(2, options).await;
    let builder = || {
        PgKeyedLock::<String>::builder(&pool)
            .lease(Duration::from_secs(6))
            .poll_interval(Duration::from_millis(5))
    };
    builder().create_table().await.expect("the role may create tables");
    let one = builder().connect().await.expect("the table is there");
    let other = builder().connect().await.expect("the table is there");
    let mut fences = Vec::new();
    for _ in 0..2 {
        let guard = one.lock_owned("ada".to_owned()).await.expect("its turn comes");
        let waiting = tokio::spawn({
            let other = other.clone();
            async move { other.lock_owned("ada".to_owned()).await }
        });
        while query_scalar::<_, i64>("select count(*) from latchwork_locks where wanted")
            .fetch_one(&pool)
            .await
            .expect("a number")
            == 0
        {
            tokio::task::yield_now().await;
        }
        cluster.crash().await;
        let row: i64 = query_scalar("select fence from latchwork_locks where expires > clock_timestamp()")
            .fetch_one(&pool)
            .await
            .expect("the row is still there");
        assert_eq!(guard.fence().get(), row.unsigned_abs());
        assert!(!waiting.is_finished());
        fences.push(guard.fence());
        // It was held to its end, unless the restart took longer than its lease.
        drop(guard);
        let next = waiting.await.expect("it does not panic").expect("its turn comes");
        fences.push(next.fence());
        next.release().await.expect("it was held to its end");
    }
    assert!(fences.is_sorted_by(|one, next| one < next), "{fences:?}");
}
