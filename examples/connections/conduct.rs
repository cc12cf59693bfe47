//! One side of the comparison: the service, the people who use it, the switch, and somebody who looks on.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use latchwork::sql::ScopeCounts;
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::compare::{Failure, Life, Seen, Service};
use crate::drive::{Crowd, Now, drive};
use crate::picture::Picture;
use crate::report::{Audit, Outcome, Tally};
use crate::server::{GRACE, Server};
use crate::side::{Phase, Side};
use crate::upstream::Kitchen;

/// How often somebody looks at the connections.
const LOOK: Duration = Duration::from_millis(20);

/// What came of one side.
pub(crate) struct SideRun {
    phases: Vec<(Phase, Tally)>,
    /// When the load was over.
    left: Seen,
    pub(crate) audit: BTreeMap<Phase, Audit>,
    pub(crate) scope: ScopeCounts,
    pub(crate) rolled_back_by_hand: u64,
    pub(crate) picture: Picture,
}

impl SideRun {
    pub(crate) fn outcomes(&self) -> Vec<Outcome> {
        self.with_outcomes().map(|(outcome, _)| outcome).collect()
    }

    fn with_outcomes(&self) -> impl Iterator<Item = (Outcome, &Tally)> {
        let last = self.phases.last().map(|(phase, _)| *phase);
        self.phases.iter().map(move |(phase, tally)| {
            let left = (Some(*phase) == last).then_some(self.left);
            (Outcome::new(self, *phase, tally, left), tally)
        })
    }

    /// Returns the promises of a guarded service that this side broke.
    pub(crate) fn broken_promises(&self) -> Vec<String> {
        let mut broken: Vec<_> =
            self.with_outcomes().flat_map(|(outcome, tally)| outcome.broken_promises(tally)).collect();
        if self.scope.open() > 0 {
            broken.push(format!("{} transactions are counted as open", self.scope.open()));
        }
        if self.scope.not_opened > 0 {
            broken.push(format!("{} transactions could not begin", self.scope.not_opened));
        }
        broken
    }
}

pub(crate) async fn conduct<S: Service>(
    home: &S::Home,
    side: Side,
    crowd: Crowd,
) -> Result<SideRun, Failure> {
    let kitchen = Kitchen::with_seed(crowd.seed);
    let service = S::open(home, side.clone(), Life::Comparison, kitchen, &crowd.people()).await?;
    let run = run(&service, &side, crowd).await;
    // A schema of this run is removed also if the run has failed.
    service.close().await?;
    run
}

async fn run(service: &impl Service, side: &Side, crowd: Crowd) -> Result<SideRun, Failure> {
    let phases = match side {
        Side::Naive => vec![Phase::Naive],
        Side::Guarded(_) => vec![Phase::Off, Phase::Observe, Phase::Enforce],
    };
    let server = Server::start(service.routes(), 0).await?;
    let now = Now::new(phases[0]);
    let people = tokio::spawn(drive(server.url.clone(), crowd, now.clone()));
    let mut picture = look_on(service, side, &phases, crowd, &now).await?;
    now.end();
    let mut tallies = people.await?;
    server.stop().await;
    let left = settle(service, &mut picture).await?;
    let scope = service.scope_counts();
    let rolled_back_by_hand = service.rolled_back_by_hand();
    let audit = service.audit().await?;
    let phases = phases.into_iter().map(|phase| (phase, tallies.take(phase))).collect();
    Ok(SideRun { phases, left, audit, scope, rolled_back_by_hand, picture })
}

/// Looks at the connections while people use the service, and switches to the next mode when its time has come.
async fn look_on(
    service: &impl Service,
    side: &Side,
    phases: &[Phase],
    crowd: Crowd,
    now: &Now,
) -> Result<Picture, Failure> {
    let whole = crowd.each * phases.len() as u32;
    let style = "{prefix:>8} {wide_bar} {msg:>7}, {elapsed}";
    let progress =
        ProgressBar::new(whole.as_millis() as u64).with_style(ProgressStyle::with_template(style)?);
    progress.set_prefix(side.name());
    let mut picture = Picture::new(side.name(), phases, crowd.each);
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let start = Instant::now();
    loop {
        looks.tick().await;
        let at = start.elapsed();
        let nth = at.as_nanos() / crowd.each.as_nanos();
        let Some(phase) = phases.get(nth as usize) else { break };
        if let (Side::Guarded(switch), Some(mode)) = (side, phase.mode()) {
            switch.set(mode);
        }
        now.set(*phase);
        picture.add(at, service.seen().await?.in_use);
        progress.set_message(phase.name());
        progress.set_position(at.as_millis() as u64);
    }
    progress.finish();
    Ok(picture)
}

/// Looks on when the load is over, until nothing is in use, or until that takes too long: connections come back a moment
/// after their requests.
async fn settle(service: &impl Service, picture: &mut Picture) -> Result<Seen, Failure> {
    let start = Instant::now();
    loop {
        let seen = service.seen().await?;
        let elapsed = start.elapsed();
        picture.add_afterwards(elapsed, seen.in_use);
        if seen.is_quiet() && elapsed >= picture.afterwards() || elapsed > GRACE {
            return Ok(seen);
        }
        sleep(LOOK).await;
    }
}
