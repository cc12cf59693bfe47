//! Other processes: this program, started again with a role.

use std::env;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use sqlx::postgres::PgPoolOptions;
use tokio::io::AsyncBufReadExt;

use super::database::builder;
use super::peers::{Kind, Peer};
use super::redis::Redis;
use crate::harness::crowd;

/// The role of a process that acquires a key, and holds it until it is killed. The other roles are the names of locks: such
/// a process acquires and releases its key as often as it is told.
pub(super) const HOLD: &str = "hold";
pub(super) const REDIS: &str = "Redis";
/// The lease of a process that is killed.
pub(super) const LEASE: Duration = Duration::from_secs(1);

const ROLE: &str = "LATCHWORK_BENCH_ROLE";
const URL: &str = "LATCHWORK_BENCH_URL";
const KEY: &str = "LATCHWORK_BENCH_KEY";

/// A process, as its parent sees it.
pub(super) struct Process {
    child: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Process {
    /// Starts a process that locks one key, and waits until it is connected. A holder has its key then.
    pub(super) fn start(role: &str, url: &str, key: i64) -> Self {
        let mut command = Command::new(env::current_exe().expect("this program has a path"));
        command.env(ROLE, role).env(URL, url).env(KEY, key.to_string());
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("this program can be started");
        let orders = child.stdin.take().expect("it is piped");
        let answers = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut process = Self { child, orders, answers };
        process.answer();
        process
    }

    pub(super) fn order(&mut self, turns: u64) {
        writeln!(self.orders, "{turns}").expect("the process lives");
    }

    /// Waits until the order is carried out.
    pub(super) fn answer(&mut self) {
        let mut answer = String::new();
        self.answers.read_line(&mut answer).expect("it is text");
        assert!(!answer.is_empty(), "the process failed, and has said why");
    }

    /// Ends the process, whatever it does.
    pub(super) fn kill(&mut self) {
        self.child.kill().expect("it is a child of this process");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        self.child.wait().expect("it is a child of this process");
    }
}

/// Plays the role of this process until its parent has ended. Returns `false` if it has none.
pub(crate) fn play_a_role() -> bool {
    let Ok(role) = env::var(ROLE) else { return false };
    let set = |name| env::var(name).expect("the parent has set it");
    let key = set(KEY).parse().expect("it is a number");
    crowd::runtime().block_on(play(&role, &set(URL), key));
    true
}

async fn play(role: &str, url: &str, key: i64) {
    let pool = || PgPoolOptions::new().max_connections(1).connect_lazy(url).expect("the parent has used it");
    let mut orders = tokio::io::BufReader::new(tokio::io::stdin()).lines();
    if role == HOLD {
        let locks = builder(&pool()).lease(LEASE).connect().await.expect("the table is there");
        let held = locks.lock_owned(key).await.expect("the server answers");
        println!("held under the fence {}", held.fence());
        orders.next_line().await.expect("it is text");
        return;
    }
    let mut peer = match Kind::ALL.into_iter().find(|kind| kind.name() == role) {
        Some(kind) => Peer::connect(kind, &pool()).await,
        None => Peer::Redis(Redis::connect(url).await),
    };
    println!("connected");
    while let Some(order) = orders.next_line().await.expect("it is text") {
        peer.turns(key, order.parse().expect("it is a number")).await;
        println!("done");
    }
}
