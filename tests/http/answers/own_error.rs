//! A service with an error type of its own, beside problems.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use latchwork::versioned::{Change, Expect, WriteError};
use latchwork::web::{IfMatch, IfNoneMatch, Problem, Tagged};
use latchwork::{KeyedLock, Stamp, VersionedMap};

use super::server::Server;

/// An error of a database, of another crate.
struct Down;

enum AppError {
    SoldOut,
    Database(Down),
    Refused(Problem),
}

impl IntoResponse for AppError {
    fn into_response(self) -> Response {
        match self {
            Self::SoldOut => (StatusCode::GONE, "sold out").into_response(),
            Self::Database(Down) => (StatusCode::BAD_GATEWAY, "down").into_response(),
            Self::Refused(problem) => problem.into_response(),
        }
    }
}

impl From<Down> for AppError {
    fn from(down: Down) -> Self {
        Self::Database(down)
    }
}

impl From<Problem> for AppError {
    fn from(problem: Problem) -> Self {
        Self::Refused(problem)
    }
}

impl<T> From<WriteError<T, AppError>> for AppError {
    fn from(error: WriteError<T, AppError>) -> Self {
        error.into_refused_or_else(|failure| Problem::from(failure).into())
    }
}

/// An error whose problem says all of it.
struct Missing;

impl From<Missing> for Problem {
    fn from(_: Missing) -> Self {
        Self::new(StatusCode::NOT_FOUND).with_type("/problems/missing", "missing")
    }
}

type Stock = State<Arc<VersionedMap<u32, u32>>>;

fn stock() -> Arc<VersionedMap<u32, u32>> {
    let stock = VersionedMap::new();
    stock.insert_new(1, 1).expect("it is new");
    Arc::new(stock)
}

fn take_one(left: &u32) -> Result<Change<u32>, AppError> {
    left.checked_sub(1).map(Change::Set).ok_or(AppError::SoldOut)
}

/// The version of a row: that of the database is `id`, but 0 is damaged and 9 is beyond reach.
fn row(id: i64) -> Result<i64, Down> {
    if id < 9 { Ok(id) } else { Err(Down) }
}

async fn edit_row(Path(id): Path<i64>, if_match: IfMatch) -> Result<Tagged<()>, AppError> {
    let current = Stamp::try_from(row(id)?).map_err(Problem::from)?;
    if_match.check(Some(current))?;
    Ok(Tagged::new(current, ()))
}

async fn create_row(Path(id): Path<i64>, known: IfNoneMatch) -> Result<StatusCode, AppError> {
    let current = if id == 7 { None } else { Some(Stamp::try_from(row(id)?).map_err(Problem::from)?) };
    known.check(current)?;
    Ok(StatusCode::CREATED)
}

async fn sell(State(stock): Stock, Path(id): Path<u32>) -> Result<Tagged<()>, AppError> {
    Ok(Tagged::new(stock.try_update(&id, Expect::Any, take_one)?.stamp(), ()))
}

async fn sell_one_version(
    State(stock): Stock,
    Path(id): Path<u32>,
    if_match: IfMatch,
) -> Result<(), AppError> {
    let sold = stock.try_update(&id, &if_match, take_one);
    sold.map_err(|error| error.into_refused_or_else(|failure| if_match.refuse(failure).into()))?;
    Ok(())
}

#[tokio::test]
async fn a_handler_with_an_own_error_type_takes_problems_and_keeps_its_own_answers() {
    let routes = Router::new()
        .route("/rows/{id}", put(edit_row).post(create_row))
        .route("/stock/{id}", put(sell_one_version).post(sell))
        .with_state(stock());
    let server = Server::start(routes).await;
    let (put, post) = (Method::PUT, Method::POST);
    let seven = ("if-match", "\"7\"");
    let none = ("if-none-match", "*");
    let own = |status, text| (status, Err(text));
    let problem = |status, slug| (status, Ok(slug));
    let table = [
        (&put, "/rows/7", seven, own(200, "")),
        (&put, "/rows/6", seven, problem(412, "precondition-failed")),
        (&put, "/rows/0", seven, problem(500, "bad-stored-number")),
        (&put, "/rows/9", seven, own(502, "down")),
        (&put, "/rows/7", ("if-match", "7"), problem(400, "bad-precondition")),
        (&post, "/rows/7", none, own(201, "")),
        (&post, "/rows/6", none, problem(412, "precondition-failed")),
        (&put, "/stock/1", seven, problem(412, "precondition-failed")),
        (&post, "/stock/1", seven, own(200, "")),
        (&post, "/stock/1", seven, own(410, "sold out")),
        (&post, "/stock/2", seven, problem(409, "conflict")),
        (&put, "/stock/1", ("if-match", "*"), own(410, "sold out")),
    ];
    for (method, path, header, (status, expected)) in table {
        let answer = server.ask(method.clone(), path, &[header], "").await;
        match expected {
            Ok(slug) => assert_eq!(answer.problem(), (status, slug.to_owned()), "{method} {path}"),
            Err(text) => {
                let got = (answer.status.as_u16(), &answer.body[..]);
                assert_eq!(got, (status, text.as_bytes()), "{method} {path}");
            }
        }
    }
}

#[tokio::test]
async fn a_handler_with_the_result_of_axum_takes_every_error_as_it_is() {
    async fn handle(State(stock): Stock, Path(what): Path<String>) -> axum::response::Result<String> {
        let locks = KeyedLock::<u8>::new();
        let _held = locks.try_lock(7)?;
        match &*what {
            "busy" => drop(locks.try_lock(7)?),
            "own" => Err(AppError::SoldOut)?,
            "database" => drop(row(9).map_err(AppError::from)?),
            "problem" => Err(Problem::queue_full())?,
            "missing" => Err(Problem::from(Missing))?,
            "closure" => drop(stock.try_update(&1, Expect::Any, |_| Err(AppError::SoldOut))?),
            "conflict" => drop(stock.try_update(&1, Stamp::MAX, take_one)?),
            _ => {}
        }
        Ok(what)
    }
    let server = Server::start(Router::new().route("/{what}", get(handle)).with_state(stock())).await;
    let table = [
        ("/busy", 409),
        ("/own", 410),
        ("/database", 502),
        ("/problem", 503),
        ("/missing", 404),
        ("/closure", 410),
        ("/conflict", 409),
        ("/nothing", 200),
    ];
    for (path, status) in table {
        assert_eq!(server.ask(Method::GET, path, &[], "").await.status, status, "{path}");
    }
}
