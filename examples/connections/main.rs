//! A service with few connections to its database: people log in, look at their menu and set preferences, while the
//! kitchen that it asks is slow, fails, hangs or panics, and while people hang up. First with handlers that take and give
//! back connections by hand, then with scopes that are switched on while people use it.
//!
//! ```text
//! cargo run --release --example connections
//! cargo run --release --example connections -- --svg src/docs/connections.svg
//! DATABASE_URL=postgres://… cargo run --release --example connections
//! cargo run --release --example connections -- --users 0 --serve --mode observe
//! ```

// The service is written once, and compiled once for each database.
#![allow(clippy::duplicate_mod, reason = "one source, compiled for each database")]

#[path = "../shared/body.rs"]
mod body;
mod client;
mod compare;
mod conduct;
mod control;
mod drive;
mod input;
mod picture;
mod plot;
mod postgres;
mod predicted;
mod report;
mod running;
mod serve;
#[path = "../shared/server.rs"]
mod server;
mod side;
mod sqlite;
mod upstream;

#[path = "."]
mod on_sqlite {
    use crate::sqlite::{Db, Files as Home, NEW_ID, Place};

    pub(crate) mod service;
}

#[path = "."]
mod on_postgres {
    use crate::postgres::{Db, NEW_ID, Place, Server as Home};

    pub(crate) mod service;
}

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use latchwork::mode::Mode;

use crate::compare::{Failure, Service, compare};
use crate::drive::Crowd;
use crate::serve::serve;

/// Drives a service with few connections over HTTP, with connections given back by hand and with scopes, and compares.
#[derive(Parser)]
struct Args {
    /// People who use the service at the same time; 0 to go straight to --serve.
    #[arg(long, default_value_t = 24, value_parser = clap::value_parser!(u32).range(0..=1000))]
    users: u32,

    /// How long they use it in each mode.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,

    /// Seed of what people do, and of what goes wrong in the kitchen.
    #[arg(long, default_value_t = 0)]
    seed: u64,

    /// PostgreSQL database, in which schemas of the name `connections_…` are made [default: SQLite files].
    #[arg(long, value_name = "URL", env = "DATABASE_URL", hide_env_values = true)]
    database_url: Option<String>,

    /// Directory to keep the SQLite files in [default: a temporary one].
    #[arg(long, value_name = "DIR")]
    db: Option<PathBuf>,

    /// Print the outcome as one JSON object, on the last line.
    #[arg(long)]
    json: bool,

    /// Write a picture of the connections in use to this file.
    #[arg(long, value_name = "PATH")]
    svg: Option<PathBuf>,

    /// Leave the guarded service running afterwards, until Ctrl-C.
    #[arg(long)]
    serve: bool,

    /// What its scopes do: off, observe, enforce.
    #[arg(long, default_value = "enforce")]
    mode: Mode,

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
        return run_on::<Arc<on_postgres::service::App>>(&postgres::Server { options }, args).await;
    }
    let temporary = tempfile::tempdir()?;
    let dir = args.db.clone().unwrap_or(temporary.path().to_owned());
    std::fs::create_dir_all(&dir).map_err(|error| format!("no directory {}: {error}", dir.display()))?;
    run_on::<Arc<on_sqlite::service::App>>(&sqlite::Files { dir }, args).await
}

async fn run_on<S: Service + Clone + Send + Sync + 'static>(
    home: &S::Home,
    args: &Args,
) -> Result<bool, Failure> {
    let crowd =
        Crowd { users: args.users as usize, seed: args.seed, each: Duration::from_secs(args.seconds) };
    if args.users > 0 && !compare::<S>(home, crowd, args.svg.as_deref(), args.json).await? {
        return Ok(false);
    }
    if args.serve {
        serve::<S>(home, args.mode, args.port, args.json).await?;
    }
    Ok(true)
}
