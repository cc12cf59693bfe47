//! The tables, and what the handlers read and write on a connection.
//!
//! A change writes two rows: an entry of the journal, and what has changed. An entry without its change is **half-done**:
//! the handler ended between its statements, and nothing has rolled them back.

use std::collections::BTreeMap;
use std::fmt::Write;

use sqlx::{AssertSqlSafe, Database, Pool, Row};

use super::error::ServiceError;
use super::{Db, NEW_ID};
use crate::input::{Login, Wish};
use crate::report::Audit;
use crate::side::Phase;

pub(crate) type Connection = <Db as Database>::Connection;

/// A real service stores a hash of a password.
const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS users (name TEXT PRIMARY KEY, password TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS dishes (name TEXT PRIMARY KEY);
    CREATE TABLE IF NOT EXISTS journal (id NEW_ID, user_name TEXT NOT NULL, phase TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS sessions (
        token TEXT PRIMARY KEY, entry BIGINT NOT NULL, user_name TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS preferences (
        entry BIGINT PRIMARY KEY, user_name TEXT NOT NULL, dish TEXT NOT NULL, theme TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS menus (
        user_name TEXT NOT NULL, number BIGINT NOT NULL, entry BIGINT NOT NULL, dish TEXT NOT NULL,
        PRIMARY KEY (user_name, number));
    CREATE INDEX IF NOT EXISTS preferences_of_user ON preferences (user_name, entry);
";

pub(crate) const DISHES: [&str; 5] = ["dal", "pilaf", "ramen", "risotto", "stew"];

/// What somebody gets who has no preferences.
const ANY: &str = "stew";

/// Makes the tables, and fills them if they are empty.
pub(crate) async fn create(pool: &Pool<Db>, users: &[(String, String)]) -> sqlx::Result<()> {
    let tables = TABLES.replace("NEW_ID", NEW_ID);
    sqlx::raw_sql(AssertSqlSafe(tables)).execute(pool).await?;
    for dish in DISHES {
        let sql = "INSERT INTO dishes (name) VALUES ($1) ON CONFLICT DO NOTHING";
        sqlx::query(sql).bind(dish).execute(pool).await?;
    }
    for (name, password) in users {
        let sql = "INSERT INTO users (name, password) VALUES ($1, $2) ON CONFLICT DO NOTHING";
        sqlx::query(sql).bind(name).bind(password).execute(pool).await?;
    }
    Ok(())
}

pub(crate) async fn check_password(db: &mut Connection, login: &Login) -> Result<(), ServiceError> {
    let sql = "SELECT 1 FROM users WHERE name = $1 AND password = $2";
    let known = sqlx::query(sql).bind(&login.name).bind(&login.password);
    known.fetch_optional(db).await?.map(drop).ok_or(ServiceError::WrongPassword)
}

pub(crate) async fn user_of(db: &mut Connection, token: &str) -> Result<String, ServiceError> {
    let user = sqlx::query_scalar("SELECT user_name FROM sessions WHERE token = $1").bind(token);
    user.fetch_optional(db).await?.ok_or(ServiceError::Stranger)
}

/// Writes that this user changes something. Returns the entry's number.
pub(crate) async fn write_journal(db: &mut Connection, user: &str, phase: Phase) -> sqlx::Result<i64> {
    let sql = "INSERT INTO journal (user_name, phase) VALUES ($1, $2) RETURNING id";
    sqlx::query_scalar(sql).bind(user).bind(phase.name()).fetch_one(db).await
}

/// Stores a new session, and returns its token, which nobody can guess.
pub(crate) async fn new_session(db: &mut Connection, entry: i64, user: &str) -> sqlx::Result<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("the system has random numbers");
    let mut token = String::new();
    for byte in bytes {
        write!(token, "{byte:02x}").expect("a string takes what is written");
    }
    let sql = "INSERT INTO sessions (token, entry, user_name) VALUES ($1, $2, $3)";
    sqlx::query(sql).bind(&token).bind(entry).bind(user).execute(db).await?;
    Ok(token)
}

pub(crate) async fn check_dish(db: &mut Connection, dish: &str) -> Result<(), ServiceError> {
    let known = sqlx::query("SELECT 1 FROM dishes WHERE name = $1").bind(dish);
    known.fetch_optional(db).await?.map(drop).ok_or(ServiceError::NoDish)
}

pub(crate) async fn prefer(db: &mut Connection, entry: i64, user: &str, wish: &Wish) -> sqlx::Result<()> {
    let sql = "INSERT INTO preferences (entry, user_name, dish, theme) VALUES ($1, $2, $3, $4)";
    sqlx::query(sql).bind(entry).bind(user).bind(&wish.dish).bind(&wish.theme).execute(db).await?;
    Ok(())
}

/// Returns the preferences that the user has set last.
pub(crate) async fn preferences(db: &mut Connection, user: &str) -> Result<Wish, ServiceError> {
    let sql = "SELECT dish, theme FROM preferences WHERE user_name = $1 ORDER BY entry DESC LIMIT 1";
    let row = sqlx::query(sql).bind(user).fetch_optional(db).await?.ok_or(ServiceError::NoPreferences)?;
    Ok(Wish { dish: row.try_get("dish")?, theme: row.try_get("theme")? })
}

/// Returns what the user likes to eat.
pub(crate) async fn favourite(db: &mut Connection, user: &str) -> Result<String, ServiceError> {
    match preferences(db, user).await {
        Ok(wish) => Ok(wish.dish),
        Err(ServiceError::NoPreferences) => Ok(ANY.to_owned()),
        Err(error) => Err(error),
    }
}

/// Stores a menu under the user's next number. Two requests of one user at the same time choose the same number, and one
/// of them violates the primary key.
pub(crate) async fn write_menu(db: &mut Connection, entry: i64, user: &str, dish: &str) -> sqlx::Result<i64> {
    let sql = "SELECT coalesce(max(number), 0) + 1 FROM menus WHERE user_name = $1";
    let number: i64 = sqlx::query_scalar(sql).bind(user).fetch_one(&mut *db).await?;
    let sql = "INSERT INTO menus (user_name, number, entry, dish) VALUES ($1, $2, $3, $4)";
    sqlx::query(sql).bind(user).bind(number).bind(entry).bind(dish).execute(db).await?;
    Ok(number)
}

/// Returns what the journal says about each phase.
pub(crate) async fn audit(db: &mut Connection) -> sqlx::Result<BTreeMap<Phase, Audit>> {
    let sql = "SELECT phase, count(*) AS entries, count(done.entry) AS changes FROM journal LEFT JOIN (
            SELECT entry FROM sessions UNION ALL SELECT entry FROM preferences UNION ALL SELECT entry FROM menus
        ) AS done ON done.entry = journal.id GROUP BY phase";
    let mut phases = BTreeMap::new();
    for row in sqlx::query(sql).fetch_all(db).await? {
        let name: String = row.try_get("phase")?;
        let (entries, changes): (i64, i64) = (row.try_get("entries")?, row.try_get("changes")?);
        let phase =
            Phase::ALL.into_iter().find(|phase| phase.name() == name).ok_or(sqlx::Error::RowNotFound)?;
        let audit = Audit { committed: changes as u64, half_done: (entries - changes) as u64 };
        phases.insert(phase, audit);
    }
    Ok(phases)
}
