//! Rows with versions when their session is ended, and the codes of constraints.

use latchwork::RetryPolicy;
use latchwork::sql::{RowError, Scope, VersionedTable, violated_constraint};
use latchwork::web::{Problem, ProblemKind};
use sqlx::{query, query_scalar, raw_sql};

use super::{Db, pool};

const CARDS: VersionedTable<Db> = VersionedTable::new("cards", "id", "version");

#[tokio::test]
async fn a_transaction_of_rows_whose_session_is_ended_is_made_again() {
    let pool = pool(2).await;
    let sql = "create table cards (id bigint primary key, version bigint not null, name text)";
    query(sql).execute(&pool).await.expect("it is new");
    let scope = Scope::new(pool.clone());
    let policy = RetryPolicy::new().classify_with(RowError::transaction_verdict);
    let mut attempts = 0;
    let (beside, attempts_made) = (&pool, &mut attempts);
    let outcome = scope.run(&policy, |mut tx| {
        *attempts_made += 1;
        let is_first = *attempts_made == 1;
        async move {
            let first = CARDS.row(1_i64).insert(&mut tx).await?;
            if is_first {
                let own: i32 = query_scalar("select pg_backend_pid()").fetch_one(&mut *tx).await?;
                query("select pg_terminate_backend($1, 60000)").bind(own).execute(beside).await?;
            }
            CARDS.row(1_i64).set("name", "Ada").update(first, &mut tx).await
        }
    });
    let stamp = outcome.await.expect("the second attempt is committed");
    assert_eq!((stamp.get(), attempts, scope.stats().counts().repeated), (2, 2, 1));
}

/// PostgreSQL 18 has a code of its own for a row that is referred to with `RESTRICT`.
#[tokio::test]
async fn a_restricted_delete_is_a_violated_constraint_with_the_code_of_postgresql_18_too() {
    let sql = "do $$ begin \
               raise exception 'no' using errcode = 'restrict_violation', constraint = 'cards_deck_fkey'; \
               end $$";
    let error = raw_sql(sql).execute(&pool(1).await).await.expect_err("it is raised");
    assert_eq!(violated_constraint(&error), Some("cards_deck_fkey"));
    let problem = Problem::from(error);
    assert_eq!((problem.status().as_u16(), problem.kind()), (409, Some(ProblemKind::ConstraintViolated)));
}
