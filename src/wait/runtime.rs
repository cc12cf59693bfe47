//! What tokio tells about this thread before it blocks.
//!
//! | this thread | has a handle | drives tasks | what is done |
//! |---|---|---|---|
//! | belongs to no runtime, or its thread-locals are gone | no | | it parks |
//! | entered a runtime; runs a blocking task | yes | no | it parks |
//! | drives `block_on` of a multi-thread runtime | multi-thread | no | it parks |
//! | drives a `LocalSet` in that `block_on` | multi-thread | no | tokio panics, and then we do |
//! | is a worker of a multi-thread runtime | multi-thread | yes | it hands its tasks over, and parks |
//! | drives a current-thread runtime | current-thread | yes | we panic |
//!
//! Only `block_in_place` can distinguish the fourth row from the third, and it does so by a panic. So the panic hook runs
//! twice there: with tokio's message, and with ours. For a task that is inside `Handle::enter` of another runtime, that
//! runtime counts.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Wake, Waker};
use std::thread;

use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task::{block_in_place, yield_now};

enum Here {
    /// Outside every runtime.
    Outside,
    /// A worker of a multi-thread runtime.
    Worker,
    /// The thread that drives a current-thread runtime.
    Driver,
    /// Any other place with a handle.
    Inside,
}

fn here() -> Here {
    let Ok(flavor) = Handle::try_current().map(|handle| handle.runtime_flavor()) else {
        return Here::Outside;
    };
    match (drives_tasks(), flavor) {
        (false, _) => Here::Inside,
        (true, RuntimeFlavor::CurrentThread) => Here::Driver,
        (true, _) => Here::Worker,
    }
}

/// Runs `f` where it may block. Its argument is `true` if a worker has handed its tasks over for it.
#[track_caller]
pub(super) fn hand_over<R>(f: impl FnOnce(bool) -> R) -> R {
    match here() {
        // In the destructor of a thread-local, tokio's own thread-locals may be gone. Then `block_in_place` would
        // panic, and the process would abort.
        Here::Outside => f(false),
        Here::Worker => in_place(|| f(true)),
        Here::Inside => in_place(|| f(false)),
        Here::Driver => stalls(),
    }
}

/// Lets other threads and tasks run for a moment. A worker offers its tasks to another thread; where that is not
/// possible, the tasks wait.
pub(super) fn give_way() {
    match here() {
        Here::Worker => in_place(thread::yield_now),
        Here::Outside | Here::Inside | Here::Driver => thread::yield_now(),
    }
}

/// Panics where [`hand_over`] would, and does nothing else.
#[track_caller]
#[cfg(debug_assertions)]
pub(super) fn check() {
    match here() {
        Here::Outside | Here::Worker => {}
        Here::Inside => in_place(|| ()),
        Here::Driver => stalls(),
    }
}

#[track_caller]
fn in_place<R>(f: impl FnOnce() -> R) -> R {
    let mut entered = false;
    let run = AssertUnwindSafe(|| {
        block_in_place(|| {
            entered = true;
            f()
        })
    });
    match catch_unwind(run) {
        Ok(out) => out,
        Err(panic) if entered => resume_unwind(panic),
        Err(_) => stalls(),
    }
}

#[cold]
#[track_caller]
fn stalls() -> ! {
    panic!(
        "blocking here would stall the event loop of a current-thread runtime or LocalSet: \
         .await instead, or call it in spawn_blocking"
    );
}

#[derive(Default)]
struct Rung(AtomicBool);

impl Wake for Rung {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Returns `true` if a scheduler runs on this thread that has not been handed over. The scheduler wakes a task that
/// yields after the others had their turn; without a scheduler the task is woken at once.
fn drives_tasks() -> bool {
    let rung = Arc::new(Rung::default());
    let waker = Waker::from(rung.clone());
    let yielded = pin!(yield_now()).poll(&mut Context::from_waker(&waker));
    yielded.is_pending() && !rung.0.load(Ordering::Relaxed)
}
