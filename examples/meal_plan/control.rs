//! For those who run the service: its figures, and the switch of its layer. Who can reach it may use it, so it is
//! for the loopback interface only.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use latchwork::publish::{BUCKETS, Publisher};
use latchwork::{
    layer::{Mode, Outcome},
    web::Problem,
};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use serde::{Deserialize, Serialize};

use crate::guard::{self, Guard};

/// Installs the recorder of the program: once, and before the locks are made whose times it is to have.
pub(crate) fn recorder() -> Result<PrometheusHandle, BuildError> {
    let seconds = Matcher::Prefix("latchwork_".to_owned());
    PrometheusBuilder::new().set_buckets_for_metric(seconds, BUCKETS)?.install_recorder()
}

pub(crate) struct Control {
    guard: Arc<Guard>,
    publisher: Publisher,
    scrape: PrometheusHandle,
}

impl Control {
    pub(crate) fn new(guard: &Arc<Guard>, scrape: PrometheusHandle) -> Self {
        let publisher = Publisher::new().keyed_lock(&guard.local).keyed_lock_layer(&guard.layer);
        Self { guard: guard.clone(), publisher, scrape }
    }

    pub(crate) fn routes(self) -> Router {
        Router::new()
            .route("/metrics", get(metrics))
            .route("/mode", get(mode).put(set_mode))
            .with_state(Arc::new(self))
    }
}

async fn metrics(State(control): State<Arc<Control>>) -> String {
    control.publisher.publish();
    control.scrape.render()
}

/// The mode, and how many requests were treated in which way since the start.
#[derive(Serialize)]
struct Shown {
    mode: &'static str,
    requests: BTreeMap<&'static str, u64>,
}

async fn mode(State(control): State<Arc<Control>>) -> Json<Shown> {
    let counts = control.guard.counts();
    let requests = Outcome::ALL.iter().map(|outcome| (outcome.name(), counts.of(*outcome)));
    let requests = requests.filter(|(_, count)| *count > 0).collect();
    Json(Shown { mode: control.guard.mode.get().name(), requests })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Switch {
    mode: String,
}

/// Switches it for the requests to come.
async fn set_mode(control: State<Arc<Control>>, body: Bytes) -> Result<Json<Shown>, Problem> {
    let bad = |error: &dyn Error| {
        let detail = format!("the body must be like {{\"mode\": \"observe\"}}: {error}");
        Problem::new(StatusCode::BAD_REQUEST).with_detail(detail)
    };
    let Switch { mode: to } = serde_json::from_slice(&body).map_err(|error| bad(&error))?;
    let to: Mode = to.parse().map_err(|error| bad(&error))?;
    let from = control.guard.mode.get();
    control.guard.mode.set(to);
    eprintln!("mode: {from} -> {to}");
    if let Some(observed) = guard::observed(&control.guard.counts()) {
        eprintln!("{observed}");
    }
    Ok(mode(control).await)
}
