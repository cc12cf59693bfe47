//! The helper thread: gives up waiters that were notified and do not come.
//!
//! A future that was notified may never be polled again: its task keeps it in a `select!` whose other branch runs, or in
//! a collection that it does not poll. A waiter behind it in the line must not wait for it. No user of the lock
//! can notice this, so one thread of the process does. It looks at *crowded* lines, in which two or more wait. It looks each
//! millisecond if one of them has not moved, and each 2 to 32 milliseconds if all have. It wakes other waiters in the place
//! of those that did not come. For that it takes the internal lock of the line, for a moment.
//!
//! # When it runs
//!
//! It is started when a line is crowded for the first time, and sleeps while no line is. Its name is `latchwork`. It is
//! never joined, and keeps nothing alive but the lines it looks at.
//!
//! # Without it
//!
//! [`without_thread`] keeps it from running, for processes that must not have this thread. The process then calls [`round`]
//! from time to time, for example from a timer, and nothing is lost. Without these calls, a waiter behind a future that is
//! never polled again waits until that future is dropped. Locks without such futures lose nothing.
//!
//! With the feature `tracing` a second thread, `latchwork-log`, reports [waits that last](crate::docs::logging). It runs
//! subscribers, which may block, so the helper does not do it. `without_thread` keeps it from running as well. Then each
//! `round` reports the waits that are due.
//!
//! If no thread can be started, threads that park in `wait()` from then on look every few milliseconds themselves. A child process
//! made by `fork` without `exec` has neither of the two threads, if its parent had started them. In the child, call `round`.
//!
//! # Examples
//!
//! ```standalone_crate
//! latchwork::helper::without_thread();
//! // In a timer of the process:
//! latchwork::helper::round();
//! assert!(!latchwork::helper::is_running());
//! ```

use std::sync::Arc;

use super::line::Line;
use super::look::Pace;
use super::round::Round;
use super::wakes::Wakes;
use crate::sync::Mutex;

pub(crate) use self::imp::now;
#[cfg(not(latchwork_loom))]
pub use self::imp::{is_running, without_thread};
pub(crate) use self::imp::{nap, stand_in, watch};

/// Plays one round: gives up the waiters that did not come in time, and wakes others in their place.
///
/// The helper thread does this from time to time while a line is crowded. Without the thread, call it yourself. A notified
/// task is given up after two rounds, or up to 64 where tasks came late before. A thread is given up after 256 rounds. A
/// reservation of a `lock_many` that waits for another key is given up after 16. With the feature `tracing` it also reports
/// [waits that last](crate::docs::logging).
///
/// # Examples
///
/// ```standalone_crate
/// use std::future::Future;
/// use std::pin::pin;
/// use std::task::{Context, Poll, Waker};
///
/// latchwork::helper::without_thread();
/// let lock = latchwork::Mutex::new(());
/// let (mut silent, mut behind) = (pin!(lock.lock()), pin!(lock.lock()));
/// let mut cx = Context::from_waker(Waker::noop());
/// let guard = lock.try_lock()?;
/// assert!(silent.as_mut().poll(&mut cx).is_pending());
/// assert!(behind.as_mut().poll(&mut cx).is_pending());
/// drop(guard); // notifies `silent`, which is never polled again
/// for _ in 0..3 {
///     latchwork::helper::round();
/// }
/// assert!(behind.as_mut().poll(&mut cx).is_ready());
/// # Ok::<(), latchwork::Busy>(())
/// ```
pub fn round() {
    play();
    #[cfg(feature = "tracing")]
    super::overdue::report(std::time::Instant::now());
}

/// Plays a round. Returns `true` if the next one is urgent, since a line did not move.
fn play() -> bool {
    imp::begin_round();
    let mut lines = imp::take_lines();
    let mut is_urgent = false;
    lines.retain(|line| {
        let mut wakes = Wakes::default();
        let mut locked = line.lock();
        // Of this moment: another round may have begun, in which somebody was notified.
        let pace = locked.look(now(), &mut wakes);
        drop(locked);
        // Outside the lock: wakers are user code. Their panics have no caller to go to.
        wakes.wake();
        wakes.forget_panic();
        is_urgent |= pace == Pace::Urgent;
        pace != Pace::Over
    });
    imp::return_lines(lines);
    is_urgent
}

#[cfg(not(latchwork_loom))]
mod imp {
    use std::ops::RangeInclusive;
    use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
    use std::thread;
    use std::time::{Duration, Instant};

    use parking_lot::Condvar;

    use super::*;

    /// How long a round takes while a line does not move, ...
    const ROUND: Duration = Duration::from_millis(1);
    /// ... and while all do, longer from round to round. To wake a thread costs busy cores far more than a look.
    const CALM: RangeInclusive<Duration> = Duration::from_millis(2)..=Duration::from_millis(32);
    /// How many rounds it looks at nothing before it sleeps: to be woken costs more.
    const LINGER: u32 = 10;

    struct Helper {
        lines: Vec<Arc<Mutex<Line>>>,
        state: State,
    }

    #[derive(Clone, Copy, PartialEq, Eq)]
    enum State {
        /// It was not needed yet, or no thread could be started.
        Idle,
        Running,
        /// It waits for a line.
        Asleep,
        /// The process does without.
        Off,
    }

    static HELPER: Mutex<Helper> = Mutex::new(Helper { lines: Vec::new(), state: State::Idle });
    static WORK: Condvar = Condvar::new();
    static NOW: AtomicU16 = AtomicU16::new(1);
    /// No thread could be started: those that are parked have to look by themselves.
    static IS_ABSENT: AtomicBool = AtomicBool::new(false);

    #[inline]
    pub(crate) fn now() -> Round {
        Round::from_number(NOW.load(Ordering::Relaxed))
    }

    pub(super) fn begin_round() {
        NOW.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn take_lines() -> Vec<Arc<Mutex<Line>>> {
        std::mem::take(&mut HELPER.lock().lines)
    }

    pub(super) fn return_lines(mut lines: Vec<Arc<Mutex<Line>>>) {
        let mut helper = HELPER.lock();
        // Those that became crowded in the meantime are few.
        std::mem::swap(&mut helper.lines, &mut lines);
        helper.lines.append(&mut lines);
        // The thread saw none of them while somebody else played the round.
        if helper.state == State::Asleep && !helper.lines.is_empty() {
            helper.state = State::Running;
            drop(helper);
            WORK.notify_one();
        }
    }

    /// Looks at a line from the next round on, for as long as it is crowded.
    pub(crate) fn watch(line: Arc<Mutex<Line>>) {
        let mut helper = HELPER.lock();
        helper.lines.push(line);
        match helper.state {
            State::Running | State::Off => {}
            State::Asleep => {
                helper.state = State::Running;
                drop(helper);
                WORK.notify_one();
            }
            State::Idle => {
                helper.state = State::Running;
                drop(helper);
                let started = thread::Builder::new().name("latchwork".to_owned()).spawn(run).is_ok();
                IS_ABSENT.store(!started, Ordering::Relaxed);
                let mut helper = HELPER.lock();
                if !started && helper.state == State::Running {
                    helper.state = State::Idle;
                }
            }
        }
    }

    /// How long a thread may be parked before it [stands in](stand_in) for the helper, where there is none.
    pub(crate) fn nap() -> Option<Duration> {
        IS_ABSENT.load(Ordering::Relaxed).then_some(2 * ROUND)
    }

    /// Plays a round, unless another parked thread has just done so.
    pub(crate) fn stand_in() {
        static LAST: Mutex<Option<Instant>> = Mutex::new(None);
        let mut last = LAST.lock();
        if last.is_none_or(|last| last.elapsed() >= ROUND) {
            *last = Some(Instant::now());
            drop(last);
            round();
        }
    }

    fn run() {
        let (mut idle, mut pause) = (0, *CALM.start());
        loop {
            {
                let mut helper = HELPER.lock();
                idle = if helper.lines.is_empty() { idle + 1 } else { 0 };
                if idle > LINGER && helper.state == State::Running {
                    helper.state = State::Asleep;
                }
                while helper.state == State::Asleep {
                    WORK.wait(&mut helper);
                    (idle, pause) = (0, *CALM.start());
                }
                if helper.state != State::Running {
                    return;
                }
            }
            thread::sleep(pause);
            pause = if play() { ROUND } else { (2 * pause).clamp(*CALM.start(), *CALM.end()) };
        }
    }

    /// Does without the helper thread from now on. If it runs already it ends.
    ///
    /// See [`helper`](crate::helper) for what is lost.
    ///
    /// # Examples
    ///
    /// ```standalone_crate
    /// latchwork::helper::without_thread();
    /// assert!(!latchwork::helper::is_running());
    /// ```
    pub fn without_thread() {
        HELPER.lock().state = State::Off;
        WORK.notify_one();
        #[cfg(feature = "tracing")]
        super::super::overdue::without_thread();
    }

    /// Returns `true` if the helper thread was started, whether it looks at a line now or sleeps.
    ///
    /// # Examples
    ///
    /// ```standalone_crate
    /// let lock = latchwork::Mutex::new(1);
    /// assert_eq!(*lock.lock().wait(), 1); // nobody else waits
    /// assert!(!latchwork::helper::is_running());
    /// ```
    #[must_use]
    pub fn is_running() -> bool {
        matches!(HELPER.lock().state, State::Running | State::Asleep)
    }
}

/// A model has no time and no helper thread: it plays rounds by hand.
#[cfg(latchwork_loom)]
mod imp {
    use std::time::Duration;

    use super::*;

    loom::lazy_static! {
        static ref LINES: std::sync::Mutex<Vec<Arc<Mutex<Line>>>> = std::sync::Mutex::new(Vec::new());
    }

    fn lines() -> std::sync::MutexGuard<'static, Vec<Arc<Mutex<Line>>>> {
        LINES.lock().expect("nothing panics while it is locked")
    }

    pub(crate) fn now() -> Round {
        Round::START
    }

    pub(super) fn begin_round() {}

    pub(super) fn take_lines() -> Vec<Arc<Mutex<Line>>> {
        std::mem::take(&mut lines())
    }

    pub(super) fn return_lines(mut those: Vec<Arc<Mutex<Line>>>) {
        lines().append(&mut those);
    }

    pub(crate) fn watch(line: Arc<Mutex<Line>>) {
        lines().push(line);
    }

    pub(crate) fn nap() -> Option<Duration> {
        None
    }

    pub(crate) fn stand_in() {}
}
