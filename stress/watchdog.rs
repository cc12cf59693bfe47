//! Notices that nobody gets on, and says what each waits for.

use std::io::{Write, stderr};
use std::process::abort;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::world::{How, Op};

/// Without any progress for so long, something is stuck.
const PATIENCE: Duration = Duration::from_secs(60);

/// What one actor does now, written by it and read by the watchdog.
#[derive(Debug, Default)]
struct Cell {
    /// Zero, or one more than the code of what it waits for.
    waits_for: AtomicU64,
    done: AtomicU64,
}

/// An actor's end of its cell.
#[derive(Clone, Debug)]
pub(crate) struct Post {
    cells: Arc<[Cell]>,
    number: usize,
}

impl Post {
    pub(crate) fn waits(&self, op: Op, how: How) {
        self.cells[self.number].waits_for.store(1 + encode(op, how), Ordering::Relaxed);
    }

    pub(crate) fn goes_on(&self) {
        let cell = &self.cells[self.number];
        cell.waits_for.store(0, Ordering::Relaxed);
        cell.done.fetch_add(1, Ordering::Relaxed);
    }
}

#[derive(Debug)]
pub(crate) struct Watchdog {
    cells: Arc<[Cell]>,
    over: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Watchdog {
    pub(crate) fn start(actors: usize) -> Self {
        let cells: Arc<[Cell]> = (0..actors).map(|_| Cell::default()).collect();
        let over = Arc::new(AtomicBool::new(false));
        let test = thread::current().name().unwrap_or_default().to_owned();
        let thread = thread::spawn({
            let (cells, over) = (cells.clone(), over.clone());
            move || watch(&test, &cells, &over)
        });
        Self { cells, over, thread }
    }

    pub(crate) fn post(&self, number: usize) -> Post {
        Post { cells: self.cells.clone(), number }
    }

    /// How many operations were finished by all.
    pub(crate) fn progress(&self) -> u64 {
        progress(&self.cells)
    }

    pub(crate) fn stop(self) {
        self.over.store(true, Ordering::Relaxed);
        self.thread.thread().unpark();
        self.thread.join().expect("the watchdog does not panic");
    }
}

fn progress(cells: &[Cell]) -> u64 {
    cells.iter().map(|cell| cell.done.load(Ordering::Relaxed)).sum()
}

fn watch(test: &str, cells: &[Cell], over: &AtomicBool) {
    const LOOK: Duration = Duration::from_secs(1);
    let (mut seen, mut still) = (0, Duration::ZERO);
    while !over.load(Ordering::Relaxed) {
        thread::park_timeout(LOOK);
        let now = progress(cells);
        still = if now == seen { still + LOOK } else { Duration::ZERO };
        seen = now;
        if still >= PATIENCE {
            // Not by `eprintln!`, which a test's thread keeps to itself until the end.
            let _ = stderr().write_all(report(test, cells, seen).as_bytes());
            abort();
        }
    }
}

fn report(test: &str, cells: &[Cell], seen: u64) -> String {
    let mut lines = format!("{test}: no progress for {PATIENCE:?}, after {seen} operations:\n");
    for (number, cell) in cells.iter().enumerate() {
        let done = cell.done.load(Ordering::Relaxed);
        let waits_for = cell.waits_for.load(Ordering::Relaxed).checked_sub(1).map(decode);
        lines += &match waits_for {
            Some((op, how)) => format!("actor {number} ({done} done) waits: {op:?}, {how:?}\n"),
            None => format!("actor {number} ({done} done) does not wait\n"),
        };
    }
    lines
}

/// Both in one number, so that they are written in one step.
fn encode(op: Op, how: How) -> u64 {
    (op.code() as u64) << 32 | u64::from(how.code())
}

fn decode(code: u64) -> (Op, How) {
    (Op::from_code((code >> 32) as usize), How::from_code(code as u32))
}
