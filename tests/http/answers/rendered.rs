//! Refusals in the words of the service.

use axum::Router;
use axum::body::Body;
use axum::http::{Method, StatusCode};
use axum::middleware::map_response;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use latchwork::web::{IfMatch, Problem, ProblemKind};
use latchwork::{Busy, KeyedLock};

use super::server::Server;

/// As a service that has a form of its own for errors: XML for all.
async fn render(response: Response) -> Response {
    let Some(problem) = response.extensions().get::<Problem>().cloned() else { return response };
    let (mut parts, _) = response.into_parts();
    parts.headers.insert("content-type", "application/xml".parse().expect("it is visible"));
    let kind = problem.kind().map_or("other", ProblemKind::slug);
    let body = format!("<error kind=\"{kind}\" retry=\"{}\"/>", problem.is_retryable());
    Response::from_parts(parts, Body::from(body))
}

async fn busy() -> Result<(), Busy> {
    let locks = KeyedLock::<u8>::new();
    let _held = locks.try_lock(7)?;
    locks.try_lock(7).map(drop)
}

async fn missing() -> Problem {
    Problem::new(StatusCode::NOT_FOUND)
}

#[tokio::test]
async fn one_renderer_gives_every_refusal_another_body_and_leaves_the_rest() {
    let routes = Router::new()
        .route("/busy", get(busy))
        .route("/missing", get(missing))
        .route("/card", put(async |_: IfMatch| "saved").get(async || "Ada"))
        .route("/plain", get(async || StatusCode::IM_A_TEAPOT.into_response()))
        .layer(map_response(render));
    let server = Server::start(routes).await;
    let table = [
        (Method::GET, "/busy", 409, Some("1"), "<error kind=\"busy\" retry=\"true\"/>"),
        (Method::GET, "/missing", 404, None, "<error kind=\"other\" retry=\"false\"/>"),
        // An extractor's rejection is one as well.
        (Method::PUT, "/card", 428, None, "<error kind=\"precondition-required\" retry=\"false\"/>"),
        (Method::GET, "/card", 200, None, "Ada"),
        (Method::GET, "/plain", 418, None, ""),
    ];
    for (method, path, status, retry_after, body) in table {
        let answer = server.ask(method, path, &[], "").await;
        assert_eq!((answer.status.as_u16(), &answer.body[..]), (status, body.as_bytes()), "{path}");
        assert_eq!(answer.header("retry-after"), retry_after, "{path}");
        let is_refusal = body.starts_with('<');
        assert_eq!(answer.header("content-type") == Some("application/xml"), is_refusal, "{path}");
        assert_eq!(answer.header("cache-control"), is_refusal.then_some("no-store"), "{path}");
    }
}
