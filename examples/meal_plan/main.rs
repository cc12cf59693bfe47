//! A meal-plan service whose users double-click on "generate": first with the handler as it was,
//! then with the same handler behind a lock for each user.
//!
//! ```text
//! cargo run --release --example meal_plan
//! cargo run --release --example meal_plan -- --serve
//! cargo run --release --example meal_plan --features tracing -- --users 0 --serve --mode observe
//! ```
//!
//! With a PostgreSQL the layer has leases instead, for several processes. The handler and the layer stay the same. Two
//! processes with locks of their own generate plans twice, and with leases they do not:
//!
//! ```text
//! DATABASE_URL=postgres://… cargo run --release --example meal_plan -- --processes 2
//! ```

mod control;
mod drive;
mod generator;
mod guard;
mod input;
mod processes;
mod report;
mod service;
mod store;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use axum::Router;
use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use latchwork::layer::{Mode, ModeSwitch};

use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::control::Control;
use crate::guard::Guard;
use crate::report::{Report, Run};
use crate::service::{App, Server};
use crate::store::Store;

/// Drives a meal-plan service over HTTP, without and with a lock for each user, and compares.
#[derive(Parser)]
struct Args {
    /// Users who click; 0 to go straight to --serve.
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(0..=100_000))]
    users: u32,

    /// Directory to keep the SQLite files in [default: a temporary one].
    #[arg(long, value_name = "DIR")]
    db: Option<PathBuf>,

    /// PostgreSQL database for leases, in its table `latchwork_locks` [default: locks of this process].
    #[arg(long, value_name = "URL", env = "DATABASE_URL", hide_env_values = true)]
    database_url: Option<String>,

    /// Compare processes instead: this number of them serve the same users.
    #[arg(long, value_name = "COUNT", conflicts_with = "serve", value_parser = clap::value_parser!(u16).range(2..=8))]
    processes: Option<u16>,

    /// Print the outcome as one JSON object, on the last line.
    #[arg(long)]
    json: bool,

    /// Leave the guarded service running afterwards, until Ctrl-C.
    #[arg(long)]
    serve: bool,

    /// What its lock does: off, observe, enforce.
    #[arg(long, default_value = "enforce")]
    mode: Mode,

    /// Port to leave it running on [default: any free one].
    #[arg(long, default_value_t = 0, hide_default_value = true)]
    port: u16,
}

impl Args {
    /// Returns `None` if the variable is not set, or empty.
    fn database_url(&self) -> Result<Option<&str>, Failure> {
        let url = self.database_url.as_deref().filter(|url| !url.is_empty());
        match url {
            Some(url) if !url.starts_with("postgres:") && !url.starts_with("postgresql:") => {
                Err("DATABASE_URL must be like postgres://user@host/database; without leases, unset it"
                    .into())
            }
            url => Ok(url),
        }
    }
}

const NAIVE_FILE: &str = "naive.sqlite";
const GUARDED_FILE: &str = "guarded.sqlite";

/// So many broken promises are enough to see what is wrong.
const SHOWN: usize = 20;

type Failure = Box<dyn Error + Send + Sync>;

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

/// Returns whether every promise was kept.
async fn run(args: &Args) -> Result<bool, Failure> {
    if args.users == 0 && !args.serve {
        return Err("--users 0 leaves nothing to do but --serve".into());
    }
    let temporary = tempfile::tempdir()?;
    let dir = args.db.as_deref().unwrap_or(temporary.path());
    std::fs::create_dir_all(dir).map_err(|error| format!("no directory {}: {error}", dir.display()))?;
    if let Some(count) = args.processes {
        return compare_processes(args, dir, count.into()).await;
    }
    if args.users > 0 && !compare(args, dir).await? {
        return Ok(false);
    }
    if args.serve {
        serve(args, dir).await?;
    }
    Ok(true)
}

async fn compare(args: &Args, dir: &Path) -> Result<bool, Failure> {
    let (naive, guarded) = (dir.join(NAIVE_FILE), dir.join(GUARDED_FILE));
    for file in [&naive, &guarded] {
        if file.exists() {
            return Err(format!("{} exists already, and a comparison needs new files", file.display()).into());
        }
    }
    println!("{} users double-click, open tabs, hang up, and meet with errors and panics.", args.users);
    let naive = drive(None, &naive, args.users).await?;
    let guard = Guard::new(ModeSwitch::new(Mode::Enforce), args.database_url()?).await?;
    let guarded = drive(Some(Arc::new(guard)), &guarded, args.users).await?;
    report(args, &naive, &guarded)
}

/// Runs the users against several processes: each with its own locks, then with leases.
async fn compare_processes(args: &Args, dir: &Path, count: usize) -> Result<bool, Failure> {
    let url = args.database_url()?;
    let url =
        url.ok_or("--processes needs a PostgreSQL: set DATABASE_URL, like postgres://user@host/database")?;
    let (naive, guarded) = (dir.join("naive"), dir.join("guarded"));
    for dir in [&naive, &guarded] {
        if dir.exists() {
            return Err(format!("{} exists already, and a comparison needs new files", dir.display()).into());
        }
    }
    println!("{} users click on {count} processes, which share a file.", args.users);
    println!("naive: each process has its own lock for each user. guarded: they share leases.");
    let naive = processes::run(None, &naive, args.users, count).await?;
    let place = processes::Place::create(url).await?;
    let guarded = processes::run(Some(&place), &guarded, args.users, count).await;
    // The schema is removed also if the run has failed.
    place.remove().await?;
    report(args, &naive, &guarded?)
}

/// Returns whether every promise was kept.
fn report(args: &Args, naive: &Run, guarded: &Run) -> Result<bool, Failure> {
    println!("{}", report::table(naive, guarded));
    let broken = guarded.broken_promises();
    if broken.is_empty() {
        println!("guarded: nothing twice, nothing lost, 409 for a second click, 200 afterwards, no key left");
    }
    for promise in broken.iter().take(SHOWN) {
        eprintln!("BROKEN: {promise}");
    }
    if broken.len() > SHOWN {
        eprintln!("BROKEN: and {} more", broken.len() - SHOWN);
    }
    if args.json {
        println!("{}", serde_json::to_string(&Report::new(naive, guarded))?);
    }
    Ok(broken.is_empty())
}

async fn drive(guard: Option<Arc<Guard>>, file: &Path, users: u32) -> Result<Run, Failure> {
    let app = Arc::new(App { store: Store::open(file).await? });
    let server = Server::start(app.clone(), guard.clone(), Router::new(), 0).await?;
    let progress = progress(if guard.is_some() { "guarded" } else { "naive" }, users)?;
    let tally = drive::drive(std::slice::from_ref(&server.url), users as usize, &progress).await;
    progress.finish();
    // Keys that stay held are counted below.
    server.stop().await.ok();
    let keys_left = guard.map_or(0, |guard| guard.local.len());
    let run = Run { tally, audit: app.store.audit().await?, keys_left };
    app.store.close().await?;
    Ok(run)
}

fn progress(side: &'static str, users: u32) -> Result<ProgressBar, Failure> {
    let style = "{prefix:>8} {wide_bar} {pos}/{len} users, {elapsed}";
    let progress = ProgressBar::new(users.into()).with_style(ProgressStyle::with_template(style)?);
    progress.set_prefix(side);
    Ok(progress)
}

/// Serves the guarded handler until Ctrl-C, and then until nobody's plan is under way.
async fn serve(args: &Args, dir: &Path) -> Result<(), Failure> {
    show_events();
    let app = Arc::new(App { store: Store::open(&dir.join(GUARDED_FILE)).await? });
    let scrape = control::recorder()?;
    let guard = Arc::new(Guard::new(ModeSwitch::new(args.mode), args.database_url()?).await?);
    let control = Control::new(&guard, scrape).routes();
    let server = Server::start(app.clone(), Some(guard.clone()), control, args.port).await?;
    let plan = format!("{}/users/ada/plan", server.url);
    let help = format!(
        "\nserving on {url} until Ctrl-C; try
  curl -i {plan} -X POST
  curl -i {plan} -d '{{\"days\": 3}}'
  curl -i {plan} -X POST & curl -i {plan} -X POST; wait
  curl -i '{plan}?fail=true' -X POST
  curl -i '{plan}?panic=true' -X POST
  curl -i {plan}
  curl -i {url}/mode -X PUT -d '{{\"mode\": \"observe\"}}'
  curl -i {url}/metrics
  curl -i {url}/healthz",
        url = server.url
    );
    // The JSON object stays the last line of stdout.
    if args.json {
        eprintln!("{help}");
    } else {
        println!("{help}");
    }
    tokio::signal::ctrl_c().await?;
    eprintln!("stopping; keys held: {}", guard.local.len());
    server.stop().await?;
    app.store.close().await?;
    eprintln!("stopped; keys were acquired {} times", guard.local.counts().acquired);
    if let Some(observed) = guard::observed(&guard.counts()) {
        eprintln!("{observed}");
    }
    Ok(())
}

/// Prints the events and spans of the layer (feature `tracing`), on stderr.
fn show_events() {
    let events = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .with_target(false)
        .without_time();
    let only_ours = Targets::new().with_target("latchwork", LevelFilter::DEBUG);
    tracing_subscriber::registry().with(events.with_filter(only_ours)).init();
}
