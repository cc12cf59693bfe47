//! What the crate promises, claim by claim.

#![cfg(not(latchwork_loom))]

mod history;
mod support;

mod cancel;
mod claims;
mod compile;
mod fairness;
mod flight;
mod flight_hostile;
mod flight_model;
mod flight_succession;
mod futurelock;
mod keyed;
mod keyed_bounded;
mod keyed_code;
mod keyed_keys;
mod keyed_many;
mod keyed_semaphore;
mod keyed_times;
mod keyed_watch;
mod linear;
mod model;
mod model_keyed;
mod mutex;
mod panics;
mod poll;
mod programs;
mod programs_async;
mod retry_backoff;
mod retry_calls;
mod retry_cancel;
mod retry_compile;
mod retry_conflict;
mod retry_cost;
mod retry_crowd;
mod retry_model;
mod retry_panics;
mod retry_reference;
mod retry_rules;
mod retry_runtimes;
mod retry_words;
mod runtimes;
mod rwlock;
mod semaphore;
mod stamp;
mod threads;
mod versioned;
mod versioned_linear;
mod versioned_map;
mod versioned_model;
mod versioned_wait;
mod wait;
mod wakers;
mod ways;
