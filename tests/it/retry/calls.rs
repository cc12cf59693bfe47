//! Calls by every entry point behind one face: what holds for one must hold for all. And what the attempts
//! of such a call end in.

use std::fmt;
use std::ops::ControlFlow::Break;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::Duration;

use futures::executor::block_on;
use latchwork::{
    RetryPolicy,
    retry::{Attempt, Budget, Classifier, RetryError, VirtualClock},
    verdict::{Classify, RetryKind, Verdict},
};

/// An error that carries its own verdict.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Fault(pub(crate) Verdict);

/// One that passes, of a kind that a budget asks 14 tokens for.
pub(crate) const TRANSIENT: Fault = Fault(Verdict::Retry(RetryKind::Transient));
/// One of those that escalate, and cost nothing.
pub(crate) const CONFLICT: Fault = Fault(Verdict::Retry(RetryKind::VersionConflict));
pub(crate) const HOPELESS: Fault = Fault(Verdict::Stop);

impl Classify for Fault {
    fn classify(&self) -> Verdict {
        self.0
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a fault on purpose")
    }
}

impl std::error::Error for Fault {}

/// A way to make a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Entry {
    Run,
    RunBlocking,
    Settle,
    SettleBlocking,
    OnConflict,
    OnConflictBlocking,
}

pub(crate) const ENTRIES: [Entry; 6] = [
    Entry::Run,
    Entry::RunBlocking,
    Entry::Settle,
    Entry::SettleBlocking,
    Entry::OnConflict,
    Entry::OnConflictBlocking,
];

impl Entry {
    /// Makes a call on this thread. The policy has to have a clock that needs no runtime. What `attempt` is
    /// told is checked where the entry point tells it.
    pub(crate) fn call<T, E, C: Classifier<E>>(
        self,
        policy: &RetryPolicy<C>,
        mut attempt: impl FnMut() -> Result<T, E>,
    ) -> Result<T, RetryError<E>> {
        let mut made = 0;
        let mut told = |now: Attempt| {
            made += 1;
            assert_eq!((now.number(), now.is_first()), (made, made == 1));
            assert!(now.conflicts() < made);
            attempt()
        };
        match self {
            Entry::Run => block_on(policy.run(|now| std::future::ready(told(now)))),
            Entry::RunBlocking => policy.run_blocking(told),
            Entry::Settle => {
                let mut session = policy.session();
                block_on(async {
                    loop {
                        let result = told(session.attempt());
                        if let Break(out) = session.settle(result).await {
                            return out;
                        }
                    }
                })
            }
            Entry::SettleBlocking => {
                let mut session = policy.session();
                loop {
                    let result = told(session.attempt());
                    if let Break(out) = session.settle_blocking(result) {
                        return out;
                    }
                }
            }
            Entry::OnConflict => {
                let call = policy.retry_on_conflict(
                    |now| std::future::ready(told(now)),
                    Ok,
                    |done| std::future::ready(Ok(done)),
                );
                block_on(call.run())
            }
            Entry::OnConflictBlocking => policy.retry_on_conflict_blocking(told, Ok, Ok).run_blocking(),
        }
    }
}

/// Makes a claim about each entry point; a failure names the one.
pub(crate) fn every_entry(claim: impl Fn(Entry)) {
    for entry in ENTRIES {
        // Shown with a failure only.
        println!("{entry:?}");
        claim(entry);
    }
}

/// The default policy by a clock of its own.
pub(crate) fn virtual_policy() -> (RetryPolicy, VirtualClock) {
    let clock = VirtualClock::new();
    (RetryPolicy::new().clock(clock.clone()), clock)
}

/// A budget by which each retry costs the same, and that time does not refill.
pub(crate) fn priced(capacity: u32, price: u32) -> Budget {
    let budget = Budget::new(capacity).refill_per_second(0);
    RetryKind::ALL.iter().fold(budget, |budget, kind| budget.price(*kind, price))
}

/// A budget whose tokens are spent for ever.
pub(crate) fn spent() -> Arc<Budget> {
    let budget = Arc::new(Budget::new(14).earnings(0).refill_per_second(0));
    let policy = RetryPolicy::new().max_attempts(2).base_delay(Duration::ZERO).budget(&budget);
    assert!(policy.run_blocking(|_| Err::<(), _>(TRANSIENT)).is_err());
    assert_eq!(budget.tokens(), 0);
    budget
}

/// What [`leave`] unwinds with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Left;

/// Panics without a message on the terminal.
pub(crate) fn leave() -> ! {
    resume_unwind(Box::new(Left))
}
