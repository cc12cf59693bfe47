//! Lets HTTP clients and worker threads loose on a lab, and watches the event loop meanwhile.

use std::error::Error;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use serde::Serialize;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::Args;
use crate::lab::{Lab, SIMULATIONS};

/// An analysis comes after so many steps, on both sides.
const STEPS_PER_ANALYSIS: usize = 8;

/// A checkpoint comes after so many steps of a worker.
const STEPS_PER_CHECKPOINT: usize = 200;

/// What a worker does between two steps.
const PAUSE: Duration = Duration::from_micros(500);

const TICK: Duration = Duration::from_millis(1);

pub(crate) type Failure = Box<dyn Error + Send + Sync>;

/// What came of one run. Its names are those of the JSON output.
#[derive(Serialize)]
pub(crate) struct Outcome {
    /// Steps that clients and workers took, and were told so.
    pub(crate) expected: u64,
    /// Steps in the map at the end.
    pub(crate) counted: u64,
    pub(crate) max_concurrent_analyses: usize,
    /// The longest that a task which was ready had to wait for the event loop.
    pub(crate) max_stall_ms: f64,
}

/// Serves `lab` on a free loopback port to `args.clients`, while `args.workers` threads share it.
pub(crate) async fn run<L: Lab>(lab: L, args: &Args) -> Result<Outcome, Failure> {
    let lab = Arc::new(lab);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let url = format!("http://{}/simulations", listener.local_addr()?);
    let server = tokio::spawn(axum::serve(listener, router(lab.clone())).into_future());
    let stall = Arc::new(AtomicU64::new(0));
    let watch = tokio::spawn(watch_event_loop(stall.clone()));

    let workers: Vec<_> = (0..args.workers)
        .map(|id| {
            let (lab, steps) = (lab.clone(), args.steps);
            thread::spawn(move || work(&*lab, id, steps))
        })
        .collect();
    let mut clients = JoinSet::new();
    for id in 0..args.clients {
        clients.spawn(click(url.clone(), id, args.steps));
    }
    while let Some(client) = clients.join_next().await {
        client??;
    }
    // Joining blocks, and this is the event loop's thread.
    let join = || workers.into_iter().try_for_each(thread::JoinHandle::join);
    tokio::task::spawn_blocking(join).await?.map_err(|_| "a worker panicked")?;
    watch.abort();
    server.abort();

    Ok(Outcome {
        expected: ((args.workers + args.clients) * args.steps) as u64,
        counted: lab.total(),
        max_concurrent_analyses: lab.most_analyses(),
        max_stall_ms: stall.load(Relaxed) as f64 / 1000.0,
    })
}

fn router<L: Lab>(lab: Arc<L>) -> Router {
    Router::new()
        .route("/simulations/{name}/steps", post(step::<L>))
        .route("/simulations/{name}/analyses", post(analyse::<L>))
        .with_state(lab)
}

async fn step<L: Lab>(State(lab): State<Arc<L>>, Path(name): Path<String>) -> Result<Json<u64>, StatusCode> {
    lab.step(&name).await.map(Json).ok_or(StatusCode::NOT_FOUND)
}

async fn analyse<L: Lab>(State(lab): State<Arc<L>>, Path(name): Path<String>) -> StatusCode {
    if !SIMULATIONS.contains(&&*name) {
        return StatusCode::NOT_FOUND;
    }
    lab.analyse().await;
    StatusCode::NO_CONTENT
}

/// A client: steps and analyses over HTTP.
async fn click(url: String, id: usize, steps: usize) -> Result<(), Failure> {
    let client = reqwest::Client::builder().no_proxy().build()?;
    for step in 1..=steps {
        let simulation = format!("{url}/{}", SIMULATIONS[(id + step) % SIMULATIONS.len()]);
        client.post(format!("{simulation}/steps")).send().await?.error_for_status()?;
        if step % STEPS_PER_ANALYSIS == 0 {
            client.post(format!("{simulation}/analyses")).send().await?.error_for_status()?;
        }
    }
    Ok(())
}

/// A worker: the same on a thread of its own.
fn work(lab: &impl Lab, id: usize, steps: usize) {
    for step in 1..=steps {
        lab.step_blocking(SIMULATIONS[(id + step) % SIMULATIONS.len()]).expect("there is such a simulation");
        if step % STEPS_PER_ANALYSIS == 0 {
            lab.analyse_blocking();
        }
        if step % STEPS_PER_CHECKPOINT == 0 {
            lab.checkpoint_blocking();
        }
        thread::sleep(PAUSE);
    }
}

/// Sleeps for a tick again and again, and records in microseconds how late it was called at worst.
async fn watch_event_loop(stall: Arc<AtomicU64>) {
    loop {
        let start = Instant::now();
        tokio::time::sleep(TICK).await;
        let late = start.elapsed().saturating_sub(TICK);
        stall.fetch_max(late.as_micros() as u64, Relaxed);
    }
}
