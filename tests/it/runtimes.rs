//! `wait()` inside runtimes: it stalls no event loop, and says so where it would have to.

#![cfg(feature = "tokio")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use latchwork::Mutex;
use tokio::runtime::{Builder, Runtime};
use tokio::task::LocalSet;

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

#[test]
fn a_wait_that_would_stall_a_local_set_panics() {
    for runtime in [one_worker(), current_thread()] {
        let mutex = Mutex::new(());
        let guard = mutex.lock().wait();
        let local = LocalSet::new();
        let said = panic_of(|| local.block_on(&runtime, async { drop(mutex.lock().wait()) }));
        assert!(said.contains(MESSAGE), "{said}");
        drop(guard);
        assert!(mutex.try_lock().is_ok());
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
