//! What is called, by everybody in the same way, and the policies it is called by.
//!
//! The compiler sees neither what an attempt returns nor how a policy is set up: it could leave the rest
//! out otherwise.

use std::future::Future;
use std::hint::black_box;
use std::time::Duration;

use backon::{ConstantBuilder, ExponentialBuilder};
use latchwork::{
    RetryPolicy,
    verdict::{Classify, RetryKind, Verdict},
};
use tokio_retry2::RetryError;
use tokio_retry2::strategy::ExponentialFactorBackoff;

/// How often it is tried at most.
pub(crate) const ATTEMPTS: u32 = 4;

/// An error that passes, unless it says otherwise.
#[derive(Debug)]
pub(crate) struct Failed {
    passes: bool,
}

impl Failed {
    pub(crate) fn passes(&self) -> bool {
        self.passes
    }
}

impl Classify for Failed {
    fn classify(&self) -> Verdict {
        if self.passes { Verdict::Retry(RetryKind::Transient) } else { Verdict::Stop }
    }
}

/// The same for a peer whose errors have to say it themselves.
pub(crate) fn classified(error: Failed) -> RetryError<Failed> {
    if error.passes { RetryError::transient(error) } else { RetryError::permanent(error) }
}

/// Fails so many times, then succeeds.
pub(crate) struct Work {
    failures: u32,
    left: u32,
}

impl Work {
    pub(crate) fn new(failures: u32) -> Self {
        Self { failures, left: failures }
    }

    #[inline]
    pub(crate) fn attempt(&mut self) -> Result<u64, Failed> {
        if black_box(self.left) == 0 {
            self.left = self.failures;
            return Ok(black_box(7));
        }
        self.left -= 1;
        Err(Failed { passes: black_box(true) })
    }
}

pub(crate) fn ours(base: Duration) -> RetryPolicy {
    RetryPolicy::new().max_attempts(ATTEMPTS).base_delay(base)
}

pub(crate) fn backon(base: Duration) -> ExponentialBuilder {
    let max = Duration::from_secs(5);
    ExponentialBuilder::new()
        .with_min_delay(base)
        .with_max_delay(max)
        .with_max_times(ATTEMPTS as usize - 1)
        .with_jitter()
}

/// With the same wait each time, which is the least that it has to set up.
pub(crate) fn backon_constant(delay: Duration) -> ConstantBuilder {
    ConstantBuilder::new().with_delay(delay).with_max_times(ATTEMPTS as usize - 1)
}

/// Without jitter, which is a feature of its own there.
pub(crate) fn tokio_retry2(base: Duration) -> impl Iterator<Item = Duration> + Clone {
    let max = Duration::from_secs(5);
    let waits = ExponentialFactorBackoff::from_millis(base.as_millis() as u64, 2.0).max_delay(max);
    waits.take(ATTEMPTS as usize - 1)
}

/// The loop that is written without a library, with full jitter and without a cap.
pub(crate) fn by_hand(
    base: Duration,
    mut attempt: impl FnMut() -> Result<u64, Failed>,
) -> Result<u64, Failed> {
    let mut wait = base;
    for _ in 1..ATTEMPTS {
        match attempt() {
            Err(error) if error.passes() => {}
            done => return done,
        }
        if !wait.is_zero() {
            std::thread::sleep(wait.mul_f64(fastrand::f64()));
        }
        wait *= 2;
    }
    attempt()
}

/// The same in a task.
pub(crate) async fn by_hand_async<F: Future<Output = Result<u64, Failed>>>(
    base: Duration,
    mut attempt: impl FnMut() -> F,
) -> Result<u64, Failed> {
    let mut wait = base;
    for _ in 1..ATTEMPTS {
        match attempt().await {
            Err(error) if error.passes() => {}
            done => return done,
        }
        if !wait.is_zero() {
            tokio::time::sleep(wait.mul_f64(fastrand::f64())).await;
        }
        wait *= 2;
    }
    attempt().await
}
