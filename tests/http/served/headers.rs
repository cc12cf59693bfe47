//! What stands around a shared answer on the wire.

use std::io;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderName, Method, Response, StatusCode};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use futures::stream;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use latchwork::Stamp;
use latchwork::layer::CoalesceLayer;
use latchwork::web::Tagged;

use super::client::{Line, Trunk};
use super::server::{ByPath, by_path, layer, run, serve};
use crate::layer::service::locks;

type Pages = CoalesceLayer<String, ByPath>;

fn pages() -> Pages {
    CoalesceLayer::new(by_path as ByPath)
}

/// A body in two frames, whose length is not known, and trailers if there are any.
fn soup(headers: &[(&'static str, &'static str)], trailers: Option<HeaderMap>) -> Response<Body> {
    let data = ["so", "up"].map(|text| io::Result::Ok(Frame::data(Bytes::from(text))));
    let trailers = trailers.map(|trailers| Ok(Frame::trailers(trailers)));
    let mut answer =
        Response::new(Body::new(StreamBody::new(stream::iter(data.into_iter().chain(trailers)))));
    for (name, value) in headers {
        answer.headers_mut().append(*name, value.parse().unwrap());
    }
    answer
}

#[test]
fn an_answer_with_the_headers_of_another_connection_arrives_whole_and_without_them() {
    run(async {
        let copied = [
            ("connection", "keep-alive, x-hop"),
            ("connection", "x-skip"),
            ("keep-alive", "timeout=5"),
            ("proxy-authenticate", "Basic"),
            ("proxy-authentication-info", "x"),
            ("proxy-connection", "keep-alive"),
            ("te", "trailers"),
            ("trailer", "x-sum"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("x-hop", "1"),
            ("x-kept", "1"),
            ("x-skip", "1"),
        ];
        let app = Router::new().route("/soup", get(async move || soup(&copied, None))).layer(pages());
        let served = serve(app).await;
        let mut line = Line::open(served.addr).await;
        for _ in 0..2 {
            line.write("GET /soup HTTP/1.1\r\nhost: here\r\n\r\n").await;
            let (head, fields) = line.fields().await.unwrap();
            assert_eq!(head, "HTTP/1.1 200 OK");
            let mut names: Vec<_> = fields.iter().map(|(name, _)| name.as_str()).collect();
            names.sort_unstable();
            assert_eq!(names, ["content-length", "date", "x-kept"]);
            assert_eq!(line.read(4).await.unwrap(), "soup");
        }
    });
}

#[test]
fn trailers_of_a_shared_answer_reach_clients_of_both_protocols() {
    run(async {
        let name = HeaderName::from_static("x-sum");
        let cook = async move || {
            let trailers = HeaderMap::from_iter([(name.clone(), "77".parse().unwrap())]);
            soup(&[("trailer", "x-sum")], Some(trailers))
        };
        let served = serve(Router::new().route("/soup", get(cook)).layer(pages())).await;
        let mut line = Line::open(served.addr).await;
        line.write("GET /soup HTTP/1.1\r\nhost: here\r\nte: trailers\r\n\r\n").await;
        let (_, fields) = line.fields().await.unwrap();
        assert!(fields.contains(&("transfer-encoding".into(), "chunked".into())), "{fields:?}");
        let expected = "4\r\nsoup\r\n0\r\nx-sum: 77\r\n\r\n";
        assert_eq!(line.read(expected.len()).await.unwrap(), expected);

        let answer = Trunk::open(served.addr).await.response(Method::GET, "/soup", &[]).await;
        let body = answer.into_body().collect().await.unwrap();
        assert_eq!(body.trailers().unwrap()["x-sum"], "77");
        assert_eq!(body.to_bytes(), "soup");
    });
}

#[test]
fn an_answer_that_has_no_body_has_no_length() {
    run(async {
        let tagged = async || Tagged::new(Stamp::MIN, StatusCode::NO_CONTENT);
        let bare = async || StatusCode::NO_CONTENT.into_response();
        let app = Router::new().route("/tagged", get(tagged)).route("/bare", get(bare)).layer(pages());
        let served = serve(app).await;
        let trunk = Trunk::open(served.addr).await;
        for path in ["/tagged", "/bare"] {
            let mut line = Line::open(served.addr).await;
            line.write(&format!("GET {path} HTTP/1.1\r\nhost: here\r\n\r\n")).await;
            let (head, fields) = line.fields().await.unwrap();
            assert_eq!(head, "HTTP/1.1 204 No Content");
            assert!(fields.iter().all(|(name, _)| name != "content-length"), "{fields:?}");
            let answer = trunk.response(Method::GET, path, &[]).await;
            assert_eq!(answer.status(), 204);
            assert_eq!(answer.headers().get("content-length"), None, "{path}");
        }
    });
}

#[test]
fn a_refusal_of_grpc_has_no_length() {
    run(async {
        let locks = locks();
        let served = serve(Router::new().route("/ada", post(async || "")).layer(layer(&locks))).await;
        let _held = locks.try_lock("ada").unwrap();
        let trunk = Trunk::open(served.addr).await;
        let answer = trunk.response(Method::POST, "/ada", &[("content-type", "application/grpc")]).await;
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["grpc-status"]),
            (200, &"10".parse().unwrap())
        );
        assert_eq!(answer.headers().get("content-length"), None);
    });
}
