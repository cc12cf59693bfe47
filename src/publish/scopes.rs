//! What scopes of transactions publish.

use metrics::{counter, gauge};
use sqlx::Database;

use super::names::*;
use super::publisher::Publisher;
use crate::sql::{Ending, Scope};

impl Publisher {
    /// Publishes the counters of a scope, with the label `scope` and the scope's name. Needs the feature `sqlx`.
    ///
    /// # Panics
    ///
    /// If the name is published already.
    ///
    /// # Examples
    ///
    /// ```
    /// use latchwork::{publish::Publisher, sql::Scope};
    /// use sqlx::sqlite::SqlitePoolOptions;
    ///
    /// # latchwork::__example!(in real time, async {
    /// let pool = SqlitePoolOptions::new().connect_lazy("sqlite::memory:")?;
    /// let sales = Scope::new(pool).name("sales");
    /// Publisher::new().scope(&sales).publish();
    /// # });
    /// ```
    #[must_use]
    #[track_caller]
    pub fn scope<DB: Database>(self, scope: &Scope<DB>) -> Self {
        let (name, stats) = (scope.label(), scope.stats());
        self.named(SCOPE, name, "Scope::name(..)").source(move || {
            let counts = stats.counts();
            counter!(SCOPE_OPENED, SCOPE => name).absolute(counts.opened);
            counter!(SCOPE_NOT_OPENED, SCOPE => name).absolute(counts.not_opened);
            counter!(SCOPE_CANCELLED, SCOPE => name).absolute(counts.cancelled);
            counter!(SCOPE_REPEATED, SCOPE => name).absolute(counts.repeated);
            gauge!(SCOPE_OPEN, SCOPE => name).set(counts.open() as f64);
            counter!(SCOPE_OFF, SCOPE => name).absolute(counts.off);
            counter!(SCOPE_WOULD_REPEAT, SCOPE => name).absolute(counts.would_repeat);
            for &ending in Ending::ALL {
                let word = ending.name();
                counter!(SCOPE_ENDED, SCOPE => name, ENDING => word).absolute(counts.ended(ending));
                counter!(SCOPE_WOULD_END, SCOPE => name, ENDING => word).absolute(counts.would_end(ending));
            }
        })
    }
}
