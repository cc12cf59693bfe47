//! What the five characters of an SQLSTATE mean for a retry, with any database driver.
//!
//! The codes are those of the SQL standard and of
//! [PostgreSQL](https://www.postgresql.org/docs/current/errcodes-appendix.html).

use crate::verdict::{RetryKind, Verdict};

/// Returns what to do about an error with this SQLSTATE. Every other code or text means [`Verdict::Stop`].
///
/// | code | verdict |
/// |---|---|
/// | `40001` serialization failure | [`Serialization`](RetryKind::Serialization) |
/// | `40P01` deadlock detected | [`Deadlock`](RetryKind::Deadlock) |
/// | `55P03` lock not available | [`LockTimeout`](RetryKind::LockTimeout) |
/// | `23505` unique violation | [`UniqueViolation`](RetryKind::UniqueViolation), which policies retry only if asked to |
/// | `53300` too many connections | [`Throttled`](RetryKind::Throttled) |
/// | `08001`, `08004` no connection was made, `57P03` cannot connect now | [`Transient`](RetryKind::Transient) |
/// | `08007`, `40003` outcome of the commit or statement unknown, `08003`, `08006` connection lost | stop: the change may have been made |
///
/// Retry a transaction as a whole, with all its reads; the statement that failed is not enough.
///
/// # Examples
///
/// ```
/// use latchwork::{retry::sqlstate, verdict::{RetryKind, Verdict}};
///
/// assert_eq!(sqlstate::verdict("40001"), Verdict::Retry(RetryKind::Serialization));
/// assert_eq!(sqlstate::verdict("08007"), Verdict::Stop);
/// assert_eq!(sqlstate::verdict("no code"), Verdict::Stop);
/// ```
#[must_use]
pub fn verdict(code: &str) -> Verdict {
    match code {
        "40001" => Verdict::Retry(RetryKind::Serialization),
        "40P01" => Verdict::Retry(RetryKind::Deadlock),
        "55P03" => Verdict::Retry(RetryKind::LockTimeout),
        "23505" => Verdict::Retry(RetryKind::UniqueViolation),
        "53300" => Verdict::Retry(RetryKind::Throttled),
        "08001" | "08004" | "57P03" => Verdict::Retry(RetryKind::Transient),
        _ => Verdict::Stop,
    }
}
