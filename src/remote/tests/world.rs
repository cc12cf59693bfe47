//! Several processes on one database, and what must always be true.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::time::{Duration, Instant};

use super::super::{Batch, Held, KeyBytes, Machine, Rules, Ticket};
use super::database::{Database, Micros};
use super::process::{Process, User, Wire};

pub(super) const MILLISECOND: Duration = Duration::from_millis(1);

pub(super) fn rules() -> Rules {
    Rules {
        lease: 900 * MILLISECOND,
        interval: 40 * MILLISECOND,
        longest_pause: 300 * MILLISECOND,
        passes: 3,
        patience: 100 * MILLISECOND,
        batch: 20,
    }
}

pub(super) fn key(number: usize) -> KeyBytes {
    KeyBytes::from([u8::try_from(number).expect("few keys")])
}

#[derive(Debug)]
pub(super) struct World {
    start: Instant,
    pub(super) now: Duration,
    pub(super) database: Database,
    pub(super) processes: Vec<Process>,
    /// Batches that were given up, and may be executed at any time. With their holder.
    late: Vec<(usize, Batch)>,
    /// The number of each key's last grant.
    fences: BTreeMap<KeyBytes, u64>,
    seed: u64,
    next_ticket: u64,
    next_holder: usize,
    pub(super) notifies: bool,
    stepped_back: Micros,
}

impl World {
    pub(super) fn new(processes: usize, seed: u64) -> Self {
        let mut world = Self {
            start: Instant::now(),
            now: Duration::ZERO,
            database: Database::new(rules().lease),
            processes: Vec::new(),
            late: Vec::new(),
            fences: BTreeMap::new(),
            seed,
            next_ticket: 0,
            next_holder: 0,
            notifies: true,
            stepped_back: 0,
        };
        for _ in 0..processes {
            let process = world.process();
            world.processes.push(process);
        }
        for at in 0..processes {
            world.connect(at);
        }
        world
    }

    fn process(&mut self) -> Process {
        self.next_holder += 1;
        self.seed = self.seed.wrapping_add(1);
        // Some have room for one key in a batch.
        let batch = 1 + self.next_holder % 3;
        Process::new(self.next_holder, Machine::new(self.time(), Rules { batch, ..rules() }, self.seed))
    }

    pub(super) fn time(&self) -> Instant {
        self.start + self.now
    }

    // What users do. Each does nothing if the key's user cannot do that now.

    pub(super) fn ask(&mut self, at: usize, key: KeyBytes, waits: bool) {
        let now = self.time();
        let process = &mut self.processes[at];
        if !process.users.contains_key(&key) {
            self.next_ticket += 1;
            let ticket = Ticket(self.next_ticket);
            process.users.insert(key.clone(), User::Asks { ticket, waits });
            process.machine.ask(now, ticket, key, waits);
        }
    }

    pub(super) fn withdraw(&mut self, at: usize, key: &KeyBytes) {
        let now = self.time();
        let process = &mut self.processes[at];
        // It may have the key already: the dropped future and the answer have crossed.
        if let Some(User::Asks { ticket, .. } | User::Holds { ticket, .. }) = process.users.get(key) {
            process.machine.withdraw(now, *ticket);
            process.users.remove(key);
        }
    }

    pub(super) fn release(&mut self, at: usize, key: &KeyBytes, next: bool) {
        let now = self.time();
        let process = &mut self.processes[at];
        if let Some(User::Holds { held, .. } | User::Lost { held }) = process.users.get(key).cloned() {
            process.run(now);
            process.users.remove(key);
            process.releases.insert((key.clone(), held.fence));
            process.machine.release(now, &held, next);
        }
    }

    // What the network and the machines do.

    /// The sent batch is executed.
    pub(super) fn execute(&mut self, at: usize) {
        let process = &mut self.processes[at];
        let Wire::Sent(batch) = &mut process.wire else { return };
        let (batch, holder) = (mem::take(batch), process.holder);
        let (answers, notified) = self.database.execute(self.now, holder, &batch);
        self.processes[at].wire = Wire::Answered(answers);
        self.executed(&notified);
    }

    /// The answer arrives.
    pub(super) fn deliver(&mut self, at: usize) {
        let now = self.time();
        let process = &mut self.processes[at];
        if !process.is_stopped && matches!(process.wire, Wire::Answered(_)) {
            let Wire::Answered(answers) = mem::replace(&mut process.wire, Wire::Idle) else { return };
            process.machine.answered(now, answers);
        }
    }

    /// The connection is lost, and with it what is on the network. A batch may be executed later.
    pub(super) fn cut(&mut self, at: usize, executed_late: bool) {
        let now = self.time();
        let process = &mut self.processes[at];
        if process.is_stopped {
            return;
        }
        let wire = mem::replace(&mut process.wire, Wire::Cut);
        process.machine.disconnected(now);
        if let (Wire::Sent(batch), true) = (wire, executed_late) {
            let holder = process.holder;
            self.late.push((holder, batch));
        }
    }

    pub(super) fn connect(&mut self, at: usize) {
        let now = self.time();
        let process = &mut self.processes[at];
        if !process.is_stopped && matches!(process.wire, Wire::Cut) {
            process.wire = Wire::Idle;
            process.machine.connected(now);
        }
    }

    /// A batch that was given up is executed.
    pub(super) fn execute_late(&mut self, which: usize) {
        if self.late.is_empty() {
            return;
        }
        let (holder, batch) = self.late.remove(which % self.late.len());
        if let Some(process) = self.processes.iter_mut().find(|process| process.holder == holder) {
            process.strayed.extend(batch.take.iter().map(|take| take.key.clone()));
            process.strayed.extend(batch.pass.iter().map(|held| held.key.clone()));
        }
        let (_, notified) = self.database.execute(self.now, holder, &batch);
        self.executed(&notified);
    }

    pub(super) fn step_clock(&mut self, by: Micros) {
        self.stepped_back += -by.min(0);
        self.database.step_clock(by);
        if by > 0 {
            // The row may have a later number than its holder knows, from a batch that was given up.
            let held = self.processes.iter().flat_map(|process| process.holders(self.start + self.now));
            self.database.shortened.extend(held.map(|held| (held.key.clone(), held.fence)));
        }
    }

    /// The process is killed, and another one begins.
    pub(super) fn crash(&mut self, at: usize) {
        self.processes[at] = self.process();
        self.connect(at);
    }

    pub(super) fn shut_down(&mut self, at: usize, leave: bool) {
        let now = self.time();
        let process = &mut self.processes[at];
        if process.is_stopped || process.is_closed {
            return;
        }
        process.run(now);
        process.is_closed = true;
        process.machine.shut_down(now, leave);
        if leave {
            // Its task ends here, and nothing will be answered.
            process.wire = Wire::Cut;
            process.machine.disconnected(now);
        }
    }

    /// Time passes, and processes that are not stopped do what is due meanwhile.
    pub(super) fn pass_time(&mut self, by: Duration) {
        let end = self.now + by;
        self.settle();
        while let Some(next) = self.next_wake().filter(|at| *at <= end) {
            self.now = next;
            self.settle();
        }
        self.now = end;
        self.settle();
    }

    /// The next time at which a process must run, or a lease ends.
    fn next_wake(&self) -> Option<Duration> {
        let running = self.processes.iter().filter(|process| !process.is_stopped);
        let wakes = running.filter_map(|process| process.machine.wake_at()).map(|at| at - self.start);
        let clock = self.database.clock(self.now);
        let live = self.database.rows.values().filter(|row| row.is_live(clock));
        let ends = live.map(|row| self.now + Duration::from_micros((row.expires - clock).unsigned_abs()));
        // Whole microseconds, as the database counts them.
        let whole =
            |at: Duration| Duration::from_micros(at.as_nanos().div_ceil(1000).try_into().expect("soon"));
        wakes.chain(ends).map(whole).min()
    }

    fn executed(&mut self, notified: &BTreeSet<KeyBytes>) {
        for (key, row) in &self.database.rows {
            let last = self.fences.insert(key.clone(), row.fence);
            assert!(last.is_none_or(|last| last <= row.fence), "numbers never fall");
            assert!(row.passes <= rules().passes, "other processes have their turn: {row:?}");
        }
        let now = self.time();
        for process in &mut self.processes {
            if self.notifies && !process.is_stopped && !matches!(process.wire, Wire::Cut) {
                notified.iter().for_each(|key| process.machine.woken(now, key));
            }
        }
    }

    /// Lets all processes run, and checks what must always be true.
    pub(super) fn settle(&mut self) {
        let now = self.time();
        for process in &mut self.processes {
            process.run(now);
        }
        let clock = self.database.clock(self.now);
        let shortened = &self.database.shortened;
        let mut holders: BTreeMap<KeyBytes, u64> = BTreeMap::new();
        for process in &self.processes {
            // A lease that a step of the clock has shortened may have ended, and another process may have the row since.
            let lasting = |held: &&Held| !shortened.contains(&(held.key.clone(), held.fence));
            for held in process.holders(now).filter(lasting) {
                let row = &self.database.rows[&held.key];
                let is_own = row.holder == Some(process.holder) && row.is_live(clock);
                assert!(is_own, "{held:?} is held, and its row is not: {row:?}");
                let is_same = row.fence == held.fence || process.strayed.contains(&held.key);
                assert!(is_same, "{held:?} is held, and its row has another number: {row:?}");
                let other = holders.insert(held.key.clone(), held.fence);
                assert!(other.is_none(), "two processes hold the key: {held:?}, {other:?}");
            }
        }
    }

    // How a program ends.

    /// The network works, and time passes. `act` is what users do at each moment. Ends early if `act` returns `false`.
    pub(super) fn run_well(&mut self, by: Duration, mut act: impl FnMut(&mut Self) -> bool) {
        let end = self.now + by;
        for _ in 0..100_000 {
            self.settle();
            if !act(self) || self.now >= end {
                return;
            }
            self.settle();
            let is_busy = |process: &Process| matches!(process.wire, Wire::Sent(_) | Wire::Answered(_));
            if self.processes.iter().any(is_busy) {
                self.pass_time(MILLISECOND);
                (0..self.processes.len()).for_each(|at| self.deliver(at));
                (0..self.processes.len()).for_each(|at| self.execute(at));
            } else {
                self.now = self.next_wake().map_or(end, |at| at.min(end));
            }
        }
        panic!("the processes never rest: {self:#?}");
    }

    /// From now on nothing fails. All that holders and waiting requests were promised must become true.
    pub(super) fn finish(&mut self) {
        for at in 0..self.processes.len() {
            self.processes[at].is_stopped = false;
            self.connect(at);
        }
        self.database.rows.values_mut().for_each(|row| row.is_verified = false);
        self.notifies = false;
        self.settle();

        // Renewals keep a lease for ever.
        let keepers = self.keepers();
        self.run_well(3 * rules().lease, |_| true);
        for (at, held) in &keepers {
            assert!(self.processes[*at].holds(self.time(), held), "{held:?} was not renewed");
        }

        // All requests are granted, as holders release.
        let longest = 10 * rules().lease + Duration::from_micros(self.stepped_back.unsigned_abs());
        self.run_well(longest, |world| {
            for at in 0..world.processes.len() {
                let keys: Vec<_> = world.processes[at].users.keys().cloned().collect();
                keys.iter().for_each(|key| world.release(at, key, false));
            }
            world.processes.iter().any(|process| !process.users.is_empty())
        });
        for process in &self.processes {
            assert!(process.users.is_empty(), "requests wait, and no user holds the key: {self:#?}");
        }

        // Nothing is left: in the processes soon, in the database when leases have ended.
        self.run_well(rules().lease / 3, |_| true);
        for (at, held) in &keepers {
            assert!(self.processes[*at].confirmed.contains(held), "{held:?} was held until its release");
        }
        for process in &self.processes {
            assert!(process.machine.is_empty(), "something is kept: {process:#?}");
            assert!(process.releases.is_empty(), "a release has no answer: {process:#?}");
            assert_eq!(process.machine.is_done(), process.is_closed, "{process:#?}");
        }
        self.pass_time(rules().lease + Duration::from_micros(self.stepped_back.unsigned_abs()));
        let clock = self.database.clock(self.now);
        assert!(!self.database.rows.values().any(|row| row.is_live(clock)), "a row is held: {self:#?}");
    }

    /// Holders that have enough time left to renew, as no step of the clock has shortened it.
    fn keepers(&self) -> Vec<(usize, Held)> {
        let soon = 100 * MILLISECOND;
        let clock = self.database.clock(self.now + soon);
        let mut keepers = Vec::new();
        for (at, process) in self.processes.iter().enumerate().filter(|(_, process)| !process.is_closed) {
            for held in process.holders(self.time() + soon) {
                let row = &self.database.rows[&held.key];
                let is_shortened = self.database.shortened.contains(&(held.key.clone(), held.fence));
                let is_own = row.holder == Some(process.holder) && row.fence == held.fence;
                if is_own && row.is_live(clock) && !is_shortened {
                    keepers.push((at, held.clone()));
                }
            }
        }
        keepers
    }
}
