//! The generator: some 30 ms of waiting for other services, and a choice of meals.

use std::panic;
use std::time::Duration;

use axum::http::StatusCode;
use latchwork::web::Problem;

use crate::input::Fault;

const MEALS: [&str; 9] =
    ["dal", "pilaf", "ramen", "risotto", "shakshuka", "stew", "tacos", "udon", "waffles"];

/// The meals for `days` days, from `position` in the rotation on.
pub(crate) async fn generate(position: i64, days: usize, fault: Fault) -> Result<Vec<String>, Problem> {
    call("what the user likes").await;
    call("what is in season").await;
    if fault.fail {
        return Err(
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR).with_detail("the recipes are out of reach")
        );
    }
    if fault.panic {
        // Unwinds as `panic!` does, but prints nothing into the progress bar.
        panic::resume_unwind(Box::new("asked for"));
    }
    call("what is in stock").await;
    let meals = MEALS.iter().cycle().skip(position as usize % MEALS.len()).take(days);
    Ok(meals.map(|meal| (*meal).to_owned()).collect())
}

/// Another service's answer takes 7 to 13 ms.
async fn call(_question: &str) {
    tokio::time::sleep(Duration::from_micros(fastrand::u64(7_000..13_000))).await;
}
