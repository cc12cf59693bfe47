//! [`Throttle`]: a limit for warnings that clients can cause as often as they like.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// How often a warning may be repeated.
const PERIOD: Duration = Duration::from_secs(1);

/// Lets one warning of a kind pass in each second, and counts the others.
#[derive(Debug, Default)]
pub(crate) struct Throttle(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    closed_until: Option<Instant>,
    held_back: u64,
}

impl Throttle {
    /// Returns how many warnings were held back since the last one, if another may be emitted now. Otherwise counts this
    /// one as held back.
    pub(crate) fn pass(&self, now: Instant) -> Option<u64> {
        self.try_pass(now, true).ok()
    }

    /// As [`pass`](Self::pass), for a warning that is tried again: only its first attempt is counted.
    ///
    /// # Errors
    ///
    /// Returns the time at which another warning may be emitted.
    pub(crate) fn try_pass(&self, now: Instant, is_first: bool) -> Result<u64, Instant> {
        let mut state = self.0.lock();
        if let Some(until) = state.closed_until
            && now < until
        {
            state.held_back += u64::from(is_first);
            return Err(until);
        }
        state.closed_until = now.checked_add(PERIOD);
        Ok(std::mem::take(&mut state.held_back))
    }
}

#[cfg(all(test, not(latchwork_loom)))]
mod tests {
    use super::*;

    #[test]
    fn one_passes_in_each_second_and_says_how_many_did_not() {
        let (throttle, start) = (Throttle::default(), Instant::now());
        let passed = [0, 1, 999, 1000, 1001, 5000].map(|ms| throttle.pass(start + Duration::from_millis(ms)));
        assert_eq!(passed, [Some(0), None, None, Some(2), None, Some(1)]);
    }

    #[test]
    fn one_that_is_tried_again_is_counted_once_and_knows_when() {
        let (throttle, start) = (Throttle::default(), Instant::now());
        let open = start + PERIOD;
        assert_eq!(throttle.try_pass(start, true), Ok(0));
        assert_eq!(throttle.try_pass(start, true), Err(open));
        assert_eq!(throttle.try_pass(start, false), Err(open));
        assert_eq!(throttle.try_pass(open, false), Ok(1));
    }
}
