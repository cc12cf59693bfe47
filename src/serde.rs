//! Stamps and fences in messages (feature `serde`).
//!
//! In formats that people read they are strings, because JavaScript's numbers are not exact above 2^53. A client may send a
//! number as well. In binary formats they are a `u64`.

use std::fmt::{self, Display};
use std::marker::PhantomData;
use std::str::FromStr;

use serde::de::{Deserialize, Deserializer, Error, Unexpected, Visitor};
use serde::ser::{Serialize, Serializer};

use crate::fence::Fence;
use crate::stamp::Stamp;

/// What stamps and fences have in common.
trait Number: Copy + Display + FromStr<Err: Display> {
    /// What a message must contain, for the error text.
    const EXPECTED: &'static str;

    fn number(self) -> u64;
    fn of(number: u64) -> Option<Self>;
}

impl Number for Stamp {
    const EXPECTED: &'static str = "a stamp, from 1 to 9223372036854775807";

    fn number(self) -> u64 {
        self.get()
    }

    fn of(number: u64) -> Option<Self> {
        Self::new(number)
    }
}

impl Number for Fence {
    const EXPECTED: &'static str = "a fence, from 1 to 18446744073709551615";

    fn number(self) -> u64 {
        self.get()
    }

    fn of(number: u64) -> Option<Self> {
        Self::new(number)
    }
}

struct Either<N>(PhantomData<N>);

impl<N: Number> Visitor<'_> for Either<N> {
    type Value = N;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(N::EXPECTED)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<N, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<N, E> {
        N::of(number).ok_or_else(|| E::invalid_value(Unexpected::Unsigned(number), &self))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<N, E> {
        let unsigned = u64::try_from(number).ok().and_then(N::of);
        unsigned.ok_or_else(|| E::invalid_value(Unexpected::Signed(number), &self))
    }
}

fn serialize<N: Number, S: Serializer>(number: N, serializer: S) -> Result<S::Ok, S::Error> {
    if serializer.is_human_readable() {
        serializer.collect_str(&number)
    } else {
        serializer.serialize_u64(number.number())
    }
}

fn deserialize<'de, N: Number, D: Deserializer<'de>>(deserializer: D) -> Result<N, D::Error> {
    if deserializer.is_human_readable() {
        deserializer.deserialize_any(Either(PhantomData))
    } else {
        deserializer.deserialize_u64(Either(PhantomData))
    }
}

impl Serialize for Stamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize(*self, serializer)
    }
}

impl<'de> Deserialize<'de> for Stamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserialize(deserializer)
    }
}

impl Serialize for Fence {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize(*self, serializer)
    }
}

impl<'de> Deserialize<'de> for Fence {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserialize(deserializer)
    }
}
