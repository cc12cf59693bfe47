//! Where a policy can wait: on any executor that it has a clock for, in tokio, on threads; and how it says
//! that it can't.

use std::cell::Cell;
use std::future::ready;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::Waker;
use std::thread;
use std::time::Duration;

use latchwork::{
    RetryPolicy,
    retry::{Clock, RetryError, Sleep, VirtualClock},
};

use crate::retry::calls::{CONFLICT, Entry, Fault, TRANSIENT, every_entry};
use crate::support::{Hand, no_hang};

/// A clock for any executor: a thread that wakes the task.
#[derive(Clone, Default)]
struct Threads {
    slept: Arc<AtomicUsize>,
}

impl Clock for Threads {
    fn sleep(&self, wait: Duration) -> Sleep {
        let state = Arc::new((AtomicBool::new(false), std::sync::Mutex::new(None::<Waker>)));
        let slept = self.slept.clone();
        thread::spawn({
            let state = state.clone();
            move || {
                thread::sleep(wait);
                slept.fetch_add(1, Ordering::SeqCst);
                state.0.store(true, Ordering::SeqCst);
                if let Some(waker) = state.1.lock().expect("no panic").take() {
                    waker.wake();
                }
            }
        });
        Box::pin(std::future::poll_fn(move |cx| {
            *state.1.lock().expect("no panic") = Some(cx.waker().clone());
            if state.0.load(Ordering::SeqCst) { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
        }))
    }
}

#[test]
fn any_executor_will_do_given_a_clock() {
    no_hang(|| {
        for entry in [Entry::Run, Entry::Settle, Entry::OnConflict] {
            let clock = Threads::default();
            let policy = RetryPolicy::new().base_delay(Duration::from_micros(100)).clock(clock.clone());
            let policy = policy.jitter(latchwork::retry::Jitter::None).deadline(Duration::from_secs(3600));
            let mut made = 0;
            let out = entry.call(&policy, || {
                made += 1;
                if made < 4 { Err(TRANSIENT) } else { Ok(made) }
            });
            assert_eq!((out, clock.slept.load(Ordering::SeqCst)), (Ok(4), 3));
        }
    });
}

/// Retries that wait on this thread, in real time but for a moment.
fn waits_on_this_thread() -> u32 {
    let policy =
        RetryPolicy::new().base_delay(Duration::from_micros(10)).jitter(latchwork::retry::Jitter::None);
    let out =
        policy.run_blocking(|attempt| if attempt.is_last() { Ok(attempt.number()) } else { Err(CONFLICT) });
    out.expect("the last succeeds")
}

#[test]
fn a_thread_needs_no_clock_and_no_runtime() {
    assert_eq!(waits_on_this_thread(), 4);
}

#[test]
fn with_a_clock_nothing_asks_for_a_runtime() {
    every_entry(|entry| {
        let policy = RetryPolicy::new().clock(Threads::default());
        assert_eq!(entry.call(&policy, || Ok::<_, Fault>(7)), Ok(7));
    });
}

/// A loop without a delay kept its thread: a timeout of 50 ms came back after seconds.
#[test]
fn attempts_without_a_delay_are_made_one_a_poll() {
    let policy = RetryPolicy::new().base_delay(Duration::ZERO).clock(VirtualClock::new());
    let made = Cell::new(0);
    let attempt = || {
        made.set(made.get() + 1);
        ready(Err::<(), _>(TRANSIENT))
    };
    let settled = async {
        let mut session = policy.session();
        loop {
            let result = attempt().await;
            if let ControlFlow::Break(out) = session.settle(result).await {
                return out;
            }
        }
    };
    let changed = policy.retry_on_conflict(|_| attempt(), Ok, |()| ready(Ok(()))).run();
    type Call<'a> = Pin<Box<dyn Future<Output = Result<(), RetryError<Fault>>> + 'a>>;
    let calls: [Call<'_>; 3] = [Box::pin(policy.run(|_| attempt())), Box::pin(settled), Box::pin(changed)];
    for call in calls {
        made.set(0);
        let mut call = Hand::new(call);
        for polls in 1..=3 {
            assert!(call.poll().is_none());
            assert_eq!((made.get(), call.wakes()), (polls, polls as usize), "it wakes itself");
        }
        assert!(call.poll().is_some_and(|out| out.is_err_and(|error| error.attempts == 4)));
    }
}

#[cfg(not(feature = "tokio"))]
#[test]
fn without_a_clock_a_task_says_what_is_missing() {
    let missing =
        "without the feature `tokio` a policy needs a clock to wait in a task: see RetryPolicy::clock";
    let policy = RetryPolicy::new();
    let never = || -> Result<(), Fault> { panic!("it must not be called") };
    for entry in [Entry::Run, Entry::OnConflict] {
        assert_eq!(crate::support::panic_of(|| entry.call(&policy, never)), missing);
    }
    let said = crate::support::panic_of(|| {
        futures::executor::block_on(policy.session().settle(Err::<(), _>(TRANSIENT))).is_break()
    });
    assert_eq!(said, missing);
}

#[cfg(feature = "tokio")]
mod by_tokio {
    use super::*;

    use latchwork::retry::{Budget, Jitter, RetryStats, StopReason};
    use tokio::runtime::{Builder, Runtime};
    use tokio::task::LocalSet;
    use tokio::time::Instant;

    use crate::support::{panic_of, until};

    const MESSAGE: &str = "would stall the event loop of a current-thread runtime or LocalSet";

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn current_thread() -> Runtime {
        Builder::new_current_thread().enable_all().build().expect("a runtime starts")
    }

    fn paused() -> Runtime {
        Builder::new_current_thread().enable_all().start_paused(true).build().expect("a runtime starts")
    }

    fn one_worker() -> Runtime {
        Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime starts")
    }

    /// In debug builds, although nothing is to be waited for.
    #[cfg(debug_assertions)]
    #[test]
    fn outside_a_runtime_a_task_panics_before_its_first_attempt() {
        let stats = Arc::new(RetryStats::new());
        let policy = RetryPolicy::new().stats(&stats);
        let never = || -> Result<(), Fault> { panic!("it must not be called") };
        for entry in [Entry::Run, Entry::OnConflict] {
            let said = panic_of(|| entry.call(&policy, never));
            assert!(said.contains("no tokio runtime") && said.contains("RetryPolicy::clock"), "{said}");
            let without_timer = Builder::new_current_thread().build().expect("a runtime starts");
            let _entered = without_timer.enter();
            let said = panic_of(|| entry.call(&policy, never));
            assert!(said.contains("timers are disabled"), "{said}");
        }
        assert_eq!(stats.counts().calls(), 0);
    }

    #[cfg(not(debug_assertions))]
    #[test]
    fn outside_a_runtime_release_builds_do_not_mind_a_success() {
        for entry in [Entry::Run, Entry::OnConflict] {
            assert_eq!(entry.call(&RetryPolicy::new(), || Ok::<_, Fault>(7)), Ok(7));
        }
    }

    #[test]
    fn outside_a_runtime_a_session_panics_when_it_has_to_wait() {
        let (stats, budget) = (Arc::new(RetryStats::new()), Arc::new(Budget::new(14)));
        let policy = RetryPolicy::new().stats(&stats).budget(&budget);
        let policy = policy.jitter(Jitter::None);
        assert_eq!(Entry::Settle.call(&policy, || Ok::<_, Fault>(7)), Ok(7));
        let said = panic_of(|| Entry::Settle.call(&policy, || Err::<(), _>(TRANSIENT)));
        assert!(said.contains("no tokio runtime") && said.contains("RetryPolicy::clock"), "{said}");
        assert_eq!((stats.counts().abandoned, budget.tokens()), (1, 14));
    }

    /// The only thread's other task ends the first one's attempts.
    #[test]
    fn other_tasks_run_between_attempts_without_a_delay() {
        no_hang(|| {
            current_thread().block_on(async {
                let done = Arc::new(AtomicBool::new(false));
                let end = done.clone();
                tokio::spawn(async move { end.store(true, Ordering::SeqCst) });
                let policy = RetryPolicy::new().base_delay(Duration::ZERO).max_attempts(u32::MAX);
                let call =
                    policy.run(async |_| if done.load(Ordering::SeqCst) { Ok(()) } else { Err(TRANSIENT) });
                assert!(call.await.is_ok());
            });
        });
    }

    #[test]
    fn a_timeout_ends_attempts_without_a_delay() {
        no_hang(|| {
            for runtime in [current_thread(), one_worker()] {
                let policy = RetryPolicy::new().base_delay(Duration::ZERO).max_attempts(u32::MAX);
                let out = runtime.block_on(async {
                    tokio::time::timeout(ms(50), policy.run(async |_| Err::<(), _>(TRANSIENT))).await
                });
                assert!(out.is_err());
            }
        });
    }

    #[test]
    fn paused_time_passes_as_the_waits_say() {
        paused().block_on(async {
            let policy = RetryPolicy::new().jitter(Jitter::None);
            let begun = Instant::now();
            let error = policy.run(async |_| Err::<(), _>(TRANSIENT)).await.expect_err("it never succeeds");
            assert_eq!((begun.elapsed(), error.slept), (ms(700), ms(700)));
            let begun = Instant::now();
            let policy = policy.deadline(ms(250));
            let late = policy.run(async |_| {
                tokio::time::sleep(ms(30)).await;
                Err::<(), _>(TRANSIENT)
            });
            let late = late.await.expect_err("it never succeeds");
            assert_eq!(late.reason, StopReason::DeadlineExceeded { wait: ms(200), left: ms(90) });
            assert_eq!(begun.elapsed(), ms(160));
        });
    }

    /// The waits were real and the deadline was told by the time that stood still.
    #[test]
    fn a_deadline_limits_the_waits_of_a_thread_though_tokios_time_is_paused() {
        no_hang(|| {
            let call = || {
                let policy = RetryPolicy::new().base_delay(ms(1)).multiplier(1.0).jitter(Jitter::None);
                policy.max_attempts(20).deadline(ms(5)).run_blocking(|_| Err::<(), _>(TRANSIENT))
            };
            let error = paused().block_on(async { tokio::task::spawn_blocking(call).await });
            let error = error.expect("no panic").expect_err("it never succeeds");
            assert!(error.slept <= ms(5), "{:?} of a deadline of 5 ms", error.slept);
        });
    }

    #[test]
    fn a_blocking_call_that_would_stall_an_event_loop_panics_when_it_has_to_wait() {
        let stalls = |run: &dyn Fn(&mut dyn FnMut()) -> String| {
            let (stats, budget) = (Arc::new(RetryStats::new()), Arc::new(Budget::new(14)));
            let policy = RetryPolicy::new().stats(&stats).budget(&budget).jitter(Jitter::None);
            for entry in [Entry::RunBlocking, Entry::SettleBlocking] {
                let mut made = 0;
                let said = run(&mut || {
                    let _ = entry.call(&policy, || {
                        made += 1;
                        Err::<(), _>(TRANSIENT)
                    });
                });
                assert!(said.contains(MESSAGE), "{said}");
                assert_eq!((made, budget.tokens()), (1, 14));
            }
            assert_eq!((stats.counts().calls(), stats.counts().abandoned), (2, 2));
        };
        stalls(&|call| panic_of(|| current_thread().block_on(async { call() })));
        stalls(&|call| panic_of(|| LocalSet::new().block_on(&one_worker(), async { call() })));
    }

    #[test]
    fn a_blocking_call_that_does_not_wait_is_allowed_everywhere() {
        current_thread().block_on(async {
            for entry in [Entry::RunBlocking, Entry::SettleBlocking] {
                let mut made = 0;
                let at_once = RetryPolicy::new().base_delay(Duration::ZERO);
                let out = entry.call(&at_once, || {
                    made += 1;
                    if made < 3 { Err(TRANSIENT) } else { Ok(made) }
                });
                assert_eq!(out, Ok(3));
            }
        });
    }

    #[test]
    fn a_blocking_call_waits_in_tasks_of_many_workers_and_in_blocking_tasks() {
        no_hang(|| {
            let runtime = one_worker();
            let task = runtime.spawn(async { waits_on_this_thread() });
            assert_eq!(runtime.block_on(task).expect("no panic"), 4);
            for runtime in [one_worker(), current_thread()] {
                let made =
                    runtime.block_on(async { tokio::task::spawn_blocking(waits_on_this_thread).await });
                assert_eq!(made.expect("no panic"), 4);
                let _entered = runtime.enter();
                assert_eq!(waits_on_this_thread(), 4);
            }
        });
    }

    /// The only worker's other tasks end the first one's waits.
    #[test]
    fn other_tasks_run_while_a_blocking_call_waits() {
        no_hang(|| {
            let runtime = one_worker();
            let (waiting, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
            let call = runtime.spawn({
                let (waiting, done) = (waiting.clone(), done.clone());
                async move {
                    let policy = RetryPolicy::new().max_attempts(u32::MAX).max_delay(ms(1));
                    let policy = policy.jitter(Jitter::None);
                    policy.run_blocking(|attempt| {
                        waiting.store(attempt.number() > 1, Ordering::SeqCst);
                        if done.load(Ordering::SeqCst) { Ok(()) } else { Err(TRANSIENT) }
                    })
                }
            });
            until(|| waiting.load(Ordering::SeqCst));
            runtime.spawn(async move { done.store(true, Ordering::SeqCst) });
            assert!(runtime.block_on(call).expect("no panic").is_ok());
        });
    }

    /// Its tasks were never run, as without a delay nothing handed them over.
    #[test]
    fn other_tasks_run_between_blocking_attempts_without_a_delay() {
        no_hang(|| {
            for entry in [Entry::RunBlocking, Entry::SettleBlocking, Entry::OnConflictBlocking] {
                let runtime = one_worker();
                let runs = Arc::new(AtomicUsize::new(0));
                let call = runtime.spawn(async move {
                    // From the worker itself: it is in the queue that only the worker empties.
                    tokio::spawn({
                        let runs = runs.clone();
                        async move { runs.fetch_add(1, Ordering::SeqCst) }
                    });
                    let policy = RetryPolicy::new().base_delay(Duration::ZERO).max_attempts(u32::MAX);
                    entry.call(&policy, || match runs.load(Ordering::SeqCst) {
                        0 => Err(TRANSIENT),
                        runs => Ok(runs),
                    })
                });
                assert_eq!(runtime.block_on(call).expect("no panic"), Ok(1));
            }
        });
    }

    /// The only worker's other tasks release the key.
    #[test]
    fn other_tasks_run_while_a_thread_waits_for_its_lock() {
        no_hang(|| {
            let runtime = one_worker();
            let locks = Arc::new(latchwork::KeyedLock::<u32>::new());
            let held = locks.clone().try_lock_owned(7).expect("it is free");
            let call = runtime.spawn({
                let locks = locks.clone();
                async move {
                    let policy = RetryPolicy::new();
                    let change = policy.retry_on_conflict_blocking(|_| Ok::<_, Fault>(()), Ok, |()| Ok(7));
                    change.escalate_after(0, &locks, 7).run_blocking()
                }
            });
            until(|| locks.snapshot().iter().any(|key| key.waiters() == 1));
            runtime.spawn(async move { drop(held) });
            assert_eq!(runtime.block_on(call).expect("no panic"), Ok(7));
            assert!(locks.is_empty());
        });
    }
}
