//! The people: customers who register, search and buy, and admins who restock.

use std::sync::Arc;
use std::time::Duration;

use indicatif::ProgressBar;
use latchwork::Semaphore;
use tokio::task::{JoinError, JoinSet};

use crate::audit::DELIVERY;
use crate::client::Person;
use crate::report::Tally;

/// How many customers are there at the same time.
const AT_A_TIME: usize = 100;

/// How often each of them buys.
const PURCHASES: usize = 10;

/// How many pieces they buy at most.
const MOST: i64 = 3;

/// Sweets that are gone soon: nobody restocks them.
const SCARCE: [(i64, &str); 3] = [(1, "violet"), (2, "nougat"), (3, "CARAMEL")];

/// Sweets of which there is always enough: the first delivery comes before the customers.
const RESTOCKED: [(i64, &str); 2] = [(4, "fudge"), (5, "liquorice")];

/// How many admins restock each of these at the same time, and how often.
const ADMINS: usize = 2;
const RESTOCKS: usize = 20;

/// The longest pause between two deliveries.
const PAUSE: Duration = Duration::from_millis(60);

/// One customer of this number is on a train, where connections break.
const TRAVELLERS: usize = 10;

/// Who comes.
#[derive(Clone, Copy)]
pub(crate) struct Crowd {
    pub(crate) users: usize,
    pub(crate) seed: u64,
}

impl Crowd {
    /// Returns how many pieces of each sweet there are at first: fewer than the customers ask for, if nobody restocks.
    pub(crate) fn stock(self) -> i64 {
        self.users as i64
    }
}

/// Sends the crowd to the service at `url`, and counts what it meets with.
pub(crate) async fn drive(url: &str, admin: &str, crowd: Crowd, progress: &ProgressBar) -> Tally {
    let mut seeds = fastrand::Rng::with_seed(crowd.seed);
    let mut person = || Person::new(url, seeds.u64(..));
    let mut total = favourite_name(person(), crowd.users.min(AT_A_TIME)).await;

    let mut admin = || person().with_token(admin.to_owned());
    for (sweet, _) in RESTOCKED {
        let mut first = admin();
        deliver(&mut first, sweet).await;
        total.add(first.tally);
    }
    let room = Arc::new(Semaphore::new(AT_A_TIME));
    let (mut admins, mut customers) = (JoinSet::new(), JoinSet::new());
    for (sweet, _) in RESTOCKED {
        for _ in 0..ADMINS {
            admins.spawn(restock(admin(), sweet));
        }
    }
    for nth in 0..crowd.users {
        let (customer, room) = (person(), room.clone());
        customers.spawn(async move {
            let _place = room.acquire().await;
            shop(customer, nth).await
        });
    }
    while let Some(done) = customers.join_next().await {
        add(&mut total, done);
        progress.inc(1);
    }
    while let Some(done) = admins.join_next().await {
        add(&mut total, done);
    }
    total
}

fn add(total: &mut Tally, done: Result<Tally, JoinError>) {
    match done {
        Ok(tally) => total.add(tally),
        Err(panic) => total.broken.push(format!("a person's task panicked: {panic}")),
    }
}

/// Many want one name at the same time. One gets it, the others learn that it is taken.
async fn favourite_name(mut person: Person, fans: usize) -> Tally {
    let answers = person.register("ada", fans).await;
    let with = |status| answers.iter().filter(|answer| answer.status == status).count();
    let (created, taken) = (with(201), with(409));
    person.check((created, taken) == (1, fans - 1), || {
        format!("{fans} wanted one name: {created} got it, {taken} learned that it is taken")
    });
    person.tally
}

async fn shop(mut customer: Person, nth: usize) -> Tally {
    let Some(token) = register(&mut customer, &format!("customer-{nth}")).await else {
        return customer.tally;
    };
    let mut customer = customer.with_token(token);
    for _ in 0..PURCHASES {
        let is_scarce = customer.rng.bool();
        let (sweet, name) = if is_scarce {
            SCARCE[customer.rng.usize(..SCARCE.len())]
        } else {
            RESTOCKED[customer.rng.usize(..RESTOCKED.len())]
        };
        let found = customer.send(customer.search(name)).await;
        customer.check(found.body[0]["id"] == sweet, || format!("a search for {name} found {}", found.body));
        let quantity = customer.rng.i64(1..=MOST);
        buy(&mut customer, sweet, quantity, is_scarce, nth.is_multiple_of(TRAVELLERS)).await;
    }
    customer.tally
}

/// A double click on "register": one request registers, the other learns that the name is taken. Returns the token.
async fn register(customer: &mut Person, name: &str) -> Option<String> {
    let answers = customer.register(name, 2).await;
    let mut statuses: Vec<_> = answers.iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    customer.check(statuses == [201, 409], || format!("{name} registered twice and got {statuses:?}"));
    let token = answers.iter().find_map(|answer| answer.body["token"].as_str().map(str::to_owned));
    customer.check(token.is_some(), || format!("{name} has no token"));
    token
}

async fn buy(customer: &mut Person, sweet: i64, quantity: i64, is_scarce: bool, is_travelling: bool) {
    let request = customer.purchase(sweet, quantity);
    let answer = if is_travelling {
        customer.send_and_hang_up(request).await
    } else {
        Some(customer.send(request).await)
    };
    if let Some(answer) = answer.as_ref().filter(|answer| answer.status == 200) {
        customer.tally.took(answer.took);
    }
    let told = customer.tally.told.entry(sweet).or_default();
    match answer.map(|answer| answer.status) {
        Some(200) => told.sold += quantity,
        Some(400) => {
            customer.tally.sold_out += 1;
            customer.check(is_scarce, || format!("sweet {sweet} was sold out"));
        }
        // An error of the server, or a connection that broke, says nothing about the stock.
        None | Some(0 | 500..) => told.maybe_sold += quantity,
        Some(other) => customer.check(false, || format!("200 or 400 was due for a purchase, not {other}")),
    }
}

async fn restock(mut admin: Person, sweet: i64) -> Tally {
    for _ in 0..RESTOCKS {
        admin.pause(PAUSE).await;
        deliver(&mut admin, sweet).await;
    }
    admin.tally
}

async fn deliver(admin: &mut Person, sweet: i64) {
    let answer = admin.send(admin.restock(sweet, DELIVERY)).await;
    admin.check(answer.status == 200, || format!("200 was due for a delivery, not {}", answer.status));
    let told = admin.tally.told.entry(sweet).or_default();
    if answer.status == 200 {
        told.restocks += 1;
        admin.tally.took(answer.took);
    } else {
        told.maybe_restocks += 1;
    }
}
