//! Stamps and fences as columns.

use latchwork::{Fence, Stamp};
use sqlx::{AssertSqlSafe, Error, query, query_as, query_scalar};

use super::{numbers, pool, sql};

const INSERT: &str = "insert into cards values ($1, $2) returning version, fence";

#[tokio::test]
async fn stamps_and_fences_come_back_as_they_were_stored() {
    let pool = pool(1).await;
    query("create table cards (version bigint, fence bigint)").execute(&pool).await.expect("it is new");
    let greatest = Fence::new(i64::MAX as u64).expect("it is above 0");
    for (stamp, fence) in [(Stamp::MIN, Fence::new(1).expect("it is above 0")), (Stamp::MAX, greatest)] {
        let stored: (Stamp, Fence) =
            query_as(sql(INSERT)).bind(stamp).bind(fence).fetch_one(&pool).await.expect("they are numbers");
        assert_eq!(stored, (stamp, fence));
    }
    let none: (Option<Stamp>, Option<Fence>) = query_as(sql(INSERT))
        .bind(None::<Stamp>)
        .bind(None::<Fence>)
        .fetch_one(&pool)
        .await
        .expect("they may be null");
    assert_eq!(none, (None, None));
}

#[tokio::test]
async fn what_is_no_stamp_or_fence_is_an_error_of_the_column() {
    let pool = numbers(1).await;
    for number in ["0", "-1"] {
        let set = AssertSqlSafe(format!("update numbers set n = {number}"));
        query(set).execute(&pool).await.expect("it is a number");
        let stamp = query_scalar::<_, Stamp>("select n from numbers").fetch_one(&pool).await;
        assert!(matches!(stamp, Err(Error::ColumnDecode { .. })), "{stamp:?}");
        let fence = query_scalar::<_, Fence>("select n from numbers").fetch_one(&pool).await;
        assert!(matches!(fence, Err(Error::ColumnDecode { .. })), "{fence:?}");
    }
    let too_great = Fence::new(u64::MAX).expect("it is above 0");
    let stored = query(sql("select $1")).bind(too_great).execute(&pool).await;
    assert!(matches!(stored, Err(Error::Encode(_))), "{stored:?}");
}
