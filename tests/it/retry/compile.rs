//! Closures and futures that the compiler must accept: those of handlers, spawned or not. What is
//! accepted is also run.

use std::cell::{Cell, RefCell};
use std::error::Error;
use std::io;
use std::ops::ControlFlow::Break;
use std::rc::Rc;
use std::sync::{Arc, LazyLock};

use latchwork::{
    KeyedLock, RetryPolicy,
    retry::{
        Attempt, Backoff, BoxedError, Budget, ByFunction, ByTrait, Clock, Jitter, OnGiveUp, OnRetry,
        RetryCounts, RetryError, RetryOnConflict, RetryStats, Retrying, Session, Shared, StopReason,
        VirtualClock, WithoutLock,
    },
    verdict::{RetryKind, Verdict},
};
use tokio::runtime::{Builder, Runtime};
use tokio::task::{LocalSet, yield_now};

use crate::retry::calls::{CONFLICT, Fault, TRANSIENT, virtual_policy};

macro_rules! is {
    ($($ty:ty: $($bound:path),+;)*) => {
        $($(const _: () = {
            const fn check<T: ?Sized + $bound>() {}
            check::<$ty>();
        };)+)*
    };
}

is! {
    RetryPolicy: Send, Sync, Unpin, Clone, Default, std::fmt::Debug;
    RetryPolicy<ByFunction<io::Error>>: Send, Sync, Clone;
    Session<'static, ByTrait>: Send, Sync, Unpin, std::fmt::Debug;
    Session<'static, fn(&Rc<u8>) -> Verdict>: Send, Sync;
    RetryOnConflict<'static, ByTrait, fn(), fn(), fn()>: Send, Sync;
    RetryOnConflict<'static, ByTrait, fn(), fn(), fn(), Arc<KeyedLock<String>>, String>: Send, Sync;
    WithoutLock<'static>: Send, Sync, Copy;
    Backoff: Send, Sync, Clone, Iterator<Item = std::time::Duration>;
    Budget: Send, Sync, std::fmt::Debug;
    RetryStats: Send, Sync, Default;
    RetryCounts: Send, Sync, Copy, Eq;
    Shared<Budget>: Send, Sync, Clone, From<&'static Budget>, From<Arc<Budget>>;
    RetryError<Fault>: Send, Sync, Clone, Eq, Error;
    RetryError<io::Error>: Error, Into<Box<dyn Error + Send + Sync>>;
    StopReason: Send, Sync, Copy, Eq, std::fmt::Display;
    Attempt: Send, Sync, Copy, Eq;
    Retrying<'static, Fault>: Send, Sync, Copy;
    RetryPolicy<OnRetry<ByTrait, fn(&Retrying<'_, Fault>)>>: Send, Sync, Clone;
    RetryPolicy<OnGiveUp<ByTrait, fn(&RetryError<Fault>)>>: Send, Sync, Clone;
    RetryError<BoxedError>: Send, Sync, Error, Into<Box<dyn Error + Send + Sync>>, Into<anyhow::Error>;
    Verdict: Send, Sync, Copy, Eq;
    RetryKind: Send, Sync, Copy, Eq, std::hash::Hash;
    Jitter: Send, Sync, Copy, Eq, Default;
    VirtualClock: Clock, Clone, Default, std::fmt::Debug;
    Arc<VirtualClock>: Clock;
    dyn Clock: Send, Sync;
}

fn workers() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime starts")
}

/// Runs it as a handler's task.
#[track_caller]
fn spawned<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> T {
    workers().block_on(async { tokio::spawn(future).await.expect("it does not panic") })
}

/// A database that is down for the first attempts.
struct Database {
    down: std::sync::atomic::AtomicI32,
}

impl Database {
    fn new(down: i32) -> Self {
        Self { down: down.into() }
    }

    async fn save(&self, card: &str) -> Result<usize, Fault> {
        yield_now().await;
        if self.down.fetch_sub(1, std::sync::atomic::Ordering::Relaxed) > 0 {
            Err(TRANSIENT)
        } else {
            Ok(card.len())
        }
    }
}

type Saved = Result<usize, RetryError<Fault>>;

#[test]
fn closures_that_borrow_can_be_spawned() {
    let borrowed_future = spawned(async {
        let (db, card, (policy, _)) = (Database::new(2), String::from("ada"), virtual_policy());
        policy.run(|_| db.save(&card)).await
    });
    let async_block = spawned(async {
        let (db, card, (policy, _)) = (Database::new(2), String::from("ada"), virtual_policy());
        let (db, card) = (&db, &card);
        policy.run(|_| async move { db.save(card).await }).await
    });
    let async_closure = spawned(async {
        let (db, card, (policy, _)) = (Database::new(2), String::from("ada"), virtual_policy());
        policy.run(async |_| db.save(&card).await).await
    });
    let clone_for_each = spawned(async {
        let (db, card, (policy, _)) = (Arc::new(Database::new(2)), String::from("ada"), virtual_policy());
        policy
            .run(move |attempt| {
                let (db, card) = (db.clone(), card.clone());
                async move {
                    assert!(attempt.number() <= 3);
                    db.save(&card).await
                }
            })
            .await
    });
    let saved: [Saved; 4] = [borrowed_future, async_block, async_closure, clone_for_each];
    assert_eq!(saved, [const { Ok(3) }; 4]);
}

/// With state of its own that is changed between the attempts.
#[test]
fn closures_that_count_can_be_spawned() {
    let out = spawned(async {
        let (policy, _) = virtual_policy();
        let mut made = 0;
        let out = policy
            .run(|_| {
                made += 1;
                let now = made;
                async move {
                    yield_now().await;
                    if now < 3 { Err(TRANSIENT) } else { Ok(now) }
                }
            })
            .await;
        (out, made)
    });
    assert_eq!(out, (Ok(3), 3));
}

#[test]
fn errors_of_others_can_be_spawned_with() {
    type AnyError = Box<dyn Error + Send + Sync>;
    let out = spawned(async {
        let policy = RetryPolicy::new().clock(VirtualClock::new());
        let policy = policy.classify_with(|error: &AnyError| match error.downcast_ref::<io::Error>() {
            Some(_) => Verdict::Retry(RetryKind::Transient),
            None => Verdict::Stop,
        });
        let out = policy.run(|attempt| async move {
            yield_now().await;
            match attempt.number() {
                1 => Err(AnyError::from(io::Error::other("down"))),
                _ => Err::<(), _>(AnyError::from("too long")),
            }
        });
        out.await.map_err(|error| (error.attempts, error.into_inner().to_string()))
    });
    assert_eq!(out, Err((2, "too long".into())));
}

#[test]
fn question_marks_turn_failures_into_a_handlers_error() {
    fn handler(policy: &RetryPolicy) -> Result<u32, Box<dyn Error + Send + Sync>> {
        Ok(policy.run_blocking(|_| Err(TRANSIENT))?)
    }
    let error = handler(&virtual_policy().0).expect_err("it never succeeds");
    assert!(error.is::<RetryError<Fault>>());
}

/// A connection that is borrowed mutably by each attempt.
struct Connection(u32);

impl Connection {
    async fn step(&mut self) -> Result<u32, Fault> {
        self.0 += 1;
        yield_now().await;
        if self.0 < 3 { Err(TRANSIENT) } else { Ok(self.0) }
    }
}

#[test]
fn a_session_lends_state_mutably_under_spawn() {
    async fn save(policy: &RetryPolicy, connection: &mut Connection) -> Result<u32, RetryError<Fault>> {
        let mut session = policy.session();
        loop {
            let result = connection.step().await;
            if let Break(out) = session.settle(result).await {
                return out;
            }
        }
    }
    let out = spawned(async {
        let mut connection = Connection(0);
        (save(&virtual_policy().0, &mut connection).await, connection.0)
    });
    assert_eq!(out, (Ok(3), 3));
}

/// A row that changes under the first who tries.
#[derive(Default)]
struct Row(std::sync::Mutex<u32>);

impl Row {
    async fn load(&self) -> Result<u32, Fault> {
        yield_now().await;
        Ok(*self.0.lock().expect("no panic"))
    }

    async fn store(&self, version: u32, name: &str) -> Result<usize, Fault> {
        yield_now().await;
        let mut row = self.0.lock().expect("no panic");
        *row += 1;
        if version == 0 { Err(CONFLICT) } else { Ok(name.len()) }
    }
}

/// Saves by the key of each type that a lock of strings takes.
macro_rules! saved_by_key {
    ($locks:expr, $key:expr) => {
        spawned(async {
            let (row, name, (policy, _)) = (Row::default(), String::from("ada"), virtual_policy());
            let change = policy.retry_on_conflict(
                |_| row.load(),
                |version| Ok((version, name.as_str())),
                |(version, name)| row.store(version, name),
            );
            let locks = &$locks;
            change.escalate_after(1, locks, $key).run().await
        })
    };
}

static BY_NAME: LazyLock<Arc<KeyedLock<String>>> = LazyLock::new(Arc::default);

#[test]
fn changes_go_through_locks_of_every_key_under_spawn() {
    let saved: [Saved; 7] = [
        saved_by_key!(Arc::new(KeyedLock::<String>::new()), String::from("row")),
        saved_by_key!(Arc::new(KeyedLock::<String>::new()), "row".to_owned()),
        saved_by_key!(Arc::new(KeyedLock::<u64>::new()), 7_u64),
        saved_by_key!(Arc::new(KeyedLock::<(u64, u64)>::new()), (7, 7)),
        saved_by_key!(Arc::new(KeyedLock::<Arc<str>>::new()), Arc::<str>::from("row")),
        saved_by_key!(BY_NAME.clone(), "row".to_owned()),
        saved_by_key!(*LazyLock::force(&BY_NAME), String::from("row")),
    ];
    assert_eq!(saved, [const { Ok(3) }; 7]);
    assert!(BY_NAME.is_empty());
}

#[test]
fn changes_can_be_written_as_async_closures_under_spawn() {
    let out = spawned(async {
        let (row, name, (policy, _)) = (Row::default(), String::from("ada"), virtual_policy());
        let change = policy.retry_on_conflict(
            async |_| row.load().await,
            |version| Ok((version, name.clone())),
            async |(version, name)| row.store(version, &name).await,
        );
        change.run().await
    });
    assert_eq!(out, Ok(3));
}

/// The policy and the lock in a state that handlers share.
#[test]
fn changes_can_be_made_with_what_an_application_shares() {
    struct App {
        policy: RetryPolicy,
        locks: Arc<KeyedLock<String>>,
        row: Row,
    }
    async fn rename(app: Arc<App>, id: String, name: String) -> Saved {
        let (row, name) = (&app.row, name.as_str());
        let change = app.policy.retry_on_conflict(|_| row.load(), Ok, |version| row.store(version, name));
        change.escalate_after(2, &app.locks, id).run().await
    }
    let app = App { policy: virtual_policy().0, locks: Arc::default(), row: Row::default() };
    assert_eq!(spawned(rename(Arc::new(app), "7".into(), "ada".into())), Ok(3));
}

/// State that can't be sent: on one thread it need not be.
#[test]
fn what_cannot_be_sent_can_be_used_on_a_local_set() {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime starts");
    let out = LocalSet::new().block_on(&runtime, async {
        tokio::task::spawn_local(async {
            let (made, row, (policy, _)) =
                (Rc::new(Cell::new(0)), Rc::new(RefCell::new(40)), virtual_policy());
            let ran = policy.run(|_| {
                let made = made.clone();
                async move {
                    made.set(made.get() + 1);
                    yield_now().await;
                    if made.get() < 3 { Err(TRANSIENT) } else { Ok(made) }
                }
            });
            let ran = ran.await.expect("the third succeeds").get();
            let change = policy.retry_on_conflict(
                async |_| Ok::<_, Fault>(Rc::new(*row.borrow())),
                |loaded| Ok(Rc::new(*loaded + 1)),
                |changed| {
                    let row = row.clone();
                    async move {
                        yield_now().await;
                        *row.borrow_mut() = *changed;
                        if *changed < 42 { Err(CONFLICT) } else { Ok(changed) }
                    }
                },
            );
            let locks = Arc::new(KeyedLock::<u32>::new());
            let stored = change.escalate_after(1, &locks, 7).run().await.expect("the second succeeds");
            (ran, *stored)
        })
        .await
        .expect("it does not panic")
    });
    assert_eq!(out, (3, 42));
}

/// An error of one thread, with a function that classifies it.
#[test]
fn errors_that_cannot_be_sent_can_be_retried_on_their_thread() {
    let policy = RetryPolicy::new().clock(VirtualClock::new());
    let policy = policy.classify_with(|_: &Rc<str>| Verdict::Retry(RetryKind::Transient));
    let error = futures::executor::block_on(policy.run(async |_| Err::<(), _>(Rc::from("down"))));
    assert_eq!(error.map_err(|error| (error.attempts, error.into_inner())), Err((4, Rc::from("down"))));
}

#[test]
fn policies_budgets_and_counters_can_be_statics() {
    static BUDGET: Budget = Budget::new(20).price(RetryKind::Deadlock, 3).earnings(2);
    static STATS: RetryStats = RetryStats::new();
    static POLICY: RetryPolicy =
        RetryPolicy::new().max_attempts(2).name("static").static_budget(&BUDGET).static_stats(&STATS);
    let policy = POLICY.clone().clock(VirtualClock::new());
    let out = spawned(async move { policy.run(async |_| Err::<(), _>(TRANSIENT)).await });
    assert!(out.is_err_and(|error| error.name == "static" && error.attempts == 2));
    assert_eq!((BUDGET.tokens(), STATS.counts().failed()), (6, 1));
}

/// One whose errors a function classifies, under a name that fits into a structure.
#[test]
fn a_policy_with_a_function_can_be_a_static_and_a_field() {
    fn verdict(error: &io::Error) -> Verdict {
        match error.kind() {
            io::ErrorKind::ConnectionRefused => Verdict::Retry(RetryKind::Transient),
            _ => Verdict::Stop,
        }
    }
    struct App {
        save: &'static RetryPolicy<ByFunction<io::Error>>,
    }
    static SAVE: RetryPolicy<ByFunction<io::Error>> =
        RetryPolicy::classified_by(verdict).base_delay(std::time::Duration::ZERO).max_attempts(5);
    let app = App { save: &SAVE };
    let attempts =
        |kind| app.save.run_blocking(|_| Err::<(), _>(io::Error::from(kind))).map_err(|error| error.attempts);
    assert_eq!(attempts(io::ErrorKind::ConnectionRefused), Err(5));
    assert_eq!(attempts(io::ErrorKind::NotFound), Err(1));
}

#[test]
fn a_static_budget_is_not_set_twice_by_mistake() {
    static BUDGET: Budget = Budget::new(14);
    let policy = RetryPolicy::new().budget(Arc::new(Budget::new(14)));
    assert!(
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| policy.static_budget(&BUDGET))).is_err()
    );
}
