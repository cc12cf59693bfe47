//! Futures driven by hand, wakers that record, processes of their own, and a watch over tests that could hang.
//!
//! Tests that drive futures by hand play the helper's rounds by hand, too: its thread would give up those that a slow
//! machine polls late. Rounds are the same for all locks of a process, so tests that play them run [`alone`].

#![allow(unsafe_code)]

use std::env;
use std::future::Future;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Wake, Waker};
use std::thread;
use std::time::Duration;

use latchwork::helper;

/// Counts how often it rang.
#[derive(Debug, Default)]
pub(crate) struct Alarm {
    rung: AtomicUsize,
}

impl Alarm {
    pub(crate) fn rung(&self) -> usize {
        self.rung.load(Ordering::SeqCst)
    }
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.rung.fetch_add(1, Ordering::SeqCst);
    }
}

/// A future that is polled when the test says so.
#[derive(Debug)]
pub(crate) struct Hand<F> {
    future: Pin<Box<F>>,
    alarm: Arc<Alarm>,
    heard: usize,
}

impl<F: Future> Hand<F> {
    pub(crate) fn new(future: F) -> Self {
        if !IS_HELPED.load(Ordering::SeqCst) {
            helper::without_thread();
        }
        Self { future: Box::pin(future), alarm: Arc::default(), heard: 0 }
    }

    /// One that was polled and has to wait.
    #[track_caller]
    pub(crate) fn queued(future: F) -> Self {
        let mut hand = Self::new(future);
        assert!(hand.poll().is_none(), "nothing should be there to take");
        hand
    }

    pub(crate) fn poll(&mut self) -> Option<F::Output> {
        self.heard = self.alarm.rung();
        let waker = Waker::from(self.alarm.clone());
        self.poll_with(&waker)
    }

    pub(crate) fn poll_with(&mut self, waker: &Waker) -> Option<F::Output> {
        match self.future.as_mut().poll(&mut Context::from_waker(waker)) {
            Poll::Ready(out) => Some(out),
            Poll::Pending => None,
        }
    }

    /// Polls come from another task from now on.
    pub(crate) fn change_task(&mut self) {
        self.alarm = Arc::default();
        self.heard = 0;
    }

    /// How often it was woken.
    pub(crate) fn wakes(&self) -> usize {
        self.alarm.rung()
    }

    /// Whether it was woken since it was last polled.
    pub(crate) fn is_woken(&self) -> bool {
        self.alarm.rung() > self.heard
    }

    /// Polls as an executor would: as long as it is woken.
    pub(crate) fn poll_while_woken(&mut self) -> Option<F::Output> {
        while self.is_woken() {
            if let Some(out) = self.poll() {
                return Some(out);
            }
        }
        None
    }
}

/// Whether the helper thread may run in this process.
static IS_HELPED: AtomicBool = AtomicBool::new(false);

/// Names the test that a process runs [`alone`].
const ALONE: &str = "LATCHWORK_TEST_ALONE";

/// Runs `f`, the body of the test `name`, in a process of its own, where it may play rounds.
#[track_caller]
pub(crate) fn alone(name: &str, f: impl FnOnce()) {
    alone_in(name, &[], f);
}

/// The same, with these variables in the environment of the process.
#[track_caller]
fn alone_in(name: &str, environment: &[(&str, &str)], f: impl FnOnce()) {
    if env::var(ALONE).is_ok_and(|alone| alone == name) {
        return f();
    }
    let child = Command::new(env::current_exe().expect("this program has a path"))
        .args([name, "--exact", "--nocapture", "--test-threads=1"])
        .env(ALONE, name)
        .envs(environment.iter().copied())
        .output()
        .expect("it starts again");
    let said = String::from_utf8_lossy(&child.stdout);
    assert!(
        child.status.success() && said.contains("1 passed"),
        "{name}: {said}{}",
        String::from_utf8_lossy(&child.stderr)
    );
}

/// The same, with the helper thread instead of rounds by hand.
#[track_caller]
pub(crate) fn alone_with_helper(name: &str, f: impl FnOnce()) {
    alone(name, || {
        IS_HELPED.store(true, Ordering::SeqCst);
        f();
    });
}

/// The same, where the helper thread can't be started, nor another thread that does not say how large its stack is.
#[track_caller]
pub(crate) fn alone_without_threads(name: &str, f: impl FnOnce()) {
    // More than a processor can address.
    alone_in(name, &[("RUST_MIN_STACK", "281474976710656")], || {
        IS_HELPED.store(true, Ordering::SeqCst);
        f();
    });
}

/// Runs `f` while the process has no room for another thread's stack, but some for what `f` allocates.
#[cfg(all(feature = "tracing", target_os = "linux", target_pointer_width = "64"))]
pub(crate) fn without_memory_for_threads<R>(f: impl FnOnce() -> R) -> R {
    /// `RLIMIT_AS`.
    const MEMORY: std::ffi::c_int = 9;
    unsafe extern "C" {
        fn getrlimit(resource: std::ffi::c_int, limits: *mut [u64; 2]) -> std::ffi::c_int;
        fn setrlimit(resource: std::ffi::c_int, limits: *const [u64; 2]) -> std::ffi::c_int;
    }
    let status = std::fs::read_to_string("/proc/self/status").expect("it can be read");
    let size = status.lines().find_map(|line| line.strip_prefix("VmSize:")).expect("it is there");
    let kilobytes: u64 = size.trim().trim_end_matches(" kB").parse().expect("it is a number");
    let mut limits = [0; 2];
    // SAFETY: the array is a `struct rlimit`: two numbers of 64 bits.
    assert_eq!(unsafe { getrlimit(MEMORY, &raw mut limits) }, 0);
    let tight = [(kilobytes << 10) + (1 << 20), limits[1]];
    // SAFETY: as above.
    assert_eq!(unsafe { setrlimit(MEMORY, &raw const tight) }, 0);
    let out = f();
    // SAFETY: as above.
    assert_eq!(unsafe { setrlimit(MEMORY, &raw const limits) }, 0);
    out
}

/// Plays so many rounds that a notified task is given up that does not come.
pub(crate) fn rounds_of_patience() {
    for _ in 0..3 {
        helper::round();
    }
}

/// What is done to a waker.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Event {
    Cloned,
    Woken,
    Dropped,
}

type Hook = dyn Fn(Event) + Send + Sync;

/// A waker that runs `hook` when it is cloned, woken or dropped.
pub(crate) fn hooked(hook: impl Fn(Event) + Send + Sync + 'static) -> Waker {
    let hook: Arc<Box<Hook>> = Arc::new(Box::new(hook));
    // SAFETY: the vtable's functions treat the pointer as the `Arc` that it comes from.
    unsafe { Waker::from_raw(RawWaker::new(Arc::into_raw(hook).cast(), &HOOKED)) }
}

static HOOKED: RawWakerVTable = RawWakerVTable::new(
    |data| {
        // SAFETY: `data` came from `Arc::into_raw`, and its count is kept by `ManuallyDrop`.
        let hook = ManuallyDrop::new(unsafe { Arc::from_raw(data.cast::<Box<Hook>>()) });
        hook(Event::Cloned);
        RawWaker::new(Arc::into_raw(Arc::clone(&hook)).cast(), &HOOKED)
    },
    |data| {
        // SAFETY: `data` came from `Arc::into_raw`, and waking consumes it.
        let hook = unsafe { Arc::from_raw(data.cast::<Box<Hook>>()) };
        hook(Event::Woken);
    },
    |data| {
        // SAFETY: as for cloning.
        let hook = ManuallyDrop::new(unsafe { Arc::from_raw(data.cast::<Box<Hook>>()) });
        hook(Event::Woken);
    },
    |data| {
        // SAFETY: `data` came from `Arc::into_raw`, and dropping consumes it.
        let hook = unsafe { Arc::from_raw(data.cast::<Box<Hook>>()) };
        hook(Event::Dropped);
    },
);

/// The message with which `f` panics; fails if it does not.
#[track_caller]
pub(crate) fn panic_of<R>(f: impl FnOnce() -> R) -> String {
    let Err(panic) = catch_unwind(AssertUnwindSafe(f)) else { panic!("it should have panicked") };
    match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(panic) => panic.downcast::<&'static str>().map_or_else(|_| String::new(), |text| (*text).into()),
    }
}

/// Runs `f` on a thread of its own; a hang becomes a failure.
#[track_caller]
pub(crate) fn no_hang<R: Send + 'static>(f: impl FnOnce() -> R + Send + 'static) -> R {
    let (send, receive) = channel();
    // It says how large its stack is: see `alone_without_threads`.
    let thread = thread::Builder::new().stack_size(2 << 20).spawn(move || {
        let out = f();
        // Nobody listens any more if the test has failed already.
        let _ = send.send(());
        out
    });
    let thread = thread.expect("a thread starts");
    match receive.recv_timeout(Duration::from_secs(60)) {
        Err(std::sync::mpsc::RecvTimeoutError::Timeout) => panic!("it hangs"),
        // It has finished, or panicked and dropped its end.
        _ => match thread.join() {
            Ok(out) => out,
            Err(panic) => std::panic::resume_unwind(panic),
        },
    }
}

/// Yields until `done`: for another thread to get to a point that can be observed.
pub(crate) fn until(done: impl Fn() -> bool) {
    while !done() {
        thread::yield_now();
    }
}
