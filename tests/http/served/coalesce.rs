//! Answers that are shared, over real connections.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures::StreamExt;
use futures::channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};
use latchwork::layer::CoalesceLayer;
use tokio::task::JoinHandle;

use super::client::{Answer, Line};
use super::server::{ByPath, Gate, Served, by_path, run, run_each, serve, until};

type Pages = CoalesceLayer<String, ByPath>;

fn layer() -> Pages {
    CoalesceLayer::new(by_path as ByPath)
}

/// A handler that counts its calls and stops in each.
#[derive(Clone)]
struct Kitchen {
    calls: Arc<AtomicUsize>,
    go: Gate,
    cook: fn(usize, &HeaderMap) -> Response,
}

impl Kitchen {
    fn new(cook: fn(usize, &HeaderMap) -> Response) -> Self {
        Self { calls: Arc::default(), go: Gate::new(), cook }
    }

    fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    async fn serve(&self, layer: &Pages) -> Served {
        let cook = async |State(kitchen): State<Self>, headers: HeaderMap| {
            let nth = kitchen.calls.fetch_add(1, Ordering::SeqCst);
            kitchen.go.pass().await;
            (kitchen.cook)(nth, &headers)
        };
        serve(Router::new().route("/soup", get(cook)).with_state(self.clone()).layer(layer.clone())).await
    }
}

/// A GET with these lines in its head.
async fn asking(served: &Served, lines: &str) -> Line {
    let mut line = Line::open(served.addr).await;
    line.write(&format!("GET /soup HTTP/1.1\r\nhost: here\r\n{lines}\r\n")).await;
    line
}

fn answered(mut line: Line) -> JoinHandle<Answer> {
    tokio::spawn(async move { line.answer().await.unwrap() })
}

/// Several such requests, of which the first leads.
async fn all_asking(
    served: &Served,
    layer: &Pages,
    kitchen: &Kitchen,
    count: usize,
) -> Vec<JoinHandle<Answer>> {
    let leader = asking(served, "").await;
    until(|| kitchen.calls() == 1).await;
    let mut lines = vec![answered(leader)];
    for joined in 1..count as u64 {
        lines.push(answered(asking(served, "").await));
        until(|| layer.counts().joined == joined).await;
    }
    lines
}

/// Names the user that is meant, or refuses.
fn authenticated(nth: usize, headers: &HeaderMap) -> Response {
    match headers.get(header::AUTHORIZATION).map(|token| token.as_bytes()) {
        Some(b"Bearer ada") => {
            ([(header::CACHE_CONTROL, "private")], format!("ada's, {nth}")).into_response()
        }
        _ => StatusCode::UNAUTHORIZED.into_response(),
    }
}

#[test]
fn a_request_with_nonsense_for_a_token_is_refused_and_equal_ones_share() {
    run(async {
        let (layer, kitchen) = (layer().share_credentials(true), Kitchen::new(authenticated));
        let served = kitchen.serve(&layer).await;
        let ada = answered(asking(&served, "authorization: Bearer ada\r\n").await);
        until(|| kitchen.calls() == 1).await;
        let again = answered(asking(&served, "authorization: Bearer ada\r\n").await);
        until(|| layer.counts().joined == 1).await;
        let others = ["authorization: Bearer nonsense\r\n", "cookie: session=ada\r\n", ""];
        let mut refused = Vec::new();
        for (nth, lines) in others.into_iter().enumerate() {
            refused.push(answered(asking(&served, lines).await));
            until(|| kitchen.calls() == nth + 2).await;
        }
        kitchen.go.open_wide();
        assert_eq!(ada.await.unwrap().body, "ada's, 0");
        assert_eq!(again.await.unwrap().body, "ada's, 0");
        for refused in refused {
            assert_eq!(refused.await.unwrap().status, 401);
        }
        assert_eq!(kitchen.calls(), 4);
    });
}

#[test]
fn what_the_leader_alone_is_refused_with_does_not_go_to_others() {
    const GUESTS: usize = 5;
    macro_rules! first {
        ($status:literal) => {{
            let cook: fn(usize, &HeaderMap) -> Response = |nth, _| {
                let status = if nth == 0 { StatusCode::from_u16($status).unwrap() } else { StatusCode::OK };
                (status, nth.to_string()).into_response()
            };
            ($status, cook)
        }};
    }
    let cases = [first!(401), first!(403), first!(429), first!(500), first!(502), first!(503)];
    run_each(cases, async |(status, cook)| {
        let (layer, kitchen) = (layer(), Kitchen::new(cook));
        let served = kitchen.serve(&layer).await;
        let mut asked = all_asking(&served, &layer, &kitchen, GUESTS).await;
        kitchen.go.open();
        assert_eq!(asked.remove(0).await.unwrap().status, status);
        // After a failure one of them calls. After a refusal each of them does.
        let calls = if status >= 429 { 2 } else { GUESTS };
        until(|| kitchen.calls() == calls).await;
        kitchen.go.open_wide();
        for answer in asked {
            assert_eq!(answer.await.unwrap().status, 200, "{status}");
        }
        assert_eq!(kitchen.calls(), calls);
    });
}

#[test]
fn a_reload_gets_a_new_answer() {
    run(async {
        let (layer, kitchen) = (layer(), Kitchen::new(|nth, _| nth.to_string().into_response()));
        let served = kitchen.serve(&layer).await;
        let asked = all_asking(&served, &layer, &kitchen, 2).await;
        let reloads = [
            "cache-control: no-cache\r\n",
            "cache-control: max-age=0\r\n",
            "cache-control: no-store\r\n",
            "pragma: no-cache\r\n",
        ];
        let mut reloaded = Vec::new();
        for (nth, lines) in reloads.into_iter().enumerate() {
            reloaded.push(answered(asking(&served, lines).await));
            until(|| kitchen.calls() == nth + 2).await;
        }
        kitchen.go.open_wide();
        for (nth, answer) in reloaded.into_iter().enumerate() {
            assert_eq!(answer.await.unwrap().body, (nth + 1).to_string());
        }
        for answer in asked {
            assert_eq!(answer.await.unwrap().body, "0");
        }
        assert_eq!((layer.counts().flights, layer.counts().joined), (1, 1));
    });
}

#[test]
fn twenty_impatient_clients_in_turn_begin_detached_work_once() {
    run(async {
        let layer = layer().detached(Duration::from_secs(600));
        let kitchen = Kitchen::new(|nth, _| nth.to_string().into_response());
        let served = kitchen.serve(&layer).await;
        let mut last = asking(&served, "").await;
        until(|| kitchen.calls() == 1).await;
        for clients in 1..20 {
            drop(last);
            last = asking(&served, "").await;
            until(|| layer.counts().joined == clients).await;
        }
        kitchen.go.open();
        let answer = last.answer().await.unwrap();
        assert_eq!((answer.status, answer.body.as_str(), kitchen.calls()), (200, "0", 1));
    });
}

#[test]
fn a_service_that_is_down_is_called_once_if_failures_are_shared() {
    const GUESTS: usize = 30;
    run(async {
        let down = |nth: usize, _: &HeaderMap| (StatusCode::BAD_GATEWAY, nth.to_string()).into_response();
        let (layer, kitchen) = (layer().share_failures(true), Kitchen::new(down));
        let served = kitchen.serve(&layer).await;
        let asked = all_asking(&served, &layer, &kitchen, GUESTS).await;
        kitchen.go.open();
        for answer in asked {
            let answer = answer.await.unwrap();
            assert_eq!((answer.status, answer.body.as_str()), (502, "0"));
        }
        assert_eq!(kitchen.calls(), 1);
    });
}

/// A GET of this path, under way.
async fn asked_for(served: &Served, path: &str) -> JoinHandle<Answer> {
    let mut line = Line::open(served.addr).await;
    line.write(&format!("GET {path} HTTP/1.1\r\nhost: here\r\n\r\n")).await;
    answered(line)
}

#[test]
fn requests_to_different_services_do_not_share_though_their_layers_are_clones() {
    let layer = layer();
    let (go, calls) = (Gate::new(), Arc::new(AtomicUsize::new(0)));
    let answers = |text: &'static str| {
        let (go, calls) = (go.clone(), calls.clone());
        async move || {
            calls.fetch_add(1, Ordering::SeqCst);
            go.pass().await;
            text
        }
    };
    let routes = |route: &'static str, fallback: &'static str| {
        Router::new().route("/menu", get(answers(route))).fallback(answers(fallback)).layer(layer.clone())
    };
    let app = Router::new()
        .nest("/a", routes("the menu of a", "nothing of a"))
        .nest(
            "/b",
            Router::new()
                .nest("/c", routes("the menu of c", "not reached: a router without a fallback is around it")),
        )
        .nest_service("/d", routes("the menu of d", "nothing of d"))
        .merge(routes("the menu", "nothing"));
    let expected = [
        ("/menu", "the menu"),
        ("/a/menu", "the menu of a"),
        ("/b/c/menu", "the menu of c"),
        ("/d/menu", "the menu of d"),
        ("/none", "nothing"),
        ("/a/none", "nothing of a"),
        ("/b/none", "nothing"),
        ("/d/none", "nothing of d"),
    ];
    run(async move {
        let served = serve(app).await;
        let mut asked = Vec::new();
        for (nth, (path, _)) in expected.into_iter().enumerate() {
            asked.push(asked_for(&served, path).await);
            until(|| calls.load(Ordering::SeqCst) == nth + 1).await;
        }
        // Each of them has joined a request of its own service.
        for (nth, (path, _)) in expected.into_iter().enumerate() {
            asked.push(asked_for(&served, path).await);
            until(|| layer.counts().joined == nth as u64 + 1).await;
        }
        go.open_wide();
        for (answer, (path, text)) in asked.into_iter().zip(expected.into_iter().cycle()) {
            assert_eq!(answer.await.unwrap().body, text, "{path}");
        }
        assert_eq!(calls.load(Ordering::SeqCst), expected.len());
    });
}

/// Hands over the sender of each answer's parts.
type Senders = UnboundedSender<UnboundedSender<Bytes>>;

fn streaming(senders: Senders, media: &'static str) -> Router {
    let stream = async move || {
        let (send, parts): (_, UnboundedReceiver<Bytes>) = unbounded();
        senders.unbounded_send(send).unwrap();
        ([(header::CONTENT_TYPE, media)], Body::from_stream(parts.map(io::Result::Ok)))
    };
    Router::new().route("/soup", get(stream))
}

#[test]
fn streams_reach_each_client_part_by_part() {
    let media = ["application/x-ndjson", "multipart/x-mixed-replace; boundary=x", "application/grpc+proto"];
    run_each(media, async |media| {
        let (senders, mut sent) = unbounded();
        let served = serve(streaming(senders, media).layer(layer())).await;
        let mut lines = [asking(&served, "").await, asking(&served, "").await];
        let senders = [sent.next().await.unwrap(), sent.next().await.unwrap()];
        for line in &mut lines {
            assert_eq!(line.head().await.unwrap().status, 200);
        }
        for part in ["one", "two"] {
            senders.iter().for_each(|send| send.unbounded_send(Bytes::from(part)).unwrap());
            for line in &mut lines {
                assert_eq!(line.chunk().await.unwrap().unwrap(), part.as_bytes(), "{media}");
            }
        }
        drop(senders);
        for line in &mut lines {
            assert_eq!(line.chunk().await.unwrap(), None);
        }
    });
}
