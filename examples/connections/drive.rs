//! The people: they log in, look at their menu and set preferences until it is over.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;

use crate::client::Person;
use crate::report::Tallies;
use crate::side::Phase;

/// How many milliseconds people wait before a request.
const PAUSE: Range<u64> = 20..100;

const DISHES: [&str; 3] = ["dal", "ramen", "risotto"];

/// Who comes, and how long they stay in each phase.
#[derive(Clone, Copy)]
pub(crate) struct Crowd {
    pub(crate) users: usize,
    pub(crate) seed: u64,
    pub(crate) each: Duration,
}

impl Crowd {
    /// Returns the names and passwords.
    pub(crate) fn people(self) -> Vec<(String, String)> {
        (0..self.users).map(|nth| (format!("user-{nth}"), format!("secret-{nth}"))).collect()
    }
}

/// What is compared now, and whether it is over. It is a handle.
#[derive(Clone)]
pub(crate) struct Now(Arc<(AtomicUsize, AtomicBool)>);

impl Now {
    pub(crate) fn new(phase: Phase) -> Self {
        Self(Arc::new((AtomicUsize::new(phase as usize), AtomicBool::new(false))))
    }

    pub(crate) fn phase(&self) -> Phase {
        Phase::ALL[self.0.0.load(Ordering::Acquire)]
    }

    /// Starts a phase. The service must be in it already, so that no request of the phase is served as before.
    pub(crate) fn set(&self, phase: Phase) {
        self.0.0.store(phase as usize, Ordering::Release);
    }

    pub(crate) fn end(&self) {
        self.0.1.store(true, Ordering::Release);
    }

    fn is_over(&self) -> bool {
        self.0.1.load(Ordering::Acquire)
    }
}

/// Sends the crowd to the service at `url` until it is over, and counts what it meets with.
pub(crate) async fn drive(url: String, crowd: Crowd, now: Now) -> Tallies {
    let mut seeds = fastrand::Rng::with_seed(crowd.seed);
    let mut people = JoinSet::new();
    for (nth, who) in crowd.people().into_iter().enumerate() {
        let person = Person::new(&url, who, seeds.u64(..), now.clone());
        // They come one after the other, during the first third of the first phase.
        let delay = crowd.each.mul_f64(nth as f64 / (3 * crowd.users) as f64);
        people.spawn(async move {
            tokio::time::sleep(delay).await;
            stay(person).await
        });
    }
    let mut total = Tallies::default();
    while let Some(tallies) = people.join_next().await {
        match tallies {
            Ok(tallies) => total.add(tallies),
            Err(panic) => total.of(now.phase()).broken.push(format!("a person's task panicked: {panic}")),
        }
    }
    total
}

async fn stay(mut person: Person) -> Tallies {
    while !person.now.is_over() {
        tokio::time::sleep(Duration::from_millis(person.rng.u64(PAUSE))).await;
        match person.rng.u32(0..10) {
            _ if person.token.is_empty() => login(&mut person).await,
            0 => login(&mut person).await,
            1..4 => set_preferences(&mut person).await,
            _ => menu(&mut person).await,
        }
    }
    person.tallies
}

/// One of four mistypes the password.
async fn login(person: &mut Person) {
    if person.rng.u32(0..4) == 0 {
        let request = person.login("a typo");
        person.send(request, &[401]).await;
        return;
    }
    let request = person.login(&person.password);
    let answer = person.send(request, &[200]).await;
    if let Some(token) = answer.as_ref().and_then(|answer| answer.body["token"].as_str()) {
        token.clone_into(&mut person.token);
    }
}

/// One of eight wants something that the kitchen does not cook.
async fn set_preferences(person: &mut Person) {
    let is_known = person.rng.u32(0..8) > 0;
    let dish = if is_known { DISHES[person.rng.usize(..DISHES.len())] } else { "unobtainium" };
    let request = person.set_preferences(dish);
    person.send(request, if is_known { &[200] } else { &[422] }).await;
}

/// One of six clicks twice. Without transactions, the second click can get the number of the first.
async fn menu(person: &mut Person) {
    let kitchen = [200, 502, 504];
    if person.rng.u32(0..6) > 0 {
        let request = person.menu();
        person.send(request, &kitchen).await;
        return;
    }
    let requests = [person.menu(), person.menu()];
    let expected: &[u16] =
        if person.now.phase() == Phase::Enforce { &kitchen } else { &[200, 409, 502, 504] };
    person.double_click(requests, expected).await;
}
