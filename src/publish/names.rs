//! The names of the metrics and their descriptions, as in the table of the documentation.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

pub(super) const LOCK_ACQUIRED: &str = "latchwork_lock_acquired_total";
pub(super) const LOCK_WAITED: &str = "latchwork_lock_waited_total";
pub(super) const LOCK_BUSY: &str = "latchwork_lock_busy_total";
pub(super) const LOCK_TIMED_OUT: &str = "latchwork_lock_timed_out_total";
pub(super) const LOCK_CANCELLED: &str = "latchwork_lock_cancelled_total";
pub(super) const LOCK_KEYS: &str = "latchwork_lock_keys";
pub(super) const LOCK_WAITING: &str = "latchwork_lock_waiting";
pub(super) const LOCK_LONGEST_QUEUE: &str = "latchwork_lock_longest_queue";
pub(super) const LOCK_WAIT: &str = "latchwork_lock_wait_seconds";
pub(super) const LOCK_HOLD: &str = "latchwork_lock_hold_seconds";
pub(super) const RETRY_CALLS: &str = "latchwork_retry_calls_total";
pub(super) const RETRY_FAILED_AFTER_RETRY: &str = "latchwork_retry_failed_after_retry_total";
pub(super) const RETRY_ATTEMPTS: &str = "latchwork_retry_attempts_total";
pub(super) const RETRY_ERRORS: &str = "latchwork_retry_errors_total";
pub(super) const RETRY_CONFLICTS: &str = "latchwork_retry_conflicts_total";
pub(super) const RETRY_WITHOUT_LOCK: &str = "latchwork_retry_without_lock_total";
pub(super) const BUDGET_TOKENS: &str = "latchwork_retry_budget_tokens";
pub(super) const BUDGET_CAPACITY: &str = "latchwork_retry_budget_capacity";
pub(super) const FLIGHT_FLIGHTS: &str = "latchwork_flight_flights_total";
pub(super) const FLIGHT_JOINED: &str = "latchwork_flight_joined_total";
pub(super) const FLIGHT_ABORTED: &str = "latchwork_flight_aborted_total";
pub(super) const FLIGHT_UNDER_WAY: &str = "latchwork_flight_under_way";
#[cfg(feature = "tower")]
pub(super) const LAYER_REQUESTS: &str = "latchwork_layer_requests_total";
#[cfg(feature = "sqlx")]
pub(super) const SCOPE_OPENED: &str = "latchwork_scope_opened_total";
#[cfg(feature = "sqlx")]
pub(super) const SCOPE_NOT_OPENED: &str = "latchwork_scope_not_opened_total";
#[cfg(feature = "sqlx")]
pub(super) const SCOPE_CANCELLED: &str = "latchwork_scope_cancelled_total";
#[cfg(feature = "sqlx")]
pub(super) const SCOPE_ENDED: &str = "latchwork_scope_ended_total";
#[cfg(feature = "sqlx")]
pub(super) const SCOPE_REPEATED: &str = "latchwork_scope_repeated_total";
#[cfg(feature = "sqlx")]
pub(super) const SCOPE_OPEN: &str = "latchwork_scope_open";
#[cfg(feature = "sqlx")]
pub(super) const SCOPE_OFF: &str = "latchwork_scope_off_total";
#[cfg(feature = "sqlx")]
pub(super) const SCOPE_WOULD_END: &str = "latchwork_scope_would_end_total";
#[cfg(feature = "sqlx")]
pub(super) const SCOPE_WOULD_REPEAT: &str = "latchwork_scope_would_repeat_total";
#[cfg(feature = "postgres")]
pub(super) const LEASE_GRANTED: &str = "latchwork_lease_granted_total";
#[cfg(feature = "postgres")]
pub(super) const LEASE_BUSY: &str = "latchwork_lease_busy_total";
#[cfg(feature = "postgres")]
pub(super) const LEASE_UNAVAILABLE: &str = "latchwork_lease_unavailable_total";
#[cfg(feature = "postgres")]
pub(super) const LEASE_LOST: &str = "latchwork_lease_lost_total";
#[cfg(feature = "postgres")]
pub(super) const LEASE_BATCHES: &str = "latchwork_lease_batches_total";
#[cfg(feature = "postgres")]
pub(super) const LEASE_CONNECTIONS: &str = "latchwork_lease_connections_total";

pub(super) const LOCK: &str = "lock";
pub(super) const POLICY: &str = "policy";
pub(super) const OUTCOME: &str = "outcome";
pub(super) const KIND: &str = "kind";
pub(super) const REASON: &str = "reason";
pub(super) const BUDGET: &str = "budget";
pub(super) const FLIGHT: &str = "flight";
#[cfg(feature = "tower")]
pub(super) const LAYER: &str = "layer";
#[cfg(feature = "sqlx")]
pub(super) const SCOPE: &str = "scope";
#[cfg(feature = "sqlx")]
pub(super) const ENDING: &str = "ending";

/// Describes to the recorder what a publisher writes.
pub(super) fn describe_counts() {
    describe_counter!(LOCK_ACQUIRED, Unit::Count, "Acquisitions that succeeded.");
    describe_counter!(LOCK_WAITED, Unit::Count, "Acquisitions that had to wait.");
    describe_counter!(LOCK_BUSY, Unit::Count, "Acquisitions that were refused without a wait.");
    describe_counter!(LOCK_TIMED_OUT, Unit::Count, "Acquisitions that timed out while they waited.");
    describe_counter!(LOCK_CANCELLED, Unit::Count, "Acquisitions that were dropped while they waited.");
    describe_gauge!(LOCK_KEYS, Unit::Count, "Keys that are held or waited for.");
    describe_gauge!(LOCK_WAITING, Unit::Count, "Acquisitions that are waiting, over all keys.");
    describe_gauge!(LOCK_LONGEST_QUEUE, Unit::Count, "The most waiters that one key has had.");
    describe_counter!(RETRY_CALLS, Unit::Count, "Calls that have ended, by outcome.");
    describe_counter!(RETRY_FAILED_AFTER_RETRY, Unit::Count, "Calls that failed after at least one retry.");
    describe_counter!(RETRY_ATTEMPTS, Unit::Count, "Attempts, of calls that have ended.");
    describe_counter!(RETRY_ERRORS, Unit::Count, "Failed attempts that may be retried, by kind of error.");
    describe_counter!(RETRY_CONFLICTS, Unit::Count, "Attempts that failed with a conflict.");
    describe_counter!(
        RETRY_WITHOUT_LOCK,
        Unit::Count,
        "Attempts that were made without their lock, by reason."
    );
    describe_gauge!(BUDGET_TOKENS, Unit::Count, "Tokens left in the budget.");
    describe_gauge!(BUDGET_CAPACITY, Unit::Count, "Tokens in a full budget.");
    describe_counter!(FLIGHT_FLIGHTS, Unit::Count, "Flights that were started: each runs the work once.");
    describe_counter!(FLIGHT_JOINED, Unit::Count, "Calls that joined a flight instead of running the work.");
    describe_counter!(FLIGHT_ABORTED, Unit::Count, "Flights that ended without a value.");
    describe_gauge!(FLIGHT_UNDER_WAY, Unit::Count, "Flights that are running.");
    #[cfg(feature = "tower")]
    describe_counter!(LAYER_REQUESTS, Unit::Count, "Requests to a layer, by outcome.");
    #[cfg(feature = "sqlx")]
    describe_scopes();
    #[cfg(feature = "postgres")]
    describe_leases();
}

#[cfg(feature = "sqlx")]
fn describe_scopes() {
    describe_counter!(SCOPE_OPENED, Unit::Count, "Transactions that were opened.");
    describe_counter!(SCOPE_NOT_OPENED, Unit::Count, "Transactions that could not be opened.");
    describe_counter!(SCOPE_CANCELLED, Unit::Count, "Transactions that were dropped while they were opened.");
    describe_counter!(SCOPE_ENDED, Unit::Count, "Transactions that have ended, by ending.");
    describe_counter!(SCOPE_REPEATED, Unit::Count, "Transactions that were made again.");
    describe_gauge!(SCOPE_OPEN, Unit::Count, "Transactions that are open.");
    describe_counter!(SCOPE_OFF, Unit::Count, "Connections that were given out without a transaction.");
    describe_counter!(SCOPE_WOULD_END, Unit::Count, "Observed transactions, by how they would have ended.");
    describe_counter!(SCOPE_WOULD_REPEAT, Unit::Count, "Observed calls that would have been made again.");
}

#[cfg(feature = "postgres")]
fn describe_leases() {
    describe_counter!(LEASE_GRANTED, Unit::Count, "Leases that were granted.");
    describe_counter!(
        LEASE_BUSY,
        Unit::Count,
        "Requests that were refused because another process held the key."
    );
    describe_counter!(LEASE_UNAVAILABLE, Unit::Count, "Requests that got no answer from the database.");
    describe_counter!(LEASE_LOST, Unit::Count, "Leases that ended while their keys were held.");
    describe_counter!(
        LEASE_BATCHES,
        Unit::Count,
        "Messages that were sent to the database for all keys together."
    );
    describe_counter!(LEASE_CONNECTIONS, Unit::Count, "Connections that were made to the database.");
}

/// Describes to the recorder what observers of times write.
pub(super) fn describe_times() {
    describe_histogram!(LOCK_WAIT, Unit::Seconds, "Time spent waiting, per acquisition that had to wait.");
    describe_histogram!(LOCK_HOLD, Unit::Seconds, "Time that the lock was held, per acquisition.");
}
