//! Requests over HTTP/1.1 on the loopback interface, to a service that answers at once: the worst case for a layer.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum::routing::get;
use http_body_util::BodyExt;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use latchwork::KeyedLock;
use latchwork::axum::{KeyedLockLayer, path_param};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use crate::harness::{Measure, Report, per_op};

/// Connections at the same time, each with a key of its own.
const CONNECTIONS: u64 = 8;

pub(crate) fn run(report: &mut Report, runtime: &Runtime) {
    let bare = Router::new().route("/users/{user}", get(async || "a plan"));
    let locks = Arc::new(KeyedLock::<String>::new());
    let locked = bare.clone().layer(KeyedLockLayer::new(locks, path_param("user")));
    let (locked, bare) = (runtime.block_on(serve(locked)), runtime.block_on(serve(bare)));
    let measure = Measure::new("HTTP over loopback, 8 connections, a request to a service with the layer")
        .run("latchwork", |ops| runtime.block_on(ask(locked, ops)))
        .run("without a layer", |ops| runtime.block_on(ask(bare, ops)))
        .goal(1.02);
    report.add(measure);
}

async fn serve(app: Router) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("there is a free port");
    let address = listener.local_addr().expect("it is bound");
    tokio::spawn(axum::serve(listener, app).into_future());
    address
}

async fn ask(address: SocketAddr, ops: u64) -> f64 {
    let mut senders = Vec::new();
    for _ in 0..CONNECTIONS {
        let stream = TcpStream::connect(address).await.expect("the service listens");
        stream.set_nodelay(true).expect("it is connected");
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.expect("it speaks HTTP");
        tokio::spawn(connection);
        senders.push(sender);
    }
    let share = ops.div_ceil(CONNECTIONS);
    let mut clients = JoinSet::new();
    let start = Instant::now();
    for (nth, mut sender) in senders.into_iter().enumerate() {
        clients.spawn(async move {
            for _ in 0..share {
                let request = Request::get(format!("/users/user-{nth}")).header("host", "localhost");
                let request = request.body(Body::empty()).expect("it is a request");
                let answer = sender.send_request(request).await.expect("the service answers");
                assert_eq!(answer.status(), 200);
                answer.into_body().collect().await.expect("the answer is whole");
            }
        });
    }
    clients.join_all().await;
    per_op(start, share * CONNECTIONS)
}
