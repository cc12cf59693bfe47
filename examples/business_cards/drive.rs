//! The people: several create a card of the same name, edit it in two tabs, look at it, and register.

use std::collections::HashSet;
use std::sync::Arc;

use futures::future::join_all;
use indicatif::ProgressBar;
use latchwork::Semaphore;
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use crate::audit::Ledger;
use crate::client::{Answer, Person, Says};
use crate::report::Tally;

/// How many create a card of the same name at the same time.
const CREATORS: usize = 4;

/// How many create a card of one more name, which is in fashion.
const FANS: usize = 100;

/// How often each of the two tabs edits the card.
const EDITS: usize = 3;

/// How many look at the card at the same time, and how often each of them does.
const VIEWERS: usize = 4;
const LOOKS: usize = 2;

/// How many names are in use at the same time.
const AT_A_TIME: usize = 8;

/// In two tabs an edit can be refused as often as the other tab saves one, and no more.
const REFUSALS: usize = 2 * EDITS + 1;

/// Makes `cards` cards popular at the service at `url`, and counts what people meet with.
pub(crate) async fn drive(url: &str, cards: usize, progress: &ProgressBar) -> Tally {
    let room = Arc::new(Semaphore::new(AT_A_TIME));
    let mut tasks = JoinSet::new();
    for nth in 0..cards {
        let (url, room) = (url.to_owned(), room.clone());
        tasks.spawn(async move {
            let _place = room.acquire().await;
            popular_card(Person::new(&url, nth as u64), nth).await
        });
    }
    let mut total = fashionable_name(Person::new(url, u64::MAX)).await;
    while let Some(tally) = tasks.join_next().await {
        match tally {
            Ok(tally) => total.add(tally),
            Err(panic) => total.broken.push(format!("a person's task panicked: {panic}")),
        }
        progress.inc(1);
    }
    total
}

/// So many cards of one name that short suffixes are drawn twice.
async fn fashionable_name(mut person: Person) -> Tally {
    create_at_once(&mut person, FANS, "Ada Lovelace").await;
    person.tally
}

async fn popular_card(mut person: Person, nth: usize) -> Tally {
    let made = create_at_once(&mut person, CREATORS, &format!("Grace Hopper {nth}")).await;
    let Some(id) = made.first().and_then(|card| card.body["id"].as_i64()) else { return person.tally };

    let both_read = Arc::new(Barrier::new(2));
    let mut crowd = JoinSet::new();
    crowd.spawn(edit(person.other(), id, "a", Says::InTheBody, both_read.clone()));
    crowd.spawn(edit(person.other(), id, "b", Says::ByIfMatch, both_read));
    for _ in 0..VIEWERS {
        crowd.spawn(look(person.other(), id));
    }
    crowd.spawn(register(person.other(), person.other(), format!("user-{nth}")));
    crowd.spawn(hang_up(person.other(), id));
    while let Some(tally) = crowd.join_next().await {
        match tally {
            Ok(tally) => person.tally.add(tally),
            Err(panic) => person.tally.broken.push(format!("a person's task panicked: {panic}")),
        }
    }
    person.tally
}

/// All of them get a card, each with a slug of its own.
async fn create_at_once(person: &mut Person, creators: usize, name: &str) -> Vec<Answer> {
    let creations: Vec<_> = (0..creators).map(|_| create(person.other(), name)).collect();
    let mut cards = Vec::new();
    for (tally, card) in join_all(creations).await {
        person.tally.add(tally);
        cards.extend((card.status == 201).then_some(card));
    }
    let slugs: HashSet<_> = cards.iter().map(|card| card.text("slug")).collect();
    person.check(slugs.len() == creators, || {
        format!("{creators} cards of the name {name} have {} slugs", slugs.len())
    });
    cards
}

async fn create(mut person: Person, name: &str) -> (Tally, Answer) {
    let card = person.create(name).await;
    person.check(card.status == 201, || format!("201 was due for {name}, not {}", card.status));
    (person.tally, card)
}

/// A tab that adds words to the note that it read; when it is refused it reads the note again. Both tabs are
/// open before the first one saves.
async fn edit(mut tab: Person, id: i64, name: &str, says: Says, both_read: Arc<Barrier>) -> Tally {
    let mut ledger = Ledger::default();
    let mut card = tab.read(id).await;
    both_read.wait().await;
    for nth in 0..EDITS {
        let word = format!("{name}{nth}");
        let mut refusals = 0;
        while refusals < REFUSALS {
            let note = format!("{} {word}", card.text("note"));
            let saved = tab.send(tab.edit(&card, &note, says)).await;
            match saved.status {
                200 => {
                    ledger.words.push(word.clone());
                    card = saved;
                    break;
                }
                409 | 412 => {
                    tab.tally.refused_edits += 1;
                    refusals += 1;
                    card = tab.read(id).await;
                }
                other => {
                    tab.check(false, || format!("200, 409 or 412 was due for an edit, not {other}"));
                    break;
                }
            }
        }
        tab.check(refusals < REFUSALS, || format!("edit {word} of card {id} was refused {refusals} times"));
    }
    tab.tally.ledgers.push((id, ledger));
    tab.tally
}

async fn look(mut viewer: Person, id: i64) -> Tally {
    let mut ledger = Ledger::default();
    for _ in 0..LOOKS {
        let seen = viewer.send(viewer.view(id)).await;
        viewer.check(seen.status == 200, || format!("200 was due for a view, not {}", seen.status));
        ledger.views += u64::from(seen.status == 200);
    }
    viewer.tally.ledgers.push((id, ledger));
    viewer.tally
}

/// A double click on "register", and a change of mind afterwards.
async fn register(mut first: Person, mut second: Person, user: String) -> Tally {
    let (one, two) = (first.register(&user, "likes engines"), second.register(&user, "likes engines"));
    let (one, two) = tokio::join!(first.send(one), second.send(two));
    first.tally.add(second.tally);
    let mut statuses = [one.status, two.status];
    statuses.sort_unstable();
    first.check(statuses == [200, 201], || format!("{user} registered twice and got {statuses:?}"));
    let mut created = [&one, &two].map(|answer| answer.body["created"].as_bool());
    created.sort_unstable();
    first.check(created == [Some(false), Some(true)], || format!("created for {user}: {created:?}"));
    let changed = first.send(first.register(&user, "likes poetry")).await;
    first.check(changed.status == 200, || format!("200 was due for {user}'s change, not {}", changed.status));
    first.tally
}

/// Somebody on a train, whose connection breaks at any time.
async fn hang_up(mut person: Person, id: i64) -> Tally {
    let mut ledger = Ledger::default();
    let card = person.read(id).await;
    let note = format!("{} x", card.text("note"));
    match person.send_and_hang_up(person.edit(&card, &note, Says::ByIfMatch)).await {
        Some(200) => ledger.words.push("x".into()),
        Some(_) => {}
        None => ledger.maybe_words.push("x".into()),
    }
    match person.send_and_hang_up(person.view(id)).await {
        Some(200) => ledger.views += 1,
        Some(_) => {}
        None => ledger.maybe_views += 1,
    }
    person.tally.ledgers.push((id, ledger));
    person.tally
}
