//! For those who run the service: its figures, and the switch of its layer. Who can reach it may use it, so it is
//! for the loopback interface only.

use std::collections::BTreeMap;
use std::error::Error;
use std::str::FromStr;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use latchwork::axum::{Mode, Outcome, Problem};
use latchwork::metrics::{BUCKETS, Publisher};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use serde::{Deserialize, Serialize};

use crate::guard::{self, Guard};

/// Installs the recorder of the program: once, and before the locks are made whose times it is to have.
pub(crate) fn recorder() -> Result<PrometheusHandle, BuildError> {
    let seconds = Matcher::Prefix("latchwork_".to_owned());
    PrometheusBuilder::new().set_buckets_for_metric(seconds, &BUCKETS)?.install_recorder()
}

pub(crate) struct Control {
    guard: Arc<Guard>,
    publisher: Publisher,
    scrape: PrometheusHandle,
}

impl Control {
    pub(crate) fn new(guard: &Arc<Guard>, scrape: PrometheusHandle) -> Self {
        let publisher = Publisher::new().locks("users", &guard.locks).layer("plans", guard.counts());
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
    mode: Named,
    requests: BTreeMap<&'static str, u64>,
}

async fn mode(State(control): State<Arc<Control>>) -> Json<Shown> {
    let counts = control.guard.counts();
    let requests = Outcome::ALL.map(|outcome| (outcome.name(), counts.of(outcome)));
    let requests = requests.into_iter().filter(|(_, count)| *count > 0).collect();
    Json(Shown { mode: control.guard.mode.get().into(), requests })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Switch {
    mode: Named,
}

/// Switches it for the requests to come.
async fn set_mode(control: State<Arc<Control>>, body: Bytes) -> Result<Json<Shown>, Problem> {
    let Switch { mode: Named(to) } = serde_json::from_slice(&body).map_err(|error| {
        let detail = format!("the body must be like {{\"mode\": \"observe\"}}: {error}");
        Problem::new(StatusCode::BAD_REQUEST).with_detail(detail)
    })?;
    let from = control.guard.mode.get();
    control.guard.mode.set(to);
    eprintln!("mode: {from:?} -> {to:?}");
    if let Some(observed) = guard::observed(&control.guard.counts()) {
        eprintln!("{observed}");
    }
    Ok(mode(control).await)
}

/// A mode as it is written in arguments and bodies.
#[derive(Clone, Copy, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Named(pub(crate) Mode);

const NAMES: [(&str, Mode); 3] = [("off", Mode::Off), ("observe", Mode::Observe), ("enforce", Mode::Enforce)];

impl FromStr for Named {
    type Err = Box<dyn Error + Send + Sync>;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = NAMES.into_iter().find(|(name, _)| *name == text);
        let (_, mode) = found.ok_or("the modes are off, observe and enforce")?;
        Ok(Self(mode))
    }
}

impl TryFrom<String> for Named {
    type Error = <Self as FromStr>::Err;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Mode> for Named {
    fn from(mode: Mode) -> Self {
        Self(mode)
    }
}

impl From<Named> for String {
    fn from(Named(mode): Named) -> Self {
        let name = NAMES.into_iter().find(|(_, named)| *named == mode);
        name.map_or("unknown", |(name, _)| name).to_owned()
    }
}
