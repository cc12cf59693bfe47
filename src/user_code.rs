//! What becomes of a panic of user code that runs in a destructor: an observer, a subscriber, the drop of a value.

use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::panicking;

/// Runs user code whose panic has no caller to go to. The panic hook has reported it.
pub(crate) fn ignore_panic(user_code: impl FnOnce()) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(user_code)) {
        // To drop it could panic once more.
        let _ = ManuallyDrop::new(panic);
    }
}

/// Runs user code, whose panic goes to the caller. A panic that leaves a destructor while the thread unwinds would abort the
/// process, so there it is ignored.
pub(crate) fn in_destructor(user_code: impl FnOnce()) {
    if panicking() { ignore_panic(user_code) } else { user_code() }
}
