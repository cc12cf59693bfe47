//! Keys that are numbers and ids: one lock for each, however a client writes it.

use std::str::FromStr;
use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Path;
use axum::http::{HeaderValue, Request};
use axum::routing::{any, post};
use latchwork::KeyedLock;
use latchwork::extract::{PathParam, path_param};
use latchwork::keyed::KeyedGuard;
use latchwork::layer::{Header, HeldKey, KeyedLockLayer, header};
use proptest::collection::vec;
use proptest::prelude::*;
use tower::{ServiceExt, service_fn};
use uuid::Uuid;

use super::service::{around, call, ok};
use crate::support::Hand;

type Orders = Arc<KeyedLock<u64>>;

// The types have names.
fn by_order(orders: &Orders) -> KeyedLockLayer<u64, PathParam> {
    KeyedLockLayer::new(orders.clone(), path_param("order"))
}

fn by_number(orders: &Orders) -> KeyedLockLayer<u64, Header> {
    KeyedLockLayer::new(orders.clone(), header("x-order"))
}

async fn send(app: &Router, path: &str) -> (u16, String) {
    let (head, body) = app.clone().oneshot(super::service::post(path)).await.unwrap().into_parts();
    (head.status.as_u16(), String::from_utf8(to_bytes(body, 1000).await.unwrap().into()).unwrap())
}

/// A handler that reads a number, and looks whether it is locked.
fn paying(orders: &Orders) -> Router {
    let whose = orders.clone();
    let pay = async move |Path(order): Path<u64>| {
        assert!(whose.is_locked(order), "{order} is paid without its lock");
        format!("{order} is paid")
    };
    Router::new().route("/orders/{order}", post(pay)).route_layer(by_order(orders))
}

#[tokio::test]
async fn an_order_has_one_lock_however_its_number_is_written() {
    let orders = Orders::default();
    let app = paying(&orders);
    let held = orders.try_lock(7).unwrap();
    for path in ["/orders/7", "/orders/07", "/orders/+7", "/orders/007", "/orders/%37", "/orders/%2B07"] {
        assert_eq!(send(&app, path).await.0, 409, "{path}");
    }
    assert_eq!(send(&app, "/orders/8").await, (200, "8 is paid".to_owned()));
    drop(held);
    assert_eq!(send(&app, "/orders/007").await, (200, "7 is paid".to_owned()));
    assert!(orders.is_empty());
}

#[tokio::test]
async fn a_uuid_has_one_lock_however_it_is_written() {
    let carts = Arc::new(KeyedLock::<Uuid>::new());
    let lock: KeyedLockLayer<Uuid, PathParam> = KeyedLockLayer::new(carts.clone(), path_param("cart"));
    let app = Router::new().route("/carts/{cart}", post(async || "")).route_layer(lock);
    let id = Uuid::from_u128(0xa1b2_c3d4_e5f6_0718_293a_4b5c_6d7e_8f90);
    let _held = carts.try_lock(id).unwrap();
    let upper = id.to_string().to_uppercase();
    for text in [id.to_string(), upper, id.simple().to_string(), id.urn().to_string()] {
        assert_eq!(send(&app, &format!("/carts/{text}")).await.0, 409, "{text}");
    }
    assert_eq!(send(&app, &format!("/carts/{}", Uuid::nil())).await.0, 200);
    assert_eq!(send(&app, "/carts/a1b2").await.0, 400);
}

#[tokio::test]
async fn text_that_is_no_key_is_refused_and_not_repeated() {
    /// A key whose error quotes what it can't read.
    #[derive(PartialEq, Eq, Hash)]
    struct Loud;
    impl FromStr for Loud {
        type Err = String;

        fn from_str(text: &str) -> Result<Self, String> {
            Err(format!("{text} is no key"))
        }
    }
    let orders = Orders::default();
    let app = paying(&orders);
    let of = |path: &str, why: &str| format!("\"detail\":\"the parameter {path} of the path {why}\"");
    for text in ["seven", "-1", "18446744073709551616", "7%20", "%207", "0x7", "7.0", "%00"] {
        let (status, body) = send(&app, &format!("/orders/{text}")).await;
        assert_eq!(status, 400, "{text}");
        assert!(body.contains(&of("order", "can't be read as a key")), "{body}");
    }
    let loud = Arc::new(KeyedLock::<Loud>::new());
    let by_path = KeyedLockLayer::new(loud.clone(), path_param("key"));
    let app = Router::new().route("/{key}", any(async || "")).route_layer(by_path);
    let (status, body) = send(&app, "/s3cr3t").await;
    assert!(status == 400 && !body.contains("s3cr3t"), "{body}");
    let by_header = KeyedLockLayer::new(loud, header("x-key"));
    let request = Request::post("/").header("x-key", "s3cr3t").body(Body::empty()).unwrap();
    let refused = Hand::new(call(&mut around(&by_header, service_fn(ok)), request)).poll().unwrap().unwrap();
    assert_eq!(refused.status(), 400);
    let body = to_bytes(Body::new(refused.into_body()), 1000).await.unwrap();
    assert!(body.ends_with(b"}") && !body.windows(6).any(|text| text == b"s3cr3t"));
}

#[tokio::test]
async fn a_lock_in_a_static_is_a_provider_as_well() {
    static ORDERS: LazyLock<KeyedLock<u64>> = LazyLock::new(KeyedLock::new);

    type Held = HeldKey<u64, KeyedGuard<'static, u64>>;

    fn lock() -> KeyedLockLayer<u64, PathParam, &'static KeyedLock<u64>> {
        KeyedLockLayer::new(&*ORDERS, path_param("order")).share_guard(true)
    }
    let order = async |held: axum::Extension<Held>| held.key().to_string();
    let app = Router::new().route("/orders/{order}", any(order)).route_layer(lock());
    assert_eq!(send(&app, "/orders/07").await, (200, "7".to_owned()));
    let held = ORDERS.try_lock(7).unwrap();
    assert_eq!(send(&app, "/orders/7").await.0, 409);
    drop(held);
    assert!(ORDERS.is_empty());
}

/// Bytes as a segment of a path: as they are if a path may have them, percent-encoded otherwise.
fn segment(bytes: &[u8]) -> String {
    let as_is = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@".contains(byte);
    bytes
        .iter()
        .map(|byte| if as_is(byte) { char::from(*byte).to_string() } else { format!("%{byte:02x}") })
        .collect()
}

/// Mostly what numbers are written with.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![3 => Just(b'7'), 2 => Just(b'0'), 1 => Just(b'+'), 1 => 0_u8..=255];
    vec(byte, 1..8)
}

proptest! {
    #[test]
    fn no_path_runs_a_handler_without_its_lock(bytes in hostile()) {
        let orders = Orders::default();
        let app = paying(&orders);
        let _held = orders.try_lock(7).unwrap();
        let path = format!("/orders/{}", segment(&bytes));
        let (status, body) = Hand::new(send(&app, &path)).poll().expect("nothing waits");
        let number = std::str::from_utf8(&bytes).ok().and_then(|text| text.parse::<u64>().ok());
        match number {
            Some(7) => prop_assert_eq!(status, 409),
            Some(number) => prop_assert_eq!((status, body), (200, format!("{number} is paid"))),
            None => prop_assert!(status == 400 || status == 404, "{} {}", path, status),
        }
        prop_assert_eq!(orders.len(), 1);
    }

    #[test]
    fn no_header_runs_a_handler_without_its_lock(
        values in vec(vec(prop_oneof![Just(b'7'), Just(b'0'), Just(b'+'), 32_u8..127, 128_u8..=255], 0..6), 0..3),
    ) {
        let orders = Orders::default();
        let whose = orders.clone();
        let inner = service_fn(move |request: Request<Body>| {
            let order: u64 = request.headers()["x-order"].to_str().unwrap().parse().unwrap();
            assert!(order != 7 && whose.is_locked(order));
            ok(request)
        });
        let _held = orders.try_lock(7).unwrap();
        let mut request = Request::post("/").body(Body::empty()).unwrap();
        for value in &values {
            request.headers_mut().append("x-order", HeaderValue::from_bytes(value).unwrap());
        }
        let mut service = around(&by_number(&orders), inner);
        let answer = Hand::new(call(&mut service, request)).poll().expect("nothing waits").unwrap();
        let number = match &values[..] {
            [value] => std::str::from_utf8(value).ok().and_then(|text| text.parse::<u64>().ok()),
            _ => None,
        };
        let expected = number.map_or(400, |number| if number == 7 { 409 } else { 200 });
        prop_assert_eq!(answer.status().as_u16(), expected);
        prop_assert_eq!(orders.len(), 1);
    }
}
