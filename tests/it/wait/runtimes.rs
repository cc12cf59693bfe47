//! `wait()` inside runtimes: it stalls no event loop, and says so where it would have to.

#![cfg(feature = "tokio")]

use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Once};
use std::thread;
use std::time::Duration;

use latchwork::Mutex;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::{LocalSet, block_in_place, spawn_blocking, spawn_local};

use crate::support::{no_hang, panic_of, until};
use crate::ways::every_way;

const MESSAGE: &str = "would stall the event loop of a current-thread runtime or LocalSet";

fn one_worker() -> Runtime {
    Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime starts")
}

fn current_thread() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime starts")
}

/// Waits on this thread while another one holds the lock until this one waits.
fn waits_for_another_thread() {
    let mutex = Arc::new(Mutex::new(0));
    let guard = mutex.clone().lock_owned().wait();
    let other = thread::spawn({
        let mutex = mutex.clone();
        move || {
            until(|| mutex.try_lock().is_err_and(|busy| busy.waiters == 1));
            drop(guard);
        }
    });
    *mutex.lock().wait() += 1;
    other.join().expect("it releases the lock");
}

#[test]
fn a_plain_thread_may_wait() {
    no_hang(waits_for_another_thread);
}

#[test]
fn a_thread_that_entered_a_runtime_may_wait() {
    for runtime in [one_worker(), current_thread()] {
        let handle = runtime.handle().clone();
        no_hang(move || {
            let _entered = handle.enter();
            waits_for_another_thread();
        });
    }
}

#[test]
fn a_blocking_task_may_wait() {
    for runtime in [one_worker(), current_thread()] {
        no_hang(move || {
            runtime
                .block_on(async { tokio::task::spawn_blocking(waits_for_another_thread).await })
                .expect("it does not panic");
        });
    }
}

#[test]
fn a_task_of_a_multi_thread_runtime_may_wait() {
    no_hang(|| {
        one_worker()
            .block_on(async { tokio::spawn(async { waits_for_another_thread() }).await })
            .expect("no panic");
        one_worker().block_on(async { waits_for_another_thread() });
    });
}

#[test]
fn a_wait_that_parks_the_only_worker_lets_another_task_release_the_lock() {
    no_hang(|| {
        let runtime = one_worker();
        every_way(|way| {
            let held = way.wait();
            let waiter = runtime.spawn({
                let way = way.clone();
                async move { drop(way.wait()) }
            });
            until(|| way.waiters() == 1);
            // This task has no worker of its own to run on.
            runtime.spawn(async move { drop(held) });
            runtime.block_on(waiter).expect("it gets the lock");
        });
    });
}

#[test]
fn other_tasks_run_while_a_wait_parks_the_only_worker() {
    no_hang(|| {
        let runtime = one_worker();
        let mutex = Arc::new(Mutex::new(()));
        let guard = mutex.clone().lock_owned().wait();
        let waiter = runtime.spawn({
            let mutex = mutex.clone();
            async move { mutex.lock().wait_timeout(Duration::from_secs(3600)).map(drop) }
        });
        until(|| mutex.try_lock().is_err_and(|busy| busy.waiters == 1));
        let ticks = runtime.spawn(async {
            let mut ticks = 0;
            while ticks < 10 {
                tokio::time::sleep(Duration::from_millis(1)).await;
                ticks += 1;
            }
            ticks
        });
        assert_eq!(runtime.block_on(ticks).expect("it runs to its end"), 10);
        drop(guard);
        assert_eq!(runtime.block_on(waiter).expect("it does not panic"), Ok(()));
    });
}

#[test]
fn a_wait_that_would_stall_a_current_thread_runtime_panics_and_leaves_nothing() {
    no_hang(|| {
        every_way(|way| {
            let held = way.wait();
            let runtime = current_thread();
            let said = panic_of(|| runtime.block_on(async { drop(way.wait()) }));
            assert!(said.contains(MESSAGE), "{said}");
            let said =
                panic_of(|| runtime.block_on(async { way.wait_timeout(Duration::from_secs(1)).is_ok() }));
            assert!(said.contains(MESSAGE), "{said}");
            assert_eq!(way.waiters(), 0);
            drop(held);
            assert!(way.is_free());
        });
    });
}

/// What a wait that has to park comes to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Outcome {
    Parks,
    /// It panics, and the panic hook hears our words, once.
    Panics,
    /// It panics, and the panic hook hears tokio's words before ours: nothing but tokio's panic tells what this is.
    PanicsTwice,
}
use Outcome::{Panics, PanicsTwice, Parks};

thread_local! {
    /// What panics on this thread say, while it listens.
    static HEARD: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

/// Lets panics of threads that listen be heard, instead of printed.
fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let others = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let payload = info.payload();
            let words = payload.downcast_ref::<String>().map(String::as_str);
            let words = words.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or_default();
            // A thread that ends may have no such variable any more.
            let is_heard = HEARD.try_with(|heard| {
                heard.borrow_mut().as_mut().map(|heard| heard.push(words.to_owned())).is_some()
            });
            if !is_heard.unwrap_or(false) {
                others(info);
            }
        }));
    });
    HEARD.set(Some(Vec::new()));
}

/// Runs [`outcome`] somewhere.
type Within = fn() -> Outcome;

/// Waits for a lock that somebody holds.
fn outcome() -> Outcome {
    let mutex = Mutex::new(());
    let held = mutex.try_lock().expect("it is free");
    listen();
    let waited =
        catch_unwind(AssertUnwindSafe(|| mutex.lock().wait_timeout(Duration::from_millis(1)).is_err()));
    let heard = HEARD.take().expect("it listens");
    drop(held);
    assert!(mutex.try_lock().is_ok(), "nothing is left behind");
    match (waited, heard.as_slice()) {
        (Ok(true), []) => Parks,
        (Err(_), [ours]) if ours.contains(MESSAGE) => Panics,
        (Err(_), [_, ours]) if ours.contains(MESSAGE) => PanicsTwice,
        (waited, heard) => panic!("{waited:?}, {heard:?}"),
    }
}

#[test]
fn a_wait_parks_wherever_others_can_go_on_and_panics_once_where_they_cannot() {
    let contexts: &[(&str, Outcome, Within)] = &[
        ("a plain thread", Parks, outcome),
        ("a thread that entered a multi-thread runtime", Parks, || {
            let runtime = one_worker();
            let _entered = runtime.enter();
            outcome()
        }),
        ("a thread that entered a current-thread runtime", Parks, || {
            let runtime = current_thread();
            let _entered = runtime.enter();
            outcome()
        }),
        ("block_on of a multi-thread runtime", Parks, || one_worker().block_on(async { outcome() })),
        ("a task of a multi-thread runtime", Parks, || {
            one_worker().block_on(async { tokio::spawn(async { outcome() }).await.expect("it ends") })
        }),
        ("block_in_place", Parks, || {
            one_worker()
                .block_on(async { tokio::spawn(async { block_in_place(outcome) }).await.expect("it ends") })
        }),
        ("block_on in block_in_place", Parks, || {
            let nested = || block_in_place(|| Handle::current().block_on(async { outcome() }));
            one_worker().block_on(async { tokio::spawn(async move { nested() }).await.expect("it ends") })
        }),
        ("a LocalSet in block_in_place", Parks, || {
            let nested = || {
                block_in_place(|| Handle::current().block_on(LocalSet::new().run_until(async { outcome() })))
            };
            one_worker().block_on(async { tokio::spawn(async move { nested() }).await.expect("it ends") })
        }),
        ("a blocking task of a multi-thread runtime", Parks, || {
            one_worker().block_on(async { spawn_blocking(outcome).await.expect("it ends") })
        }),
        ("a blocking task of a current-thread runtime", Parks, || {
            current_thread().block_on(async { spawn_blocking(outcome).await.expect("it ends") })
        }),
        ("block_on in a blocking task of a multi-thread runtime", Parks, || {
            let nested = || Handle::current().block_on(async { outcome() });
            one_worker().block_on(async { spawn_blocking(nested).await.expect("it ends") })
        }),
        ("block_on in a blocking task of a current-thread runtime", Parks, || {
            let nested = || Handle::current().block_on(async { outcome() });
            current_thread().block_on(async { spawn_blocking(nested).await.expect("it ends") })
        }),
        ("a thread of its own in a current-thread runtime", Parks, || {
            current_thread().block_on(async { thread::spawn(outcome).join().expect("it ends") })
        }),
        ("block_on of a current-thread runtime", Panics, || current_thread().block_on(async { outcome() })),
        ("a task of a current-thread runtime", Panics, || {
            current_thread().block_on(async { tokio::spawn(async { outcome() }).await.expect("it ends") })
        }),
        ("a LocalSet in a current-thread runtime", Panics, || {
            LocalSet::new().block_on(&current_thread(), async { outcome() })
        }),
        ("a local task in a current-thread runtime", Panics, || {
            LocalSet::new().block_on(&current_thread(), async {
                spawn_local(async { outcome() }).await.expect("it ends")
            })
        }),
        ("a LocalSet in block_on of a multi-thread runtime", PanicsTwice, || {
            LocalSet::new().block_on(&one_worker(), async { outcome() })
        }),
        ("a local task in block_on of a multi-thread runtime", PanicsTwice, || {
            LocalSet::new()
                .block_on(&one_worker(), async { spawn_local(async { outcome() }).await.expect("it ends") })
        }),
        ("a current-thread runtime that entered a multi-thread one", PanicsTwice, || {
            let other = one_worker();
            current_thread().block_on(async {
                let _entered = other.enter();
                outcome()
            })
        }),
        // It could park, but looks like the one above it.
        ("a worker that entered a current-thread runtime", Panics, || {
            let other = current_thread();
            let inner = other.handle().clone();
            one_worker().block_on(async {
                let task = async move {
                    let _entered = inner.enter();
                    outcome()
                };
                tokio::spawn(task).await.expect("it ends")
            })
        }),
    ];
    for (name, expected, within) in contexts {
        assert_eq!(no_hang(within), *expected, "{name}");
    }
}

thread_local! {
    static LAST: RefCell<Option<WaitsWhenDropped>> = const { RefCell::new(None) };
}

/// Waits in its destructor: for a lock that is free, for one that stays held, and for one that comes free.
struct WaitsWhenDropped(Arc<Mutex<u32>>);

impl Drop for WaitsWhenDropped {
    fn drop(&mut self) {
        let own = Mutex::new(());
        let guard = own.lock().wait();
        assert!(own.lock().wait_timeout(Duration::from_millis(1)).is_err());
        drop(guard);
        *self.0.lock().wait() += 1;
    }
}

#[test]
fn a_threads_last_destructor_may_wait_when_all_others_have_run() {
    let plain: fn(Box<dyn FnOnce() + Send>) = |f| thread::spawn(f).join().expect("it ends");
    let blocking: fn(Box<dyn FnOnce() + Send>) = |f| {
        let runtime = one_worker();
        runtime.block_on(runtime.spawn_blocking(f)).expect("it ends");
    };
    let worker: fn(Box<dyn FnOnce() + Send>) = |f| {
        let runtime = one_worker();
        runtime.block_on(runtime.spawn(async { f() })).expect("it ends");
    };
    for on_thread in [plain, blocking, worker] {
        no_hang(move || {
            let mutex = Arc::new(Mutex::new(0));
            let guard = mutex.clone().lock_owned().wait();
            let releases = thread::spawn({
                let mutex = mutex.clone();
                move || {
                    until(|| mutex.try_lock().is_err_and(|busy| busy.waiters == 1));
                    drop(guard);
                }
            });
            let last = WaitsWhenDropped(mutex.clone());
            on_thread(Box::new(move || {
                // Destructors run in the reverse order: on a plain thread that of this comes last, after tokio's.
                LAST.set(Some(last));
                waits_for_another_thread();
            }));
            releases.join().expect("it releases the lock");
            until(|| mutex.try_lock().is_ok_and(|count| *count == 1));
        });
    }
}

#[test]
#[cfg(debug_assertions)]
fn debug_builds_report_the_misuse_although_the_lock_is_free() {
    every_way(|way| {
        let runtime = current_thread();
        for said in [
            panic_of(|| runtime.block_on(async { drop(way.wait()) })),
            panic_of(|| runtime.block_on(async { drop(way.wait_timeout(Duration::ZERO)) })),
            panic_of(|| LocalSet::new().block_on(&runtime, async { drop(way.wait()) })),
        ] {
            assert!(said.contains(MESSAGE), "{said}");
        }
        assert!(way.is_free());
    });
    let mutex = Mutex::new(());
    let deadline = std::time::Instant::now();
    let said = panic_of(|| current_thread().block_on(async { drop(mutex.lock().wait_deadline(deadline)) }));
    assert!(said.contains(MESSAGE), "{said}");
}

#[test]
#[cfg(not(debug_assertions))]
fn release_builds_do_not_mind_a_wait_for_what_is_free() {
    every_way(|way| current_thread().block_on(async { drop(way.wait()) }));
}

#[test]
fn try_is_allowed_everywhere() {
    every_way(|way| {
        current_thread().block_on(async { drop(way.attempt().expect("it is free")) });
        LocalSet::new().block_on(&current_thread(), async { drop(way.attempt().expect("it is free")) });
    });
}

#[test]
fn a_panic_that_is_not_about_waiting_keeps_its_message() {
    let runtime = one_worker();
    let mutex = Mutex::new(());
    let said = panic_of(|| {
        runtime.block_on(async {
            let _guard = mutex.lock().wait();
            panic!("something else");
        })
    });
    assert_eq!(said, "something else");
    assert!(catch_unwind(AssertUnwindSafe(|| drop(mutex.try_lock().expect("it was released")))).is_ok());
}
