//! What each part of a batch does.

use sqlx::postgres::PgListener;
use sqlx::{PgConnection, query_scalar};

use super::databases::{connect, options, run, table};
use super::*;
use crate::pg::literal::identifier;
use crate::pg::statement::Statements;

fn held(grants: &[Grant]) -> Vec<&Held> {
    grants.iter().map(|grant| &grant.held).collect()
}

#[tokio::test]
async fn a_free_key_is_granted_and_a_held_one_is_busy() {
    let database = database().await;
    let (mut ada, mut bob) = (process(&database, LEASE).await, process(&database, LEASE).await);

    let first = ada.take("tea").await.expect("the key has no row");
    let busy = bob.take("tea").await.expect_err("the key is held");
    assert!(busy.rest <= LEASE && busy.rest > LEASE / 2, "{busy:?}");

    assert_eq!(ada.release(&first).await.released, std::slice::from_ref(&first));
    let second = bob.take("tea").await.expect("the key was released");
    assert!(second.fence > first.fence, "{second:?} after {first:?}");
}

#[tokio::test]
async fn a_key_is_free_after_its_lease() {
    let database = database().await;
    let (mut ada, mut bob) = (process(&database, LEASE).await, process(&database, LEASE).await);

    let first = ada.take("tea").await.expect("the key is free");
    ada.expire("tea").await;
    let second = bob.take("tea").await.expect("the lease has ended");
    assert!(second.fence > first.fence, "{second:?} after {first:?}");

    assert_eq!(ada.renew(&first).await, Answers::default());
    assert_eq!(ada.release(&first).await, Answers::default());
    bob.take("tea").await.expect("the row is its own");
}

#[tokio::test]
async fn a_row_of_its_own_is_granted_again_under_a_new_fence() {
    let database = database().await;
    let mut ada = process(&database, LEASE).await;

    let lost = ada.take("tea").await.expect("the key is free");
    let again = ada.take("tea").await.expect("the answer to the first take was lost");
    assert!(again.fence > lost.fence, "{again:?} after {lost:?}");
    assert_eq!(ada.release(&lost).await.released, []);
    assert_eq!(ada.release(&again).await.released, [again]);
}

#[tokio::test]
async fn a_passed_key_has_a_new_fence_and_its_former_grant_is_gone() {
    let database = database().await;
    let (mut ada, mut bob) = (process(&database, LEASE).await, process(&database, LEASE).await);

    let first = ada.take("tea").await.expect("the key is free");
    let passed = ada.pass(&first).await;
    let [Grant { held: second, is_wanted: false }] = &passed.granted[..] else { panic!("{passed:?}") };
    assert!(second.fence > first.fence, "{second:?} after {first:?}");
    bob.take("tea").await.expect_err("the key is still held");
    assert_eq!(ada.pass(&first).await, Answers::default());
    assert_eq!(ada.renew(second).await.renewed, passed.granted);
}

#[tokio::test]
async fn a_renewal_extends_the_lease() {
    let database = database().await;
    let (mut ada, mut bob) = (process(&database, LEASE).await, process(&database, LEASE).await);

    let grant = ada.take("tea").await.expect("the key is free");
    ada.expire("tea").await;
    assert_eq!(held(&ada.renew(&grant).await.renewed), [&grant], "nobody has taken the key meanwhile");
    bob.take("tea").await.expect_err("the lease was extended");
}

#[tokio::test]
async fn an_older_fence_releases_renews_and_passes_nothing() {
    let database = database().await;
    let mut ada = process(&database, LEASE).await;

    let first = ada.take("tea").await.expect("the key is free");
    assert_eq!(ada.release(&first).await.released, std::slice::from_ref(&first));
    let second = ada.take("tea").await.expect("the key was released");

    assert_eq!(ada.release(&first).await, Answers::default(), "a release of the grant before");
    assert_eq!(ada.renew(&first).await, Answers::default(), "a renewal of the grant before");
    assert_eq!(ada.pass(&first).await, Answers::default(), "a pass of the grant before");
    assert_eq!(held(&ada.renew(&second).await.renewed), [&second]);
}

#[tokio::test]
async fn a_released_grant_cannot_be_renewed_or_passed() {
    let database = database().await;
    let mut ada = process(&database, LEASE).await;

    let grant = ada.take("tea").await.expect("the key is free");
    ada.release(&grant).await;
    for answers in [ada.renew(&grant).await, ada.pass(&grant).await, ada.release(&grant).await] {
        assert_eq!(answers, Answers::default());
    }
}

#[tokio::test]
async fn one_message_asks_for_everything() {
    let database = database().await;
    let (mut ada, mut bob) = (process(&database, LEASE).await, process(&database, LEASE).await);

    let mut mine = Vec::new();
    for name in ["pass", "renew", "release", "freed"] {
        mine.push(ada.take(name).await.expect("the key is free"));
    }
    ada.release(&mine[3]).await;
    let others = bob.take("busy").await.expect("the key is free");
    let gone = Held { key: key("gone"), fence: 7 };

    let takes = ["new", "busy", "freed"].map(|name| Take { key: key(name), waits: true });
    let answers = ada
        .ask(&Batch {
            take: takes.into(),
            pass: vec![mine[0].clone(), gone.clone()],
            renew: vec![others.clone(), mine[1].clone()],
            release: vec![mine[2].clone(), Held { key: key("gone too"), fence: 7 }],
        })
        .await;
    let keys: Vec<_> = answers.granted.iter().map(|grant| grant.held.key.clone()).collect();
    assert_eq!(keys.len(), 3, "{answers:?}");
    assert!(["new", "freed", "pass"].iter().all(|name| keys.contains(&key(name))), "{answers:?}");
    assert_eq!(answers.busy.iter().map(|busy| busy.key.clone()).collect::<Vec<_>>(), [key("busy")]);
    assert_eq!(held(&answers.renewed), [&mine[1]]);
    assert_eq!(answers.released, [mine[2].clone()]);
    assert!(bob.renew(&others).await.renewed[0].is_wanted, "the take waits");
}

#[tokio::test]
async fn a_busy_poll_writes_nothing() {
    let database = database().await;
    let (mut ada, mut bob) = (process(&database, LEASE).await, process(&database, LEASE).await);
    ada.take("tea").await.expect("the key is free");

    // The server's other databases share its transaction ids: so each of these is asked for its own.
    let take = Batch { take: vec![Take { key: key("tea"), waits: false }], ..Batch::default() };
    let waiting = Batch { take: vec![Take { key: key("tea"), waits: true }], ..Batch::default() };
    assert!(!bob.writes(&take).await, "a poll that does not wait");
    assert!(bob.writes(&waiting).await, "the first poll of a request that waits says so");
    for _ in 0..3 {
        assert!(!bob.writes(&waiting).await, "the key is wanted already");
    }
}

#[tokio::test]
async fn a_key_that_a_hand_has_blocked_is_busy_and_keeps_no_other_key() {
    let database = database().await;
    let mut ada = process(&database, LEASE).await;
    let held = ada.take("tea").await.expect("it is free");
    let row = format!("insert into {} values (convert_to('blocked', 'UTF8'), 1, 0, 'infinity')", table());
    run(&mut ada.connection, &row).await;

    let take = ["blocked", "coffee"].map(|name| Take { key: key(name), waits: true });
    let answers = ada.ask(&Batch { take: take.into(), renew: vec![held.clone()], ..Batch::default() }).await;
    assert_eq!(answers.busy, [Busy { key: key("blocked"), rest: LEASE }]);
    assert_eq!((answers.granted.len(), answers.renewed.len()), (1, 1));
    let freed = format!("update {} set holder = null where expires = 'infinity'", table());
    run(&mut ada.connection, &freed).await;
    assert!(ada.take("blocked").await.is_ok());
}

#[tokio::test]
async fn a_hand_writes_no_fence_that_cannot_rise() {
    let mut connection = connect(&database().await).await;
    for fence in [i64::MIN, 0, i64::MAX] {
        let row = format!("insert into {} values ('x', {fence}, null, 'infinity')", table());
        let error = sqlx::raw_sql(sqlx::AssertSqlSafe(row))
            .execute(&mut connection)
            .await
            .expect_err("a check fails");
        let code = error.as_database_error().and_then(|error| error.code()).expect("it has a code");
        assert_eq!(code, "23514", "{fence}");
    }
}

#[tokio::test]
async fn a_release_notifies_if_another_process_waits_and_else_does_not() {
    let database = database().await;
    let (mut ada, mut bob) = (process(&database, LEASE).await, process(&database, LEASE).await);
    let mut listener = listener(&database).await;

    let quiet = ada.take("quiet").await.expect("the key is free");
    bob.poll("quiet", false).await.expect_err("the key is held");
    ada.release(&quiet).await;

    let tea = ada.take("tea").await.expect("the key is free");
    bob.poll("tea", true).await.expect_err("the key is held");
    assert!(ada.renew(&tea).await.renewed[0].is_wanted);
    let passed = ada.pass(&tea).await.granted.remove(0);
    assert!(passed.is_wanted, "the other process still waits");
    ada.release(&passed.held).await;

    let channel = identifier(table().channel());
    run(&mut ada.connection, &format!("notify {channel}, 'of another program'")).await;
    let mut notes = Vec::new();
    while notes.last() != Some(&None) {
        let note = listener.recv().await.expect("the listener is connected");
        notes.push(Statements::notified(note.payload()));
    }
    assert_eq!(notes, [Some(key("tea")), None]);

    let grant = bob.poll("tea", true).await.expect("the key was released");
    assert!(!bob.renew(&grant).await.renewed[0].is_wanted, "the grant forgets who waited before");
}

async fn listener(database: &str) -> PgListener {
    let pool = sqlx::Pool::connect_with(options(database)).await.expect("the server answers");
    let mut listener = PgListener::connect_with(&pool).await.expect("the server answers");
    listener.listen(table().channel()).await.expect("the channel has a name");
    listener
}

#[tokio::test]
async fn defaults_of_the_role_change_nothing() {
    let database = database().await;
    let settings = [
        "default_transaction_isolation = 'serializable'",
        "default_transaction_isolation = 'repeatable read'",
        "default_transaction_read_only = on",
        "standard_conforming_strings = off",
        "synchronous_commit = off",
        "bytea_output = 'escape'",
        "intervalstyle = 'sql_standard'",
        "datestyle = 'German'",
    ];
    for setting in settings {
        let (mut ada, mut bob) = (process(&database, LEASE).await, process(&database, LEASE).await);
        for process in [&mut ada, &mut bob] {
            run(&mut process.connection, &format!("set {setting}")).await;
        }
        let first = ada.take("\\tea'").await.expect(setting);
        bob.poll("\\tea'", true).await.expect_err(setting);
        assert!(ada.renew(&first).await.renewed[0].is_wanted, "{setting}");
        let second = ada.pass(&first).await.granted.remove(0).held;
        assert_eq!(ada.release(&second).await.released, std::slice::from_ref(&second), "{setting}");
        let third = bob.take("\\tea'").await.expect(setting);
        assert_eq!(bob.release(&third).await.released, [third], "{setting}");
    }
}

#[tokio::test]
async fn time_limits_of_the_role_end_no_batch() {
    let database = database().await;
    let mut other = connect(&database).await;
    for setting in ["statement_timeout = 100", "lock_timeout = 100"] {
        let mut ada = process(&database, LEASE).await;
        run(&mut ada.connection, &format!("set {setting}")).await;
        let row = format!("insert into {} values (convert_to('tea', 'UTF8'), 1, null, 'infinity')", table());
        run(&mut other, &format!("begin; {row}")).await;
        // The new row has to wait for the end of this transaction.
        let (grant, ()) = tokio::join!(ada.take("tea"), run(&mut other, "select pg_sleep(0.5); rollback"));
        ada.release(&grant.expect(setting)).await;
        run(&mut other, &format!("delete from {}", table())).await;
    }
}

#[tokio::test]
async fn settings_of_a_batch_end_with_it_and_an_error_leaves_no_transaction_open() {
    async fn settings(connection: &mut PgConnection) -> Vec<String> {
        let mut values = Vec::new();
        for name in ["transaction_isolation", "synchronous_commit", "statement_timeout", "lock_timeout"] {
            let value =
                query_scalar("select current_setting($1)").bind(name).fetch_one(&mut *connection).await;
            values.push(value.expect("it is a setting"));
        }
        values
    }

    let database = database().await;
    let mut ada = process(&database, LEASE).await;
    run(&mut ada.connection, "set default_transaction_isolation = 'serializable'").await;
    let before = settings(&mut ada.connection).await;
    let grant = ada.take("tea").await.expect("the key is free");
    ada.release(&grant).await;
    assert_eq!(settings(&mut ada.connection).await, before);

    run(&mut ada.connection, &format!("alter table {} rename to elsewhere", table())).await;
    let batch = Batch { release: vec![grant], ..Batch::default() };
    ada.try_ask(&batch).await.expect_err("there is no such table");
    assert_eq!(settings(&mut ada.connection).await, before);
    let sql = "select state from pg_stat_activity where pid = $1";
    let pid: i32 =
        query_scalar("select pg_backend_pid()").fetch_one(&mut ada.connection).await.expect("it has one");
    let state: String =
        query_scalar(sql).bind(pid).fetch_one(&mut connect(&database).await).await.expect("it is connected");
    assert_eq!(state, "idle");
}

#[tokio::test]
async fn grants_survive_a_crash_and_only_releases_may_be_lost() {
    let mut ada = process(&database().await, LEASE).await;
    let held = || vec![Held { key: key("tea"), fence: 7 }];
    let take = || vec![Take { key: key("coffee"), waits: false }];
    let mixed = Batch { release: held(), take: take(), ..Batch::default() };
    let batches = [
        (Batch { take: take(), ..Batch::default() }, "on"),
        (Batch { pass: held(), ..Batch::default() }, "on"),
        (Batch { renew: held(), ..Batch::default() }, "on"),
        (mixed, "on"),
        (Batch { release: held(), ..Batch::default() }, "off"),
    ];
    for (batch, setting) in batches {
        let text = ada.plans.message(&ada.statements, &batch);
        assert!(text.contains(&format!("synchronous_commit = {setting}; ")), "{text}");
    }
    // PostgreSQL empties a table that is not logged when it starts after a crash.
    let database = database().await;
    let sql = "select relpersistence = 'p' from pg_class where oid = to_regclass($1)";
    let is_logged: Result<bool, _> =
        query_scalar(sql).bind(table().to_string()).fetch_one(&mut connect(&database).await).await;
    assert!(is_logged.expect("the table is there"));
}
