//! A process that sells. It is this program, started by the parent.

use std::sync::Arc;
use std::time::Instant;

use fastrand::Rng;
use latchwork::Semaphore;
use latchwork::pg::VerifyError;
use latchwork::sql::Scope;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{PgPool, Postgres};
use tokio::task::JoinSet;

use super::locks::{Held, Locks, Side};
use super::protocol::{Change, Instruction, Instructions, Notice};
use crate::audit::DELIVERY;
use crate::compare::Failure;
use crate::elsewhere::{confirm_delivery, price_today};

/// How many customers buy at the same time in each process.
const CUSTOMERS: usize = 4;

/// Sweets 1, 2 and 3 are gone soon. One change in this number of the others is a delivery.
const SWEETS: i64 = 5;
const RESTOCKED_FROM: i64 = 4;
const DELIVERIES: usize = 8;

/// How many pieces a customer buys at most.
const MOST: i64 = 3;

struct Shop {
    pool: PgPool,
    scope: Scope<Postgres>,
    locks: Locks,
}

/// Sells as the parent says, until it closes stdin.
pub(crate) async fn work(options: PgConnectOptions, side: Side, seed: u64) -> Result<(), Failure> {
    let pool = PgPoolOptions::new().max_connections(CUSTOMERS as u32).connect_with(options).await?;
    let locks = Locks::new(side, &pool).await?;
    let shop = Arc::new(Shop { scope: Scope::new(pool.clone()).name("sales"), pool, locks });

    let door = Arc::new(Semaphore::new(CUSTOMERS));
    let mut closed = Some(door.acquire_many(CUSTOMERS).await);
    let mut customers = JoinSet::new();
    let mut seeds = Rng::with_seed(seed);
    for _ in 0..CUSTOMERS {
        customers.spawn(customer(shop.clone(), door.clone(), seeds.fork()));
    }
    let mut instructions = Instructions::from_stdin();
    Notice::Ready.say();
    while let Some(instruction) = instructions.next().await? {
        match instruction {
            Instruction::Sell => closed = None,
            Instruction::PauseIn { sweet } => {
                // Nothing else is under way in this process, so the parent knows what it interrupts.
                let _alone = door.acquire_many(CUSTOMERS).await;
                let change = Change::Purchase { sweet, pieces: 1 };
                shop.serve(change, Some(&mut instructions)).await.say();
            }
            Instruction::GoOn => return Err("there is no pause to end".into()),
        }
    }
    if closed.is_none() {
        closed = Some(door.acquire_many(CUSTOMERS).await);
    }
    shop.locks.shut_down().await;
    let (grants, batches) = shop.locks.counts();
    Notice::Ended { grants, batches }.say();
    drop((customers, closed));
    Ok(())
}

/// Buys again and again, and restocks from time to time. Between two changes it can be dropped.
async fn customer(shop: Arc<Shop>, door: Arc<Semaphore>, mut rng: Rng) {
    loop {
        let _inside = door.acquire().await;
        let sweet = rng.i64(1..=SWEETS);
        let change = if sweet >= RESTOCKED_FROM && rng.usize(..DELIVERIES) == 0 {
            Change::Delivery { sweet }
        } else {
            Change::Purchase { sweet, pieces: rng.i64(1..=MOST) }
        };
        shop.serve(change, None).await.say();
    }
}

impl Shop {
    async fn serve(&self, change: Change, pause: Option<&mut Instructions>) -> Notice {
        let served = self.change(change, pause).await;
        served.unwrap_or_else(|error| Notice::Failed { error: error.to_string() })
    }

    /// Locks, reads, asks elsewhere, and writes. The pause is before the write.
    async fn change(&self, change: Change, pause: Option<&mut Instructions>) -> Result<Notice, Failure> {
        let start = Instant::now();
        let held = self.locks.lock(change.sweet()).await?;
        let read = sqlx::query_as("SELECT stock, price_cents FROM sweets WHERE id = $1").bind(change.sweet());
        let (stock, price): (i64, i64) = read.fetch_one(&self.pool).await?;
        let left = match change {
            Change::Purchase { pieces, .. } if stock < pieces => return Ok(Notice::SoldOut),
            Change::Purchase { pieces, .. } => {
                price_today(price).await;
                stock - pieces
            }
            Change::Delivery { .. } => {
                confirm_delivery().await;
                stock + DELIVERY
            }
        };
        let fence = held.fence();
        if let Some(instructions) = pause {
            Notice::Paused { fence }.say();
            instructions.next().await?;
        }
        if !self.write(&held, change.sweet(), left).await? {
            return Ok(Notice::Refused);
        }
        Ok(Notice::Changed { change, fence, micros: start.elapsed().as_micros() as u64 })
    }

    /// Returns `false` if the lock was lost. Then nothing is written.
    async fn write(&self, held: &Held, sweet: i64, left: i64) -> Result<bool, Failure> {
        let mut tx = self.scope.begin().await?;
        match held.verify(&mut tx).await {
            Err(VerifyError::Lost) => {
                tx.rollback().await?;
                return Ok(false);
            }
            verified => verified?,
        }
        let write = sqlx::query("UPDATE sweets SET stock = $1, version = version + 1 WHERE id = $2");
        write.bind(left).bind(sweet).execute(&mut *tx).await?;
        tx.commit().await?;
        Ok(true)
    }
}
