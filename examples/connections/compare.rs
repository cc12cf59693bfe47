//! The comparison: the naive service, then the guarded one, and the promises that the latter must keep.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;

use axum::Router;
use latchwork::mode::{Mode, ModeSwitch};
use latchwork::publish::Publisher;
use latchwork::sql::ScopeCounts;

use crate::conduct::{SideRun, conduct};
use crate::drive::Crowd;
use crate::report::{self, Audit};
use crate::side::{CONNECTIONS, Phase, Side};
use crate::upstream::Kitchen;
use crate::{plot, predicted};

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

/// The connections, as they are seen from outside: the handlers are not asked.
#[derive(Clone, Copy)]
pub(crate) struct Seen {
    /// Connections that are not idle in the pool.
    pub(crate) in_use: u64,
    /// Sessions inside a transaction that send nothing, if the database shows them.
    pub(crate) idle_in_transaction: Option<u64>,
    /// Requests under way.
    pub(crate) running: usize,
}

impl Seen {
    /// Returns how many connections belong to no request.
    pub(crate) fn leaked(self) -> u64 {
        self.in_use.saturating_sub(self.running as u64)
    }

    pub(crate) fn is_quiet(self) -> bool {
        (self.in_use, self.idle_in_transaction.unwrap_or(0), self.running) == (0, 0, 0)
    }
}

/// The service on one database.
pub(crate) trait Service: Sized {
    /// Which database.
    type Home;

    /// Opens the service for these names and passwords.
    async fn open(
        home: &Self::Home,
        side: Side,
        life: Life,
        kitchen: Kitchen,
        users: &[(String, String)],
    ) -> Result<Self, Failure>;

    fn routes(&self) -> Router;

    /// Looks at the connections from outside.
    async fn seen(&self) -> Result<Seen, Failure>;

    /// Closes the pool, and reads the journal.
    async fn audit(&self) -> Result<BTreeMap<Phase, Audit>, Failure>;

    /// Returns what the scope has counted.
    fn scope_counts(&self) -> ScopeCounts;

    /// Returns how many transactions the naive handlers have rolled back.
    fn rolled_back_by_hand(&self) -> u64;

    /// Adds what the service publishes.
    fn publish(&self, publisher: Publisher) -> Publisher;

    /// Closes the connections. What was stored for a comparison is removed, if it is on a server.
    async fn close(self) -> Result<(), Failure>;
}

/// Runs both sides. Returns whether the guarded one kept every promise.
pub(crate) async fn compare<S: Service>(
    home: &S::Home,
    crowd: Crowd,
    svg: Option<&Path>,
    json: bool,
) -> Result<bool, Failure> {
    println!(
        "People: {}. Connections: {CONNECTIONS}. The kitchen fails, hangs and panics, and people hang up.",
        crowd.users
    );
    let naive = conduct::<S>(home, Side::Naive, crowd).await?;
    let guarded = conduct::<S>(home, Side::Guarded(ModeSwitch::new(Mode::Off)), crowd).await?;
    let runs = [naive, guarded];
    let outcomes: Vec<_> = runs.iter().flat_map(SideRun::outcomes).collect();

    println!("{}", report::table(&outcomes));
    println!("What the scope predicted while it observed, and what it did then:");
    println!("{}", predicted::table(&runs[1].scope));
    println!("Connections in use over time, of {CONNECTIONS}:");
    for run in &runs {
        println!("{}", run.picture.sparkline());
    }
    let broken = runs[1].broken_promises();
    if broken.is_empty() {
        println!(
            "guarded: no connection leaked, none waited for in vain, no 500; enforced: no change half-done"
        );
    }
    for promise in broken.iter().take(SHOWN) {
        eprintln!("BROKEN: {promise}");
    }
    if broken.len() > SHOWN {
        eprintln!("BROKEN: and {} more", broken.len() - SHOWN);
    }
    if let Some(path) = svg {
        let [naive, guarded] = &runs;
        plot::draw(&naive.picture, &guarded.picture, &outcomes, path).map_err(|error| error.to_string())?;
        println!("drawn to {}", path.display());
    }
    if json {
        println!("{}", report::json(&outcomes)?);
    }
    Ok(broken.is_empty())
}
