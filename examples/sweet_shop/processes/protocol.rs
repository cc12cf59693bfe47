//! What the parent and a worker say to each other: one JSON object a line, over stdin and stdout.

use std::io::{self, Write};

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, BufReader, Lines, Stdin};

use crate::compare::Failure;

/// What the parent says. When it closes the pipe, the worker ends.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) enum Instruction {
    /// Open the shop.
    Sell,
    /// Let all customers go, buy one piece of this sweet, and pause before the write.
    PauseIn { sweet: i64 },
    /// Write.
    GoOn,
}

/// What a worker says.
#[derive(Serialize, Deserialize)]
pub(crate) enum Notice {
    Ready,
    /// A change is stored, and the customer knows.
    Changed {
        change: Change,
        /// The number of the grant, if it comes from the database.
        fence: Option<u64>,
        micros: u64,
    },
    SoldOut,
    Paused {
        fence: Option<u64>,
    },
    /// The write came too late: another process had been granted the sweet.
    Refused,
    Failed {
        error: String,
    },
    /// The last one.
    Ended {
        grants: u64,
        batches: u64,
    },
}

#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) enum Change {
    Purchase { sweet: i64, pieces: i64 },
    Delivery { sweet: i64 },
}

impl Change {
    pub(crate) fn sweet(self) -> i64 {
        let (Self::Purchase { sweet, .. } | Self::Delivery { sweet }) = self;
        sweet
    }
}

impl Notice {
    /// A parent that is gone has closed the other pipe, too, and so ends this worker.
    pub(crate) fn say(&self) {
        let line = serde_json::to_string(self).expect("it has only numbers and texts");
        writeln!(io::stdout(), "{line}").ok();
    }
}

/// Reads the instructions of the parent.
pub(crate) struct Instructions(Lines<BufReader<Stdin>>);

impl Instructions {
    pub(crate) fn from_stdin() -> Self {
        Self(BufReader::new(tokio::io::stdin()).lines())
    }

    /// Returns `None` when the parent has closed the pipe.
    pub(crate) async fn next(&mut self) -> Result<Option<Instruction>, Failure> {
        let line = self.0.next_line().await?;
        Ok(line.map(|line| serde_json::from_str(&line)).transpose()?)
    }
}
