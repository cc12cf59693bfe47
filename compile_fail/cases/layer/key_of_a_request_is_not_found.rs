// What finds the key says which type it takes, and returns an `Option`.

use std::sync::Arc;

use http::request::Parts;
use latchwork::KeyedLock;
use latchwork::layer::KeyedLockLayer;

fn main() {
    let users = Arc::new(KeyedLock::<String>::new());
    let _bare = KeyedLockLayer::new(users.clone(), |parts: &Parts| parts.uri.to_string());
    let _text = KeyedLockLayer::new(users, "x-user");
}
