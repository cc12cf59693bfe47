//! What the file says when everybody has gone home, against what people were told.
//!
//! - Two cards with one slug: each beyond the first is a **duplicate slug**.
//! - Each edit adds a word of its own to the note that it read, so each word whose edit was answered with 200
//!   has to be in the note at the end. One that is not is a **lost update**; so is each view that was
//!   answered with 200 beyond those counted.
//! - Who hangs up is not told what became of the edit or view: these may be there or not.

use std::collections::BTreeMap;

use crate::report::Tally;
use crate::store::Store;

/// What somebody was told about a card.
#[derive(Default)]
pub(crate) struct Ledger {
    /// Words whose edits were answered with 200.
    pub(crate) words: Vec<String>,
    /// Words whose edits were not answered.
    pub(crate) maybe_words: Vec<String>,
    /// Views that were answered with 200.
    pub(crate) views: u64,
    /// Views that were not answered.
    pub(crate) maybe_views: u64,
}

pub(crate) struct Audit {
    pub(crate) duplicate_slugs: u64,
    pub(crate) lost_updates: u64,
    /// What else is wrong.
    pub(crate) broken: Vec<String>,
}

pub(crate) async fn audit(store: &Store, tally: &Tally) -> sqlx::Result<Audit> {
    let duplicates = "SELECT count(*) - count(DISTINCT slug) FROM cards";
    let duplicate_slugs = sqlx::query_scalar(duplicates).fetch_one(&store.readers).await?;
    let mut audit = Audit { duplicate_slugs, lost_updates: 0, broken: Vec::new() };

    let mut told = BTreeMap::<i64, Ledger>::new();
    for (id, ledger) in &tally.ledgers {
        let card = told.entry(*id).or_default();
        card.words.extend_from_slice(&ledger.words);
        card.maybe_words.extend_from_slice(&ledger.maybe_words);
        card.views += ledger.views;
        card.maybe_views += ledger.maybe_views;
    }
    for (id, told) in told {
        match (store.card(id).await?, store.views(id).await?) {
            (Some(card), Some(views)) => {
                audit.words(&told, id, &card.note, card.version.get());
                audit.views(&told, id, u64::try_from(views.views).unwrap_or_default());
            }
            _ => audit.broken.push(format!("card {id} is gone")),
        }
    }
    Ok(audit)
}

impl Audit {
    fn words(&mut self, told: &Ledger, id: i64, note: &str, version: u64) {
        let there: Vec<_> = note.split_whitespace().collect();
        let lost = told.words.iter().filter(|word| !there.contains(&word.as_str())).count();
        self.lost_updates += lost as u64;
        let known = |word: &str| told.words.iter().chain(&told.maybe_words).any(|known| known == word);
        // Every edit adds one word and makes one version.
        if there.len() as u64 + 1 != version || !there.iter().all(|word| known(word)) {
            self.broken.push(format!("card {id} has come to version {version} with the note {note:?}"));
        }
    }

    fn views(&mut self, told: &Ledger, id: i64, counted: u64) {
        self.lost_updates += told.views.saturating_sub(counted);
        if counted > told.views + told.maybe_views {
            self.broken.push(format!("card {id} has {counted} views, more than there were"));
        }
    }
}
