//! What becomes of a connection whose request is refused before its body is read.

use axum::body::{Body, Bytes};
use axum::http::Method;
use futures::stream::pending;

use super::client::{Line, Trunk};
use super::server::{Stage, layer, run, serve};

#[test]
fn a_refusal_before_the_body_is_there_closes_a_connection_of_http_1() {
    run(async {
        let stage = Stage::new();
        let locks = stage.locks.clone();
        let served = serve(stage.router().layer(layer(&locks))).await;
        let _held = locks.try_lock("ada").unwrap();
        let mut line = Line::open(served.addr).await;
        line.write("POST /ada HTTP/1.1\r\nhost: here\r\ncontent-length: 4\r\n\r\nbody").await;
        assert!(line.answer().await.unwrap().refuses_with(409));
        line.write("POST /ada HTTP/1.1\r\nhost: here\r\ncontent-length: 10\r\n\r\nbody").await;
        assert!(line.answer().await.unwrap().refuses_with(409), "the connection is good after a whole body");
        assert!(line.answer().await.is_err(), "it is closed, as nobody reads the other six bytes");
    });
}

#[test]
fn a_refusal_before_the_body_is_there_leaves_a_connection_of_http_2_as_it_is() {
    run(async {
        let stage = Stage::new();
        let locks = stage.locks.clone();
        let served = serve(stage.router().layer(layer(&locks))).await;
        let held = locks.try_lock("ada").unwrap();
        let trunk = Trunk::open(served.addr).await;
        for _ in 0..3 {
            let endless = Body::from_stream(pending::<Result<Bytes, std::io::Error>>());
            assert!(trunk.sent(Method::POST, "/ada", endless).await.unwrap().unwrap().refuses_with(409));
        }
        drop(held);
        stage.go.open();
        assert_eq!(trunk.asked(Method::POST, "/ada").await.unwrap().unwrap().status, 200);
    });
}
