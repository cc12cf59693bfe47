//! The tables, and what all ways read from them.

use std::collections::BTreeMap;

use latchwork::Stamp;
use serde::Serialize;
use sqlx::{FromRow, Row};

use super::error::ShopError;
use super::{Db, Pools};
use crate::input::Search;

const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS users (
        name TEXT CONSTRAINT user_name PRIMARY KEY,
        token TEXT NOT NULL CONSTRAINT user_token UNIQUE,
        is_admin BOOLEAN NOT NULL);
    CREATE TABLE IF NOT EXISTS sweets (
        id BIGINT PRIMARY KEY,
        name TEXT NOT NULL,
        price_cents BIGINT NOT NULL,
        stock BIGINT NOT NULL CONSTRAINT stock_not_negative CHECK (stock >= 0),
        version BIGINT NOT NULL DEFAULT 1);
";

const SWEETS: [(i64, &str, i64); 5] = [
    (1, "Candied violets", 640),
    (2, "Nougat", 310),
    (3, "Salted caramel", 280),
    (4, "Fudge", 190),
    (5, "Liquorice", 90),
];

#[derive(Serialize)]
pub(crate) struct Sweet {
    pub(crate) id: i64,
    pub(crate) name: String,
    pub(crate) price_cents: i64,
    pub(crate) stock: i64,
    pub(crate) version: Stamp,
}

// By hand: the derive would build SQLite a second time, for the macro.
impl FromRow<'_, <Db as sqlx::Database>::Row> for Sweet {
    fn from_row(row: &<Db as sqlx::Database>::Row) -> sqlx::Result<Self> {
        Ok(Self {
            id: row.try_get("id")?,
            name: row.try_get("name")?,
            price_cents: row.try_get("price_cents")?,
            stock: row.try_get("stock")?,
            version: row.try_get("version")?,
        })
    }
}

/// What is left after a purchase, if there is enough.
pub(crate) fn sell(stock: i64, quantity: i64) -> Result<i64, ShopError> {
    if stock < quantity { Err(ShopError::SoldOut { stock }) } else { Ok(stock - quantity) }
}

pub(crate) struct Store {
    pub(crate) pools: Pools,
}

impl Store {
    /// Makes the tables, and fills them if they are empty.
    pub(crate) async fn new(pools: Pools, stock: i64) -> sqlx::Result<Self> {
        sqlx::raw_sql(TABLES).execute(&pools.writer).await?;
        for (id, name, price_cents) in SWEETS {
            let sql = "INSERT INTO sweets (id, name, price_cents, stock) VALUES ($1, $2, $3, $4)
                ON CONFLICT (id) DO NOTHING";
            let insert = sqlx::query(sql).bind(id).bind(name).bind(price_cents).bind(stock);
            insert.execute(&pools.writer).await?;
        }
        Ok(Self { pools })
    }

    /// Returns a token of a new admin. Those of earlier runs are no longer valid.
    pub(crate) async fn admin(&self, token: String) -> sqlx::Result<String> {
        let sql = "INSERT INTO users (name, token, is_admin) VALUES ('admin', $1, TRUE)
            ON CONFLICT (name) DO UPDATE SET token = excluded.token";
        sqlx::query(sql).bind(&token).execute(&self.pools.writer).await?;
        Ok(token)
    }

    pub(crate) async fn sweet(&self, id: i64) -> Result<Sweet, ShopError> {
        let sweet = sqlx::query_as("SELECT * FROM sweets WHERE id = $1").bind(id);
        sweet.fetch_optional(&self.pools.readers).await?.ok_or(ShopError::NoSweet)
    }

    pub(crate) async fn search(&self, search: &Search) -> sqlx::Result<Vec<Sweet>> {
        let sql = "SELECT * FROM sweets
            WHERE lower(name) LIKE '%' || $1 || '%' ESCAPE '!' AND price_cents <= $2 ORDER BY id";
        let name = search.name.to_lowercase().replace('!', "!!").replace('%', "!%").replace('_', "!_");
        let most = search.max_cents.unwrap_or(i64::MAX);
        sqlx::query_as(sql).bind(name).bind(most).fetch_all(&self.pools.readers).await
    }

    /// Returns what is left, by sweet.
    pub(crate) async fn stocks(&self) -> sqlx::Result<BTreeMap<i64, i64>> {
        let stocks: Vec<(i64, i64)> =
            sqlx::query_as("SELECT id, stock FROM sweets").fetch_all(&self.pools.writer).await?;
        Ok(stocks.into_iter().collect())
    }
}
