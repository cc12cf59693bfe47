//! Runs one operation, named, so many times: what `.ci/budgets` counts the instructions of.
//!
//! `instructions --list` prints the names, those of peers with the name of ours before a slash. `instructions NAME
//! COUNT` makes the operation so often. Two runs with different counts have the same start, so the difference of their
//! instructions is that of their operations, with the loop around them: three or four instructions.
//!
//! Nothing here may differ from run to run: see [`seed`].

mod keys;
#[allow(dead_code, reason = "others use all of it")]
#[path = "../locks/peers.rs"]
mod lock_peers;
mod locks;
#[allow(dead_code, reason = "others use all of it")]
#[path = "../keys/peers.rs"]
mod peers;
mod seed;
mod values;
#[allow(dead_code, reason = "others use all of it")]
#[path = "../retry/work.rs"]
mod work;

use std::hint::black_box;
use std::process::exit;

use futures::executor::block_on;

/// A name, and what makes the operation so many times.
type Operation = (&'static str, fn(u64));

/// How often each is made to see that it works.
const SMOKE: u64 = 100;

fn main() {
    seed::fix();
    let operations = [locks::OPERATIONS, keys::OPERATIONS, values::OPERATIONS].concat();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [list] if list == "--list" => operations.iter().for_each(|(name, _)| println!("{name}")),
        [name, count] if !name.starts_with('-') => {
            let operation = operations.iter().find(|operation| operation.0 == name);
            let (Some((_, run)), Ok(count)) = (operation, count.parse()) else {
                eprintln!("there is no operation {name}, or {count} is no number");
                exit(2);
            };
            run(count);
        }
        _ => operations.iter().for_each(|(_, run)| run(SMOKE)),
    }
}

/// Operations on a thread.
#[inline]
fn on_thread<R>(count: u64, mut operation: impl FnMut(u64) -> R) {
    for turn in 0..count {
        black_box(&operation(black_box(turn)));
    }
}

/// Operations in a task, which is polled once.
#[inline]
fn in_task<R>(count: u64, mut operation: impl AsyncFnMut(u64) -> R) {
    block_on(async {
        for turn in 0..count {
            black_box(&operation(black_box(turn)).await);
        }
    });
}
