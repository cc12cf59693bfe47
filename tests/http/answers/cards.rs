//! Cards behind a real listener: edits that say which version they were made from.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{Method, StatusCode};
use axum::routing::get;
use axum::{Json, Router};
use latchwork::web::{IfMatch, IfNoneMatch, Problem, Tagged};
use latchwork::{Stamp, VersionedMap, versioned::Snapshot};
use serde_json::{Value, json};

use super::server::Server;

type Cards = State<Arc<VersionedMap<String, String>>>;

async fn read(
    State(cards): Cards,
    Path(id): Path<String>,
    known: Option<IfNoneMatch>,
) -> Result<Tagged<String>, Problem> {
    let card = cards.get(&id).ok_or_else(|| Problem::new(StatusCode::NOT_FOUND))?;
    Ok(shown(&card).not_modified_for(known.as_ref()))
}

/// Creates a card, or replaces it on condition.
async fn put(
    State(cards): Cards,
    Path(id): Path<String>,
    known: Option<IfNoneMatch>,
    if_match: Result<IfMatch, Problem>,
    text: String,
) -> Result<(StatusCode, Tagged<()>), Problem> {
    if let Some(known) = known {
        let saved = cards.upsert(id, &known, text).map_err(|error| known.refuse(error))?;
        return Ok((StatusCode::CREATED, Tagged::new(saved.stamp, ())));
    }
    let if_match = if_match?;
    let saved = cards.upsert(id, &if_match, text).map_err(|error| if_match.refuse(error))?;
    Ok((StatusCode::OK, Tagged::new(saved.stamp, ())))
}

/// Edits a card on condition of a version in the header or in the body.
async fn patch(
    State(cards): Cards,
    Path(id): Path<String>,
    if_match: Option<IfMatch>,
    Json(edit): Json<Value>,
) -> Result<Tagged<String>, Problem> {
    let text = edit["text"].as_str().ok_or_else(|| Problem::new(StatusCode::UNPROCESSABLE_ENTITY))?;
    let version = edit["version"].as_str().map(str::parse::<Stamp>).transpose()?;
    let change = |_: &String| text.to_owned();
    let saved = match (if_match, version) {
        (Some(if_match), _) => {
            cards.update(&id, &if_match, change).map_err(|error| if_match.refuse(error))?
        }
        (None, Some(version)) => cards.update(&id, version, change)?,
        (None, None) => return Err(Problem::precondition_required("send If-Match or a version")),
    };
    Ok(shown(&saved))
}

async fn delete(
    State(cards): Cards,
    Path(id): Path<String>,
    if_match: IfMatch,
) -> Result<StatusCode, Problem> {
    cards.remove(&id, &if_match).map_err(|error| if_match.refuse(error))?;
    Ok(StatusCode::NO_CONTENT)
}

/// Confirms a card, without showing it.
async fn touch(State(cards): Cards, Path(id): Path<String>) -> Result<Tagged<StatusCode>, Problem> {
    let card = cards.get(&id).ok_or_else(|| Problem::new(StatusCode::NOT_FOUND))?;
    Ok(Tagged::new(card.stamp(), StatusCode::NO_CONTENT))
}

fn shown(card: &Snapshot<String>) -> Tagged<String> {
    Tagged::new(card.stamp(), card.to_string())
}

async fn start() -> Server {
    let cards: Arc<VersionedMap<String, String>> = Arc::new(VersionedMap::new());
    let routes = get(read).put(put).post(touch).patch(patch).delete(delete);
    Server::start(Router::new().route("/cards/{id}", routes).with_state(cards)).await
}

const ADA: &str = "/cards/ada";

async fn create(server: &Server) -> String {
    let created = server.ask(Method::PUT, ADA, &[("if-none-match", "*")], "Ada").await;
    assert_eq!(created.status, StatusCode::CREATED);
    created.header("etag").expect("it is tagged").to_owned()
}

#[tokio::test]
async fn of_two_who_create_the_same_card_one_is_told_that_it_is_there() {
    let server = start().await;
    let etag = create(&server).await;
    let refused = server.ask(Method::PUT, ADA, &[("if-none-match", "*")], "Augusta").await;
    assert_eq!(refused.problem(), (412, "precondition-failed".to_owned()));
    assert_eq!((refused.header("etag"), &refused.json()["expected"]), (Some(&*etag), &Value::Null));
    assert_eq!(server.ask(Method::GET, ADA, &[], "").await.body, "Ada");
}

#[tokio::test]
async fn of_two_edits_of_one_version_in_the_header_the_second_is_refused_and_nothing_is_lost() {
    let server = start().await;
    let etag = create(&server).await;
    let first = server.ask(Method::PUT, ADA, &[("if-match", &etag)], "Ada Lovelace").await;
    assert_eq!((first.status.as_u16(), first.header("etag")), (200, Some("\"2\"")));
    let second = server.ask(Method::PUT, ADA, &[("if-match", &etag)], "Countess Ada").await;
    assert_eq!(second.problem(), (412, "precondition-failed".to_owned()));
    assert_eq!((second.header("etag"), second.header("cache-control")), (Some("\"2\""), Some("no-store")));
    assert_eq!((&second.json()["expected"], &second.json()["current"]), (&json!("1"), &json!("2")));
    assert_eq!(server.ask(Method::GET, ADA, &[], "").await.body, "Ada Lovelace");
    // What the refusal says is what the next edit needs.
    let etag = second.header("etag").expect("it is tagged");
    assert_eq!(server.ask(Method::PUT, ADA, &[("if-match", etag)], "Countess Ada").await.status, 200);
}

#[tokio::test]
async fn of_two_edits_of_one_version_in_the_body_the_second_is_refused_and_nothing_is_lost() {
    let server = start().await;
    create(&server).await;
    let edit = async |version: Value, text: &str| {
        let body = json!({ "version": version, "text": text }).to_string();
        server.ask(Method::PATCH, ADA, &[("content-type", "application/json")], &body).await
    };
    assert_eq!(edit(json!("1"), "Ada Lovelace").await.body, "Ada Lovelace");
    let second = edit(json!("1"), "Countess Ada").await;
    assert_eq!(second.problem(), (409, "conflict".to_owned()));
    assert_eq!((second.header("etag"), &second.json()["current"]), (Some("\"2\""), &json!("2")));
    assert!(!String::from_utf8_lossy(&second.body).contains("Lovelace"));
    assert_eq!(edit(second.json()["current"].clone(), "Countess Ada").await.body, "Countess Ada");
    assert_eq!(edit(json!("-1"), "Ada").await.problem(), (400, "bad-number".to_owned()));
    assert_eq!(edit(Value::Null, "Ada").await.problem(), (428, "precondition-required".to_owned()));
}

#[tokio::test]
async fn edits_without_a_usable_version_are_told_what_is_missing() {
    let server = start().await;
    create(&server).await;
    let table = [
        (&[][..], 428, "precondition-required"),
        (&[("if-match", "1")], 400, "bad-precondition"),
        (&[("if-match", "W/\"1\"")], 400, "bad-precondition"),
        (&[("if-match", "*, \"1\"")], 400, "bad-precondition"),
        (&[("if-match", "\"9f86d081884c7d65\"")], 412, "precondition-failed"),
        (&[("if-match", "\"01\"")], 412, "precondition-failed"),
    ];
    for (headers, status, slug) in table {
        let put = server.ask(Method::PUT, ADA, headers, "Augusta").await;
        assert_eq!(put.problem(), (status, slug.to_owned()), "{headers:?}");
        let deleted = server.ask(Method::DELETE, ADA, headers, "").await;
        assert_eq!(deleted.problem(), (status, slug.to_owned()), "{headers:?}");
    }
    assert_eq!(server.ask(Method::GET, ADA, &[], "").await.body, "Ada");
    for header in ["\"1\"", "*"] {
        let saved = server.ask(Method::PUT, ADA, &[("if-match", header)], "Augusta").await;
        assert_eq!(saved.status, 200, "{header}");
    }
    assert_eq!(server.ask(Method::DELETE, ADA, &[("if-match", "\"1\", \"3\"")], "").await.status, 204);
    let gone = server.ask(Method::PUT, ADA, &[("if-match", "*")], "Augusta").await;
    assert_eq!((gone.problem().0, gone.header("etag"), &gone.json()["current"]), (412, None, &Value::Null));
}

#[tokio::test]
async fn a_read_of_a_known_version_has_no_body() {
    let server = start().await;
    let etag = create(&server).await;
    for method in [Method::GET, Method::HEAD] {
        for header in [&*etag, "W/\"1\"", "\"x\", \"1\"", "*"] {
            let answer = server.ask(method.clone(), ADA, &[("if-none-match", header)], "").await;
            assert_eq!((answer.status.as_u16(), &answer.body[..]), (304, &b""[..]), "{method} {header}");
            assert_eq!(answer.header("etag"), Some(&*etag));
        }
    }
    server.ask(Method::PUT, ADA, &[("if-match", &etag)], "Ada Lovelace").await;
    let fresh = server.ask(Method::GET, ADA, &[("if-none-match", &etag)], "").await;
    assert_eq!(
        (fresh.status.as_u16(), &fresh.body[..], fresh.header("etag")),
        (200, &b"Ada Lovelace"[..], Some("\"2\""))
    );
    assert_eq!(server.ask(Method::GET, ADA, &[("if-none-match", "2")], "").await.problem().0, 400);
    assert_eq!(server.ask(Method::GET, "/cards/grace", &[("if-none-match", "*")], "").await.problem().0, 404);
}

/// Requests on one connection, the last of which asks for its end.
fn on_one_connection(requests: &[(&str, &str, &str)]) -> Vec<u8> {
    let ends = |at: usize| if at + 1 == requests.len() { "connection: close\r\n" } else { "" };
    let heads = requests.iter().enumerate().map(|(at, (method, path, lines))| {
        format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\n{lines}{}\r\n", ends(at))
    });
    heads.collect::<String>().into_bytes()
}

#[tokio::test]
async fn an_answer_that_can_have_no_body_has_no_length_on_http1_and_keeps_its_connection() {
    let server = start().await;
    let etag = create(&server).await;
    let known = format!("if-none-match: {etag}\r\n");
    let stale = "if-match: \"9\"\r\n";
    let answer = server
        .raw(&on_one_connection(&[
            ("GET", ADA, &known),
            ("HEAD", ADA, &known),
            ("HEAD", ADA, ""),
            ("POST", ADA, ""),
            ("DELETE", ADA, stale),
            ("HEAD", "/cards/grace", ""),
            ("DELETE", ADA, "if-match: *\r\n"),
        ]))
        .await;
    let mut rest = answer.as_str();
    let mut next = |status: &str, has_body: bool| {
        let (head, after) = rest.split_once("\r\n\r\n").expect("it has a head");
        let mut lines = head.split("\r\n");
        assert!(lines.next().is_some_and(|line| line.split(' ').nth(1) == Some(status)), "{status}: {head}");
        let length = lines.find_map(|line| line.strip_prefix("content-length: ")).map(str::to_owned);
        assert!(!head.contains("transfer-encoding"), "{status}: {head}");
        let body =
            if has_body { length.as_deref().unwrap_or("0").parse().expect("it is a number") } else { 0 };
        rest = &after[body..];
        length
    };
    for _ in ["GET", "HEAD"] {
        assert_eq!(next("304", false), None);
    }
    assert_eq!(next("200", false).as_deref(), Some("3"), "a HEAD has the length that the GET has");
    assert_eq!(next("204", false), None, "a tagged 204");
    assert_ne!(next("412", true).as_deref(), Some("0"));
    assert_ne!(next("404", false).as_deref(), Some("0"), "a problem to HEAD has the length of its body");
    assert_eq!(next("204", false), None);
    assert_eq!(rest, "");
}

#[tokio::test]
async fn an_answer_that_can_have_no_body_has_no_length_on_http2() {
    let server = start().await;
    let etag = create(&server).await;
    for method in [Method::GET, Method::HEAD] {
        let answer = server.ask_h2(method.clone(), ADA, &[("if-none-match", &etag)]).await;
        assert_eq!((answer.status.as_u16(), &answer.body[..]), (304, &b""[..]), "{method}");
        assert_eq!(
            (answer.header("content-length"), answer.header("etag")),
            (None, Some(&*etag)),
            "{method}"
        );
    }
    let head = server.ask_h2(Method::HEAD, ADA, &[]).await;
    assert_eq!((head.status.as_u16(), head.header("content-length")), (200, Some("3")));
    let touched = server.ask_h2(Method::POST, ADA, &[]).await;
    assert_eq!((touched.status.as_u16(), touched.header("content-length")), (204, None));
    assert_eq!(touched.header("etag"), Some(&*etag));
}

#[tokio::test]
async fn an_edit_with_a_tag_that_a_proxy_changed_is_told_so_and_not_to_read_again() {
    let server = start().await;
    create(&server).await;
    for tag in ["\"1-gzip\"", "\"1--gzip\"", "\"1;gzip\"", "\"1-br\"", "\"1-zstd\"", "\"1-deflate\""] {
        for header in ["if-match", "if-none-match"] {
            let refused = server.ask(Method::PUT, ADA, &[(header, tag)], "Augusta").await;
            assert_eq!(refused.problem(), (400, "bad-precondition".to_owned()), "{header}: {tag}");
            let detail = refused.json()["detail"].as_str().map(str::to_owned).expect("it explains itself");
            assert!(detail.contains("a proxy changed the entity tag"), "{detail}");
        }
        let read = server.ask(Method::GET, ADA, &[("if-none-match", tag)], "").await;
        assert_eq!((read.status.as_u16(), read.header("etag")), (200, Some("\"1\"")), "{tag}");
    }
    assert_eq!(server.ask(Method::GET, ADA, &[], "").await.body, "Ada");
}

#[tokio::test]
async fn a_date_is_no_precondition() {
    let server = start().await;
    create(&server).await;
    let dates = ["Thu, 01 Jan 1970 00:00:00 GMT", "Fri, 31 Dec 9999 23:59:59 GMT", "yesterday"];
    for date in dates {
        let put = server.ask(Method::PUT, ADA, &[("if-unmodified-since", date)], "Augusta").await;
        assert_eq!(put.problem(), (428, "precondition-required".to_owned()), "{date}");
        let both = [("if-unmodified-since", date), ("if-match", "\"9\"")];
        assert_eq!(server.ask(Method::PUT, ADA, &both, "Augusta").await.status, 412, "{date}");
        let read = server.ask(Method::GET, ADA, &[("if-modified-since", date)], "").await;
        assert_eq!((read.status.as_u16(), &read.body[..]), (200, &b"Ada"[..]), "{date}");
    }
}

#[tokio::test]
async fn headers_on_the_wire_are_read_as_one_list_whatever_their_lines_and_bytes() {
    let server = start().await;
    create(&server).await;
    let delete = async |lines: &[u8]| {
        let request =
            [b"DELETE /cards/ada HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n", lines, b"\r\n"];
        let answer = server.raw(&request.concat()).await;
        answer.split(' ').nth(1).map(str::to_owned).expect("it has a status")
    };
    let refused = [
        (&b""[..], "428"),
        (b"If-Match:\r\n", "400"),
        (b"If-Match: *\r\nIf-Match: *\r\n", "400"),
        (b"If-Match: \"1\r\nIf-Match: 2\"\r\n", "400"),
        (b"If-Match: \"1\"\r\nIF-MATCH: W/\"2\"\r\n", "400"),
        (b"If-Match: \"\xe9\x80\xff\"\r\n", "412"),
        (b"If-Match: \"2\", \"1,\"\r\n", "412"),
        (b"If-Match: \"01\"\r\nIf-Match: \"x\"\r\n", "412"),
    ];
    for (lines, status) in refused {
        assert_eq!(delete(lines).await, status, "{}", lines.escape_ascii());
    }
    let long = [b"If-Match: ", &b"\"1\",".repeat(2049)[..], b"\r\n"].concat();
    assert_eq!(delete(&long).await, "400");
    let lines = b"If-Match: \"x\" ,,\r\nif-match:\t \"1\"\t,\"\xe9\"\t\r\nIf-Match:\r\n";
    assert_eq!(delete(lines).await, "204");
}
