//! For those who run the service: its figures, and the switch of its scope. Everybody who can reach it may use it, so it
//! is for the loopback interface only.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use latchwork::mode::{Mode, ModeSwitch};
use latchwork::publish::{BUCKETS, Publisher};
use latchwork::sql::{Ending, ScopeCounts};
use latchwork::web::Problem;
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use serde::{Deserialize, Serialize};

/// Installs the recorder of the program: once.
pub(crate) fn recorder() -> Result<PrometheusHandle, BuildError> {
    let seconds = Matcher::Suffix("_seconds".to_owned());
    PrometheusBuilder::new().set_buckets_for_metric(seconds, BUCKETS)?.install_recorder()
}

pub(crate) struct Control {
    pub(crate) mode: ModeSwitch,
    pub(crate) counts: Box<dyn Fn() -> ScopeCounts + Send + Sync>,
    pub(crate) publisher: Publisher,
    pub(crate) scrape: PrometheusHandle,
}

impl Control {
    pub(crate) fn routes(self) -> Router {
        Router::new()
            .route("/metrics", get(metrics))
            .route("/mode", get(mode).put(set_mode))
            .with_state(Arc::new(self))
    }
}

async fn metrics(State(control): State<Arc<Control>>) -> impl IntoResponse {
    control.publisher.publish();
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], control.scrape.render())
}

/// The mode, and what the scope has counted since the start.
#[derive(Serialize)]
struct Shown {
    mode: &'static str,
    off: u64,
    would_end: BTreeMap<&'static str, u64>,
    would_repeat: u64,
    ended: BTreeMap<&'static str, u64>,
    repeated: u64,
    open: u64,
}

async fn mode(State(control): State<Arc<Control>>) -> Json<Shown> {
    let counts = (control.counts)();
    let named = |count: fn(&ScopeCounts, Ending) -> u64| {
        let all = Ending::ALL.iter().map(|ending| (ending.name(), count(&counts, *ending)));
        all.filter(|(_, count)| *count > 0).collect()
    };
    Json(Shown {
        mode: control.mode.get().name(),
        off: counts.off,
        would_end: named(|counts, ending| counts.would_end(ending)),
        would_repeat: counts.would_repeat,
        ended: named(|counts, ending| counts.ended(ending)),
        repeated: counts.repeated,
        open: counts.open(),
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Switch {
    mode: String,
}

/// Switches it for the transactions to come.
async fn set_mode(control: State<Arc<Control>>, body: Bytes) -> Result<Json<Shown>, Problem> {
    let bad = |error: &dyn Error| {
        let detail = format!("the body must be like {{\"mode\": \"observe\"}}: {error}");
        Problem::new(StatusCode::BAD_REQUEST).with_detail(detail)
    };
    let Switch { mode: to } = serde_json::from_slice(&body).map_err(|error| bad(&error))?;
    let to: Mode = to.parse().map_err(|error| bad(&error))?;
    let from = control.mode.get();
    control.mode.set(to);
    eprintln!("mode: {from} -> {to}");
    Ok(mode(control).await)
}
