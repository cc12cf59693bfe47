//! Waits that are reported while they last.
//!
//! A wait that lasts is of interest before it ends, and a task may never be polled again. So one thread of the process
//! keeps the time: it sleeps until the first wait is due, and reports it. It is not the thread of the
//! [helper](super::helper): a report runs a subscriber, which may block, and the helper must not.
//!
//! The thread is started for the first wait that is enlisted here, and its name is `latchwork-log`. It wakes up once for a
//! wait that is due. A short wait is withdrawn before, and mostly wakes nobody: the thread sleeps until the time of an
//! earlier one.
//!
//! If it can't be started, the next wait tries again. Without the thread, each [`round`](super::helper::round) reports the
//! waits that are due, and so do threads that stand in for the helper. The helper itself does not: see above.
//!
//! **No user code under the lock of the list**: waits are reported and dropped outside it. A wait may end while it is being
//! reported, and its report decides that under a lock of its own.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use parking_lot::{Condvar, Mutex};

use crate::user_code::ignore_panic;

/// A wait that is reported if it lasts too long.
pub(crate) trait Overdue: Send + Sync {
    /// Returns the time at which the wait began.
    fn began(&self) -> Instant;

    /// Reports the wait, unless it has ended. It may be [enlisted](enlist) again.
    fn report(self: Arc<Self>, now: Instant);
}

/// The time at which a wait is due, and its address.
type Place = (Instant, usize);

struct Waits {
    list: BTreeMap<Place, Arc<dyn Overdue>>,
    clerk: Clerk,
}

/// The thread that keeps the time.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Clerk {
    /// It was not needed yet, or could not be started. The next wait starts it.
    NotStarted,
    /// It looks at the list before it sleeps.
    Awake,
    /// It sleeps until this time, or until it is notified.
    Asleep(Option<Instant>),
    /// The process does without.
    Absent,
}

static WAITS: Mutex<Waits> = Mutex::new(Waits { list: BTreeMap::new(), clerk: Clerk::NotStarted });
static NEWS: Condvar = Condvar::new();

fn place(due: Instant, wait: &Arc<impl Overdue>) -> Place {
    (due, Arc::as_ptr(wait).addr())
}

/// Reports `wait` when it is due, unless it is withdrawn before.
pub(crate) fn enlist(due: Instant, wait: Arc<impl Overdue + 'static>) {
    let mut waits = WAITS.lock();
    waits.list.insert(place(due, &wait), wait);
    match waits.clerk {
        Clerk::Awake | Clerk::Absent => {}
        Clerk::Asleep(until) => {
            if until.is_none_or(|until| due < until) {
                waits.clerk = Clerk::Awake;
                drop(waits);
                NEWS.notify_one();
            }
        }
        Clerk::NotStarted => {
            waits.clerk = Clerk::Awake;
            drop(waits);
            if thread::Builder::new().name("latchwork-log".to_owned()).spawn(run).is_err() {
                let mut waits = WAITS.lock();
                if waits.clerk == Clerk::Awake {
                    waits.clerk = Clerk::NotStarted;
                }
            }
        }
    }
}

/// Forgets a wait that has ended.
pub(crate) fn withdraw(due: Instant, wait: &Arc<impl Overdue>) {
    let withdrawn = WAITS.lock().list.remove(&place(due, wait));
    // Dropped after the lock is released.
    drop(withdrawn);
}

/// Reports each wait that is due. The one that began first comes first. So it warns before newer waits of the same lock,
/// of which only one may warn in a second.
pub(super) fn report(now: Instant) {
    let mut waits = WAITS.lock();
    if waits.list.first_key_value().is_none_or(|(&(due, _), _)| now < due) {
        return;
    }
    // No address is the greatest one.
    let later = waits.list.split_off(&(now, usize::MAX));
    let due = std::mem::replace(&mut waits.list, later);
    drop(waits);
    let mut due: Vec<_> = due.into_values().collect();
    due.sort_by_key(|wait| wait.began());
    for wait in due {
        ignore_panic(|| wait.clone().report(now));
        // It may have ended in the meantime, and then its caller's span ends here.
        ignore_panic(|| drop(wait));
    }
}

/// Lets the next wait start another thread when this one ends.
struct Shift;

impl Drop for Shift {
    fn drop(&mut self) {
        let mut waits = WAITS.lock();
        if waits.clerk != Clerk::Absent {
            waits.clerk = Clerk::NotStarted;
        }
    }
}

fn run() {
    let _shift = Shift;
    loop {
        report(Instant::now());
        let mut waits = WAITS.lock();
        let next = waits.list.first_key_value().map(|(&(due, _), _)| due);
        if waits.clerk == Clerk::Absent {
            return;
        }
        if next.is_some_and(|due| due <= Instant::now()) {
            continue;
        }
        waits.clerk = Clerk::Asleep(next);
        match next {
            Some(due) => drop(NEWS.wait_until(&mut waits, due)),
            None => NEWS.wait(&mut waits),
        }
        if let Clerk::Asleep(_) = waits.clerk {
            waits.clerk = Clerk::Awake;
        }
    }
}

/// Does without the thread from now on.
pub(super) fn without_thread() {
    WAITS.lock().clerk = Clerk::Absent;
    NEWS.notify_one();
}
