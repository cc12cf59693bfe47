//! Stamps and fences in messages (feature `serde`).
//!
//! In formats that people read they are strings, because JavaScript's numbers are not exact above 2^53. A client may send a
//! number as well. In binary formats they are a `u64`.
//!
//! To accept a string or a number, the format must say which of them it has. Some formats answer with a map of one entry,
//! which holds the text: see [`TEXT`] and [`NUMBER`]. Every other map is refused.

use std::fmt::{self, Display};
use std::marker::PhantomData;
use std::str::FromStr;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, MapAccess, Unexpected, Visitor};
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

/// The entry that holds the text of an XML element, which has attributes besides (quick-xml).
const TEXT: &str = "$text";

/// The only entry of every number of serde_json, if some crate turned its feature `arbitrary_precision` on.
const NUMBER: &str = "$serde_json::private::Number";

/// What an attribute of an XML element begins with.
const ATTRIBUTE: char = '@';

/// Reads a string or a number, and nothing else.
struct Scalar<N>(PhantomData<N>);

impl<N: Number> Visitor<'_> for Scalar<N> {
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

/// Reads the value of an entry in a map: a string. A map inside of that is refused, so no input can nest maps without an
/// end.
enum Entry<N> {
    /// The text of an XML element. White space around a number has no meaning there (XML Schema, part 2, section 4.3.6).
    Text,
    /// A number of serde_json.
    Number(PhantomData<N>),
    /// An attribute, which may have any text.
    Attribute,
}

impl<N: Number> Visitor<'_> for Entry<N> {
    /// `None` for an attribute.
    type Value = Option<N>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Option<N>, E> {
        let text = match self {
            Self::Text => text.trim_matches([' ', '\t', '\r', '\n']),
            Self::Number(_) => text,
            Self::Attribute => return Ok(None),
        };
        text.parse().map(Some).map_err(E::custom)
    }
}

impl<'de, N: Number> DeserializeSeed<'de> for Entry<N> {
    type Value = Option<N>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<N>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

/// Reads a string or a number, also if it is the text of an element.
struct Either<N>(Scalar<N>);

impl<'de, N: Number> Visitor<'de> for Either<N> {
    type Value = N;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.expecting(f)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<N, E> {
        self.0.visit_str(text)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<N, E> {
        self.0.visit_u64(number)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<N, E> {
        self.0.visit_i64(number)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<N, A::Error> {
        let (mut found, mut entries, mut has_number) = (None, 0, false);
        while let Some(name) = map.next_key()? {
            entries += 1;
            let entry = match name {
                Name::Text if found.is_none() => Entry::Text,
                Name::Number if entries == 1 => Entry::Number(PhantomData),
                // They may come before the text. A number of serde_json has none.
                Name::Attribute if !has_number => Entry::Attribute,
                _ => return Err(A::Error::invalid_type(Unexpected::Map, &self)),
            };
            has_number |= matches!(entry, Entry::Number(_));
            found = map.next_value_seed(entry)?.or(found);
        }
        found.ok_or_else(|| A::Error::invalid_type(Unexpected::Map, &self))
    }
}

/// The name of an entry in a map.
enum Name {
    Text,
    Number,
    Attribute,
    Other,
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Names;

        impl Visitor<'_> for Names {
            type Value = Name;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of an entry")
            }

            fn visit_str<E: Error>(self, name: &str) -> Result<Name, E> {
                Ok(match name {
                    TEXT => Name::Text,
                    NUMBER => Name::Number,
                    _ if name.starts_with(ATTRIBUTE) => Name::Attribute,
                    _ => Name::Other,
                })
            }
        }

        deserializer.deserialize_identifier(Names)
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
        deserializer.deserialize_any(Either(Scalar(PhantomData)))
    } else {
        deserializer.deserialize_u64(Scalar(PhantomData))
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
