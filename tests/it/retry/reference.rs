//! What a call must come to, said once more: plainly, in whole nanoseconds, and with a list of waits in
//! place of a schedule.

use std::time::Duration;

use latchwork::{
    retry::StopReason,
    verdict::{RetryKind, Verdict},
};

/// How an attempt ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum End {
    Ok,
    Fail(Verdict),
    /// It fails, and the call is left while it waits for a retry, if it does.
    FailAndLeave(Verdict),
    /// The call is left in the middle of it.
    Leave,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    pub(crate) takes: Duration,
    pub(crate) end: End,
}

/// What a policy is told.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    pub(crate) max_attempts: u32,
    pub(crate) deadline: Option<Duration>,
    pub(crate) max_hint: Duration,
    /// By the order of `RetryKind::ALL`, as the prices are.
    pub(crate) retried: [bool; 7],
    pub(crate) bucket: Option<Bucket>,
}

#[derive(Clone, Debug)]
pub(crate) struct Bucket {
    pub(crate) capacity: u32,
    pub(crate) earnings: u32,
    /// Tokens that come back each second.
    pub(crate) refill: u32,
    pub(crate) prices: [u32; 7],
}

impl Bucket {
    /// How many nanoseconds a token takes to come back. Without a refill, any number will do.
    fn nanos(&self) -> u128 {
        u128::from(1_000_000_000_u32.checked_div(self.refill).unwrap_or(1))
    }
}

/// What a call comes to, if it is not left.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Outcome {
    Ok { attempts: u32 },
    Failed { error: Verdict, reason: StopReason, attempts: u32, conflicts: u32, slept: Duration },
    Left,
}

/// A retry as an observer is told of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Told {
    pub(crate) attempt: u32,
    pub(crate) kind: RetryKind,
    pub(crate) wait: Duration,
}

#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Counted {
    pub(crate) first_try_ok: u64,
    pub(crate) retried_ok: u64,
    /// Not retryable, attempts, deadline, budget, hint.
    pub(crate) failed: [u64; 5],
    pub(crate) failed_after_retry: u64,
    pub(crate) abandoned: u64,
    pub(crate) attempts: u64,
    pub(crate) errors: [u64; 7],
}

/// All calls of one policy, one after the other.
pub(crate) struct Reference<D> {
    rules: Rules,
    /// The waits of a call that draws any, by its number among those and its script. Each with what spread it, in 2⁻⁶⁴.
    draws: D,
    drawn: usize,
    /// The tokens, each as the nanoseconds that it takes to come back.
    level: u128,
    /// Up to when time has brought tokens.
    filled: Duration,
    pub(crate) now: Duration,
    pub(crate) waits: Vec<Duration>,
    pub(crate) told: Vec<Told>,
    pub(crate) counted: Counted,
}

pub(crate) fn place(kind: RetryKind) -> usize {
    RetryKind::ALL.iter().position(|other| *other == kind).expect("all kinds are in the list")
}

fn is_conflict(kind: RetryKind) -> bool {
    [RetryKind::VersionConflict, RetryKind::Deadlock, RetryKind::Serialization].contains(&kind)
}

impl<D: Fn(usize, &[Step]) -> Vec<(Duration, Option<u64>)>> Reference<D> {
    pub(crate) fn new(rules: Rules, draws: D) -> Self {
        let level = rules.bucket.as_ref().map_or(0, |bucket| u128::from(bucket.capacity) * bucket.nanos());
        Self {
            rules,
            draws,
            drawn: 0,
            level,
            filled: Duration::ZERO,
            now: Duration::ZERO,
            waits: Vec::new(),
            told: Vec::new(),
            counted: Counted::default(),
        }
    }

    /// Makes a call; beyond the script attempts succeed.
    pub(crate) fn call(&mut self, script: &[Step]) -> Outcome {
        let started = self.now;
        let (mut conflicts, mut slept, mut paid) = (0, Duration::ZERO, 0);
        let mut draws = None;
        for attempts in 1.. {
            let step = script.get(attempts as usize - 1);
            self.now += step.map_or(Duration::ZERO, |step| step.takes);
            let (verdict, is_left) = match step.map_or(End::Ok, |step| step.end) {
                End::Ok => return self.succeed(attempts, paid),
                End::Leave => return self.leave(attempts),
                End::Fail(verdict) => (verdict, false),
                End::FailAndLeave(verdict) => (verdict, true),
            };
            let fail = |this: &mut Self, reason, conflicts| {
                this.fail(reason, attempts);
                Outcome::Failed { error: verdict, reason, attempts, conflicts, slept }
            };
            let (kind, floor) = match verdict {
                Verdict::Stop => return fail(self, StopReason::NotRetryable, conflicts),
                Verdict::Retry(kind) => (kind, Duration::ZERO),
                Verdict::RetryAfter(kind, floor) => (kind, floor),
            };
            self.counted.errors[place(kind)] += 1;
            conflicts += u32::from(is_conflict(kind));
            if !self.rules.retried[place(kind)] {
                return fail(self, StopReason::NotRetryable, conflicts);
            }
            if attempts == self.rules.max_attempts {
                return fail(self, StopReason::AttemptsExhausted, conflicts);
            }
            if floor > self.rules.max_hint {
                return fail(self, StopReason::HintTooLong { hint: floor }, conflicts);
            }
            let waits = draws.get_or_insert_with(|| {
                self.drawn += 1;
                (self.draws)(self.drawn - 1, script)
            });
            let (mut wait, share) = waits[attempts as usize - 1];
            if let Some(deadline) = self.rules.deadline {
                let elapsed = self.now - started;
                // What the hint allows is not missed for the spread behind it.
                if !floor.is_zero() && elapsed + floor <= deadline && elapsed + wait > deadline {
                    let room = (deadline - elapsed - floor).as_nanos();
                    let part = share.map_or(room, |share| (u128::from(share) * (room + 1)) >> 64);
                    wait = floor + Duration::from_nanos(part as u64);
                }
                if elapsed + wait > deadline {
                    let left = deadline.saturating_sub(elapsed);
                    return fail(self, StopReason::DeadlineExceeded { wait, left }, conflicts);
                }
            }
            if let Some(bucket) = &self.rules.bucket {
                paid = bucket.prices[place(kind)];
                let price = u128::from(paid) * bucket.nanos();
                if paid > 0 {
                    self.fill();
                }
                if price > self.level {
                    return fail(self, StopReason::BudgetExhausted, conflicts);
                }
                self.level -= price;
            }
            self.told.push(Told { attempt: attempts, kind, wait });
            if is_left {
                self.put(paid);
                return self.leave(attempts);
            }
            if !wait.is_zero() {
                self.waits.push(wait);
                self.now += wait;
            }
            slept += wait;
        }
        unreachable!("a script comes to its end")
    }

    pub(crate) fn tokens(&self) -> u32 {
        let bucket = self.rules.bucket.as_ref().expect("asked for only if there is one");
        (self.level / bucket.nanos()) as u32
    }

    /// Adds the tokens of the time that has passed.
    fn fill(&mut self) {
        let passed = self.now - std::mem::replace(&mut self.filled, self.now);
        if self.rules.bucket.as_ref().is_some_and(|bucket| bucket.refill > 0) {
            self.add(passed.as_nanos());
        }
    }

    fn put(&mut self, tokens: u32) {
        if let Some(bucket) = &self.rules.bucket {
            self.add(u128::from(tokens) * bucket.nanos());
        }
    }

    fn add(&mut self, more: u128) {
        if let Some(bucket) = &self.rules.bucket {
            self.level = (self.level + more).min(u128::from(bucket.capacity) * bucket.nanos());
        }
    }

    fn succeed(&mut self, attempts: u32, paid: u32) -> Outcome {
        self.counted.attempts += u64::from(attempts);
        if attempts == 1 {
            self.counted.first_try_ok += 1;
            self.put(self.rules.bucket.as_ref().map_or(0, |bucket| bucket.earnings));
        } else {
            self.counted.retried_ok += 1;
            self.put(paid);
        }
        Outcome::Ok { attempts }
    }

    fn leave(&mut self, attempts: u32) -> Outcome {
        self.counted.attempts += u64::from(attempts);
        self.counted.abandoned += 1;
        Outcome::Left
    }

    fn fail(&mut self, reason: StopReason, attempts: u32) {
        self.counted.attempts += u64::from(attempts);
        self.counted.failed_after_retry += u64::from(attempts > 1);
        self.counted.failed[place_of(reason)] += 1;
    }
}

pub(crate) fn place_of(reason: StopReason) -> usize {
    match reason {
        StopReason::NotRetryable => 0,
        StopReason::AttemptsExhausted => 1,
        StopReason::DeadlineExceeded { .. } => 2,
        StopReason::BudgetExhausted => 3,
        StopReason::HintTooLong { .. } => 4,
        _ => panic!("a reason that the reference does not know"),
    }
}
