//! A client that hangs up in every phase of a handler, over real HTTP.

use std::future::pending;
use std::net::Ipv4Addr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::routing::post;
use latchwork::sql::{Ending, Scope};
use latchwork::web::Problem;
use sqlx::query;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use super::{Db, assert_whole, number, numbers};

/// Where a handler can be when its client is gone.
const PHASES: [&str; 4] = ["before", "begun", "written", "committed"];

struct App {
    scope: Scope<Db>,
    /// The handler is where it was to wait.
    reached: Notify,
    /// The server has dropped the handler.
    dropped: Notify,
}

struct Dropped<'a>(&'a Notify);

impl Drop for Dropped<'_> {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

async fn add(State(app): State<Arc<App>>, Path(last): Path<String>) -> Result<&'static str, Problem> {
    // Declared first, so that the transaction is dropped before.
    let _dropped = Dropped(&app.dropped);
    let wait_at = async |phase: &str| {
        if phase == last {
            app.reached.notify_one();
            pending::<()>().await;
        }
    };
    wait_at("before").await;
    let mut tx = app.scope.begin().await?;
    wait_at("begun").await;
    query("update numbers set n = n + 1 where id = 1").execute(&mut *tx).await?;
    wait_at("written").await;
    tx.commit().await?;
    wait_at("committed").await;
    Ok("added")
}

#[tokio::test]
async fn a_client_that_hangs_up_in_any_phase_leaves_no_transaction() {
    let pool = numbers(1).await;
    let scope = Scope::new(pool.clone());
    let app = Arc::new(App { scope: scope.clone(), reached: Notify::new(), dropped: Notify::new() });
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port is free");
    let address = listener.local_addr().expect("it is bound");
    let router = Router::new().route("/{last}", post(add)).with_state(app.clone());
    tokio::spawn(axum::serve(listener, router).into_future());

    for phase in PHASES {
        let before = number(&pool).await;
        let mut client = TcpStream::connect(address).await.expect("the service listens");
        let request = format!("POST /{phase} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n\r\n");
        client.write_all(request.as_bytes()).await.expect("the service reads");
        app.reached.notified().await;
        drop(client);
        app.dropped.notified().await;
        assert_whole(&pool).await;
        assert_eq!(number(&pool).await - before, i64::from(phase == "committed"), "{phase}");
    }
    let counts = scope.stats().counts();
    assert_eq!((counts.ended(Ending::Abandoned), counts.ended(Ending::Committed), counts.open()), (2, 1, 0));
}
