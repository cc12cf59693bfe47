//! Statements that are dropped while the database prepares them. sqlx's driver for MySQL loses its place then: the
//! connection answers nothing any more, and is closed.

use latchwork::sql::{Ending, Scope};
use sqlx::{AssertSqlSafe, query};

use super::{assert_whole, number, numbers, sql};
use crate::polls::up_to;

#[tokio::test]
async fn a_statement_with_values_dropped_after_any_number_of_polls_stores_nothing() {
    let pool = numbers(1).await;
    let scope = Scope::new(pool.clone());
    for polls in 1.. {
        let mut tx = scope.begin().await.expect("it opens");
        // Another text each time, which no connection has prepared.
        let add =
            sql("update numbers set n = n + $1 where id = $2 -- ").as_str().to_owned() + &polls.to_string();
        let done =
            up_to(polls, query(AssertSqlSafe(add)).bind(7_i64).bind(1_i64).execute(&mut *tx)).await.is_some();
        drop(tx);
        assert_whole(&pool).await;
        assert_eq!(number(&pool).await, 0);
        if done {
            break;
        }
    }
    let counts = scope.stats().counts();
    assert_eq!((counts.open(), counts.ended(Ending::Abandoned)), (0, counts.opened));
}
