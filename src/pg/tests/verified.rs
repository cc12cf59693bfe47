//! What an open transaction that has verified a grant blocks, and what it does not.

use std::slice;

use sqlx::{AssertSqlSafe, PgConnection, raw_sql};

use super::databases::{Process, connect, run, table};
use super::*;

/// Longer than a test, and the time after which the server ends a batch that waits.
const LEASE: Duration = Duration::from_secs(30);

/// A connection with an open transaction.
async fn transaction(database: &str, isolation: &str) -> PgConnection {
    let mut connection = connect(database).await;
    run(&mut connection, &format!("begin isolation level {isolation}")).await;
    connection
}

async fn is_verified(process: &Process, connection: &mut PgConnection, held: &Held) -> bool {
    process.statements.verify(connection, held).await.expect("the database answers")
}

#[track_caller]
fn code(error: &sqlx::Error) -> String {
    error.as_database_error().and_then(|error| error.code()).expect("the server sent it").into_owned()
}

#[tokio::test]
async fn no_other_grant_before_the_verified_transaction_ends() {
    let database = database().await;
    let (mut ada, mut bob) = (process(&database, LEASE).await, process(&database, LEASE).await);

    for end in ["commit", "rollback"] {
        let first = ada.take("tea").await.expect("the key is free");
        let mut tx = transaction(&database, "read committed").await;
        assert!(is_verified(&ada, &mut tx, &first).await);

        ada.expire("tea").await;
        let busy = bob.poll("tea", true).await.expect_err("the verified transaction is open");
        assert_eq!(busy.rest, LEASE, "nobody knows how long the transaction lasts");
        let passed = ada.pass(&first).await;
        assert_eq!(passed.busy, [Busy { key: key("tea"), rest: LEASE }], "{passed:?}");
        assert_eq!(passed.granted, []);
        ada.take("tea").await.expect_err("its own row is verified as well");

        run(&mut tx, end).await;
        let second = bob.take("tea").await.expect("the transaction has ended");
        assert!(second.fence > first.fence, "{second:?} after {first:?}");
        assert!(!is_verified(&ada, &mut tx, &first).await);
        bob.release(&second).await;
    }
}

#[tokio::test]
async fn a_verified_grant_is_renewed_and_released_meanwhile() {
    let database = database().await;
    let (mut ada, mut bob) = (process(&database, LEASE).await, process(&database, LEASE).await);

    let grant = ada.take("tea").await.expect("the key is free");
    let mut tx = transaction(&database, "read committed").await;
    assert!(is_verified(&ada, &mut tx, &grant).await);
    assert_eq!(ada.renew(&grant).await.renewed.len(), 1);
    bob.poll("tea", true).await.expect_err("the key is held");
    assert!(ada.renew(&grant).await.renewed[0].is_wanted, "the other process could say that it waits");
    assert!(is_verified(&ada, &mut tx, &grant).await, "a renewal changes nothing");

    assert_eq!(ada.release(&grant).await.released, slice::from_ref(&grant));
    bob.take("tea").await.expect_err("the transaction of the former holder is open");
    run(&mut tx, "commit").await;
    bob.take("tea").await.expect("the transaction has ended");
}

#[tokio::test]
async fn a_verified_key_holds_up_no_other_key_of_the_batch() {
    let database = database().await;
    let (mut ada, mut bob) = (process(&database, LEASE).await, process(&database, LEASE).await);

    let tea = ada.take("tea").await.expect("the key is free");
    let coffee = bob.take("coffee").await.expect("the key is free");
    let mut tx = transaction(&database, "read committed").await;
    assert!(is_verified(&ada, &mut tx, &tea).await);
    ada.expire("tea").await;

    let take = ["milk", "tea"].map(|name| Take { key: key(name), waits: true }).into();
    let answers = bob.ask(&Batch { take, release: vec![coffee.clone()], ..Batch::default() }).await;
    assert_eq!(answers.granted[0].held.key, key("milk"));
    assert_eq!(answers.busy[0].key, key("tea"));
    assert_eq!(answers.released, [coffee]);
}

#[tokio::test]
async fn only_the_latest_grant_is_verified() {
    let database = database().await;
    let (mut ada, bob) = (process(&database, LEASE).await, process(&database, LEASE).await);
    let mut tx = transaction(&database, "read committed").await;

    let first = ada.take("tea").await.expect("the key is free");
    assert!(!is_verified(&bob, &mut tx, &first).await, "it is another process's grant");
    assert!(is_verified(&ada, &mut tx, &first).await);
    run(&mut tx, "commit; begin").await;

    ada.release(&first).await;
    assert!(!is_verified(&ada, &mut tx, &first).await, "it was released");
    let second = ada.take("tea").await.expect("the key was released");
    assert!(!is_verified(&ada, &mut tx, &first).await, "there is a later grant of the same process");
    assert!(is_verified(&ada, &mut tx, &second).await);
    assert!(!is_verified(&ada, &mut tx, &Held { key: key("coffee"), ..second }).await, "it has no row");
}

#[tokio::test]
async fn the_server_itself_keeps_the_fence_of_a_verified_grant() {
    let database = database().await;
    let mut ada = process(&database, LEASE).await;
    let grant = ada.take("tea").await.expect("the key is free");
    let mut tx = transaction(&database, "read committed").await;
    assert!(is_verified(&ada, &mut tx, &grant).await);

    // A statement of another version or program, that does not look for locks first.
    let mut other = connect(&database).await;
    run(&mut other, "set lock_timeout = 200").await;
    run(&mut other, &format!("update {} set expires = clock_timestamp()", table())).await;
    let raise = || AssertSqlSafe(format!("update {} set fence = fence + 1", table()));
    let error = raw_sql(raise()).execute(&mut other).await.expect_err("the grant is verified");
    assert_eq!(code(&error), "55P03");
    run(&mut tx, "commit").await;
    raw_sql(raise()).execute(&mut other).await.expect("the transaction has ended");
}

#[tokio::test]
async fn strict_transactions_verify_grants_and_fail_after_a_later_one() {
    let database = database().await;
    let (mut ada, mut bob) = (process(&database, LEASE).await, process(&database, LEASE).await);

    for isolation in ["repeatable read", "serializable"] {
        let grant = ada.take("tea").await.expect("the key is free");
        let mut tx = transaction(&database, isolation).await;
        run(&mut tx, "select count(*) from pg_class").await;
        // After the transaction has begun to read.
        ada.renew(&grant).await;
        assert!(is_verified(&ada, &mut tx, &grant).await);
        ada.expire("tea").await;
        bob.take("tea").await.expect_err("the verified transaction is open");
        run(&mut tx, "commit").await;

        let mut tx = transaction(&database, isolation).await;
        run(&mut tx, "select count(*) from pg_class").await;
        let later = bob.take("tea").await.expect("the lease has ended");
        let error =
            ada.statements.verify(&mut tx, &grant).await.expect_err("the grant is newer than what it reads");
        assert_eq!(code(&error), "40001");
        bob.release(&later).await;
    }
}
