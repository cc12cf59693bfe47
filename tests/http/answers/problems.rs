//! What every error is answered with.

use std::any::type_name;
use std::collections::BTreeSet;
use std::convert::Infallible;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use latchwork::{
    Busy, Claims, Conflict, Fence, KeyedLock, RetryPolicy, Semaphore, Stamp, TimedOut, Versioned,
    VersionedMap,
    claim::{ClaimExhausted, Taken},
    error::{BadNumber, NotAcquired},
    fence::{FenceGate, FenceOutOfRange, ParseFenceError, StaleFence},
    provider::LockError,
    retry::{Budget, Jitter, RetryError, VirtualClock},
    stamp::{BadEtag, ImplausibleStamp, ParseStampError, StampOutOfRange, StampSource, StampsExhausted},
    verdict::{RetryKind, Verdict},
    versioned::{Change, Exhausted, Expect, WriteError},
};
use latchwork::{
    layer::Mode,
    web::{Problem, ProblemKind},
};
use serde_json::{Value, json};

use super::server::{Answer, stamp};

/// In every value, key, name and text that an error could give away.
const SECRET: &str = "s3cr3t";
/// In every number.
const SECRET_NUMBER: u64 = 736_251_940;

fn busy() -> Busy {
    let locks = KeyedLock::<String>::builder().fence_start(SECRET_NUMBER - 1).build();
    let _held = locks.try_lock(SECRET).expect("it is free");
    let busy = locks.try_lock(SECRET).expect_err("it is held");
    assert!(busy.holder.is_some_and(|fence| fence.get() >= SECRET_NUMBER));
    busy
}

fn timed_out() -> TimedOut {
    Semaphore::new(0).acquire().wait_timeout(Duration::ZERO).expect_err("there is no permit")
}

fn unavailable() -> LockError {
    LockError::Unavailable(format!("no connection to {SECRET}").into())
}

fn conflict(expect: impl Into<Expect>) -> Conflict<String> {
    let cell = Versioned::starting_at(SECRET.to_owned(), stamp(8));
    let refused = cell.compare_and_set(expect, format!("new {SECRET}")).expect_err("it is refused");
    refused.into_conflict().expect("it is a conflict")
}

fn gone() -> Conflict<String> {
    let map = VersionedMap::<String, String>::new();
    let refused = map.update(SECRET, stamp(7), |_| SECRET.to_owned()).expect_err("it is not there");
    refused.into_conflict().expect("it is a conflict")
}

fn value_exhausted() -> Exhausted<String> {
    let cell = Versioned::starting_at(SECRET.to_owned(), Stamp::MAX);
    cell.modify(|_| SECRET.to_owned()).expect_err("it was the last")
}

/// Another caller writes during each call of the closure.
fn crowded() -> WriteError<String> {
    let cell = Versioned::new(SECRET.to_owned());
    cell.modify_up_to(2, |text| {
        cell.modify(|text| format!("{text}!")).expect("stamps are left");
        text.clone()
    })
    .expect_err("another caller is faster")
}

fn implausible() -> ImplausibleStamp {
    StampSource::new().observe(Stamp::MAX).expect_err("it is damaged")
}

fn fence_out_of_range() -> FenceOutOfRange {
    Fence::try_from(-(SECRET_NUMBER as i64)).expect_err("it is negative")
}

fn not_acquired() -> NotAcquired {
    timed_out().into()
}

fn exhausted() -> StampsExhausted {
    StampSource::after(Stamp::MAX).next().expect_err("it was the last")
}

fn taken(is_kept: bool) -> Taken {
    let names: Claims = Claims::new();
    if is_kept {
        names.mark_taken(SECRET);
    }
    let claim = names.try_claim(SECRET);
    let taken = names.try_claim(SECRET).expect_err("it is taken");
    drop(claim);
    taken
}

fn no_free_name() -> ClaimExhausted {
    let names: Claims = Claims::new();
    names.mark_taken(SECRET);
    names.claim_unique(SECRET, [""; 2], 3).expect_err("it is taken")
}

fn stale_fence() -> StaleFence {
    let fence = |number| Fence::new(number).expect("it is not zero");
    let gate = FenceGate::<String>::new();
    gate.admit(SECRET, fence(SECRET_NUMBER + 1)).expect("it is the first");
    gate.admit(SECRET, fence(SECRET_NUMBER)).expect_err("it is stale")
}

fn bad_stamp() -> ParseStampError {
    SECRET.parse::<Stamp>().expect_err("it is no number")
}

fn bad_fence() -> ParseFenceError {
    format!("{SECRET_NUMBER}x").parse::<Fence>().expect_err("it is no number")
}

fn bad_etag() -> BadEtag {
    Stamp::from_etag(&format!("\"{SECRET}\"")).expect_err("it is no stamp")
}

fn out_of_range() -> StampOutOfRange {
    Stamp::try_from(0_i64).expect_err("it is zero")
}

/// An error of the service, which says how it is answered.
#[derive(Debug)]
enum SaveError {
    SoldOut,
    Down,
    Stale(Conflict<String>),
    Busy(Busy),
}

impl IntoResponse for SaveError {
    fn into_response(self) -> Response {
        Problem::from(self).into_response()
    }
}

impl From<SaveError> for Problem {
    fn from(error: SaveError) -> Self {
        match error {
            SaveError::SoldOut => Self::new(StatusCode::CONFLICT).with_type("/problems/sold-out", "sold out"),
            SaveError::Down => Self::new(StatusCode::BAD_GATEWAY),
            SaveError::Stale(conflict) => conflict.into(),
            SaveError::Busy(busy) => busy.into(),
        }
    }
}

fn refused() -> WriteError<String, SaveError> {
    let cell = Versioned::new(SECRET.to_owned());
    cell.try_update(Expect::Any, |_| Err::<Change<String>, _>(SaveError::SoldOut))
        .expect_err("it is sold out")
}

fn verdict(error: &SaveError) -> Verdict {
    match error {
        SaveError::SoldOut => Verdict::Stop,
        SaveError::Down => Verdict::RetryAfter(RetryKind::Transient, Duration::from_millis(6_400)),
        SaveError::Stale(_) => Verdict::Retry(RetryKind::VersionConflict),
        SaveError::Busy(_) => Verdict::Retry(RetryKind::LockTimeout),
    }
}

/// Once more at most, if the policy lets it.
fn retried(policy: RetryPolicy, error: impl Fn() -> SaveError) -> RetryError<SaveError> {
    let policy = policy.max_attempts(2).base_delay(Duration::ZERO).name(SECRET).classify_with(verdict);
    policy.run_blocking(|_| Err::<(), _>(error())).expect_err("it always fails")
}

/// The answer, the same whether the error is returned itself or as a problem.
fn answer<E: IntoResponse + Into<Problem>>(error: impl Fn() -> E) -> Answer {
    let (itself, problem) = (Answer::of(error()), Answer::of(error().into()));
    assert_eq!(itself, problem, "{}", type_name::<E>());
    let shown = format!("{itself:?} {:?} {}", error().into(), error().into());
    for secret in [SECRET, &SECRET_NUMBER.to_string(), &(SECRET_NUMBER + 1).to_string(), type_name::<E>()] {
        assert!(!shown.contains(secret), "{} gives {secret} away: {shown}", type_name::<E>());
    }
    assert_eq!(itself.header("cache-control"), Some("no-store"));
    itself
}

/// The body without the members that follow from the kind.
fn members(answer: &Answer, kind: ProblemKind) -> Value {
    assert_eq!(answer.problem(), (kind.status().as_u16(), kind.slug().to_owned()));
    let mut body = answer.json();
    let members = body.as_object_mut().expect("it is an object");
    assert_eq!(members.remove("type"), Some(kind.type_uri().into()));
    assert_eq!(members.remove("title"), Some(kind.title().into()));
    members.remove("status");
    body
}

#[test]
fn every_error_has_its_status_headers_and_body_and_gives_nothing_away() {
    use ProblemKind as Kind;
    let (later, never) = (json!({ "retryable": true }), json!({ "retryable": false }));
    let detailed = |detail: &str| json!({ "retryable": false, "detail": detail });
    let stale = "the value has changed: read it again";
    let versions = |detail: &str, expected: Value, current: Value| json!({ "retryable": false, "detail": detail, "expected": expected, "current": current });
    let table = [
        (answer(busy), Kind::Busy, Some("1"), None, later.clone()),
        (answer(timed_out), Kind::TimedOut, Some("1"), None, later.clone()),
        (answer(stale_fence), Kind::LockLost, Some("1"), None, later.clone()),
        (answer(|| LockError::from(busy())), Kind::Busy, Some("1"), None, later.clone()),
        (answer(|| LockError::from(timed_out())), Kind::TimedOut, Some("1"), None, later.clone()),
        (answer(|| LockError::QueueFull), Kind::QueueFull, Some("1"), None, later.clone()),
        (answer(|| LockError::Lost), Kind::LockLost, Some("1"), None, later.clone()),
        (answer(unavailable), Kind::LockUnavailable, Some("1"), None, later.clone()),
        (answer(Problem::queue_full), Kind::QueueFull, Some("1"), None, later.clone()),
        (answer(Problem::shutting_down), Kind::ShuttingDown, Some("1"), None, later.clone()),
        (answer(|| Problem::bad_key("no header")), Kind::BadKey, None, None, detailed("no header")),
        (
            answer(|| conflict(stamp(7))),
            Kind::Conflict,
            None,
            Some("\"8\""),
            versions(stale, json!("7"), json!("8")),
        ),
        (
            answer(|| conflict(Expect::OneOf([stamp(6), stamp(7)].into()))),
            Kind::Conflict,
            None,
            Some("\"8\""),
            versions(stale, json!(["6", "7"]), json!("8")),
        ),
        (
            answer(|| conflict(Expect::Absent)),
            Kind::Conflict,
            None,
            Some("\"8\""),
            versions("a value already exists", Value::Null, json!("8")),
        ),
        (
            answer(|| conflict(Expect::NoneOf([stamp(8)].into()))),
            Kind::Conflict,
            None,
            Some("\"8\""),
            json!({ "retryable": false, "detail": "the request excludes the current version", "current": "8" }),
        ),
        (answer(gone), Kind::Conflict, None, None, versions("no value exists", json!("7"), Value::Null)),
        (
            answer(|| WriteError::<String, Infallible>::from(conflict(stamp(7)))),
            Kind::Conflict,
            None,
            Some("\"8\""),
            versions(stale, json!("7"), json!("8")),
        ),
        (
            answer(|| WriteError::<String, Infallible>::from(value_exhausted())),
            Kind::StampsExhausted,
            None,
            None,
            never.clone(),
        ),
        (answer(value_exhausted), Kind::StampsExhausted, None, None, never.clone()),
        // No version of the client's was stale.
        (answer(crowded), Kind::Busy, Some("1"), None, later.clone()),
        (answer(not_acquired), Kind::TimedOut, Some("1"), None, later.clone()),
        (answer(exhausted), Kind::StampsExhausted, None, None, never.clone()),
        (answer(|| taken(true)), Kind::Taken, None, None, never.clone()),
        (answer(|| taken(false)), Kind::Taken, None, None, later),
        (answer(no_free_name), Kind::NoFreeName, None, None, json!({ "retryable": false, "attempts": 3 })),
        (
            answer(bad_stamp),
            Kind::BadNumber,
            None,
            None,
            detailed("not a stamp: it has a character that is not a digit"),
        ),
        (
            answer(bad_fence),
            Kind::BadNumber,
            None,
            None,
            detailed("not a fence: it has a character that is not a digit"),
        ),
        (answer(|| BadNumber::Sign), Kind::BadNumber, None, None, detailed("it has a sign")),
        (answer(|| Problem::bad_number("no version")), Kind::BadNumber, None, None, detailed("no version")),
        // The service's own rows.
        (answer(out_of_range), Kind::BadStoredNumber, None, None, never.clone()),
        (answer(fence_out_of_range), Kind::BadStoredNumber, None, None, never.clone()),
        (answer(implausible), Kind::BadStoredNumber, None, None, never.clone()),
        (
            answer(bad_etag),
            Kind::BadPrecondition,
            None,
            None,
            detailed("the entity tag is not that of a stamp"),
        ),
    ];
    for (answer, kind, retry_after, etag, body) in table {
        assert_eq!(members(&answer, kind), body, "{kind:?}");
        assert_eq!(answer.header("retry-after"), retry_after, "{kind:?}");
        assert_eq!(answer.header("etag"), etag, "{kind:?}");
    }
}

#[test]
fn what_the_closure_refused_is_answered_as_the_service_says() {
    let answer = answer(refused);
    assert_eq!(answer.problem(), (409, "/problems/sold-out".to_owned()));
    assert_eq!(answer.json()["title"], "sold out");
}

#[test]
fn a_conflict_found_in_a_row_is_answered_as_one_in_memory() {
    let refused = [
        stamp(7).into(),
        Expect::OneOf([stamp(6), stamp(7)].into()),
        Expect::Absent,
        Expect::NoneOf([stamp(8)].into()),
    ];
    for expect in refused {
        assert_eq!(Problem::conflict(expect.clone(), Some(stamp(8))), conflict(expect).into());
    }
    assert_eq!(Problem::conflict(stamp(7), None), gone().into());
}

#[test]
fn a_stale_header_is_412_and_other_problems_stay_what_they_are() {
    let stale = Problem::from(conflict(stamp(7)));
    let failed = Answer::of(stale.clone().precondition_failed());
    let before = members(&Answer::of(stale), ProblemKind::Conflict);
    assert_eq!(members(&failed, ProblemKind::PreconditionFailed), before);
    assert_eq!(failed.header("etag"), Some("\"8\""));
    for other in [busy().into(), taken(true).into(), Problem::new(StatusCode::CONFLICT), Problem::lock_lost()]
    {
        assert_eq!(other.clone().precondition_failed(), other);
    }
    // However often it was tried with the same version, it has to be read again.
    let retried = retried(RetryPolicy::new(), || SaveError::Stale(conflict(stamp(7))));
    let failed = Problem::from(retried).precondition_failed();
    assert_eq!(
        (failed.attempts(), failed.is_retryable(), failed.retry_after_seconds()),
        (Some(2), false, None)
    );
}

#[test]
fn after_retries_the_last_error_is_answered_with_what_became_of_them() {
    let down = || SaveError::Down;
    let busy_error = || SaveError::Busy(busy());
    let stale = || SaveError::Stale(conflict(stamp(7)));
    let none_left = || {
        let budget = Budget::new(14).price(RetryKind::VersionConflict, 1).earnings(0).refill_per_second(0);
        let policy = RetryPolicy::new().budget(Arc::new(budget)).base_delay(Duration::ZERO);
        // Its tokens pay for one retry, which fails.
        assert!(policy.clone().max_attempts(2).run_blocking(|_| Err::<(), _>(busy())).is_err());
        policy
    };
    let no_time = || RetryPolicy::new().jitter(Jitter::None).deadline(Duration::from_secs(2));
    let at_once = || RetryPolicy::new().clock(VirtualClock::new());
    let impatient = || RetryPolicy::new().max_hint(Duration::from_secs(2));
    let table = [
        // Not one that passes.
        (answer(|| retried(RetryPolicy::new(), || SaveError::SoldOut)), 409, 1, false, None),
        // The attempts are used up.
        (answer(|| retried(RetryPolicy::new(), busy_error)), 409, 2, true, Some("1")),
        (answer(|| retried(RetryPolicy::new(), stale)), 409, 2, true, None),
        // Nothing ends the hint of 6.4 s early.
        (answer(|| retried(at_once(), down)), 502, 2, true, Some("7")),
        (
            answer(|| retried(at_once().max_attempts(2).retry_kind(RetryKind::Transient, false), down)),
            502,
            1,
            false,
            None,
        ),
        // The wait of 6.4 s would have been too long.
        (answer(|| retried(no_time(), down)), 502, 1, true, Some("7")),
        // Nor would the policy have waited for so long.
        (answer(|| retried(impatient(), down)), 502, 1, true, Some("7")),
        // Too many are trying again: clients are not to do so as well.
        (answer(|| retried(none_left(), busy_error)), 409, 1, false, None),
        (answer(|| retried(none_left(), stale)), 409, 1, false, None),
        (answer(|| retried(none_left(), down)), 502, 1, false, None),
    ];
    for (answer, status, attempts, is_retryable, retry_after) in table {
        let body = answer.json();
        assert_eq!((answer.status.as_u16(), &body["attempts"]), (status, &json!(attempts)), "{body}");
        assert_eq!(
            (&body["retryable"], answer.header("retry-after")),
            (&json!(is_retryable), retry_after),
            "{body}"
        );
    }
}

#[test]
fn waits_are_told_in_whole_seconds_rounded_up_and_never_none() {
    let told = |wait| {
        Answer::of(Problem::queue_full().with_retry_after(wait)).header("retry-after").map(str::to_owned)
    };
    let table = [
        (Duration::ZERO, "1"),
        (Duration::from_nanos(1), "1"),
        (Duration::from_secs(1), "1"),
        (Duration::new(1, 1), "2"),
        (Duration::from_millis(59_999), "60"),
        (Duration::MAX, "18446744073709551615"),
    ];
    for (wait, seconds) in table {
        assert_eq!(told(wait).as_deref(), Some(seconds), "{wait:?}");
    }
}

#[test]
fn a_problem_of_the_service_has_what_it_was_given() {
    let plain = Answer::of(Problem::new(StatusCode::NOT_FOUND));
    let blank = json!({ "type": "about:blank", "title": "Not Found", "status": 404, "retryable": false });
    assert_eq!(plain.json(), blank);
    let whole = Problem::new(StatusCode::TOO_MANY_REQUESTS)
        .with_type("https://example.org/quota", "the quota is used up")
        .with_detail("100 a day")
        .with_retry_after(Duration::from_secs(60))
        .with_current(stamp(7))
        .with_attempts(3);
    assert_eq!(whole.to_string(), "429 the quota is used up: 100 a day");
    let whole = Answer::of(whole);
    assert_eq!((whole.header("retry-after"), whole.header("etag")), (Some("60"), Some("\"7\"")));
    let body = json!({
        "type": "https://example.org/quota", "title": "the quota is used up", "status": 429,
        "detail": "100 a day", "current": "7", "retryable": true, "attempts": 3,
    });
    assert_eq!(whole.json(), body);
    // Every 503 says when to come back.
    let unavailable = Answer::of(Problem::new(StatusCode::SERVICE_UNAVAILABLE));
    assert_eq!(
        (unavailable.header("retry-after"), &unavailable.json()["retryable"]),
        (Some("1"), &json!(true))
    );
    // A status without a name has no title.
    let odd = Answer::of(Problem::new(StatusCode::from_u16(599).expect("it is one")));
    assert_eq!(odd.json(), json!({ "type": "about:blank", "status": 599, "retryable": false }));
}

#[test]
fn a_stamp_beyond_what_javascript_can_count_is_told_exactly() {
    let answer = Answer::of(Problem::new(StatusCode::CONFLICT).with_current(Stamp::MAX));
    assert_eq!(answer.json()["current"], "9223372036854775807");
    assert_eq!(answer.header("etag"), Some("\"9223372036854775807\""));
}

#[test]
fn every_kind_has_its_anchor_and_row_in_the_room_that_its_type_leads_to() {
    let room = include_str!("../../../src/docs/problems.md");
    let mut uris = BTreeSet::new();
    for &kind in ProblemKind::ALL {
        let (slug, status) = (kind.slug(), kind.status().as_u16());
        let row = format!("| <a id=\"{slug}\"></a>`{slug}` | {status} | ");
        let row = room.lines().find_map(|line| line.strip_prefix(&row)).expect(slug);
        let is_later = matches!(
            kind,
            ProblemKind::Busy
                | ProblemKind::TimedOut
                | ProblemKind::QueueFull
                | ProblemKind::Overloaded
                | ProblemKind::LockLost
                | ProblemKind::LockUnavailable
                | ProblemKind::ShuttingDown
                | ProblemKind::TransactionConflict
                | ProblemKind::DatabaseUnavailable
        );
        assert_eq!(row.starts_with("yes |"), is_later, "{slug}");
        let room = "https://docs.rs/latchwork/latest/latchwork/docs/problems/index.html#";
        assert_eq!(kind.type_uri(), format!("{room}{slug}"));
        assert!(uris.insert(kind.type_uri()), "{slug} is there twice");
    }
    assert_eq!(room.matches("<a id=").count(), uris.len());
}

/// The names of the types in a file that are errors.
fn errors_in(text: &str) -> BTreeSet<String> {
    let name = |rest: &str| rest.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default().to_owned();
    let (mut found, mut is_error) = (BTreeSet::new(), false);
    for line in text.lines() {
        if line.starts_with("#[derive(") {
            is_error = line.contains("Error)]");
        }
        if let Some(rest) = line.strip_prefix("pub struct ").or_else(|| line.strip_prefix("pub enum ")) {
            if is_error {
                found.insert(name(rest));
            }
            is_error = false;
        }
        if let Some((_, rest)) = line.split_once(" Error for ").filter(|_| line.starts_with("impl")) {
            found.insert(name(rest));
        }
    }
    found
}

fn errors_under(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).expect("it is a folder") {
        let path = entry.expect("it can be read").path();
        if path.is_dir() {
            errors_under(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.extend(errors_in(&fs::read_to_string(path).expect("it is text")));
        }
    }
}

#[test]
fn what_is_no_mode_is_a_bad_request() {
    let problem = Problem::from("on".parse::<Mode>().expect_err("it is none"));
    assert_eq!(problem.to_string(), "400 Bad Request: the mode must be off, observe or enforce");
    for mode in [Mode::Off, Mode::Observe, Mode::Enforce] {
        assert_eq!(mode.to_string().parse(), Ok(mode));
    }
}

#[test]
fn no_error_of_the_crate_is_without_an_answer() {
    let mut errors = BTreeSet::new();
    errors_under(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut errors);
    assert!(errors.remove("Problem"), "it is an error itself");
    assert!(errors.remove("BoxedError"), "it is an error of the service");
    for at_start in ["BadName", "PgLockError"] {
        assert!(errors.remove(at_start), "the service does not start with it");
    }
    assert!(errors.remove("Unreachable"), "it is a cause, and for the log only");
    assert!(errors.len() >= 14 && errors.contains("Taken") && errors.contains("WriteError"), "{errors:?}");
    let answers = concat!(
        include_str!("../../../src/web/problem/errors.rs"),
        include_str!("../../../src/web/problem/sql.rs")
    );
    for error in errors {
        let is_answered =
            [format!("From<{error}>"), format!("From<{error}<")].iter().any(|from| answers.contains(from));
        assert!(is_answered, "{error}");
    }
}
