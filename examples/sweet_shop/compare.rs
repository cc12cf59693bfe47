//! The comparison: one run for each way, and the promises that the guarded ones must keep.

use std::collections::BTreeMap;
use std::error::Error;
use std::time::{Duration, Instant};

use axum::Router;
use indicatif::{ProgressBar, ProgressStyle};
use latchwork::retry::RetryCounts;

use crate::audit::audit;
use crate::drive::{self, Crowd};
use crate::order::OrderCounts;
use crate::report::{self, Run};
use crate::server::Server;
use crate::way::Way;

pub(crate) type Failure = Box<dyn Error + Send + Sync>;

/// This many broken promises are enough to see what is wrong.
const SHOWN: usize = 20;

/// How long what is stored is used.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Life {
    /// For one run, which starts with nothing.
    Comparison,
    /// It stays for the next start.
    Service,
}

/// A shop on one database.
pub(crate) trait Shop: Sized {
    /// Which database.
    type Place;

    /// Opens the shop. New sweets get this stock.
    async fn open(
        place: &Self::Place,
        way: Way,
        name: &'static str,
        life: Life,
        stock: i64,
    ) -> Result<Self, Failure>;

    /// Returns the token of the admin.
    async fn admin(&self) -> Result<String, Failure>;

    fn routes(&self) -> Router;

    /// Returns what the database holds, by sweet.
    async fn stocks(&self) -> Result<BTreeMap<i64, i64>, Failure>;

    fn figures(&self) -> Figures;

    /// Waits until no lock is held: a request may go on after its client has hung up.
    async fn settle(&self);

    /// Closes the shop. What was stored for a comparison is removed, if it is on a server.
    async fn close(self, place: &Self::Place) -> Result<(), Failure>;
}

/// What the service says of itself.
pub(crate) struct Figures {
    pub(crate) order: OrderCounts,
    pub(crate) lock_waits: u64,
    pub(crate) longest_wait: Duration,
    pub(crate) retries: RetryCounts,
    /// Transactions that are still open.
    pub(crate) open: u64,
    /// Keys that are still held or waited for.
    pub(crate) keys_left: usize,
}

/// Runs all ways. Returns whether the guarded ones kept every promise.
pub(crate) async fn compare<S: Shop>(place: &S::Place, crowd: Crowd, json: bool) -> Result<bool, Failure> {
    let Crowd { users, .. } = crowd;
    println!(
        "Customers: {users}. They search, buy and hang up, while admins restock. Each way to sell has its turn."
    );
    let mut runs = Vec::new();
    for way in Way::ALL {
        runs.push(run::<S>(place, way, crowd).await?);
    }
    println!("{}", report::table(&runs));
    let guarded = runs.iter().filter(|run| run.way != Way::Naive);
    let broken: Vec<_> = guarded.flat_map(Run::broken_promises).collect();
    if broken.is_empty() {
        println!(
            "guarded: each piece sold once, each delivery kept, 409 for a name that is taken, no 5xx, no lock left"
        );
    }
    for promise in broken.iter().take(SHOWN) {
        eprintln!("BROKEN: {promise}");
    }
    if broken.len() > SHOWN {
        eprintln!("BROKEN: and {} more", broken.len() - SHOWN);
    }
    if json {
        println!("{}", report::json(&runs)?);
    }
    Ok(broken.is_empty())
}

async fn run<S: Shop>(place: &S::Place, way: Way, crowd: Crowd) -> Result<Run, Failure> {
    let shop = S::open(place, way, way.name(), Life::Comparison, crowd.stock()).await?;
    let run = sell(&shop, way, crowd).await;
    // A schema of this run is removed also if the run has failed.
    shop.close(place).await?;
    run
}

async fn sell(shop: &impl Shop, way: Way, crowd: Crowd) -> Result<Run, Failure> {
    let before = shop.stocks().await?;
    let admin = shop.admin().await?;
    let server = Server::start(shop.routes(), 0).await?;
    let style = "{prefix:>10} {wide_bar} {pos}/{len} users, {elapsed}";
    let progress = ProgressBar::new(crowd.users as u64).with_style(ProgressStyle::with_template(style)?);
    progress.set_prefix(way.name());
    let start = Instant::now();
    let tally = drive::drive(&server.url, &admin, crowd, &progress).await;
    let took = start.elapsed();
    progress.finish();
    server.stop().await;
    shop.settle().await;
    let audit = audit(&tally.told, &before, &shop.stocks().await?);
    Ok(Run { way, tally, took, audit, figures: shop.figures() })
}
