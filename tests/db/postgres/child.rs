//! Processes of the tests: this program, started again with a role. Each has locks of its own on the database of its test.

use std::env;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use latchwork::Fence;
use latchwork::pg::{PgKeyedLock, VerifyError};
use latchwork::sql::Scope;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Pool, query};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines, Stdin};
use tokio::process::{Child, ChildStderr, ChildStdin, Command};

use super::{Db, chaos, connect};
use crate::cluster;

/// The leases of all processes.
pub(super) const LEASE: Duration = Duration::from_secs(1);

/// A process that does what the test says.
pub(super) struct Process {
    child: Child,
    orders: ChildStdin,
    answers: Lines<BufReader<ChildStderr>>,
}

/// What the answers of a process begin with. The rest is for the reader of a failed test.
const ANSWER: &str = "answer: ";

impl Process {
    pub(super) fn start(role: &str, pool: &Pool<Db>) -> Self {
        let options = pool.connect_options();
        let mut command = Command::new(env::current_exe().expect("it runs"));
        command.args(["--ignored", "--exact", "--nocapture", "postgres::child::body_of_a_process"]);
        command.env("LATCHWORK_ROLE", role).env("LATCHWORK_SOCKET", cluster::socket());
        command.env("LATCHWORK_DATABASE", options.get_database().expect("it has one"));
        // What the program prints about its only test is for nobody.
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().expect("this program can be started");
        let orders = child.stdin.take().expect("it is piped");
        let answers = BufReader::new(child.stderr.take().expect("it is piped")).lines();
        Self { child, orders, answers }
    }

    /// Gives an order.
    pub(super) async fn tell(&mut self, order: &str) {
        self.orders.write_all(format!("{order}\n").as_bytes()).await.expect("the process lives");
    }

    /// Returns the next answer.
    pub(super) async fn answer(&mut self) -> String {
        while let Some(line) = self.answers.next_line().await.expect("it is text") {
            match line.split_once(ANSWER) {
                Some((_, answer)) => return answer.to_owned(),
                None => eprintln!("process {:?}: {line}", self.child.id()),
            }
        }
        panic!("the process ended without an answer");
    }

    /// Gives an order, and returns the answer.
    pub(super) async fn ask(&mut self, order: &str) -> String {
        self.tell(order).await;
        self.answer().await
    }

    /// Gives an order, and returns the number in the answer.
    pub(super) async fn number(&mut self, order: &str) -> u64 {
        self.ask(order).await.parse().expect("the answer is a number")
    }

    /// Ends the process between any two instructions.
    pub(super) async fn kill(mut self) {
        self.child.kill().await.expect("it is a child of this process");
    }

    /// Lets it stand still. It is not told, and its connections stay open.
    pub(super) async fn freeze(&self) {
        self.signal("STOP").await;
    }

    pub(super) async fn thaw(&self) {
        self.signal("CONT").await;
    }

    async fn signal(&self, name: &str) {
        let id = self.child.id().expect("it was not waited for");
        let sent = Command::new("sh").args(["-c", &format!("kill -{name} {id}")]).status().await;
        assert!(sent.expect("a shell starts").success());
    }
}

/// The orders of the test. A process whose test has ended ends, too.
struct Orders(Lines<BufReader<Stdin>>);

impl Orders {
    async fn next(&mut self) -> String {
        match self.0.next_line().await {
            Ok(Some(order)) => order,
            _ => std::process::exit(1),
        }
    }
}

pub(super) fn answer(answer: impl std::fmt::Display) {
    eprintln!("{ANSWER}{answer}");
}

pub(super) async fn locks(pool: &Pool<Db>) -> PgKeyedLock<String> {
    let builder = PgKeyedLock::builder(pool).lease(LEASE).poll_interval(Duration::from_millis(5));
    builder.create_table().await.expect("the role may create tables");
    builder.connect().await.expect("the table is there")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "other tests start it in a process of its own"]
async fn body_of_a_process() {
    let set = |name| env::var(name).expect("a test started this process");
    let options = PgConnectOptions::new()
        .socket(PathBuf::from(set("LATCHWORK_SOCKET")))
        .username("tests")
        .database(&set("LATCHWORK_DATABASE"));
    let pool = connect(4, options).await;
    let mut orders = Orders(BufReader::new(tokio::io::stdin()).lines());
    match set("LATCHWORK_ROLE").as_str() {
        "clerk" => clerk(&pool, &mut orders).await,
        "adder" => {
            let adders = chaos::Adders::start(&pool).await;
            orders.next().await;
            answer(adders.end().await);
        }
        role => panic!("there is no role {role}"),
    }
    // The thread that reads the orders would keep the runtime alive.
    std::process::exit(0);
}

/// Does single steps. Answers each.
async fn clerk(pool: &Pool<Db>, orders: &mut Orders) {
    let (locks, scope) = (locks(pool).await, Scope::new(pool.clone()));
    let (mut guard, mut tx) = (None, None);
    loop {
        let order = orders.next().await;
        if order == "lock" {
            let held = locks.lock_owned("ada".to_owned()).await.expect("its turn comes");
            answer(held.fence());
            guard = Some(held);
            continue;
        }
        let held = guard.as_ref().expect("it is locked first");
        if order == "begin" {
            tx = Some(scope.begin().await.expect("it opens"));
            answer("begun");
            continue;
        }
        let open = "it is begun first";
        match order.as_str() {
            "write" => {
                let insert = query("insert into notes values ('of the clerk')");
                insert.execute(&mut **tx.as_mut().expect(open)).await.expect("it is done");
                answer("written");
            }
            "verify" => match held.verify(tx.as_mut().expect(open)).await {
                Ok(()) => answer("verified"),
                Err(VerifyError::Lost) => answer("lost"),
                Err(error) => answer(format_args!("{error:?}")),
            },
            "commit" => {
                tx.take().expect(open).commit().await.expect("nothing stands against it");
                answer("committed");
            }
            "write with the fence" => answer(write_with(held.fence(), pool).await),
            "is it lost" => answer(held.is_lost()),
            order => panic!("there is no order {order}"),
        }
    }
}

/// Writes into a store that refuses fences older than the greatest it has seen. Returns how many rows that has changed.
pub(super) async fn write_with(fence: Fence, pool: &Pool<Db>) -> u64 {
    let update = query("update store set fence = $1 where fence <= $1").bind(fence);
    update.execute(pool).await.expect("it is done").rows_affected()
}
