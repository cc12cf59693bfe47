//! Requests over HTTP/1.1 on the loopback interface: to a service that answers at once, which is the worst case for a
//! layer, and to one that waits for others first, as those of the examples do.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum::routing::{MethodRouter, get};
use http_body_util::BodyExt;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use latchwork::KeyedLock;
use latchwork::{extract::path_param, layer::KeyedLockLayer};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use crate::harness::{Measure, Report, per_op};

pub(crate) fn run(report: &mut Report, runtime: &Runtime) {
    let at_once = get(async || "a plan");
    let measure =
        Measure::new("HTTP over loopback, 8 connections, a request to a service that answers at once");
    compare(report, runtime, measure, at_once, 8);

    let after_others = get(async || {
        tokio::time::sleep(Duration::from_millis(5)).await;
        "a plan"
    });
    let measure = Measure::new("HTTP over loopback, 64 connections, a request to a service that waits 5 ms");
    compare(report, runtime, measure, after_others, 64);
}

/// The service with the layer and without it, each connection with a key of its own.
fn compare<'a>(
    report: &mut Report,
    runtime: &'a Runtime,
    measure: Measure<'a>,
    handler: MethodRouter,
    connections: u64,
) {
    let bare = Router::new().route("/users/{user}", handler);
    let locks = Arc::new(KeyedLock::<String>::new());
    let locked = bare.clone().layer(KeyedLockLayer::new(locks, path_param("user")));
    let (locked, bare) = (runtime.block_on(serve(locked)), runtime.block_on(serve(bare)));
    let measure = measure
        .run("latchwork", move |ops| runtime.block_on(ask(locked, connections, ops)))
        .run("without a layer", move |ops| runtime.block_on(ask(bare, connections, ops)))
        .goal(1.02);
    report.add(measure);
}

async fn serve(app: Router) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("there is a free port");
    let address = listener.local_addr().expect("it is bound");
    tokio::spawn(axum::serve(listener, app).into_future());
    address
}

async fn ask(address: SocketAddr, connections: u64, ops: u64) -> f64 {
    let mut senders = Vec::new();
    for _ in 0..connections {
        let stream = TcpStream::connect(address).await.expect("the service listens");
        stream.set_nodelay(true).expect("it is connected");
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.expect("it speaks HTTP");
        tokio::spawn(connection);
        senders.push(sender);
    }
    let share = ops.div_ceil(connections);
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
    per_op(start.elapsed(), share * connections)
}
