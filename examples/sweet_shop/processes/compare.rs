//! Both sides, and what happens to the workers of each.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::timeout;

use super::locks::Side;
use super::protocol::{Change, Instruction, Notice};
use super::report::{self, Run};
use super::team::Team;
use crate::audit::{DELIVERY, audit};
use crate::compare::{Failure, Life, Shop};
use crate::on_postgres::shop::App;
use crate::postgres::{self, Place};
use crate::way::Way;

/// How often the processes sell in all.
const PURCHASES: u64 = 900;

/// How many pieces of each sweet there are at first: fewer than people ask for, if nobody restocks.
const STOCK: i64 = 150;

/// The sweet in whose purchase a worker is killed, and one is stopped. There is always enough of it.
const FUDGE: i64 = 4;

/// Something hangs if a side takes longer.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs both sides. Returns `true` if the guarded one kept every promise.
pub(crate) async fn compare(
    place: &Place,
    url: &str,
    processes: usize,
    seed: u64,
    json: bool,
) -> Result<bool, Failure> {
    println!(
        "{processes} processes sell the same sweets. One is killed in the middle of a purchase, and one stands still."
    );
    println!("naive: each process locks a sweet for itself. guarded: they share leases, and verify them.");
    let naive = run(place, url, Side::Naive, processes, seed).await?;
    let guarded = run(place, url, Side::Guarded, processes, seed).await?;
    println!("{}", report::table(&naive, &guarded));
    let broken = guarded.broken_promises();
    if broken.is_empty() {
        println!(
            "guarded: each piece sold once, each delivery kept, and the write that came late was refused"
        );
    }
    for promise in &broken {
        eprintln!("BROKEN: {promise}");
    }
    if json {
        println!("{}", report::json(&naive, &guarded)?);
    }
    Ok(broken.is_empty())
}

async fn run(place: &Place, url: &str, side: Side, processes: usize, seed: u64) -> Result<Run, Failure> {
    let name = match side {
        Side::Naive => "processes_naive",
        Side::Guarded => "processes_guarded",
    };
    // The parent makes the tables and reads them at the end. It sells nothing.
    let shop = <Arc<App>>::open(place, Way::Naive, name, Life::Comparison, STOCK).await?;
    let schema = postgres::schema(name, Life::Comparison);
    let run = timeout(PATIENCE, sell(&shop, url, &schema, side, processes, seed)).await;
    // A schema of this run is removed also if the run has failed.
    shop.close(place).await?;
    run.map_err(|_| format!("the {} side took longer than {PATIENCE:?}", side.name()))?
}

async fn sell(
    shop: &Arc<App>,
    url: &str,
    schema: &str,
    side: Side,
    processes: usize,
    seed: u64,
) -> Result<Run, Failure> {
    let first = sqlx::query("UPDATE sweets SET stock = stock + $1 WHERE id >= $2");
    first.bind(DELIVERY).bind(FUDGE).execute(&shop.store.pools.writer).await?;
    let before = shop.stocks().await?;
    let mut team = Team::start(side, processes, url, schema, seed).await?;
    let start = Instant::now();
    team.instruct_all(Instruction::Sell).await?;
    team.until_sold(PURCHASES / 3).await?;
    let taken_over = kill(&mut team, 0).await?;
    team.until_sold(PURCHASES * 2 / 3).await?;
    let is_refused = stop(&mut team, 1).await?;
    team.until_sold(PURCHASES).await?;
    let took = start.elapsed();
    let tally = team.end().await?;
    let audit = audit(&tally.told, &before, &shop.stocks().await?);
    Ok(Run { side, tally, took, taken_over, is_refused, audit })
}

/// Kills a worker that holds the fudge. Returns how long it takes until another one has sold some.
async fn kill(team: &mut Team, nth: usize) -> Result<Duration, Failure> {
    let fence = pause(team, nth).await?;
    team.kill(nth).await?;
    let killed = Instant::now();
    taken_over(team, nth, fence).await?;
    Ok(killed.elapsed())
}

/// Stops a worker that holds the fudge until another one has sold some. Returns `true` if the late write was refused.
async fn stop(team: &mut Team, nth: usize) -> Result<bool, Failure> {
    let fence = pause(team, nth).await?;
    team.signal(nth, "STOP").await?;
    taken_over(team, nth, fence).await?;
    team.signal(nth, "CONT").await?;
    team.instruct(nth, Instruction::GoOn).await?;
    loop {
        match team.next().await? {
            (who, Notice::Refused) if who == nth => return Ok(true),
            (who, Notice::Changed { .. }) if who == nth => return Ok(false),
            _ => {}
        }
    }
}

/// Lets a worker pause between its read and its write. Returns the number of its grant.
async fn pause(team: &mut Team, nth: usize) -> Result<Option<u64>, Failure> {
    team.instruct(nth, Instruction::PauseIn { sweet: FUDGE }).await?;
    loop {
        if let (who, Notice::Paused { fence }) = team.next().await?
            && who == nth
        {
            return Ok(fence);
        }
    }
}

/// Waits until another worker has sold some of the fudge after this grant.
async fn taken_over(team: &mut Team, nth: usize, paused: Option<u64>) -> Result<(), Failure> {
    loop {
        let (who, notice) = team.next().await?;
        let Notice::Changed { change: change @ Change::Purchase { .. }, fence, .. } = notice else {
            continue;
        };
        let is_later = fence.zip(paused).is_none_or(|(fence, paused)| fence > paused);
        if who != nth && change.sweet() == FUDGE && is_later {
            return Ok(());
        }
    }
}
