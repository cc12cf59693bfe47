//! A name that many want at the same time.

use latchwork::RetryPolicy;
use latchwork::retry::StopReason;
use latchwork::sql::{Scope, transaction_verdict, violated_constraint};
use latchwork::verdict::{RetryKind, Verdict};
use sqlx::{query, query_scalar};
use tokio::task::JoinSet;

use super::{assert_whole, pool, sql};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_two_hundred_gets_the_name_and_the_others_learn_that_it_is_taken() {
    let pool = pool(8).await;
    query("create table users (id integer, name varchar(40), constraint user_name unique (name))")
        .execute(&pool)
        .await
        .expect("it is new");
    let scope = Scope::new(pool.clone()).immediate(true);
    let mut calls = JoinSet::new();
    for id in 0..200 {
        let scope = scope.clone();
        calls.spawn(async move {
            // The check before the insert is what every service does, and it helps nobody.
            let policy = RetryPolicy::new().max_attempts(100).classify_with(transaction_verdict);
            scope
                .run(&policy, async |mut tx| {
                    let count = "select count(*) from users where name = 'ada'";
                    let _: i64 = query_scalar(count).fetch_one(&mut *tx).await?;
                    query(sql("insert into users values ($1, 'ada')"))
                        .bind(id)
                        .execute(&mut *tx)
                        .await
                        .map(drop)
                })
                .await
        });
    }
    let mut created = 0;
    while let Some(call) = calls.join_next().await {
        match call.expect("it does not panic") {
            Ok(()) => created += 1,
            Err(error) => {
                // Not an error of the server, and not worth a retry with the same name.
                assert_eq!(error.reason, StopReason::NotRetryable);
                assert_eq!(transaction_verdict(&error.error), Verdict::Retry(RetryKind::UniqueViolation));
                let name = violated_constraint(&error.error).expect("it has a name");
                assert!(["user_name", "users.name"].contains(&name), "{name}");
            }
        }
    }
    assert_eq!(created, 1);
    assert_whole(&pool).await;
}
