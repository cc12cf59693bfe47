//! A sweet shop on the web: a hundred customers register, search and buy, and admins restock. First with the handlers as
//! people write them, then in four ways that sell each piece once.
//!
//! ```text
//! cargo run --release --example sweet_shop
//! DATABASE_URL=postgres://… cargo run --release --example sweet_shop
//! cargo run --release --example sweet_shop -- --users 0 --serve --way for_update
//! ```
//!
//! And several processes behind one PostgreSQL. Each has locks of its own, and they oversell. Then they share leases, and
//! verify them in their transactions. One process is killed in the middle of a purchase, and one stands still:
//!
//! ```text
//! DATABASE_URL=postgres://… cargo run --release --example sweet_shop -- --processes 4
//! ```

// The shop is written once, and compiled once for each database.
#![allow(clippy::duplicate_mod, reason = "one source, compiled for each database")]

mod audit;
#[path = "../shared/body.rs"]
mod body;
mod client;
mod compare;
mod drive;
mod elsewhere;
mod input;
mod order;
mod postgres;
mod processes;
mod report;
mod serve;
#[path = "../shared/server.rs"]
mod server;
mod sqlite;
mod waits;
mod way;

#[path = "."]
mod on_sqlite {
    use crate::sqlite::{Db, LOCKING_READ, Place, Pools};

    pub(crate) mod shop;
}

#[path = "."]
mod on_postgres {
    use crate::postgres::{Db, LOCKING_READ, Place, Pools};

    pub(crate) mod shop;
}

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;

use crate::compare::{Failure, Shop, compare};
use crate::drive::Crowd;
use crate::processes::Side;
use crate::serve::serve;
use crate::way::Way;

/// Drives a sweet shop over HTTP in five ways, and compares them.
#[derive(Parser)]
struct Args {
    /// Customers who buy, 100 at the same time; 0 to go straight to --serve.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(0..=10_000))]
    users: u32,

    /// Seed of what they buy.
    #[arg(long, default_value_t = 0)]
    seed: u64,

    /// PostgreSQL database, in which schemas of the name `sweet_shop_…` are made [default: SQLite files].
    #[arg(long, value_name = "URL", env = "DATABASE_URL", hide_env_values = true)]
    database_url: Option<String>,

    /// Directory to keep the SQLite files in [default: a temporary one].
    #[arg(long, value_name = "DIR")]
    db: Option<PathBuf>,

    /// Compare processes instead: this number of them sell over one PostgreSQL.
    #[arg(long, value_name = "COUNT", conflicts_with_all = ["db", "serve"], value_parser = clap::value_parser!(u16).range(3..=16))]
    processes: Option<u16>,

    /// Be one of these processes.
    #[arg(long, hide = true, value_enum)]
    worker: Option<Side>,

    /// Print the outcome as one JSON object, on the last line.
    #[arg(long)]
    json: bool,

    /// Leave a service running afterwards, until Ctrl-C.
    #[arg(long)]
    serve: bool,

    /// How that service sells.
    #[arg(long, value_enum, default_value_t = Way::RECOMMENDED)]
    way: Way,

    /// Port to leave it running on [default: any free one].
    #[arg(long, default_value_t = 0, hide_default_value = true)]
    port: u16,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(&Args::parse()).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

/// Returns `true` if every promise was kept.
async fn run(args: &Args) -> Result<bool, Failure> {
    if args.users == 0 && !args.serve {
        return Err("--users 0 leaves nothing to do but --serve".into());
    }
    if let Some(url) = args.database_url.as_deref().filter(|url| !url.is_empty()) {
        if args.db.is_some() {
            return Err("--db is for SQLite files, and DATABASE_URL names a server: give one of them".into());
        }
        if !url.starts_with("postgres:") && !url.starts_with("postgresql:") {
            return Err(
                "DATABASE_URL must be like postgres://user@host/database; for SQLite, unset it".into()
            );
        }
        let options = url.parse().map_err(|error| format!("DATABASE_URL can't be read: {error}"))?;
        if let Some(side) = args.worker {
            processes::work(options, side, args.seed).await?;
            return Ok(true);
        }
        let place = postgres::Place { options };
        if let Some(count) = args.processes {
            return processes::compare(&place, url, count.into(), args.seed, args.json).await;
        }
        return run_on::<Arc<on_postgres::shop::App>>(&place, args).await;
    }
    if args.processes.is_some() || args.worker.is_some() {
        return Err(
            "--processes needs a PostgreSQL: set DATABASE_URL, like postgres://user@host/database".into()
        );
    }
    let temporary = tempfile::tempdir()?;
    let dir = args.db.clone().unwrap_or(temporary.path().to_owned());
    std::fs::create_dir_all(&dir).map_err(|error| format!("no directory {}: {error}", dir.display()))?;
    run_on::<Arc<on_sqlite::shop::App>>(&sqlite::Place { dir }, args).await
}

async fn run_on<S: Shop>(place: &S::Place, args: &Args) -> Result<bool, Failure> {
    let crowd = Crowd { users: args.users as usize, seed: args.seed };
    if args.users > 0 && !compare::<S>(place, crowd, args.json).await? {
        return Ok(false);
    }
    if args.serve {
        serve::<S>(place, args.way, args.port, args.json).await?;
    }
    Ok(true)
}
