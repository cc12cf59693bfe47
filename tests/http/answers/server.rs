//! Requests, answers taken apart, and a service behind a real listener.

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use axum::Router;
use axum::body::{Bytes, to_bytes};
use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode};
use axum::response::{IntoResponse, Response};
use latchwork::Stamp;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// For what would otherwise hang.
const FOR_EVER: Duration = Duration::from_secs(60);

pub(crate) fn stamp(number: u64) -> Stamp {
    Stamp::new(number).expect("it is in range")
}

/// An answer, read to its end.
#[derive(PartialEq, Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn of(answer: impl IntoResponse) -> Self {
        futures::executor::block_on(Self::read(answer.into_response()))
    }

    async fn read(response: Response) -> Self {
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, usize::MAX).await.expect("it is in memory");
        Self { status: parts.status, headers: parts.headers, body }
    }

    pub(crate) async fn got(response: reqwest::Response) -> Self {
        let (status, headers) = (response.status(), response.headers().clone());
        Self { status, headers, body: response.bytes().await.expect("it comes to an end") }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("it is visible"))
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("it is JSON")
    }

    /// The end of a problem's type, and what its status is.
    pub(crate) fn problem(&self) -> (u16, String) {
        assert_eq!(self.header("content-type"), Some("application/problem+json"));
        let body = self.json();
        assert_eq!(body["status"], self.status.as_u16());
        let uri = body["type"].as_str().expect("it is a URI");
        (self.status.as_u16(), uri.rsplit('#').next().unwrap_or(uri).to_owned())
    }
}

/// The head of a request with these lines of one header.
fn parts(method: Method, name: HeaderName, lines: &[&[u8]]) -> Parts {
    let (mut parts, ()) = Request::builder().method(method).body(()).expect("it is whole").into_parts();
    for line in lines {
        let value = HeaderValue::from_bytes(line).expect("HTTP lets it through");
        parts.headers.append(name.clone(), value);
    }
    parts
}

pub(crate) fn extract<T: FromRequestParts<()>>(
    method: Method,
    name: HeaderName,
    lines: &[&[u8]],
) -> Result<T, T::Rejection> {
    futures::executor::block_on(T::from_request_parts(&mut parts(method, name, lines), &()))
}

pub(crate) fn extract_optional<T: OptionalFromRequestParts<()>>(
    name: HeaderName,
    lines: &[&[u8]],
) -> Result<Option<T>, T::Rejection> {
    let mut parts = parts(Method::PUT, name, lines);
    futures::executor::block_on(<T as OptionalFromRequestParts<()>>::from_request_parts(&mut parts, &()))
}

/// A service on a port of its own, until it is dropped.
pub(crate) struct Server {
    address: SocketAddr,
    client: reqwest::Client,
    task: JoinHandle<()>,
}

impl Server {
    pub(crate) async fn start(routes: Router) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let task = tokio::spawn(async { axum::serve(listener, routes).await.expect("it serves") });
        let client = reqwest::Client::builder().no_proxy().timeout(FOR_EVER).build().expect("it is set up");
        Self { address, client, task }
    }

    pub(crate) async fn ask(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let mut request = self.client.request(method, format!("http://{}{path}", self.address));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Answer::got(request.body(body.to_owned()).send().await.expect("it is answered")).await
    }

    /// Asks over HTTP/2, without a body.
    pub(crate) async fn ask_h2(&self, method: Method, path: &str, headers: &[(&str, &str)]) -> Answer {
        let client = reqwest::Client::builder().no_proxy().timeout(FOR_EVER).http2_prior_knowledge();
        let client = client.build().expect("it is set up");
        let mut request = client.request(method, format!("http://{}{path}", self.address));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await.expect("it is answered");
        assert_eq!(response.version(), axum::http::Version::HTTP_2);
        Answer::got(response).await
    }

    /// The whole answer to these bytes, which are to ask for the connection to be closed.
    pub(crate) async fn raw(&self, request: &[u8]) -> String {
        let talk = async {
            let mut stream = TcpStream::connect(self.address).await?;
            stream.write_all(request).await?;
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).await?;
            Ok::<_, std::io::Error>(String::from_utf8_lossy(&answer).into_owned())
        };
        in_time(talk).await.expect("it is answered")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn in_time<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(FOR_EVER, future).await.expect("it comes to an end")
}
