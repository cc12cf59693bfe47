//! Random programs of transactions, beside a bank in memory.

use latchwork::sql::{Scope, Tx};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use sqlx::{AssertSqlSafe, Database, Error, Pool, query, query_scalar, raw_sql};
use tokio::runtime::Builder;

use super::{Db, assert_whole, pool};
use crate::polls::up_to;

/// How a transfer ends.
#[derive(Clone, Copy, Debug)]
enum End {
    Commit,
    Rollback,
    Drop,
    /// An error of a statement, and a drop.
    Error,
    /// The whole future is dropped after this number of polls.
    Cancel(u32),
}

#[derive(Clone, Debug)]
struct Transfer {
    from: usize,
    to: usize,
    amount: i64,
    end: End,
}

const ACCOUNTS: usize = 3;

fn transfer() -> impl Strategy<Value = Transfer> {
    let end = prop_oneof![
        3 => Just(End::Commit),
        1 => Just(End::Rollback),
        1 => Just(End::Drop),
        1 => Just(End::Error),
        2 => (1..12_u32).prop_map(End::Cancel),
    ];
    (0..ACCOUNTS, 0..ACCOUNTS, 1..100_i64, end).prop_map(|(from, to, amount, end)| Transfer {
        from,
        to,
        amount,
        end,
    })
}

async fn add(tx: &mut Tx<Db>, amount: i64, account: i64) -> Result<(), Error> {
    if Db::NAME == "MySQL" {
        // As text: sqlx's driver does not survive a drop while it prepares a statement with values.
        let add = format!("update accounts set balance = balance + {amount} where id = {account}");
        return raw_sql(AssertSqlSafe(add)).execute(&mut **tx).await.map(drop);
    }
    query("update accounts set balance = balance + $1 where id = $2")
        .bind(amount)
        .bind(account)
        .execute(&mut **tx)
        .await
        .map(drop)
}

async fn make(scope: &Scope<Db>, transfer: &Transfer) -> Result<(), Error> {
    let mut tx = scope.begin().await?;
    for (account, amount) in [(transfer.from, -transfer.amount), (transfer.to, transfer.amount)] {
        add(&mut tx, amount, account as i64).await?;
    }
    match transfer.end {
        End::Commit | End::Cancel(_) => Ok(tx.commit().await?),
        End::Rollback => tx.rollback().await,
        End::Drop => Ok(()),
        End::Error => query("select no_column from accounts").execute(&mut *tx).await.map(drop),
    }
}

async fn balances(pool: &Pool<Db>) -> Vec<i64> {
    query_scalar("select balance from accounts order by id").fetch_all(pool).await.expect("they are there")
}

#[test]
fn any_program_leaves_what_its_committed_transfers_make() {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime starts");
    let pool = runtime.block_on(async {
        let pool = pool(2).await;
        query("create table accounts (id bigint primary key, balance bigint not null)")
            .execute(&pool)
            .await
            .expect("new");
        query("insert into accounts values (0, 0), (1, 0), (2, 0)").execute(&pool).await.expect("it is new");
        pool
    });
    let scope = Scope::new(pool.clone());
    let mut runner = TestRunner::new(Config { cases: 40, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&vec(transfer(), 1..8), |program| {
        runtime.block_on(async {
            let mut model = balances(&pool).await;
            for transfer in &program {
                let mut after = model.clone();
                after[transfer.from] -= transfer.amount;
                after[transfer.to] += transfer.amount;
                let done = match transfer.end {
                    End::Cancel(polls) => up_to(polls, make(&scope, transfer)).await,
                    _ => Some(make(&scope, transfer).await),
                };
                // The connections answer before they are lent again.
                assert_whole(&pool).await;
                let stored = balances(&pool).await;
                match (transfer.end, done) {
                    (End::Commit | End::Cancel(_), Some(Ok(()))) => {
                        prop_assert_eq!(&stored, &after);
                    }
                    // Its commit may have been on its way.
                    (End::Cancel(_), None) => prop_assert!(stored == model || stored == after),
                    (End::Rollback | End::Drop, Some(Ok(()))) | (End::Error, Some(Err(_))) => {
                        prop_assert_eq!(&stored, &model);
                    }
                    (end, done) => prop_assert!(false, "{end:?} ended with {done:?}"),
                }
                prop_assert_eq!(stored.iter().sum::<i64>(), 0);
                model = stored;
            }
            Ok(())
        })
    });
    outcome.expect("the bank keeps its books");
    assert_eq!(scope.stats().counts().open(), 0);
}
