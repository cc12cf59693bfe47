//! Races of several processes, judged by a history that the server writes by its own clock.

use std::sync::Arc;

use futures::future::try_join_all;
use sqlx::{AssertSqlSafe, query_as};
use tokio::sync::Barrier;

use super::databases::{connect, run, table};
use super::*;

/// Writes down what becomes of each row.
async fn record(database: &str) {
    let sql = format!(
        "create table history (at bigserial, key bytea, fence bigint, holder bigint, expires timestamptz);
        create function note() returns trigger language plpgsql as
            'begin insert into history (key, fence, holder, expires) values (new.key, new.fence, new.holder, new.expires);
            return new; end';
        create trigger note after insert or update on {} for each row execute function note()",
        table()
    );
    run(&mut connect(database).await, &sql).await;
}

/// The grants of a key, as microseconds of the server: fence, holder, begin, end.
async fn grants(database: &str, name: &str) -> Vec<(i64, i64, i64, i64)> {
    let micros = |time: &str| format!("(extract(epoch from {time}) * 1000000)::bigint");
    let (begin, end) = (micros("begins"), micros("ends"));
    let lease = LEASE.as_micros();
    // The first line of a fence is its grant. The last one says until when it lasted.
    let sql = format!(
        "select fence, holder, {begin}, {end} from (
            select distinct on (fence) fence, holder, expires - {lease} * interval '1 microsecond' as begins,
                last_value(expires) over (partition by fence order by at
                    rows between unbounded preceding and unbounded following) as ends
            from history where key = convert_to('{name}', 'UTF8') order by fence, at
        ) grants order by fence"
    );
    query_as(AssertSqlSafe(sql)).fetch_all(&mut connect(database).await).await.expect("it was recorded")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_processes_one_holds_the_key_at_a_time_and_fences_rise() {
    const PROCESSES: usize = 8;
    const GRANTS: usize = 25;

    let database = database().await;
    record(&database).await;
    let start = Arc::new(Barrier::new(PROCESSES));
    let tasks = (0..PROCESSES).map(|at| {
        let (database, start) = (database.clone(), start.clone());
        tokio::spawn(async move {
            let mut process = process(&database, LEASE).await;
            if at % 2 == 1 {
                run(&mut process.connection, "set default_transaction_isolation = 'serializable'").await;
            }
            let mut fences = Vec::new();
            start.wait().await;
            while fences.len() < GRANTS {
                let Ok(mut held) = process.poll("tea", true).await else { continue };
                fences.push(held.fence);
                match fences.len() % 4 {
                    0 => process.expire("tea").await,
                    1 => {
                        // Busy while another process says that it waits.
                        if let Some(grant) = process.pass(&held).await.granted.pop() {
                            held = grant.held;
                            fences.push(held.fence);
                        }
                        process.release(&held).await;
                    }
                    _ => {
                        process.renew(&held).await;
                        process.release(&held).await;
                    }
                }
            }
            fences
        })
    });
    let mut told = Vec::new();
    // Returns at the first panic. The key of that task stays held, so the others would never end.
    for fences in try_join_all(tasks).await.expect("the tasks return") {
        assert!(fences.is_sorted_by(|a, b| a < b), "{fences:?}");
        told.extend(fences);
    }
    told.sort_unstable();
    assert!(told.is_sorted_by(|a, b| a < b), "a fence was given twice: {told:?}");

    let grants = grants(&database, "tea").await;
    let recorded: Vec<u64> = grants.iter().map(|grant| grant.0.unsigned_abs()).collect();
    assert_eq!(recorded, told);
    for pair in grants.windows(2) {
        // A pass ends the grant before it.
        let is_same_process = pair[0].1 == pair[1].1;
        assert!(
            is_same_process || pair[1].2 >= pair[0].3,
            "the grants {:?} and {:?} overlap",
            pair[0],
            pair[1]
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_with_the_same_new_keys_in_other_orders_do_not_block_each_other() {
    // Few enough for kept plans, and too many.
    take_new_keys(12).await;
    take_new_keys(24).await;
}

async fn take_new_keys(keys: usize) {
    const PROCESSES: usize = 4;

    let database = database().await;
    let start = Arc::new(Barrier::new(PROCESSES));
    let tasks = (0..PROCESSES).map(|at| {
        let (database, start) = (database.clone(), start.clone());
        tokio::spawn(async move {
            let mut process = process(&database, LEASE).await;
            let mut held: Vec<Held> = Vec::new();
            let mut granted = 0;
            for round in 0..20 {
                let mut take: Vec<Take> = (0..keys)
                    .map(|n| Take { key: key(&format!("round {round} key {n:02}")), waits: true })
                    .collect();
                take.rotate_left(at * keys / PROCESSES);
                if at % 2 == 1 {
                    take.reverse();
                }
                let (renew, release) = held.split_at(held.len() / 2);
                let batch = Batch { take, renew: renew.into(), release: release.into(), ..Batch::default() };
                start.wait().await;
                let answers = process.ask(&batch).await;
                assert_eq!(answers.granted.len() + answers.busy.len(), keys);
                assert_eq!((answers.renewed.len(), answers.released.len()), (renew.len(), release.len()));
                granted += answers.granted.len();
                held = answers.granted.into_iter().map(|grant| grant.held).collect();
            }
            granted
        })
    });
    let granted: usize = try_join_all(tasks).await.expect("the tasks return").into_iter().sum();
    assert_eq!(granted, 20 * keys, "each key has one holder");
}
