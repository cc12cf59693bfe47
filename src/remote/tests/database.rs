//! A database in memory, with the semantics of the statements.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::super::{Answers, Batch, Busy, Grant, Held, KeyBytes};

/// A time on some clock, in microseconds.
pub(super) type Micros = i64;

#[derive(Clone, Debug, Default)]
pub(super) struct Row {
    pub(super) fence: u64,
    pub(super) holder: Option<usize>,
    /// By the clock of the database.
    pub(super) expires: Micros,
    pub(super) wanted: bool,
    /// A transaction has verified the key and is open: the number cannot change.
    pub(super) is_verified: bool,
    /// Passes in a row while another process waited.
    pub(super) passes: u32,
}

#[derive(Debug)]
pub(super) struct Database {
    pub(super) rows: BTreeMap<KeyBytes, Row>,
    /// Grants whose lease ends too early, as the clock was stepped forward since it was last renewed.
    pub(super) shortened: BTreeSet<(KeyBytes, u64)>,
    lease: Micros,
    /// What its clock shows when the time of the world is zero.
    ahead: Micros,
}

impl Database {
    pub(super) fn new(lease: Duration) -> Self {
        Self { rows: BTreeMap::new(), shortened: BTreeSet::new(), lease: micros(lease), ahead: 1_000_000_000 }
    }

    pub(super) fn clock(&self, now: Duration) -> Micros {
        micros(now) + self.ahead
    }

    /// Leases that last end too early after a step forward, and too late after one backward.
    pub(super) fn step_clock(&mut self, by: Micros) {
        self.ahead += by;
        if by > 0 {
            self.shortened.extend(self.rows.iter().map(|(key, row)| (key.clone(), row.fence)));
        }
    }

    /// Executes a batch of the holder. Returns the answers, and the keys that others are notified of.
    pub(super) fn execute(
        &mut self,
        now: Duration,
        holder: usize,
        batch: &Batch,
    ) -> (Answers, BTreeSet<KeyBytes>) {
        let clock = self.clock(now);
        let expires = clock + self.lease;
        let mut answers = Answers::default();
        let mut notified = BTreeSet::new();
        for held in &batch.release {
            let Some(row) = self.row_of(holder, held) else { continue };
            (row.holder, row.expires) = (None, Micros::MIN);
            if row.wanted {
                notified.insert(held.key.clone());
            }
            answers.released.push(held.clone());
        }
        for held in &batch.renew {
            let Some(row) = self.row_of(holder, held) else { continue };
            row.expires = expires;
            answers.renewed.push(Grant { held: held.clone(), is_wanted: row.wanted });
            self.shortened.remove(&(held.key.clone(), held.fence));
        }
        for held in &batch.pass {
            let Some(row) = self.row_of(holder, held).filter(|row| !row.is_verified) else { continue };
            row.passes = if row.wanted { row.passes + 1 } else { 0 };
            row.grant(holder, clock, expires);
            answers.granted.push(row.granted(&held.key));
        }
        for take in &batch.take {
            let row = self.rows.entry(take.key.clone()).or_default();
            let is_free = row.holder == Some(holder) || row.holder.is_none() || row.expires <= clock;
            if is_free && !row.is_verified {
                (row.wanted, row.passes) = (false, 0);
                row.grant(holder, clock, expires);
                answers.granted.push(row.granted(&take.key));
            } else {
                row.wanted |= take.waits;
                let rest = u64::try_from(row.expires.saturating_sub(clock)).unwrap_or_default();
                answers.busy.push(Busy { key: take.key.clone(), rest: Duration::from_micros(rest) });
            }
        }
        (answers, notified)
    }

    /// The row, if this grant is still valid. Its end alone does not make it invalid, a later grant does.
    fn row_of(&mut self, holder: usize, held: &Held) -> Option<&mut Row> {
        let row = self.rows.get_mut(&held.key)?;
        (row.holder == Some(holder) && row.fence == held.fence).then_some(row)
    }
}

impl Row {
    pub(super) fn is_live(&self, clock: Micros) -> bool {
        self.holder.is_some() && self.expires > clock
    }

    fn grant(&mut self, holder: usize, clock: Micros, expires: Micros) {
        self.fence = (self.fence + 1).max(u64::try_from(clock).unwrap_or_default());
        (self.holder, self.expires) = (Some(holder), expires);
    }

    fn granted(&self, key: &KeyBytes) -> Grant {
        Grant { held: Held { key: key.clone(), fence: self.fence }, is_wanted: self.wanted }
    }
}

pub(super) fn micros(time: Duration) -> Micros {
    Micros::try_from(time.as_micros()).expect("tests are short")
}
