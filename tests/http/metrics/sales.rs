//! A scope of transactions over a database in memory.

use std::cell::Cell;
use std::io;
use std::time::Duration;

use latchwork::RetryPolicy;
use latchwork::layer::{Mode, ModeSwitch};
use latchwork::sql::{Scope, transaction_verdict};
use sqlx::sqlite::SqlitePoolOptions;
use sqlx::{Error, Sqlite};
use tokio::runtime::{Builder, Runtime};

pub(crate) struct Sales {
    pub(crate) scope: Scope<Sqlite>,
    mode: ModeSwitch,
    runtime: Runtime,
}

impl Sales {
    pub(crate) fn new() -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime starts");
        let mode = ModeSwitch::default();
        let pool = runtime.block_on(async {
            let options =
                SqlitePoolOptions::new().max_connections(1).acquire_timeout(Duration::from_secs(60));
            options.connect("sqlite::memory:").await.expect("it opens")
        });
        Self { scope: Scope::new(pool).name("sales").mode(&mode), mode, runtime }
    }

    /// A sale that is made again this many times.
    pub(crate) fn sell(&self, repeats: u32) {
        let policy = RetryPolicy::new().base_delay(Duration::ZERO).classify_with(transaction_verdict);
        let left = Cell::new(repeats);
        let sale = self.scope.run(&policy, async |_| match left.get() {
            0 => Ok(()),
            more => {
                left.set(more - 1);
                Err(Error::Io(io::Error::from(io::ErrorKind::ConnectionReset)))
            }
        });
        self.runtime.block_on(sale).expect("the last attempt succeeds");
    }

    /// A handler that returns an error.
    pub(crate) fn abandon(&self) {
        drop(self.runtime.block_on(self.scope.begin()).expect("a connection is free"));
    }

    /// A handler for which no connection is free.
    pub(crate) fn starve(&self) {
        self.runtime.block_on(async {
            let _only = self.scope.begin().await.expect("a connection is free");
            tokio::time::pause();
            assert!(self.scope.begin().await.is_err());
            tokio::time::resume();
        });
    }

    /// A handler that passes without a transaction.
    pub(crate) fn pass(&self, mode: Mode) {
        self.mode.set(mode);
        self.abandon();
        self.mode.set(Mode::Enforce);
    }
}
