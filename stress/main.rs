//! Everything at once for a few seconds: threads and tasks on the same locks, with cancels, timeouts,
//! panics and guards that travel; then every count must be exact and every table empty.
//!
//! `LATCHWORK_STRESS=10` does ten times as much. A watchdog names who is stuck, and aborts.

mod actors;
mod flights;
mod plain;
mod versions;
mod watchdog;
mod world;

use std::env;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread;

use tokio::runtime::{Builder, Runtime};

use crate::actors::{Actor, Held};
use crate::flights::Airfield;
use crate::versions::Desk;
use crate::watchdog::Watchdog;
use crate::world::{Menu, World};

/// Operations, in multiples of what the environment asks for; debug builds do less.
fn times(count: usize) -> usize {
    let factor = env::var("LATCHWORK_STRESS").ok().and_then(|text| text.parse().ok()).unwrap_or(1.0);
    let factor = if cfg!(debug_assertions) { factor / 8.0 } else { factor };
    (count as f64 * factor) as usize
}

fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_time().build().expect("a runtime starts")
}

/// Lets threads and tasks loose on a world, and looks at what they leave behind.
fn run(menu: Menu, threads: usize, tasks: usize, rounds: usize) {
    let world = Arc::new(World::new());
    let watchdog = Watchdog::start(threads + tasks);
    let runtime = runtime();
    // Guards that are sent here are dropped on another thread.
    let (send, receive) = channel::<Held>();
    let dropper = thread::spawn(move || receive.into_iter().for_each(drop));
    let actor = |number: usize| {
        Actor::new(world.clone(), menu, watchdog.post(number), send.clone(), number as u64 + 1)
    };
    let tasks: Vec<_> =
        (0..tasks).map(|number| runtime.spawn(actor(number + threads).run_as_task(rounds))).collect();
    let threads: Vec<_> = (0..threads)
        .map(|number| {
            let actor = actor(number);
            thread::spawn(move || actor.run_as_thread(rounds))
        })
        .collect();
    for thread in threads {
        thread.join().expect("no thread fails");
    }
    for task in tasks {
        runtime.block_on(task).expect("no task fails");
    }
    drop(send);
    dropper.join().expect("it drops what it gets");
    watchdog.stop();
    world.check();
}

#[test]
fn threads_and_tasks_on_everything() {
    run(Menu::All, 3, 12, times(100_000));
}

#[test]
fn a_mutex_that_all_want() {
    run(Menu::Mutex, 4, 8, times(60_000));
}

#[test]
fn readers_and_writers() {
    run(Menu::RwLock, 2, 8, times(80_000));
}

#[test]
fn permits_by_the_handful() {
    run(Menu::Semaphore, 2, 8, times(80_000));
}

#[test]
fn keys_one_and_many() {
    run(Menu::Keys, 3, 12, times(60_000));
}

#[test]
fn runtimes_that_shut_down_with_waiters_queued() {
    let world = Arc::new(World::new());
    let rounds = times(300);
    let watchdog = Watchdog::start(9);
    let (send, receive) = channel::<Held>();
    let dropper = thread::spawn(move || receive.into_iter().for_each(drop));
    let outside: Vec<_> = (0..2)
        .map(|number| {
            let actor =
                Actor::new(world.clone(), Menu::All, watchdog.post(number), send.clone(), number as u64);
            thread::spawn(move || actor.run_as_thread(rounds * 100))
        })
        .collect();
    for round in 0..rounds {
        let runtime = runtime();
        for number in 2..9 {
            let seed = (round * 10 + number) as u64;
            let actor = Actor::new(world.clone(), Menu::All, watchdog.post(number), send.clone(), seed);
            runtime.spawn(actor.run_as_task(usize::MAX));
        }
        // Each runtime lives until its tasks have done something.
        let before = watchdog.progress();
        while watchdog.progress() < before + 200 {
            thread::yield_now();
        }
        drop(runtime);
    }
    for thread in outside {
        thread.join().expect("no thread fails");
    }
    drop(send);
    dropper.join().expect("it drops what it gets");
    watchdog.stop();
    world.check();
}

#[test]
fn writers_followers_and_those_who_give_up() {
    let (tasks, rounds) = (12, times(8_000));
    let (desk, watchdog, runtime) = (Arc::new(Desk::default()), Watchdog::start(16), runtime());
    let followers: Vec<_> =
        (0..2).map(|number| runtime.spawn(desk.clone().follow(watchdog.post(number)))).collect();
    let on_threads: Vec<_> = (2..4)
        .map(|number| {
            let (desk, post) = (desk.clone(), watchdog.post(number));
            thread::spawn(move || desk.follow_on_thread(&post))
        })
        .collect();
    let writers: Vec<_> = (4..4 + tasks)
        .map(|number| runtime.spawn(desk.clone().work(rounds, number as u64, watchdog.post(number))))
        .collect();
    for writer in writers {
        runtime.block_on(writer).expect("no writer fails");
    }
    desk.check();
    desk.end();
    for follower in followers {
        runtime.block_on(follower).expect("no follower fails");
    }
    for follower in on_threads {
        follower.join().expect("no follower fails");
    }
    watchdog.stop();
}

#[test]
fn leaders_that_go_and_those_who_joined_them() {
    let (threads, tasks, rounds) = (3, 12, times(20_000));
    let (field, watchdog, runtime) = (Arc::new(Airfield::default()), Watchdog::start(15), runtime());
    let on_threads: Vec<_> = (0..threads)
        .map(|number| {
            let (field, post) = (field.clone(), watchdog.post(number));
            thread::spawn(move || field.fly_on_thread(rounds, number as u64, &post))
        })
        .collect();
    let tasks: Vec<_> = (threads..threads + tasks)
        .map(|number| runtime.spawn(field.clone().fly(rounds, number as u64, watchdog.post(number))))
        .collect();
    for task in tasks {
        runtime.block_on(task).expect("no task fails");
    }
    for thread in on_threads {
        thread.join().expect("no thread fails");
    }
    watchdog.stop();
    field.check();
}
