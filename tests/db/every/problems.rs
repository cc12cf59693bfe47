//! What a client is told of the errors of a database.

use latchwork::RetryPolicy;
use latchwork::sql::{CommitError, RowConflict, Scope, transaction_verdict};
use latchwork::versioned::Expect;
use latchwork::web::{Problem, ProblemKind};
use sqlx::{Error, query};

use super::{numbers, pool};

/// Words of the statements, tables and values of these tests.
const SECRETS: [&str; 6] = ["secret", "numbers", "insert", "select", "unique", "constraint failed"];

fn told(error: impl Into<Problem>) -> (u16, Option<ProblemKind>, bool) {
    let problem = error.into();
    let text = format!("{problem} {:?}", problem.clone().response::<String>());
    for secret in SECRETS {
        assert!(!text.to_lowercase().contains(secret), "{text}");
    }
    (problem.status().as_u16(), problem.kind(), problem.is_retryable())
}

#[tokio::test]
async fn constraints_are_conflicts_and_mistakes_are_500_without_a_word_of_sql() {
    let pool = numbers(1).await;
    let sql = "create table secrets (id bigint, n bigint not null check (n >= 0), \
               foreign key (id) references numbers (id))";
    query(sql).execute(&pool).await.expect("it is new");
    let sql = "create table decks (id bigint references numbers (id) on delete restrict)";
    query(sql).execute(&pool).await.expect("it is new");
    query("insert into numbers values (7, 0)").execute(&pool).await.expect("it is new");
    query("insert into decks values (7)").execute(&pool).await.expect("it refers to a row");
    let violated = Some(ProblemKind::ConstraintViolated);
    let cases = [
        ("insert into numbers values (1, 7)", (409, Some(ProblemKind::Taken), false)),
        ("insert into secrets values (1, -1)", (409, violated, false)),
        ("insert into secrets values (2, 1)", (409, violated, false)),
        // The foreign key of `decks` does not even wait for the end of the statement.
        ("delete from numbers where id = 7", (409, violated, false)),
        ("insert into secrets values (1, null)", (500, None, false)),
        ("select secret from numbers", (500, None, false)),
    ];
    for (sql, expected) in cases {
        let error = query(sql).execute(&pool).await.expect_err("it is refused");
        assert_eq!(told(error), expected, "{sql}");
    }
    let missing =
        query("select n from numbers where id = 8").fetch_one(&pool).await.expect_err("there is no row");
    assert_eq!(told(missing), (404, None, false));
}

#[tokio::test]
async fn a_unique_violation_is_told_in_words_that_fit_more_than_names() {
    let pool = numbers(1).await;
    let error = query("insert into numbers values (1, 7)").execute(&pool).await.expect_err("1 is there");
    let problem = Problem::from(error);
    let text = "409 the name or value is taken: the change conflicts with a row that exists";
    assert_eq!(problem.to_string(), text);
    assert_eq!(problem.with_detail("the seat is sold").detail(), Some("the seat is sold"));
}

#[tokio::test]
async fn a_pool_without_a_free_connection_is_503_and_a_closed_one_too() {
    let pool = pool(1).await;
    let scope = Scope::new(pool.clone());
    let only = pool.acquire().await.expect("there is one");
    // The minute that the pool waits for passes at once.
    tokio::time::pause();
    let error = scope.begin().await.expect_err("it is held");
    tokio::time::resume();
    assert_eq!(told(error), (503, Some(ProblemKind::DatabaseUnavailable), true));
    assert_eq!(scope.stats().counts().not_opened, 1);
    drop(only);
    pool.close().await;
    let error = scope.begin().await.expect_err("it is closed");
    assert_eq!(told(error), (503, Some(ProblemKind::ShuttingDown), true));
}

#[tokio::test]
async fn a_transaction_that_gave_up_says_how_often_it_tried_and_when_to_come_back() {
    let scope = Scope::new(numbers(1).await);
    let policy = RetryPolicy::new().max_attempts(3).base_delay(std::time::Duration::ZERO);
    let policy = policy.classify_with(transaction_verdict);
    let cut = || Error::Io(std::io::Error::from(std::io::ErrorKind::ConnectionReset));
    let gave_up = scope.run(&policy, async |_| Err::<(), _>(cut())).await.expect_err("it always fails");
    let problem = Problem::from(gave_up);
    assert_eq!((problem.attempts(), problem.retry_after_seconds()), (Some(3), Some(1)));
    assert_eq!(told(problem), (503, Some(ProblemKind::DatabaseUnavailable), true));
}

#[test]
fn an_unknown_outcome_is_not_retryable_also_inside_an_error_of_sqlx() {
    let unknown = || CommitError::Unknown(Error::WorkerCrashed);
    let expected = (500, Some(ProblemKind::CommitUnknown), false);
    assert_eq!(told(unknown()), expected);
    assert_eq!(told(Error::from(unknown())), expected);
    assert_eq!(told(CommitError::Refused(Error::RowNotFound)), (404, None, false));
    let stale = RowConflict { expected: Expect::Present, current: None };
    assert_eq!(told(stale), (409, Some(ProblemKind::Conflict), false));
}
