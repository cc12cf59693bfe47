//! The kitchen: another service, which mostly answers, and sometimes fails, hangs or panics.

use std::future::pending;
use std::ops::Range;
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::http::StatusCode;
use fastrand::Rng;
use futures::FutureExt;
use latchwork::web::Problem;
use serde::Deserialize;

/// How the kitchen answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Trouble {
    None,
    Fail,
    Hang,
    /// There is a bug in the kitchen's client.
    Panic,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum KitchenError {
    #[error("the kitchen is closed")]
    Failed,
    #[error("the kitchen does not answer")]
    TimedOut,
    #[error("the kitchen's answer can't be read")]
    Panicked,
}

impl From<KitchenError> for Problem {
    fn from(error: KitchenError) -> Self {
        let status = match error {
            KitchenError::Failed | KitchenError::Panicked => StatusCode::BAD_GATEWAY,
            KitchenError::TimedOut => StatusCode::GATEWAY_TIMEOUT,
        };
        Self::new(status).with_detail(error.to_string())
    }
}

/// How many microseconds an answer takes.
const ANSWER: Range<u64> = 4_000..12_000;

/// How long a careful caller waits for an answer.
const PATIENCE: Duration = Duration::from_millis(250);

pub(crate) struct Kitchen {
    rng: Mutex<Rng>,
    /// Nothing goes wrong unless it is asked for.
    is_reliable: bool,
}

impl Kitchen {
    pub(crate) fn reliable() -> Self {
        Self { rng: Mutex::new(Rng::new()), is_reliable: true }
    }

    /// A kitchen in which one of 20 questions goes wrong.
    pub(crate) fn with_seed(seed: u64) -> Self {
        Self { rng: Mutex::new(Rng::with_seed(seed)), is_reliable: false }
    }

    /// Asks what there is today for somebody who likes `dish`. The caller can ask for trouble, to see what happens.
    pub(crate) async fn cook(&self, dish: &str, trouble: Option<Trouble>) -> Result<String, KitchenError> {
        let (answer, chance) = {
            let mut rng = self.rng.lock().unwrap_or_else(PoisonError::into_inner);
            (Duration::from_micros(rng.u64(ANSWER)), rng.u32(0..60))
        };
        let trouble = trouble.unwrap_or(match chance {
            _ if self.is_reliable => Trouble::None,
            0 => Trouble::Fail,
            1 => Trouble::Hang,
            2 => Trouble::Panic,
            _ => Trouble::None,
        });
        tokio::time::sleep(answer).await;
        match trouble {
            Trouble::None => Ok(format!("{dish} of the day")),
            Trouble::Fail => Err(KitchenError::Failed),
            Trouble::Hang => pending().await,
            // Unwinds as `panic!` does, but prints nothing into the progress bar.
            Trouble::Panic => panic::resume_unwind(Box::new("a bug of the client")),
        }
    }

    /// Asks, and waits for a limited time. A panic counts as a failure of the kitchen.
    pub(crate) async fn cook_carefully(
        &self,
        dish: &str,
        trouble: Option<Trouble>,
    ) -> Result<String, KitchenError> {
        let answer = AssertUnwindSafe(self.cook(dish, trouble)).catch_unwind();
        match tokio::time::timeout(PATIENCE, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(KitchenError::Panicked),
            Err(_) => Err(KitchenError::TimedOut),
        }
    }
}
