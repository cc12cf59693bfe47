//! [`Statements`]: a [`Batch`] as the text of one message, and its rows as [`Answers`].
//!
//! # One message, one transaction
//!
//! The statements of a message without `begin` are one transaction: one round trip and one commit, whatever is asked.
//! Several small statements take the server half the time of one with many parts, most of which is planning. Each can be
//! sent as text, or prepared before and executed: `plans` chooses. Answers name what they answer by its position in the batch.
//!
//! # No batch waits for a transaction that verifies
//!
//! A transaction that verifies a grant may stay open for long. It locks the row `for key share`.
//!
//! - Takes and passes change the fence. They lock rows `for update skip locked`, so a row under verification is busy.
//! - Renewals and releases leave the fence alone, and `for key share` does not block them.
//!
//! # No batches wait for each other
//!
//! A batch may wait until another batch has committed, in two steps:
//!
//! 1. The insertion of new rows waits for a transaction that writes a row with the same key. It is the first step, and its
//!    keys are sorted: a batch that waits here has written smaller keys and nothing else.
//! 2. Renewals and releases wait for a batch that has locked the same row. They must not skip it, as a renewal without an
//!    answer counts as a loss. Only its holder renews a row, so the other batch is in a later step.
//! 3. All later steps skip rows that are locked, and wait for nothing.
//!
//! So each batch waits for batches that are in a later step, or at a greater key in the first one: no circle can close. The
//! exception is a batch that still runs after its process has lost the connection: it renews the same rows. If the two wait
//! for each other, the server ends one of them.
//!
//! # What a poll costs
//!
//! A take looks before it writes. While others hold all its keys, it writes nothing and has no transaction id. The first
//! poll of a request that waits is the exception: it sets `wanted`.

use std::time::Duration;

use sqlx::Row;
use sqlx::postgres::PgRow;

use super::literal::{Bytes, from_hex, text};
use super::table::{BEGIN, MICROS, Table};
use crate::remote::{Answers, Batch, Busy, Grant, Held, KeyBytes};

/// The id of this transaction. Null if it has written nothing.
const OWN: &str = "pg_current_xact_id_if_assigned()::xid";

/// The statements of one process.
#[derive(Clone, Debug)]
pub(crate) struct Statements {
    pub(super) table: Table,
    /// The number of this process.
    pub(super) holder: i64,
    lease: Duration,
}

/// The statements of a message, in their order.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Insert,
    Renew,
    Release,
    Grant,
    Want,
    Look,
}

/// A part of a batch: its position, its key, and its fence. Fences are greater than zero, so zero says that there is none.
type Part<'a> = (usize, &'a KeyBytes, u64);

/// How a statement names what it is about.
pub(super) struct Terms {
    /// The parts of the batch, as a table `a`.
    pub(super) asked: String,
    pub(super) holder: String,
    /// The length of a lease in microseconds.
    pub(super) lease: String,
}

impl Kind {
    pub(super) const ALL: [Self; 6] =
        [Self::Insert, Self::Renew, Self::Release, Self::Grant, Self::Want, Self::Look];
}

impl Statements {
    pub(crate) fn new(table: Table, holder: i64, lease: Duration) -> Self {
        Self { table, holder, lease }
    }

    pub(super) fn table(&self) -> &Table {
        &self.table
    }

    /// Returns the key that a notification on the table's channel names. `None` if it is not one of ours.
    pub(crate) fn notified(payload: &str) -> Option<KeyBytes> {
        from_hex(payload).map(Into::into)
    }

    /// Returns the message of a batch. Each statement is planned for the parts that it is about.
    pub(super) fn text(&self, batch: &Batch) -> String {
        self.steps(batch).into_iter().fold(self.begin(batch), |sql, (kind, parts)| {
            let rows = list(&parts, |(n, key, fence)| format!("({n}, {}, {fence})", Bytes(key)));
            let terms = Terms {
                asked: format!("(values {rows}) a (n, key, fence)"),
                holder: self.holder.to_string(),
                lease: self.lease.as_micros().to_string(),
            };
            sql + &self.sql(kind, &terms) + "; "
        })
    }

    /// Returns the same message for a connection on which [`sql`](Self::sql) is prepared under these names, with the terms of
    /// [`Terms::parameters`]. Does what stands in `first` before.
    pub(super) fn text_prepared(&self, batch: &Batch, first: &str, name: impl Fn(Kind) -> String) -> String {
        self.steps(batch).into_iter().fold(self.begin(batch) + first, |sql, (kind, parts)| {
            let positions = list(&parts, |(n, ..)| n.to_string());
            let keys = list(&parts, |(_, key, _)| Bytes(key).to_string());
            let fences = list(&parts, |(_, _, fence)| fence.to_string());
            let (holder, lease) = (self.holder, self.lease.as_micros());
            let name = name(kind);
            sql + &format!(
                "execute {name} (array[{positions}], array[{keys}], array[{fences}], {holder}, {lease}); "
            )
        })
    }

    /// What must be done for a batch, and for which of its parts.
    fn steps<'a>(&self, batch: &'a Batch) -> Vec<(Kind, Vec<Part<'a>>)> {
        let Batch { take, pass, renew, release } = batch;
        let grants = |first: usize, held: &'a [Held]| {
            held.iter().enumerate().map(move |(n, held)| (first + n, &held.key, held.fence))
        };
        let takes = || take.iter().enumerate().map(|(n, take)| (n, &take.key, 0));
        let waiting = takes().zip(take).filter(|(_, take)| take.waits).map(|(part, _)| part);
        let keys = || takes().chain(grants(take.len(), pass)).collect();
        let mut steps = vec![
            (Kind::Insert, takes().collect()),
            (Kind::Renew, grants(take.len() + pass.len(), renew).collect()),
            (Kind::Release, grants(take.len() + pass.len() + renew.len(), release).collect()),
            (Kind::Grant, keys()),
            (Kind::Want, waiting.collect()),
            (Kind::Look, keys()),
        ];
        steps.retain(|(_, parts): &(Kind, Vec<Part<'a>>)| !parts.is_empty());
        steps
    }

    pub(super) fn sql(&self, kind: Kind, terms: &Terms) -> String {
        match kind {
            Kind::Insert => self.insert(terms),
            Kind::Renew => self.renew(terms),
            Kind::Release => self.release(terms),
            Kind::Grant => self.grant(terms),
            Kind::Want => self.want(terms),
            Kind::Look => self.look(terms),
        }
    }

    /// Settings of the transaction. Those of the role do not matter: its time limits are meant for other statements. A batch
    /// that takes longer than a lease is worth nothing.
    fn begin(&self, batch: &Batch) -> String {
        let Batch { take, pass, renew, .. } = batch;
        // If a crash of the server undoes a release, the lease ends by itself. But a grant must survive.
        let only_releases = take.is_empty() && pass.is_empty() && renew.is_empty();
        let commit = if only_releases { "off" } else { "on" };
        let limit = self.lease.as_millis().clamp(1, i32::MAX.unsigned_abs().into());
        format!(
            "{BEGIN}set local synchronous_commit = {commit}; set local statement_timeout = {limit}; \
             set local lock_timeout = 0; "
        )
    }

    /// Takes keys that have no row.
    fn insert(&self, terms: &Terms) -> String {
        let (table, until) = (&self.table, terms.until());
        let Terms { asked, holder, .. } = terms;
        format!(
            "insert into {table} (key, fence, holder, expires) select a.key, {MICROS}, {holder}, {until} \
             from {asked} where not exists (select from {table} l where l.key = a.key) \
             order by a.key on conflict do nothing"
        )
    }

    fn renew(&self, terms: &Terms) -> String {
        let (table, until) = (&self.table, terms.until());
        let Terms { asked, holder, .. } = terms;
        format!(
            "update {table} l set expires = {until} from {asked} \
             where l.key = a.key and l.fence = a.fence and l.holder = {holder} \
             returning a.n, l.fence, l.wanted, null::bigint"
        )
    }

    /// Leaves `wanted` as it is, because an update returns the row as it is afterwards. The next grant resets it.
    fn release(&self, terms: &Terms) -> String {
        let table = &self.table;
        let Terms { asked, holder, .. } = terms;
        let channel = text(table.channel());
        format!(
            "update {table} l set holder = null, expires = clock_timestamp() from {asked} \
             where l.key = a.key and l.fence = a.fence and l.holder = {holder} \
             returning a.n, l.fence, l.wanted, null::bigint, \
             case when l.wanted then pg_notify({channel}, encode(l.key, 'hex')) end"
        )
    }

    /// Takes keys that are free, and passes keys on. A take also gets a key that this process holds: then the answer to an
    /// earlier take was lost. But it leaves rows that this transaction has inserted.
    ///
    /// The rows are locked before they are changed, as an update alone waits for locked rows. The time is read after that,
    /// so it is later than the release before.
    fn grant(&self, terms: &Terms) -> String {
        let (table, until) = (&self.table, terms.until());
        let Terms { asked, holder, .. } = terms;
        format!(
            "with free as (select a.fence > 0 as is_pass, l.key from {asked} join {table} l on l.key = a.key \
             where case when a.fence > 0 then l.holder = {holder} and l.fence = a.fence \
             else l.holder is null or l.expires <= clock_timestamp() \
             or (l.holder = {holder} and l.xmin is distinct from {OWN}) end \
             order by l.key for update of l skip locked) \
             update {table} l set fence = greatest(l.fence + 1, {MICROS}), holder = {holder}, \
             expires = {until}, wanted = free.is_pass and l.wanted from free where l.key = free.key"
        )
    }

    /// Tells the holders of busy keys that another process waits.
    fn want(&self, terms: &Terms) -> String {
        let table = &self.table;
        let Terms { asked, holder, .. } = terms;
        format!(
            "with held as (select l.key from {asked} join {table} l on l.key = a.key \
             where not l.wanted and l.holder <> {holder} and l.expires > clock_timestamp() \
             order by l.key for no key update of l skip locked) \
             update {table} l set wanted = true from held where l.key = held.key"
        )
    }

    /// Reads what became of takes and passes: the fence of a grant, or the rest of another holder's lease.
    ///
    /// A key is granted if this process holds it and this transaction has written its row. There is no line for a pass whose
    /// grant is gone. If another transaction has locked the row, the key is busy, and no rest is known.
    fn look(&self, terms: &Terms) -> String {
        let table = &self.table;
        let Terms { asked, holder, .. } = terms;
        format!(
            "select a.n, case when l.holder = {holder} and l.xmin = {OWN} then l.fence end, \
             coalesce(l.wanted, false), case when l.holder <> {holder} and l.expires > clock_timestamp() \
             and isfinite(l.expires) then ceil(extract(epoch from l.expires - clock_timestamp()) * 1000)::bigint end \
             from {asked} left join {table} l on l.key = a.key \
             where a.fence = 0 or (l.holder = {holder} and (l.fence = a.fence or l.xmin = {OWN}))"
        )
    }

    pub(super) fn answers(&self, batch: &Batch, rows: &[PgRow]) -> Result<Answers, sqlx::Error> {
        let unknown =
            || sqlx::Error::Protocol("an answer to a batch of leases fits none of its parts".to_owned());
        let Batch { take, pass, renew, release } = batch;
        let asked: Vec<Asked<'_>> = take
            .iter()
            .map(|take| Asked::Key(&take.key))
            .chain(pass.iter().map(|held| Asked::Key(&held.key)))
            .chain(renew.iter().map(Asked::Renewal))
            .chain(release.iter().map(Asked::Release))
            .collect();

        let mut answers = Answers::default();
        for row in rows {
            let n = usize::try_from(row.try_get::<i32, _>(0)?).map_err(|_| unknown())?;
            let fence = match row.try_get::<Option<i64>, _>(1)? {
                // Only a hand has written it.
                Some(..=0) => return Err(unknown()),
                fence => fence.map(i64::unsigned_abs),
            };
            let is_wanted = row.try_get(2)?;
            let rest = row.try_get::<Option<i64>, _>(3)?;
            match (asked.get(n).ok_or_else(unknown)?, fence) {
                (&Asked::Key(key), Some(fence)) => {
                    answers.granted.push(Grant { held: Held { key: key.clone(), fence }, is_wanted });
                }
                (&Asked::Key(key), None) => {
                    // Never negative, but for a lease that ends between two looks at the clock.
                    let rest = rest.map(|millis| Duration::from_millis(millis.max(0).unsigned_abs()));
                    answers.busy.push(Busy { key: key.clone(), rest: rest.unwrap_or(self.lease) });
                }
                (&Asked::Renewal(held), _) => answers.renewed.push(Grant { held: held.clone(), is_wanted }),
                (&Asked::Release(held), _) => answers.released.push(held.clone()),
            }
        }
        Ok(answers)
    }
}

impl Terms {
    /// The types of [`parameters`](Self::parameters).
    pub(super) const TYPES: &str = "int[], bytea[], bigint[], bigint, bigint";

    /// The terms of a prepared statement.
    pub(super) fn parameters() -> Self {
        Self {
            asked: "unnest($1, $2, $3) a (n, key, fence)".to_owned(),
            holder: "$4".to_owned(),
            lease: "$5".to_owned(),
        }
    }

    /// When a lease ends that begins now.
    fn until(&self) -> String {
        format!("clock_timestamp() + {} * interval '1 microsecond'", self.lease)
    }
}

/// A part of a batch, by what an answer to it means.
enum Asked<'a> {
    /// A take or a pass.
    Key(&'a KeyBytes),
    Renewal(&'a Held),
    Release(&'a Held),
}

fn list(parts: &[Part<'_>], item: impl Fn(Part<'_>) -> String) -> String {
    parts.iter().map(|part| item(*part)).collect::<Vec<_>>().join(", ")
}
