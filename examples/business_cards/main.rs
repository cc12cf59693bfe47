//! Business cards on the web: cards of the same name are created at once, edited in two tabs, and looked at
//! by many. First the handlers as they were, then the same with stamps and retries.
//!
//! ```text
//! cargo run --release --example business_cards
//! cargo run --release --example business_cards -- --serve
//! ```

mod audit;
#[path = "../shared/body.rs"]
mod body;
mod client;
mod drive;
mod guarded;
mod input;
mod naive;
mod policies;
mod report;
mod scrape;
mod service;
mod slug;
mod store;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};

use crate::report::{Report, Run};
use crate::service::{App, Handlers, Server};

/// Drives a business-card service over HTTP, without and with stamps and retries, and compares.
#[derive(Parser)]
struct Args {
    /// Cards to make popular; 0 to go straight to --serve.
    #[arg(long, default_value_t = 80, value_parser = clap::value_parser!(u32).range(0..=100_000))]
    cards: u32,

    /// Directory to keep the SQLite files in [default: a temporary one].
    #[arg(long, value_name = "DIR")]
    db: Option<PathBuf>,

    /// Print the outcome as one JSON object, on the last line.
    #[arg(long)]
    json: bool,

    /// Leave the guarded service running afterwards, until Ctrl-C.
    #[arg(long)]
    serve: bool,

    /// Port to leave it running on [default: any free one].
    #[arg(long, default_value_t = 0, hide_default_value = true)]
    port: u16,
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
    if args.cards == 0 && !args.serve {
        return Err("--cards 0 leaves nothing to do but --serve".into());
    }
    let temporary = tempfile::tempdir()?;
    let dir = args.db.as_deref().unwrap_or(temporary.path());
    std::fs::create_dir_all(dir).map_err(|error| format!("no directory {}: {error}", dir.display()))?;
    if args.cards > 0 && !compare(args, dir).await? {
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
            let file = file.display();
            return Err(format!(
                "{file} exists already: a comparison needs new files, and --cards 0 --serve opens it"
            )
            .into());
        }
    }
    println!(
        "{} cards are created by several people at once, edited in two tabs, and looked at by many.",
        args.cards
    );
    let naive = drive(Handlers::Naive, &naive, args.cards).await?;
    let guarded = drive(Handlers::Guarded, &guarded, args.cards).await?;

    println!("{}", report::table(&naive, &guarded));
    let broken = guarded.broken_promises();
    if broken.is_empty() {
        println!(
            "guarded: a slug for each card, every edit and view that was answered is there, no 5xx, no key left"
        );
    }
    for promise in broken.iter().take(SHOWN) {
        eprintln!("BROKEN: {promise}");
    }
    if broken.len() > SHOWN {
        eprintln!("BROKEN: and {} more", broken.len() - SHOWN);
    }
    if args.json {
        println!("{}", serde_json::to_string(&Report::new(&naive, &guarded))?);
    }
    Ok(broken.is_empty())
}

async fn drive(handlers: Handlers, file: &Path, cards: u32) -> Result<Run, Failure> {
    let app = App::open(file, handlers).await?;
    let server = Server::start(app.clone(), handlers.routes(), 0).await?;
    let style = "{prefix:>8} {wide_bar} {pos}/{len} cards, {elapsed}";
    let progress = ProgressBar::new(cards.into()).with_style(ProgressStyle::with_template(style)?);
    progress.set_prefix(match handlers {
        Handlers::Naive => "naive",
        Handlers::Guarded => "guarded",
    });
    let tally = drive::drive(&server.url, cards as usize, &progress).await;
    progress.finish();
    // Keys that stay held are counted below.
    server.stop().await.ok();
    let audit = audit::audit(&app.store, &tally).await?;
    let (counts, slug_failures) = (app.policies.counts(), app.policies.slug_failures());
    let run = Run { tally, audit, counts, slug_failures, keys_left: app.locks.len() };
    app.store.close().await?;
    Ok(run)
}

/// Serves the guarded handlers until Ctrl-C, and then until nobody's request is under way.
async fn serve(args: &Args, dir: &Path) -> Result<(), Failure> {
    let recorder = scrape::install()?;
    let app = App::open(&dir.join(GUARDED_FILE), Handlers::Guarded).await?;
    let routes = Handlers::Guarded.routes().merge(scrape::route(recorder, &app));
    let server = Server::start(app.clone(), routes, args.port).await?;
    let url = &server.url;
    let help = format!(
        "\nserving on {url} until Ctrl-C; try
  curl -i {url}/cards -d '{{\"name\": \"Grace Hopper\"}}'
  curl -i {url}/slugs/grace-hopper
  curl -i {url}/cards/1
  curl -i {url}/cards/1 -H 'If-None-Match: \"1\"'
  curl -i {url}/cards/1 -X PATCH -d '{{\"version\": 1, \"title\": \"Rear Admiral\"}}'
  curl -i {url}/cards/1 -X PATCH -H 'If-Match: \"1\"' -d '{{\"title\": \"Admiral\"}}'
  curl -i {url}/cards/1/views -X POST
  curl -i {url}/profiles/grace -X PUT -H 'If-None-Match: *' -d '{{\"about\": \"found the first bug\"}}'
  curl -i {url}/metrics"
    );
    // The JSON object stays the last line of stdout.
    if args.json {
        eprintln!("{help}");
    } else {
        println!("{help}");
    }
    tokio::signal::ctrl_c().await?;
    eprintln!("stopping; keys held: {}", app.locks.len());
    server.stop().await?;
    let counts = app.policies.counts();
    app.store.close().await?;
    eprintln!(
        "stopped; {} writes were asked for while it ran, and {} attempts made",
        counts.calls(),
        counts.attempts
    );
    Ok(())
}
