//! The crate beside the crates that users import: none of its modules shadows one of them.

#![allow(unused_imports, reason = "a glob that shadowed a crate would be the point")]

use latchwork::*;

use ::metrics as _;
use axum::Router;
use axum::routing::post;
use http::request::Parts;
use latchwork::layer::Header;
use metrics::Counter;
use serde::Serialize;
use std::sync::Arc;
use tokio::sync::Notify;
use tower::ServiceBuilder;
use tracing::Span;

use latchwork::extract::{PathParam, path_param};
use latchwork::layer::{CoalesceLayer, KeyedLockLayer, by, header};
use latchwork::provider::AnyLocks;

/// Layers in the signatures of functions.
fn by_user() -> KeyedLockLayer<String, PathParam> {
    KeyedLockLayer::new(KeyedLock::new().into(), path_param("user"))
}

fn by_tenant(locks: AnyLocks<String>) -> KeyedLockLayer<String, Header, AnyLocks<String>> {
    KeyedLockLayer::new(locks, header("x-tenant"))
}

/// The argument of the closure needs no type: the function's type has it.
fn by_host() -> KeyedLockLayer<String, fn(&Parts) -> Option<String>> {
    KeyedLockLayer::new(KeyedLock::new().into(), |parts| parts.uri.host().map(str::to_owned))
}

fn menus() -> CoalesceLayer<String, fn(&Parts) -> Option<String>> {
    CoalesceLayer::new(|parts| Some(parts.uri.to_string()))
}

#[test]
fn the_crate_and_the_crates_beside_it_are_imported_together() {
    let locks = Arc::new(KeyedLock::<String>::new());
    let closure = KeyedLockLayer::new(locks.clone(), by(|parts| parts.uri.host().map(str::to_owned)));
    let app: Router = Router::new()
        .route("/users/{user}", post(async || "").layer(by_user()))
        .layer(by_tenant(AnyLocks::new(locks)))
        .layer(by_host())
        .layer(closure)
        .layer(menus());
    let _stack = ServiceBuilder::new().layer(by_user()).service(app);
    let _: (Option<Counter>, Option<Span>, Notify) = (None, None, Notify::new());
    fn is_serializable<T: Serialize>() {}
    is_serializable::<Stamp>();
}

#[test]
fn layers_and_publishers_can_be_cloned_and_shared() {
    fn check<T: Clone + Send + Sync + 'static>() {}
    check::<KeyedLockLayer<String, PathParam>>();
    check::<KeyedLockLayer<String, Header, AnyLocks<String>>>();
    check::<CoalesceLayer<String, Header>>();
    check::<latchwork::layer::HeldKey<String>>();
    check::<latchwork::layer::LayerStats>();
    check::<latchwork::layer::LayerCounts>();
    check::<latchwork::publish::Publisher>();
    check::<latchwork::web::Problem>();
}
