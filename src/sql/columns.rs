//! Stamps and fences as columns: numbers of 64 bits, `BIGINT` on most databases and `INTEGER` on SQLite.

use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::{Database, Decode, Encode, Type};

use crate::{Fence, Stamp};

/// A stamp is stored as the number that it is.
impl<DB: Database> Type<DB> for Stamp
where
    i64: Type<DB>,
{
    fn type_info() -> DB::TypeInfo {
        i64::type_info()
    }

    fn compatible(other: &DB::TypeInfo) -> bool {
        i64::compatible(other)
    }
}

impl<'q, DB: Database> Encode<'q, DB> for Stamp
where
    i64: Encode<'q, DB>,
{
    fn encode_by_ref(&self, out: &mut DB::ArgumentBuffer) -> Result<IsNull, BoxDynError> {
        self.as_i64().encode_by_ref(out)
    }
}

/// A number that is no stamp, such as 0, is an error of the column.
impl<'r, DB: Database> Decode<'r, DB> for Stamp
where
    i64: Decode<'r, DB>,
{
    fn decode(value: DB::ValueRef<'r>) -> Result<Self, BoxDynError> {
        Ok(Self::try_from(i64::decode(value)?)?)
    }
}

/// A fence is stored as the number that it is.
impl<DB: Database> Type<DB> for Fence
where
    i64: Type<DB>,
{
    fn type_info() -> DB::TypeInfo {
        i64::type_info()
    }

    fn compatible(other: &DB::TypeInfo) -> bool {
        i64::compatible(other)
    }
}

/// A fence above `i64::MAX` is an error of the parameter. No lock of this crate gives one out.
impl<'q, DB: Database> Encode<'q, DB> for Fence
where
    i64: Encode<'q, DB>,
{
    fn encode_by_ref(&self, out: &mut DB::ArgumentBuffer) -> Result<IsNull, BoxDynError> {
        i64::try_from(self.get())?.encode_by_ref(out)
    }
}

/// A number that is no fence, such as 0, is an error of the column.
impl<'r, DB: Database> Decode<'r, DB> for Fence
where
    i64: Decode<'r, DB>,
{
    fn decode(value: DB::ValueRef<'r>) -> Result<Self, BoxDynError> {
        let number = u64::try_from(i64::decode(value)?)?;
        Ok(Self::new(number).ok_or("a fence is never 0")?)
    }
}
