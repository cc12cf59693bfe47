//! What Prometheus scrapes. The names are in latchwork's docs, `metrics`; `src/docs/alerts.yml` has rules for them.

use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::header;
use axum::response::Response;
use axum::routing::get;
use latchwork::publish::{BUCKETS, Publisher};
use latchwork::web::{Problem, ProblemKind};
use metrics::{counter, describe_counter};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

use crate::service::App;

const SLUG_FAILURES: &str = "business_cards_slug_failures_total";
const PROBLEMS: &str = "business_cards_problems_total";

/// How often the recorder sorts its times into buckets if nobody scrapes.
const UPKEEP: Duration = Duration::from_secs(10);

/// Installs the recorder. A process has one and can't tell two services of the same names apart in it, so
/// only the one that stays is seen in it: this is called when the comparison is over, and before the locks are made.
pub(crate) fn install() -> Result<PrometheusHandle, BuildError> {
    let seconds = Matcher::Suffix("_seconds".to_owned());
    let recorder = PrometheusBuilder::new().set_buckets_for_metric(seconds, BUCKETS)?.install_recorder()?;
    describe_counter!(SLUG_FAILURES, "Cards that were not made since no slug was free.");
    describe_counter!(PROBLEMS, "Refusals, by type and status.");
    let kept = recorder.clone();
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(UPKEEP).await;
            kept.run_upkeep();
        }
    });
    Ok(recorder)
}

/// `GET /metrics`, with the figures of this service.
pub(crate) fn route(recorder: PrometheusHandle, app: &Arc<App>) -> Router<Arc<App>> {
    let counted = app.clone();
    let publisher = app.policies.publish(Publisher::new().keyed_lock(&app.locks));
    let publisher =
        publisher.source(move || counter!(SLUG_FAILURES).absolute(counted.policies.slug_failures()));
    let publisher = Arc::new(publisher);
    Router::new().route(
        "/metrics",
        get(move || {
            publisher.publish();
            ready(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], recorder.render()))
        }),
    )
}

/// Counts refusals, whoever made them: a handler, an extractor, or a route that is not there.
pub(crate) async fn count_problems(response: Response) -> Response {
    if let Some(problem) = response.extensions().get::<Problem>() {
        let kind = problem.kind().map_or("about:blank", ProblemKind::slug);
        counter!(PROBLEMS, "type" => kind, "status" => problem.status().as_str().to_owned()).increment(1);
    }
    response
}
