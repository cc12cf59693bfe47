//! Subscribers that panic at an event of a transaction.

use std::panic::{AssertUnwindSafe, catch_unwind};

use latchwork::sql::{Ending, Scope};
use sqlx::query_scalar;
use tokio::runtime::Builder;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

use super::pool;

/// Panics at each event of this crate.
struct Panics;

impl<S: tracing::Subscriber> Layer<S> for Panics {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        assert_ne!(event.metadata().target(), "latchwork::sql", "on purpose");
    }
}

#[test]
fn a_subscriber_that_panics_leaves_no_transaction_and_aborts_nothing() {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime starts");
    let pool = runtime.block_on(pool(1));
    let scope = Scope::new(pool.clone());
    let with_subscriber = |f: &dyn Fn()| {
        let subscriber = tracing_subscriber::registry().with(Panics);
        catch_unwind(AssertUnwindSafe(|| tracing::subscriber::with_default(subscriber, f)))
    };

    // At its beginning.
    let begun = with_subscriber(&|| drop(runtime.block_on(scope.begin())));
    assert!(begun.is_err());
    // At its end, and at its end while the handler unwinds: a second panic would abort the process.
    for panics in [false, true] {
        let tx = runtime.block_on(scope.begin()).expect("it opens");
        let tx = std::cell::Cell::new(Some(tx));
        let ended = with_subscriber(&|| {
            let _tx = tx.take();
            assert!(!panics, "the handler panics");
        });
        assert!(ended.is_err());
    }
    let counts = scope.stats().counts();
    assert_eq!((counts.opened, counts.open(), counts.ended(Ending::Panicked)), (3, 0, 2));
    // Its only connection works, and is in no transaction.
    let one: i64 = runtime.block_on(query_scalar("select 1").fetch_one(&pool)).expect("the connection works");
    assert_eq!(one, 1);
    drop(runtime.block_on(scope.begin()).expect("it opens"));
}
